# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drains nodes and makes them schedulable again: cordons with an owner, a forecast, and a drain with a time limit.

This collection sets an annotation on each Node that it cordons. The next run that completes lifts the cordon, even if
the run that set it was killed. A cordon without the annotation was not set by this collection and is never lifted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core import untrusted
from ..core.errors import CommandError, KubesteadError
from ..core.step import Step
from ..core.untrusted import line
from .drain_forecast import Blocker, Permission, blockers
from .kubectl import NODES, Kubectl
from .nodes import CORDONED_BY, Node, read_nodes
from .pods import PODS, Budget, Pod, read_allocatable, read_budgets, read_pods, ready_pods

COMPONENT = "drain"
DRAINED, SCHEDULABLE = "drained", "schedulable"
# The kubelet updates its Node regularly, so a patch may conflict and is then retried.
_ATTEMPTS = 10
# Taints that Kubernetes adds to a Node that is cordoned or not ready, and removes again.
_PASSING_TAINTS = tuple("node.kubernetes.io/{0}:".format(key) for key in ("unschedulable", "not-ready", "unreachable"))


@dataclass(frozen=True)
class Cordon:
    """The cordon of a Node. ``owner`` is the run that set it; empty if this collection did not set it."""

    set: bool = False
    owner: str = ""

    @property
    def foreign(self) -> bool:
        """True for a cordon that this collection did not set and must not lift."""
        return self.set and not self.owner


@dataclass(frozen=True)
class DrainState:
    """The parts of the cluster that a drain depends on. ``cordons`` and ``allocatable`` are keyed by node name."""

    nodes: Sequence[Node] = ()
    cordons: Mapping[str, Cordon] = field(default_factory=dict)
    pods: Sequence[Pod] = ()
    budgets: Sequence[Budget] = ()
    allocatable: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def moving(self, name: str) -> List[Pod]:
        """The pods that leave a node when it is drained."""
        return [pod for pod in self.pods if pod.node == name and pod.moves]

    def workloads(self, name: str) -> Dict[str, int]:
        """The number of ready pods, on all nodes, of each workload that has a pod on this node."""
        concerned = {pod.workload for pod in self.moving(name)}
        return {title: count for title, count in ready_pods(self.pods).items() if title in concerned}


# -- Observation


def observe(kubectl: Kubectl) -> DrainState:
    """Nodes, pods and budgets. Raises like :meth:`Kubectl.json`."""
    nodes = kubectl.json(["get", "--raw", NODES])
    pods = kubectl.json(["get", "--raw", PODS])
    # By resource name, because the API version depends on the server.
    budgets = kubectl.json(["get", "poddisruptionbudgets", "--all-namespaces", "-o", "json"])
    return DrainState(
        nodes=read_nodes(nodes),
        cordons=read_cordons(nodes),
        pods=read_pods(pods),
        budgets=read_budgets(budgets),
        allocatable=read_allocatable(nodes),
    )


def read_cordons(data: Any) -> Dict[str, Cordon]:
    """The cordons in a NodeList, keyed by node name. Never raises."""
    found = {}
    for item in untrusted.mappings(untrusted.mapping(data).get("items")):
        metadata = untrusted.mapping(item.get("metadata"))
        found[untrusted.text(metadata.get("name"))] = _cordon(item)
    return found


def _cordon(node: Mapping[str, Any]) -> Cordon:
    annotations = untrusted.labels(untrusted.mapping(node.get("metadata")).get("annotations"))
    set_now = untrusted.mapping(node.get("spec")).get("unschedulable") is True
    return Cordon(set_now, annotations.get(CORDONED_BY, ""))


# -- Planning


def without_cordons(state: DrainState, names: Sequence[str]) -> DrainState:
    """The state after the cordons that this collection set on these nodes are lifted."""
    cordons = {name: Cordon() if name in names and cordon.owner else cordon for name, cordon in state.cordons.items()}
    return replace(state, cordons=cordons)


def forecast(
    state: DrainState, names: Sequence[str], permission: Permission, returning: Sequence[str] = ()
) -> List[Blocker]:
    """What prevents these nodes from being drained one after the other.

    ``returning`` are nodes that become schedulable again before the others are drained.
    """
    nodes = [_returned(node) if node.name in returning else node for node in state.nodes]
    return [
        one for name in names for one in blockers(name, nodes, state.pods, state.budgets, state.allocatable, permission)
    ]


def _returned(node: Node) -> Node:
    """The Node after it returns: ready, and without a cordon set by this collection. Any other cordon stays."""
    taints = [one for one in node.taints if not one.startswith(_PASSING_TAINTS)]
    if node.unschedulable and not node.cordoned_by:
        return replace(node, ready=True)
    return replace(node, ready=True, unschedulable=False, taints=taints)


