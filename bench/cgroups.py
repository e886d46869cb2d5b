# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU seconds of nodes, from the control groups of their containers (cgroup v1 and v2).

On v1 they are in ``cpuacct.usage`` (nanoseconds), on v2 in ``usage_usec`` of ``cpu.stat``; either includes all groups
below. Sources: Linux' Documentation/admin-guide/cgroup-v1/cpuacct.rst and cgroup-v2.rst.
"""

from __future__ import annotations

import pathlib
import time
from dataclasses import dataclass
from typing import List, Sequence, Tuple

from lab.machine import MachineError
from lab.podman import host_facts, podman

ROOT = pathlib.Path("/sys/fs/cgroup")
# A node that has just started or joined has background work for a while. It ends when a window of time has at most this
# much less of it than the one before: a part, or CPU seconds per second.
SETTLED_PART = 0.2
SETTLED_RATE = 0.02
# As long as the kubelet's longest usual period.
WINDOW_SECONDS = 10.0
MOST_WINDOWS = 9
# Endpoints must not leave the limits of their container. On v2 a group with subgroups holds no processes itself.
V1_CONTROLLERS = ("cpu", "cpuacct")
ENDPOINTS = "kubestead-endpoints"


@dataclass(frozen=True)
class Sample:
    """CPU seconds that a number of groups had used at a ``moment`` (seconds of a monotonic clock)."""

    moment: float
    cpu: float


def rate(before: Sample, after: Sample) -> float:
    """CPU seconds used per second between two samples."""
    return (after.cpu - before.cpu) / (after.moment - before.moment)


def has_settled(earlier: float, later: float) -> bool:
    """Whether nodes are idle, by their CPU seconds per second in two windows: they do not decrease any more."""
    return earlier - later <= max(SETTLED_PART * earlier, SETTLED_RATE)


def above_idle(before: Sample, after: Sample, idle: float) -> float:
    """CPU seconds used between two samples beyond ``idle`` (CPU seconds per second).

    Below zero when the nodes did less than while they were idle.
    """
    return after.cpu - before.cpu - idle * (after.moment - before.moment)


def usage_v1(text: str) -> float:
    """CPU seconds in the text of ``cpuacct.usage``."""
    return int(text) / 1e9


def usage_v2(text: str) -> float:
    """CPU seconds in the text of ``cpu.stat``."""
    for line in text.splitlines():
        key, _space, value = line.partition(" ")
        if key == "usage_usec":
            return int(value) / 1e6
    raise ValueError("cpu.stat has no line usage_usec")


def container_group(text: str, container: str, controller: str = "") -> str:
    """A container's own group, as a path relative to the hierarchy.

    ``text`` is the content of ``/proc/<pid>/cgroup`` of a process in the container, ``container`` the container's ID.
    ``controller`` selects the hierarchy on v1; an empty one selects the v2 hierarchy. Raises :class:`ValueError` when
    the process is not in a group of the container.
    """
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        if (controller in controllers.split(",")) if controller else not controllers:
            # The container's systemd makes groups below its own.
            before, found, rest = path.partition(container)
            if found:
                return (before + found + rest.partition("/")[0]).strip("/")
    raise ValueError(f"no group of container {container[:12]} in the {controller or 'v2'} hierarchy")


def version(root: pathlib.Path = ROOT) -> str:
    """The version of control groups on this machine: ``v2``, ``v1``, or ``v1 (hybrid)`` for both."""
    if (root / "cgroup.controllers").exists():
        return "v2"
    return "v1 (hybrid)" if (root / "unified" / "cgroup.controllers").exists() else "v1"


def usage_files(containers: Sequence[str]) -> List[pathlib.Path]:
    """The files with the CPU usage of running containers, given by name."""
    v2 = host_facts().cgroup_v2
    found = []
    for container, text in _members(containers):
        if v2:
            found.append(ROOT / container_group(text, container) / "cpu.stat")
        else:
            found.append(ROOT / "cpuacct" / container_group(text, container, "cpuacct") / "cpuacct.usage")
    return found


def processes(files: Sequence[pathlib.Path]) -> List[int]:
    """The processes in the groups of all ``files`` of :func:`usage_files`, and in the groups below."""
    lists = [path for file in files for path in file.parent.rglob("cgroup.procs")]
    return [int(number) for path in lists for number in path.read_text(encoding="utf-8").split()]


def sample(files: Sequence[pathlib.Path]) -> Sample:
    """The CPU usage of all ``files`` of :func:`usage_files` now."""
    read = usage_v2 if host_facts().cgroup_v2 else usage_v1
    return Sample(time.monotonic(), sum(read(path.read_text(encoding="utf-8")) for path in files))


def idle_rate(files: Sequence[pathlib.Path]) -> float:
    """Wait until the nodes have settled; returns their CPU seconds per second over the last two windows.

    Nodes that are still busy after :data:`MOST_WINDOWS` are taken as they are.
    """
    samples = [sample(files)]
    while True:
        time.sleep(WINDOW_SECONDS)
        samples.append(sample(files))
        if len(samples) < 3:
            continue
        first, middle, last = samples[-3:]
        if len(samples) > MOST_WINDOWS or has_settled(rate(first, middle), rate(middle, last)):
            return rate(first, last)


def endpoint_groups(container: str) -> List[pathlib.Path]:
    """The groups that an endpoint's first process must enter to belong to its container."""
    ((identity, text),) = _members([container])
    if not host_facts().cgroup_v2:
        return [ROOT / name / container_group(text, identity, name) for name in V1_CONTROLLERS]
    group = ROOT / container_group(text, identity)
    # podman has the container's processes one level below its scope where systemd manages the groups.
    inner = group / "container"
    group = (inner if inner.is_dir() else group) / ENDPOINTS
    group.mkdir(exist_ok=True)
    return [group]


def _members(containers: Sequence[str]) -> List[Tuple[str, str]]:
    """ID and ``/proc/<pid>/cgroup`` of each container's first process."""
    if not containers:
        return []
    argv = ["inspect", "--type=container", "--format={{.Id}} {{.State.Pid}}", *containers]
    found = []
    for line in podman(*argv).stdout.splitlines():
        identity, pid = line.split()
        path = pathlib.Path("/proc") / pid / "cgroup"
        if pid == "0" or not path.exists():
            raise MachineError(f"container {identity[:12]} is not running")
        found.append((identity, path.read_text(encoding="utf-8")))
    return found
