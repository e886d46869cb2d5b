# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that are none, programs of users, and a umask of root: what a machine may be prepared with beforehand."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import (
    MAX_FILE,
    PROGRAMS,
    Result,
    System,
    run_process,
    search_path,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine


@pytest.fixture
def no_hang() -> Iterator[None]:
    """A read that never ends fails the test, and does not stop the others."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError("the read hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.usefixtures("no_hang")
def test_what_is_not_a_regular_file_is_not_read(machine: Machine) -> None:
    os.mkfifo(machine.path("/fifo"))
    os.mkdir(machine.path("/folder"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(machine.path("/socket"))
        for name in ("/dev/zero", "/dev/tty", "/dev/full"):
            os.symlink(name, machine.path("/" + name.rpartition("/")[2]))
        for path in ("/fifo", "/folder", "/socket", "/zero", "/tty", "/full", "/nothing", "/a\0b"):
            assert machine.read(path) is None, path


def test_a_unit_that_is_masked_reads_as_empty(machine: Machine) -> None:
    os.symlink("/dev/null", machine.path("/masked"))
    assert machine.read("/masked") == ""


def test_a_huge_file_is_not_read_into_memory(machine: Machine) -> None:
    machine.put("/small", "a" * 100)
    assert machine.read("/small", limit=100) == "a" * 100
    assert machine.read("/small", limit=99) is None
    with open(machine.path("/huge"), "wb") as handle:
        handle.truncate(MAX_FILE + 1)
    assert machine.read("/huge") is None


def test_files_without_a_size_and_files_that_are_no_text_are_read(machine: Machine) -> None:
    assert System().read("/proc/self/stat")
    Path(machine.path("/bytes")).write_bytes(b"\xff\r\nb\rc")
    assert machine.read("/bytes") == "\ufffd\nb\nc"


def test_programs_of_the_system_come_before_those_of_a_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evil = tmp_path / "id"
    evil.write_text("#!/bin/sh\necho evil\n")
    evil.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin")
    assert System().run(["id", "-u"]).stdout.strip() == str(os.getuid())


def test_relative_folders_and_the_present_one_are_no_place_for_programs() -> None:
    assert search_path("") == ":".join(PROGRAMS)
    assert search_path(":.:bin:/opt/bin:/usr/bin:") == ":".join([*PROGRAMS, "/opt/bin"])


def test_commands_get_that_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def run(argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
        seen.append(env["PATH"])
        return run_process(argv, stdin, timeout, env)

    monkeypatch.setenv("PATH", f"{tmp_path}:.")
    assert System(run).run(["true"]).ok
    assert seen == [":".join([*PROGRAMS, str(tmp_path)])]


def test_folders_and_files_have_their_modes_whatever_the_umask(machine: Machine) -> None:
    before = os.umask(0o077)
    try:
        machine.write("/etc/apt/keyrings/k.asc", "key")
    finally:
        os.umask(before)
    modes = [machine.mode(path) for path in ("/etc", "/etc/apt", "/etc/apt/keyrings", "/etc/apt/keyrings/k.asc")]
    assert modes == [0o755, 0o755, 0o755, 0o644]


def test_a_sysctl_of_the_kernel_is_read() -> None:
    assert (System().read("/proc/sys/kernel/ostype") or "").strip() == "Linux"
