# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes to the pods of other nodes, computed from the facts of those nodes. Pure."""

from __future__ import annotations

import bisect
from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Tuple

from ..core.addresses import Address as IP
from ..core.addresses import Network, plain_address, plain_network
from ..host.interfaces import Address
from ..kube.nodes import Node


@dataclass(frozen=True)
class Route:
    """A route to another node's pods: a range and an address of one family, as :mod:`ipaddress` writes them.

    Raises :class:`ValueError` for anything else: routes become commands and lines of a unit.
    """

    destination: str
    gateway: str

    def __post_init__(self) -> None:
        destination, gateway = plain_network(self.destination), plain_address(self.gateway)
        if destination.version != gateway.version:
            raise ValueError("{0} and {1} are not of the same family".format(destination, gateway))
        object.__setattr__(self, "destination", str(destination))
        object.__setattr__(self, "gateway", str(gateway))


OFF_NETWORK = "is not in any network of this host"


def refused_nodes(
    node: Node, nodes: Sequence[Node], pods: Sequence[Network], own: Sequence[Address], present: Sequence[Route]
) -> Dict[str, str]:
    """Nodes that get no route from ``node``, and why: a kubelet says itself where it is and may choose its range.

    Of nodes that claim the same addresses, one whose range has not the usual size gives way, and of the others the one
    that has its route already keeps it. ``pods`` is the range of all pods, ``own`` are the addresses of the machine
    without those of its pods, ``present`` are its routes.
    """
    others = [other for other in nodes if other.name != node.name and other.pod_cidrs]
    machine, there = _Machine(nodes, pods, own), set(present)
    found = {other.name: machine.why_not(other) for other in others}
    ranges = {one.name: _ranges(one) for one in [node, *others] if not found.get(one.name)}
    sizes = Counter((one.version, one.prefixlen) for claimed in ranges.values() for one in claimed)
    usual = {version: length for (version, length), _count in reversed(sizes.most_common())}
    rivals = _rivals(ranges)
    for name in list(ranges):
        odd = any(one.prefixlen != usual[one.version] for one in ranges[name])
        if odd and rivals[name] and name != node.name:
            found[name] = "its pod range overlaps with that of {0}".format(", ".join(rivals[name][:3]))
            del ranges[name]
    rivals = _rivals(ranges)
    for other in others:
        routes = routes_to(other)
        settled = routes and there.issuperset(routes)
        against = rivals.get(other.name)
        if against and (node.name in against or not settled):
            found[other.name] = "its pod range overlaps with that of {0}".format(", ".join(against[:3]))
    return {name: reason for name, reason in found.items() if reason}


class _Machine:
    """What a machine and its neighbours are reached at: ranges of pods may not hold any of it."""

    def __init__(self, nodes: Sequence[Node], pods: Sequence[Network], own: Sequence[Address]) -> None:
        self.pods = pods
        self.own = {plain_address(entry.address) for entry in own}
        self.networks = {plain_network(entry.network, strict=False) for entry in own}
        told = {plain_address(text): node.name for node in nodes for text in node.addresses}
        # An address outside these networks does not belong to a node that this machine reaches.
        known = {address: name for address, name in told.items() if self.reaches(address)}
        known.update(dict.fromkeys(self.own, ""))
        self.known = sorted((one.version, int(one), str(one), name) for one, name in known.items())

    def reaches(self, address: IP) -> bool:
        """True for a host address in one of the machine's networks. The kernel refuses other addresses as gateways."""
        if address.is_loopback or address.is_multicast or address.is_unspecified:
            return False
        for network in self.networks:
            if address.version == network.version and address in network:
                ends = (network.network_address, network.broadcast_address)
                # IPv6 has no broadcast address, and in a network of two addresses both are host addresses.
                return address not in ends or network.version == 6 or network.num_addresses <= 2
        return False

    def address_in(self, network: Network, name: str) -> str:
        """A known address in a range, unless it is that of the node ``name`` itself; empty without one."""
        at = bisect.bisect_left(self.known, (network.version, int(network.network_address)))
        for version, number, text, owner in self.known[at:]:
            if version != network.version or number > int(network.broadcast_address):
                break
            if owner != name:
                return text
        return ""

    def why_not(self, node: Node) -> str:
        """Why a node can't have the range or the address that it claims; empty if it can."""
        for one in _ranges(node):
            if not any(within(one, pod) for pod in self.pods):
                return "its pod range {0} is not in cluster_pod_cidr {1}".format(one, ",".join(map(str, self.pods)))
            inside = self.address_in(one, node.name)
            if inside:
                return "its pod range has {0} in it, the address of a node".format(inside)
        gateways = [plain_address(route.gateway) for route in routes_to(node)]
        if any(gateway in self.own for gateway in gateways):
            return "its address is also an address of this host"
        return "" if all(self.reaches(gateway) for gateway in gateways) else OFF_NETWORK


def _rivals(ranges: Mapping[str, Sequence[Network]]) -> Dict[str, List[str]]:
    """Name -> the others whose ranges overlap. Nothing is compared in pairs unless some overlap."""
    spans = sorted(
        (one.version, int(one.network_address), int(one.broadcast_address), name)
        for name, claimed in ranges.items()
        for one in claimed
    )
    found: Dict[str, List[str]] = {name: [] for name in ranges}
    around: List[Tuple[int, int, int, str]] = []
    for span in spans:
        around = [one for one in around if one[0] == span[0] and one[2] >= span[1]]
        for one in around:
            if one[3] != span[3]:
                found[one[3]].append(span[3])
                found[span[3]].append(one[3])
        around.append(span)
    return {name: sorted(set(rivals)) for name, rivals in found.items()}


def routes_to(other: Node) -> List[Route]:
    """A route to each range of a node, through its first address of the same family."""
    routes = []
    for cidr in other.pod_cidrs:
        version = plain_network(cidr).version
        gateway = next((text for text in other.addresses if plain_address(text).version == version), None)
        if gateway:
            routes.append(Route(cidr, gateway))
    return routes


def _ranges(node: Node) -> List[Network]:
    return [plain_network(cidr) for cidr in node.pod_cidrs]


def within(network: Network, pod: Network) -> bool:
    """True for a range that lies in another one."""
    return network.version == pod.version and network.subnet_of(pod)  # type: ignore[arg-type]
