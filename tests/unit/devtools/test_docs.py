# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The generated documentation."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from devtools import docs


def test_every_readme_lists_the_variables_as_they_are() -> None:
    for path, written in docs.pages().items():
        text = path.read_text(encoding="utf-8")
        assert docs.rendered(text, written) == text, f"{path}: run ./dev docs"


def test_every_default_of_a_role_is_in_the_readme() -> None:
    text = docs.all_tables()
    for path in docs.ROOT.glob("roles/*/defaults/main.yml"):
        for name in yaml.safe_load(path.read_text(encoding="utf-8")) or {}:
            assert f"\n| `{name}` | " in text, path


def write_role(root: Path, name: str, options: str, defaults: str = "", meta: str = "{}") -> None:
    folder = root / "roles" / name
    spec = f"{{short_description: Role {name}, options: {options}}}"
    for path, text in (
        ("meta/argument_specs.yml", f"argument_specs: {{main: {spec}}}"),
        ("meta/main.yml", meta),
        ("defaults/main.yml", defaults),
        ("README.md", f"{docs.START}{docs.END}"),
    ):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")


def test_a_variable_is_listed_by_the_role_that_has_its_default_or_requires_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    shared = "{cluster_a: {description: 'A|b, see V(x).', default: 1}}"
    write_role(tmp_path, "zebra", "{zebra_b: {description: [B, c.], required: true}}")
    write_role(tmp_path, "cluster", shared, "cluster_a: 1")
    write_role(tmp_path, "host", shared, meta="dependencies: [kubestead.cluster.cluster]")
    assert docs.roles() == ["cluster", "host", "zebra"]
    a = "| variable | default | meaning |\n|---|---|---|\n| `cluster_a` | `1` | A\\|b, see `x`. |"
    b = "| variable | default | meaning |\n|---|---|---|\n| `zebra_b` | required | B c. |"
    assert docs.all_tables() == (
        f"### The cluster and its nodes\n\nRole cluster.\n\n{a}\n\n### Role zebra\n\nRole zebra.\n\n{b}"
    )
    tables = {path.parent.name: text for path, text in docs.pages().items()}
    assert tables["cluster"] == a
    assert tables["zebra"] == b
    assert tables["host"] == (
        "The role has no variables of its own.\n\n"
        "The role also reads the variables of the role [cluster](../cluster/README.md)."
    )


def test_only_the_part_between_the_markers_is_written() -> None:
    text = docs.rendered(f"before\n{docs.START}\nold\n{docs.END}\nafter\n", "new")
    assert text == f"before\n{docs.START}\n\nnew\n\n{docs.END}\nafter\n"
    with pytest.raises(ValueError, match="has no marker"):
        docs.rendered(f"{docs.START}\n", "new")
