# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner of ``upgrade.yml``: brings a cluster to the version in its variables, control planes first.

Everything here is pure. The plan has only a few steps for each node; the module ``kubeadm_upgrade`` observes and plans
its node in detail.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import CGROUP_V1_REFUSED, at
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Version
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.drain import is_own
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.mirror_pods import CONTROLLERS
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import UPGRADE
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.upgrade_reason import reason_to_upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan

from ..cluster import Cluster
from ..hosts import Host
from ..rules.catalogue import apply_skips
from . import admin_copies, calico, cordons, endpoint, unobserved, upgrade_target
from . import upgrade_findings as rules
from .calico import CalicoChange
from .cluster import decide
from .membership import dead_outside, is_down, reference_control_plane
from .registry import PACKAGES, host_findings
from .result import HostPlan, Plan, Request, Rollout
from .runtime import Replacement, replacement, with_runtime

OPERATION = UPGRADE
#: The components whose options an upgrade uses.
PLANNED = (PACKAGES, "containerd", "cni")
_DISPENSABLE = "once all control planes have the new version"
_PAUSE = re.compile(r"[0-9]{1,6}\Z")
_SERIAL = re.compile(r"([0-9]{1,6})(%?)\Z")


@dataclass(frozen=True)
class Draft:
    """The decisions before steps are planned. ``target`` is None if the version is not known.

    ``runtimes`` are the new containerds of the hosts that get one. ``calico`` is None if Calico stays. ``left_down``
    are control planes that stay as they are, although their API server does not answer.
    """

    request: Request
    cluster: Cluster
    api_host: str
    target: Optional[Version] = None
    first: str = ""
    runtimes: Mapping[str, Replacement] = field(default_factory=dict)
    calico: Optional[CalicoChange] = None
    left_down: Sequence[Host] = ()


def upgrade(request: Request) -> Plan:
    """The plan. If a finding is an error, the plan has no steps."""
    reference = reference_control_plane(request.hosts, request.reference_control_planes)
    findings = [*request.findings, *unobserved.stops(request, OPERATION, _DISPENSABLE)]
    for host in request.hosts:
        findings += host_findings(host, PLANNED)
        findings += [Finding(host.name, OPERATION, one) for one in operation.problems(host.kubeadm.operation)]
    findings += _option_findings(request)
    if reference is None:
        findings += unobserved.silent(request.unobserved_outside, OPERATION)
        return _repairs(request, findings)
    cluster, _ranges = decide(request.hosts, reference)
    draft = Draft(request, cluster, reference.name)
    if not _errors(findings):
        draft, found = _decided(draft)
        findings += apply_skips(found, request.skip)
    plan = Plan(OPERATION, PLANNED, tuple(findings), {}, cluster, api_host=reference.name)
    if _errors(findings):
        return replace(plan, hosts={host.name: _nothing(host) for host in request.hosts})
    return _rolled_out(draft, plan)


def wave_size(serial: str, hosts: int) -> int:
    """The number of ``hosts`` that are upgraded at the same time, from a number or a percentage, which is rounded up.

    Raises :class:`OptionError`.
    """
    match = _SERIAL.match(str(serial).strip())
    size = int(match.group(1)) if match else 0
    if not match or size < 1 or (match.group(2) and size > 100):
        raise OptionError(
            "upgrade_serial", "is {0!r}, not a number of nodes or a percentage".format(serial), 'use 1 or "20%"'
        )
    return max(1, math.ceil(hosts * size / 100)) if match.group(2) else size


def pause_length(pause: str) -> int:
    """The pause between nodes in seconds. Raises :class:`OptionError`."""
    if not _PAUSE.match(str(pause).strip()):
        raise OptionError("upgrade_pause", "is {0!r}, not a number of seconds".format(pause), "use 600 for ten minutes")
    return int(pause)


