# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the entries of a kubeconfig in JSON or in block style, and edits those in block style line by line.

kubectl and kubeadm write block style. Nodes do not have a YAML parser, so a file in another style (flow style, anchors,
texts with several lines) is not read at all, instead of in part. In a kubeconfig with the user's own contexts, only the
lines of the admin's entries are changed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Collection, Dict, List, Optional, Set, Tuple

from ..core.untrusted import parse_json
from ..core.x509 import ca_cert_hashes

# The lists of a kubeconfig, and the key of each of their entries that has its values.
_SECTIONS = {"clusters": "cluster", "contexts": "context", "users": "user"}
_TOP = re.compile(r"([A-Za-z][\w-]*):(?:[ \t]+(.*))?\Z")
_KEY = re.compile(r"([ \t]*(?:- +)?)([A-Za-z][\w-]*):(?:[ ]+(.*))?\Z")
# A value that is a text in YAML without quotes; others may be a number, a boolean or a null.
_TEXT = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z](?:[\w./@+=\[\]-]|:(?=\S))*\Z", re.ASCII)
# A quoted value without escapes, and a comment.
_QUOTED = re.compile(r"""(?:"[^"\\]*"|'[^']*')(?=\s+#|\s*\Z)""")
_COMMENT = re.compile(r"(?:\A|[ \t])#")
_NULL = ("null", "Null", "NULL", "~")
# A line of a kubeconfig without entries.
_EMPTY = re.compile(r"[A-Za-z-]+: *(|null|~|\{\}|\[\]|\"\"|''|v1|Config)\Z")
# A value in flow style that ends in its line.
_FLOW = re.compile(r"""[{\[](?:[^{}\[\]"'#]|"[^"\\]*"|'[^']*')*[}\]](?=\s+#|\s*\Z)""")
# The keys in a kubeconfig written by kubeadm.
_PLAIN = frozenset(
    (
        "apiVersion kind preferences clusters contexts users current-context cluster context user name server "
        "certificate-authority-data client-certificate-data client-key-data"
    ).split()
)
_CLUSTER_KEYS = ("server", "certificate-authority-data")
_USER_KEYS = ("client-certificate-data", "client-key-data")
# Keys of other entries. A file in which they are in the wrong place may be for more clusters than it seems.
_MISPLACED = {
    "clusters": frozenset(_USER_KEYS),
    "contexts": frozenset(_CLUSTER_KEYS + _USER_KEYS),
    "users": frozenset(_CLUSTER_KEYS),
}
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
    """A kubeconfig: ``lists`` maps ``clusters``, ``contexts`` and ``users`` to their entries.

    ``lines`` is empty for JSON. ``start`` is the byte order mark before them, or empty. ``keys`` has all keys of the
    file, and "#" for a line that is something else.
    """

    lines: List[str] = field(default_factory=list)
    lists: Dict[str, List[Entry]] = field(default_factory=lambda: {name: [] for name in _SECTIONS})
    current: str = ""
    start: str = ""
    keys: Set[str] = field(default_factory=set)


def read(text: str) -> Optional[Entries]:
    """The entries of a kubeconfig; None unless the complete file is in JSON or in block style."""
    config = json_of(text)
    found = _in_block_style(text) if config is None else _in_json(config)
    if found is None or any(_MISPLACED[name] & entry.keys for name, one in found.lists.items() for entry in one):
        return None
    return found


def parse(text: str) -> Optional[Entries]:
    """The entries of a kubeconfig that can be changed in place; None for any other."""
    found = read(text)
    return found if found is not None and is_editable(found) else None


def is_editable(entries: Entries) -> bool:
    """True for a file in block style with clusters, contexts and users that have names."""
    lists = entries.lists.values()
    return bool(entries.lines) and all(lists) and all(entry.name for one in lists for entry in one)


def _bare(text: str) -> str:
    """The text without the byte order mark that some editors write."""
    return text[1:] if text.startswith("\ufeff") else text


