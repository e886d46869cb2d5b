# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The records of measurements, and their JSON form."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .conditions import Conditions

Key = Tuple[str, int]
# Series and round of a run.
Moment = Tuple[int, int]


@dataclass(frozen=True)
class Span:
    """One task on one host. ``begin`` and ``end`` are seconds since the run started; ``number`` counts tasks."""

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

    ``round_trips`` is the number of commands and file transfers requested from its SSH server. ``sent`` and
    ``received`` are bytes on the network as the control machine counts them.
    """

    round_trips: int = 0
    sent: int = 0
    received: int = 0


@dataclass(frozen=True)
class Run:
    """One measured run of a contestant on ``size`` nodes.

    ``wall`` is in seconds. ``control_cpu`` is the CPU seconds of the control machine's processes, and ``memory`` is
    their peak in bytes; ``left_cpu`` and ``left_memory`` are the part of processes that the command left behind, the
    masters of shared SSH connections. ``node_cpu`` is the CPU seconds of all nodes above idle; ``idle`` is what the
    same nodes used before the run, in CPU seconds per second. ``load`` is the machine's load average before the run.
    Runs with the same ``series`` (when the measurement started, in seconds since 1970) and ``round`` are compared with
    each other.
    """

    contestant: str
    size: int
    wall: float
    control_cpu: float
    memory: int
    left_cpu: float = 0.0
    left_memory: int = 0
    node_cpu: float = 0.0
    idle: float = 0.0
    hosts: Mapping[str, Traffic] = field(default_factory=dict)
    spans: Sequence[Span] = ()
    load: float = 0.0
    series: int = 0
    round: int = 0

    @property
    def key(self) -> Key:
        """Contestant and size: what repeated runs have in common."""
        return self.contestant, self.size

    @property
    def moment(self) -> Moment:
        """Series and round: what runs that are compared with each other have in common."""
        return self.series, self.round


@dataclass(frozen=True)
class Report:
    """All runs of a case under the same conditions, in the order they were measured, on one ``machine``."""

    case: str
    machine: Mapping[str, str]
    runs: Sequence[Run]
    conditions: Conditions = Conditions()

    @property
    def name(self) -> str:
        """The report's name in file names."""
        return "-".join(filter(None, (self.case, self.conditions.name)))

    def keys(self) -> List[Key]:
        """Contestants and sizes, in the order they appear, small before large."""
        return sorted(dict.fromkeys(run.key for run in self.runs), key=lambda key: key[1])

    def of(self, key: Key) -> List[Run]:
        """The runs of one contestant at one size."""
        return [run for run in self.runs if run.key == key]

    def worked_on(self, size: int) -> int:
        """The number of nodes that a run works on: in ``add`` only the new one, otherwise all ``size``."""
        return 1 if self.case == "add" else size

    def typical(self, key: Key) -> Run:
        """The run whose wall time is nearest to the median."""
        runs = self.of(key)
        middle = statistics.median([run.wall for run in runs])
        return min(runs, key=lambda run: abs(run.wall - middle))


def merged(old: Report, new: Report) -> Report:
    """The new runs, and those old ones that were not measured again on the same machine."""
    if (old.machine, old.conditions) != (new.machine, new.conditions):
        return new
    measured = {run.key for run in new.runs}
    return dataclasses.replace(new, runs=[*(run for run in old.runs if run.key not in measured), *new.runs])


def slimmed(report: Report) -> Report:
    """The report with the spans of typical runs only, since a hundred nodes have many."""
    kept = {id(report.typical(key)) for key in report.keys()}
    runs = [run if id(run) in kept else dataclasses.replace(run, spans=()) for run in report.runs]
    return dataclasses.replace(report, runs=runs)


def to_json(report: Report) -> str:
    """The report as JSON."""
    return json.dumps(dataclasses.asdict(report), indent=1) + "\n"


def from_json(text: str) -> Report:
    """The report that :func:`to_json` wrote."""
    data = json.loads(text)
    runs = [_run(item) for item in data["runs"]]
    return Report(data["case"], data["machine"], runs, Conditions(**data["conditions"]))


def _run(data: Mapping[str, Any]) -> Run:
    values: Dict[str, Any] = dict(data)
    values["hosts"] = {name: Traffic(**one) for name, one in data["hosts"].items()}
    values["spans"] = [Span(**one) for one in data["spans"]]
    return Run(**values)
