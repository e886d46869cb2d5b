# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the figures into docs/performance.md: ratios first, then each case."""

from __future__ import annotations

import pathlib
import statistics
from typing import Dict, List, Sequence

from lab.machine import MachineError

from . import figures, report
from .comparison import comparisons
from .records import Key, Report

PAGE = "performance.md"
RATIOS = "ratios"


def ratios(reports: Sequence[Report]) -> str:
    """The section with the ratios of all reports."""
    lines = [
        "## Ratios",
        "",
        "| case | nodes | contestant | compared with | wall time | control machine: CPU time | nodes: CPU time"
        " | CPU s more per node |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in reports:
        for found in comparisons(one):
            cells = (found.wall, found.control_cpu, found.node_cpu, found.node_excess)
            row = [f"`{one.name}`", found.size, found.contestant, found.base, *map(report.spread, cells)]
            lines.append(f"| {' | '.join(map(str, row))} |")
    growing = [f"- `{one.name}`, {line}." for one in reports for line in report.growth_lines(one)]
    return "\n".join([*lines, "", *growing]).strip()


def table(one: Report) -> List[str]:
    """The absolute figures of a report as a Markdown table."""
    head = [
        "nodes",
        "contestant",
        "seconds: min / median / max",
        "control machine: CPU s (per node)",
        "nodes: CPU s above idle (per node)",
        "peak MB",
        "round trips: control plane / workers",
        "KB over SSH: to / from a host",
    ]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return lines + [f"| {' | '.join(_row(one, key))} |" for key in one.keys()]


def _row(one: Report, key: Key) -> List[str]:
    runs = one.of(key)
    # Hosts that --limit leaves out get no requests.
    asked = {name: traffic for name, traffic in one.typical(key).hosts.items() if traffic.round_trips}
    planes = [traffic.round_trips for name, traffic in asked.items() if name.startswith("cp")]
    workers = [traffic.round_trips for name, traffic in asked.items() if not name.startswith("cp")]
    sent = statistics.median([traffic.sent / 1e3 for traffic in asked.values()] or [0.0])
    received = statistics.median([traffic.received / 1e3 for traffic in asked.values()] or [0.0])
    return [
        str(key[1]),
        key[0],
        figures.three([run.wall for run in runs]).text(),
        report.control_cpu(one, key),
        report.node_cpu(one, key),
        f"{statistics.median([run.memory / 1e6 for run in runs]):.0f}",
        f"{_range(planes)} / {_range(workers)}",
        f"{sent:.0f} / {received:.0f}",
    ]


def _range(values: Sequence[int]) -> str:
    """A number, or the least and the most of several."""
    if not values:
        return "0"
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}"


def section(reports: Sequence[Report], folder: str) -> str:
    """The section of a case; it has one report for each placement. ``folder`` has the pictures, seen from the page."""
    lines = [f"## {report.TITLES[reports[0].case]}", ""]
    for one in reports:
        lines += [f"`{one.name}`: {report.machine_line(one)}", "", *table(one), ""]
        lines += [f"- {line}" for line in report.critical_lines(one)]
        lines += ["", *(f"![{name[:-4]}]({folder}/{name})\n" for name in sorted(report.pictures(one)))]
    return "\n".join(lines).strip()


def put_section(text: str, name: str, content: str) -> str:
    """The page with a section replaced. Raises :class:`MachineError` when the page lacks the markers around it."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    if start not in text or end not in text:
        raise MachineError(f"docs/{PAGE} lacks the marker {start} or {end}")
    before, rest = text.split(start, 1)
    return f"{before}{start}\n\n{content}\n\n{end}{rest.split(end, 1)[1]}"


def load_reports(folder: pathlib.Path, cases: Sequence[str]) -> Dict[str, List[Report]]:
    """The reports in a folder by case, in the order of ``cases``; cases that were not measured are left out."""
    found = {}
    for case in cases:
        paths = [folder / f"{case}.json", *sorted(folder.glob(f"{case}-*.json"))]
        reports = [report.load(path) for path in paths if path.exists()]
        if reports:
            found[case] = reports
    return found


def write_docs(folder: pathlib.Path, docs: pathlib.Path, cases: Sequence[str]) -> List[str]:
    """Write the figures of all measured cases into the documentation; returns the names of the cases."""
    page = docs / PAGE
    images = docs / "performance"
    found = load_reports(folder, cases)
    if not found:
        return []
    text = page.read_text(encoding="utf-8")
    text = put_section(text, RATIOS, ratios([one for reports in found.values() for one in reports]))
    images.mkdir(exist_ok=True)
    for case, reports in found.items():
        for old in images.glob(f"{case}-*.svg"):
            old.unlink()
        for one in reports:
            for name, picture in report.pictures(one).items():
                (images / name).write_text(picture, encoding="utf-8")
        text = put_section(text, case, section(reports, images.name))
    page.write_text(text, encoding="utf-8")
    return list(found)
