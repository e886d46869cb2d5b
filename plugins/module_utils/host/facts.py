# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts of a machine: operating system, names, addresses, routes. The checks across hosts use them."""

from __future__ import annotations

import os
import re
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ..core.addresses import normal_address, plain_address
from ..core.constants import ROUTE_PROTOCOL
from ..core.system import System
from ..core.untrusted import is_address, is_network, mappings, number, text
from . import connect, interfaces, kernel, os_release
from .interfaces import Address
from .kernel import KernelState

COMPONENT = "node"

# Who makes routes to pods, as /etc/iproute2/rt_protos or the kernel names them.
POD_ROUTE_PROTOCOLS = ("bird", "12", "80", ROUTE_PROTOCOL)


# The paths of manually installed Kubernetes programs.
_LOCAL_PROGRAMS = tuple(
    "{0}/{1}".format(folder, name)
    for name in ("kubeadm", "kubectl", "kubelet")
    for folder in ("/usr/local/sbin", "/usr/local/bin")
)
_DNS_FILES = ("/run/systemd/resolve/resolv.conf", "/etc/resolv.conf")
_DEFAULT_ROUTES = ("default", "0.0.0.0/0", "::/0")
# Types of routes that do not lead to another network.
_NOWHERE = ("anycast", "blackhole", "broadcast", "local", "multicast", "prohibit", "throw", "unreachable")

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
    """The observed state of a machine.

    ``default_address`` is the source address of the default route, empty without a default route;
    ``default_addresses`` has one for each family. ``dns_file`` is the file that pods get as their resolv.conf,
    ``no_dns_file`` is true if it does not exist:
    ``dns_servers`` are its name servers on other machines, ``loopback_dns`` its name servers on loopback addresses,
    and ``odd_dns`` its entries that are not addresses. ``hostname_addresses`` are the addresses of the host name, None
    if it was not looked up. ``pod_interfaces`` are the network interfaces of pod networks. ``local_programs`` are
    Kubernetes programs that take precedence over those of packages.
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
    default_addresses: List[str] = field(default_factory=list)
    dns_file: str = ""
    no_dns_file: bool = False
    dns_servers: List[str] = field(default_factory=list)
    loopback_dns: List[str] = field(default_factory=list)
    odd_dns: List[str] = field(default_factory=list)
    hostname_addresses: Optional[List[str]] = None
    pod_interfaces: List[str] = field(default_factory=list)
    disks: List[Disk] = field(default_factory=list)
    local_programs: List[str] = field(default_factory=list)
    kernel_state: KernelState = KernelState()

    def at(self, address: str) -> Optional[Address]:
        """The entry of an address of this machine, in any spelling of the address."""
        wanted = normal_address(address)
        return next((one for one in self.addresses if normal_address(one.address) == wanted), None)


def observe(system: System, resolve: bool = False, shared: str = "") -> NodeState:
    """Observe the machine with three commands and some files of /etc, /proc and /sys.

    With ``resolve``, the host name is looked up too, which takes three seconds if no name server answers. A ``shared``
    address is left out: it belongs to the machine that has it at the moment.
    """
    release = os_release.read(system)
    links = interfaces.query(system, "address")
    addresses = [one for one in interfaces.own_addresses(links) if normal_address(one.address) != shared]
    hostname = socket.gethostname() if system.root == "/" else (system.read("/etc/hostname") or "").strip()
    dns_file = _dns_file(system)
    dns = _nameservers(system.read(dns_file) or "")
    cgroup_version = 2 if system.exists("/sys/fs/cgroup/cgroup.controllers") else 1
    routes = interfaces.query(system, "-4", "route")
    routes += [dict(route, v6=True) for route in interfaces.query(system, "-6", "route")]
    return NodeState(
        hostname=hostname,
        machine_id=(system.read("/etc/machine-id") or "").strip(),
        product_uuid=(system.read("/sys/class/dmi/id/product_uuid") or "").strip().lower(),
        os_id=release.id,
        os_like=release.like,
        os_version=release.version_id,
        architecture=architecture(os.uname().machine, sys.maxsize > 2**32),
        kernel=os.uname().release,
        # A line is "processor : 0"; on s390x, "processor 0: version = …".
        cpus=len(re.findall(r"(?m)^processor[ \t]*[0-9]*[ \t]*:", system.read("/proc/cpuinfo") or "")),
        memory_mb=_memory_mb(system.read("/proc/meminfo") or ""),
        cgroup_version=cgroup_version,
        epoch=time.time(),
        addresses=addresses,
        routes=own_routes(routes),
        default_address=default_address(routes, addresses),
        default_addresses=default_addresses(routes, addresses),
        dns_file=dns_file,
        no_dns_file=not system.exists(dns_file),
        dns_servers=[server for server in dns if is_address(server) and not _is_loopback(server)],
        loopback_dns=[server for server in dns if is_address(server) and _is_loopback(server)],
        odd_dns=[text(server, 60) for server in dns if not is_address(server)][:9],
        hostname_addresses=connect.resolve(hostname) if resolve and system.root == "/" else None,
        pod_interfaces=[
            str(link["ifname"]) for link in links if interfaces.is_leftover_interface(str(link.get("ifname", "")))
        ],
        disks=[_disk(system, folder) for folder in DATA_FOLDERS],
        local_programs=[path for path in _LOCAL_PROGRAMS if system.is_executable(path)],
        kernel_state=kernel.observe(system, os.uname().release, cgroup_version),
    )


def architecture(machine: str, wide: bool) -> str:
    """The architecture of the system. ``machine`` is that of the kernel, ``wide`` is true for 64-bit programs.

    Raspberry Pi OS with 32 bits has a 64-bit kernel. The result is then what the kernel reports to 32-bit programs.
    """
    return machine if wide else {"aarch64": "armv8l", "x86_64": "i686"}.get(machine, machine)


def own_routes(routes: List[Dict[str, Any]]) -> List[str]:
    """Destinations of the host's own routes as CIDRs, without default routes and routes over interfaces of a cluster.

    The networks of Docker and Podman belong to the host: a pod range that contains them would not be reached from it.
    Routes of a pod network are left out. Their protocol identifies them (BIRD, Felix, the bridge network).
    """
    found = []
    for route in routes:
        destination = str(route.get("dst", ""))
        skip = destination in ("", *_DEFAULT_ROUTES) or destination.startswith(("fe80", "ff00", "127.", "169.254."))
        if skip or interfaces.is_cluster_interface(str(route.get("dev", ""))) or route.get("type") in _NOWHERE:
            continue
        if str(route.get("protocol")) in POD_ROUTE_PROTOCOLS or not is_network(destination):
            continue
        found.append(destination)
    return sorted(set(found))


def default_address(routes: List[Dict[str, Any]], addresses: List[Address]) -> str:
    """The source address of the default route, which kubeadm uses by default."""
    found = default_addresses(routes, addresses)
    if found:
        return found[0]
    own = [one.address for one in addresses if one.interface != "lo"]
    return own[0] if len(own) == 1 else ""


def default_addresses(routes: List[Dict[str, Any]], addresses: List[Address]) -> List[str]:
    """The source addresses of the default routes, one for each family, in the order of the routes."""
    found: List[str] = []
    for route in routes:
        address = _leaves_from(route, addresses) if route.get("dst") in _DEFAULT_ROUTES else ""
        if address and not [one for one in found if (":" in one) == (":" in address)]:
            found.append(address)
    return found


def _leaves_from(route: Dict[str, Any], addresses: List[Address]) -> str:
    if is_address(str(route.get("prefsrc"))):
        return str(route["prefsrc"])
    # A multipath route has a list of next hops. A gateway of the other family is in ``via``.
    for hop in [route, *mappings(route.get("nexthops"))]:
        v6 = bool(route.get("v6")) or ":" in str(hop.get("gateway"))
        for address in addresses:
            if address.interface == hop.get("dev") and (":" in address.address) == v6:
                return address.address
    # An interface with only link-local addresses (RFC 5549); the address of the machine is on the loopback interface,
    # where kubeadm looks for it, too.
    v6 = bool(route.get("v6"))
    loopback = [one.address for one in addresses if one.interface == "lo" and (":" in one.address) == v6]
    return loopback[0] if loopback else ""


def _memory_mb(text: str) -> int:
    for line in text.splitlines():
        if line.startswith("MemTotal:"):
            return max(0, number("".join(line.split()[1:2]))) // 1024
    return 0


def _dns_file(system: System) -> str:
    """The file that pods get as their resolv.conf: that of systemd-resolved while it runs, else /etc/resolv.conf.

    The file of systemd-resolved remains until the next boot if the service is stopped.
    """
    upstream, usual = _DNS_FILES
    if not system.read(upstream):
        return usual
    if "/systemd/" in os.path.realpath(system.path(usual)) or "127.0.0.53" in (system.read(usual) or ""):
        # The file has only the loopback stub, and kubeadm configures the other one for pods.
        return upstream
    state = system.run(["systemctl", "is-active", "systemd-resolved"], timeout=10.0).stdout.strip()
    return usual if state in ("inactive", "failed") else upstream


def _nameservers(text: str) -> List[str]:
    lines = [line.split() for line in text.splitlines() if line.startswith("nameserver")]
    # In a link-local address, a percent sign separates the interface.
    return [words[1].split("%")[0] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def _is_loopback(server: str) -> bool:
    """True for an address at which a pod would ask itself: also 0.0.0.0 and ::, and IPv4 addresses in IPv6 form."""
    address = plain_address(server)
    plain = getattr(address, "ipv4_mapped", None) or address
    return bool(plain.is_loopback or plain.is_unspecified)


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
