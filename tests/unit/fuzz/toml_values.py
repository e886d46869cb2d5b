# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of TOML documents in a form in which what is equal is the same: with their types, and equal to itself."""

from __future__ import annotations

import tomllib
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.toml import DateText


def same(value: Any) -> Any:
    """A value with the types in it, dates as Python has them, and floats as they print (``nan`` is never equal)."""
    if isinstance(value, DateText):
        return same(tomllib.loads(f"date = {value}")["date"])
    if isinstance(value, dict):
        return {key: same(item) for key, item in value.items()}
    if isinstance(value, list):
        return [same(item) for item in value]
    return type(value).__name__, repr(value) if isinstance(value, float) else value
