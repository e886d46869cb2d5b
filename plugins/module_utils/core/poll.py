# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The polling loop: repeats a query until the result is good or the time limit is reached."""

from __future__ import annotations

import time
from typing import Callable, Optional, TypeVar

T = TypeVar("T")
Clock = Callable[[], float]
Sleep = Callable[[float], None]


def poll(
    ask: Callable[[], T],
    timeout: float,
    good: Callable[[T], bool] = bool,
    pause: float = 1.0,
    growth: float = 1.0,
    longest: float = 2.0,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> T:
    """The first ``good`` answer (by default one that is true), or the last one after ``timeout`` seconds.

    ``ask`` is called at least once, and once more after the timeout. ``pause`` is the number of seconds between two
    calls; it is multiplied by ``growth`` each time, up to ``longest``. Tests replace ``clock`` (seconds, only
    differences count) and ``sleep``. Exceptions of ``ask`` are not caught.
    """
    read, wait = clock or time.monotonic, sleep or time.sleep
    end = read() + timeout
    while True:
        answer = ask()
        if good(answer):
            return answer
        left = end - read()
        if left <= 0:
            return answer
        wait(min(pause, left))
        pause = min(pause * growth, max(longest, pause))
