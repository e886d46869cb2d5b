# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner of ``site.yml``: brings hosts to the state in their variables, as members of one cluster.

Everything here is pure: it decides from what ``node_info`` observed of each host and from its options.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import component as api_endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import pull as node_images
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as kube_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigSummary
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init, join
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import options as cni

from ..cluster import Cluster
from ..hosts import Host
from ..rules import cluster_rules
from ..rules.catalogue import apply_skips
from . import cordons, endpoint, unobserved
from . import machine_steps as own
from .cluster import decide
from .inventory import inventory_findings
from .membership import (
    Membership,
    dead_control_planes,
    is_down,
    join_command,
    membership,
    membership_findings,
    reference_control_plane,
    with_way_out,
)
from .registry import host_findings, is_cluster
from .result import HostPlan, Plan, Request

OPERATION = "converge"


@dataclass(frozen=True)
class Draft:
    """The decisions before steps are planned: the future hosts, the cluster, and its membership."""

    request: Request
    hosts: Sequence[Host]
    coming: Dict[str, own.Packages]
    cluster: Cluster
    reference: Optional[Host]
    membership: Membership


def converge(request: Request) -> Plan:
    """The plan. If a finding is an error, the plan has only the steps that hosts need for themselves."""
    draft, range_findings = _draft(request)
    findings = [*request.findings, *unobserved.left_out(request, draft.cluster)]
    if draft.reference is None:
        findings += unobserved.silent(request.unobserved_outside, unobserved.COMPONENT)
    if is_cluster(request.components):
        untainted = any(host.control_plane and host.options.control_plane.taints == [] for host in request.hosts)
        findings += inventory_findings(request.inventory, untainted)
    steps: Dict[str, List[Step]] = {}
    for raw, host in zip(request.hosts, draft.hosts, strict=True):
        findings += host_findings(raw, request.components)
        steps[host.name], found = own.own_steps(host, draft.coming[host.name], request.components, request.skip)
        findings += [with_way_out(one, host, draft.cluster) for one in found]
    findings = apply_skips(findings, request.skip)
    # Where a variable can't be used or the groups are wrong, what follows from them would only mislead.
    unusable = any(one.problem.check in ("options", "groups") for one in findings if one.problem.level == "error")
    planned = bool(is_cluster(request.components) and draft.hosts and not unusable)
    if planned:
        findings += apply_skips([*range_findings, *_cluster_findings(draft)], request.skip)
    refused = any(finding.problem.level == "error" for finding in findings)
    return _plan(draft, steps, findings, planned and not refused)


def _draft(request: Request) -> Tuple[Draft, List[Finding]]:
    coming = {host.name: own.packages(host, request.components) for host in request.hosts}
    reference = reference_control_plane(request.hosts, request.reference_control_planes)
    cluster, findings = decide(request.hosts, reference)
    hosts = [
        replace(own.with_packages(host, coming[host.name]), options=host.options.with_variables(cluster.variables))
        for host in request.hosts
    ]
    return Draft(request, hosts, coming, cluster, reference, membership(hosts, reference)), findings


def _cluster_findings(draft: Draft) -> List[Finding]:
    """The findings about the cluster, its members, and conflicts between hosts."""
    request, cluster, planned = draft.request, draft.cluster, draft.membership
    found = membership_findings(request.inventory, draft.hosts, planned, cluster)
    found += endpoint.findings(request.inventory, draft.hosts, planned, cluster)
    found += [finding for host in draft.hosts for finding in endpoint.not_moved(host, cluster)]
    found += cordons.staying(OPERATION, [node for node in cluster.nodes if node.unschedulable and node.cordoned_by])
    joining = [
        host.name
        for host in draft.hosts
        if host.name in planned.joining or (host.name == planned.init_host and not is_down(host, cluster.exists))
    ]
    view = cluster_rules.ClusterView(
        draft.hosts, joining, planned.init_host, cluster, request.reference_control_planes, request.components
    )
    found += cluster_rules.findings(view)
    if "cni" in request.components and cluster.exists:
        for host in draft.hosts:
            problems = cni.problems(host.facts.cni, host.options.cni, list(cluster.nodes), host.kubeadm.node_name)
            found += [Finding(host.name, "cni", problem) for problem in problems]
    return found


def _plan(draft: Draft, steps: Dict[str, List[Step]], findings: Sequence[Finding], planned: bool) -> Plan:
    """The plan of the draft; without what concerns the cluster unless that is ``planned``."""
    hosts = {host.name: _own_plan(draft, host, steps[host.name]) for host in draft.hosts}
    plan = Plan(OPERATION, tuple(draft.request.components), tuple(findings), hosts, draft.cluster)
    if not planned:
        return plan
    hosts = {host.name: _member_plan(draft, host, hosts[host.name]) for host in draft.hosts}
    if "cni" in draft.request.components:
        nodes = _expected_nodes(draft, hosts)
        for host in draft.hosts:
            more = _cni_steps(host, draft.cluster, nodes)
            hosts[host.name] = replace(hosts[host.name], steps=[*hosts[host.name].steps, *more])
    return replace(
        plan,
        hosts=hosts,
        init_host=draft.membership.init_host,
        api_host=draft.membership.api_host,
        joining_nodes=tuple(_joining_nodes(draft, hosts)),
        dead_nodes=tuple(dead_control_planes(draft.hosts, draft.membership, draft.cluster)),
    )


