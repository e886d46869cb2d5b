# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operating systems that nodes can have, and where their packages come from.

All packages come from this machine's own apt sources, with the name of the release replaced: a mirror of Debian has all
its releases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from .debian import apt_sources, codename
from .machine import MachineError

NEWER = "testing"


@dataclass(frozen=True)
class System:
    """An operating system of nodes: a release of Debian, with the packages that come from testing instead."""

    name: str
    release: str
    newer: Tuple[str, ...] = ()


SYSTEMS: Dict[str, System] = {
    system.name: system
    for system in (
        System("debian12", "bookworm"),
        System("debian13", "trixie"),
        # containerd 2.1 or later; trixie has 1.7.
        System("debian13+containerd2", "trixie", ("containerd", "runc")),
    )
}


def own_release() -> str:
    """The code name of this machine's release."""
    return codename(Path("/etc/os-release").read_text(encoding="utf-8"))


def own_system() -> System:
    """The system of nodes unless another is asked for: this machine's own."""
    release = own_release()
    return next((system for system in SYSTEMS.values() if system.release == release), System(release, release))


def chosen(names: Sequence[str], count: int) -> List[System]:
    """The systems of ``count`` nodes by their names; the last name is that of all further nodes.

    Raises :class:`MachineError` for an unknown system and for more names than nodes.
    """
    if not names:
        return [own_system()] * count
    unknown = [name for name in names if name not in SYSTEMS]
    if unknown:
        raise MachineError(f"system {unknown[0]} is unknown; the lab knows {', '.join(SYSTEMS)}")
    if len(names) > count:
        raise MachineError(f"{len(names)} systems are named for {count} nodes")
    return [SYSTEMS[name] for name in (*names, *[names[-1]] * (count - len(names)))]


def sources(system: System) -> List[str]:
    """The apt sources of a system, as one-line entries."""
    return system_sources(system, apt_sources(), own_release())


def system_sources(system: System, own: Sequence[str], release: str) -> List[str]:
    """This machine's ``own`` sources for its ``release``, as those of a system."""
    pattern = re.compile(rf"(?<=\s){re.escape(release)}(?=[-/\s])")
    lines = [pattern.sub(system.release, line, count=1) for line in own]
    if system.newer:
        # The archive itself: testing has no other suites that are needed.
        main = re.compile(rf"(?<=\s){re.escape(release)}(?=\s)")
        lines += [main.sub(NEWER, line, count=1) for line in own if main.search(line)]
    return lines


def preferences(system: System) -> str:
    """apt's preferences: from testing come the packages that the system has newer, and what only these depend on."""
    if not system.newer:
        return ""
    return (
        f"Package: *\nPin: release a={NEWER}\nPin-Priority: 100\n\n"
        f"Package: {' '.join(system.newer)}\nPin: release a={NEWER}\nPin-Priority: 990\n"
    )
