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
from typing import Any, Collection, Dict, List, Mapping, Optional, Set, Tuple

from ..core.untrusted import mapping, mappings, parse_json
from ..core.x509 import ca_cert_hashes

# The lists of a kubeconfig, and the key of each of their entries that has its values.
_SECTIONS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_TOP = re.compile(r"([A-Za-z][\w-]*):(?:[ \t]+(.*?))?[ \t]*\Z")
_KEY = re.compile(r"([ \t]*(?:- +)?)([A-Za-z][\w-]*):(?:[ ]+(.*?))?[ \t]*\Z")
# A value that is a text in YAML without quotes; others may be a number, a boolean or a null.
_TEXT = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z](?:[\w./@+=\[\]-]|:(?=\S))*\Z", re.ASCII)
# A quoted value without escapes, and a comment.
_QUOTED = re.compile(r"""(?:"[^"\\]*"|'[^']*')(?=\s+#|\s*\Z)""")
_COMMENT = re.compile(r"(?:\A|[ \t])#")
_NULL = ("null", "Null", "NULL", "~")
# A line of a kubeconfig without entries.
_EMPTY = re.compile(r"[A-Za-z-]+: *(|null|~|\{\}|\[\]|\"\"|''|v1|Config)\Z")
# An entry, or a list of entries, in flow style. Values deeper in an entry (args: [get-token]) do not matter.
_FLOW = re.compile(
    r"^(?:---[ \t]+)?(?:[{\[]| {0,4}- +\{|[ \t]*(?:- +)?(?:clusters|contexts|users|cluster|context|user):[ \t]+[{\[]"
    r"(?![ \t]*[}\]]))",
    re.MULTILINE,
)
# The keys in a kubeconfig written by kubeadm.
_PLAIN = frozenset(
    (
        "apiVersion kind preferences clusters contexts users current-context cluster context user name server "
        "certificate-authority-data client-certificate-data client-key-data"
    ).split()
)
_CLUSTER_KEYS = ("server", "certificate-authority-data")
_USER_KEYS = ("client-certificate-data", "client-key-data")
# A cluster with one of these is reached in the user's own way, such as a tunnel.
_OWN_WAYS = ("tls-server-name", "proxy-url")
# A user with one of these has credentials of its own.
_OTHER_CREDENTIALS = frozenset(
    "token tokenFile exec auth-provider username password client-certificate client-key".split()
)


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
            if section and (_given(top.group(2)) or section in found.lists):
                return None
            if section:
                found.lists[section] = []
            if top.group(1) == "current-context":
                found.current = _scalar(top.group(2) or "")
            continue
        if section and not _add(found.lists[section], _SECTIONS[section], number, line):
            return None
    complete = all(name in found.lists and found.lists[name] for name in _SECTIONS)
    return found if complete and all(entry.name for one in found.lists.values() for entry in one) else None


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
    return _is_simple(value)


def _add_value(entry: Entry, number: int, depth: int, key: str, value: str) -> bool:
    if key in entry.keys:
        return False
    entry.keys.add(key)
    entry.inner = entry.last_depth = depth
    entry.text, entry.nested = bool(value), False
    if value:
        entry.values[key] = (number, _scalar(value))
    return _is_simple(value)


def _given(value: Optional[str]) -> str:
    """The text after a key; empty if it is only a comment."""
    return "" if not value or value.startswith("#") else value


def _is_simple(value: str) -> bool:
    """False for a quoted text with escapes or with more lines, which would have to be decoded."""
    return value[:1] not in ("'", '"') or _QUOTED.match(value) is not None


def _scalar(text: str) -> str:
    text = text.strip()
    quoted = _QUOTED.match(text)
    if quoted:
        return quoted.group()[1:-1]
    plain = _COMMENT.split(text, 1)[0].rstrip()
    return "" if plain in _NULL else plain


def servers(entries: Entries) -> List[Tuple[str, str]]:
    """The server of each cluster, and the base64 of its CA; empty where the file does not have one."""
    return [
        (_value(entry, "server"), _value(entry, "certificate-authority-data")) for entry in entries.lists["clusters"]
    ]


def own_servers(entries: Entries) -> List[str]:
    """The servers that a merge does not change: those reached in the user's own way, or with the name of another."""
    found = entries.lists["clusters"]
    return [_value(entry, "server") for entry in found if _has_own_way(entry) or not _only(found, entry.name)]


def current(entries: Entries) -> Tuple[str, str, str, Tuple[str, str]]:
    """What the current context uses: the name of its user, the server, the base64 of its CA, and the client.

    Each of them is empty if it is not known.
    """
    contexts, clusters, users = (entries.lists[name] for name in ("contexts", "clusters", "users"))
    context = _named(contexts, entries.current)
    name = _value(context, "user") if context else ""
    cluster = _named(clusters, _value(context, "cluster")) if context else None
    user = _named(users, name)
    place = [_value(cluster, key) if cluster else "" for key in _CLUSTER_KEYS]
    return name, place[0], place[1], _client(user) if user else ("", "")


