# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of node_info that runs on the control machine: it adds the requested options to the observation."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

from ansible_collections.kubestead.cluster.plugins.plugin_utils import bytecode

# Most runs begin with this plugin. It imports all planners, so the other plugins find most of their imports loaded.
with bytecode.kept():
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import normal_address
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
    from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import (
        public_fields,
        refuse_credentials,
        variable_name,
    )
    from ansible_collections.kubestead.cluster.plugins.module_utils.host import connect as reach
    from ansible_collections.kubestead.cluster.plugins.module_utils.host import ports
    from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import UPGRADE
    from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE
    from ansible_collections.kubestead.cluster.plugins.module_utils.observation import LEAVING
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import names
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Facts
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, line
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry, trial
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.planners import DEFAULT
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.resolving import resolved
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules import reachability
    from ansible_collections.kubestead.cluster.plugins.plugin_utils.variables import (
        Variables,
        claimed,
        of_host,
        refusal,
    )

display = Display()


class ActionModule(NodeAction):
    """Reads the host's variables, observes the node once, and returns both.

    Role defaults are visible only to tasks of the host itself, not through hostvars. So the options of a host are
    read here, for the plan. Secret options are omitted; only their names are kept.
    """

    # The action plugin adds the times around the observation, and the address that Ansible connects to.
    RETURNS = frozenset(field.name for field in dataclasses.fields(Facts)) - {"asked", "answered", "connects_to"}
    # Every operation begins with it, also the one that removes a host which does not let it end.
    PATIENCE = 600.0

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result with ``options`` and ``problems`` (options of the wrong type) added.

        A host with invalid options is not observed. Its result contains only its options.
        One whose answer can't be used fails here, with its line, so that the others are planned without it.
        """
        super(NodeAction, self).run(tmp, task_vars)
        refused = refusal(task_vars or {})
        if refused:
            raise AnsibleActionFail(refused)
        variables = Variables(task_vars or {}, self._templar)
        # A host that is observed on behalf of another one has the options of that one, except for its own kubeconfig.
        witness = bool(self._task.delegate_to)
        kubeconfig = self._of_delegate("kubeconfig", task_vars or {}) if witness else variables
        options: dict[str, Any] = {}
        secrets: dict[str, list[str]] = {}
        problems: list[dict[str, str]] = []
        for component in registry.OPTIONS:
            try:
                value = registry.options_from_variables(
                    component, kubeconfig if component == "kubeconfig" else variables
                )
                if registry.secrets_in_use(value):
                    # Secrets stay on the control machine, so only this check finds errors in them before a change.
                    value.validate()
            except OptionError as err:
                problems.append({"component": component, "option": err.option, "problem": err.problem, "fix": err.fix})
                continue
            options[component] = public_fields(value)
            secrets[component] = registry.secrets_in_use(value)
        name = str((task_vars or {})["inventory_hostname"])
        judged = {"options": options, "secrets": secrets, "problems": problems}
        given = dict(self._task.args)
        try:
            for option in ("packages_url", "image_repository"):
                refuse_credentials(option, given.get(option), "@")
        except OptionError as err:
            raise AnsibleActionFail(err.message) from None
        wanted = names("components", given.pop("components", None)) or registry.NAMES
        if not witness and registry.option_findings(name, judged, wanted):
            return dict(judged, changed=False)
        # It does not test connections either: they would be those of the other host.
        peers = [] if witness else _peers(task_vars or {})
        proxied = not witness and _is_proxied(name, (task_vars or {})["groups"])
        # Nor does it get a virtual IP address in this run, so nothing is asked about one that it has not set up. The
        # plan uses the address only where it is set up, and then the observation is the same.
        address = "" if witness else _virtual_ip(name, (task_vars or {})["groups"], options)
        more: dict[str, Any] = {"proxied": proxied, "virtual_ip": address}
        operation = str(given.get("operation") or DEFAULT)
        if operation in LEAVING:
            # These hosts need no packages, and connect to no other host.
            more.update(packages_url="", reach=[])
        if witness and operation == UPGRADE:
            # It is not among the hosts that are upgraded.
            given["operation"] = DEFAULT
        arguments = {**registry.observation_arguments(options, peers), **more, **given}
        asked = time.time()
        try:
            result = self.run_on_node("node_info", arguments, task_vars)
        except AnsibleActionFail as err:
            if not witness:
                raise
            result = {"failed": True, "msg": str(err)}
        if not result.get("failed"):
            result.update(judged, asked=asked, answered=time.time(), connects_to="")
            if not witness and not _has_joined(result):
                result["connects_to"] = resolved(str((task_vars or {}).get("ansible_host") or name))
            control_plane = witness or name in (task_vars or {})["groups"].get("control_plane", [])
            broken = trial.broken(name, control_plane, result, wanted)
            result = {"failed": True, "msg": line(broken)} if broken else result
        if witness and result.get("failed"):
            # It is asked for the sake of others, who must not fail with it.
            reason = line(result.get("msg"))
            if operation not in LEAVING:
                display.warning(f"{self._task.delegate_to}: {reason}")
            # The plan of a removal or reset names it, together with what follows.
            return {"changed": False, "msg": reason}
        return result

    def _of_delegate(self, component: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The variables of a component of the host that the task is delegated to. Facts of it are not among them."""
        hostvars, other = variables["hostvars"], str(self._task.delegate_to)
        facts = claimed(hostvars[other]) if other in hostvars else ()
        names_of = [variable_name(component, field) for field in dataclasses.fields(registry.OPTIONS[component])]
        return of_host(other, [name for name in names_of if name not in facts], variables, self._templar)


