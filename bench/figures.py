# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics of measurements. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import List, Mapping, Optional, Sequence, TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True)
class Three:
    """Minimum, median and maximum."""

    least: float
    middle: float
    most: float

    def text(self, digits: int = 1) -> str:
        """All three in order: ``1.0 / 2.0 / 3.0``."""
        return " / ".join(f"{value:.{digits}f}" for value in (self.least, self.middle, self.most))

    def spread(self, digits: int = 2) -> str:
        """The median and, where values differ, the range: ``0.93 (0.91 to 0.95)``."""
        least, middle, most = (f"{value:.{digits}f}" for value in (self.least, self.middle, self.most))
        return middle if least == most else f"{middle} ({least} to {most})"


def three(values: Sequence[float]) -> Three:
    """Minimum, median and maximum of at least one value."""
    return Three(min(values), statistics.median(values), max(values))


def paired_ratios(values: Mapping[Key, float], base: Mapping[Key, float]) -> Optional[Three]:
    """The ratios of values to those of the base with the same key, None when there are none.

    Keys are rounds. Both values of a round were measured one after the other, on a machine that was equally busy. So a
    round's ratio is more reliable than the ratio of two medians. Rounds that only one of them has, and those whose base
    is not positive, are left out.
    """
    found = [value / base[key] for key, value in values.items() if base.get(key, 0.0) > 0]
    return three(found) if found else None


def paired_differences(values: Mapping[Key, float], base: Mapping[Key, float]) -> Optional[Three]:
    """The differences between values and those of the base with the same key, None when there are none."""
    found: List[float] = [value - base[key] for key, value in values.items() if key in base]
    return three(found) if found else None
