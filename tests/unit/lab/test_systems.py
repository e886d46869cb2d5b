# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operating systems of nodes, and the sources of their packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import nodes, private_apt, systems
from lab.machine import MachineError
from lab.nodes import Options
from lab.systems import SYSTEMS, System

OWN = [
    "deb [signed-by=/k/bookworm.gpg] http://a.test/debian bookworm main",
    "deb http://a.test/debian bookworm-updates main",
    "deb http://a.test/bookworm-security bookworm-security main",
]


def test_another_release_comes_from_the_same_hosts_with_the_same_keys() -> None:
    assert systems.system_sources(SYSTEMS["debian13"], OWN, "bookworm") == [
        "deb [signed-by=/k/bookworm.gpg] http://a.test/debian trixie main",
        "deb http://a.test/debian trixie-updates main",
        "deb http://a.test/bookworm-security trixie-security main",
    ]
    assert systems.system_sources(SYSTEMS["debian12"], OWN, "bookworm") == OWN


def test_newer_packages_come_from_testing_and_nothing_else_does() -> None:
    newer = SYSTEMS["debian13+containerd2"]
    added = systems.system_sources(newer, OWN, "bookworm")[len(OWN) :]
    assert added == ["deb [signed-by=/k/bookworm.gpg] http://a.test/debian testing main"]
    assert systems.preferences(newer) == (
        "Package: *\nPin: release a=testing\nPin-Priority: 100\n\n"
        "Package: containerd runc\nPin: release a=testing\nPin-Priority: 990\n"
    )
    assert systems.preferences(SYSTEMS["debian13"]) == ""


def test_the_private_apt_uses_the_systems_sources_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systems, "apt_sources", lambda: OWN)
    monkeypatch.setattr(systems, "own_release", lambda: "bookworm")
    apt = private_apt.PrivateApt(tmp_path, system=SYSTEMS["debian13+containerd2"])
    assert "trixie main" in (tmp_path / "sources.list").read_text()
    assert "Pin: release a=testing" in (tmp_path / "preferences").read_text()
    assert f"Dir::Etc::Preferences={tmp_path}/preferences" in apt.options()
    private_apt.PrivateApt(tmp_path)
    assert (tmp_path / "sources.list").read_text() == "\n".join(OWN) + "\n"
    assert (tmp_path / "preferences").read_text() == ""


def test_the_last_system_is_that_of_all_further_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [system.name for system in systems.chosen(["debian12", "debian13"], 3)] == [
        "debian12",
        "debian13",
        "debian13",
    ]
    with pytest.raises(MachineError, match="2 systems are named for 1 nodes"):
        systems.chosen(["debian12", "debian13"], 1)
    with pytest.raises(MachineError, match="system debian7 is unknown; the lab knows debian12, debian13"):
        systems.chosen(["debian7"], 1)
    monkeypatch.setattr(systems, "own_release", lambda: "trixie")
    assert systems.chosen([], 2) == [SYSTEMS["debian13"]] * 2
    monkeypatch.setattr(systems, "own_release", lambda: "noble")
    assert systems.chosen([], 1) == [System("noble", "noble")]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_node_takes_its_packages_from_the_mirrors_folder_of_its_system(name: str) -> None:
    assert nodes.apt_source(Options(), SYSTEMS[name]) == f"deb [trusted=yes] http://mirror.lab.test/debian/{name} ./\n"


def test_without_a_mirror_a_node_takes_its_packages_where_this_machine_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key of this machine's archive is that of the node's own."""
    monkeypatch.setattr(systems, "apt_sources", lambda: OWN[:2])
    monkeypatch.setattr(systems, "own_release", lambda: "bookworm")
    assert nodes.apt_source(Options(machine_apt=True), SYSTEMS["debian13"]) == (
        "deb http://a.test/debian trixie main\ndeb http://a.test/debian trixie-updates main\n"
    )