def plan(state: DrainState, name: str, wanted: str, was_cordoned: bool = False) -> List[Step]:
    """The steps that make the node ``drained`` or ``schedulable``.

    ``was_cordoned`` is for dry runs: an earlier task would have cordoned the node. Raises :class:`KubesteadError` for a
    node that does not exist.
    """
    if name not in state.cordons:
        known = ", ".join(sorted(state.cordons)) or "none"
        raise KubesteadError("the cluster does not have a node {0}; its nodes are {1}".format(name, known))
    cordon = state.cordons[name]
    if wanted == DRAINED:
        steps = []
        if not cordon.set:
            steps.append(Step(COMPONENT, "cordon", name, "its pods are about to be evicted"))
        pods = state.moving(name)
        if pods:
            steps.append(Step(COMPONENT, "drain", name, _pods(pods), disruptive=True))
        return steps
    if was_cordoned and not cordon.set:
        cordon = Cordon(True, "this run")
    if cordon.owner:
        reason = "cordoned by {0}".format(cordon.owner) if cordon.set else "it is no longer cordoned"
        return [Step(COMPONENT, "uncordon" if cordon.set else "forget", name, reason)]
    return []


def _pods(pods: Sequence[Pod]) -> str:
    titles = sorted(pod.title for pod in pods)
    more = " and {0} more".format(len(titles) - 3) if len(titles) > 3 else ""
    return line(
        "{0} {1}: {2}{3}".format(len(titles), "pod" if len(titles) == 1 else "pods", ", ".join(titles[:3]), more)
    )


# -- Application


def apply(step: Step, kubectl: Kubectl, owner: str, permission: Permission, timeout: float) -> None:
    """Apply a step. ``owner`` is recorded with a cordon. ``timeout`` limits the drain, in seconds.

    Raises :class:`KubesteadError`. A node whose drain failed is made schedulable again first, unless its cordon was
    not set by this collection.
    """
    if step.action == "cordon":
        set_cordon(kubectl, step.target, owner)
    elif step.action == "drain":
        try:
            drain(kubectl, step.target, permission, timeout)
        except KubesteadError as err:
            raise _undone(kubectl, step.target, err) from err
    else:
        lift_cordon(kubectl, step.target)


def set_cordon(kubectl: Kubectl, name: str, owner: str) -> None:
    """Cordon a node and record ``owner``, unless it is already cordoned. Raises :class:`KubesteadError`."""
    _change(kubectl, name, lambda cordon: None if cordon.set else (True, owner))


def lift_cordon(kubectl: Kubectl, name: str) -> bool:
    """Lift a cordon of this collection and its annotation; False if there is none. Raises :class:`KubesteadError`."""
    return _change(kubectl, name, lambda cordon: (False, None) if cordon.owner else None)


def _change(kubectl: Kubectl, name: str, decide: Callable[[Cordon], Optional[Tuple[bool, Optional[str]]]]) -> bool:
    """Patch the cordon of a node. If another client changes the node in between, read it and try again.

    ``decide`` returns (cordoned, owner), or None for no change. Returns True if the node was patched.
    """
    for _attempt in range(_ATTEMPTS):
        node = kubectl.json(["get", "node", name, "-o", "json"])
        wish = decide(_cordon(node))
        if wish is None:
            return False
        version = untrusted.text(untrusted.mapping(node.get("metadata")).get("resourceVersion"))
        patch = {
            # The API server rejects the patch if the node has changed since it was read.
            "metadata": {"resourceVersion": version, "annotations": {CORDONED_BY: wish[1]}},
            "spec": {"unschedulable": wish[0] or None},
        }
        arguments = ["patch", "node", name, "--type=merge", "-p", json.dumps(patch, sort_keys=True)]
        result = kubectl.run(arguments)
        if result.ok:
            return True
        if "(Conflict)" not in result.stderr and "has been modified" not in result.stderr:
            raise kubectl.error(["patch", "node", name], result)
    raise KubesteadError("other clients keep changing node {0}; run again".format(name))


def drain(kubectl: Kubectl, name: str, permission: Permission, timeout: float) -> None:
    """Evict the pods of a node and wait until they are gone. Raises :class:`CommandError` with the remaining pods."""
    argv = ["drain", name, "--ignore-daemonsets", "--timeout={0:.0f}s".format(max(timeout, 1.0))]
    if permission.delete_bare_pods:
        argv.append("--force")
    if permission.delete_local_data:
        argv.append("--delete-emptydir-data")
    result = kubectl.run(argv, timeout=timeout + 60.0)
    if result.ok:
        return
    left: List[Pod] = []
    try:
        left = [pod for pod in read_pods(kubectl.json(["get", "--raw", PODS])) if pod.node == name and pod.moves]
    except KubesteadError:
        pass
    stayed = "; pods still on it: {0}".format(_pods(left)) if left else ""
    raise CommandError(
        line("node {0} could not be drained within {1:.0f} s: {2}{3}".format(name, timeout, result.last_line, stayed)),
        {"rc": result.rc, "stderr": result.stderr[-4000:]},
    )


def _undone(kubectl: Kubectl, name: str, failed: KubesteadError) -> KubesteadError:
    """Lift the cordon after a failed drain. Returns the failure with the outcome added to its message."""
    try:
        lifted = lift_cordon(kubectl, name)
    except KubesteadError as err:
        text = "{0}; the node is still cordoned: {1}; run again to lift the cordon".format(failed.message, err.message)
        return KubesteadError(text, failed.details)
    now = "the node accepts pods again" if lifted else "its cordon was not set by this collection and stays"
    return KubesteadError("{0}; {1}".format(failed.message, now), failed.details)
