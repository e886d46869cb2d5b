# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives a running cluster an endpoint: the part of one node, in the order in which the planner calls the parts.

First every API server gets a certificate with the name (``certificate``). Then the ConfigMaps name the endpoint
(``cluster``), and finally the kubeconfigs of each node (``node``). The old address stays valid throughout, so each part
can be interrupted and repeated. Nothing here remembers what is done: each part compares the machine with the endpoint.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..core import foreign_files, untrusted
from ..core.addresses import host_port, parse_endpoint
from ..core.constants import ADMIN_KUBECONFIG, KUBELET_KUBECONFIG
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.step import Step
from ..core.system import System
from ..kube import kubeconfig, kubelet
from ..kube.api import Api, failure, is_ok, kubeconfig_server
from ..kube.kubeconfig import KubeconfigState
from ..kube.kubectl import KUBEADM_CONFIG, Kubectl
from ..kube.objects import Object
from ..kube.rollout_wait import RolloutWait
from . import addons, cluster_info, endpoint_facts, endpoint_text, kubelet_start, serving_certificate
from . import state as kubeadm
from .endpoint_facts import KUBE_PROXY, KUBELET_PENDING, RESTART, EndpointFacts, data_of, pending_restart
from .operation import now
from .serving_certificate import CERTIFICATE, STAGING
from .state import KubeadmState

COMPONENT = "endpoint"
#: The parts, in their order. ``repair`` comes before any observation.
REPAIR, CERTIFICATE_PART, CLUSTER, NODE = "repair", "certificate", "cluster", "node"
PARTS = (REPAIR, CERTIFICATE_PART, CLUSTER, NODE)

FOLDER = "/var/lib/kubestead/endpoint"
_LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{0}"
# Seconds for a proxy that has just started to find the API servers, and for a kubelet to report.
_REACHED = 30.0
_REPORTS = 120.0
# Seconds for all kube-proxies, and for each of them in a large cluster: they are replaced one after the other.
_ROLLED_OUT = 600.0
_REPLACED = 10.0


@dataclass(frozen=True)
class MoveOptions:
    """The endpoint as ``host:port``, and whose kubeconfig follows that of the admin on a control plane.

    ``names`` are names of the previous endpoint that certificates of later control planes must have too. ``user`` is
    the user of ``~/.kube/config``; without ``install``, that file stays as it is. ``address`` is the virtual IP address
    in its canonical form, which all certificates must have; empty without one.
    """

    endpoint: str
    names: Sequence[str] = ()
    user: str = ""
    install: bool = True
    address: str = ""

    @property
    def server(self) -> str:
        """The URL in kubeconfigs. Raises :class:`OptionError`."""
        return "https://{0}".format(host_port(*parse_endpoint("endpoint", self.endpoint)))


@dataclass(frozen=True)
class MoveState:
    """A machine: its kubeadm, what names the endpoint, the user's kubeconfig, and the cluster's ConfigMaps."""

    kubeadm: KubeadmState = KubeadmState()
    facts: EndpointFacts = EndpointFacts()
    user: KubeconfigState = KubeconfigState()
    config_maps: Mapping[str, Any] = field(default_factory=dict, repr=False)


# -- Observation


def observe(system: System, options: MoveOptions, part: str) -> MoveState:
    """Observe what a part needs. Raises :class:`KubesteadError` if the ConfigMaps can't be read."""
    there = kubeadm.observe(system)
    found: Dict[str, Any] = {}
    if part in (CERTIFICATE_PART, CLUSTER):
        paths = (KUBEADM_CONFIG, cluster_info.PATH, KUBE_PROXY)
        found = dict(zip(paths, Kubectl(system, server=there.local_api.url).objects(*paths)))
    return MoveState(
        there,
        endpoint_facts.observe(system, there),
        kubeconfig.observe(system, options.user) if part == NODE else KubeconfigState(),
        found,
    )


# -- Planning


def plan(state: MoveState, options: MoveOptions, part: str) -> List[Step]:
    """The steps of one part; empty if it is done. Raises :class:`KubesteadError` for a machine without that part."""
    if part != NODE and state.kubeadm.role != "control_plane":
        raise KubesteadError("this host is not a control plane; nothing was changed")
    planners = {CERTIFICATE_PART: _certificate, CLUSTER: _cluster, NODE: _node}
    return planners[part](state, options)


