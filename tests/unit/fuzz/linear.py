# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the work of a reader grows with the length of its input, and not with the square of it.

Work is processor time. Only ratios count: five times the input may take ten times the work (a reader that is linear
takes about five, one that is quadratic 25), and the best of several attempts counts, so a busy machine makes no
difference. Two sizes are measured: at one of them, the memory of a linear reader may no longer come from the heap or
no longer fit into the caches. A quadratic reader is too slow at both.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from typing import Any

_FACTOR, ALLOWED = 5, 10
# Shorter measurements say nothing.
_SECONDS = 0.004
_LARGEST = 1 << 17
# PyPy compiles what runs often, which can take longer than the reading that is measured.
_WARM_UP = 30 if sys.implementation.name == "pypy" else 0


def growth(read: Callable[[Any], object], make: Callable[[int], Any]) -> float:
    """How many times the work for five times the input is, at the better of two sizes.

    It is 0 where even large inputs take no time to speak of. ``make`` returns the input for a number of repetitions.
    """
    for _reading in range(_WARM_UP):
        work(read, make(512))
    count = 32
    while count < _LARGEST and work(read, make(count)) < _SECONDS:
        count *= 2
    if count >= _LARGEST:
        return 0.0
    ratio = float("inf")
    for size, attempts in ((count, 8), (count * _FACTOR, 3)):
        small, large = make(size), make(size * _FACTOR)
        for _attempt in range(attempts):
            ratio = min(ratio, work(read, large) / min(work(read, small) for _ in range(3)))
            if ratio < ALLOWED:
                return ratio
    return ratio


def assert_linear(read: Callable[[Any], object], make: Callable[[int], Any]) -> None:
    """Fail when the work grows much faster than the input."""
    ratio = growth(read, make)
    assert ratio < ALLOWED, f"{_FACTOR} times the input takes {ratio:.0f} times the work"


def work(read: Callable[[Any], object], data: Any) -> float:
    """The processor seconds of one reading."""
    gc.disable()
    try:
        begin = time.process_time()
        try:
            read(data)
        except Exception:
            pass
        return time.process_time() - begin
    finally:
        gc.enable()
