# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who imports whom below plugins. That of the development tools is in tests/unit/devtools/test_layers.py."""

from __future__ import annotations

import ast
import functools
import graphlib
import sys
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
COLLECTION = "ansible_collections.kubestead.cluster.plugins."

#: The packages of module_utils, lowest first. A package imports itself, those of its own line and those above it here.
LAYERS = (
    ("core",),
    ("host", "kube"),
    ("packages", "containerd", "etcd", "pod_network", "api_endpoint"),
    ("kubeadm",),
    ("observation", "preparation", "reset"),
)
#: What the kinds of plugins may import of the collection.
ALLOWED = {
    "module_utils": {"module_utils"},
    "modules": {"module_utils"},
    "plugin_utils": {"module_utils", "plugin_utils"},
    "action": {"module_utils", "plugin_utils"},
    "lookup": {"module_utils", "plugin_utils"},
    "doc_fragments": set(),
}
#: The one file of node code that imports Ansible.
EDGE = "module_utils.core.ansible_module"

Graph = dict[str, set[str]]


def files(plugins: Path) -> dict[str, Path]:
    """The files by their dotted names below plugins."""
    return {
        ".".join(path.relative_to(plugins).with_suffix("").parts): path
        for path in sorted(plugins.rglob("*.py"))
        if path.name != "__init__.py"
    }


@functools.cache
def imported(name: str, path: Path) -> tuple[str, ...]:
    """What a file imports anywhere, also inside functions and for types alone, as absolute dotted names."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = (COLLECTION + name).split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found += [f"{base}.{alias.name}" for alias in node.names]
    return tuple(found)


def graph(plugins: Path) -> Graph:
    """Each file -> the files of the collection that it imports. Fails for one that is not there."""
    known = files(plugins)
    found: Graph = {}
    for name, path in known.items():
        found[name] = set()
        for other in imported(name, path):
            if other.startswith(COLLECTION):
                inner = other[len(COLLECTION) :]
                # A name in a file, or the file itself.
                match = next((one for one in (inner, inner.rpartition(".")[0]) if one in known), "")
                assert match, f"{name} imports {inner}, which does not exist"
                found[name].add(match)
    return found


def layer(name: str) -> int:
    """The layer of a file of module_utils, 0 for the lowest."""
    package = name.split(".")[1]
    return next(number for number, packages in enumerate(LAYERS) if package in packages)


def backwards(found: Graph) -> set[str]:
    """The imports that lead up, from node code to the control machine's or to a higher package."""
    wrong = set()
    for name, others in found.items():
        for other in others:
            kind, target = name.split(".")[0], other.split(".")[0]
            up = kind == target == "module_utils" and layer(other) > layer(name)
            if target not in ALLOWED[kind] or up:
                wrong.add(f"{name} imports {other}")
    return wrong


def between_packages(found: Graph) -> Graph:
    """The packages that each package imports."""
    packages: Graph = {}
    for name, others in found.items():
        own = name.rpartition(".")[0] if name.count(".") > 1 else name
        for other in others:
            target = other.rpartition(".")[0] if other.count(".") > 1 else other
            if target != own:
                packages.setdefault(own, set()).add(target)
    return packages


def in_order(found: Graph) -> tuple[str, ...]:
    return tuple(graphlib.TopologicalSorter(found).static_order())


def foreign(plugins: Path) -> set[str]:
    """What node code imports that a node may lack."""
    wrong = set()
    for name, path in files(plugins).items():
        if name.split(".")[0] not in ("module_utils", "modules"):
            continue
        for other in imported(name, path):
            known = other.split(".")[0] in sys.stdlib_module_names or other.startswith(COLLECTION)
            edge = name == EDGE or name.startswith("modules.")
            if not known and not (edge and other.startswith("ansible.module_utils.")):
                wrong.add(f"{name} imports {other}")
    return wrong


def test_every_package_has_its_place() -> None:
    packages = {name.split(".")[1] for name in files(PLUGINS) if name.startswith("module_utils.")}
    assert packages == {package for packages in LAYERS for package in packages}
    assert {name.split(".")[0] for name in files(PLUGINS)} == set(ALLOWED)


def test_imports_lead_in_one_direction() -> None:
    found = graph(PLUGINS)
    assert sum(len(others) for others in found.values()) > 300
    assert backwards(found) == set()


def test_neither_files_nor_packages_import_each_other_in_a_circle() -> None:
    found = graph(PLUGINS)
    in_order(found)
    in_order(between_packages(found))


def test_node_code_imports_nothing_that_a_node_may_lack() -> None:
    assert foreign(PLUGINS) == set()


def test_no_file_is_long() -> None:
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in files(PLUGINS).items()}
    assert {name: lines for name, lines in lengths.items() if lines > 530} == {}


# -- the checks themselves


def tree(root: Path, texts: dict[str, str]) -> Path:
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("module_utils/core/a.py", "from ..kubeadm import state"),
        ("module_utils/kube/a.py", "from ..kubeadm.state import Done"),
        ("module_utils/host/a.py", "def f():\n    from ..kubeadm import state\n"),
        ("module_utils/host/a.py", f"from {COLLECTION}module_utils.kubeadm.state import Done"),
        ("module_utils/kubeadm/a.py", f"from {COLLECTION}plugin_utils.hosts import Host"),
        ("modules/a.py", f"from {COLLECTION}plugin_utils import hosts"),
        ("plugin_utils/a.py", f"from {COLLECTION}action import a"),
    ],
)
def test_an_import_that_leads_up_is_found(tmp_path: Path, path: str, text: str) -> None:
    texts = {"module_utils/kubeadm/state.py": "", "plugin_utils/hosts.py": "", "action/a.py": "", path: text}
    assert len(backwards(graph(tree(tmp_path, texts)))) == 1


def test_a_circle_of_files_or_packages_is_found(tmp_path: Path) -> None:
    texts = {"module_utils/core/a.py": "from . import b", "module_utils/core/b.py": "from .a import x"}
    with pytest.raises(graphlib.CycleError):
        in_order(graph(tree(tmp_path / "files", texts)))
    texts = {
        "module_utils/host/a.py": "from ..kube import b",
        "module_utils/kube/b.py": "",
        "module_utils/kube/c.py": "from ..host.d import x",
        "module_utils/host/d.py": "",
    }
    found = graph(tree(tmp_path / "packages", texts))
    in_order(found)
    with pytest.raises(graphlib.CycleError):
        in_order(between_packages(found))


@pytest.mark.parametrize("text", ["import yaml", "from ansible.errors import AnsibleError", "import ansible.plugins"])
def test_a_library_in_node_code_is_found(tmp_path: Path, text: str) -> None:
    assert len(foreign(tree(tmp_path, {"module_utils/core/a.py": text, "plugin_utils/b.py": text}))) == 1
