# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The existing or future cluster, as rules and planners see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import hosts_file
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import normal_address, parse_endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node


@dataclass(frozen=True)
class Cluster:
    """The cluster as it is, or as the variables describe it if it does not exist yet (``exists`` is false).

    ``version`` is the version of its API servers, or the requested version. ``endpoint`` is empty if the cluster was
    created without one. Ranges are CIDRs, or one of each family separated by a comma. ``cgroup_driver`` is the driver
    of its kubelets, if it is known. ``nodes`` are the Nodes in its API, by name. ``name`` is kubeadm's name of the
    cluster; empty for kubeadm's default.
    """

    exists: bool = False
    version: str = ""
    name: str = ""
    endpoint: str = ""
    pod_cidr: str = ""
    service_cidr: str = ""
    dns_domain: str = ""
    ca_cert_hash: str = ""
    cgroup_driver: str = ""
    nodes: Sequence[Node] = field(default=(), repr=False)

    def node(self, name: str) -> Optional[Node]:
        """The Node of that name."""
        return next((node for node in self.nodes if node.name == name), None)

    @property
    def by_hosts(self) -> bool:
        """True if the endpoint is the name derived from ``name``, which nodes resolve by their hosts files."""
        return self.endpoint_place[0] == hosts_file.endpoint_name(self.name)

    @property
    def endpoint_place(self) -> Tuple[str, int]:
        """Host and port of the endpoint; an empty host if there is no endpoint or if it is invalid.

        An address has its canonical form, like those of Nodes.
        """
        try:
            place, port = parse_endpoint("cluster_endpoint", self.endpoint) if self.endpoint else ("", 0)
        except OptionError:
            return "", 0
        return normal_address(place), port

    @property
    def control_planes(self) -> List[Node]:
        """The Nodes that are control planes, those that report first."""
        return sorted((node for node in self.nodes if node.control_plane), key=lambda node: node.silent)

    @property
    def variables(self) -> Dict[str, str]:
        """The variables that the cluster settles for every host, by their names."""
        return {
            "cluster_pod_cidr": self.pod_cidr,
            "cluster_service_cidr": self.service_cidr,
            "cluster_endpoint": self.endpoint,
            "cluster_dns_domain": self.dns_domain,
        }

    def public(self) -> Dict[str, Any]:
        """The cluster as plain data, with no more than the names of its nodes."""
        names = ("exists", "version", "endpoint", "pod_cidr", "service_cidr", "dns_domain")
        return dict({name: getattr(self, name) for name in names}, nodes=[node.name for node in self.nodes])
