# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab asks of a machine: packages, folders and commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import machine
from lab.machine import MachineError


def test_missing_packages_are_those_whose_proof_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.touch()
    table = {
        "x": ((str(here), "have"), (str(tmp_path / "no"), "zlack"), ("no-such-command-anywhere", "lack")),
        "y": (("import json", "json"), ("import no_such_module_anywhere", "lack")),
    }
    monkeypatch.setattr(machine, "FEATURES", table)
    assert machine.missing_packages(["x", "y"]) == ["lack", "zlack"]
    with pytest.raises(MachineError, match="feature z is unknown"):
        machine.missing_packages(["z"])


def test_nothing_is_run_when_nothing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "FEATURES", {"x": (("/", "base-files"),)})
    monkeypatch.setattr(machine, "_apt", lambda *_: pytest.fail("apt was called"))
    machine.ensure("x")


def test_the_cache_can_be_named() -> None:
    assert machine.cache_dir({"KUBESTEAD_CACHE": "/elsewhere"}) == Path("/elsewhere")
    assert machine.cache_dir({}) == Path.home() / ".cache/kubestead"


def test_the_sbin_folders_are_added_once() -> None:
    assert machine.search_path("/usr/bin:/sbin") == "/usr/bin:/sbin:/usr/local/sbin:/usr/sbin"


def test_a_command_that_fails_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    script = "echo out; for i in 1 2 3 4 5; do echo line $i >&2; done; exit 3"
    with pytest.raises(MachineError, match=r"^sh -c .* failed with code 3: line 2 \| line 3 \| line 4 \| line 5$"):
        machine.run(["sh", "-c", script])
    assert capsys.readouterr().out == ""
    with pytest.raises(MachineError):
        machine.run(["sh", "-c", script], show_failure=True)
    assert capsys.readouterr().out == "out\nline 1\nline 2\nline 3\nline 4\nline 5\n"
    assert machine.run(["sh", "-c", script], check=False).returncode == 3


def test_a_command_gets_its_input_and_no_other() -> None:
    assert machine.run(["cat"], input="given").stdout == "given"
    assert machine.run(["cat"]).stdout == ""


def test_a_command_that_is_missing_or_hangs_is_named() -> None:
    with pytest.raises(MachineError, match="no-such-command is not installed"):
        machine.run(["no-such-command"])
    with pytest.raises(MachineError, match="sleep 60 took longer than 0 s"):
        machine.run(["sleep", "60"], timeout=0.1)
