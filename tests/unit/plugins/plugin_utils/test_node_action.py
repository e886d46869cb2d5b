# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node answers is data: no key that Ansible acts on, no control character, no size without limit."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action

ROOT = Path(__file__).resolve().parents[4]
ACTIONS = sorted(path.stem for path in (ROOT / "plugins/action").glob("*.py"))
RETURNS = frozenset(("nodes",))


def reduced(**answer: Any) -> dict[str, Any]:
    return node_action.reduced(answer, RETURNS | node_action.COMMON)


@pytest.mark.parametrize(
    "key",
    [
        "ansible_facts",
        "ansible_python_interpreter",
        "add_host",
        "add_group",
        "_ansible_verbose_always",
        "results",
        "ping",
    ],
)
def test_a_key_that_the_module_does_not_return_is_dropped(key: str) -> None:
    assert reduced(changed=False, **{key: {"cni_calico_manifest": "/tmp/evil.yaml"}}) == {"changed": False}


def test_control_characters_are_replaced_wherever_they_are() -> None:
    dirty = "a\x1b[31mred\x1b[0m\r\x07\x9b2J\u202eevil"
    answer = reduced(changed=False, msg=dirty, nodes=[{dirty: [dirty]}], warnings=[dirty + "\nsecond line"])
    text = repr(answer)
    for bad in ("\\x1b", "\\r", "\\x07", "\\x9b", "\\u202e"):
        assert bad not in text
    assert "\n" not in answer["warnings"][0]
    assert node_action.reduced({"msg": "two\nlines\tkept"}, node_action.COMMON)["msg"] == "two\nlines\tkept"


@pytest.mark.parametrize("answer", [None, [], "text", 7, True])
def test_an_answer_of_another_shape_is_a_failure_in_one_line(answer: Any) -> None:
    result = node_action.reduced(answer, RETURNS)
    assert result["failed"] is True and "\n" not in result["msg"]


def test_wrong_types_of_common_keys_do_not_pass() -> None:
    answer = reduced(changed="yes", failed="no", skipped=1, warnings="w", diff="d", steps={"a": 1}, msg=["x"])
    assert answer == {
        "changed": False,
        "failed": False,
        "skipped": False,
        "warnings": [],
        "diff": [],
        "steps": [],
        "msg": "['x']",
    }


def deep(levels: int) -> Any:
    value: Any = "x"
    for _level in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * (node_action.MAX_TEXT + 1), "is longer than"),
        (["x"] * (node_action.MAX_ITEMS + 1), "more than"),
        ({str(number): 1 for number in range(node_action.MAX_ITEMS + 1)}, "more than"),
        (deep(node_action.MAX_DEPTH + 2), "nested too deep"),
        (object(), "holds a object"),
    ],
)
def test_what_is_too_large_is_refused(value: Any, reason: str) -> None:
    answer = reduced(changed=True, nodes=value)
    assert answer["failed"] is True and reason in answer["msg"] and "nodes" not in answer


def test_details_pass_with_a_failure_alone() -> None:
    assert "stderr" not in reduced(changed=False, stderr="x")
    assert reduced(failed=True, msg="m", stderr="x")["stderr"] == "x"


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_hands_on_what_its_module_documents(name: str) -> None:
    text = (ROOT / f"plugins/modules/{name}.py").read_text()
    literals = {
        target.id: node.value.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    documented = set(yaml.safe_load(literals["RETURN"]) or {}) - node_action.COMMON
    module = importlib.import_module(f"ansible_collections.kubestead.cluster.plugins.action.{name}")
    if name == "cluster_plan":
        # It talks to no node.
        assert not issubclass(module.ActionModule, node_action.NodeAction)
        return
    added = {
        "node_info": {"asked", "answered", "options", "secrets", "problems"},
        "node_components": {"init", "kubeconfig"},
        "kubeconfig": {"copied_to"},
    }
    internal = {"kubeconfig": {"source"}, "node_components": {"component"}}
    returns = set(module.ActionModule.RETURNS)
    assert returns - internal.get(name, set()) == documented - added.get(name, set())


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py")))
def test_every_module_that_runs_on_a_node_has_an_action_in_front_of_it(name: str) -> None:
    assert name in ACTIONS