def _certificate(state: MoveState, options: MoveOptions) -> List[Step]:
    facts, steps = state.facts, []
    missing = missing_names(facts, options)
    if missing:
        before = "".join(one + "\n" for one in sorted(facts.names))
        after = "".join(one + "\n" for one in sorted([*facts.names, *missing]))
        text = data_of(state.config_maps.get(KUBEADM_CONFIG), "ClusterConfiguration")
        reason = "it does not have the name {0}".format(" and ".join(missing))
        steps.append(Step(COMPONENT, "renew", CERTIFICATE, reason, before, after, {"text": text, "state": state}))
    else:
        if not facts.served:
            steps.append(
                Step(COMPONENT, "wait_for", CERTIFICATE, "the API server must present it", data={"state": state})
            )
        if facts.staged:
            steps.append(Step(COMPONENT, "remove", STAGING, "left by an interrupted run"))
    return steps


def missing_names(facts: EndpointFacts, options: MoveOptions) -> List[str]:
    """The names that the certificate of the API server must get: that of the endpoint, and the virtual IP address."""
    missing = []
    if not serving_certificate.has_name(facts.names, options.endpoint):
        missing.append(parse_endpoint("endpoint", options.endpoint)[0])
    if options.address and options.address not in facts.names:
        missing.append(options.address)
    return missing


def _cluster(state: MoveState, options: MoveOptions) -> List[Step]:
    steps = []
    stored, public, proxy = (state.config_maps.get(path) for path in (KUBEADM_CONFIG, cluster_info.PATH, KUBE_PROXY))
    text = data_of(stored, "ClusterConfiguration")
    names = [*options.names, *([options.address] if options.address else [])]
    wanted = endpoint_text.with_endpoint(text, options.endpoint, names)
    if wanted is None:
        raise KubesteadError(
            "the ConfigMap kube-system/kubeadm-config can't be changed line by line; run endpoint.yml again"
        )
    if wanted != text:
        lacks_address = endpoint_text.with_endpoint(text, options.endpoint) == text
        reason = "its certSANs do not have {0}".format(options.address) if options.address and lacks_address else ""
        steps.append(
            _config_map("kubeadm-config", "kube-system", stored, "ClusterConfiguration", text, wanted, options, reason)
        )
    text = data_of(public, "kubeconfig")
    wanted = endpoint_text.with_server(text, options.server)
    if wanted != text:
        steps.append(_config_map("cluster-info", "kube-public", public, "kubeconfig", text, wanted, options))
    text = data_of(proxy, "kubeconfig.conf")
    wanted = endpoint_text.with_server(text, options.server)
    if wanted != text:
        steps.append(_config_map("kube-proxy", "kube-system", proxy, "kubeconfig.conf", text, wanted, options))
    if wanted != text or pending_restart(proxy):
        reason = "its pods read the ConfigMap when they start"
        steps.append(Step(COMPONENT, "restart", "DaemonSet kube-system/kube-proxy", reason))
    return steps


def _config_map(
    name: str, namespace: str, found: Any, key: str, before: str, after: str, options: MoveOptions, reason: str = ""
) -> Step:
    metadata: Dict[str, Any] = {
        "resourceVersion": untrusted.mapping(untrusted.mapping(found).get("metadata")).get("resourceVersion")
    }
    restarts = name == "kube-proxy"
    return Step(
        COMPONENT,
        "patch",
        "ConfigMap {0}/{1}".format(namespace, name),
        reason or "it does not name the endpoint {0}".format(options.endpoint),
        _only_changed(before, after),
        _only_changed(after, before),
        {"name": name, "namespace": namespace, "key": key, "text": after, "metadata": metadata, "restarts": restarts},
    )


def _only_changed(text: str, other: str) -> str:
    """The lines of a text that the other text does not have: a kubeconfig has more than the diff needs."""
    known = other.split("\n")
    return "".join(line.strip() + "\n" for line in text.split("\n") if line not in known)


def _node(state: MoveState, options: MoveOptions) -> List[Step]:
    steps = []
    server, facts = options.server, state.facts
    if state.kubeadm.role == "control_plane":
        old = facts.servers.get(ADMIN_KUBECONFIG, "")
        # The user's file comes first: afterwards, nothing shows which of its servers was the admin's.
        if options.install and old and old != server:
            steps += _user_file(state.user, old, server)
        for path in endpoint_facts.KUBECONFIGS:
            if facts.servers.get(path, server) != server:
                steps.append(_kubeconfig(path, facts.servers[path], server))
    old = facts.servers.get(KUBELET_KUBECONFIG, server)
    # From 1.33 on, the kubelet of a control plane uses its own API server.
    if old not in (server, state.kubeadm.local_api.url):
        steps.append(_kubeconfig(KUBELET_KUBECONFIG, old, server, state.kubeadm.node_name))
    elif facts.kubelet_pending:
        reason = "an interrupted run changed its kubeconfig"
        data = {"server": server, "node": state.kubeadm.node_name}
        steps.append(Step(COMPONENT, "restart_kubelet", "kubelet.service", reason, data=data, disruptive=True))
    return steps


