# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python on a host: found by the command that runs the module, with a shell and with Ansible itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils import interpreter

ROOT = Path(__file__).resolve().parents[4]
#: Folders of other releases' programs may be named in this variable, separated by colons.
FOLDERS = [str(Path(sys.executable).parent), *filter(None, os.environ.get("KUBESTEAD_ANSIBLES", "").split(":"))]
# In place of ssh: writes down that it was called, and runs the command here.
SSH = '#!/bin/sh\nfor command; do :; done\necho called >>"{log}"\nexec /bin/sh -c "$command"\n'


def shell(names: list[str], arguments: str = "", text: str = "") -> subprocess.CompletedProcess[str]:
    command = interpreter.with_search(f"{interpreter.NAME} {arguments}", names)
    return subprocess.run(["/bin/sh", "-c", command], input=text, capture_output=True, encoding="utf-8")


def test_the_first_that_exists_is_started() -> None:
    done = shell(["/nonexistent/python3", "a b'c", sys.executable, "false"], text="import sys; print(sys.executable)")
    assert (done.stdout.strip(), done.stderr, done.returncode) == (sys.executable, "", 0)


def test_it_uses_only_its_standard_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not the standard library')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('code of the host')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    done = shell([sys.executable], text="import json, sys; print(json.dumps([sys.flags.isolated, sys.flags.no_site]))")
    assert (done.stdout.strip(), done.stderr) == ("[1, 1]", "")


def test_it_gets_the_arguments(tmp_path: Path) -> None:
    script = tmp_path / "module.py"
    script.write_text("import sys; print(sys.argv[1:]); sys.exit(3)")
    done = shell([sys.executable], f"'{script}' 'a b' c")
    assert (done.stdout.strip(), done.returncode) == ("['a b', 'c']", 3)


def test_without_python_the_module_fails_in_one_line() -> None:
    done = shell(["/nonexistent/python3"])
    answer = json.loads(done.stdout)
    assert answer["failed"] is True and "install python3" in answer["msg"] and done.returncode == 1


def test_quotes_do_not_multiply() -> None:
    assert interpreter.with_search(interpreter.NAME, ["python3.13", "/usr/bin/python3"]).count("'") == 2


def test_another_command_stays_as_it_is() -> None:
    assert interpreter.with_search("/usr/bin/python3.11 x", ["python3"]) == "/usr/bin/python3.11 x"


def test_what_was_found_before_takes_precedence() -> None:
    found = {interpreter.FACT: "/usr/bin/python3.11"}
    assert interpreter.with_name({"ansible_facts": found}, None)["ansible_facts"] == found


def test_the_given_variables_stay_as_they_are() -> None:
    given: dict[str, Any] = {
        "ansible_facts": {"x": 1},
        "ansible_delegated_vars": {"cp1": {"ansible_host": "192.0.2.1"}},
    }
    before = json.dumps(given)
    own, other = interpreter.with_name(given, None), interpreter.with_name(given, "cp1")
    assert json.dumps(given) == before
    assert own["ansible_facts"]["x"] == 1 and interpreter.FACT in own["ansible_facts"]
    # A delegated task runs with the interpreter of the other host.
    assert other["ansible_facts"] == {"x": 1}
    assert interpreter.FACT in other["ansible_delegated_vars"]["cp1"]["ansible_facts"]


# -- with Ansible itself, in each release that there is


def ansible(folder: str, tmp_path: Path, **variables: Any) -> tuple[str, int]:
    """What Ansible prints about a module of the collection, and how many commands it ran on the host."""
    log, ssh = tmp_path / "log", tmp_path / "ssh"
    ssh.write_text(SSH.format(log=log))
    ssh.chmod(0o755)
    variables = {"ansible_ssh_executable": str(ssh), "ansible_pipelining": True, **variables}
    arguments = {"expected": [{"name": "w1", "addresses": ["192.0.2.1"]}], "kubeconfig": str(tmp_path / "none")}
    done = subprocess.run(
        [f"{folder}/ansible", "n1", "-i", "n1,", "-m", "kubestead.cluster.cluster_nodes_info", "--check"]
        + ["-a", json.dumps(arguments), "-e", json.dumps(variables)],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path / "here"),
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr, len(log.read_text().splitlines())


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_module_takes_one_round_trip_on_a_new_host(tmp_path: Path, folder: str) -> None:
    pythons = ["/none/python3", sys.executable]
    said, commands = ansible(folder, tmp_path, ansible_interpreter_python_fallback=pythons)
    assert "n1 | SUCCESS" in said and '"name": "w1"' in said and commands == 1, said
    without = {
        "ansible_pipelining": False,
        "ansible_remote_tmp": str(tmp_path / "there"),
        "ansible_ssh_transfer_method": "piped",
    }
    said, _commands = ansible(folder, tmp_path, ansible_interpreter_python_fallback=pythons, **without)
    assert "n1 | SUCCESS" in said and '"name": "w1"' in said, said
    # Nothing but a path may become the fact that other modules use.
    assert interpreter.FACT not in said and interpreter.NAME not in said


@pytest.mark.parametrize("folder", FOLDERS)
def test_an_interpreter_of_the_inventory_is_used(tmp_path: Path, folder: str) -> None:
    said, commands = ansible(folder, tmp_path, ansible_python_interpreter="/nonexistent/python3")
    assert "'/nonexistent/python3' was not found" in said and commands == 1, said


@pytest.mark.parametrize("folder", FOLDERS)
def test_ansible_says_that_python_is_missing(tmp_path: Path, folder: str) -> None:
    said, _commands = ansible(folder, tmp_path, ansible_interpreter_python_fallback=["/none/python3"])
    assert "n1 | FAILED" in said and "install python3, or set ansible_python_interpreter" in said, said
