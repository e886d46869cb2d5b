# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observes what a reset must remove from a machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence, Tuple

from ..api_endpoint import component as api_endpoint
from ..api_endpoint import proxy_config, virtual_ip, virtual_ip_config
from ..api_endpoint.hosts_file import BEGIN
from ..api_endpoint.proxy_config import UNIT as ENDPOINT_UNIT
from ..api_endpoint.proxy_config import UNIT_NAME as ENDPOINT_UNIT_NAME
from ..api_endpoint.virtual_ip_config import UNIT as VIRTUAL_IP_UNIT
from ..api_endpoint.virtual_ip_config import UNIT_NAME as VIRTUAL_IP_UNIT_NAME
from ..core.constants import ADMIN_KUBECONFIG, CA_CERTIFICATE, KUBELET_KUBECONFIG, MANIFESTS, PKI
from ..core.system import System
from ..core.x509 import ca_cert_hashes
from ..kube import kubeconfig
from ..kubeadm import operation as operations
from ..kubeadm.operation import Operation
from ..kubeadm.state import OWN_CA_FILES, files_below
from ..pod_network.bridge import UNIT, UNIT_NAME
from . import netfilter, network, paths, prepared, runtime
from .netfilter import Change
from .network import Route
from .prepared import Prepared
from .runtime import Runtime

#: The systemd units of this collection (name -> file).
UNITS: Dict[str, str] = {
    UNIT_NAME: UNIT,
    ENDPOINT_UNIT_NAME: ENDPOINT_UNIT,
    VIRTUAL_IP_UNIT_NAME: VIRTUAL_IP_UNIT,
}
#: The units of packages that this collection installs, and the files that exist during an installation.
PACKAGE_UNITS: Dict[str, str] = {
    proxy_config.PACKAGE_UNIT: proxy_config.INSTALLING,
    virtual_ip_config.PACKAGE_UNIT: virtual_ip_config.INSTALLING,
}
DEFAULT_SOCKET = "unix:///run/containerd/containerd.sock"


@dataclass(frozen=True)
class ResetOptions:
    """Options of a reset. ``preparation`` also removes packages, containerd and system settings.

    ``kubeconfig_user`` is the user whose kubeconfig is removed in addition to root's; empty for the login user.
    """

    preparation: bool = False
    cri_socket: str = DEFAULT_SOCKET
    kubeconfig_user: str = ""


@dataclass(frozen=True)
class UserKubeconfig:
    """A user's kubeconfig of this cluster. ``backup`` is true if a backup of the replaced file exists."""

    path: str
    uid: int
    gid: int
    backup: bool = False


@dataclass(frozen=True)
class ResetState:
    """What a cluster left on a machine. The defaults describe a machine without anything to remove.

    ``files`` and ``network_files`` are (path, description). ``folders`` are empty, or will be after the reset.
    ``mounts`` are the mount points below the kubelet's folder, innermost first. ``package_units`` are the
    services of packages whose installation was interrupted before they were disabled. ``virtual_ip`` is the virtual IP
    address of the API if the machine has it, else empty. ``hosts_files`` contain addresses of the API. ``kept`` are
    files that were not created by this collection or kubeadm; the reset keeps them. ``ca_cert_hashes`` pin the CA of
    the machine's cluster.
    """

    kubeadm: bool = False
    kubelet_active: bool = False
    runtime: Runtime = Runtime()
    slices: List[str] = field(default_factory=list)
    mounts: List[str] = field(default_factory=list)
    namespaces: List[str] = field(default_factory=list)
    links: List[str] = field(default_factory=list)
    tunnel: bool = False
    routes: List[Route] = field(default_factory=list)
    rules: List[Change] = field(default_factory=list)
    nft_tables: List[str] = field(default_factory=list)
    sets: List[str] = field(default_factory=list)
    virtual_servers: List[List[str]] = field(default_factory=list)
    units: List[str] = field(default_factory=list)
    package_units: List[str] = field(default_factory=list)
    virtual_ip: str = ""
    files: List[Tuple[str, str]] = field(default_factory=list)
    static_pods: bool = False
    network_files: List[Tuple[str, str]] = field(default_factory=list)
    hosts_files: List[str] = field(default_factory=list)
    certificates: bool = False
    kubeconfigs: List[UserKubeconfig] = field(default_factory=list)
    folders: List[str] = field(default_factory=list)
    kept: List[str] = field(default_factory=list)
    ca_cert_hashes: List[str] = field(default_factory=list)
    operation: Optional[Operation] = None
    prepared: Optional[Prepared] = None
    plugins: List[str] = field(default_factory=list)


