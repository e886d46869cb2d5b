# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often Ansible's main process wakes up while it waits for hosts.

The main process checks every millisecond whether a task has ended, and every tenth of a millisecond whether a fork is
free. While machines install packages, these checks are most of the load on the control machine. On Linux, a thread has
a timer slack (prctl(2), PR_SET_TIMERSLACK): its sleeps may end later by this time, and the kernel wakes it up less
often. Ansible itself is not changed, and a longer ``internal_poll_interval`` keeps its effect.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os

#: Nanoseconds by which the end of a task may be noticed later: a tenth of the wakeups, and 10 ms at most for a task.
SLACK = 10_000_000

# The file of the main thread, which runs Ansible's strategy. Only Linux has it.
_FILE = "/proc/self/timerslack_ns"


def group() -> None:
    """Let the kernel group the wakeups of Ansible's main process; those of the processes it forks stay exact.

    Does nothing in a process for a task, on systems other than Linux, or if the slack is already larger.
    """
    if multiprocessing.parent_process() is not None:
        return
    with contextlib.suppress(OSError, ValueError):
        with open(_FILE, encoding="ascii") as file:
            before = int(file.read())
        if before < SLACK:
            _write(SLACK)
            # Children inherit the slack, and so would the programs that tasks run on the control machine.
            os.register_at_fork(after_in_child=lambda: _restore(before))


def _restore(slack: int) -> None:
    with contextlib.suppress(OSError):
        _write(slack)


def _write(slack: int) -> None:
    with open(_FILE, "w", encoding="ascii") as file:
        file.write(str(slack))
