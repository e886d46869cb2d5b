# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operating system's name and version, as /etc/os-release has them."""

from __future__ import annotations

from typing import Dict

from ..core.system import System

# -- looking


def os_release(system: System) -> Dict[str, str]:
    """The fields of os-release; none when there is no such file."""
    text = system.read("/etc/os-release") or system.read("/usr/lib/os-release") or ""
    fields = {}
    for line in text.splitlines():
        key, mark, value = line.partition("=")
        if mark and not key.startswith("#"):
            fields[key.strip()] = value.strip().strip("'\"")
    return fields
