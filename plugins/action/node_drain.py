# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of node_drain on the control machine: it shows each problem that prevents a drain on a separate line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import names
from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import MAX_WARNINGS, NodeAction, line

#: The length limit of a line in characters: the node, the pod, the problem and the fix.
MAX_REASON = 1000


class ActionModule(NodeAction):
    """Runs the module."""

    RETURNS = frozenset(("blockers", "workloads"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result; the message of a refused drain has a line for each pod."""
        result = super().run(tmp, task_vars)
        given = self._task.args.get("name")
        # The module takes a single number as the name of a node.
        nodes = names("name", given if isinstance(given, (list, tuple)) else str(given))
        lines = reasons(result.get("blockers"), nodes) if result.get("failed") else []
        if len(lines) > 1:
            result["msg"] = "\n".join([f"{len(lines)} problems, nothing was changed:", *lines])
        return result


def reasons(blockers: Any, nodes: Sequence[str]) -> list[str]:
    """The problems that prevent the drain of these nodes, one line each. A line begins with the name of its node."""
    found = [one for one in blockers if isinstance(one, Mapping)] if isinstance(blockers, list) else []
    return [
        "  " + line(f"{one['node']}: {one.get('message')}; {one.get('fix')}")[:MAX_REASON]
        for one in found
        if one.get("passes") is not True and one.get("node") in nodes
    ][:MAX_WARNINGS]