def _option_findings(request: Request) -> List[Finding]:
    try:
        wave_size(request.serial, 1)
        pause_length(request.pause)
    except OptionError as err:
        return [Finding("all", OPERATION, Problem("options", "{0} {1}".format(err.option, err.problem), err.fix))]
    return []


def _errors(findings: Sequence[Finding]) -> bool:
    return any(finding.problem.level == "error" for finding in findings)


def _nothing(host: Host) -> HostPlan:
    return HostPlan(member=host.member, node_name=host.node_name, kubeadm_version=host.kubeadm.installed_version)


def _ordered(draft: Draft) -> List[Host]:
    """The hosts in the order of their upgrades: control planes, then interrupted upgrades, then ``draft.first``."""

    def place(host: Host) -> Tuple[bool, bool, bool]:
        return not host.control_plane, not rules.is_interrupted(host), host.name != draft.first

    return sorted(draft.request.hosts, key=place)


# -- without an API server


def _repairs(request: Request, findings: List[Finding]) -> Plan:
    """The plan if no API server answers: control planes with an interrupted upgrade are repaired first."""
    controls = [host for host in request.hosts if host.control_plane]
    interrupted = [host for host in controls if rules.is_interrupted(host)]
    if not interrupted and not unobserved.explains(request, request.hosts):
        findings.append(rules.no_control_plane(request))
    hosts = {host.name: replace(_nothing(host), arguments=_ARGUMENTS) for host in request.hosts}
    for host in interrupted:
        begun = host.kubeadm.unfinished_upgrade
        reason = "the replacement of its containerd was interrupted"
        if begun:
            reason = "its upgrade was interrupted after {0}".format(begun.began)
        step = Step(OPERATION, "repair", "the control plane", reason)
        hosts[host.name] = replace(hosts[host.name], steps=[step], arguments={**_ARGUMENTS, "repair": True})
    return Plan(OPERATION, PLANNED, tuple(findings), hosts, Cluster())


# -- the target


def _decided(draft: Draft) -> Tuple[Draft, List[Finding]]:
    """The draft with target and first control plane, and the findings about the cluster and its hosts."""
    hosts = draft.request.hosts
    wanted = [host.options.kube_packages for host in hosts]
    requests = {str(options.request) for options in wanted}
    if len(requests) > 1:
        text = "cluster_kubernetes_version differs between hosts: {0}".format(", ".join(sorted(requests)))
        return draft, [Finding("all", OPERATION, Problem("upgrade.version", text, "set one version for all hosts"))]
    request = wanted[0].request
    target, about = upgrade_target.target(draft.request, draft.cluster, request)
    if target is None:
        return draft, about
    draft = replace(draft, target=target, first=_first(draft, target))
    cluster = draft.cluster
    wrong_way = rules.path_findings(cluster, target) or rules.begun_findings(hosts, target)
    wrong_way = wrong_way or rules.early_findings(hosts, cluster, target, draft.first)
    if wrong_way:
        return draft, wrong_way
    runtimes, runtime_findings = _runtimes(draft, target)
    draft = replace(draft, runtimes=runtimes)
    draft = replace(draft, left_down=_left_down(draft))
    found = about + rules.member_findings(draft.request, cluster, target, bool(draft.first), draft.left_down)
    found += rules.control_plane_findings(hosts, draft.left_down)
    found += rules.dead_findings(hosts, cluster, bool(draft.first))
    found += rules.etcd_findings(hosts, target) + rules.removed_api_findings(hosts, cluster, target)
    own = [node for node in cluster.nodes if node.name in [host.kubeadm.node_name for host in hosts]]
    found += cordons.staying(OPERATION, cordons.of_others(own, cordons.UPGRADE))
    # The control plane that drains nodes may be outside the play.
    outside = [host for host in draft.request.reference_control_planes if host.name == draft.api_host]
    # The claim of a worker is about itself alone.
    begun = any(host.kubeadm.unfinished_upgrade for host in hosts if host.control_plane)
    for host in [*hosts, *outside]:
        found += endpoint.lost(host, cluster, OPERATION, begun or host.kubeadm.unfinished_upgrade is not None)
    for host in hosts:
        coming = runtimes.get(host.name)
        found += runtime_findings[host.name]
        exact = replace(host.options.kube_packages, version=str(target))
        found += [Finding(host.name, PACKAGES, one) for one in kube_plan.problems(host.facts.kube_packages, exact)]
        found += admin_copies.unusable_findings(host, draft.request)
        after = with_runtime(host, coming.package, coming.version) if coming else host
        found += rules.machine_findings(after, target)
    api_host = next((host for host in hosts if host.name == draft.api_host), None)
    ending = [host.kubeadm.node_name for host in hosts]
    network, problems = calico.change(api_host, draft.request.network_images, cluster, target, ending)
    found += [Finding("all", OPERATION, problem) for problem in problems]
    return replace(draft, calico=network), found


