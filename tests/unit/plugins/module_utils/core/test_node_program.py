# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node's side of a module call."""

from __future__ import annotations

import json
import sys
import syslog
from types import SimpleNamespace
from typing import Any, Dict, List

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module, node_program
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import IN_PLACE, Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError

SPEC: Dict[str, Dict[str, Any]] = {
    "name": {"type": "str"},
    "secret": {"type": "str", "no_log": True},
    "parts": {"type": "dict", "no_log": True},
    "place": {"type": "path"},
}
NAME = "a_module_of_a_test"


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> List[str]:
    found: List[str] = []
    monkeypatch.setattr(syslog, "openlog", lambda *given: found.append(repr(given)))
    monkeypatch.setattr(syslog, "syslog", lambda _level, text: found.append(text))
    return found


def run(monkeypatch: pytest.MonkeyPatch, work: Any, **given: Any) -> Dict[str, Any]:
    monkeypatch.setitem(sys.modules, NAME, SimpleNamespace(argument_spec=lambda: SPEC, work=work))  # type: ignore[arg-type]
    return node_program.run(NAME, given)


@pytest.mark.usefixtures("logged")
def test_no_secret_option_is_in_what_a_module_says(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(call: Call, _system: Any) -> Dict[str, Any]:
        call.hide("later", "")
        call.warn("a warning with s3cret")
        return {
            "changed": True,
            "said": ["s3cret", "xs3cretx", {"later": "part-1 later", "number": 4711}],
            "none": None,
        }

    answer = run(monkeypatch, work, secret="s3cret", parts={"a": ["part-1"], "b": 4711, "c": True})
    assert answer == {
        "changed": True,
        "said": [IN_PLACE, "x********x", {"later": "******** ********", "number": IN_PLACE}],
        "none": None,
        "warnings": ["a warning with ********"],
    }


@pytest.mark.usefixtures("logged")
def test_check_mode_options_and_paths_reach_the_module(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    answer = run(
        monkeypatch,
        lambda call, _system: {"params": call.params, "check": call.check_mode},
        name="n",
        place="~/$USER_OF_NODE",
        other="dropped",
        _ansible_check_mode=True,
    )
    assert answer["check"] is True
    assert answer["params"] == {"name": "n", "secret": None, "parts": None, "place": "/home/anna/$USER_OF_NODE"}


@pytest.mark.usefixtures("logged")
def test_a_failure_is_a_line_and_what_nobody_expected_has_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_call: Call, _system: Any) -> Dict[str, Any]:
        raise KubesteadError("no s3cret", {"stderr": "s3cret"})

    answer = run(monkeypatch, refuse, secret="s3cret")
    assert answer == {"failed": True, "msg": "no ********", "stderr": IN_PLACE}

    def break_down(_call: Call, _system: Any) -> Dict[str, Any]:
        raise ZeroDivisionError("s3cret")

    answer = run(monkeypatch, break_down, secret="s3cret")
    assert answer["failed"] is True and answer["msg"] == "Module failed: ZeroDivisionError: ********"
    assert "in break_down" in answer["exception"] and "s3cret" not in answer["exception"]


def test_the_call_is_in_the_system_log_without_secrets(monkeypatch: pytest.MonkeyPatch, logged: List[str]) -> None:
    run(
        monkeypatch,
        lambda _call, _system: {},
        name="s3cret and \x00 \ud800",
        secret="s3cret",
        _ansible_syslog_facility="LOG_LOCAL3",
        _ansible_target_log_info="ticket 7",
    )
    assert str(syslog.LOG_LOCAL3) in logged[0] and "ansible-kubestead.cluster." in logged[0]
    assert logged[1].startswith("ticket 7 Invoked with name=******** and ")
    assert "secret=NOT_LOGGING_PARAMETER" in logged[1] and "s3cret" not in logged[1] and "\x00" not in logged[1]


def test_nothing_is_logged_with_no_log(monkeypatch: pytest.MonkeyPatch, logged: List[str]) -> None:
    run(monkeypatch, lambda _call, _system: {}, name="n", _ansible_no_log=True)
    assert logged == []


@pytest.mark.usefixtures("logged")
@pytest.mark.parametrize(("answer", "code"), [({"changed": False}, 0), ({"failed": True, "msg": "m"}, 1)])
def test_the_answer_is_one_line_of_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: Dict[str, Any], code: int
) -> None:
    monkeypatch.setitem(sys.modules, NAME, SimpleNamespace(argument_spec=dict, work=lambda _call, _system: answer))  # type: ignore[arg-type]
    with pytest.raises(SystemExit) as ended:
        node_program.main(NAME, "{}")
    out = capsys.readouterr().out
    assert ended.value.code == code and json.loads(out) == answer and len(out.split()) > 0
    assert out.strip().count("\n") == 0


def test_the_same_work_runs_with_ansibles_base_of_modules(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    basic = pytest.importorskip("ansible.module_utils.basic")
    testing = pytest.importorskip("ansible.module_utils.testing")
    warnings: List[str] = []
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda *_given, **_more: None)
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, text, **_more: warnings.append(text))

    def work(call: Call, _system: Any) -> Dict[str, Any]:
        call.hide("later")
        call.warn("one warning")
        if call.params["name"] == "bad":
            raise KubesteadError("no", {"stderr": "s3cret later"})
        return {"changed": call.check_mode, "said": "s3cret later"}

    answers = []
    for name in ("good", "bad"):
        given = {"name": name, "secret": "s3cret", "_ansible_check_mode": True}
        with testing.patch_module_args(given), pytest.raises(SystemExit):
            ansible_module.run(SPEC, work)
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["changed"] is True and answers[0]["said"] == "******** ********"
    assert answers[1]["failed"] is True and answers[1]["stderr"] == "******** ********" and answers[1]["msg"] == "no"
    assert warnings == ["one warning"] * 2 and "s3cret" not in str(answers)
