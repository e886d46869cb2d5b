# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The endpoint in texts that kubeadm wrote: the ClusterConfiguration and kubeconfigs. All other bytes stay as they are.

kubeadm writes block style with one entry a line. A text in another style, which only a person can have written, is
never changed.
"""

from __future__ import annotations

import json
import re
from typing import List, Optional, Sequence, Tuple

from ..core.addresses import normal_address
from ..kube.api import kubeconfig_server

_KEY = r"(?m)^{0}:[ \t]*([^\n]*)$"
_ITEM = re.compile(r"( *)- +[\"']?([^\s\"'#]+)[\"']?[ \t]*(?:#.*)?\Z")
# A name that is a text in YAML without quotes. Others, such as *.example.org, would be an alias or a number.
_PLAIN = re.compile(r"(?!(?:null|true|false|yes|no|on|off|y|n)\Z)[a-z][a-z0-9.-]*\Z|[0-9]+(?:\.[0-9]+){3}\Z")
_EMPTY = ("", "{}", "[]", "null", "~")


def with_endpoint(text: str, endpoint: str, names: Sequence[str] = (), folder: str = "") -> Optional[str]:
    """A ClusterConfiguration with another ``controlPlaneEndpoint`` and with ``names`` among the ``certSANs``.

    ``folder`` replaces ``certificatesDir``; empty keeps it. None if the text can't be changed line by line.
    """
    if not re.search(r"(?m)^kind: *[\"']?ClusterConfiguration", text) or len(re.findall("(?m)^kind:", text)) > 1:
        return None
    if re.search(r"(?m)^controlPlaneEndpoint:[ \t]*[|>\[{]", text):
        return None
    changed = _with_value(text, "controlPlaneEndpoint", endpoint)
    if folder:
        changed = _with_value(changed, "certificatesDir", folder)
    present = cert_sans(changed)
    if present is None:
        return None
    known = {normal_address(name) for name in present}
    missing = [name for name in dict.fromkeys(names) if normal_address(name) not in known]
    return _with_sans(changed, missing) if missing else changed


def cert_sans(text: str) -> Optional[List[str]]:
    """The ``apiServer.certSANs`` of a ClusterConfiguration; None if they are not in block style."""
    block = _api_server(text)
    if block is None:
        return None
    lines = block[1]
    at = _sans_line(lines)
    if at < 0:
        return []
    value = lines[at].partition(":")[2].strip()
    if value not in _EMPTY:
        return None
    found = [_ITEM.match(line) for line in _items(lines, at)]
    return [match.group(2) for match in found if match] if all(found) else None


def with_server(text: str, server: str) -> str:
    """A kubeconfig in which another server replaces the first one, at every place that names it."""
    old = kubeconfig_server(text)
    return with_other_server(text, old, server) if old else text


def with_other_server(text: str, old: str, new: str) -> str:
    """A kubeconfig, in YAML or JSON, in which the server ``new`` replaces ``old``."""
    pattern = r"""(["']?\bserver["']?[ \t]*:[ \t]*["']?){0}(?=["'\s,}}]|\Z)""".format(re.escape(old))
    return re.sub(pattern, lambda match: match.group(1) + new, text)


def _with_value(text: str, key: str, value: str) -> str:
    # An address of IPv6 would begin a list.
    line = '{0}: "{1}"'.format(key, value) if value.startswith("[") else "{0}: {1}".format(key, value)
    pattern = _KEY.format(key)
    if re.search(pattern, text):
        return re.sub(pattern, lambda match: line, text, count=1)
    return "{0}\n{1}\n".format(text.rstrip("\n"), line)


def _api_server(text: str) -> Optional[Tuple[int, List[str]]]:
    """The position of the line ``apiServer:`` (-1 without one) and the lines below it; None for another style."""
    lines = text.split("\n")
    for at, line in enumerate(lines):
        if not line.startswith("apiServer:"):
            continue
        value = line.partition(":")[2].strip()
        if value not in _EMPTY:
            return None
        below = []
        for one in lines[at + 1 :]:
            if one.strip() and not one.startswith((" ", "- ", "#")):
                break
            below.append(one)
        return at, below
    return -1, []


def _sans_line(lines: Sequence[str]) -> int:
    indent = next((len(line) - len(line.lstrip(" ")) for line in lines if _is_content(line)), 0)
    start = " " * indent + "certSANs:"
    return next((at for at, line in enumerate(lines) if line.startswith(start)), -1)


def _is_content(line: str) -> bool:
    """True for a line that is not empty and not a comment, which may have any indentation."""
    return line.strip() != "" and not line.lstrip(" ").startswith("#")


def _items(lines: Sequence[str], at: int) -> List[str]:
    """The lines of the list below the key in line ``at``."""
    indent = len(lines[at]) - len(lines[at].lstrip(" "))
    found = []
    for line in lines[at + 1 :]:
        depth = len(line) - len(line.lstrip(" "))
        if not line.strip() or depth < indent or (depth == indent and not line.lstrip(" ").startswith("- ")):
            break
        found.append(line)
    return found


def _with_sans(text: str, names: Sequence[str]) -> str:
    block = _api_server(text)
    if block is None:
        raise ValueError("apiServer is written in another style")
    at, below = block
    if at < 0:
        lines = ["apiServer:", "  certSANs:", *("  - " + _quoted(name) for name in names)]
        return "{0}\n{1}\n".format(text.rstrip("\n"), "\n".join(lines))
    all_lines = text.split("\n")
    indent = next((line[: len(line) - len(line.lstrip(" "))] for line in below if _is_content(line)), "  ")
    sans = _sans_line(below)
    if sans < 0:
        all_lines[at] = "apiServer:"
        new = [indent + "certSANs:", *("{0}- {1}".format(indent, _quoted(name)) for name in names)]
        all_lines[at + 1 : at + 1] = new
        return "\n".join(all_lines)
    items = _items(below, sans)
    match = _ITEM.match(items[0]) if items else None
    depth = match.group(1) if match else indent
    place = at + 1 + sans
    all_lines[place] = indent + "certSANs:"
    end = place + 1 + len(items)
    all_lines[end:end] = ["{0}- {1}".format(depth, _quoted(name)) for name in names]
    return "\n".join(all_lines)


def _quoted(name: str) -> str:
    return name if _PLAIN.match(name) else json.dumps(name)
