# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operating system of a machine, from os-release(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List

from ..core.system import System

PATHS = ("/etc/os-release", "/usr/lib/os-release")

SUPPORTED_FIX = "use Debian, Ubuntu, Fedora or a RHEL derivative"

_LINE = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)')
_SINGLE_QUOTED = re.compile(r"'([^']*)")
_BARE = re.compile(r"((?:[^\s\\]|\\.)*)")
_APT, _DNF = ("debian", "ubuntu"), ("fedora", "rhel", "centos")


@dataclass(frozen=True)
class OsRelease:
    """A system's names: ``id`` is one word (``debian``), ``like`` what it derives from, the closest first."""

    id: str = ""
    like: List[str] = field(default_factory=list)
    version_id: str = ""
    pretty_name: str = ""

    @property
    def name(self) -> str:
        """The system's name for a message; empty if it is not known."""
        return self.pretty_name or self.id

    @property
    def package_manager(self) -> str:
        """``apt`` (Debian's relatives), ``dnf`` (Fedora's), or empty for a system that the collection does not know."""
        for family in [self.id, *self.like]:
            if family in _APT:
                return "apt"
            if family in _DNF:
                return "dnf"
        return ""


def read(system: System) -> OsRelease:
    """The contents of the machine's file; empty without one. Never raises."""
    fields = parse(next((text for text in map(system.read, PATHS) if text), ""))
    return OsRelease(
        # Some systems write their names with capital letters, or with commas between them.
        id=fields.get("ID", "").lower(),
        like=fields.get("ID_LIKE", "").lower().replace(",", " ").split(),
        version_id=fields.get("VERSION_ID", ""),
        pretty_name=fields.get("PRETTY_NAME", ""),
    )


def parse(text: str) -> Dict[str, str]:
    """The assignments in an os-release file, without quotes and escapes. Other lines are left out."""
    fields: Dict[str, str] = {}
    for line in text.lstrip("\ufeff").splitlines():
        match = _LINE.match(line)
        if match:
            fields[match.group(1)] = _value(match.group(2).strip())
    return fields


def _value(text: str) -> str:
    """A value as a shell reads it: within single quotes as it is, else without the backslashes that escape."""
    quoted = _SINGLE_QUOTED.match(text)
    if quoted:
        return quoted.group(1)
    double = _DOUBLE_QUOTED.match(text)
    if double:
        # Within double quotes a backslash is one, unless what follows means something to a shell.
        return re.sub(r'\\(["$`\\])', r"\1", double.group(1))
    bare = _BARE.match(text)
    return re.sub(r"\\(.)", r"\1", bare.group(1)) if bare else ""
