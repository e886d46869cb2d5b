# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports of measurements: JSON files, pictures, and lines for the terminal."""

from __future__ import annotations

import pathlib
import re
import statistics
from typing import Dict, List, Optional, Sequence, Tuple

from . import critical, figures, records, svg
from .comparison import Comparison, comparisons, growth
from .figures import Three
from .records import Key, Report

TITLES = {
    "first": "First run: three new nodes become a cluster",
    "nothing": "Nothing to do: the second run on three nodes",
    "add": "One more node, with --limit",
    "many": "Nothing to do on many nodes",
    "refused": "Preflight checks that fail",
}
STEPS_SHOWN = 8


def slug(text: str) -> str:
    """A text as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def load(path: pathlib.Path) -> Report:
    """The report in a file."""
    return records.from_json(path.read_text(encoding="utf-8"))


def save(report: Report, folder: pathlib.Path) -> Report:
    """Write a report's JSON file and its pictures.

    Runs that an earlier measurement of other contestants or sizes wrote there are kept. Returns the complete report.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.name}.json"
    complete = records.slimmed(records.merged(load(path), report) if path.exists() else report)
    path.write_text(records.to_json(complete), encoding="utf-8")
    for name, text in pictures(complete).items():
        (folder / name).write_text(text, encoding="utf-8")
    return complete


def pictures(report: Report) -> Dict[str, str]:
    """The pictures of a report by file name: a timeline for each contestant, and curves over the number of nodes."""
    found = {}
    for key in report.keys():
        run = report.typical(key)
        if run.spans:
            title = f"{key[0]}, {key[1]} nodes, {run.wall:.1f} s"
            found[f"{report.name}-{slug(key[0])}-{key[1]}.svg"] = svg.timeline(run, title)
    if report.case == "many" and len({size for _name, size in report.keys()}) > 1:
        wall: Dict[str, List[Tuple[float, float]]] = {}
        memory: Dict[str, List[Tuple[float, float]]] = {}
        for name, size in report.keys():
            runs = report.of((name, size))
            wall.setdefault(name, []).append((size, statistics.median([run.wall for run in runs])))
            memory.setdefault(name, []).append((size, statistics.median([run.memory / 1e6 for run in runs])))
        found[f"{report.name}-seconds.svg"] = svg.curves("Nothing to do: seconds by nodes", "s", wall)
        found[f"{report.name}-memory.svg"] = svg.curves(
            "Nothing to do: peak memory of the control machine", "MB", memory
        )
    return found


def spread(value: Optional[Three], digits: int = 2) -> str:
    """Median and range for a table, or ``-`` when there is no figure."""
    return value.spread(digits) if value else "-"


def comparison_line(one: Comparison) -> str:
    """A comparison as a line of text."""
    return (
        f"{one.size} nodes, {one.contestant} / {one.base}: wall time {spread(one.wall)},"
        f" control machine's CPU time {spread(one.control_cpu)}, nodes' CPU time {spread(one.node_cpu)}"
        f" ({spread(one.node_excess)} CPU s more per node)"
    )


def growth_lines(report: Report) -> List[str]:
    """What each additional node costs, as text; only of the case that is about it."""
    if report.case != "many":
        return []
    return [
        f"{one.contestant}: each additional node takes {one.wall * 1000:.0f} ms"
        f" and {one.control_cpu:.2f} CPU s of the control machine"
        for one in growth(report)
    ]


def critical_lines(report: Report) -> List[str]:
    """The critical path of each contestant's typical run, as text."""
    found = []
    for key in report.keys():
        run = report.typical(key)
        if run.spans:
            shares = critical.shares(run.spans, run.wall)[:STEPS_SHOWN]
            rows = [f"{seconds:.1f} s {name}" for name, seconds in shares if seconds >= 0.05]
            found.append(f"Critical path, {key[0]}, {key[1]} nodes ({run.wall:.1f} s): {'; '.join(rows)}.")
    return found


def machine_line(report: Report) -> str:
    """Number of rounds, machine, conditions and load of a report, as sentences."""
    machine = ", ".join(
        value if name in ("processor", "memory") else f"{name} {value}" for name, value in report.machine.items()
    )
    rounds = max(len(report.of(key)) for key in report.keys())
    load = figures.three([run.load for run in report.runs])
    busy = f" Load average before a run: {load.text()}." if load.most else ""
    return f"{rounds} round{'s' * (rounds > 1)}. Machine: {machine}. {report.conditions.text}{busy}"


def node_cpu(report: Report, key: Key) -> str:
    """The nodes' CPU seconds above idle, of all nodes and of each."""
    cpu = statistics.median([run.node_cpu for run in report.of(key)])
    return f"{cpu:.1f} ({cpu / report.worked_on(key[1]):.2f})"


def control_cpu(report: Report, key: Key) -> str:
    """The control machine's CPU seconds, in total and for each node."""
    cpu = statistics.median([run.control_cpu for run in report.of(key)])
    return f"{cpu:.1f} ({cpu / report.worked_on(key[1]):.2f})"


def megabytes(values: Sequence[int]) -> str:
    """The median of some numbers of bytes."""
    return f"{statistics.median(values) / 1e6:.0f}"


def lines(report: Report) -> List[str]:
    """The report for a terminal, ratios first."""
    found = [TITLES[report.case], f"  {machine_line(report)}"]
    found += [f"  {comparison_line(one)}" for one in comparisons(report)]
    found += [f"  {line}" for line in growth_lines(report)]
    for key in report.keys():
        wall = figures.three([run.wall for run in report.of(key)])
        found.append(
            f"  {key[1]:>4} nodes  {key[0]:<24} {wall.text(2)} s (min / median / max); CPU s (per node):"
            f" control machine {control_cpu(report, key)}, nodes {node_cpu(report, key)}"
        )
    return [*found, *(f"  {line}" for line in critical_lines(report))]
