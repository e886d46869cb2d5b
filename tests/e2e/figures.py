# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the end-to-end tests counted, printed at the end of a run: the figures of docs/reliability.md."""

from __future__ import annotations

from collections import Counter

# Lines that begin with it are shown by ./dev test as well.
MARK = "figure: "

_COUNTS: Counter[tuple[str, str]] = Counter()


def count(subject: str, what: str, number: int = 1) -> None:
    """Add to a figure, such as how many ``faults`` were ``tried``."""
    _COUNTS[(subject, what)] += number


def lines() -> list[str]:
    """One line for each subject, in the order in which they were first counted."""
    subjects: dict[str, list[str]] = {}
    for (subject, what), number in _COUNTS.items():
        subjects.setdefault(subject, []).append(f"{number} {what}")
    return [f"{MARK}{subject}: {', '.join(parts)}" for subject, parts in subjects.items()]
