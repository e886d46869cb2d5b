# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a kubeconfig in block style, as kubectl and kubeadm write it. Nodes do not have a YAML parser."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Set, Tuple

#: The lists of a kubeconfig, and the key of each of their entries that has its values.
SECTIONS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_TOP = re.compile(r"([A-Za-z][\w-]*):(?:[ \t]+(.*))?\Z")
_KEY = re.compile(r"([ \t]*(?:- +)?)([A-Za-z][\w-]*):(?:[ ]+(.*))?\Z")
# What may be below a value, such as the arguments of exec: the dashes of list items, and a key.
_DASHES = re.compile(r" *(?:-(?: +|\Z))*")
_INNER_KEY = re.compile(r"""["']?\w[\w./-]*["']?:(?:[ ]+(.*))?\Z""")
# The start of a text in the deeper lines that follow.
_LITERAL = re.compile(r"[|>][+-]?[1-9]?[+-]?(?:[ \t]+#.*)?\Z")
# The start or the end of a document.
_MARK = re.compile(r"(?:---|\.\.\.)(?:[ \t]+#.*)?\Z")
# A quoted value without other escapes than two single quotes for one, and a comment.
_QUOTED = re.compile(r"""(?:"[^"\\]*"|'[^']*(?:''[^']*)*')(?=\s+#|\s*\Z)""")
_COMMENT = re.compile(r"(?:\A|[ \t])#")
_NULL = ("null", "Null", "NULL", "~")
# A value in flow style that ends in its line.
_FLOW = re.compile(r"""[{\[](?:[^{}\[\]"'#]|"[^"\\]*"|'[^']*')*[}\]](?=\s+#|\s*\Z)""")


@dataclass
class Entry:
    """A list item: its range of lines, its name, and the values of its cluster, user or context.

    ``values`` maps a key to its line number and text; a key with a mapping or a list is only in ``keys``. The other
    fields are for the parser: the indentation of the item, of its own keys and of ``keys``, whether it is in ``keys``,
    the indentation of the last key, whether it has a text, and whether a mapping or a list began below it.
    """

    first: int
    end: int
    indent: int = 0
    depth: int = 0
    name: str = ""
    keys: Set[str] = field(default_factory=set)
    values: Dict[str, Tuple[int, str]] = field(default_factory=dict)
    own_keys: Set[str] = field(default_factory=set)
    inner: int = 0
    inside: bool = False
    last_depth: int = 0
    text: bool = False
    nested: bool = False


@dataclass
class Entries:
    """A kubeconfig: ``lists`` maps ``clusters``, ``contexts`` and ``users`` to their entries.

    ``lines`` is empty for JSON. ``start`` is the byte order mark before them, or empty. ``keys`` has all keys of the
    file, and "#" for a line that is something else.
    """

    lines: List[str] = field(default_factory=list)
    lists: Dict[str, List[Entry]] = field(default_factory=lambda: {name: [] for name in SECTIONS})
    current: str = ""
    start: str = ""
    keys: Set[str] = field(default_factory=set)


def bare(text: str) -> str:
    """The text without the byte order mark that some editors write."""
    return text[1:] if text.startswith("\ufeff") else text


def in_block_style(text: str) -> Optional[Entries]:
    """The entries of a kubeconfig in block style; None unless each of its lines can be read."""
    body = bare(text)
    found = Entries(body.splitlines(keepends=True), start=text[: len(text) - len(body)])
    section, is_text, started, ended = "", False, False, False
    # The indentation that all lines of a text in several lines exceed; -1 outside of such a text.
    literal = -1
    known: Set[str] = set()
    for number, raw in enumerate(found.lines):
        line = raw.rstrip(" \t\r\n")
        content = line.lstrip(" ")
        depth = len(line) - len(content)
        if literal >= 0 and (not content or depth > literal):
            found.keys.add("#")
            if section:
                found.lists[section][-1].end = number + 1
            continue
        literal = -1
        if not content.strip():
            continue
        if _MARK.match(line):
            # kubectl reads the first document, so another one must be empty.
            ended = ended or started or line.startswith("...")
            started = True
            found.keys.update("#" if "#" in line else "")
            continue
        key = _KEY.match(line)
        found.keys.add(key.group(2) if key else "#")
        if content.strip().startswith("#"):
            continue
        started = True
        above, value = _item(line)
        if ended or _is_styled(value) or content.startswith("\t"):
            return None
        if depth or line.startswith("- "):
            if is_text or (section and not _add(found.lists[section], SECTIONS[section], number, line)):
                return None
            if _LITERAL.match(value):
                # The value of a cluster, user or context has to be in its line.
                if section and not found.lists[section][-1].nested:
                    return None
                literal = above
            continue
        top = _TOP.match(line)
        if top is None or top.group(1) in known or _LITERAL.match(value):
            return None
        name, given = top.group(1), _given(top.group(2))
        known.add(name)
        section = name if name in SECTIONS else ""
        if not is_simple(given) or _is_styled(given) or (section and _scalar(given) not in ("", "[]")):
            return None
        is_text = bool(given)
        if name == "current-context":
            found.current, is_text = _scalar(given), True
    # The end of a last line without one would become part of the text.
    complete = literal < 0 or body.endswith("\n")
    return found if complete and known & set(SECTIONS) else None


