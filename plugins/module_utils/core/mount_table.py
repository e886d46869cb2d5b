# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fields of fstab, /proc/self/mounts and /proc/swaps."""

from __future__ import annotations

import re


def unescape(field: str) -> str:
    """The field with its octal escapes replaced: ``\\040`` is a space. See fstab(5) and getmntent(3)."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), field)
