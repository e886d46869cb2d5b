# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who imports whom among the packages of the checkout: devtools -> bench -> lab, and no cycles of modules."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path
from typing import Dict, Set

import pytest

ROOT = Path(__file__).resolve().parents[3]
# A package may import those after it.
LAYERS = ("devtools", "bench", "lab")


def modules(root: Path) -> Dict[str, Path]:
    """The modules of the layers, by their dotted names."""
    found = {}
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(root: Path) -> Dict[str, Set[str]]:
    """Each module -> the modules of the layers that it imports anywhere, also inside functions."""
    known = modules(root)
    found: Dict[str, Set[str]] = {}
    for name, path in known.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        names: Set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                base = ".".join([*above, *filter(None, [node.module])])
                # `from package import module` imports the module; a name in the package is the package itself.
                names |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in known else base for alias in node.names}
        found[name] = {other for other in names if other in known and other != name}
    return found


def backwards(found: Dict[str, Set[str]]) -> Set[str]:
    """The imports that lead from a layer to one above it."""
    return {
        f"{name} imports {other}"
        for name, others in found.items()
        for other in others
        if LAYERS.index(other.split(".")[0]) < LAYERS.index(name.split(".")[0])
    }


def test_every_layer_imports_only_those_below_it() -> None:
    found = imports(ROOT)
    assert {name.split(".")[0] for name in found} == set(LAYERS)
    assert backwards(found) == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    tuple(graphlib.TopologicalSorter(imports(ROOT)).static_order())


def write(root: Path, files: Dict[str, str]) -> Path:
    """A tree of modules."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "text",
    ["import bench.run", "from bench import run", "from bench.run import x", "def f():\n    from bench import run\n"],
)
def test_an_import_of_a_layer_above_is_found(tmp_path: Path, text: str) -> None:
    root = write(tmp_path, {"bench/__init__.py": "", "bench/run.py": "", "lab/a.py": text})
    assert backwards(imports(root)) == {"lab.a imports bench.run"}


def test_a_circle_is_found(tmp_path: Path) -> None:
    root = write(tmp_path, {"lab/m/__init__.py": "", "lab/m/a.py": "from ..b import x", "lab/b.py": "from .m import a"})
    with pytest.raises(graphlib.CycleError):
        tuple(graphlib.TopologicalSorter(imports(root)).static_order())
