# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health checks between two nodes of a rolling change: is the cluster as healthy as before?

Each API server and each etcd member is queried at its own address. A shared address, like that of a load balancer,
would hide a server that is down. The controller managers and schedulers are read from the API, because they listen only
on their own machine. A control plane without a manifest of one of them is not waited for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from ..core import untrusted
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.system import System
from ..etcd import cluster as etcd
from ..etcd.client import Client, client
from ..kube import api, pods
from ..kube.kubectl import NODES, Kubectl
from ..kube.nodes import Node, read_nodes
from ..kube.rollout import SETTLES
from . import addons, mirror_pods
from .mirror_pods import CONTROLLERS, MirrorPod

# The annotation that kubeadm sets on each API server's pod: the advertised address and port.
ENDPOINT = "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint"
# Seconds for the kubelet to start a controller manager or scheduler. They exit when their API server is down for long,
# and the kubelet delays a container that exited several times by up to five minutes.
_DELAYED = 330.0


@dataclass(frozen=True)
class Health:
    """The health of the cluster at one moment.

    ``api_servers`` maps each node to the reason why its API server is not ready, which is empty if it is ready.
    ``views`` has one entry for each etcd member, and is empty if etcd does not run in static pods of kubeadm.
    ``controllers`` are the static pods of the controller managers and schedulers on control planes. ``ready``
    maps workloads to the number of their ready pods, ``replicas`` to the desired number. ``addons`` maps the addons in
    :mod:`addons` to what their rollout still waits for; empty if it is complete. ``outdated`` has a line for
    each of them that has old pods only because of nodes that are not ready. ``error`` is the reason why the cluster
    could not be queried; empty if it could.
    """

    nodes: Sequence[Node] = ()
    api_servers: Mapping[str, str] = field(default_factory=dict)
    views: Sequence[etcd.View] = ()
    controllers: Sequence[MirrorPod] = ()
    ready: Mapping[str, int] = field(default_factory=dict)
    replicas: Mapping[str, int] = field(default_factory=dict)
    addons: Mapping[str, str] = field(default_factory=dict)
    outdated: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def ready_nodes(self) -> List[str]:
        """The names of the nodes that are Ready."""
        return [node.name for node in self.nodes if node.ready]

    @property
    def failed_api_servers(self) -> List[str]:
        """The nodes whose API server does not report that it is ready."""
        return sorted(name for name, reason in self.api_servers.items() if reason)

    @property
    def complete_addons(self) -> List[str]:
        """The addons whose rollout is complete."""
        return sorted(title for title, reason in self.addons.items() if not reason)

    @property
    def failed_members(self) -> List[str]:
        """The nodes whose etcd member does not answer."""
        return [view.node for view in self.views if view.error]


@dataclass(frozen=True)
class Wanted:
    """The conditions that must be met before the next node is changed.

    ``nodes`` must be Ready. API servers, etcd members, controller managers and schedulers must be healthy, except those
    of ``dead`` nodes, which were unhealthy before. Without ``etcd``, its members are not judged, because a later step
    of the run completes or removes them. ``workloads`` maps workloads to the number of pods that must be ready again,
    ``versions`` maps nodes to the version that their kubelet must report, ``static_pods`` maps nodes to the versions of
    their controller manager and scheduler (component -> version). The rollouts of ``addons`` must be complete;
    deleted addons are not waited for. ``stopping`` is a node whose etcd member is about to stop.
    """

    nodes: Sequence[str] = ()
    dead: Sequence[str] = ()
    workloads: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    static_pods: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    addons: Sequence[str] = ()
    stopping: str = ""
    etcd: bool = True


# -- Observation


def observe(system: System, kubectl: Kubectl, workloads: bool = False, request: Optional[Client] = None) -> Health:
    """The health of the cluster, queried from a control plane. Never raises."""
    paths = [NODES, mirror_pods.PODS, addons.DAEMON_SETS, addons.DNS]
    paths += [pods.PODS, pods.REPLICA_SETS, pods.STATEFUL_SETS] if workloads else []
    try:
        answers = kubectl.each(*paths)
        nodes = read_nodes(next(answers))
        # A kubelet can create pods with any label on its own Node, but it can't label its Node as a control plane.
        controls = [node.name for node in nodes if node.control_plane]
        static = mirror_pods.by_component(next(answers))
        servers, etcds = _servers(static["kube-apiserver"]), etcd.urls(static["etcd"])
        controllers = [pod for name in CONTROLLERS for pod in mirror_pods.read(name, static[name])]
        daemon_sets, not_ready = next(answers), [node.name for node in nodes if not node.ready]
        rollouts = addons.rollouts(daemon_sets, next(answers), len(not_ready))
        counts: Dict[str, int] = {}
        replicas: Dict[str, int] = {}
        if workloads:
            counts = pods.ready_pods(pods.read_pods(next(answers)))
            for kind in pods.REPLICATED:
                replicas.update(pods.read_replicas(next(answers), kind))
    except KubesteadError as err:
        return Health(error=err.message)
    return Health(
        nodes=nodes,
        api_servers={node: _reason(system, kubectl, url) for node, url in servers.items() if node in controls},
        views=etcd.observe({node: url for node, url in etcds.items() if node in controls}, request or client(system)),
        controllers=[pod for pod in controllers if pod.node in controls],
        ready=counts,
        replicas=replicas,
        addons=rollouts,
        outdated=addons.outdated(daemon_sets, not_ready),
    )


