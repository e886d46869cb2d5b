# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins a node: ``kubeadm join`` with a configuration file that contains the secrets."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Sequence

from ..api_endpoint import proxy as api_endpoint
from ..core import x509
from ..core.constants import BOOTSTRAP_KUBECONFIG, KUBELET_KUBECONFIG
from ..core.errors import KubesteadError, OptionError
from ..core.problem import Problem
from ..core.redact import redact, redact_data
from ..core.secret_files import private_file
from ..core.step import Step
from ..core.system import System
from ..kube import kubelet
from ..kube.kubectl import NODES, Kubectl
from . import diagnosis
from . import operation as operations
from . import reset as cleanup
from .config import document, merge_pass_through, render_documents
from .culprits import Journals
from .join_command import JoinCommand, well_formed
from .node_options import NodeOptions
from .operation import JOIN, Operation
from .state import DONE, NONE, KubeadmState

COMPONENT = "join"

ETCD_MANIFEST = "/etc/kubernetes/manifests/etcd.yaml"


@dataclass(frozen=True)
class JoinOptions(NodeOptions):
    """How a node joins, apart from the cluster's own data (a :class:`~.join_command.JoinCommand`).

    ``timeout`` is in seconds and covers kubeadm's complete run. The lifetime of the token is not among them, because
    the control plane that creates it decides it.
    """

    skip_phases: List[str] = field(default_factory=list)
    timeout: int = 600

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        super().validate()
        if self.timeout < 1:
            raise OptionError(
                "join_timeout", "is {0}, but must be at least 1 second".format(self.timeout), "use seconds, like 600"
            )


def checked_command(command: JoinCommand, state: KubeadmState, required: bool = True) -> JoinCommand:
    """The command, with all given parts checked. With ``required``, the parts that a join needs must be set.

    A node that has joined does not need any. Raises :class:`KubesteadError` with the name of the option.
    """
    command = well_formed(command)
    endpoint, hashes = command.endpoint, command.ca_cert_hashes
    pinned = x509.pinned_certificates(command.ca_certificate, hashes)
    if command.ca_certificate and not pinned:
        raise OptionError(
            "ca_certificate",
            "is not a PEM certificate whose hash is in ca_cert_hashes, or contains other certificates",
            "use both as kubeadm_join_token returns them",
        )
    if required and state.phase != DONE:
        for name, given in (("endpoint", endpoint), ("token", command.token), ("ca_cert_hashes", ",".join(hashes))):
            if not given:
                raise OptionError(name, "is not set", "use it as kubeadm_join_token returns it")
        if command.control_plane and not command.certificate_key and not state.own_ca:
            raise OptionError(
                "certificate_key",
                "is not set, but a control plane requires the cluster's certificates",
                "create the token with kubeadm_join_token and control_plane: true",
            )
    return replace(command, ca_certificate=pinned)


# -- planning (pure)


def problems(state: KubeadmState, options: JoinOptions, command: Optional[JoinCommand] = None) -> List[Problem]:
    """The problems that prevent a join of this host. ``command`` names the cluster; None if it is not known yet."""
    unknown = operations.problems(state.operation)
    if unknown:
        return unknown
    there = state
    name = there.node_name or "this node"
    hashes = list(command.ca_cert_hashes) if command else []
    foreign = bool(hashes and there.ca_cert_hash and there.ca_cert_hash not in hashes)
    reset = "run reset.yml for {0} to remove it from that cluster first".format(name)
    if there.phase == DONE and foreign:
        text = "{0} is a node of another cluster ({1}): the CA is {2}, not {3}".format(
            name, there.server or "unknown endpoint", _short(there.ca_cert_hash), " or ".join(map(_short, hashes))
        )
        return [Problem("join.foreign_node", text, reset)]
    if there.phase == DONE and command and command.control_plane and there.role == "worker":
        text = "{0} is a worker, but the inventory lists it as a control plane".format(name)
        return [Problem("join.is_worker", text, "run reset.yml for {0}, then run again to join it".format(name))]
    if there.phase in (DONE, NONE) or leftovers_reason(state, command):
        return []
    if foreign:
        text = "{0} has the CA of another cluster ({1}): {2}".format(name, _short(there.ca_cert_hash), there.reason)
        return [Problem("join.foreign_ca", text, reset)]
    if there.own_ca and command and command.control_plane:
        return []
    if there.finished:
        text = "{0} joined earlier, but its configuration is incomplete: {1}".format(name, there.reason)
        return [Problem("join.broken", text, "see 'journalctl -u kubelet' on it; nothing was changed")]
    text = "{0} has leftovers of a cluster that was not created by this collection: {1}".format(name, there.reason)
    fix = "check the host, then run reset.yml for {0} and run again; nothing was changed".format(name)
    return [Problem("join.partial", text, fix)]


