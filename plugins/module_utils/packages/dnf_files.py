# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of dnf: the options of its section ``[main]``, and the packages that it excludes."""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Dict, List, Sequence

from ..core.system import System

_MAIN = "/etc/dnf/dnf.conf"
# A file in the first folder replaces one of the same name in the second.
_FOLDERS = ("/etc/dnf/libdnf5.conf.d", "/usr/share/dnf5/libdnf.conf.d")
# dnf 5 adds the values of these options in all files.
_LISTS = ("exclude", "excludepkgs", "includepkgs")


def options(system: System) -> Dict[str, str]:
    """The options of ``[main]``. dnf 5 also reads the ``.conf`` files of two folders; dnf.conf overrides them."""
    chosen: Dict[str, str] = {}
    for folder in _FOLDERS:
        for name in system.names(folder):
            if name.endswith(".conf"):
                chosen.setdefault(name, "{0}/{1}".format(folder, name))
    found: Dict[str, str] = {}
    for path in [*(path for _name, path in sorted(chosen.items())), _MAIN]:
        for key, value in parse(system.read(path) or "").items():
            found[key] = "{0} {1}".format(found.get(key, ""), value).strip() if key in _LISTS else value
    return found


def parse(text: str) -> Dict[str, str]:
    """The options of ``[main]`` in a file. Lines that begin with white space continue a value."""
    found: Dict[str, str] = {}
    section, key = "", ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if line[0].isspace() and key:
            found[key] = "{0} {1}".format(found[key], line.strip())
            continue
        key = ""
        if line.startswith("["):
            section = line.strip().lower()
        elif section in ("", "[main]") and "=" in line:
            name, _sign, value = line.partition("=")
            key = name.strip().lower()
            found[key] = value.strip()
    return found


def excluded(system: System, names: Sequence[str]) -> List[str]:
    """The packages of ``names`` that dnf excludes from all repositories, in every version."""
    reported = options(system)
    hidden = _patterns("{0} {1}".format(reported.get("exclude", ""), reported.get("excludepkgs", "")))
    # With includepkgs, dnf excludes all other packages.
    shown = _patterns(reported.get("includepkgs", ""))
    return [name for name in names if _matches(name, hidden) or (shown and not _matches(name, shown))]


def _patterns(text: str) -> List[str]:
    return [one for one in re.split(r"[\s,]+", text) if one]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """True if one of the patterns is about all versions of a package, with or without an architecture."""
    spellings = [name, "{0}.{1}".format(name, os.uname().machine), "{0}.noarch".format(name)]
    return any(fnmatch.fnmatchcase(one, pattern) for pattern in patterns for one in spellings)
