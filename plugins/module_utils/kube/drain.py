# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drains nodes and makes them schedulable again: cordons with an owner, a forecast, and a drain with a time limit.

This collection sets an annotation on each Node that it cordons. The next run of the same operation on this Node lifts
the cordon, even if the run that set it was killed. Cordons of other operations stay, because such an operation may run
at the same time. A cordon without the annotation was not set by this collection and is never lifted. Neither is one
that another client set while an old annotation was still there (see :func:`nodes.cordon_owner`).
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core import untrusted
from ..core.errors import CommandError, KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.step import Step
from ..core.untrusted import line
from .drain_forecast import Blocker, Permission, blockers
from .kubectl import NODES, Kubectl
from .nodes import CORDON_MANAGER, CORDONED_BY, Node, cordon_operation, cordon_owner, read_nodes
from .pods import (
    BUDGETS,
    DAEMON_SETS,
    OLD_BUDGETS,
    PODS,
    Budget,
    Pod,
    read_allocatable,
    read_budgets,
    read_pods,
    ready_pods,
)

COMPONENT = "drain"
DRAINED, SCHEDULABLE = "drained", "schedulable"
# The kubelet updates its Node regularly, so a patch may conflict and is then retried.
_ATTEMPTS = 10
# Taints that Kubernetes adds to a Node that is cordoned or not ready, and removes again.
_PASSING_TAINTS = tuple("node.kubernetes.io/{0}:".format(key) for key in ("unschedulable", "not-ready", "unreachable"))


@dataclass(frozen=True)
class Cordon:
    """The cordon of a Node. ``owner`` is the value of its annotation; empty if this collection did not set it."""

    set: bool = False
    owner: str = ""

    def belongs_to(self, owner: str) -> bool:
        """True if the operation in ``owner`` may lift the cordon, or remove the annotation that is left of it."""
        return is_own(self.owner, owner)


@dataclass(frozen=True)
class DrainState:
    """The parts of the cluster that a drain depends on. ``cordons`` and ``allocatable`` are keyed by node name."""

    nodes: Sequence[Node] = ()
    cordons: Mapping[str, Cordon] = field(default_factory=dict)
    pods: Sequence[Pod] = ()
    budgets: Sequence[Budget] = ()
    allocatable: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def leaving(self, name: str) -> List[Pod]:
        """The pods that a drain of the node evicts, and those that are already terminating there."""
        return _leaving(self.pods, name)

    def workloads(self, name: str) -> Dict[str, int]:
        """The number of ready pods, on all nodes, of each workload that has a pod on this node."""
        concerned = {pod.workload for pod in self.leaving(name)}
        return {title: count for title, count in ready_pods(self.pods).items() if title in concerned}


def is_own(found: str, owner: str) -> bool:
    """True if ``found``, the owner of a cordon, names the same operation as ``owner``."""
    return bool(found) and cordon_operation(found) == cordon_operation(owner)


def _leaving(pods: Sequence[Pod], name: str) -> List[Pod]:
    return [pod for pod in pods if pod.node == name and (pod.moves or pod.ends)]


# -- Observation


def observe(kubectl: Kubectl) -> DrainState:
    """Nodes, pods and budgets. Raises like :meth:`Kubectl.parsed`."""
    nodes, pods, daemon_sets, budgets = kubectl.objects(NODES, PODS, DAEMON_SETS, BUDGETS)
    return DrainState(
        nodes=read_nodes(nodes),
        cordons=read_cordons(nodes),
        pods=read_pods(pods, daemon_sets),
        budgets=read_budgets(kubectl.read(OLD_BUDGETS) if budgets is None else budgets),
        allocatable=read_allocatable(nodes),
    )


def _read_pods(kubectl: Kubectl) -> List[Pod]:
    pods, daemon_sets = kubectl.objects(PODS, DAEMON_SETS)
    return read_pods(pods, daemon_sets)


def read_cordons(data: Any) -> Dict[str, Cordon]:
    """The cordons in a NodeList, keyed by node name. Never raises."""
    found = {}
    for item in untrusted.mappings(untrusted.mapping(data).get("items")):
        metadata = untrusted.mapping(item.get("metadata"))
        found[untrusted.text(metadata.get("name"))] = _cordon(item)
    return found


