# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set of lab nodes for the end-to-end tests, and a way to run playbooks on them and see what each task did."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SET = os.environ.get("KUBESTEAD_E2E_SET", "e2e")


@dataclass
class Run:
    """A finished playbook."""

    code: int
    output: str
    tasks: list[dict[str, Any]] = field(default_factory=list)

    def changed(self) -> dict[str, list[str]]:
        """The changed tasks of each host."""
        found: dict[str, list[str]] = {}
        for row in self.tasks:
            if row["changed"]:
                found.setdefault(row["host"], []).append(row["task"])
        return found

    def remote(self, host: str) -> list[str]:
        """The tasks that ran on a host itself, for whichever host they were."""
        return [row["task"] for row in self.tasks if row["on"] == host and not row["local"]]


@dataclass
class Lab:
    """The nodes and their inventory."""

    inventory: Path
    folder: Path

    def playbook(self, name: str, *arguments: str, environment: dict[str, str] | None = None, cwd: Path = ROOT) -> Run:
        """Run a playbook over SSH, as a user would."""
        tasks = self.folder / "tasks.json"
        tasks.unlink(missing_ok=True)
        done = subprocess.run(
            ["ansible-playbook", "-i", str(self.inventory), name, *arguments],
            cwd=cwd,
            env={
                **os.environ,
                "ANSIBLE_NOCOLOR": "1",
                "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "tests/e2e/callback_plugins"),
                "ANSIBLE_CALLBACKS_ENABLED": "tasks",
                "KUBESTEAD_TASKS": str(tasks),
                **(environment or {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        rows = json.loads(tasks.read_text()) if tasks.exists() else []
        return Run(done.returncode, done.stdout, rows)

    def site(self, *arguments: str, **options: Any) -> Run:
        """Run site.yml."""
        return self.playbook("site.yml", *arguments, **options)

    def variable(self, host: str, name: str) -> str:
        """A variable of a host in the inventory."""
        return str(self._variables(host)[name])

    def ssh(self, host: str, command: str, check: bool = True) -> str:
        """Run a shell command on a node as root; its output."""
        done = subprocess.run(
            self._ssh_argv(host, command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{host}: {command}: {done.stdout}")
        return done.stdout

    def start(self, host: str, command: str) -> subprocess.Popen[bytes]:
        """Run a shell command on a node as root in the background."""
        argv = self._ssh_argv(host, command)
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _variables(self, host: str) -> dict[str, Any]:
        argv = ["ansible-inventory", "-i", str(self.inventory), "--host", host]
        found: dict[str, Any] = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout)
        return found

    def _ssh_argv(self, host: str, command: str) -> list[str]:
        variables = self._variables(host)
        return [
            "ssh",
            *str(variables["ansible_ssh_common_args"]).split(),
            "-i",
            variables["ansible_ssh_private_key_file"],
            f"{variables['ansible_user']}@{variables['ansible_host']}",
            "sudo -n bash -c " + _quoted(command),
        ]

    def kubectl(self, command: str, check: bool = True) -> str:
        """Run kubectl on the first control plane as root."""
        return self.ssh("cp1", f"kubectl --kubeconfig /etc/kubernetes/admin.conf {command}", check)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def dev(*arguments: str) -> None:
    """Run the project's own command."""
    subprocess.run([sys.executable, str(ROOT / "dev"), *arguments], check=True, stdin=subprocess.DEVNULL)


def nodes(part: str, names: list[str], folder: Path, *options: str) -> Iterator[Lab]:
    """A set of bare nodes for a part of the tests; they are removed at the end unless KUBESTEAD_KEEP is set."""
    set_name = f"{SET}-{part}" if part else SET
    dev("nodes", "create", "--fresh", "--set", set_name, *options, *names)
    yield Lab(ROOT / ".lab" / set_name / "hosts.yml", folder)
    if not os.environ.get("KUBESTEAD_KEEP"):
        dev("nodes", "destroy", "--set", set_name)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three bare nodes."""
    yield from nodes("", ["cp1", "w1", "w2"], tmp_path_factory.mktemp("e2e"))
