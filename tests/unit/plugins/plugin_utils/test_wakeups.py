# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wakeups of Ansible's main process: fewer there, and as before in the processes that it starts."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils import wakeups

# Prints the slack of this process before and after, and that of a program which a forked process starts.
SCRIPT = """\
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("wakeups", sys.argv[1])
wakeups = importlib.util.module_from_spec(spec)
spec.loader.exec_module(wakeups)
def show():
    os.system("cat /proc/$PPID/timerslack_ns")
# The process that runs the tests has a larger slack when it has loaded an action plugin.
open("/proc/self/timerslack_ns", "w").write("50000")
show()
wakeups.group()
show()
if os.fork() == 0:
    os.execvp("cat", ["cat", "/proc/self/timerslack_ns"])
os.wait()
"""


@pytest.fixture
def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the timer slack of a process, with Linux's default."""
    path = tmp_path / "timerslack_ns"
    path.write_text("50000\n")
    monkeypatch.setattr(wakeups, "_FILE", str(path))
    return path


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """What is called in forked processes."""
    found: list[Callable[[], Any]] = []

    def register(*, after_in_child: Callable[[], Any]) -> None:
        found.append(after_in_child)

    monkeypatch.setattr(os, "register_at_fork", register)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a timer slack")
def test_the_kernel_groups_the_wakeups_of_the_main_process_alone() -> None:
    path = wakeups.__file__
    done = subprocess.run([sys.executable, "-c", SCRIPT, path], capture_output=True, encoding="utf-8", check=True)
    before, after, child = (int(line) for line in done.stdout.split())
    assert [before, after, child] == [50000, wakeups.SLACK, 50000]


def test_a_forked_process_gets_the_slack_of_before(slack: Path, hooks: list[Callable[[], Any]]) -> None:
    wakeups.group()
    assert slack.read_text() == str(wakeups.SLACK) and len(hooks) == 1
    hooks[0]()
    assert slack.read_text() == "50000"


def test_the_second_action_changes_nothing(slack: Path, hooks: list[Callable[[], Any]]) -> None:
    wakeups.group()
    wakeups.group()
    assert len(hooks) == 1


def test_a_larger_slack_stays(slack: Path, hooks: list[Callable[[], Any]]) -> None:
    slack.write_text("40000000\n")
    wakeups.group()
    assert slack.read_text() == "40000000\n" and not hooks


def test_a_process_for_a_task_keeps_its_slack(
    slack: Path, hooks: list[Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multiprocessing, "parent_process", object)
    wakeups.group()
    assert slack.read_text() == "50000\n" and not hooks


@pytest.mark.parametrize("text", [None, "", "no number\n"])
def test_a_system_without_timer_slack(slack: Path, hooks: list[Callable[[], Any]], text: str | None) -> None:
    slack.unlink()
    if text is not None:
        slack.write_text(text)
    wakeups.group()
    assert not hooks and (text is None or slack.read_text() == text)
