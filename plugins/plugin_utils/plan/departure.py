# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The common part of reset and remove: the machines that leave a cluster, and whether the cluster can run without them.

The majority of etcd is counted here from observed facts, so that a run is refused before anything is changed. The
module that removes a member counts again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import AbstractSet, Dict, FrozenSet, Iterable, List, Optional, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import url_host
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import is_address
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.quorum import first_loss
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import removal

from ..cluster import Cluster
from ..hosts import Host, names
from .cluster import existing
from .membership import reference_control_plane
from .result import Leaving, Request

COMPONENT = "cluster"
TARGETS = "remove_hosts"
GONE = "remove_gone"
# Names of members come from etcd. Only such names become part of a command that the user may copy.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Remainder:
    """The cluster without the hosts that leave.

    ``reference`` is a remaining control plane with a healthy API server, or None. ``cluster`` is the cluster as any
    control plane reports it, including a control plane that leaves.
    """

    targets: Sequence[str]
    known: Sequence[Host]
    cluster: Cluster
    reference: Optional[Host]

    @property
    def api_host(self) -> str:
        """The control plane that removes other machines; empty if no healthy one remains."""
        return self.reference.name if self.reference else ""

    @property
    def members(self) -> Sequence[Member]:
        """The members of etcd as ``reference`` lists them; empty if they are not known."""
        return self.reference.facts.etcd.members if self.reference else ()

    @property
    def staying(self) -> List[Host]:
        """The observed hosts that stay."""
        return [host for host in self.known if host.name not in self.targets]


def remainder(request: Request) -> Remainder:
    """The cluster without the targets."""
    known = [*request.hosts, *request.reference_control_planes]
    staying = [host for host in known if host.name not in request.targets and _is_healthy(host)]
    reference = staying[0] if staying else None
    view = reference or reference_control_plane(request.hosts, request.reference_control_planes)
    return Remainder(request.targets, known, existing(view) if view else Cluster(), reference)


def _is_healthy(host: Host) -> bool:
    """True for a control plane whose own API server answers. A shared endpoint would hide a dead control plane."""
    state = host.kubeadm
    live = state.api.live and not state.local_api.failed and not state.unfinished_init
    # The claim of a worker to be a control plane is ignored.
    return host.control_plane and state.role == "control_plane" and live


def node_of(host: Host, request: Request, cluster: Cluster) -> Optional[Node]:
    """The Node of a host; None if the host is a member of another cluster that has a Node of the same name.

    A host could claim the name of another Node. The inventory must therefore have the reported name, or an address of
    the Node.
    """
    node = cluster.node(host.kubeadm.node_name)
    if node is None or not _is_listed(host, request, node):
        return None
    same_ca = bool(host.kubeadm.ca_cert_hash) and host.kubeadm.ca_cert_hash == cluster.ca_cert_hash
    own = {one.address for one in host.node.addresses}
    bare = not host.kubeadm.ca_cert_hash and bool(own & set(node.addresses))
    return node if same_ca or bare else None


def _is_listed(host: Host, request: Request, node: Node) -> bool:
    named = node.name in (host.name, host.options.control_plane.node_name)
    return named or bool(set(request.addresses.get(host.name, ())) & set(node.addresses))


def unlisted_findings(hosts: Sequence[Host], request: Request, cluster: Cluster) -> List[Finding]:
    """Findings about hosts that report a Node which the inventory does not assign to them."""
    found = []
    for host in hosts:
        node = cluster.node(host.kubeadm.node_name)
        if node is not None and host.kubeadm.ca_cert_hash == cluster.ca_cert_hash:
            found += unlisted(host, request, node)
    return found


def unlisted(host: Host, request: Request, node: Node) -> List[Finding]:
    """The finding about a host that reports to be this Node, unless the inventory assigns the Node to it."""
    if _is_listed(host, request, node):
        return []
    text = "reports that it is Node {0}, but the inventory has neither this name nor an address of this Node".format(
        node.name
    )
    fix = "check that it is the expected machine, then set cluster_node_name for this host"
    return [Finding(host.name, COMPONENT, Problem("node_name", text, fix))]


def has_member(control_plane: bool, name: str, addresses: Sequence[str], left: Remainder) -> bool:
    """True for a control plane that has an etcd member, or may have one because the members are not known.

    ``control_plane`` is what the inventory says, or a label of the Node that a kubelet can't set.
    """
    return control_plane and (not left.members or bool(members_of(name, addresses, left)))