def _own_plan(draft: Draft, host: Host, steps: Sequence[Step]) -> HostPlan:
    """The plan of the host alone: its own components, and the kubeconfig of an existing control plane."""
    more = []
    if "control_plane" in draft.request.components and host.control_plane and host.facts.kubeconfig.source:
        more = kubeconfig.plan(host.facts.kubeconfig, host.options.kubeconfig)
    return HostPlan(
        steps=[*steps, *more],
        kubeadm_version=host.kubeadm.installed_version,
        extra_packages=tuple(draft.coming[host.name].extra),
        member=host.member,
    )


def _member_plan(draft: Draft, host: Host, plan: HostPlan) -> HostPlan:
    """The steps of the host to become a member of the cluster."""
    components, planned = draft.request.components, draft.membership
    initializes = host.name == planned.init_host and "control_plane" in components
    joins = host.name in planned.joining and "join" in components
    role = "control_plane" if host.control_plane else "worker"
    steps = list(plan.steps)
    wanted = None
    if api_endpoint.COMPONENT in components:
        wanted = endpoint.endpoint_of(host, draft.hosts, planned, draft.cluster)
        if wanted is not None:
            steps += api_endpoint.plan(host.facts.api_endpoint, host.options.api_endpoint, wanted)
    if initializes:
        steps += init.plan(host.kubeadm, host.options.control_plane)
    if joins:
        steps += _join_steps(host, draft.cluster)
    source = admin_kubeconfig(host, draft.cluster, initializes or (joins and host.control_plane))
    if "control_plane" in components and source and not host.facts.kubeconfig.source:
        steps += kubeconfig.plan(replace(host.facts.kubeconfig, source=source), host.options.kubeconfig)
    return replace(
        plan,
        steps=steps,
        node_name=host.node_name,
        joins_as=role if joins else "",
        initializes=initializes,
        endpoint=wanted,
        api_address=endpoint.api_address(host, draft.hosts, planned, draft.cluster),
        images=_images(draft, host) if joins else (),
    )


def admin_kubeconfig(host: Host, cluster: Cluster, becomes_control_plane: bool) -> Optional[KubeconfigSummary]:
    """The admin's kubeconfig of a host, as it is, or as far as it is known of one that becomes a control plane."""
    if host.facts.kubeconfig.source or not becomes_control_plane:
        return host.facts.kubeconfig.source
    return kubeconfig.expected(cluster.endpoint or host.address, host.options.control_plane.bind_port)


def _images(draft: Draft, host: Host) -> Sequence[str]:
    """The images that a joining host can pull while the cluster is created."""
    network = draft.request.network_images
    # A worker is ready only with its pod network. Control planes pull images first, because they join one by one.
    if not draft.membership.init_host or not (network or host.control_plane):
        return ()
    options = host.options.control_plane
    own_images = node_images.expected(
        host.kubeadm.installed_version,
        options.image_repository,
        host.control_plane,
        options.skip_phases,
        options.config,
    )
    return (*own_images, *network)


def _join_steps(host: Host, cluster: Cluster) -> List[Step]:
    steps = join.plan(host.kubeadm, host.options.join, join_command(host, cluster))
    known = cluster.node(host.kubeadm.node_name) is not None
    target = "as {0}".format("control plane" if host.control_plane else "worker")
    reason = "no kubelet.conf; {0}".format(
        "a Node with its name exists and is not ready" if known else "not in the API"
    )
    return [replace(step, target=target, reason=reason) if step.action == "join" else step for step in steps]


# -- the pod network


def _leaving(draft: Draft, hosts: Dict[str, HostPlan]) -> List[str]:
    """The names of Nodes that are deleted before their hosts join again, and then have another pod range."""
    return [
        host.node_name
        for host in draft.hosts
        if host.kubeadm.admin_conf
        and any(step.component == "join" and step.data.get("reset") for step in hosts[host.name].steps)
    ]


def _joining_nodes(draft: Draft, hosts: Dict[str, HostPlan]) -> List[Node]:
    """The nodes that the API does not know yet, and will know at the end of the run."""
    leaving = _leaving(draft, hosts)
    return [
        Node(host.node_name, addresses=[host.address] if host.address else [], expected=True)
        for host in draft.hosts
        if (hosts[host.name].joins_as or hosts[host.name].initializes)
        and (draft.cluster.node(host.node_name) is None or host.node_name in leaving)
    ]


def _expected_nodes(draft: Draft, hosts: Dict[str, HostPlan]) -> List[Node]:
    """The nodes at the end of the run."""
    leaving = _leaving(draft, hosts)
    staying = [node for node in draft.cluster.nodes if node.name not in leaving]
    return kube_nodes.with_joining(staying, _joining_nodes(draft, hosts))


def _cni_steps(host: Host, cluster: Cluster, nodes: List[Node]) -> List[Step]:
    """The steps that complete the pod network of the host, with routes to nodes that join."""
    options = host.options.cni
    steps = cni.plan(host.facts.cni, options, nodes, host.node_name)
    member = cluster.node(host.kubeadm.node_name)
    waits = options.plugin == "bridge" and options.wait_rollout
    # The task that applies Calico waits for the nodes itself. No task waits for a kubelet that does not report.
    if not steps and waits and member and member.not_ready_reason and not member.silent:
        steps = [Step("cni", "wait_for", "the node", "not ready: {0}".format(member.not_ready_reason))]
    return steps
