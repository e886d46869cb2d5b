# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The loop that waits: when it asks, how long it sleeps, what it returns."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.poll import poll
from ansible_collections.kubestead.cluster.tests.unit.support import Clock


def test_a_good_answer_ends_it_at_once() -> None:
    clock = Clock()
    assert poll(lambda: "yes", 0, **clock.injected) == "yes"
    assert clock.waits == []


def test_the_first_good_answer_counts() -> None:
    clock, answers = Clock(), [0, 1, 2, 3]
    assert poll(lambda: answers.pop(0), 60, lambda answer: answer == 2, pause=3, **clock.injected) == 2
    assert (clock.waits, answers) == ([3, 3], [3])


def test_the_last_question_is_asked_when_time_is_up() -> None:
    clock = Clock()
    assert poll(lambda: clock.now >= 10, 10, pause=4, **clock.injected) is True
    assert clock.waits == [4, 4, 2]


def test_the_last_answer_is_returned_when_none_is_good() -> None:
    clock = Clock()
    assert poll(lambda: f"bad at {clock.now:.0f}", 5, lambda _answer: False, pause=2, **clock.injected) == "bad at 5"


def test_pauses_grow_to_the_longest() -> None:
    clock = Clock()
    assert not poll(lambda: False, 10, pause=0.5, growth=2, longest=3, **clock.injected)
    assert clock.waits == [0.5, 1, 2, 3, 3, 0.5]


def test_time_that_the_question_takes_counts() -> None:
    clock = Clock()

    def ask() -> bool:
        clock.now += 7
        return False

    assert not poll(ask, 10, pause=1, **clock.injected)
    assert clock.waits == [1]


def test_what_the_question_raises_comes_through() -> None:
    def ask() -> bool:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        poll(ask, 10, **Clock().injected)
