# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Initializes the first control plane: ``kubeadm init`` with a configuration file, without leaving a token."""

from __future__ import annotations

import re
import secrets
import string
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core import addresses as network
from ..core import mappings
from ..core.constants import COMPONENTS
from ..core.errors import KubesteadError, OptionError
from ..core.options import ADDRESS, refuse_credentials, var
from ..core.problem import Problem
from ..core.redact import redact
from ..core.releases import DEFAULT_KUBERNETES, config_api
from ..core.secret_files import private_file
from ..core.step import Step
from ..core.system import System
from ..core.versions import Version, parse, parse_request
from ..kube import cluster as kube_cluster
from ..kube.api import Api
from ..kube.kubectl import Kubectl
from . import diagnosis, kubelet_config, limits, names
from . import operation as operations
from . import reset as cleanup
from .config import (
    arguments,
    document,
    merge_pass_through,
    render_documents,
)
from .culprits import Journals
from .node_options import INIT_KINDS, NodeOptions, from_parameters
from .operation import INIT, Operation
from .state import DONE, PARTIAL, KubeadmState, local_api_url

COMPONENT = "control_plane"

# kubeadm always creates a bootstrap token. Its expiration time is written in seconds, so a token with a lifetime of one
# nanosecond has expired when it is created. Its group does not have any rights, and its Secret is deleted at the end.
_VOID = {"ttl": "1ns", "usages": ["authentication"], "groups": ["system:bootstrappers:kubestead:void"]}

# The requests per second that the controller manager may send. Its default, 20, delays its start in a new cluster by
# seconds, and with it the first joins. These are the defaults of the kubelet and the scheduler.
_CONTROLLER_MANAGER = {"kube-api-qps": "50", "kube-api-burst": "100"}


