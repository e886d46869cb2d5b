# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab asks of a machine: apt sources, packages, the key of the Python environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import machine
from lab.machine import MachineError

DEB822 = """\
Types: deb deb-src
# a comment between the fields
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://mirror.test/security
Suites: bookworm-security
Components: main contrib
Enabled: no
"""

ONE_LINE = """\
deb http://mirror.test/debian bookworm main  # the usual one
deb-src http://mirror.test/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://vendor.test/apt vendor-bookworm main
deb [arch=amd64] https://docker.test/debian bookworm stable
#deb http://mirror.test/debian bookworm-backports main
"""


def test_only_the_releases_own_enabled_binary_sources_are_taken() -> None:
    found = machine.release_sources({"a.sources": DEB822, "b.list": ONE_LINE}, "bookworm")
    assert found == [
        "deb [signed-by=/usr/share/keyrings/archive.gpg] http://mirror.test/debian bookworm main",
        "deb [signed-by=/usr/share/keyrings/archive.gpg] http://mirror.test/debian bookworm-updates main",
        "deb http://mirror.test/debian bookworm main",
    ]


def test_another_release_with_the_same_beginning_is_another_release() -> None:
    assert machine.release_sources({"a.list": "deb http://m.test/d bookwormish main"}, "bookworm") == []


def test_the_code_name_comes_from_os_release() -> None:
    assert machine.codename('ID=debian\nVERSION_CODENAME=bookworm\nNAME="x"\n') == "bookworm"
    with pytest.raises(MachineError, match="VERSION_CODENAME"):
        machine.codename("ID=debian\n")


def test_the_environments_key_is_of_pins_and_python_only() -> None:
    key = machine.requirements_key("a==1\nb==2\n", "3.11")
    assert key == machine.requirements_key("# note\nb==2  # why\n\na==1", "3.11")
    assert key != machine.requirements_key("a==1\nb==3\n", "3.11")
    assert key != machine.requirements_key("a==1\nb==2\n", "3.12")


def test_every_development_tool_is_pinned_exactly() -> None:
    lines = machine.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if not machine.re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9.]*", line)] == []


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
