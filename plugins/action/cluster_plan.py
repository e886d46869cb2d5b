# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cluster_plan: it runs on the control machine, without a connection."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.kubestead.cluster.plugins.plugin_utils import bytecode

with bytecode.kept():
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import normal_address
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import checked, variable_name
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import is_address
    from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.bootstrap_token import (
        DEFAULT_TTL,
        parse_duration,
    )
    from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import UPGRADE
    from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
    from ansible_collections.kubestead.cluster.plugins.plugin_utils import (
        calico_manifest,
        connection_errors,
        kubeconfig_copy,
    )
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import known_as, names, truth
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.facts import BrokenFacts
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import dropping, planners, registry
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.admin_copies import (
        copy_server,
        creates,
        of_another,
        other_cas,
        unreadable_source,
        unusable_here,
    )
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import admin_kubeconfig
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory, left_out_findings
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import (
        Plan,
        Request,
        as_result,
        findings_result,
    )
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.waves import parallel_findings
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.resolving import resolved
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules import catalogue
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules.misspelled import misspelled_findings
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.variables import claimed, of_host, refusal

display = Display()

#: The operations that apply the manifest of the pod network or pull its images. The others do not read it, so that
#: hosts can be reset and removed while the manifest is not available.
_WITH_MANIFEST = (planners.DEFAULT, UPGRADE)
_TOKEN_TTL = "join_token_ttl"


