# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python keeps compiled files of the collection on the control machine, as it does for plugins that Ansible loads."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils import bytecode
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.test_node_payload import FOLDERS, ansible

PLUGINS = Path(bytecode.__file__).resolve().parents[1]
PACKAGE = "ansible_collections.kubestead.cluster.plugins"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_run_keeps_the_compiled_files_of_what_its_plugins_import(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "kept"))
    said = ansible(folder, tmp_path, "kubeconfig", {"user": "root"}, "--check")
    assert "n1 | " in said
    kept = {file.name.partition(".")[0] for file in (tmp_path / "kept").rglob("cluster/plugins/**/*.pyc")}
    imported = {"node_action", "node_payload", "kubeconfig", "redact", "untrusted"}
    assert imported <= kept


def test_only_files_of_the_collection_are_found() -> None:
    folder = [str(PLUGINS / "plugin_utils")]
    found = bytecode.Finder.find_spec(f"{PACKAGE}.plugin_utils.wakeups", folder)
    assert found and found.origin == str(PLUGINS / "plugin_utils/wakeups.py") and found.cached
    for name, path in (
        (f"{PACKAGE}.plugin_utils.plan", folder),
        (f"{PACKAGE}.plugin_utils.nothing", folder),
        (f"{PACKAGE}.plugin_utils", None),
        ("ansible_collections.example.other.plugins.plugin_utils.wakeups", folder),
        ("ansible.plugins.wakeups", folder),
    ):
        assert bytecode.Finder.find_spec(name, path) is None


def test_it_is_installed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    bytecode.keep()
    bytecode.keep()
    assert sys.meta_path.count(bytecode.Finder) == 1
