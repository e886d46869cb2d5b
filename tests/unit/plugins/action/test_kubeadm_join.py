# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm_join on the control machine: which parts of what was registered go to the node."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.action import kubeadm_join
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction

REGISTERED = {
    "changed": True,
    "steps": [],
    "endpoint": "10.0.0.1:6443",
    "token": "abcdef.0123456789abcdef",
    "token_id": "abcdef",
    "ca_cert_hashes": ["sha256:" + "0" * 64],
    "ca_certificate": "-----BEGIN CERTIFICATE-----",
    "certificate_key": "f" * 64,
    "expires": "2026-11-23T12:15:00Z",
    "control_plane": True,
    "reused": False,
}


class Action(FakeAction, kubeadm_join.ActionModule):
    pass


def sent(**arguments: Any) -> dict[str, Any]:
    action = Action("kubeadm_join", arguments, {"changed": True})
    action.run(task_vars={})
    ((name, given),) = action.asked
    assert name == "kubestead.cluster.kubeadm_join"
    return given


def test_a_worker_gets_what_it_joins_with_and_no_more() -> None:
    assert sent(join=REGISTERED, node_name="w1") == {
        "endpoint": REGISTERED["endpoint"],
        "token": REGISTERED["token"],
        "ca_cert_hashes": REGISTERED["ca_cert_hashes"],
        "ca_certificate": REGISTERED["ca_certificate"],
        "node_name": "w1",
    }


def test_a_control_plane_gets_the_key_of_the_certificates_too() -> None:
    given = sent(join=REGISTERED, control_plane=True)
    assert given["certificate_key"] == REGISTERED["certificate_key"] and given["control_plane"] is True


def test_a_key_that_is_given_to_a_worker_stays_here() -> None:
    assert "certificate_key" not in sent(join=REGISTERED, control_plane=False, certificate_key="e" * 64)


def test_what_is_given_beside_it_wins() -> None:
    given = sent(join=REGISTERED, endpoint="lb.example.org:6443")
    assert given["endpoint"] == "lb.example.org:6443" and given["token"] == REGISTERED["token"]


def test_without_it_the_parts_are_those_of_the_task() -> None:
    assert sent(endpoint="a:6443", token="t") == {"endpoint": "a:6443", "token": "t"}
    assert sent(join={"changed": False}) == {}


@pytest.mark.parametrize("join", ["kubeadm join 10.0.0.1:6443", ["a"], True])
def test_what_is_not_a_dictionary_is_refused_without_quoting_it(join: Any) -> None:
    action = Action("kubeadm_join", {"join": join})
    with pytest.raises(AnsibleActionFail, match="join is not a dictionary") as caught:
        action.run(task_vars={})
    assert "10.0.0.1" not in str(caught.value) and action.asked == []


def test_the_node_cannot_answer_with_more_than_the_module_returns() -> None:
    action = Action("kubeadm_join", {}, {"changed": True, "phase": "done", "ansible_facts": {"a": 1}, "token": "x"})
    assert action.run(task_vars={}) == {"changed": True, "phase": "done"}
