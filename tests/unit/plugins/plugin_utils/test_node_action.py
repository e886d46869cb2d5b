# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node answers is data: no key that Ansible acts on, no control character, no size without limit."""

from __future__ import annotations

import ast
import importlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils._internal import _messages
from ansible.plugins.action import ActionBase

from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import read_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import diagnosis
from ansible_collections.kubestead.cluster.plugins.plugin_utils import answer_limits, node_action
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

ROOT = Path(__file__).resolve().parents[4]
ACTIONS = sorted(path.stem for path in (ROOT / "plugins/action").glob("[a-z]*.py"))
RETURNS = frozenset(("nodes",))


def reduced(**answer: Any) -> dict[str, Any]:
    return node_action.reduced(answer, RETURNS | node_action.COMMON)


@pytest.mark.parametrize(
    "key",
    [
        "ansible_facts",
        "ansible_python_interpreter",
        "add_host",
        "add_group",
        "_ansible_verbose_always",
        "results",
        "ping",
    ],
)
def test_a_key_that_the_module_does_not_return_is_dropped(key: str) -> None:
    assert reduced(changed=False, **{key: {"cni_calico_manifest": "/tmp/evil.yaml"}}) == {"changed": False}


def test_control_characters_are_replaced_wherever_they_are() -> None:
    dirty = "a\x1b[31mred\x1b[0m\r\x07\x9b2J\u202eevil"
    answer = reduced(changed=False, msg=dirty, nodes=[{dirty: [dirty]}], warnings=[dirty + "\nsecond line"])
    text = repr(answer)
    for bad in ("\\x1b", "\\r", "\\x07", "\\x9b", "\\u202e"):
        assert bad not in text
    assert "\n" not in answer["warnings"][0]
    assert node_action.reduced({"msg": "two\nlines\tkept"}, node_action.COMMON)["msg"] == "two lines kept"
    kept = node_action.reduced({"failed": True, "stderr": "two\nlines\tkept"}, node_action.COMMON)
    assert kept["stderr"] == "two\nlines\tkept"


@pytest.mark.parametrize("answer", [None, [], "text", 7, True])
def test_an_answer_of_another_shape_is_a_failure_in_one_line(answer: Any) -> None:
    result = node_action.reduced(answer, RETURNS)
    assert result["failed"] is True and "\n" not in result["msg"]


def test_wrong_types_of_common_keys_do_not_pass() -> None:
    answer = reduced(changed="yes", failed="no", skipped=1, warnings="w", diff="d", steps={"a": 1}, msg=["x"])
    assert answer == {
        "changed": False,
        "failed": False,
        "skipped": False,
        "warnings": [],
        "diff": [],
        "steps": [],
        "msg": "['x']",
    }


def test_a_step_and_a_difference_have_their_own_parts_alone_each_on_its_line() -> None:
    forged = "x\n  cp1  nothing to do"
    answer = reduced(
        steps=[
            {"component": forged, "action": forged, "target": 7, "reason": forged, "disruptive": "yes", "evil": 1},
            3,
        ],
        diff=[{"before": "a\nb\n", "after": 1, "before_header": forged, "prepared": forged, "src_binary": 1}, "x"],
    )
    assert answer["steps"] == [
        {
            "component": "x cp1 nothing to do",
            "action": "x cp1 nothing to do",
            "target": "7",
            "reason": "x cp1 nothing to do",
            "disruptive": False,
        }
    ]
    assert answer["diff"] == [{"before": "a\nb\n", "before_header": "x cp1 nothing to do"}]


def test_warnings_of_ansibles_own_modules_are_read() -> None:
    warning = _messages.WarningSummary(event=_messages.Event(msg="two\nlines"))
    assert reduced(changed=False, warnings=[warning, 7, "text"])["warnings"] == ["two lines", "text"]


class Talking(node_action.NodeAction):
    """An action whose host sends what a test says."""

    def __init__(self) -> None:
        self._used_interpreter = None

    def parse(self, stdout: str, stderr: str = "") -> dict[str, Any]:
        return self._parse_returned_data({"stdout": stdout, "stderr": stderr, "rc": 0}, "legacy")


