# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds and removes the files and folders that a cluster leaves on a node, but never what is mounted below them."""

from __future__ import annotations

import os
import re
import stat
from typing import Dict, List, Sequence, Tuple

from ..api_endpoint.proxy_config import FOLDER as ENDPOINT_FOLDER
from ..api_endpoint.virtual_ip_config import FOLDER as VIRTUAL_IP_FOLDER
from ..core.constants import (
    ADMIN_KUBECONFIG,
    BOOTSTRAP_KUBECONFIG,
    KUBELET_KUBECONFIG,
    KUBELET_RECORD,
    MANIFESTS,
    PKI,
    RUNTIME_RECORD,
)
from ..core.errors import KubesteadError
from ..core.mount_table import unescape
from ..core.system import System
from ..etcd.snapshot import FOLDER as SNAPSHOTS

KUBELET = "/var/lib/kubelet"
ETCD = "/var/lib/etcd"

#: Path -> description. The folders for static pods and CNI belong to packages; they stay, but empty.
CLUSTER: Dict[str, str] = {
    ADMIN_KUBECONFIG: "admin kubeconfig",
    "/etc/kubernetes/super-admin.conf": "admin kubeconfig",
    KUBELET_KUBECONFIG: "kubelet kubeconfig",
    BOOTSTRAP_KUBECONFIG: "kubelet bootstrap kubeconfig",
    "/etc/kubernetes/controller-manager.conf": "controller manager kubeconfig",
    "/etc/kubernetes/scheduler.conf": "scheduler kubeconfig",
    "/etc/kubernetes/tmp": "kubeadm backups",
    ETCD: "etcd data",
    SNAPSHOTS: "etcd snapshots, with all Secrets",
    KUBELET_RECORD: "kubelet before an upgrade",
    RUNTIME_RECORD: "containerd before an upgrade",
    KUBELET: "kubelet state",
    "/run/kubernetes": "kubelet state",
    "/var/log/pods": "pod logs",
    "/var/log/containers": "pod logs",
}
_ETCD_UNITS = tuple(
    folder + "/etcd.service" for folder in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)
#: Files of the pod network. They identify the links and routes, so those are removed first.
POD_NETWORK: Dict[str, str] = {
    "/etc/cni/net.d/10-kubestead.conflist": "pod network configuration",
    "/var/lib/cni/networks/kubestead": "pod addresses",
    "/etc/cni/net.d/10-calico.conflist": "pod network configuration",
    "/etc/cni/net.d/calico-kubeconfig": "Calico kubeconfig",
    "/etc/cni/net.d/calico-tls": "Calico certificates",
    "/var/lib/cni/networks/k8s-pod-network": "pod addresses",
    "/var/lib/calico": "Calico state",
    "/var/log/calico": "Calico logs",
    "/run/calico": "Calico state",
    "/run/nodeagent": "Calico socket",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/nodeagent~uds": "Calico volume driver",
    "/opt/cni/bin/calico": "Calico plugin",
    "/opt/cni/bin/calico-ipam": "Calico plugin",
}
#: Files of the local proxy for the API, and of its virtual IP address.
ENDPOINT: Dict[str, str] = {
    ENDPOINT_FOLDER: "configuration of the local API proxy",
    VIRTUAL_IP_FOLDER: "configuration of the virtual IP address",
}
#: Folders that are emptied, but not removed.
EMPTIED: Dict[str, str] = {MANIFESTS: "static pods"}
#: Where libcni caches its results. The name of a file starts with the name of the network.
_RESULTS = ("/var/lib/cni/results", "/var/lib/cni/cache/results")
_RESULT = re.compile(r"(?:kubestead|k8s-pod-network|cni-loopback)-")
#: Folders that are removed if they are empty, subfolders first.
_PRUNED = (
    "/var/lib/cni/results",
    "/var/lib/cni/cache/results",
    "/var/lib/cni/cache",
    "/var/lib/cni/networks",
    "/var/lib/cni",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
    "/usr/libexec/kubernetes/kubelet-plugins/volume",
    "/usr/libexec/kubernetes/kubelet-plugins",
    "/usr/libexec/kubernetes",
    "/run/kubestead",
    "/etc/kubestead",
)
#: Folders of packages; they are removed together with the packages.
PACKAGE_FOLDERS = (
    MANIFESTS,
    "/etc/kubernetes",
    "/etc/cni/net.d",
    "/etc/cni",
    "/opt/cni/bin",
    "/opt/cni",
    "/run/netns",
)
#: Exists in the root of a file system.
_OF_FILE_SYSTEM = ("lost+found",)

Found = List[Tuple[str, str]]


def is_other_etcd(system: System) -> bool:
    """True if the data folder of etcd belongs to a system service, on a machine that was not a control plane.

    The certificates are removed after the data, so they still identify a control plane that was reset in part.
    """
    kubeadm = any(system.exists(path) for path in (MANIFESTS + "/etcd.yaml", PKI + "/etcd"))
    return not kubeadm and any(system.exists(path) for path in _ETCD_UNITS)


