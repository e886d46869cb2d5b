# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The components of a node, each declared once.

A new component needs its package in ``module_utils``, its role, and a line here; tests hold documentation, argument
specs and defaults against this list.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import component as api_endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import EndpointOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import observe as containerd_observe
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import options as containerd_options
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import plan as containerd_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import state as containerd_state
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import (
    field_types,
    from_dict,
    from_variables,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.host import prepare as host_component
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init, join
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_observe, kube_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_state as kube_packages
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import options as cni

from ..facts import read_facts
from ..hosts import Host, Options
from ..rules import reachability

COMPONENT = "cluster"
PACKAGES = kube_packages.COMPONENT


@dataclass(frozen=True)
class Component:
    """A part of a node. Its options are variables that begin with its name, or that its fields name.

    ``state`` is what ``observe`` returns on the node; ``problems(state, options)`` and ``plan(state, options, …)`` are
    pure. A component that is ``own`` concerns one machine alone: it is planned without a look at other hosts. Every
    component is a role, except those that belong to the ``role`` of another.
    """

    name: str
    options: type
    state: type
    observe: Callable[..., Any]
    problems: Optional[Callable[..., List[Problem]]]
    plan: Callable[..., List[Step]]
    own: bool = False
    role: str = ""


#: In the order in which a run applies them.
COMPONENTS = (
    Component(
        "host",
        host_component.HostOptions,
        host_component.HostState,
        host_component.observe,
        host_component.problems,
        host_component.plan,
        own=True,
    ),
    Component(
        "kube_packages",
        kube_packages.KubePackagesOptions,
        kube_packages.KubePackagesState,
        kube_observe.observe,
        kube_plan.problems,
        kube_plan.plan,
        own=True,
    ),
    Component(
        "containerd",
        containerd_options.ContainerdOptions,
        containerd_state.ContainerdState,
        containerd_observe.observe,
        containerd_plan.problems,
        containerd_plan.plan,
        own=True,
    ),
    Component(
        "api_endpoint",
        EndpointOptions,
        api_endpoint.EndpointState,
        api_endpoint.observe,
        None,
        api_endpoint.plan,
    ),
    Component(
        "control_plane",
        init.ControlPlaneOptions,
        kubeadm.KubeadmState,
        kubeadm.observe,
        init.problems,
        init.plan,
    ),
    Component("join", join.JoinOptions, kubeadm.KubeadmState, kubeadm.observe, join.problems, join.plan),
    Component("cni", cni.CniOptions, cni.CniState, cni.observe, cni.problems, cni.plan),
    Component(
        "kubeconfig",
        kubeconfig.KubeconfigOptions,
        kubeconfig.KubeconfigState,
        kubeconfig.observe,
        None,
        kubeconfig.plan,
        role="control_plane",
    ),
)
OPTIONS: Dict[str, Any] = {component.name: component.options for component in COMPONENTS}
for _options_class in OPTIONS.values():
    # The types are computed once here, and not in each process that Ansible starts for a host.
    field_types(_options_class)
#: The components that have their own role.
NAMES = tuple(component.name for component in COMPONENTS if not component.role)


# -- options


def options_from_variables(component: str, variables: Mapping[str, Any]) -> Any:
    """The options of a component as a host's variables set them. Raises :class:`OptionError`."""
    return from_variables(OPTIONS[component], component, variables)


def secrets_in_use(options: Any) -> List[str]:
    """The names of the secret options that are set."""
    return [
        field.name
        for field in dataclasses.fields(options)
        if field.metadata.get("secret") and getattr(options, field.name)
    ]


def observation_arguments(options: Mapping[str, Mapping[str, Any]], peers: Sequence[str] = ()) -> Dict[str, Any]:
    """The arguments of a node's observation: some of its options, and the other hosts that it must connect to."""
    packages = options.get("kube_packages") or {}
    return {
        "packages_url": str(packages.get("url") or ""),
        "kubernetes_version": str(packages.get("version") or ""),
        "image_repository": str((options.get("control_plane") or {}).get("image_repository") or ""),
        "kubeconfig_user": str((options.get("kubeconfig") or {}).get("user") or ""),
        "reach": [*reachability.targets_from_options(options), *peers],
    }


def is_cluster(components: Sequence[str]) -> bool:
    """True if the components create a cluster or join it, so that the rules of a cluster apply."""
    return bool({"api_endpoint", "control_plane", "join", "cni"} & set(components))


def option_findings(name: str, facts: Mapping[str, Any], components: Sequence[str] = NAMES) -> List[Finding]:
    """The problems of a host's options, as far as the components use them.

    ``facts`` are what ``node_info`` returns; of them ``options`` and ``problems`` are enough.
    """
    options = _options(facts)
    return host_findings(
        Host(name, False, options=options, option_problems=_option_problems(facts, options)), components
    )


def host_findings(host: Host, components: Sequence[str]) -> List[Finding]:
    """The wrong options of a host, as far as the components use them."""
    found = [
        Finding(host.name, component, problem)
        for component, problem in host.option_problems
        if component in components or component == COMPONENT
    ]
    if is_cluster(components) or "kube_packages" in components:
        try:
            host.options.control_plane.validate()
        except OptionError as err:
            found.append(Finding(host.name, COMPONENT, _as_problem(err)))
    return found


def _options(facts: Mapping[str, Any]) -> Options:
    given = facts["options"]
    return Options(**{name: from_dict(cls, given.get(name) or {}) for name, cls in OPTIONS.items()})


def _option_problems(facts: Mapping[str, Any], options: Options) -> List[Tuple[str, Problem]]:
    given = facts.get("problems") or []
    roles = {component.name: component.role or component.name for component in COMPONENTS}
    problems = [
        (
            roles.get(one["component"], one["component"]),
            Problem("options", "{0} {1}".format(one["option"], one["problem"]), one["fix"]),
        )
        for one in given
    ]
    broken = {one["component"] for one in given}
    for component in COMPONENTS:
        # Those of control_plane apply to the cluster; its rules validate them.
        if component.name in broken or component.name in ("control_plane", "kubeconfig"):
            continue
        try:
            getattr(options, component.name).validate()
        except OptionError as err:
            problems.append((component.name, _as_problem(err)))
    return problems


def _as_problem(error: OptionError) -> Problem:
    return Problem("options", "{0} {1}".format(error.option, error.problem), error.fix)


# -- hosts


def read_host(name: str, control_plane: bool, facts: Mapping[str, Any]) -> Host:
    """A host out of what ``node_info`` registered for it. Raises :class:`~..facts.BrokenFacts`.

    The options in the facts come from the control machine and are trusted.
    """
    options = _options(facts)
    return Host(
        name=name,
        control_plane=control_plane,
        facts=read_facts(facts),
        options=options,
        option_problems=tuple(_option_problems(facts, options)),
        secret_options=dict(facts.get("secrets") or {}),
    )
