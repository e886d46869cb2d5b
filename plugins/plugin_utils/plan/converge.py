# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of a whole cluster: what is wrong across hosts, who initialises, who joins, what each host needs.

Everything here is pure: it reads what ``node_info`` observed of each host and the options beside it, and decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import pull as node_images
from ansible_collections.kubestead.cluster.plugins.module_utils.core import addresses as network
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as kube_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterConfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import Fingerprint
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init, join, operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, NONE, KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import options as cni

from ..hosts import Host, Inventory
from ..rules import catalogue as checks
from ..rules import cluster_rules as preflight

COMPONENT = "cluster"

DEFAULT_POD_CIDR = "10.244.0.0/16"
# Where a host lives in the first, the next one that is free is taken.
POD_CIDR_CHOICES = (DEFAULT_POD_CIDR, "10.245.0.0/16", "10.246.0.0/16", "172.30.0.0/16", "100.72.0.0/16")


@dataclass
class ClusterPlan:
    """The plan: what was found, what is to be done on each host, and who does what for the whole cluster.

    ``init_host`` initialises ('' when a cluster is there); ``token_host`` is the control plane that answers for the
    cluster; ``joins`` are the hosts that join; ``cni_host`` applies what is applied through the API. ``kubeadm`` is the
    version of kubeadm that each host has once its packages are there, ``together`` what it installs in one transaction
    with them, ``images`` what a host that joins can pull meanwhile; ``nodes_to_come`` are nodes that are to join,
    ``node_names`` what each host is called in the API, or will be.
    """

    findings: List[Finding] = field(default_factory=list)
    steps: Dict[str, List[Step]] = field(default_factory=dict)
    init_host: str = ""
    token_host: str = ""
    cni_host: str = ""
    joins: List[str] = field(default_factory=list)
    control_plane_joins: List[str] = field(default_factory=list)
    nodes_to_come: List[kube_nodes.Node] = field(default_factory=list)
    kubeadm: Dict[str, str] = field(default_factory=dict)
    node_names: Dict[str, str] = field(default_factory=dict)
    together: Dict[str, List[str]] = field(default_factory=dict)
    images: Dict[str, List[str]] = field(default_factory=dict)
    cluster: Dict[str, Any] = field(default_factory=dict)
    # What the module kubeconfig is given on each control plane that has something to do with kubeconfigs.
    kubeconfigs: Dict[str, Dict[str, Any]] = field(default_factory=dict)
    # Names of checks that the user wants skipped.
    skip: Sequence[str] = ()

    def add(self, found: Sequence[Finding]) -> None:
        """Take up what was found; what is to be skipped stays, and is no error."""
        for finding in found:
            self.findings.append(replace(finding, problem=checks.apply_skips(finding.problem, self.skip)))

    @property
    def errors(self) -> List[Finding]:
        """The findings that forbid a run."""
        return [finding for finding in self.findings if finding.problem.level == "error"]

    def summary(self) -> List[str]:
        """What will happen and why, one line a step: ``w2: join as worker (no kubelet.conf; not in the API)``."""
        lines = []
        for name, steps in self.steps.items():
            lines += ["{0}: {1}".format(name, step.summary()) for step in steps] or ["{0}: nothing to do".format(name)]
        return lines


