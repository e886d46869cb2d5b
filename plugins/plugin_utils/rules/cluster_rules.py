# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules between hosts: identities, clocks, networks and reachability. Pure.

What one host must have for itself is in :mod:`host_rules`; both are asked here, so that a plan needs one call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.host import connect
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE

from ..cluster import Cluster
from ..hosts import Host
from . import clock_skew, host_rules, range_rules, reachability

COMPONENT = "cluster"

# VRRP's addresses belong to whoever holds the shared address at the moment.
_SHARED_MACS = ("00:00:5e:00:01", "00:00:5e:00:02", "00:00:00:00:00:00")


@dataclass(frozen=True)
class ClusterView:
    """The input of the rules.

    ``hosts`` are those of the play, ``reference_control_planes`` are observed control planes outside the play.
    ``joining`` are the names of the hosts that will become nodes. ``init_host`` is the one that initializes; empty if a
    cluster exists. ``cluster`` is the cluster in the plan.
    """

    hosts: Sequence[Host]
    joining: Sequence[str] = ()
    init_host: str = ""
    cluster: Cluster = Cluster()
    reference_control_planes: Sequence[Host] = ()
    components: Sequence[str] = ()

    @property
    def joining_hosts(self) -> List[Host]:
        """The hosts that are not nodes yet."""
        return [host for host in self.hosts if host.name in self.joining]

    @property
    def all_hosts(self) -> List[Host]:
        """The hosts of the play and those outside of it that are known."""
        return [*self.hosts, *self.reference_control_planes]

    @property
    def unmatched_nodes(self) -> List[Node]:
        """Nodes of the cluster that do not match a known host."""
        known = {host.kubeadm.node_name for host in self.all_hosts if host.kubeadm.phase == DONE}
        return [node for node in self.cluster.nodes if node.name not in known]


def findings(view: ClusterView) -> List[Finding]:
    """Everything that is wrong with the hosts and between them."""
    found = []
    for host in view.hosts:
        problems = host_rules.any_host_problems(host)
        if host.name in view.joining:
            problems += host_rules.joining_host_problems(host, view.cluster, view.components)
            problems += host_rules.proxy_problems(host, _unproxied(host, view))
        found += [Finding(host.name, COMPONENT, problem) for problem in problems]
    found += (
        _ranges(view)
        + _names(view)
        + _claimed_bare(view)
        + _identities(view)
        + _clocks(view)
        + _mtus(view)
        + _reachability(view)
    )
    # Others are there to compare with; what is wrong with them is for their own run.
    playing = {host.name for host in view.hosts}
    return [finding for finding in found if finding.host in playing]


# -- address ranges


def _ranges(view: ClusterView) -> List[Finding]:
    found = []
    known = {node.name for node in view.cluster.nodes}
    nodes = len(known | {host.node_name for host in view.joining_hosts})
    for host in view.joining_hosts:
        problems = range_rules.overlap_problems(host, view.cluster) + range_rules.family_problems(host, view.cluster)
        if "cni" in view.components:
            problems += range_rules.room_problems(host, view.cluster, nodes)
        found += [Finding(host.name, COMPONENT, problem) for problem in problems]
    return found


def _unproxied(host: Host, view: ClusterView) -> List[str]:
    """What a host must reach without a proxy: pods, Services, the control planes, the API and itself."""
    wanted = [str(getattr(view.cluster, name)) for name in ("pod_cidr", "service_cidr")]
    wanted = [part.strip() for text in wanted for part in text.split(",") if part.strip()]
    wanted += [one.address for one in view.all_hosts if one.control_plane and one.address]
    # Programs compare the name that they connect to, not the address behind it.
    wanted += [view.cluster.endpoint_place[0]] if view.cluster.by_hosts else []
    return list(dict.fromkeys([*wanted, host.address] if host.address else wanted))


# -- who is who


