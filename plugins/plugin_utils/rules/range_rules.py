# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ranges of a cluster compared with its hosts: overlaps, address families, room for the nodes. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import List, Sequence, Set

from ansible_collections.kubestead.cluster.plugins.module_utils.core import addresses
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import limits

from ..cluster import Cluster
from ..hosts import Host


@dataclass(frozen=True)
class Overlap:
    """A range of the cluster that overlaps with a network of a host.

    ``inside`` is true if the network of the host is part of the range, so that pods would use its addresses. Otherwise
    the range is part of a larger network of the host, and only machines with an address in the range are out of reach.
    """

    taken: addresses.Network
    where: str
    inside: bool


def host_overlaps(host: Host, ranges: Sequence[addresses.Network]) -> List[Overlap]:
    """The ranges that overlap with addresses, routes or DNS servers of this host; ``inside`` overlaps first."""
    hits: List[Overlap] = []
    near = set()
    for address in host.node.addresses:
        own = ipaddress.ip_interface(address.network)
        near |= {str(own.ip), str(own.network.network_address)}
        where = "{0} on {1}".format(address.network, address.interface)
        for taken in _overlapping(ranges, own.network):
            hits.append(Overlap(taken, where, own.ip in taken or _within(own.network, taken)))
    for route in host.node.routes:
        network = ipaddress.ip_network(route, strict=False)
        if str(network.network_address) not in near:
            for taken in _overlapping(ranges, network):
                hits.append(Overlap(taken, "the route to {0}".format(network), _within(network, taken)))
    for server in host.node.dns_servers:
        for taken in _overlapping(ranges, ipaddress.ip_network(server)):
            hits.append(Overlap(taken, "the DNS server {0}".format(server), True))
    return sorted(hits, key=lambda hit: not hit.inside)


def _overlapping(ranges: Sequence[addresses.Network], network: addresses.Network) -> List[addresses.Network]:
    return [pair[0] for pair in addresses.overlapping(ranges, [network])]


def _within(network: addresses.Network, taken: addresses.Network) -> bool:
    return network.version == taken.version and network.prefixlen >= taken.prefixlen


def overlap_problems(host: Host, cluster: Cluster) -> List[Problem]:
    """The problems of cluster ranges that overlap with networks of the host."""
    found = []
    for name, check in (("pod_cidr", "pod_cidr_overlap"), ("service_cidr", "service_cidr_overlap")):
        variable = "cluster_{0}".format(name)
        for hit in host_overlaps(host, parsed(str(getattr(cluster, name))))[:1]:
            message = "{0} {1} overlaps with {2} of this host".format(variable, hit.taken, hit.where)
            fix = "set {0} to a range that no host uses".format(variable)
            if not hit.inside:
                message += "; machines of that network with an address in the range will be unreachable"
                fix += ", or ignore this if no machine has such an address"
            found.append(Problem(check, message, fix, "error" if hit.inside else "warning"))
    return found


# -- families


def family_problems(host: Host, cluster: Cluster) -> List[Problem]:
    """The problems of ranges in a family that the host does not have, or that its API server can't serve."""
    pods, services = parsed(cluster.pod_cidr), parsed(cluster.service_cidr)
    own = _versions(_own_addresses(host))
    if not own or not services:
        return []
    have = ", ".join(_own_addresses(host))
    if host.control_plane and services[0].version != _first_version(host):
        text = "cluster_service_cidr starts with {0}, but the address of this control plane is {1}; {2}".format(
            services[0], _own_addresses(host)[0], "the API server can't start"
        )
        fix = "put the range of the same family first, or set cluster_node_address to an address of the other family"
        return [Problem("address_family", text, fix)]
    if pods and host.control_plane and {one.version for one in services} - {one.version for one in pods}:
        text = "Services get addresses of {0}, but pods only of {1}".format(cluster.service_cidr, cluster.pod_cidr)
        return [Problem("address_family", text, "set cluster_pod_cidr and cluster_service_cidr to the same families")]
    if pods and not own & _versions([str(one.network_address) for one in pods]):
        text = "pods get addresses of {0}, but the address of this host is {1}".format(cluster.pod_cidr, have)
        fix = "use ranges of the family that the hosts have, or set cluster_node_address"
        return [Problem("address_family", text, fix)]
    lacking = sorted({one.version for one in pods} - own)
    if not lacking:
        return []
    other = [one for one in host.node.default_addresses if ipaddress.ip_address(one).version in lacking]
    other = other or [
        one.address for one in host.node.addresses if ipaddress.ip_address(one.address).version in lacking
    ]
    text = "the cluster has ranges of both families, but this node would have only the address {0}".format(have)
    if not other:
        fix = "give the host an IPv{0} address, or use ranges of one family".format(lacking[0])
    else:
        fix = "set cluster_node_address to '{0},{1}'".format(_own_addresses(host)[0], other[0])
    # If Calico uses the addresses of the Node, calico-node exits without an address of each family. The settings of
    # Calico in a running cluster may differ from these variables.
    strict = host.options.cni.plugin == "calico" and host.options.cni.autodetection == "kubernetes-internal-ip"
    return [Problem("address_family", text, fix, "error" if strict and not cluster.exists else "warning")]


def _own_addresses(host: Host) -> List[str]:
    given = host.options.control_plane.node_address or host.options.control_plane.kubelet_extra_args.get("node-ip", "")
    texts = given.split(",") if given else [host.address]
    return [addresses.normal_address(one) for one in texts if _versions([one])]


def _first_version(host: Host) -> int:
    return next(iter(_versions([host.address])), 0)


def _versions(texts: Sequence[str]) -> Set[int]:
    found: Set[int] = set()
    for text in texts:
        try:
            found.add(addresses.plain_address(text.strip()).version)
        except ValueError:
            # The rules about options and facts have a finding about it.
            continue
    return found


# -- room


def room_problems(host: Host, cluster: Cluster, nodes: int) -> List[Problem]:
    """The problem of a pod range that is too small for the nodes, if the pod network uses the ranges of nodes."""
    if host.options.cni.plugin != "bridge":
        return []
    try:
        arguments = host.options.control_plane.controller_manager_arguments
        masks = [(one, limits.node_mask(one.version, arguments)) for one in parsed(cluster.pod_cidr)]
    except OptionError:
        return []
    for one, mask in masks:
        room = 2 ** max(0, mask - one.prefixlen)
        if room < nodes:
            text = "cluster_pod_cidr {0} has ranges of /{1} for {2} node{3}, but the cluster will have {4}".format(
                one, mask, room, "" if room == 1 else "s", nodes
            )
            return [Problem("pod_cidr_size", text, "use a larger range in a new cluster")]
    return []


def parsed(text: str) -> List[addresses.Network]:
    """The ranges in a text; empty for an invalid text, which the rules about options report."""
    try:
        return addresses.parse_cidrs("", text) if text else []
    except OptionError:
        return []
