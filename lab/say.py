# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's output: plain lines, and the duration of each step."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Iterator


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(text, flush=True)


def duration(seconds: float) -> str:
    """Seconds as people say them: ``0.4 s``, ``12 s``, ``8 min 05 s``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    total = round(seconds)
    return f"{total} s" if total < 60 else f"{total // 60} min {total % 60:02d} s"


@contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, and print at its end how long it took, also when it failed."""
    say(f"{title} ...")
    start = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"{title}: failed after {duration(time.monotonic() - start)}")
        raise
    say(f"{title}: {duration(time.monotonic() - start)}")
