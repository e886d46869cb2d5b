# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compiled files of the collection on the control machine.

Ansible compiles the files that plugins of a collection import again in every run, because its loader of collections
does not read or write compiled files (``__pycache__``). That is a tenth of the CPU time of a run with nothing to do.
Here, Python itself loads these files, in the way in which Ansible loads the plugins: it keeps a compiled file where the
folder can be written, and follows PYTHONDONTWRITEBYTECODE and PYTHONPYCACHEPREFIX.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from typing import Any

_PACKAGE = __name__.rpartition(".plugin_utils.")[0] + "."


class Finder:
    """Finds the files below the folder ``plugins`` of the collection. Its packages are left to Ansible."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, _target: Any = None) -> ModuleSpec | None:
        """The spec of a file of the collection in the first folder of its package; None for everything else."""
        if not path or not name.startswith(_PACKAGE):
            return None
        file = os.path.join(path[0], name.rpartition(".")[2] + ".py")
        return spec_from_file_location(name, file) if os.path.isfile(file) else None


def keep() -> None:
    """Let Python load the files of the collection from now on. Further calls have no effect."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)
