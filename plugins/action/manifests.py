# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of manifests that runs on the control machine: it reads the files."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.kubestead.cluster.plugins.module_utils.core import images
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import objects as kube_objects
from ansible_collections.kubestead.cluster.plugins.plugin_utils import manifest_files as yaml_files
from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import known_as
from ansible_collections.kubestead.cluster.plugins.plugin_utils.connection_errors import before_login
from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction


class ActionModule(NodeAction):
    """Reads manifests where Ansible runs and sends them as JSON, which is never logged."""

    RETURNS = frozenset(("objects", "services", "summary", "seconds"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result. Raises with a line that names file and line, before anything is sent to it."""
        super(NodeAction, self).run(tmp, task_vars)
        arguments = dict(self._task.args)
        wanted = arguments.get("manifests")
        option = known_as("manifests", "deploy_manifests", self._task)
        try:
            base = self._loader.get_basedir()
            folders = [os.getcwd(), base, os.path.join(base, "files")]
            decrypt = getattr(self._loader, "get_text_file_contents", None)
            found = kube_objects.without_repeats(yaml_files.gather(option, wanted, folders, decrypt))
            sources = {index: source for index, (source, _obj) in enumerate(found)}
            kube_objects.check([obj for _source, obj in found], sources)
            objects = images.replace([obj for _source, obj in found], arguments.get("images") or {})
        except KubesteadError as err:
            raise AnsibleActionFail(f"{err.message} (nothing was changed)") from None
        namespace = str(arguments.get("namespace") or "")
        entries = [{"source": sources[index], "object": obj} for index, obj in enumerate(objects)]
        if namespace and not any(
            obj["kind"] == "Namespace" and obj["metadata"]["name"] == namespace for obj in objects
        ):
            space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
            entries.insert(0, {"source": "namespace", "object": space})
        # Objects written in the task stay out of the module's logged arguments: a Secret may be among them.
        entries_given = wanted if isinstance(wanted, list) else [wanted]
        arguments["manifests"] = [entry if isinstance(entry, str) else "an object" for entry in entries_given]
        arguments["objects"] = json.dumps(entries)
        # The module hides the values of Secrets. Interrupted output and the log of the connection would show them.
        secret = any(str(obj["kind"]).lower() == "secret" for obj in objects)
        try:
            return self.run_on_node("manifests", arguments, task_vars, [] if secret else None)
        except AnsibleConnectionFailure as err:
            way = known_as("delegate_to: localhost and kubeconfig", "deploy_kubeconfig", self._task)
            fix = f"{err.message}, or apply the manifests from this machine with {way}"
            host, user = (str(getattr(self._connection, name, None) or "") for name in ("host", "user"))
            unchanged = " (nothing was changed)" if before_login(err.message, host, user) else ""
            # Ansible may name only localhost.
            named = f"{self._task.delegate_to}: " if self._task.delegate_to else ""
            raise AnsibleConnectionFailure(f"{named}{fix}{unchanged}") from None
