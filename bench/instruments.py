# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The instruments: bytes by the network's own counters, round trips by the nodes' SSH servers, costs by meter.py.

None of them is in the way of what is measured, and all are the same for every contestant.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Tuple

from lab.machine import MachineError
from lab.podman import podman
from lab.say import say

from . import parsing
from .records import Run, Span, Traffic

TABLE = "kubestead_bench"
# Sets that fill themselves with the addresses SSH goes to and comes from; headers are counted like the network does.
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


@dataclass(frozen=True)
class Seen:
    """A host whose SSH server is watched. ``log`` is a file in the container; '' is the container's journal."""

    name: str
    address: str
    container: str
    log: str = ""


@dataclass(frozen=True)
class Command:
    """What a contestant runs: a command, its folder and environment, and the file where it leaves its spans."""

    argv: Sequence[str]
    folder: pathlib.Path
    environment: Mapping[str, str]
    spans: pathlib.Path
    marks: bool = False

    def read_spans(self, began: float) -> List[Span]:
        """The spans it left; none when it ended early."""
        text = self.spans.read_text(encoding="utf-8") if self.spans.exists() else ""
        return parsing.spans_of_marks(text, began) if self.marks else parsing.spans_of_tasks(text, began)


def watch(containers: Sequence[str]) -> None:
    """Let the SSH servers of these nodes log each command they are asked for."""
    for name in containers:
        script = f"echo LogLevel VERBOSE >{SSHD_DROP_IN}; systemctl reload ssh"
        podman("exec", name, "sh", "-c", script)


def _nft(*arguments: str, text: str = "", check: bool = True) -> str:
    done = subprocess.run(["nft", *arguments], input=text, capture_output=True, encoding="utf-8")
    if check and done.returncode:
        raise MachineError(
            f"nft {' '.join(arguments)} failed: {(done.stderr.strip().splitlines() or ['no output'])[0]}"
        )
    return done.stdout


def _sessions(hosts: Sequence[Seen]) -> Dict[str, Tuple[int, int]]:
    """Round trips and logins of each host since its SSH server began to log."""
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
            found[name] = parsing.sessions(log)
    return found


def measure(contestant: str, size: int, command: Command, hosts: Sequence[Seen], expected: int = 0) -> Run:
    """Run a command and measure it. Raises :class:`MachineError` with its last lines when its code is another one."""
    load = os.getloadavg()[0]
    before = _sessions(hosts)
    _nft("delete", "table", "inet", TABLE, check=False)
    _nft("-f", "-", text=RULES)
    with tempfile.TemporaryDirectory(prefix="kubestead-bench-") as folder:
        result = pathlib.Path(folder) / "cost.json"
        output = pathlib.Path(folder) / "output"
        command.spans.unlink(missing_ok=True)
        with open(output, "wb") as stream:
            process = subprocess.Popen(
                [sys.executable, str(METER), str(result), *command.argv],
                cwd=command.folder,
                env={**command.environment, "ANSIBLE_SSH_CONTROL_PATH_DIR": folder},
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
        cost = json.loads(result.read_text(encoding="utf-8"))
        lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    counted = parsing.counters(_nft("-j", "list", "table", "inet", TABLE))
    _nft("delete", "table", "inet", TABLE)
    after = _sessions(hosts)
    if cost["code"] != expected:
        say("\n".join(lines[-TAIL:]))
        raise MachineError(f"{contestant} ended with code {cost['code']}: see its last lines above")
    traffic = {
        host.name: Traffic(
            round_trips=after[host.name][0] - before[host.name][0],
            logins=after[host.name][1] - before[host.name][1],
            sent=counted["sent"].get(host.address, 0),
            received=counted["received"].get(host.address, 0),
        )
        for host in hosts
    }
    return Run(
        contestant=contestant,
        size=size,
        wall=cost["wall"],
        cpu=cost["cpu"],
        memory=cost["memory"],
        hosts=traffic,
        spans=command.read_spans(cost["began"]),
        load=load,
    )


def machine(ansible: str, kubernetes: str) -> Dict[str, str]:
    """The machine that everything runs on, nodes included."""
    read = {path: pathlib.Path(path).read_text(encoding="utf-8") for path in ("/proc/cpuinfo", "/proc/meminfo")}
    memory = int(read["/proc/meminfo"].split("MemTotal:")[1].split()[0]) / 1024 / 1024
    return {
        "processor": f"{os.cpu_count()} x {parsing.cpu_name(read['/proc/cpuinfo'])}",
        "memory": f"{memory:.0f} GB",
        "kernel": os.uname().release,
        "ansible-core": ansible,
        "Kubernetes": kubernetes,
    }