def leftovers_reason(state: KubeadmState, command: Optional[JoinCommand] = None) -> str:
    """The reason why the leftovers on the node may be removed; empty without leftovers, or if they must be kept.

    They may be removed if an init, or a join to this cluster, of this collection was interrupted (its marker exists).
    They may also be removed if they are only those of a worker's failed join to this cluster: the CA certificate and a
    bootstrap kubeconfig. An init whose control plane answers, or once was complete, is not removed for a join.
    """
    if state.phase in (DONE, NONE) or (state.finished and not state.operation):
        return ""
    hashes = list(command.ca_cert_hashes) if command else []
    init = state.unfinished_init
    if init:
        own = set(state.pki) <= set(init.preexisting_pki) or state.finished or state.api.live
        return (
            "" if own else "the init started at {0} was interrupted after phase {1}".format(init.began, state.reached)
        )
    if state.ca_cert_hash and hashes and state.ca_cert_hash not in hashes:
        return ""
    begun = state.unfinished_join
    if begun and state.reached == "mark-control-plane":
        # This is the last phase. The host is a member of the cluster, but it is not healthy now.
        return ""
    if begun and (not hashes or set(hashes) & set(begun.ca_cert_hashes)):
        return "the join started at {0} was interrupted: {1}".format(begun.began, state.reason)
    only_a_worker = state.role == "worker" and not state.kubelet_conf and set(state.pki) <= {"ca.crt"}
    if only_a_worker and state.ca_cert_hash in hashes:
        return "an earlier join to this cluster failed: {0}".format(state.reason)
    return ""


def join_left_marker(state: KubeadmState) -> bool:
    """True on a node whose join succeeded, but was interrupted before its marker was removed."""
    return state.phase == DONE and state.unfinished_join is not None


def plan(state: KubeadmState, options: JoinOptions, command: Optional[JoinCommand] = None) -> List[Step]:
    """The steps: the removal of leftovers of a failed join, then the join. Empty if the node has joined.

    Raises :class:`KubesteadError` with the first of :func:`problems`.
    """
    for problem in problems(state, options, command):
        raise KubesteadError(problem.line, {"check": problem.check})
    target = options.node_name or state.node_name or "node"
    if join_left_marker(state) and state.unfinished_join:
        reason = "the join started at {0} has finished".format(state.unfinished_join.began)
        return [Step(COMPONENT, "finish", target, reason)]
    if state.phase == DONE:
        return []
    steps = []
    preexisting_pki = list(state.pki) if state.own_ca else []
    if state.operation:
        preexisting_pki = list(state.operation.preexisting_pki)
    reason = leftovers_reason(state, command)
    if reason:
        complete = state.role != "worker" or state.kubelet_conf
        undo = {
            "reset": complete,
            # The etcd of an init that never became a cluster has no other member.
            "leave": state.unfinished_init is None,
            "cri_socket": options.cri_socket,
            "preexisting_pki": preexisting_pki,
            "node_name": target,
        }
        steps.append(Step(COMPONENT, "clean", target, reason, data=undo))
    as_what = "control plane" if command and command.control_plane else "worker"
    where = " of {0}".format(command.endpoint) if command and command.endpoint else ""
    public = configuration(options, state.config_api or "v1beta4", command, secrets=False)
    steps.append(
        Step(
            COMPONENT,
            "join",
            target,
            "no kubelet.conf; joins as a {0}{1}".format(as_what, where),
            after=render_documents(public),
            data={"options": options, "command": command, "api": state.config_api, "preexisting_pki": preexisting_pki},
        )
    )
    return steps


