# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python environments of the development tools: made once per lock file, and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import sys
from typing import Dict

from .machine import ROOT, cache_dir, ensure, locked, run, search_path
from .say import step

REQUIREMENTS = ROOT / "requirements-dev.txt"


def requirements_key(requirements: str, python: str) -> str:
    """A short name for an environment: the same for the same pins and the same Python, whatever the comments say."""
    pins = sorted(line.split("#", 1)[0].strip() for line in requirements.splitlines())
    text = "\n".join([python] + [pin for pin in pins if pin])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def ensure_venv() -> pathlib.Path:
    """The folder of the Python environment with everything in requirements-dev.txt, made when it is not there."""
    key = requirements_key(REQUIREMENTS.read_text(encoding="utf-8"), f"{sys.base_prefix} {sys.version}")
    folder = cache_dir() / "venv" / key
    if (folder / ".complete").exists():
        return folder
    ensure("venv")
    with locked("venv"):
        if (folder / ".complete").exists():
            return folder
        with step("make the Python environment (ansible-core, linters, test tools)"):
            if folder.exists():
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            run([sys.executable, "-m", "venv", str(folder)])
            run([str(folder / "bin" / "pip"), "install", "-q", "--no-input", "-r", str(REQUIREMENTS)])
            (folder / ".complete").write_text("", encoding="utf-8")
    return folder


def tool_environment(venv: pathlib.Path) -> Dict[str, str]:
    """The environment for tools of the Python environment: they find each other and the collection, without colours."""
    return {
        **os.environ,
        "PATH": f"{venv / 'bin'}:{search_path(os.environ.get('PATH', ''))}",
        "VIRTUAL_ENV": str(venv),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "NO_COLOR": "1",
        "PY_COLORS": "0",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MOLECULE_GLOB": "molecule/*/molecule.yml",
        # No inventory of nodes for the playbooks that make and remove them.
        "MOLECULE_ANSIBLE_ARGS_STRICT_MODE": "1",
        "LC_ALL": "C.UTF-8",
    }
