# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TOML 1.0 as containerd's files use it: read into dictionaries and written back.

Python has a reader only since 3.11 and no writer; nodes may have 3.8. This reader accepts what ``tomllib`` accepts and
gives the same values, with two differences. Dates and times stay text (:class:`DateText`), because what is observed of
a node travels as JSON. Nesting is limited to :data:`DEEPEST` levels, so that no document can exhaust Python's stack.

No expression here can match a text in two ways, and the position never moves back: reading takes linear time.
"""

from __future__ import annotations

import datetime
import re
from typing import Any, Dict, List, Mapping, Sequence

from ..core.errors import KubesteadError

#: Levels of tables and arrays a document may have. Files of containerd have fewer than ten.
DEEPEST = 100
# Python refuses longer decimal integers since 3.8.14; before, reading them takes quadratic time.
_MOST_DIGITS = 4300
_MOST_BITS = 14280

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_LINES = re.compile(r"[ \t\n]*")
_COMMENT = re.compile(r"#[^\x00-\x08\x0a-\x1f\x7f]*")
# What a string of each kind may hold as it is.
_BASIC = re.compile(r'[^"\\\x00-\x08\x0a-\x1f\x7f]*')
_BASIC_LINES = re.compile(r'[^"\\\x00-\x08\x0b-\x1f\x7f]*')
_LITERAL = re.compile(r"[^'\x00-\x08\x0a-\x1f\x7f]*")
_LITERAL_LINES = re.compile(r"[^'\x00-\x08\x0b-\x1f\x7f]*")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
_HEX = re.compile(r"[0-9A-Fa-f]+")

_RADIX = re.compile(r"0(?:x[0-9A-Fa-f](?:_?[0-9A-Fa-f])*|o[0-7](?:_?[0-7])*|b[01](?:_?[01])*)")
_NUMBER = re.compile(r"[+-]?(?:0|[1-9](?:_?[0-9])*)(?P<rest>(?:\.[0-9](?:_?[0-9])*)?(?:[eE][+-]?[0-9](?:_?[0-9])*)?)")
_SPECIAL = re.compile(r"[+-]?(?:inf|nan)")
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
_TIME = re.compile(_CLOCK)
_DATE = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"(?:[Tt ]" + _CLOCK + r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?)?"
)


class DateText(str):
    """A date, a time or both, as the document has it; :func:`dumps` writes it without quotes."""


class TomlError(KubesteadError):
    """Text that is not TOML. ``problem`` says what is wrong, ``line`` counts from 1."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__("line {0}: {1}".format(line, problem))
        self.problem = problem
        self.line = line


def loads(text: str) -> Dict[str, Any]:
    """The dictionary a TOML text stands for. Raises :class:`TomlError`."""
    return _Reader(text.replace("\r\n", "\n")).document()


def dumps(data: Mapping[str, Any]) -> str:
    """A dictionary as TOML: values first, then a table for each dictionary."""
    lines: List[str] = []
    _write_table(data, [], lines)
    return "\n".join(lines).strip("\n") + "\n" if lines else ""


def key_text(path: Sequence[str]) -> str:
    """A path of keys as TOML writes it: ``plugins."io.containerd.grpc.v1.cri".cni``."""
    return ".".join(key if _BARE.fullmatch(key) else _string(key) for key in path)


# -- writing


def _write_table(data: Mapping[str, Any], path: List[str], lines: List[str]) -> None:
    plain = [(key, value) for key, value in data.items() if not isinstance(value, Mapping)]
    tables = [(key, value) for key, value in data.items() if isinstance(value, Mapping)]
    if path and (plain or not tables):
        if lines and lines[-1] != "":
            lines.append("")
        lines.append("[{0}]".format(key_text(path)))
    for key, value in plain:
        lines.append("{0} = {1}".format(key_text([key]), _value(value)))
    for key, value in tables:
        _write_table(value, path + [key], lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, DateText):
        return str(value)
    if isinstance(value, int) and value > 0 and value.bit_length() > _MOST_BITS:
        # It was hexadecimal: Python does not print so many decimal digits.
        return hex(value)
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = ["{0} = {1}".format(key_text([key]), _value(item)) for key, item in value.items()]
        return "{{{0}}}".format(", ".join(pairs))
    if isinstance(value, (list, tuple)):
        return "[{0}]".format(", ".join(_value(item) for item in value))
    return _string(str(value))