def _cordon(node: Mapping[str, Any]) -> Cordon:
    return Cordon(untrusted.mapping(node.get("spec")).get("unschedulable") is True, cordon_owner(node))


# -- Planning


def without_cordons(state: DrainState, names: Sequence[str], owner: str) -> DrainState:
    """The state after the cordons that the operation in ``owner`` set on these nodes are lifted."""
    cordons = {
        name: Cordon() if name in names and cordon.belongs_to(owner) else cordon
        for name, cordon in state.cordons.items()
    }
    nodes = [_uncordoned(node, owner) if node.name in names else node for node in state.nodes]
    return replace(state, cordons=cordons, nodes=nodes)


def forecast(
    state: DrainState,
    names: Sequence[str],
    permission: Permission,
    owner: str,
    returning: Sequence[str] = (),
    together: bool = False,
) -> List[Blocker]:
    """What prevents these nodes from being drained.

    With ``together``, all of them are cordoned before the first one is drained. Otherwise each one is uncordoned before
    the next one is cordoned. ``returning`` are nodes that become schedulable again before the others are drained; those
    with a cordon of another operation than that in ``owner`` do not.
    """
    nodes = [
        replace(_uncordoned(node, owner, _PASSING_TAINTS), ready=True) if node.name in returning else node
        for node in state.nodes
    ]
    groups = [list(names)] if together else [[name] for name in names]
    found = []
    for group in groups:
        found += blockers(group, nodes, state.pods, state.budgets, state.allocatable, permission)
    return found


def _uncordoned(node: Node, owner: str, passing: Sequence[str] = _PASSING_TAINTS[:1]) -> Node:
    """The Node without a cordon of the operation in ``owner`` and without ``passing`` taints. Other cordons stay."""
    if node.unschedulable and not is_own(node.cordoned_by, owner):
        return node
    taints = [one for one in node.taints if not one.startswith(tuple(passing))]
    return replace(node, unschedulable=False, taints=taints)


def plan_all(
    state: DrainState, names: Sequence[str], wanted: str, owner: str, was_cordoned: bool = False
) -> List[Step]:
    """The steps of :func:`plan` for several nodes. All are cordoned first, so that no pod moves to one of them."""
    steps = [step for name in names for step in plan(state, name, wanted, owner, was_cordoned)]
    return sorted(steps, key=lambda step: step.action != "cordon")


def plan(state: DrainState, name: str, wanted: str, owner: str, was_cordoned: bool = False) -> List[Step]:
    """The steps that make the node ``drained`` or ``schedulable``.

    Only a cordon of the operation in ``owner`` is lifted. ``was_cordoned`` is for dry runs: an earlier task would have
    cordoned the node. Raises :class:`KubesteadError` for a node that does not exist.
    """
    if name not in state.cordons:
        known = ", ".join(sorted(state.cordons)) or "none"
        raise KubesteadError("the cluster does not have a node {0}; its nodes are {1}".format(name, known))
    cordon = state.cordons[name]
    if wanted == DRAINED:
        steps = []
        if not cordon.set:
            steps.append(Step(COMPONENT, "cordon", name, "its pods are about to be evicted"))
        pods = state.leaving(name)
        if pods:
            steps.append(Step(COMPONENT, "drain", name, _pods(pods), disruptive=True))
        return steps
    if was_cordoned and not cordon.set:
        cordon = Cordon(True, owner)
    if cordon.belongs_to(owner):
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


