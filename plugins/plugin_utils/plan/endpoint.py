# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The endpoint of the API as each host needs it. The addresses are those of control planes, never a worker's claim."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Dict, List, Optional, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.hosts_file import HOSTS
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import Endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip_config import peers_in
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import host_port
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import NONE

from ..cluster import Cluster
from ..hosts import Host
from . import virtual_ip
from .inventory import Inventory
from .membership import Membership

COMPONENT = "api_endpoint"
# An API server listens on all addresses of its machine.
_HERE = "127.0.0.1"


def endpoint_of(host: Host, hosts: Sequence[Host], planned: Membership, cluster: Cluster) -> Optional[Endpoint]:
    """The endpoint for the host; without a name if the hosts files of nodes do not have the endpoint.

    None if no address of a control plane is known. The host then keeps its current endpoint.
    """
    known = addresses(hosts, planned, cluster)
    name, port = cluster.endpoint_place
    shared = virtual_ip.virtual_ip_of(host, hosts, cluster)
    if not cluster.by_hosts:
        return Endpoint(virtual_ip=shared)
    own = ""
    if host.control_plane:
        # A kubelet that has just started has not reported its address.
        own = known.setdefault(host.node_name, host.address or _HERE)
    if not known:
        return None
    return Endpoint(name, port, own, list(dict.fromkeys(known.values())), shared)


def addresses(hosts: Sequence[Host], planned: Membership, cluster: Cluster) -> Dict[str, str]:
    """The addresses of the control planes by the names of their Nodes: first existing Nodes, then joining hosts.

    A dead control plane is included, because its Node still exists. The API decides which Nodes are control planes: a
    kubelet can't set that label on its own Node.
    """
    found = {node.name: node.internal_ip for node in cluster.control_planes}
    for host in hosts:
        becomes = host.name == planned.init_host or host.name in planned.joining
        if host.control_plane and becomes and not found.get(host.node_name):
            found[host.node_name] = host.address
    return {name: address for name, address in found.items() if address}


def api_address(
    host: Host, hosts: Sequence[Host], planned: Membership, cluster: Cluster, only_present: bool = False
) -> str:
    """The address of the API for a machine that can't resolve the endpoint; empty if it can.

    It is the virtual IP address, or else that of the host, which is a control plane. With ``only_present``, the run
    does not set up the virtual IP address, so it must be set up already.
    """
    wanted = endpoint_of(host, hosts, planned, cluster)
    if wanted is None or not wanted.own:
        return ""
    shared = virtual_ip.server(host, hosts, wanted.virtual_ip, cluster) if wanted.virtual_ip else ""
    if only_present and not virtual_ip.is_set_up(host, shared):
        shared = ""
    return shared or ("" if wanted.own == _HERE else wanted.own)


def without(leaving: Sequence[str], hosts: Sequence[Host], cluster: Cluster) -> Dict[str, Endpoint]:
    """The endpoints, by host, of the hosts that still have the address of a control plane that leaves or has left.

    ``leaving`` are names of Nodes, ``hosts`` those that stay. Members of other clusters are left out.
    """
    staying = replace(cluster, nodes=[node for node in cluster.nodes if node.name not in leaving])
    there = {node.internal_ip for node in staying.control_planes}
    found = {}
    for host in hosts:
        own = host.member and host.kubeadm.ca_cert_hash == cluster.ca_cert_hash
        present = host.facts.api_endpoint.control_planes
        wanted = endpoint_of(host, hosts, Membership(), staying) if cluster.by_hosts and own else None
        # Only a control plane that has left is a reason to change the host, even if a run was killed before it was
        # forgotten everywhere. site.yml adds control planes.
        if wanted is not None and (_interrupted(host, wanted) or not set(present) <= there | {wanted.own}):
            found[host.name] = wanted
    return found


def _interrupted(host: Host, wanted: Endpoint) -> bool:
    """True if a run was killed, or failed, so that the proxy, or keepalived, is not as it must be.

    Also the service of a package whose installation was not finished may run.
    """
    state, shared = host.facts.api_endpoint, host.facts.api_endpoint.virtual_ip
    if state.pending or state.restart_pending or (state.unit is not None and not wanted.proxied):
        return True
    if state.installing or (wanted.virtual_ip is not None and shared.installing):
        return True
    if wanted.virtual_ip is None or not wanted.virtual_ip.address:
        return False
    gone = set(peers_in(shared.config)) - set(wanted.virtual_ip.peers)
    return bool(gone) or shared.pending or shared.restart_pending


def obstacles(host: Host, wanted: Endpoint) -> List[Problem]:
    """What prevents the proxy of a worker from running: another program at its port, or no package."""
    return [*_taken(host, wanted), *_absent(host)] if wanted.proxied else []


def findings(inventory: Inventory, hosts: Sequence[Host], planned: Membership, cluster: Cluster) -> List[Finding]:
    """Problems of the endpoint: control planes that can't be added, different ports, a port that is in use.

    Those of the virtual IP address are among them.
    """
    found = _without_endpoint(inventory, hosts, planned, cluster) + _of_one_machine(inventory, planned, cluster)
    found += virtual_ip.findings(hosts, cluster)
    if not cluster.by_hosts:
        return found
    _name, port = cluster.endpoint_place
    for host in hosts:
        becomes = host.name == planned.init_host or host.name in planned.joining
        own_port = host.options.control_plane.bind_port
        if host.control_plane and becomes and own_port != port:
            text = "cluster_node_bind_port is {0}, but the API has the port {1} on all control planes ({2})".format(
                own_port, port, cluster.endpoint
            )
            fix = "set it to {0}, or for a new cluster set cluster_endpoint to a load balancer".format(port)
            found.append(Finding(host.name, COMPONENT, Problem("endpoint", text, fix)))
        wanted = endpoint_of(host, hosts, planned, cluster)
        if wanted is not None:
            found += [Finding(host.name, COMPONENT, problem) for problem in obstacles(host, wanted)]
    return found


