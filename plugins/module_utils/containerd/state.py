# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The observed state of containerd, and the paths of its files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ..core import versions
from ..core.releases import CGROUP_DRIVER_FROM_CRI

CONFIG = "/etc/containerd/config.toml"
CONF_D = "/etc/containerd/conf.d"
DROPIN = CONF_D + "/50-kubestead.toml"
CERTS_D = "/etc/containerd/certs.d"
# It exists from before a configuration is written until containerd has restarted, and shows that a run was killed then.
PENDING = "/run/kubestead/containerd-restart"
UNIT = "containerd.service"
SYSTEMD, CGROUPFS = "systemd", "cgroupfs"


@dataclass(frozen=True)
class HostsFile:
    """A registry's ``hosts.toml``. ``ours`` is true if this collection wrote it; ``error`` is why it is unreadable."""

    registry: str = ""
    ours: bool = False
    mode: int = 0
    data: Dict[str, Any] = field(default_factory=dict)
    order: List[str] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class ContainerdState:
    """The observed state of containerd.

    ``schema`` is the configuration version of the binary (0 without a binary). ``config`` is the content of the file in
    that schema, without secrets. ``config_version`` is the version of the file itself (0 without a file). ``debian`` is
    true if the package manager is apt. ``offers`` maps packages to the versions that apt would install.
    ``kubeadm_sandbox`` is the pause image of the installed kubeadm, or of the planned one (:func:`assume_version`).
    ``effective_*`` is the result of the file and all its imports. ``undoing_dropins`` are files that undo SystemdCgroup
    when they are imported. ``default_registry_path`` is the binary's default for the registries' folders. ``cri`` is
    ``ok``, or the problem of the running CRI service. ``kubelet_driver`` is the cgroup driver in the configuration of a
    kubelet that has joined, and ``pods_driver`` the driver with which it created the cgroup of all pods.
    """

    packages: Dict[str, str] = field(default_factory=dict)
    candidate: str = ""
    candidate_known: bool = False
    debian: bool = False
    offers: Dict[str, str] = field(default_factory=dict)
    version: str = ""
    schema: int = 0
    has_bin_dirs: bool = False
    default_sandbox: str = ""
    default_registry_path: str = ""
    config_version: int = 0
    config_ours: bool = False
    config_error: str = ""
    config: Dict[str, Any] = field(default_factory=dict)
    dropin: Optional[Dict[str, Any]] = None
    dropin_error: str = ""
    other_dropins: List[str] = field(default_factory=list)
    undoing_dropins: List[str] = field(default_factory=list)
    effective_systemd_cgroup: Optional[bool] = None
    effective_cri_disabled: bool = False
    hosts: List[HostsFile] = field(default_factory=list)
    ca_files: Dict[str, str] = field(default_factory=dict)
    active: bool = False
    enabled: bool = False
    cri: str = ""
    restart_pending: bool = False
    kubeadm_version: str = ""
    kubeadm_sandbox: str = ""
    kubelet_driver: str = ""
    pods_driver: str = ""

    @property
    def cgroup_driver(self) -> str:
        """The cgroup driver that the kubelet of a node uses; ``systemd`` on a machine that is not a node.

        Newer kubelets take the driver of the runtime when they start, whatever their configuration says.
        """
        if not self.kubelet_driver:
            # After a reset, an empty cgroup of pods may be left until the next boot.
            return SYSTEMD
        kubelet, runtime = versions.parse(self.kubeadm_version), versions.parse(self.version)
        agrees = kubelet and runtime and kubelet.minor >= CGROUP_DRIVER_FROM_CRI and runtime.major >= 2
        return (self.pods_driver if agrees else self.kubelet_driver) or SYSTEMD
