# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reports keep what was measured, and show it."""

from __future__ import annotations

import dataclasses
import xml.etree.ElementTree
from pathlib import Path

import pytest

from bench import records, report, svg
from bench.records import Report, Run, Span, Traffic
from lab.machine import MachineError

MACHINE = {"processor": "2 x Fast One", "memory": "8 GB", "kernel": "6.1"}


def run(contestant: str, size: int, wall: float) -> Run:
    spans = [
        Span(0, "Observe <every> node", "cp1", 1.0, wall / 2),
        Span(1, "Not here", "w1", wall / 2, wall / 2 + 0.1, "skipped"),
        Span(2, "Join", "w1", wall / 2, wall - 0.5, "changed"),
    ]
    hosts = {"cp1": Traffic(5, 1, 90_000, 20_000), "w1": Traffic(3, 1, 60_000, 10_000)}
    return Run(contestant, size, wall, wall / 3, 100_000_000, hosts, spans)


FIRST = Report("first", MACHINE, [run("by hand", 3, wall) for wall in (40.0, 44.0, 42.0)])
MANY = Report("many", MACHINE, [run("collection", size, wall) for size, wall in ((10, 6.0), (50, 26.0), (100, 51.0))])


def test_a_report_survives_json() -> None:
    assert records.from_json(records.to_json(FIRST)) == FIRST


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
    assert "12 of 40 hosts" in svg.timeline(Run("x", 40, 10.0, 1.0, 1, {}, spans), "x")


@pytest.mark.parametrize(("length", "wanted", "distance"), [(45.0, 10, 5.0), (3.1, 10, 0.5), (200.0, 8, 50.0)])
def test_marks_on_an_axis_are_at_round_numbers(length: float, wanted: int, distance: float) -> None:
    assert svg.tick(length, wanted) == pytest.approx(distance)


def test_curves_appear_where_sizes_differ() -> None:
    found = report.pictures(MANY)
    assert {"many-seconds.svg", "many-memory.svg", "many-collection-50.svg"} <= set(found)
    for text in found.values():
        xml.etree.ElementTree.fromstring(text)


def test_remarks_say_ratios_and_what_a_node_more_costs() -> None:
    both = dataclasses.replace(FIRST, runs=[*FIRST.runs, *(run("collection", 3, wall) for wall in (30.0, 33.0, 42.0))])
    assert "3 nodes: collection takes 0.75 of by hand (median over rounds)." in report.remarks(both)
    steps = dataclasses.replace(
        both, runs=[*both.runs, *(run("by hand in steps", 3, wall) for wall in (40.0, 44.0, 60.0))]
    )
    assert "3 nodes: collection takes 0.75 of by hand in steps (median over rounds)." in report.remarks(steps)
    assert not [line for line in report.remarks(steps) if "by hand takes" in line or "in steps takes" in line]
    assert report.remarks(MANY) == ["collection: a node more costs 500 ms."]
    add = Report("add", MACHINE, [run("collection", 3, 20.0), run("collection", 50, 21.0)])
    assert report.remarks(add) == ["collection: with 50 nodes it takes 1.05 of the time with 3."]


def test_the_page_gets_the_figures_between_its_markers(tmp_path: Path) -> None:
    folder, docs = tmp_path / "bench", tmp_path / "docs"
    docs.mkdir()
    page = docs / "performance.md"
    page.write_text("before\n<!-- many: start -->\nold\n<!-- many: end -->\nafter\n", encoding="utf-8")
    report.save(MANY, folder)
    assert report.write_docs(folder, docs, ["first", "many"]) == ["many"]
    text = page.read_text(encoding="utf-8")
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "| 100 | collection | 51.0 / 51.0 / 51.0 | 17.0 | 100 | 5 / 3 |" in text
    assert "(performance/many-seconds.svg)" in text and (docs / "performance" / "many-seconds.svg").exists()
    assert "load average" not in text
    busy = dataclasses.replace(MANY, runs=[dataclasses.replace(one, load=2.5) for one in MANY.runs])
    assert "Its load average before a run: 2.5 / 2.5 / 2.5." in report.section(busy, "performance")
    with pytest.raises(MachineError, match="lacks the marker"):
        report.put_section("no markers", "many", "")
