#!/usr/bin/env python3
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a command and writes its cost on this machine: ``meter.py result.json command argument...``.

The result has the wall time and CPU time in seconds, the peak of memory in bytes (sampled twice a second; a page that
processes share counts once), the start time, and the exit code. The command's process tree includes processes that the
command leaves behind, such as the masters of shared SSH connections: they are ended, and their CPU time counts.
``left_cpu`` and ``left_memory`` are the part of these processes: their CPU time, and their memory when they were ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import threading
import time
from typing import Dict, List, Sequence

_PR_SET_CHILD_SUBREAPER = 36
INTERVAL = 0.5
END_SECONDS = 5.0


def descendants(parents: Dict[int, int], top: int) -> List[int]:
    """All processes below ``top``; ``parents`` maps each process to its parent."""
    children: Dict[int, List[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found: List[int] = []
    todo = [top]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def parents(proc: pathlib.Path = pathlib.Path("/proc")) -> Dict[int, int]:
    """The parent of each running process."""
    found = {}
    for name in os.listdir(proc):
        if name.isdigit():
            try:
                stat = (proc / name / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            found[int(name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def proportional(text: str) -> int:
    """The bytes of ``Pss`` in a smaps_rollup file."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


class Memory(threading.Thread):
    """Samples the memory of all processes below this one until ``stop`` is set."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self.stop = threading.Event()

    def run(self) -> None:
        """Sample twice a second."""
        while not self.stop.wait(INTERVAL):
            self.peak = max(self.peak, memory_below(os.getpid()))


def memory_below(top: int) -> int:
    """The bytes of memory of all processes below ``top``."""
    total = 0
    for pid in descendants(parents(), top):
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
        except OSError:
            continue
        total += proportional(text)
    return total


def cpu_of_ended() -> float:
    """The CPU seconds of all processes below this one that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def end_rest() -> None:
    """End the processes that the command left behind, so that their CPU time is known."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in descendants(parents(), os.getpid()):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + END_SECONDS
        while time.monotonic() < deadline:
            try:
                pid, _status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                time.sleep(0.01)


def give_up(number: int, _frame: object) -> None:
    """End the command when this program is ended."""
    end_rest()
    sys.exit(128 + number)


def main(argv: Sequence[str]) -> int:
    """Run the command and return its exit code."""
    result, *command = argv
    signal.signal(signal.SIGTERM, give_up)
    # Processes in the background become children of this process instead of init's.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    memory = Memory()
    memory.start()
    began, start = time.time(), time.monotonic()
    code = subprocess.Popen(command, stdin=subprocess.DEVNULL).wait()
    wall = time.monotonic() - start
    memory.stop.set()
    memory.join()
    left_memory, own = memory_below(os.getpid()), cpu_of_ended()
    end_rest()
    cost = {
        "wall": wall,
        "cpu": cpu_of_ended(),
        "memory": max(memory.peak, left_memory),
        "left_cpu": cpu_of_ended() - own,
        "left_memory": left_memory,
        "began": began,
        "code": code,
    }
    pathlib.Path(result).write_text(json.dumps(cost), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
