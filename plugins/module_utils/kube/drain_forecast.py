# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Predicts what would prevent a drain from evicting pods, before anything is changed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence

from ..core.untrusted import line
from .nodes import Node
from .pods import Budget, Pod

BUDGET, BARE_POD, LOCAL_DATA, ROOM = "budget", "bare_pod", "local_data", "room"


@dataclass(frozen=True)
class Permission:
    """What a drain may do to pods in addition to evicting them."""

    delete_bare_pods: bool = False
    delete_local_data: bool = False
    pods_may_wait: bool = False


@dataclass(frozen=True)
class Blocker:
    """Something that keeps ``pod`` on ``node``. ``kind`` is ``budget``, ``bare_pod``, ``local_data`` or ``room``.

    ``passes`` is true if the blocker may resolve itself while the drain waits.
    """

    node: str
    kind: str
    pod: str
    message: str
    fix: str
    passes: bool = False

    @property
    def line(self) -> str:
        """The blocker as one line, with its fix."""
        return line("{0}: {1}; {2}".format(self.node, self.message, self.fix))


def blockers(
    names: Sequence[str],
    nodes: Sequence[Node],
    pods: Sequence[Pod],
    budgets: Sequence[Budget],
    allocatable: Mapping[str, Mapping[str, float]],
    permission: Permission,
) -> List[Blocker]:
    """What prevents the nodes ``names`` from being drained together while the other nodes stay as they are.

    ``allocatable`` maps each node name to the node's allocatable resources.
    """
    on: Dict[str, List[Pod]] = {}
    for pod in pods:
        on.setdefault(pod.node, []).append(pod)
    moving = [pod for name in names for pod in on.get(name, ()) if pod.moves]
    found: List[Blocker] = []
    for pod in moving:
        name = pod.node
        found += _budgets(name, pod, budgets)
        if not pod.controller[0] and not permission.delete_bare_pods:
            text = "pod {0} does not belong to a controller, so nothing would recreate it".format(pod.title)
            fix = "delete it, or set cluster_drain_delete_bare_pods: true to delete such pods"
            found.append(Blocker(name, BARE_POD, pod.title, text, fix))
        found += _orphans(name, pod, permission)
        if pod.volumes and not permission.delete_local_data:
            text = "pod {0} has local data that would be lost (emptyDir {1})".format(pod.title, _first(pod.volumes))
            fix = "set cluster_drain_delete_local_data: true if that data is not needed"
            found.append(Blocker(name, LOCAL_DATA, pod.title, text, fix))
    if not permission.pods_may_wait:
        found += _room(names, moving, nodes, on, allocatable)
    return found


def _orphans(name: str, pod: Pod, permission: Permission) -> List[Blocker]:
    """The blocker if the DaemonSet of the pod does not exist. ``kubectl drain`` requests it, and then fails."""
    controller = pod.controller[1]
    # The API server accepts any text as the name. kubectl does not request a name that would change the path, so the
    # drain fails with --force too.
    invalid = controller in (".", "..") or "/" in controller or "%" in controller
    if not pod.orphaned or (permission.delete_bare_pods and not invalid):
        return []
    text = "pod {0} has the controller DaemonSet {1}, which does not exist, so nothing would recreate it".format(
        pod.title, controller
    )
    fix = "delete it" if invalid else "delete it, or set cluster_drain_delete_bare_pods: true to delete such pods"
    return [Blocker(name, BARE_POD, pod.title, text, fix)]


def _budgets(name: str, pod: Pod, budgets: Sequence[Budget]) -> List[Blocker]:
    covering = [budget for budget in budgets if budget.covers(pod)]
    if not pod.started:
        # The API server does not check budgets when it evicts a pod that has not started.
        return []
    if len(covering) > 1:
        text = "pod {0} is covered by {1} PodDisruptionBudgets ({2}), so it can't be evicted".format(
            pod.title, len(covering), _first(sorted(one.name for one in covering))
        )
        return [Blocker(name, BUDGET, pod.title, text, "keep only one of them")]
    found = []
    for budget in covering:
        if budget.allowed > 0 or (budget.evicts_unhealthy and not pod.ready):
            continue
        text = "the PodDisruptionBudget {0}/{1} does not allow pod {2} to be evicted ({3} of {4} pods must run)".format(
            budget.namespace, budget.name, pod.title, budget.wanted, budget.expected
        )
        fix = "add a replica or change the budget"
        if not budget.permanent:
            fix = "the budget allows the eviction once all of its pods are ready"
        found.append(Blocker(name, BUDGET, pod.title, text, fix, passes=not budget.permanent))
    return found


def _room(
    names: Sequence[str],
    moving: Sequence[Pod],
    nodes: Sequence[Node],
    on: Mapping[str, Sequence[Pod]],
    allocatable: Mapping[str, Mapping[str, float]],
) -> List[Blocker]:
    """The pods that do not fit on any other node if the largest pods are placed first. ``on`` has the pods by node."""
    targets = [node for node in nodes if node.name not in names and node.ready and not node.unschedulable]
    free: Dict[str, Dict[str, float]] = {}
    for node in targets:
        free[node.name] = dict(allocatable.get(node.name, {}))
        for pod in on.get(node.name, ()):
            if not pod.over:
                _take(free[node.name], pod)
    found = []
    restarted = [pod for pod in moving if pod.controller[0] and not pod.orphaned]
    for pod in sorted(restarted, key=lambda one: (-one.requests.get("memory", 0.0), -one.requests.get("cpu", 0.0))):
        allowed = [node for node in targets if _may_run(pod, node)]
        fitting = next((node for node in allowed if _fits(pod, free[node.name])), None)
        if fitting is not None:
            _take(free[fitting.name], pod)
            continue
        why = "no other node accepts it (labels, taints, cordons)"
        if allowed:
            why = "the other nodes do not have {0} left".format(_wish(pod))
        text = "pod {0} does not fit on another node: {1}".format(pod.title, why)
        fix = "add a node, or set cluster_drain_pods_may_wait: true to let such pods wait for this node"
        found.append(Blocker(pod.node, ROOM, pod.title, text, fix))
    return found


def _first(names: Sequence[str]) -> str:
    """The first of the names, because users of the cluster decide how many there are."""
    return ", ".join([*names[:3], *(["and {0} more".format(len(names) - 3)] if len(names) > 3 else [])])


def _may_run(pod: Pod, node: Node) -> bool:
    if any(node.labels.get(key) != value for key, value in pod.selector.items()):
        return False
    return all(pod.tolerates(taint) for taint in node.taints)


def _fits(pod: Pod, free: Mapping[str, float]) -> bool:
    return all(amount <= free.get(name, 0.0) + 1e-6 for name, amount in pod.requests.items() if amount > 0)


def _take(free: Dict[str, float], pod: Pod) -> None:
    for name, amount in pod.requests.items():
        free[name] = free.get(name, 0.0) - amount


def _wish(pod: Pod) -> str:
    parts = []
    if pod.requests.get("cpu"):
        parts.append("{0:g} CPUs".format(round(pod.requests["cpu"], 3)))
    if pod.requests.get("memory"):
        parts.append("{0:.0f} MiB of memory".format(pod.requests["memory"] / 1048576))
    return " and ".join(parts) or "the resources it requests"
