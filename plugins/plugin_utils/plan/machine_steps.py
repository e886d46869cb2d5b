# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the steps of the components that concern a single machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import plan as containerd_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.core import versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import options as cni

from ..facts import BrokenFacts
from ..hosts import Host
from ..rules.catalogue import apply_skip
from .registry import COMPONENTS, Component


@dataclass(frozen=True)
class Packages:
    """Packages that a run installs on a host: package -> version, and others in the same transaction."""

    planned: Dict[str, str] = field(default_factory=dict)
    extra: List[str] = field(default_factory=list)


def packages(host: Host, components: Sequence[str]) -> Packages:
    """The packages that a run with these components installs on the host."""
    usable = [name for name in components if name not in _broken(host)]
    if "kube_packages" not in usable:
        return Packages()
    try:
        planned = kube_plan.planned_packages(host.facts.kube_packages, host.options.kube_packages)
        # One transaction for all packages takes less time than two.
        together = bool(planned) and "containerd" in usable
        runtime = containerd_plan.planned_packages(host.facts.containerd, host.options.containerd) if together else []
        return Packages(planned, runtime)
    except Exception:
        # The plan of the component itself says so.
        return Packages()


def with_packages(host: Host, coming: Packages) -> Host:
    """The host after its packages are installed. This is before any other change for the cluster."""
    version = str(versions.parse(coming.planned.get("kubeadm", "")) or "")
    repository = host.options.containerd.image_repository
    facts = replace(
        host.facts,
        kubeadm=kubeadm.assume_version(host.kubeadm, version),
        containerd=containerd_plan.assume_version(host.facts.containerd, version, repository),
    )
    if "kubernetes-cni" in coming.planned:
        facts = replace(facts, cni=cni.with_plugins(facts.cni))
    return replace(host, facts=facts)


def own_steps(
    host: Host, coming: Packages, components: Sequence[str], skip: Sequence[str] = ()
) -> Tuple[List[Step], List[Finding]]:
    """The steps and the findings of the components that concern only this machine.

    ``skip`` are names of checks whose findings do not stop a run. A component with an error does not have steps.
    """
    steps: List[Step] = []
    findings: List[Finding] = []
    for component in COMPONENTS:
        if not component.own or component.name not in components or component.name in _broken(host):
            continue
        found: List[Problem] = []
        try:
            found = [apply_skip(problem, skip) for problem in _problems(component, host)]
            if not any(problem.level == "error" for problem in found):
                steps += _plan(component, host, coming)
        except KubesteadError as err:
            found.append(Problem("component_plan", err.message, "remove the cause, then run again"))
        except Exception as err:
            # A host may answer anything. Its answer must not end the plan of the others.
            cause = BrokenFacts("{0} can't be planned from them ({1})".format(component.name, type(err).__name__))
            found.append(cause.finding(host.name).problem)
        findings += [Finding(host.name, component.name, problem) for problem in found]
    return steps, findings


def _broken(host: Host) -> List[str]:
    """The components whose options can't be used."""
    return [component for component, _problem in host.option_problems]


def _problems(component: Component, host: Host) -> List[Problem]:
    state, options = getattr(host.facts, component.name), getattr(host.options, component.name)
    found = component.problems(state, options) if component.problems else []
    if component.name == "containerd" and host.member:
        found += _replaced_runtime(host)
    return found


def _replaced_runtime(host: Host) -> List[Problem]:
    """The finding about another runtime package. site.yml never replaces it on a node, which may run pods."""
    state, options = host.facts.containerd, host.options.containerd
    if not containerd_plan.replaces_package(state, options):
        return []
    installed = ", ".join(sorted(state.packages))
    text = "the node runs {0} and is a member of a cluster, but containerd_package is {1}".format(
        installed, options.package
    )
    fix = "run upgrade.yml, which replaces it on each drained node, or set containerd_package to {0}".format(installed)
    return [Problem("containerd_member", text, fix)]


def _plan(component: Component, host: Host, coming: Packages) -> List[Step]:
    more: Dict[str, Dict[str, Any]] = {
        "kube_packages": {"extra_packages": coming.extra},
        "containerd": {
            "secret_options": host.secret_options.get("containerd") or (),
            "package_planned_elsewhere": bool(coming.extra),
        },
    }
    state, options = getattr(host.facts, component.name), getattr(host.options, component.name)
    return component.plan(state, options, **more.get(component.name, {}))
