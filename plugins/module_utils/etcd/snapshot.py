# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saves snapshots of this machine's etcd member on the machine, before changes that can't be undone without one."""

from __future__ import annotations

import base64
import binascii
import hashlib
import http.client
import os
from typing import Any, Callable, Iterator, List

from ..core import untrusted
from ..core.errors import KubesteadError
from ..core.system import System
from .client import connect

#: Only root can read this folder, because a snapshot contains all Secrets of the cluster.
FOLDER = "/var/lib/kubestead/snapshots"
SNAPSHOT = "/v3/maintenance/snapshot"
#: The number of snapshots to keep.
KEPT = 2
# etcd sends chunks of 32 KiB; base64 and JSON make them larger.
_LONGEST_LINE = 1 << 20
# A snapshot ends with the SHA-256 of its database, whose size is a multiple of 512 bytes.
_HASH, _PAGE = 32, 512

# URL -> the lines of the answer. Raises OSError.
Stream = Callable[[str], Iterator[bytes]]


def stream(system: System) -> Stream:
    """Streams a snapshot from etcd; see :func:`.client.connect`."""

    def lines(url: str) -> Iterator[bytes]:
        connection = connect(system, url, 60.0)
        try:
            connection.request("POST", SNAPSHOT, "{}", {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise OSError("HTTP {0}".format(answer.status))
            while True:
                line = answer.readline(_LONGEST_LINE)
                if not line:
                    return
                yield line
        except (http.client.HTTPException, ValueError) as err:
            raise OSError("no HTTP answer ({0})".format(type(err).__name__)) from err
        finally:
            connection.close()

    return lines


def path_of(before: str, after: str) -> str:
    """The path of the snapshot before an upgrade from version ``before`` to version ``after``."""
    return "{0}/before-{1}-to-{2}.db".format(FOLDER, before or "unknown", after)


def save(system: System, url: str, path: str, lines: Stream) -> int:
    """Write a snapshot of the member at ``url`` to ``path`` (mode 0600). Returns its size in bytes.

    The file exists only if the snapshot is complete and its checksum is correct. Raises :class:`KubesteadError`.
    """
    real, part = system.path(path), system.path(path + ".part")
    os.makedirs(system.path(FOLDER), mode=0o700, exist_ok=True)
    os.chmod(system.path(FOLDER), 0o700)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            os.fchmod(target.fileno(), 0o600)
            size = _copy(lines(url), target.write)
            target.flush()
            os.fsync(target.fileno())
        os.rename(part, real)
    except OSError as err:
        system.remove(path + ".part")
        raise KubesteadError(
            "could not save a snapshot of etcd before the upgrade: {0}; nothing else was changed; check etcd and the "
            "free space of {1} (df -h), and run again".format(untrusted.line(str(err), 200), FOLDER)
        ) from err
    return size


def _copy(lines: Iterator[bytes], write: Callable[[bytes], Any]) -> int:
    """Write the data in the lines of an answer and return its size. Raises OSError if the answer is incomplete."""
    digest, tail, size = hashlib.sha256(), b"", 0
    for line in lines:
        try:
            answer = untrusted.mapping(untrusted.parse_json(line))
            result = untrusted.mapping(answer.get("result"))
            data = base64.b64decode(str(result.get("blob") or ""), validate=True)
        except (ValueError, binascii.Error) as err:
            raise OSError("etcd's answer can't be read") from err
        if answer.get("error"):
            raise OSError(untrusted.text(untrusted.mapping(answer["error"]).get("message")) or "etcd reported an error")
        write(data)
        size += len(data)
        both = tail + data
        digest.update(both[:-_HASH])
        tail = both[-_HASH:]
    if size % _PAGE != _HASH or tail != digest.digest():
        raise OSError("the snapshot that etcd sent is incomplete")
    return size


def prune(system: System, keep: int = KEPT) -> List[str]:
    """Remove all but the newest ``keep`` snapshots, and incomplete ones. Returns the names of the removed files."""
    folder = system.path(FOLDER)
    names = [name for name in system.names(FOLDER) if name.startswith("before-")]
    complete = [name for name in names if name.endswith(".db")]
    newest = sorted(complete, key=lambda name: os.stat(os.path.join(folder, name)).st_mtime, reverse=True)[:keep]
    gone = [name for name in names if name not in newest]
    for name in gone:
        system.remove("{0}/{1}".format(FOLDER, name))
    return gone
