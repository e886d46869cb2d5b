# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of kubeadm_join_token that runs on the control machine: it keeps the token out of all output."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, incomplete
from ansible_collections.kubestead.cluster.plugins.plugin_utils.spent_tokens import SpentTokens


class ActionModule(NodeAction):
    """Runs the module with hidden output, and shows the result only if it is complete and does not contain a secret.

    A token is therefore never shown: not at the highest verbosity, not in truncated output, and not without ``no_log``.
    Failures, deletions and results of check mode stay readable. The registered variable is complete.
    """

    RETURNS = frozenset(
        (
            "endpoint",
            "tokens",
            "token",
            "token_id",
            "expires",
            "ca_cert_hashes",
            "ca_certificate",
            "certificate_key",
            "control_plane",
            "reused",
        )
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result, marked as hidden unless it certainly does not contain a secret."""
        spent, nodes = SpentTokens(self._host(task_vars)), self._nodes()
        if self._task.args.get("state") == "absent" and self._is_done(spent, nodes):
            # Check mode predicts a change here, because it can't know that the tokens will already be deleted.
            return {"changed": True, "msg": "each token was deleted after the join of its host", "steps": []}
        if nodes:
            spent.renew(nodes)
        with self.censored():
            result = super().run(tmp, task_vars)
        if not self.complete:
            return incomplete("kubeadm_join_token", result)
        if any(result.get(name) for name in ("tokens", "token", "certificate_key")):
            result["_ansible_no_log"] = True
        return result

    def _host(self, task_vars: dict[str, Any] | None) -> str:
        """The inventory name of the control plane that runs the module."""
        return str(self._task.delegate_to or (task_vars or {}).get("inventory_hostname") or "")

    def _nodes(self) -> list[str]:
        nodes = self._task.args.get("nodes")
        return [str(node) for node in nodes] if isinstance(nodes, (list, tuple)) else []

    def _is_done(self, spent: SpentTokens, nodes: list[str]) -> bool:
        """True if the tokens of all these nodes were deleted after their joins, and no other deletion is requested."""
        others = {"control_plane", "token_id"} & {name for name, value in self._task.args.items() if value}
        return bool(nodes) and not others and spent.are_deleted(nodes)