def _servers(data: Mapping[str, Any]) -> Dict[str, str]:
    """Node -> URL of its API server, from the PodList of the API servers' pods."""
    found = {}
    for pod in untrusted.mappings(data.get("items")):
        notes = untrusted.mapping(untrusted.mapping(pod.get("metadata")).get("annotations"))
        place = untrusted.text(notes.get(ENDPOINT))
        node = untrusted.text(untrusted.mapping(pod.get("spec")).get("nodeName"))
        if node and place:
            found[node] = "https://{0}".format(place)
    return found


def _reason(system: System, kubectl: Kubectl, url: str) -> str:
    (answer,) = api.Api(system, kubectl.kubeconfig, server=url).get("/readyz")
    return "" if api.is_ok(answer) else api.failure(answer)


# -- Evaluation (pure)


def problems(now: Health, wanted: Wanted) -> List[str]:
    """The conditions that are not met, one line each. If the list is empty, the next node may be changed."""
    return [now.error] if now.error else [*_others(now, wanted), *_controllers(now, wanted)]


def _controllers(now: Health, wanted: Wanted) -> List[str]:
    """The controller managers and schedulers that are not ready, or that run another version."""
    found = []
    for pod in now.controllers:
        version = wanted.static_pods.get(pod.node, {}).get(pod.component, "")
        if pod.node in wanted.dead:
            continue
        if pod.reason:
            found.append("the {0} of {1} is not ready: {2}".format(pod.component, pod.node, pod.reason))
        elif version and pod.version != version:
            found.append("the {0} of {1} runs {2}, not {3}".format(pod.component, pod.node, pod.version, version))
    known = [(pod.node, pod.component) for pod in now.controllers]
    for node, versions in sorted(wanted.static_pods.items()):
        missing = [component for component in versions if (node, component) not in known]
        if node not in wanted.dead:
            found += ["the {0} of {1} does not have a pod in the API".format(one, node) for one in missing]
    return found


def _others(now: Health, wanted: Wanted) -> List[str]:
    """The other conditions that are not met."""
    found = []
    for name, reason in sorted(now.api_servers.items()):
        if reason and name not in wanted.dead:
            found.append("the API server of {0} is not ready: {1}".format(name, reason))
    if wanted.etcd:
        found += etcd.problems(now.views, wanted.dead)
        lost = etcd.lost_without(now.views, wanted.stopping)
        found += [lost] if lost else []
    by_name = {node.name: node for node in now.nodes}
    for name in wanted.nodes:
        node = by_name.get(name)
        if node is None:
            found.append("node {0} is no longer in the cluster".format(name))
        elif not node.ready:
            found.append("node {0} is not ready: {1}".format(name, node.not_ready_reason or "no reason given"))
    for name, version in wanted.versions.items():
        runs = by_name[name].kubelet_version if name in by_name else ""
        if runs != version:
            found.append("the kubelet of {0} reports version {1}, not {2}".format(name, runs or "none", version))
    for title, count in sorted(wanted.workloads.items()):
        # A workload that was scaled down or deleted in the meantime needs fewer ready pods.
        needed = min(count, now.replicas.get(title, 0))
        if now.ready.get(title, 0) < needed:
            found.append("{0} has {1} of {2} pods ready".format(title, now.ready.get(title, 0), needed))
    for title in wanted.addons:
        if now.addons.get(title):
            found.append("the rollout of {0} is not complete: {1}".format(title, now.addons[title]))
    return found


def wait(
    ask: Callable[[], Health],
    wanted: Wanted,
    timeout: float,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> Health:
    """Wait until all conditions are met, and return the health of the cluster.

    Raises :class:`KubesteadError` with the unmet conditions after ``timeout`` seconds. If only controller managers and
    schedulers are missing then, they have at least five and a half minutes.
    """

    def healthy(one: Health) -> bool:
        return not problems(one, wanted)

    now = poll(ask, timeout, healthy, pause=1.0, clock=clock, sleep=sleep)
    if timeout < _DELAYED and not now.error and _controllers(now, wanted) and not _others(now, wanted):
        now = poll(ask, _DELAYED - timeout, healthy, pause=1.0, clock=clock, sleep=sleep)
        timeout = _DELAYED
    left = problems(now, wanted)
    if left:
        text = untrusted.line("the cluster is not healthy after {0:.0f} s: {1}".format(timeout, "; ".join(left[:5])))
        raise KubesteadError("{0}; remove the cause, then run the same command again".format(text))
    return now


def settle(
    ask: Callable[[], Health],
    wanted: Wanted,
    timeout: float,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> Health:
    """Like :func:`wait`, but also waits for the rollouts of addons while at least one of them makes progress.

    An addon that can't be rolled out does not prevent a rolling change; only those that were complete at its beginning
    are waited for later.
    """
    now = wait(ask, wanted, timeout, clock, sleep)
    # This ends: the kubelet restarts a container that keeps failing after longer and longer delays.
    while any(now.addons.values()):
        # The texts have the numbers of pods.
        before = now.addons

        def progresses(one: Health, before: Mapping[str, str] = before) -> bool:
            return not problems(one, wanted) and one.addons != before

        now = poll(ask, SETTLES, progresses, pause=1.0, clock=clock, sleep=sleep)
        if now.addons == before:
            break
    # Later gates compare with this health, so it is never that of a moment in which the API did not answer.
    return wait(ask, wanted, timeout, clock, sleep) if problems(now, wanted) else now
