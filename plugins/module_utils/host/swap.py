# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Swap of a machine: finds active swap devices and what enables them at boot, and switches swap off."""

from __future__ import annotations

import os
import re
from typing import List, Tuple

from ..core.errors import KubesteadError
from ..core.mount_table import unescape
from ..core.problem import Problem
from ..core.redact import redact
from ..core.system import System

_UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/generator",
    "/run/systemd/generator.late",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# Only the first existing file counts. An empty file disables the generator.
_ZRAM_FILES = (
    "/etc/systemd/zram-generator.conf",
    "/run/systemd/zram-generator.conf",
    "/usr/local/lib/systemd/zram-generator.conf",
    "/usr/lib/systemd/zram-generator.conf",
)
_GENERATOR_FOLDERS = ("/usr/lib/systemd/system-generators", "/lib/systemd/system-generators")
# Services that switch swap on: zram-tools, Ubuntu's zram-config, Armbian's zram-config, other zram scripts, Raspberry
# Pi's swap file, swapspace.
_SWAP_SERVICES = tuple(
    name + ".service"
    for name in "zramswap zram-config armbian-zram-config zram-swap zramd dphys-swapfile swapspace".split()
)
DELETED = " (deleted)"
# Azure's agent can create a swap file at every boot. The agent has other tasks too, so its service is not masked.
WAAGENT = "/etc/waagent.conf"


def parse_swaps(text: str) -> List[str]:
    """The devices and files in ``/proc/swaps``. The kernel appends `` (deleted)`` to the name of a deleted file."""
    found = []
    for line in text.splitlines()[1:]:
        words = line.split()
        if words:
            # The kernel escapes the space before "(deleted)"; some tools that copy the table do not.
            found.append(unescape(words[0]) + (DELETED if words[1:2] == [DELETED.strip()] else ""))
    return found


def swap_lines(fstab: str) -> str:
    """The text of an fstab with only the lines that switch swap on.

    Other lines are emptied because they may contain passwords. The line numbers do not change.
    """
    swaps = {number for number, _device in fstab_swaps(fstab)}
    lines = [redact(line) if number in swaps else "" for number, line in enumerate(fstab.splitlines())]
    return "".join(line + "\n" for line in lines) if swaps else ""


def fstab_swaps(text: str) -> List[Tuple[int, str]]:
    """The lines (number from 0, device) of an fstab that switch swap on at boot."""
    found = []
    for number, line in enumerate(text.splitlines()):
        words = line.split()
        if len(words) >= 3 and not words[0].startswith("#") and words[2] == "swap":
            options = words[3].split(",") if len(words) > 3 else []
            if "noauto" not in options:
                found.append((number, unescape(words[0])))
    return found


def swap_units(system: System) -> List[str]:
    """The systemd units that switch swap on at boot, without masked units."""
    found = []
    for folder in _UNIT_FOLDERS:
        for name in system.names(folder):
            if not name.endswith(".swap") or name in found:
                continue
            text = system.read(_in(folder, name)) or ""
            # Units that were generated from fstab are removed with their line in fstab.
            if text.strip() and "SourcePath=/etc/fstab" not in text:
                found.append(name)
    if any(system.exists(_in(folder, "zram-generator")) for folder in _GENERATOR_FOLDERS):
        found += ["dev-{0}.swap".format(device) for device in _zram_devices(system)]
    for name in _SWAP_SERVICES:
        script = "/etc/init.d/" + name[: -len(".service")]
        if system.exists(script) or any(system.exists(_in(folder, name)) for folder in _UNIT_FOLDERS):
            found.append(name)
    return [name for name in sorted(set(found)) if not _is_masked(system, name)]


def agent_swap(system: System) -> bool:
    """True if Azure's agent switches swap on at boot."""
    found = re.findall(r"(?mi)^[ \t]*ResourceDisk\.EnableSwap[ \t]*=[ \t]*(\w+)", system.read(WAAGENT) or "")
    return found[-1:] in (["y"], ["Y"])


def _zram_devices(system: System) -> List[str]:
    main = next((text for text in map(system.read, _ZRAM_FILES) if text is not None), "")
    texts = [main]
    for path in _ZRAM_FILES:
        texts += [system.read(_in(path + ".d", name)) or "" for name in system.names(path + ".d")]
    return re.findall(r"^[ \t]*\[(zram\d+)\]", "\n".join(texts), re.MULTILINE)


def _in(folder: str, name: str) -> str:
    return "{0}/{1}".format(folder, name)


def _is_masked(system: System, name: str) -> bool:
    path = system.path("/etc/systemd/system/" + name)
    return os.path.islink(path) and os.readlink(path) == "/dev/null"


def deleted_swap(device: str) -> Problem:
    """The problem of a deleted swap file: swapoff needs the file, and a new file at the same path does not help."""
    name = device[: -len(DELETED)]
    text = "swap file {0} is deleted but still in use, and can't be switched off without a reboot".format(name)
    return Problem("swap", text, "reboot this host, then run again")


def swap_off(device: str, system: System) -> None:
    """Switch one swap device or file off. Raises :class:`KubesteadError` with the cause and the fix."""
    result = system.run(["swapoff", device], timeout=600)
    if not result.ok:
        # The swapped-out pages must fit into memory. The file may also have been deleted since the observation.
        raise KubesteadError(
            "swap {0} can't be switched off: {1}; free memory and run again, or reboot this host".format(
                device, result.last_line or "swapoff exited with code {0}".format(result.rc)
            )
        )
