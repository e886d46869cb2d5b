# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The nodes of the cluster in its API, and waiting for them."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core import untrusted
from ..core.addresses import normal_address, plain_network
from ..core.errors import KubesteadError
from .kubectl import NODES, ApiUnreachable, Kubectl


@dataclass(frozen=True)
class Node:
    """A Node object of the API, or one that is still to join (``expected``).

    ``pod_cidrs`` and ``addresses`` (its InternalIPs, in canonical form) hold one entry, or one of each family.
    ``not_ready_reason`` is why it is not ready, in the kubelet's words; ``silent`` is true when the kubelet has stopped
    reporting, so that the machine is gone or disconnected. ``roles`` are the parts behind ``node-role.kubernetes.io/``
    of its labels, ``taints`` are ``key[=value]:Effect``, ``kubelet_version`` is without ``v``, ``runtime`` is like
    ``containerd://1.7.24``. ``cordoned_by`` is the owner of the Node's cordon if this collection set it, otherwise
    empty.
    """

    name: str
    pod_cidrs: List[str] = field(default_factory=list)
    addresses: List[str] = field(default_factory=list)
    ready: bool = False
    not_ready_reason: str = ""
    silent: bool = False
    expected: bool = False
    roles: List[str] = field(default_factory=list)
    labels: Dict[str, str] = field(default_factory=dict)
    taints: List[str] = field(default_factory=list)
    unschedulable: bool = False
    cordoned_by: str = ""
    kubelet_version: str = ""
    runtime: str = ""
    machine_id: str = ""

    @property
    def internal_ip(self) -> str:
        """The first of its addresses; empty if the kubelet has not reported one."""
        return self.addresses[0] if self.addresses else ""

    @property
    def control_plane(self) -> bool:
        """True for a node that carries the label of a control plane (``master`` up to 1.23)."""
        return "control-plane" in self.roles or "master" in self.roles


def with_joining(nodes: Sequence[Node], joining: Sequence[Node]) -> List[Node]:
    """The nodes, and those of ``joining`` that the API does not know yet."""
    names = [node.name for node in nodes]
    return list(nodes) + [replace(node, expected=True) for node in joining if node.name not in names]


# -- reading


def read_nodes(data: Any) -> List[Node]:
    """The nodes of a NodeList, sorted by name.

    A kubelet writes most of its own Node, so nothing in it is trusted: a value of the wrong type is read as its
    default. Invalid addresses, invalid ranges, entries without a valid node name, and labels and taints beyond any that
    a real node has are left out. Never raises.
    """
    nodes = [_node(item) for item in untrusted.mappings(untrusted.mapping(data).get("items"))]
    return sorted((node for node in nodes if _NAME.fullmatch(node.name)), key=lambda node: node.name)


def _node(item: Mapping[str, Any]) -> Node:
    metadata, spec = untrusted.mapping(item.get("metadata")), untrusted.mapping(item.get("spec"))
    status = untrusted.mapping(item.get("status"))
    information = untrusted.mapping(status.get("nodeInfo"))
    labels = _labels(untrusted.labels(metadata.get("labels")))
    addresses = [
        untrusted.text(entry.get("address"))
        for entry in untrusted.mappings(status.get("addresses"))
        if entry.get("type") == "InternalIP"
    ]
    condition = next((one for one in untrusted.mappings(status.get("conditions")) if one.get("type") == "Ready"), None)
    ready, reason, silent = _readiness(condition)
    return Node(
        name=untrusted.text(metadata.get("name")),
        pod_cidrs=[one for one in untrusted.texts(spec.get("podCIDRs") or [spec.get("podCIDR")]) if _is_range(one)][
            :_RANGES
        ],
        addresses=[normal_address(one) for one in addresses if untrusted.is_address(one)][:_ADDRESSES],
        ready=ready,
        not_ready_reason=reason,
        silent=silent,
        roles=sorted(name[len(_ROLE) :] for name in labels if name.startswith(_ROLE) and name != _ROLE),
        labels=labels,
        taints=[one for one in map(_taint, untrusted.mappings(spec.get("taints"))) if one][:_TAINTS],
        unschedulable=spec.get("unschedulable") is True,
        cordoned_by=cordon_owner(item),
        kubelet_version=re.sub("^v", "", untrusted.text(information.get("kubeletVersion"), 64)),
        runtime=untrusted.text(information.get("containerRuntimeVersion"), 64),
        machine_id=untrusted.text(information.get("machineID"), 64),
    )


# A node name that the API accepts. Messages contain the name in commands for the user to run.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
# One pod CIDR per address family, and more addresses, labels and taints than any real node has. A control plane reports
# the Nodes of all machines, so one that is too large would make the answer of the control plane too large.
_RANGES, _ADDRESSES, _LABELS, _TAINTS = 2, 32, 500, 100
_ROLE = "node-role.kubernetes.io/"
#: Annotation on a Node that this collection cordoned: the operation, and after a colon details, such as
#: ``kubestead.cluster upgrade: to 1.36.2``.
CORDONED_BY = "kubestead.cluster/cordoned-by"
#: The client that the API server records for a cordon of this collection. kubectl has one name for all of its patches.
CORDON_MANAGER = "kubestead.cluster"
# The API server joins the oldest entries of an object under this name if it has more than ten of them.
_JOINED = "ancient-changes"


