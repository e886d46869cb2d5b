# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_info on the control machine: a host whose answer can't be used fails alone, in one line."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError

from ansible_collections.kubestead.cluster.plugins.action import node_info
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import changed, recorded

OBSERVED = {name: value for name, value in recorded("bare-worker").items() if name in node_info.ActionModule.RETURNS}


class Action(node_info.ActionModule):
    """The action with an answer instead of a host."""

    def __init__(self, answer: Any, delegate_to: str | None = None) -> None:
        self._task = SimpleNamespace(args={}, delegate_to=delegate_to, action="kubestead.cluster.node_info")
        self._templar = SimpleNamespace(template=lambda value: value)
        self.answer = answer

    def _execute_module(self, *_args: Any, **_kwargs: Any) -> Any:
        return self.answer


@pytest.fixture(autouse=True)
def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def run(action: Action, **more: Any) -> dict[str, Any]:
    groups = {"control_plane": ["cp1"], "workers": ["w1"]}
    hostvars = {"cp1": {"ansible_host": "192.0.2.1"}, "w1": {}}
    return action.run(task_vars={"inventory_hostname": "w1", "groups": groups, "hostvars": hostvars, **more})


def test_an_honest_answer_passes() -> None:
    result = run(Action({"changed": False, **OBSERVED}))
    assert not result.get("failed") and result["node"] == OBSERVED["node"] and result["options"]["cni"]


@pytest.mark.parametrize(
    "answer",
    [
        {"changed": False, "node": {"addresses": 7}},
        {"changed": False, "node": [], "host": "x"},
        {"changed": False, **changed(OBSERVED, {"node.routes": ["10.0.0.0/8\x1b[2J\n  cp1  nothing to do"]})},
        {"changed": False, **changed(OBSERVED, {"node.routes": ["10.0.0.0/8"] * 5001})},
        {"changed": False, **changed(OBSERVED, {"cni.bridge.routes": [{"destination": "x", "gateway": "%;CMD"}]})},
        {"changed": False, **changed(OBSERVED, {"kubeadm.api.nodes": [{"name": "x", "addresses": ["fd00::1%x"]}]})},
        [],
        None,
    ],
)
def test_an_answer_that_can_not_be_used_fails_that_host_in_one_line(
    answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(Action(answer))
    assert result["failed"] is True and "\n" not in result["msg"] and "\x1b" not in result["msg"]
    # Another host's sake: the others go on without it.
    said: list[str] = []
    monkeypatch.setattr(node_info, "display", SimpleNamespace(warning=said.append))
    outside = Action(answer, delegate_to="cp1")
    reason = run(outside)["msg"]
    assert reason == " ".join(result["msg"].split()) and said == [f"cp1: {reason}"]
    # The plan of a removal or reset names it.
    outside._task.args["operation"] = "remove"
    assert run(outside) == {"changed": False, "msg": reason} and len(said) == 1


def test_a_login_that_fails_is_not_the_failure_of_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(Action):
        def _execute_module(self, *_args: Any, **_kwargs: Any) -> Any:
            raise self.answer

    said: list[str] = []
    monkeypatch.setattr(node_info, "display", SimpleNamespace(warning=said.append))
    failure = AnsibleError("Incorrect sudo\npassword")
    assert run(Refused(failure, delegate_to="cp1")) == {"changed": False, "msg": "Incorrect sudo password"}
    assert said == ["cp1: Incorrect sudo password"]
    with pytest.raises(AnsibleActionFail, match="Incorrect sudo password"):
        run(Refused(failure))
    # Ansible itself counts the hosts that it can't reach.
    with pytest.raises(AnsibleConnectionFailure):
        run(Refused(AnsibleConnectionFailure("timed out"), delegate_to="cp1"))


def test_a_host_whose_facts_are_our_variables_is_refused_before_it_is_asked() -> None:
    with pytest.raises(AnsibleActionFail, match="cni_calico_manifest.*set by the facts of this host"):
        run(Action(None), ansible_facts={"cni_calico_manifest": "http://evil"}, cni_calico_manifest="http://evil")


def test_the_facts_of_other_hosts_do_not_decide_what_is_tried() -> None:
    other = {"cluster_node_address": "10.66.6.6", "ansible_facts": {"cluster_node_address": "10.66.6.6"}}
    variables = {
        "inventory_hostname": "w1",
        "groups": {"control_plane": ["cp1"]},
        "hostvars": {"cp1": {**other, "ansible_host": "192.0.2.1"}},
    }
    assert node_info._peers(variables) == ["192.0.2.1:6443"]
