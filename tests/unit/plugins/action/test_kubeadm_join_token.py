# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm_join_token on the control machine: a token is never shown, everything else is."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.action import kubeadm_join_token
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction


class Action(FakeAction, kubeadm_join_token.ActionModule):
    pass


def contexts(action: Action) -> list[bool]:
    return [one.no_log for one in (action._task, action._play_context, action._connection._play_context)]


def test_the_connection_keeps_every_answer_to_itself_and_is_as_before_afterwards() -> None:
    action = Action("kubeadm_join_token", {}, {"kubestead_complete": True, "changed": False})
    action._connection._play_context.no_log = True
    action.run(task_vars={})
    assert action.censored_calls == [True] and contexts(action) == [False, False, True]


def test_a_connection_that_breaks_leaves_everything_as_before() -> None:
    action = Action("kubeadm_join_token", {}, ConnectionError("lost"))
    with pytest.raises(ConnectionError):
        action.run(task_vars={})
    assert action.censored_calls == [True] and contexts(action) == [False, False, False]


@pytest.mark.parametrize(
    ("answer", "hidden"),
    [
        ({"changed": True, "token": "abcdef.0123456789abcdef"}, True),
        ({"changed": True, "token": "", "certificate_key": "f" * 64}, True),
        ({"changed": True, "token": "", "certificate_key": ""}, False),
        ({"changed": True, "steps": []}, False),
        ({"failed": True, "msg": "the API does not answer"}, False),
    ],
)
def test_a_result_is_hidden_where_a_secret_is_in_it(answer: dict[str, Any], hidden: bool) -> None:
    result = Action("kubeadm_join_token", {}, {**answer, "kubestead_complete": True}).run(task_vars={})
    assert bool(result.get("_ansible_no_log")) is hidden
    assert {key: value for key, value in result.items() if key != "_ansible_no_log"} == answer
