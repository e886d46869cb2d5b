# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as it is published: built from the checkout, then tested with what Galaxy and Ansible test it with.

``python -m devtools.collection sanity`` runs ansible-test sanity, ``… importer`` runs galaxy-importer. Both run in the
Python environment of the tools, without containers.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
import types
from typing import Dict, List, Optional, Sequence

from lab.environment import pip_configuration
from lab.machine import ROOT, MachineError, cache_dir, locked, run

PLACE = pathlib.Path("ansible_collections/kubestead/cluster")
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# ansible-test downloads this script to put pip into an empty environment. What Python itself ships does the same.
GET_PIP = "import ensurepip\n\nensurepip.bootstrap(default_pip=True)\n"


def build(folder: pathlib.Path, source: pathlib.Path = ROOT) -> pathlib.Path:
    """Build the collection's artifact into ``folder``; the file."""
    run(["ansible-galaxy", "collection", "build", "--output-path", folder, source], show_failure=True)
    return next(folder.glob("*.tar.gz"))


def home() -> pathlib.Path:
    """A home folder for ansible-test, which keeps its environments there; in the cache, with the script for pip."""
    from ansible_test._internal import python_requirements

    wanted: Dict[str, str] = python_requirements.get_venv_packages(types.SimpleNamespace(version=PYTHON))
    folder = cache_dir() / "ansible-test"
    script = folder / ".ansible/test/cache" / f"get_pip_{wanted['pip'].replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP, encoding="utf-8")
    return folder


def sanity(tests: Sequence[str] = ()) -> int:
    """Run ansible-test sanity on the artifact, all tests or the named ones; the exit code."""
    with tempfile.TemporaryDirectory(prefix="kubestead-sanity-") as name:
        folder = pathlib.Path(name)
        tree = folder / PLACE
        tree.mkdir(parents=True)
        run(["tar", "-xzf", build(folder), "-C", tree])
        # ansible-test asks git which files there are.
        for command in (["init", "-q"], ["add", "--all", "--force"]):
            run(["git", *command], cwd=tree)
        chosen = [word for test in tests for word in ("--test", test)]
        # Two at once would create the same environments.
        with locked("ansible-test"):
            return subprocess.run(
                ["ansible-test", "sanity", "--python", PYTHON, "--color", "no", *chosen],
                stdin=subprocess.DEVNULL,
                cwd=tree,
                env={**_environment(), **pip_configuration(), "HOME": str(home())},
            ).returncode


def importer() -> int:
    """Run galaxy-importer on the artifact; the exit code. Its warnings are failures."""
    # It would only print what ansible-lint finds, and that is a part of its own.
    environment = {**_environment(), "GALAXY_IMPORTER_RUN_ANSIBLE_LINT": "false"}
    with tempfile.TemporaryDirectory(prefix="kubestead-importer-") as name:
        artifact = build(pathlib.Path(name))
        argv = [sys.executable, "-m", "galaxy_importer.main", str(artifact)]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=name,
            env=environment,
            encoding="utf-8",
            errors="replace",
        )
    sys.stdout.write(done.stdout)
    return done.returncode or (1 if complaints(done.stdout) else 0)


def complaints(output: str) -> List[str]:
    """The warnings and errors in galaxy-importer's output."""
    return [line for line in output.splitlines() if line.startswith(("WARNING", "ERROR"))]


def _environment() -> Dict[str, str]:
    """Without the checkout's collection: the artifact is what is tested."""
    return {name: value for name, value in os.environ.items() if name != "ANSIBLE_COLLECTIONS_PATH"}


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run one of the commands."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["sanity"]:
        return sanity(words[1:])
    if words == ["importer"]:
        return importer()
    raise SystemExit("usage: python -m devtools.collection sanity [test ...] | importer")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except MachineError as error:
        sys.exit(str(error))