def present(system: System, paths: Dict[str, str]) -> Found:
    """The paths that exist, with their descriptions. A folder that stays is included only if it has contents."""
    return [(path, what) for path, what in paths.items() if is_left(system, path, path in EMPTIED)]


def cni_results(system: System) -> List[str]:
    """The paths of the results that libcni cached for pods."""
    return [
        "{0}/{1}".format(folder, name) for folder in _RESULTS for name in system.names(folder) if _RESULT.match(name)
    ]


def certificates(system: System, preexisting: Sequence[str]) -> bool:
    """True if /etc/kubernetes/pki has files other than ``preexisting``, the user's (paths relative to it)."""
    if not preexisting:
        return is_left(system, PKI)
    return any(name not in preexisting for name in _below(system, PKI))


def empty_folders(system: System, with_packages: bool, going: Sequence[str]) -> List[str]:
    """Folders that are empty, or will be after the paths in ``going`` are removed."""
    gone = list(going)
    found = []
    for folder in (*_PRUNED, *(PACKAGE_FOLDERS if with_packages else ())):
        real = system.path(folder)
        if not os.path.isdir(real) or os.path.islink(real) or os.path.ismount(real):
            continue
        if all("{0}/{1}".format(folder, name) in gone for name in system.names(folder)):
            found.append(folder)
            gone.append(folder)
    return found


def foreign(system: System) -> List[str]:
    """Files next to the cluster's files that were not created by kubeadm or this collection."""
    known = {*CLUSTER, *POD_NETWORK, MANIFESTS, PKI}
    found = []
    for folder in ("/etc/kubernetes", "/etc/cni/net.d"):
        paths = ["{0}/{1}".format(folder, name) for name in system.names(folder) if not name.startswith(".")]
        found += [path for path in paths if path not in known]
    return found


def _below(system: System, folder: str) -> List[str]:
    found = []
    for base, _folders, names in os.walk(system.path(folder)):
        for name in names:
            found.append(os.path.relpath(os.path.join(base, name), system.path(folder)))
    return sorted(found)


def _stays(real: str) -> bool:
    """True for a mount point or a symbolic link: the administrator chose it, so it is not removed."""
    return os.path.ismount(real) or os.path.islink(real)


def is_left(system: System, path: str, kept: bool = False) -> bool:
    """True if a path exists. A folder that stays (``kept``, a mount point, a link) must also have contents."""
    real = system.path(path)
    if not os.path.lexists(real):
        return False
    if os.path.isdir(real) and (kept or _stays(real)):
        return any(name not in _OF_FILE_SYSTEM for name in system.names(path))
    return True


# -- Application


def mounts_below(system: System, path: str) -> List[str]:
    """The mount points below a path, innermost first, by their real paths, which is how the kernel lists them."""
    path = _resolved(system, path)
    found = []
    for line in (system.read("/proc/self/mounts") or "").splitlines():
        words = line.split(" ")
        if len(words) > 1:
            place = unescape(words[1])
            if place.startswith(path + "/"):
                found.append(place)
    # If there are several mounts at one mount point, the last one is on top.
    return sorted(reversed(found), key=lambda place: -place.count("/"))


def _resolved(system: System, path: str) -> str:
    """The path below the system's root, with links resolved."""
    root, real = os.path.realpath(system.root), os.path.realpath(system.path(path))
    return real if root == "/" else "/" + os.path.relpath(real, root)


def remove(system: System, path: str) -> None:
    """Remove a file or a folder. Raises :class:`KubesteadError` if a file system is mounted below it.

    A folder that is a mount point or a link is only emptied.
    """
    below = mounts_below(system, path)
    if below:
        raise KubesteadError(
            "{0} was not removed, because {1} is mounted below it; unmount {1}, and run again".format(path, below[0])
        )
    real = system.path(path)
    try:
        if os.path.isdir(real) and (path in EMPTIED or _stays(real)):
            for name in system.names(path):
                if name not in _OF_FILE_SYSTEM:
                    system.remove("{0}/{1}".format(path, name))
        else:
            system.remove(path)
    except FileNotFoundError:
        # A program that is stopping may remove its files at the same time. The final observation finds what is left.
        return
    except OSError as err:
        raise KubesteadError(
            "{0} can't be removed: {1}; stop the processes that use it, and run again".format(path, err.strerror)
        ) from err


def remove_certificates(system: System, preexisting: Sequence[str]) -> None:
    """Remove /etc/kubernetes/pki except for the files in ``preexisting``."""
    if not preexisting:
        remove(system, PKI)
        return
    for name in _below(system, PKI):
        if name not in preexisting:
            system.remove("{0}/{1}".format(PKI, name))


def remove_empty(system: System, folder: str) -> None:
    """Remove a folder, if it is still empty."""
    real = system.path(folder)
    try:
        if stat.S_ISDIR(os.lstat(real).st_mode):
            os.rmdir(real)
    except OSError:
        # The folder is no longer empty, or no longer exists.
        return
