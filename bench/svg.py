# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SVG pictures of measurements: timelines of the tasks on each host, and curves over the number of nodes. Pure."""

from __future__ import annotations

import math
from typing import Dict, List, Mapping, Sequence, Tuple
from xml.sax.saxutils import escape

from . import critical
from .records import Run, Span

WIDTH = 960
LEFT = 90
RIGHT = 20
LANE = 22
TOP = 44
# The approximate width of a letter at 11 pixels.
LETTER = 6.2
MOST_HOSTS = 12
COLOURS = ("#4878a8", "#e0923a", "#5a9c5a", "#8a6bb0", "#b5843f", "#3f9aa0", "#b86a94", "#7d8a2e", "#6c7a89", "#a3624d")
IDLE = "#d8d8d8"
CRITICAL = "#c01818"


def _open(width: int, height: int, title: str) -> List[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="sans-serif" font-size="11">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="8" y="18" font-size="14">{escape(title)}</text>',
    ]


def tick(length: float, wanted: int = 10) -> float:
    """A round distance between ticks (1, 2 or 5 times a power of ten) that gives about ``wanted`` of them."""
    rough = length / wanted
    power = float(10 ** math.floor(math.log10(rough)))
    return next(power * factor for factor in (1.0, 2.0, 5.0, 10.0) if power * factor >= rough * 0.999)


def number(value: float) -> str:
    """A number on an axis."""
    return f"{value:g}"


def shown_hosts(spans: Sequence[Span]) -> List[str]:
    """The hosts that get a lane: all of a few, or of many those for which the run waited longest."""
    names = list(dict.fromkeys(span.host for span in spans))
    if len(names) <= MOST_HOSTS:
        return names
    waited: Dict[str, float] = dict.fromkeys(names, 0.0)
    for span in critical.path(spans):
        waited[span.host] += span.end - span.begin
    kept = sorted(names, key=lambda name: -waited[name])[:MOST_HOSTS]
    return [name for name in names if name in kept]


def timeline(run: Run, title: str) -> str:
    """A lane for each host and a bar for each task; tasks on the critical path have a red frame."""
    hosts = shown_hosts(run.spans)
    names = list(dict.fromkeys(span.short for span in run.spans if span.status != "skipped"))
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    chain = {id(span) for span in critical.path(run.spans)}
    scale = (WIDTH - LEFT - RIGHT) / run.wall
    bottom = TOP + LANE * len(hosts)
    legend = _legend(names, colours, bottom + 34)
    height = bottom + 40 + 16 * (1 + max((row for row, _column in _places(names)), default=0))
    total = len(dict.fromkeys(span.host for span in run.spans))
    if len(hosts) < total:
        title += f" ({len(hosts)} of {total} hosts, for which the run waited longest)"
    lines = _open(WIDTH, height, title)
    step = tick(run.wall)
    for index in range(int(run.wall / step) + 1):
        x = LEFT + index * step * scale
        lines.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}" stroke="#e4e4e4"/>')
        label = number(round(index * step, 6)) + (" s" if index == 0 else "")
        lines.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{label}</text>')
    for row, host in enumerate(hosts):
        lines.append(f'<text x="{LEFT - 6}" y="{TOP + row * LANE + 14}" text-anchor="end">{escape(host)}</text>')
    # Tasks on the critical path are drawn last, so that nothing hides their frames.
    for span in sorted(run.spans, key=lambda span: id(span) in chain):
        if span.host in hosts:
            lines += _bar(span, hosts.index(span.host), scale, colours.get(span.short, IDLE), id(span) in chain)
    return "\n".join([*lines, *legend, "</svg>"]) + "\n"


