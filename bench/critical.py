# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The critical path of a run: the tasks that, had they been shorter, would have made the run shorter. Pure."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

from .records import Span

# Seconds. On a busy machine a process takes the next host before the end of the last one is written down.
SLACK = 0.05


def path(spans: Sequence[Span]) -> List[Span]:
    """The chain of spans that led to the end, first to last.

    From the span that ended last one goes back to the one that ended last before it began, and so on. What lies
    between two of them is time in which nothing ran on any host: the control machine's own.
    """
    chain: List[Span] = []
    rest = sorted(spans, key=lambda span: (span.end, span.begin))
    while rest:
        chosen = rest[-1]
        chain.append(chosen)
        rest = [span for span in rest if span.end <= chosen.begin + SLACK and span is not chosen]
    return chain[::-1]


def shares(spans: Sequence[Span], wall: float) -> List[Tuple[str, float]]:
    """Where the time of a run went: seconds on the critical path by task, the longest first.

    Where one task on several hosts follows itself, hosts wait for a free process: that is the task's time as well. The
    control machine's own time (start, between tasks, end) is ``(between tasks)``; all together is ``wall``.
    """
    found: Dict[str, float] = {}
    before: Optional[Span] = None
    for span in path(spans):
        begin = before.end if before is not None and before.number == span.number else span.begin
        found[span.short] = found.get(span.short, 0.0) + span.end - begin
        before = span
    found["(between tasks)"] = wall - sum(found.values())
    return sorted(found.items(), key=lambda item: -item[1])