def _is_proxied(name: str, groups: Mapping[str, Any]) -> bool:
    """Whether the host is a worker that reaches several control planes through a proxy, by the inventory."""
    return name in groups.get("workers", []) and len(groups.get("control_plane", [])) > 1


def _virtual_ip(name: str, groups: Mapping[str, Any], options: Mapping[str, Any]) -> str:
    """The virtual IP address that a host will have: control planes have it, by the inventory."""
    given = str((options.get("api_endpoint") or {}).get("virtual_ip") or "")
    return normal_address(given) if name in groups.get("control_plane", []) else ""


def _peers(variables: Mapping[str, Any]) -> list[str]:
    """The ports of other hosts of the inventory that this host connects to."""
    name, groups = variables["inventory_hostname"], variables["groups"]
    controls = list(groups.get("control_plane", []))
    # Only control planes connect to the kubelets of workers.
    workers = [host for host in groups.get("workers", []) if name in controls]
    hostvars = variables["hostvars"]
    return reachability.peers(
        name,
        {host: _place(hostvars[host], host) for host in controls[: reach.MAX_TARGETS]},
        {host: _address(hostvars[host], host) for host in workers[: reach.MAX_TARGETS]},
    )


def _place(host: Mapping[str, Any], name: str) -> tuple[str, int]:
    """The address and the port of a host's API server according to the inventory."""
    return _address(host, name), _port(_of_inventory(host, "cluster_node_bind_port"))


def _address(host: Mapping[str, Any], name: str) -> str:
    """The address of a host according to the inventory. Names are resolved here, because nodes may not know them."""
    # In a dual-stack cluster, the API server uses the first address.
    given = str(_of_inventory(host, "cluster_node_address") or "").partition(",")[0].strip()
    return resolved(given or str(host.get("ansible_host") or name))


def _has_joined(answer: Mapping[str, Any]) -> bool:
    kubeadm = answer.get("kubeadm")
    return isinstance(kubeadm, Mapping) and kubeadm.get("phase") == DONE


def _of_inventory(host: Mapping[str, Any], name: str) -> Any:
    """A variable of another host, unless that is a fact of it."""
    return None if name in claimed(host) else host.get(name)


def _port(value: Any) -> int:
    """The API server's port. The plan reports an invalid port."""
    text = str(value or "")
    return int(text) if text.isdigit() else ports.API_PORT
