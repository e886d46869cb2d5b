# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CONTRIBUTING.md names places that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def test_every_place_that_is_named_exists() -> None:
    named = re.findall(r"`((?:plugins|roles|tests|docs|playbooks|changelogs)(?:/[\w.]+)*)`", TEXT)
    assert len(named) > 40
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_the_table_has_at_least_thirty_behaviours_each_once() -> None:
    table = TEXT.split("<!-- places: start -->")[1].split("<!-- places: end -->")[0]
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|$", table, re.MULTILINE)
    assert len(rows) >= 30 and len(rows) == len({behaviour for behaviour, _place in rows})