def _names(view: ClusterView) -> List[Finding]:
    """Findings about names that are not unique: a second node silently takes over the Node of the first."""
    found = []
    seen: Dict[str, str] = {}
    for host in view.joining_hosts:
        name = host.node_name
        if name in seen:
            text = "has the same host name as {1} ({0})".format(name, seen[name])
            found.append(Finding(host.name, "join", Problem("hostname", text, "give each host a unique name")))
        seen.setdefault(name, host.name)
        member = view.cluster.node(name)
        if member is None or host.name == view.init_host:
            continue
        same = member.machine_id in ("", host.node.machine_id)
        if host.kubeadm.operation and same:
            # Its own Node, of an interrupted join.
            continue
        fix = "give this host a unique name, or run 'kubectl delete node {0}' if that machine no longer exists".format(
            name
        )
        if member.ready:
            text = "would join as {0}, but the cluster has a ready node with this name".format(name)
            found.append(Finding(host.name, "join", Problem("node_name_taken", text, fix)))
        elif member.machine_id and host.node.machine_id and member.machine_id != host.node.machine_id:
            text = "would replace node {0}, which is another machine and not ready".format(name)
            found.append(Finding(host.name, "join", Problem("node_name_taken", text, fix, "warning")))
    return found


def _claimed_bare(view: ClusterView) -> List[Finding]:
    """Findings about hosts that want to join, although they are the machine of a Node by the inventory.

    A compromised node can claim to be a new machine of another name, to get a token for another node.
    """
    found = []
    for host in view.joining_hosts:
        if not view.cluster.exists:
            break
        place = host.facts.connects_to
        alone = [one.name for one in view.all_hosts if one.facts.connects_to == place] == [host.name]
        for node in view.unmatched_nodes:
            if node.name == host.node_name:
                # The rule for names has a finding about it.
                continue
            if place in node.addresses:
                where = "Ansible connects to {0}, which is the address of node {1}".format(place, node.name)
                # Several machines may share one address, each with a different port.
                level = "error" if node.ready and alone else "warning"
            elif node.name == host.name and node.ready:
                where, level = (
                    "the cluster has a ready node with its name in the inventory, {0}".format(node.name),
                    "warning",
                )
            else:
                continue
            text = "reports that it has not joined and would join as {0}, but {1}".format(host.node_name, where)
            fix = (
                "check this host, whose answers may be false, and its ansible_host; if it was reinstalled, run "
                "'kubectl delete node {0}'".format(node.name)
            )
            found.append(Finding(host.name, "join", Problem("already_a_node", text, fix, level)))
    return found


def _identities(view: ClusterView) -> List[Finding]:
    found = []
    fix = "run 'rm /etc/machine-id /var/lib/dbus/machine-id; systemd-machine-id-setup; reboot'"
    machine_id = "has the same machine ID as {1} ({0}); one is probably a clone"
    for host, other, value in _twins(view, lambda one: one.node.machine_id):
        problem = Problem("machine_id", machine_id.format(value, other.name), fix, _level(view, host, other))
        found.append(Finding(host.name, COMPONENT, problem))
    for host, other, value in _twins(view, lambda one: "" if one.container else one.node.product_uuid):
        text = "has the same product UUID as {1} ({0})".format(value, other.name)
        why = "if they are virtual machines, give each a unique UUID"
        found.append(Finding(host.name, COMPONENT, Problem("product_uuid", text, why, "warning")))
    for host, other, value in _twins(view, lambda one: one.address):
        text = "would be reached at {0}, which is the address of {1}".format(value, other.name)
        why = "set cluster_node_address of each host to an address that no other host has"
        found.append(Finding(host.name, COMPONENT, Problem("address", text, why, _level(view, host, other))))
    return found + _same_as_members(view, machine_id, fix) + _secondary(view) + _macs(view)


def _same_as_members(view: ClusterView, machine_id: str, fix: str) -> List[Finding]:
    """The same findings about nodes that only the API knows, as in a run with ``--limit``."""
    found = []
    for host in view.joining_hosts:
        for node in view.unmatched_nodes:
            if node.name == host.node_name or host.facts.connects_to in node.addresses:
                # Another rule has a finding about it.
                continue
            name = "node {0}".format(node.name)
            # A Node that is not ready may be this host under an earlier name.
            level = "error" if node.ready else "warning"
            if node.machine_id and node.machine_id == host.node.machine_id:
                problem = Problem("machine_id", machine_id.format(node.machine_id, name), fix, level)
                found.append(Finding(host.name, COMPONENT, problem))
            if node.internal_ip and node.internal_ip == host.address:
                text = "would be reached at {0}, which is the address of {1}".format(host.address, name)
                why = "set cluster_node_address of each host to an address that no other host has"
                found.append(Finding(host.name, COMPONENT, Problem("address", text, why, level)))
    return found


