# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of measurements: JSON files, pictures, and the figures in docs/performance.md."""

from __future__ import annotations

import itertools
import pathlib
import re
from typing import Dict, List, Sequence

from lab.machine import MachineError

from . import critical, figures, records, svg
from .contestants import BY_HAND, IN_STEPS, OURS
from .records import Key, Report

TITLES = {
    "first": "First run: three bare nodes become a cluster",
    "nothing": "Nothing to do: the second run on three nodes",
    "add": "One more node, with --limit",
    "many": "Nothing to do on many nodes",
    "refused": "A preflight that fails",
}
STEPS_SHOWN = 8


def slug(text: str) -> str:
    """A file name for a contestant."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def load(path: pathlib.Path) -> Report:
    """The report in a file."""
    return records.from_json(path.read_text(encoding="utf-8"))


def save(report: Report, folder: pathlib.Path) -> Report:
    """Write a case's JSON and its pictures; what an earlier run measured of other sizes stays. Gives all of it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.case}.json"
    whole = records.merged(load(path), report) if path.exists() else report
    whole = records.slimmed(whole)
    path.write_text(records.to_json(whole), encoding="utf-8")
    for name, text in pictures(whole).items():
        (folder / name).write_text(text, encoding="utf-8")
    return whole


def pictures(report: Report) -> Dict[str, str]:
    """The pictures of a case by file name: a timeline for each contestant, and curves where sizes differ."""
    found = {}
    for key in report.keys():
        run = report.typical(key)
        if run.spans:
            title = f"{key[0]}, {key[1]} nodes, {run.wall:.1f} s"
            found[timeline_name(report.case, key)] = svg.timeline(run, title)
    if report.case == "many" and len({size for _name, size in report.keys()}) > 1:
        wall: Dict[str, List[tuple[float, float]]] = {}
        memory: Dict[str, List[tuple[float, float]]] = {}
        for name, size in report.keys():
            runs = report.of((name, size))
            wall.setdefault(name, []).append((size, figures.median([run.wall for run in runs])))
            memory.setdefault(name, []).append((size, figures.median([run.memory / 1e6 for run in runs])))
        found["many-seconds.svg"] = svg.curves("Nothing to do: seconds by nodes", "s", wall)
        found["many-memory.svg"] = svg.curves("Nothing to do: peak memory of the control machine", "MB", memory)
    return found


def timeline_name(case: str, key: Key) -> str:
    """The file of a contestant's timeline."""
    return f"{case}-{slug(key[0])}-{key[1]}.svg"


def table(report: Report) -> List[str]:
    """The figures of a case as a Markdown table."""
    lines = [
        "| nodes | | seconds: min / median / max | controller: CPU s | peak MB | round trips: control plane"
        " / other hosts | KB over SSH to / from a host |",
        "|---|---|---|---|---|---|---|",
    ]
    for key in report.keys():
        runs = report.of(key)
        wall = figures.three([run.wall for run in runs])
        cpu = figures.median([run.cpu for run in runs])
        memory = figures.median([run.memory / 1e6 for run in runs])
        run = report.typical(key)
        # Those that a limit leaves out are not asked at all.
        asked = {name: traffic for name, traffic in run.hosts.items() if traffic.round_trips}
        controls = [traffic.round_trips for name, traffic in asked.items() if name.startswith("cp")]
        others = [traffic.round_trips for name, traffic in asked.items() if not name.startswith("cp")]
        sent = figures.median([traffic.sent / 1e3 for traffic in asked.values()] or [0.0])
        received = figures.median([traffic.received / 1e3 for traffic in asked.values()] or [0.0])
        lines.append(
            f"| {key[1]} | {key[0]} | {wall.text()} | {cpu:.1f} | {memory:.0f} |"
            f" {spread(controls)} / {spread(others)} | {sent:.0f} / {received:.0f} |"
        )
    return lines


def spread(values: Sequence[int]) -> str:
    """A number, or the least and the most of several."""
    if not values:
        return "0"
    return f"{min(values)}" if min(values) == max(values) else f"{min(values)}-{max(values)}"