@dataclass(frozen=True)
class ControlPlaneOptions(NodeOptions):
    """The options of ``kubeadm init``: the variables of the cluster, and those of the first node.

    Empty text leaves a value to kubeadm. ``endpoint_vip`` is the virtual IP address of the API, which the certificates
    of the API servers get. ``timeout`` is in seconds and covers the complete run.
    """

    kubernetes_version: str = field(default=DEFAULT_KUBERNETES, metadata=var("cluster_kubernetes_version"))
    endpoint: str = field(default="", metadata={**var("cluster_endpoint"), **ADDRESS})
    pod_cidr: str = field(default="10.244.0.0/16", metadata=var("cluster_pod_cidr"))
    service_cidr: str = field(default="10.96.0.0/12", metadata=var("cluster_service_cidr"))
    dns_domain: str = field(default="cluster.local", metadata=var("cluster_dns_domain"))
    image_repository: str = field(default="registry.k8s.io", metadata={**var("cluster_image_repository"), **ADDRESS})
    cert_sans: List[str] = field(default_factory=list, metadata=var("cluster_cert_sans"))
    endpoint_vip: str = field(default="", metadata=var("cluster_endpoint_vip"))
    feature_gates: Dict[str, bool] = field(default_factory=dict, metadata=var("cluster_feature_gates"))
    kubelet_config: Dict[str, Any] = field(default_factory=dict, metadata=var("cluster_kubelet_config"))
    kube_proxy_config: Dict[str, Any] = field(default_factory=dict, metadata=var("cluster_kube_proxy_config"))
    skip_phases: List[str] = field(default_factory=list, metadata=var("cluster_skip_phases"))
    timeout: int = 900

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        super().validate()
        limits.check_arguments("cluster_node_kubelet_extra_args", self.kubelet_extra_args, on_one_line=True)
        limits.check_config("cluster_kubeadm_config", self.config)
        parse_request(self.kubernetes_version)
        if self.endpoint:
            limits.check_endpoint("cluster_endpoint", self.endpoint)
        if self.timeout < 1:
            raise OptionError(
                "control_plane_timeout",
                "is {0}, but must be at least 1 second".format(self.timeout),
                "use seconds, like 900",
            )
        self._validate_ranges()
        if self.dns_domain:
            names.check_dns_name("cluster_dns_domain", self.dns_domain)
        limits.check_sans("cluster_cert_sans", self.cert_sans)
        self._validate_endpoint_vip()
        refuse_credentials("cluster_image_repository", self.image_repository, "@")
        if self.image_repository:
            limits.check_image_repository("cluster_image_repository", self.image_repository)

        kubelet_config.check("cluster_kubelet_config", self.kubelet_config)
        kubelet_config.check_proxy("cluster_kube_proxy_config", self.kube_proxy_config)
        for kind, check in (
            ("KubeletConfiguration", kubelet_config.check),
            ("KubeProxyConfiguration", kubelet_config.check_proxy),
        ):
            check("cluster_kubeadm_config.{0}".format(kind), self.config.get(kind) or {})

    def _validate_endpoint_vip(self) -> None:
        if not self.endpoint_vip:
            return
        limits.check_sans("cluster_endpoint_vip", [self.endpoint_vip])
        given = mappings.get(self.config.get("ClusterConfiguration"), ["apiServer", "certSANs"])
        known = [network.normal_address(str(one)) for one in given] if isinstance(given, list) else None
        if known is not None and network.normal_address(self.endpoint_vip) not in known:
            text = "has ClusterConfiguration.apiServer.certSANs without cluster_endpoint_vip"
            raise OptionError("cluster_kubeadm_config", text, "set cluster_cert_sans instead")

    def _validate_ranges(self) -> None:
        services = network.parse_cidrs("cluster_service_cidr", self.service_cidr)
        limits.check_service_cidr("cluster_service_cidr", self.service_cidr)
        if not self.pod_cidr:
            return
        pod_ranges = network.parse_cidrs("cluster_pod_cidr", self.pod_cidr)
        limits.check_pod_cidr("cluster_pod_cidr", self.pod_cidr, self.controller_manager_arguments)
        for pods, other in network.overlapping(pod_ranges, services):
            raise OptionError(
                "cluster_pod_cidr",
                "{0} overlaps with cluster_service_cidr {1}".format(pods, other),
                "use two ranges that do not overlap",
            )
        missing = {one.version for one in services} - {one.version for one in pod_ranges}
        if missing:
            raise OptionError(
                "cluster_service_cidr",
                "is {0}, but cluster_pod_cidr is {1}: Services of a family without pods do not work".format(
                    self.service_cidr, self.pod_cidr
                ),
                "use ranges of the same families (IPv4, IPv6)",
            )

    @property
    def alternative_names(self) -> List[str]:
        """The additional names and addresses in the certificates of the API servers."""
        address = network.normal_address(self.endpoint_vip)
        known = [network.normal_address(one) for one in self.cert_sans]
        return [*self.cert_sans, *([address] if address and address not in known else [])]

    @property
    def controller_manager_arguments(self) -> Any:
        """The arguments of the controller manager in the pass-through, unchanged; None without any."""
        return mappings.get(self.config.get("ClusterConfiguration"), ["controllerManager", "extraArgs"])


# -- planning (pure)


def problems(state: KubeadmState, options: ControlPlaneOptions) -> List[Problem]:
    """The problems that prevent an init here, and the differences of a live cluster from the options (warnings)."""
    unknown = operations.problems(state.operation)
    if unknown:
        return unknown
    if state.phase == DONE and state.role == "worker":
        text = "this host is a worker of {0}".format(state.server or "another cluster")
        fix = "initialize another host, or run reset.yml for {0} to remove it from that cluster first".format(
            _here(state)
        )
        return [Problem("control_plane.worker", text, fix)]
    if state.phase == DONE:
        return _differences(state, options)
    if state.phase == PARTIAL and not state.own_ca and not state.unfinished_init:
        if state.finished and state.role == "control_plane":
            text = "the control plane on {0} is down: {1}".format(_here(state), state.reason)
            fix = "see 'journalctl -u kubelet' and 'crictl ps -a' on it; nothing was changed"
            return [Problem("control_plane.api_down", text, fix)]
        text = "a kubeadm run on {0} was interrupted: {1}".format(_here(state), state.reason)
        fix = "check the host, then run reset.yml for {0} and run again; nothing was changed".format(_here(state))
        return [Problem("control_plane.partial", text, fix)]
    version = parse(state.installed_version)
    return _version_problems(version, options) if version else []


def _here(state: KubeadmState) -> str:
    return state.node_name or "this host"