def cordon_operation(owner: str) -> str:
    """The operation that a cordon belongs to, from the value of its annotation: the part before a colon."""
    return owner.partition(":")[0]


def _labels(found: Mapping[str, str]) -> Dict[str, str]:
    """At most :data:`_LABELS` labels. The roles, which a kubelet can't set, come first."""
    names = sorted(found, key=lambda name: not name.startswith(_ROLE)) if len(found) > _LABELS else list(found)
    return {name: found[name] for name in names[:_LABELS]}


def cordon_owner(item: Mapping[str, Any]) -> str:
    """The owner of a Node's cordon, if this collection set it; empty if another client did.

    The annotation alone is not enough. It stays when another client uncordons the Node, and that client may cordon the
    Node again later. This collection sets the annotation and the cordon in one request and under its own name, so the
    API server records both fields in the same entry of ``managedFields``. A field that is removed is removed from all
    entries.
    """
    metadata = untrusted.mapping(item.get("metadata"))
    owner = untrusted.labels(metadata.get("annotations")).get(CORDONED_BY, "")
    if not owner or untrusted.mapping(item.get("spec")).get("unschedulable") is not True:
        return owner
    entries = untrusted.mappings(metadata.get("managedFields"))
    setters = [one for one in entries if "f:unschedulable" in untrusted.mapping(_fields(one).get("f:spec"))]
    # Without a record of the cordon, only the annotation is left.
    return owner if not setters or any(_is_own(one) for one in setters) else ""


def _fields(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return untrusted.mapping(entry.get("fieldsV1"))


def _is_own(entry: Mapping[str, Any]) -> bool:
    notes = untrusted.mapping(untrusted.mapping(_fields(entry).get("f:metadata")).get("f:annotations"))
    return entry.get("manager") in (CORDON_MANAGER, _JOINED) and "f:" + CORDONED_BY in notes


def _readiness(condition: Optional[Mapping[str, Any]]) -> Tuple[bool, str, bool]:
    """(ready, why not, silent) of a Node's condition Ready."""
    if condition is None:
        return False, "the kubelet has not reported yet", False
    ready, silent = condition.get("status") == "True", condition.get("status") == "Unknown"
    reason = untrusted.text(condition.get("message"), 400) or untrusted.text(condition.get("reason"))
    return ready, "" if ready else reason, silent


def _taint(taint: Mapping[str, Any]) -> str:
    key, effect = untrusted.text(taint.get("key"), 317), untrusted.text(taint.get("effect"), 64)
    value = untrusted.text(taint.get("value"))
    return "{0}{1}:{2}".format(key, "=" + value if value else "", effect) if key and effect else ""


def _is_range(text: str) -> bool:
    try:
        plain_network(text)
    except ValueError:
        return False
    return True


# -- asking and waiting

# Seconds that nodes are watched before all are looked at again: one may have fallen silent. A request may take longer.
_WATCH = 10.0


def listed(kubectl: Kubectl) -> List[Node]:
    """The nodes, by name. Raises like :meth:`Kubectl.parsed`."""
    return read_nodes(kubectl.read(NODES))


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

    ``what`` describes the condition; ``failed`` are nodes that are not waited for. If ``good`` is a ``condition`` of
    nodes, kubectl waits for it; otherwise the nodes are queried repeatedly. Raises :class:`KubesteadError` naming
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
            # The start of the pod network may restart the API server. Only the timeout ends the wait.
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
    """Wait until the nodes have the condition. False if they lack it after ``seconds``, or can't be watched."""
    seconds = max(seconds, 1.0)
    argv = ["wait", "--for=condition={0}".format(condition), "--timeout={0:.0f}s".format(seconds)]
    # An older kubectl applies this time limit to each node, one after the other.
    return kubectl.run(argv + ["node/{0}".format(name) for name in names], timeout=seconds + 2.0).ok


def wait_ready(kubectl: Kubectl, timeout: float, failed: Sequence[str] = ()) -> List[Node]:
    """Wait until every node is Ready; ``failed`` and those whose kubelet is silent are left out. See :func:`wait`."""
    return wait(kubectl, timeout, lambda node: node.ready, "Ready", failed, condition="Ready")


def silent_warning(nodes: List[Node]) -> str:
    """The warning about nodes whose kubelet does not report; empty without such nodes."""
    silent = [node.name for node in nodes if node.silent]
    if not silent:
        return ""
    return "did not wait for nodes whose kubelet does not report: {0}".format(", ".join(silent))


def _failure(nodes: List[Node], bad: List[Node], what: str, timeout: float) -> str:
    if not nodes:
        return "the cluster does not have a node after {0:.0f} s; see journalctl -u kubelet".format(timeout)
    shown = ", ".join("{0} ({1})".format(node.name, node.not_ready_reason or "no reason given") for node in bad[:3])
    more = " and {0} more".format(len(bad) - 3) if len(bad) > 3 else ""
    return "{0} of {1} nodes are not {2} after {3:.0f} s: {4}{5}; see journalctl -u kubelet on these nodes".format(
        len(bad), len(nodes), what, timeout, shown, more
    )
