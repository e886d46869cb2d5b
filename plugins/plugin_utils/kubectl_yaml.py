# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads YAML and JSON as kubectl does, so that a manifest has the same meaning for both.

PyYAML's values differ from those of kubectl. For kubectl, ``y`` is true, ``12:30`` is text, ``0o17`` is a number, the
last value of a duplicate key wins, and a merged key (``<<``) overrides an earlier key. This file therefore uses PyYAML
only to parse the text into events. It interprets documents, numbers, tags, keys and merges by the rules of
k8s.io/apimachinery (documents), sigs.k8s.io/yaml (keys) and go.yaml.in/yaml/v2 (values) in kubectl 1.35.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import struct
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Dict, Iterator, List, NoReturn, Optional, Tuple, Union

#: The number of characters in which kubectl looks for the opening brace of JSON.
_JSON_WINDOW = 4096
# White space as Go defines it, before the opening brace of JSON and after a separator.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_JSON_START = re.compile("[" + _SPACE + "]*\\{")
_SPACE_AT = re.compile("[" + _SPACE + "]")
_AFTER_SEPARATOR = re.compile("---[" + _SPACE + "]*(.?)", re.DOTALL)

_PREFIX = "tag:yaml.org,2002:"
# Tags of scalars that are checked against the value. A value with any other tag stays text.
_CHECKED = ("str", "bool", "int", "float", "null", "timestamp")
_WORDS: Dict[str, Tuple[str, Any]] = {"<<": ("merge", "<<")}
for _kind, _value, _spellings in (
    ("bool", True, "y Y yes Yes YES true True TRUE on On ON"),
    ("bool", False, "n N no No NO false False FALSE off Off OFF"),
    ("null", None, "~ null Null NULL"),
    ("float", math.nan, ".nan .NaN .NAN"),
    ("float", math.inf, ".inf .Inf .INF +.inf +.Inf +.INF"),
    ("float", -math.inf, "-.inf -.Inf -.INF"),
):
    for _word in _spellings.split():
        _WORDS[_word] = (_kind, _value)
_WORDS[""] = ("null", None)

_INT = re.compile(r"[-+]?(?:0[bB][01]+|0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0|[1-9][0-9]*)\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_POINT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?\Z")
_DATE = re.compile(
    r"[0-9]{4}-(?P<month>[0-9]{1,2})-(?P<day>[0-9]{1,2})"
    r"(?:[Tt][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]+)?(?:Z|[-+][0-9]{2}:[0-9]{2})"
    r"| [0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:[.,][0-9]+)?)?\Z"
)
_HALF = re.compile("[\ud800-\udfff]")
# PyYAML accepts the escape \/, and kubectl does not.
_SLASH = re.compile(r"(?:[^\\]|\\[^/])*\\/")
# The limit for nested mappings and lists. Python's recursion limit is not much higher.
_DEEPEST = 180
# Between these numbers of values, the permitted share of values from aliases falls from 99% to 10%.
_FEW, _MANY = 400_000, 4_000_000

Place = Tuple[int, str]


