# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of a kernel and its cgroup controllers, as kubeadm verifies them (``SystemVerification``).

https://github.com/kubernetes/system-validators/blob/v1.12.0/validators/types_unix.go
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass, field
from typing import Dict, List, Optional

from ..core.system import System

# The paths where kubeadm searches for the configuration.
_PLACES = (
    "/proc/config.gz",
    "/boot/config-{0}",
    "/usr/src/linux-{0}/.config",
    "/usr/src/linux/.config",
    "/usr/lib/modules/{0}/config",
    "/usr/lib/ostree-boot/config-{0}",
    "/usr/lib/kernel/config-{0}",
    "/usr/src/linux-headers-{0}/.config",
    "/lib/modules/{0}/build/.config",
)
_LARGEST = 4 << 20
# Kernel options; alternative names are separated by "|".
_REQUIRED = (
    "NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CPUSETS MEMCG INET EXT4_FS PROC_FS FAIR_GROUP_SCHED CGROUPS CGROUP_PIDS "
    "CGROUP_SCHED NETFILTER_XT_TARGET_REDIRECT|IP_NF_TARGET_REDIRECT NETFILTER_XT_MATCH_COMMENT"
).split()
_BY_CGROUP = {1: ["CGROUP_CPUACCT", "CGROUP_DEVICE", "CGROUP_FREEZER"], 2: ["CGROUP_BPF"]}
_CONTROLLERS = {
    1: ("cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"),
    2: ("cpu", "cpuset", "memory", "pids"),
}


@dataclass(frozen=True)
class KernelState:
    """The kernel options and cgroup controllers of a machine.

    ``config`` is the path of the kernel's configuration: empty if it was not found, None if it was not searched for.
    ``lacks`` are the options that kubeadm requires and that are not set. ``controllers_lacking`` are the disabled
    cgroup controllers that Kubernetes requires.
    """

    config: Optional[str] = None
    lacks: List[str] = field(default_factory=list)
    controllers_lacking: List[str] = field(default_factory=list)


def observe(system: System, release: str, cgroup_version: int) -> KernelState:
    """Observe the machine. Reads files and runs at most one command."""
    places = [place.format(release) for place in _PLACES]
    place = next((one for one in places if system.exists(one)), "")
    lacking = controllers_lacking(system, cgroup_version)
    if place:
        return KernelState(place, lacks(read(system, place), cgroup_version), lacking)
    # kubeadm loads the module configs, which provides /proc/config.gz.
    loadable = system.run(["modprobe", "--dry-run", "--quiet", "configs"]).ok
    return KernelState("configs" if loadable else "", [], lacking)


def read(system: System, place: str) -> str:
    """The text of a configuration; empty if it can't be read."""
    if not place.endswith(".gz"):
        return system.read(place, _LARGEST) or ""
    try:
        with gzip.open(system.path(place), "rb") as stream:
            return stream.read(_LARGEST).decode("utf-8", "replace")
    except (OSError, EOFError, zlib.error):
        return ""


def lacks(text: str, cgroup_version: int) -> List[str]:
    """The required options that a configuration does not set; empty for an empty text, because nothing is known."""
    known: Dict[str, str] = dict(re.findall(r"^CONFIG_([A-Z0-9_]+)=([myn])", text, re.MULTILINE))
    if not known:
        return []
    required = [names.split("|") for names in _REQUIRED + _BY_CGROUP.get(cgroup_version, [])]
    return [names[0] for names in required if not any(known.get(name) in ("y", "m") for name in names)]


def controllers_lacking(system: System, cgroup_version: int) -> List[str]:
    """The disabled cgroup controllers that Kubernetes requires; empty if the kernel does not list its controllers."""
    if cgroup_version == 2:
        there = (system.read("/sys/fs/cgroup/cgroup.controllers") or "").split()
    else:
        rows = [line.split() for line in (system.read("/proc/cgroups") or "").splitlines() if line[:1] != "#"]
        there = [row[0] for row in rows if len(row) > 3 and row[3] != "0"]
    return [name for name in _CONTROLLERS.get(cgroup_version, ()) if name not in there] if there else []
