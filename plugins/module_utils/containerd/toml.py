# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TOML as containerd's files use it: read into dictionaries and written back.

Python has a reader only since 3.11 and no writer; nodes may have 3.8. Dates and times, which no file of containerd
holds, are kept as text.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..core.errors import KubesteadError

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_LINE_END = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|$)")
_SCALAR = re.compile(r"[^\s,\]}#]+(?: \d\d:\d\d[^\s,\]}#]*)?")
_INTEGER = re.compile(r"[+-]?(?:0|[1-9](?:_?\d)*)$")
_RADIX = re.compile(r"0(?:x[0-9A-Fa-f_]+|o[0-7_]+|b[01_]+)$")
_FLOAT = re.compile(r"[+-]?(?:\d(?:_?\d)*(?:\.\d(?:_?\d)*)?(?:[eE][+-]?\d(?:_?\d)*)?|inf|nan)$")
_HEX = re.compile(r"[0-9A-Fa-f]+$")
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d\d:\d\d")
_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", "e": "\x1b", '"': '"', "\\": "\\"}


class TomlError(KubesteadError):
    """Text that is no TOML. ``problem`` says what and where, ``line`` counts from 1."""

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


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.defined: Dict[Tuple[str, ...], bool] = {}

    def document(self) -> Dict[str, Any]:
        root: Dict[str, Any] = {}
        table = root
        self._skip(_BLANK)
        while self.at < len(self.text):
            if self._peek("[["):
                table = self._array_header(root)
            elif self._peek("["):
                table = self._header(root)
            else:
                self._pair(table)
            self._end_of_line()
            self._skip(_BLANK)
        return root

    def _header(self, root: Dict[str, Any]) -> Dict[str, Any]:
        self.at += 1
        path = self._key()
        self._expect("]")
        if self.defined.get(tuple(path)):
            raise self._error("table {0} is defined twice".format(key_text(path)))
        self.defined[tuple(path)] = True
        return self._descend(root, path)

    def _array_header(self, root: Dict[str, Any]) -> Dict[str, Any]:
        self.at += 2
        path = self._key()
        self._expect("]]")
        parent = self._descend(root, path[:-1])
        items = parent.setdefault(path[-1], [])
        if not isinstance(items, list):
            raise self._error("{0} is no array of tables".format(key_text(path)))
        items.append({})
        prefix = tuple(path)
        for known in [known for known in self.defined if known[: len(prefix)] == prefix]:
            del self.defined[known]
        last: Dict[str, Any] = items[-1]
        return last

    def _pair(self, table: Dict[str, Any]) -> None:
        path = self._key()
        self._expect("=")
        self._skip(_SPACE)
        target = self._descend(table, path[:-1])
        if path[-1] in target:
            raise self._error("key {0} is given twice".format(key_text(path)))
        target[path[-1]] = self._read_value()

    def _descend(self, table: Dict[str, Any], path: Sequence[str]) -> Dict[str, Any]:
        for key in path:
            value = table.setdefault(key, {})
            if isinstance(value, list) and value and isinstance(value[-1], dict):
                value = value[-1]
            if not isinstance(value, dict):
                raise self._error("{0} is no table".format(key_text(path)))
            table = value
        return table

    def _key(self) -> List[str]:
        path = []
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
            self._skip(_SPACE)
            if not self._peek("."):
                return path
            self.at += 1

    def _read_value(self) -> Any:
        if self._peek('"""'):
            return self._multi_line('"""')
        if self._peek("'''"):
            return self._multi_line("'''")
        if self._peek('"'):
            return self._basic_string()
        if self._peek("'"):
            return self._literal_string()
        if self._peek("["):
            return self._array()
        if self._peek("{"):
            return self._inline_table()
        match = _SCALAR.match(self.text, self.at)
        if not match:
            raise self._error("a value is expected")
        self.at = match.end()
        return self._scalar(match.group())

    def _scalar(self, word: str) -> Any:
        if word in ("true", "false"):
            return word == "true"
        if _INTEGER.match(word):
            return int(word.replace("_", ""))
        if _RADIX.match(word):
            return int(word.replace("_", ""), 0)
        if _FLOAT.match(word):
            return float(word.replace("_", ""))
        if _DATE.match(word):
            return word
        raise self._error("{0!r} is no value; text needs quotes".format(word))

    def _array(self) -> List[Any]:
        start = self.at
        self.at += 1
        items: List[Any] = []
        while True:
            self._skip(_BLANK)
            if self._peek("]"):
                self.at += 1
                return items
            if self.at >= len(self.text):
                raise self._error("the array is not closed", start)
            items.append(self._read_value())
            self._skip(_BLANK)
            if self._peek(","):
                self.at += 1
            elif not self._peek("]"):
                raise self._error("the array is not closed", start)

    def _inline_table(self) -> Dict[str, Any]:
        start = self.at
        self.at += 1
        table: Dict[str, Any] = {}
        while True:
            self._skip(_BLANK)
            if self._peek("}"):
                self.at += 1
                return table
            self._pair(table)
            self._skip(_BLANK)
            if self._peek(","):
                self.at += 1
            elif not self._peek("}"):
                raise self._error("the inline table is not closed", start)

    def _basic_string(self) -> str:
        start = self.at
        self.at += 1
        out: List[str] = []
        while self.at < len(self.text) and self.text[self.at] != "\n":
            char = self.text[self.at]
            self.at += 1
            if char == '"':
                return "".join(out)
            out.append(self._escape() if char == "\\" else char)
        raise self._error("the text is not closed", start)

    def _literal_string(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0 or "\n" in self.text[self.at : end]:
            raise self._error("the text is not closed")
        value = self.text[self.at + 1 : end]
        self.at = end + 1
        return value

    def _multi_line(self, quotes: str) -> str:
        start = self.at
        self.at += 3
        if self._peek("\n"):
            self.at += 1
        out: List[str] = []
        while self.at < len(self.text):
            if self._peek(quotes):
                self.at += 3
                while self._peek(quotes[0]):
                    out.append(quotes[0])
                    self.at += 1
                return "".join(out)
            char = self.text[self.at]
            self.at += 1
            if char == "\\" and quotes == '"""':
                folded = re.compile(r"[ \t]*\n\s*").match(self.text, self.at)
                if folded:
                    self.at = folded.end()
                else:
                    out.append(self._escape())
            else:
                out.append(char)
        raise self._error("the text is not closed", start)

    def _escape(self) -> str:
        char = self.text[self.at : self.at + 1]
        self.at += 1
        if char in _ESCAPES:
            return _ESCAPES[char]
        length = {"x": 2, "u": 4, "U": 8}.get(char, 0)
        digits = self.text[self.at : self.at + length]
        if not length or len(digits) < length or not _HEX.match(digits) or int(digits, 16) > 0x10FFFF:
            raise self._error("\\{0} is no escape".format(char))
        self.at += length
        return chr(int(digits, 16))

    def _peek(self, text: str) -> bool:
        return self.text.startswith(text, self.at)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()

    def _expect(self, text: str) -> None:
        self._skip(_SPACE)
        if not self._peek(text):
            raise self._error("{0!r} is expected".format(text))
        self.at += len(text)

    def _end_of_line(self) -> None:
        match = _LINE_END.match(self.text, self.at)
        if not match:
            raise self._error("the line should end here")
        self.at = match.end()

    def _error(self, problem: str, at: int = -1) -> TomlError:
        return TomlError(problem, self.text.count("\n", 0, self.at if at < 0 else at) + 1)
