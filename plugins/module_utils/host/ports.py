# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ports of a machine that are in use, and the programs that use them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Dict, List

from ..core.system import System

API_PORT = 6443
KUBELET_PORT = 10250
NODE_PORTS: Dict[int, str] = {KUBELET_PORT: "the kubelet", 10248: "the kubelet's health"}
# Beside the API server's, which can be chosen.
CONTROL_PLANE_PORTS: Dict[int, str] = {10257: "the controller manager", 10259: "the scheduler"}
ETCD_PORTS: Dict[int, str] = {2379: "etcd", 2380: "etcd's peers", 2381: "etcd's metrics"}

_LISTEN = "0A"


@dataclass(frozen=True)
class PortsState:
    """The TCP ports in use; ``processes`` maps the ports that Kubernetes needs to the programs that use them."""

    listening: List[int] = field(default_factory=list)
    processes: Dict[str, str] = field(default_factory=dict)


def observe(system: System, with_processes: bool = True) -> PortsState:
    """Look at the kernel's tables; no command. Programs are looked for only where one has a port Kubernetes wants.

    ``with_processes`` False leaves out who that is: on a node it is Kubernetes itself.
    """
    sockets: Dict[int, str] = {}
    for path in ("/proc/net/tcp", "/proc/net/tcp6"):
        sockets.update(parse_listening(system.read(path) or ""))
    if not with_processes:
        return PortsState(sorted(sockets))
    wanted = {
        sockets[port]: port for port in (API_PORT, *NODE_PORTS, *CONTROL_PLANE_PORTS, *ETCD_PORTS) if port in sockets
    }
    processes = {str(wanted[inode]): name for inode, name in _processes(system, wanted).items()} if wanted else {}
    return PortsState(sorted(sockets), processes)


def needed(control_plane: bool, api_port: int, own_etcd: bool = True) -> Dict[int, str]:
    """The ports a node to be needs for itself, with what needs each."""
    wanted = dict(NODE_PORTS)
    if control_plane:
        wanted[api_port] = "the API server"
        wanted.update(CONTROL_PLANE_PORTS)
        wanted.update(ETCD_PORTS if own_etcd else {})
    return wanted


def parse_listening(text: str) -> Dict[int, str]:
    """Port -> inode of the sockets that listen, out of ``/proc/net/tcp`` or ``tcp6``."""
    found = {}
    for line in text.splitlines()[1:]:
        words = line.split()
        port = re.fullmatch("[0-9A-Fa-f]+:([0-9A-Fa-f]{4})", words[1]) if len(words) > 9 else None
        if port and words[3] == _LISTEN:
            found[int(port.group(1), 16)] = words[9]
    return found


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