def plan_cluster(
    inventory: Inventory,
    hosts: Sequence[Host],
    outside: Sequence[Tuple[str, KubeadmState]],
    components: Sequence[str],
    skip: Sequence[str] = (),
    witnesses: Sequence[Host] = (),
    refused: Sequence[Finding] = (),
    network_images: Sequence[str] = (),
) -> ClusterPlan:
    """Judge and plan for the hosts of a play.

    ``outside`` are control planes that the play leaves out but that were asked because it holds none, ``witnesses``
    the same as far as hosts are compared with them; ``components`` are the roles the play uses: the rules of a
    cluster apply only where a cluster is made or joined. ``skip`` are names of checks to skip, ``refused`` what is
    wrong with hosts that were not observed for it; ``network_images`` are what the pod network runs on every node.
    """
    plan = ClusterPlan(skip=tuple(skip))
    plan.add(refused)
    plan.add(inventory_findings(inventory) if _is_cluster(components) else [])
    for host in hosts:
        plan.steps[host.name] = [step for step in host.steps if step.component in components]
        plan.kubeadm[host.name] = host.kubeadm.installed_version
        plan.together[host.name] = list(host.together)
        plan.add(own_findings(host.name, host.problems, host.options, components))
    unreadable = any(finding.problem.check in ("options", "groups") for finding in plan.errors)
    if _is_cluster(components) and hosts and not unreadable:
        _plan_membership(plan, inventory, hosts, outside, components, witnesses)
        for host in hosts:
            # A worker is ready when its pod network is; a control plane pulls before it joins, one after the other.
            if plan.init_host and host.name in plan.joins and (network_images or host.control_plane):
                plan.images[host.name] = [*_kubernetes_images(host, plan), *network_images]
    return plan


def _kubernetes_images(host: Host, plan: ClusterPlan) -> List[str]:
    """What of Kubernetes' own the host will run. While the cluster is made it has the time to pull it."""
    options = host.options
    return node_images.expected(
        plan.kubeadm[host.name], options.image_repository, host.control_plane, options.skip_phases, options.config
    )


def inventory_findings(inventory: Inventory) -> List[Finding]:
    """What can be said of the groups alone."""
    found = []
    if not inventory.control_plane:
        fix = "put at least one host into the group control_plane (see inventories/example)"
        found.append(Finding("all", COMPONENT, Problem("groups", "the group control_plane is empty", fix)))
    elif not inventory.workers and len(inventory.control_plane) == 1:
        fix = "put a host into the group workers, or remove the control plane's taint with cluster_node_taints: []"
        text = "the group workers is empty: applications find no node that takes them"
        found.append(Finding("all", COMPONENT, Problem("groups", text, fix, "warning")))
    for name in sorted(set(inventory.control_plane) & set(inventory.workers)):
        problem = Problem("groups", "is in both groups, control_plane and workers", "leave it in one of them")
        found.append(Finding(name, COMPONENT, problem))
    return found


def choose_pod_cidr(hosts: Sequence[Host], service_cidr: str) -> Optional[str]:
    """The first of the default ranges in which no host lives, or None when hosts live in each of them."""
    services = network.parse_cidrs("cluster_service_cidr", service_cidr)
    for choice in POD_CIDR_CHOICES:
        pods = network.parse_cidrs("cluster_pod_cidr", choice)
        used = [hit for host in hosts for hit in preflight.host_overlaps(host, pods)]
        if not used and not network.overlapping(pods, services):
            return choice
    return None


def _is_cluster(components: Sequence[str]) -> bool:
    return bool({"control_plane", "join", "cni"} & set(components))


def own_findings(
    name: str, problems: Sequence[Tuple[str, Problem]], options: ControlPlaneOptions, components: Sequence[str]
) -> List[Finding]:
    """What is wrong with one host by itself: the problems of its components, and the options of the cluster."""
    found = [
        Finding(name, component, problem)
        for component, problem in problems
        if component in components or component == COMPONENT
    ]
    if _is_cluster(components) or "kube_packages" in components:
        try:
            options.validate()
        except OptionError as err:
            found.append(
                Finding(name, COMPONENT, Problem("options", "{0} {1}".format(err.option, err.problem), err.fix))
            )
    return found