def _item(line: str) -> Tuple[int, str]:
    """The value after the dashes and the key of a line, and the indentation that lines of this value exceed."""
    start = _DASHES.match(line).end()  # type: ignore[union-attr]
    key = _INNER_KEY.match(line, start)
    if key:
        return start, key.group(1) or ""
    dash = line.rfind("-", 0, start)
    # Another line is a text, or belongs to one.
    return (dash, line[start:]) if dash >= 0 else (start, "")


def _is_styled(value: str) -> bool:
    """True for a value that is not in block style, or not in one line."""
    if value.startswith(("|", ">")):
        return _LITERAL.match(value) is None
    return value.startswith(("&", "*", "!")) or (_is_flow(value) and not _FLOW.match(value))


def _add(entries: List[Entry], kind: str, number: int, line: str) -> bool:
    """Add a line to the entries of a list; False if the line can't be parsed. ``kind`` is the key of their values."""
    key = _KEY.match(line)
    depth = len(line) - len(line.lstrip(" "))
    listed = line.lstrip(" ").startswith("-")
    if listed and (not entries or depth == entries[0].indent):
        if key is None:
            return False
        entries.append(Entry(number, number + 1, depth, len(key.group(1))))
        depth, listed = entries[-1].depth, False
    elif not entries or depth <= entries[0].indent:
        return False
    entry = entries[-1]
    entry.end = number + 1
    if key is not None and not listed and depth == entry.depth:
        return _add_own(entry, kind, key.group(2), _given(key.group(3)))
    if entry.inside and entry.inner in (0, depth) and depth > entry.depth and not listed:
        return key is not None and _add_value(entry, number, depth, key.group(2), _given(key.group(3)))
    # A mapping or a list, such as the arguments of exec. Another line is text that belongs to the line above.
    below = depth > entry.last_depth or (listed and depth == entry.last_depth)
    if not below or entry.text or (entry.inside and not entry.inner):
        return False
    entry.nested = entry.nested or listed or key is not None
    return entry.nested


def _add_own(entry: Entry, kind: str, key: str, value: str) -> bool:
    if key in entry.own_keys:
        return False
    entry.own_keys.add(key)
    entry.inside = key == kind and not value
    entry.last_depth, entry.text, entry.nested = entry.depth, bool(value), False
    if key == "name":
        entry.name = _scalar(value)
    return is_simple(value) and (not _is_flow(value) or _scalar(value) == "{}")


def _add_value(entry: Entry, number: int, depth: int, key: str, value: str) -> bool:
    if key in entry.keys:
        return False
    entry.keys.add(key)
    entry.inner = entry.last_depth = depth
    entry.text, entry.nested = bool(value), False
    if value and not _is_flow(value):
        entry.values[key] = (number, _scalar(value))
    return is_simple(value)


def _given(value: Optional[str]) -> str:
    """The text after a key; empty if it is only a comment."""
    return "" if not value or value.startswith("#") else value


def is_simple(value: str) -> bool:
    """False for a quoted text with escapes or with more lines, which would have to be decoded."""
    return value[:1] not in ("'", '"') or _QUOTED.match(value) is not None


def _is_flow(value: str) -> bool:
    return value.startswith(("{", "["))


def _scalar(text: str) -> str:
    text = text.strip()
    quoted = _QUOTED.match(text)
    if quoted:
        inner = quoted.group()[1:-1]
        return inner.replace("''", "'") if text.startswith("'") else inner
    plain = _COMMENT.split(text, 1)[0].rstrip()
    return "" if plain in _NULL else plain
