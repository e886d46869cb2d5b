# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a measurement is, and its form as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .figures import median

Key = Tuple[str, int]


@dataclass(frozen=True)
class Span:
    """One task on one host. ``begin`` and ``end`` are seconds since the run began; ``number`` counts tasks."""

    number: int
    name: str
    host: str
    begin: float
    end: float
    status: str = "ok"

    @property
    def short(self) -> str:
        """The task's name for people: of a role's full name the last part."""
        role, colon, task = self.name.rpartition(" : ")
        return f"{role.rpartition('.')[2]}: {task}" if colon else task


@dataclass(frozen=True)
class Traffic:
    """What went to one host over SSH.

    ``round_trips`` are the commands (and file transfers) its SSH server was asked for, ``logins`` the connections,
    ``sent`` and ``received`` bytes on the network as the control machine sees them.
    """

    round_trips: int = 0
    logins: int = 0
    sent: int = 0
    received: int = 0


@dataclass(frozen=True)
class Run:
    """One measured run. ``cpu`` is seconds and ``memory`` the peak in bytes, both of the control machine alone.

    ``load`` is the machine's load average just before: what else it had to do.
    """

    contestant: str
    size: int
    wall: float
    cpu: float
    memory: int
    hosts: Mapping[str, Traffic] = field(default_factory=dict)
    spans: Sequence[Span] = ()
    load: float = 0.0

    @property
    def key(self) -> Key:
        """What runs that can be compared one by one have in common."""
        return self.contestant, self.size


@dataclass(frozen=True)
class Report:
    """All runs of a case, in the order they were measured. ``machine`` says where, word to value."""

    case: str
    machine: Mapping[str, str]
    runs: Sequence[Run]

    def keys(self) -> List[Key]:
        """Contestants and sizes, in the order they appear, small before large."""
        return sorted(dict.fromkeys(run.key for run in self.runs), key=lambda key: key[1])

    def of(self, key: Key) -> List[Run]:
        """The runs of one contestant at one size."""
        return [run for run in self.runs if run.key == key]

    def typical(self, key: Key) -> Run:
        """The run whose wall time is nearest to the median."""
        runs = self.of(key)
        middle = median([run.wall for run in runs])
        return min(runs, key=lambda run: abs(run.wall - middle))


def merged(old: Report, new: Report) -> Report:
    """The new runs, and those old ones that were not measured anew on the same machine."""
    if old.machine != new.machine:
        return new
    measured = {run.key for run in new.runs}
    return dataclasses.replace(new, runs=[*(run for run in old.runs if run.key not in measured), *new.runs])


def slimmed(report: Report) -> Report:
    """The report with the spans of typical runs alone; those of a hundred nodes are many."""
    kept = {id(report.typical(key)) for key in report.keys()}
    runs = [run if id(run) in kept else dataclasses.replace(run, spans=()) for run in report.runs]
    return dataclasses.replace(report, runs=runs)


def to_json(report: Report) -> str:
    """The report as JSON."""
    return json.dumps(dataclasses.asdict(report), indent=1) + "\n"


def from_json(text: str) -> Report:
    """The report that :func:`to_json` wrote."""
    data = json.loads(text)
    return Report(data["case"], data["machine"], [_run(item) for item in data["runs"]])


def _run(data: Mapping[str, Any]) -> Run:
    values: Dict[str, Any] = dict(data)
    values["hosts"] = {name: Traffic(**one) for name, one in data["hosts"].items()}
    values["spans"] = [Span(**one) for one in data["spans"]]
    return Run(**values)