@pytest.mark.parametrize(
    "stdout",
    [
        "",
        "garbage",
        "{",
        "[1]",
        '"text"',
        "null",
        "7",
        "[" * 100000,
        '{"a":' * 100000,
        '{"changed": fal',
        '{"__ansible_type": "Nonsense", "value": 1}',
        '{"exception": 7}',
        '{"exception": {"__ansible_type": "ErrorSummary"}}',
        "\x00\x1b]0;title\x07{}",
        '{"a": 1' + "0" * 5000 + "}",
        '{"ansible_facts": [1], "stdout": 7, "stderr": {}, "results": 1, "unreachable": true, "add_host": 1}',
        '{"_ansible_no_log": false, "_ansible_suppress_tmpdir_delete": true, "_ansible_parsed": false}',
    ],
)
def test_no_output_of_a_host_is_an_exception_or_printed(stdout: str, capfd: pytest.CaptureFixture[str]) -> None:
    answer = Talking().parse(stdout, "\x1b[31mstderr\r\n")
    assert not [key for key in answer if key.startswith(("_ansible", "ansible")) and key != "_ansible_parsed"]
    assert not {"add_host", "unreachable"} & set(answer) and isinstance(answer.get("stdout", ""), str)
    # Whatever else is there, the rest of Ansible can read it.
    assert isinstance(node_action.reduced(answer, RETURNS | node_action.COMMON), dict)
    assert capfd.readouterr() == ("", "")


def test_what_stands_around_the_result_is_left_out_and_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    answer = Talking().parse('\x1b[2Jcp1 nothing to do\r\n{"changed": true}\r\n  cp1  nothing to do\r\n')
    assert answer["changed"] is True and capfd.readouterr() == ("", "")


def test_an_output_that_is_too_long_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action, "MAX_OUTPUT", 10)
    assert "longer than" in Talking().parse('{"changed": true}')["msg"]


@pytest.mark.parametrize("value", ["[]", "{}", '""', "{'a':[[]]}".replace("'", '"')])
def test_many_small_values_are_not_parsed(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes at least twenty times the memory of its text."""
    monkeypatch.setattr(node_action, "MAX_VALUES", 1000)
    assert "more than 1000 values" in Talking().parse('{"nodes": [' + ",".join([value] * 1001) + "]}")["msg"]
    # Long texts are cheap.
    assert Talking().parse('{"changed": true, "stdout": "' + "x" * 100_000 + '"}')["changed"] is True


@pytest.mark.parametrize(
    ("program", "limits", "why"),
    [("yes", {"MAX_READ": 1 << 20}, "longer than 1048576 bytes"), ("sleep 30", {}, "not complete after 1 seconds")],
)
def test_a_host_that_does_not_stop_sending_or_never_answers_is_cut_off(
    program: str, limits: dict[str, int], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program stands for ssh, whose output Ansible collects until it ends."""
    for name, value in limits.items():
        monkeypatch.setattr(node_action, name, value)
    sent = 0

    def execute(_self: Any, _command: str, *_args: Any, **_others: Any) -> dict[str, Any]:
        nonlocal sent
        with subprocess.Popen(program.split(), stdout=subprocess.PIPE, bufsize=0) as process:
            assert process.stdout
            # Enough to see that nothing ends it.
            while sent < 4 << 30:
                part = len(process.stdout.read(1 << 16))
                sent += part
                if not part:
                    break
        return {"rc": process.returncode, "stdout": "y", "stdout_lines": ["y"], "stderr": "y"}

    monkeypatch.setattr(ActionBase, "_low_level_execute_command", execute)
    action = Talking()
    monkeypatch.setattr(action, "PATIENCE", 0.0 if limits else 1.0)
    answer = action._low_level_execute_command("python3")
    assert answer["rc"] == -9 and sent < 4 << 30
    said = action.parse(answer["stdout"], answer["stderr"])
    assert said["failed"] is True and why in said["msg"] and said["msg"].startswith("the host's answer was refused")


def test_a_host_that_answers_is_not_disturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_limits, "_PAUSE", 0.01)
    with answer_limits.limited(1 << 20, 600.0) as limit:
        done = subprocess.run(["sh", "-c", "sleep 0.1; echo yes"], stdout=subprocess.PIPE, check=False)
    assert (done.returncode, done.stdout, limit.reason) == (0, b"yes\n", "")


def test_a_program_from_before_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_limits, "_PAUSE", 0.01)
    with subprocess.Popen(["sleep", "30"]) as earlier:
        with answer_limits.limited(1 << 20, 0.05) as limit, subprocess.Popen(["sleep", "30"]) as later:
            assert later.wait() == -9
        assert limit.reason and earlier.poll() is None
        earlier.kill()


def test_every_operation_begins_with_an_observation_that_ends() -> None:
    module = importlib.import_module("ansible_collections.kubestead.cluster.plugins.action.node_info")
    assert module.ActionModule.PATIENCE > 0


