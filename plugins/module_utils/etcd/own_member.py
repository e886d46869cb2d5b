# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes this machine's member from the cluster's etcd before the machine's files are deleted.

A member that never comes back still counts for the majority: of two, a missing one stops the cluster. kubeadm reset
only warns if it could not remove the member.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from ..api_endpoint import hosts_file
from ..core.addresses import host_port, normal_address, plain_address
from ..core.constants import ADMIN_KUBECONFIG, MANIFESTS
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.system import System
from ..core.untrusted import mapping, mappings, text
from ..host import interfaces
from ..kube.api import kubeconfig_server
from ..kube.kubectl import NODES, Kubectl
from ..kube.nodes import read_nodes
from . import members
from .client import CA, CERTIFICATE, CLIENT_URLS, KEY, Client

API_SERVER = MANIFESTS + "/kube-apiserver.yaml"
PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd"


def leave(
    system: System,
    request: Client,
    patience: float = 60.0,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> bool:
    """Remove this machine's member through the other members. True if there was one.

    Waits up to ``patience`` seconds for the API and again for etcd. Raises :class:`KubesteadError` if the member may
    still exist after that.
    """
    if not all(system.exists(path) for path in (ADMIN_KUBECONFIG, CA, CERTIFICATE, KEY, API_SERVER)):
        # kubeadm adds the member after it has written all of these; the API server's manifest is the last.
        return False
    own = [one.address for one in interfaces.addresses(interfaces.query(system, "address"))]
    try:
        others = _others(system, own, patience, clock, sleep)
        return bool(others) and members.remove(others, request, "", own, patience, clock, sleep)
    except KubesteadError as err:
        raise KubesteadError("{0} (nothing was changed on this host)".format(err.message), err.details) from err


def _others(
    system: System, own: Sequence[str], patience: float, clock: Optional[Clock], sleep: Optional[Sleep]
) -> List[str]:
    """The client URLs of the other members; empty if the cluster uses an etcd that kubeadm does not manage."""
    found: List[str] = []
    failure = ""

    def is_known() -> bool:
        nonlocal failure
        for server in other_servers(system):
            kubectl = Kubectl(system, server=server, request_timeout=5)
            try:
                answers = kubectl.each(PODS, NODES)
                pods, nodes = _items(next(answers)), read_nodes(next(answers))
            except (KubesteadError, OSError) as err:
                failure = getattr(err, "message", "") or str(err)
                continue
            failure = "the API does not list another etcd member"
            # A kubelet can create pods with any label on its own Node, but it can't label its Node as a control plane.
            found[:] = client_urls(pods, own, [node.name for node in nodes if node.control_plane])
            return bool(found) or not pods
        return False

    if not poll(is_known, patience, pause=1.0, clock=clock, sleep=sleep):
        raise KubesteadError(
            "this host can't be removed from etcd ({0}); run again once the other control planes are healthy".format(
                failure
            )
        )
    return found


def other_servers(system: System) -> List[str]:
    """The URLs of the API servers of the other control planes, then an empty text for the server in the kubeconfig.

    On a control plane, the name of the API leads to its own API server first, which may accept connections and not
    answer.
    """
    try:
        port = urlsplit(kubeconfig_server(system.read(ADMIN_KUBECONFIG) or "")).port or 443
        # The first line is that of the machine itself.
        lines = hosts_file.block(system.read(hosts_file.HOSTS) or "")[1:]
        addresses = [str(plain_address(line.split()[0])) for line in lines if line]
    except ValueError:
        return [""]
    return [*("https://{0}".format(host_port(address, port)) for address in addresses), ""]


def _items(answer: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """The items of a PodList. Raises OSError for an answer of another shape, which does not mean that no pods exist."""
    found = mappings(answer.get("items"))
    if not isinstance(answer.get("items"), list) or len(found) < len(answer["items"]):
        raise OSError("the answer does not have a list of items")
    return found


def client_urls(pods: Sequence[Mapping[str, Any]], own: Sequence[str], controls: Sequence[str]) -> List[str]:
    """The client URLs of the members by their pods, without those of the machine with the addresses ``own``.

    ``controls`` are the names of the Nodes that are control planes; pods on other Nodes are ignored.
    """
    urls = []
    for pod in pods:
        notes = mapping(mapping(pod.get("metadata")).get("annotations"))
        url = text(notes.get(CLIENT_URLS))
        if text(mapping(pod.get("spec")).get("nodeName")) in controls and _host(url) and _host(url) not in own:
            urls.append(url)
    return urls


def _host(url: str) -> str:
    """The host in a URL, an address in its canonical form; empty for text of another form."""
    try:
        return normal_address(str(urlsplit(url).hostname or ""))
    except ValueError:
        return ""
