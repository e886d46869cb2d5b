# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the variables of all roles into README.md, from the roles' argument specs.

``python -m devtools.docs`` rewrites the part between the two markers; with ``--check`` it fails when that part is out
of date. It runs in the Python environment of the tools, which has PyYAML.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Dict, List

import yaml

from lab.machine import ROOT

README = ROOT / "README.md"
START, END = "<!-- variables: start -->", "<!-- variables: end -->"
# A role that is not named here follows those that are.
ORDER = ("preflight", "host", "kube_packages", "containerd", "control_plane", "join", "cni")
TITLES = {"preflight": "The whole cluster"}


def roles() -> List[str]:
    """The roles with an argument spec, in the order of their tables."""
    names = sorted(path.parts[-3] for path in ROOT.glob("roles/*/meta/argument_specs.yml"))
    return sorted(names, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


def spec(role: str) -> Dict[str, Any]:
    """The argument spec of a role's main entry point."""
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    found: Dict[str, Any] = yaml.safe_load(text)["argument_specs"]["main"]
    return found


def own_options(role: str) -> Dict[str, Any]:
    """The options that a role has defaults for: others are documented by the role that has."""
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    defaults = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return {name: option for name, option in spec(role).get("options", {}).items() if name in (defaults or {})}


def markdown() -> str:
    """All tables."""
    parts: List[str] = []
    for role in roles():
        options = own_options(role)
        if not options:
            continue
        parts.append(f"### {TITLES.get(role, 'Role ' + role)}\n\n{spec(role)['short_description']}.\n")
        parts.append("| variable | default | meaning |\n|---|---|---|")
        for name, option in options.items():
            parts.append(f"| `{name}` | {_default(option)} | {_text(option)} |")
        parts.append("")
    return "\n".join(parts).strip()


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


def rendered(text: str) -> str:
    """The README with up-to-date tables."""
    if START not in text or END not in text:
        raise SystemExit(f"README.md has no marker {START} or {END}")
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    return f"{before}{START}\n\n{markdown()}\n\n{END}{after}"


def main() -> None:
    """Rewrite the tables, or check them."""
    current = README.read_text(encoding="utf-8")
    expected = rendered(current)
    if "--check" in sys.argv[1:]:
        raise SystemExit(0 if current == expected else "README.md: the variables are out of date; run ./dev docs")
    README.write_text(expected, encoding="utf-8")


if __name__ == "__main__":
    main()
