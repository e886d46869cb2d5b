# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""podman on this machine: its configuration, the lab's network, and the function that calls it.

The configuration is the lab's own file in the cache (environment variable ``CONTAINERS_CONF``); the machine's own stays
as it is. It depends on the machine: cgroup v2 with systemd (a laptop) and cgroup v1 or hybrid without (a small virtual
machine) both work.
"""

from __future__ import annotations

import ipaddress
import json
import os
import pathlib
import resource
import subprocess
from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Mapping, Optional

from .machine import MachineError, cache_dir, search_path

NETWORK = "kubestead"
# The addresses of nodes start here; those before are for the gateway and the mirrors.
FIRST_ADDRESS = 16
CANDIDATES = ("10.213.0.0/20", "10.214.0.0/20", "172.30.208.0/20", "172.29.208.0/20", "192.168.208.0/20")
# podman's own pool, and the ranges of pods and services in the lab's clusters.
RESERVED = ("10.88.0.0/16", "10.244.0.0/16", "10.96.0.0/12")
# podman 4 asks for this many open files, and lowers its own limit of processes to this before it starts a container.
MOST_FILES = 1048576
MOST_PROCESSES = 32768
# podman's states of containers that have processes.
ALIVE = ("running", "stopping", "paused")
# Where podman, as root, looks for the exit codes that monitors write.
EXITS = pathlib.Path("/run/libpod/exits")


class PodmanError(MachineError):
    """A podman command failed; the text is its last line."""


@dataclass(frozen=True)
class HostFacts:
    """What podman's configuration depends on. ``nofile`` and ``nproc`` are hard limits, -1 for none."""

    cgroup_v2: bool
    systemd: bool
    nofile: int
    nproc: int


def host_facts() -> HostFacts:
    """Observe this machine."""
    return HostFacts(
        cgroup_v2=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        systemd=os.path.isdir("/run/systemd/system"),
        nofile=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        nproc=resource.getrlimit(resource.RLIMIT_NPROC)[1],
    )


def render_containers_conf(facts: HostFacts) -> str:
    """The text of containers.conf for a machine like ``facts``.

    runc works on every cgroup layout, crun refuses the hybrid one. The limits of containers stay at or below the
    machine's own, since raising them may not be allowed.
    """
    manager = "systemd" if facts.cgroup_v2 and facts.systemd else "cgroupfs"
    limits = ", ".join(
        f'"{name}={value}:{value}"'
        for name, value in (
            ("nofile", _capped(facts.nofile, MOST_FILES)),
            ("nproc", _capped(facts.nproc, MOST_PROCESSES)),
        )
    )
    return (
        "[containers]\n"
        # The hosts files of nodes must not contain this machine's own names.
        'base_hosts_file = "none"\n'
        f"default_ulimits = [{limits}]\n"
        'log_driver = "k8s-file"\n'
        "\n[engine]\n"
        f'cgroup_manager = "{manager}"\n'
        'events_logger = "file"\n'
        'runtime = "runc"\n'
        "\n[network]\n"
        'network_backend = "netavark"\n'
    )


def _capped(limit: int, most: int) -> int:
    return most if limit in (-1, resource.RLIM_INFINITY) else min(limit, most)


def configuration() -> pathlib.Path:
    """The path of the lab's containers.conf, written when it differs."""
    path = cache_dir() / "containers.conf"
    text = render_containers_conf(host_facts())
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"containers.conf.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    return path


def podman_environment() -> Mapping[str, str]:
    """The environment in which podman sees the lab's configuration."""
    path = search_path(os.environ.get("PATH", ""))
    return {**os.environ, "CONTAINERS_CONF": str(configuration()), "PATH": path}


def podman(
    *args: str, check: bool = True, input: Optional[str] = None, timeout: Optional[float] = None
) -> subprocess.CompletedProcess[str]:
    """Run podman. ``check`` raises :class:`PodmanError` with its last line; ``timeout`` is in seconds."""
    try:
        done = subprocess.run(
            ["podman", *args],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            env=podman_environment(),
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired as err:
        if check:
            raise PodmanError(f"podman {args[0]} did not finish within {timeout:.0f} seconds") from err
        return subprocess.CompletedProcess(["podman", *args], 124, "", "timeout")
    if check and done.returncode:
        lines = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()] or ["no output"]
        raise PodmanError(f"podman {' '.join(args[:2])} failed with code {done.returncode}: {lines[-1]}")
    return done


# -- containers