def json_of(text: str) -> Optional[Dict[str, Any]]:
    """The contents of a file that is an object in JSON; None for any other text."""
    text = _bare(text)
    try:
        return parse_json(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return None


def _in_json(config: Dict[str, Any]) -> Optional[Entries]:
    found = Entries(keys=_keys(config))
    for section, kind in _SECTIONS.items():
        items = config.get(section) or []
        if not isinstance(items, list):
            return None
        for item in items:
            name, values = (item.get("name", ""), item.get(kind) or {}) if isinstance(item, dict) else (None, None)
            if not isinstance(name, str) or not isinstance(values, dict):
                return None
            texts = {key: (0, value) for key, value in values.items() if isinstance(value, str)}
            texts.update({key: (0, joined(value)) for key, (_line, value) in texts.items() if key.endswith("-data")})
            found.lists[section].append(Entry(0, 0, name=name, keys=set(values), values=texts))
    current = config.get("current-context")
    found.current = current if isinstance(current, str) else ""
    return found


def _keys(value: Any) -> Set[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return set(value if isinstance(value, dict) else ()).union(*map(_keys, inner))


def joined(base64_text: str) -> str:
    """Base64 in one line. As in Go, the ends of lines in it do not matter."""
    return base64_text.replace("\r", "").replace("\n", "")


def _in_block_style(text: str) -> Optional[Entries]:
    body = _bare(text)
    found = Entries(body.splitlines(keepends=True), start=text[: len(text) - len(body)])
    section, is_text = "", False
    known: Set[str] = set()
    for number, raw in enumerate(found.lines):
        line = raw.rstrip(" \t\r\n")
        bare = line.strip()
        if not bare or (line == "---" and not known):
            continue
        key = _KEY.match(line)
        found.keys.add(key.group(2) if key else "#")
        if bare.startswith("#"):
            continue
        value = line.partition(": ")[2].strip()
        styled = value.startswith(("&", "*", "!", "|", ">")) or (_is_flow(value) and not _FLOW.match(value))
        if styled or "\t" in line[: len(line) - len(line.lstrip())]:
            return None
        if line[0].isspace() or line.startswith("- "):
            if is_text or (section and not _add(found.lists[section], _SECTIONS[section], number, line)):
                return None
            continue
        top = _TOP.match(line)
        if top is None or top.group(1) in known:
            return None
        name, given = top.group(1), _given(top.group(2))
        known.add(name)
        section = name if name in _SECTIONS else ""
        if not _is_simple(given) or (section and _scalar(given) not in ("", "[]")):
            return None
        is_text = bool(given)
        if name == "current-context":
            found.current, is_text = _scalar(given), True
    return found if known & set(_SECTIONS) else None


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
    return _is_simple(value) and (not _is_flow(value) or _scalar(value) == "{}")


def _add_value(entry: Entry, number: int, depth: int, key: str, value: str) -> bool:
    if key in entry.keys:
        return False
    entry.keys.add(key)
    entry.inner = entry.last_depth = depth
    entry.text, entry.nested = bool(value), False
    if value and not _is_flow(value):
        entry.values[key] = (number, _scalar(value))
    return _is_simple(value)


def _given(value: Optional[str]) -> str:
    """The text after a key; empty if it is only a comment."""
    return "" if not value or value.startswith("#") else value


def _is_simple(value: str) -> bool:
    """False for a quoted text with escapes or with more lines, which would have to be decoded."""
    return value[:1] not in ("'", '"') or _QUOTED.match(value) is not None


def _is_flow(value: str) -> bool:
    return value.startswith(("{", "["))


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
    names = Counter(entry.name for entry in found)
    return [_value(entry, "server") for entry in found if _has_own_way(entry) or names[entry.name] > 1]


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


def _named(entries: List[Entry], name: str) -> Optional[Entry]:
    found = [entry for entry in entries if entry.name == name]
    return found[0] if len(found) == 1 else None


def is_blank(text: str) -> bool:
    """True for a kubeconfig without entries: an empty file, or a file whose last entry kubectl deleted."""
    config = json_of(text)
    if config is not None:
        return all(not value or value in ("v1", "Config") for value in config.values())
    lines = [raw.partition("#")[0].strip(" \t") for raw in _bare(text).splitlines()]
    return all(not line or line == "---" or _EMPTY.match(line) for line in lines)


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


def _is_single(entries: Entries) -> bool:
    return all(len(one) == 1 for one in entries.lists.values())


def plain_name(entries: Entries) -> str:
    """The user of a kubeconfig with one cluster, user and context and only kubeadm's fields; empty for any other."""
    return entries.lists["users"][0].name if _is_single(entries) and entries.keys <= _PLAIN else ""


def clients(entries: Entries) -> List[Tuple[str, str]]:
    """The client certificate and key, in base64, of each user that has both."""
    return [one for one in credentials(entries) if all(one)]


def credentials(entries: Entries) -> List[Tuple[str, str]]:
    """The client certificate and key of each user; empty where the file does not have one."""
    return [_client(user) for user in entries.lists["users"]]


def _client(user: Entry) -> Tuple[str, str]:
    return _value(user, _USER_KEYS[0]), _value(user, _USER_KEYS[1])


def has_admin_entries(entries: Entries) -> bool:
    """True for a kubeconfig whose entries can be merged into another one.

    It has one cluster, user and context, and the four values that a connection needs. Each text can be written in block
    style so that :func:`parse` finds it again.
    """
    if not _is_single(entries):
        return False
    cluster, user, context = (entries.lists[name][0] for name in ("clusters", "users", "contexts"))
    linked = (_value(context, "cluster"), _value(context, "user")) == (cluster.name, user.name)
    given = [_value(cluster, key) for key in _CLUSTER_KEYS] + [_value(user, key) for key in _USER_KEYS]
    texts = [*given, cluster.name, user.name, context.name]
    return linked and bool(authority(given[1])) and all(text and _is_simple(_written(text)) for text in texts)


def merged(existing: str, admin: str) -> Optional[str]:
    """``existing`` with the cluster, user and context of ``admin``; every other line is unchanged.

    The cluster with the same CAs (see :func:`_to_change`) and its user with the same name are updated in place. Missing
    entries are appended to their lists. A user that also belongs to another cluster, or to none, or that has other
    credentials, is not changed: the admin gets another name. If the user belongs to both clusters and has only a client
    certificate, the contexts of this one get that name.

    Returns None only if ``existing`` can't be parsed or has no cluster with the same CAs, or if ``admin`` does not have
    what :func:`has_admin_entries` requires.
    """
    mine, theirs = parse(existing), read(admin)
    if mine is None or theirs is None or not has_admin_entries(theirs):
        return None
    cluster, user, context = (theirs.lists[name][0] for name in ("clusters", "users", "contexts"))
    wanted = authority(_value(cluster, "certificate-authority-data"))
    clusters, contexts = mine.lists["clusters"], mine.lists["contexts"]
    same_ca, others = [], set()
    for entry in clusters:
        if authority(_value(entry, "certificate-authority-data")) == wanted:
            same_ca.append(entry)
        else:
            others.add(entry.name)
    if not same_ca:
        return None
    own = {entry.name for entry in same_ca} - others
    edits: Dict[int, str] = {}
    added: Dict[str, List[str]] = {}

    names = Counter(entry.name for entry in clusters)
    usable = [entry for entry in same_ca if names[entry.name] == 1 and _value(entry, "server")]
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
    contexts = mine.lists["contexts"]
    users: Dict[str, List[Entry]] = {}
    for user in mine.lists["users"]:
        users.setdefault(user.name, []).append(user)
    ours = {_value(entry, "user") for entry in contexts if _value(entry, "cluster") in own}
    others = {_value(entry, "user") for entry in contexts if _value(entry, "cluster") not in own}
    left: Set[str] = set()
    found, number = name, 1
    while True:
        known = users.get(found, [])
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
    return mine.start + "".join(out)
