# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first control plane: ``kubeadm init`` with a configuration file, once, without a token left behind."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import string
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import network
from .errors import KubesteadError, OptionError
from .findings import Problem
from .kubeadm import COMPONENTS, DONE, PARTIAL, KubeadmState
from .kubeadm_config import (
    check_pass_through,
    document,
    merge_pass_through,
    node_registration,
    parse_taint,
    render_documents,
)
from .kubectl import Kubectl
from .model import option
from .plan import Step
from .system import Result, System
from .versions import Version, config_api, parse, parse_request

AREA = "control_plane"

PASS_THROUGH_KINDS = ("InitConfiguration", "ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration")

# kubeadm insists on making a bootstrap token. One nanosecond is cut off when the end of its life is written, so that it
# is expired when it comes up; its group has no rights either, and its Secret is deleted at the end besides.
_VOID = {"ttl": "1ns", "usages": ["authentication"], "groups": ["system:bootstrappers:kubestead:void"]}

_DNS_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$")
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")
_CERTIFICATE_KEY = re.compile(r"(?<!sha256:)\b[0-9a-f]{64}\b")

# Phases that show in kubeadm's output; it has more tags there ([patches], [kubelet-check]…), which are none.
_PHASES = frozenset(
    [
        "preflight",
        "certs",
        "kubeconfig",
        "etcd",
        "control-plane",
        "kubelet-start",
        "wait-control-plane",
        "upload-config",
        "upload-certs",
        "mark-control-plane",
        "bootstrap-token",
        "kubelet-finalize",
        "addon",
    ]
)


@dataclass(frozen=True)
class InitOptions:
    """What ``kubeadm init`` is told, and who gets the admin's kubeconfig. Empty text leaves a value to kubeadm.

    ``timeout`` is in seconds and for the whole run; ``taints`` None leaves the control plane's usual taint, an empty
    list lets it run any pod. The fields ``kubeconfig_*`` are those of the module kubeconfig.
    """

    kubernetes_version: str = option("1.36", var="cluster_kubernetes_version")
    endpoint: str = option("", var="cluster_endpoint")
    advertise_address: str = option("", var="cluster_node_address")
    bind_port: int = option(6443)
    pod_cidr: str = option("10.244.0.0/16", var="cluster_pod_cidr")
    service_cidr: str = option("10.96.0.0/12", var="cluster_service_cidr")
    dns_domain: str = option("cluster.local", var="cluster_dns_domain")
    image_repository: str = option("registry.k8s.io", var="cluster_image_repository")
    cert_sans: List[str] = option(var="cluster_cert_sans", factory=list)
    feature_gates: Dict[str, bool] = option(var="cluster_feature_gates", factory=dict)
    kubelet_config: Dict[str, Any] = option(var="cluster_kubelet_config", factory=dict)
    kube_proxy_config: Dict[str, Any] = option(var="cluster_kube_proxy_config", factory=dict)
    skip_phases: List[str] = option(var="cluster_skip_phases", factory=list)
    ignore_preflight_errors: List[str] = option(var="cluster_ignore_preflight_errors", factory=list)
    config: Dict[str, Any] = option(var="cluster_kubeadm_config", factory=dict)
    node_name: str = option("")
    taints: Optional[List[str]] = option(None)
    kubelet_extra_args: Dict[str, str] = option(factory=dict)
    cri_socket: str = option("unix:///run/containerd/containerd.sock")
    timeout: int = option(900)
    kubeconfig_user: str = option("")
    kubeconfig_overwrite: bool = option(False)
    kubeconfig_path: str = option("", var="cluster_kubeconfig_path")

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        parse_request(self.kubernetes_version)
        if self.endpoint:
            network.parse_endpoint("cluster_endpoint", self.endpoint)
        if self.advertise_address:
            network.parse_address("cluster_node_address", self.advertise_address)
        if not 0 < self.bind_port < 65536:
            raise OptionError("control_plane_bind_port", "is {0}, no port".format(self.bind_port), "give 1 to 65535")
        if self.timeout < 1:
            raise OptionError(
                "control_plane_timeout", "is {0}, no time to wait".format(self.timeout), "give seconds, like 900"
            )
        self._validate_ranges()
        self._validate_names()
        for name in self.ignore_preflight_errors:
            check_preflight_name("cluster_ignore_preflight_errors", name)
        for taint in self.taints or []:
            parse_taint("control_plane_taints", taint)
        check_pass_through("cluster_kubeadm_config", self.config, PASS_THROUGH_KINDS + ("JoinConfiguration",))

    def _validate_ranges(self) -> None:
        services = network.parse_cidrs("cluster_service_cidr", self.service_cidr)
        if not self.pod_cidr:
            return
        for pods, other in network.overlapping(network.parse_cidrs("cluster_pod_cidr", self.pod_cidr), services):
            raise OptionError(
                "cluster_pod_cidr",
                "{0} overlaps with cluster_service_cidr {1}".format(pods, other),
                "give two ranges that have no address in common",
            )

    def _validate_names(self) -> None:
        for variable, name in (("cluster_dns_domain", self.dns_domain), ("control_plane_node_name", self.node_name)):
            if name and not _DNS_NAME.match(name):
                raise OptionError(
                    variable, "is {0!r}, not a DNS name in lower case".format(name), "use a-z, 0-9, dashes and dots"
                )
        if "://" in self.image_repository or self.image_repository.endswith("/"):
            raise OptionError(
                "cluster_image_repository",
                "is {0!r}, not a registry and path".format(self.image_repository),
                "give it without a scheme and a slash at the end, like registry.example.org/k8s",
            )
        if self.cri_socket and not self.cri_socket.startswith("unix:///"):
            raise OptionError(
                "control_plane_cri_socket",
                "is {0!r}, not a socket".format(self.cri_socket),
                "give unix:// and an absolute path",
            )


