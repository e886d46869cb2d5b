# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copies of the admin kubeconfig that an upgrade makes stale: those of users, and that on the control machine.

kubeadm renews the certificate in the admin kubeconfig of each control plane that it upgrades. The certificate in a copy
stays valid, but only until its own end, which an upgrade no longer moves. Pure.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import host_port
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigSummary

from ..cluster import Cluster
from ..hosts import Host
from ..kubeconfig_copy import copy_path, with_server
from . import endpoint
from .membership import Membership
from .result import Request


def copy_server(address: str, cluster: Cluster) -> str:
    """The server in a copy on the control machine, where the endpoint is a name that only nodes resolve; else empty."""
    return "https://{0}".format(host_port(address, cluster.endpoint_place[1])) if address else ""


def of_another(
    copy: Optional[KubeconfigSummary], host: Host, hosts: Sequence[Host], servers: Mapping[str, str]
) -> bool:
    """True if a copy on the control machine is the admin kubeconfig of another control plane than ``host``.

    ``servers`` has the result of :func:`copy_server` for each control plane. The copy must have the server of ``host``,
    or that of the other control plane if its API server is healthy.

    Each control plane has a client certificate of its own, and all of them are valid. Which control plane answers first
    can differ between runs.
    """
    own = with_server(host.facts.kubeconfig.source, servers.get(host.name, ""))
    if copy is None or own is None:
        return False
    for one in hosts:
        other = with_server(one.facts.kubeconfig.source, servers.get(one.name, ""))
        if one.name == host.name or not one.control_plane or other is None or not kubeconfig.contains(copy, other):
            continue
        healthy = one.kubeadm.api.live and not one.kubeadm.local_api.failed
        if copy.servers == own.servers or (healthy and copy.servers == other.servers):
            return True
    return False


def refreshed(host: Host, request: Request, cluster: Cluster, renewed: bool) -> Tuple[List[Step], Dict[str, Any]]:
    """The steps for the stale copies of a control plane, and the arguments of the module kubeconfig for them.

    With ``renewed``, kubeadm renews the admin kubeconfig before. Without it, copies may be stale because a run was
    killed after kubeadm. Copies that do not exist are left to site.yml, and those with another content are kept.
    """
    source = host.facts.kubeconfig.source
    if not host.control_plane or source is None:
        return [], {}
    wanted = kubeconfig.renewed(source) if renewed else source
    options, state = host.options.kubeconfig, host.facts.kubeconfig
    own = options.install and not state.problem and kubeconfig.is_stale(state.existing, wanted)
    # A copy that site.yml created from another control plane is replaced only when kubeadm renews the certificates.
    here = host.name in request.inventory.control_plane[:1] and kubeconfig.is_stale(request.kubeconfig_copy, wanted)
    addresses = {
        one.name: endpoint.api_address(one, request.hosts, Membership(), cluster)
        for one in request.hosts
        if one.control_plane
    }
    servers = {name: copy_server(address, cluster) for name, address in addresses.items()}
    here = here and (renewed or not of_another(request.kubeconfig_copy, host, request.hosts, servers))
    targets = [state.path] * own + [copy_path(options.copy_to)] * here
    if not targets:
        return [], {}
    reason = "the certificate in admin.conf is renewed" if renewed else "it differs from admin.conf"
    arguments = {
        "install": own,
        "user": options.user,
        "copy_to": options.copy_to if here else "",
        "copy_server": servers[host.name],
        "renewed": renewed,
    }
    return [Step(kubeconfig.COMPONENT, "write_kubeconfig", target, reason) for target in targets], arguments
