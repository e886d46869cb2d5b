# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/security.md names files and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
ROWS = [row for row in re.findall(r"^\| (.+) \|$", TEXT, re.MULTILINE) if " | " in row and "Mechanism" not in row]


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:plugins|roles|tests|playbooks)/[\w./]+)`", TEXT)
    assert len(named) > 20
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(test_\w+)`", TEXT)
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    defined = re.findall(r"^ *def (test_\w+)\(", source, re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if name not in defined] == []


def test_every_promise_has_a_mechanism() -> None:
    assert len(ROWS) > 15
    assert [row for row in ROWS if "`" not in row.split(" | ")[1]] == []
