# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the figures into docs/performance.md: ratios first, then each case."""

from __future__ import annotations

import pathlib
import re
import statistics
from typing import Dict, List, Sequence

from lab.machine import MachineError

from . import figures, report
from .comparison import comparisons
from .records import Key, Report

PAGE = "performance.md"
RATIOS = "ratios"
HEAD = (
    "| case | nodes | contestant | compared with | wall time | control machine: CPU time | nodes: CPU time"
    " | CPU s more per node |"
)
# A line with ratios; the case, without its conditions.
ROW = re.compile(r"^[|-] `([a-z]+)")


def ratios(reports: Sequence[Report], cases: Sequence[str], before: str = "") -> str:
    """The section with the ratios of all cases, in the order of ``cases``.

    ``before`` is the section as it is now: what it has of cases that are not in ``reports`` is kept.
    """
    measured = {one.case for one in reports}
    old = [(match[1], line) for line in before.splitlines() if (match := ROW.match(line))]
    found = [(case, line) for case, line in old if case not in measured]
    for one in reports:
        for compared in comparisons(one):
            cells = (compared.wall, compared.control_cpu, compared.node_cpu, compared.node_excess)
            row = [f"`{one.name}`", compared.size, compared.contestant, compared.base, *map(report.spread, cells)]
            found.append((one.case, f"| {' | '.join(map(str, row))} |"))
        found += [(one.case, f"- `{one.name}`, {line}.") for line in report.growth_lines(one)]
    lines = [line for case in cases for name, line in found if name == case]
    rows = [line for line in lines if line.startswith("|")]
    notes = [line for line in lines if line.startswith("-")]
    return "\n".join(["## Ratios", "", HEAD, "|---" * (HEAD.count("|") - 1) + "|", *rows, "", *notes]).strip()


def table(one: Report) -> List[str]:
    """The absolute figures of a report as a Markdown table."""
    head = [
        "nodes",
        "contestant",
        "seconds: min / median / max",
        "control machine: CPU s (per node), of these SSH masters",
        "nodes: CPU s above idle (per node)",
        "peak MB, of these SSH masters",
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
        f"{report.control_cpu(one, key)}, {statistics.median([run.left_cpu for run in runs]):.1f}",
        report.node_cpu(one, key),
        f"{report.megabytes([run.memory for run in runs])}, {report.megabytes([run.left_memory for run in runs])}",
        f"{_range(planes)} / {_range(workers)}",
        f"{sent:.0f} / {received:.0f}",
    ]


def _range(values: Sequence[int]) -> str:
    """A number, or the least and the most of several."""
    if not values:
        return "0"
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}"


def section(reports: Sequence[Report], folder: str) -> str:
    """The section of a case, with a report for each condition. ``folder`` has the pictures, seen from the page."""
    lines = [f"## {report.TITLES[reports[0].case]}", ""]
    for one in reports:
        lines += [f"`{one.name}`: {report.machine_line(one)}", "", *table(one), ""]
        lines += [f"- {line}" for line in report.critical_lines(one)]
        lines += ["", *(f"![{name[:-4]}]({folder}/{name})\n" for name in sorted(report.pictures(one)))]
    return "\n".join(lines).strip()


def get_section(text: str, name: str) -> str:
    """A section of the page. Raises :class:`MachineError` when the page lacks the markers around it."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    if start not in text or end not in text:
        raise MachineError(f"docs/{PAGE} lacks the marker {start} or {end}")
    return text.split(start, 1)[1].split(end, 1)[0]


def put_section(text: str, name: str, content: str) -> str:
    """The page with a section replaced. Raises :class:`MachineError` as :func:`get_section` does."""
    start, end = f"<!-- {name}: start -->", f"<!-- {name}: end -->"
    return text.replace(f"{start}{get_section(text, name)}{end}", f"{start}\n\n{content}\n\n{end}", 1)


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
    """Write the figures of all measured cases into the documentation; returns the names of the cases.

    Cases that were not measured here keep their figures.
    """
    page = docs / PAGE
    images = docs / "performance"
    found = load_reports(folder, cases)
    if not found:
        return []
    text = page.read_text(encoding="utf-8")
    every = [one for reports in found.values() for one in reports]
    text = put_section(text, RATIOS, ratios(every, cases, get_section(text, RATIOS)))
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
