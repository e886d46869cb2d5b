# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options from variables, and dataclasses as plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import options as model
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError


@dataclass(frozen=True)
class Inner:
    name: str = ""
    size: int = 0


@dataclass(frozen=True)
class Options:
    names: List[str] = field(default_factory=list)
    hold: bool = True
    size: int = 3
    extra: Dict[str, str] = field(default_factory=dict)
    version: str = field(default="1.36", metadata=model.var("cluster_kubernetes_version"))
    password: str = field(default="", metadata=model.SECRET)


@dataclass(frozen=True)
class State:
    inner: Inner = field(default_factory=Inner)
    many: List[Inner] = field(default_factory=list)
    maybe: Optional[Inner] = None


def test_variables_become_fields_and_absent_ones_keep_the_default() -> None:
    options = model.from_variables(
        Options,
        "component",
        {"component_hold": "no", "component_size": "7", "cluster_kubernetes_version": 1.35, "component_names": None},
    )
    assert options == Options(hold=False, size=7, version="1.35")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("component_hold", "perhaps"),
        ("component_size", "big"),
        ("component_names", "one"),
        ("component_extra", []),
        ("cluster_kubernetes_version", ["1.36"]),
    ],
)
def test_a_value_of_the_wrong_type_names_the_variable(name: str, value: object) -> None:
    with pytest.raises(OptionError) as caught:
        model.from_variables(Options, "component", {name: value})
    assert caught.value.option == name


def test_states_survive_the_way_through_json() -> None:
    state = State(Inner("a", 1), [Inner("b", 2)], Inner("c", 3))
    assert model.from_dict(State, model.to_dict(state)) == state
    assert model.from_dict(State, {"many": [], "unknown": 1}) == State()


def test_secret_fields_stay_out_of_public_ones() -> None:
    assert "password" not in model.public_fields(Options(password="hunter2"))


# -- scalars inside of lists and dictionaries


@dataclass(frozen=True)
class Scalars:
    names: List[str] = field(default_factory=list)
    labels: Dict[str, str] = field(default_factory=dict)
    gates: Dict[str, bool] = field(default_factory=dict)
    anything: Dict[str, Any] = field(default_factory=dict)


def scalars(**values: Any) -> Scalars:
    return model.from_variables(Scalars, "c", {"c_" + name: value for name, value in values.items()})


def test_scalars_are_texts_as_yaml_spells_them() -> None:
    assert scalars(names=[5, "a", 1.5]).names == ["5", "a", "1.5"]
    labels = {"gpu": True, "zone": None, "rack": 7, "old": False, "name": "x", 9: "y"}
    wanted = {"gpu": "true", "zone": "", "rack": "7", "old": "false", "name": "x", "9": "y"}
    assert scalars(labels=labels).labels == wanted
    assert scalars(gates={"A": True, "B": "no", "C": "true"}).gates == {"A": True, "B": False, "C": True}
    assert scalars(anything={"a": [1], "b": None}).anything == {"a": [1], "b": None}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"names": [["a"]]}, "c_names[0] is a list, not text"),
        ({"names": ["a", {"b": 1}]}, "c_names[1] is a dict, not text"),
        ({"names": [True]}, "c_names[0] is a bool, not text"),
        ({"labels": {"a": ["b"]}}, "c_labels['a'] is a list, not text"),
        ({"labels": {"a": {"b": "c"}}}, "c_labels['a'] is a dict, not text"),
        ({"gates": {"A": "perhaps"}}, "c_gates['A'] is 'perhaps', not a boolean"),
        ({"gates": {"A": None}}, "c_gates['A'] is null, not a boolean"),
    ],
)
def test_what_is_not_a_scalar_names_its_place(values: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        scalars(**values)
    assert caught.value.message.startswith(text)
