# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files with secrets for kubeadm: readable only by root, in memory, and deleted after use."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import Iterator

from .system import System

_NAME = re.compile(r"^kubestead\.(\d+)\.[A-Za-z0-9_]+\Z")


@contextmanager
def private_file(system: System, text: str, name: str = "kubeadm.yaml") -> Iterator[str]:
    """The path of a file (0600) in a new folder (0700) below /run, in memory. It is removed when the block ends.

    What processes that were killed could not remove goes with it.
    """
    # Every observation imports this module, but only for remove_abandoned. The imports below take 4 ms.
    import shutil
    import tempfile

    remove_abandoned(system)
    parent = system.path("/run")
    prefix = "kubestead.{0}.".format(os.getpid())
    folder = tempfile.mkdtemp(prefix=prefix, dir=parent if os.path.isdir(parent) else None)
    try:
        path = os.path.join(folder, name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(system: System) -> None:
    """Remove the folders of processes that have ended."""
    for name in system.names("/run"):
        match = _NAME.match(name)
        if match and not os.path.exists("/proc/{0}".format(match.group(1))):
            system.remove("/run/{0}".format(name))