def check_preflight_name(option_name: str, name: str) -> None:
    """Raise :class:`OptionError` for what is not the name of one preflight check."""
    if name.strip().lower() == "all":
        raise OptionError(
            option_name, "has 'all', which would hide every problem", "name the checks, like [Swap, NumCPU]"
        )
    if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", name):
        raise OptionError(option_name, "has {0!r}, not a check's name".format(name), "give names like Swap, in a list")


# -- planning (pure)


def problems(state: KubeadmState, options: InitOptions) -> List[Problem]:
    """What stands in the way of an init here, and what of a live cluster differs from the options (warnings)."""
    if state.phase == DONE and state.role == "worker":
        text = "this host is a worker of {0}".format(state.server or "another cluster")
        fix = "initialise another host, or run 'kubeadm reset' on {0} if it shall leave".format(_here(state))
        return [Problem("control_plane.worker", text, fix)]
    if state.phase == DONE:
        return _differences(state, options)
    if state.phase == PARTIAL and not state.own_ca:
        if state.finished and state.role == "control_plane":
            text = "{0} is a control plane that is down: {1}".format(_here(state), state.reason)
            fix = "see 'journalctl -u kubelet' and 'crictl ps -a' there; nothing was changed"
            return [Problem("control_plane.api_down", text, fix)]
        text = "a kubeadm run stopped half way on {0}: {1}".format(_here(state), state.reason)
        fix = "look at it, then run 'kubeadm reset' on {0} and start again; nothing was changed".format(_here(state))
        return [Problem("control_plane.partial", text, fix)]
    version = parse(state.installed_version)
    return _version_problems(version, options) if version else []


def _here(state: KubeadmState) -> str:
    return state.node_name or "this host"


def _version_problems(installed: Version, options: InitOptions) -> List[Problem]:
    wanted = parse_request(options.kubernetes_version)
    exact_older = wanted.patch is not None and (wanted.major, wanted.minor + 1) == (installed.major, installed.minor)
    if (wanted.major, wanted.minor) == (installed.major, installed.minor) or exact_older:
        return []
    text = "cluster_kubernetes_version is {0}, but kubeadm here is {1}".format(wanted, installed)
    return [
        Problem("control_plane.version", text, "install kubeadm {0} or ask for {1}".format(wanted, installed.series))
    ]


def _differences(state: KubeadmState, options: InitOptions) -> List[Problem]:
    config = state.api.config
    if config is None:
        return []
    found = []
    for variable, wanted, live in (
        ("cluster_pod_cidr", options.pod_cidr, config.pod_cidr),
        ("cluster_service_cidr", options.service_cidr, config.service_cidr),
        ("cluster_dns_domain", options.dns_domain, config.dns_domain),
        (
            "cluster_endpoint",
            full_endpoint(options.endpoint, options.bind_port),
            full_endpoint(config.endpoint, options.bind_port),
        ),
    ):
        if wanted and wanted != live:
            text = "{0} is {1}, but the cluster was made with {2}".format(variable, wanted, live or "none")
            found.append(Problem("control_plane.differs", text, "set it so; a live cluster keeps its own", "warning"))
    return found


