# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what another machine or program wrote: JSON, numbers, addresses, and values of an unexpected type.

:func:`parse_json` raises ValueError; the other functions give an empty value. Text has no control characters and a
limited length, so that it can be shown on a terminal.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Mapping, Union

from .addresses import plain_address, plain_network

# C0 control characters except tab and line feed, C1 control characters, line and paragraph separators, bidirectional
# controls, invisible characters, tag characters, and surrogates, which a terminal can't show.
_UNPRINTABLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e007f"
)
_CONTROL = re.compile("[{0}]".format(_UNPRINTABLE))
_CONTROLS_OR_BREAKS = re.compile("[\t\n{0}]+".format(_UNPRINTABLE))
# More than any number here has, and far fewer than the 4300 at which Python refuses.
_DIGITS = re.compile(r"[0-9]{1,18}")
# Levels that a document may have; Python's own limit, about 1000, is too many for functions that walk through it.
_DEEPEST = 200


def text(value: Any, limit: int = 253) -> str:
    """The text on one line, truncated to ``limit`` characters; empty for a value that is not text."""
    if not isinstance(value, str):
        return ""
    clean = _CONTROLS_OR_BREAKS.sub(" ", value[: 4 * limit]).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def line(value: str, limit: int = 4000) -> str:
    """A message on one line, as it may be printed on a terminal; truncated to ``limit`` characters."""
    clean = _CONTROLS_OR_BREAKS.sub(" ", value[: 4 * limit])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def printable(value: str) -> str:
    """The text with U+FFFD for every control or invisible character except tabs and line feeds."""
    return _CONTROL.sub("\ufffd", value)


def type_name(value: Any) -> str:
    """The name of a value's type, to show instead of the value. Ansible's subclasses have the name of their base."""
    known = next((one for one in (bool, str, int, float, list, tuple) if isinstance(value, one)), type(value))
    return "dict" if isinstance(value, Mapping) else known.__name__.lstrip("_")


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


def integer(value: Any) -> int:
    """A number in JSON as an integer; 0 for a value that is not a number, not finite, or beyond 64 bits."""
    if isinstance(value, float) and abs(value) < 2**63:
        return int(value)
    return value if isinstance(value, int) and abs(value) < 2**63 else 0


def is_address(text: str) -> bool:
    """True for an IP address without a scope id."""
    try:
        plain_address(text)
    except ValueError:
        return False
    return True


def is_network(text: str) -> bool:
    """True for a range of IP addresses in CIDR form, or a single address; without a scope id."""
    try:
        plain_network(text, strict=False)
    except ValueError:
        return False
    return True


def _inside(value: Any) -> Any:
    if isinstance(value, dict):
        return [item for item in value.values() if isinstance(item, (dict, list))]
    return [item for item in value if isinstance(item, (dict, list))] if isinstance(value, list) else []
