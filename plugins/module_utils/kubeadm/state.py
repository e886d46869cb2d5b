# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of kubeadm on a machine: files, health of the local servers, and the cluster's API.

Nothing here changes a machine.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

from ..api_endpoint import hosts_file
from ..core import untrusted
from ..core.constants import (
    ADMIN_KUBECONFIG,
    BOOTSTRAP_KUBECONFIG,
    CA_CERTIFICATE,
    COMPONENTS,
    ETCD_MEMBER,
    KUBELET_CONFIG,
    KUBELET_FLAGS,
    PKI,
)
from ..core.releases import config_api
from ..core.system import System
from ..core.versions import parse
from ..core.x509 import ca_cert_hashes
from ..kube.api import Api, kubeconfig_server
from ..kube.cluster import ClusterApi, observe_api, wait_for_api
from ..kube.kubelet import kubelet_kubeconfig, node_name
from . import health, static_pods
from . import operation as operations
from .health import Health
from .operation import INIT, JOIN, UPGRADE, Operation
from .static_pods import StaticPod

#: Certificates and keys that a user may provide for kubeadm. They do not show that kubeadm has run.
OWN_CA_FILES = frozenset(
    ["ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub", "etcd/ca.crt", "etcd/ca.key"]
)

NONE, PARTIAL, DONE = "none", "partial", "done"


@dataclass(frozen=True)
class KubeadmState:
    """The state that kubeadm created on one machine.

    ``phase`` is ``none`` (nothing), ``partial`` (incomplete) or ``done``; ``reason`` is the evidence in one line.
    ``role`` is ``control_plane``, ``worker`` or empty. ``finished`` is true if the files show that an init or join was
    completed here, even if the API does not answer now: such a node must be repaired, not reset. ``own_ca`` is true if
    there are only certificate authorities, which ``kubeadm init`` uses. ``operation`` is the unfinished operation of
    this collection; ``reached`` is the phase that a control plane's files show. ``api`` is the cluster as the server in
    the admin kubeconfig reports it, which may be another control plane; ``local_api`` and ``etcd`` are the servers on
    this machine. ``static_pods`` maps the manifests on this machine to the versions of their images.
    """

    installed_version: str = ""
    config_api: str = ""
    admin_conf: bool = False
    super_admin_conf: bool = False
    kubelet_conf: bool = False
    bootstrap_kubelet_conf: bool = False
    ca_cert_hash: str = ""
    pki: List[str] = field(default_factory=list)
    manifests: List[str] = field(default_factory=list)
    static_pods: Dict[str, str] = field(default_factory=dict)
    etcd_data: bool = False
    node_name: str = ""
    server: str = ""
    leftovers: List[str] = field(default_factory=list)
    role: str = ""
    phase: str = NONE
    reason: str = ""
    finished: bool = False
    own_ca: bool = False
    operation: Optional[Operation] = None
    reached: str = ""
    api: ClusterApi = field(default_factory=ClusterApi)
    local_api: Health = Health()
    etcd: Health = Health()

    @property
    def unfinished_init(self) -> Optional[Operation]:
        """The init of this collection that has not ended here."""
        return self.operation if self.operation and self.operation.kind == INIT else None

    @property
    def unfinished_join(self) -> Optional[Operation]:
        """The join of this collection that has not ended here."""
        return self.operation if self.operation and self.operation.kind == JOIN else None

    @property
    def unfinished_upgrade(self) -> Optional[Operation]:
        """The upgrade that this collection started on this machine and that has not finished."""
        return self.operation if self.operation and self.operation.kind == UPGRADE else None


def observe(system: System, installed: str = "") -> KubeadmState:
    """Observe a machine. Never raises; takes about 0.1 s.

    ``installed`` is the version of its kubeadm, if it is known already. If a complete control plane has just been
    started, its API server gets 90 seconds to answer.
    """
    installed = installed or installed_version(system)
    version = parse(installed)
    admin = system.exists(ADMIN_KUBECONFIG)
    kubelet_conf = kubelet_kubeconfig(system)
    pods = static_pods.observe(system)
    pki = files_below(system, PKI)
    ca_hashes = ca_cert_hashes(system.read(CA_CERTIFICATE) or "")
    disk: Dict[str, Any] = {
        "installed_version": installed,
        "config_api": config_api(version) if version else "",
        "admin_conf": admin,
        "super_admin_conf": system.exists("/etc/kubernetes/super-admin.conf"),
        "kubelet_conf": kubelet_conf is not None,
        "bootstrap_kubelet_conf": system.exists(BOOTSTRAP_KUBECONFIG),
        "ca_cert_hash": ca_hashes[0] if ca_hashes else "",
        "pki": pki,
        "manifests": list(pods),
        "static_pods": {name: pod.version for name, pod in pods.items()},
        "etcd_data": system.exists(ETCD_MEMBER),
        "node_name": node_name(system, kubelet_conf),
        "server": kubeconfig_server(kubelet_conf or "") or kubeconfig_server(system.read(ADMIN_KUBECONFIG) or ""),
        "leftovers": [] if kubelet_conf is not None else _leftovers(system),
        "finished": kubelet_conf is not None and "kubelet-client-current.pem" in kubelet_conf,
        "operation": operations.observe(system),
    }
    if not admin:
        return classify(KubeadmState(**disk))
    api, local_api, etcd = ask_servers(system, pods)
    if disk["finished"] and (local_api.failed or not api.live) and kubelet_age(system) < _STARTING:
        # This machine's own server is the one that is starting.
        wait_for_api(Api(system, server=local_api.url), _STARTING / 2, "/readyz")
        api, local_api, etcd = ask_servers(system, pods)
    return classify(KubeadmState(api=api, local_api=local_api, etcd=etcd, **disk))


