# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The facts that change with a Kubernetes release, each with its source.

Facts are rows of tables. Each row is valid from its minor version until the next row. A new release requires only new
rows here: the defaults of options and roles are checked against this file. :mod:`removals`, which nodes do not need,
lists what a release no longer supports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Sequence, Tuple

from .versions import Version

_KUBEADM = "https://github.com/kubernetes/kubernetes/blob/v1.{0}.0/cmd/kubeadm/app/constants/constants.go"
_KUBEADM_API = "https://kubernetes.io/docs/reference/config-api/kubeadm-config.{0}/"
_CALICO = "https://raw.githubusercontent.com/projectcalico/calico/{0}/manifests/calico.yaml"


@dataclass(frozen=True)
class Since:
    """A fact: ``value`` applies since Kubernetes 1.``minor``. ``source`` is the URL of a page that says so."""

    minor: int
    value: Any
    source: str


def at(rows: Sequence[Since], minor: int) -> Any:
    """The value for a minor version: that of the last row that applies, or of the first row for an older version."""
    reached = [row for row in rows if row.minor <= minor]
    return (reached or list(rows[:1]))[-1].value


# -- Kubernetes itself

# The newest minor that the default Calico release is tested with (https://kubernetes.io/releases/ lists all).
DEFAULT_KUBERNETES = "1.36"
# The newest minor that these tables were compared with: https://kubernetes.io/releases/
NEWEST_MINOR = 37
# The oldest that still gets patches: https://kubernetes.io/releases/patch-releases/
OLDEST_SUPPORTED = 34
# Minors that are looked for when the one asked for is in no repository: those of pkgs.k8s.io, and a few to come.
# https://kubernetes.io/blog/2023/08/15/pkgs-k8s-io-introduction/
SUGGESTED_MINORS = range(33, NEWEST_MINOR + 6)

#: The number of minor versions by which a kubelet may be older than the API server.
KUBELET_SKEW = (
    Since(0, 2, "https://kubernetes.io/releases/version-skew-policy/"),
    Since(28, 3, "https://kubernetes.io/blog/2023/08/15/kubernetes-v1-28-release/"),
)

#: The first minor whose kubelets get the cgroup driver from the runtime, if it supports RuntimeConfig (containerd 2.0):
#: https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/4033-group-driver-detection-over-cri
CGROUP_DRIVER_FROM_CRI = 34

#: Whether a kubelet refuses to start on cgroup v1 by default (``failCgroupV1``).
CGROUP_V1_REFUSED = (
    Since(0, False, "https://kubernetes.io/docs/concepts/architecture/cgroups/"),
    Since(35, True, "https://github.com/kubernetes/enhancements/tree/master/keps/sig-node/5573-remove-cgroup-v1"),
)

# -- kubeadm

#: The newest configuration API that a kubeadm supports.
CONFIG_API = (
    Since(15, "v1beta2", "https://kubernetes.io/blog/2019/06/19/kubernetes-1-15-release-announcement/"),
    Since(22, "v1beta3", _KUBEADM_API.format("v1beta3")),
    Since(31, "v1beta4", _KUBEADM_API.format("v1beta4")),
)
APIS = tuple(row.value for row in CONFIG_API)

#: Fields (kind, path) that came with an API, by the pages of :data:`CONFIG_API`; an older kubeadm only warns of them.
FIELDS: Dict[str, Tuple[Tuple[str, str], ...]] = {
    "v1beta3": (
        ("InitConfiguration", "skipPhases"),
        ("InitConfiguration", "patches"),
        ("InitConfiguration", "nodeRegistration.imagePullPolicy"),
        ("JoinConfiguration", "skipPhases"),
        ("JoinConfiguration", "patches"),
        ("JoinConfiguration", "nodeRegistration.imagePullPolicy"),
    ),
    "v1beta4": (
        ("InitConfiguration", "timeouts"),
        ("InitConfiguration", "nodeRegistration.imagePullSerial"),
        ("JoinConfiguration", "timeouts"),
        ("JoinConfiguration", "nodeRegistration.imagePullSerial"),
        ("ClusterConfiguration", "proxy"),
        ("ClusterConfiguration", "dns.disabled"),
        ("ClusterConfiguration", "encryptionAlgorithm"),
        ("ClusterConfiguration", "certificateValidityPeriod"),
        ("ClusterConfiguration", "caCertificateValidityPeriod"),
        ("ClusterConfiguration", "apiServer.extraEnvs"),
        ("ClusterConfiguration", "controllerManager.extraEnvs"),
        ("ClusterConfiguration", "scheduler.extraEnvs"),
        ("ClusterConfiguration", "etcd.local.extraEnvs"),
    ),
}

