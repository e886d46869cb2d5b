# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that Python loads from memory."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import bootstrap

SOURCES = {
    "a_package.inner.first": "from . import second\nfrom .second import value\n",
    "a_package.inner.second": "value = 7\n\n\ndef fail():\n    raise ValueError('no')\n",
}


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> bootstrap.Memory:
    found = bootstrap.Memory(SOURCES)
    monkeypatch.setattr(sys, "meta_path", [found, *sys.meta_path])
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    return found


@pytest.mark.usefixtures("memory")
def test_modules_import_each_other_and_tracebacks_show_their_lines() -> None:
    from a_package.inner import first  # type: ignore[import-not-found]

    assert first.value == 7
    with pytest.raises(ValueError, match="no") as failed:
        first.second.fail()
    text = "".join(traceback.format_exception(None, failed.value, failed.value.__traceback__))
    assert 'a_package/inner/second.py", line 5' in text and "raise ValueError('no')" in text


def test_what_did_not_come_along_is_not_found(memory: bootstrap.Memory) -> None:
    assert memory.find_spec("a_package.inner.third") is None and memory.find_spec("json") is None
    with pytest.raises(ImportError):
        from a_package.inner import third  # type: ignore[import-not-found]  # noqa: F401


def test_code_of_a_user_in_the_current_folder_is_not_run(tmp_path: Path) -> None:
    for name in ("base64", "zlib", "json", "typing", "importlib"):
        (tmp_path / (name + ".py")).write_text("print('code of a user')")
    text = Path(bootstrap.__file__).read_text(encoding="utf-8")
    for command in ([sys.executable], [sys.executable, "-"]):
        done = subprocess.run(command, input=text, stdout=subprocess.PIPE, cwd=str(tmp_path), text=True)
        assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "program.py").write_text(text)
    done = subprocess.run([sys.executable, str(tmp_path / "program.py")], stdout=subprocess.PIPE, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_python_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bootstrap, "OLDEST", (99, 0))
    with pytest.raises(SystemExit) as ended:
        bootstrap.start("any", "", "{}")
    answer = json.loads(capsys.readouterr().out)
    assert ended.value.code == 1 and answer["failed"] is True
    assert "needs 99.0 or newer" in answer["msg"] and "ansible_python_interpreter" in answer["msg"]
