# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner of ``endpoint.yml``: gives a running cluster an endpoint that is a name.

With a virtual IP address, the certificates of the API servers get this address too.

Everything here is pure. Nothing uses the name until every API server has a certificate with it, and every node resolves
it. The ConfigMap kubeadm-config names the endpoint only after that, so its endpoint shows how far an earlier run got.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import component as api_endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import hosts_file
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import (
    full_endpoint,
    host_port,
    same_endpoint,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import endpoint_move as parts
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_facts import OWN_KUBECONFIGS
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_move import MoveOptions, MoveState
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.serving_certificate import CERTIFICATE

from ..cluster import Cluster
from ..hosts import Host
from ..rules.catalogue import apply_skips
from . import endpoint, unobserved
from .cluster import decide
from .membership import Membership, dead_outside, is_down, reference_control_plane
from .registry import host_findings
from .result import HostPlan, Move, Plan, Request

OPERATION = "endpoint"
COMPONENT = parts.COMPONENT
PLANNED = (endpoint.COMPONENT, OPERATION)

_ARGUMENTS: Dict[str, Any] = {
    "endpoint": "",
    "names": [],
    "address": "",
    "user": "",
    "install": False,
    "node": False,
    "due": False,
}


def move(request: Request) -> Plan:
    """The plan. If a finding is an error, the plan has no steps."""
    findings = [*request.findings, *unobserved.stops(request, COMPONENT)]
    for host in request.hosts:
        findings += [*host_findings(host, (endpoint.COMPONENT,)), *_wish_findings(host, request.hosts)]
    reference = reference_control_plane(request.hosts, request.reference_control_planes)
    if reference is None:
        findings += unobserved.silent(request.unobserved_outside, COMPONENT)
        text = "no control plane answers; tried {0}".format(", ".join(request.inventory.control_plane) or "none")
        fix = "find out why the API server is down (journalctl -u kubelet), or run site.yml if there is no cluster"
        if not unobserved.explains(request, request.hosts):
            findings.append(Finding("all", COMPONENT, Problem("api_down", text, fix)))
        return Plan(OPERATION, PLANNED, tuple(findings), _nothing(request), Cluster())
    if any(one.problem.level == "error" for one in findings):
        return Plan(OPERATION, PLANNED, tuple(findings), _nothing(request), Cluster(), api_host=reference.name)
    now, _ranges = decide(request.hosts, reference)
    wanted = target(request.hosts, reference, now)
    cluster = replace(now, endpoint=wanted)
    found = _away(now, wanted) or [
        *_member_findings(request, now),
        *_missing(request, now, cluster),
        *_control_plane_findings(request, reference, now, cluster),
        *endpoint.findings(request.inventory, [_certified(host) for host in request.hosts], Membership(), cluster),
    ]
    findings += apply_skips(found, request.skip)
    plan = Plan(OPERATION, PLANNED, tuple(findings), _nothing(request), cluster, api_host=reference.name)
    return plan if plan.errors else _planned(request, plan, reference, now)


def target(hosts: Sequence[Host], reference: Host, cluster: Cluster) -> str:
    """The endpoint to reach, as ``host:port``: the variable, or an endpoint that the cluster has, or the derived name.

    The address of a control plane is not an endpoint to keep: it goes with this machine.
    """
    port = urlsplit(reference.kubeadm.local_api.url).port or 6443
    wishes = [host.options.control_plane.endpoint for host in hosts if host.options.control_plane.endpoint]
    if wishes:
        wish = full_endpoint(wishes[0], port)
        # An equivalent text is kept.
        present = _present(cluster)
        return cluster.endpoint if present and same_endpoint(present, wish) else wish
    place = cluster.endpoint_place[0]
    own = {address for node in cluster.control_planes for address in [*node.addresses, node.name]}
    if place and place not in own:
        return cluster.endpoint
    return host_port(hosts_file.endpoint_name(cluster.name), port)


def _present(cluster: Cluster) -> str:
    """The endpoint of the cluster with its port; empty without one, or if it can't be read."""
    place, port = cluster.endpoint_place
    return host_port(place, port) if place else ""


# -- findings


def _error(host: str, text: str, fix: str, level: str = "error") -> Finding:
    return Finding(host, COMPONENT, Problem("endpoint", text, fix, level))


def _wish_findings(host: Host, hosts: Sequence[Host]) -> List[Finding]:
    """A ``cluster_endpoint`` that differs from that of another host."""
    wish = host.options.control_plane.endpoint
    first = next(one for one in hosts if one.options.control_plane.endpoint) if wish else host
    if wish == first.options.control_plane.endpoint:
        return []
    text = "cluster_endpoint is {0}, but {1} for {2}".format(wish, first.options.control_plane.endpoint, first.name)
    return [_error(host.name, text, "set it once, for all hosts")]


def _away(now: Cluster, wanted: str) -> List[Finding]:
    """The finding if the name must stay: site.yml, between two parts, would remove it from nodes that use it."""
    if not now.by_hosts or now.endpoint == wanted:
        return []
    text = "the endpoint of the cluster is already the name {0}, which can't be replaced".format(now.endpoint)
    return [_error("all", text, "remove cluster_endpoint; let the load balancer forward to the control planes")]


def _member_findings(request: Request, cluster: Cluster) -> List[Finding]:
    """Findings about hosts that another playbook must repair first."""
    found = []
    for host in request.hosts:
        state = host.kubeadm
        problems = operation.problems(state.operation)
        found += [Finding(host.name, COMPONENT, problem) for problem in problems]
        if state.operation and not problems:
            fix = "run {0} to finish it first".format("upgrade.yml" if state.unfinished_upgrade else "site.yml")
            found.append(_error(host.name, "has an unfinished operation '{0}'".format(state.operation.kind), fix))
        elif host.member and state.ca_cert_hash != cluster.ca_cert_hash:
            text = "is a node of another cluster ({0})".format(state.server or "unknown endpoint")
            found.append(_error(host.name, text, "remove it from the inventory, or reset it with reset.yml"))
        elif is_down(host, True):
            text = "the API server of this control plane does not answer: {0}".format(state.local_api.reason)
            found.append(_error(host.name, text, "see 'journalctl -u kubelet' and 'crictl ps -a' on it"))
    return found


def _missing(request: Request, now: Cluster, cluster: Cluster) -> List[Finding]:
    """Findings about nodes that are not in this run: errors for control planes, warnings for workers."""
    controls = {host.kubeadm.node_name for host in request.hosts if host.control_plane and host.member}
    known = {host.kubeadm.node_name for host in request.hosts if host.member}
    found = []
    absent = [node.name for node in now.nodes if node.control_plane and node.name not in controls]
    if absent and now.endpoint != cluster.endpoint:
        text = "each API server needs a certificate with the name {0}, but control planes do not take part: {1}".format(
            cluster.endpoint_place[0], ", ".join(absent)
        )
        fix = "make each of them reachable and run without --limit, or remove it with remove.yml"
        found.append(_error("all", text, fix))
    for node in now.nodes:
        if not node.control_plane and node.name not in known:
            text = "node {0} is unreachable or excluded, and keeps the current address of the API".format(node.name)
            fix = "run endpoint.yml with --limit for this node later, before a control plane is removed"
            found.append(_error("all", text, fix, "warning"))
    return found


def _control_plane_findings(request: Request, reference: Host, now: Cluster, cluster: Cluster) -> List[Finding]:
    found, address = [], _virtual_address(request.hosts)
    config = reference.kubeadm.api.config
    facts = reference.facts.endpoint
    if config is None:
        text = "the cluster does not have the ConfigMap kube-system/kubeadm-config"
        found.append(_error("all", text, "upload it with 'kubeadm init phase upload-config kubeadm'"))
    elif not facts.editable:
        text = "the ClusterConfiguration in the ConfigMap kubeadm-config is not formatted as kubeadm writes it"
        found.append(_error("all", text, "edit it so that apiServer and certSANs have one entry per line"))
    inside = [host for host in request.hosts if _is_control_plane(host) and host.member]
    if not any(host.name == reference.name for host in inside) and _cluster_steps(reference, now, cluster, ""):
        text = "the cluster does not have the endpoint {0} yet".format(cluster.endpoint)
        found.append(_error("all", text, "run endpoint.yml without --limit first"))
    ports = {urlsplit(host.kubeadm.local_api.url).port or 6443 for host in inside}
    if cluster.by_hosts and ports - {cluster.endpoint_place[1]}:
        text = "API servers listen on the ports {0}, but the endpoint has only one".format(
            ", ".join(str(port) for port in sorted(ports))
        )
        found.append(
            _error("all", text, "use the same port on all of them, or set cluster_endpoint to a load balancer")
        )
    for host in inside:
        own = host.facts.endpoint
        missing = parts.missing_names(own, _options(host, now, cluster, address))
        if missing and not own.ca_key:
            text = "/etc/kubernetes/pki/ca.key does not exist, so a certificate with the name {0} can't be created"
            text = text.format(" and ".join(missing))
            fix = "install an API server certificate with this name on each control plane, then run again"
            found.append(_error(host.name, text, fix))
        elif not own.served and not own.staged:
            text = "the API server does not present the certificate in {0}".format(CERTIFICATE)
            fix = "restart its container if the file was changed; a certificate in another file can't be managed"
            found.append(_error(host.name, text, fix))
        for path in OWN_KUBECONFIGS:
            server = own.servers.get(path, host.kubeadm.local_api.url)
            if server not in (host.kubeadm.local_api.url, MoveOptions(cluster.endpoint).server):
                text = "{0} names {1}, not the API server of this host".format(path, server)
                fix = "remove the file, run 'kubeadm init phase kubeconfig {0}', and restart its container".format(
                    path.rpartition("/")[2].partition(".")[0]
                )
                found.append(_error(host.name, text, fix, "warning"))
    return found


# -- steps


def _nothing(request: Request) -> Dict[str, HostPlan]:
    return {
        host.name: HostPlan(member=host.member, node_name=host.node_name, arguments=_ARGUMENTS)
        for host in request.hosts
    }


def _planned(request: Request, plan: Plan, reference: Host, now: Cluster) -> Plan:
    hosts = dict(plan.hosts)
    order: Dict[str, List[str]] = {"hosts_files": [], "certificates": [], "cluster": [], "kubeconfigs": []}
    # Control planes come first, because people use their kubeconfigs.
    address = _virtual_address(request.hosts)
    members = sorted((host for host in request.hosts if host.member), key=lambda host: not host.control_plane)
    for host in members:
        files, wanted = _hosts_files(host, request, plan.cluster)
        options = _options(host, now, plan.cluster, address)
        state = MoveState(host.kubeadm, host.facts.endpoint, host.facts.kubeconfig)
        certificate = parts.plan(state, options, parts.CERTIFICATE_PART) if _is_control_plane(host) else []
        shared = _cluster_steps(host, now, plan.cluster, address) if host.name == reference.name else []
        own = parts.plan(state, options, parts.NODE)
        for name, steps in zip(order, (files, certificate, shared, own), strict=True):
            order[name] += [host.name] if steps else []
        steps = [*files, *certificate, *shared, *own]
        arguments = {
            "endpoint": options.endpoint,
            "names": list(options.names),
            "address": options.address,
            "user": options.user,
            "install": options.install,
            "node": bool(own),
            "due": bool(steps),
        }
        hosts[host.name] = replace(hosts[host.name], steps=steps, endpoint=wanted, arguments=arguments)
    dead = [node.name for node in dead_outside(request.hosts, plan.cluster)]
    return replace(plan, hosts=hosts, move=Move(**order, dead_nodes=dead))


def _is_control_plane(host: Host) -> bool:
    return host.control_plane and host.kubeadm.role == "control_plane"


def _virtual_address(hosts: Sequence[Host]) -> str:
    """The virtual IP address that the certificates must have; empty without one. All control planes have the same."""
    return next((host.options.api_endpoint.address for host in hosts if host.control_plane), "")


def _certified(host: Host) -> Host:
    """The host after its certificate has got the virtual IP address in this run."""
    state = host.facts.api_endpoint
    if state.virtual_ip.certified is not False:
        return host
    state = replace(state, virtual_ip=replace(state.virtual_ip, certified=True))
    return replace(host, facts=replace(host.facts, api_endpoint=state))


def _options(host: Host, now: Cluster, cluster: Cluster, address: str) -> MoveOptions:
    options = host.options.kubeconfig
    old = now.endpoint_place[0]
    # A new certificate of a control plane has its own addresses in any case.
    own = {address for node in now.control_planes for address in [*node.addresses, node.name]}
    names = [old] if old and old not in own and old != cluster.endpoint_place[0] else []
    return MoveOptions(cluster.endpoint, names, options.user, options.install, address)


def _hosts_files(host: Host, request: Request, cluster: Cluster) -> Tuple[List[Step], Optional[Any]]:
    """The steps for the name in hosts files, and the endpoint for the component; nothing for an external endpoint."""
    if not cluster.by_hosts:
        return [], None
    wanted = endpoint.endpoint_of(host, request.hosts, Membership(), cluster)
    if wanted is None:
        return [], None
    return api_endpoint.plan(host.facts.api_endpoint, host.options.api_endpoint, wanted), wanted


def _cluster_steps(reference: Host, now: Cluster, cluster: Cluster, address: str) -> List[Step]:
    """The ConfigMaps that do not name the endpoint. The module reads them again and shows the difference."""
    facts, server = reference.facts.endpoint, MoveOptions(cluster.endpoint).server
    reason = "it does not name the endpoint {0}".format(cluster.endpoint)
    steps = []
    if now.endpoint != cluster.endpoint or (address and address not in facts.cert_sans):
        why = reason if now.endpoint != cluster.endpoint else "its certSANs do not have {0}".format(address)
        steps.append(Step(COMPONENT, "patch", "ConfigMap kube-system/kubeadm-config", why))
    if facts.cluster_info not in ("", server):
        steps.append(Step(COMPONENT, "patch", "ConfigMap kube-public/cluster-info", reason))
    if facts.kube_proxy not in ("", server):
        steps.append(Step(COMPONENT, "patch", "ConfigMap kube-system/kube-proxy", reason))
    if facts.kube_proxy not in ("", server) or facts.kube_proxy_pending:
        why = "its pods read the ConfigMap when they start"
        steps.append(Step(COMPONENT, "restart", "DaemonSet kube-system/kube-proxy", why))
    return steps
