# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of kubeadm_join_token that runs on the control machine: it keeps the token out of all output."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """Runs the module with ``no_log``, and shows the result where there is no secret in it.

    So the token is never shown, not even at the highest verbosity and by a user who does not think of ``no_log``, while
    failures, dry runs and deletions stay readable. The registered variable is whole.
    """

    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result, marked as hidden when a token is in it."""
        super().run(tmp, task_vars)
        asked = self._task.no_log
        # The connection plugins look at the play context when they show what came back (-vvv).
        contexts = [self._play_context, getattr(self._connection, "_play_context", None)]
        before = [(context, context.no_log) for context in contexts if context is not None]
        self._task.no_log = True
        for context, _no_log in before:
            context.no_log = True
        try:
            result: dict[str, Any] = self._execute_module(task_vars=task_vars)
        finally:
            self._task.no_log = asked
            for context, no_log in before:
                context.no_log = no_log
        if result.get("token") or result.get("certificate_key"):
            result["_ansible_no_log"] = True
        return result
