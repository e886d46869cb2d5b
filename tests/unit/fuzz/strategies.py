# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node, a mirror or a file can hold: any text, any bytes, any JSON, and good documents that were damaged."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

# What readers tend to be wrong about: NUL and control characters, separators of lines that are not \n, digits that are
# not decimal, lone surrogates, more digits than Python converts, marks without what belongs to them.
_ODD = ["\x00", "\x1b[2J", "\x7f", "\x85", "\x9b", "\u2028", "\x1c", "\r", "\t", " ", "\n", "\n\n", "\u202e", "\ud800"]
_ODD += [
    "\udcff",
    "²",
    "٣",
    "\U0001d7d7",
    "é",
    "\u017f",
    "\ufeff",
    "\U0001f600",
    "9" * 5000,
    "-1",
    "1e999",
    "0x",
    "NaN",
    "1.5",
    "00",
]
_ODD += [
    "=",
    ":",
    ": ",
    "::",
    '"',
    "'",
    '"x',
    "\\",
    "\\000",
    "\\777",
    "#",
    ";",
    "-",
    "--",
    "[",
    "]",
    "[]",
    "{",
    "}",
    "{}",
]
_ODD += [
    "%",
    "*",
    "?",
    "[!",
    "[z-a]",
    "/",
    "//",
    "..",
    "../..",
    "http://[",
    "https://a/",
    "null",
    "~",
    "|",
    ">",
    "- ",
    "---",
]
ODD = st.sampled_from(_ODD)
TEXT = st.text(max_size=12) | st.lists(ODD, max_size=4).map("".join)


@st.composite
def texts(draw: st.DrawFn, seeds: Sequence[str]) -> str:
    """One of ``seeds`` with parts of it cut out, doubled, moved or replaced; or any text."""
    if draw(st.integers(0, 9)) == 0:
        return draw(TEXT)
    text = draw(st.sampled_from(list(seeds)))
    for _change in range(draw(st.integers(1, 4))):
        kind = draw(st.integers(0, 3))
        if kind == 0:
            lines = text.splitlines(keepends=True) or [""]
            index = draw(st.integers(0, len(lines) - 1))
            lines[index : index + 1] = draw(st.sampled_from([[], [lines[index]] * 2, [lines[-1], lines[index]]]))
            text = "".join(lines)
        elif kind == 1:
            words = text.split(" ")
            index = draw(st.integers(0, len(words) - 1))
            words[index : index + 1] = draw(st.sampled_from([[], [""]]) | TEXT.map(lambda new: [new]))
            text = " ".join(words)
        else:
            begin = draw(st.integers(0, len(text)))
            end = begin + draw(st.integers(0, 10 if kind == 2 else 300))
            text = text[:begin] + draw(TEXT) + text[end:]
    return text


@st.composite
def damaged_bytes(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of ``seeds`` with bytes changed, cut out or put in; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=60))
    data = draw(st.sampled_from(list(seeds)))
    for _change in range(draw(st.integers(1, 5))):
        begin = draw(st.integers(0, len(data)))
        new = draw(
            st.binary(max_size=4) | st.sampled_from([b"\x00", b"\xff", b"\x80", b"\x84\xff\xff\xff\xff", b"\x30"])
        )
        data = data[:begin] + new + data[begin + draw(st.integers(0, 8)) :]
    return data


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.5, -1.5, 1e308, float("inf"), float("-inf"), float("nan")]
    ),
    TEXT,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything in a document."""
    found: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        keys: Sequence[Any] = (
            list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else []
        )
        found += [(item, key) for key in keys]
        stack += [item[key] for key in keys]
    return found


@st.composite
def documents(draw: st.DrawFn, seeds: Sequence[Any]) -> Any:
    """One of the JSON documents ``seeds`` with values replaced by others of any type, or taken out; or any value."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    document = copy.deepcopy(draw(st.sampled_from(list(seeds))))
    for _change in range(draw(st.integers(1, 4))):
        places = _places(document)
        if not places:
            break
        container, key = draw(st.sampled_from(range(len(places))).map(places.__getitem__))
        if draw(st.booleans()) or isinstance(container, list):
            container[key] = draw(VALUES)
        else:
            del container[key]
    return document


# What exhausts the stack of a reader that calls itself.
DEEP = ["[" * 100_000, '{"a":' * 100_000, '{"items":' + "[" * 900 + "]" * 900 + "}", '{"a":' * 900 + "1" + "}" * 900]
DEEP += ['{"data":{"ClusterConfiguration":' + "[" * 400 + "]" * 400 + "}}"]


def json_texts(seeds: Sequence[Any]) -> st.SearchStrategy[str]:
    """What a program printed that should have printed one of ``seeds`` as JSON."""
    return st.one_of(
        documents(seeds).map(json.dumps),
        documents(seeds).map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
        texts([json.dumps(seed) for seed in seeds]),
        st.sampled_from(DEEP),
    )