def ask_servers(system: System, pods: Mapping[str, StaticPod]) -> Tuple[ClusterApi, Health, Health]:
    """The cluster, this machine's API server and its etcd, queried in parallel. Never raises; takes at most 20 s."""
    found: Dict[str, Any] = {}

    def ask(name: str, question: Callable[[], Any]) -> threading.Thread:
        def run() -> None:
            found[name] = question()

        # A name server that never answers must not delay the observation of the machine.
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    threads = [
        ask("api", lambda: observe_api(Api(system, server=_instead_of_name(system, pods)))),
        ask("local_api", lambda: health.api_server(system, pods)),
        ask("etcd", lambda: health.etcd_member(system, pods)),
    ]
    deadline = time.monotonic() + _LONGEST
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = "no answer within {0:.0f} s".format(_LONGEST)
    url = static_pods.api_server_url(pods.get("kube-apiserver", StaticPod()))
    return (
        found.get("api", ClusterApi(reason=late)),
        found.get("local_api", Health(False, late, url)),
        found.get("etcd", Health(False, late, static_pods.etcd_url(pods.get("etcd", StaticPod())))),
    )


def _instead_of_name(system: System, pods: Mapping[str, StaticPod]) -> str:
    """This machine's own API server, if its hosts file has lost the name of the API; else empty."""
    server = kubeconfig_server(system.read(ADMIN_KUBECONFIG) or "")
    name = urlsplit(server).hostname or ""
    lost = hosts_file.is_endpoint_name(name) and not hosts_file.knows(system.read(hosts_file.HOSTS) or "", name)
    return static_pods.api_server_url(pods.get("kube-apiserver", StaticPod())) if lost else ""


def local_api_url(system: System) -> str:
    """The URL of this machine's own API server; empty without a manifest of it."""
    return static_pods.api_server_url(static_pods.observe(system).get("kube-apiserver", StaticPod()))


# Seconds for all servers together.
_LONGEST = 20.0
# Seconds after the kubelet's start in which a control plane may still be starting.
_STARTING = 180.0


def kubelet_age(system: System) -> float:
    """Seconds since the kubelet was started; infinity when it does not run."""
    show = ["systemctl", "show", "kubelet", "--property=ActiveState,ActiveEnterTimestampMonotonic"]
    properties = dict(line.split("=", 1) for line in system.run(show).stdout.splitlines() if "=" in line)
    since = properties.get("ActiveEnterTimestampMonotonic", "")
    if properties.get("ActiveState") != "active" or not since.isdigit():
        return float("inf")
    return time.monotonic() - int(since) / 1e6


def installed_version(system: System) -> str:
    """The version of the kubeadm command without ``v``; empty if it is not installed."""
    result = system.run(["kubeadm", "version", "-o", "json"], timeout=20.0)
    if not result.ok:
        return ""
    try:
        version = parse(str(untrusted.parse_json(result.stdout)["clientVersion"]["gitVersion"]))
    except (ValueError, KeyError, TypeError):
        return ""
    return str(version) if version else ""


def assume_version(state: KubeadmState, version: str) -> KubeadmState:
    """The state as it is once kubeadm is of this version; unchanged for ''."""
    parsed = parse(version)
    return replace(state, installed_version=version, config_api=config_api(parsed)) if parsed else state


# -- classification (pure)


def classify(state: KubeadmState) -> KubeadmState:
    """The state with ``role``, ``phase``, ``reason`` and ``own_ca`` derived from the other fields."""
    found = evidence(state)
    control_plane_manifests = [name for name in state.manifests if name in COMPONENTS]
    # kubeadm creates these only on control planes. Data of etcd may be a leftover of one.
    is_control_plane = bool(control_plane_manifests or state.admin_conf or state.etcd_data)
    leaf_certificates = [name for name in state.pki if name not in OWN_CA_FILES]
    # A worker has only ca.crt. Control planes have keys, and so do machines with a CA of the user.
    is_control_plane = is_control_plane or bool(leaf_certificates) or (bool(state.pki) and state.pki != ["ca.crt"])
    if not found:
        return replace(state, role="", phase=NONE, reason="there are no files of kubeadm", own_ca=False)
    if not is_control_plane:
        return _classify_worker(state, found)
    own_ca = state.pki != ["ca.crt"] and found == ["certificates"] and not leaf_certificates
    if state.operation:
        own_ca = own_ca and set(state.pki) <= set(state.operation.preexisting_pki)
    lacking = missing_parts(state)
    if state.unfinished_init:
        lacking.append("the completion of the init started at {0}".format(state.unfinished_init.began))
    if not lacking:
        return replace(
            state, role="control_plane", phase=DONE, own_ca=False, reason=_joined(found) + "; the API server answers"
        )
    return replace(
        state,
        role="control_plane",
        phase=PARTIAL,
        own_ca=own_ca,
        reached=reached(state),
        reason="found {0}; missing {1}".format(_joined(found), _joined(lacking)),
    )


