# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generated lies for every module, read and planned with in this process. See :mod:`..fuzz.profile` for longer runs."""

from __future__ import annotations

import copy
import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry, trial
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Request, as_result
from ansible_collections.kubestead.cluster.tests.unit.fuzz.profile import fuzz
from ansible_collections.kubestead.cluster.tests.unit.hostile import lies

ROOT = Path(__file__).resolve().parents[3]
MODULES = sorted({path.stem for path in (ROOT / "plugins/action").glob("[a-z]*.py")} - {"cluster_plan"})
#: The modules of upgrade.yml, endpoint.yml, remove.yml and reset.yml.
DAY_TWO = ("cluster_health_info", "cluster_member", "kubeadm_endpoint", "kubeadm_upgrade", "node_drain", "node_reset")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u2028\u202e\u2060\ufeff\ud800-\udfff\U000e0041]")
EXTRA = {
    "ansible_facts": lies.WANTED,
    "add_host": {"host_name": "w-evil"},
    "_ansible_no_log": False,
    "_ansible_delegated_vars": lies.WANTED,
    "results": [1],
    "unreachable": True,
    **lies.WANTED,
}


class Talking(node_action.NodeAction):
    """The part of an action that reads what a host prints."""

    def __init__(self) -> None:
        self._used_interpreter = None

    def read(self, module: str, printed: str) -> dict[str, Any]:
        returns = importlib.import_module(f"ansible_collections.kubestead.cluster.plugins.action.{module}")
        answer = self._parse_returned_data({"stdout": printed, "stderr": lies.FORGED, "rc": 0}, "legacy")
        return node_action.reduced(answer, returns.ActionModule.RETURNS | node_action.COMMON)


def printed(module: str, seed: int, changes: int, cut: int, more: bool, failed: bool = False) -> str:
    """What a host prints: a changed answer, sometimes with keys that Ansible acts on, sometimes not all of it."""
    truth = {**lies.honest(module, 1 + seed % 200), **({"failed": True, "msg": "refused"} if failed else {})}
    answer = lies.mutated(truth, seed, changes)
    if more:
        answer = {**answer, **EXTRA} if isinstance(answer, dict) else answer
    text = json.dumps(answer)
    return text[: -cut or None] if cut < 3 else text


def texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return [text for one in value for text in texts(one)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize("module", MODULES)
def test_no_generated_answer_sets_a_variable_or_reaches_the_terminal(module: str) -> None:
    talking = Talking()

    @fuzz(500)
    @given(st.integers(0, 1 << 30), st.integers(0, 6), st.integers(0, 12), st.booleans())
    def answers(seed: int, changes: int, cut: int, more: bool) -> None:
        result = talking.read(module, printed(module, seed, changes, cut, more))
        forbidden = set(EXTRA) - {"_ansible_no_log"}
        assert not [key for key in result if key in forbidden or (key.startswith("_") and key != "_ansible_parsed")]
        assert not [text for text in texts({**result, "_ansible_parsed": 0}) if CONTROL.search(text)]
        assert "\n" not in str(result.get("msg", ""))

    answers()


# As the hosts of the fixtures were: without them, every host would have errors of its own.
OPTIONS: dict[str, dict[str, Any]] = {
    **{name: {} for name in registry.OPTIONS},
    "kube_packages": {"version": "1.35", "key_fingerprint": "D74F5542990591D3743FFF20D4EEA38A7A3E2331"},
    "control_plane": {
        "kubernetes_version": "1.35",
        "kubelet_config": {"failCgroupV1": False, "failSwapOn": False},
    },
}


def facts(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "options": copy.deepcopy(OPTIONS), "secrets": {}, "problems": []}


def test_the_others_are_planned_whatever_one_host_answers() -> None:
    talking = Talking()
    honest = [
        registry.read_host(name, name == "cp1", facts(number, lies.observation(number)))
        for number, name in enumerate(("cp1", "w1"))
    ]

    @fuzz(500)
    @given(st.integers(0, 1 << 30), st.integers(1, 3))
    def answers(seed: int, changes: int) -> None:
        result = talking.read("node_info", json.dumps(lies.mutated(lies.observation(9), seed, changes)))
        if result.get("failed"):
            return
        answer = facts(9, result)
        said = trial.broken("liar", False, answer, registry.NAMES)
        assert "\n" not in said
        if said:
            return
        liar = registry.read_host("liar", False, answer)
        plan = converge(Request(Inventory(["cp1"], ["w1", "liar"]), [*honest, liar], registry.NAMES))
        assert not [text for text in texts(as_result(plan, honest[0].options.cni)) if CONTROL.search(text)]
        # Whatever is wrong is wrong with the liar, and where that stops nobody, the others do what they would do.
        assert {one.host for one in plan.errors} <= {"liar"}
        if not plan.errors:
            assert {name: plan.steps[name] for name in ("cp1", "w1")} == before.steps
            assert (plan.cluster, plan.api_host, plan.init_host) == (before.cluster, before.api_host, before.init_host)

    before = converge(Request(Inventory(["cp1"], ["w1"]), honest, registry.NAMES))
    assert before.errors == [] and before.joins == ["w1"]
    answers()


def acting(module: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """What the action of a module makes of what a host prints."""
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    actions = importlib.import_module(f"ansible_collections.kubestead.cluster.plugins.action.{module}")
    action = actions.ActionModule.__new__(actions.ActionModule)
    action._used_interpreter = None
    arguments = {"node_components": {"components": ["host"]}, "node_drain": {"name": ["w1", "w2"]}}.get(module, {})
    action._task = SimpleNamespace(
        args=arguments,
        action=f"kubestead.cluster.{module}",
        check_mode=False,
        no_log=False,
        delegate_to=None,
        get_path=lambda: "",
    )
    action._play_context = SimpleNamespace(no_log=False)
    action._connection = SimpleNamespace()
    action._templar = SimpleNamespace(template=lambda value: value)
    said = [""]

    def execute(self: ActionBase, *_args: Any, **_kwargs: Any) -> Any:
        return action._parse_returned_data({"stdout": said[0], "stderr": "", "rc": 0}, "legacy")

    def run(text: str) -> dict[str, Any]:
        said[0] = text
        result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "w1"})
        return result

    monkeypatch.setattr(type(action), "_execute_module", execute, raising=False)
    return run


def check(result: dict[str, Any]) -> None:
    assert isinstance(result, dict) and "ansible_facts" not in result
    assert not [text for text in texts(result) if CONTROL.search(text)]
    # Ansible prints these as they are: each line begins with what the collection says, and there is not much of it.
    assert not [text for text in result.get("warnings", []) if "\n" in text]
    assert not re.search(r"^\s+cp9\s", str(result.get("msg", "")), re.MULTILINE)
    assert sum(map(len, [*result.get("warnings", []), str(result.get("msg", ""))])) < 300_000


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"node_info", "manifests", "calico_apply"}))
@pytest.mark.parametrize("lie", sorted(set(lies.LIES) - set(lies.ERRORS)))
def test_an_action_gives_a_result_for_every_lie(module: str, lie: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = lies.LIES["late-silent" if lie == "slow" else lie](module, lies.honest(module, 1))
    check(acting(module, monkeypatch)(said.decode("utf-8", "surrogateescape")))


@pytest.mark.parametrize("module", DAY_TWO)
def test_an_action_of_day_two_gives_a_result_for_every_generated_answer(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = acting(module, monkeypatch)

    @fuzz(500)
    @given(st.integers(0, 1 << 30), st.integers(0, 6), st.integers(0, 12), st.booleans(), st.booleans())
    def answers(seed: int, changes: int, cut: int, more: bool, failed: bool) -> None:
        check(run(printed(module, seed, changes, cut, more, failed)))

    answers()
