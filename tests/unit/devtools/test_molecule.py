# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Molecule scenarios on the same nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from devtools import molecule, testing


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What happened, in its order."""
    events: list[str] = []
    monkeypatch.setattr(molecule, "_remove_nodes", lambda: events.append("nodes removed"))
    return events


def test_scenarios_run_in_turn_between_removals_of_the_nodes_and_each_is_counted(
    removed: list[str], tmp_path: Path
) -> None:
    def run(name: str) -> int:
        removed.append(name)
        return 2 if name == "b" else 0

    assert molecule.run_all(["a", "b", "c"], tmp_path / "x" / "junit.xml", run) == 1
    assert removed == ["nodes removed", "a", "b", "c", "nodes removed"]
    counts = testing.count_junit((tmp_path / "x" / "junit.xml").read_text(encoding="utf-8"))
    assert counts.line() == "2 passed, 1 failed" and counts.failures == ["molecule::b"]
    assert molecule.run_all(["a"], tmp_path / "junit.xml", lambda _name: 0) == 0


def test_the_nodes_are_removed_when_the_scenarios_are_interrupted(removed: list[str], tmp_path: Path) -> None:
    def run(name: str) -> int:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        molecule.run_all(["a"], tmp_path / "junit.xml", run)
    assert removed == ["nodes removed"] * 2


def test_scenarios_on_the_same_nodes_keep_them_and_others_have_their_own() -> None:
    assert "--destroy=never" in molecule.argv("host", keep=True) and "--destroy=never" not in molecule.argv("host")
    shared = [molecule.environment(name, shared=True)["KUBESTEAD_MOLECULE_SET"] for name in ("host", "cni")]
    alone = [molecule.environment(name)["KUBESTEAD_MOLECULE_SET"] for name in ("host", "cni")]
    assert len(set(shared)) == 1 and len({*shared, *alone}) == 3