class YamlError(ValueError):
    """The reason why a text can't be read, without quoting it: it may contain a password. ``line`` starts at 1."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


@dataclass
class _Node:
    line: int
    tag: str = ""
    # A scalar has a text, a list has items, a mapping has alternating keys and values, and an alias has a target.
    text: Optional[str] = None
    plain: bool = False
    items: Optional[List[_Node]] = None
    pairs: Optional[List[_Node]] = None
    alias: Optional[_Node] = None


def documents(text: str) -> Iterator[Any]:
    """The documents of a text, without documents that are empty or null.

    Numbers without a fraction are ``int``, keys are text. Raises :class:`YamlError`.
    """
    at, line, count = 0, 1, 0
    if _JSON_START.match(text[:_JSON_WINDOW]):
        decoder = json.JSONDecoder(parse_constant=_refuse, parse_float=_json_float, parse_int=_json_int)
        while True:
            start = re.compile("[ \t\r\n]*").match(text, at).end()  # type: ignore[union-attr]
            if start == len(text):
                return
            number = 1 + text.count("\n", 0, start)
            try:
                value, end = decoder.raw_decode(text, start)
            except OverflowError:
                raise YamlError("a number is too large", number) from None
            except (ValueError, RecursionError):
                if count > 1:
                    raise YamlError("the document is not JSON", number) from None
                break
            at, count = end, count + 1
            if value is not None:
                yield _repaired(value)
        at = _behind_json(text, at)
        line += text.count("\n", 0, at)
    for first, part in _parts(text[at:], line):
        value = _Reader(part, first).value()
        if value is not None:
            yield value


def _behind_json(text: str, at: int) -> int:
    """The position at which YAML begins after a JSON object: the next line, or the first other character."""
    while True:
        if len(text[at : at + 4].encode("utf-8", "surrogatepass")) < 4:
            raise YamlError("the text after the JSON object is too short to be YAML", 1 + text.count("\n", 0, at))
        if not _SPACE_AT.match(text, at):
            return at
        at += 1
        if text[at - 1] == "\n":
            return at


def _parts(text: str, line: int) -> Iterator[Place]:
    """The parts between separators (lines that begin with ---), each with the number of its first line."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    kept: List[str] = []
    first = line
    for number, raw in enumerate(lines, line):
        one = raw[:-1] if raw.endswith("\r") else raw
        found = _AFTER_SEPARATOR.match(one)
        if found:
            if found.group(1) not in ("", "#"):
                raise YamlError("only a comment may follow '---' on its line", number)
            if kept:
                yield first, "\n".join(kept) + "\n"
                kept, first = [], number + 1
                continue
        kept.append(one)
    if kept:
        yield first, "\n".join(kept) + "\n"


# -- JSON


def _refuse(_name: str) -> NoReturn:
    raise ValueError("not JSON")


def _json_int(text: str) -> Union[int, float]:
    value = int(text) if len(text) < 25 else None
    return value if value is not None and -(2**63) <= value < 2**63 else _json_float(text)


def _json_float(text: str) -> Union[int, float]:
    value = float(text)
    if math.isinf(value):
        raise OverflowError
    return _number(value)