def _runtimes(draft: Draft, target: Version) -> Tuple[Dict[str, Replacement], Dict[str, List[Finding]]]:
    """The new containerds of the hosts that get one, and the findings about each host."""
    runtimes, found = {}, {}
    for host in draft.request.hosts:
        node = draft.cluster.node(host.kubeadm.node_name)
        coming, problems = replacement(host, target.minor, node.kubelet_version if node else "")
        found[host.name] = [Finding(host.name, "containerd", problem) for problem in problems]
        if coming:
            runtimes[host.name] = coming
    return runtimes, found


def _left_down(draft: Draft) -> List[Host]:
    """The control planes without an API server that answers, if workers can be upgraded all the same.

    No control plane may be changed, because kubeadm needs all of them, and etcd might lose its majority. Workers must
    reach the API without them, so their Nodes must be ready. The control plane that answered must be healthy.
    """
    controls = [host for host in draft.request.hosts if host.control_plane]
    workers = [host for host in draft.request.hosts if not host.control_plane]
    if draft.first or any(_is_changed(draft, host) for host in controls):
        return []
    known = [*controls, *draft.request.reference_control_planes]
    reference = next(host for host in known if host.name == draft.api_host)
    if reference.kubeadm.local_api.failed or reference.kubeadm.etcd.failed:
        return []
    for host in workers:
        node = draft.cluster.node(host.kubeadm.node_name)
        if _is_changed(draft, host) and not (node and node.ready) and not rules.is_interrupted(host):
            return []
    return [host for host in controls if is_down(host, True) and host.kubeadm.local_api.failed]


def _is_changed(draft: Draft, host: Host) -> bool:
    return bool(_reason(draft, host)) or host.name in draft.runtimes


def _first(draft: Draft, target: Version) -> str:
    """The control plane that upgrades the configuration of the cluster; empty if it is already upgraded."""
    controls = [host for host in draft.request.hosts if host.control_plane]
    begun = [host.name for host in controls if _begun_first(host)]
    if begun:
        return begun[0]
    known = [*controls, *draft.request.reference_control_planes]
    reference = next((host for host in known if host.name == draft.api_host), None)
    config = reference.kubeadm.api.config if reference else None
    if config is not None and config.kubernetes_version == str(target):
        return ""
    return controls[0].name if controls else ""


def _begun_first(host: Host) -> bool:
    return bool(host.kubeadm.unfinished_upgrade and host.kubeadm.unfinished_upgrade.first)


# -- the order


