# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The membership of the cluster: the API host, the host that initializes, and the hosts that join.

A cluster is created only if there is none, never next to one that is down.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import List, Optional, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import MANIFESTS
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import parse
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init, join, operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, NONE, KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import VERSION_OPTION

from ..cluster import Cluster
from ..hosts import Host, names
from .inventory import Inventory

COMPONENT = "cluster"
API_SERVER = "kube-apiserver"


@dataclass(frozen=True)
class Membership:
    """``init_host`` initializes (empty when a cluster exists), ``api_host`` is the control plane that answers for it.

    ``joining`` are the hosts that join, or whose join only has to be finished.
    """

    init_host: str = ""
    api_host: str = ""
    joining: Sequence[str] = ()


def reference_control_plane(hosts: Sequence[Host], others: Sequence[Host]) -> Optional[Host]:
    """The control plane that describes the cluster: one of the play, or else of ``others``; None without a cluster.

    One whose own API server is healthy comes first; without it, one that reaches another's.
    """
    controls = [host for host in hosts if host.control_plane] + list(others)
    # An interrupted init has made no cluster yet, even where its API server answers.
    live = [host for host in controls if host.kubeadm.api.live and not host.kubeadm.unfinished_init]
    healthy = [host for host in live if not host.kubeadm.local_api.failed]
    return next(iter(healthy or live), None)


def membership(hosts: Sequence[Host], reference: Optional[Host]) -> Membership:
    """The host that initializes, and the hosts that join."""
    exists = reference is not None
    init_host = ""
    if not exists:
        controls = [host for host in hosts if host.control_plane]
        begun = [host for host in controls if host.kubeadm.unfinished_init]
        init_host = next(iter(names(begun or controls)), "")
    joining = [host.name for host in hosts if host.name != init_host and is_joining(host, exists)]
    return Membership(init_host, reference.name if reference else init_host, tuple(joining))


def is_down(host: Host, cluster_exists: bool) -> bool:
    """True for a control plane that was complete once, and whose own API server, or the endpoint, fails now.

    One with an unfinished operation of this collection is continued instead, or removed and joined again where a
    cluster is there to join.
    """
    state = host.kubeadm
    if state.role != "control_plane" or not state.finished or state.unfinished_init:
        return False
    # The last phase of a join: the host is a member, and a problem does not justify removing it.
    if state.unfinished_join and cluster_exists and state.reached != "mark-control-plane":
        return False
    return state.local_api.failed or not state.api.live or _lacks_manifest(state)


def _lacks_manifest(state: KubeadmState) -> bool:
    """True for a control plane that was complete once and has lost the static pod of its API server."""
    return API_SERVER not in state.manifests


def dead_outside(hosts: Sequence[Host], cluster: Cluster) -> List[Node]:
    """The control planes that are not ready and not among the hosts of the play. No gate can wait for them."""
    names = {host.kubeadm.node_name for host in hosts}
    return [node for node in cluster.nodes if node.control_plane and not node.ready and node.name not in names]


def dead_control_planes(hosts: Sequence[Host], planned: Membership, cluster: Cluster) -> List[str]:
    """The Nodes of control planes that no gate of ``site.yml`` waits for: dead ones, and those that join again."""
    names = {node.name for node in dead_outside(hosts, cluster)}
    for host in hosts:
        failed = host.kubeadm.local_api.failed or is_down(host, True) or host.name in planned.joining
        if host.control_plane and failed:
            names.add(host.kubeadm.node_name)
    return [node.name for node in cluster.nodes if node.name in names]


def is_joining(host: Host, cluster_exists: bool) -> bool:
    """True for a host that must join, or whose join must only be finished."""
    if is_down(host, cluster_exists):
        return False
    return host.kubeadm.phase != DONE or join.join_left_marker(host.kubeadm)


# -- findings


def membership_findings(
    inventory: Inventory, hosts: Sequence[Host], planned: Membership, cluster: Cluster
) -> List[Finding]:
    """The problems of the hosts' membership, and those that prevent an init or a join."""
    found = _unknown_operations(hosts) + _unfinished_upgrades(hosts) + _down(hosts, cluster) + _etcd(hosts, cluster)
    if cluster.exists:
        found += _removed(hosts, cluster) + _unlisted(inventory, hosts, cluster)
    else:
        found += _without_cluster(inventory, hosts)
    for host in hosts:
        if not operation.problems(host.kubeadm.operation) and not is_down(host, cluster.exists):
            found += _kubeadm(host, planned, cluster)
    return found


