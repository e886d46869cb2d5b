# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the start and end of each task on each host to the JSON file named by KUBESTEAD_TIMELINE.

While tasks run it only reads the clock and keeps the rows in memory.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: timeline
type: aggregate
short_description: Record the start and end of tasks as JSON
description: Records the start and end of tasks on each host as JSON in the file named by E(KUBESTEAD_TIMELINE).
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """One row for each task and host, including skipped tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "timeline"

    def __init__(self) -> None:
        super().__init__()
        self.begun: dict[tuple[str, str], float] = {}
        self.numbers: dict[str, int] = {}
        self.rows: list[dict[str, Any]] = []

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A host's task is given to a worker process."""
        self.begun[(host.get_name(), task._uuid)] = time.time()
        self.numbers.setdefault(task._uuid, len(self.numbers))

    def _end(self, result: Any, status: str) -> None:
        end = time.time()
        host, task = result.host.get_name(), result.task
        begin = self.begun.pop((host, task._uuid), end)
        row = {"number": self.numbers.get(task._uuid, 0), "task": task.get_name(), "host": host, "status": status}
        self.rows.append({**row, "begin": begin, "end": end})

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task that succeeded."""
        self._end(result, "changed" if result.result.get("changed") else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task that failed."""
        self._end(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host that could not be reached."""
        self._end(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task whose condition was false."""
        self._end(result, "skipped")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end of the run."""
        path = os.environ.get("KUBESTEAD_TIMELINE")
        if path:
            with open(path, "w", encoding="utf-8") as handle:
                json.dump(self.rows, handle)
