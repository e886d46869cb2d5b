# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of kubeadm_upgrade on the control machine: it adds the variables for packages and containerd of the host.

It also returns the static pods that the next gate must wait for.
"""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import dictionary
from ansible_collections.kubestead.cluster.plugins.plugin_utils.component_options import options_of
from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.variables import Variables


class ActionModule(NodeAction):
    """Runs the module."""

    RETURNS = frozenset(("version", "rolled_back"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result."""
        super(NodeAction, self).run(tmp, task_vars)
        arguments = dict(self._task.args)
        planned = dictionary("static_pods", arguments.pop("static_pods", None))
        if not arguments.get("packages"):
            arguments["packages"] = self._packages(task_vars or {})
        secrets: dict[str, Any] = {}
        runtime = dictionary("runtime", arguments.get("runtime"))
        if runtime:
            options, secrets = options_of(["containerd"], task_vars or {}, self._templar, {})
            arguments["runtime"] = {**runtime, **options}
            arguments["secrets"] = json.dumps(secrets) if secrets else ""
        passwords = [str(one["password"]) for one in secrets.get("registry_credentials") or []]
        result = self.run_on_node("kubeadm_upgrade", arguments, task_vars, passwords if secrets else None)
        # With its old containerd or kubelet, the node keeps the old static pods.
        return {**result, "static_pods": {} if "rolled_back" in result else planned}

    def _packages(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The options of the kube packages. Raises AnsibleActionFail that names the variable."""
        try:
            options = registry.options_from_variables(registry.PACKAGES, Variables(variables, self._templar))
            options.validate()
        except OptionError as err:
            raise AnsibleActionFail(f"{err.option} {err.problem}; {err.fix} (nothing was changed)") from None
        return dict(to_dict(options))
