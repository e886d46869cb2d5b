# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files and folders that a cluster leaves on a node, and removing them without touching what is mounted below."""

from __future__ import annotations

import os
import re
import stat
from typing import Dict, List, Sequence, Tuple

from ..core.constants import ADMIN_KUBECONFIG, BOOTSTRAP_KUBECONFIG, KUBELET_KUBECONFIG, MANIFESTS, PKI
from ..core.errors import KubesteadError
from ..core.system import System
from ..etcd.snapshot import FOLDER as SNAPSHOTS

KUBELET = "/var/lib/kubelet"
ETCD = "/var/lib/etcd"

#: Path -> what it is. The folder of the manifests and that of CNI belong to packages, and stay, empty.
CLUSTER: Dict[str, str] = {
    ADMIN_KUBECONFIG: "kubeconfig of the admin",
    "/etc/kubernetes/super-admin.conf": "kubeconfig of the admin",
    KUBELET_KUBECONFIG: "kubeconfig of the kubelet",
    BOOTSTRAP_KUBECONFIG: "kubeconfig of the kubelet",
    "/etc/kubernetes/controller-manager.conf": "kubeconfig of the controller manager",
    "/etc/kubernetes/scheduler.conf": "kubeconfig of the scheduler",
    "/etc/kubernetes/tmp": "copies that kubeadm made",
    ETCD: "data of etcd",
    SNAPSHOTS: "snapshots of etcd, with all Secrets",
    KUBELET: "state of the kubelet",
    "/run/kubernetes": "state of the kubelet",
    "/var/log/pods": "logs of pods",
    "/var/log/containers": "logs of pods",
}
_ETCD_UNITS = tuple(
    folder + "/etcd.service" for folder in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
)
#: Of the pod network, after its links and routes, which these files explain.
POD_NETWORK: Dict[str, str] = {
    "/etc/cni/net.d/10-kubestead.conflist": "configuration of the pod network",
    "/var/lib/cni/networks/kubestead": "addresses of pods",
    "/etc/cni/net.d/10-calico.conflist": "configuration of the pod network",
    "/etc/cni/net.d/calico-kubeconfig": "kubeconfig of Calico",
    "/etc/cni/net.d/calico-tls": "certificates of Calico",
    "/var/lib/cni/networks/k8s-pod-network": "addresses of pods",
    "/var/lib/calico": "state of Calico",
    "/var/log/calico": "logs of Calico",
    "/run/calico": "state of Calico",
    "/run/nodeagent": "socket of Calico",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/nodeagent~uds": "volume driver of Calico",
    "/opt/cni/bin/calico": "plugin of Calico",
    "/opt/cni/bin/calico-ipam": "plugin of Calico",
}
#: Folders of which only the contents go.
EMPTIED: Dict[str, str] = {MANIFESTS: "static pods"}
#: What libcni remembers of containers, by the name of their network.
_RESULTS = ("/var/lib/cni/results", "/var/lib/cni/cache/results")
_RESULT = re.compile(r"(?:kubestead|k8s-pod-network|cni-loopback)-")
#: Removed where they are empty, each before the one around it.
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
)
#: Folders of packages; they go with them.
PACKAGE_FOLDERS = (
    MANIFESTS,
    "/etc/kubernetes",
    "/etc/cni/net.d",
    "/etc/cni",
    "/opt/cni/bin",
    "/opt/cni",
    "/run/netns",
)
#: A file system of its own has this.
_OF_FILE_SYSTEM = ("lost+found",)

Found = List[Tuple[str, str]]


def is_other_etcd(system: System) -> bool:
    """True where the usual folder of etcd is that of a service of the machine, which was no control plane.

    The certificates, which are removed after the data, tell what is left of a control plane.
    """
    kubeadm = any(system.exists(path) for path in (MANIFESTS + "/etcd.yaml", PKI + "/etcd"))
    return not kubeadm and any(system.exists(path) for path in _ETCD_UNITS)


def present(system: System, paths: Dict[str, str]) -> Found:
    """Those of the paths that are there, with what they are. A folder that must stay counts while it has contents."""
    return [(path, what) for path, what in paths.items() if is_left(system, path, path in EMPTIED)]


def cni_results(system: System) -> List[str]:
    """What libcni remembers of the containers of pods."""
    return [
        "{0}/{1}".format(folder, name) for folder in _RESULTS for name in system.names(folder) if _RESULT.match(name)
    ]


def certificates(system: System, preexisting: Sequence[str]) -> bool:
    """True where /etc/kubernetes/pki has more than the user's files, which are paths below it."""
    if not preexisting:
        return is_left(system, PKI)
    return any(name not in preexisting for name in _below(system, PKI))


def empty_folders(system: System, with_packages: bool, going: Sequence[str]) -> List[str]:
    """Folders that are empty, or will be once ``going`` are removed."""
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
    """What is beside the cluster's files and was not made by kubeadm or this collection."""
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
    """True for a folder whose place the machine's owner chose: a file system of its own, or a link."""
    return os.path.ismount(real) or os.path.islink(real)


def is_left(system: System, path: str, kept: bool = False) -> bool:
    """True for a path that is there. Of a folder that stays (``kept``, a mount point, a link) the contents count."""
    real = system.path(path)
    if not os.path.lexists(real):
        return False
    if os.path.isdir(real) and (kept or _stays(real)):
        return any(name not in _OF_FILE_SYSTEM for name in system.names(path))
    return True


# -- Application


def mounts_below(system: System, path: str) -> List[str]:
    """What is mounted below a path, the innermost first, as the kernel names it: behind links that lead to the path."""
    path = _resolved(system, path)
    found = []
    for line in (system.read("/proc/self/mounts") or "").splitlines():
        words = line.split(" ")
        if len(words) > 1:
            place = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), words[1])
            if place.startswith(path + "/"):
                found.append(place)
    # Of several on one place the last is on top.
    return sorted(reversed(found), key=lambda place: -place.count("/"))


def _resolved(system: System, path: str) -> str:
    """The path without links, as it is below the root of the system."""
    root, real = os.path.realpath(system.root), os.path.realpath(system.path(path))
    return real if root == "/" else "/" + os.path.relpath(real, root)


def remove(system: System, path: str) -> None:
    """Remove a file, or a folder with all in it. Raises :class:`KubesteadError` where a file system is mounted below.

    A folder that is a mount point or a link is emptied.
    """
    below = mounts_below(system, path)
    if below:
        raise KubesteadError(
            "{0} is not removed: {1} is mounted below it; unmount it, and run again".format(path, below[0])
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
        # A program that is ending removes its own files meanwhile; the check at the end tells what is left.
        return
    except OSError as err:
        raise KubesteadError(
            "{0} can't be removed: {1}; close what uses it, and run again".format(path, err.strerror)
        ) from err


def remove_certificates(system: System, preexisting: Sequence[str]) -> None:
    """Remove /etc/kubernetes/pki; of the user's own files nothing."""
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
        # It is no longer empty, or it is gone.
        return