def _plan_membership(
    plan: ClusterPlan,
    inventory: Inventory,
    hosts: Sequence[Host],
    outside: Sequence[Tuple[str, KubeadmState]],
    components: Sequence[str],
    witnesses: Sequence[Host],
) -> None:
    controls = [host for host in hosts if host.control_plane]
    asked = [(host.name, host.kubeadm) for host in controls] + list(outside)
    # An init that was cut off made no cluster yet, even where its API server answers.
    live = [(name, state) for name, state in asked if state.api.live and not state.unfinished_init]
    reference = live[0][1] if live else None
    members = {node.name: node for node in reference.api.nodes} if reference else {}
    first = ""
    if reference:
        plan.token_host = live[0][0]
        plan.cluster = _existing(reference)
        plan.add(_agreement_findings(hosts, reference) + _removed_findings(hosts, members))
    else:
        plan.cluster = _wanted(hosts, plan)
        plan.add(_no_live_findings(inventory, controls, hosts))
        begun = [host for host in controls if host.kubeadm.unfinished_init]
        first = (begun or controls)[0].name if controls else ""
    newcomers = [host for host in hosts if host.name != first and _joins(host)]
    for host in hosts:
        plan.add(_kubeadm_findings(host, first, reference))
    plan.add(_endpoint_findings(inventory, hosts, plan, newcomers))
    new = [host.name for host in hosts if host in newcomers or (host.name == first and not _is_down(host))]
    plan.add(preflight.findings(preflight.ClusterView(hosts, new, first, plan.cluster, members, witnesses, components)))
    if "cni" in components and reference:
        for host in hosts:
            options = replace(host.cni_options, pod_cidr=str(plan.cluster["pod_cidr"]))
            found = cni.problems(host.cni, options, reference.api.nodes)
            plan.add([Finding(host.name, "cni", problem) for problem in found])
    if plan.errors:
        return
    if first:
        plan.init_host = plan.token_host = first
    if "control_plane" in components and first:
        host = next(host for host in controls if host.name == first)
        plan.steps[first] += init.plan(host.kubeadm, replace(host.options, pod_cidr=plan.cluster["pod_cidr"]))
    if "join" in components:
        plan.joins = [host.name for host in newcomers]
        plan.control_plane_joins = [host.name for host in newcomers if host.control_plane]
        for host in newcomers:
            plan.steps[host.name] += _join_steps(host, reference, members)
    if "control_plane" in components:
        for host in hosts:
            if _is_made(host, plan) and not host.kubeconfig.source:
                home = replace(host.kubeconfig, source=admin_kubeconfig(host, plan))
                plan.steps[host.name] += kubeconfig.plan(home, host.kubeconfig_options)
    made = [host for host in hosts if host.name in plan.joins or (host.name == first and "control_plane" in components)]
    coming = [
        kube_nodes.Node(host.node_name(first), addresses=[host.address] if host.address else [], expected=True)
        for host in made
    ]
    plan.node_names = {host.name: host.node_name(first) for host in hosts}
    # A Node that is taken out before its host joins anew comes back with another range.
    leaving = [host.node_name(first) for host in newcomers if host.name in plan.joins and _leaves(host, plan)]
    plan.nodes_to_come = [node for node in coming if node.name not in members or node.name in leaving]
    if "cni" in components:
        plan.cni_host = plan.token_host
        there = [node for node in reference.api.nodes if node.name not in leaving] if reference else []
        nodes = kube_nodes.with_joining(there, plan.nodes_to_come)
        for host in hosts:
            plan.steps[host.name] += _cni_steps(host, plan, nodes, members.get(host.kubeadm.node_name))


def _is_made(host: Host, plan: ClusterPlan) -> bool:
    """True for a host that becomes a control plane in this run."""
    return host.name in (plan.init_host, *plan.control_plane_joins)


def admin_kubeconfig(host: Host, plan: ClusterPlan) -> Optional[KubeconfigSummary]:
    """The admin's kubeconfig of a control plane, as it is or (before an init or join) as far as it can be told."""
    if host.kubeconfig.source or not _is_made(host, plan):
        return host.kubeconfig.source
    return kubeconfig.expected(str(plan.cluster["endpoint"]) or host.address, host.options.bind_port)


def _existing(reference: KubeadmState) -> Dict[str, Any]:
    config = reference.api.config or ClusterConfig()
    return {
        "exists": True,
        "version": reference.api.server_version,
        # kubeadm writes controlPlaneEndpoint only where it was asked for one.
        "endpoint": config.endpoint,
        "pod_cidr": config.pod_cidr,
        "service_cidr": config.service_cidr,
        "dns_domain": config.dns_domain,
        "nodes": [node.name for node in reference.api.nodes],
    }