def _version_problems(installed: Version, options: ControlPlaneOptions) -> List[Problem]:
    wanted = parse_request(options.kubernetes_version)
    exact_older = wanted.patch is not None and (wanted.major, wanted.minor + 1) == (installed.major, installed.minor)
    if (wanted.major, wanted.minor) == (installed.major, installed.minor) or exact_older:
        return []
    text = "cluster_kubernetes_version is {0}, but the installed kubeadm is {1}".format(wanted, installed)
    return [
        Problem("control_plane.version", text, "install kubeadm {0}, or set it to {1}".format(wanted, installed.series))
    ]


def _endpoints(options: ControlPlaneOptions, config: kube_cluster.ClusterConfig) -> Tuple[str, str]:
    """The endpoint of the options and that of the cluster; both are the same text if they mean the same."""
    wanted = network.full_endpoint(options.endpoint, options.bind_port)
    live = network.full_endpoint(config.endpoint, options.bind_port)
    return (live, live) if wanted and live and network.same_endpoint(wanted, live) else (wanted, live)


def _differences(state: KubeadmState, options: ControlPlaneOptions) -> List[Problem]:
    config = state.api.config
    if config is None:
        return []
    found = []
    for variable, wanted, live in (
        ("cluster_pod_cidr", options.pod_cidr, config.pod_cidr),
        ("cluster_service_cidr", options.service_cidr, config.service_cidr),
        ("cluster_dns_domain", options.dns_domain, config.dns_domain),
        ("cluster_endpoint", *_endpoints(options, config)),
    ):
        if wanted and limits.normal_cidrs(wanted) != limits.normal_cidrs(live):
            text = "{0} is {1}, but the cluster was created with {2}".format(variable, wanted, live or "none")
            found.append(
                Problem(
                    "control_plane.differs",
                    text,
                    "set it to the value of the cluster; it can't be changed in a live cluster",
                    "warning",
                )
            )
    return found


def target_version(installed_version: str, requested: str) -> str:
    """The exact version of the cluster: the requested one, or kubeadm's for a minor version; '' if it is not known."""
    request = parse_request(requested)
    if request.patch is not None:
        return str(request)
    installed = parse(installed_version)
    return str(installed) if installed and request.accepts(installed) else ""


def plan(state: KubeadmState, options: ControlPlaneOptions) -> List[Step]:
    """The steps of an init; empty if the control plane is complete, or if :func:`problems` has errors.

    A host without a cluster gets one step ``init``. An interrupted init of this collection gets one step ``continue``
    if its control plane answers or once did, otherwise ``clean``, which removes its leftovers, and ``init``.
    """
    if state.phase == DONE or [one for one in problems(state, options) if one.level == "error"]:
        return []
    version = target_version(state.installed_version, options.kubernetes_version)
    api = state.config_api or _requested_api(options.kubernetes_version)
    rendered = documents(options, api, version)
    begun = state.unfinished_init
    data: Dict[str, Any] = {
        "api": api,
        "documents": rendered,
        "skip_phases": list(options.skip_phases),
        "timeout": options.timeout,
        "preexisting_pki": list(begun.preexisting_pki) if begun else list(state.pki),
    }
    target = options.node_name or state.node_name or "control plane"
    steps = []
    if begun and state.phase == PARTIAL and not state.own_ca:
        stopped = "the init started at {0} was interrupted after phase {1}".format(begun.began, state.reached)
        if resumable(state):
            data["skip_phases"] += [phase for phase in _BEFORE_API if phase not in data["skip_phases"]]
            return [Step(COMPONENT, "continue", target, stopped, data=data)]
        undo = {"preexisting_pki": list(begun.preexisting_pki), "cri_socket": options.cri_socket}
        steps.append(Step(COMPONENT, "clean", target, stopped, data=undo))
    reason = "no cluster on this host; version {0}, pods {1}, services {2}".format(
        version or options.kubernetes_version, options.pod_cidr or "unset", options.service_cidr
    )
    if state.own_ca:
        reason = "{0}; with the CA in /etc/kubernetes/pki".format(reason)
    return steps + [Step(COMPONENT, "init", target, reason, after=render_documents(rendered), data=data)]


# The phases that are complete once the API server answers. Later phases can be run again safely.
_BEFORE_API = ("preflight", "certs", "kubeconfig", "kubelet-start", "control-plane", "etcd")


