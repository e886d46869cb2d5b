# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths and names that several packages share. Those of kubeadm are in kubernetes/cmd/kubeadm/app/constants."""

from __future__ import annotations

# How every file begins that this collection writes and reads again.
MANAGED = "# Managed by kubestead.cluster"
# The suffix of the copy of a file that was not created by this collection.
BACKUP_SUFFIX = ".before-kubestead"

ADMIN_KUBECONFIG = "/etc/kubernetes/admin.conf"
KUBELET_KUBECONFIG = "/etc/kubernetes/kubelet.conf"
BOOTSTRAP_KUBECONFIG = "/etc/kubernetes/bootstrap-kubelet.conf"
MANIFESTS = "/etc/kubernetes/manifests"
PKI = "/etc/kubernetes/pki"
CA_CERTIFICATE = "/etc/kubernetes/pki/ca.crt"
ETCD_MEMBER = "/var/lib/etcd/member"
KUBELET_CLIENT_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"
KUBELET_FLAGS = "/var/lib/kubelet/kubeadm-flags.env"
# The kubelet of a node before an upgrade that has not ended; see kubeadm/rollback.py.
KUBELET_RECORD = "/var/lib/kubestead/kubelet-before-upgrade.json"
# The containerd of a node before a replacement that has not ended; see kubeadm/runtime_upgrade.py.
RUNTIME_RECORD = "/var/lib/kubestead/containerd-before-upgrade.json"
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

# The protocol number that marks our routes. /etc/iproute2/rt_protos does not assign it.
ROUTE_PROTOCOL = "107"


def managed_header(origin: str = "") -> str:
    """The first line of a file that belongs to this collection; ``origin`` names its source."""
    return "{0}{1}; changes are overwritten.\n".format(MANAGED, " from " + origin if origin else "")
