# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a containerd that is being replaced. An observation reads it, and an upgrade writes it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Optional

from ..containerd import observe as containerd_observe
from ..containerd.state import CONFIG, DROPIN
from ..core import untrusted
from ..core.constants import RUNTIME_RECORD
from ..core.system import System

#: Packages that have containerd, and runc, which one of them needs and the other contains.
PACKAGES = (*containerd_observe.PACKAGES, "runc")
#: The files that the record keeps.
FILES = (CONFIG, DROPIN)


@dataclass(frozen=True)
class Record:
    """The containerd of a node before its replacement.

    ``version`` is what ``containerd --version`` printed. ``packages`` maps packages to their versions, ``held`` lists
    those that are held. ``files`` maps paths to texts; a path without a text did not exist. ``modes`` are the modes of
    the files. ``ready`` is true if the Node was ready. ``wanted`` is the new package, ``wanted_version`` its version.
    """

    version: str
    packages: Dict[str, str]
    wanted: str
    wanted_version: str
    held: List[str] = field(default_factory=list)
    files: Dict[str, Optional[str]] = field(default_factory=dict)
    modes: Dict[str, int] = field(default_factory=dict)
    ready: bool = False


def read_record(system: System) -> Optional[Record]:
    """The record of an unfinished replacement; None if there is none or it can't be read. Never raises."""
    try:
        found = untrusted.mapping(untrusted.parse_json(system.read(RUNTIME_RECORD) or ""))
    except ValueError:
        return None
    packages = {
        name: untrusted.text(text, 128)
        for name, text in untrusted.mapping(found.get("packages")).items()
        if name in PACKAGES
    }
    files = {path: text for path, text in untrusted.mapping(found.get("files")).items() if path in FILES}
    wanted = [untrusted.text(found.get(name), 128) for name in ("version", "wanted", "wanted_version")]
    if not packages or not all(wanted):
        return None
    return Record(
        version=wanted[0],
        packages=packages,
        wanted=wanted[1],
        wanted_version=wanted[2],
        held=[name for name in untrusted.texts(found.get("held")) if name in PACKAGES],
        files={path: text if isinstance(text, str) else None for path, text in files.items()},
        modes={path: untrusted.integer(mode) for path, mode in untrusted.mapping(found.get("modes")).items()},
        ready=found.get("ready") is True,
    )
