# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network interfaces, addresses and routes, as ``ip -j`` prints them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence

from ..core.system import System
from ..core.untrusted import integer, is_network, mappings, parse_json

# Interfaces that a container network creates. Their addresses belong to the cluster, not to the host.
POD_INTERFACES = (
    "cni",
    "cali",
    "vxlan.calico",
    "tunl",
    "flannel",
    "kube-",
    "lxc",
    "cilium",
    "veth",
    "docker",
    "podman",
)


@dataclass(frozen=True)
class Address:
    """An address of an interface, ``network`` with its prefix length (CIDR form), ``mtu`` the interface's in bytes."""

    interface: str = ""
    address: str = ""
    network: str = ""
    mac: str = ""
    mtu: int = 0


def query(system: System, *arguments: str) -> List[Dict[str, Any]]:
    """The output of ``ip -j`` with these arguments: a list of objects, empty after an error or without output."""
    return parse(system.run(["ip", "-j", *arguments]).stdout)


def parse(text: str) -> List[Dict[str, Any]]:
    """A list of objects in JSON; empty for any other text."""
    try:
        return [dict(entry) for entry in mappings(parse_json(text or "[]")) if entry]
    except ValueError:
        return []


def addresses(links: Sequence[Mapping[str, Any]]) -> List[Address]:
    """The addresses in ``ip -j address``, without loopback and link-local addresses."""
    found: List[Address] = []
    for link in links:
        for entry in mappings(link.get("addr_info")):
            network = "{0}/{1}".format(entry.get("local"), integer(entry.get("prefixlen")))
            if entry.get("scope") in ("host", "link") or not is_network(network):
                continue
            # All loopback interfaces have the same MAC address, and an MTU that no network has.
            own = "LOOPBACK" not in str(link.get("flags"))
            found.append(
                Address(
                    interface=str(link.get("ifname")),
                    address=str(entry["local"]),
                    network=network,
                    mac=str(link.get("address", "")) if own else "",
                    mtu=integer(link.get("mtu")) if own else 0,
                )
            )
    return found


def own_addresses(links: Sequence[Mapping[str, Any]]) -> List[Address]:
    """The addresses that the machine itself is reached at, without those of pod networks.

    A machine that announces its address with BGP may have it on the loopback interface. It comes last.
    """
    own = [link for link in links if not is_pod_interface(str(link.get("ifname", "")))]
    return addresses(sorted(own, key=lambda link: "LOOPBACK" in str(link.get("flags"))))


def is_pod_interface(name: str) -> bool:
    """True for an interface that a container network created."""
    return name.startswith(POD_INTERFACES)


def is_cluster_interface(name: str) -> bool:
    """True for an interface of pods or of a cluster's pod network; those of other container programs are not."""
    return is_pod_interface(name) and not name.startswith(("docker", "podman", "cni-podman", "lxcbr"))


def is_leftover_interface(name: str) -> bool:
    """True for an interface that only the pod network of a cluster creates (Docker and Podman have others)."""
    return name.startswith(("cali", "vxlan.calico", "cni0", "flannel", "kube-", "lxc", "cilium", "weave")) and (
        # LXC's own bridge, which has nothing to do with Cilium's interfaces.
        name != "lxcbr0"
    )
