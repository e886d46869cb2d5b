# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links, routes, network namespaces, sets and virtual servers that a cluster's pod network leaves on a node."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import List

from ..core.constants import ROUTE_PROTOCOL
from ..core.system import System
from ..core.untrusted import is_address, is_network, mappings, text
from ..host.interfaces import query
from ..pod_network.bridge import BRIDGE, CONFLIST, UNIT

#: Made by Calico and kube-proxy under names of their own.
_LINK = re.compile(r"(?:cali[0-9a-f]{11}|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|kube-ipvs0)\Z")
#: The kernel's own tunnel in every network namespace; it can't be deleted. Calico gives it an address.
TUNNEL = "tunl0"
_SET = re.compile(r"(?:cali[46]0[A-Za-z0-9:_.-]+|KUBE-[A-Z0-9-]+)\Z")
NAMESPACES = "/run/netns"
BRIDGE_DATA = "/var/lib/cni/networks/kubestead"
#: What shows that the bridge or Calico was here. They are removed after the links and routes that they explain.
_BRIDGE_TRACES = (CONFLIST, UNIT, BRIDGE_DATA)
_CALICO_TRACES = ("/etc/cni/net.d/10-calico.conflist", "/var/lib/calico", "/var/log/calico")
# The protocols of BIRD and of Felix.
_CALICO_PROTOCOLS = ("bird", "80")


@dataclass(frozen=True)
class Route:
    """A route of the pod network; ``argv`` removes it."""

    destination: str
    argv: List[str]


def links(system: System) -> List[str]:
    """The links that go, the bridge last: removing a port before it tells its own cause if it fails."""
    found = query(system, "link", "show")
    names = [text(one.get("ifname")) for one in found]
    own = [name for name in names if _LINK.match(name)]
    if any(system.exists(path) for path in _BRIDGE_TRACES) and BRIDGE in names:
        ports = [text(one.get("ifname")) for one in found if one.get("master") == BRIDGE]
        own += [name for name in ports if re.match(r"veth[0-9a-f]+\Z", name)] + [BRIDGE]
    return own


def tunnel_in_use(system: System) -> bool:
    """True where Calico was here and the kernel's tunnel still has an address or is up."""
    if not _is_calico(system):
        return False
    found = query(system, "address", "show", "dev", TUNNEL)
    return any("UP" in (one.get("flags") or []) or mappings(one.get("addr_info")) for one in found)


def routes(system: System) -> List[Route]:
    """Routes to pods: those with our own protocol, and where Calico was those of its programs."""
    found = _routes(system, ROUTE_PROTOCOL)
    # A BIRD of the machine itself has routes with the same mark.
    own_bird = any(system.exists(path) for path in ("/etc/bird", "/etc/bird.conf", "/etc/bird6.conf"))
    if _is_calico(system):
        for protocol in _CALICO_PROTOCOLS:
            if protocol != "bird" or not own_bird:
                found += _routes(system, protocol)
    return found


def _is_calico(system: System) -> bool:
    return any(system.exists(path) for path in _CALICO_TRACES)


def _routes(system: System, protocol: str) -> List[Route]:
    found = []
    for family in ("-4", "-6"):
        for one in query(system, family, "route", "show", "proto", protocol):
            destination, kind = text(one.get("dst")), text(one.get("type"))
            if is_address(destination) or is_network(destination):
                words = [kind] if kind in ("blackhole", "unreachable") else []
                argv = ["ip", family, "route", "del", *words, destination, "proto", protocol]
                found.append(Route(destination, argv))
    return found


def namespaces(system: System) -> List[str]:
    """Network namespaces that the runtime made for pods and in which no process is left."""
    names = [name for name in system.names(NAMESPACES) if re.match(r"cni-[0-9a-f-]{36}\Z", name)]
    if not names:
        return []
    used = set()
    for pid in system.names("/proc"):
        if pid.isdigit():
            try:
                used.add(os.stat(system.path("/proc/{0}/ns/net".format(pid))).st_ino)
            except OSError:
                continue
    return [name for name in names if _inode(system, name) not in used]


def _inode(system: System, name: str) -> int:
    try:
        return os.stat(system.path("{0}/{1}".format(NAMESPACES, name))).st_ino
    except OSError:
        return -1


def sets(system: System) -> List[str]:
    """The sets of addresses of Calico and kube-proxy."""
    names = system.run(["ipset", "list", "-name"]).stdout.split()
    return [name for name in names if _SET.match(name)]


def virtual_servers(system: System) -> List[List[str]]:
    """IPVS services at the addresses that kube-proxy took for Services, each as the arguments that remove it."""
    own = [
        text(address.get("local"))
        for link in query(system, "address", "show", "dev", "kube-ipvs0")
        for address in mappings(link.get("addr_info"))
    ]
    if not own:
        return []
    found = []
    for line in system.run(["ipvsadm", "--save", "--numeric"]).stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[0] == "-A" and words[1] in ("-t", "-u", "--sctp-service"):
            if words[2].rpartition(":")[0].strip("[]") in own:
                found.append(["ipvsadm", "-D", words[1], words[2]])
    return found
