# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual IP address of the API as each control plane needs it, and what prevents it.

Two control planes must never have the address at the same time. A control plane takes it if it receives no packets of
the owner. It therefore sets the address up only in a run that also configures all others, and after the owner sends it
packets.
"""

from __future__ import annotations

from typing import List, Optional, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip import VirtualIpState
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip_config import (
    VirtualIp,
    peers_in,
    router_id,
    router_id_in,
    source,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import (
    normal_address,
    plain_address,
    plain_network,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem

from ..cluster import Cluster
from ..hosts import Host
from ..rules import range_rules

COMPONENT = "api_endpoint"
OPTION = "cluster_endpoint_vip"


def virtual_ip_of(host: Host, hosts: Sequence[Host], cluster: Cluster) -> Optional[VirtualIp]:
    """The virtual address that the host sets up; without an address if it must not have one.

    None if the host keeps what it has: the addresses of some control planes are not known, they are not in the run, or
    they do not send their packets to it yet.
    """
    address = host.options.api_endpoint.address
    if not host.control_plane or not address or not cluster.by_hosts:
        return VirtualIp()
    planes = _control_planes(hosts)
    sources = {plane.name: _source(plane, address) for plane in planes}
    if _left_out(planes, cluster) or not all(sources.values()) or _silent(host, planes, address):
        return None
    return VirtualIp(
        address,
        _router_id(host, cluster),
        cluster.endpoint_place[1],
        sources.pop(host.name),
        sorted(sources.values(), key=plain_address),
    )


def server(host: Host, hosts: Sequence[Host], wanted: VirtualIp, cluster: Cluster) -> str:
    """The virtual address as the server in the kubeconfig of a user; empty if clients could not verify it.

    ``wanted`` is what the host sets up. The certificates of all API servers must have the address.
    """
    if not wanted.address:
        return ""
    certified = [_state(plane).certified for plane in _control_planes(hosts)]
    known = not cluster.exists or _state(host).certified is True
    return wanted.address if known and False not in certified else ""


def _control_planes(hosts: Sequence[Host]) -> List[Host]:
    return [host for host in hosts if host.control_plane]


def _state(host: Host) -> VirtualIpState:
    return host.facts.api_endpoint.virtual_ip


def _source(host: Host, address: str) -> str:
    """The host's own address in the subnet of the virtual one; empty without one."""
    return source(_state(host).networks, address, normal_address(host.address))[0]


def _left_out(planes: Sequence[Host], cluster: Cluster) -> List[str]:
    """The Nodes that are control planes and not among the hosts of the run."""
    known = [host.node_name for host in planes]
    return [node.name for node in cluster.control_planes if node.name not in known]


def _silent(host: Host, planes: Sequence[Host], address: str) -> List[str]:
    """The control planes that have the virtual address set up, and do not send their packets to this one yet.

    This does not matter for a host that joins: it can't be an owner before its API server is ready, and then the run
    has configured the others.
    """
    if not host.member or is_set_up(host, address):
        return []
    own = _source(host, address)
    others = [plane for plane in planes if plane.name != host.name and is_set_up(plane, address)]
    return [plane.name for plane in others if own not in peers_in(_state(plane).config)]


def is_set_up(host: Host, address: str) -> bool:
    """True if the virtual address is set up on a host, whether the host is its owner or not."""
    return _state(host).unit is not None and _state(host).address == address


def _router_id(host: Host, cluster: Cluster) -> int:
    options = host.options.api_endpoint
    return options.router_id or router_id(cluster.endpoint_place[0], options.address)


# -- findings


def findings(hosts: Sequence[Host], cluster: Cluster) -> List[Finding]:
    """The findings about the virtual address: what prevents it, and the problems of an existing one."""
    planes = _control_planes(hosts)
    wanted = [host for host in planes if host.options.api_endpoint.address]
    if not wanted:
        return []
    address = wanted[0].options.api_endpoint.address
    found = [Finding("all", COMPONENT, problem) for problem in _cluster_problems(address, cluster)]
    found = found or _owned(address, hosts, cluster)
    if any(one.problem.level == "error" for one in found):
        return found
    found += _twice(address, planes)
    left_out = _left_out(planes, cluster)
    for host in planes:
        problems = _host_problems(host, wanted[0], planes, cluster)
        if left_out and _state(host).address != address:
            text = "the virtual IP address {0} is not set up in this run, which leaves out {1}".format(
                address, ", ".join(left_out[:5])
            )
            problems.append(_problem(text, "run site.yml for all control planes", "warning"))
        elif _silent(host, planes, address):
            text = "the virtual IP address {0} is not set up on this host yet: {1} did not send packets to it".format(
                address, ", ".join(_silent(host, planes, address)[:5])
            )
            problems.append(_problem(text, "run site.yml again", "warning"))
        found += [Finding(host.name, COMPONENT, problem) for problem in problems]
    return found


def _problem(text: str, fix: str, level: str = "error") -> Problem:
    return Problem("endpoint", text, fix, level)