def _unknown_operations(hosts: Sequence[Host]) -> List[Finding]:
    return [
        Finding(host.name, COMPONENT, problem)
        for host in hosts
        for problem in operation.problems(host.kubeadm.operation)
    ]


def _unfinished_upgrades(hosts: Sequence[Host]) -> List[Finding]:
    """Findings about hosts with an unfinished upgrade. It must be finished before any other change of the cluster."""
    found = []
    for host in hosts:
        begun = host.kubeadm.unfinished_upgrade
        if begun:
            text = "the upgrade of this host to {0}, started at {1}, is not finished".format(begun.version, begun.began)
            fix = "run upgrade.yml to continue the upgrade; nothing was changed"
            version = parse(begun.version)
            if version is not None and not host.options.kube_packages.request.accepts(version):
                fix = "set cluster_kubernetes_version to {0} and {1}".format(version, fix)
            found.append(Finding(host.name, COMPONENT, Problem("operation", text, fix)))
    return found


def with_way_out(finding: Finding, host: Host, cluster: Cluster) -> Finding:
    """A finding about a node with another version than requested, with the way to one version for all nodes.

    If an upgrade has changed only some of the nodes, the version of the control planes is the one to reach.
    """
    runs, own = parse(cluster.version), host.facts.kube_packages.version
    if finding.problem.check != "kube_packages.member" or runs is None or own is None:
        return finding
    request = host.options.kube_packages.request
    if request.accepts(runs):
        fix = "run upgrade.yml to continue the upgrade of the cluster"
    elif own != runs:
        fix = "set {0} to {1} and run upgrade.yml to continue the upgrade of the cluster".format(VERSION_OPTION, runs)
    elif (request.major, request.minor) < (runs.major, runs.minor) or (
        request.series == runs.series and request.patch is not None and request.patch < runs.patch
    ):
        fix = "set {0} to {1}; a cluster can't be downgraded".format(VERSION_OPTION, runs)
    else:
        return finding
    return replace(finding, problem=replace(finding.problem, fix=fix))


def _down(hosts: Sequence[Host], cluster: Cluster) -> List[Finding]:
    """Control planes that do not answer: a warning if another one answers, because the cluster runs without them."""
    found = []
    for host in hosts:
        if not is_down(host, cluster.exists):
            continue
        fix = "see 'journalctl -u kubelet' and 'crictl ps -a' on it"
        if not cluster.exists:
            fix += "; a new cluster is not created next to an existing one"
        if host.kubeadm.local_api.failed or not host.kubeadm.local_api.url:
            text = "the API server of this control plane does not answer: {0}".format(_cause(host.kubeadm))
        else:
            text = "the API server of this host is healthy, but the endpoint of the cluster fails: {0}".format(
                host.kubeadm.api.reason
            )
            fix = "check the load balancer or virtual IP of cluster_endpoint, and whether this host resolves its name"
        level = "warning" if cluster.exists else "error"
        found.append(Finding(host.name, "control_plane", Problem("api_down", text, fix, level)))
    return found


def _cause(state: KubeadmState) -> str:
    if _lacks_manifest(state):
        return "{0}/{1}.yaml is missing".format(MANIFESTS, API_SERVER)
    if not state.local_api.failed:
        return state.api.reason
    etcd = "; its etcd member: {0}".format(state.etcd.reason) if state.etcd.failed else ""
    return "{0}: {1}{2}".format(state.local_api.url, state.local_api.reason, etcd)


def _etcd(hosts: Sequence[Host], cluster: Cluster) -> List[Finding]:
    """Unhealthy members of etcd on control planes whose API server is healthy."""
    found = []
    for host in hosts:
        if host.member and host.kubeadm.etcd.failed and not is_down(host, cluster.exists):
            text = "the etcd member {0} is not healthy: {1}".format(host.kubeadm.etcd.url, host.kubeadm.etcd.reason)
            fix = "see 'crictl logs' of the etcd container; etcd stops if it loses the majority of its members"
            found.append(Finding(host.name, "control_plane", Problem("etcd_unhealthy", text, fix, "warning")))
    return found