class ActionModule(ActionBase):
    """Reads the observations of all hosts, plans, shows findings and steps, and fails if a finding is an error."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _VALID_ARGS = frozenset(
        (
            "operation",
            "components",
            "observed",
            "outside",
            "rolling",
            "drop_hosts",
            "serial",
            "pause",
            "skip_checks",
            "targets",
            "gone",
        )
    )

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the plan. Raises with one line per finding if a finding is an error."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        refused = refusal(variables)
        if refused:
            raise AnsibleActionFail(refused)
        operation, components, skip = self._operation(), self._components(), self._skipped()
        request = _with_copies(self._request(operation, variables, components, skip))
        planner, rolling = planners.PLANNERS[operation], self._truth("rolling", "preflight_rolling")
        # Only a rolling play leaves out the hosts that are dropped.
        drops = rolling and self._truth("drop_hosts", "preflight_drop_hosts")
        plan = dropping.without_failing(planner, request) if drops else planner(request)
        plan = self._with_token_ttl(plan, variables)
        if not rolling:
            # With serial, the facts of hosts in earlier batches are from before their change.
            batch = variables.get("ansible_play_batch") or variables["ansible_play_hosts"]
            disrupted = {name: steps for name, steps in plan.disrupted.items() if name in batch}
            plan = replace(plan, findings=[*plan.findings, *catalogue.apply_skips(parallel_findings(disrupted), skip)])
        if plan.errors:
            _show(plan)
            raise AnsibleActionFail(_failure(plan.errors), result={"findings": findings_result(plan.findings)})
        hosts = [host for host in request.hosts if host.name not in plan.dropped]
        plan = _with_kubeconfigs(plan, hosts, request)
        result.update(as_result(plan, self._network(plan, request, variables)))
        result["play"] = [variables["ansible_play_name"], variables["ansible_play_role_names"]]
        _show(plan)
        return result

    # -- arguments

    def _truth(self, option: str, variable: str) -> bool:
        return truth(known_as(option, variable, self._task), self._task.args.get(option))

    def _operation(self) -> str:
        operation = str(self._task.args.get("operation") or planners.DEFAULT)
        if operation not in planners.PLANNERS:
            known = ", ".join(planners.PLANNERS)
            raise AnsibleActionFail(f"operation is {operation!r}, which is not an operation; use one of {known}")
        return operation

    def _components(self) -> list[str]:
        components = names("components", self._task.args.get("components")) or list(registry.NAMES)
        unknown = sorted(set(components) - set(registry.NAMES))
        if unknown:
            known = ", ".join(registry.NAMES)
            raise AnsibleActionFail(f"components has {unknown[0]!r}, which is not a component; use some of {known}")
        return components

    def _skipped(self) -> list[str]:
        """The checks to skip. All of them exist and can be skipped."""
        option = known_as("skip_checks", catalogue.OPTION, self._task)
        skip = names(option, self._task.args.get("skip_checks"))
        try:
            catalogue.validate(skip, option)
        except OptionError as err:
            raise AnsibleActionFail(err.message) from None
        return skip

    # -- the request

    def _request(self, operation: str, variables: dict[str, Any], components: list[str], skip: list[str]) -> Request:
        groups, hostvars = variables["groups"], variables["hostvars"]
        inventory = Inventory(list(groups.get("control_plane", [])), list(groups.get("workers", [])))
        observed = str(self._task.args.get("observed") or "preflight_observed")
        outside = str(self._task.args.get("outside") or "preflight_outside")
        hosts: list[Host] = []
        given = {name: _variables(hostvars, name) for name in variables["ansible_play_hosts"]}
        findings = misspelled_findings(given)
        for name, own in given.items():
            host, found = _read(name, name in inventory.control_plane, own.get(observed), components)
            hosts += host
            findings += found
        results = _results(variables.get(outside))
        answers = {name: one for name, one in results.items() if one.get("kubeadm")}
        # Ansible loops over them in any order, but check mode and the run must choose the same one.
        ordered = [name for name in inventory.control_plane if name in answers]
        others = [host for name in ordered for host in _read(name, True, answers[name], [])[0]]
        images: list[str] = []
        if _applies_network(operation, components) and hosts:
            unusable, images = self._manifest(hosts[0])
            findings += unusable
        play = variables.get("ansible_play_hosts_all") or variables["ansible_play_hosts"]
        silent = {name: _silence(_variables(hostvars, name).get(observed)) for name in play if name in hostvars}
        silent_outside = {name: _silence(one) for name, one in results.items()}
        targets = self._targets(variables)
        placed = [name for name in dict.fromkeys([*inventory.control_plane, *targets]) if name in hostvars]
        gone = self._truth("gone", "remove_gone")
        # A machine that is gone may be left out, because connecting to it takes time.
        if "targets" in self._task.args and not gone:
            findings += left_out_findings(inventory, targets, play)
        return Request(
            inventory,
            hosts,
            components,
            others,
            skip,
            findings,
            images,
            serial=str(self._task.args.get("serial") or 1),
            pause=str(self._task.args.get("pause") or 0),
            targets=targets,
            gone=gone,
            addresses={name: _addresses(name, hostvars[name], hosts) for name in targets if name in hostvars},
            node_names={name: _node_name(hostvars[name]) for name in targets if name in hostvars},
            places={name: _places(name, hostvars[name]) for name in placed},
            unobserved={name: reason for name, reason in silent.items() if reason},
            unobserved_outside={name: reason for name, reason in silent_outside.items() if reason},
            limit=str(variables.get("ansible_limit") or ""),
        )

    def _targets(self, variables: dict[str, Any]) -> list[str]:
        """The hosts to operate on: the named hosts, or all hosts of the play, including those that did not answer."""
        if "targets" not in self._task.args:
            return [str(name) for name in variables.get("ansible_play_hosts_all") or variables["ansible_play_hosts"]]
        # A variable without a value selects no hosts, not all hosts.
        given = self._task.args["targets"] or ()
        names = given if isinstance(given, (list, tuple)) else str(given).split(",")
        return [str(name).strip() for name in names if str(name).strip()]

    def _manifest(self, host: Host) -> tuple[list[Finding], list[str]]:
        """The finding if Calico's manifest can't be read on this machine, and the images of the manifest."""
        problem, images = calico_manifest.check(host.options.cni, self._folders)
        return [Finding("all", "cni", problem)] if problem else [], images

    @property
    def _folders(self) -> list[str]:
        return [os.getcwd(), self._loader.get_basedir()]

    def _with_token_ttl(self, plan: Plan, variables: dict[str, Any]) -> Plan:
        """The plan with the lifetime of tokens, as the control plane that creates them has it, or with a finding."""
        if not plan.joins:
            return plan
        # As the role join chooses it.
        host = plan.api_host or str(variables["inventory_hostname"])
        try:
            given = of_host(host, [_TOKEN_TTL], variables, self._templar).get(_TOKEN_TTL)
            lifetime = DEFAULT_TTL if given is None else str(checked(_TOKEN_TTL, str, given))
            parse_duration(lifetime, _TOKEN_TTL)
        except OptionError as err:
            problem = Problem("options", f"{err.option} {err.problem}", err.fix)
            return replace(plan, findings=[*plan.findings, Finding(host, "join", problem)])
        return replace(plan, token_ttl=lifetime)

    def _network(self, plan: Plan, request: Request, variables: dict[str, Any]) -> CniOptions:
        """The options of the pod network in the variables of the control plane whose API server is used."""
        own = next((host.options.cni for host in request.hosts if host.name == plan.api_host), None)
        if own is not None or not plan.api_host or not _applies_network(plan.operation, request.components):
            return own or CniOptions()
        try:
            names_of = [variable_name("cni", field) for field in dataclasses.fields(CniOptions)]
            given = of_host(plan.api_host, names_of, variables, self._templar)
            options: CniOptions = registry.options_from_variables("cni", given)
            options.validate()
        except OptionError as err:
            raise AnsibleActionFail(f"{plan.api_host}: {err.message} (nothing was changed)") from None
        if not any(_same_manifest(options, host.options.cni) for host in request.hosts[:1]):
            # The one that was read for the request is not the one that is applied.
            problem, _images = calico_manifest.check(options, self._folders)
            if problem:
                raise AnsibleActionFail(f"{plan.api_host}: {problem.line} (nothing was changed)")
        return options


def _applies_network(operation: str, components: Sequence[str]) -> bool:
    return operation in _WITH_MANIFEST and "cni" in components


def _same_manifest(one: CniOptions, other: CniOptions) -> bool:
    fields = ("plugin", "calico_manifest", "calico_checksum", "calico_version")
    return all(getattr(one, name) == getattr(other, name) for name in fields)


def _variables(hostvars: Any, name: str) -> Mapping[str, Any]:
    """The variables of a host, including the results that tasks registered.

    Through ``hostvars``, Ansible copies all of it to look for templates. A registered result has none, and that of
    ``node_info`` has a thousand values.
    """
    raw = getattr(hostvars, "raw_get", None)
    found: Mapping[str, Any] = hostvars[name] if raw is None else raw(name)
    return found


def _read(name: str, control_plane: bool, facts: Any, components: list[str]) -> tuple[list[Host], list[Finding]]:
    """The host with these facts, or the findings about them. Both are empty if nothing was registered.

    A host that was not observed because its variables are invalid has only its options.
    """
    if not isinstance(facts, Mapping) or not isinstance(facts.get("options"), Mapping):
        return [], []
    if not facts.get("node"):
        return [], registry.option_findings(name, facts, components)
    try:
        return [registry.read_host(name, control_plane, facts)], []
    except BrokenFacts as err:
        return [], [err.finding(name)]


def _addresses(name: str, variables: Mapping[str, Any], hosts: Sequence[Host]) -> list[str]:
    """The addresses of a host by the inventory.

    A name is resolved only for a host that reports a node name which differs from its names in the inventory.
    """
    facts = claimed(variables)
    own = [str(variables.get(key) or "") for key in ("cluster_node_address", "ansible_host") if key not in facts]
    # The address of a node may be one of each family.
    given = [part.strip() for text in own for part in text.split(",")] + [name]
    known = (name, "") if "cluster_node_name" in facts else (name, "", str(variables.get("cluster_node_name") or ""))
    if any(host.name == name and host.kubeadm.node_name not in known for host in hosts):
        given += [resolved(place) for place in given if place]
    return list(dict.fromkeys(normal_address(address) for address in given if is_address(address)))


def _node_name(variables: Mapping[str, Any]) -> str:
    """The name of a host's Node by the inventory; empty if it is not set."""
    return "" if "cluster_node_name" in claimed(variables) else str(variables.get("cluster_node_name") or "")


