# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which members can be removed from etcd one after the other."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.quorum import first_loss, has_majority, majority


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_a_majority_is_more_than_half(count: int, expected: int) -> None:
    assert majority(count) == expected


@pytest.mark.parametrize(
    ("healthy", "down", "leaving", "lost"),
    [
        ("ab", "", "b", ""),
        ("abc", "", "bc", ""),
        ("abcde", "", "bcde", ""),
        ("ab", "c", "c", ""),
        # The unhealthy member is removed first, so that two of two are healthy before b is removed.
        ("ab", "c", "bc", ""),
        ("ab", "c", "b", "b"),
        ("a", "b", "b", "b"),
        ("a", "", "a", "a"),
        ("ab", "", "ab", "b"),
        ("abc", "de", "a", "a"),
        ("abc", "de", "ad", ""),
    ],
)
def test_the_first_removal_without_a_majority_is_named(healthy: str, down: str, leaving: str, lost: str) -> None:
    loss = first_loss({name: name in healthy for name in healthy + down}, list(leaving))
    assert (loss.member if loss else "") == lost


def test_the_loss_says_what_is_left() -> None:
    loss = first_loss({"a": True, "b": True, "c": False}, ["b"])
    assert loss is not None and not loss.is_lost
    assert (loss.healthy, loss.voters, loss.healthy_left, loss.voters_left, loss.down) == (2, 3, 1, 2, ["c"])
    loss = first_loss({"a": True, "b": False}, ["b"])
    assert loss is not None and loss.is_lost and loss.down == []


def test_no_members_are_not_a_majority() -> None:
    assert not has_majority({}) and first_loss({}, []) is None
