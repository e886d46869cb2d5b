# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports keep the measurements and present them."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree
from pathlib import Path

import pytest

from bench import comparison, page, records, report, svg
from bench.conditions import Conditions
from bench.records import Report, Run, Span, Traffic
from lab.machine import MachineError

MACHINE = {"processor": "2 x Fast One", "memory": "8 GB", "kernel": "6.1", "cgroup": "v2"}


def run(contestant: str, size: int, wall: float, number: int = 0, node_cpu: float = 6.0, series: int = 1) -> Run:
    spans = [
        Span(0, "Observe <every> node", "cp1", 1.0, wall / 2),
        Span(1, "Not here", "w1", wall / 2, wall / 2 + 0.1, "skipped"),
        Span(2, "Join", "w1", wall / 2, wall - 0.5, "changed"),
    ]
    hosts = {"cp1": Traffic(5, 90_000, 20_000), "w1": Traffic(3, 60_000, 10_000)}
    return Run(
        contestant,
        size,
        wall,
        control_cpu=wall / 3,
        memory=100_000_000,
        left_cpu=2.5,
        left_memory=60_000_000,
        node_cpu=node_cpu,
        idle=0.1,
        hosts=hosts,
        spans=spans,
        series=series,
        round=number,
    )


def runs(contestant: str, size: int, *walls: float, **more: float) -> list[Run]:
    return [run(contestant, size, wall, number, **more) for number, wall in enumerate(walls)]  # type: ignore[arg-type]


FIRST = Report("first", MACHINE, runs("by hand", 3, 40.0, 44.0, 42.0))
MANY = Report("many", MACHINE, [run("collection", size, wall) for size, wall in ((10, 6.0), (50, 26.0), (100, 51.0))])
PINNED = Conditions("0", "1", 0.5)


def test_a_report_survives_json() -> None:
    assert records.from_json(records.to_json(FIRST)) == FIRST
    pinned = dataclasses.replace(FIRST, conditions=PINNED)
    assert records.from_json(records.to_json(pinned)) == pinned


def test_only_the_typical_run_keeps_its_tasks() -> None:
    slim = records.slimmed(FIRST)
    assert [bool(one.spans) for one in slim.runs] == [False, False, True]
    assert slim.typical(("by hand", 3)).wall == 42.0


def test_sizes_measured_earlier_stay_unless_the_machine_is_another() -> None:
    new = dataclasses.replace(MANY, runs=[run("collection", 100, 49.0), run("collection", 200, 99.0)])
    assert [(one.size, one.wall) for one in records.merged(MANY, new).runs] == [
        (10, 6.0),
        (50, 26.0),
        (100, 49.0),
        (200, 99.0),
    ]
    elsewhere = dataclasses.replace(new, machine={"processor": "1 x Slow One"})
    assert records.merged(MANY, elsewhere) == elsewhere
    pinned = dataclasses.replace(new, conditions=PINNED)
    assert records.merged(MANY, pinned) == pinned


def test_pictures_are_well_formed_and_name_what_was_critical() -> None:
    picture = svg.timeline(FIRST.runs[0], "by hand & alone")
    tree = xml.etree.ElementTree.fromstring(picture)
    texts = [element.text or "" for element in tree.iter() if element.text]
    assert "by hand & alone" in texts and "cp1" in texts
    assert any("Observe <every> node" in text for text in texts)
    framed = [element for element in tree.iter() if element.get("stroke") == svg.CRITICAL]
    # Two tasks and the legend's example.
    assert len(framed) == 3


def test_of_many_hosts_those_are_shown_that_the_run_waited_for() -> None:
    spans = [Span(0, "Observe", f"w{number}", 0.0, 1.0) for number in range(40)]
    spans.append(Span(1, "Slow", "w33", 1.0, 9.0))
    shown = svg.shown_hosts(spans)
    assert len(shown) == svg.MOST_HOSTS and "w33" in shown
    assert "12 of 40 hosts" in svg.timeline(Run("x", 40, 10.0, 1.0, 1, spans=spans), "x")