def _secondary(view: ClusterView) -> List[Finding]:
    """Findings about node addresses that another host also has, but not as its node address."""
    found = []
    for host in view.joining_hosts:
        for other in view.all_hosts:
            if other.name != host.name and host.address != other.address and other.node.at(host.address):
                text = "node address {0} is also configured on {1}".format(host.address, other.name)
                why = "remove the address from one of them, or set cluster_node_address"
                found.append(Finding(host.name, COMPONENT, Problem("address", text, why, "warning")))
    return found


def _macs(view: ClusterView) -> List[Finding]:
    found = []
    seen: Dict[str, Host] = {}
    for host in _members_first(view):
        entry = host.node.at(host.address)
        own = entry.mac if entry else ""
        for mac in sorted({one.mac for one in host.node.addresses if one.mac and not one.mac.startswith(_SHARED_MACS)}):
            other = seen.setdefault(mac, host)
            if other is host:
                continue
            theirs = other.node.at(other.address)
            text = "has the same MAC address as {1} ({0})".format(mac, other.name)
            fix = "give its network interface a unique MAC address (clones of a virtual machine share one)"
            # On a network of its own, like the one each virtual machine has to its host, it does no harm.
            level = _level(view, host, other) if mac == own == (theirs.mac if theirs else "") else "warning"
            found.append(Finding(host.name, COMPONENT, Problem("mac", text, fix, level)))
    return found


def _twins(view: ClusterView, value: Callable[[Host], str]) -> List[Tuple[Host, Host, str]]:
    """Hosts that share a value with an earlier one: (host, earlier one, value)."""
    found = []
    seen: Dict[str, Host] = {}
    for host in _members_first(view):
        own = value(host)
        other = seen.setdefault(own, host) if own else host
        if other is not host:
            found.append((host, other, own))
    return found


def _members_first(view: ClusterView) -> List[Host]:
    """Those that have a place already come first: it is the newcomer that has to give way."""
    new = set(view.joining)
    return sorted([*view.reference_control_planes, *view.hosts], key=lambda host: host.name in new)


def _level(view: ClusterView, host: Host, other: Host) -> str:
    """The level of a finding about ``host``, which claims the same as ``other``. A member only gets a warning.

    The claims of a host that neither joins nor is in the cluster do not prevent the joins of other hosts.
    """
    counts = other.name in view.joining or other.name == view.init_host or _in_cluster(view, other)
    return "error" if host.name in view.joining and counts else "warning"


def _in_cluster(view: ClusterView, host: Host) -> bool:
    """True for a host whose machine is the machine of its Node in the API."""
    node = view.cluster.node(host.kubeadm.node_name) if host.member else None
    return node is not None and node.machine_id in ("", host.node.machine_id)


# -- clocks and MTUs


def _clocks(view: ClusterView) -> List[Finding]:
    found = []
    skews = clock_skew.skews([host.reading for host in view.all_hosts])
    for host in view.hosts:
        skew = skews.get(host.name, 0.0)
        if abs(skew) < clock_skew.WARN_CLOCK_SKEW:
            continue
        # With only two clocks (this host's and the control machine's), it is unknown which one is wrong.
        broken = abs(skew) >= clock_skew.MAX_CLOCK_SKEW and host.name in view.joining and len(skews) > 1
        text = "the clock is {0:.0f} s {1} that of {2}".format(
            abs(skew), "ahead of" if skew > 0 else "behind", "the other hosts" if len(skews) > 1 else "this machine"
        )
        fix = "set the clock and synchronize it (chrony, systemd-timesyncd); certificates and leases depend on it"
        found.append(Finding(host.name, COMPONENT, Problem("clock_skew", text, fix, "error" if broken else "warning")))
    return found