def current_in_json(text: str) -> Tuple[str, str, str, Tuple[str, str]]:
    """The same as :func:`current` for a kubeconfig in JSON; empty for any other text."""
    try:
        config = mapping(parse_json(text)) if text.lstrip().startswith("{") else {}
    except ValueError:
        config = {}
    context = _item(config, "contexts", config.get("current-context"))
    cluster, user = (_item(config, kind + "s", context.get(kind)) for kind in ("cluster", "user"))
    place, client = (
        [_word(one.get(key)) for key in keys] for one, keys in ((cluster, _CLUSTER_KEYS), (user, _USER_KEYS))
    )
    return _word(context.get("user")), place[0], place[1], (client[0], client[1])


def _item(config: Mapping[str, Any], section: str, name: Any) -> Mapping[str, Any]:
    """The values of the entry with this name; empty unless there is exactly one."""
    found = [item for item in mappings(config.get(section)) if isinstance(name, str) and item.get("name") == name]
    return mapping(found[0].get(_SECTIONS[section])) if len(found) == 1 else {}


def _word(value: Any) -> str:
    """A text as :func:`as_block` writes it."""
    return " ".join(value.split()) if isinstance(value, str) else ""


def _named(entries: List[Entry], name: str) -> Optional[Entry]:
    found = [entry for entry in entries if entry.name == name]
    return found[0] if len(found) == 1 else None


def is_blank(text: str) -> bool:
    """True for a kubeconfig without entries: an empty file, or a file whose last entry kubectl deleted."""
    lines = [raw.partition("#")[0].strip(" \t\ufeff") for raw in text.splitlines()]
    return all(not line or line == "---" or _EMPTY.match(line) for line in lines)


def as_block(text: str) -> str:
    """The values of a kubeconfig in JSON, one per line as in block style. Other text is returned unchanged.

    It is empty for a file in flow style: only the values that begin a line could be found there.
    """
    try:
        data = parse_json(text) if text.lstrip().startswith("{") else None
    except ValueError:
        data = None
    if data is None:
        return "" if _FLOW.search(text) else text
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


def clients(entries: Entries) -> List[Tuple[str, str]]:
    """The client certificate and key, in base64, of each user that has both."""
    return [one for one in map(_client, entries.lists["users"]) if all(one)]


def _client(user: Entry) -> Tuple[str, str]:
    return _value(user, _USER_KEYS[0]), _value(user, _USER_KEYS[1])


def admin_entries(text: str) -> Optional[Entries]:
    """The entries of a kubeconfig that can be merged into another one; None for any other.

    It has one cluster, user and context, and the four values that a connection needs.
    """
    found = parse(text)
    if found is None or any(len(one) != 1 for one in found.lists.values()):
        return None
    cluster, user, context = (found.lists[name][0] for name in ("clusters", "users", "contexts"))
    if not authority(_value(cluster, "certificate-authority-data")):
        return None
    given = [_value(cluster, key) for key in _CLUSTER_KEYS] + [_value(user, key) for key in _USER_KEYS]
    linked = (_value(context, "cluster"), _value(context, "user")) == (cluster.name, user.name)
    return found if all(given) and linked else None


def merged(existing: str, admin: str) -> Optional[str]:
    """``existing`` with the cluster, user and context of ``admin``; every other line is unchanged.

    The cluster with the same CAs (see :func:`_to_change`) and its user with the same name are updated in place. Missing
    entries are appended to their lists. A user that also belongs to another cluster, or to none, or that has other
    credentials, is not changed: the admin gets another name. If the user belongs to both clusters and has only a client
    certificate, the contexts of this one get that name.

    Returns None only if ``existing`` can't be parsed or has no cluster with the same CAs, or if ``admin`` is not as for
    :func:`admin_entries`.
    """
    mine, theirs = parse(existing), admin_entries(admin)
    if mine is None or theirs is None:
        return None
    cluster, user, context = (theirs.lists[name][0] for name in ("clusters", "users", "contexts"))
    wanted = authority(_value(cluster, "certificate-authority-data"))
    clusters, contexts = mine.lists["clusters"], mine.lists["contexts"]
    same_ca = [entry for entry in clusters if authority(_value(entry, "certificate-authority-data")) == wanted]
    if not same_ca:
        return None
    own = {entry.name for entry in same_ca} - {entry.name for entry in clusters if entry not in same_ca}
    edits: Dict[int, str] = {}
    added: Dict[str, List[str]] = {}

    usable = [entry for entry in same_ca if _only(clusters, entry.name) and _value(entry, "server")]
    changed = _to_change(usable, cluster.name, _value(cluster, "server"))
    if changed is not None:
        place = changed.name
        _take(mine, changed, cluster, _CLUSTER_KEYS, edits)
    else:
        taken = {entry.name for entry in clusters} | {_value(entry, "cluster") for entry in contexts}
        place = _free(cluster.name, taken, "{0}-{{0}}".format(cluster.name))
        own.add(place)
        added["clusters"] = _entry("cluster", place, [(key, _value(cluster, key)) for key in _CLUSTER_KEYS])

    name, left = _user_name(mine, user.name, own, place)
    known = [entry for entry in mine.lists["users"] if entry.name == name]
    if known:
        _take(mine, known[0], user, _USER_KEYS, edits)
    else:
        added["users"] = _entry("user", name, [(key, _value(user, key)) for key in _USER_KEYS])
    linked = False
    for entry in contexts:
        if _value(entry, "cluster") in own and _value(entry, "user") in left:
            _put(mine, entry, "user", name, edits)
            linked = linked or _value(entry, "cluster") == place
        linked = linked or (_value(entry, "cluster"), _value(entry, "user")) == (place, name)
    if not linked:
        other = "{0}@{1}".format(name, place)
        title = _free(context.name, {entry.name for entry in contexts}, other, other + "-{0}")
        added["contexts"] = _entry("context", title, [("cluster", place), ("user", name)])
    return _assembled(mine, edits, added)