@pytest.mark.parametrize(("length", "wanted", "distance"), [(45.0, 10, 5.0), (3.1, 10, 0.5), (200.0, 8, 50.0)])
def test_marks_on_an_axis_are_at_round_numbers(length: float, wanted: int, distance: float) -> None:
    assert svg.tick(length, wanted) == pytest.approx(distance)


def test_curves_appear_where_sizes_differ() -> None:
    found = report.pictures(MANY)
    assert {"many-seconds.svg", "many-memory.svg", "many-collection-50.svg"} <= set(found)
    for text in found.values():
        xml.etree.ElementTree.fromstring(text)


def test_contestants_are_compared_with_each_baseline_round_by_round() -> None:
    both = dataclasses.replace(
        FIRST, runs=[*FIRST.runs, *runs("by hand in steps", 3, 50.0), *runs("collection", 3, 30.0, 33.0, 42.0)]
    )
    by_hand, in_steps = comparison.comparisons(both)
    assert (by_hand.contestant, by_hand.base, in_steps.base) == ("collection", "by hand", "by hand in steps")
    assert by_hand.wall is not None and by_hand.wall.spread() == "0.75 (0.75 to 1.00)"
    assert by_hand.control_cpu is not None and by_hand.control_cpu.middle == pytest.approx(0.75)
    assert by_hand.node_cpu is not None and by_hand.node_cpu.spread() == "1.00"
    # Only one round of it was measured.
    assert in_steps.wall is not None and in_steps.wall.spread() == "0.60"


def test_variants_are_compared_with_the_collection_as_well() -> None:
    case = Report(
        "nothing", MACHINE, [run("collection", 3, 4.0), run("collection, forks", 3, 3.0), run("ping", 3, 2.0)]
    )
    pairs = [(one.contestant, one.base) for one in comparison.comparisons(case)]
    assert pairs == [("collection", "ping"), ("collection, forks", "ping"), ("collection, forks", "collection")]


def test_the_nodes_work_beyond_a_ping_is_given_for_each_node() -> None:
    case = Report("nothing", MACHINE, [run("collection", 3, 4.0, node_cpu=2.4), run("ping", 3, 2.0, node_cpu=0.9)])
    (found,) = comparison.comparisons(case)
    assert found.node_excess is not None and found.node_excess.middle == pytest.approx(0.5)
    assert "3 nodes, collection / ping: wall time 2.00, " in report.comparison_line(found)
    assert "(0.50 CPU s more per node)" in report.comparison_line(found)


def test_runs_of_different_measurements_are_not_compared() -> None:
    case = Report("first", MACHINE, [*FIRST.runs, *runs("collection", 3, 30.0, series=2)])
    assert comparison.comparisons(case) == []


def test_one_node_more_is_compared_with_the_smallest_cluster() -> None:
    add = Report("add", MACHINE, [*runs("collection", 3, 20.0, 30.0), *runs("collection", 300, 21.0, 31.5)])
    (found,) = comparison.comparisons(add)
    assert (found.size, found.base) == (300, "the same with 3 nodes")
    assert found.wall is not None and found.wall.spread() == "1.05"
    # The run works on the new node alone.
    assert report.node_cpu(add, ("collection", 300)) == "6.0 (6.00)"
    assert found.node_excess is not None and found.node_excess.middle == 0.0


def test_the_cost_of_an_additional_node_is_the_slope() -> None:
    (found,) = comparison.growth(MANY)
    assert found.wall == pytest.approx(0.5) and found.control_cpu == pytest.approx(0.5 / 3)
    assert comparison.growth(FIRST) == []
    assert report.growth_lines(MANY) == [
        "collection: each additional node takes 500 ms and 0.17 CPU s of the control machine"
    ]
    assert report.growth_lines(dataclasses.replace(MANY, case="add")) == []