def _wanted(hosts: Sequence[Host], plan: ClusterPlan) -> Dict[str, Any]:
    options = next((host.options for host in hosts if host.control_plane), hosts[0].options)
    pod_cidr = options.pod_cidr or choose_pod_cidr(hosts, options.service_cidr)
    if pod_cidr is None:
        fix = "set cluster_pod_cidr to a range that none of your hosts uses"
        text = "cluster_pod_cidr has no default here: hosts live in each of {0}".format(", ".join(POD_CIDR_CHOICES))
        plan.add([Finding("all", COMPONENT, Problem("pod_cidr_default", text, fix))])
    return {
        "exists": False,
        "version": options.kubernetes_version,
        "endpoint": options.endpoint,
        "pod_cidr": pod_cidr or "",
        "service_cidr": options.service_cidr,
        "dns_domain": options.dns_domain,
        "nodes": [],
    }


def _removed_findings(hosts: Sequence[Host], members: Dict[str, Any]) -> List[Finding]:
    found = []
    for host in hosts:
        # The Node of a join that was cut off may not be there yet.
        if host.kubeadm.phase == DONE and host.kubeadm.node_name not in members and not host.kubeadm.operation:
            text = "has joined (kubelet.conf is there), but the cluster has no node {0}".format(host.kubeadm.node_name)
            fix = (
                "run 'kubeadm reset' on this host to let it join again, or 'systemctl restart kubelet' to bring it back"
            )
            found.append(Finding(host.name, "join", Problem("node_removed", text, fix)))
    return found


def _is_down(host: Host) -> bool:
    """True for a control plane that once was complete and whose API server does not answer now."""
    there = host.kubeadm
    return there.finished and there.role == "control_plane" and not there.api.live and not there.unfinished_init


def _joins(host: Host) -> bool:
    """True for a host that is to join, or whose join only lacks its end."""
    return not _is_down(host) and (host.kubeadm.phase != DONE or join.join_left_marker(host.kubeadm))


def _kubeadm_findings(host: Host, first: str, reference: Optional[KubeadmState]) -> List[Finding]:
    """What the rules of a component say of what kubeadm left on the host: of init on the first, else of join."""
    unknown = operation.problems(host.kubeadm.operation)
    if unknown or _is_down(host):
        return [Finding(host.name, COMPONENT, problem) for problem in unknown]
    if host.name == first:
        # The version of a kubeadm that is there is no matter yet: the kube packages come first.
        found = [] if host.kubeadm.phase == NONE else init.problems(host.kubeadm, host.options)
        return [Finding(host.name, "control_plane", problem) for problem in found if problem.level == "error"]
    found = join.problems(host.kubeadm, host.join_options, _join_command(host, reference))
    return [Finding(host.name, "join", problem) for problem in found]


def _join_command(host: Host, reference: Optional[KubeadmState]) -> JoinCommand:
    """What is known of the command a host will join with before there is a token."""
    hashes = [reference.ca_cert_hash] if reference else []
    return JoinCommand(endpoint="", token="", ca_cert_hashes=hashes, control_plane=host.control_plane)


def _no_live_findings(inventory: Inventory, controls: Sequence[Host], hosts: Sequence[Host]) -> List[Finding]:
    """Without a live API a cluster may be made only where none was: never beside one that is merely down."""
    found = []
    for host in controls:
        if _is_down(host):
            text = "is a control plane, but its API server does not answer: {0}".format(host.kubeadm.api.reason)
            fix = "see 'journalctl -u kubelet' and 'crictl ps -a' there; a new cluster is not made beside an old one"
            found.append(Finding(host.name, "control_plane", Problem("api_down", text, fix)))
    if not controls:
        text = "no control plane answers: asked {0}".format(", ".join(inventory.control_plane) or "none")
        fix = "run site.yml without --limit first, or see why the API server is down"
        found.append(Finding("all", "join", Problem("api_down", text, fix)))
    elif found:
        return found
    else:
        for host in hosts:
            if host.kubeadm.phase == DONE and not host.control_plane:
                text = "is a node of another cluster ({0}) already".format(host.kubeadm.server or "unknown endpoint")
                fix = "run 'kubeadm reset' on this host if that cluster is gone, or take the host out of the inventory"
                found.append(Finding(host.name, "join", Problem("foreign_node", text, fix)))
        missing = [name for name in inventory.control_plane if name not in [host.name for host in controls]]
        if missing and inventory.control_plane[0] in missing:
            text = "the first control plane {0} can't be reached or is left out".format(missing[0])
            fix = "reach it or take it out of the group: it may hold the cluster already"
            found.append(Finding("all", "control_plane", Problem("first_control_plane", text, fix)))
    return found


