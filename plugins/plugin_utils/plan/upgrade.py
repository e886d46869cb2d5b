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
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import COMPONENTS
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import (
    CGROUP_V1_REFUSED,
    ETCD,
    ETCD_STEPS,
    KUBELET_SKEW,
    at,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Request as VersionRequest
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Version, parse
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import UPGRADE
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan

from ..cluster import Cluster
from ..hosts import Host
from ..rules.catalogue import apply_skips
from ..rules.host_rules import upgrade_problems
from .cluster import decide
from .departure import unlisted
from .membership import is_down, reference_control_plane
from .registry import PACKAGES, host_findings
from .result import HostPlan, Plan, Request

OPERATION = UPGRADE
#: The components whose options an upgrade uses.
PLANNED = (PACKAGES,)
_SERIAL = re.compile(r"([0-9]{1,6})(%?)\Z")


@dataclass(frozen=True)
class Draft:
    """The decisions before steps are planned. ``target`` is None if the version is not known."""

    request: Request
    cluster: Cluster
    api_host: str
    target: Optional[Version] = None
    first: str = ""


def upgrade(request: Request) -> Plan:
    """The plan. If a finding is an error, the plan has no steps."""
    reference = reference_control_plane(request.hosts, request.reference_control_planes)
    findings = [*request.findings]
    for host in request.hosts:
        findings += host_findings(host, PLANNED)
        findings += [Finding(host.name, OPERATION, one) for one in operation.problems(host.kubeadm.operation)]
    findings += _serial_findings(request.serial)
    if reference is None:
        return _repairs(request, findings)
    cluster, _ranges = decide(request.hosts, reference)
    draft = Draft(request, cluster, reference.name)
    if not _errors(findings):
        draft, found = _decided(draft)
        findings += apply_skips(found, request.skip)
    plan = Plan(OPERATION, PLANNED, tuple(findings), {}, cluster, api_host=reference.name)
    if _errors(findings):
        return replace(plan, hosts={host.name: _nothing(host) for host in request.hosts})
    return replace(plan, hosts={host.name: _host_plan(draft, host) for host in _ordered(draft)})


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


def _serial_findings(serial: str) -> List[Finding]:
    try:
        wave_size(serial, 1)
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
        return not host.control_plane, host.kubeadm.unfinished_upgrade is None, host.name != draft.first

    return sorted(draft.request.hosts, key=place)


# -- without an API server


def _repairs(request: Request, findings: List[Finding]) -> Plan:
    """The plan if no API server answers: control planes with an interrupted upgrade are repaired first."""
    interrupted = [host for host in request.hosts if host.control_plane and host.kubeadm.unfinished_upgrade]
    if not interrupted:
        text = "no control plane answers; tried {0}".format(", ".join(request.inventory.control_plane) or "none")
        fix = "find out why the API server is down (journalctl -u kubelet), or run site.yml if there is no cluster"
        findings.append(Finding("all", OPERATION, Problem("api_down", text, fix)))
    hosts = {host.name: replace(_nothing(host), arguments=_ARGUMENTS) for host in request.hosts}
    for host in interrupted:
        begun = host.kubeadm.unfinished_upgrade
        reason = "its upgrade was interrupted{0}".format(" after {0}".format(begun.began) if begun else "")
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
    target = _target(draft, request)
    if target is None:
        return draft, _not_offered(hosts, request)
    draft = replace(draft, target=target, first=_first(draft, target))
    wrong_way = _path(draft, target)
    if wrong_way:
        return draft, wrong_way
    found = _members(draft, target) + _control_planes(draft, target) + _etcd(draft, target)
    for host in hosts:
        exact = replace(host.options.kube_packages, version=str(target))
        found += [Finding(host.name, PACKAGES, one) for one in kube_plan.problems(host.facts.kube_packages, exact)]
        found += [Finding(host.name, OPERATION, one) for one in upgrade_problems(host, target.minor)]
    return draft, found


def _target(draft: Draft, request: VersionRequest) -> Optional[Version]:
    """The version for all nodes: a version that a control plane already has, or else the newest in all repositories.

    The versions of workers are ignored. Otherwise a false answer of a worker would decide the version of other nodes.
    """
    inside = [host for host in draft.request.hosts if host.control_plane]
    controls = [*inside, *draft.request.reference_control_planes]
    begun = [parse(host.kubeadm.unfinished_upgrade.version) for host in controls if host.kubeadm.unfinished_upgrade]
    there = [parse(host.kubeadm.installed_version) for host in controls]
    there += [parse(version) for host in controls for version in _running(host).values()]
    known = request.newest(version for version in begun if version) or request.newest(one for one in there if one)
    if known:
        return known
    offered = []
    for host in inside or draft.request.hosts:
        repository = host.facts.kube_packages.repository
        offers = repository.offers.get("kubeadm", []) if repository else []
        offered.append({version for version in map(parse, offers) if version})
    return request.newest(set.intersection(*offered)) if offered else None


def _running(host: Host) -> Dict[str, str]:
    """The versions of the static pods of a control plane, without etcd."""
    return {name: host.kubeadm.static_pods.get(name, "") for name in COMPONENTS if name != "etcd"}


def _not_offered(hosts: Sequence[Host], request: VersionRequest) -> List[Finding]:
    """The reasons why there is no target: the problems that hosts have with their repositories."""
    found = []
    for host in hosts:
        problems = kube_plan.problems(host.facts.kube_packages, host.options.kube_packages)
        found += [Finding(host.name, PACKAGES, one) for one in problems if one.level == "error"]
    if not found:
        text = "no version {0} is available in the repositories of all hosts".format(request)
        found.append(Finding("all", OPERATION, Problem("upgrade.version", text, "check cluster_packages_url")))
    return found


def _first(draft: Draft, target: Version) -> str:
    """The control plane that upgrades the configuration of the cluster; empty if it is already upgraded."""
    controls = [host for host in draft.request.hosts if host.control_plane]
    begun = [host.name for host in controls if _begun_first(host)]
    if begun:
        return begun[0]
    reference = next((host for host in controls if host.name == draft.api_host), None)
    config = reference.kubeadm.api.config if reference else None
    if config is not None and config.kubernetes_version == str(target):
        return ""
    return controls[0].name if controls else ""


def _begun_first(host: Host) -> bool:
    return bool(host.kubeadm.unfinished_upgrade and host.kubeadm.unfinished_upgrade.first)


# -- findings


def _path(draft: Draft, target: Version) -> List[Finding]:
    """The finding about a target that is older than the cluster, or more than one minor version newer."""
    runs = parse(draft.cluster.version)
    if runs is None:
        return []
    if target < runs:
        text = "cluster_kubernetes_version is {0}, but the cluster runs {1}".format(target, runs)
        fix = "set it to {0} or newer; a cluster can't be downgraded".format(runs.series)
        return [Finding("all", OPERATION, Problem("upgrade.version", text, fix))]
    if target.major != runs.major or target.minor > runs.minor + 1:
        steps = ["{0}.{1}".format(runs.major, minor) for minor in range(runs.minor + 1, target.minor + 1)]
        text = "the cluster runs {0} and can't skip a minor version on its way to {1}".format(runs, target)
        fix = "upgrade to {0}, one after the other; set cluster_kubernetes_version to {1} first".format(
            ", ".join(steps), steps[0] if steps else runs.series
        )
        return [Finding("all", OPERATION, Problem("upgrade.version", text, fix))]
    return []


def _members(draft: Draft, target: Version) -> List[Finding]:
    """Findings about hosts that are not complete nodes, and about nodes that the play does not upgrade."""
    found = []
    names = set()
    for host in draft.request.hosts:
        state = host.kubeadm
        names.add(state.node_name)
        other = state.operation is not None and not state.unfinished_upgrade
        if not host.member or other or (state.phase != "done" and not state.unfinished_upgrade):
            text = "this host is not a complete node of the cluster: {0}".format(state.reason)
            fix = "run site.yml first, or leave the host out with --limit"
            found.append(Finding(host.name, OPERATION, Problem("upgrade.node", text, fix)))
            continue
        node = draft.cluster.node(state.node_name)
        if node is None:
            text = "the cluster does not have a Node {0}".format(state.node_name)
            fix = "run 'systemctl restart kubelet' on this host to register it again"
            found.append(Finding(host.name, OPERATION, Problem("node_removed", text, fix)))
        else:
            # Otherwise a false name would drain or uncordon the Node of another host.
            found += unlisted(host, draft.request, node) + _newer(host, target)
    for node in draft.cluster.nodes:
        version = parse(node.kubelet_version)
        if node.name in names or version is None:
            continue
        if node.control_plane and version != target:
            text = "the control plane {0} runs {1} and is not among the hosts of this play".format(node.name, version)
            fix = "upgrade control planes before workers: run upgrade.yml without --limit, or with this host in it"
            found.append(Finding("all", OPERATION, Problem("upgrade.control_plane", text, fix)))
        elif version.minor < target.minor - at(KUBELET_SKEW, target.minor):
            text = "node {0} runs kubelet {1}, which is too old for Kubernetes {2}".format(node.name, version, target)
            fix = "upgrade this node first; it is not among the hosts of this play"
            found.append(Finding("all", OPERATION, Problem("version_skew", text, fix)))
        elif version != target:
            text = "node {0} is not among the hosts of this play and stays at {1}".format(node.name, version)
            fix = "add it to the inventory, or run again without --limit"
            found.append(Finding("all", OPERATION, Problem("upgrade.left_out", text, fix, "warning")))
    return found


def _newer(host: Host, target: Version) -> List[Finding]:
    """The finding about a worker that reports a newer version than the target."""
    version = parse(str(host.facts.kube_packages.version or host.kubeadm.installed_version))
    if host.control_plane or version is None or version <= target:
        return []
    text = "has Kubernetes {0}, which is newer than {1}, the version of the upgrade".format(version, target)
    fix = "set cluster_kubernetes_version to {0}, or remove the host and add it again".format(version)
    return [Finding(host.name, OPERATION, Problem("upgrade.version", text, fix))]


def _control_planes(draft: Draft, target: Version) -> List[Finding]:
    """Findings about control planes that do not answer. kubeadm upgrades a cluster only if all of them are ready."""
    found = []
    for host in draft.request.hosts:
        if host.control_plane and is_down(host, True) and not host.kubeadm.unfinished_upgrade:
            reason = host.kubeadm.local_api.reason or host.kubeadm.api.reason or host.kubeadm.reason
            text = "the API server of this control plane does not answer: {0}".format(reason)
            fix = "repair or remove it first; kubeadm upgrades a cluster only if all control planes are ready"
            found.append(Finding(host.name, OPERATION, Problem("upgrade.control_plane", text, fix)))
    return found


def _etcd(draft: Draft, target: Version) -> List[Finding]:
    """Findings about etcd members that must run a newer patch release before their minor version changes."""
    coming = tuple(int(part) for part in str(at(ETCD, target.minor)).split("."))
    found = []
    if target.minor < ETCD[0].minor:
        return []
    for host in draft.request.hosts:
        runs = tuple(int(part) for part in re.findall(r"\d{1,9}", host.kubeadm.static_pods.get("etcd", ""))[:3])
        if len(runs) < 3 or runs[:2] >= coming[:2]:
            continue
        needed = at(ETCD_STEPS, coming[1]) if coming[1] >= ETCD_STEPS[0].minor else (0, 0, 0)
        if runs < needed:
            text = "etcd {0} can't be upgraded to {1}: each member must first run {2} or newer".format(
                _dotted(runs), _dotted(coming), _dotted(needed)
            )
            fix = "first upgrade to the newest patch release of the current minor version, which has a newer etcd"
            found.append(Finding(host.name, OPERATION, Problem("upgrade.etcd", text, fix)))
    return found


def _dotted(version: Sequence[int]) -> str:
    return ".".join(str(part) for part in version)


# -- steps

_ARGUMENTS: Mapping[str, Any] = {
    "repair": False,
    "interrupted": False,
    "returning": False,
    "version": "",
    "first": False,
    "cgroup_v1": False,
    "drain": False,
    "upgrade": False,
    "due": False,
    "wave_size": 1,
}


def _host_plan(draft: Draft, host: Host) -> HostPlan:
    """The plan for one node."""
    target, node = draft.target, draft.cluster.node(host.kubeadm.node_name)
    reason = _reason(draft, host)
    cordoned = node.cordoned_by if node else ""
    plan = _nothing(host)
    steps = []
    # If the kubelet does not run, its pods can't be evicted. They run again after the upgrade.
    drained = bool(reason) and (bool(node and node.ready) or host.kubeadm.unfinished_upgrade is None)
    if drained:
        steps.append(
            Step(OPERATION, "drain", "node {0}".format(plan.node_name), "its kubelet is upgraded", disruptive=True)
        )
    if reason:
        what = "cluster and control plane" if host.name == draft.first else "control plane"
        what = what if host.control_plane else "worker"
        steps.append(Step(OPERATION, "upgrade", what, reason, disruptive=True))
    foreign = node is not None and node.unschedulable and not cordoned
    if (reason or cordoned) and not foreign:
        why = "it is upgraded" if reason else "cordoned by {0}".format(cordoned)
        steps.append(Step(OPERATION, "uncordon", "node {0}".format(plan.node_name), why))
    workers = [one for one in draft.request.hosts if not one.control_plane and _reason(draft, one)]
    arguments = {
        **_ARGUMENTS,
        "interrupted": bool(host.kubeadm.unfinished_upgrade),
        "returning": bool(host.kubeadm.unfinished_upgrade or cordoned),
        "version": str(target),
        "first": host.name == draft.first,
        "cgroup_v1": _cgroup_v1(draft),
        "drain": drained,
        "upgrade": bool(reason),
        "due": bool(steps),
        "wave_size": 1 if host.control_plane else wave_size(draft.request.serial, len(workers)),
    }
    return replace(plan, steps=steps, arguments=arguments)


def _cgroup_v1(draft: Draft) -> bool:
    """Whether the kubelets need ``failCgroupV1: false``. :func:`upgrade_problems` checks that the user permits it."""
    refused = draft.target is not None and at(CGROUP_V1_REFUSED, draft.target.minor)
    return bool(refused) and any(host.node.cgroup_version == 1 for host in draft.request.hosts)


def _reason(draft: Draft, host: Host) -> str:
    """The reason why a host must be upgraded; empty if it is already upgraded."""
    state, target = host.kubeadm, str(draft.target)
    begun = state.unfinished_upgrade
    if begun:
        return "the upgrade to {0} started at {1} was interrupted".format(begun.version, begun.began)
    node = draft.cluster.node(state.node_name)
    versions = {"kubelet": str(host.facts.kube_packages.version or ""), "kubeadm": state.installed_version}
    versions["the running kubelet"] = node.kubelet_version if node else ""
    if host.control_plane:
        versions = {**_running(host), **versions}
    if host.name == draft.first and state.api.config:
        versions = {"the cluster": state.api.config.kubernetes_version, **versions}
    for what, version in versions.items():
        if version != target:
            return "{0} {1} -> {2}".format(what, version or "unknown", target)
    return ""
