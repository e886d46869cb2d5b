# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The instruments, the same for every contestant.

The network's counters give bytes, the logs of the nodes' SSH servers round trips, the containers' control groups the
CPU seconds of nodes, and meter.py the cost on the control machine.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence

from lab.machine import MachineError
from lab.podman import podman
from lab.say import say

from . import cgroups, parsing
from .conditions import Conditions
from .records import Run, Span, Traffic

TABLE = "kubestead_bench"
# The sets collect the addresses of SSH connections; bytes include the headers of network and transport layer.
RULES = f"""\
table inet {TABLE} {{
  set sent {{ type ipv4_addr; flags dynamic; size 65535; counter; }}
  set received {{ type ipv4_addr; flags dynamic; size 65535; counter; }}
  chain out {{ type filter hook output priority -300; tcp dport 22 add @sent {{ ip daddr }}; }}
  chain in {{ type filter hook input priority -300; tcp sport 22 add @received {{ ip saddr }}; }}
}}
"""
SSHD_DROP_IN = "/etc/ssh/sshd_config.d/00-bench.conf"
METER = pathlib.Path(__file__).with_name("meter.py")
TAIL = 30
BOOT_SECONDS = 60


@dataclass(frozen=True)
class WatchedHost:
    """A host whose SSH server is watched. ``log`` is a file in the container; empty means the container's journal."""

    name: str
    address: str
    container: str
    log: str = ""


@dataclass(frozen=True)
class Command:
    """What a contestant runs: a command, its folder and environment, and the file to which it writes its spans.

    ``marks`` is true when that file has the marks of the script typed by hand.
    """

    argv: Sequence[str]
    folder: pathlib.Path
    environment: Mapping[str, str]
    spans: pathlib.Path
    marks: bool = False

    def read_spans(self, began: float) -> List[Span]:
        """The spans of the run; none when the command ended early."""
        text = self.spans.read_text(encoding="utf-8") if self.spans.exists() else ""
        return parsing.spans_of_marks(text, began) if self.marks else parsing.spans_of_tasks(text, began)


def watch(containers: Sequence[str]) -> None:
    """Wait until these nodes have booted, and let their SSH servers log each command."""
    script = f"echo LogLevel VERBOSE >{SSHD_DROP_IN}; systemctl reload ssh; "
    # A degraded node has booted as well; one that is still busy after this time is measured as it is.
    script += f"timeout {BOOT_SECONDS} systemctl is-system-running --wait || true"
    for name in containers:
        podman("exec", name, "sh", "-c", script)


def _nft(*arguments: str, text: str = "", check: bool = True) -> str:
    done = subprocess.run(["nft", *arguments], input=text, capture_output=True, encoding="utf-8")
    if check and done.returncode:
        lines = done.stderr.strip().splitlines() or ["no output"]
        raise MachineError(f"nft {' '.join(arguments)} failed: {lines[0]}")
    return done.stdout


def _round_trips(hosts: Sequence[WatchedHost]) -> Dict[str, int]:
    """The round trips of each host since its SSH server began to log."""
    found = {}
    for container in dict.fromkeys(host.container for host in hosts):
        inside = [host for host in hosts if host.container == container]
        script = "".join(
            f"echo '# {host.name}'; "
            + (f"cat {host.log}; " if host.log else "journalctl -t sshd -t sshd-session -o cat --no-pager; ")
            for host in inside
        )
        text = podman("exec", container, "sh", "-c", script).stdout
        for part in ("\n" + text).split("\n# ")[1:]:
            name, _newline, log = part.partition("\n")
            found[name] = parsing.round_trips(log)
    return found


def measure(
    contestant: str,
    size: int,
    command: Command,
    hosts: Sequence[WatchedHost],
    conditions: Conditions,
    expected: int = 0,
) -> Run:
    """Run a command and measure it.

    Raises :class:`MachineError` when its exit code is not ``expected``; the command's last lines are printed.
    """
    load = os.getloadavg()[0]
    before = _round_trips(hosts)
    _nft("delete", "table", "inet", TABLE, check=False)
    _nft("-f", "-", text=RULES)
    usage = cgroups.usage_files(list(dict.fromkeys(host.container for host in hosts)))
    idle = cgroups.idle_rate(usage)
    start = cgroups.sample(usage)
    with tempfile.TemporaryDirectory(prefix="kubestead-bench-") as folder:
        result = pathlib.Path(folder) / "cost.json"
        output = pathlib.Path(folder) / "output"
        command.spans.unlink(missing_ok=True)
        with open(output, "wb") as stream:
            process = subprocess.Popen(
                [sys.executable, str(METER), str(result), *conditions.control_prefix(), *command.argv],
                cwd=command.folder,
                env={**command.environment, "ANSIBLE_SSH_CONTROL_PATH_DIR": folder, **conditions.environment()},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
            try:
                process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
        end = cgroups.sample(usage)
        cost = json.loads(result.read_text(encoding="utf-8"))
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    counted = parsing.counters(_nft("-j", "list", "table", "inet", TABLE))
    _nft("delete", "table", "inet", TABLE)
    after = _round_trips(hosts)
    if cost["code"] != expected:
        say("\n".join(lines[-TAIL:]))
        raise MachineError(f"{contestant} ended with exit code {cost['code']}: see its last lines above")
    conditions.require_pinned(cgroups.processes(usage))
    traffic = {
        host.name: Traffic(
            round_trips=after[host.name] - before[host.name],
            sent=counted["sent"].get(host.address, 0),
            received=counted["received"].get(host.address, 0),
        )
        for host in hosts
    }
    return Run(
        contestant=contestant,
        size=size,
        wall=cost["wall"],
        control_cpu=cost["cpu"],
        memory=cost["memory"],
        left_cpu=cost["left_cpu"],
        left_memory=cost["left_memory"],
        node_cpu=cgroups.above_idle(start, end, idle),
        idle=idle,
        hosts=traffic,
        spans=command.read_spans(cost["began"]),
        load=load,
    )


def machine(ansible: str, kubernetes: str) -> Dict[str, str]:
    """The machine on which the control machine and all nodes run; label to value."""
    read = {path: pathlib.Path(path).read_text(encoding="utf-8") for path in ("/proc/cpuinfo", "/proc/meminfo")}
    memory = int(read["/proc/meminfo"].split("MemTotal:")[1].split()[0]) / 1024 / 1024
    return {
        "processor": f"{os.cpu_count()} x {parsing.cpu_name(read['/proc/cpuinfo'])}",
        "memory": f"{memory:.0f} GB",
        "kernel": os.uname().release,
        "cgroup": cgroups.version(),
        "ansible-core": ansible,
        "Kubernetes": kubernetes,
    }
