# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading JSON, numbers and addresses that other programs wrote, with no error but ValueError."""

from __future__ import annotations

import ipaddress
import json
import re
from typing import Any, Union

# More than any number here has, and far fewer than the 4300 at which Python refuses.
_DIGITS = re.compile(r"[0-9]{1,18}")
# Levels that a document may have; Python's own limit, about 1000, is too many for functions that walk through it.
_DEEPEST = 200


def parse_json(text: Union[str, bytes]) -> Any:
    """The value of a JSON text.

    Raises :class:`ValueError` for text that is not JSON, and for more than 200 levels.
    """
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level = [value]
    for _depth in range(_DEEPEST):
        level = [inner for item in level for inner in _inside(item)]
        if not level:
            return value
    raise ValueError("it is nested too deeply")


def number(text: str) -> int:
    """A number of at most 18 decimal digits; -1 for any other text.

    ``str.isdigit`` and ``\\d`` take digits of all scripts, some of which ``int`` refuses.
    """
    return int(text) if _DIGITS.fullmatch(text) else -1


def whole(value: Any) -> int:
    """A number in JSON as a whole one; 0 for what is no number, not finite, or beyond 64 bits."""
    if isinstance(value, float) and abs(value) < 2**63:
        return int(value)
    return value if isinstance(value, int) and abs(value) < 2**63 else 0


def is_address(text: str) -> bool:
    """True for an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """True for a range of IP addresses in CIDR form, or a single address."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return [item for item in value.values() if isinstance(item, (dict, list))]
    return [item for item in value if isinstance(item, (dict, list))] if isinstance(value, list) else []
