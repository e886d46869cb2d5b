# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tokens on the control machine: shown nowhere, whatever the host's answer looks like, and each to its host alone."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.action import kubeadm_join, kubeadm_join_token
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action

TOKEN, OTHER = "k3x9q0.0123456789abcdef", "abcdef.fedcba9876543210"
KEY = "5" * 64
RESULT = {
    "changed": True,
    "endpoint": "10.0.0.1:6443",
    "ca_cert_hashes": ["sha256:" + "0" * 64],
    "tokens": {
        "w1": {"token": TOKEN, "token_id": "k3x9q0", "expires": "2026-11-23T12:15:00Z"},
        "w2": {"token": OTHER, "token_id": "abcdef", "expires": "2026-11-23T12:15:00Z"},
    },
}


@pytest.fixture(autouse=True)
def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


class JoinTokenAction(kubeadm_join_token.ActionModule):
    """The action with an answer instead of a host."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self._task = SimpleNamespace(args={}, action="kubestead.cluster.kubeadm_join_token", delegate_to=None)
        self.answer = answer

    def _execute_module(self, *_others: Any, **_more: Any) -> dict[str, Any]:
        return self.answer

    @contextlib.contextmanager
    def censored(self) -> Iterator[None]:
        yield


def shown(answer: dict[str, Any]) -> str:
    """What a callback may print of a result."""
    result = JoinTokenAction(answer).run()
    return "" if result.get("_ansible_no_log") else json.dumps(result)


@pytest.mark.parametrize(
    "answer",
    [
        {"tokens": RESULT["tokens"]},
        {"token": TOKEN},
        {"certificate_key": KEY},
        {"failed": True, "msg": "x", "tokens": RESULT["tokens"]},
    ],
)
def test_a_result_with_a_secret_is_hidden(answer: dict[str, Any]) -> None:
    result = JoinTokenAction({**answer, "kubestead_complete": True}).run()
    assert result["_ansible_no_log"] is True


@pytest.mark.parametrize(
    "answer",
    [
        {"changed": True, "steps": [{"action": "delete"}], "tokens": {}, "kubestead_complete": True},
        {"failed": True, "msg": "kubectl failed", "kubestead_complete": True},
    ],
)
def test_a_complete_result_without_a_secret_stays_readable(answer: dict[str, Any]) -> None:
    assert "_ansible_no_log" not in JoinTokenAction(answer).run()


@pytest.mark.parametrize("length", range(20, 300, 7))
def test_output_that_is_cut_off_is_not_shown(length: int) -> None:
    cut = json.dumps({"tokens": {"w1": {"token": TOKEN, "certificate_key": KEY}}})[:length]
    answer = {
        "kubestead_complete": False,
        "failed": True,
        "rc": 137,
        "msg": "MODULE FAILURE: " + cut,
        "module_stdout": cut,
        "module_stderr": "Traceback: " + cut,
        "exception": cut,
        "stdout": cut,
        "warnings": [cut],
    }
    text = shown(answer)
    assert "output of kubeadm_join_token is incomplete (exit code 137)" in text
    assert "k3x9" not in text and "5555" not in text and "w1" not in text


def test_an_answer_that_ansible_does_not_vouch_for_is_not_shown() -> None:
    assert "k3x9q0" not in shown({"msg": TOKEN, "changed": True})
    assert "k3x9q0" not in shown({"msg": TOKEN, "failed": True, "kubestead_complete": "yes"})


PLAYBOOK = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {
                "name": "Create",
                "kubestead.cluster.kubeadm_join_token": {"nodes": ["w1"]},
                "register": "made",
                "ignore_errors": True,
            },
            {"name": "Go on", "ansible.builtin.debug": {"msg": "failed {{ made is failed }}"}},
        ],
    }
]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_ansible_prints_no_part_of_an_interrupted_answer(tmp_path: Path, stream: str) -> None:
    text = json.dumps(RESULT)[: json.dumps(RESULT).index("abcdef") + 12]
    python = tmp_path / "python"
    program = ["import sys", "sys.stdin.read()", f"sys.{stream}.write({text!r})", "sys.exit(137)"]
    python.write_text("\n".join([f"#!{sys.executable}", *program, ""]))
    python.chmod(0o755)
    (tmp_path / "play.yml").write_text(yaml.safe_dump(PLAYBOOK))
    (tmp_path / "hosts.yml").write_text(
        yaml.safe_dump({"all": {"hosts": {"cp1": {"ansible_connection": "local", "ansible_pipelining": True}}}})
    )
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-vvvvv", "-i", "hosts.yml", "play.yml"]
        + ["-e", f"ansible_python_interpreter={python}"],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(Path(kubeadm_join_token.__file__).resolve().parents[2] / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
        },
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert "failed True" in said and "is incomplete" in said
    for secret in ("0123456789abcdef", "k3x9q0", "abcdef.f"):
        assert secret not in said


ECHO = f"#!{sys.executable}\nimport sys\ntext = sys.stdin.read()\n"
ECHOES = {
    # What a node does with what it was sent, or what is left of its output.
    "everything": ECHO + "sys.stdout.write(text)\nsys.exit(1)\n",
    "on stderr": ECHO + "sys.stderr.write(text)\nsys.exit(137)\n",
    "in a result": ECHO + "import json\nprint(json.dumps({'failed': True, 'msg': text, 'causes': [text]}))\n",
    "in a warning": ECHO
    + "import json\nprint(json.dumps({'changed': True, 'warnings': [text], 'steps': [{'reason': text}]}))\n",
    "half of it": ECHO + f"at = text.index('{TOKEN[7:12]}') + 12\nprint('{{' + text[at - 40:at])\nsys.exit(137)\n",
}
SENT: dict[str, dict[str, Any]] = {
    "kubeadm_join": {
        "token": TOKEN,
        "certificate_key": TOKEN[7:] * 4,
        "control_plane": True,
        "endpoint": "10.0.0.1:6443",
    },
    "node_components": {"components": ["containerd"]},
    "manifests": {
        "manifests": [
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"password": TOKEN[7:]}}
        ]
    },
}


@pytest.mark.parametrize("module", SENT)
@pytest.mark.parametrize("echo", ECHOES)
def test_what_a_node_repeats_of_the_secrets_that_it_was_sent_is_not_shown(
    tmp_path: Path, module: str, echo: str
) -> None:
    if module == "manifests" and echo in ("in a result", "in a warning"):
        pytest.skip("the module hides the values of Secrets itself; its host is a control plane, which has them all")
    python = tmp_path / "python"
    python.write_text(ECHOES[echo])
    python.chmod(0o755)
    host = {
        "ansible_connection": "local",
        "ansible_pipelining": True,
        "ansible_python_interpreter": str(python),
        "containerd_registry_credentials": [{"registry": "r.example.org", "username": "b", "password": TOKEN[7:]}],
    }
    task = {"name": "Send", f"kubestead.cluster.{module}": SENT[module], "ignore_errors": True, "register": "said"}
    tasks = [task, {"name": "Go on", "ansible.builtin.debug": {"msg": "went on {{ said is defined }}"}}]
    # The task is shown at -vvvv as it stands in the playbook; what is in question is what the host says.
    (tmp_path / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"w1": host}}}))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-vvvv", "-i", "hosts.yml", "play.yml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(Path(kubeadm_join_token.__file__).resolve().parents[2] / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
        },
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert "went on True" in said, said
    shown = [text for text in said.splitlines() if TOKEN[7:12] in text]
    assert shown == [], shown[0][:2000]


# -- each to its host alone


class JoinAction(kubeadm_join.ActionModule):
    """The action with what it asks of the host."""

    def __init__(self, arguments: dict[str, Any], check_mode: bool = False) -> None:
        self._task = SimpleNamespace(
            args=arguments, action="kubestead.cluster.kubeadm_join", check_mode=check_mode, no_log=False
        )
        self._play_context = SimpleNamespace(no_log=False)
        self._connection = SimpleNamespace(_play_context=self._play_context)
        self.asked: dict[str, Any] = {}

    def _execute_module(self, _name: str, arguments: dict[str, Any], **_others: Any) -> dict[str, Any]:  # type: ignore[override]
        self.asked = arguments
        return {"changed": True}


@pytest.mark.parametrize(("host", "own", "other"), [("w1", TOKEN, OTHER), ("w2", OTHER, TOKEN)])
def test_a_host_gets_its_own_token_alone(host: str, own: str, other: str) -> None:
    action = JoinAction({"join": RESULT})
    action.run(task_vars={"inventory_hostname": host})
    assert action.asked["token"] == own and action.asked["endpoint"] == "10.0.0.1:6443"
    assert other not in json.dumps(action.asked)


def test_a_certificate_key_goes_to_control_planes_alone() -> None:
    join = {**RESULT, "tokens": {"cp2": {"token": TOKEN, "certificate_key": KEY}}}
    worker = JoinAction({"join": join})
    worker.run(task_vars={"inventory_hostname": "cp2"})
    assert KEY not in json.dumps(worker.asked)
    control_plane = JoinAction({"join": join, "control_plane": True})
    control_plane.run(task_vars={"inventory_hostname": "cp2"})
    assert control_plane.asked["certificate_key"] == KEY


def test_a_host_without_a_token_does_not_take_that_of_another() -> None:
    action = JoinAction({"join": RESULT})
    with pytest.raises(AnsibleActionFail, match="join has no token for w3; add it to the nodes"):
        action.run(task_vars={"inventory_hostname": "w3"})
    assert action.asked == {}
    dry = JoinAction({"join": {**RESULT, "tokens": {}}}, check_mode=True)
    dry.run(task_vars={"inventory_hostname": "w3"})
    assert "token" not in dry.asked and dry.asked["endpoint"] == "10.0.0.1:6443"