def configuration(
    options: JoinOptions,
    api: str,
    command: Optional[JoinCommand],
    secrets: bool = True,
    discovery: str = "discovery.conf",
) -> List[Dict[str, Any]]:
    """The JoinConfiguration as documents, without token and certificate key if ``secrets`` is false.

    If the certificate of the CA is known, kubeadm finds the cluster with the file ``discovery``
    (:func:`discovery_kubeconfig`) and need not wait until the cluster has signed anything with the token.

    Raises :class:`OptionError` for a passed-through field that the API lacks.
    """
    fields: Dict[str, Any] = {"nodeRegistration": options.registration(api)}
    if command and command.ca_certificate:
        fields["discovery"] = {"file": {"kubeConfigPath": discovery}}
        if secrets:
            fields["discovery"]["tlsBootstrapToken"] = command.token
    elif command:
        bootstrap: Dict[str, Any] = {
            "apiServerEndpoint": command.endpoint,
            "caCertHashes": list(command.ca_cert_hashes),
        }
        if secrets:
            bootstrap["token"] = command.token
        fields["discovery"] = {"bootstrapToken": bootstrap}
    if command and command.control_plane:
        fields["controlPlane"] = {"localAPIEndpoint": options.local_endpoint()}
        if secrets and command.certificate_key:
            fields["controlPlane"]["certificateKey"] = command.certificate_key
    if options.skip_phases and api != "v1beta2":
        fields["skipPhases"] = list(options.skip_phases)
    passed = {kind: value for kind, value in options.config.items() if kind == "JoinConfiguration"}
    documents = [document(api, "JoinConfiguration", fields)]
    return merge_pass_through("cluster_kubeadm_config", api, documents, passed)


def discovery_kubeconfig(command: JoinCommand) -> str:
    """The kubeconfig with the API server and the CA of the cluster for kubeadm. It contains no secret."""
    cluster = {
        "server": "https://{0}".format(command.endpoint),
        "certificate-authority-data": base64.b64encode(command.ca_certificate.encode("ascii")).decode("ascii"),
    }
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "", "cluster": cluster}],
        "contexts": [],
        "users": [],
        "current-context": "",
    }
    return json.dumps(kubeconfig, indent=2) + "\n"


def _short(ca_hash: str) -> str:
    return ca_hash[:19] + "..." if len(ca_hash) > 19 else ca_hash


# -- applying


def apply(step: Step, system: System) -> None:
    """Apply a step of :func:`plan`. Raises :class:`KubesteadError` with phase and cause if kubeadm fails."""
    data = step.data
    if step.action == "finish":
        finish(system)
    elif step.action == "clean" and data["reset"]:
        if data["leave"]:
            cleanup.leave_cluster(system, str(data["node_name"]))
        cleanup.reset(system, str(data["cri_socket"]), data["preexisting_pki"])
    elif step.action == "clean":
        cleanup.remove_bootstrap(system)
    elif step.action == "join":
        join(system, data["options"], data["command"], str(data["api"]), data["preexisting_pki"])
    if step.action in ("finish", "join"):
        api_endpoint.after_join(system)


def finish(system: System) -> None:
    """Finish a join: wait for the Node, and restart the kubelet if there is no Node yet.

    A kubelet registers its Node only when it starts, so it must be restarted if the Node was deleted since. Raises
    :class:`KubesteadError` if there is no Node after 90 seconds.
    """
    began = time.time()
    if not _registered(system):
        system.run(["systemctl", "restart", "kubelet"], timeout=60.0)
        _wait_for_node(system, began)
    operations.end(system)


def _registered(system: System) -> bool:
    """True if the kubelet's Node is in the API, or if kubectl is not installed."""
    client = Kubectl(system, kubeconfig=KUBELET_KUBECONFIG, request_timeout=5)
    name = kubelet.node_name(system, system.read(KUBELET_KUBECONFIG))
    return client.raw("{0}/{1}".format(NODES, name))[0].rc in (0, 127)