@pytest.mark.parametrize(
    ("key", "path", "passes"),
    [
        ("discovered_interpreter_python", "/usr/bin/python3.11", True),
        ("discovered_interpreter_python", "/bin/sh -c evil", False),
        ("cni_calico_manifest", "/usr/bin/python3", False),
        ("discovered_interpreter_python", ["/usr/bin/python3"], False),
        (None, "/usr/bin/python3", False),
    ],
)
def test_the_interpreter_that_ansible_found_is_the_one_fact_that_passes(key: Any, path: Any, passes: bool) -> None:
    action = Talking()
    action._discovered_interpreter_key = key
    answer = {"changed": False, "ansible_facts": {"cni_mtu": 1, str(key): path}}
    action._execute_module = lambda *_args, **_kwargs: answer
    assert action.run_on_node("node_info", {}, {}).get("ansible_facts") == ({key: path} if passes else None)


@pytest.mark.parametrize("claim", ["cni_calico_manifest", "join_token_ttl", "preflight_plan", "host_disable_swap"])
def test_a_host_whose_facts_are_our_variables_is_asked_nothing(claim: str) -> None:
    action = Talking()
    answer = action.run_on_node("node_info", {}, {"ansible_facts": {claim: "evil", "hostname": "w1"}, claim: "evil"})
    assert answer["failed"] is True and claim in answer["msg"] and "\n" not in answer["msg"]
    action._execute_module = lambda *_args, **_kwargs: {"changed": False}
    assert action.run_on_node("node_info", {}, {"ansible_facts": {"host_name": "w1", "hostname": "w1"}}) == {
        "changed": False
    }


def deep(levels: int) -> Any:
    value: Any = "x"
    for _level in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("x" * (node_action.MAX_TEXT + 1), "is longer than"),
        (["x"] * (node_action.MAX_ITEMS + 1), "more than"),
        ({str(number): 1 for number in range(node_action.MAX_ITEMS + 1)}, "more than"),
        (deep(node_action.MAX_DEPTH + 2), "nested too deep"),
        ({"k" * (node_action.MAX_KEY + 1): 1}, "a key in it is longer than"),
        (object(), "contains a object"),
        (10**400, "a number in it is too large"),
        ([-(10**30)], "a number in it is too large"),
        (float("nan"), "a number in it is too large or invalid"),
        ({"x": float("inf")}, "a number in it is too large"),
        ({"x": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n00"}}, "a type that is internal to Ansible"),
    ],
)
def test_what_is_too_large_is_refused(value: Any, reason: str) -> None:
    answer = reduced(changed=True, nodes=value)
    assert answer["failed"] is True and reason in answer["msg"] and "nodes" not in answer


def test_an_answer_does_not_fill_the_terminal() -> None:
    step = {"component": "x", "action": "a", "target": "t", "reason": "y" * 21_000}
    answer = reduced(
        changed=True,
        msg="m" * 900_000,
        warnings=["w" * 21_000] * 2000,
        steps=[step] * 8000,
        diff=[{"before": "b"}] * 8000,
    )
    assert len(answer["msg"]) <= node_action.MAX_LINE and len(answer["warnings"]) <= node_action.MAX_WARNINGS
    assert len(answer["steps"]) <= node_action.MAX_STEPS and len(answer["diff"]) <= node_action.MAX_STEPS
    assert max(len(text) for text in [*answer["warnings"], answer["steps"][0]["reason"]]) <= node_action.MAX_LINE


@pytest.mark.parametrize(
    ("stderr", "shown"),
    [
        (
            "pyenv: python3.13: command not found\n\nNote: a tip\n",
            "pyenv: python3.13: command not found",
        ),
        (
            'Traceback (most recent call last):\n  File "x"\nError: \x1b[2Jno ssl\n',
            "Error: \ufffd[2Jno ssl",
        ),
        ("", "it printed nothing"),
    ],
)
def test_a_program_that_ends_without_a_result_says_what_it_printed_and_the_fix(stderr: str, shown: str) -> None:
    answer = reduced(
        failed=True, msg="Module result deserialization failed.", module_stdout="", module_stderr=stderr, rc=127
    )
    assert answer["msg"] == (
        f"the program on the host ended with exit code 127 without a result: {shown}; check that Python runs on this "
        "host, or set ansible_python_interpreter"
    )


PYTHON = "; check that Python runs on this host, or set ansible_python_interpreter"
PASSWORD = "; check ansible_become_password, or use --ask-become-pass"
UNRESOLVED = "sudo: unable to resolve host w1: Name or service not known\n"
TRACEBACK = 'Traceback (most recent call last):\n  File "x", line 3\n'