def lost(host: Host, cluster: Cluster, component: str, interrupted: bool = False) -> List[Finding]:
    """The error about a node whose hosts file has lost the name of the API, so that no command on it finds the API.

    ``component`` is the one that needs the API there. With ``interrupted``, site.yml refuses to run for the host or a
    control plane before an upgrade is finished, so the finding is a warning, and the line is to be added by hand.
    """
    name = cluster.endpoint_place[0]
    known = any(name in line.split()[1:] for line in host.facts.api_endpoint.hosts.get(HOSTS, ()))
    if not cluster.by_hosts or not host.member or known:
        return []
    text = "{0} does not have the block of this collection with {1}, the name of the API".format(HOSTS, name)
    if interrupted:
        fix = "add a line with the address of a control plane and this name to {0}".format(HOSTS)
        return [Finding(host.name, component, Problem("endpoint", text, fix, "warning"))]
    return [Finding(host.name, component, Problem("endpoint", text, "run site.yml for this host first"))]


def _without_endpoint(
    inventory: Inventory, hosts: Sequence[Host], planned: Membership, cluster: Cluster
) -> List[Finding]:
    """A control plane can't be added to a cluster that was created without an endpoint."""
    if not cluster.exists or cluster.endpoint or len(inventory.control_plane) < 2:
        return []
    joins = [host for host in hosts if host.name in planned.joining and host.control_plane]
    text = "this cluster was created without an endpoint, so a second control plane can't join"
    fix = "run endpoint.yml first, which gives the cluster an endpoint that is a name"
    return [Finding("all", "join", Problem("endpoint", text, fix, "error" if joins else "warning"))]


def _of_one_machine(inventory: Inventory, planned: Membership, cluster: Cluster) -> List[Finding]:
    """A warning if control planes are added to a cluster whose endpoint is the address of one of them."""
    place = cluster.endpoint_place[0]
    holder = next((node.name for node in cluster.control_planes if place in node.addresses), "") if place else ""
    if not cluster.exists or not holder or not set(planned.joining) & set(inventory.control_plane):
        return []
    text = "the endpoint of the cluster is the address of {0}, so nodes lose the API when this machine fails".format(
        holder
    )
    fix = "run endpoint.yml to give the cluster an endpoint that is a name"
    return [Finding("all", "join", Problem("endpoint", text, fix, "warning"))]


def not_moved(host: Host, cluster: Cluster) -> List[Finding]:
    """A warning about a worker whose kubelet does not use the name yet, because endpoint.yml did not change it."""
    if not cluster.by_hosts:
        return []
    server = host.kubeadm.server
    wanted = "https://{0}".format(host_port(*cluster.endpoint_place))
    if host.control_plane or not host.member or not cluster.exists or server in ("", wanted):
        return []
    text = "its kubelet reaches the API at {0}, not at the endpoint of the cluster".format(server)
    fix = "run endpoint.yml for this host, before a control plane is removed"
    return [Finding(host.name, COMPONENT, Problem("endpoint", text, fix, "warning"))]


def stranded(host: Host, cluster: Cluster, leaves: Callable[[str], bool]) -> List[Finding]:
    """A warning about a node whose kubelet reaches the API at a control plane that leaves.

    ``leaves`` is true for the URL of such a control plane.
    """
    server = host.kubeadm.server
    own = host.member and host.kubeadm.ca_cert_hash == cluster.ca_cert_hash
    if not own or not leaves(server):
        return []
    text = "its kubelet reaches the API at {0}, a control plane that leaves".format(server)
    return [Finding(host.name, COMPONENT, Problem("endpoint", text, "run endpoint.yml for this host", "warning"))]


def _absent(host: Host) -> List[Problem]:
    """The package of the proxy, if a worker needs it and can't install it."""
    reason = host.facts.api_endpoint.absent
    if host.facts.api_endpoint.haproxy or not reason:
        return []
    text = "the local proxy to the control planes needs the package haproxy, which can't be installed: {0}".format(
        reason
    )
    fix = "enable a repository that has it and update the package lists (apt-get update), or install the package"
    return [Problem("endpoint", text, fix)]


def _taken(host: Host, wanted: Endpoint) -> List[Problem]:
    """Another program at the address and port at which the proxy of a worker will listen."""
    ports, state, kubeadm = host.facts.ports, host.facts.api_endpoint, host.kubeadm
    # With a unit, it is the proxy itself. A control plane that the inventory calls a worker has findings of its own.
    own = state.unit is not None or (kubeadm.phase != NONE and kubeadm.role == "control_plane")
    if own or wanted.port not in ports.loopback.get(wanted.loopback, ()):
        return []
    holder = ports.processes.get(str(wanted.port))
    text = "port {0} of the local proxy for {1} is in use{2}".format(
        wanted.port, wanted.name, " by " + holder if holder else ""
    )
    return [Problem("port_taken", text, "stop the program (ss -ltnp)")]
