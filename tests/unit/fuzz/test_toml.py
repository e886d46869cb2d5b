# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The TOML reader beside Python's own, on documents that nobody wrote by hand."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import toml

from .. import support
from ..plugins.module_utils.containerd.test_toml import INVALID, VALID
from .profile import fuzz
from .toml_values import same

_CONTAINERD = [path.read_text() for path in sorted((support.FIXTURES / "containerd").glob("*.toml"))]
# What the grammar is made of, and what it nearly is made of.
_TOKENS = st.sampled_from(
    [
        "a",
        "b",
        "a.b",
        "b.a",
        "a.b.c",
        '"a"',
        "'b'",
        '""',
        "é",
        " ",
        "\t",
        "\n",
        "\r\n",
        "\r",
        "\x00",
        "\x7f",
        "#",
        "=",
        ".",
    ]
    + [
        ",",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "'",
        '"',
        "'''",
        '"""',
        "\\",
        "\\n",
        "\\u00e9",
        "\\ud800",
        "\\U0010ffff",
        "\\x41",
    ]
    + [
        "0",
        "1",
        "01",
        "-1",
        "+0",
        "1_0",
        "_",
        "0x1f",
        "0o7",
        "0b1",
        "1.5",
        "1e5",
        ".5",
        "5.",
        "inf",
        "-nan",
        "true",
        "false",
    ]
    + [
        "1979-05-27",
        "T",
        "07:32:00",
        "Z",
        "+01:00",
        ".5",
        "\\\n  ",
        "\ud800",
        "\u2028",
        "\x85",
        "a=1\n",
        "[a]\n",
        "[[a]]\n",
    ]
)
_KEYS = st.sampled_from(["a", "b", "c", '"a"', "'b'", '"a.b"', "1"])
_DOTTED = st.lists(_KEYS, min_size=1, max_size=3).map(".".join)
_TEXT = st.text(max_size=8)
_SCALARS = st.one_of(
    st.integers().map(str),
    st.floats().map(repr),
    st.booleans().map(lambda value: str(value).lower()),
    st.datetimes().map(lambda value: value.isoformat(" ")),
    st.dates().map(str),
    st.times().map(str),
    _TEXT.map(lambda text: toml.dumps({"a": text})[4:-1]),
    st.sampled_from(
        ["0x_1", "01", "1__0", "07:32", "'it''s'", '"\\q"', "'''a'b''c'''", '"""a"b""c\\\n  d"""', "nan", "-inf"]
    ),
)
_VALUES: st.SearchStrategy[str] = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(inner, max_size=3).map(lambda items: "[\n" + "".join(f"  {item}, # one\n" for item in items) + "]"),
        st.lists(st.tuples(_DOTTED, inner), max_size=3).map(
            lambda items: "{" + ", ".join(f"{key} = {value}" for key, value in items) + "}"
        ),
    ),
    max_leaves=6,
)
# Few keys, so that they meet again as a value, a table, an array of tables.
_LINES = st.one_of(
    st.tuples(_DOTTED, _VALUES).map(lambda pair: f"{pair[0]} = {pair[1]}"),
    _DOTTED.map(lambda key: f"[{key}]"),
    _DOTTED.map(lambda key: f"[[{key}]]"),
    st.sampled_from(["", "# comment", "a = {}", "b = []", "a.b = 1"]),
)
_DOCUMENTS = st.lists(_LINES, max_size=8).map("\n".join)


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """A document with a few parts taken out, put in, doubled or moved."""
    text = draw(st.sampled_from(VALID + INVALID + _CONTAINERD) | _DOCUMENTS)
    for _change in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 12)))
        part = draw(_TOKENS | st.just("") | st.just(text[begin:end] * 2) | st.text(max_size=2))
        text = text[:begin] + part + text[end:]
    return text


def _compare(text: str) -> None:
    expected: Any = None
    try:
        expected = tomllib.loads(text)
    except ValueError:
        with pytest.raises(toml.TomlError):
            toml.loads(text)
        return
    value = toml.loads(text)
    assert same(value) == same(expected)
    assert same(tomllib.loads(toml.dumps(value))) == same(expected)


@fuzz(400)
@given(_DOCUMENTS)
def test_generated_documents_are_read_as_python_reads_them(text: str) -> None:
    _compare(text)


@fuzz(400)
@given(_mutated())
def test_mutated_documents_are_read_as_python_reads_them(text: str) -> None:
    _compare(text)


@fuzz(300)
@given(st.lists(_TOKENS, max_size=12).map("".join) | st.text(max_size=20))
def test_any_text_is_read_as_python_reads_it(text: str) -> None:
    _compare(text)


@fuzz(200)
@given(st.lists(_TOKENS, max_size=6).map("".join))
def test_any_value_is_read_as_python_reads_it(text: str) -> None:
    _compare(f"a = {text}")


_DATA = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.integers() | st.floats() | st.booleans() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=4,
)


@fuzz(200)
@given(_DATA)
def test_what_is_written_is_read_back(data: dict[str, Any]) -> None:
    assert same(tomllib.loads(toml.dumps(data))) == same(data) == same(toml.loads(toml.dumps(data)))