def full_endpoint(endpoint: str, bind_port: int = 6443) -> str:
    """An endpoint as kubeadm writes it into kubeconfigs: with the API server's port where none is named."""
    if not endpoint:
        return ""
    host, port = network.parse_endpoint("cluster_endpoint", endpoint)
    has_port = endpoint.strip().endswith(":{0}".format(port)) and not endpoint.strip().endswith("]")
    host = "[{0}]".format(host) if ":" in host else host
    return "{0}:{1}".format(host, port if has_port else bind_port)


def target_version(installed_version: str, requested: str) -> str:
    """The exact version that is made: the one asked for, or kubeadm's own where only a minor is; '' when not known."""
    request = parse_request(requested)
    if request.patch is not None:
        return str(request)
    installed = parse(installed_version)
    return str(installed) if installed and request.accepts(installed) else ""


def plan(state: KubeadmState, options: InitOptions) -> List[Step]:
    """One step ``init``, or none where the control plane is done (or where :func:`problems` has errors)."""
    if state.phase == DONE or [one for one in problems(state, options) if one.level == "error"]:
        return []
    version = target_version(state.installed_version, options.kubernetes_version)
    api = state.config_api or _requested_api(options.kubernetes_version)
    rendered = documents(options, api, version)
    reason = "no cluster here; version {0}, pods {1}, services {2}".format(
        version or options.kubernetes_version, options.pod_cidr or "unset", options.service_cidr
    )
    if state.own_ca:
        reason = "{0}; with the CA that is in /etc/kubernetes/pki".format(reason)
    data = {
        "api": api,
        "documents": rendered,
        "skip_phases": list(options.skip_phases),
        "timeout": options.timeout,
    }
    target = options.node_name or state.node_name or "control plane"
    return [Step(AREA, "init", target, reason, after=render_documents(rendered), data=data)]


def _requested_api(requested: str) -> str:
    request = parse_request(requested)
    return config_api(Version(request.major, request.minor, request.patch or 0))


def documents(options: InitOptions, api: str, version: str) -> List[Dict[str, Any]]:
    """The configuration of an init as documents, without a token. ``version`` is exact, or empty when not known yet.

    Raises :class:`OptionError` for a passed-through field that the API lacks.
    """
    extra_args = dict(options.kubelet_extra_args)
    if options.advertise_address:
        # Otherwise the kubelet takes the address of the default route, whatever the API server advertises.
        extra_args.setdefault("node-ip", options.advertise_address)
    taints = None if options.taints is None else [parse_taint("control_plane_taints", one) for one in options.taints]
    registration = node_registration(
        api, options.node_name, extra_args, taints, options.ignore_preflight_errors, options.cri_socket
    )
    if api == "v1beta4":
        registration["imagePullSerial"] = False
    local: Dict[str, Any] = {"bindPort": options.bind_port}
    if options.advertise_address:
        local["advertiseAddress"] = options.advertise_address
    init: Dict[str, Any] = {"nodeRegistration": registration, "localAPIEndpoint": local}
    if options.skip_phases and api != "v1beta2":
        init["skipPhases"] = list(options.skip_phases)
    networking = {"serviceSubnet": options.service_cidr, "dnsDomain": options.dns_domain}
    if options.pod_cidr:
        networking["podSubnet"] = options.pod_cidr
    cluster: Dict[str, Any] = {"networking": networking}
    for key, value in (
        ("kubernetesVersion", "v{0}".format(version) if version else ""),
        ("controlPlaneEndpoint", options.endpoint),
        ("imageRepository", options.image_repository),
        ("featureGates", dict(options.feature_gates)),
        ("apiServer", {"certSANs": list(options.cert_sans)} if options.cert_sans else {}),
    ):
        if value:
            cluster[key] = value
    whole = [document(api, "InitConfiguration", init), document(api, "ClusterConfiguration", cluster)]
    kubelet = dict(options.kubelet_config)
    if api == "v1beta2":
        # Before 1.22 kubeadm left the kubelet at cgroupfs; containerd is configured for systemd's cgroups.
        kubelet.setdefault("cgroupDriver", "systemd")
    if kubelet:
        whole.append(document(api, "KubeletConfiguration", kubelet))
    if options.kube_proxy_config:
        whole.append(document(api, "KubeProxyConfiguration", options.kube_proxy_config))
    passed = {kind: fields for kind, fields in options.config.items() if kind in PASS_THROUGH_KINDS}
    return merge_pass_through("cluster_kubeadm_config", api, whole, passed)