def _string(text: str) -> str:
    out = []
    for char in text:
        if char in ('"', "\\"):
            out.append("\\" + char)
        elif char in "\b\t\n\f\r":
            out.append({"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}[char])
        elif ord(char) < 32 or ord(char) == 127:
            out.append("\\u{0:04X}".format(ord(char)))
        else:
            out.append(char)
    return '"{0}"'.format("".join(out))


# -- reading


class _Rules:
    """What may still be defined for a key. ``explicit``: it has a header; ``frozen``: its value is complete."""

    __slots__ = ("below", "explicit", "frozen")

    def __init__(self) -> None:
        self.explicit = False
        self.frozen = False
        self.below: Dict[str, _Rules] = {}

    def at(self, key: str) -> _Rules:
        """The rules of a key below, made when there are none."""
        return self.below.setdefault(key, _Rules())


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.root: Dict[str, Any] = {}
        self.rules = _Rules()
        # Tables that dotted keys made: a header can't name them, while their own section can add to them.
        self.dotted: List[_Rules] = []

    def document(self) -> Dict[str, Any]:
        header: List[str] = []
        while True:
            self._skip(_LINES)
            if self.at >= len(self.text):
                return self.root
            if self._peek("["):
                header = self._header()
            elif not self._peek("#"):
                self._pair(header)
            self._skip(_SPACE)
            self._skip(_COMMENT)
            if self.at < len(self.text) and not self._peek("\n"):
                raise self._error("the end of the line is expected")

    # -- tables

    def _header(self) -> List[str]:
        for rules in self.dotted:
            rules.explicit = True
        self.dotted.clear()
        several = self._peek("[[")
        self.at += 2 if several else 1
        path = self._key()
        parent = self.rules
        for key in path[:-1]:
            self._require_open(parent, path)
            parent = parent.at(key)
        self._require_open(parent, path)
        rules = parent.at(path[-1])
        self._require_open(rules, path)
        if several:
            # A new element: the tables below the previous element do not count.
            rules = parent.below[path[-1]] = _Rules()
        elif rules.explicit:
            raise self._error("table {0} is defined twice".format(key_text(path)))
        rules.explicit = True
        if several:
            table = self._descend(self.root, path[:-1])
            items = table.setdefault(path[-1], [])
            if not isinstance(items, list):
                raise self._error("{0} is not an array of tables".format(key_text(path)))
            items.append({})
        else:
            self._descend(self.root, path)
        if not self._peek("]]" if several else "]"):
            raise self._error("{0!r} is expected".format("]]" if several else "]"))
        self.at += 2 if several else 1
        return path

    def _pair(self, header: List[str]) -> None:
        path = self._key(len(header))
        value = self._value_of_key(len(header) + len(path))
        rules = self.rules
        for key in header:
            rules = rules.at(key)
        for key in path[:-1]:
            rules = rules.at(key)
            if rules.explicit:
                raise self._error("table {0} is defined twice".format(key_text(header + path[:-1])))
            self.dotted.append(rules)
            self._require_open(rules, header + path)
        table = self._descend(self.root, header + path[:-1])
        if path[-1] in table:
            raise self._error("key {0} is defined twice".format(key_text(header + path)))
        table[path[-1]] = value
        if isinstance(value, (dict, list)):
            rules.at(path[-1]).frozen = True

    def _require_open(self, rules: _Rules, path: Sequence[str]) -> None:
        if rules.frozen:
            raise self._error("{0} has a complete value already".format(key_text(path)))

    def _descend(self, table: Dict[str, Any], path: Sequence[str]) -> Dict[str, Any]:
        for key in path:
            value = table.setdefault(key, {})
            if isinstance(value, list) and value:
                value = value[-1]
            if not isinstance(value, dict):
                raise self._error("{0} is not a table".format(key_text(path)))
            table = value
        return table

    # -- keys and values

    def _key(self, depth: int = 0) -> List[str]:
        path: List[str] = []
        while True:
            self._skip(_SPACE)
            if self._peek('"'):
                path.append(self._basic_string())
            elif self._peek("'"):
                path.append(self._literal_string())
            else:
                match = _BARE.match(self.text, self.at)
                if not match:
                    raise self._error("a key is expected")
                path.append(match.group())
                self.at = match.end()
            self._require_shallow(depth + len(path))
            self._skip(_SPACE)
            if not self._peek("."):
                return path
            self.at += 1

    def _value_of_key(self, depth: int) -> Any:
        if not self._peek("="):
            raise self._error("'=' is expected")
        self.at += 1
        self._skip(_SPACE)
        return self._read_value(depth)

    def _read_value(self, depth: int) -> Any:
        self._require_shallow(depth)
        if self._peek('"'):
            return self._basic_lines() if self._peek('"""') else self._basic_string()
        if self._peek("'"):
            return self._literal_lines() if self._peek("'''") else self._literal_string()
        if self._peek("["):
            return self._array(depth)
        if self._peek("{"):
            return self._inline_table(depth)
        return self._scalar()

    def _require_shallow(self, depth: int) -> None:
        if depth > DEEPEST:
            raise self._error("nested deeper than {0} levels".format(DEEPEST))

    def _scalar(self) -> Any:
        for word, value in (("true", True), ("false", False)):
            if self._peek(word):
                self.at += len(word)
                return value
        start = self.at
        match = _DATE.match(self.text, start)
        if match:
            try:
                datetime.date(*(int(part) for part in match.groups()))
            except ValueError:
                raise self._error("{0} is not a date".format(match.group())) from None
        match = match or _TIME.match(self.text, start)
        if match:
            self.at = match.end()
            return DateText(match.group())
        match = _RADIX.match(self.text, start)
        if match:
            self.at = match.end()
            return int(match.group().replace("_", ""), 0)
        match = _NUMBER.match(self.text, start)
        if match:
            self.at = match.end()
            plain = match.group().replace("_", "")
            if match.group("rest"):
                return float(plain)
            if len(plain.lstrip("+-")) > _MOST_DIGITS:
                raise self._error("the number has more than {0} digits".format(_MOST_DIGITS))
            return int(plain)
        match = _SPECIAL.match(self.text, start)
        if match:
            self.at = match.end()
            return float(match.group())
        raise self._error("a value is expected; text needs quotes")

    def _array(self, depth: int) -> List[Any]:
        start = self.at
        self.at += 1
        items: List[Any] = []
        while True:
            self._skip_lines()
            if self._peek("]"):
                self.at += 1
                return items
            if self.at >= len(self.text):
                raise self._error("the array is not closed", start)
            items.append(self._read_value(depth + 1))
            self._skip_lines()
            if self._peek(","):
                self.at += 1
            elif not self._peek("]"):
                raise self._error("the array is not closed", start)

    def _skip_lines(self) -> None:
        self._skip(_LINES)
        while self._peek("#"):
            self._skip(_COMMENT)
            self._skip(_LINES)

    def _inline_table(self, depth: int) -> Dict[str, Any]:
        start = self.at
        self.at += 1
        document: Dict[str, Any] = {}
        # Tables that dotted keys made here; all other values are complete.
        open_tables = {id(document)}
        self._skip(_SPACE)
        if self._peek("}"):
            self.at += 1
            return document
        while True:
            path = self._key(depth)
            value = self._value_of_key(depth + len(path))
            table = document
            for key in path[:-1]:
                if key not in table:
                    table[key] = {}
                    open_tables.add(id(table[key]))
                table = table[key]
                if id(table) not in open_tables:
                    raise self._error("{0} has a complete value already".format(key_text(path)))
            if path[-1] in table:
                raise self._error("key {0} is defined twice".format(key_text(path)))
            table[path[-1]] = value
            self._skip(_SPACE)
            if self._peek("}"):
                self.at += 1
                return document
            if not self._peek(","):
                raise self._error("the inline table is not closed", start)
            self.at += 1

    # -- strings

    def _basic_string(self) -> str:
        start = self.at
        self.at += 1
        out: List[str] = []
        while True:
            out.append(self._take(_BASIC))
            if self._peek('"'):
                self.at += 1
                return "".join(out)
            if not self._peek("\\"):
                raise self._unclosed(start)
            self.at += 1
            out.append(self._escape())

    def _literal_string(self) -> str:
        start = self.at
        self.at += 1
        value = self._take(_LITERAL)
        if not self._peek("'"):
            raise self._unclosed(start)
        self.at += 1
        return value

    def _basic_lines(self) -> str:
        start = self._open_lines()
        out: List[str] = []
        while True:
            out.append(self._take(_BASIC_LINES))
            if self._peek('"""'):
                return "".join(out) + self._close_lines('"')
            if self._peek('"'):
                self.at += 1
                out.append('"')
            elif self._peek("\\"):
                self.at += 1
                goes_on = self.text[self.at : self.at + 1] in (" ", "\t", "\n")
                out.append(self._continuation() if goes_on else self._escape())
            else:
                raise self._unclosed(start)

    def _literal_lines(self) -> str:
        start = self._open_lines()
        out: List[str] = []
        while True:
            out.append(self._take(_LITERAL_LINES))
            if self._peek("'''"):
                return "".join(out) + self._close_lines("'")
            if not self._peek("'"):
                raise self._unclosed(start)
            self.at += 1
            out.append("'")

    def _open_lines(self) -> int:
        start = self.at
        self.at += 3
        if self._peek("\n"):
            self.at += 1
        return start

    def _close_lines(self, quote: str) -> str:
        """Pass the three quotes at the end; up to two more before them belong to the text."""
        self.at += 3
        more = 0
        while more < 2 and self._peek(quote):
            self.at += 1
            more += 1
        return quote * more

    def _continuation(self) -> str:
        """A backslash at the end of a line: the next text follows directly."""
        self._skip(_SPACE)
        if self.at < len(self.text) and not self._peek("\n"):
            raise self._error("\\ is followed by a space, which is not an escape")
        self._skip(_LINES)
        return ""

    def _escape(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if char in _ESCAPES:
            return _ESCAPES[char]
        length = {"u": 4, "U": 8}.get(char, 0)
        digits = self.text[self.at : self.at + length]
        if not length or len(digits) < length or not _HEX.fullmatch(digits):
            raise self._error("\\{0} is not an escape".format(char))
        code = int(digits, 16)
        if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            raise self._error("\\{0}{1} is not a character".format(char, digits))
        self.at += length
        return chr(code)

    # -- the text

    def _peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if not match:
            return ""
        self.at = match.end()
        return match.group()

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _unclosed(self, start: int) -> TomlError:
        char = self.text[self.at : self.at + 1]
        if char and char != "\n":
            return self._error("the control character {0!r} needs an escape".format(char))
        return self._error("the text is not closed", start)

    def _error(self, problem: str, at: int = -1) -> TomlError:
        return TomlError(problem, self.text.count("\n", 0, self.at if at < 0 else at) + 1)
