# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of nodes: systemd containers that are reached over SSH like any machine.

A node is the container ``<set>-<node>`` with the host name ``<node>``. All that the lab knows about it is in the
container's labels, so there is no second record to keep up to date. Sets are independent and share one network.
"""

from __future__ import annotations

import concurrent.futures
import ipaddress
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .machine import MachineError, cache_dir, ensure, locked, state_dir
from .mirror import MIRROR
from .node_image import USER, ensure_image, key_path
from .podman import FIRST_ADDRESS, NETWORK, PodmanError, containers, ensure_network, host_facts, podman
from .say import say, step
from .systems import System, chosen, sources

LABEL = "kubestead"
LEAST_WATCHES = {"max_user_instances": 4096, "max_user_watches": 524288}
SSH_SECONDS = 90.0
# A node's name is also its host name; a set may have the name of a role.
NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?$")
SET_NAME = re.compile(r"^[a-z0-9]([a-z0-9_-]{0,40}[a-z0-9])?$")


@dataclass(frozen=True)
class Node:
    """One node of a set. ``state`` is podman's word, such as running or exited; ``system`` is a name of systems.py."""

    set_name: str
    name: str
    address: str
    state: str
    system: str = ""

    @property
    def container(self) -> str:
        """The container's name."""
        return f"{self.set_name}-{self.name}"


@dataclass(frozen=True)
class Mirror:
    """What a node must know about the lab's mirror. ``hostnames`` are the names it answers as."""

    address: str
    ca: Optional[pathlib.Path]
    hostnames: Tuple[str, ...]


@dataclass(frozen=True)
class Options:
    """How nodes are created.

    ``upstream_names``: the upstream hosts' names resolve to the mirror; otherwise only the mirror's own name does.
    ``machine_apt``: apt in the nodes uses this machine's sources instead of the mirror's packages.
    ``fresh``: existing nodes are replaced. ``same_address``: the new nodes get the addresses of the nodes that they
    replace. ``extra``: further arguments for ``podman create``. ``prefix``: a command that starts the first process.
    ``systems``: the operating systems of the nodes, see :func:`lab.systems.chosen`.
    """

    upstream_names: bool = True
    machine_apt: bool = False
    fresh: bool = False
    same_address: bool = False
    extra: Tuple[str, ...] = ()
    prefix: Tuple[str, ...] = ()
    systems: Tuple[str, ...] = ()


def set_dir(set_name: str) -> pathlib.Path:
    """The folder for the set's files (inventory, known hosts)."""
    return state_dir() / set_name


def listed(set_name: Optional[str] = None) -> List[Node]:
    """The existing nodes, of one set or of all, sorted by set and name."""
    wanted = f"{LABEL}.set" + (f"={set_name}" if set_name else "")
    found = []
    for entry in containers(wanted):
        labels = entry["Labels"]
        found.append(
            Node(
                set_name=labels[f"{LABEL}.set"],
                name=labels[f"{LABEL}.node"],
                address=labels[f"{LABEL}.ip"],
                state=entry.get("State", "unknown"),
                system=labels.get(f"{LABEL}.system", ""),
            )
        )
    return sorted(found, key=lambda node: (node.set_name, node.name))


def next_address(subnet: ipaddress.IPv4Network, last: Optional[str], used: Sequence[str]) -> str:
    """The next free node address after ``last``, going round.

    An address is reused as late as possible, so that connections kept open to a removed node do not reach its
    successor.
    """
    count = subnet.num_addresses - 1 - FIRST_ADDRESS
    start = 0
    if last and ipaddress.IPv4Address(last) in subnet:
        start = int(ipaddress.IPv4Address(last)) - int(subnet.network_address) - FIRST_ADDRESS + 1
    for offset in range(count):
        address = str(subnet[FIRST_ADDRESS + (start + offset) % count])
        if address not in used:
            return address
    raise MachineError(f"no free address in {subnet}; remove nodes with ./dev nodes destroy or ./dev lab-down")


def systemd_arguments(cgroup_v2: bool) -> List[str]:
    """What a container needs so that systemd can be its first process.

    podman prepares this correctly on cgroup v2. On v1 it mounts the systemd hierarchy of the machine into each
    container, and all nodes would share one tree; there these arguments replace its preparation.
    """
    if cgroup_v2:
        return ["--systemd=always"]
    return [
        "--systemd=false",
        "--stop-signal=SIGRTMIN+3",
        "--tmpfs=/run:rw,nosuid,nodev,mode=755",
        "--tmpfs=/run/lock:rw,nosuid,nodev,noexec,mode=1777",
        "--tmpfs=/tmp:rw,nosuid,nodev,mode=1777",
    ]


