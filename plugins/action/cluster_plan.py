# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cluster_plan: everything it does happens on the control machine, without a connection."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils import calico_manifest as calico_source
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host, Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import converge as cluster
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules import catalogue as checks

display = Display()


class ActionModule(ActionBase):
    """Reads what every host of the play registered, judges, plans, shows both, and fails when something is wrong."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _VALID_ARGS = frozenset(("components", "observed", "outside", "skip_checks"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the plan; raise with one line a finding when a finding is an error."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        wanted = [str(component) for component in self._task.args.get("components") or registry.NAMES]
        observed = str(self._task.args.get("observed") or "preflight_observed")
        outside = str(self._task.args.get("outside") or "preflight_outside")
        unknown = sorted(set(wanted) - set(registry.NAMES))
        if unknown:
            raise AnsibleActionFail(
                f"components names {unknown[0]!r}, which is no component; give some of {', '.join(registry.NAMES)}"
            )
        skip = self._skipped()
        groups, hostvars = variables["groups"], variables["hostvars"]
        inventory = Inventory(
            control_plane=list(groups.get("control_plane", [])), workers=list(groups.get("workers", []))
        )
        hosts, refused = [], []
        for name in variables["ansible_play_hosts"]:
            facts = hostvars[name].get(observed)
            if facts and facts.get("node"):
                hosts.append(registry.host(name, name in inventory.control_plane, facts, skip, wanted))
            elif facts and "options" in facts:
                refused += registry.option_findings(name, facts, wanted)
        asked = variables.get(outside) or {}
        answers = [item for item in asked.get("results", []) if isinstance(item, dict) and item.get("kubeadm")]
        elsewhere = [registry.outside(item["item"], item) for item in answers]
        witnesses = [registry.host(item["item"], True, item) for item in answers]
        unusable, images = self._manifest(hosts[0]) if "cni" in wanted and hosts else ([], [])
        plan = cluster.plan_cluster(inventory, hosts, elsewhere, wanted, skip, witnesses, refused, images)
        plan.add(unusable)
        for host in hosts:
            if "control_plane" in wanted and host.name == plan.token_host and not plan.errors:
                source = cluster.admin_kubeconfig(host, plan)
                plan.steps[host.name] += kubeconfig_copy.copy_steps(System(), host.kubeconfig_options, source)
            if any(step.component == "control_plane" for step in plan.steps[host.name]) or host.name in (
                plan.control_plane_joins
            ):
                options = host.kubeconfig_options
                plan.kubeconfigs[host.name] = {
                    "user": options.user,
                    "overwrite": options.overwrite,
                    "copy_to": options.copy_to if host.name == plan.token_host else "",
                    "endpoint": plan.cluster["endpoint"] or host.address,
                    "bind_port": host.options.bind_port,
                }
        if plan.errors:
            _show(plan)
            found = registry.as_result(plan, wanted, CniOptions())["findings"]
            raise AnsibleActionFail(_failure(plan.errors), result={"findings": found})
        result.update(registry.as_result(plan, wanted, self._network(plan, hosts, hostvars)))
        result["play"] = [variables["ansible_play_name"], variables["ansible_play_role_names"]]
        _show(plan)
        return result

    def _network(self, plan: cluster.ClusterPlan, hosts: list[Host], hostvars: Any) -> CniOptions:
        """The options of the pod network in the variables of the control plane that answers for the cluster."""
        own = next((host.cni_options for host in hosts if host.name == plan.token_host), None)
        if own is not None or not plan.token_host:
            return own or CniOptions()
        try:
            options: CniOptions = registry.options_from_variables("cni", hostvars[plan.token_host])
            options.validate()
        except OptionError as err:
            raise AnsibleActionFail(f"{plan.token_host}: {err.message} (nothing was changed)") from None
        return options

    def _skipped(self) -> list[str]:
        """The checks to skip, each of them one that there is."""
        given = self._task.args.get("skip_checks") or []
        skip = [given] if isinstance(given, str) else [str(name) for name in given]
        try:
            checks.validate(skip)
        except OptionError as err:
            raise AnsibleActionFail(err.message) from err
        return skip

    def _manifest(self, host: Host) -> tuple[list[Finding], list[str]]:
        """Calico's manifest is read here, so here is where it can be missing; and its images."""
        problem, images = calico_source.check(host.cni_options, [os.getcwd(), self._loader.get_basedir()])
        return [Finding("all", "cni", problem)] if problem else [], images


def _show(plan: cluster.ClusterPlan) -> None:
    for line in _lines([finding for finding in plan.findings if finding.problem.level == checks.WARNING]):
        display.warning(line)
    for line in _lines([finding for finding in plan.findings if finding.problem.level == checks.SKIPPED]):
        display.display(f"  skipped  {line}")
    if plan.errors:
        return
    width = max((len(name) for name in plan.steps), default=0)
    for name, steps in plan.steps.items():
        if not steps:
            display.display(f"  {name.ljust(width)}  nothing to do")
        for step in steps:
            display.display(f"  {name.ljust(width)}  {step.component}: {step.summary()}", color="yellow")


def _lines(findings: list[Finding]) -> list[str]:
    """One line for each problem, with all the hosts that have it."""
    together: dict[Any, list[str]] = {}
    for finding in findings:
        names = together.setdefault(finding.problem, [])
        if finding.host not in names:
            names.append(finding.host)
    return [f"{', '.join(names)}: {problem.line}" for problem, names in together.items()]


def _failure(errors: list[Finding]) -> str:
    lines = _lines(errors)
    if len(lines) == 1:
        return f"{lines[0]} (nothing was changed)"
    return f"{len(lines)} problems, nothing was changed:\n" + "\n".join(f"  {line}" for line in lines)
