# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of kubeadm_join on the control machine: it selects what its host needs from the registered tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.utils.display import Display

from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, line
from ansible_collections.kubestead.cluster.plugins.plugin_utils.other_host import action_on
from ansible_collections.kubestead.cluster.plugins.plugin_utils.spent_tokens import SpentTokens

display = Display()

#: The keys of the result of kubeadm_join_token, or of the lookup join_command, that a node needs.
PARTS = ("endpoint", "token", "ca_cert_hashes", "ca_certificate", "certificate_key", "expires")


class ActionModule(NodeAction):
    """Runs the module with the parts of ``join``. Options that are set explicitly take precedence.

    The host gets only its own token of several. With ``token_host``, the token is deleted on that control plane as soon
    as this host has joined, has failed or has become unreachable, even if other hosts are still joining. A host that
    becomes unreachable fails.
    """

    RETURNS = frozenset(("node_name", "endpoint", "phase", "control_plane", "ca_cert_hash"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        super(NodeAction, self).run(tmp, task_vars)
        arguments = dict(self._task.args)
        join = arguments.pop("join", None)
        if join is not None and not isinstance(join, Mapping):
            raise AnsibleActionFail(
                "join is not a dictionary; use the registered result of kubeadm_join_token, or the lookup join_command"
            )
        host = str((task_vars or {}).get("inventory_hostname") or "")
        token_host = str(arguments.pop("token_host", None) or "")
        join = self._own(join or {}, host)
        for name in PARTS:
            # The cluster decides whether the token is still valid, because the control machine's clock may differ.
            if join.get(name) and name != "expires":
                arguments.setdefault(name, join[name])
        if not arguments.get("control_plane"):
            arguments.pop("certificate_key", None)
        try:
            secrets = [str(arguments[name]) for name in ("token", "certificate_key") if arguments.get(name)]
            # The part of a token after the dot is the secret.
            secrets += [secret.partition(".")[2] for secret in secrets]
            return self.run_on_node("kubeadm_join", arguments, task_vars, secrets)
        except AnsibleConnectionFailure as err:
            # An unreachable host leaves the play immediately, without the tasks that delete the remaining tokens.
            problem = f"{host} became unreachable while it joined: {err.message}"
            raise AnsibleActionFail(f"{problem}, and run again") from None
        finally:
            if token_host and not self._task.check_mode:
                self._delete_token(host, token_host, task_vars or {})

    def _delete_token(self, host: str, token_host: str, task_vars: Mapping[str, Any]) -> None:
        """Delete the token of this host. If the deletion fails, the token is deleted after all joins, or expires."""

        def delete(nodes: Sequence[str]) -> bool:
            action, variables = action_on(token_host, "kubeadm_join_token", self, task_vars)
            arguments = {"state": "absent", "nodes": list(nodes)}
            try:
                answer = action.run_on_node("kubeadm_join_token", arguments, variables)
            finally:
                action.cleanup()
                action._connection.close()
            if answer.get("failed"):
                display.vvv(line(f"the token of {host} was not deleted on {token_host}: {answer.get('msg')}"))
            return action.complete and not answer.get("failed")

        try:
            SpentTokens(token_host).delete(host, delete)
        except Exception as err:
            # A failed deletion must not hide the result of the join.
            display.vvv(line(f"the token of {host} was not deleted on {token_host}: {err}"))

    def _own(self, join: Mapping[str, Any], host: str) -> Mapping[str, Any]:
        """The parts of ``join`` that are for a host. Raises AnsibleActionFail when it has no token for it."""
        tokens = join.get("tokens")
        if not isinstance(tokens, Mapping):
            return join
        own = tokens.get(host)
        if isinstance(own, Mapping):
            return {**join, **own}
        if not self._task.check_mode:
            raise AnsibleActionFail(f"join has no token for {host}; add it to the nodes of kubeadm_join_token")
        return join