def _cluster_problems(address: str, cluster: Cluster) -> List[Problem]:
    """What is wrong with the address for every host."""
    if not cluster.by_hosts:
        text = "{0} is set, but the endpoint of the cluster is {1}, which is not the name in the hosts files of nodes"
        fix = "remove {0}; clients outside the cluster use the endpoint".format(OPTION)
        return [_problem(text.format(OPTION, cluster.endpoint or "missing"), fix)]
    for option, ranges in (("pod", cluster.pod_cidr), ("Service", cluster.service_cidr)):
        for one in range_rules.parsed(ranges):
            if plain_address(address) in one:
                text = "{0} is {1}, which is in the {2} range {3}".format(OPTION, address, option, one)
                return [_problem(text, "use a free address in the subnet of the control planes")]
    return []


def _owned(address: str, hosts: Sequence[Host], cluster: Cluster) -> List[Finding]:
    """The finding about an address that a machine has as its own.

    The claim of a worker must not stop the runs of a cluster that has the address, or be blamed on others.
    """
    machine = next((host for host in hosts if host.node.at(address)), None)
    node = next((node for node in cluster.nodes if address in node.addresses), None)
    owner = machine.name if machine else node.name if node else ""
    if not owner:
        return []
    worker = not machine.control_plane if machine else not (node and node.control_plane)
    level = "warning" if worker and any(is_set_up(host, address) for host in _control_planes(hosts)) else "error"
    text = "{0} is {1}, which is already an address of {2}".format(OPTION, address, owner)
    problem = _problem(text, "use an address that no machine has", level)
    return [Finding(owner if worker and machine else "all", COMPONENT, problem)]


def _twice(address: str, planes: Sequence[Host]) -> List[Finding]:
    """The warning about several owners, which do not receive each other's packets."""
    owners = [host.name for host in planes if _state(host).held and _state(host).address == address]
    if len(owners) < 2:
        return []
    text = "the virtual IP address {0} is on {1} at the same time".format(address, " and ".join(owners))
    fix = "let the control planes exchange VRRP packets (IP protocol 112), and see 'journalctl -u kubestead-api-vip'"
    return [Finding("all", COMPONENT, _problem(text, fix, "warning"))]


def _reserved(state: VirtualIpState, address: str) -> str:
    """The kind of an IPv4 address that no machine can have: that of the subnet, or its broadcast address."""
    for network in state.networks:
        subnet = plain_network(network, strict=False)
        if subnet.version == 4 and subnet.prefixlen < 31 and plain_address(address) in subnet:
            ends = {str(subnet.network_address): "address", str(subnet.broadcast_address): "broadcast address"}
            if address in ends:
                return "{0} of the subnet {1}".format(ends[address], subnet)
    return ""


def _host_problems(host: Host, first: Host, planes: Sequence[Host], cluster: Cluster) -> List[Problem]:
    """The problems of the address on one control plane. The options of the host ``first`` take precedence."""
    options, state = host.options.api_endpoint, _state(host)
    address = first.options.api_endpoint.address
    if options != first.options.api_endpoint and options.address:
        text = "{0} or its router ID differs from that of {1}".format(OPTION, first.name)
        return [_problem(text, "set both in the variables of the group control_plane")]
    if not options.address:
        text = "{0} is set for {1}, but not for this host".format(OPTION, first.name)
        return [_problem(text, "set it in the variables of the group control_plane")]
    if not _source(host, address):
        text = "no interface of this host has an address in the subnet of {0} {1}".format(OPTION, address)
        return [_problem(text, "use an address in a subnet that all control planes have")]
    reserved = _reserved(state, address)
    if reserved:
        text = "{0} is {1}, which is the {2}".format(OPTION, address, reserved)
        return [_problem(text, "use another free address in this subnet")]
    found = []
    if is_set_up(host, address) and router_id_in(state.config) not in (0, _router_id(host, cluster)):
        # Until all have the new ID, the owner with the old ID and the one with the new ID do not know each other.
        text = "cluster_endpoint_vip_router_id is {0}, but the virtual IP address was set up with {1}".format(
            _router_id(host, cluster), router_id_in(state.config)
        )
        found.append(_problem(text, "remove {0} and run site.yml, then set both and run it again".format(OPTION)))
    if ":" in address and not host.options.control_plane.node_address:
        # The kernel lists a new IPv6 address first, and a kubelet that starts takes the first one.
        text = "{0} is an IPv6 address, but cluster_node_address is not set".format(OPTION)
        found.append(_problem(text, "set it to the address of this host, or the kubelet may use the virtual one"))
    if state.taken and not any(_state(plane).address == address for plane in planes):
        text = "{0} is {1}, but another machine answers at this address".format(OPTION, address)
        found.append(Problem("virtual_ip_taken", text, "use an address that no machine has"))
    for package, reason in state.absent.items():
        if package == "curl" and len(planes) < 2:
            continue
        text = "the virtual IP address needs the package {0}, which can't be installed: {1}".format(package, reason)
        fix = "enable a repository that has it and update the package lists, or install the package"
        found.append(_problem(text, fix))
    if state.certified is False:
        text = "the certificate of the API server does not have the virtual IP address {0}".format(address)
        fix = "run endpoint.yml, which adds it; until then, clients can't verify the address"
        found.append(_problem(text, fix, "warning"))
    return found