def _places(name: str, variables: Mapping[str, Any]) -> list[str]:
    """The names and addresses of a host by the inventory. None of them is resolved."""
    facts = claimed(variables)
    keys = ("ansible_host", "cluster_node_address", "cluster_node_name")
    given = [name, *(str(variables.get(key) or "") for key in keys if key not in facts)]
    # The address of a node may be one of each family.
    parts = [part.strip() for text in given for part in text.split(",")]
    return list(dict.fromkeys(normal_address(part) for part in parts if part))


def _silence(result: Any) -> str:
    """Why a host could not be observed, from what its task registered; empty if it was observed, or not yet."""
    if not isinstance(result, Mapping) or result.get("kubeadm"):
        return ""
    if result.get("unreachable") is True:
        return connection_errors.without_connection(str(result.get("msg") or ""))
    reason = connection_errors.plain(str(result.get("msg") or "no reason is known"))
    # A control plane outside the play does not fail its task, and has only the reason.
    return f"can't be observed: {reason}" if result.get("failed") is True or result.get("msg") else ""


def _results(outside: Any) -> dict[str, Mapping[str, Any]]:
    """The results of the observation of control planes outside the play, registered in a loop over their names."""
    results = outside.get("results") if isinstance(outside, Mapping) else None
    answers = results if isinstance(results, (list, tuple)) else []
    return {str(one["item"]): one for one in answers if isinstance(one, Mapping) and "item" in one}