# -- looking


def check_with_kubeadm(step: Step, system: System) -> None:
    """Let kubeadm itself read the configuration of a step, where it can (1.26 and newer); nothing is changed.

    Raises :class:`KubesteadError` for fields it does not know and values it does not take.
    """
    rendered = render_documents(step.data["documents"])
    result = system.run(["kubeadm", "config", "validate", "--config", "/dev/stdin"], stdin=rendered, timeout=30.0)
    errors = [line for line in scrub(result.stderr).splitlines() if line.startswith("error:")]
    if result.ok or not errors or "unknown command" in errors[0]:
        return
    said = re.sub(r"^error: (error unmarshaling configuration schema\.GroupVersionKind)?", "", errors[0])
    said = re.sub(r'^\{Group:"[^"]*", Version:"([^"]*)", Kind:"([^"]*)"\}', r"\2 (\1)", said)
    fix = "mend cluster_kubeadm_config, cluster_kubelet_config or whatever set it; nothing was changed"
    raise KubesteadError("kubeadm refuses the configuration: {0}; {1}".format(said, fix))


# -- applying


@dataclass(frozen=True)
class InitRun:
    """What a run of kubeadm did: the phases it went through and its output without secrets."""

    phases: List[str] = field(default_factory=list)
    output: List[str] = field(default_factory=list)


def apply(step: Step, system: System) -> None:
    """Carry out a step of :func:`plan`. Raises :class:`KubesteadError` with the cause when kubeadm fails."""
    initialise(step, system)