def observe(system: System, options: ResetOptions) -> ResetState:
    """Observe the machine. Changes nothing; takes about 0.3 s."""
    operation = operations.observe(system)
    preexisting = operation.preexisting_pki if operation else []
    hashes = _ca_hashes(system, operation)
    files = paths.present(system, paths.CLUSTER)
    other_etcd = [path for path, _what in files if path == paths.ETCD and paths.is_other_etcd(system)]
    files = [one for one in files if one[0] not in other_etcd]
    data = _etcd_data(system)
    if data:
        files.append((data, "etcd data"))
    network_files = [*paths.present(system, paths.POD_NETWORK)]
    network_files += paths.present(system, paths.ENDPOINT)
    network_files += [(path, "results of CNI plugins") for path in paths.cni_results(system)]
    shared = virtual_ip.observe(system)
    active = system.run(["systemctl", "is-active", "kubelet"]).stdout.strip()
    containerd = runtime.observe(system)
    plugins = prepared.calico_plugins(system) if options.preparation else []
    going = [path for path, _what in [*files, *network_files]] + plugins
    return ResetState(
        kubeadm=system.run(["kubeadm", "version", "-o", "short"], timeout=20.0).ok,
        # systemd keeps restarting a kubelet without a configuration, so such a kubelet does not count as active.
        kubelet_active=active in ("active", "activating", "reloading") and _was_configured(files),
        runtime=containerd,
        slices=runtime.slices(system),
        mounts=paths.mounts_below(system, paths.KUBELET),
        namespaces=network.namespaces(system),
        links=network.links(system),
        tunnel=network.tunnel_in_use(system),
        routes=network.routes(system),
        rules=netfilter.observe(system),
        nft_tables=netfilter.nft_tables(system),
        sets=network.sets(system),
        virtual_servers=network.virtual_servers(system),
        units=[name for name, path in UNITS.items() if system.exists(path)],
        package_units=[name for name, marker in PACKAGE_UNITS.items() if system.exists(marker)],
        virtual_ip=shared.address if shared.held else "",
        files=files,
        static_pods=bool(paths.present(system, paths.EMPTIED)),
        network_files=network_files,
        hosts_files=_hosts_files(system),
        certificates=paths.certificates(system, preexisting) and not (operation is None and _own_ca(system, files)),
        kubeconfigs=_kubeconfigs(system, options, hashes),
        folders=paths.empty_folders(system, options.preparation, going),
        kept=[*paths.foreign(system), *other_etcd],
        ca_cert_hashes=hashes,
        operation=operation,
        prepared=prepared.observe(system, bool(containerd.others)) if options.preparation else None,
        plugins=plugins,
    )


def _hosts_files(system: System) -> List[str]:
    """The hosts files with addresses of the API. The copies of pods go with the state of the kubelet."""
    return [path for path in api_endpoint.hosts_files(system) if BEGIN in (system.read(path) or "")]


def _was_configured(files: Sequence[Tuple[str, str]]) -> bool:
    return any(path in (paths.KUBELET, KUBELET_KUBECONFIG) for path, _what in files)


def _own_ca(system: System, files: Sequence[Tuple[str, str]]) -> bool:
    """True if there are only certificate authorities: the user provided them for a later kubeadm init."""
    return not files and set(files_below(system, PKI)) <= OWN_CA_FILES


def _ca_hashes(system: System, operation: Optional[Operation]) -> List[str]:
    """The hashes of the cluster's CA: from its file, the admin kubeconfig, and the marker of an interrupted reset."""
    found = ca_cert_hashes(system.read(CA_CERTIFICATE) or "")
    found += kubeconfig.summarize(system.read(ADMIN_KUBECONFIG) or "").ca_cert_hashes
    if operation and operation.kind == operations.RESET:
        found += operation.ca_cert_hashes
    return list(dict.fromkeys(found))


def _etcd_data(system: System) -> str:
    """The data folder in the etcd manifest; empty if it is the default."""
    manifest = system.read(MANIFESTS + "/etcd.yaml") or ""
    found = re.search(r"(?m)^\s*- hostPath:\n\s+path: (/[^\s\"']+)\n(?:\s+type: \S+\n)?\s+name: etcd-data$", manifest)
    path = found.group(1).rstrip("/") if found else ""
    # A top-level folder may also contain data of other programs.
    if path.count("/") < 2 or path == paths.ETCD or not system.exists(path + "/member"):
        return ""
    return path + "/member"


def _kubeconfigs(system: System, options: ResetOptions, hashes: Sequence[str]) -> List[UserKubeconfig]:
    """The kubeconfigs of root and of the kubeconfig user that are only for this cluster."""
    found: Dict[str, UserKubeconfig] = {}
    for user in (options.kubeconfig_user, "root"):
        state = kubeconfig.observe(system, user)
        pins = state.existing.ca_cert_hashes if state.existing else []
        if state.problem or not state.existing or not pins or not set(pins) <= set(hashes):
            continue
        # If there are more servers than CAs, one server belongs to a cluster whose CA is not in the file.
        if len(state.existing.servers) == len(pins):
            backup = kubeconfig.has_backup(system, state)
            found[state.path] = UserKubeconfig(state.path, state.uid, state.gid, backup)
    return list(found.values())
