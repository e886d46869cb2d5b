# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What names the endpoint of a cluster: certificates, kubeconfigs and ConfigMaps, for a change of the endpoint.

Users may have edited all of it, so each part is read tolerantly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ..core import untrusted
from ..core.addresses import normal_address
from ..core.constants import ADMIN_KUBECONFIG, KUBELET_KUBECONFIG, PKI
from ..core.https import Answer
from ..core.system import System
from ..core.x509 import certificate_names
from ..kube.api import Api, kubeconfig_server
from ..kube.kubectl import KUBEADM_CONFIG
from . import cluster_info, endpoint_text
from .serving_certificate import CERTIFICATE, STAGING, peer_certificate, same_certificate
from .state import KubeadmState

KUBE_PROXY = "/api/v1/namespaces/kube-system/configmaps/kube-proxy"
#: The annotation of a ConfigMap whose pods have not been restarted since its change: the time of the change.
RESTART = "kubestead.cluster/restart-pods"
#: It exists between a change of kubelet.conf and the end of the restart of the kubelet. It has the previous server.
KUBELET_PENDING = "/var/lib/kubestead/endpoint/previous-kubelet-server"
SUPER_ADMIN_KUBECONFIG = "/etc/kubernetes/super-admin.conf"
#: kubeadm writes the address of the own API server into these.
OWN_KUBECONFIGS = ("/etc/kubernetes/controller-manager.conf", "/etc/kubernetes/scheduler.conf")
KUBECONFIGS = (SUPER_ADMIN_KUBECONFIG, ADMIN_KUBECONFIG)


@dataclass(frozen=True)
class EndpointFacts:
    """The facts. Those below ``ca_key`` are of the cluster, and only a control plane has them.

    ``names`` are those in the certificate file of the API server; ``served`` is true if the API server uses this file.
    ``staged`` is true after an interrupted change of the certificate. ``servers`` maps kubeconfigs to their servers.
    ``kubelet_pending`` is true if the kubelet was not restarted after a change of its kubeconfig. ``ca_key`` is true if
    the key of the CA is on the machine.

    ``editable`` is true if the ClusterConfiguration can be changed line by line. ``cert_sans`` are the names in it that
    certificates of later control planes get, addresses in their canonical form. ``cluster_info`` and ``kube_proxy``
    are the servers in these ConfigMaps; empty without one. ``kube_proxy_pending`` is true if the pods of kube-proxy
    were not restarted after a change.
    """

    names: List[str] = field(default_factory=list)
    served: bool = False
    staged: bool = False
    servers: Dict[str, str] = field(default_factory=dict)
    kubelet_pending: bool = False
    ca_key: bool = False
    editable: bool = False
    cert_sans: List[str] = field(default_factory=list)
    cluster_info: str = ""
    kube_proxy: str = ""
    kube_proxy_pending: bool = False


def observe(system: System, state: KubeadmState, peer: Any = peer_certificate) -> EndpointFacts:
    """The facts of a machine. Never raises. ``peer`` gives the certificate of the server at a URL (PEM)."""
    files = [KUBELET_KUBECONFIG, *KUBECONFIGS, *OWN_KUBECONFIGS]
    servers = {path: kubeconfig_server(system.read(path) or "") for path in files}
    own = EndpointFacts(
        servers={path: server for path, server in servers.items() if server},
        kubelet_pending=system.exists(KUBELET_PENDING),
    )
    if not state.admin_conf or not state.local_api.url:
        return own
    certificate = system.read(CERTIFICATE) or ""
    config, public, proxy = (
        read_config_map(answer)
        for answer in Api(system, server=state.local_api.url).get(KUBEADM_CONFIG, cluster_info.PATH, KUBE_PROXY)
    )
    text = data_of(config, "ClusterConfiguration")
    return EndpointFacts(
        names=certificate_names(certificate),
        served=same_certificate(certificate, peer(state.local_api.url)),
        staged=system.exists(STAGING),
        servers=own.servers,
        kubelet_pending=own.kubelet_pending,
        ca_key=system.exists("{0}/ca.key".format(PKI)),
        editable=endpoint_text.with_endpoint(text, "example.org:6443", ["example.org"]) is not None,
        cert_sans=[normal_address(name) for name in endpoint_text.cert_sans(text) or []],
        cluster_info=kubeconfig_server(data_of(public, "kubeconfig")),
        kube_proxy=kubeconfig_server(data_of(proxy, "kubeconfig.conf")),
        kube_proxy_pending=pending_restart(proxy) != "",
    )


def read_config_map(answer: Answer) -> Dict[str, Any]:
    """The ConfigMap in an answer; empty without one."""
    try:
        return dict(untrusted.mapping(untrusted.parse_json(answer.body))) if answer.ok else {}
    except ValueError:
        return {}


def data_of(config_map: Optional[Any], key: str) -> str:
    """A text in a ConfigMap, unchanged; empty without one."""
    text = untrusted.mapping(untrusted.mapping(config_map).get("data")).get(key)
    return text if isinstance(text, str) else ""


def pending_restart(config_map: Optional[Any]) -> str:
    """The time of the change after which the pods have not been restarted; empty if there is none."""
    notes = untrusted.mapping(untrusted.mapping(untrusted.mapping(config_map).get("metadata")).get("annotations"))
    return untrusted.text(notes.get(RESTART), 64)