def initialise(step: Step, system: System) -> InitRun:
    """Run ``kubeadm init`` from a 0600 file that is deleted at once after it, and delete the token it had to make."""
    data = step.data
    token_id, token = void_token()
    init = dict(data["documents"][0], bootstrapTokens=[token])
    argv = ["kubeadm", "init", "--skip-token-print"]
    if data["skip_phases"] and data["api"] == "v1beta2":
        argv.append("--skip-phases={0}".format(",".join(data["skip_phases"])))
    began = time.time()
    folder = private_folder(system)
    try:
        path = os.path.join(folder, "init.json")
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(render_documents([init] + list(data["documents"][1:])))
        result = system.run(argv + ["--config", path], timeout=float(data["timeout"]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    phases = phases_of(result.stdout)
    if "bootstrap-token" in phases:
        secret = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-{0}".format(token_id)
        # The controller manager deletes expired tokens as well, so it is no failure when this one is gone.
        Kubectl(system).run(["delete", "--raw", secret], timeout=30.0)
    if not result.ok:
        raise failure("init", result, system, int(data["timeout"]), began)
    return InitRun(phases=phases, output=scrub(result.stdout).splitlines())


def private_folder(system: System) -> str:
    """A new folder that only root can enter, in memory where there is such a place."""
    parent = system.path("/run")
    return tempfile.mkdtemp(prefix="kubestead.", dir=parent if os.path.isdir(parent) else None)


def void_token() -> Tuple[str, Dict[str, Any]]:
    """The id of a new bootstrap token that nobody can use, and its entry in an InitConfiguration."""
    alphabet = string.ascii_lowercase + string.digits
    token_id, secret = ("".join(secrets.choice(alphabet) for _i in range(length)) for length in (6, 16))
    return token_id, dict(_VOID, token="{0}.{1}".format(token_id, secret))


def phases_of(output: str) -> List[str]:
    """The phases of init or join that kubeadm's output names (``[certs] …``), in the order they began."""
    phases: List[str] = []
    for tag, text in re.findall(r"^\[([a-z][a-z-]*)\] (.*)", output, re.MULTILINE):
        name = {"addons": "addon"}.get(tag, tag)
        if name in _PHASES and name not in phases and not text.startswith("Skipping phase"):
            phases.append(name)
    return phases


def scrub(text: str) -> str:
    """kubeadm's output without tokens and certificate keys (CA hashes are public and stay)."""
    return _CERTIFICATE_KEY.sub("<hidden>", _TOKEN.sub("<hidden>", text))


# -- failures


def failure(command: str, result: Result, system: System, timeout: int, began: float) -> KubesteadError:
    """The exception for a run of ``kubeadm <command>`` that failed: its phase and cause in one line.

    ``timeout`` is the seconds it had, ``began`` the time of day it began (seconds since 1970).

    ``details`` have ``phase``, ``causes``, ``stdout_lines``, ``stderr_lines``; beyond kubeadm's preflight also the last
    errors in the journals (``kubelet_log``, ``containerd_log``) and of containers that did not come up.
    """
    stdout, stderr = scrub(result.stdout), scrub(result.stderr)
    phase = failed_phase(stdout, stderr)
    causes = causes_of(stdout, stderr)
    details: Dict[str, Any] = {
        "phase": phase,
        "causes": causes,
        "rc": result.rc,
        "stdout_lines": stdout.splitlines(),
        "stderr_lines": stderr.splitlines(),
    }
    if result.rc == 127:
        return KubesteadError("kubeadm is not installed; use the role kube_packages first", details)
    if result.rc == 124:
        causes = ["it did not end within {0} seconds".format(timeout)] + causes
    if result.rc < 0:
        causes = ["it was killed by signal {0}".format(-result.rc)] + causes
    hint = "see its output in stdout_lines and stderr_lines"
    if phase == "preflight":
        hint = "mend it, or name the check in cluster_ignore_preflight_errors if you know better"
    elif phase:
        details["kubelet_log"] = journal(system, "kubelet", began)
        details["containerd_log"] = journal(system, "containerd", began)
        # Before 1.31 kubeadm does not say which component it waited for in vain.
        suspects = unhealthy_components(stdout) or (list(COMPONENTS) if phase == "wait-control-plane" else [])
        details["container_logs"] = {component: container_log(system, component) for component in suspects}
        causes = causes + _blamed(details)
    where = " in phase {0}".format(phase) if phase else ""
    said = "; ".join(shortened(cause) for cause in causes) or "code {0}".format(result.rc)
    return KubesteadError("kubeadm {0} failed{1}: {2}; {3}".format(command, where, said, hint), details)


def _blamed(details: Mapping[str, Any]) -> List[str]:
    """The best hint at the cause behind a control plane that does not come up."""
    for component, lines in details["container_logs"].items():
        if lines:
            return ["{0} says: {1}".format(component, lines[-1])]
    return ["the kubelet says: {0}".format(line) for line in details["kubelet_log"][-1:]]


def shortened(text: str, width: int = 360) -> str:
    """A cause short enough for one line: of several images that can't be pulled, the first."""
    images = text.split(", failed to pull image ")
    if text.startswith("[ERROR ImagePull]") and len(images) > 1:
        first = re.sub(r"\[(failed to pull image [^ ]+): .*: (.+)$", r"\1: \2", images[0])
        return "{0} (and {1} more images)".format(first, len(images) - 1)
    return text if len(text) <= width else text[: width - 1] + "…"


def failed_phase(stdout: str, stderr: str) -> str:
    """The phase kubeadm says it failed in, else the last that it began; empty when it began none."""
    match = re.search(r"error execution phase ([a-z][a-z0-9/-]*)", stderr)
    if match:
        return match.group(1)
    phases = phases_of(stdout)
    return phases[-1] if phases else ""


def causes_of(stdout: str, stderr: str) -> List[str]:
    """The lines that say why: failed checks (``[ERROR Port-6443]: …``), else kubeadm's error without its prefixes."""
    lines = [line.strip() for line in (stdout + "\n" + stderr).splitlines()]
    checks = [line for line in lines if line.startswith("[ERROR ")]
    if checks:
        return checks
    for index, line in enumerate(lines):
        match = re.match(r"(?:error: )?error execution phase [a-z0-9/-]+: (.*)", line)
        if match:
            said = [match.group(1)] + _continued(lines[index + 1 :])
            return [" ".join(one for one in said if one)]
    return [line[len("error:") :].strip() for line in lines if line.startswith("error:")][-1:]


def _continued(lines: Sequence[str]) -> List[str]:
    """The lines of an error that goes on over several."""
    more: List[str] = []
    for line in lines:
        if not line or line.startswith("To see the stack trace"):
            break
        more.append(line)
    return more


def journal(system: System, unit: str, since: float, count: int = 5) -> List[str]:
    """The last lines of a unit's journal that tell of an error, the oldest first; at most ``count``, no repetitions.

    What a kubelet says merely because there is no API yet is left out. ``since`` is in seconds since 1970.
    """
    argv = ["journalctl", "-u", unit, "--since", "@{0:.0f}".format(since), "-n", "500", "--no-pager", "-o", "cat"]
    result = system.run(argv, timeout=20.0)
    return _errors(result.stdout.splitlines() if result.ok else [], count)


def container_log(system: System, component: str, count: int = 5) -> List[str]:
    """The last errors in the log of a component's container, from the files that the kubelet keeps."""
    files = [
        "/var/log/pods/{0}/{1}/{2}".format(pod, component, name)
        for pod in system.names("/var/log/pods")
        if pod.startswith("kube-system_{0}-".format(component))
        for name in system.names("/var/log/pods/{0}/{1}".format(pod, component))
    ]
    newest = sorted(files, key=lambda path: os.path.getmtime(system.path(path)))[-1:]
    lines = [
        line.split(" ", 3)[3]
        for path in newest
        for line in (system.read(path) or "").splitlines()
        if line.count(" ") > 2
    ]
    return _errors(lines, count)


def unhealthy_components(output: str) -> List[str]:
    """The components that kubeadm waited for in vain."""
    return re.findall(r"^\[control-plane-check\] (\S+) is not healthy", output, re.MULTILINE)


# What follows from an API server that is not up, whatever the cause.
_CONSEQUENCES = ("connection refused", "not found", "Startup probe already exists", "mirror pod", "deadline exceeded")


def _errors(lines: Sequence[str], count: int) -> List[str]:
    found: List[str] = []
    for line in lines:
        text = error_text(scrub(line))
        if text and not any(one in text for one in _CONSEQUENCES):
            if text in found:
                found.remove(text)
            found.append(text)
    return found[-count:]


def error_text(line: str) -> str:
    """What a line of a log in the form of klog or logfmt, or of plain text, says of an error; else ''."""
    klog = re.match(r"^([EF])\d{4} [\d:.]+\s+\d+ ([^\]]+\] .*)$", line)
    if klog:
        return klog.group(2)
    if "level=error" in line or "level=fatal" in line:
        return re.sub(r'^time="[^"]*" ', "", line)
    if re.match(r"^(Error|error|panic|Failed): ?", line) or "command failed" in line:
        return line.strip()
    return ""


# -- what the module returns


def described(state: KubeadmState, options: InitOptions) -> Dict[str, Any]:
    """What the module returns of a control plane, live or (in a dry run) as planned."""
    config = state.api.config
    server = re.sub(r"^https?://", "", state.server)
    planned = full_endpoint(options.endpoint or options.advertise_address, options.bind_port)
    live_version = config.kubernetes_version if config else state.api.server_version
    return {
        "kubernetes_version": live_version or target_version(state.installed_version, options.kubernetes_version),
        "endpoint": (config.endpoint if config else "") or server or planned,
        "ca_cert_hash": state.ca_cert_hash,
        "node_name": state.node_name if state.phase == DONE else options.node_name or state.node_name,
        "phase": state.phase,
    }


def first_error(found: Sequence[Problem]) -> Optional[KubesteadError]:
    """The first problem that forbids a run, as an exception."""
    for problem in found:
        if problem.level == "error":
            return KubesteadError(problem.line, {"check": problem.check})
    return None


def warnings_of(found: Sequence[Problem]) -> List[str]:
    """The problems that are worth a warning."""
    return [problem.line for problem in found if problem.level == "warning"]


def options_from_module(params: Mapping[str, Any]) -> InitOptions:
    """The options from a module's parameters, checked. Raises :class:`OptionError`."""
    names = InitOptions.__dataclass_fields__
    given = {name: value for name, value in params.items() if name in names and value is not None}
    given["feature_gates"] = {
        name: str(value).lower() in ("true", "yes", "on", "1") for name, value in given.get("feature_gates", {}).items()
    }
    options = InitOptions(endpoint=params.get("control_plane_endpoint") or "", **given)
    options.validate()
    return options
