# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's nodes as its API tells them, and waiting for them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, List, Mapping, Sequence, Tuple

from ..core.errors import KubesteadError
from .kubectl import NODES, ApiUnreachable, Kubectl

# Seconds that nodes are watched before all are looked at again: one may have fallen silent. A request may take longer.
_WATCH = 10.0


def listed(kubectl: Kubectl) -> List[Node]:
    """The nodes, by name. Raises like :meth:`Kubectl.json`."""
    return parse_nodes(kubectl.json(["get", "--raw", NODES]).get("items") or [])


def wait(
    kubectl: Kubectl,
    timeout: float,
    good: Callable[[Node], bool],
    what: str,
    failed: Sequence[str] = (),
    condition: str = "",
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> List[Node]:
    """Wait until ``good`` holds for every node whose kubelet is not silent; the nodes then.

    ``what`` says what they lack; ``failed`` names nodes that are not waited for. Where ``good`` is a ``condition`` of
    nodes the API tells when it comes, otherwise it is asked again and again. Raises :class:`KubesteadError` naming
    nodes and reason after ``timeout`` seconds.
    """
    begin, pause = clock(), 0.2
    while True:
        unreachable = None
        bad: List[Node] = []
        nodes: List[Node] = []
        try:
            nodes = listed(kubectl)
            bad = [node for node in nodes if not (node.silent or node.name in failed or good(node))]
        except ApiUnreachable as err:
            # Bringing the network up may restart the API server's pods: that is for the timeout to judge.
            unreachable = err
        if nodes and not bad:
            return nodes
        left = begin + timeout - clock()
        if left <= 0:
            if unreachable is not None:
                raise unreachable
            raise KubesteadError(_failure(nodes, bad, what, timeout))
        if bad and condition and _watched(kubectl, [node.name for node in bad], condition, min(left, _WATCH)):
            continue
        sleep(pause)
        pause = min(pause * 1.5, 2.0)


def _watched(kubectl: Kubectl, names: Sequence[str], condition: str, seconds: float) -> bool:
    """Wait until the nodes have the condition; False when they lack it after ``seconds``, or can't be watched."""
    seconds = max(seconds, 1.0)
    argv = ["wait", "--for=condition={0}".format(condition), "--timeout={0:.0f}s".format(seconds)]
    # An older kubectl gives each node that time, one after the other.
    return kubectl.run(argv + ["node/{0}".format(name) for name in names], timeout=seconds + 2.0).ok


def wait_ready(kubectl: Kubectl, timeout: float, failed: Sequence[str] = ()) -> List[Node]:
    """Wait until every node is Ready; ``failed`` and those whose kubelet is silent are left out. See :func:`wait`."""
    return wait(kubectl, timeout, lambda node: node.ready, "Ready", failed, condition="Ready")


def silent_warning(nodes: List[Node]) -> str:
    """What to say of nodes whose kubelet is silent, or ""."""
    silent = [node.name for node in nodes if node.silent]
    if not silent:
        return ""
    return "not waited for, their kubelet is silent: {0}".format(", ".join(silent))


def _failure(nodes: List[Node], bad: List[Node], what: str, timeout: float) -> str:
    if not nodes:
        return "the cluster has no node after {0:.0f} s; see journalctl -u kubelet".format(timeout)
    told = ", ".join("{0} ({1})".format(node.name, node.message or "no reason given") for node in bad[:3])
    more = " and {0} more".format(len(bad) - 3) if len(bad) > 3 else ""
    return "{0} of {1} nodes are not {2} after {3:.0f} s: {4}{5}; see journalctl -u kubelet there".format(
        len(bad), len(nodes), what, timeout, told, more
    )


@dataclass(frozen=True)
class Node:
    """A node as the API tells it. Ranges and addresses: one, or one of each family."""

    name: str
    pod_cidrs: List[str] = field(default_factory=list)
    addresses: List[str] = field(default_factory=list)
    ready: bool = False
    # Why it is not ready, in the kubelet's words.
    message: str = ""
    # True when the kubelet is silent: the node is gone or cut off.
    silent: bool = False
    # True for a node that is still to join: its pod range is not known yet.
    foreseen: bool = False


# -- nodes that are to come, and those the API tells of


def with_foreseen(nodes: Sequence[Node], joining: Sequence[Node]) -> List[Node]:
    """The nodes, and those of ``joining`` that are none of them yet."""
    names = [node.name for node in nodes]
    return list(nodes) + [replace(node, foreseen=True) for node in joining if node.name not in names]


def parse_nodes(items: Sequence[Mapping[str, Any]]) -> List[Node]:
    """Nodes out of a list of the API's, by name."""
    nodes = []
    for item in items:
        spec, status = item.get("spec") or {}, item.get("status") or {}
        ranges = [str(text) for text in spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])]
        addresses = [
            str(entry["address"]) for entry in status.get("addresses") or [] if entry.get("type") == "InternalIP"
        ]
        name = str((item.get("metadata") or {}).get("name"))
        nodes.append(Node(name, ranges, addresses, *_readiness(status)))
    return sorted(nodes, key=lambda node: node.name)


def _readiness(status: Mapping[str, Any]) -> Tuple[bool, str, bool]:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Ready":
            ready, silent = condition.get("status") == "True", condition.get("status") == "Unknown"
            return ready, "" if ready else str(condition.get("message") or condition.get("reason") or ""), silent
    return False, "the kubelet has not reported yet", False
