# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads and edits, line by line, the entries of a kubeconfig in block style, as kubectl and kubeadm write it.

Nodes do not have a YAML parser. In a kubeconfig with the user's own contexts, only the lines of the admin's entries are
changed. A kubeconfig in another style (JSON, flow style, anchors) is not changed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Match, Optional, Sequence, Tuple

from ..core.untrusted import parse_json
from ..core.x509 import ca_cert_hashes

_SECTIONS = ("clusters", "contexts", "users")
_TOP = re.compile(r"([A-Za-z][\w-]*):[ \t]*(.*?)[ \t]*\Z")
_KEY = re.compile(r"([ \t]*(?:- +)?)([A-Za-z][\w-]*):(?:[ ]+(.*?))?[ \t]*\Z")
# A name that is a text in YAML without quotes; others may be a number, a boolean or a null.
_TEXT = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z](?:[\w./@-]|:(?=\S))*\Z", re.ASCII)
# A line of a kubeconfig without entries.
_EMPTY = re.compile(r"[A-Za-z-]+: *(|null|~|\{\}|\[\]|\"\"|''|v1|Config)\Z")
# The keys in a kubeconfig written by kubeadm.
_PLAIN = frozenset(
    (
        "apiVersion kind preferences clusters contexts users current-context cluster context user name server "
        "certificate-authority-data client-certificate-data client-key-data"
    ).split()
)


@dataclass
class Entry:
    """A list item: its range of lines, its name, and its values (key -> line number and value)."""

    first: int
    end: int
    name: str = ""
    values: Dict[str, Tuple[int, str]] = field(default_factory=dict)


@dataclass
class Entries:
    """A parsed kubeconfig: ``lists`` maps ``clusters``, ``contexts`` and ``users`` to their entries."""

    lines: List[str]
    lists: Dict[str, List[Entry]]
    current: str = ""


def parse(text: str) -> Optional[Entries]:
    """The entries of a kubeconfig; None if it is not in block style."""
    lines = text.splitlines(keepends=True)
    found = Entries(lines, {})
    section = ""
    for number, raw in enumerate(lines):
        line = raw.rstrip("\r\n").lstrip("\ufeff")
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        value = line.partition(": ")[2].strip()
        styled = value[:1] in tuple("&*!|>{[") and value not in ("{}", "[]")
        if styled or "\t" in line[: len(line) - len(line.lstrip())]:
            return None
        if not line[0].isspace() and not line.startswith("- "):
            top = _TOP.match(line)
            if top is None or bare in ("---", "..."):
                if bare == "---" and not found.lists:
                    continue
                return None
            section = top.group(1) if top.group(1) in _SECTIONS else ""
            if section and (top.group(2) or section in found.lists):
                return None
            if section:
                found.lists[section] = []
            if top.group(1) == "current-context":
                found.current = _scalar(top.group(2))
            continue
        if section and not _add(found.lists[section], number, line):
            return None
    complete = all(name in found.lists and found.lists[name] for name in _SECTIONS)
    return found if complete and all(entry.name for one in found.lists.values() for entry in one) else None


def _add(entries: List[Entry], number: int, line: str) -> bool:
    """Add a line to the entries of a list; False if the line can't be parsed."""
    key = _KEY.match(line)
    starts = line.lstrip(" ").startswith("- ")
    indent = len(line) - len(line.lstrip(" "))
    if starts and (not entries or indent == _indent_of(entries)):
        entries.append(Entry(number, number + 1))
        entries[-1].values["-"] = (number, " " * indent)
    if not entries:
        return False
    entry = entries[-1]
    entry.end = number + 1
    if key is None:
        # A nested list item or text, such as the arguments of exec.
        return True
    depth = len(key.group(1))
    value = _scalar(key.group(3) or "")
    if key.group(2) == "name" and depth == _indent_of(entries) + 2:
        entry.name = value
    elif key.group(2) != "name":
        entry.values.setdefault(key.group(2), (number, value))
    return True


def _indent_of(entries: List[Entry]) -> int:
    return len(entries[0].values["-"][1])


