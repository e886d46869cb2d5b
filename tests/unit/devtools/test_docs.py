# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generated documentation."""

from __future__ import annotations

import pytest

from devtools import docs


def test_the_readme_lists_the_variables_as_they_are() -> None:
    text = docs.README.read_text(encoding="utf-8")
    assert docs.rendered(text) == text, "run ./dev docs"


def test_every_default_of_a_role_is_in_the_readme() -> None:
    text = docs.markdown()
    for role in docs.roles():
        for name in docs.own_options(role):
            assert f"\n| `{name}` | " in text, role


def test_only_the_part_between_the_markers_is_written() -> None:
    text = docs.rendered(f"before\n{docs.START}\nold\n{docs.END}\nafter\n")
    assert text.startswith(f"before\n{docs.START}\n\n### ")
    assert text.endswith(f"|\n\n{docs.END}\nafter\n")
    assert "old" not in text.splitlines()
    with pytest.raises(SystemExit, match="README.md has no marker"):
        docs.rendered(f"{docs.START}\n")