def first_process(cgroup_v2: bool) -> List[str]:
    """The node's first process with its arguments, which systemd in a container reads like a kernel's command line.

    On cgroup v1 systemd would mount a v2 hierarchy for itself. Where the machine has mounted none, nodes have no
    subtree of their own in it and would see each other's processes, so systemd must use v1 alone.
    """
    if cgroup_v2:
        return ["/sbin/init"]
    # From 256 on, systemd uses v1 only with an additional setting.
    return ["/sbin/init", "systemd.legacy_systemd_cgroup_controller=yes", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]


def mac_address(address: str) -> str:
    """A MAC address that a node keeps when it restarts, as a machine does; podman would choose another each time.

    Peers cache the old one for seconds, and packets are lost during this time.
    """
    return ":".join(f"{octet:02x}" for octet in (0x02, 0x6B, *ipaddress.IPv4Address(address).packed))


def create_arguments(
    node: Node, image: str, mirror: Mirror, options: Options, volumes: Sequence[str] = (), cgroup_v2: bool = True
) -> List[str]:
    """The arguments of ``podman create`` for one node. ``volumes`` are further -v arguments of this machine."""
    trust = [f"--volume={mirror.ca}:/usr/local/share/ca-certificates/kubestead-lab.crt:ro"] if mirror.ca else []
    return [
        "create",
        f"--name={node.container}",
        f"--hostname={node.name}",
        f"--network={NETWORK}",
        f"--ip={node.address}",
        f"--mac-address={mac_address(node.address)}",
        f"--label={LABEL}.set={node.set_name}",
        f"--label={LABEL}.node={node.name}",
        f"--label={LABEL}.ip={node.address}",
        f"--label={LABEL}.system={node.system}",
        "--privileged",
        "--cgroupns=private",
        "--pids-limit=-1",
        *systemd_arguments(cgroup_v2),
        "--volume=/var/lib/containerd",
        "--volume=/var/lib/kubelet",
        "--volume=/var/lib/etcd",
        # podman would write the hosts file again at each start, which does not happen to a machine.
        "--no-hosts",
        *(f"--volume={volume}" for volume in volumes),
        *trust,
        *options.extra,
        image,
        *options.prefix,
        *first_process(cgroup_v2),
    ]


def hosts_file(node: Node, mirror: Mirror, options: Options) -> str:
    """The text of a node's hosts file, as an installer writes it, with the lab's names."""
    names = dict.fromkeys((MIRROR, *(mirror.hostnames if options.upstream_names else ())))
    return f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{node.address}\t{node.name}\n" + "".join(
        f"{mirror.address}\t{name}\n" for name in names
    )


def raise_limits(folder: pathlib.Path = pathlib.Path("/proc/sys/fs/inotify")) -> List[str]:
    """Let this machine watch enough files for many systemds and kubelets; the settings that were too low.

    A dozen nodes use up the usual 128 watchers, and then a systemd stops while it starts. The setting lasts until
    this machine restarts.
    """
    raised = []
    for name, least in LEAST_WATCHES.items():
        path = folder / name
        try:
            if int(path.read_text(encoding="utf-8")) < least:
                path.write_text(f"{least}\n", encoding="utf-8")
                raised.append(name)
        except OSError:
            continue
    return raised


def disk_warning(free: float) -> str:
    """A warning if the nodes will soon be under disk pressure; otherwise empty. ``free`` is between 0 and 1.

    The nodes share this machine's disk. A kubelet evicts pods when less than 15 % of it is free.
    """
    if free >= 0.2:
        return ""
    return f"warning: {free:.0%} of the disk is free; below 15%, the kubelets evict pods; free some space"


def _free_part_of_disk() -> float:
    usage = shutil.disk_usage(podman("info", "--format={{.Store.GraphRoot}}").stdout.strip())
    return usage.free / usage.total


def apt_source(options: Options, system: System) -> str:
    """The text of a node's sources.list."""
    if not options.machine_apt:
        return f"deb [trusted=yes] http://{MIRROR}/debian/{system.name} ./\n"
    lines = [re.sub(r"signed-by=\S+?(?=[\s\]])", "", line) for line in sources(system)]
    return "".join(f"{line}\n" for line in lines).replace("[] ", "")


