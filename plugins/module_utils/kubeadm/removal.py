# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes another machine's etcd member and Node from the cluster. It runs on a control plane that stays."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import List, Optional, Sequence

from ..core.errors import KubesteadError
from ..core.poll import poll
from ..core.step import Step
from ..core.system import System
from ..etcd import members as etcd
from ..etcd.client import Client, client
from ..etcd.members import Member
from ..kube.kubectl import NODES, Kubectl
from ..kube.nodes import Node, listed
from . import static_pods
from .static_pods import StaticPod

COMPONENT = "cluster"
API_SERVER = "kube-apiserver"
ETCD, NODE = "etcd", "node"
PARTS = (ETCD, NODE)


@dataclass(frozen=True)
class MemberFacts:
    """The members of etcd as the member on a control plane lists them. Empty if it did not answer, or without one."""

    members: List[Member] = field(default_factory=list)


@dataclass(frozen=True)
class Leaver:
    """The machine to remove: its node name and its known addresses."""

    name: str
    addresses: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class ClusterState:
    """The cluster as observed from this control plane. ``etcd_url`` is empty if it does not run an etcd member."""

    etcd_url: str = ""
    members: List[Member] = field(default_factory=list)
    nodes: List[Node] = field(default_factory=list)

    def node(self, name: str) -> Optional[Node]:
        """The Node of that name."""
        return next((node for node in self.nodes if node.name == name), None)


# -- Observation


def observe(system: System, parts: Sequence[str], request: Optional[Client] = None) -> ClusterState:
    """Query this control plane's API server and etcd member. Raises :class:`KubesteadError` if they do not answer."""
    nodes = listed(_own_api(system))
    url = static_pods.etcd_url(static_pods.observe(system).get("etcd", StaticPod()))
    if ETCD not in parts or not url:
        return ClusterState(nodes=nodes)
    try:
        members = etcd.observe([url], request or client(system))
    except OSError as err:
        raise KubesteadError(
            "the etcd member of this control plane does not answer: {0}; see 'crictl logs' of its container".format(err)
        ) from err
    return ClusterState(url, members, nodes)


def observe_members(system: System, url: str, request: Optional[Client] = None) -> MemberFacts:
    """The members that the etcd at ``url``, the one of this machine, lists. Never raises."""
    try:
        return MemberFacts(etcd.observe([url], request or client(system)) if url else [])
    except OSError:
        return MemberFacts()


def _own_api(system: System) -> Kubectl:
    """kubectl for this machine's own API server. The endpoint may resolve to the machine that is removed."""
    return Kubectl(system, server=static_pods.api_server_url(static_pods.observe(system).get(API_SERVER, StaticPod())))


# -- Planning


def addresses_of(state: ClusterState, leaver: Leaver) -> List[str]:
    """The machine's addresses: those given and those of its Node, without addresses of other Nodes with a member.

    A worker could otherwise keep the member of this machine by claiming its address.
    """
    node = state.node(leaver.name)
    own = [*leaver.addresses, *(node.addresses if node else [])]
    named = {member.name for member in state.members}
    controls = [one for one in state.nodes if one.control_plane or one.name in named]
    others = [address for one in controls if one.name != leaver.name for address in one.addresses]
    return list(dict.fromkeys(address for address in own if address not in others))


def members_of(state: ClusterState, leaver: Leaver) -> List[Member]:
    """The etcd members of the machine."""
    return etcd.leaving(state.members, leaver.name, addresses_of(state, leaver))


def without_members(state: ClusterState, leavers: Sequence[Leaver]) -> ClusterState:
    """The state after the etcd members of these machines are removed."""
    gone = [member for leaver in leavers for member in members_of(state, leaver)]
    return replace(state, members=[one for one in state.members if one not in gone])


def plan(state: ClusterState, leaver: Leaver, parts: Sequence[str]) -> List[Step]:
    """The steps that remove the machine. Raises :class:`KubesteadError` if etcd would lose its majority."""
    steps = []
    if ETCD in parts:
        going = members_of(state, leaver)
        why = etcd.refusal(state.members, going)
        if why:
            raise KubesteadError("{0} can't be removed: {1} (nothing was changed)".format(leaver.name, why))
        for member in going:
            steps.append(Step(COMPONENT, "remove_member", member.label, "of {0}".format(leaver.name)))
    if NODE in parts and state.node(leaver.name) is not None:
        steps.append(Step(COMPONENT, "delete_node", leaver.name, "the host leaves the cluster"))
    return steps


# -- Application


def apply(step: Step, system: System, state: ClusterState, leaver: Leaver, request: Optional[Client] = None) -> None:
    """Apply one step, and verify its result. Raises :class:`KubesteadError`."""
    if step.action == "remove_member":
        etcd.remove([state.etcd_url], request or client(system), leaver.name, addresses_of(state, leaver))
    else:
        _delete_node(system, leaver.name)


_NODE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\Z")


def _delete_node(system: System, name: str) -> None:
    if not _NODE_NAME.match(name):
        raise KubesteadError("{0!r} is not the name of a Node; give the name that kubectl get nodes shows".format(name))
    kubectl = _own_api(system)
    result = kubectl.run(["delete", "--raw", "{0}/{1}".format(NODES, name)])
    if not result.ok and "NotFound" not in result.stderr + result.stdout:
        raise kubectl.error(["delete", "node", name], result)
    if not poll(lambda: all(node.name != name for node in listed(kubectl)), 60.0, pause=0.5):
        raise KubesteadError(
            "Node {0} still exists after 60 s; see its finalizers with kubectl get node {0} -o yaml".format(name)
        )
