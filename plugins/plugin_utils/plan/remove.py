# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner of ``remove.yml``: removes machines, reachable or not, from a cluster that continues to run."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Optional, Set, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import component as api_endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import Endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import KINDS

from ..hosts import Host
from . import admin_copies, cordons, departure, endpoint, unobserved
from .departure import COMPONENT, GONE, TARGETS, Remainder
from .result import HostPlan, Leaving, Plan, Request

OPERATION = "remove"


def remove(request: Request) -> Plan:
    """The plan: drain, remove the etcd member, reset the machine and delete the Node, for each target.

    Before that, the hosts that stay get the addresses of the control planes that stay, and so do the copies of the
    admin kubeconfig.
    """
    left = departure.remainder(request)
    findings = [*request.findings, *_target_findings(request, left)]
    if left.reference is None:
        silent = {**request.unobserved, **request.unobserved_outside}
        controls = {name: silent[name] for name in request.inventory.control_plane if name in silent}
        findings += unobserved.silent(controls, COMPONENT)
    leaving: List[Leaving] = []
    if not _refused(findings):
        for name in dict.fromkeys(request.targets):
            one, found = _leaving(name, request, left)
            leaving += [one] if one else []
            findings += found
        findings += departure.majority_findings(left, leaving)
        findings += departure.endpoint_findings(request, left, [one.name for one in leaving])
        if left.reference and any(one.drain for one in leaving):
            findings += endpoint.lost(left.reference, left.cluster, COMPONENT)
    hosts = [host for host in request.hosts if host.name in request.targets]
    findings += departure.unknown_markers(hosts, KINDS)
    findings += departure.unlisted_findings(hosts, request, left.cluster)
    going = [one.name for one in leaving]
    # A Node may be gone already, although the run that cordoned it together with others was killed.
    lifted = cordons.continued(left.cluster.nodes, [*going, *request.targets])
    others = [node for node in left.cluster.nodes if node.unschedulable and node.cordoned_by]
    findings += cordons.staying(COMPONENT, [node for node in others if node.name not in [*going, *lifted]])
    # Workers first, then control planes whose member does not answer.
    leaving.sort(key=lambda one: (one.etcd, departure.member_answers(one, left)))
    resets = tuple(host.name for host in hosts)
    plans = {one.host: HostPlan(steps=_steps(one), node_name=one.name) for one in leaving}
    staying = [host for host in request.hosts if host.name not in request.targets]
    staying_plans = {host.name: HostPlan(node_name=host.node_name) for host in staying}
    if leaving:
        for host, wanted in _endpoints(leaving, staying, left):
            findings += [_as_warning(host, one) for one in endpoint.obstacles(host, wanted)]
            steps = api_endpoint.plan(host.facts.api_endpoint, host.options.api_endpoint, wanted)
            staying_plans[host.name] = replace(staying_plans[host.name], steps=steps, endpoint=wanted)
    redirected = tuple(name for name, one in staying_plans.items() if one.steps)
    if not _refused(findings):
        cluster = departure.without(leaving, left.cluster)
        gone = departure.gone(request, left, leaving, set(request.targets))
        for host in staying:
            here = host.name == left.api_host
            steps, arguments, problems = admin_copies.redirected(host, request, staying, cluster, gone, here)
            findings += [Finding(host.name, COMPONENT, problem) for problem in problems]
            findings += endpoint.stranded(host, cluster, gone.has)
            own = staying_plans[host.name]
            staying_plans[host.name] = replace(own, steps=[*own.steps, *steps], kubeconfig=arguments)
        outside = [host for host in left.staying if host not in staying]
        for host in outside:
            problems = admin_copies.left_out(host, request, left.staying, cluster, gone, host.name == left.api_host)
            findings += [Finding(host.name, COMPONENT, problem) for problem in problems]
        findings += departure.unobserved_findings(request, left, gone)
    return Plan(
        OPERATION,
        (OPERATION, api_endpoint.COMPONENT),
        tuple(findings),
        {**{host.name: HostPlan(node_name=host.node_name) for host in request.hosts}, **staying_plans, **plans},
        left.cluster,
        api_host=left.api_host,
        leaving=tuple(leaving),
        resets=resets,
        owner=cordons.removal([one.name for one in leaving]),
        uncordoned=tuple(lifted),
        redirected=redirected,
    )


def _endpoints(leaving: List[Leaving], staying: List[Host], left: Remainder) -> List[Tuple[Host, Endpoint]]:
    """The hosts that stay and must no longer look for the API at a machine that leaves, and their new endpoints."""
    found = endpoint.without([one.name for one in leaving], staying, left.cluster)
    return [(host, found[host.name]) for host in staying if host.name in found]


def _as_warning(host: Host, problem: Problem) -> Finding:
    """An error would allow a host that lies to prevent the removal."""
    return Finding(host.name, api_endpoint.COMPONENT, replace(problem, level="warning"))


def _refused(findings: List[Finding]) -> bool:
    return any(one.problem.level == "error" for one in findings)


def _target_findings(request: Request, left: Remainder) -> List[Finding]:
    if not request.targets:
        fix = "list hosts of the inventory, or Nodes that are not in it, for example -e {0}=w2".format(TARGETS)
        return [Finding("all", COMPONENT, Problem("options", "{0} is empty".format(TARGETS), fix))]
    if not left.cluster.exists:
        text = "no control plane answers; tried {0}".format(", ".join(request.inventory.control_plane) or "none")
        fix = "find out why the API server is down; to end the cluster, use reset.yml"
        return [Finding("all", COMPONENT, Problem("api_down", text, fix))]
    if not left.reference:
        fix = "add another control plane first; to end the cluster, use reset.yml"
        return [departure.last_control_plane(left, fix)]
    return []


