# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's own apt: the machine's sources and proxies, but its own lists, cache and state.

It never changes the machine's apt: it adds nothing to /etc/apt, refreshes no list and installs no package.
"""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Optional, Sequence

from . import machine, systems
from .machine import run
from .systems import System


def source_lines(binary_lines: Sequence[str]) -> List[str]:
    """The ``deb-src`` entries that match one-line ``deb`` entries: the same host, suite, components and key."""
    lines = []
    for line in binary_lines:
        word, rest = line.split(None, 1)
        lines.append(f"{'deb-src' if word == 'deb' else word} {rest}")
    return lines


def uris(print_uris: str) -> Dict[str, str]:
    """File name -> address, from what ``apt-get --print-uris`` prints (``'address' name size hash``)."""
    found = {}
    for line in print_uris.splitlines():
        if line.startswith("'"):
            address, name = line.split()[:2]
            found[name] = address.strip("'")
    return found


class PrivateApt:
    """apt in ``folder``. No package is installed for it, so a package resolves to itself and all its dependencies."""

    def __init__(self, folder: Path, sources: bool = False, system: Optional[System] = None) -> None:
        """``sources`` adds the source packages' lists; ``system`` is another than this machine's own."""
        self.folder = folder
        chosen = system or systems.own_system()
        for name in ("lists/partial", "archives/partial", "parts"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        lines = systems.sources(chosen)
        if sources:
            lines = lines + source_lines(lines)
        (folder / "sources.list").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "preferences").write_text(systems.preferences(chosen), encoding="utf-8")
        (folder / "status").touch()

    def options(self) -> List[str]:
        """The options that make any command of apt work in this folder."""
        where = {
            "Dir::Etc::SourceList": self.folder / "sources.list",
            "Dir::Etc::SourceParts": self.folder / "parts",
            "Dir::Etc::Preferences": self.folder / "preferences",
            "Dir::Etc::PreferencesParts": self.folder / "parts",
            "Dir::State": self.folder,
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::State::extended_states": self.folder / "extended_states",
            "Dir::Cache": self.folder,
            "Dir::Cache::archives": self.folder / "archives",
            "Dir::Log": self.folder,
            # the lists belong to root, in a home folder that no other user may enter
            "APT::Sandbox::User": "root",
            # hooks of the machine are about the machine's packages
            "APT::Update::Post-Invoke-Success::": "",
            "Acquire::Retries": "3",
        }
        return [word for key, value in where.items() for word in ("-o", f"{key}={value}")]

    def get(self, *arguments: str, cwd: Optional[Path] = None) -> str:
        """Run ``apt-get`` in this folder; its output. Raises MachineError with apt's last lines when it fails."""
        argv = ["apt-get", "-q", "-y", *self.options(), *arguments]
        with machine.locked(f"apt-{self.folder.name}"):  # apt itself does not wait for another apt
            return run(argv, cwd=cwd, env=machine.NONINTERACTIVE).stdout

    def update(self) -> None:
        """Fetch the lists."""
        self.get("update")

    def version(self, package: str) -> str:
        """The version that apt would install. Raises MachineError when the sources have no such package."""
        done = run(["apt-cache", *self.options(), "show", "--no-all-versions", package], check=False)
        for line in done.stdout.splitlines():
            if line.startswith("Version: "):
                return line.split()[1]
        raise machine.MachineError(
            f"package {package} is in none of this machine's apt sources; see /etc/apt/sources.list*"
        )

    def closure(self, packages: Sequence[str]) -> Dict[str, str]:
        """File name -> address, of the packages and all their dependencies."""
        nothing = self.folder / "nothing"  # apt omits what is already downloaded
        (nothing / "partial").mkdir(parents=True, exist_ok=True)
        place = ["-o", f"Dir::Cache::archives={nothing}"]
        return uris(self.get(*place, "--no-install-recommends", "--print-uris", "install", *packages))

    def download(self, packages: Sequence[str]) -> List[Path]:
        """Download the packages and all their dependencies; the files, in this apt's own archive folder."""
        names = self.closure(packages)
        self.get("--no-install-recommends", "--download-only", "install", *packages)
        files = [self.folder / "archives" / name for name in names]
        missing = [file.name for file in files if not file.exists()]
        if missing:
            raise machine.MachineError(f"apt did not download {' '.join(missing)}; try again")
        return sorted(files)

    def unpack(self, packages: Sequence[str], target: Path) -> None:
        """Download these packages without their dependencies, and unpack them into ``target``."""
        folder = target / ".debs"
        folder.mkdir(parents=True)
        self.get("download", *packages, cwd=folder)
        for deb in folder.glob("*.deb"):
            run(["dpkg-deb", "-x", deb, target])
            deb.unlink()
        folder.rmdir()
