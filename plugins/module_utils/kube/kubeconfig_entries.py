# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the entries of a kubeconfig in JSON or in block style, and edits those in block style line by line.

kubectl and kubeadm write block style. A file in another style (flow style, anchors, values in several lines) is not
read at all, instead of in part. In a kubeconfig with the user's own contexts, only the lines of the admin's entries
are changed.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections import Counter
from typing import Any, Collection, Dict, List, Optional, Set, Tuple

from ..core.untrusted import parse_json
from ..core.x509 import ca_cert_hashes
from .kubeconfig_block import SECTIONS, Entries, Entry, bare, in_block_style, is_simple

# A value that is a text in YAML without quotes; others may be a number, a boolean or a null.
_TEXT = re.compile(r"(?!(?i:y|n|yes|no|on|off|true|false|null)\Z)[A-Za-z](?:[\w./@+=\[\]-]|:(?=\S))*\Z", re.ASCII)
# The keys of a kubeconfig, and a line of one without entries.
_TOP_KEYS = ("apiVersion", "kind", "preferences", "current-context", "extensions", *SECTIONS)
_EMPTY = re.compile(r"(?:" + "|".join(_TOP_KEYS) + r"): *(|null|~|\{\}|\[\]|\"\"|''|v1|Config)\Z")
_BLANK: Tuple[Any, ...] = (None, "", [], {}, "v1", "Config")
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


def read(text: str) -> Optional[Entries]:
    """The entries of a kubeconfig; None unless the complete file is in JSON or in block style."""
    config = json_of(text)
    found = in_block_style(text) if config is None else _in_json(config)
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


def json_of(text: str) -> Optional[Dict[str, Any]]:
    """The contents of a file that is an object in JSON; None for any other text."""
    text = bare(text)
    try:
        return parse_json(text) if text.lstrip().startswith("{") else None
    except ValueError:
        return None


def _in_json(config: Dict[str, Any]) -> Optional[Entries]:
    found = Entries(keys=_keys(config))
    for section, kind in SECTIONS.items():
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


def _keys(config: Any) -> Set[str]:
    """All keys in a value of JSON."""
    found: Set[str] = set()
    rest = [config]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            found.update(value)
            rest += value.values()
        elif isinstance(value, list):
            rest += value
    return found


def joined(base64_text: str) -> str:
    """Base64 in one line. As in Go, the ends of lines in it do not matter."""
    return base64_text.replace("\r", "").replace("\n", "")


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
        return all(key in _TOP_KEYS and value in _BLANK for key, value in config.items())
    lines = [raw.partition("#")[0].strip(" \t") for raw in bare(text).splitlines()]
    return all(line in ("", "---", "...") or _EMPTY.match(line) for line in lines)


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
    return linked and bool(authority(given[1])) and all(text and is_simple(_written(text)) for text in texts)


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
    if _TEXT.match(value):
        return value
    if value.isprintable() and ('"' in value or "\\" in value):
        return "'{0}'".format(value.replace("'", "''"))
    return json.dumps(value, ensure_ascii=not value.isprintable())


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
