# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of node_reset on the control machine: it passes on only the results that the module documents."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, lines


class ActionModule(NodeAction):
    """Runs the module, and warns about files that stay on the host."""

    RETURNS = frozenset(("kept",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result, with a warning about files that are kept."""
        result = super().run(tmp, task_vars)
        kept = lines(result.get("kept"))
        if kept:
            more = f" and {len(kept) - 5} more" if len(kept) > 5 else ""
            text = f"not created by this collection and kept: {', '.join(kept[:5])}{more}"
            result.setdefault("warnings", []).append(text)
        return result
