# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm_upgrade on the control machine: the options that it adds, and the passwords of registries among them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.action import kubeadm_upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import (
    ContainerdOptions,
    RegistryCredential,
)
from ansible_collections.kubestead.cluster.plugins.modules import kubeadm_upgrade as module
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

RUNTIME = {"package": "containerd", "version": "2.1.9-1"}
VARIABLES = {
    "inventory_hostname": "w1",
    "containerd_cni_bin_dir": "/usr/lib/cni",
    "containerd_registry_credentials": [{"registry": "r.example.org", "username": "ci", "password": "s3cret"}],
}


class Action(FakeAction, kubeadm_upgrade.ActionModule):
    """The action with answers instead of a host."""


@pytest.fixture(autouse=True)
def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def run(arguments: dict[str, Any], answer: dict[str, Any]) -> tuple[Action, dict[str, Any]]:
    action = Action("kubeadm_upgrade", {"version": "1.36.2", **arguments}, {**answer, node_action.COMPLETE: True})
    return action, action.run(task_vars=VARIABLES)


def test_a_node_that_keeps_its_containerd_gets_no_password() -> None:
    action, _result = run({"runtime": {}}, {"changed": False})
    ((_name, arguments),) = action.asked
    assert arguments["runtime"] == {} and "s3cret" not in json.dumps(arguments) and action.censored_calls == [False]


def test_passwords_pass_apart_and_are_never_shown() -> None:
    action, result = run(
        {"runtime": RUNTIME}, {"failed": True, "msg": "containerd refuses s3cret", "rolled_back": "1.7"}
    )
    ((_name, arguments),) = action.asked
    assert arguments["runtime"]["containerd"]["cni_bin_dir"] == "/usr/lib/cni"
    assert "s3cret" not in json.dumps(arguments["runtime"]) and "s3cret" in arguments["secrets"]
    assert action.censored_calls == [True] and "s3cret" not in json.dumps(result)
    assert result["rolled_back"] == "1.7"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"changed": True}, {"c1": {"kube-scheduler": "1.36.2"}}),
        ({"changed": True, "static_pods": {"w1": {"kube-scheduler": "6.6.6"}}}, {"c1": {"kube-scheduler": "1.36.2"}}),
        ({"failed": True, "msg": "no", "rolled_back": "1.7.24"}, {}),
    ],
)
def test_the_gate_waits_for_new_static_pods_unless_an_old_program_was_put_back(
    answer: dict[str, Any], expected: dict[str, Any]
) -> None:
    action, result = run({"static_pods": {"c1": {"kube-scheduler": "1.36.2"}}}, answer)
    ((_name, arguments),) = action.asked
    assert result["static_pods"] == expected and "static_pods" not in arguments


def test_an_option_of_containerd_that_is_wrong_is_named_before_the_node_is_changed() -> None:
    action = Action("kubeadm_upgrade", {"version": "1.36.2", "runtime": RUNTIME})
    with pytest.raises(AnsibleActionFail, match="containerd_cni_bin_dir is 'x', not an absolute path"):
        action.run(task_vars={**VARIABLES, "containerd_cni_bin_dir": "x"})
    assert not action.asked


def test_the_module_joins_options_and_secrets(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    action, _result = run({"runtime": RUNTIME}, {"changed": False})
    ((_name, arguments),) = action.asked
    seen: list[Any] = []
    monkeypatch.setattr(module.upgrade, "observe", lambda _system, options: seen.append(options) or module.upgrade)
    monkeypatch.setattr(module.upgrade, "plan", lambda _state, _options: [])
    monkeypatch.setattr(module.upgrade, "reported", "1.36.2", raising=False)
    call = FakeModule(module.argument_spec(), **arguments)
    module.work(call, machine)
    (options,) = seen
    assert (options.runtime.package, options.runtime.version) == ("containerd", "2.1.9-1")
    credential = RegistryCredential("r.example.org", "ci", "s3cret")
    assert options.runtime.containerd == ContainerdOptions(
        cni_bin_dir="/usr/lib/cni", registry_credentials=[credential]
    )
    assert "s3cret" in call.hidden
