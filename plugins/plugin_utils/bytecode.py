# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python's bytecode files for the collection on the control machine, so that not every run compiles it again.

Ansible's loader for collections compiles each file whenever it is imported, which is two thirds of the time that the
imports of this collection take. Python's own loader, which Ansible uses for action plugins, reads the bytecode from
``__pycache__``, and writes it there if it can. The rules are those of any Python package: a source that was changed is
compiled again, and ``PYTHONDONTWRITEBYTECODE`` and ``PYTHONPYCACHEPREFIX`` have their usual effect.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from types import ModuleType

_PLUGINS = __name__.rpartition(".")[0].rpartition(".")[0]
# Plugins and modules are left to Ansible, and so are all packages.
_PREFIXES = tuple(f"{_PLUGINS}.{name}." for name in ("module_utils", "plugin_utils"))


class Finder:
    """Has Python's own loader load the files of the collection that are not plugins."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a module in one of the folders of its package; None for everything else."""
        if name.startswith(_PREFIXES):
            for folder in path or ():
                file = os.path.join(folder, name.rpartition(".")[2] + ".py")
                if os.path.isfile(file):
                    return spec_from_file_location(name, file)
        return None


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """While this context is active, the collection's files are imported with bytecode.

    It ends with the imports, because a plugin must not change how the rest of Ansible imports.
    """
    # Before Ansible's finder, which takes all names of collections. Another thread may be going through the list.
    sys.meta_path = [Finder, *sys.meta_path]
    try:
        yield
    finally:
        finders = list(sys.meta_path)
        finders.remove(Finder)
        sys.meta_path = finders
