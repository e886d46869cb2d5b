# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine's clock: how far it is off, as far as that can be told from a control machine, and whether it is kept.

Hosts are observed at different moments. What is known of a host is when the control machine asked it and when it had
the answer; in between the host read its clock. That bounds the host's difference from the control machine's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

from .system import System

# What adjtimex returns when nothing keeps the clock in step (TIME_ERROR of <sys/timex.h>).
_UNSYNCHRONIZED = 5
# Larger than struct timex anywhere; zeros mean "change nothing".
_TIMEX_BYTES = 1024

# kubeadm dates certificates back by five minutes: a host that is behind by more finds them not valid yet.
BROKEN_SECONDS = 300.0
# etcd complains from one second on; leases and tokens feel a few.
LOOSE_SECONDS = 5.0


@dataclass(frozen=True)
class ClockState:
    """``synchronized`` is the kernel's word on whether something keeps the clock in step, None where it is unknown."""

    synchronized: Optional[bool] = None


@dataclass(frozen=True)
class Reading:
    """A host's clock (``epoch``, seconds since 1970) and the control machine's before and after it was read."""

    name: str
    epoch: float
    asked: float
    answered: float

    @property
    def known(self) -> bool:
        """False for a host whose observation lacks a time."""
        return bool(self.epoch and self.asked and self.answered)

    @property
    def low(self) -> float:
        """The least the host's clock can be ahead of the control machine's, in seconds."""
        return self.epoch - self.answered

    @property
    def high(self) -> float:
        """The most the host's clock can be ahead of the control machine's, in seconds."""
        return self.epoch - self.asked


def observe(system: System) -> ClockState:
    """Ask the kernel; no command."""
    if system.root != "/":
        return ClockState()
    try:
        import ctypes

        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (ImportError, AttributeError, OSError):
        return ClockState()
    return ClockState(None if state < 0 else state != _UNSYNCHRONIZED)


def skews(readings: Sequence[Reading]) -> Dict[str, float]:
    """How far each host surely is ahead (behind: negative) of the median of all, in seconds; 0.0 where it may agree.

    The control machine's clock is one of all, and counts twice where the number would be even else: so one wrong
    clock is outvoted wherever there are two hosts that agree.
    """
    # Judged on the control machine alone; the hosts, which only read their clock, need not load it.
    import statistics

    known = [reading for reading in readings if reading.known]
    own: List[float] = [0.0] if len(known) % 2 == 0 else [0.0, 0.0]
    # The true median lies between the medians of what is possible.
    low = statistics.median(own + [reading.low for reading in known])
    high = statistics.median(own + [reading.high for reading in known])
    found = {}
    for reading in known:
        ahead, behind = reading.low - high, low - reading.high
        found[reading.name] = ahead if ahead > 0 else (-behind if behind > 0 else 0.0)
    return found
