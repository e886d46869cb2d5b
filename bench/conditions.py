# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a measurement can vary: the CPUs of the control machine and the nodes, and the key exchange of SSH."""

from __future__ import annotations

import os
import pathlib
from dataclasses import dataclass
from typing import Dict, Iterable, List, Sequence, Tuple

from lab.machine import MachineError, run
from lab.podman import podman

SIBLINGS = "/sys/devices/system/cpu/cpu{0}/topology/thread_siblings_list"


@dataclass(frozen=True)
class Conditions:
    """How control machine and nodes share the CPUs of this machine, and how SSH connections begin.

    ``control`` and ``nodes`` are lists of CPUs as Linux writes them (``0-2,4``); empty means all. ``quota`` is the
    number of CPUs each node may use at most, 0 for no limit. ``key_exchange`` is an algorithm as in ssh_config(5),
    KexAlgorithms; empty for the default of the machine's OpenSSH.
    """

    control: str = ""
    nodes: str = ""
    quota: float = 0.0
    key_exchange: str = ""

    @property
    def name(self) -> str:
        """A short name for file names; empty for the default."""
        parts = [*(["pin"] if self.control else []), *([f"quota-{self.quota:g}"] if self.quota else [])]
        return "-".join([*parts, *([self.key_exchange] if self.key_exchange else [])])

    @property
    def text(self) -> str:
        """The conditions as sentences."""
        if self.control:
            shared = f"The control machine runs on CPU {self.control}, the nodes on CPU {self.nodes}"
        else:
            shared = "The control machine and the nodes share all CPUs"
        quota = f"; each node may use {self.quota:g} CPUs" if self.quota else ""
        exchange = f" SSH connections use the key exchange {self.key_exchange}." if self.key_exchange else ""
        return f"{shared}{quota}.{exchange}"

    @property
    def one_cpu(self) -> bool:
        """Whether the nodes run on a single CPU."""
        return len(cpu_numbers(self.nodes)) == 1

    def control_prefix(self) -> List[str]:
        """What precedes the control machine's command."""
        return ["taskset", "--cpu-list", self.control] if self.control else []

    def environment(self) -> Dict[str, str]:
        """Environment variables for Ansible."""
        return {"ANSIBLE_SSH_EXTRA_ARGS": f"-o KexAlgorithms={self.key_exchange}"} if self.key_exchange else {}

    def ssh_config(self) -> str:
        """Lines for the ssh_config of a set, which the commands typed by hand use."""
        return f"Host *\n    KexAlgorithms {self.key_exchange}\n" if self.key_exchange else ""

    def node_arguments(self) -> Tuple[str, ...]:
        """Arguments of ``podman create`` for a node."""
        return (f"--cpus={self.quota:g}",) if self.quota else ()

    def node_prefix(self) -> Tuple[str, ...]:
        """What precedes the first process of a node or an endpoint: all others inherit its CPUs.

        With cgroup v1, the kubelet does not start in a container with a cpuset, because it asks for all CPUs.
        """
        return ("taskset", "--cpu-list", self.nodes) if self.nodes else ()

    def require_pinned(self, processes: Iterable[int]) -> None:
        """Raise :class:`MachineError` if a process of a node may use the CPUs of the control machine.

        Before Linux 6.2, a process that enters a cpuset loses its own affinity.
        """
        for number in processes if self.nodes else ():
            try:
                others = os.sched_getaffinity(number) - set(cpu_numbers(self.nodes))
            except ProcessLookupError:
                continue
            if others:
                raise MachineError(f"process {number} of a node uses CPU {cpu_list(sorted(others))} despite --pin")

    def share_quota(self, container: str, hosts: int) -> None:
        """Let a container use the quotas of all ``hosts`` in it: itself and its endpoints."""
        if self.quota:
            # A quota above the number of CPUs does not limit anything.
            podman("update", f"--cpus={min(self.quota * hosts, os.cpu_count() or 1):g}", container)


def cpu_numbers(text: str) -> List[int]:
    """The CPUs in a list as Linux writes it, such as ``0-2,4``."""
    found: List[int] = []
    for part in filter(None, text.strip().split(",")):
        first, _dash, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def cpu_list(numbers: Sequence[int]) -> str:
    """The list of CPUs for ``taskset`` and ``podman``; the inverse of :func:`cpu_numbers`."""
    return ",".join(map(str, numbers))


def split(available: Sequence[int], siblings: Sequence[int]) -> Tuple[List[int], List[int]]:
    """The CPUs of the control machine and those of the nodes.

    The control machine gets the first core with all its threads (``siblings`` of the first CPU), or one thread where
    the machine has a single core. Raises :class:`MachineError` when there is only one CPU.
    """
    if len(available) < 2:
        raise MachineError("--pin needs at least two CPUs")
    core = [number for number in available if number in siblings or number == available[0]]
    control = core if len(core) < len(available) else [available[0]]
    return control, [number for number in available if number not in control]


def decide(pin: bool, quota: float, key_exchange: str = "") -> Conditions:
    """The conditions on this machine. Raises :class:`MachineError` for what is not possible on it."""
    if quota < 0:
        raise MachineError(f"--quota {quota:g}: give a number of CPUs greater than 0, such as 0.5")
    if key_exchange and key_exchange not in run(["ssh", "-Q", "kex"]).stdout.split():
        raise MachineError(f"--key-exchange {key_exchange}: ssh does not know it; ssh -Q kex lists what it knows")
    if not pin:
        return Conditions(quota=quota, key_exchange=key_exchange)
    available = sorted(os.sched_getaffinity(0))
    path = pathlib.Path(SIBLINGS.format(available[0]))
    siblings = cpu_numbers(path.read_text(encoding="utf-8")) if path.exists() else []
    control, nodes = split(available, siblings)
    return Conditions(cpu_list(control), cpu_list(nodes), quota, key_exchange)
