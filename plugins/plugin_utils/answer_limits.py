# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Limits for the size and the duration of an answer while it is read: a host may never stop sending.

Ansible collects what a host sends in memory until the host has finished, and waits for it without a limit. The process
of the task therefore watches itself. Past a limit, it ends the program of the connection (ssh), so that Ansible
continues with what it has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

# Seconds between two looks at what was read.
_PAUSE = 0.5
# Only Linux has these. On other systems, nothing is limited.
_READ, _THREADS = "/proc/self/io", "/proc/self/task"


class Limit:
    """Watches the answer of a host. ``reason`` says why it was ended; empty if it was not."""

    def __init__(self, size: int, seconds: float) -> None:
        self.size = size
        self.seconds = seconds
        self.reason = ""
        # As it is before the program of the connection starts.
        self._read, self._begin, self._others = bytes_read(), time.monotonic(), children()

    def watch(self, done: threading.Event) -> None:
        """Watch until ``done`` is set. Past a limit, end the programs that this process started since."""
        while not done.wait(_PAUSE):
            if bytes_read() - self._read > self.size:
                self.reason = f"it is longer than {self.size} bytes"
            elif self.seconds and time.monotonic() - self._begin > self.seconds:
                self.reason = f"it was not complete after {self.seconds:.0f} seconds"
            # Ansible may start the program again.
            for pid in children() - self._others if self.reason else ():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def limited(size: int, seconds: float = 0.0) -> Iterator[Limit]:
    """Limit what this process reads in the block to about ``size`` bytes, and to ``seconds`` unless they are 0."""
    limit, done = Limit(size, seconds), threading.Event()
    if bytes_read() < 0:
        yield limit
        return
    thread = threading.Thread(target=limit.watch, args=(done,), daemon=True)
    thread.start()
    try:
        yield limit
    finally:
        done.set()
        thread.join()


def bytes_read() -> int:
    """The number of bytes that this process has read; -1 if the system does not count them."""
    try:
        with open(_READ, encoding="ascii") as file:
            return int(file.readline().partition(":")[2])
    except (OSError, ValueError):
        return -1


def children() -> set[int]:
    """The processes that this process started; empty if the system does not list them."""
    found: set[int] = set()
    with contextlib.suppress(OSError, ValueError):
        for thread in os.listdir(_THREADS):
            with open(f"{_THREADS}/{thread}/children", encoding="ascii") as file:
                found |= {int(pid) for pid in file.read().split()}
    return found