def _mtus(view: ClusterView) -> List[Finding]:
    mtus = {}
    for host in view.all_hosts:
        entry = host.node.at(host.address)
        if entry and entry.mtu:
            mtus[host.name] = entry
    counts = Counter(entry.mtu for entry in mtus.values())
    if len(counts) < 2:
        return []
    # What most hosts have; of two that are as frequent the smaller one, which gets through everywhere.
    usual = max(counts, key=lambda mtu: (counts[mtu], -mtu))
    found = []
    for host in view.hosts:
        own = mtus.get(host.name)
        # A cni_mtu that fits the smallest interface with VXLAN's 50 bytes around it is right for all.
        settled = 0 < host.options.cni.mtu <= min(counts) - 50
        if own and own.mtu != usual and not settled:
            text = "{0} has an MTU of {1}, but the other hosts have {2}; large packets of pods will be lost".format(
                own.interface, own.mtu, usual
            )
            fix = "use the same MTU on all hosts, or set cni_mtu to {0}".format(min(counts) - 50)
            found.append(Finding(host.name, COMPONENT, Problem("mtu", text, fix, "warning")))
    return found


# -- reachability


def _reachability(view: ClusterView) -> List[Finding]:
    found = []
    for host in view.joining_hosts:
        if host.facts.reach:
            problems = _api_reachability(host, view) + _node_reachability(host, view)
            found += [Finding(host.name, COMPONENT, problem) for problem in problems]
    return found


def _api_reachability(host: Host, view: ClusterView) -> List[Problem]:
    """A host that joins must reach a live API server, or in a new cluster the machine of the future one."""
    fix = "open the port between the hosts (firewall, security group, route)"
    endpoint = view.cluster.endpoint
    # A host resolves the name by its hosts file only after the run has written it.
    outcome = "" if view.cluster.by_hosts else host.facts.reach.get(reachability.endpoint_target(endpoint), "")
    if view.cluster.exists:
        if outcome:
            tried = {"cluster_endpoint {0}".format(endpoint): outcome}
        else:
            tried = {
                "{0} ({1})".format(owner.name, text): outcome
                for text, outcome, owner in _owned(host, view, reachability.API)
                if owner.kubeadm.api.live
            }
        if not tried or connect.OPEN in tried.values():
            return []
        return [_unreached("api_unreachable", "the API server", tried, fix)]
    if outcome == connect.NO_NAME:
        text = "cluster_endpoint {0}: this host can't resolve the name".format(endpoint)
        return [Problem("api_unreachable", text, "add it to DNS, or to /etc/hosts of all hosts")]
    blocked = {
        "{0} ({1})".format(owner.name, text): outcome
        for text, outcome, owner in _owned(host, view, reachability.API)
        if outcome not in connect.PROVEN
    }
    # Over an external endpoint there may be a way that a direct connection does not have.
    external = bool(endpoint) and not view.cluster.by_hosts
    return [_unreached("api_unreachable", "the control plane", blocked, fix, external)] if blocked else []


def _node_reachability(host: Host, view: ClusterView) -> List[Problem]:
    """Control planes must reach the etcd of each other, and every kubelet."""
    found = []
    for kinds, what, lenient in (
        (reachability.ETCD, "the etcd port", False),
        (reachability.KUBELET, "the kubelet port", True),
    ):
        blocked = {
            "{0} ({1})".format(owner.name, text): outcome
            for text, outcome, owner in _owned(host, view, kinds)
            if outcome not in connect.PROVEN
        }
        if blocked and host.control_plane:
            fix = "open it between the hosts" + ("; kubectl logs and exec need it" if lenient else "")
            found.append(_unreached("node_unreachable", what, blocked, fix, lenient))
    return found


def _owned(host: Host, view: ClusterView, kinds: Sequence[int]) -> List[Tuple[str, str, Host]]:
    """Targets with these ports at an address that a known host has: (target, outcome, host).

    Ansible may connect to an address that only the control machine can reach. Such targets prove nothing.
    """
    found = []
    for text, outcome in host.facts.reach.items():
        address, port = connect.split(text)
        owner: Optional[Host] = next(
            (one for one in view.all_hosts if one.name != host.name and one.node.at(address)), None
        )
        wanted = (owner.options.control_plane.bind_port,) if owner and kinds == reachability.API else kinds
        if owner and port in wanted and (owner.control_plane or kinds == reachability.KUBELET):
            found.append((text, outcome, owner))
    return found


def _unreached(check: str, what: str, tried: Mapping[str, str], fix: str, lenient: bool = False) -> Problem:
    outcome = ", ".join(
        "{0}: {1}".format(name, reachability.OUTCOME_TEXT.get(outcome, outcome)) for name, outcome in tried.items()
    )
    return Problem(check, "can't connect to {0} of {1}".format(what, outcome), fix, "warning" if lenient else "error")
