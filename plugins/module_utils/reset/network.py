# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Links, routes, network namespaces, IP sets and IPVS services that a cluster leaves on a node."""

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

#: The names of the links that Calico and kube-proxy create.
_LINK = re.compile(r"(?:cali[0-9a-f]{11}|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|kube-ipvs0)\Z")
#: The kernel's tunnel device in every network namespace. It can't be deleted. Calico assigns an address to it.
TUNNEL = "tunl0"
_SET = re.compile(r"(?:cali[46]0[A-Za-z0-9:_.-]+|KUBE-[A-Z0-9-]+)\Z")
NAMESPACES = "/run/netns"
BRIDGE_DATA = "/var/lib/cni/networks/kubestead"
#: Files that show that the bridge or Calico was used. They are removed after the links and routes they identify.
_BRIDGE_TRACES = (CONFLIST, UNIT, BRIDGE_DATA)
_CALICO_TRACES = ("/etc/cni/net.d/10-calico.conflist", "/var/lib/calico", "/var/log/calico")
# The routing protocols of BIRD and Felix.
_CALICO_PROTOCOLS = ("bird", "80")


@dataclass(frozen=True)
class Route:
    """A route of the pod network; ``argv`` removes it."""

    destination: str
    argv: List[str]


def links(system: System) -> List[str]:
    """The links to remove. The bridge is last, so that a port that can't be removed is reported by name."""
    found = query(system, "link", "show")
    names = [text(one.get("ifname")) for one in found]
    own = [name for name in names if _LINK.match(name)]
    if any(system.exists(path) for path in _BRIDGE_TRACES) and BRIDGE in names:
        ports = [text(one.get("ifname")) for one in found if one.get("master") == BRIDGE]
        own += [name for name in ports if re.match(r"veth[0-9a-f]+\Z", name)] + [BRIDGE]
    return own


def tunnel_in_use(system: System) -> bool:
    """True if Calico was used and the kernel's tunnel device still has an address or is up."""
    if not _is_calico(system):
        return False
    found = query(system, "address", "show", "dev", TUNNEL)
    return any("UP" in (one.get("flags") or []) or mappings(one.get("addr_info")) for one in found)


def routes(system: System) -> List[Route]:
    """Routes to pods: those with this collection's protocol and, if Calico was used, those of BIRD and Felix."""
    found = _routes(system, ROUTE_PROTOCOL)
    # A BIRD that does not belong to Calico uses the same protocol for its routes.
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
    """Network namespaces of pods that no process uses."""
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
    """The IP sets of Calico and kube-proxy."""
    names = system.run(["ipset", "list", "-name"]).stdout.split()
    return [name for name in names if _SET.match(name)]


def virtual_servers(system: System) -> List[List[str]]:
    """The IPVS services at addresses of kube-proxy, each as the arguments that remove it."""
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
