# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Regular expressions that check a value check it to its end: ``$`` lets a line end through."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.host.prepare import HostOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import names, node_options
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.sources import check_url

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


def patterns() -> Iterator[tuple[str, str]]:
    """Every regular expression that is written out, and the source of its call."""
    for path in sorted(PLUGINS.rglob("*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "re":
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield part.value, f"{path.name}:{node.lineno}: {ast.get_source_segment(text, node)}"


def test_only_patterns_of_lines_end_with_a_dollar() -> None:
    found = list(patterns())
    assert len(found) > 100
    wrong = [where for text, where in found if text.endswith("$") and "(?m" not in text and "MULTILINE" not in where]
    assert wrong == []


def test_names_with_a_line_end_are_refused() -> None:
    for check in (
        lambda: HostOptions(kernel_modules=["overlay\n"]).validate(),
        lambda: HostOptions(sysctls={"vm.swappiness\n": 1}).validate(),
        lambda: check_url("https://mirror.example.org/x\n"),
        lambda: names.check_dns_name("cluster_node_name", "w1\n"),
        lambda: node_options.check_preflight_name("x", "Swap\n"),
        lambda: node_options.check_label("x", "a", "b\n"),
    ):
        with pytest.raises(OptionError):
            check()
