# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes what each task did on each host to the JSON file named by KUBESTEAD_TASKS, for tests to count."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: tasks
type: aggregate
short_description: Tasks per host as JSON
description: Tasks per host as JSON, in the file named by E(KUBESTEAD_TASKS).
"""

# These run on the control machine alone.
LOCAL = {
    "ansible.builtin.add_host",
    "ansible.builtin.assert",
    "ansible.builtin.debug",
    "ansible.builtin.fail",
    "ansible.builtin.group_by",
    "ansible.builtin.include_role",
    "ansible.builtin.include_tasks",
    "ansible.builtin.meta",
    "ansible.builtin.pause",
    "ansible.builtin.set_stats",
    "ansible.builtin.validate_argument_spec",
    "kubestead.cluster.cluster_plan",
}


class CallbackModule(CallbackBase):
    """One row for each task, or item of its loop, that ran on a host (not for skipped ones)."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "tasks"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def _add(self, result: Any, status: str) -> None:
        if "results" in result.result and result.task.loop is not None:
            # Its items have rows of their own, each on the host it was delegated to.
            return
        task = result.task
        resolved = getattr(task, "resolved_action", None) or task.action
        delegated = task.delegate_to if "_ansible_delegated_vars" in result.result else None
        self.rows.append(
            {
                "host": result.host.get_name(),
                "on": delegated or result.host.get_name(),
                "task": task.get_name(),
                "action": resolved,
                "status": status,
                "changed": bool(result.result.get("changed")),
                "steps": [f"{one['component']}: {one['action']}" for one in result.result.get("steps") or []],
                "local": resolved in LOCAL or task.connection == "local",
            }
        )

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task that ended well."""
        self._add(result, "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task that failed."""
        self._add(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host that could not be reached."""
        self._add(result, "unreachable")

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """An item of a loop that ended well."""
        self._add(result, "ok")

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """An item of a loop that failed."""
        self._add(result, "failed")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end of the run."""
        path = os.environ.get("KUBESTEAD_TASKS")
        if path:
            with open(path, "w", encoding="utf-8") as handle:
                json.dump(self.rows, handle)
