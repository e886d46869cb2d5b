# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules for one machine that becomes or stays a node. Pure: no rule reads another host."""

from __future__ import annotations

import re
from typing import Dict, List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.plan import package_name
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import COMPONENTS, MANIFESTS
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import (
    CGROUP_V1_REFUSED,
    CONTAINERD_NEEDED,
    CONTAINERD_TESTED,
    KUBELET_SKEW,
    OLDEST_SUPPORTED,
    Since,
    at,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import numbers, parse, parse_request
from ansible_collections.kubestead.cluster.plugins.module_utils.host import connect, environment, ports
from ansible_collections.kubestead.cluster.plugins.module_utils.host.swap import fstab_swaps
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import NONE
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge

from ..cluster import Cluster
from ..hosts import Host
from . import reachability
from .argument_rules import argument_problems

# The architectures of the Kubernetes packages and images, as the kernel names them.
ARCHITECTURES = ("x86_64", "aarch64", "ppc64le", "s390x")
# The oldest supported release of each system.
_SYSTEMS: Dict[str, Tuple[int, ...]] = {"debian": (12,), "ubuntu": (22, 4), "rhel": (9,)}
# The systems whose own repository has containerd 1, and its version.
_CONTAINERD_1 = {
    ("debian", "12"): "1.6",
    ("debian", "13"): "1.7",
    ("ubuntu", "22.04"): "1.7",
    ("ubuntu", "24.04"): "1.7",
}

# The limits that kubeadm has for a control plane. A worker needs less.
CONTROL_PLANE_CPUS, CONTROL_PLANE_MB, WORKER_MB = 2, 1700, 900
# The images of a control plane take 1 GB unpacked, those of Calico 0.5 GB.
LEAST_DISK_MB = 2048
# Below this the kubelet (imagefs.available) taints the node and removes pods.
LEAST_DISK_PERCENT = 15

_HOST_PORTS = {
    True: "6443, 2379-2380, 10250/tcp",
    False: "10250, 30000-32767/tcp",
}
_CALICO_PORTS = "4789/udp, 5473/tcp, 179/tcp"
# The name of a Node is also the value of its label kubernetes.io/hostname.
_LONGEST_NAME = 63
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\Z")


def joining_host_problems(host: Host, cluster: Cluster, components: Sequence[str]) -> List[Problem]:
    """The problems of a host that is not a node yet."""
    found = _system(host) + _resources(host) + _disk(host) + _versions(host, cluster) + _swap(host, components)
    found += _local_programs(host) + _kernel(host) + _forwarding(host, components) + argument_problems(host, cluster)
    found += _ports(host) + _network(host) + _dns(host) + _runtime(host, components) + _leftovers(host)
    found += _firewall(host) + _registries(host) + node_name_problems(host.node_name) + _name_lookup(host)
    return found


def any_host_problems(host: Host) -> List[Problem]:
    """The problems of any host, including existing nodes."""
    found = []
    around = host.facts.environment
    if host.options.cni.plugin == "calico" and around.network_manager and not around.ignores_calico_interfaces:
        text = "NetworkManager is active and not configured to ignore Calico's interfaces; it breaks the routes of pods"
        fix = (
            "write [keyfile] and unmanaged-devices=interface-name:cali*;interface-name:tunl*;"
            "interface-name:vxlan.calico into /etc/NetworkManager/conf.d/calico.conf"
        )
        found.append(Problem("network_manager", text, fix, "warning"))
    # In a container the clock is another machine's business.
    if not host.container and host.facts.clock.synchronized is False:
        services = ", ".join(around.time_services)
        text = "the clock is not synchronized ({0})".format(
            "{0} is active but has not set it".format(services) if services else "no time service is active"
        )
        fix = "install chrony or systemd-timesyncd, and check that it reaches a time server"
        found.append(Problem("time_sync", text, fix, "warning"))
    return found


def node_name_problems(name: str) -> List[Problem]:
    """What is wrong with the name of a Node, which is a DNS name (RFC 1123)."""
    fix = "set another host name (hostnamectl set-hostname), or cluster_node_name"
    if len(name) > _LONGEST_NAME:
        text = "the host name {0!r} is too long for a Node: a label value has at most {1} characters".format(
            name, _LONGEST_NAME
        )
        return [Problem("node_name", text, fix)]
    if not all(_LABEL.match(part) for part in name.split(".")):
        text = (
            "the host name {0!r} is not a valid node name, whose parts have at most 63 of a-z, 0-9 and dashes".format(
                name
            )
        )
        return [Problem("node_name", text, fix)]
    if name.split(".")[0] == "localhost":
        return [
            Problem("node_name", "the host name is {0}, which other hosts can't resolve".format(name), fix, "warning")
        ]
    return []


def _system(host: Host) -> List[Problem]:
    node, found = host.node, []
    if node.architecture and node.architecture not in ARCHITECTURES:
        text = "CPU architecture {0} is not supported by the Kubernetes packages".format(node.architecture)
        fix = "use a 64-bit system: {0}".format(", ".join(ARCHITECTURES))
        found.append(Problem("architecture", text, fix))
    # Oracle Linux names only Fedora.
    rhel = "rhel" in node.os_like or node.os_id == "ol"
    family = node.os_id if node.os_id in _SYSTEMS else ("rhel" if rhel else "")
    version = numbers(node.os_version)
    if family and version and version < _SYSTEMS[family]:
        least = ".".join(
            "{0:02d}".format(part) if part < 10 and at else str(part) for at, part in enumerate(_SYSTEMS[family])
        )
        text = "the operating system {0} {1} is older than the supported releases".format(node.os_id, node.os_version)
        found.append(Problem("system", text, "use {0} {1} or newer".format(family, least), "warning"))
    return found


def _resources(host: Host) -> List[Problem]:
    node, found = host.node, []
    ignored = [name.lower() for name in host.options.control_plane.ignore_preflight_errors]
    if host.control_plane and 0 < node.cpus < CONTROL_PLANE_CPUS:
        text = "has {0} CPU, but a control plane needs {1}".format(node.cpus, CONTROL_PLANE_CPUS)
        fix = "add CPUs, or set cluster_ignore_preflight_errors: [NumCPU] for a test"
        found.append(Problem("cpus", text, fix, "warning" if "numcpu" in ignored else "error"))
    least = CONTROL_PLANE_MB if host.control_plane else WORKER_MB
    if 0 < node.memory_mb < least:
        what = "a control plane needs" if host.control_plane else "a worker should have"
        text = "has {0} MB of memory, but {1} {2}".format(node.memory_mb, what, least)
        fix = "add memory"
        if host.control_plane:
            fix += ", or set cluster_ignore_preflight_errors: [Mem] for a test"
        lenient = "mem" in ignored or not host.control_plane
        found.append(Problem("memory", text, fix, "warning" if lenient else "error"))
    return found


def _disk(host: Host) -> List[Problem]:
    # Several folders of one file system are one problem.
    worst: Optional[Tuple[int, int, str]] = None
    for disk in host.node.disks:
        if disk.size_mb and (host.control_plane or disk.folder != "/var/lib/etcd"):
            one = (disk.free_mb, disk.free_percent, disk.folder)
            if disk.free_mb < LEAST_DISK_MB or disk.free_percent < LEAST_DISK_PERCENT:
                worst = min(worst or one, one)
    if worst is None:
        return []
    free, percent, folder = worst
    text = "{0} has {1} MB ({2} %) free".format(folder, free, percent)
    if free < LEAST_DISK_MB:
        return [Problem("disk", text, "free at least {0} MB; images need the space".format(LEAST_DISK_MB))]
    fix = "free some space; below {0} % the kubelet evicts pods, unless evictionHard is set".format(LEAST_DISK_PERCENT)
    has_own = "evictionHard" in host.options.control_plane.kubelet_config
    return [] if has_own else [Problem("disk", text, fix, "warning")]


def _versions(host: Host, cluster: Cluster) -> List[Problem]:
    wanted = parse_request(host.options.control_plane.kubernetes_version)
    minor, found = wanted.minor, []
    runs = parse(cluster.version) if cluster.exists else None
    if runs and (wanted.major, minor) != (runs.major, runs.minor):
        allowed = at(KUBELET_SKEW, runs.minor)
        newer = (wanted.major, minor) > (runs.major, runs.minor)
        text = "cluster_kubernetes_version is {0}, but the cluster runs {1}".format(wanted, runs)
        broken = newer or minor < runs.minor - allowed
        text += (
            "; a kubelet may not be newer than the API server"
            if newer
            else "; the minor versions differ by {0}".format(runs.minor - minor)
        )
        fix = "set it to {0}".format(runs.series)
        found.append(Problem("version_skew", text, fix, "error" if broken else "warning"))
    return found + upgrade_problems(host, minor)


def upgrade_problems(host: Host, minor: int) -> List[Problem]:
    """The problems that prevent a host, new or already a node, from running a minor version of Kubernetes."""
    found = []
    refused = at(CGROUP_V1_REFUSED, minor)
    accepted = host.options.control_plane.kubelet_config.get("failCgroupV1") is False
    if refused and host.node.cgroup_version == 1 and not accepted:
        text = "the host uses cgroup v1, but kubelet 1.{0} requires cgroup v2 by default".format(minor)
        fix = (
            "boot it with systemd.unified_cgroup_hierarchy=1, or set cluster_kubelet_config: {failCgroupV1: false} "
            "and cluster_ignore_preflight_errors: [SystemVerification]"
        )
        found.append(Problem("cgroup_v1", text, fix))
    return found + _containerd_version(host, minor)


def _containerd_version(host: Host, minor: int) -> List[Problem]:
    state = host.facts.containerd
    needed, tested = at(CONTAINERD_NEEDED, minor), at(CONTAINERD_TESTED, minor)
    package = package_name(state, host.options.containerd)
    stays = not state.packages or package in state.packages
    there = numbers(state.version)
    if there and stays:
        has = "has containerd {0}".format(state.version)
        if there < needed:
            text = "{0}, but Kubernetes 1.{1} needs {2}.{3}".format(has, minor, *needed)
            return [Problem("containerd_version", text, _containerd_fix(CONTAINERD_NEEDED, there, minor))]
    else:
        own = _CONTAINERD_1.get((host.node.os_id, host.node.os_version), "")
        there = () if there or package != "containerd" else numbers(own)
        has = "would get containerd {0} from its distribution".format(own)
    if not there or there >= max(needed, tested):
        return []
    verb = "needs" if there < needed else "is tested with"
    text = "{0}, but Kubernetes 1.{1} {2} {3}.{4} or newer".format(has, minor, verb, *max(needed, tested))
    fix = _containerd_fix(CONTAINERD_TESTED, there, minor)
    return [Problem("containerd_version", text, fix, "warning")]


def _containerd_fix(rows: Sequence[Since], there: Tuple[int, ...], minor: int) -> str:
    fix = "set containerd_package to a newer package (containerd.io from Docker's repository)"
    older = next((row.minor - 1 for row in rows if row.value > there and row.minor <= minor), 0)
    return "{0}, or cluster_kubernetes_version to 1.{1}".format(fix, older) if older >= OLDEST_SUPPORTED else fix


def _swap(host: Host, components: Sequence[str]) -> List[Problem]:
    """Swap that stays on. In a container it belongs to the machine around it (see the component host)."""
    off = host.options.host.disable_swap and "host" in components
    if off or host.options.control_plane.kubelet_config.get("failSwapOn") is False:
        return []
    fix = "set cluster_kubelet_config: {failSwapOn: false}, or let the role host switch it off (host_disable_swap)"
    if host.facts.host.swaps and not host.container:
        text = "swap {0} stays enabled; the kubelet will refuse to start".format(", ".join(host.facts.host.swaps))
        return [Problem("swap", text, fix, "warning" if host.options.host.disable_swap else "error")]
    back = [device for _line, device in fstab_swaps(host.facts.host.fstab)] + host.facts.host.swap_units
    if back:
        text = "swap {0} is enabled again at the next boot; the kubelet will refuse to start".format(", ".join(back))
        return [Problem("swap", text, fix, "warning")]
    return []


def _ports(host: Host) -> List[Problem]:
    if host.kubeadm.operation or host.kubeadm.phase != NONE:
        # The rules about interrupted runs report the programs that kubeadm has left running.
        return []
    api = host.options.control_plane.bind_port
    taken = []
    for port, what in sorted(ports.needed(host.control_plane, api, host.own_etcd).items()):
        if port in host.facts.ports.listening:
            holder = host.facts.ports.processes.get(str(port))
            taken.append("port {0} of {1} is in use{2}".format(port, what, " by " + holder if holder else ""))
    if not taken:
        return []
    fix = "stop the program (ss -ltnp), or run reset.yml for this host if it is left over from an earlier cluster"
    return [Problem("port_taken", ", ".join(taken), fix)]


def _network(host: Host) -> List[Problem]:
    node, found = host.node, []
    have = ", ".join(address.address for address in node.addresses) or "none"
    wanted = host.options.control_plane.node_address
    if wanted and node.at(wanted.split(",")[0]) is None:
        text = "cluster_node_address {0} is not an address of this host".format(wanted.split(",")[0])
        found.append(Problem("node_address", text, "use one of {0}".format(have)))
    if not wanted and not node.default_address:
        text = "does not have a default route, so kubeadm can't choose an address"
        found.append(Problem("default_route", text, "set cluster_node_address to one of {0}".format(have)))
    for given in wanted.split(",")[1:] if wanted else []:
        if node.at(given) is None:
            text = "cluster_node_address {0} is not an address of this host".format(given.strip())
            found.append(Problem("node_address", text, "use one of {0}".format(have)))
    return found


def _dns(host: Host) -> List[Problem]:
    """The problems of the name servers that pods get, including CoreDNS."""
    node, found = host.node, []
    if host.options.control_plane.kubelet_config.get("resolvConf") is not None:
        return []
    place = node.dns_file or "/etc/resolv.conf"
    fix = "set cluster_kubelet_config: {resolvConf: FILE} to a file with the real name servers"
    if node.no_dns_file:
        text = "{0} does not exist on this host, or is a link to a file that does not; no pod would start".format(place)
        return [Problem("dns_server", text, "create it, or " + fix)]
    if node.loopback_dns:
        only = "" if node.dns_servers else "only "
        text = "{0} lists {1}loopback name servers ({2}); CoreDNS would forward to itself and exit".format(
            place, only, ", ".join(node.loopback_dns)
        )
        found.append(Problem("dns_loop", text, fix))
    if node.odd_dns:
        text = "{0} has a name server that is not an address: {1}; pods get it unchanged".format(
            place, ", ".join(map(repr, node.odd_dns[:3]))
        )
        found.append(Problem("dns_server", text, "write one address per line, without punctuation", "warning"))
    return found


def _name_lookup(host: Host) -> List[Problem]:
    """The problems of the addresses of the host name. Without ``--node-ip``, a kubelet uses one of them."""
    addresses, wanted = host.node.hostname_addresses, host.options.control_plane
    if addresses is None:
        return []
    name = host.node.hostname
    if not addresses:
        text = "this host can't resolve its own name {0}".format(name)
        return [Problem("hostname_lookup", text, "add it to DNS or to /etc/hosts", "warning")]
    if wanted.node_address or "node-ip" in wanted.kubelet_extra_args or wanted.node_name not in ("", name):
        return []
    own = [one for one in addresses if host.node.at(one) is not None]
    if own and host.address and own[0] != host.address and (":" in own[0]) == (":" in host.address):
        text = "{0} resolves to {1}, which the kubelet would use, but kubeadm uses {2}".format(
            name, own[0], host.address
        )
        return [Problem("hostname_lookup", text, "set cluster_node_address to one of them", "warning")]
    return []


def _ignored(host: Host, check: str) -> bool:
    """True where the user wants the errors of one of kubeadm's own checks ignored."""
    return check.lower() in [name.lower() for name in host.options.control_plane.ignore_preflight_errors]


def _local_programs(host: Host) -> List[Problem]:
    """Programs that take precedence over those of packages, because they are earlier in the path."""
    hiding = host.node.local_programs
    if not hiding:
        return []
    one = len(hiding) == 1
    text = "{0} take{1} precedence over the program{2} of the packages, possibly with another version".format(
        ", ".join(hiding), "s" if one else "", "" if one else "s"
    )
    return [Problem("local_program", text, "remove the programs that were installed manually", "warning")]


def _kernel(host: Host) -> List[Problem]:
    """The problems that kubeadm's SystemVerification reports, and missing cgroup controllers of the kubelet."""
    state, found = host.node.kernel_state, []
    if state.controllers_lacking:
        text = "the cgroup controller{0} {1} {2} disabled; the kubelet can't start".format(
            "s" if len(state.controllers_lacking) > 1 else "",
            ", ".join(state.controllers_lacking[:8]),
            "are" if len(state.controllers_lacking) > 1 else "is",
        )
        fix = "enable it on the kernel command line (cgroup_enable=memory on a Raspberry Pi), then reboot"
        found.append(Problem("cgroup_controller", text, fix))
    if _ignored(host, "SystemVerification"):
        return found
    if state.config == "":
        text = "the configuration of kernel {0} was not found, so kubeadm can't verify it".format(host.node.kernel)
        fix = "install it as /boot/config-{0}, or set cluster_ignore_preflight_errors: [SystemVerification]"
        found.append(Problem("kernel_config", text, fix.format(host.node.kernel)))
    elif state.lacks:
        text = "kernel {0} lacks options that kubeadm requires: {1}".format(
            host.node.kernel, ", ".join("CONFIG_" + name for name in state.lacks[:8])
        )
        fix = "use a kernel of the distribution, or set cluster_ignore_preflight_errors: [SystemVerification]"
        found.append(Problem("kernel_config", text, fix))
    return found


def _forwarding(host: Host, components: Sequence[str]) -> List[Problem]:
    """IP forwarding that stays disabled, because the play does not enable it."""
    if "host" in components:
        return []
    wanted = ["net.ipv4.ip_forward"]
    if ":" in host.options.host.pod_cidr:
        wanted.append("net.ipv6.conf.all.forwarding")
    off = [key for key in wanted if host.facts.host.sysctls.get(key, "1") != "1"]
    if not off:
        return []
    text = "{0} is not 1; kubeadm refuses it, and packets of pods are dropped".format(" and ".join(off))
    return [Problem("ip_forward", text, "use the role kubestead.cluster.host, or set it in /etc/sysctl.d")]


def _runtime(host: Host, components: Sequence[str]) -> List[Problem]:
    """The problems of the container runtime, if this play does not install it."""
    if "containerd" in components or "containerd" not in host.options.control_plane.cri_socket:
        return []
    if not host.facts.containerd.version:
        text = "containerd is not installed, and the play does not install it"
        return [Problem("cri", text, "use the role kubestead.cluster.containerd first", "warning")]
    if host.facts.containerd.cri != "ok":
        text = "containerd's CRI service does not work: {0}".format(host.facts.containerd.cri)
        fix = "use the role kubestead.cluster.containerd first; it enables the CRI plugin"
        return [Problem("cri", text, fix, "warning")]
    return []


def _leftovers(host: Host) -> List[Problem]:
    """Leftovers of an earlier cluster that the rules about kubeadm's files do not report."""
    if host.kubeadm.operation or host.kubeadm.phase != NONE:
        return []
    found = []
    left = host.kubeadm.leftovers
    if host.control_plane and host.own_etcd and "/var/lib/etcd" in left:
        text = "/var/lib/etcd is not empty; kubeadm refuses to create etcd in it"
        found.append(Problem("etcd_leftovers", text, "check its content, then empty it (reset.yml does)"))
    found += _static_pods(host)
    seen = [path for path in left if path.startswith("/etc/cni/net.d/") and path != bridge.CONFLIST]
    seen += [path for path in left if path in ("/var/lib/cni", "/var/lib/calico")]
    names = host.node.pod_interfaces
    if names:
        seen.append("interface{0} {1}".format("s" if len(names) > 1 else "", ", ".join(names[:4])))
        if len(names) > 4:
            seen[-1] += " and {0} more".format(len(names) - 4)
    if seen:
        text = "left over from another pod network: {0}; pods may get addresses of that network".format(", ".join(seen))
        fix = "remove it (rm, ip link delete), unless another program on this host uses it"
        found.append(Problem("leftovers", text, fix, "warning"))
    return found


def _static_pods(host: Host) -> List[Problem]:
    """Manifests that kubeadm did not write. The kubelet runs them as soon as it starts."""
    own = [name for name in host.kubeadm.manifests if name not in COMPONENTS]
    if not own:
        return []
    text = "{0} has manifests that kubeadm did not write: {1}; the kubelet will run them".format(
        MANIFESTS, ", ".join(own[:4]) + (" and {0} more".format(len(own) - 4) if len(own) > 4 else "")
    )
    return [Problem("leftovers", text, "remove them, unless they belong to this node", "warning")]


def _firewall(host: Host) -> List[Problem]:
    if not host.facts.environment.firewalls:
        return []
    names = ", ".join(host.facts.environment.firewalls)
    wanted = _HOST_PORTS[host.control_plane]
    if host.options.cni.plugin == "calico":
        wanted += ", " + _CALICO_PORTS
    if host.control_plane and host.options.api_endpoint.virtual_ip:
        wanted += ", IP protocol 112 (VRRP)"
    text = "{0} is active and may block traffic between nodes and pods".format(names)
    fix = "open {0} for the other nodes and allow all traffic of the pod range, or disable it".format(wanted)
    return [Problem("firewall", text, fix, "warning")]


def _registries(host: Host) -> List[Problem]:
    """Registries that can't be reached. Behind a proxy, a direct connection proves nothing."""
    if host.facts.environment.proxied:
        return []
    cni = host.options.cni
    wanted = reachability.registries(
        host.options.control_plane.image_repository, host.options.containerd, cni.plugin, cni.image_registry
    )
    found = []
    for name, targets in wanted.items():
        tried = {one: host.facts.reach[one] for one in targets if one in host.facts.reach}
        if not tried or len(tried) < len(targets) or any(outcome == connect.OPEN for outcome in tried.values()):
            continue
        outcomes = ", ".join(
            "{0}: {1}".format(one, reachability.OUTCOME_TEXT.get(outcome, outcome)) for one, outcome in tried.items()
        )
        text = "can't reach registry {0} ({1})".format(name, outcomes)
        fix = "check the network and proxy, set a mirror in containerd_registry_mirrors, or load the images beforehand"
        found.append(Problem("registry_unreachable", text, fix, "warning"))
    return found


def proxy_problems(host: Host, wanted: Sequence[str]) -> List[Problem]:
    """The problem of a proxy that would get requests to addresses of the cluster (ranges and node addresses)."""
    if not host.facts.environment.proxied:
        return []
    missing = environment.uncovered(host.facts.environment.no_proxy, wanted)
    if not missing:
        return []
    text = "a proxy is set, but no_proxy does not contain {0}".format(", ".join(missing))
    fix = "add {0} to no_proxy (CIDR ranges are allowed)".format(",".join(missing))
    return [Problem("no_proxy", text, fix, "warning")]
