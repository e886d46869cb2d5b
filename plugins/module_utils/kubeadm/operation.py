# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An init or join that this collection began on a machine and that has not ended: its marker, its lock, its removal.

The marker says that what lies on the machine is ours to take up or to remove, never that something is done. The lock
keeps two runs from working on one machine: a run whose connection broke goes on there, and so does the kubeadm of a
module that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Dict, Iterator, List, Optional

from ..core.errors import KubesteadError
from ..core.secret_files import remove_abandoned
from ..core.system import System

MARKER = "/var/lib/kubestead/attempt.json"
# Below /run: a machine that restarted runs nothing of ours any more.
LOCK = "/run/kubestead.lock"

INIT, JOIN = "init", "join"


@dataclass(frozen=True)
class Attempt:
    """What was begun. ``own_files`` lay in /etc/kubernetes/pki before (paths relative to it) and are the user's.

    ``began`` is the time in UTC (ISO 8601); ``endpoint`` and ``ca_cert_hashes`` tell the cluster that is joined.
    """

    command: str
    began: str = ""
    control_plane: bool = True
    endpoint: str = ""
    ca_cert_hashes: List[str] = field(default_factory=list)
    own_files: List[str] = field(default_factory=list)


def now() -> str:
    """The time as a marker has it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- the marker


def parse(text: Optional[str]) -> Optional[Attempt]:
    """A marker's text; None where there is none, or nothing that can be read."""
    try:
        data: Dict[str, Any] = json.loads(text or "")
        if data["command"] not in (INIT, JOIN):
            return None
        return Attempt(
            command=str(data["command"]),
            began=str(data["began"]),
            control_plane=bool(data["control_plane"]),
            endpoint=str(data["endpoint"]),
            ca_cert_hashes=[str(item) for item in data["ca_cert_hashes"]],
            own_files=[str(item) for item in data["own_files"]],
        )
    except (ValueError, KeyError, TypeError):
        return None


def observe(system: System) -> Optional[Attempt]:
    """What was begun here and has not ended. Never raises."""
    return parse(system.read(MARKER))


def begin(system: System, attempt: Attempt) -> None:
    """Leave the marker, before anything else is done."""
    text = json.dumps({name: getattr(attempt, name) for name in attempt.__dataclass_fields__}, indent=2, sort_keys=True)
    system.write(MARKER, text + "\n", mode=0o600)


def end(system: System) -> None:
    """Remove the marker, as the last thing."""
    system.remove(MARKER)
    folder = MARKER.rpartition("/")[0]
    if not system.names(folder):
        system.remove(folder)


# -- one at a time


@contextmanager
def alone(system: System, timeout: float) -> Iterator[None]:
    """Keep others off this machine's kubeadm for the time of the block, and wait for those that are at it.

    ``timeout`` is in seconds. Raises :class:`KubesteadError` when they are not done by then.
    """
    deadline = time.monotonic() + timeout
    with open(system.path(LOCK), "a", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        while True:
            process = running_kubeadm(system)
            if not process and _taken(stream.fileno()):
                break
            if time.monotonic() > deadline:
                who = process or "another run of this collection"
                raise KubesteadError(
                    "{0} is still at work on this host after {1:.0f} seconds of waiting; see what it does, or end it, "
                    "and run again".format(who, timeout)
                )
            time.sleep(0.5)
        remove_abandoned(system)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def running_kubeadm(system: System) -> str:
    """A kubeadm at work on this machine, as ``kubeadm init (process 4711)``; empty where there is none."""
    for pid in system.names("/proc"):
        if not pid.isdigit():
            continue
        words = (system.read("/proc/{0}/cmdline".format(pid)) or "").split("\0")
        if os.path.basename(words[0]) == "kubeadm" and words[1:2] and words[1] in (INIT, JOIN, "reset"):
            return "kubeadm {0} (process {1})".format(words[1], pid)
    return ""
