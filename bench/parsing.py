# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the instruments' output: task records, marks of the script typed by hand, SSH logs, counters. Pure."""

from __future__ import annotations

import json
import re
from typing import Dict, List, Mapping

from .records import Span

_SESSION = re.compile(r"^Starting session: ", re.MULTILINE)


def spans_of_tasks(text: str, began: float) -> List[Span]:
    """The spans that the callback wrote; ``began`` is the start of the run in seconds since 1970."""
    return [
        Span(row["number"], row["task"], row["host"], row["begin"] - began, row["end"] - began, status=row["status"])
        for row in json.loads(text or "[]")
    ]


def spans_of_marks(text: str, began: float) -> List[Span]:
    """The spans in the marks of the script typed by hand: lines of host, title, begin and end, separated by tabs."""
    numbers: Dict[str, int] = {}
    spans = []
    for line in text.splitlines():
        host, title, begin, end = line.split("\t")
        number = numbers.setdefault(title, len(numbers))
        spans.append(Span(number, title, host, float(begin) - began, float(end) - began))
    return sorted(spans, key=lambda span: span.begin)


def round_trips(log: str) -> int:
    """The number of commands and file transfers in the log of an SSH server at level VERBOSE."""
    return len(_SESSION.findall(log))


def counters(text: str) -> Dict[str, Dict[str, int]]:
    """Bytes by set and address, from the output of ``nft -j list table``."""
    found: Dict[str, Dict[str, int]] = {}
    for entry in json.loads(text)["nftables"]:
        if "set" not in entry:
            continue
        elements = [one["elem"] for one in entry["set"].get("elem", []) if isinstance(one, Mapping)]
        found[entry["set"]["name"]] = {str(one["val"]): int(one["counter"]["bytes"]) for one in elements}
    return found


def cpu_name(cpuinfo: str) -> str:
    """The processor's name in /proc/cpuinfo."""
    match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return match.group(1).strip() if match else "unknown processor"
