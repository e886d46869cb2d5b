# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments, admission plugins and feature gates that a Kubernetes release no longer supports, each with its source.

This is the second part of :mod:`releases`. Only the plan and upgrades use it, so other tasks do not send it to nodes.
"""

from __future__ import annotations

import re
from typing import Dict, Sequence, Tuple

from .releases import Since

#: The oldest etcd that supports the arguments set by kubeadm (``watch-progress-notify-interval``, in some form).
ETCD_OLDEST = (
    Since(0, (0, 0), "https://github.com/kubernetes/kubernetes/blob/v1.22.0/cmd/kubeadm/app/phases/etcd/local.go"),
    Since(34, (3, 5), "https://github.com/kubernetes/kubernetes/blob/v1.34.0/cmd/kubeadm/app/phases/etcd/local.go"),
)

# -- Removed arguments, plugins and gates: a program that gets one of them does not start

_CHANGES = "https://github.com/kubernetes/kubernetes/blob/master/CHANGELOG/CHANGELOG-1.{0}.md"
_PULL = "https://github.com/kubernetes/kubernetes/pull/{0}"
_KLOG = (
    "add-dir-header",
    "alsologtostderr",
    "log-backtrace-at",
    "log-dir",
    "log-file",
    "log-file-max-size",
    "logtostderr",
    "one-output",
    "skip-headers",
    "skip-log-headers",
    "stderrthreshold",
)
_KLOG_GONE = Since(
    26,
    _KLOG,
    "https://github.com/kubernetes/enhancements/tree/master/keps/sig-instrumentation/"
    "2845-deprecate-klog-specific-flags-in-k8s-components",
)
#: Component -> arguments that a Kubernetes minor no longer supports. Each row adds to the rows before it.
REMOVED_ARGUMENTS: Dict[str, Tuple[Since, ...]] = {
    "kubelet": (
        Since(
            24,
            (
                "cni-bin-dir",
                "cni-cache-dir",
                "cni-conf-dir",
                "docker-endpoint",
                "experimental-dockershim-root-directory",
                "image-pull-progress-deadline",
                "network-plugin",
                "network-plugin-mtu",
            ),
            _CHANGES.format(24),
        ),
        _KLOG_GONE,
        Since(27, ("container-runtime",), _CHANGES.format(27)),
        Since(34, ("cloud-config", "register-schedulable"), _PULL.format(122384)),
        Since(35, ("pod-infra-container-image",), _PULL.format(133779)),
        Since(
            37,
            (
                "application-metrics-count-limit",
                "boot-id-file",
                "container-hints",
                "containerd",
                "containerd-namespace",
                "enable-load-reader",
                "event-storage-age-limit",
                "event-storage-event-limit",
                "global-housekeeping-interval",
                "log-cadvisor-usage",
                "machine-id-file",
                "storage-driver-buffer-duration",
                "storage-driver-db",
                "storage-driver-host",
                "storage-driver-password",
                "storage-driver-secure",
                "storage-driver-table",
                "storage-driver-user",
            ),
            _PULL.format(139870),
        ),
    ),
    "kube-apiserver": (
        Since(24, ("address", "insecure-bind-address", "insecure-port", "port"), _CHANGES.format(24)),
        _KLOG_GONE,
        Since(33, ("cloud-config", "cloud-provider"), _PULL.format(130162)),
    ),
    "kube-controller-manager": (
        Since(24, ("address", "port"), _PULL.format(104157)),
        Since(25, ("deleting-pods-burst", "deleting-pods-qps", "register-retry-count"), _PULL.format(109612)),
        _KLOG_GONE,
        Since(27, ("enable-taint-manager", "pod-eviction-timeout"), _PULL.format(115840)),
        Since(
            31,
            ("horizontal-pod-autoscaler-downscale-delay", "horizontal-pod-autoscaler-upscale-delay"),
            _PULL.format(124948),
        ),
    ),
    "kube-scheduler": (
        Since(22, ("hard-pod-affinity-symmetric-weight", "scheduler-name"), _PULL.format(102805)),
        Since(23, ("algorithm-provider", "policy-config-file", "use-legacy-policy-config"), _CHANGES.format(23)),
        Since(24, ("address", "port"), _CHANGES.format(24)),
        _KLOG_GONE,
    ),
}
#: Admission plugins that an API server no longer supports. Each row adds to the rows before it.
REMOVED_ADMISSION_PLUGINS = (
    Since(25, ("PodSecurityPolicy",), "https://kubernetes.io/docs/concepts/security/pod-security-policy/"),
    Since(30, ("SecurityContextDeny",), _CHANGES.format(30)),
)
#: Arguments that an etcd no longer supports: (version, names, source). A name that ends with a dash is a prefix.
REMOVED_ETCD_ARGUMENTS: Tuple[Tuple[Tuple[int, int], Tuple[str, ...], str], ...] = (
    (
        (3, 6),
        (
            "enable-v2",
            "experimental-enable-v2v3",
            "proxy",
            "proxy-dial-timeout",
            "proxy-failure-wait",
            "proxy-read-timeout",
            "proxy-refresh-interval",
            "proxy-write-timeout",
        ),
        "https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.6.md",
    ),
    ((3, 7), ("experimental-",), "https://github.com/etcd-io/etcd/blob/main/CHANGELOG/CHANGELOG-3.7.md"),
)
#: Feature gates that a kubeadm no longer supports. Each row adds to the rows before it.
REMOVED_KUBEADM_GATES = (
    Since(24, ("IPv6DualStack",), _CHANGES.format(24)),
    Since(26, ("UnversionedKubeletConfigMap",), _CHANGES.format(26)),
    Since(33, ("EtcdLearnerMode",), _CHANGES.format(33)),
    Since(35, ("WaitForAllControlPlaneComponents",), _CHANGES.format(35)),
    Since(36, ("ControlPlaneKubeletLocalMode",), _CHANGES.format(36)),
    Since(37, ("NodeLocalCRISocket",), _CHANGES.format(37)),
)
_FEATURES = "https://github.com/kubernetes/kubernetes/blob/v1.{0}.0/cmd/kubeadm/app/features/features.go"
#: The feature gates of kubeadm, and the phases of ``kubeadm init``. They are known only for these minors.
KUBEADM_GATES = (
    Since(
        34,
        (
            "ControlPlaneKubeletLocalMode",
            "NodeLocalCRISocket",
            "PublicKeysECDSA",
            "RootlessControlPlane",
            "WaitForAllControlPlaneComponents",
        ),
        _FEATURES.format(34),
    ),
)
INIT_PHASES = (
    Since(
        34,
        {
            "preflight": (),
            "certs": (
                "apiserver",
                "apiserver-etcd-client",
                "apiserver-kubelet-client",
                "ca",
                "etcd-ca",
                "etcd-healthcheck-client",
                "etcd-peer",
                "etcd-server",
                "front-proxy-ca",
                "front-proxy-client",
                "sa",
            ),
            "kubeconfig": ("admin", "controller-manager", "kubelet", "scheduler", "super-admin"),
            "etcd": ("local",),
            "control-plane": ("apiserver", "controller-manager", "scheduler"),
            "kubelet-start": (),
            "wait-control-plane": (),
            "upload-config": ("kubeadm", "kubelet"),
            "upload-certs": (),
            "mark-control-plane": (),
            "bootstrap-token": (),
            "kubelet-finalize": ("enable-client-cert-rotation", "experimental-cert-rotation"),
            "addon": ("coredns", "kube-proxy"),
            "show-join-command": (),
        },
        "https://kubernetes.io/docs/reference/setup-tools/kubeadm/kubeadm-init-phase/",
    ),
)
# The newest minor whose gates and phases are known.
_NAMES_NEWEST = 35


def removed_since(rows: Sequence[Since], minor: int, name: str) -> int:
    """The minor that removed a name, if it is not newer than ``minor``; otherwise 0. Underscores count as dashes."""
    plain = name.replace("_", "-")
    return next((row.minor for row in rows if row.minor <= minor and plain in row.value), 0)


def etcd_version(tag: str) -> Tuple[int, ...]:
    """Major and minor version from an image's tag (``3.6.6-0``); empty if the tag does not contain a version."""
    match = re.match(r"v?([0-9]{1,4})\.([0-9]{1,4})\.[0-9]", tag)
    return tuple(int(part) for part in match.groups()) if match else ()


def removed_from_etcd(version: Sequence[int], name: str) -> str:
    """The etcd version that removed an argument (``3.7``), if it is not newer than ``version``; otherwise empty."""
    plain = name.replace("_", "-")
    for since, names, _source in REMOVED_ETCD_ARGUMENTS:
        known = any(plain == one or (one.endswith("-") and plain.startswith(one)) for one in names)
        if known and tuple(version) >= since:
            return ".".join(map(str, since))
    return ""


def knows_names(minor: int) -> bool:
    """Whether :data:`KUBEADM_GATES` and :data:`INIT_PHASES` are complete for this minor."""
    return KUBEADM_GATES[0].minor <= minor <= _NAMES_NEWEST