def members_of(name: str, addresses: Sequence[str], left: Remainder) -> List[Member]:
    """The known etcd members of the machine with this node name and these addresses."""
    state = removal.ClusterState(members=list(left.members), nodes=list(left.cluster.nodes))
    return removal.members_of(state, removal.Leaver(name, list(addresses)))


def member_answers(one: Leaving, left: Remainder) -> bool:
    """False for a machine whose etcd member does not answer. It is removed first, because it counts as a voter."""
    failed = any(host.name == one.host and host.kubeadm.etcd.failed for host in left.known)
    return not (one.gone or failed) and all(member.healthy for member in members_of(one.name, one.addresses, left))


# -- where the API no longer answers


@dataclass(frozen=True)
class Gone:
    """The names and addresses at which no API server answers once control planes have left.

    ``places`` are those that the inventory, the Node or (an address) the machine gives for them. ``labels`` are the
    first parts of their names, and of the host names that the machines report. ``kept`` are names and addresses that
    stay valid. Names are in lower case, addresses in canonical form.
    """

    places: FrozenSet[str] = frozenset()
    labels: FrozenSet[str] = frozenset()
    kept: FrozenSet[str] = frozenset()

    def has(self, url: str) -> bool:
        """True if a URL has one of these names or addresses."""
        return _place(url_host(url)) in self.places

    def may_have(self, url: str) -> bool:
        """True if a URL has a name that may be another name of a control plane that leaves: with another domain."""
        place = _place(url_host(url))
        return not self.has(url) and place not in self.kept and bool(_labels([place]) & self.labels)


def gone(request: Request, left: Remainder, leaving: Sequence[Leaving], going: AbstractSet[str]) -> Gone:
    """Where the API no longer answers after the hosts ``going`` and the machines ``leaving`` have left.

    A control plane in the inventory counts even if an earlier run has removed it. A name or address that the inventory
    also gives to a control plane that stays does not count, for example that of a jump host, nor does the endpoint or
    the virtual IP address.
    """
    controls = going & set(request.inventory.control_plane)
    hosts = [host for host in request.hosts if host.name in controls]
    found = [place for name in controls for place in (*request.addresses.get(name, ()), *request.places.get(name, ()))]
    found += [host.address for host in hosts]
    for one in leaving:
        node = left.cluster.node(one.name)
        if one.host in controls or one.etcd or (node is not None and node.control_plane):
            found += [*one.addresses, one.name, *request.places.get(one.host, ())]
    cluster = without(leaving, left.cluster)
    kept = [place for node in cluster.control_planes for place in (*node.addresses, node.name)]
    staying = [name for name in request.inventory.control_plane if name not in going]
    kept += [place for name in staying for place in request.places.get(name, ())]
    kept += [cluster.endpoint_place[0], *(host.options.api_endpoint.address for host in left.staying)]
    valid = frozenset(map(_place, kept))
    places = frozenset(map(_place, found)) - valid - {""}
    labels = _labels([*places, *(_place(host.node.hostname) for host in hosts)]) - _labels(valid)
    return Gone(places, labels, valid)


def without(leaving: Sequence[Leaving], cluster: Cluster) -> Cluster:
    """The cluster without the Nodes of these machines."""
    going = [one.name for one in leaving]
    return replace(cluster, nodes=[node for node in cluster.nodes if node.name not in going])


def _place(text: str) -> str:
    return text.lower().rstrip(".")


def _labels(places: Iterable[str]) -> FrozenSet[str]:
    return frozenset(place.partition(".")[0] for place in places if place and not is_address(place))


# -- findings


def majority_findings(left: Remainder, leaving: Sequence[Leaving]) -> List[Finding]:
    """The error if etcd would lose its majority after any removal. Members that do not answer are removed first."""
    if not left.reference or "etcd" not in left.reference.kubeadm.static_pods:
        return []
    if left.members:
        voters = {_title(one, left): one.healthy for one in left.members if not one.learner}
        machines = [one for one in leaving if one.etcd]
        every = [_title(one, left) for machine in machines for one in members_of(machine.name, machine.addresses, left)]
        going = [name for name in dict.fromkeys(every) if name in voters]
    else:
        voters = _estimated(left)
        going = [one.name for one in leaving if one.name in voters]
    loss = first_loss(voters, going)
    if loss is None:
        return []
    text = "the removal of {0} would leave {1} of {2} etcd members healthy, which is not a majority".format(
        loss.member, loss.healthy_left, loss.voters_left
    )
    known = [name for name in loss.down if left.cluster.node(name)]
    strays = [one for one in left.members if _title(one, left) in loss.down and not left.cluster.node(one.name)]
    ways = ["start {0} again".format(", ".join(known))] if known else []
    ways += [
        "remove {0}, which does not belong to a Node, with -e {1}={2} -e {3}=true".format(
            one.label, TARGETS, one.name if _PLAIN_NAME.fullmatch(one.name) else "HOST", GONE
        )
        for one in strays
    ]
    fix = ", or ".join(ways) or "add another control plane first"
    return [Finding(loss.member, COMPONENT, Problem("etcd_majority", text, fix))]