def _wait_for_node(system: System, began: float) -> None:
    """Wait until the kubelet has registered its Node. Not every version of kubeadm waits for it.

    A failure contains the logs since ``began``. Raises :class:`KubesteadError` with the cause after 90 seconds.
    """
    deadline = time.monotonic() + 90.0
    while not _registered(system):
        if time.monotonic() > deadline:
            journals = Journals(system, began)
            details = diagnosis.logs(journals)
            causes = diagnosis.named(journals) + diagnosis.diagnose(system, details)
            known = "; ".join(causes) or "see 'journalctl -u kubelet' on it"
            raise KubesteadError(
                "the kubelet has joined, but its Node does not appear in the API: {0}".format(known), details
            )
        time.sleep(0.3)


def join(
    system: System, options: JoinOptions, command: JoinCommand, api: str, preexisting_pki: Sequence[str] = ()
) -> None:
    """Run ``kubeadm join`` with a 0600 file that is then deleted; ``api`` is the version that this kubeadm reads.

    A marker identifies the join while it runs; ``preexisting_pki`` existed in /etc/kubernetes/pki before. If the join
    fails, the bootstrap kubeconfig is removed, because it contains the token, and a control plane leaves etcd again.
    Raises :class:`KubesteadError` with the phase and the cause; its details have the kubelet's last lines.
    """
    if not api:
        raise KubesteadError("kubeadm is not installed; use the role kube_packages first")
    argv = ["kubeadm", "join"]
    if options.skip_phases and api == "v1beta2":
        argv.append("--skip-phases={0}".format(",".join(options.skip_phases)))
    began = time.time()
    operations.begin(
        system,
        Operation(
            JOIN,
            began=operations.now(),
            control_plane=command.control_plane,
            endpoint=command.endpoint,
            ca_cert_hashes=list(command.ca_cert_hashes),
            preexisting_pki=list(preexisting_pki),
        ),
    )
    try:
        with private_file(system, discovery_kubeconfig(command), "discovery.conf") as discovery, private_file(
            system, render_documents(configuration(options, api, command, discovery=discovery))
        ) as path:
            result = system.run(argv + ["--config", path], timeout=float(options.timeout))
        if not result.ok:
            failed = _without(
                diagnosis.failure("join", result, system, options.timeout, began),
                command.token,
                command.certificate_key,
            )
            raise _left_etcd(system, options, preexisting_pki, failed) if command.control_plane else failed
        _wait_for_kubelet_conf(system)
        _wait_for_node(system, began)
    finally:
        system.remove(BOOTSTRAP_KUBECONFIG)
    operations.end(system)


def _left_etcd(
    system: System, options: JoinOptions, preexisting_pki: Sequence[str], failed: KubesteadError
) -> KubesteadError:
    """The same failure. If the host may be a member of etcd, the join of this control plane is first undone.

    A member that never starts counts for etcd's majority: if one of two is missing, the cluster stops.
    """
    if system.exists(ETCD_MANIFEST):
        try:
            cleanup.leave_cluster(system, options.node_name)
            cleanup.reset(system, options.cri_socket, preexisting_pki)
        except KubesteadError as err:
            text = "{0}; the host may still be a member of the cluster's etcd: {1}".format(failed.message, err.message)
            return KubesteadError(text, failed.details)
    return failed


def _wait_for_kubelet_conf(system: System) -> None:
    """Wait for the kubelet's certificate. kubeadm does so itself, unless phases are skipped."""
    for _attempt in range(60):
        if kubelet.kubelet_kubeconfig(system) is not None:
            return
        time.sleep(0.5)
    raise KubesteadError(
        "kubeadm join succeeded, but the kubelet does not have {0} after 30 seconds; see 'journalctl -u kubelet' and "
        "join_skip_phases".format(KUBELET_KUBECONFIG)
    )


def _without(error: KubesteadError, *secrets: str) -> KubesteadError:
    """The same error, without secrets in its message and details."""
    return KubesteadError(redact(error.message, *secrets), redact_data(error.details, *secrets))
