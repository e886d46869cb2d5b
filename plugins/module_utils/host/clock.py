# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clock of a machine: its offset, as seen from the control machine, and whether it is synchronized.

Hosts are observed at different moments. For each host, the control machine records when it sent the request and when it
received the answer. The host read its clock in between, so these times limit its difference from the control machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ..core.system import System

# The result of adjtimex if the clock is not synchronized (TIME_ERROR of <sys/timex.h>).
_UNSYNCHRONIZED = 5
# Larger than struct timex anywhere; zeros mean "change nothing".
_TIMEX_BYTES = 1024


@dataclass(frozen=True)
class ClockState:
    """``synchronized`` is whether the clock is synchronized according to the kernel, None if it is unknown."""

    synchronized: Optional[bool] = None


def observe(system: System) -> ClockState:
    """Query the kernel, without a command."""
    if system.root != "/":
        return ClockState()
    try:
        import ctypes

        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (ImportError, AttributeError, OSError):
        return ClockState()
    return ClockState(None if state < 0 else state != _UNSYNCHRONIZED)
