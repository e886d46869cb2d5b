# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statistics, ratios, and the critical path."""

from __future__ import annotations

import pytest

from bench import critical, figures
from bench.records import Span


def test_three_figures_of_a_series() -> None:
    assert figures.three([3.0, 1.0, 2.0]).text() == "1.0 / 2.0 / 3.0"
    assert figures.three([4.0, 1.0, 2.0, 3.0]).middle == 2.5
    assert figures.three([3.0, 1.0, 2.0]).spread() == "2.00 (1.00 to 3.00)"
    assert figures.three([2.0]).spread() == "2.00"


def test_a_ratio_compares_each_round_within_itself() -> None:
    # In the second round the machine was twice as slow for both, and 10 % faster for one of them.
    found = figures.paired_ratios({0: 8.0, 1: 14.0, 2: 8.0}, {0: 10.0, 1: 20.0, 2: 10.0})
    assert found == figures.Three(pytest.approx(0.7), pytest.approx(0.8), pytest.approx(0.8))


def test_rounds_without_a_counterpart_are_left_out() -> None:
    assert figures.paired_ratios({0: 8.0, 1: 30.0}, {0: 10.0, 2: 5.0}) == figures.three([0.8])
    assert figures.paired_ratios({0: 8.0}, {1: 10.0}) is None
    # Nodes that did less than while idle are no base for a ratio, but for a difference.
    assert figures.paired_ratios({0: 8.0, 1: 3.0}, {0: -0.5, 1: 2.0}) == figures.three([1.5])
    assert figures.paired_differences({0: 8.0, 1: 3.0}, {0: -0.5, 2: 2.0}) == figures.three([8.5])
    assert figures.paired_differences({0: 8.0}, {}) is None


SPANS = [
    Span(0, "observe", "cp1", 1.0, 2.0),
    Span(0, "observe", "w1", 1.0, 3.0),
    Span(1, "packages", "cp1", 3.1, 9.0),
    Span(1, "packages", "w1", 3.1, 8.0),
    Span(2, "init", "cp1", 9.0, 20.0),
    Span(3, "join", "w1", 20.2, 24.0),
]


def test_the_critical_path_leads_back_from_the_end() -> None:
    chain = [(span.name, span.host) for span in critical.path(SPANS)]
    assert chain == [("observe", "w1"), ("packages", "cp1"), ("init", "cp1"), ("join", "w1")]
    assert critical.path([]) == []


def test_hosts_that_go_their_own_ways_have_a_path_of_their_own() -> None:
    free = [
        Span(0, "packages", "cp1", 0.0, 5.0),
        Span(0, "packages", "w1", 0.0, 9.0),
        Span(1, "init", "cp1", 5.0, 15.0),
        Span(2, "join", "w1", 15.0, 18.0),
    ]
    assert [span.host for span in critical.path(free)] == ["cp1", "cp1", "w1"]


def test_waiting_for_a_free_process_is_the_tasks_own_time() -> None:
    queued = [Span(0, "observe", "w1", 1.0, 2.0), Span(0, "observe", "w2", 2.3, 3.5)]
    assert critical.shares(queued, 4.0) == [("observe", pytest.approx(2.5)), ("(between tasks)", pytest.approx(1.5))]


def test_a_process_that_is_free_before_its_end_is_recorded_leaves_no_gap() -> None:
    queued = [
        Span(0, "observe", "w1", 1.0, 8.2),
        Span(0, "observe", "w2", 1.0, 9.5),
        Span(0, "observe", "w3", 8.1, 10.3),
    ]
    assert [span.host for span in critical.path(queued)] == ["w1", "w3"]
    assert critical.shares(queued, 11.0) == [("observe", pytest.approx(9.3)), ("(between tasks)", pytest.approx(1.7))]
    # Another task does not start before the one it waits for.
    other = [*queued[:2], Span(1, "plan", "w3", 8.1, 10.3)]
    assert [span.host for span in critical.path(other)] == ["w3"]


def test_a_task_of_a_role_is_shown_without_its_collection() -> None:
    assert Span(0, "some.collection.join : Join the workers", "w1", 0.0, 1.0).short == "join: Join the workers"
    assert Span(0, "Plan", "w1", 0.0, 1.0).short == "Plan"


def test_shares_add_up_to_the_whole_run() -> None:
    shares = critical.shares(SPANS, 25.0)
    assert shares[0] == ("init", 11.0)
    assert sum(seconds for _name, seconds in shares) == pytest.approx(25.0)
    assert dict(shares)["(between tasks)"] == pytest.approx(1.0 + 0.1 + 0.0 + 0.2 + 1.0)
