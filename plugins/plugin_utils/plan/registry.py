# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The list of components: whose options there are, and how what was observed of a node becomes its part of the plan."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import options as containerd_options
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import plan as containerd_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import state as containerd_state
from ansible_collections.kubestead.cluster.plugins.module_utils.core import versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, from_variables, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.host import clock, environment, ports
from ansible_collections.kubestead.cluster.plugins.module_utils.host import prepare as host_component
from ansible_collections.kubestead.cluster.plugins.module_utils.host.facts import NodeState
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join import JoinOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube as kube_packages
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import options as cni

from ..hosts import Host
from ..rules import catalogue as checks
from ..rules import reachability
from . import converge as cluster
from .converge import ClusterPlan

# In the order in which a run takes them.
OPTIONS: Dict[str, Any] = {
    "host": host_component.HostOptions,
    "kube_packages": kube_packages.KubePackagesOptions,
    "containerd": containerd_options.ContainerdOptions,
    "control_plane": ControlPlaneOptions,
    "join": JoinOptions,
    "cni": cni.CniOptions,
    "kubeconfig": kubeconfig.KubeconfigOptions,
}
# The components that are roles of their own.
NAMES = tuple(component for component in OPTIONS if component != "kubeconfig")

# The components that concern one machine alone: their own plan needs nothing of other hosts.
_OWN: Dict[str, Tuple[Any, Any]] = {
    "host": (host_component, host_component.HostState),
    "kube_packages": (kube_plan, kube_packages.KubePackagesState),
    "containerd": (containerd_plan, containerd_state.ContainerdState),
}


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
    """What the observation of a node needs to know of the options, and the other hosts it shall connect to."""
    packages = options.get("kube_packages") or {}
    return {
        "packages_url": str(packages.get("url") or ""),
        "kubernetes_version": str(packages.get("version") or ""),
        "image_repository": str((options.get("control_plane") or {}).get("image_repository") or ""),
        "kubeconfig_user": str((options.get("kubeconfig") or {}).get("user") or ""),
        "reach": [*reachability.targets_from_options(options), *peers],
    }


def option_findings(name: str, facts: Mapping[str, Any], wanted: Sequence[str] = NAMES) -> List[Finding]:
    """What is wrong with a host's options by themselves, of the components that are ``wanted``.

    ``facts`` are what ``node_info`` returns; of them ``options`` and ``problems`` are enough.
    """
    options = _options(facts)
    return cluster.own_findings(name, _option_problems(facts, options), options["control_plane"], wanted)


def _options(facts: Mapping[str, Any]) -> Dict[str, Any]:
    return {component: from_dict(cls, facts["options"].get(component) or {}) for component, cls in OPTIONS.items()}


def _option_problems(facts: Mapping[str, Any], options: Mapping[str, Any]) -> List[Tuple[str, Problem]]:
    problems = [
        (one["component"], Problem("options", "{0} {1}".format(one["option"], one["problem"]), one["fix"]))
        for one in facts.get("problems") or []
    ]
    broken = {component for component, _problem in problems}
    for component, value in options.items():
        # Those of control_plane hold for the whole cluster; its rules judge them.
        if component in broken or component in ("control_plane", "kubeconfig"):
            continue
        try:
            value.validate()
        except OptionError as err:
            problems.append((component, Problem("options", "{0} {1}".format(err.option, err.problem), err.fix)))
    return problems


