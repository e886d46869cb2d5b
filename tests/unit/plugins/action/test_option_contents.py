# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options with contents that no action can use: the user gets a message, never a traceback."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.kubestead.cluster.plugins.action import cluster_plan
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action, node_payload
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.test_cluster_plan import ROOT, facts_of, variables
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.test_option_contents import BASE, JUNK, inner

FOLDER = Path(node_payload.__file__).parents[1] / "action"
ACTIONS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
# The values that an action passes on are those of the module's argument spec.
ANSWER = {"changed": False, "user": "root", node_action.COMPLETE: True}


class Checked(FakeAction):
    """A host that answers only if the argument spec of the module accepts the options."""

    def _execute_module(self, module_name: str = "", module_args: Any = None, **others: Any) -> Any:
        problem = node_payload.checked(module_name.removeprefix(node_payload.PREFIX), module_args).problem
        if problem:
            return {"failed": True, "msg": problem, node_action.COMPLETE: True}
        return super()._execute_module(module_name, module_args, **others)

    def _low_level_execute_command(self, *_arguments: Any, **_others: Any) -> dict[str, Any]:
        return {"rc": 1, "stdout": "", "stderr": "no such file"}


def options_of(action: str) -> list[str]:
    """The options that the action reads itself. The others are those of the module, and its tests check them."""
    kind = importlib.import_module(f"{node_payload.PACKAGE}action.{action}").ActionModule
    source = (FOLDER / f"{action}.py").read_text()
    options = set(kind._VALID_ARGS or node_payload.spec_of(action)) - {"objects", "secrets"}
    read = re.findall(r'(?:args|arguments|given)(?:\.(?:get|pop)\(|\[)"(\w+)"', source)
    return sorted(options & set(read))


def refuse(*_arguments: Any, **_others: Any) -> None:
    raise OSError("no network")


@pytest.mark.parametrize(("name", "option"), [(action, option) for action in ACTIONS for option in options_of(action)])
@pytest.mark.parametrize("failed", [True, False])
def test_contents_that_cannot_be_used_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, option: str, failed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.create_connection", refuse)
    base = importlib.import_module(f"{node_payload.PACKAGE}action.{name}").ActionModule
    subject = type("Action", (base,) if name == "cluster_plan" else (Checked, base), {})
    host = {
        **variables(facts_of({"a1": "bare-control-plane"})),
        "inventory_hostname": "a1",
        "ansible_host": "192.0.2.1",
    }
    bad: list[tuple[Any, str]] = []
    for value in [*JUNK, *inner(name, option)]:
        arguments = {**BASE.get(name, {}), option: value}
        answer = {**ANSWER, "failed": failed}
        if name == "cluster_plan":
            action = subject.__new__(subject)
            action._task = SimpleNamespace(args=arguments, get_path=lambda: "")
            action._loader = SimpleNamespace(get_basedir=lambda: "/nowhere")
        else:
            action = subject(name, arguments, answer, answer, answer)
        try:
            action.run(task_vars=host)
        except AnsibleError:
            pass
        except Exception as err:
            bad.append((value, repr(err)))
    assert not bad, "\n" + "\n".join(map(str, bad))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("kubeadm_upgrade", {"static_pods": "text"}, "static_pods is a str, not a dictionary; use a YAML dictionary"),
        ("kubeadm_upgrade", {"runtime": ["containerd"]}, "runtime is a list, not a dictionary; use a YAML dictionary"),
        ("node_components", {"components": 5}, "components is a int, not a list; use a list of names"),
        (
            "node_components",
            {"components": ["host"], "plan": {"hosts": {}}},
            "plan is not the plan of a host; use the entry of the host in the hosts that cluster_plan returns "
            "(nothing was changed)",
        ),
    ],
)
def test_the_message_names_the_option_and_the_fix(name: str, arguments: dict[str, Any], message: str) -> None:
    base = importlib.import_module(f"{node_payload.PACKAGE}action.{name}").ActionModule
    with pytest.raises(AnsibleError) as caught:
        type("Action", (Checked, base), {})(name, arguments).run(task_vars={"inventory_hostname": "a1"})
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("option", "variable"),
    [("rolling", "preflight_rolling"), ("gone", "remove_gone"), ("drop_hosts", "preflight_drop_hosts")],
)
@pytest.mark.parametrize("own", [False, True])
def test_a_boolean_of_the_plan_is_one(option: str, variable: str, own: bool) -> None:
    path, told = (f"{ROOT}/roles/remove/tasks/main.yml:22", variable) if own else ("/home/ada/play.yml:7", option)
    action = cluster_plan.ActionModule.__new__(cluster_plan.ActionModule)
    action._task = SimpleNamespace(args={"rolling": True, option: "maybe"}, get_path=lambda: path)
    action._loader = SimpleNamespace(get_basedir=lambda: "/nowhere")
    with pytest.raises(AnsibleError, match=f"^{told} is not a boolean; use true or false"):
        action.run(task_vars=variables(facts_of({"a1": "bare-control-plane"})))
