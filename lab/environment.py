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

TOOLS = ROOT / "requirements-dev.txt"
OLDEST = ROOT / "requirements-oldest.txt"
OLDEST_PYTHON = "/usr/bin/pypy3"


def requirements_key(requirements: str, python: str) -> str:
    """A short name for an environment: the same for the same pins and the same Python, whatever the comments say."""
    pins = sorted(line.split("#", 1)[0].strip() for line in requirements.splitlines())
    text = "\n".join([python] + [pin for pin in pins if pin])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def ensure_venv() -> pathlib.Path:
    """The folder of the environment with the development tools, made when it is missing."""
    return _ensure(TOOLS, sys.executable, "venv", "ansible-core, linters, test tools")


def ensure_oldest() -> pathlib.Path:
    """The folder of the environment with pytest on the oldest Python there is, made when it is missing."""
    return _ensure(OLDEST, OLDEST_PYTHON, "oldest-python", "pytest on PyPy")


def _ensure(lock: pathlib.Path, python: str, feature: str, content: str) -> pathlib.Path:
    """An environment of ``python`` with the packages of a lock file, each checked against its hash."""
    if not os.path.exists(python):
        ensure(feature)
    version = run([python, "-c", "import sys; print(sys.base_prefix, sys.version)"]).stdout
    folder = cache_dir() / "venv" / requirements_key(lock.read_text(encoding="utf-8"), version)
    if (folder / ".complete").exists():
        return folder
    ensure(feature)
    with locked("venv"):
        if (folder / ".complete").exists():
            return folder
        with step(f"create the Python environment ({content})"):
            if folder.exists():
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            run([python, "-m", "venv", folder], show_failure=True)
            pip = [str(folder / "bin" / "pip"), "install", "-q", "--no-input", "--require-hashes", "-r", str(lock)]
            run(pip, show_failure=True)
            (folder / ".complete").write_text("", encoding="utf-8")
    return folder


def pip_configuration() -> Dict[str, str]:
    """The variable that names the user's pip configuration, for programs that run with another home folder."""
    if "PIP_CONFIG_FILE" in os.environ:
        return {"PIP_CONFIG_FILE": os.environ["PIP_CONFIG_FILE"]}
    for name in ("~/.config/pip/pip.conf", "~/.pip/pip.conf"):
        path = pathlib.Path(name).expanduser()
        if path.exists():
            return {"PIP_CONFIG_FILE": str(path)}
    return {}


def tool_environment(venv: pathlib.Path) -> Dict[str, str]:
    """The variables for tools of an environment: they find each other and the collection, and print no colours."""
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