def test_the_terminal_shows_ratios_before_seconds() -> None:
    both = dataclasses.replace(FIRST, runs=[*FIRST.runs, *runs("collection", 3, 30.0, 33.0, 42.0)])
    shown = report.lines(both)
    ratio = next(number for number, line in enumerate(shown) if "collection / by hand: wall time 0.75" in line)
    seconds = next(number for number, line in enumerate(shown) if "30.00 / 33.00 / 42.00 s" in line)
    assert ratio < seconds
    assert "control machine 11.0 (3.67), nodes 6.0 (2.00)" in shown[seconds]


def test_the_report_names_machine_conditions_and_load() -> None:
    line = report.machine_line(FIRST)
    assert line.startswith("3 rounds. Machine: 2 x Fast One, 8 GB, kernel 6.1, cgroup v2. The control machine and ")
    assert "load average" not in line
    busy = dataclasses.replace(FIRST, runs=[dataclasses.replace(one, load=2.5) for one in FIRST.runs])
    assert report.machine_line(busy).endswith("Load average before a run: 2.5 / 2.5 / 2.5.")
    pinned = dataclasses.replace(FIRST, conditions=PINNED)
    assert "The control machine runs on CPU 0, the nodes on CPU 1; each node may use 0.5 CPUs." in report.machine_line(
        pinned
    )


PAGE = """\
before
<!-- ratios: start -->

## Ratios

| case | nodes |
|---|---|
| `many` | 7 | of an old measurement |
| `nothing-pin` | 3 | of an earlier measurement |

- `many`, old.

<!-- ratios: end -->
<!-- nothing: start -->
unmeasured
<!-- nothing: end -->
<!-- many: start -->
old
<!-- many: end -->
after
"""


def test_the_page_gets_the_figures_between_its_markers(tmp_path: Path) -> None:
    folder, docs = tmp_path / "bench", tmp_path / "docs"
    (docs / "performance").mkdir(parents=True)
    stale = docs / "performance" / "many-gone-10.svg"
    stale.touch()
    path = docs / "performance.md"
    path.write_text(PAGE, encoding="utf-8")
    report.save(dataclasses.replace(MANY, runs=[*MANY.runs, run("ping", 100, 34.0, node_cpu=1.0)]), folder)
    assert page.write_docs(folder, docs, ["nothing", "many"]) == ["many"]
    text = path.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text and "unmeasured" in text
    assert "| `many` | 100 | collection | ping | 1.50 | 1.50 | 6.00 | 0.05 |" in text
    assert "- `many`, collection: each additional node takes 500 ms" in text
    assert (
        "| 100 | collection | 51.0 / 51.0 / 51.0 | 17.0 (0.17), 2.5 | 6.0 (0.06) | 100, 60 | 5 / 3 | 75 / 15 |" in text
    )
    assert text.index("1.50") < text.index("51.0 / 51.0")
    # What was not measured here stays, in the order of the cases.
    assert text.index("| `nothing-pin` | 3 | of an earlier measurement |\n") < text.index("| `many` | 100 |")
    assert "(performance/many-seconds.svg)" in text and (docs / "performance" / "many-seconds.svg").exists()
    assert not stale.exists()
    with pytest.raises(MachineError, match="lacks the marker"):
        page.put_section("no markers", "many", "")


def test_the_page_has_each_condition_of_a_case(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    report.save(MANY, folder)
    report.save(dataclasses.replace(MANY, conditions=PINNED), folder)
    assert sorted(path.name for path in folder.glob("*.json")) == ["many-pin-quota-0.5.json", "many.json"]
    (reports,) = page.load_reports(folder, ["first", "many"]).values()
    text = page.section(reports, "performance")
    assert text.index("`many`: 1 round") < text.index("`many-pin-quota-0.5`: 1 round")
    assert "(performance/many-pin-quota-0.5-seconds.svg)" in text


def test_without_figures_the_page_stays(tmp_path: Path) -> None:
    (tmp_path / "performance.md").write_text(PAGE, encoding="utf-8")
    assert page.write_docs(tmp_path / "bench", tmp_path, ["many"]) == []
    assert (tmp_path / "performance.md").read_text(encoding="utf-8") == PAGE