def apply(
    step: Step,
    kubectl: Kubectl,
    owner: str,
    permission: Permission,
    timeout: float,
    names: Sequence[str] = (),
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> None:
    """Apply a step. ``owner`` is recorded with a cordon. ``timeout`` limits the drain of a node, in seconds.

    Raises :class:`KubesteadError`. After a failed cordon or drain, the node and ``names``, which would have been
    drained with it, are made schedulable again first. Cordons that the operation did not set stay.
    """
    if step.action not in ("cordon", "drain"):
        lift_cordon(kubectl, step.target, owner)
        return
    try:
        if step.action == "cordon":
            set_cordon(kubectl, step.target, owner)
        else:
            drain(kubectl, step.target, permission, timeout, clock, sleep)
    except KubesteadError as err:
        raise _undone(kubectl, list(dict.fromkeys([step.target, *names])), owner, err) from err


def set_cordon(kubectl: Kubectl, name: str, owner: str) -> None:
    """Cordon a node and record ``owner``, unless it is already cordoned. Raises :class:`KubesteadError`."""
    _change(kubectl, name, lambda cordon: None if cordon.set else (True, owner))


def lift_cordon(kubectl: Kubectl, name: str, owner: str) -> bool:
    """Lift a cordon of the operation in ``owner``, and its annotation; False if there is none.

    Raises :class:`KubesteadError`.
    """
    return _change(kubectl, name, lambda cordon: (False, None) if cordon.belongs_to(owner) else None)


def _change(kubectl: Kubectl, name: str, decide: Callable[[Cordon], Optional[Tuple[bool, Optional[str]]]]) -> bool:
    """Patch the cordon of a node. If another client changes the node in between, read it and try again.

    ``decide`` returns (cordoned, owner), or None for no change. Returns True if the node was patched.
    """
    for _attempt in range(_ATTEMPTS):
        # By default, kubectl leaves out who manages which field.
        node = kubectl.read("{0}/{1}".format(NODES, name))
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
        result = kubectl.run([*arguments, "--field-manager={0}".format(CORDON_MANAGER)])
        if result.ok:
            return True
        if "(Conflict)" not in result.stderr and "has been modified" not in result.stderr:
            raise kubectl.error(["patch", "node", name], result)
    raise KubesteadError("other clients keep changing node {0}; run again".format(name))


def drain(
    kubectl: Kubectl,
    name: str,
    permission: Permission,
    timeout: float,
    clock: Clock = time.monotonic,
    sleep: Sleep = time.sleep,
) -> None:
    """Evict the pods of a node and wait until they are gone. Raises :class:`CommandError` with the remaining pods.

    Pods that are already terminating are waited for first. kubectl would ask for a permission to delete them.
    """
    begin = clock()

    def is_over() -> bool:
        return not any(pod.node == name and pod.ends for pod in _read_pods(kubectl))

    if not poll(is_over, timeout, pause=1.0, clock=clock, sleep=sleep):
        raise _not_drained(kubectl, name, timeout, "pods that are terminating do not end")
    left = max(timeout - (clock() - begin), 1.0)
    argv = ["drain", name, "--ignore-daemonsets", "--timeout={0:.0f}s".format(left)]
    if permission.delete_bare_pods:
        argv.append("--force")
    if permission.delete_local_data:
        argv.append("--delete-emptydir-data")
    result = kubectl.run(argv, timeout=left + 60.0)
    if not result.ok:
        details = {"rc": result.rc, "stderr": result.stderr[-4000:]}
        raise _not_drained(kubectl, name, timeout, result.last_line, details)


def _not_drained(
    kubectl: Kubectl, name: str, timeout: float, reason: str, details: Optional[Dict[str, Any]] = None
) -> CommandError:
    left: List[Pod] = []
    try:
        left = _leaving(_read_pods(kubectl), name)
    except KubesteadError:
        pass
    stayed = "; pods still on it: {0}".format(_pods(left)) if left else ""
    text = "node {0} could not be drained within {1:.0f} s: {2}{3}".format(name, timeout, reason, stayed)
    return CommandError(line(text), details or {})


def _undone(kubectl: Kubectl, names: Sequence[str], owner: str, failed: KubesteadError) -> KubesteadError:
    """Lift the cordons after a failure. Returns the failure with the outcome added to its message.

    The first of ``names`` is the node that failed.
    """
    lifted, failures = [], {}
    for name in names:
        try:
            if lift_cordon(kubectl, name, owner):
                lifted.append(name)
        except KubesteadError as err:
            failures[name] = err.message
    outcome = []
    if names[0] not in [*lifted, *failures]:
        outcome.append("the cordon of {0} was not set by this operation and stays".format(names[0]))
    if lifted:
        outcome.append("{0} accept{1} pods again".format(", ".join(lifted), "s" if len(lifted) == 1 else ""))
    for name, why in failures.items():
        outcome.append("{0} is still cordoned: {1}; run again to lift the cordon".format(name, why))
    return KubesteadError("; ".join([failed.message, *outcome]), failed.details)
