# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to a host that is not there: its Python answers whatever the variable ``hostile_lie`` says."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

from ansible.plugins.connection import ConnectionBase

from tests.unit.hostile import lies

DOCUMENTATION = """
name: hostile
short_description: hosts that lie
description: Answers modules without a host.
author: the kubestead authors (@kubestead)
options:
  lie:
    description: The name of the lie, empty for the truth.
    default: ""
    vars: [{name: hostile_lie}]
  number:
    description: Which host it is.
    type: int
    default: 1
    vars: [{name: hostile_number}]
  member:
    description: Whether it is a member of a cluster.
    type: bool
    default: false
    vars: [{name: hostile_member}]
  record:
    description: A folder for what the host was sent.
    vars: [{name: hostile_record}]
extends_documentation_fragment: [connection_pipelining]
"""


class Connection(ConnectionBase):
    """Records what it is sent, by host and module."""

    transport = "hostile"
    has_pipelining = True
    #: The last file that the host was sent.
    file = b""

    def _connect(self) -> Any:
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Answer a module; anything else works and prints nothing."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        folder = re.search(r"ansible-tmp-[0-9.-]+", cmd)
        if folder and "mkdir" in cmd:
            return 0, f"{folder.group()}=/remote/{folder.group()}\n".encode(), b""
        if not in_data and "AnsiballZ" in cmd and "chmod" not in cmd and "rm -f" not in cmd.split("AnsiballZ")[0]:
            in_data = self.file
        found = re.search(rb"plugins\.modules\.(\w+)", in_data or b"")
        if not found:
            return 0, b"", b""
        module, number = found.group(1).decode(), self.get_option("number")
        path = f"{self.get_option('record')}/{number}-{module}-{time.time_ns()}-{os.getpid()}"
        with open(path, "wb") as record:
            record.write(in_data or b"")
        lie = self.get_option("lie")
        said = lies.FORGED.encode("utf-8", "replace") if lie else b""
        return 137 if lie == "truncated" else 0, lies.answer(lie, module, number, self.get_option("member")), said

    def put_file(self, in_path: str, out_path: str) -> None:
        """Keep the file, as a host can that wants to read it."""
        self.file = Path(in_path).read_bytes()
        kept = Path(self.get_option("record")).parent / "files"
        kept.mkdir(exist_ok=True)
        (kept / f"{self.get_option('number')}-{time.time_ns()}-{os.getpid()}").write_bytes(self.file)

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Nothing is there."""

    def close(self) -> None:
        """Nothing is open."""
