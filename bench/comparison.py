# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares contestants with each other, and sizes of a cluster. Pure."""

from __future__ import annotations

import itertools
import statistics
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from . import figures
from .contestants import BY_HAND, IN_STEPS, OURS, PING
from .figures import Three
from .records import Key, Moment, Report, Run

BASELINES = (BY_HAND, IN_STEPS, PING)


@dataclass(frozen=True)
class Comparison:
    """The ratios of a contestant's figures to those of its ``base``, on ``size`` nodes.

    ``node_excess`` is the CPU seconds of each node beyond those of the base; see :meth:`.Report.worked_on`. A figure is
    None when no round has a value of both.
    """

    size: int
    contestant: str
    base: str
    wall: Optional[Three]
    control_cpu: Optional[Three]
    node_cpu: Optional[Three]
    node_excess: Optional[Three]


@dataclass(frozen=True)
class Growth:
    """The cost of each additional node for a contestant: the slopes over all sizes, in (CPU) seconds per node."""

    contestant: str
    wall: float
    control_cpu: float


def comparisons(report: Report) -> List[Comparison]:
    """All comparisons of a case: with the baselines, with the collection, and in ``add`` with the smallest cluster."""
    names = list(dict.fromkeys(run.contestant for run in report.runs))
    sizes = sorted({run.size for run in report.runs})
    found = []
    for size, name in itertools.product(sizes, names):
        if name in BASELINES:
            continue
        for base in (*BASELINES, OURS):
            if base != name and base in names:
                found.append(_compare(report, (name, size), (base, size), base))
        if report.case == "add" and size != sizes[0]:
            found.append(_compare(report, (name, size), (name, sizes[0]), f"the same with {sizes[0]} nodes"))
    return [one for one in found if one.wall is not None]


def _compare(report: Report, key: Key, base_key: Key, base: str) -> Comparison:
    runs, base_runs = report.of(key), report.of(base_key)

    def ratio(figure: Callable[[Run], float]) -> Optional[Three]:
        return figures.paired_ratios(_by_moment(runs, figure), _by_moment(base_runs, figure))

    def per_node(run: Run) -> float:
        return run.node_cpu / report.worked_on(run.size)

    return Comparison(
        key[1],
        key[0],
        base,
        wall=ratio(lambda run: run.wall),
        control_cpu=ratio(lambda run: run.control_cpu),
        node_cpu=ratio(lambda run: run.node_cpu),
        node_excess=figures.paired_differences(_by_moment(runs, per_node), _by_moment(base_runs, per_node)),
    )


def _by_moment(runs: Sequence[Run], figure: Callable[[Run], float]) -> Dict[Moment, float]:
    return {run.moment: figure(run) for run in runs}


def growth(report: Report) -> List[Growth]:
    """What each additional node costs, for every contestant that was measured with several numbers of nodes."""
    points: Dict[str, List[Tuple[float, float, float]]] = {}
    for run in report.runs:
        points.setdefault(run.contestant, []).append((run.size, run.wall, run.control_cpu))
    found = []
    for name, values in points.items():
        sizes, walls, cpus = zip(*values, strict=True)
        if len(set(sizes)) > 1:
            slopes = [statistics.linear_regression(sizes, column).slope for column in (walls, cpus)]
            found.append(Growth(name, *slopes))
    return found
