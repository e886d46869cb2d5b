# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of calico_apply that runs on the control machine: it reads the manifest and adapts it to the options."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_variables
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import COMPONENT, CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils import calico_manifest as calico_source
from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction

# The module's options by the variables of the role.
VARIABLES = {
    "cni_calico_manifest": "manifest",
    "cni_calico_checksum": "checksum",
    "cni_calico_version": "version",
    "cni_encapsulation": "encapsulation",
    "cni_mtu": "mtu",
    "cni_autodetection": "autodetection",
    "cni_image_registry": "image_registry",
    "cni_images": "images",
    "cni_block_size": "block_size",
    "cni_felix": "felix",
    "cluster_pod_cidr": "pod_cidr",
    "cni_timeout": "timeout",
}


class ActionModule(NodeAction):
    """Reads Calico's manifest on the control machine, so the targets need neither PyYAML nor access to the manifest."""

    RETURNS = frozenset(("images", "pool", "nodes_ready", "seconds"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result. Raises with a line that names the option, before anything is sent to the host."""
        super(NodeAction, self).run(tmp, task_vars)
        arguments = dict(self._task.args)
        given = {variable: arguments.get(name) for variable, name in VARIABLES.items()}
        try:
            options = from_variables(CniOptions, COMPONENT, given)
            objects = calico_source.objects(options, [os.getcwd(), self._loader.get_basedir()])
        except OptionError as err:
            name = VARIABLES.get(err.option, err.option)
            raise AnsibleActionFail(f"{name} {err.problem}; {err.fix} (nothing was changed)") from None
        arguments["objects"] = json.dumps(objects)
        return self.run_on_node("calico_apply", arguments, task_vars)