def _scalar(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text.partition(" #")[0].rstrip()


def servers(entries: Entries) -> List[Tuple[str, str]]:
    """The server of each cluster, and the base64 of its CA; empty where the file does not have one."""
    return [
        (_value(entry, "server"), _value(entry, "certificate-authority-data")) for entry in entries.lists["clusters"]
    ]


def is_blank(text: str) -> bool:
    """True for a kubeconfig without entries: an empty file, or a file whose last entry kubectl deleted."""
    lines = [raw.partition("#")[0].strip(" \t\ufeff") for raw in text.splitlines()]
    return all(not line or line == "---" or _EMPTY.match(line) for line in lines)


def as_block(text: str) -> str:
    """The values of a kubeconfig in JSON, one per line as in block style. Other text is returned unchanged."""
    if not text.lstrip().startswith("{"):
        return text
    try:
        data = parse_json(text)
    except ValueError:
        return text
    lines: List[str] = []
    _write(data, lines)
    return "".join(lines)


def _write(value: Any, lines: List[str]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str):
                lines.append("    {0}: {1}\n".format(name, " ".join(item.split())))
            else:
                _write(item, lines)
    elif isinstance(value, list):
        for item in value:
            _write(item, lines)


def authority(data: str) -> str:
    """The CAs in a ``certificate-authority-data``: the pins of its certificates, sorted; empty without any.

    Two values with the same CAs may differ in the form of the text, or have certificates that were renewed with the
    same key.
    """
    try:
        pins = ca_cert_hashes(base64.b64decode(data).decode("ascii", "replace"))
    except (binascii.Error, ValueError):
        return ""
    return " ".join(sorted(set(pins)))


def plain_name(text: str) -> str:
    """The user of a kubeconfig with one cluster, user and context and only kubeadm's fields; empty for any other."""
    found = parse(text)
    if found is None or any(len(one) != 1 for one in found.lists.values()):
        return ""
    for raw in found.lines:
        line = raw.strip()
        key = _KEY.match(line)
        if not line or line in ("- name:", "---"):
            continue
        if line.startswith("#") or key is None or key.group(2) not in _PLAIN:
            return ""
    return found.lists["users"][0].name


def merged(existing: str, admin: str) -> Optional[str]:
    """``existing`` with the cluster, user and context of ``admin``; every other line is unchanged.

    The cluster with the same CAs and the user with the same name are updated in place. A missing user or context is
    appended to its list. If that user or context belongs to another cluster, or to none, one with another name is used.
    Returns None if the entries can't be merged.
    """
    mine, theirs = parse(existing), parse(admin)
    if mine is None or theirs is None or any(len(one) != 1 for one in theirs.lists.values()):
        return None
    cluster, user, context = (theirs.lists[name][0] for name in ("clusters", "users", "contexts"))
    wanted = authority(_value(cluster, "certificate-authority-data"))
    same_ca = [
        entry
        for entry in mine.lists["clusters"]
        if wanted and authority(_value(entry, "certificate-authority-data")) == wanted
    ]
    if not same_ca:
        return None
    chosen = next((entry for entry in same_ca if entry.name == cluster.name), same_ca[0])
    edits: Dict[int, str] = {}
    if not _take(mine, chosen, theirs, cluster, ("server", "certificate-authority-data"), edits):
        return None
    added: Dict[str, List[str]] = {}
    own = [entry.name for entry in same_ca]
    name = _user_name(mine, user.name, own, chosen.name)
    known = [entry for entry in mine.lists["users"] if entry.name == name]
    if known and not _take(mine, known[0], theirs, user, ("client-certificate-data", "client-key-data"), edits):
        return None
    if not known:
        added["users"] = _renamed(theirs, user, {"name": name})
    contexts = {entry.name: _value(entry, "cluster") for entry in mine.lists["contexts"]}
    title = context.name
    if title in contexts and contexts[title] not in own:
        title = "{0}@{1}".format(name, chosen.name)
    if title not in contexts:
        added["contexts"] = _renamed(theirs, context, {"cluster": chosen.name, "user": name, "name": title})
    return _assembled(mine, edits, added)


def _value(entry: Entry, key: str) -> str:
    return entry.values.get(key, (0, ""))[1]


def _user_name(mine: Entries, name: str, own: Sequence[str], cluster: str) -> str:
    """The name of the admin in a file: another one if no context of this cluster uses the user of that name.

    kubeadm gives the admin of each cluster the same name, and a host could choose the name of any user, whose
    credentials would be replaced. ``own`` are the names of this cluster in the file.
    """
    used = {_value(entry, "user") for entry in mine.lists["contexts"] if _value(entry, "cluster") in own}
    taken = {entry.name for entry in mine.lists["users"]} - used
    found, number = name, 1
    while found in taken:
        found = "{0}-{1}{2}".format(name, cluster, "-{0}".format(number) if number > 1 else "")
        number += 1
    return found


def _renamed(theirs: Entries, entry: Entry, values: Mapping[str, str]) -> List[str]:
    """The lines of an entry with other values of these keys."""
    text = "".join(theirs.lines[entry.first : entry.end])
    for key, value in values.items():
        text = re.sub(r"(?m)^(\s*(?:- +)?" + key + r": ).*", _putting(value), text, count=1)
    return text.splitlines(keepends=True)


def _putting(value: str) -> Callable[[Match[str]], str]:
    text = value if _TEXT.match(value) else json.dumps(value)
    return lambda found: found.group(1) + text


def _take(
    mine: Entries, entry: Entry, theirs: Entries, source: Entry, keys: Tuple[str, ...], edits: Dict[int, str]
) -> bool:
    for key in keys:
        if key not in entry.values or key not in source.values:
            return False
        number, value = entry.values[key]
        wanted = source.values[key][1]
        if value != wanted:
            line = mine.lines[number]
            end = line[len(line.rstrip("\r\n")) :]
            edits[number] = "{0}{1}: {2}{3}".format(line[: line.index(key)], key, wanted, end)
    return True


def _assembled(mine: Entries, edits: Dict[int, str], added: Dict[str, List[str]]) -> str:
    after: Dict[int, List[str]] = {}
    ending = "\r\n" if mine.lines and mine.lines[0].endswith("\r\n") else "\n"
    for section, lines in added.items():
        entries = mine.lists[section]
        shift = " " * _indent_of(entries)
        after[entries[-1].end - 1] = [shift + line.rstrip("\r\n") + ending for line in lines]
    out: List[str] = []
    for number, line in enumerate(mine.lines):
        text = edits.get(number, line)
        if number in after and not text.endswith("\n"):
            text += ending
        out += [text, *after.get(number, [])]
    return "".join(out)