def reached(state: KubeadmState) -> str:
    """The last phase of kubeadm that has left traces. A phase without traces may have started after it."""
    node = state.api.node(state.node_name)
    for there, phase in (
        (node is not None and node.control_plane, "mark-control-plane"),
        (state.api.config is not None, "upload-config"),
        (state.api.live, "wait-control-plane"),
        (bool(state.manifests) or state.etcd_data, "control-plane"),
        (state.admin_conf or state.kubelet_conf, "kubeconfig"),
        (bool(state.pki), "certs"),
    ):
        if there:
            return phase
    return ""


def evidence(state: KubeadmState) -> List[str]:
    """What of kubeadm's is on disk, in words."""
    found: List[str] = []
    if state.pki:
        found.append("certificates")
    for there, name in (
        (state.admin_conf, "admin.conf"),
        (state.super_admin_conf, "super-admin.conf"),
        (state.kubelet_conf, "kubelet.conf"),
        (state.bootstrap_kubelet_conf, "bootstrap-kubelet.conf"),
    ):
        if there:
            found.append(name)
    components = [name for name in state.manifests if name in COMPONENTS]
    if components:
        found.append("manifests of {0}".format(", ".join(components)))
    if state.etcd_data:
        found.append("etcd data")
    return found


def _classify_worker(state: KubeadmState, found: List[str]) -> KubeadmState:
    if state.kubelet_conf and not state.bootstrap_kubelet_conf:
        return replace(state, role="worker", phase=DONE, own_ca=False, reason="joined to {0}".format(state.server))
    lacking = ["the completion of the kubelet's TLS bootstrap"] if state.kubelet_conf else ["kubelet.conf"]
    reason = "found {0}; missing {1}".format(_joined(found), _joined(lacking))
    return replace(state, role="worker", phase=PARTIAL, own_ca=False, reason=reason)


def missing_parts(state: KubeadmState) -> List[str]:
    """The parts that a control plane does not have yet."""
    lacking: List[str] = []
    if not state.admin_conf:
        lacking.append("admin.conf")
    if not state.kubelet_conf:
        lacking.append("kubelet.conf")
    missing = [name for name in COMPONENTS[1:] if name not in state.manifests]
    if missing:
        lacking.append("manifests of {0}".format(", ".join(missing)))
    if not state.admin_conf:
        return lacking
    if not state.api.live:
        lacking.append("an API server that answers ({0})".format(state.api.reason))
        return lacking
    if state.local_api.failed:
        reason = "{0} does not answer: {1}".format(state.local_api.url, state.local_api.reason)
        lacking.append("a healthy API server on this host ({0})".format(reason))
    if state.api.config is None:
        lacking.append("the ConfigMap kubeadm-config")
    node = state.api.node(state.node_name)
    if node is None:
        lacking.append("a Node named {0}".format(state.node_name))
    elif not node.control_plane:
        lacking.append("the control plane label on Node {0}".format(state.node_name))
    return lacking


def _joined(words: List[str]) -> str:
    return words[0] if len(words) == 1 else "{0} and {1}".format(", ".join(words[:-1]), words[-1])


def files_below(system: System, folder: str, depth: int = 2) -> List[str]:
    """Paths of files below a folder, relative to it, sorted."""
    found: List[str] = []
    for name in system.names(folder):
        path = "{0}/{1}".format(folder, name)
        below = files_below(system, path, depth - 1) if depth > 1 else []
        if below:
            found.extend("{0}/{1}".format(name, one) for one in below)
        elif not os.path.isdir(system.path(path)):
            found.append(name)
    return sorted(found)


def _leftovers(system: System) -> List[str]:
    """Files an earlier cluster may have left that kubeadm itself does not look at."""
    found = ["/etc/cni/net.d/{0}".format(name) for name in system.names("/etc/cni/net.d") if not name.startswith(".")]
    for folder in ("/var/lib/cni", "/var/lib/calico"):
        if system.names(folder):
            found.append(folder)
    if system.names("/var/lib/etcd") and not system.exists(ETCD_MEMBER):
        found.append("/var/lib/etcd")
    for path in (KUBELET_CONFIG, KUBELET_FLAGS):
        if system.exists(path):
            found.append(path)
    return found