def _removed(hosts: Sequence[Host], cluster: Cluster) -> List[Finding]:
    found = []
    for host in hosts:
        state = host.kubeadm
        # The Node of an interrupted join may not be there yet.
        if state.phase == DONE and not state.operation and cluster.node(state.node_name) is None:
            text = "has joined (kubelet.conf exists), but the cluster does not have a Node {0}".format(state.node_name)
            fix = (
                "run reset.yml with --limit {0} to join it again, or 'systemctl restart kubelet' to register it again"
            ).format(host.name)
            found.append(Finding(host.name, "join", Problem("node_removed", text, fix)))
    return found


def _unlisted(inventory: Inventory, hosts: Sequence[Host], cluster: Cluster) -> List[Finding]:
    """Warnings about Nodes that are not in the inventory; none if a host of the inventory did not report its name."""
    if {*inventory.control_plane, *inventory.workers} - set(names(hosts)):
        return []
    known = {*names(hosts), *(host.node_name for host in hosts), *(host.kubeadm.node_name for host in hosts)}
    # For a Node with the address of a host in the inventory, another rule has a finding.
    places = {host.facts.connects_to for host in hosts} | {host.address for host in hosts}
    found = []
    for node in cluster.nodes:
        if node.name not in known and not places & set(node.addresses):
            text = "Node {0} is in the cluster, but not in the inventory; it stays unchanged".format(node.name)
            fix = "to remove it, use remove.yml with -e remove_hosts={0}; to keep it, add it to the inventory".format(
                node.name
            )
            found.append(Finding("all", COMPONENT, Problem("unlisted_node", text, fix, "warning")))
    return found


def _without_cluster(inventory: Inventory, hosts: Sequence[Host]) -> List[Finding]:
    """Without a control plane that answers, a cluster may be made only where there was none."""
    controls = [host for host in hosts if host.control_plane]
    if not controls:
        text = "no control plane answers; tried {0}".format(", ".join(inventory.control_plane) or "none")
        fix = "run site.yml without --limit first, or find out why the API server is down"
        return [Finding("all", "join", Problem("api_down", text, fix))]
    if any(is_down(host, False) for host in controls):
        return []
    found = []
    for host in hosts:
        if host.kubeadm.phase == DONE and not host.control_plane:
            text = "is already a node of another cluster ({0})".format(host.kubeadm.server or "unknown endpoint")
            fix = (
                "run reset.yml with --limit {0} if that cluster is gone, or remove the host from the inventory".format(
                    host.name
                )
            )
            found.append(Finding(host.name, "join", Problem("foreign_node", text, fix)))
    missing = [name for name in inventory.control_plane if name not in names(controls)]
    if missing and inventory.control_plane[0] in missing:
        text = "the first control plane {0} is unreachable or excluded".format(missing[0])
        fix = "make it reachable, or remove it from the group; it may already have a cluster"
        found.append(Finding("all", "control_plane", Problem("first_control_plane", text, fix)))
    return found


def _kubeadm(host: Host, planned: Membership, cluster: Cluster) -> List[Finding]:
    """What is wrong with what kubeadm left on the host: for an init on the host that initializes, else for a join."""
    if host.name == planned.init_host:
        # The version of a kubeadm that is installed does not matter yet: the kube packages come first.
        problems = [] if host.kubeadm.phase == NONE else init.problems(host.kubeadm, host.options.control_plane)
        return [Finding(host.name, "control_plane", problem) for problem in problems if problem.level == "error"]
    command = join_command(host, cluster)
    return [Finding(host.name, "join", one) for one in join.problems(host.kubeadm, host.options.join, command)]


def join_command(host: Host, cluster: Cluster) -> JoinCommand:
    """What is known of the command a host will join with before there is a token."""
    hashes = [cluster.ca_cert_hash] if cluster.exists else []
    return JoinCommand(endpoint="", token="", ca_cert_hashes=hashes, control_plane=host.control_plane)
