# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection as it is published, and how it is tested."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from devtools import collection
from lab.machine import MachineError


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools of this environment."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def test_users_get_the_collection_and_not_the_tools_of_its_developers(tmp_path: Path) -> None:
    with tarfile.open(collection.build(tmp_path)) as tar:
        names = tar.getnames()
    for name in (
        "playbooks/site.yml",
        "README.md",
        "meta/runtime.yml",
        "plugins/modules",
        "inventories/example",
        "docs",
    ):
        assert name in names
    theirs = ("bench", "collections", "dev", "devtools", "inventories/lab", "lab", "molecule", "pyproject.toml")
    theirs += ("tests/e2e", "tests/unit", "requirements-dev.txt")
    assert [name for name in names if name.startswith(".")] == []
    assert [name for name in names for other in theirs if name == other or name.startswith(f"{other}/")] == []


def test_a_tree_that_is_not_a_collection_is_not_built(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="ansible-galaxy collection build"):
        collection.build(tmp_path, tmp_path)


def test_pip_is_installed_without_a_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ansible-test finds the script under the name of the version that it wants."""
    from ansible_test._util.target.setup import requirements

    monkeypatch.setenv("KUBESTEAD_CACHE", str(tmp_path))
    home = collection.home()
    scripts = list((home / ".ansible/test/cache").iterdir())
    assert len(scripts) == 1
    monkeypatch.setenv("HOME", str(home))
    ran = []
    monkeypatch.setattr(requirements, "download_file", lambda url, path: pytest.fail(f"{url} was downloaded"))
    monkeypatch.setattr(requirements, "execute_command", lambda command, env: ran.append(env["GET_PIP"]))
    version = scripts[0].stem.removeprefix("get_pip_").replace("_", ".")
    options = {"pip_version": version, "packages": [], "setuptools": False, "wheel": False}
    requirements.bootstrap("pip", options)
    assert ran == [str(scripts[0])]

    empty = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", empty], check=True)
    subprocess.run([empty / "bin/python", scripts[0]], check=True, stdout=subprocess.DEVNULL)
    assert subprocess.run([empty / "bin/python", "-m", "pip", "--version"], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("print('Loading role x')", 0),
        ("print('WARNING: no changelog')", 1),
        ("print('ERROR: no readme'); raise SystemExit(1)", 1),
        ("raise SystemExit(3)", 3),
    ],
)
def test_a_warning_of_the_importer_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], script: str, code: int
) -> None:
    (tmp_path / "galaxy_importer").mkdir()
    (tmp_path / "galaxy_importer/__init__.py").touch()
    (tmp_path / "galaxy_importer/main.py").write_text(script, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(collection, "build", lambda folder: folder / "x.tar.gz")
    assert collection.main(["importer"]) == code
    if "print" in script:
        assert capsys.readouterr().out


def test_a_command_that_is_unknown_is_refused() -> None:
    with pytest.raises(SystemExit, match="usage"):
        collection.main(["publish"])