def _leaving(name: str, request: Request, left: Remainder) -> Tuple[Optional[Leaving], List[Finding]]:
    """The removal of one target, or the findings that prevent it."""
    host = next((one for one in request.hosts if one.name == name), None)
    if host is not None:
        return _answering(host, request, left)
    listed = name in request.inventory.control_plane or name in request.inventory.workers
    addresses = list(request.addresses.get(name, ()))
    called = request.node_names.get(name) or name
    candidates = _nodes_named(called, addresses, _names_of_others(name, request), left)
    if len(candidates) > 1:
        return None, [_ambiguous(name, candidates)]
    node = next(iter(candidates), None)
    members = departure.members_of(called, addresses, left)
    if node is None and not listed and not members:
        fix = "use the name of a host in the inventory, or of a Node that kubectl get nodes shows"
        text = "{0} has {1!r}, which is neither a host of the inventory nor a Node or an etcd member".format(
            TARGETS, name
        )
        return None, [Finding("all", COMPONENT, Problem("options", text, fix))]
    if not request.gone:
        text, fix = "does not answer over SSH", "make it reachable"
        if name in request.unobserved:
            text, fix = request.unobserved[name], "then run again"
        elif not listed:
            text = "is not in the inventory, so the machine can't be reset"
        fix += ", or set {0}=true if the machine no longer exists".format(GONE)
        return None, [Finding(name, COMPONENT, Problem("unreachable", text, fix))]
    if node is None and any(one.healthy for one in members):
        text = "its etcd member still answers, so the machine still exists"
        fix = "shut the machine down first, or add it to the inventory"
        return None, [Finding(name, COMPONENT, Problem("unreachable", text, fix))]
    if node is not None and node.ready:
        text = "its kubelet still reports to the cluster, so the machine still exists"
        fix = "make it reachable over SSH, or shut it down first"
        return None, [Finding(name, COMPONENT, Problem("unreachable", text, fix))]
    places = tuple(dict.fromkeys([*addresses, *(node.addresses if node else [])]))
    # A kubelet can't set the label of its Node, but may claim the address of this machine. A member that is in neither
    # the inventory nor the API is named on purpose.
    control = name in request.inventory.control_plane or (node.control_plane if node else not listed)
    node_name = node.name if node else called
    etcd = departure.has_member(control, node_name, places, left)
    if node is None and not etcd:
        return None, [_absent(name, called, left)]
    return Leaving(name, node_name, places, etcd=etcd, node=node is not None, gone=True), []


def _absent(name: str, called: str, left: Remainder) -> Finding:
    """The warning about a machine that is not in the cluster: an earlier run removed it, or the name is wrong."""
    text = "does not answer, and the cluster does not have a Node {0}, so nothing is removed; its Nodes are {1}".format(
        called, ", ".join(node.name for node in left.cluster.nodes) or "none"
    )
    fix = "if its Node has another name, use that name, or set cluster_node_name for this host"
    return Finding(name, COMPONENT, Problem("unreachable", text, fix, "warning"))


def _nodes_named(name: str, addresses: List[str], others: Set[str], left: Remainder) -> List[Node]:
    """The Node of a machine that does not answer: by name, or else those with one of its addresses.

    A kubelet reports the addresses of its Node, so a Node that the inventory gives to another host is left out.
    """
    named = left.cluster.node(name)
    if named is not None:
        return [named]
    return [node for node in left.cluster.nodes if set(node.addresses) & set(addresses) and node.name not in others]


def _names_of_others(name: str, request: Request) -> Set[str]:
    """The names of the Nodes of other hosts, by the inventory alone."""
    listed = {*request.inventory.control_plane, *request.inventory.workers} - {name}
    return listed | {host.options.control_plane.node_name for host in request.hosts if host.name != name}


def _ambiguous(name: str, nodes: List[Node]) -> Finding:
    text = "does not answer, and its address is that of several Nodes: {0}".format(", ".join(one.name for one in nodes))
    return Finding(name, COMPONENT, Problem("unreachable", text, "set cluster_node_name for this host"))


def _answering(host: Host, request: Request, left: Remainder) -> Tuple[Optional[Leaving], List[Finding]]:
    node = departure.node_of(host, request, left.cluster)
    pin, own = left.cluster.ca_cert_hash, host.kubeadm.ca_cert_hash
    if own and own != pin:
        text = "is a member of another cluster ({0})".format(host.kubeadm.server or "unknown endpoint")
        fix = "to reset the host, use reset.yml with --limit {0}".format(host.name)
        return None, [Finding(host.name, COMPONENT, Problem("foreign_node", text, fix))]
    addresses = [*request.addresses.get(host.name, ()), *(node.addresses if node else ())]
    name = node.name if node else host.options.control_plane.node_name or host.name
    control = host.control_plane or (node is not None and node.control_plane)
    return (
        Leaving(
            host.name,
            name,
            tuple(dict.fromkeys(addresses)),
            # A kubelet that does not report can't stop evicted pods.
            drain=node is not None and node.ready,
            etcd=departure.has_member(control, name, addresses, left),
            node=node is not None,
        ),
        [],
    )


def _steps(one: Leaving) -> List[Step]:
    steps = []
    if one.drain:
        steps.append(Step(OPERATION, "drain", one.name, "its pods move to other nodes"))
    if one.etcd:
        steps.append(Step(OPERATION, "remove_member", one.name, "its etcd member leaves the cluster"))
    if not one.gone:
        steps.append(Step(OPERATION, "reset", one.host, "the host leaves the cluster"))
    if one.node:
        steps.append(Step(OPERATION, "delete_node", one.name, "the host leaves the cluster"))
    return steps
