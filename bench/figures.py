# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers out of measurements. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Tuple


@dataclass(frozen=True)
class Three:
    """Minimum, median and maximum."""

    least: float
    middle: float
    most: float

    def text(self, digits: int = 1) -> str:
        """As people write it, the median between the other two."""
        return " / ".join(f"{value:.{digits}f}" for value in (self.least, self.middle, self.most))


def three(values: Sequence[float]) -> Three:
    """Minimum, median and maximum of at least one value."""
    return Three(min(values), median(values), max(values))


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the middle two."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How long one takes as a part of the other: the median over rounds, each compared within itself.

    Neighbours in time share the machine's mood, so the ratio of a round says more than the ratio of two medians.
    """
    return median([own / other for own, other in zip(ours, theirs, strict=False)])


def slope(points: Sequence[Tuple[float, float]]) -> float:
    """The slope of the straight line that fits the points best (least squares); needs two different x."""
    count = len(points)
    mean_x = sum(x for x, _y in points) / count
    mean_y = sum(y for _x, y in points) / count
    below = sum((x - mean_x) ** 2 for x, _y in points)
    if not below:
        raise ValueError("a slope needs two different x")
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / below