def _rolled_out(draft: Draft, plan: Plan) -> Plan:
    """The plan with the steps of all hosts, and the order of the hosts to change."""
    plans = {host.name: _host_plan(draft, host) for host in _ordered(draft)}
    lifted = _lifted(draft, plans)
    for name in lifted:
        reason = "other nodes are drained before it is changed"
        step = Step(OPERATION, "uncordon", "node {0}".format(plans[name].node_name), reason)
        plans[name] = replace(plans[name], steps=[step, *plans[name].steps])
    inside = {host.name: host for host in draft.request.hosts}
    controls = [name for name, host in inside.items() if host.control_plane]
    due = [name for name, one in plans.items() if one.steps]
    workers = [name for name in due if name not in controls]
    # Workers that are down lose nothing. They are repaired first, so that pods can move to them.
    down = [name for name in workers if plans[name].arguments["upgrade"] and not plans[name].arguments["drain"]]
    others = [name for name in workers if name not in down]
    size = wave_size(draft.request.serial, sum(plans[name].arguments["upgrade"] for name in others))
    control_planes = [name for name in due if name in controls]
    groups = [[name] for name in control_planes] + [down] * bool(down)
    groups += [others[at : at + size] for at in range(0, len(others), size)]
    pause = pause_length(draft.request.pause)
    for name in _paused(groups, plans):
        plans[name] = replace(plans[name], arguments={**plans[name].arguments, "pause": pause})
    # The hosts stay in the order in which they are changed.
    ordered = [*control_planes, *down, *others]
    lost = [node.name for node in dead_outside(draft.request.hosts, draft.cluster)]
    lost += [host.kubeadm.node_name for host in draft.left_down]
    broken = [name for name in control_planes if rules.is_interrupted(inside[name])]
    for name in ordered:
        later = [other for other in broken if ordered.index(other) > ordered.index(name)]
        gates = {
            "dead_before": [*lost, *(plans[one].node_name for one in broken if one == name or one in later)],
            "dead_after": [*lost, *(plans[one].node_name for one in later)],
        }
        plans[name] = replace(plans[name], arguments={**plans[name].arguments, **gates})
    plans = {name: plans[name] for name in [*ordered, *(name for name in plans if name not in ordered)]}

    def nodes(argument: str) -> List[str]:
        return [one.node_name for one in plans.values() if one.arguments[argument]]

    rollout = Rollout(
        control_planes=control_planes,
        workers=[*down, *others],
        batches=([len(down)] if down else []) + ([size] if others or not down else []),
        drained_nodes=nodes("drain"),
        upgraded_nodes=nodes("upgrade"),
        dead_nodes=[*lost, *(plans[name].node_name for name in broken)],
        dead_at_end=lost,
        returning_nodes=nodes("returning"),
        lifted_nodes=[plans[name].node_name for name in lifted],
        calico_before=[draft.api_host] * bool(draft.calico and draft.calico.when == calico.BEFORE),
        calico_after=[draft.api_host] * bool(draft.calico and draft.calico.when == calico.AFTER),
    )
    findings = [
        Finding(host.name, OPERATION, problem)
        for host in draft.request.hosts
        for problem in admin_copies.not_refreshed(host, draft.request, draft.cluster, bool(_reason(draft, host)))
    ]
    plan = replace(plan, hosts=plans, rollout=rollout, findings=(*plan.findings, *findings))
    if draft.calico is None:
        return plan
    return plan.with_steps(draft.api_host, [Step("cni", "apply", "Calico", draft.calico.reason)])


def _lifted(draft: Draft, plans: Mapping[str, HostPlan]) -> List[str]:
    """The hosts whose cordon from an interrupted run is lifted before the first node is changed.

    Evicted pods of one cordoned node may wait for another one. A single node continues where it was interrupted.
    """
    returning = [name for name, one in plans.items() if one.arguments["returning"]]
    if len(returning) < 2:
        return []
    nodes = {name: draft.cluster.node(plans[name].node_name) for name in returning}
    return [
        name
        for name, node in nodes.items()
        if node and node.ready and _own_cordon(node) and plans[name].arguments["drain"]
    ]


def _paused(groups: Sequence[Sequence[str]], plans: Mapping[str, HostPlan]) -> List[str]:
    """The hosts after which the run pauses: those of all groups except the last one that is upgraded."""
    upgraded = [group for group in groups if any(plans[name].arguments["upgrade"] for name in group)]
    return [name for group in upgraded[:-1] for name in group]


# -- steps

