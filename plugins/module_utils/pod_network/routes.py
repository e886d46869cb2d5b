# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes to the pods of other nodes, out of what those nodes say of themselves. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence

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
            raise ValueError("{0} and {1} are not of one family".format(destination, gateway))
        object.__setattr__(self, "destination", str(destination))
        object.__setattr__(self, "gateway", str(gateway))


OFF_NETWORK = "is on none of this host's networks"


def refused_nodes(
    node: Node, nodes: Sequence[Node], pods: Sequence[Network], own: Sequence[Address], present: Sequence[Route]
) -> Dict[str, str]:
    """Nodes that get no route from ``node``, and why: a kubelet says itself where it is and may choose its range.

    Of nodes that claim the same addresses, one whose range has not the usual size gives way, and of the others the one
    that has its route already keeps it. ``pods`` is the range of all pods, ``own`` are the addresses of the machine
    without those of its pods, ``present`` are its routes.
    """
    others = [other for other in nodes if other.name != node.name and other.pod_cidrs]
    found = {other.name: _impossible(other, nodes, pods, own) for other in others}
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
        settled = routes and all(route in present for route in routes)
        against = rivals.get(other.name)
        if against and (node.name in against or not settled):
            found[other.name] = "its pod range overlaps with that of {0}".format(", ".join(against[:3]))
    return {name: reason for name, reason in found.items() if reason}


def _rivals(ranges: Mapping[str, Sequence[Network]]) -> Dict[str, List[str]]:
    return {
        name: [other for other in sorted(ranges) if other != name and _overlap(ranges[name], ranges[other])]
        for name in ranges
    }


def _impossible(other: Node, nodes: Sequence[Node], pods: Sequence[Network], own: Sequence[Address]) -> str:
    """Why a node can't have the range or the address that it claims, whatever other nodes claim; empty if it can."""
    claimed, gateways = _ranges(other), [plain_address(route.gateway) for route in routes_to(other)]
    networks = [plain_network(entry.network, strict=False) for entry in own]
    taken = [plain_address(entry.address) for entry in own]
    # An address that is elsewhere is no node's that this host has anything to do with.
    told = [plain_address(text) for one in nodes for text in one.addresses if one.name != other.name]
    known = taken + [address for address in told if any(address in network for network in networks)]
    for one in claimed:
        if not any(within(one, pod) for pod in pods):
            return "its pod range {0} is not in cluster_pod_cidr {1}".format(one, ",".join(map(str, pods)))
        inside = next((address for address in known if address in one), None)
        if inside is not None:
            return "its pod range has {0} in it, the address of a node".format(inside)
    if any(gateway in taken for gateway in gateways):
        return "its address is one of this host's"
    if any(not any(gateway in network for network in networks) for gateway in gateways):
        return OFF_NETWORK
    return ""


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


def _overlap(first: Sequence[Network], second: Sequence[Network]) -> bool:
    return any(one.version == other.version and one.overlaps(other) for one in first for other in second)