def _agreement_findings(hosts: Sequence[Host], reference: KubeadmState) -> List[Finding]:
    found = []
    config = reference.api.config or ClusterConfig()
    for host in hosts:
        wanted, runs = host.options.pod_cidr, config.pod_cidr
        if wanted and runs and wanted != runs:
            text = "cluster_pod_cidr is {0}, but the cluster runs with {1}".format(wanted, runs)
            fix = "set it to {0}: a cluster's pod range can't be changed".format(runs)
            found.append(Finding(host.name, COMPONENT, Problem("pod_cidr_differs", text, fix)))
        wanted, runs = host.options.service_cidr, config.service_cidr
        if wanted and runs and wanted != runs:
            text = "cluster_service_cidr is {0}, but the cluster runs with {1}".format(wanted, runs)
            fix = "set it to {0}: a cluster's service range can't be changed".format(runs)
            found.append(Finding(host.name, COMPONENT, Problem("service_cidr_differs", text, fix)))
    return found


def _endpoint_findings(
    inventory: Inventory, hosts: Sequence[Host], plan: ClusterPlan, newcomers: Sequence[Host]
) -> List[Finding]:
    wanted = len(inventory.control_plane) > 1 and (plan.init_host or [host for host in newcomers if host.control_plane])
    if not wanted:
        return []
    fix = "set cluster_endpoint to a name or address that leads to all of them, like k8s.example.org:6443"
    if plan.cluster["exists"]:
        if plan.cluster["endpoint"]:
            return []
        text = "this cluster was made without a shared endpoint and can't take a second control plane"
        return [Finding("all", "join", Problem("endpoint", text, "make the cluster anew with cluster_endpoint set"))]
    if any(host.options.endpoint for host in hosts):
        return []
    text = "cluster_endpoint is not set, and there are {0} control planes".format(len(inventory.control_plane))
    return [Finding("all", COMPONENT, Problem("endpoint", text, fix))]


def _leaves(host: Host, plan: ClusterPlan) -> bool:
    """True for a host whose Node is taken out of the API before it joins."""
    cleaned = [step for step in plan.steps[host.name] if step.component == "join" and step.data.get("reset")]
    return bool(cleaned) and host.kubeadm.admin_conf


def _cni_steps(
    host: Host, plan: ClusterPlan, nodes: List[kube_nodes.Node], member: Optional[kube_nodes.Node] = None
) -> List[Step]:
    """What the host lacks of the pod network; routes to nodes that join are still to come. ``member`` is its Node."""
    options = replace(host.cni_options, pod_cidr=str(plan.cluster["pod_cidr"]))
    steps = cni.plan(host.cni, options, nodes)
    # Applying Calico waits by itself.
    waits = member and member.not_ready_reason and not member.silent
    if not steps and member and waits and options.plugin == "bridge" and options.wait_rollout:
        steps = [Step("cni", "wait_for", "the node", "not ready: {0}".format(member.not_ready_reason))]
    return steps


def _join_steps(host: Host, reference: Optional[KubeadmState], members: Dict[str, Any]) -> List[Step]:
    steps = join.plan(host.kubeadm, host.join_options, _join_command(host, reference))
    there = "its name is in the API, not ready" if host.kubeadm.node_name in members else "not in the API"
    return [
        replace(
            step,
            target="as {0}".format("control plane" if host.control_plane else "worker"),
            reason="no kubelet.conf; {0}".format(there),
        )
        if step.action == "join"
        else step
        for step in steps
    ]