def _machine_volumes() -> List[str]:
    """What a node sees of this machine: its kernel modules, but not its swap, which a node must never switch off."""
    folder = cache_dir() / "nodes"
    folder.mkdir(parents=True, exist_ok=True)
    volumes = []
    if os.path.isdir("/lib/modules"):
        volumes.append("/lib/modules:/lib/modules:ro")
    swaps = pathlib.Path("/proc/swaps")
    lines = swaps.read_text(encoding="utf-8").splitlines() if swaps.exists() else []
    if len(lines) > 1:
        none = folder / "swaps"
        none.write_text(lines[0] + "\n", encoding="utf-8")
        volumes.append(f"{none}:/proc/swaps:ro")
    return volumes


def create(set_name: str, names: Sequence[str], mirror: Mirror, options: Options = Options()) -> List[Node]:
    """Create the nodes and wait until each answers over SSH. Existing nodes are kept, and started if stopped.

    Returns all nodes of the set. Raises :class:`MachineError` with a node's last log lines when it does not start.
    """
    if not SET_NAME.match(set_name):
        raise MachineError(f"{set_name!r} is not a valid name of a set; use a-z, 0-9, _ and - (at most 42 characters)")
    for name in names:
        if not NAME.match(name):
            raise MachineError(f"{name!r} is not a valid name of a node; use a-z, 0-9 and - (at most 42 characters)")
    if len(set(names)) != len(names):
        raise MachineError(f"a node is named twice in {' '.join(names)}")
    ensure("nodes")
    raise_limits()
    systems = dict(zip(names, chosen(options.systems, len(names)), strict=True))
    images = {release: ensure_image(release) for release in sorted({system.release for system in systems.values()})}
    subnet = ensure_network()
    replaced = {node.name: node.address for node in listed(set_name)} if options.same_address else {}
    if options.fresh:
        destroy(set_name, names)
    there = {node.name: node for node in listed(set_name)}
    for name in names if options.systems else ():
        if name in there and there[name].system != systems[name].name:
            raise MachineError(f"node {name} has {there[name].system or 'another system'}; replace it with --fresh")
    volumes = _machine_volumes()
    cgroup_v2 = host_facts().cgroup_v2
    todo = [there[name] for name in names if name in there and there[name].state != "running"]
    with step(f"start nodes {' '.join(names)} and wait for SSH"):
        with locked("addresses"):
            for name in names:
                if name in there:
                    continue
                system = systems[name]
                address = replaced.get(name) or _take_address(subnet)
                node = Node(set_name, name, address, "created", system.name)
                podman(*create_arguments(node, images[system.release], mirror, options, volumes, cgroup_v2))
                _give(node, "/etc/apt/sources.list", apt_source(options, system))
                _give(node, "/etc/hosts", hosts_file(node, mirror, options))
                todo.append(node)
        for node in todo:
            _forget_host_key(node)
        _in_parallel(_start, todo)
    warning = disk_warning(_free_part_of_disk())
    if warning:
        say(warning)
    return listed(set_name)


def _give(node: Node, path: str, text: str) -> None:
    with tempfile.NamedTemporaryFile("w", prefix="node-", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.chmod(file.name, 0o644)
        podman("cp", file.name, f"{node.container}:{path}")


def take_addresses(subnet: ipaddress.IPv4Network, count: int) -> List[str]:
    """Free addresses of the lab's network for containers that are not nodes of a set."""
    with locked("addresses"):
        return [_take_address(subnet) for _ in range(count)]


def _take_address(subnet: ipaddress.IPv4Network) -> str:
    memory = cache_dir() / "nodes" / "last-address"
    last = memory.read_text(encoding="utf-8").strip() if memory.exists() else None
    address = next_address(subnet, last, [node.address for node in listed()])
    memory.write_text(address + "\n", encoding="utf-8")
    return address


def _in_parallel(work: Callable[[Node], None], nodes: Sequence[Node]) -> None:
    if not nodes:
        return
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(nodes)) as pool:
        for future in [pool.submit(work, node) for node in nodes]:
            future.result()


def _start(node: Node) -> None:
    podman("start", node.container)
    wait_for_ssh(node)


def known_hosts(set_name: str) -> pathlib.Path:
    """The file with the host keys of the set's nodes."""
    return set_dir(set_name) / "known_hosts"


