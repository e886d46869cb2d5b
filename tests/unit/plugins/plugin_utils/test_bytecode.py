# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytecode on the control machine: the second run reads what the first has compiled, and never anything older."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils import bytecode

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
# Prints the files that Python compiles while Ansible loads an action plugin, and whether the plugin is usable.
SCRIPT = """\
import builtins, sys
from ansible.plugins.loader import action_loader, init_plugin_loader
init_plugin_loader([sys.argv[1]])
compiled, compile_ = set(), builtins.compile
sys.addaudithook(lambda event, args: event == "compile" and compiled.add(str(args[1])))
plugin = action_loader.get("kubestead.cluster." + sys.argv[2], class_only=True)
print(*sorted(name.partition("/cluster/")[2] for name in compiled if "/cluster/plugins/" in name), sep="\\n")
print(plugin.__name__)
"""


@pytest.fixture
def collections(tmp_path: Path) -> Path:
    """A folder of collections with a copy of this one."""
    copy = tmp_path / "ansible_collections/kubestead/cluster"
    shutil.copytree(PLUGINS, copy / "plugins", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(PLUGINS.parent / "meta", copy / "meta")
    return tmp_path


def loaded(collections: Path, plugin: str, **environment: str) -> list[str]:
    """The files of the collection that are compiled while a new process loads an action plugin."""
    keep = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(collections), plugin],
        env={**keep, "ANSIBLE_COLLECTIONS_PATH": str(collections), **environment},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    *compiled, name = done.stdout.split()
    assert name == "ActionModule"
    return compiled


def utilities(compiled: list[str]) -> list[str]:
    return [name for name in compiled if name.startswith(("plugins/module_utils/", "plugins/plugin_utils/"))]


def test_only_a_changed_file_is_compiled_again(collections: Path) -> None:
    first = utilities(loaded(collections, "node_info"))
    # It is imported before it can take effect.
    own = ["plugins/plugin_utils/bytecode.py"]
    assert len(first) > 100 and utilities(loaded(collections, "node_info")) == own
    changed = "plugins/module_utils/core/step.py"
    with (collections / "ansible_collections/kubestead/cluster" / changed).open("a") as file:
        file.write("\n# A change.\n")
    assert utilities(loaded(collections, "node_info")) == [changed, *own]


def test_nothing_is_written_where_python_shall_not(collections: Path) -> None:
    first = utilities(loaded(collections, "node_info", PYTHONDONTWRITEBYTECODE="1"))
    assert not list(collections.glob("**/__pycache__"))
    assert utilities(loaded(collections, "node_info")) == first


def test_imports_are_as_before_afterwards() -> None:
    before = list(sys.meta_path)
    seen_by_a_thread = iter(sys.meta_path)
    with pytest.raises(ImportError), bytecode.kept():
        assert sys.meta_path[1:] == before
        raise ImportError
    assert sys.meta_path == before
    assert list(seen_by_a_thread) == before