def resumable(state: KubeadmState) -> bool:
    """True if an interrupted init must be continued and never started again.

    In this case its API server answers, or kubeadm reached the last phase but one (the kubelet's own certificate), so
    the cluster may have been used since.
    """
    complete = state.kubelet_conf and not [name for name in COMPONENTS[1:] if name not in state.manifests]
    return state.finished or (state.api.live and complete)


def _requested_api(requested: str) -> str:
    request = parse_request(requested)
    return config_api(Version(request.major, request.minor, request.patch or 0))


def documents(options: ControlPlaneOptions, api: str, version: str) -> List[Dict[str, Any]]:
    """The configuration of an init as documents, without a token. ``version`` is exact, or empty if it is unknown.

    Raises :class:`OptionError` for a passed-through field that this API version does not have.
    """
    init: Dict[str, Any] = {"nodeRegistration": options.registration(api), "localAPIEndpoint": options.local_endpoint()}
    if options.skip_phases and api != "v1beta2":
        init["skipPhases"] = list(options.skip_phases)
    networking = {"serviceSubnet": limits.normal_cidrs(options.service_cidr), "dnsDomain": options.dns_domain}
    if options.pod_cidr:
        networking["podSubnet"] = limits.normal_cidrs(options.pod_cidr)
    cluster: Dict[str, Any] = {
        "networking": networking,
        "controllerManager": {"extraArgs": arguments(api, _CONTROLLER_MANAGER)},
    }
    for key, value in (
        ("kubernetesVersion", "v{0}".format(version) if version else ""),
        ("controlPlaneEndpoint", options.endpoint),
        ("imageRepository", options.image_repository),
        ("featureGates", dict(options.feature_gates)),
        ("apiServer", {"certSANs": options.alternative_names} if options.alternative_names else {}),
    ):
        if value:
            cluster[key] = value
    result = [document(api, "InitConfiguration", init), document(api, "ClusterConfiguration", cluster)]
    kubelet = dict(options.kubelet_config)
    if api == "v1beta2":
        # Before 1.22 kubeadm left the kubelet at cgroupfs; containerd is configured for systemd's cgroups.
        kubelet.setdefault("cgroupDriver", "systemd")
    if kubelet:
        result.append(document(api, "KubeletConfiguration", kubelet))
    if options.kube_proxy_config:
        result.append(document(api, "KubeProxyConfiguration", options.kube_proxy_config))
    passed = {kind: fields for kind, fields in options.config.items() if kind in INIT_KINDS}
    return merge_pass_through("cluster_kubeadm_config", api, result, passed)


# -- looking


def check_with_kubeadm(step: Step, system: System) -> None:
    """Let kubeadm validate the configuration of a step. Versions before 1.26 can't do this. Nothing is changed.

    Raises :class:`KubesteadError` for unknown fields and invalid values.
    """
    rendered = render_documents(step.data["documents"])
    result = system.run(["kubeadm", "config", "validate", "--config", "/dev/stdin"], stdin=rendered, timeout=30.0)
    errors = [line for line in redact(result.stderr).splitlines() if line.startswith("error:")]
    if result.ok or not errors or "unknown command" in errors[0]:
        return
    message = re.sub(r"^error: (error unmarshaling configuration schema\.GroupVersionKind)?", "", errors[0])
    message = re.sub(r'^\{Group:"[^"]*", Version:"([^"]*)", Kind:"([^"]*)"\}', r"\2 (\1)", message)
    fix = "correct cluster_kubeadm_config or cluster_kubelet_config; nothing was changed"
    raise KubesteadError("kubeadm refuses the configuration: {0}; {1}".format(message, fix))


# -- applying


@dataclass(frozen=True)
class InitRun:
    """A run of kubeadm: the phases that it ran, and its output without secrets."""

    phases: List[str] = field(default_factory=list)
    output: List[str] = field(default_factory=list)


def apply(step: Step, system: System) -> Optional[InitRun]:
    """Apply a step of :func:`plan`. Returns the run of kubeadm if the step runs an init.

    Raises :class:`KubesteadError` with the cause if kubeadm fails.
    """
    if step.action == "clean":
        cleanup.reset(system, str(step.data["cri_socket"]), step.data["preexisting_pki"])
        return None
    if step.action == "continue":
        _bring_up(system)
    return initialize(step, system)


