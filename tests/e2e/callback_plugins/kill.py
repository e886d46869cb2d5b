# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills ansible-playbook and all its processes at the task whose number, or name, is in KUBESTEAD_KILL_AT."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kill
type: aggregate
short_description: Killed at a task boundary
description:
  - Kills the process group with SIGKILL when the task of that number or name begins, or E(KUBESTEAD_KILL_AFTER) seconds
    later.
"""


class CallbackModule(CallbackBase):
    """Counts the tasks that begin, from 1."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Kill when this task is the one."""
        self.begun += 1
        if os.environ["KUBESTEAD_KILL_AT"] not in (str(self.begun), task.get_name().rpartition(" : ")[2]):
            return
        after = float(os.environ.get("KUBESTEAD_KILL_AFTER", "0"))
        if after:
            threading.Thread(target=self._kill, args=(after,), daemon=True).start()
        else:
            self._kill(0)

    @staticmethod
    def _kill(after: float) -> None:
        time.sleep(after)
        os.killpg(0, signal.SIGKILL)