def remarks(report: Report) -> List[str]:
    """What follows from the figures: ratios, and what a node more costs."""
    lines = []
    names = list(dict.fromkeys(name for name, _size in report.keys()))
    sizes = list(dict.fromkeys(size for _name, size in report.keys()))
    bases = [name for name in (BY_HAND, IN_STEPS) if name in names] or [OURS]
    for name in names:
        for base, size in itertools.product(bases, sizes):
            ours, theirs = report.of((name, size)), report.of((base, size))
            if name not in bases and ours and theirs:
                part = figures.ratio([run.wall for run in ours], [run.wall for run in theirs])
                lines.append(f"{size} nodes: {name} takes {part:.2f} of {base} (median over rounds).")
        points = [(float(run.size), run.wall) for run in report.runs if run.contestant == name]
        if len({x for x, _y in points}) > 1 and report.case == "many":
            lines.append(f"{name}: a node more costs {figures.slope(points) * 1000:.0f} ms.")
        if len({x for x, _y in points}) == 2 and report.case == "add":
            small, large = (report.of((name, size)) for size in sizes)
            part = figures.ratio([run.wall for run in large], [run.wall for run in small])
            lines.append(f"{name}: with {sizes[1]} nodes it takes {part:.2f} of the time with {sizes[0]}.")
    return lines


def where(report: Report, key: Key) -> List[str]:
    """Where a contestant's time went, as a list."""
    run = report.typical(key)
    if not run.spans:
        return []
    shares = critical.shares(run.spans, run.wall)
    rows = [f"{seconds:.1f} s {name}" for name, seconds in shares[:STEPS_SHOWN] if seconds >= 0.05]
    return [f"Critical path, {key[0]}, {key[1]} nodes ({run.wall:.1f} s): {'; '.join(rows)}."]


def section(report: Report, folder: str) -> str:
    """A case's part of docs/performance.md; ``folder`` is where the pictures are, as seen from there."""
    machine = ", ".join(
        f"{value}" if name in ("processor", "memory") else f"{name} {value}" for name, value in report.machine.items()
    )
    rounds = len(report.of(report.keys()[0]))
    lines = [f"## {TITLES[report.case]}", "", *table(report), ""]
    lines += [f"- {line}" for line in remarks(report)]
    for key in report.keys():
        lines += [f"- {line}" for line in where(report, key)]
    load = figures.three([run.load for run in report.runs])
    busy = f" Its load average before a run: {load.text()}." if load.most else ""
    lines += ["", f"{rounds} round{'s' * (rounds > 1)}. Machine, which runs the nodes as well: {machine}.{busy}", ""]
    lines += [f"![{name[:-4]}]({folder}/{name})\n" for name in sorted(pictures(report))]
    return "\n".join(lines).strip()


def put_section(text: str, case: str, content: str) -> str:
    """The page with a case's part exchanged; the markers around it must be there."""
    start, end = f"<!-- {case}: start -->", f"<!-- {case}: end -->"
    if start not in text or end not in text:
        raise MachineError(f"docs/performance.md lacks the marker {start} or {end}")
    before, rest = text.split(start, 1)
    return f"{before}{start}\n\n{content}\n\n{end}{rest.split(end, 1)[1]}"


def write_docs(folder: pathlib.Path, docs: pathlib.Path, cases: Sequence[str]) -> List[str]:
    """Put the figures of all cases that were measured into the documentation; gives their names."""
    page = docs / "performance.md"
    images = docs / "performance"
    text = page.read_text(encoding="utf-8")
    written = []
    for case in cases:
        path = folder / f"{case}.json"
        if not path.exists():
            continue
        report = load(path)
        images.mkdir(exist_ok=True)
        for old in images.glob(f"{case}-*.svg"):
            old.unlink()
        for name, picture in pictures(report).items():
            (images / name).write_text(picture, encoding="utf-8")
        text = put_section(text, case, section(report, images.name))
        written.append(case)
    page.write_text(text, encoding="utf-8")
    return written


def lines(report: Report) -> List[str]:
    """The report for a terminal."""
    found = [TITLES[report.case]]
    for key in report.keys():
        runs = report.of(key)
        wall = figures.three([run.wall for run in runs])
        found.append(f"  {key[1]:>4} nodes  {key[0]:<24} {wall.text(2)} s (min / median / max)")
    found += [f"  {line}" for line in remarks(report)]
    for key in report.keys():
        found += [f"  {line}" for line in where(report, key)]
    return found
