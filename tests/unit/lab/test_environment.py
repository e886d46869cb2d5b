# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python environments of the development tools."""

from __future__ import annotations

import hashlib
import re
import subprocess
import zipfile
from pathlib import Path
from typing import List, Sequence

import pytest

from lab import environment
from lab.machine import MachineError


def test_the_environments_key_is_of_pins_and_python_only() -> None:
    key = environment.requirements_key("a==1\nb==2\n", "3.11")
    assert key == environment.requirements_key("# note\nb==2  # why\n\na==1", "3.11")
    assert key != environment.requirements_key("a==1\nb==3\n", "3.11")
    assert key != environment.requirements_key("a==1\nb==2\n", "3.12")


LOCKS = pytest.mark.parametrize("lock", [environment.TOOLS, environment.OLDEST], ids=lambda path: path.name)


@LOCKS
def test_every_package_is_pinned_and_has_hashes(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    packages = re.split(r"\n(?=[a-z0-9])", re.sub(r"(?m)^ *#.*\n", "", text).strip())
    assert len(packages) > 5
    for package in packages:
        assert re.fullmatch(r"[a-z0-9._-]+==[0-9][0-9a-z.]*( \\\n    --hash=sha256:[0-9a-f]{64})+", package), package
    assert "://" not in text, "an address: where packages come from is the machine's own setting"


@LOCKS
def test_the_lock_has_what_was_asked_for(lock: Path) -> None:
    wanted = lock.with_suffix(".in").read_text(encoding="utf-8").splitlines()
    pins = [line for line in wanted if line and not line.startswith("#")]
    assert pins and all(re.fullmatch(r"[A-Za-z0-9-]+==[0-9.]+", pin) for pin in pins)
    locked = set(re.findall(r"(?m)^[a-z0-9._-]+==[0-9a-z.]+", lock.read_text(encoding="utf-8")))
    assert {pin.lower() for pin in pins} <= locked


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> List[str]:
    """What would be run, in a cache of its own."""
    ran: List[str] = []

    def run(argv: Sequence[object], **_: object) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in argv]
        ran.append(" ".join(words[1:]))
        if words[1:3] == ["-m", "venv"]:
            Path(words[3]).mkdir()
        return subprocess.CompletedProcess(words, 0, f"python {words[0]}", "")

    monkeypatch.setenv("KUBESTEAD_CACHE", str(tmp_path))
    monkeypatch.setattr(environment, "run", run)
    monkeypatch.setattr(environment, "ensure", lambda *_: None)
    return ran


def test_an_environment_is_made_once_with_checked_hashes(commands: List[str]) -> None:
    first = environment.ensure_venv()
    assert commands[-1] == f"install -q --no-input --require-hashes -r {environment.TOOLS}"
    count = len(commands)
    assert environment.ensure_venv() == first
    assert not any("install" in command for command in commands[count:])
    assert environment.ensure_oldest() != first
    assert commands[-1].endswith(f"--require-hashes -r {environment.OLDEST}")


def test_an_environment_that_was_interrupted_is_made_again(commands: List[str]) -> None:
    folder = environment.ensure_venv()
    (folder / ".complete").unlink()
    (folder / "half").touch()
    assert environment.ensure_venv() == folder
    assert not (folder / "half").exists()


def wheel(folder: Path) -> str:
    """Place a package in a folder that pip uses as its index. Returns its hash."""
    path = folder / "demo-1.0-py3-none-any.whl"
    info = "demo-1.0.dist-info"
    files = {
        "demo.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: demo\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_package_with_another_hash_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The installer itself, with an index that offers another file than the lock has."""
    index, lock = tmp_path / "index", tmp_path / "lock.txt"
    index.mkdir()
    right = wheel(index)
    monkeypatch.setenv("KUBESTEAD_CACHE", str(tmp_path / "cache"))
    for name, value in (("PIP_NO_INDEX", "1"), ("PIP_FIND_LINKS", str(index)), ("PIP_CONFIG_FILE", "/dev/null")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(environment, "ensure", lambda *_: None)
    monkeypatch.setattr(environment, "TOOLS", lock)
    lock.write_text(f"demo==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    with pytest.raises(MachineError) as caught:
        environment.ensure_venv()
    captured = capfd.readouterr()
    assert "DO NOT MATCH THE HASHES" in captured.out + captured.err + str(caught.value)
    assert not list(tmp_path.glob("cache/venv/*/.complete")) and not list(tmp_path.rglob("demo.py"))
    lock.write_text(f"demo==1.0 --hash=sha256:{right}\n", encoding="utf-8")
    folder = environment.ensure_venv()
    assert (folder / ".complete").exists() and list(folder.rglob("demo.py"))


def test_pip_keeps_the_users_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_CONFIG_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment.pip_configuration() == {}
    file = tmp_path / ".config/pip/pip.conf"
    file.parent.mkdir(parents=True)
    file.touch()
    assert environment.pip_configuration() == {"PIP_CONFIG_FILE": str(file)}
    monkeypatch.setenv("PIP_CONFIG_FILE", "/named")
    assert environment.pip_configuration() == {"PIP_CONFIG_FILE": "/named"}
