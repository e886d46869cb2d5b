# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The critical path of a run: a shorter task on it would have made the run shorter. Pure."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

from .records import Span

# Seconds by which the recorded end of a span may be later than the start of the span that waited for it. A worker
# process takes the next host of the same task before the end of its previous one is recorded: on a busy machine long
# before.
SLACK = 0.05
SAME_TASK_SLACK = 0.5


def path(spans: Sequence[Span]) -> List[Span]:
    """The chain of spans that led to the end, first to last.

    The path goes back from the span that ended last to the one that ended last before it began, and so on. In the time
    between two of these spans nothing ran on any host: only the control machine worked.
    """
    chain: List[Span] = []
    rest = sorted(spans, key=lambda span: (span.end, span.begin))
    while rest:
        chosen = rest[-1]
        chain.append(chosen)
        rest = [span for span in rest if span is not chosen and _precedes(span, chosen)]
    return chain[::-1]


def _precedes(earlier: Span, later: Span) -> bool:
    slack = SAME_TASK_SLACK if earlier.number == later.number else SLACK
    return earlier.begin <= later.begin and earlier.end <= later.begin + slack


def shares(spans: Sequence[Span], wall: float) -> List[Tuple[str, float]]:
    """Seconds on the critical path by task, the longest first; their sum is ``wall``.

    Where a task follows itself on another host, that host waited for a free process; this time counts for the task.
    The control machine's own time (at the start, between tasks, at the end) is ``(between tasks)``.
    """
    found: Dict[str, float] = {}
    before: Optional[Span] = None
    for span in path(spans):
        begin = before.end if before is not None and before.number == span.number else span.begin
        found[span.short] = found.get(span.short, 0.0) + span.end - begin
        before = span
    found["(between tasks)"] = wall - sum(found.values())
    return sorted(found.items(), key=lambda item: -item[1])
