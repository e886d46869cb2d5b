# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Determines the existing or future cluster once, before the steps are planned."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import hosts_file
from ansible_collections.kubestead.cluster.plugins.module_utils.core import addresses as network
from ansible_collections.kubestead.cluster.plugins.module_utils.core import mappings
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterConfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import limits
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions

from ..cluster import Cluster
from ..hosts import Host, Options
from ..rules import range_rules

COMPONENT = "cluster"

DEFAULT_POD_CIDR = "10.244.0.0/16"
# If a host has an address in the first range, the next free range is used.
POD_CIDR_CHOICES = (DEFAULT_POD_CIDR, "10.245.0.0/16", "10.246.0.0/16", "172.30.0.0/16", "100.72.0.0/16")


def decide(hosts: Sequence[Host], reference: Optional[Host]) -> Tuple[Cluster, List[Finding]]:
    """The cluster as ``reference``, a live control plane, reports it; without one, the cluster to create.

    The findings are about ranges: variables that contradict the cluster, or no range that is free.
    """
    if reference:
        cluster = existing(reference)
        return cluster, _differences(hosts, cluster)
    return _requested(hosts)


def existing(reference: Host) -> Cluster:
    """The cluster as a live control plane reports it."""
    api = reference.kubeadm.api
    config = api.config or ClusterConfig()
    return Cluster(
        exists=True,
        version=api.server_version,
        name=config.cluster_name,
        # kubeadm writes controlPlaneEndpoint only if one was requested.
        endpoint=config.endpoint,
        pod_cidr=limits.normal_cidrs(config.pod_cidr),
        service_cidr=limits.normal_cidrs(config.service_cidr),
        dns_domain=config.dns_domain,
        ca_cert_hash=reference.kubeadm.ca_cert_hash,
        cgroup_driver=reference.facts.containerd.kubelet_driver,
        nodes=tuple(api.nodes),
    )


def _requested(hosts: Sequence[Host]) -> Tuple[Cluster, List[Finding]]:
    first = next((host.options for host in hosts if host.control_plane), hosts[0].options if hosts else Options())
    options = first.control_plane
    pod_cidr, findings = limits.normal_cidrs(options.pod_cidr), []
    if not pod_cidr:
        pod_cidr = choose_pod_cidr(hosts, options.service_cidr)
        if not pod_cidr:
            text = "no default pod range is free: hosts have addresses in all of {0}".format(
                ", ".join(POD_CIDR_CHOICES)
            )
            fix = "set cluster_pod_cidr to a range that no host uses"
            findings.append(Finding("all", COMPONENT, Problem("pod_cidr_default", text, fix)))
    name = str(mappings.get(options.config.get("ClusterConfiguration"), ["clusterName"]) or "")
    # Always a name, even for one control plane, so that it can become several without new certificates for the nodes.
    derived = network.host_port(hosts_file.endpoint_name(name), options.bind_port)
    cluster = Cluster(
        version=options.kubernetes_version,
        name=name,
        endpoint=options.endpoint or derived,
        pod_cidr=pod_cidr,
        service_cidr=limits.normal_cidrs(options.service_cidr),
        dns_domain=options.dns_domain,
    )
    return cluster, findings


def choose_pod_cidr(hosts: Sequence[Host], service_cidr: str) -> str:
    """The default range with the least conflict with the networks of hosts; empty if hosts use every default range.

    This is the first range in which no host has an address or route. If there is no such range, it is the first range
    that is only part of a larger network of a host, like that of a VPN.
    """
    services = range_rules.parsed(service_cidr)
    second = ""
    for choice in POD_CIDR_CHOICES:
        pods = network.parse_cidrs("cluster_pod_cidr", choice)
        if network.overlapping(pods, services):
            continue
        used = [hit for host in hosts for hit in range_rules.host_overlaps(host, pods)]
        if not used:
            return choice
        if not any(hit.inside for hit in used):
            second = second or choice
    return second


def _differences(hosts: Sequence[Host], cluster: Cluster) -> List[Finding]:
    """Ranges in the variables of hosts that are not those of the cluster."""
    found = []
    for host in hosts:
        options = host.options.control_plane
        if options.pod_cidr and cluster.pod_cidr and limits.normal_cidrs(options.pod_cidr) != cluster.pod_cidr:
            text = "cluster_pod_cidr is {0}, but the cluster runs with {1}".format(options.pod_cidr, cluster.pod_cidr)
            fix = "set it to {0}: a cluster's pod range can't be changed".format(cluster.pod_cidr)
            found.append(Finding(host.name, COMPONENT, Problem("pod_cidr_differs", text, fix)))
        service_cidr = limits.normal_cidrs(options.service_cidr)
        # The default is not a request: the user need not repeat the range of an existing cluster.
        wished = service_cidr not in ("", ControlPlaneOptions.service_cidr)
        if wished and cluster.service_cidr and service_cidr != cluster.service_cidr:
            text = "cluster_service_cidr is {0}, but the cluster runs with {1}".format(
                options.service_cidr, cluster.service_cidr
            )
            fix = "set it to {0}: a cluster's service range can't be changed".format(cluster.service_cidr)
            found.append(Finding(host.name, COMPONENT, Problem("service_cidr_differs", text, fix)))
    return found