def _bring_up(system: System) -> None:
    """Wait for the API server of a control plane that is complete; its kubelet starts it again if it is down.

    The kubelet delays a container that failed often by minutes. A restarted kubelet does not.
    """
    server = Api(system, server=local_api_url(system))
    if server.ok("/livez"):
        return
    began = time.time()
    system.run(["systemctl", "restart", "kubelet"], timeout=60.0)
    api = kube_cluster.wait_for_api(server, 150.0)
    if not api.live:
        journals = Journals(system, began)
        details = diagnosis.logs(journals)
        known = diagnosis.named(journals) + diagnosis.diagnose(system, details)
        raise KubesteadError(
            "the control plane of an interrupted kubeadm init did not start: {0}; {1}".format(
                api.reason, "; ".join(known) or "see 'journalctl -u kubelet' and 'crictl ps -a' on it"
            ),
            details,
        )


def initialize(step: Step, system: System) -> InitRun:
    """Run ``kubeadm init`` with a file of mode 0600 that is deleted afterwards, and delete the token that it creates.

    The marker is written before the start and removed when everything has succeeded.
    """
    data = step.data
    operation = Operation(INIT, began=operations.now(), preexisting_pki=list(data["preexisting_pki"]))
    operations.begin(system, operation)
    token_id, token = void_token()
    init = dict(data["documents"][0], bootstrapTokens=[token])
    argv = ["kubeadm", "init", "--skip-token-print"]
    if step.action == "continue":
        init.pop("skipPhases", None)
    if data["skip_phases"] and (data["api"] == "v1beta2" or step.action == "continue"):
        argv.append("--skip-phases={0}".format(",".join(data["skip_phases"])))
    began = time.time()
    with private_file(system, render_documents([init] + list(data["documents"][1:]))) as path:
        result = system.run(argv + ["--config", path], timeout=float(data["timeout"]))
    phases = diagnosis.phases_of(result.stdout)
    if "bootstrap-token" in phases:
        secret = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-{0}".format(token_id)
        # The controller manager also deletes expired tokens, so it is not an error if this token is gone.
        Kubectl(system).run(["delete", "--raw", secret], timeout=30.0)
    if not result.ok:
        raise diagnosis.failure("init", result, system, int(data["timeout"]), began)
    operations.end(system)
    return InitRun(phases=phases, output=redact(result.stdout).splitlines())


def void_token() -> Tuple[str, Dict[str, Any]]:
    """The ID of a new bootstrap token that is not usable, and its entry in an InitConfiguration."""
    alphabet = string.ascii_lowercase + string.digits
    token_id, secret = ("".join(secrets.choice(alphabet) for _i in range(length)) for length in (6, 16))
    return token_id, dict(_VOID, token="{0}.{1}".format(token_id, secret))


# -- what the module returns


def described(state: KubeadmState, options: ControlPlaneOptions) -> Dict[str, Any]:
    """The result of the module: the live control plane, or in check mode the planned one."""
    config = state.api.config
    server = re.sub(r"^https?://", "", state.server)
    planned = network.full_endpoint(options.endpoint or options.main_address, options.bind_port)
    live_version = config.kubernetes_version if config else state.api.server_version
    return {
        "kubernetes_version": live_version or target_version(state.installed_version, options.kubernetes_version),
        "endpoint": (config.endpoint if config else "") or server or planned,
        "ca_cert_hash": state.ca_cert_hash,
        "node_name": state.node_name if state.phase == DONE else options.node_name or state.node_name,
        "phase": state.phase,
    }


def first_error(found: Sequence[Problem]) -> Optional[KubesteadError]:
    """The first problem that prevents the run, as an exception."""
    for problem in found:
        if problem.level == "error":
            return KubesteadError(problem.line, {"check": problem.check})
    return None


def warnings_of(found: Sequence[Problem]) -> List[str]:
    """The problems that are worth a warning."""
    return [problem.line for problem in found if problem.level == "warning"]


def options_from_module(params: Mapping[str, Any]) -> ControlPlaneOptions:
    """The options from the parameters of kubeadm_init, validated. Raises :class:`OptionError`."""
    gates = params.get("feature_gates") or {}
    known = dict(params, endpoint=params.get("control_plane_endpoint"))
    known["feature_gates"] = {name: str(value).lower() in ("true", "yes", "on", "1") for name, value in gates.items()}
    return from_parameters(ControlPlaneOptions, known)
