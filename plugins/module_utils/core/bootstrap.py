# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module from memory. Each program that runs on a node starts with the text of this file.

The program contains the files that a module needs as one packed text. Nothing is written to the node. Imports within
the collection are resolved from memory, even if a collection of the same name is installed on the node.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # If Python reads a program from standard input, it searches the current folder for imports first. The folder may
    # belong to a user of the node, so nothing is imported before this line.
    _beside = str(globals().get("__file__") or "").rpartition("/")[0]
    sys.path = [folder for folder in sys.path if folder not in ("", ".", _beside)]

import base64
import gc
import importlib
import json
import os
import zlib
from importlib.machinery import ModuleSpec
from typing import Any, Dict, Optional

ENTRY = "ansible_collections.kubestead.cluster.plugins.module_utils.core.node_program"
#: The oldest supported Python version.
OLDEST = (3, 8)


class Memory:
    """Finds and loads modules from sources in memory. Tracebacks show their source lines."""

    def __init__(self, sources: Dict[str, str]) -> None:
        self.sources = sources
        self.packages = {name.rpartition(".")[0] for name in sources}
        for name in list(self.packages):
            while "." in name:
                name = name.rpartition(".")[0]  # noqa: PLW2901
                self.packages.add(name)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Optional[ModuleSpec]:
        """The spec of this module or package; None if its source is not in memory."""
        if name in self.sources or name in self.packages:
            return ModuleSpec(name, self, origin=name, is_package=name in self.packages)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python create the module object."""

    def exec_module(self, module: Any) -> None:
        """Run the module's code. Packages have no code."""
        source = self.sources.get(module.__name__)
        if source is not None:
            exec(compile(source, self.filename(module.__name__), "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name: str) -> Optional[str]:
        """The source of a module, for tracebacks."""
        return self.sources.get(name)

    def filename(self, name: str) -> str:
        """The name of a module's file in the collection."""
        return name.replace(".", "/") + ".py"


def start(module: str, packed: str, arguments: str) -> None:
    """Unpack the sources, and run a module of the collection by its full name with its arguments (JSON)."""
    if sys.version_info < OLDEST:
        found = ".".join(str(part) for part in sys.version_info[:3])
        oldest = ".".join(str(part) for part in OLDEST)
        failure = "{0} is Python {1}; the collection needs {2} or newer. Set ansible_python_interpreter for this host"
        sys.stdout.write(json.dumps({"failed": True, "msg": failure.format(sys.executable, found, oldest)}) + "\n")
        raise SystemExit(1)
    try:
        os.getcwd()
    except OSError:
        # This user can't read the current folder: become has changed the user but not the folder.
        os.chdir("/")
    # Imports create no garbage, so the collector would search for it in vain. The program's entry enables it again.
    gc.disable()
    sys.meta_path.insert(0, Memory(json.loads(zlib.decompress(base64.b64decode(packed)))))
    importlib.import_module(ENTRY).main(module, arguments)
