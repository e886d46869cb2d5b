# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_components: prepares a machine from its variables and, if the plan says so, initializes the cluster."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.utils.display import Display

from ansible_collections.kubestead.cluster.plugins.module_utils import preparation
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy
from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import dictionary, names, truth
from ansible_collections.kubestead.cluster.plugins.plugin_utils.component_options import options_of
from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction, line
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.variables import Variables

display = Display()

CONTROL_PLANE = "control_plane"
CHOICES = (*preparation.COMPONENTS, CONTROL_PLANE)
#: The parts of the plan that the node gets.
PLANNED = ("kubeadm_version", "extra_packages", "images", "api_endpoint")


class ActionModule(NodeAction):
    """One task prepares a machine completely, so that each host proceeds at its own pace with any strategy."""

    RETURNS = frozenset(("seconds", "component"))
    _VALID_ARGS = frozenset(("components", "plan"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Apply the components. The result contains the steps of all of them."""
        super(NodeAction, self).run(tmp, task_vars)
        variables = task_vars or {}
        plan = _checked(dictionary("plan", self._task.args.get("plan")))
        components = selected(self._components(), variables.get("ansible_run_tags"), variables.get("ansible_skip_tags"))
        result: dict[str, Any] = {"changed": False, "steps": [], "diff": []}
        self._prepare(result, components, plan, variables)
        if _ended(result) or CONTROL_PLANE not in components:
            return result
        if plan.get("initializes"):
            arguments = init_arguments(variables, self._templar, plan)
            aside = self._set_aside(result, plan["kubeconfig"])
            if _ended(result):
                return result
            with _named_if_it_fails(result, aside):
                self._call(result, "init", "kubeadm_init", arguments, variables)
                self._write_kubeconfig(result, plan, variables)
        else:
            self._write_kubeconfig(result, plan, variables)
        return result

    def _write_kubeconfig(self, result: dict[str, Any], plan: Mapping[str, Any], variables: dict[str, Any]) -> None:
        """Write the copies of the admin kubeconfig. A control plane that joins gets them afterwards."""
        if plan.get("kubeconfig") and not plan.get("joins_as") and not _ended(result):
            self._call(result, "kubeconfig", "kubeconfig", dict(plan["kubeconfig"]), variables)

    def _components(self) -> list[str]:
        found = names("components", self._task.args.get("components"))
        unknown = [name for name in found if name not in CHOICES]
        if unknown or not found:
            wrong = f"has {unknown[0]!r}" if unknown else "is empty"
            raise AnsibleActionFail(f"components {wrong}; use some of {', '.join(CHOICES)} (nothing was changed)")
        return found

    def _prepare(
        self, result: dict[str, Any], components: list[str], plan: Mapping[str, Any], variables: dict[str, Any]
    ) -> None:
        """Let the module apply the components of the machine itself."""
        own = [name for name in components if name in preparation.COMPONENTS]
        if plan:
            # The plan knows which components have steps; the others are not observed again.
            own = [name for name in own if (plan.get("images") if name == "images" else plan["todo"].get(name))]
        if not own:
            return
        options, secrets = options_of(own, variables, self._templar, plan)
        expected = {name: plan[name] for name in PLANNED if name in plan}
        # The plan contains all components. Tags can leave out the one that installs the extra packages, and in a play
        # of single roles it can come after the one that needs them.
        tags = variables.get("ansible_run_tags"), variables.get("ansible_skip_tags")
        if not selected(["kube_packages"], *tags) or comes_later(components, variables.get("ansible_play_role_names")):
            expected["extra_packages"] = []
        arguments = {
            "components": own,
            "options": options,
            # One text: of a list, parts are logged with the quotes and escapes that Python gives them.
            "secrets": json.dumps(secrets) if secrets else "",
            "expected": expected,
        }
        passwords = [str(one["password"]) for one in secrets.get("registry_credentials") or []]
        answer = self.run_on_node("node_components", arguments, variables, passwords if secrets else None)
        self._add(result, answer)
        self._show_counts(variables, answer)

    def _set_aside(self, result: dict[str, Any], given: Mapping[str, Any]) -> str:
        """Empty a copy on this machine that is for an earlier cluster, and return where its contents are.

        A run that is killed after kubeadm init would otherwise leave a copy that later runs do not replace, because
        for them the cluster exists, and a control plane must not replace CAs.
        """
        if self._task.check_mode or not given.get("copy_to") or not truth("new_cluster", given.get("new_cluster")):
            return ""
        path = kubeconfig_copy.copy_path(str(given["copy_to"]))
        wanted = kubeconfig.expected(str(given.get("endpoint") or ""), int(given.get("bind_port") or 6443))
        wanted = kubeconfig_copy.with_server(wanted, str(given.get("copy_server") or ""))
        try:
            backup = kubeconfig_copy.set_aside(System(), path, wanted)
        except KubesteadError as err:
            result.update(failed=True, msg=f"{err.message} (the cluster was not initialized)")
            return ""
        if not backup:
            return ""
        text = f"{path} on the control machine was for an earlier cluster and is now empty; its contents are "
        text += f"in {backup}"
        display.display(f"  {text}", color="yellow")
        return text

    def _call(
        self, result: dict[str, Any], key: str, name: str, arguments: dict[str, Any], variables: dict[str, Any]
    ) -> None:
        """Run another action of the collection on the same host."""
        task = self._task.copy()
        task.action = f"kubestead.cluster.{name}"
        task.args = arguments
        action = self._shared_loader_obj.action_loader.get(
            task.action,
            task=task,
            connection=self._connection,
            play_context=self._play_context,
            loader=self._loader,
            templar=self._templar,
            shared_loader_obj=self._shared_loader_obj,
        )
        answer: dict[str, Any] = action.run(task_vars=variables)
        self._add(result, answer)
        result[key] = {
            name: value for name, value in answer.items() if name not in ("diff", "steps") and not name.startswith("_")
        }
        self._show_counts(variables, answer)

    def _add(self, result: dict[str, Any], answer: Mapping[str, Any]) -> None:
        for key in ("steps", "diff", "warnings"):
            if answer.get(key):
                result.setdefault(key, []).extend(answer[key])
        result["changed"] = result["changed"] or bool(answer.get("changed"))
        ended = _ended(answer)
        for key, value in answer.items():
            if key not in ("steps", "diff", "warnings", "changed") and (ended or key in ("seconds", "invocation")):
                result[key] = value

    def _show_counts(self, variables: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Show the steps, one line per component."""
        host = str(variables.get("inventory_hostname", ""))
        counts: dict[str, int] = {}
        for step in answer.get("steps") or []:
            name = line(step.get("component", ""))[:60]
            counts[name] = counts.get(name, 0) + 1
        # The collection has fewer than 20 components; a longer list is not from an honest host.
        for name, count in list(counts.items())[:20]:
            seconds = (answer.get("seconds") or {}).get(name)
            took = f" in {float(seconds):.1f} s" if isinstance(seconds, (int, float)) else ""
            display.display(f"  {host}  {name}: {count} step{'s' if count > 1 else ''}{took}", color="yellow")


@contextlib.contextmanager
def _named_if_it_fails(result: dict[str, Any], aside: str) -> Iterator[None]:
    """Add the warning about a copy that was set aside, unless what is done succeeds and fills the copy."""
    try:
        yield
    except BaseException:
        # The host is lost, or the task took too long, which is not an Exception. There will be no result.
        if aside:
            display.warning(aside)
        raise
    if aside and _ended(result):
        result.setdefault("warnings", []).append(aside)


def _ended(answer: Mapping[str, Any]) -> bool:
    return bool(answer.get("failed") or answer.get("unreachable"))


def _checked(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan of a host, if it has the parts that are used here. Raises AnsibleActionFail."""
    parts = {name: plan.get(name) or {} for name in ("todo", "cluster", "kubeconfig")}
    usable = all(isinstance(part, Mapping) for part in parts.values()) and (not plan or "todo" in plan)
    if usable and (parts["cluster"] or plan.get("initializes")):
        usable = {"pod_cidr", "service_cidr", "endpoint"} <= set(parts["cluster"])
    if not usable or (plan.get("initializes") and "kubeadm_version" not in plan):
        fix = "use the entry of the host in the hosts that cluster_plan returns"
        raise AnsibleActionFail(f"plan is not the plan of a host; {fix} (nothing was changed)")
    return plan


def selected(components: list[str], run_tags: Any, skip_tags: Any) -> list[str]:
    """The components that ``--tags`` and ``--skip-tags`` leave; all of them where no tag names a component."""
    wanted = set(run_tags or ()) & set(CHOICES)
    # kubeadm init uses the name of the API.
    wanted |= {"api_endpoint"} if CONTROL_PLANE in wanted else set()
    unwanted = set(skip_tags or ())
    return [name for name in components if (not wanted or name in wanted) and name not in unwanted]


def comes_later(components: list[str], role_names: Any) -> bool:
    """Whether the role kube_packages comes after the role of these components in the play."""
    names = [str(name).rpartition(".")[2] for name in role_names or ()]
    before = names[: names.index("kube_packages")] if "kube_packages" in names else []
    return any(name in before for name in components)


def init_arguments(variables: Mapping[str, Any], templar: Any, plan: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of kubeadm_init: the host's variables, and what the plan decided for the cluster."""
    try:
        options = to_dict(registry.options_from_variables(CONTROL_PLANE, Variables(variables, templar)))
    except OptionError as err:
        raise AnsibleActionFail(f"{err.option} {err.problem}; {err.fix} (nothing was changed)") from None
    cluster = plan["cluster"]
    options.update(pod_cidr=cluster["pod_cidr"], service_cidr=cluster["service_cidr"])
    options.update(control_plane_endpoint=cluster["endpoint"], kubeadm_version=plan["kubeadm_version"])
    del options["endpoint"]
    return {name: value for name, value in options.items() if value is not None}
