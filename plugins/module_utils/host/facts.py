# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a machine: operating system, names, addresses, routes. The rules between hosts use them."""

from __future__ import annotations

import os
import platform
import socket
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ..core.constants import ROUTE_PROTOCOL
from ..core.system import System
from ..core.untrusted import is_address, is_network, number
from . import interfaces, os_release
from .interfaces import Address

COMPONENT = "node"

# Who makes routes to pods, as /etc/iproute2/rt_protos or the kernel names them.
POD_ROUTE_PROTOCOLS = ("bird", "12", "80", ROUTE_PROTOCOL)


# Where images, pods and etcd's data go; what is free there decides whether the kubelet takes pods.
DATA_FOLDERS = ("/var/lib/kubelet", "/var/lib/containerd", "/var/lib/etcd")


@dataclass(frozen=True)
class Disk:
    """The file system that ``folder`` is or will be on, in MB."""

    folder: str
    size_mb: int = 0
    free_mb: int = 0

    @property
    def free_percent(self) -> int:
        """The free space in percent."""
        return self.free_mb * 100 // self.size_mb if self.size_mb else 100


@dataclass(frozen=True)
class NodeState:
    """A machine as observed.

    ``default_address`` is the one the default route leaves from, '' where there is none. ``dns_servers`` are those
    that answer beyond this machine, ``loopback_dns`` those in /etc/resolv.conf that are this machine itself.
    ``pod_interfaces`` are network interfaces that pod networks make.
    """

    hostname: str = ""
    machine_id: str = ""
    product_uuid: str = ""
    os_id: str = ""
    os_like: List[str] = field(default_factory=list)
    os_version: str = ""
    architecture: str = ""
    kernel: str = ""
    cpus: int = 0
    memory_mb: int = 0
    cgroup_version: int = 0
    epoch: float = 0.0
    addresses: List[Address] = field(default_factory=list)
    routes: List[str] = field(default_factory=list)
    default_address: str = ""
    dns_servers: List[str] = field(default_factory=list)
    loopback_dns: List[str] = field(default_factory=list)
    pod_interfaces: List[str] = field(default_factory=list)
    disks: List[Disk] = field(default_factory=list)

    def at(self, address: str) -> Optional[Address]:
        """The entry of an address of this machine."""
        return next((one for one in self.addresses if one.address == address), None)


def observe(system: System) -> NodeState:
    """Look at the machine; two commands and some files of /etc, /proc and /sys."""
    release = os_release.read(system)
    links = interfaces.query(system, "address")
    addresses = interfaces.own_addresses(links)
    own_dns = _nameservers(system.read("/etc/resolv.conf") or "")
    routes = interfaces.query(system, "-4", "route") + interfaces.query(system, "-6", "route")
    return NodeState(
        hostname=socket.gethostname() if system.root == "/" else (system.read("/etc/hostname") or "").strip(),
        machine_id=(system.read("/etc/machine-id") or "").strip(),
        product_uuid=(system.read("/sys/class/dmi/id/product_uuid") or "").strip().lower(),
        os_id=release.id,
        os_like=release.like,
        os_version=release.version_id,
        architecture=platform.machine(),
        kernel=platform.release(),
        cpus=(system.read("/proc/cpuinfo") or "").count("processor\t:"),
        memory_mb=_memory_mb(system.read("/proc/meminfo") or ""),
        cgroup_version=2 if system.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        epoch=time.time(),
        addresses=addresses,
        routes=own_routes(routes),
        default_address=default_address(routes, addresses),
        dns_servers=_dns_servers(system),
        loopback_dns=[server for server in own_dns if _is_loopback(server)],
        pod_interfaces=[
            str(link["ifname"]) for link in links if interfaces.is_leftover_interface(str(link.get("ifname", "")))
        ],
        disks=[_disk(system, folder) for folder in DATA_FOLDERS],
    )


def own_routes(routes: List[Dict[str, Any]]) -> List[str]:
    """Destinations this host routes to by itself, in CIDR form: no default route, none over pod interfaces.

    Routes that a pod network made have a protocol of their own (BIRD's, Felix', the bridge network's) and are left out.
    """
    found = []
    for route in routes:
        destination = str(route.get("dst", ""))
        skip = destination in ("", "default") or destination.startswith(("fe80", "ff00", "127.", "169.254."))
        if (
            skip
            or interfaces.is_pod_interface(str(route.get("dev", "")))
            or route.get("type") in ("blackhole", "local", "multicast")
        ):
            continue
        if str(route.get("protocol")) in POD_ROUTE_PROTOCOLS or not is_network(destination):
            continue
        found.append(destination)
    return sorted(set(found))


def default_address(routes: List[Dict[str, Any]], addresses: List[Address]) -> str:
    """The address the default route leaves from: what kubeadm takes unless told otherwise."""
    for route in routes:
        if route.get("dst") != "default":
            continue
        if is_address(str(route.get("prefsrc"))):
            return str(route["prefsrc"])
        for address in addresses:
            if address.interface == route.get("dev") and (":" in address.address) == (":" in str(route.get("gateway"))):
                return address.address
    return addresses[0].address if len(addresses) == 1 else ""


def _memory_mb(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return max(0, number("".join(line.split()[1:2]))) // 1024
    return 0


def _dns_servers(system: System) -> List[str]:
    # With systemd-resolved, resolv.conf names the stub on loopback; the servers behind it are in this second file.
    text: Optional[str] = system.read("/run/systemd/resolve/resolv.conf") or system.read("/etc/resolv.conf")
    return [server.split("%")[0] for server in _nameservers(text or "") if not _is_loopback(server)]


def _nameservers(text: str) -> List[str]:
    lines = [line.split() for line in text.splitlines() if line.startswith("nameserver")]
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def _is_loopback(server: str) -> bool:
    return server.startswith("127.") or server == "::1"


def _disk(system: System, folder: str) -> Disk:
    path = folder
    while path != "/" and not system.exists(path):
        path = os.path.dirname(path)
    try:
        found = os.statvfs(system.path(path))
    except OSError:
        return Disk(folder)
    block = found.f_frsize
    return Disk(folder, found.f_blocks * block // 2**20, found.f_bavail * block // 2**20)
