# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of bridge_cni on the control machine: it passes on only the results that the module documents."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, line


class ActionModule(NodeAction):
    """Runs the module. With ``members_only`` a failure is a warning that names the host."""

    RETURNS = frozenset(("node",))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        if not boolean(self._task.args.get("members_only", False), strict=False):
            return super().run(tmp, task_vars)
        try:
            result = super().run(tmp, task_vars)
        except (AnsibleActionFail, AnsibleConnectionFailure) as err:
            # Ansible can't run the module, for example without the sudo password, or can't connect.
            result = {"failed": True, "msg": str(err.message)}
        if not result.get("failed"):
            return result
        host = self._task.delegate_to or (task_vars or {}).get("inventory_hostname")
        # Without these routes, the pods of this host and of the new nodes can't connect. Nothing else shows the cause.
        text = (
            f"{host}: the routes to the pods of the new nodes were not set on this host, which is not part of this run"
        )
        fix = "run site.yml for all hosts when it is available again"
        return {"changed": False, "warnings": [line(f"{text}: {result.get('msg')}; {fix}")]}