def containers(label: str) -> List[Dict[str, Any]]:
    """The lab's containers with ``label`` (``name`` or ``name=value``), running or not, as ``podman ps`` lists them.

    Containers that podman wrongly believes to run are corrected first: see :func:`record_deaths`.
    """
    argv = ("ps", "--all", "--filter", f"label={label}", "--format", "json")
    found: List[Dict[str, Any]] = json.loads(podman(*argv).stdout or "[]")
    return json.loads(podman(*argv).stdout or "[]") if record_deaths(found) else found


def record_deaths(entries: Iterable[Mapping[str, Any]]) -> List[str]:
    """Record the containers that died together with their monitor; their names.

    podman learns of a container's end from a file that its monitor, conmon, writes. When both were killed at once,
    because memory ran out or the session that started them ended, it reports the container as running forever, and
    can neither start, stop nor clean it up. This function writes the file in the monitor's place.
    """
    ids = [str(entry["Id"]) for entry in entries if entry.get("State") in ALIVE]
    if not ids:
        return []
    done = podman("inspect", "--type=container", *ids, check=False)
    dead = []
    for state in json.loads(done.stdout or "[]"):
        container, reported = str(state["Id"]), state["State"]
        if reported["Status"] not in ALIVE:
            continue
        # Check both: a container whose monitor alone died still serves.
        if not _command_has(reported.get("ConmonPid", 0), container) and not _is_of(reported.get("Pid", 0), container):
            EXITS.mkdir(parents=True, exist_ok=True)
            (EXITS / container).write_text("137", encoding="utf-8")
            dead.append(str(state["Name"]))
    return dead


def _command_has(pid: int, word: str) -> bool:
    """Whether process ``pid`` exists and has ``word`` among its arguments; process numbers are reused."""
    try:
        return word.encode() in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _is_of(pid: int, container: str) -> bool:
    """Whether process ``pid`` exists and is in the container's control group."""
    try:
        return container in pathlib.Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
    except OSError:
        return False


# -- the network


def used_networks(routes: str) -> List[ipaddress.IPv4Network]:
    """The IPv4 destinations in ``ip -j route`` output, without the default route."""
    found = []
    for route in json.loads(routes or "[]"):
        destination = route.get("dst", "default")
        if destination == "default" or ":" in destination:
            continue
        found.append(ipaddress.IPv4Network(destination, strict=False))
    return found


def choose_subnet(
    used: Iterable[ipaddress.IPv4Network], wanted: Optional[str] = None, candidates: Iterable[str] = CANDIDATES
) -> ipaddress.IPv4Network:
    """``wanted`` when given, else the first candidate that overlaps no route of this machine.

    Raises :class:`MachineError` when ``wanted`` is not a network or no candidate is free.
    """
    if wanted:
        try:
            subnet = ipaddress.IPv4Network(wanted)
        except ValueError as err:
            raise MachineError(
                f"KUBESTEAD_SUBNET {wanted} is not a network: {err}; set one such as 10.213.0.0/20"
            ) from err
        if subnet.prefixlen > 25:
            raise MachineError(f"KUBESTEAD_SUBNET {wanted} is too small; the lab needs /25 or larger")
        return subnet
    taken = [*used, *(ipaddress.IPv4Network(text) for text in RESERVED)]
    for text in candidates:
        subnet = ipaddress.IPv4Network(text)
        if not any(subnet.overlaps(other) for other in taken):
            return subnet
    raise MachineError("no range is free for the lab's network; set KUBESTEAD_SUBNET, such as 10.213.0.0/20")


def network_subnet() -> Optional[ipaddress.IPv4Network]:
    """The subnet of the lab's network; None when the network does not exist."""
    done = podman("network", "inspect", NETWORK, check=False)
    if done.returncode:
        return None
    return ipaddress.IPv4Network(json.loads(done.stdout)[0]["subnets"][0]["subnet"])


def ensure_network() -> ipaddress.IPv4Network:
    """The subnet of the lab's network, which is created when it is missing.

    It has no name server: nodes know the lab's names from their hosts files, like machines on a desk.
    """
    subnet = network_subnet()
    if subnet is None:
        routes = subprocess.run(
            ["ip", "-4", "-j", "route", "show"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env=podman_environment(),
        )
        subnet = choose_subnet(used_networks(routes.stdout), os.environ.get("KUBESTEAD_SUBNET"))
        podman("network", "create", "--disable-dns", "--subnet", str(subnet), NETWORK)
    return subnet


def remove_network() -> None:
    """Remove the lab's network when it exists and nothing uses it."""
    if network_subnet() is not None:
        podman("network", "rm", NETWORK)
