# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""bridge_cni on the control machine: a host outside of the run that fails is named, and fails nobody."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError

from ansible_collections.kubestead.cluster.plugins.action import bridge_cni
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction


class Action(FakeAction, bridge_cni.ActionModule):
    pass


def outside(answer: Any) -> dict[str, Any]:
    action = Action("bridge_cni", {"nodes": [], "pod_cidr": "10.244.0.0/16", "members_only": True}, answer)
    action._task.delegate_to = "w7"
    return action.run(task_vars={"inventory_hostname": "w1"})


@pytest.mark.parametrize(
    "answer",
    [
        {"failed": True, "msg": "no space left on device"},
        {"failed": True, "msg": "no space left on device\ncp1: nothing to do\x1b[2J"},
        AnsibleConnectionFailure("no space left on device"),
        # Ansible's error without a sudo password, for example.
        AnsibleError("no space left on device"),
    ],
    ids=["failed", "forged", "unreachable", "refused"],
)
def test_a_host_outside_of_the_run_that_fails_is_a_warning_that_names_it(answer: Any) -> None:
    result = outside(answer)
    assert set(result) == {"changed", "warnings"} and result["changed"] is False
    (warning,) = result["warnings"]
    assert warning.startswith("w7: the routes to the pods of the new nodes were not set") and "no space left" in warning
    assert "run site.yml for all hosts" in warning and "\n" not in warning and "\x1b" not in warning


def test_one_that_succeeds_is_as_it_is() -> None:
    assert outside({"changed": True, "node": "w7"}) == {"changed": True, "node": "w7"}


def test_a_host_of_the_run_fails() -> None:
    action = Action("bridge_cni", {"nodes": [], "pod_cidr": "10.244.0.0/16"}, {"failed": True, "msg": "x"})
    assert action.run(task_vars={"inventory_hostname": "w1"})["failed"] is True
    action = Action("bridge_cni", {"nodes": [], "pod_cidr": "10.244.0.0/16"}, AnsibleError("Missing sudo password"))
    with pytest.raises(AnsibleActionFail, match="Missing sudo password"):
        action.run(task_vars={"inventory_hostname": "w1"})