def _bar(span: Span, row: int, scale: float, colour: str, is_critical: bool) -> List[str]:
    x, y = LEFT + span.begin * scale, TOP + row * LANE + 2
    width, height = max((span.end - span.begin) * scale, 0.5), LANE - 5
    frame = f' stroke="{CRITICAL}" stroke-width="1.6"' if is_critical else ""
    fill = IDLE if span.status == "skipped" else colour
    hint = f"{span.host}: {span.short}, {span.end - span.begin:.2f} s, {span.status}"
    lines = [
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{fill}"{frame}>'
        f"<title>{escape(hint)}</title></rect>"
    ]
    room = int(width / LETTER) - 1
    if room >= 4:
        text = span.short if len(span.short) <= room else span.short[: room - 1] + "…"
        lines.append(f'<text x="{x + 3:.1f}" y="{y + 12}" fill="#ffffff" pointer-events="none">{escape(text)}</text>')
    return lines


def _places(names: Sequence[str]) -> List[Tuple[int, int]]:
    """Row and column of each legend entry, three in a row."""
    return [(index // 3, index % 3) for index in range(len(names) + 1)]


def _legend(names: Sequence[str], colours: Mapping[str, str], top: int) -> List[str]:
    lines = []
    width = (WIDTH - 16) // 3
    entries = [*((name, f'fill="{colours[name]}"') for name in names)]
    entries.append(("critical path", f'fill="#ffffff" stroke="{CRITICAL}" stroke-width="1.6"'))
    for (name, style), (row, column) in zip(entries, _places(names), strict=True):
        x, y = 8 + column * width, top + row * 16
        room = int((width - 16) / LETTER)
        text = name if len(name) <= room else name[: room - 1] + "…"
        lines.append(f'<rect x="{x}" y="{y - 9}" width="10" height="10" {style}/>')
        lines.append(f'<text x="{x + 15}" y="{y}">{escape(text)}</text>')
    return lines


def curves(title: str, unit: str, lines: Mapping[str, Sequence[Tuple[float, float]]]) -> str:
    """A curve for each name through its points (number of nodes, value); both axes start at 0."""
    width, height, left, bottom, top = 640, 320, 60, 40, 36
    most_x = max(x for points in lines.values() for x, _y in points)
    most_y = max(y for points in lines.values() for _x, y in points) or 1.0
    step_x, step_y = tick(most_x, 8), tick(most_y, 6)
    end_x, end_y = math.ceil(most_x / step_x) * step_x, math.ceil(most_y / step_y) * step_y

    def place(x: float, y: float) -> Tuple[float, float]:
        across = left + (width - left - 30) * x / end_x
        return round(across, 1), round(height - bottom - (height - bottom - top) * y / end_y, 1)

    picture = _open(width, height, title)
    for index in range(round(end_y / step_y) + 1):
        (x1, y1), (x2, _) = place(0, index * step_y), place(end_x, index * step_y)
        picture.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y1}" stroke="#e4e4e4"/>')
        label = number(round(index * step_y, 6)) + (f" {unit}" if index == 0 else "")
        picture.append(f'<text x="{x1 - 6}" y="{y1 + 4}" text-anchor="end">{label}</text>')
    for index in range(round(end_x / step_x) + 1):
        x, y = place(index * step_x, 0)
        label = number(round(index * step_x, 6)) + (" nodes" if index == round(end_x / step_x) else "")
        picture.append(f'<text x="{x}" y="{y + 16}" text-anchor="middle">{label}</text>')
    for index, (name, points) in enumerate(lines.items()):
        colour = COLOURS[index % len(COLOURS)]
        places = [place(x, y) for x, y in points]
        joined = " ".join(f"{x},{y}" for x, y in places)
        picture.append(f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>')
        picture += [f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in places]
        x, y = 70 + left, top + 4 + 16 * index
        picture.append(f'<rect x="{x - 16}" y="{y - 9}" width="10" height="10" fill="{colour}"/>')
        picture.append(f'<text x="{x}" y="{y}">{escape(name)}</text>')
    return "\n".join([*picture, "</svg>"]) + "\n"