def _to_change(clusters: List[Entry], name: str, server: str) -> Optional[Entry]:
    """The cluster, of those with the CAs of the admin's, that becomes the admin's; None to add one.

    One with the same server, if there is any. Otherwise the server of the cluster may have changed: the one with the
    admin's name, or one of those that have the same server. A cluster that is reached in the user's own way keeps its
    server, and if several servers are possible, none is replaced.
    """
    found = [entry for entry in clusters if _value(entry, "server") == server]
    found = found or [entry for entry in clusters if not _has_own_way(entry)]
    named = [entry for entry in found if entry.name == name]
    if named or len({_value(entry, "server") for entry in found}) == 1:
        return (named or found)[0]
    return None


def _has_own_way(cluster: Entry) -> bool:
    return any(_value(cluster, key) for key in _OWN_WAYS)


def _value(entry: Entry, key: str) -> str:
    return entry.values.get(key, (0, ""))[1]


def _only(entries: List[Entry], name: str) -> bool:
    return [entry.name for entry in entries].count(name) == 1


def _free(name: str, taken: Collection[str], *others: str) -> str:
    """The first of these names that is not taken. The last one is a form with a number from 2 on."""
    for found in (name, *others[:-1]):
        if found not in taken:
            return found
    number = 2
    while others[-1].format(number) in taken:
        number += 1
    return others[-1].format(number)


def _user_name(mine: Entries, name: str, own: Collection[str], cluster: str) -> Tuple[str, Set[str]]:
    """The name of the admin in a file, and the names of users that contexts of this cluster must not use any more.

    kubeadm gives the admin of each cluster the same name, and a host could choose the name of any user, whose
    credentials would be replaced. ``own`` are the names of this cluster in the file.
    """
    contexts, users = mine.lists["contexts"], mine.lists["users"]
    ours = {_value(entry, "user") for entry in contexts if _value(entry, "cluster") in own}
    others = {_value(entry, "user") for entry in contexts if _value(entry, "cluster") not in own}
    left: Set[str] = set()
    found, number = name, 1
    while True:
        known = [entry for entry in users if entry.name == found]
        simple = all(_has_certificate(entry) for entry in known)
        if found not in others and (not known or (len(known) == 1 and simple and found in ours)):
            return found, left
        if found in others and simple:
            left.add(found)
        found = "{0}-{1}{2}".format(name, cluster, "-{0}".format(number) if number > 1 else "")
        number += 1


def _has_certificate(user: Entry) -> bool:
    """True for a user with a client certificate and key in the file, and no other credentials."""
    return all(_value(user, key) for key in _USER_KEYS) and not _OTHER_CREDENTIALS & user.keys


def _entry(kind: str, name: str, values: List[Tuple[str, str]]) -> List[str]:
    """The lines of a new entry."""
    lines = ["    {0}: {1}".format(key, _written(value)) for key, value in values]
    return ["- {0}:".format(kind), *lines, "  name: {0}".format(_written(name))]


def _written(value: str) -> str:
    return value if _TEXT.match(value) else json.dumps(value)


def _take(mine: Entries, entry: Entry, source: Entry, keys: Tuple[str, ...], edits: Dict[int, str]) -> None:
    for key in keys:
        if _value(entry, key) != _value(source, key):
            _put(mine, entry, key, _value(source, key), edits)


def _put(mine: Entries, entry: Entry, key: str, value: str, edits: Dict[int, str]) -> None:
    number = entry.values[key][0]
    line = mine.lines[number]
    end = line[len(line.rstrip("\r\n")) :]
    edits[number] = "{0}{1}: {2}{3}".format(line[: line.index(key)], key, _written(value), end)


def _assembled(mine: Entries, edits: Dict[int, str], added: Dict[str, List[str]]) -> str:
    after: Dict[int, List[str]] = {}
    ending = "\r\n" if mine.lines and mine.lines[0].endswith("\r\n") else "\n"
    for section, lines in added.items():
        entries = mine.lists[section]
        shift = " " * entries[0].indent
        after[entries[-1].end - 1] = [shift + line + ending for line in lines]
    out: List[str] = []
    for number, line in enumerate(mine.lines):
        text = edits.get(number, line)
        if number in after and not text.endswith("\n"):
            text += ending
        out += [text, *after.get(number, [])]
    return "".join(out)
