#!/usr/bin/env python3
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the variables of all roles into README.md and into the README.md of each role, from their argument specs.

``variables.py`` rewrites the part between the two markers; ``variables.py --check`` fails if a file is out of date.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
START, END = "<!-- variables: start -->", "<!-- variables: end -->"
ORDER = ("cluster", "preflight", "host", "kube_packages", "containerd", "control_plane", "join", "cni", "deploy")
TITLES = {"cluster": "The cluster and its nodes"}


def options(role: str) -> tuple[str, dict[str, Any]]:
    """The short description and the own options of a role."""
    spec = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    spec = next(iter(spec.values()))
    own = {
        name: option for name, option in spec["options"].items() if role == "cluster" or not name.startswith("cluster_")
    }
    return str(spec["short_description"]), own


def markdown() -> str:
    """All tables."""
    parts = []
    for role in ORDER:
        summary, own = options(role)
        if not own:
            continue
        parts.append(f"### {TITLES.get(role, 'Role ' + role)}\n\n{summary}.\n")
        parts.append(table(own) + "\n")
    return "\n".join(parts).strip()


def table(own: dict[str, Any]) -> str:
    """The options as a table."""
    lines = ["| variable | default | meaning |\n|---|---|---|"]
    lines += [f"| `{name}` | {_default(option)} | {_text(option)} |" for name, option in own.items()]
    return "\n".join(lines)


def role_readme(role: str) -> tuple[Path, str]:
    """The README.md of a role, and what its part between the markers must be."""
    _summary, own = options(role)
    parts = [table(own) if own else "The role has no variables of its own."]
    if "kubestead.cluster.cluster" in (ROOT / "roles" / role / "meta" / "main.yml").read_text():
        parts.append("The role also reads the variables of the role [cluster](../cluster/README.md).")
    return ROOT / "roles" / role / "README.md", "\n\n".join(parts)


def _default(option: dict[str, Any]) -> str:
    if "default" not in option:
        return "required" if option.get("required") else ""
    value = option["default"]
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def _text(option: dict[str, Any]) -> str:
    description = option["description"]
    text = " ".join(description) if isinstance(description, list) else str(description)
    text = re.sub(r"\b[VOCRM]+\(([^)]*)\)", r"`\1`", text)
    if option.get("choices"):
        text += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
    return text.replace("|", "\\|").replace("\n", " ").strip()


def rendered(path: Path, variables: str) -> str:
    """The text of a README with its tables as they must be."""
    text = path.read_text()
    if START not in text or END not in text:
        raise SystemExit(f"{path.relative_to(ROOT)} lacks the marker {START} or {END}")
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{START}\n\n{variables}\n\n{END}{after}"


def main() -> None:
    """Rewrite, or check."""
    roles = sorted(path.parent.name for path in (ROOT / "roles").glob("*/meta"))
    if set(roles) != set(ORDER):
        raise SystemExit(f"ORDER must name all roles: {', '.join(roles)}")
    for path, variables in [(README, markdown()), *map(role_readme, roles)]:
        expected = rendered(path, variables)
        if path.read_text() == expected:
            continue
        if "--check" in sys.argv[1:]:
            raise SystemExit(f"{path.relative_to(ROOT)}: the variables are out of date; run ./dev docs")
        path.write_text(expected)


if __name__ == "__main__":
    main()
