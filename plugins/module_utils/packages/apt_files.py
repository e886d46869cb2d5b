# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads apt's configuration files for enabled repositories and for packages that preferences forbid.

Only a machine without package lists needs this. With lists, ``apt-cache policy`` is used (:func:`manager.policy`).
"""

from __future__ import annotations

import fnmatch
import re
from typing import Dict, List, Mapping

from ..core.system import System

_SOURCES = "/etc/apt/sources.list"
_PREFERENCES = "/etc/apt/preferences"
# The values that apt reads as false (StringToBool).
OFF = ("no", "false", "without", "off", "disable", "0")


def stanzas(text: str) -> List[Dict[str, str]]:
    """The stanzas of a deb822 file without comments. Each maps field names in lower case to values."""
    found: List[Dict[str, str]] = []
    fields: Dict[str, str] = {}
    key = ""
    for line in [*text.splitlines(), ""]:
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                found.append(fields)
            fields, key = {}, ""
        elif line[0].isspace() and key:
            fields[key] = "{0} {1}".format(fields[key], line.strip()).strip()
        elif ":" in line:
            name, _colon, value = line.partition(":")
            key = name.strip().lower()
            fields[key] = value.strip()
    return found


def source_files(system: System) -> List[str]:
    """The files of sources that apt reads. It ignores other extensions, and names with other characters."""
    names = [name for name in system.names(_SOURCES + ".d") if re.fullmatch(r"[A-Za-z0-9_.-]+\.(list|sources)", name)]
    return [_SOURCES] + ["{0}.d/{1}".format(_SOURCES, name) for name in names]


def enabled_sources(system: System) -> List[str]:
    """The URLs of all enabled repositories of binary packages."""
    found: List[str] = []
    for path in source_files(system):
        text = system.read(path) or ""
        if path.endswith(".sources"):
            for fields in stanzas(text):
                if fields.get("enabled", "yes").lower() not in OFF and "deb" in fields.get("types", "").split():
                    found += fields.get("uris", "").split()
        else:
            for line in text.splitlines():
                match = re.match(r"\s*deb\s+(?:\[[^\]]*\]\s+)?(\S+)", line.partition("#")[0])
                found += [match.group(1)] if match else []
    return found


def pinned_away(system: System, package: str, host: str, release: Mapping[str, str]) -> bool:
    """True if preferences forbid the package from the repository at ``host``, by its name or with all packages.

    ``release`` has the fields of the repository's Release file that are known, by their letters in a pin (o, l).
    """
    general = False
    paths = [_PREFERENCES] + ["{0}.d/{1}".format(_PREFERENCES, name) for name in system.names(_PREFERENCES + ".d")]
    for path in paths:
        name = path.rpartition("/")[2]
        if path != _PREFERENCES and not re.match(r"[\w.-]+\Z", name.replace(".pref", "")):
            continue
        for fields in stanzas(system.read(path) or ""):
            if not _is_about(fields.get("pin", ""), host, release):
                continue
            forbidden = bool(re.match(r"-[0-9]+\Z|never\Z", fields.get("pin-priority", "")))
            names = fields.get("package", "").split()
            # A pin of a name takes precedence over a pin of all packages.
            if any(one != "*" and fnmatch.fnmatchcase(package, one) for one in names):
                return forbidden
            general = general or ("*" in names and forbidden)
    return general


def _is_about(pin: str, host: str, release: Mapping[str, str]) -> bool:
    """True if a pin is about all versions of a package in a repository."""
    kind, _space, value = pin.strip().partition(" ")
    value = value.strip()
    if value == "*":
        return kind in ("release", "version", "origin")
    if kind == "origin":
        return fnmatch.fnmatchcase(host, value.strip("\"'"))
    if kind != "release" or "=" not in value:
        return False
    parts = [part.strip().partition("=") for part in value.split(",")]
    return all(fnmatch.fnmatchcase(release.get(key, text), text.strip("\"'")) for key, _sign, text in parts)