def _kubeconfig(path: str, old: str, server: str, node: str = "") -> Step:
    action = "move_kubelet" if node else "write"
    reason = "server {0} -> {1}".format(old, server)
    before, after = ("server: {0}\n".format(one) for one in (old, server))
    return Step(COMPONENT, action, path, reason, before, after, {"server": server, "node": node}, disruptive=bool(node))


def _user_file(user: KubeconfigState, old: str, server: str) -> List[Step]:
    """The user's copy of the admin kubeconfig, also if it has entries for other clusters."""
    if user.problem or user.existing is None or user.source is None or old not in user.existing.servers:
        return []
    if not kubeconfig.of_this_cluster(user.existing, user.source):
        return []
    before, after = ("server: {0}\n".format(one) for one in (old, server))
    data = {"old": old, "server": server, "user": user}
    return [Step(COMPONENT, "write_user", user.path, "server {0} -> {1}".format(old, server), before, after, data)]


# -- Application


def apply(
    step: Step, system: System, options: MoveOptions, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None
) -> List[str]:
    """Apply one step. Returns warnings. Raises :class:`KubesteadError` with the cause in one line."""
    data = step.data
    if step.action == "renew":
        there: KubeadmState = data["state"].kubeadm
        serving_certificate.renew(
            system,
            str(data["text"]),
            options.endpoint,
            there.node_name,
            more=[options.address] if options.address else [],
            clock=clock,
            sleep=sleep,
        )
        forget(system)
    elif step.action == "wait_for":
        serving_certificate.wait(system, data["state"].kubeadm.local_api.url, clock=clock, sleep=sleep)
    elif step.action == "remove":
        system.remove(step.target)
        forget(system)
    elif step.action == "complete":
        serving_certificate.complete(system)
    elif step.action == "patch":
        _patch(system, data)
    elif step.action == "restart":
        return restart_kube_proxy(system, clock, sleep)
    elif step.action == "write":
        _require_api(system, step.target, str(data["server"]), clock, sleep)
        _rewrite(system, step.target, str(data["server"]))
    elif step.action == "write_user":
        _require_api(system, ADMIN_KUBECONFIG, str(data["server"]), clock, sleep)
        _write_user(system, data["user"], str(data["old"]), str(data["server"]))
    elif step.action == "move_kubelet":
        _move_kubelet(system, str(data["server"]), str(data["node"]), clock, sleep)
    elif step.action == "restart_kubelet":
        # An interrupted run wrote the previous server into this file.
        old = (system.read(KUBELET_PENDING) or "").strip()
        _restart_or_put_back(system, old, str(data["node"]), clock, sleep)
    return []


def repair(system: System) -> List[Step]:
    """The step that completes the pair of the API server after an interruption between its two files."""
    if not serving_certificate.interrupted(system):
        return []
    return [Step(COMPONENT, "complete", CERTIFICATE, "a run was interrupted between certificate and key")]


def forget(system: System) -> None:
    """Remove the folder of the operation, and that of the collection, if nothing is in them."""
    for folder in (FOLDER, FOLDER.rpartition("/")[0]):
        if not system.names(folder):
            system.remove(folder)


def _own_api(system: System) -> Kubectl:
    return Kubectl(system, server=kubeadm.local_api_url(system))


def _patch(system: System, data: Mapping[str, Any]) -> None:
    metadata = dict(data["metadata"])
    if data["restarts"]:
        metadata["annotations"] = {RESTART: now()}
    patch = json.dumps({"metadata": metadata, "data": {data["key"]: data["text"]}})
    _changed(_own_api(system), "configmap", str(data["name"]), str(data["namespace"]), patch)


def _changed(client: Kubectl, kind: str, name: str, namespace: str, patch: str) -> None:
    arguments = ["patch", kind, name, "--namespace={0}".format(namespace), "--type=merge", "-p", patch]
    result = client.run(arguments)
    if not result.ok:
        raise client.error(arguments, result)


