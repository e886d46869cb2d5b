# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of node_drain on the control machine: it shows each reason that prevents a drain on a line of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, line


class ActionModule(NodeAction):
    """Runs the module."""

    RETURNS = frozenset(("blockers", "workloads"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; the message of a refused drain has a line for each pod."""
        result = super().run(tmp, task_vars)
        lines = reasons(result.get("blockers")) if result.get("failed") else []
        if len(lines) > 1:
            result["msg"] = "\n".join([f"{len(lines)} problems, nothing was changed:", *lines])
        return result


def reasons(blockers: Any) -> list[str]:
    """What prevents the drain, a line each."""
    found = [one for one in blockers if isinstance(one, Mapping)] if isinstance(blockers, list) else []
    return [
        "  " + line(f"{one.get('node')}: {one.get('message')}; {one.get('fix')}")
        for one in found
        if one.get("passes") is not True
    ]
