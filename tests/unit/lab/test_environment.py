# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Python environments of the development tools."""

from __future__ import annotations

import re

from lab import environment


def test_the_environments_key_is_of_pins_and_python_only() -> None:
    key = environment.requirements_key("a==1\nb==2\n", "3.11")
    assert key == environment.requirements_key("# note\nb==2  # why\n\na==1", "3.11")
    assert key != environment.requirements_key("a==1\nb==3\n", "3.11")
    assert key != environment.requirements_key("a==1\nb==2\n", "3.12")


def test_every_development_tool_is_pinned_exactly() -> None:
    lines = environment.REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9.]*", line)] == []
