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

    def ssh(self, host: str, command: str, check: bool = True) -> str:
        """Run a shell command on a node as root; its output."""
        facts = json.loads(
            subprocess.run(
                ["ansible-inventory", "-i", str(self.inventory), "--host", host],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
        )
        done = subprocess.run(
            [
                "ssh",
                *str(facts["ansible_ssh_common_args"]).split(),
                "-i",
                facts["ansible_ssh_private_key_file"],
                f"{facts['ansible_user']}@{facts['ansible_host']}",
                "sudo -n bash -c " + _quoted(command),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{host}: {command}: {done.stdout}")
        return done.stdout

    def kubectl(self, command: str, check: bool = True) -> str:
        """Run kubectl on the first control plane as root."""
        return self.ssh("cp1", f"kubectl --kubeconfig /etc/kubernetes/admin.conf {command}", check)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def dev(*arguments: str) -> None:
    """Run the project's own command."""
    subprocess.run([sys.executable, str(ROOT / "dev"), *arguments], check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three bare nodes; they are removed at the end unless KUBESTEAD_KEEP is set."""
    dev("nodes", "create", "--fresh", "--set", SET, "cp1", "w1", "w2")
    yield Lab(ROOT / ".lab" / SET / "hosts.yml", tmp_path_factory.mktemp("e2e"))
    if not os.environ.get("KUBESTEAD_KEEP"):
        dev("nodes", "destroy", "--set", SET)