def _with_kubeconfigs(plan: Plan, hosts: Sequence[Host], request: Request) -> Plan:
    """The plan with the copy on this machine and with the arguments of the module kubeconfig on each control plane."""
    if "control_plane" not in plan.components:
        return plan
    servers = {host.name: copy_server(plan.hosts[host.name].api_address, plan.cluster) for host in hosts}
    writers = [host for host in hosts if host.name == plan.api_host]
    found = [Finding(host.name, "control_plane", one) for host in writers for one in unusable_here(host, request)]
    more = [
        Finding(host.name, "control_plane", one)
        for host in hosts
        for one in unreadable_source(host, request, host in writers, host.options.kubeconfig.overwrite)
    ]
    plan = replace(plan, findings=[*plan.findings, *found, *more])
    for host in hosts:
        own = plan.hosts[host.name]
        server = servers[host.name]
        copy = request.kubeconfig_copies.get(host.name)
        new = creates(host, own.initializes, copy)
        copies = host in writers and not found and not of_another(copy, host, hosts, servers)
        if copies:
            becomes = own.initializes or own.joins_as == "control_plane"
            source = admin_kubeconfig(host, plan.cluster, becomes)
            steps = kubeconfig_copy.copy_steps(System(), host.options.kubeconfig, source, server, new)
            problems = other_cas(host, copy, kubeconfig_copy.with_server(source, server), new)
            copies = not problems
            findings = [Finding(host.name, "control_plane", problem) for problem in problems]
            plan = replace(plan.with_steps(host.name, steps), findings=[*plan.findings, *findings])
            own = plan.hosts[host.name]
        if own.joins_as == "control_plane" or any(step.component == "control_plane" for step in own.steps):
            options = host.options.kubeconfig
            arguments = {
                "install": options.install,
                "user": options.user,
                "overwrite": options.overwrite,
                "copy_to": options.copy_to if copies else "",
                "copy_server": server,
                "endpoint": plan.cluster.endpoint or host.address,
                "bind_port": host.options.control_plane.bind_port,
                "new_cluster": new,
            }
            plan = replace(plan, hosts={**plan.hosts, host.name: replace(own, kubeconfig=arguments)})
    return plan


def _with_copies(request: Request) -> Request:
    """The request with the copies of the admin kubeconfig on this machine that variables of control planes name."""
    controls = [host for host in (*request.hosts, *request.reference_control_planes) if host.control_plane]
    paths = {host.name: host.options.kubeconfig.copy_to for host in controls if host.options.kubeconfig.copy_to}
    # Usually, all control planes name the same file.
    found = {path: kubeconfig_copy.look(System(), kubeconfig_copy.copy_path(path)) for path in set(paths.values())}
    copies = {name: found[path][0] for name, path in paths.items() if not found[path][1]}
    return replace(
        request,
        kubeconfig_copies={name: copy for name, copy in copies.items() if copy is not None},
        unusable_copies={name: found[path][1] for name, path in paths.items() if found[path][1]},
    )


# -- output


def _show(plan: Plan) -> None:
    for text in _lines([finding for finding in plan.findings if finding.problem.level == catalogue.WARNING]):
        display.warning(text)
    for text in _lines([finding for finding in plan.findings if finding.problem.level == catalogue.SKIPPED]):
        display.display(f"  skipped  {text}")
    if plan.errors:
        return
    for text in _lines([finding for finding in plan.findings if finding.host in plan.dropped and _is_error(finding)]):
        display.warning(f"{text} (left out of this run)")
    width = max((len(name) for name in plan.hosts), default=0)
    for name, host in plan.hosts.items():
        if not host.steps:
            display.display(f"  {name.ljust(width)}  nothing to do")
        for step in host.steps:
            display.display(f"  {name.ljust(width)}  {step.component}: {step.summary()}", color="yellow")


def _is_error(finding: Finding) -> bool:
    return finding.problem.level == catalogue.ERROR


def _lines(findings: list[Finding]) -> list[str]:
    """One line per problem, with all hosts that have it."""
    hosts_of: dict[Any, list[str]] = {}
    for finding in findings:
        names = hosts_of.setdefault(finding.problem, [])
        if finding.host not in names:
            names.append(finding.host)
    return [f"{', '.join(names)}: {problem.line}" for problem, names in hosts_of.items()]


def _failure(errors: list[Finding]) -> str:
    lines = _lines(errors)
    if len(lines) == 1:
        return f"{lines[0]} (nothing was changed)"
    return f"{len(lines)} problems, nothing was changed:\n" + "\n".join(f"  {text}" for text in lines)