def _repaired(value: Any) -> Any:
    """A JSON value in which lone surrogates (``\\ud800``) are replaced, as in Go."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if isinstance(value, dict):
        return {_repaired(name): _repaired(item) for name, item in value.items()}
    return value


# -- YAML


class _Reader:
    """One document: events become nodes, and nodes become values."""

    def __init__(self, text: str, first: int) -> None:
        self.first = first
        self.line = 0
        self.anchors: Dict[str, _Node] = {}
        self.within: Dict[int, _Node] = {}
        self.aliases = self.decoded = self.deep = 0
        self.text = text[1:] if text.startswith("\ufeff") else text
        self.events = self._events(self.text)

    def value(self) -> Any:
        """The value of the first document. kubectl ignores the text after its end (``...``)."""
        import yaml

        event = next(self.events)
        if isinstance(event, yaml.StreamStartEvent):
            event = next(self.events)
        if isinstance(event, yaml.StreamEndEvent):
            return None
        root = self._node(next(self.events), 0)
        next(self.events)
        return self._value(root)

    def _events(self, text: str) -> Iterator[Any]:
        import yaml

        base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(text, Loader=base)
        except yaml.MarkedYAMLError as err:
            mark = err.problem_mark or err.context_mark
            self.line = mark.line if mark else 0
            raise self._error(_without_values(err)) from None
        except (yaml.reader.ReaderError, UnicodeEncodeError) as err:
            at = err.start if isinstance(err, UnicodeEncodeError) else err.position
            self.line = text.count("\n", 0, at)
            raise self._error("the document has a character that YAML does not allow") from None

    def _error(self, problem: str) -> YamlError:
        return YamlError(problem, self.first + self.line)

    # -- nodes

    def _node(self, event: Any, depth: int) -> _Node:
        import yaml

        self.line = event.start_mark.line
        if depth > _DEEPEST:
            raise self._error("the document is nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            target = self.anchors.get(str(event.anchor))
            if target is None:
                raise self._error("an alias refers to an anchor that is not defined before it")
            return _Node(self.line, alias=target)
        tag = str(event.tag or "")
        node = _Node(self.line, tag)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.text, node.plain = event.value, bool(event.implicit[0])
            if _HALF.search(event.value):
                # PyYAML without libyaml accepts lone surrogates.
                raise self._error("found invalid Unicode character escape code")
            if event.style == '"' and _SLASH.match(self._source(event)):
                raise self._error("found unknown escape character")
            return node
        children: List[_Node] = []
        ends = yaml.SequenceEndEvent if isinstance(event, yaml.SequenceStartEvent) else yaml.MappingEndEvent
        if ends is yaml.SequenceEndEvent:
            node.items = children
        else:
            node.pairs = children
        for inner in self.events:
            if isinstance(inner, ends):
                break
            children.append(self._node(inner, depth + 1))
        return node

    def _source(self, event: Any) -> str:
        return self.text[event.start_mark.index : event.end_mark.index]

    # -- values

    def _value(self, node: _Node) -> Any:
        self._count(node)
        if node.alias is not None:
            return self._inside(node, lambda: self._value(node.alias))
        if node.items is not None:
            return [self._value(item) for item in node.items]
        if node.pairs is not None:
            found: Dict[str, Any] = {}
            self._fill(found, node.pairs)
            return found
        return self._plain_number(self._scalar(node))

    def _count(self, node: _Node) -> None:
        """Refuse a small text that aliases expand to a large value, with the same limits as kubectl."""
        self.line = node.line
        self.decoded += 1
        self.aliases += 1 if self.deep else 0
        share = 0.99 - 0.89 * min(1.0, max(0.0, (self.decoded - _FEW) / (_MANY - _FEW)))
        if self.aliases > 100 and self.decoded > 1000 and self.aliases / self.decoded > share:
            raise self._error("most of the content comes from aliases")

    def _inside(self, node: _Node, work: Any) -> Any:
        if id(node) in self.within:
            raise self._error("an anchor contains itself")
        self.within[id(node)] = node
        self.deep += 1
        value = work()
        self.deep -= 1
        del self.within[id(node)]
        return value

    def _fill(self, found: Dict[str, Any], pairs: List[_Node]) -> None:
        """Set the keys of a mapping in order. The last value of a duplicate key wins, merged or not."""
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if key.text == "<<" and (key.plain or key.tag == _PREFIX + "merge"):
                self._merge(found, value)
            else:
                name = self._key(key)
                found[name] = self._value(value)

    def _merge(self, found: Dict[str, Any], node: _Node) -> None:
        several = node.items
        # The first mapping of a list takes precedence, so it is merged last.
        for one in [node] if several is None else reversed(several):
            target = one.alias or one
            if target.pairs is None:
                self.line = one.line
                raise self._error("'<<' needs a mapping or a list of mappings")
            self._count(one)
            pairs = target.pairs
            if one.alias is None:
                self._fill(found, pairs)
                continue

            def fill(target: _Node = target, pairs: List[_Node] = pairs) -> None:
                self._count(target)
                self._fill(found, pairs)

            self._inside(one, fill)

    def _key(self, node: _Node) -> str:
        """The text of a key. Numbers and booleans have the format of Go."""
        target = node.alias or node
        if target.text is None:
            raise self._error("a key is a mapping or a list")
        self._count(node)
        value = self._inside(node, lambda: self._key(target)) if node.alias else self._scalar(node)
        if value is None or (isinstance(value, int) and value >= 2**63):
            raise self._error("a key is empty or too large a number")
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, float):
            return _single(value)
        return str(value)

    def _plain_number(self, value: Any) -> Any:
        if isinstance(value, float):
            if not math.isfinite(value):
                raise self._error("a number is not finite, which JSON does not support")
            return _number(value)
        if isinstance(value, int) and value >= 2**63:
            return _number(float(value))
        return value

    def _scalar(self, node: _Node) -> Any:
        text = node.text or ""
        tag = node.tag[len(_PREFIX) :] if node.tag.startswith(_PREFIX) else node.tag
        if not tag and not node.plain:
            return text
        if tag == "binary":
            try:
                return base64.b64decode(re.sub("[\r\n]", "", text).encode("ascii"), validate=True).decode(
                    "utf-8", "replace"
                )
            except (binascii.Error, ValueError):
                raise self._error("a value with the tag !!binary is not base64") from None
        if tag and (tag not in _CHECKED or not node.tag.startswith(_PREFIX)):
            return text
        if tag == "str":
            return text
        kind, value = _resolved(text, tag)
        if kind == "int" and tag == "float":
            return float(value)
        if tag and kind != tag:
            raise self._error("a value does not fit its tag")
        return text if kind in ("timestamp", "merge") else value


def _resolved(text: str, tag: str = "") -> Tuple[str, Any]:
    """The kind of a plain scalar, and its value."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first == "." and _POINT_FLOAT.match(text):
        value = float(text.replace("_", ""))
        return ("str", text) if math.isinf(value) else ("float", value)
    if first in "+-0123456789":
        if tag in ("", "timestamp") and _is_date(text):
            return "timestamp", text
        plain = text.replace("_", "")
        if _INT.match(plain):
            number = _go_int(plain)
            # An integer with a sign must fit a signed 64-bit integer.
            if -(2**63) <= number < 2**63 or (first not in "+-" and number < 2**64):
                return "int", number
        if _FLOAT.match(plain):
            value = float(plain)
            if not math.isinf(value):
                return "float", value
    return "str", text


