# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints: many hosts for Ansible in few containers.

An endpoint is an SSH server in namespaces of its own inside a carrier, which is a node of the lab. It has its own
network, address, routes, sysctls, host name, machine ID, /etc and Node object, and is a host of the inventory like any
other. It shares its carrier's processes (containerd, kubelet), packages and control group.
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import uuid
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

from lab import nodes
from lab.machine import MachineError
from lab.podman import NETWORK, network_subnet, podman
from lab.say import step

from . import cgroups
from .instruments import WatchedHost

PREFIX = "kbe"
NAMESPACES = pathlib.Path("/run/netns")
FOLDER = "/run/kubestead-bench"
# With more endpoints, a carrier's systemd and disk would be what is measured.
PER_CARRIER = 50

# Runs in the carrier's namespaces, but with the endpoint's network: sets up its files and starts its SSH server.
SCRIPT = """\
set -eu
name=$1
address=$2
machine_id=$3
joined=$4
own={folder}/$name
mkdir -p "$own" /run/sshd
hostname "$name"
mount -t tmpfs tmpfs "$own"
mkdir -p "$own/etc" "$own/etc-work" "$own/kubelet/pki" "$own/kubelet-work"
# The container's hosts and resolv.conf are mounts, which an overlay does not include.
cp /etc/hosts /etc/resolv.conf "$own/etc/"
echo "$address $name" >>"$own/etc/hosts"
echo "$name" >"$own/etc/hostname"
echo "$machine_id" >"$own/etc/machine-id"
mount -t overlay -o "lowerdir=/etc,upperdir=$own/etc,workdir=$own/etc-work" overlay /etc
if [ "$joined" = yes ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout "$own/key" \\
        -out "$own/crt" -subj "/O=system:nodes/CN=system:node:$name" 2>/dev/null
    cat "$own/crt" "$own/key" >"$own/kubelet/pki/kubelet-client-current.pem"
    mount -t overlay -o "lowerdir=/var/lib/kubelet,upperdir=$own/kubelet,workdir=$own/kubelet-work" overlay \\
        /var/lib/kubelet
fi
exec setsid /usr/sbin/sshd -E "{folder}/$name.log" -o LogLevel=VERBOSE -o PidFile=none </dev/null >/dev/null 2>&1
""".format(folder=FOLDER)
# Enters the groups named first, which count and limit the endpoint's CPU time.
ENTER = 'for group in $1; do echo $$ >"$group/cgroup.procs"; done; shift; exec "$@"'


@dataclass(frozen=True)
class Endpoint:
    """One endpoint in a carrier (a container)."""

    name: str
    address: str
    carrier: str
    joined: bool

    @property
    def machine_id(self) -> str:
        """The endpoint's machine ID, derived from its name."""
        return uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.carrier}.{self.name}").hex

    @property
    def watched(self) -> WatchedHost:
        """The endpoint as a host whose SSH server is watched."""
        return WatchedHost(self.name, self.address, self.carrier, f"{FOLDER}/{self.name}.log")


def _ip(lines: Sequence[str], *options: str) -> None:
    done = subprocess.run(
        ["ip", *options, "-batch", "-"], input="\n".join(lines) + "\n", capture_output=True, encoding="utf-8"
    )
    if done.returncode:
        raise MachineError(f"ip failed: {done.stderr.strip()}")


def _network() -> Dict[str, Any]:
    found: Dict[str, Any] = json.loads(podman("network", "inspect", NETWORK).stdout)[0]
    return found


