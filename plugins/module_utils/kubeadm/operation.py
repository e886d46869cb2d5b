# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An operation of kubeadm that this collection started on a machine and that has not ended: its marker and its lock.

The marker means that this collection may continue or remove the state on the machine. It never means that an operation
is complete. The lock keeps two runs from changing one machine: a run whose connection broke continues there, and so
does the kubeadm of a module that was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Iterator, List, Optional

from ..core import untrusted
from ..core.errors import KubesteadError
from ..core.options import to_dict
from ..core.poll import poll
from ..core.problem import Problem
from ..core.secret_files import remove_abandoned
from ..core.system import System

MARKER = "/var/lib/kubestead/operation.json"
# Below /run: after a reboot nothing of ours runs any more.
LOCK = "/run/kubestead.lock"

INIT, JOIN, UPGRADE, RESET = "init", "join", "upgrade", "reset"
#: The kinds of operations that this version of the collection starts, and can continue or undo.
KINDS = (INIT, JOIN, UPGRADE, RESET)
# The subcommands of kubeadm that change a machine.
_COMMANDS = (INIT, JOIN, RESET, UPGRADE, "certs")


@dataclass(frozen=True)
class Operation:
    """The operation that was started.

    ``kind`` is one of :data:`KINDS`, another word if a newer version of this collection wrote the marker, or empty if
    the marker can't be read. ``began`` is the start time in UTC (ISO 8601). ``preexisting_pki`` lists the user's files
    that existed in /etc/kubernetes/pki before (relative paths). ``control_plane``, ``endpoint`` and ``ca_cert_hashes``
    describe a join: the node's role and its cluster. ``version`` is the target of an upgrade; on the ``first`` control
    plane, the upgrade includes the cluster's configuration.
    """

    kind: str
    began: str = ""
    control_plane: bool = True
    endpoint: str = ""
    ca_cert_hashes: List[str] = field(default_factory=list)
    preexisting_pki: List[str] = field(default_factory=list)
    version: str = ""
    first: bool = False


def now() -> str:
    """The time as a marker has it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- the marker


def parse(text: Optional[str]) -> Optional[Operation]:
    """The operation in a marker's text; None only where there is no marker. Never raises."""
    if text is None:
        return None
    try:
        data: Any = untrusted.parse_json(text)
    except ValueError:
        data = None
    data = untrusted.mapping(data)
    kind = untrusted.text(data.get("kind"), 64)
    if kind not in KINDS:
        return Operation(kind, began=untrusted.text(data.get("began"), 64))
    try:
        return Operation(
            kind,
            began=str(data["began"]),
            control_plane=bool(data["control_plane"]),
            endpoint=str(data["endpoint"]),
            ca_cert_hashes=[str(item) for item in data["ca_cert_hashes"]],
            preexisting_pki=[str(item) for item in data["preexisting_pki"]],
            version=untrusted.text(data.get("version"), 64),
            first=data.get("first") is True,
        )
    except (KeyError, TypeError):
        return Operation("")


def observe(system: System) -> Optional[Operation]:
    """What was started here and has not ended. Never raises."""
    if not system.exists(MARKER):
        return None
    return parse(system.read(MARKER) or "")


def begin(system: System, operation: Operation) -> None:
    """Leave the marker, before anything else is done."""
    system.write(MARKER, json.dumps(to_dict(operation), indent=2, sort_keys=True) + "\n", mode=0o600)


def end(system: System) -> None:
    """Remove the marker, as the last thing."""
    system.remove(MARKER)
    folder = MARKER.rpartition("/")[0]
    if not system.names(folder):
        system.remove(folder)


def problems(operation: Optional[Operation]) -> List[Problem]:
    """The error for a marker that neither init nor join can continue; empty for their own markers or without one."""
    if operation is None or (operation.kind in KINDS and operation.kind != RESET):
        return []
    if operation.kind == RESET:
        text = "the reset of this host that began at {0} was interrupted".format(operation.began or "an unknown time")
        return [Problem("operation", text, "run reset.yml again for this host; nothing was changed")]
    if not operation.kind:
        fix = "find out which operation was interrupted on this host, then remove the file; nothing was changed"
        return [Problem("operation", "the marker of an unfinished operation, {0}, can't be read".format(MARKER), fix)]
    text = "has an unfinished operation '{0}'{1}, started by a newer version of this collection".format(
        operation.kind, " of {0}".format(operation.began) if operation.began else ""
    )
    return [Problem("operation", text, "finish it with that version, or update the collection; nothing was changed")]


# -- one at a time


@contextmanager
def kubeadm_lock(system: System, timeout: float) -> Iterator[None]:
    """Hold the lock of this machine's kubeadm during the block, after waiting for the processes that use kubeadm.

    ``timeout`` is in seconds. Raises :class:`KubesteadError` if these processes have not finished by then.
    """
    with open(system.path(LOCK), "a", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        user = poll(lambda: _user(system, stream.fileno()), timeout, lambda name: not name, pause=0.5)
        if user:
            raise KubesteadError(
                "{0} is still running on this host after {1:.0f} s; wait for it or stop it, and run again".format(
                    user, timeout
                )
            )
        remove_abandoned(system)
        yield


def _user(system: System, descriptor: int) -> str:
    """The process that uses this machine's kubeadm; empty if there is none, and this process now has the lock."""
    process = running_kubeadm(system)
    if process:
        return process
    return "" if try_lock(descriptor) else "another run of this collection"


def try_lock(descriptor: int) -> bool:
    """Lock an open file; False when another process has it locked."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def running_kubeadm(system: System) -> str:
    """A kubeadm of root that is changing this machine, as ``kubeadm init (process 4711)``; empty where there is none.

    Any user may start a process with this name and these words, which must not keep others from their work.
    """
    for pid in system.names("/proc"):
        if not pid.isdigit():
            continue
        words = (system.read("/proc/{0}/cmdline".format(pid)) or "").split("\0")
        command = next((word for word in words[1:] if not word.startswith("-")), "")
        if os.path.basename(words[0]) == "kubeadm" and command in _COMMANDS and _is_roots_kubeadm(system, pid):
            return "kubeadm {0} (process {1})".format(command, pid)
    return ""


def _is_roots_kubeadm(system: System, pid: str) -> bool:
    """True for a process that root started from a program named kubeadm.

    The owner of the folder in /proc would not do: it is root for any process that cannot be traced. All four ids (real,
    effective, saved, of the file system) count, as a program with the set-user-ID bit has only some of them from root.
    """
    ids = re.search(r"^Uid:((?:[ \t]+[0-9]+)+)[ \t]*$", system.read("/proc/{0}/status".format(pid)) or "", re.MULTILINE)
    if ids is None or set(ids.group(1).split()) != {"0"}:
        return False
    try:
        program = os.readlink(system.path("/proc/{0}/exe".format(pid)))
    except OSError:
        return False
    # An upgrade of the package removes the file of a process that runs.
    return re.fullmatch(r"kubeadm[^/]*", os.path.basename(program)) is not None
