# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that a node gets: the files a module imports, arguments that arrive as they were sent, nothing else."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible import constants
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_payload
from ansible_collections.kubestead.cluster.tests.unit import test_imports
from ansible_collections.kubestead.cluster.tests.unit.fuzz.profile import fuzz

ROOT = Path(__file__).resolve().parents[4]
MODULES = sorted({path.stem for path in (ROOT / "plugins/modules").glob("*.py")} - {"cluster_plan"})


def run(name: str, arguments: dict[str, Any], folder: Path) -> Any:
    """What a program answers under a Python without any library, started as with pipelining."""
    text = node_payload.program(name).replace(node_payload.PLACEHOLDER, json.dumps(arguments))
    done = subprocess.run(
        [sys.executable, "-S"],
        input=text,
        capture_output=True,
        text=True,
        cwd=folder,
        env={"HOME": "/home/of-the-node"},
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", MODULES)
def test_it_has_all_that_the_module_imports(name: str) -> None:
    graph = test_imports.graph(ROOT / "plugins")
    needed: set[str] = set()
    waiting = {f"modules.{name}", "module_utils.core.node_program"}
    while waiting:
        one = waiting.pop()
        needed.add(one)
        waiting |= graph[one] - needed
    files = node_payload.files_of(name)
    assert set(files) == {node_payload.PACKAGE + one for one in needed}
    assert not [one for one, text in files.items() if "DOCUMENTATION" in text]


@pytest.mark.parametrize("name", MODULES)
def test_a_node_with_an_old_python_can_read_it(name: str) -> None:
    ast.parse(node_payload.program(name), feature_version=(3, 8))
    for text in node_payload.files_of(name).values():
        ast.parse(text, feature_version=(3, 8))


def test_lines_of_a_module_have_the_numbers_that_they_have_in_its_file() -> None:
    source = (ROOT / "plugins/modules/node_info.py").read_text().splitlines()
    sent = node_payload.files_of("node_info")[node_payload.PACKAGE + "modules.node_info"].splitlines()
    assert len(sent) == len(source) and sent[-2:] == source[-2:]


def statements(text: str) -> str:
    """What Python reads in a source, with the places of all statements; docstrings are empty."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = ""
            for end in ("lineno", "end_lineno", "col_offset", "end_col_offset"):
                setattr(node, end, 0)
                setattr(node.value, end, 0)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            # One of a docstring alone ends with it.
            node.end_lineno = node.end_col_offset = 0
    return ast.dump(tree, include_attributes=True)


@pytest.mark.parametrize("name", MODULES)
def test_only_comments_and_docstrings_are_left_out_of_what_is_imported(name: str) -> None:
    for one, text in node_payload.files_of(name).items():
        place = one.removeprefix(node_payload.PACKAGE)
        source = (ROOT / "plugins" / (place.replace(".", "/") + ".py")).read_text()
        assert text.count("\n") == source.count("\n")
        if not place.startswith("modules."):
            assert statements(text) == statements(source)


@pytest.mark.parametrize("name", MODULES)
def test_python_makes_no_docstrings_for_dataclasses(name: str) -> None:
    for one, text in node_payload.files_of(name).items():
        place = one.removeprefix(node_payload.PACKAGE)
        source = (ROOT / "plugins" / (place.replace(".", "/") + ".py")).read_text()
        told = [node.name for node in classes(source) if ast.get_docstring(node)]
        assert told == [node.name for node in classes(text) if ast.get_docstring(node)]


def classes(source: str) -> list[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]


def test_what_a_worker_gets_while_a_cluster_is_made_is_small() -> None:
    sent = {
        name: len(node_payload.program(name)) for name in ("node_info", "node_components", "kubeadm_join", "bridge_cni")
    }
    assert sum(sent.values()) < 400 * 1024, sent


@fuzz(200)
@given(st.recursive(st.text() | st.integers() | st.none(), lambda one: st.lists(one) | st.dictionaries(st.text(), one)))
def test_arguments_arrive_as_they_were_sent(value: Any) -> None:
    arguments = json.dumps({"value": value, "quotes": '"""' + "'''" + '\\"""\\'})
    assert ast.literal_eval(f'r"""{arguments}"""') == arguments


def test_it_runs_without_ansible_and_resolves_paths_on_the_node(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('code of a user')")
    arguments = {"wait_for": "nothing", "timeout": 1, "failed": [], "expected": [], "kubeconfig": "~/k"}
    answer = run("cluster_nodes_info", {**arguments, "_ansible_no_log": True}, tmp_path)
    assert answer["failed"] is True and "kubectl" in answer["msg"]
    name = [{"name": "w1", "addresses": ["192.0.2.1"]}]
    checked = {**arguments, "expected": name, "_ansible_check_mode": True, "_ansible_no_log": True}
    answer = run("cluster_nodes_info", checked, tmp_path)
    assert answer["changed"] is False and [node["name"] for node in answer["nodes"]] == ["w1"]


def test_options_are_checked_here_and_paths_are_left_to_the_node() -> None:
    good = node_payload.checked("kubeadm_join_token", {"ttl": "1h", "timeout": "7", "kubeconfig": "~/x"})
    assert good.problem == "" and good.parameters["timeout"] == 7 and good.parameters["kubeconfig"] == "~/x"
    assert "cannot be converted" in node_payload.checked("kubeadm_join_token", {"timeout": "soon"}).problem
    wrong = node_payload.checked("kubeadm_join_token", {"tt": "1h"}).problem
    assert wrong.startswith("Unsupported parameters for (kubestead.cluster.kubeadm_join_token) module: tt.")
    assert "required" in node_payload.checked("bridge_cni", {}).problem


def test_no_secret_is_in_what_is_shown_of_the_options() -> None:
    token = "abcdef.0123456789abcdef"
    good = node_payload.checked("kubeadm_join", {"token": token, "endpoint": f"https://{token}@cp1"})
    assert good.parameters["token"] == token and token not in str(good.shown)
    wrong = node_payload.checked("kubeadm_join", {"token": token, "control_plane": f"maybe {token}"})
    assert wrong.problem and token not in wrong.problem


def test_it_is_built_once_and_holds_no_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_LOCAL_TMP", str(tmp_path))
    path = Path(node_payload.program_file("kubeconfig"))
    assert path.read_text().count(node_payload.PLACEHOLDER) == 1
    assert path.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(node_payload, "program", lambda _name: pytest.fail("it was built again"))
    assert node_payload.program_file("kubeconfig") == str(path)
    assert [one.name for one in path.parent.iterdir() if one.suffix not in (".py", ".lock")] == []


# -- with Ansible itself, in each release that there is

#: Folders of other releases' programs may be named in this variable, separated by colons.
FOLDERS = [str(Path(sys.executable).parent), *filter(None, os.environ.get("KUBESTEAD_ANSIBLES", "").split(":"))]


def ansible(
    folder: str, tmp_path: Path, module: str, arguments: dict[str, Any], *options: str, **variables: Any
) -> str:
    """What the program ansible prints about a module on this machine."""
    variables = {"ansible_python_interpreter": sys.executable, "ansible_pipelining": True, **variables}
    done = subprocess.run(
        [f"{folder}/ansible", "n1", "-i", "n1,", "-c", "local", "-m", f"kubestead.cluster.{module}"]
        + ["-a", json.dumps(arguments), "-e", json.dumps(variables), *options],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "here"),
            "ANSIBLE_REMOTE_TMP": str(tmp_path / "there"),
            "ANSIBLE_NO_TARGET_SYSLOG": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("pipelining", [True, False])
def test_ansible_runs_it_as_a_module(tmp_path: Path, folder: str, pipelining: bool) -> None:
    arguments = {"expected": [{"name": "w1", "addresses": ["192.0.2.1"]}], "kubeconfig": str(tmp_path / "none")}
    said = ansible(folder, tmp_path, "cluster_nodes_info", arguments, "--check", "-vvv", ansible_pipelining=pipelining)
    answer = json.loads("{" + said.partition("n1 | SUCCESS => {")[2])
    assert answer["changed"] is False and [node["name"] for node in answer["nodes"]] == ["w1"]
    assert answer["invocation"]["module_args"]["timeout"] == 300 and "reserved key" not in said
    assert ("AnsiballZ_" in said) is not pipelining
    assert (list((tmp_path / "there").glob("*")) if (tmp_path / "there").exists() else []) == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_ansible_shows_failures_in_one_line(tmp_path: Path, folder: str) -> None:
    assert "cannot be converted to an int" in ansible(folder, tmp_path, "kubeconfig", {"bind_port": "x"})
    absent = {"ansible_python_interpreter": "/nonexistent/python3"}
    assert "'/nonexistent/python3' was not found" in ansible(folder, tmp_path, "kubeconfig", {"user": "root"}, **absent)
    token = "abcdef.0123456789abcdef"
    arguments = {"token": token, "endpoint": "192.0.2.1:6443", "taints": ["a=b:Nonsense"]}
    said = ansible(folder, tmp_path, "kubeadm_join", arguments, "--check", "-vvvv")
    assert "FAILED" in said
    # Ansible prints the command line's own arguments; nothing else may have it.
    assert token not in "".join(line for line in said.splitlines() if "'args':" not in line)
