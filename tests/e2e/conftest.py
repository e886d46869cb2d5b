# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set of lab nodes for the end-to-end tests, and a way to run playbooks on them and see what each task did."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devtools.testing import SHARING

from . import figures

ROOT = Path(__file__).resolve().parents[2]
SET = os.environ.get("KUBESTEAD_E2E_SET", "e2e")

# What a run may touch: if none of this differs, nothing was changed. Below kubelet/pods is what pods do meanwhile, and
# transient units are their cgroups, mounts and logins.
FOOTPRINT = (
    "find /etc /opt /usr/local/bin /var/lib/kubelet /var/lib/etcd /root /home -xdev -type f "
    "! -path '/home/*/.ansible/*' ! -path '/root/.ansible/*' "
    "! -path '/var/lib/kubelet/pods/*' -print0 2>/dev/null | sort -z | xargs -0 sha256sum; "
    "dpkg -l | sha256sum; ls /var/lib/apt/lists | sort | sha256sum; "
    "systemctl list-unit-files --no-pager --no-legend | grep -v transient | sha256sum; sysctl net.ipv4.ip_forward"
)
# Where etcd runs, it is at work always.
WITHOUT_ETCD = FOOTPRINT.replace(" -type f ", " -type f ! -path '/var/lib/etcd/member/*' ")


def eventually(what: Callable[[], bool], seconds: float = 60.0) -> bool:
    """True as soon as ``what`` is true; False when it never was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(1)
    return what()


# What Ansible warns of in a file of the collection, not what the collection warns of.
OWN_WARNING = re.compile(r"WARNING\]: [^\n]*\nOrigin: \S*/(?:roles|playbooks)/")


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
            # A group of its own, so that it can be killed with all its processes.
            start_new_session=True,
        )
        assert not OWN_WARNING.search(done.stdout), done.stdout
        rows = json.loads(tasks.read_text()) if tasks.exists() else []
        return Run(done.returncode, done.stdout, rows)

    def site(self, *arguments: str, **options: Any) -> Run:
        """Run site.yml."""
        return self.playbook("site.yml", *arguments, **options)

    def killed_at(self, task: int | str, *arguments: str, after: float = 0.0, playbook: str = "site.yml") -> bool:
        """Run a playbook and kill it and all its processes when its task ``task`` (number or name) begins,
        or ``after`` seconds later.

        False when it had fewer tasks. What it started on the nodes is not killed.
        """
        environment = {"ANSIBLE_CALLBACKS_ENABLED": "tasks,kill", "KUBESTEAD_KILL_AT": str(task)}
        if after:
            environment["KUBESTEAD_KILL_AFTER"] = str(after)
        run = self.playbook(playbook, *arguments, environment=environment)
        if run.code == -signal.SIGKILL:
            return True
        assert run.code == 0, run.output
        return False

    def module(self, host: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run a module of the collection on a host as root, alone; its result, also of one that failed."""
        result = self.folder / "result.json"
        tasks = [
            {f"kubestead.cluster.{name}": arguments, "register": "done", "ignore_errors": True, "no_log": True},
            {
                "ansible.builtin.copy": {"content": "{{ done | to_json }}", "dest": str(result), "mode": "0600"},
                "delegate_to": "localhost",
                "become": False,
                "no_log": True,
            },
        ]
        playbook = self.folder / "module.yml"
        playbook.write_text(json.dumps([{"hosts": host, "become": True, "gather_facts": False, "tasks": tasks}]))
        run = self.playbook(str(playbook))
        assert run.code == 0, run.output
        found: dict[str, Any] = json.loads(result.read_text())
        return found

    def variable(self, host: str, name: str) -> str:
        """A variable of a host in the inventory."""
        return str(self.variables(host)[name])

    def has_variable(self, host: str, name: str) -> bool:
        """Whether the inventory sets a variable of a host."""
        return name in self.variables(host)

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

    def variables(self, host: str) -> dict[str, Any]:
        """The variables of a host in the inventory."""
        return _variables(self.inventory, self.inventory.stat().st_mtime_ns, host)

    def _ssh_argv(self, host: str, command: str) -> list[str]:
        variables = self.variables(host)
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


# Tests ask for a node's address at every command; ansible-inventory takes half a second of CPU.
@functools.lru_cache(maxsize=256)
def _variables(inventory: Path, changed: int, host: str) -> dict[str, Any]:
    """The variables of a host in an inventory that was last ``changed`` at this time."""
    argv = ["ansible-inventory", "-i", str(inventory), "--host", host]
    found: dict[str, Any] = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout)
    return found


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of modules that use the same nodes first, in the order in which they build on each other."""
    order = {f"test_{name}": at for at, name in enumerate(SHARING)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted."""
    for line in figures.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three bare nodes."""
    yield from nodes("", ["cp1", "w1", "w2"], tmp_path_factory.mktemp("e2e"))


@pytest.fixture(scope="session")
def cluster_lab(lab: Lab) -> Lab:
    """The same nodes with a cluster on them, which they have already after the tests of the main job."""
    run = lab.site()
    assert run.code == 0, run.output
    return lab
