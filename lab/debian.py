# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This machine's own apt sources and apt configuration, for the roots and packages that the lab makes of them."""

from __future__ import annotations

import pathlib
import re
import subprocess
from typing import Dict, List, Mapping

from .machine import MachineError


def codename(os_release: str) -> str:
    """The release's code name in the text of /etc/os-release."""
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', os_release, re.MULTILINE)
    if not match:
        raise MachineError("/etc/os-release has no VERSION_CODENAME; the lab supports Debian 12")
    return match.group(1)


def release_sources(files: Mapping[str, str], release: str) -> List[str]:
    """The distribution's own apt sources as one-line entries, from the texts of sources files by name.

    Entries of other vendors, whose suites are not the release's, and source packages are left out.
    """
    lines: List[str] = []
    for name, text in sorted(files.items()):
        lines += _deb822_sources(text) if name.endswith(".sources") else _line_sources(text)
    wanted = []
    for line in lines:
        match = re.match(r"^deb\s+(?:\[[^]]*\]\s+)?\S+\s+(\S+)\s+(.+)$", line)
        suite_ok = match is not None and re.match(rf"^{release}(-|/|$)", match.group(1)) is not None
        if match and suite_ok and "main" in match.group(2).split() and line not in wanted:
            wanted.append(line)
    return wanted


def _line_sources(text: str) -> List[str]:
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line.startswith("deb ") or line.startswith("deb\t")]


def _deb822_sources(text: str) -> List[str]:
    lines: List[str] = []
    for stanza in re.split(r"\n\s*\n", "\n".join(row for row in text.splitlines() if not row.startswith("#"))):
        fields: Dict[str, str] = {}
        for match in re.finditer(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t]+.*)*)", stanza, re.MULTILINE):
            fields[match.group(1).lower()] = " ".join(match.group(2).split())
        if fields.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in fields.get("types", "").split():
            continue
        options = []
        signed_by = fields.get("signed-by", "")
        if signed_by.startswith("/"):
            options.append(f"signed-by={signed_by}")
        if fields.get("trusted", "").lower() == "yes":
            options.append("trusted=yes")
        prefix = f"deb [{' '.join(options)}]" if options else "deb"
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                lines.append(f"{prefix} {uri} {suite} {fields.get('components', '')}".rstrip())
    return lines


def apt_sources() -> List[str]:
    """This machine's own apt sources for its release, as one-line entries."""
    etc = pathlib.Path("/etc/apt")
    paths = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*"))]
    files = {
        str(path): path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.is_file() and path.suffix in (".list", ".sources")
    }
    release = codename(pathlib.Path("/etc/os-release").read_text(encoding="utf-8"))
    found = release_sources(files, release)
    if not found:
        raise MachineError(f"/etc/apt has no source for {release} main; add one: nodes are made of its packages")
    return found


def apt_acquire_options() -> List[str]:
    """How this machine's apt downloads (proxies, certificates, retries), as lines for another apt's configuration."""
    done = subprocess.run(["apt-config", "dump"], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    skipped = ("Acquire::IndexTargets::", "Acquire::Changelogs::", "Acquire::CompressionTypes::")
    return [line for line in done.stdout.splitlines() if line.startswith("Acquire::") and not line.startswith(skipped)]
