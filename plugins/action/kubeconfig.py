# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of kubeconfig that runs on the control machine: it keeps the copy there."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step, diff
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigSummary, summarize
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy
from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import known_as, truth
from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, line

#: Characters that are shown of what the host says about a file that can't be read.
MAX_REASON = 300
#: What follows from a copy that is not written, and the way out if its cause can't be corrected.
_STOPPED = (
    "the run stops before the control plane leaves, because it is the server in {0}; if you can't correct the cause, "
    "set the server in this file to that of a control plane that stays, and run again"
)


class ActionModule(NodeAction):
    """Runs the module on the host, compares the copy on this machine by its digest, and fetches it if it differs."""

    RETURNS = frozenset(("user", "kubeconfig", "local_kubeconfig", "server", "source"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result. It never contains the kubeconfig.

        What the host says of its file only predicts what happens. The file itself decides whether the copy is written.
        """
        super(NodeAction, self).run(tmp, task_vars)
        result = self.run_on_node("kubeconfig", self._task.args, task_vars)
        source = result.pop("source", None)
        destination = self._task.args.get("copy_to")
        if result.get("failed") or not destination:
            return result
        path = kubeconfig_copy.copy_path(str(destination))
        result["local_kubeconfig"] = path
        try:
            return self._copied(result, source, path, task_vars or {})
        except AnsibleActionFail as err:
            if not self._server_leaves:
                raise
            raise AnsibleActionFail(f"{err.message}; {_STOPPED.format(path)}") from None

    @property
    def _server_leaves(self) -> bool:
        return truth("server_leaves", self._task.args.get("server_leaves"))

    def _copied(self, result: dict[str, Any], source: Any, path: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The result of the module with what happened to the copy at ``path``."""
        here = System()
        wanted = None if source is None else kubeconfig_copy.reported_summary(source)
        server = str(self._task.args.get("copy_server") or "")
        new = truth("new_cluster", self._task.args.get("new_cluster"))
        step = kubeconfig_copy.plan_copy(here, path, kubeconfig_copy.with_server(wanted, server), new)
        text = ""
        if step.action == "write_kubeconfig" and not self._task.check_mode:
            text = self._fetch(wanted)
            step = kubeconfig_copy.plan_copy(here, path, summarize(text), new)
        if step.action == kubeconfig.SAME:
            return result
        if step.action in (kubeconfig.KEEP, kubeconfig_copy.OTHER_CA):
            host = self._task.delegate_to or task_vars.get("inventory_hostname")
            # A copy whose server leaves has to be this one.
            usual = "" if self._server_leaves else f"set {self._option} to another path"
            refused = _refused(step, host, usual)
            if self._server_leaves:
                # The user has seen a plan that writes the copy.
                raise AnsibleActionFail(refused)
            result.setdefault("warnings", []).append(refused)
            return result
        if not self._task.check_mode:
            self._apply(step, here, text)
        result["changed"] = True
        result.setdefault("steps", []).append(step.public())
        result.setdefault("diff", []).extend(diff([step]))
        return result

    @property
    def _option(self) -> str:
        return known_as("copy_to", "cluster_kubeconfig_path", self._task)

    def _apply(self, step: Step, here: System, text: str) -> None:
        try:
            if step.action == "protect_kubeconfig":
                os.chmod(step.target, 0o600)
            else:
                kubeconfig_copy.apply_copy(step, here, text)
            return
        except OSError as err:
            problem = f"{step.target} can't be written: {err.strerror}"
        except KubesteadError as err:
            problem = err.message
        # Some problems name their fix. A file whose server leaves has to be this one.
        fix = "" if "; " in problem or self._server_leaves else "; use a path that you can write to"
        raise AnsibleActionFail(f"{self._option}: {problem}{fix}")

    def _fetch(self, wanted: KubeconfigSummary | None) -> str:
        """The admin kubeconfig, rebuilt. Connections print the output of a command at -vvv, unless it is censored.

        A module would need 0.25 s of CPU time on the host to read the file. The digest proves that it is the file.
        """
        with self.censored():
            answer = self._low_level_execute_command(f"cat {ADMIN_KUBECONFIG}")
        if answer["rc"] != 0:
            # What was printed may be part of the file.
            problem = line(answer.get("stderr"))[-MAX_REASON:] or f"exit code {answer['rc']}"
            raise AnsibleActionFail(f"{ADMIN_KUBECONFIG} can't be read: {problem}; use become: true")
        try:
            text = kubeconfig_copy.printed(answer["stdout"], wanted)
            return kubeconfig_copy.rebuilt(text, wanted, str(self._task.args.get("copy_server") or ""))
        except KubesteadError as err:
            raise AnsibleActionFail(f"{ADMIN_KUBECONFIG} on this host {err.message} (nothing was written)") from None


def _refused(step: Step, host: object, usual: str) -> str:
    """Why a copy is not changed, and what to do."""
    if step.action == kubeconfig_copy.OTHER_CA:
        problem = kubeconfig_copy.other_ca_problem(step.target, step.reason)
        return f"{host}: {problem.line}" if host else problem.line
    text = f"{step.target} on the control machine is {step.reason} and was not changed"
    return "; ".join(filter(None, (text, kubeconfig.fix_of(step.reason, step.target, usual))))