_ARGUMENTS: Mapping[str, Any] = {
    "repair": False,
    "dead_before": [],
    "dead_after": [],
    "returning": False,
    "version": "",
    "first": False,
    "cgroup_v1": False,
    "drain": False,
    "upgrade": False,
    "runtime": {},
    "uncordon": False,
    "static_pods": {},
    "due": False,
    "pause": 0,
}


def _host_plan(draft: Draft, host: Host) -> HostPlan:
    """The plan for one node."""
    target, node = draft.target, draft.cluster.node(host.kubeadm.node_name)
    reason, runtime = _reason(draft, host), draft.runtimes.get(host.name)
    changed = bool(reason or runtime)
    cordoned = _own_cordon(node)
    plan = _nothing(host)
    steps = []
    # If the kubelet does not run, its pods can't be evicted. They run again after the upgrade.
    interrupted = rules.is_interrupted(host)
    drained = changed and (bool(node and node.ready) or not interrupted)
    if drained:
        why = "its kubelet is upgraded" if reason else "its containerd is replaced"
        steps.append(Step(OPERATION, "drain", "node {0}".format(plan.node_name), why, disruptive=True))
    if runtime:
        steps.append(Step(OPERATION, "upgrade", "containerd", runtime.reason, disruptive=True))
    if reason:
        what = "cluster and control plane" if host.name == draft.first else "control plane"
        what = what if host.control_plane else "worker"
        steps.append(Step(OPERATION, "upgrade", what, reason, disruptive=True))
    copies, copied = admin_copies.refreshed(host, draft.request, draft.cluster, bool(reason))
    steps += copies
    foreign = node is not None and node.unschedulable and not cordoned
    if (changed or cordoned) and not foreign:
        why = "it is upgraded" if changed else "cordoned by {0}".format(cordoned)
        steps.append(Step(OPERATION, "uncordon", "node {0}".format(plan.node_name), why))
    arguments = {
        **_ARGUMENTS,
        "returning": bool(interrupted or cordoned),
        "version": str(target),
        "first": host.name == draft.first,
        "cgroup_v1": _cgroup_v1(draft),
        "drain": drained,
        "upgrade": changed,
        "runtime": runtime.arguments if runtime else {},
        "uncordon": bool(changed or cordoned),
        "static_pods": _static_pods(host, str(target)) if changed else {},
        "due": bool(steps),
    }
    return replace(plan, steps=steps, arguments=arguments, kubeconfig=copied)


def _static_pods(host: Host, target: str) -> Dict[str, Dict[str, str]]:
    """The controller manager and the scheduler that the gate after a control plane waits for, by the Node's name."""
    versions = {name: target for name in CONTROLLERS if name in host.kubeadm.static_pods}
    return {host.kubeadm.node_name: versions} if versions else {}


def _own_cordon(node: Optional[Node]) -> str:
    """The owner of the Node's cordon if an upgrade set it; a run of ``remove.yml`` may be removing the others."""
    return node.cordoned_by if node and is_own(node.cordoned_by, cordons.UPGRADE) else ""


def _cgroup_v1(draft: Draft) -> bool:
    """Whether the kubelets need ``failCgroupV1: false``. :func:`machine_findings` checks that the user permits it.

    Workers that are not in the play may need it too, so the variable of the control planes is enough.
    """
    if draft.target is None or not at(CGROUP_V1_REFUSED, draft.target.minor):
        return False
    return any(
        host.node.cgroup_version == 1
        or (host.control_plane and host.options.control_plane.kubelet_config.get("failCgroupV1") is False)
        for host in draft.request.hosts
    )


def _reason(draft: Draft, host: Host) -> str:
    """The reason why a host must be upgraded; empty if it is already upgraded."""
    node = draft.cluster.node(host.kubeadm.node_name)
    installed, running = str(host.facts.kube_packages.version or ""), node.kubelet_version if node else ""
    return reason_to_upgrade(host.kubeadm, installed, running, str(draft.target), host.name == draft.first)