def _forget_host_key(node: Node) -> None:
    path = known_hosts(node.set_name)
    if path.exists():
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if line.split(" ")[0] != node.address]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def ssh_options(set_name: str) -> List[str]:
    """Arguments for ssh to the nodes of a set: the lab's key, the set's own known hosts, no questions."""
    return [
        "-o",
        f"UserKnownHostsFile={known_hosts(set_name)}",
        "-o",
        "GlobalKnownHostsFile=/dev/null",
        "-o",
        "StrictHostKeyChecking=accept-new",
        "-o",
        "HashKnownHosts=no",
        "-o",
        "IdentitiesOnly=yes",
    ]


def ssh(node: Node, command: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a shell command on a node as the admin user."""
    known_hosts(node.set_name).parent.mkdir(parents=True, exist_ok=True)
    argv = ["ssh", "-F", "/dev/null", "-i", str(key_path()), "-o", "BatchMode=yes", "-o", "ConnectTimeout=2"]
    argv += [*ssh_options(node.set_name), f"{USER}@{node.address}", command]
    return subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", errors="replace", timeout=timeout
    )


def wait_for_ssh(node: Node, seconds: float = SSH_SECONDS) -> None:
    """Wait until the node runs commands over SSH; raises :class:`MachineError` after ``seconds``."""
    deadline = time.monotonic() + seconds
    last = "no answer"
    while time.monotonic() < deadline:
        try:
            done = ssh(node, "true", timeout=10)
        except subprocess.TimeoutExpired:
            last = "a login took longer than 10 s"
            continue
        if done.returncode == 0:
            return
        last = (done.stderr.strip().splitlines() or [last])[-1]
        time.sleep(0.2)
    logs = podman("logs", "--tail", "15", node.container, check=False)
    raise MachineError(
        f"node {node.container} ({node.address}) did not answer over SSH within {seconds:.0f} s: {last}\n"
        f"{logs.stdout}{logs.stderr}"
    )


def restart(set_name: str, names: Sequence[str]) -> None:
    """Reboot nodes, all at once, and wait until each answers over SSH again. Disks and addresses stay."""
    chosen = _chosen(set_name, names)
    with step(f"restart {' '.join(node.name for node in chosen)}"):
        _in_parallel(_restart, chosen)


def _restart(node: Node) -> None:
    podman("stop", "-t", "15", node.container, check=False, timeout=60)
    deadline = time.monotonic() + 30
    while _state(node.container) not in ("exited", "stopped", "created"):
        if time.monotonic() > deadline:
            raise MachineError(f"node {node.container} did not stop")
        podman("kill", node.container, check=False, timeout=20)
        time.sleep(0.5)
    _start(node)


def _state(container: str) -> str:
    """podman's word for the container's state; empty when the container does not exist."""
    done = podman("inspect", "--format", "{{.State.Status}}", container, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def _chosen(set_name: str, names: Sequence[str]) -> List[Node]:
    there = {node.name: node for node in listed(set_name)}
    missing = [name for name in names if name not in there]
    if missing:
        raise MachineError(f"set {set_name} has no node {missing[0]}; it has {' '.join(there) or 'none'}")
    return [there[name] for name in names] if names else list(there.values())


def destroy(set_name: str, names: Sequence[str] = ()) -> List[str]:
    """Remove nodes, all of the set when none is named, with their volumes; the names that were removed."""
    chosen = [node for node in listed(set_name) if not names or node.name in names]
    _in_parallel(_remove, chosen)
    for node in chosen:
        _forget_host_key(node)
    return [node.name for node in chosen]


def _remove(node: Node) -> None:
    remove_container(node.container)


def remove_container(container: str, seconds: float = 60.0) -> None:
    """Kill and remove a container with its anonymous volumes, until it is gone.

    A plain ``rm -f`` can leave a systemd container in the state "Stopping"; killing it first and retrying does not.
    """
    deadline = time.monotonic() + seconds
    while state := _state(container):
        if state == "paused":
            podman("unpause", container, check=False, timeout=20)
        podman("kill", container, check=False, timeout=20)
        done = podman("rm", "-f", "-v", "-t", "1", container, check=False, timeout=60)
        if not _state(container):
            return
        if time.monotonic() > deadline:
            raise PodmanError(f"container {container} cannot be removed: {done.stderr.strip()}")
        time.sleep(0.5)


def by_set(nodes: Sequence[Node]) -> Mapping[str, List[Node]]:
    """The nodes grouped by set."""
    grouped: Dict[str, List[Node]] = {}
    for node in nodes:
        grouped.setdefault(node.set_name, []).append(node)
    return grouped
