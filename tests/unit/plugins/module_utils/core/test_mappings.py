# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mappings laid over each other, and read by a path."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.mappings import get, merged, nested


@pytest.mark.parametrize(
    ("base", "over", "expected"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3, "d": 4}}, {"a": {"b": 1, "c": 3, "d": 4}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": 2}, {"a": 2}),
        ({"a": 2}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({}, {"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 1}}}),
    ],
)
def test_merged(base: dict[str, Any], over: dict[str, Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy((base, over))
    result = merged(base, over)
    assert result == expected
    for value in result.values():
        if isinstance(value, (dict, list)):
            value.clear()
    assert (base, over) == before


def test_keys_stay_in_their_order() -> None:
    assert list(merged({"b": 1, "a": 2}, {"c": 3, "a": 4})) == ["b", "a", "c"]


def test_paths() -> None:
    data = nested(["a", "b"], 0)
    assert data == {"a": {"b": 0}}
    assert (get(data, ["a", "b"]), get(data, ["a", "c"]), get(data, ["a", "b", "c"]), get(None, ["a"])) == (
        0,
        None,
        None,
        None,
    )
    assert get(data, []) == data