#: The tag of the pause image that a kubeadm uses.
PAUSE = (
    Since(20, "3.2", _KUBEADM.format(20)),
    Since(21, "3.4.1", _KUBEADM.format(21)),
    Since(22, "3.5", _KUBEADM.format(22)),
    Since(23, "3.6", _KUBEADM.format(23)),
    Since(24, "3.7", _KUBEADM.format(24)),
    Since(25, "3.8", _KUBEADM.format(25)),
    Since(26, "3.9", _KUBEADM.format(26)),
    Since(31, "3.10", _KUBEADM.format(31)),
    Since(34, "3.10.1", _KUBEADM.format(34)),
)
# The newest minor whose pause image was looked up. For a newer one kubeadm itself is asked where it is installed.
_PAUSE_NEWEST = 35

#: The etcd version of a kubeadm's first patch release (the image tag ends with ``-0``). Later patches use newer ones.
ETCD = (
    Since(33, "3.5.21", _KUBEADM.format(33)),
    Since(34, "3.6.4", _KUBEADM.format(34)),
    Since(35, "3.6.6", _KUBEADM.format(35)),
    Since(36, "3.6.8", _KUBEADM.format(36)),
    Since(37, "3.7.0", _KUBEADM.format(37)),
)

#: Minor version of etcd -> the oldest version that every member must run before a member of that minor starts.
ETCD_STEPS = (
    Since(6, (3, 5, 26), "https://etcd.io/blog/2025/zombie_members_upgrade/"),
    Since(7, (3, 6, 11), "https://etcd.io/docs/v3.7/upgrades/upgrade_3_7/"),
)

# -- containerd

#: The oldest containerd that a kubelet works with. It needs CRI v1 since 1.26, and CRI's RuntimeConfig since 1.38.
CONTAINERD_NEEDED = (
    Since(0, (0, 0), "https://kubernetes.io/docs/setup/production-environment/container-runtimes/"),
    Since(26, (1, 6), "https://kubernetes.io/blog/2022/11/18/upcoming-changes-in-kubernetes-1-26/"),
    # Postponed from 1.36 and from 1.37: https://github.com/kubernetes/kubernetes/pull/136846
    Since(38, (2, 0), "https://github.com/kubernetes/kubernetes/pull/139121"),
)
#: The oldest containerd that is tested with a Kubernetes; older ones work as far as the table above says.
CONTAINERD_TESTED = (
    Since(0, (0, 0), "https://containerd.io/releases/#kubernetes-support"),
    Since(36, (2, 0), "https://containerd.io/releases/#kubernetes-support"),
)

# -- Calico

DEFAULT_CALICO = "v3.32.1"
_CALICO_TESTED = "https://docs.tigera.io/calico/{0}/getting-started/kubernetes/requirements"
#: The oldest Calico that is tested with a Kubernetes. The first row is for older minors, which are not compared.
CALICO_TESTED = (
    Since(0, (0, 0), _CALICO_TESTED.format("latest")),
    Since(35, (3, 31), _CALICO_TESTED.format("3.31")),
    Since(36, (3, 32), _CALICO_TESTED.format("3.32")),
    Since(37, (3, 33), _CALICO_TESTED.format("3.33")),
)
#: Minor version of Calico 3 -> the oldest minor of Kubernetes that it is tested with; 0 for older ones, not compared.
CALICO_OLDEST = (
    Since(0, 0, _CALICO_TESTED.format("latest")),
    Since(32, 34, _CALICO_TESTED.format("3.32")),
)
#: The sha256 of the manifest of a Calico release, which is at :func:`calico_url`.
CALICO_CHECKSUMS = {
    "v3.31.6": "34012557637766d4367f0e7d2ea8b6507fca6df68e08b87fcdcd527f689e2637",
    "v3.32.1": "a1df919d9721cf667accdc3e72848911b0cb25cfab7d2478ad0c996302c95744",
}


def calico_url(version: str) -> str:
    """The project's own manifest of a Calico release."""
    return _CALICO.format(version)


# -- what the tables mean for a version


def config_api(version: Version) -> str:
    """The kubeadm configuration API that a kubeadm of this version writes."""
    return str(at(CONFIG_API, version.minor))


def first_kubeadm(api: str) -> str:
    """The first Kubernetes minor whose kubeadm speaks this configuration API: ``1.31``."""
    return next("1.{0}".format(row.minor) for row in CONFIG_API if row.value == api)


def knows_pause(version: Version) -> bool:
    """True if :func:`pause_tag` is known for this version."""
    return version.major == 1 and PAUSE[0].minor <= version.minor <= _PAUSE_NEWEST


def pause_tag(version: Version) -> str:
    """The tag of the pause image of this kubeadm version; the last known tag for a newer version."""
    return str(at(PAUSE, version.minor))