def restart_kube_proxy(system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> List[str]:
    """Let the DaemonSet replace its pods one after the other, and wait for it. Raises :class:`KubesteadError`.

    The pod template gets the time of the change, so that a repetition does not replace the pods again. Pods on nodes
    that are down are not waited for: Kubernetes replaces them when the nodes return. Returns the warning about them.
    """
    client = _own_api(system)
    config_map, daemon_set = client.objects(KUBE_PROXY, addons.KUBE_PROXY)
    since = pending_restart(config_map)
    if not since:
        return []
    skipped: Sequence[str] = ()
    if daemon_set is not None:
        template = {"spec": {"template": {"metadata": {"annotations": {RESTART: since}}}}}
        _changed(client, "daemonset", "kube-proxy", "kube-system", json.dumps(template))
        skipped = _wait_for_kube_proxy(client, daemon_set, clock, sleep)
    _changed(
        client, "configmap", "kube-proxy", "kube-system", json.dumps({"metadata": {"annotations": {RESTART: None}}})
    )
    if not skipped:
        return []
    text = "did not wait for kube-proxy on nodes whose kubelet does not report: {0}; {1}"
    return [text.format(", ".join(skipped), "Kubernetes replaces its pod when such a node returns")]


def _wait_for_kube_proxy(
    client: Kubectl, daemon_set: Object, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None
) -> Sequence[str]:
    """Wait until the pods on living nodes are replaced. Returns the dead nodes. Raises :class:`KubesteadError`."""

    def found(_objects: Sequence[Object]) -> List[Object]:
        return [one for one in client.objects(addons.KUBE_PROXY) if one is not None]

    pods = untrusted.integer(untrusted.mapping(daemon_set.get("status")).get("desiredNumberScheduled"))
    # A dead node stops the rollout, but the pods on the others have the old address of the API.
    waiting = RolloutWait(client, found, replaces=True, clock=clock, sleep=sleep)
    try:
        return waiting.wait([daemon_set], max(_ROLLED_OUT, _REPLACED * pods)).skipped
    except KubesteadError as err:
        text = "kube-proxy was not restarted on all nodes: {0}; then run endpoint.yml again"
        raise KubesteadError(text.format(err.message)) from err


def _require_api(
    system: System, path: str, server: str, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None
) -> None:
    """Make sure that this machine reaches the API by its new name, with the credentials in a kubeconfig."""

    def ask() -> Any:
        return Api(system, path, server=server).get("/livez")[0]

    answer = poll(ask, _REACHED, is_ok, clock=clock, sleep=sleep)
    if not is_ok(answer):
        raise KubesteadError(
            "this host can't reach the API at {0} ({1}); {2} was not changed; open the port in the firewall".format(
                server, failure(answer), path
            )
        )


def _rewrite(system: System, path: str, server: str) -> None:
    foreign_files.rewrite(system, path, lambda text: endpoint_text.with_server(text, server), backup=False)


def _write_user(system: System, user: KubeconfigState, old: str, server: str) -> None:
    kubeconfig.change(system, user, lambda text: endpoint_text.with_other_server(text, old, server))


def _move_kubelet(
    system: System, server: str, node: str, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None
) -> None:
    """Change the server of the kubelet and restart it. The old server is put back if the kubelet does not report."""
    _require_api(system, KUBELET_KUBECONFIG, server, clock, sleep)
    old = kubeconfig_server(system.read(KUBELET_KUBECONFIG) or "")
    system.write(KUBELET_PENDING, old + "\n", mode=0o600)
    _rewrite(system, KUBELET_KUBECONFIG, server)
    _restart_or_put_back(system, old, node, clock, sleep)


def _restart_or_put_back(
    system: System, old: str, node: str, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None
) -> None:
    """Restart the kubelet. If it does not report, it gets the server ``old`` again. Raises :class:`KubesteadError`."""
    try:
        _restart_kubelet(system, node, clock, sleep)
    except KubesteadError as err:
        if not old:
            raise
        _rewrite(system, KUBELET_KUBECONFIG, old)
        kubelet_start.restart(system)
        system.remove(KUBELET_PENDING)
        raise KubesteadError("{0}; its server is {1} again".format(err.message, old), err.details) from err
    system.remove(KUBELET_PENDING)
    forget(system)


def _restart_kubelet(system: System, node: str, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Restart the kubelet and wait until it has renewed its lease. Raises :class:`KubesteadError`."""
    since = time.time()
    kubelet_start.restart(system)

    def reports() -> bool:
        answer = Api(system, KUBELET_KUBECONFIG).get(_LEASE.format(node))[0]
        return answer.ok and renewed(answer.body) >= since

    if not poll(reports, _REPORTS, clock=clock, sleep=sleep):
        said = kubelet_start.last_line(system, since)
        text = untrusted.line("the kubelet did not report to the API after its restart{0}".format(said and ": " + said))
        raise KubesteadError("{0}; see 'journalctl -u kubelet' on this host".format(text))
    there = kubelet_start.own_node(system, node or kubelet.node_name(system, kubelet.kubelet_kubeconfig(system)))
    if there is not None:
        kubelet_start.wait(system, there.kubelet_version, clock, sleep)


def renewed(body: str) -> float:
    """When a lease was renewed, in seconds since 1970; 0 if that is not known."""
    try:
        spec = untrusted.mapping(untrusted.mapping(untrusted.parse_json(body)).get("spec"))
        text = untrusted.text(spec.get("renewTime"), 40)
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0.0
