# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values of JSON that another machine wrote: whatever is there instead of the expected type gives an empty value.

No function here raises. Text has no control characters and a limited length, so that it can be shown on a terminal.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping

# C0 and C1 control characters, and what turns the direction of text round.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def text(value: Any, limit: int = 253) -> str:
    """The text on one line, cut off after ``limit`` characters; empty for anything but text."""
    if not isinstance(value, str):
        return ""
    clean = _CONTROL.sub(" ", value[: 4 * limit]).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def mapping(value: Any) -> Mapping[str, Any]:
    """The mapping; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> List[Mapping[str, Any]]:
    """The mappings in a list; everything else is left out."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, (list, tuple)) else []


def texts(value: Any, limit: int = 253) -> List[str]:
    """The texts in a list; everything else is left out."""
    found = [text(item, limit) for item in value] if isinstance(value, (list, tuple)) else []
    return [item for item in found if item]


def labels(value: Any) -> Dict[str, str]:
    """A mapping of text to text; everything else is left out."""
    items = {text(name, 317): text(item) for name, item in mapping(value).items() if isinstance(item, str)}
    items.pop("", None)
    return items
