# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is written into the journal of a machine when node_components starts there."""

from __future__ import annotations

import base64
import json
import syslog
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.action import node_components as action
from ansible_collections.kubestead.cluster.plugins.module_utils.core import node_program
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.modules import node_components

PASSWORDS = [
    "plain-s3cret",
    "back\\slash-s3cret",
    'double"quote-s3cret',
    "single'quote-s3cret",
    "both\"quotes'-s3cret",
    "tab\ts3cret",
    "line\ns3cret\r\nend",
    "all\\\"'\t\n-s3cret",
    "umlaut-\u00e4-s3cret",
    "nul-\x00-s3cret",
]


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_part_of_a_password_is_logged(monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    logged: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda *given: logged.append(repr(given)))
    credential = {"registry": "r.example", "username": "admin", "password": password}
    dropin = f"[plugins.x]\npassword = {json.dumps(password)}\n"
    variables = {"containerd_registry_credentials": [credential], "containerd_config_dropin": dropin}
    options, secrets = action.options_of(["containerd"], variables, Templar(), {})
    arguments = {"components": ["containerd"], "options": options, "secrets": json.dumps(secrets)}
    calls: list[Call] = []
    monkeypatch.setattr(node_components, "work", lambda call, _system: calls.append(call) or {})
    node_program.run(node_components.__name__, json.loads(json.dumps(arguments)))
    assert node_components.secret_options(calls[0].params["secrets"]) == {
        "registry_credentials": [credential],
        "config_dropin": dropin,
    }
    assert "components" in str(logged), "nothing was logged, and the test shows nothing"
    forms = [password, repr(password), json.dumps(password), base64.b64encode(password.encode()).decode(), "s3cret"]
    assert not [form for form in forms if form.strip("\"'") in str(logged)]
    assert "admin" not in calls[0].hidden, "a user's name in a path would be hidden everywhere"


class Templar:
    """Variables as they are."""

    def template(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize("text", ["[1]", "{", '{"other": "s3cret"}', "s3cret"])
def test_other_secrets_are_refused_without_being_shown(text: str) -> None:
    with pytest.raises(KubesteadError) as failed:
        node_components.secret_options(text)
    assert "s3cret" not in str(failed.value)
