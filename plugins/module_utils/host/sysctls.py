# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sysctls of a machine: their names and values in the files that set them, and where the kernel has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List


@dataclass(frozen=True)
class SysctlLine:
    """A line of a sysctl file: ``number`` counts from 1, ``key`` may be a pattern."""

    path: str = ""
    number: int = 0
    key: str = ""
    value: str = ""


def parse_sysctls(path: str, text: str) -> List[SysctlLine]:
    """The settings in a sysctl file, comments left out."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        name, sign, value = line.strip().partition("=")
        name = name.strip()
        if sign and name and name[0] not in "#;":
            found.append(SysctlLine(path, number, canonical(name.lstrip("-").strip()), normal(value)))
    return found


def canonical(key: str) -> str:
    """A key with dots between its parts, as ``sysctl`` prints it: the first separator shows which form it has."""
    first = re.search(r"[./]", key)
    if first and first.group() == "/":
        return key.translate({ord("/"): ".", ord("."): "/"})
    return key


def sysctl_path(key: str) -> str:
    """Where the kernel has a sysctl."""
    return "/proc/sys/" + key.translate({ord("/"): ".", ord("."): "/"})


def is_sysctl(key: str) -> bool:
    """True for a key whose path stays below /proc/sys: slashes and dots change places in it."""
    parts = sysctl_path(canonical(key)).split("/")[3:]
    return len(parts) > 1 and not {"", ".", ".."} & set(parts)


def normal(value: str) -> str:
    """A value with single spaces, as it is compared."""
    return " ".join(value.split())


def matches(pattern: str, key: str) -> bool:
    """Whether a key is meant by a pattern with ``*``, ``?`` and ``[…]``.

    Older versions of fnmatch take exponential time for many ``*``; here each part between them is looked for once.
    """
    path = sysctl_path(key)
    if not set("*?[") & set(pattern):
        # Nearly all keys: this needs no regular expression, of which each host would compile its own.
        return path == sysctl_path(pattern)
    parts = [_glob_part(part) for part in sysctl_path(pattern).split("*")]
    if len(parts) == 1:
        return re.fullmatch(parts[0], path) is not None
    first = re.match(parts[0], path)
    if first is None:
        return False
    at = first.end()
    for part in parts[1:-1]:
        found = re.compile(part).search(path, at)
        if found is None:
            return False
        at = found.end()
    return any(re.compile(parts[-1]).fullmatch(path, start) for start in range(at, len(path) + 1))


def _glob_part(text: str) -> str:
    """A regular expression for a part of a pattern without ``*``. A set that is not one is taken literally."""
    pieces = []
    for piece in re.split(r"(\[!?[^\[\]]+\])", text):
        plain = re.escape(piece).replace("\\?", ".")
        if piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
            inner = piece[1:-1].replace("\\", "\\\\").replace("^", "\\^")
            expression = "[^{0}]".format(inner[1:]) if inner.startswith("!") else "[{0}]".format(inner)
            try:
                re.compile(expression)
                plain = expression
            except re.error:
                pass
        pieces.append(plain)
    return "".join(pieces)