def _go_int(plain: str) -> int:
    digits = plain.lstrip("+-")
    if re.match(r"0[0-7]", digits):
        digits = "0o" + digits
    # Python refuses integers of thousands of digits. An integer of more than 64 digits never fits 64 bits.
    value = int(digits, 0) if len(digits) < 80 else 2**64
    return -value if plain.startswith("-") else value


def _is_date(text: str) -> bool:
    found = _DATE.match(text)
    return bool(found) and 1 <= int(found["month"]) <= 12 and 1 <= int(found["day"]) <= 31  # type: ignore[index]


def _number(value: float) -> Union[int, float]:
    """The number that JSON would give: an integer if it has no fraction."""
    # The shortest notation of a large float denotes another integer than the float itself.
    return int(Decimal(repr(value))) if value.is_integer() and abs(value) < 1e21 else value


def _single(value: float) -> str:
    """A float as a key: the shortest text for the same 32-bit float."""
    if math.isnan(value):
        return ".nan"
    try:
        (short,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        short = math.copysign(math.inf, value)
    if math.isinf(short):
        return "-.inf" if short < 0 else ".inf"
    for digits in range(9):
        text = "{0:.{1}e}".format(short, digits)
        (again,) = struct.unpack("f", struct.pack("f", float(text)))
        if again == short:
            break
    mantissa, _e, exponent = text.partition("e")
    if -4 <= int(exponent) < 6:
        return "{0:.{1}f}".format(float(text), max(0, digits - int(exponent)))
    return "{0}e{1}{2:02d}".format(mantissa, exponent[0], abs(int(exponent)))


def _without_values(error: Any) -> str:
    """The problem of a YAML text, without quoting it: an alias or a tag may be a password."""
    problem = error.problem or error.context or "it can't be read"
    # Names of PyYAML ('<block end>') and characters like ':' stay.
    return " ".join(re.sub(r"'(?!<|\W')(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "", str(problem)).split())