def _title(member: Member, left: Remainder) -> str:
    """The name of the member's Node; for a member without a Node, also its peer URL."""
    return member.name if left.cluster.node(member.name) else member.label


def _estimated(left: Remainder) -> Dict[str, bool]:
    """The control planes, and whether the etcd member of each one is healthy, if the members are not known."""
    # The claim of a worker to be a control plane is ignored, for its own etcd member and for those of other hosts.
    asked = [host for host in left.known if host.control_plane]
    answering = {host.kubeadm.node_name for host in asked if not host.kubeadm.etcd.failed and host.kubeadm.etcd.url}
    observed = {host.kubeadm.node_name for host in asked}
    # For a control plane that is not in the inventory, the ready state of its Node counts.
    answering |= {node.name for node in left.cluster.nodes if node.ready and node.name not in observed}
    return {node.name: node.name in answering for node in left.cluster.nodes if node.control_plane}


def endpoint_findings(request: Request, left: Remainder, leaving_nodes: Sequence[str]) -> List[Finding]:
    """The warning about hosts that the play can't change, and that keep the address of a control plane that leaves.

    An error instead if the endpoint of the cluster is the address of such a control plane, and its Node is ready. If it
    is not ready, the address may belong to another machine now.
    """
    place = left.cluster.endpoint_place[0]
    holder = next((node for node in left.cluster.control_planes if place and place in node.addresses), None)
    if holder and holder.ready and holder.name in leaving_nodes:
        text = "the endpoint of the cluster is the address {0} of this control plane, so all nodes would lose the API"
        fix = "run endpoint.yml first, which gives the cluster an endpoint that is a name"
        return [Finding(holder.name, COMPONENT, Problem("endpoint", text.format(place), fix))]
    controls = [node.name for node in left.cluster.control_planes if node.name in leaving_nodes]
    changed = {*names(request.hosts), *left.targets}
    others = [name for name in (*request.inventory.control_plane, *request.inventory.workers) if name not in changed]
    if not (left.cluster.by_hosts and controls and others):
        return []
    text = "hosts that did not answer or are not in this play keep {1} among the addresses of the API: {0}".format(
        ", ".join(others), ", ".join(controls)
    )
    fix = "run site.yml for these hosts"
    return [Finding("all", COMPONENT, Problem("endpoint", text, fix, "warning"))]


def unobserved_findings(request: Request, left: Remainder, where: Gone) -> List[Finding]:
    """Warnings about control planes that stay and were not observed: copies on them may keep a server that leaves."""
    known, found = {*left.targets, *names(left.known)}, []
    reasons = {**request.unobserved, **request.unobserved_outside}
    for name in request.inventory.control_plane if where.places else ():
        if name in known:
            continue
        text = "{0}; ~/.kube/config on it may keep a control plane that leaves as its server".format(
            reasons.get(name, "does not answer")
        )
        fix = "once it answers, run site.yml with --limit {0}, or set the server in this file".format(name)
        found.append(Finding(name, COMPONENT, Problem("unreachable", text, fix, "warning")))
    return found


def last_control_plane(left: Remainder, fix: str) -> Finding:
    """The error about an operation that would remove the last healthy control plane."""
    staying = [host.name for host in left.staying if host.control_plane and host.kubeadm.role == "control_plane"]
    text = "no control plane with a healthy API server would be left"
    if staying:
        text += " (no answer from {0})".format(", ".join(staying))
    return Finding("all", COMPONENT, Problem("last_control_plane", text, fix))


def unknown_markers(hosts: Sequence[Host], kinds: Sequence[str]) -> List[Finding]:
    """Findings about hosts with the marker of an operation that this version does not support."""
    found = []
    for host in hosts:
        operation = host.kubeadm.operation
        if operation is not None and operation.kind not in kinds:
            text = "has an unfinished operation '{0}' that this version does not support".format(operation.kind or "?")
            fix = "finish it with the version that started it, or update the collection"
            found.append(Finding(host.name, COMPONENT, Problem("operation", text, fix)))
    return found


def known_names(hosts: Sequence[Host]) -> List[str]:
    """The names of hosts in the inventory, and the names of their Nodes."""
    return [*names(hosts), *(host.kubeadm.node_name for host in hosts)]
