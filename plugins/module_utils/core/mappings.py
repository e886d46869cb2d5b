# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nested mappings: merging, and reading by a path of keys. Pure."""

from __future__ import annotations

import copy
from typing import Any, Dict, Mapping, Sequence


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Dict[str, Any]:
    """``base`` merged with ``over``: mappings are merged, other values are replaced. The arguments are not changed."""
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        present = result.get(key)
        if isinstance(value, Mapping):
            result[key] = merged(present if isinstance(present, Mapping) else {}, value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def get(data: Any, path: Sequence[str]) -> Any:
    """The value at a path of keys; None without one."""
    for key in path:
        if not isinstance(data, Mapping) or key not in data:
            return None
        data = data[key]
    return data


def nested(path: Sequence[str], value: Any) -> Dict[str, Any]:
    """A mapping with the value at a path of one key or more."""
    for key in reversed(path):
        value = {key: value}
    return dict(value)
