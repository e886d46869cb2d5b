# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports of a machine that are in use, and the programs that use them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Set, Tuple

from ..core.system import System

API_PORT = 6443
KUBELET_PORT = 10250
NODE_PORTS: Dict[int, str] = {KUBELET_PORT: "the kubelet", 10248: "the kubelet's health"}
# In addition to the port of the API server, which can be set.
CONTROL_PLANE_PORTS: Dict[int, str] = {10257: "the controller manager", 10259: "the scheduler"}
ETCD_PORTS: Dict[int, str] = {2379: "etcd", 2380: "etcd's peers", 2381: "etcd's metrics"}

_LISTEN = "0A"
# Each loopback address with the addresses in the kernel's tables at which a socket receives its connections. The kernel
# writes groups of 32 bits in the byte order of the machine. The wildcard of IPv6 usually accepts IPv4 as well.
_LOOPBACKS = {
    "127.0.0.1": (
        "0100007F",
        "7F000001",
        "00000000",
        "0" * 32,
        "0" * 16 + "FFFF00000100007F",
        "0" * 20 + "FFFF7F000001",
    ),
    "::1": ("0" * 32, "0" * 24 + "01000000", "0" * 31 + "1"),
}


@dataclass(frozen=True)
class PortsState:
    """The TCP ports in use; ``processes`` maps the ports that Kubernetes needs to the programs that use them.

    ``loopback`` maps the loopback addresses 127.0.0.1 and ::1 to the ports that are in use on them.
    """

    listening: List[int] = field(default_factory=list)
    loopback: Dict[str, List[int]] = field(default_factory=dict)
    processes: Dict[str, str] = field(default_factory=dict)


def observe(system: System, with_processes: bool = True) -> PortsState:
    """Look at the kernel's tables; no command. Programs are looked for only where one has a port Kubernetes wants.

    ``with_processes`` False leaves out who that is: on a node it is Kubernetes itself.
    """
    sockets: Dict[int, str] = {}
    local: Dict[str, Set[int]] = {address: set() for address in _LOOPBACKS}
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        text = system.read(path) or ""
        sockets.update(parse_listening(text))
        for address, ports in parse_loopback(text).items():
            local[address].update(ports)
    loopback = {address: sorted(ports) for address, ports in local.items() if ports}
    if not with_processes:
        return PortsState(sorted(sockets), loopback)
    wanted = {
        sockets[port]: port for port in (API_PORT, *NODE_PORTS, *CONTROL_PLANE_PORTS, *ETCD_PORTS) if port in sockets
    }
    processes = {str(wanted[inode]): name for inode, name in _processes(system, wanted).items()} if wanted else {}
    return PortsState(sorted(sockets), loopback, processes)


def needed(control_plane: bool, api_port: int, own_etcd: bool = True) -> Dict[int, str]:
    """The ports that a future node needs, each with the program that needs it."""
    wanted = dict(NODE_PORTS)
    if control_plane:
        wanted[api_port] = "the API server"
        wanted.update(CONTROL_PLANE_PORTS)
        wanted.update(ETCD_PORTS if own_etcd else {})
    return wanted


def parse_listening(text: str) -> Dict[int, str]:
    """Port -> inode of the listening sockets in ``/proc/net/tcp`` or ``tcp6``."""
    return {port: inode for _address, port, inode in _sockets(text)}


def parse_loopback(text: str) -> Dict[str, List[int]]:
    """Loopback address -> ports in use on it, because a socket listens on it or on the wildcard."""
    found = list(_sockets(text))
    return {
        loopback: sorted({port for address, port, _inode in found if address in listeners})
        for loopback, listeners in _LOOPBACKS.items()
    }


def _sockets(text: str) -> Iterator[Tuple[str, int, str]]:
    """The address as the kernel writes it, the port and the inode of each socket that listens."""
    for line in text.splitlines()[1:]:
        words = line.split()
        place = re.fullmatch("([0-9A-Fa-f]+):([0-9A-Fa-f]{4})", words[1]) if len(words) > 9 else None
        if place and words[3] == _LISTEN:
            yield place.group(1).upper(), int(place.group(2), 16), words[9]


def _processes(system: System, inodes: Dict[str, int]) -> Dict[str, str]:
    """Inode -> ``name (process number)``."""
    found: Dict[str, str] = {}
    for number in system.names("/proc"):
        if not number.isdigit():
            continue
        folder = "/proc/{0}/fd".format(number)
        for name in system.names(folder):
            try:
                target = os.readlink(system.path("{0}/{1}".format(folder, name)))
            except OSError:
                continue
            match = re.match(r"socket:\[(\d+)\]\Z", target)
            if match and match.group(1) in inodes:
                program = (system.read("/proc/{0}/comm".format(number)) or "").strip()
                found[match.group(1)] = "{0} (process {1})".format(program or "a program", number)
    return found
