# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the variables of all roles into README.md and into the README.md of each role, from their argument specs.

``python -m devtools.docs`` rewrites the part between the two markers; with ``--check`` it fails when a file is out of
date. It runs in the Python environment of the tools, which has PyYAML.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Dict, List

import yaml

from lab.machine import ROOT

README = ROOT / "README.md"
START, END = "<!-- variables: start -->", "<!-- variables: end -->"
# A role that is not named here follows those that are.
ORDER = (
    "cluster",
    "preflight",
    "host",
    "kube_packages",
    "containerd",
    "api_endpoint",
    "control_plane",
    "join",
    "cni",
    "endpoint",
    "upgrade",
    "deploy",
)
TITLES = {"cluster": "The cluster and its nodes"}
# The role whose variables other roles read.
SHARED = "kubestead.cluster.cluster"


def roles() -> List[str]:
    """The roles with an argument spec, in the order of their tables."""
    names = sorted(path.parts[-3] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
    return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def spec(role: str) -> Dict[str, Any]:
    """The argument spec of a role's entry point main, or of its first one where it has no tasks of its own."""
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    specs: Dict[str, Dict[str, Any]] = yaml.safe_load(text)["argument_specs"]
    return specs["main"] if "main" in specs else next(iter(specs.values()))


def own_options(role: str) -> Dict[str, Any]:
    """The options that a role has a default for or requires; the others are documented by the role that does."""
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    defaults = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return {
        name: option
        for name, option in spec(role).get("options", {}).items()
        if name in (defaults or {}) or option.get("required")
    }


def table(options: Dict[str, Any]) -> str:
    """Options as a table."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | {_default(option)} | {_text(option)} |" for name, option in options.items()]
    return "\n".join(lines)


def all_tables() -> str:
    """The tables of all roles."""
    parts: List[str] = []
    for role in roles():
        options = own_options(role)
        if options:
            title = TITLES.get(role, f"Role {role}")
            parts.append(f"### {title}\n\n{spec(role)['short_description']}.\n\n{table(options)}")
    return "\n\n".join(parts)


def role_table(role: str) -> str:
    """The table of one role, for its own README."""
    options = own_options(role)
    parts = [table(options) if options else "The role has no variables of its own."]
    meta = ROOT / "roles" / role / "meta" / "main.yml"
    if meta.exists() and SHARED in meta.read_text(encoding="utf-8"):
        parts.append("The role also reads the variables of the role [cluster](../cluster/README.md).")
    return "\n\n".join(parts)


def pages() -> Dict[Path, str]:
    """The files with a part that is written, and that part."""
    found = {README: all_tables()}
    for role in roles():
        path = ROOT / "roles" / role / "README.md"
        if path.exists():
            found[path] = role_table(role)
    return found


def _default(option: Dict[str, Any]) -> str:
    if "default" not in option:
        return "required" if option.get("required") else ""
    value = option["default"]
    return f"`{value}`" if isinstance(value, str) and value else f"`{json.dumps(value)}`"


def _text(option: Dict[str, Any]) -> str:
    description = option["description"]
    text = " ".join(description) if isinstance(description, list) else str(description)
    text = re.sub(r"\b[VOCRM]+\(([^)]*)\)", r"`\1`", text)
    if option.get("choices"):
        text += " One of " + ", ".join(f"`{choice}`" for choice in option["choices"]) + "."
    return text.replace("|", "\\|").replace("\n", " ").strip()


def rendered(text: str, written: str) -> str:
    """A page with its written part between the markers. Raises ValueError when it has no markers."""
    if START not in text or END not in text:
        raise ValueError(f"has no marker {START} or {END}")
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{START}\n\n{written}\n\n{END}{after}"


def main() -> None:
    """Rewrite the pages, or check them."""
    for path, written in pages().items():
        current = path.read_text(encoding="utf-8")
        try:
            expected = rendered(current, written)
        except ValueError as error:
            raise SystemExit(f"{path.relative_to(ROOT)} {error}") from error
        if current != expected and "--check" in sys.argv[1:]:
            raise SystemExit(f"{path.relative_to(ROOT)}: the variables are out of date; run ./dev docs")
        if current != expected:
            path.write_text(expected, encoding="utf-8")


if __name__ == "__main__":
    main()