def create(
    carriers: Sequence[nodes.Node], names: Sequence[str], joined: bool, prefix: Sequence[str] = ()
) -> List[Endpoint]:
    """Start endpoints, spread over the carriers. ``joined`` makes them look like nodes that kubeadm joined.

    ``prefix`` is a command that starts each endpoint's first process.
    """
    sweep()
    subnet = network_subnet()
    if subnet is None:
        raise MachineError("the lab has no network; create nodes first")
    addresses = nodes.take_addresses(subnet, len(names))
    made = [
        Endpoint(name, address, carriers[index % len(carriers)].container, joined)
        for index, (name, address) in enumerate(zip(names, addresses, strict=True))
    ]
    with step(f"{len(made)} endpoints in {len(carriers)} containers"):
        bridge = _network()["network_interface"]
        processes = {node.container: _process(node.container) for node in carriers}
        groups = {node.container: cgroups.endpoint_groups(node.container) for node in carriers}
        for endpoint in made:
            carrier = endpoint.carrier
            enter = [*prefix, "sh", "-c", ENTER, "sh", " ".join(map(str, groups[carrier]))]
            _start(endpoint, processes[carrier], enter, bridge, str(subnet[1]), subnet.prefixlen)
    return made


def _process(container: str) -> str:
    return podman("inspect", "--format", "{{.State.Pid}}", container).stdout.strip()


def _start(endpoint: Endpoint, process: str, enter: Sequence[str], bridge: str, gateway: str, length: int) -> None:
    place = namespace(endpoint.address)
    link = place
    _ip([f"netns add {place}"])
    _ip([f"link add {link} type veth peer name eth0 netns {place}", f"link set {link} master {bridge} up"])
    _ip(
        [
            "link set lo up",
            f"addr add {endpoint.address}/{length} dev eth0",
            "link set eth0 up",
            f"route add default via {gateway}",
        ],
        "-n",
        place,
    )
    argv = [*enter, "nsenter", f"--net={NAMESPACES / place}", "nsenter", "--target", process]
    argv += ["--mount", "--uts", "--ipc", "--pid", "--cgroup", "unshare", "--mount", "--uts", "bash", "-s"]
    argv += [endpoint.name, endpoint.address, endpoint.machine_id, "yes" if endpoint.joined else "no"]
    done = subprocess.run(argv, input=SCRIPT, capture_output=True, encoding="utf-8", timeout=30)
    if done.returncode:
        raise MachineError(f"endpoint {endpoint.name} failed: {done.stderr.strip()}")


def namespace(address: str) -> str:
    """The name of an endpoint's network namespace, and of the interface on the bridge that leads to it."""
    third, fourth = address.split(".")[2:]
    return f"{PREFIX}{third}x{fourth}"


def sweep() -> None:
    """Remove the network namespaces without a process: endpoints end with their carriers."""
    for path in NAMESPACES.glob(f"{PREFIX}*"):
        done = subprocess.run(["ip", "netns", "pids", path.name], capture_output=True, encoding="utf-8")
        if done.returncode == 0 and not done.stdout.strip():
            # The interface on the bridge is removed with its peer.
            subprocess.run(["ip", "netns", "delete", path.name], capture_output=True)


def node_objects(endpoints: Sequence[Endpoint], version: str) -> str:
    """The Node objects of the endpoints, as their kubelets would have created them."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [_node(one, version) for one in endpoints]})


def _node(endpoint: Endpoint, version: str) -> Dict[str, Any]:
    # Without room, the scheduler would try kube-proxy's pod of each endpoint again whenever a node changes.
    resources = {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "20Gi", "pods": "110"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": endpoint.name,
            "labels": {"kubernetes.io/hostname": endpoint.name, "kubernetes.io/os": "linux"},
        },
        # Nothing must be scheduled there: no kubelet would start it.
        "spec": {"taints": [{"key": "kubestead.test/endpoint", "effect": "NoSchedule"}]},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": endpoint.address},
                {"type": "Hostname", "address": endpoint.name},
            ],
            "capacity": resources,
            "allocatable": resources,
            "conditions": [ready],
            "nodeInfo": {
                "machineID": endpoint.machine_id,
                "systemUUID": endpoint.machine_id,
                "bootID": endpoint.machine_id,
                "kernelVersion": "",
                "osImage": "",
                "containerRuntimeVersion": "containerd://1",
                "kubeletVersion": f"v{version}",
                "kubeProxyVersion": f"v{version}",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }
