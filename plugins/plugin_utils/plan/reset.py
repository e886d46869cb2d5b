# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner of ``reset.yml``: resets hosts, and removes them from a cluster that continues to run.

If all hosts of the inventory are reset, the cluster ends. Then members and Nodes are not removed individually, and
copies of the admin kubeconfig are not changed.
"""

from __future__ import annotations

from typing import Dict, List, Set, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import KINDS

from ..hosts import Host
from . import admin_copies, departure
from .departure import COMPONENT, Remainder
from .result import HostPlan, Leaving, Plan, Request

OPERATION = "reset"


def reset(request: Request) -> Plan:
    """The plan: a reset of each host, and the removal of its etcd member and Node if the cluster continues to run.

    Before that, the copies of the admin kubeconfig get the server of a control plane that stays. These control planes
    are outside the play, and have a plan only if they write a copy.
    """
    hosts = [host for host in request.hosts if host.name in request.targets]
    left = departure.remainder(request)
    every = {*request.inventory.control_plane, *request.inventory.workers}
    complete = every <= set(request.targets)
    findings = [*request.findings, *departure.unknown_markers(hosts, KINDS)]
    findings += _outside(request, every) + _silent(request, every)
    leaving: List[Leaving] = []
    if complete:
        findings += _orphans(left, every)
    elif left.cluster.exists or _destroys(hosts):
        findings += _partial(left, hosts)
        leaving = [_leaving(host, request, left) for host in hosts] if left.reference else []
        leaving = [one for one in leaving if one.node or one.etcd]
        findings += departure.majority_findings(left, leaving)
        findings += departure.endpoint_findings(request, left, [one.name for one in leaving])
        findings += _foreign(left, hosts) + departure.unlisted_findings(hosts, request, left.cluster)
    # Members that do not answer are removed first, because they raise the number of members for a majority.
    leaving.sort(key=lambda one: (not one.etcd, departure.member_answers(one, left)))
    steps = {host.name: _steps(host, leaving, complete and left.cluster.exists) for host in hosts}
    writers, problems = _copies(request, left, leaving, hosts, findings)
    findings += problems
    return Plan(
        OPERATION,
        (OPERATION,),
        tuple(findings),
        {**writers, **{host.name: HostPlan(steps=steps[host.name], node_name=host.node_name) for host in hosts}},
        left.cluster,
        api_host=left.api_host if leaving else "",
        leaving=tuple(leaving),
        resets=tuple(host.name for host in hosts),
    )


def _outside(request: Request, every: Set[str]) -> List[Finding]:
    """Errors about targets that the inventory does not list as nodes, for example of a play for all hosts."""
    text = "is in neither the group control_plane nor the group workers, so it is not reset"
    fix = "use hosts: control_plane:workers in the play, or add the host to one of the groups"
    return [
        Finding(name, COMPONENT, Problem("groups", text, fix))
        for name in dict.fromkeys(request.targets)
        if name not in every
    ]


def _silent(request: Request, every: Set[str]) -> List[Finding]:
    """Warnings about targets that were not observed, and what stays on them."""
    known = {host.name for host in request.hosts} | {finding.host for finding in request.findings}
    found = []
    for name in dict.fromkeys(request.targets):
        if name in known or name not in every:
            continue
        control = name in request.inventory.control_plane
        what = "etcd data, its API server and its certificates stay" if control else "kubelet and its pods stay"
        text = "is not reset, so its {0}: it {1}".format(what, request.unobserved.get(name, "does not answer"))
        fix = "run reset.yml with --limit {0} once it answers, or erase the machine".format(name)
        found.append(Finding(name, COMPONENT, Problem("unreachable", text, fix, "warning")))
    return found


def _destroys(hosts: List[Host]) -> bool:
    return any(host.kubeadm.role == "control_plane" and host.member for host in hosts)


def _partial(left: Remainder, hosts: List[Host]) -> List[Finding]:
    """The problems of a reset of only some hosts of a cluster."""
    if left.reference:
        return []
    if _destroys(hosts):
        fix = "to end the cluster, run without --limit; to keep it, make another control plane healthy or add one first"
        return [departure.last_control_plane(left, fix)]
    text = "no other control plane answers, so the Nodes of these hosts stay in the cluster"
    fix = "delete them with kubectl delete node once a control plane answers"
    return [Finding("all", COMPONENT, Problem("api_down", text, fix, "warning"))]


def _foreign(left: Remainder, hosts: List[Host]) -> List[Finding]:
    """Errors about control planes of another cluster, which would keep their etcd members and Nodes."""
    found = []
    for host in hosts:
        pin, own = left.cluster.ca_cert_hash, host.kubeadm.ca_cert_hash
        if left.reference and host.kubeadm.role == "control_plane" and host.member and own != pin:
            text = "is a control plane of another cluster ({0})".format(host.kubeadm.server or "unknown endpoint")
            fix = "reset it with the inventory of that cluster"
            found.append(Finding(host.name, COMPONENT, Problem("foreign_node", text, fix)))
    return found


def _orphans(left: Remainder, every: Set[str]) -> List[Finding]:
    """The warning about Nodes that lose their cluster, because they are not in the inventory."""
    known = {*every, *departure.known_names(left.known)}
    lost = [node.name for node in left.cluster.nodes if node.name not in known]
    if not lost:
        return []
    text = "the cluster has nodes that are not in the inventory and are not reset: {0}".format(", ".join(lost))
    return [Finding("all", COMPONENT, Problem("unlisted_node", text, "add them to the inventory first", "warning"))]


def _leaving(host: Host, request: Request, left: Remainder) -> Leaving:
    node = departure.node_of(host, request, left.cluster)
    if node is None:
        return Leaving(host.name, host.name)
    control = host.control_plane or node.control_plane
    etcd = departure.has_member(control, node.name, node.addresses, left)
    return Leaving(host.name, node.name, tuple(node.addresses), etcd=etcd, node=True)


def _copies(
    request: Request, left: Remainder, leaving: List[Leaving], hosts: List[Host], findings: List[Finding]
) -> Tuple[Dict[str, HostPlan], List[Finding]]:
    """The plans of the control planes that stay and write copies of the admin kubeconfig, and the copies that remain.

    There are none after an error, or if no healthy control plane stays, as in a reset of all hosts. Control planes that
    stay and were not observed are among the problems.
    """
    plans: Dict[str, HostPlan] = {}
    problems: List[Finding] = []
    if any(one.problem.level == "error" for one in findings):
        return plans, problems
    cluster = departure.without(leaving, left.cluster)
    # The other targets did not answer, so they keep running.
    gone = departure.gone(request, left, leaving, {host.name for host in hosts})
    problems += departure.unobserved_findings(request, left, gone)
    if not left.reference:
        return plans, problems
    for host in left.staying:
        here = host.name == left.api_host
        steps, arguments, found = admin_copies.redirected(host, request, left.staying, cluster, gone, here)
        problems += [Finding(host.name, COMPONENT, problem) for problem in found]
        if steps:
            plans[host.name] = HostPlan(steps=steps, node_name=host.node_name, kubeconfig=arguments)
    return plans, problems


def _steps(host: Host, leaving: List[Leaving], ends: bool) -> List[Step]:
    own: Dict[str, Leaving] = {one.host: one for one in leaving}
    steps = []
    if host.name in own and own[host.name].etcd:
        steps.append(Step(OPERATION, "remove_member", host.kubeadm.node_name, "its etcd member leaves the cluster"))
    reason = host.kubeadm.reason
    if host.kubeadm.phase != "none" and ends:
        reason += "; the cluster ends"
    steps.append(Step(OPERATION, "reset", host.name, reason))
    if host.name in own and own[host.name].node:
        steps.append(Step(OPERATION, "delete_node", host.kubeadm.node_name, "the host leaves the cluster"))
    return steps