@pytest.mark.parametrize(
    ("stderr", "code", "said"),
    [
        (
            "/bin/sh: 1: sudo: not found\n",
            127,
            "/bin/sh: 1: sudo: not found; install sudo on this host, or set ansible_become_method",
        ),
        # ssh prints this, and the banner of the server, before what the host prints.
        (
            "Warning: Permanently added '192.0.2.9' (ED25519) to the list of known hosts.\nWelcome!\n"
            "sudo: a password is required\n",
            1,
            "sudo: a password is required" + PASSWORD,
        ),
        # A warning of sudo, on a machine whose name is not in /etc/hosts. sudo ran the program.
        (
            UNRESOLVED + TRACEBACK + "OSError: [Errno 28] No space left on device\n\nShared connection to w1 closed.",
            1,
            "OSError: [Errno 28] No space left on device; free some space on this host (df -h) and run again",
        ),
        (
            UNRESOLVED + TRACEBACK + "KeyError: 1\n\nDuring handling of the above exception, another exception "
            "occurred:\n\n" + TRACEBACK * 200 + "ImportError: no ssl\n",
            1,
            "ImportError: no ssl" + PYTHON,
        ),
        (
            '  File "<stdin>", line 1\n    a b\n      ^\nSyntaxError: invalid syntax\n',
            1,
            "SyntaxError: invalid syntax" + PYTHON,
        ),
        (UNRESOLVED + "sudo: setrlimit(RLIMIT_CORE): Operation not permitted\nKilled\n", 137, "Killed" + PYTHON),
        # German, with SendEnv LANG, as Debian configures it.
        (
            "bob ist nicht in der sudoers-Datei.\n",
            1,
            "bob ist nicht in der sudoers-Datei.; check the become password (ansible_become_password, "
            "--ask-become-pass) and ansible_python_interpreter",
        ),
    ],
    ids=["no sudo", "noise of ssh", "warning of sudo", "chain", "syntax", "warnings", "locale"],
)
def test_the_cause_among_what_a_program_without_a_result_printed(stderr: str, code: int, said: str) -> None:
    answer = reduced(failed=True, msg="x", module_stdout="", module_stderr=stderr, rc=code)
    assert answer["msg"] == f"the program on the host ended with exit code {code} without a result: {said}"


def test_details_pass_with_a_failure_alone() -> None:
    assert "stderr" not in reduced(changed=False, stderr="x")
    assert reduced(failed=True, msg="m", stderr="x")["stderr"] == "x"


def test_the_details_of_a_failed_kubeadm_pass(tmp_path: Path) -> None:
    result = Result(1, "", "error execution phase wait-control-plane: timed out\n")
    details = diagnosis.failure("init", result, Machine(tmp_path), 600, 0.0).details
    assert {"kubelet_log", "containerd_log", "container_logs", "culprits"} <= set(details)
    assert set(details) <= set(reduced(failed=True, msg="m", **details))


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_hands_on_what_its_module_documents(name: str) -> None:
    text = (ROOT / f"plugins/modules/{name}.py").read_text()
    literals = {
        target.id: node.value.value
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    documented = set(yaml.safe_load(literals["RETURN"]) or {}) - node_action.COMMON
    module = importlib.import_module(f"ansible_collections.kubestead.cluster.plugins.action.{name}")
    if name == "cluster_plan":
        # It talks to no node.
        assert not issubclass(module.ActionModule, node_action.NodeAction)
        return
    added = {
        "node_info": {"asked", "answered", "options", "secrets", "problems"},
        "node_components": {"init", "kubeconfig"},
        "kubeadm_upgrade": {"static_pods"},
        "kubeconfig": {"copied_to"},
    }
    internal = {"kubeconfig": {"source"}, "node_components": {"component"}}
    returns = set(module.ActionModule.RETURNS)
    assert returns - internal.get(name, set()) == documented - added.get(name, set())


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py")))
def test_every_module_that_runs_on_a_node_has_an_action_in_front_of_it(name: str) -> None:
    assert name in ACTIONS


def test_a_node_with_too_many_labels_and_taints_does_not_make_the_answer_of_a_control_plane_too_large() -> None:
    """A kubelet may label its own Node as it likes, and taints it when it registers."""
    labels = {f"a{at}": "" for at in range(node_action.MAX_ITEMS + 1)}
    taints = [{"key": f"a{at}", "effect": "NoSchedule"} for at in range(node_action.MAX_ITEMS + 1)]
    role = {"node-role.kubernetes.io/control-plane": ""}
    item = {"metadata": {"name": "w1", "labels": {**labels, **role}}, "spec": {"taints": taints}}
    nodes = read_nodes({"items": [item, {"metadata": {"name": "w2"}}]})
    answer = reduced(changed=False, nodes=to_dict(nodes))
    assert "failed" not in answer and [one["name"] for one in answer["nodes"]] == ["w1", "w2"]
    # What only an administrator can set is not pushed out.
    assert nodes[0].control_plane
