# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The block of this collection in a hosts file, and the name of the API in it.

All other lines stay unchanged, byte for byte. If the last line of the file has no line end, the block has none either.
The removal of the block therefore restores the original file.
"""

from __future__ import annotations

import re
from typing import List, Optional, Sequence, Tuple

HOSTS = "/etc/hosts"

BEGIN = "# BEGIN kubestead.cluster: the addresses of the Kubernetes API"
END = "# END kubestead.cluster"

_NAME = re.compile(r"api\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.internal")
_DEFAULT_CLUSTER = "kubernetes"


def endpoint_name(cluster_name: str) -> str:
    """The name of the API of a cluster: ``api.kubernetes.internal`` for the name that kubeadm gives to clusters.

    ``.internal`` is reserved for private use. Characters that a DNS name can't have become dashes.
    """
    label = re.sub("[^a-z0-9]+", "-", cluster_name.lower())[:63].strip("-")
    return "api.{0}.internal".format(label or _DEFAULT_CLUSTER)


def is_endpoint_name(name: str) -> bool:
    """True for a name that :func:`endpoint_name` can return."""
    return _NAME.fullmatch(name) is not None


def block(text: str) -> List[str]:
    """The lines of the block in the text of a hosts file; empty without a block."""
    lines = text.split("\n")
    place = _place(lines)
    return [line.strip() for line in lines[place[0] + 1 : place[1] - 1]] if place else []


def knows(text: str, name: str) -> bool:
    """True if a line of a hosts file names this host."""
    lines = (line.partition("#")[0].split() for line in text.split("\n"))
    return any(name in words[1:] for words in lines)


def with_block(text: str, wanted: Sequence[str]) -> str:
    """The text with a block of these lines, in place of the present block or at the end. No lines remove the block."""
    lines = text.split("\n")
    place = _place(lines)
    start, end = place or _end(lines)
    lines[start:end] = [BEGIN, *wanted, END] if wanted else []
    return "\n".join(lines)


def _place(lines: Sequence[str]) -> Optional[Tuple[int, int]]:
    """The position of the block, with its marks. If the second mark is missing, the block is only the first mark."""
    marks = [line.rstrip("\r ") for line in lines]
    if BEGIN not in marks:
        return None
    start = marks.index(BEGIN)
    return (start, marks.index(END, start) + 1) if END in marks[start:] else (start, start + 1)


def _end(lines: Sequence[str]) -> Tuple[int, int]:
    at = len(lines) - 1 if lines[-1] == "" else len(lines)
    return at, at