def host(
    name: str,
    control_plane: bool,
    facts: Mapping[str, Any],
    skip: Sequence[str] = (),
    wanted: Sequence[str] = NAMES,
) -> Host:
    """A host as the rules of a cluster see it, out of what ``node_info`` registered for it.

    ``skip`` are names of checks that stop nothing, ``wanted`` the components of the play.
    """
    options = _options(facts)
    problems = _option_problems(facts, options)
    broken = {component for component, _problem in problems}
    steps: List[Step] = []
    states = {component: from_dict(state_class, facts[component]) for component, (_module, state_class) in _OWN.items()}
    install = "kube_packages" in wanted and "kube_packages" not in broken
    coming = kube_plan.planned_packages(states["kube_packages"], options["kube_packages"]) if install else {}
    version = str(versions.parse(coming.get("kubeadm", "")) or "")
    states["containerd"] = containerd_plan.assume_version(
        states["containerd"], version, options["containerd"].image_repository
    )
    # One transaction for all packages takes less time than two.
    both = bool(coming) and "containerd" in wanted and "containerd" not in broken
    together = containerd_plan.planned_packages(states["containerd"], options["containerd"]) if both else []
    hidden = (facts.get("secrets") or {}).get("containerd") or []
    more: Dict[str, Tuple[Any, ...]] = {"kube_packages": (together,), "containerd": (hidden, bool(together))}
    network = from_dict(cni.CniState, facts["cni"])
    for component, (module, _state_class) in _OWN.items():
        if component in broken:
            continue
        state = states[component]
        found = [checks.apply_skips(problem, skip) for problem in module.problems(state, options[component])]
        problems += [(component, problem) for problem in found]
        if any(problem.level == "error" for problem in found):
            continue
        try:
            steps += module.plan(state, options[component], *more.get(component, ()))
        except KubesteadError as err:
            problems.append((component, Problem("component_plan", err.message, "nothing can be planned before that")))
    home = from_dict(kubeconfig.KubeconfigState, facts["kubeconfig"])
    if control_plane and home.source:
        steps += kubeconfig.plan(home, options["kubeconfig"])
    return Host(
        name=name,
        control_plane=control_plane,
        node=from_dict(NodeState, facts["node"]),
        kubeadm=kubeadm.assume_version(from_dict(KubeadmState, facts["kubeadm"]), version),
        options=options["control_plane"],
        join_options=options["join"],
        cni=cni.with_plugins(network) if "kubernetes-cni" in coming else network,
        cni_options=options["cni"],
        steps=steps,
        problems=problems,
        system=states["host"],
        system_options=options["host"],
        containerd=states["containerd"],
        containerd_options=options["containerd"],
        together=together,
        kubeconfig=home,
        kubeconfig_options=options["kubeconfig"],
        clock=from_dict(clock.ClockState, facts.get("clock") or {}),
        ports=from_dict(ports.PortsState, facts.get("ports") or {}),
        environment=from_dict(environment.Environment, facts.get("environment") or {}),
        reach=dict(facts.get("reach") or {}),
        asked=float(facts.get("asked") or 0.0),
        answered=float(facts.get("answered") or 0.0),
    )


def outside(name: str, facts: Mapping[str, Any]) -> Tuple[str, KubeadmState]:
    """A control plane outside the play, out of what it answered."""
    return name, from_dict(KubeadmState, facts["kubeadm"])


def as_result(plan: ClusterPlan, components: Sequence[str], network: Optional[cni.CniOptions] = None) -> Dict[str, Any]:
    """The plan as the result of a task, for roles to read."""
    network = network or cni.CniOptions()
    cluster = {name: value for name, value in plan.cluster.items() if name != "nodes"}
    calico = "cni" in components and network.plugin == "calico"
    # Calico is applied in every run; one host has to take the task.
    applies = plan.token_host if plan.token_host in plan.steps else next(iter(plan.steps), "")
    hosts: Dict[str, Dict[str, Any]] = {}
    for name, steps in plan.steps.items():
        concerned = {step.component for step in steps}
        todo = {component: component in concerned for component in components}
        before = ("host", "kube_packages", "containerd", "control_plane")
        images = plan.images.get(name, [])
        hosts[name] = {
            "todo": todo,
            "steps": [step.public() for step in steps],
            "kubeadm_version": plan.kubeadm.get(name, ""),
            "node_name": plan.node_names.get(name, ""),
            "extra_packages": plan.together.get(name, []),
            "images": images,
            "cluster": cluster,
            "initializes": name == plan.init_host and "control_plane" in components,
            "kubeconfig": plan.kubeconfigs.get(name, {}),
            "joins_as": (
                "control_plane" if name in plan.control_plane_joins else "worker" if name in plan.joins else ""
            ),
            "idle_before_join": not images and not any(todo.get(component) for component in before),
            "idle_after_join": not any(todo.values()) and not (calico and name == applies),
        }
    return {
        "changed": False,
        "roles": list(components),
        "findings": [
            dict(to_dict(finding.problem), host=finding.host, component=finding.component) for finding in plan.findings
        ],
        "hosts": hosts,
        "summary": plan.summary(),
        "init_host": plan.init_host,
        "api_host": plan.token_host,
        "pod_network": dict(
            to_dict(network),
            bridge=network.plugin == "bridge" and any(host["todo"].get("cni") for host in hosts.values()),
        ),
        "joins": plan.joins,
        "control_plane_joins": plan.control_plane_joins,
        "joining_nodes": [{"name": node.name, "addresses": node.addresses} for node in plan.nodes_to_come],
        "cluster": plan.cluster,
    }
