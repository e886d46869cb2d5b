# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes the leftovers of an interrupted init or join of this collection."""

from __future__ import annotations

import time
from typing import Sequence

from ..core.constants import (
    ADMIN_KUBECONFIG,
    BOOTSTRAP_KUBECONFIG,
    CA_CERTIFICATE,
    ETCD_MEMBER,
    KUBELET_CONFIG,
    KUBELET_FLAGS,
    KUBELET_KUBECONFIG,
    PKI,
)
from ..core.system import System
from ..etcd import own_member
from ..etcd.client import client
from ..kube.kubectl import Kubectl
from ..kube.kubelet import node_name
from . import diagnosis
from .state import files_below

KUBELET_INSTANCE_CONFIG = "/var/lib/kubelet/instance-config.yaml"
# An empty folder for certificates: kubeadm removes all files in the given folder, also the user's own CA.
EMPTY_CERT_DIR = "/run/kubestead.no-certificates"


def reset(system: System, cri_socket: str, preexisting_pki: Sequence[str] = ()) -> None:
    """``kubeadm reset``; the user's files stay. Its etcd must have left the cluster before (:func:`leave_cluster`).

    ``preexisting_pki`` are paths below /etc/kubernetes/pki. Safe to run again after an interruption. Raises
    :class:`KubesteadError` when kubeadm fails.
    """
    began = time.time()
    argv = ["kubeadm", "reset", "--force", "--cri-socket", cri_socket, "--cert-dir", EMPTY_CERT_DIR]
    done = system.run(argv, timeout=300.0)
    if not done.ok:
        raise diagnosis.failure("reset", done, system, 300, began)
    for name in files_below(system, PKI):
        if name not in preexisting_pki:
            system.remove("{0}/{1}".format(PKI, name))
    # kubeadm leaves the data of an etcd whose manifest is gone already.
    system.remove(ETCD_MEMBER)


def leave_cluster(system: System, name: str = "") -> None:
    """Remove this control plane's etcd member and its Node, with the certificates that still exist.

    kubeadm refuses to join with the name of a Node that is Ready, and the Node of a kubelet that was just stopped still
    is. Raises :class:`KubesteadError` if the machine may still be a member of etcd.
    """
    own_member.leave(system, client(system))
    if system.exists(ADMIN_KUBECONFIG):
        path = "/api/v1/nodes/{0}".format(name or node_name(system, None))
        for server in own_member.other_servers(system):
            deleted = Kubectl(system, server=server, request_timeout=5).run(["delete", "--raw", path], timeout=20.0)
            if deleted.ok or "NotFound" in deleted.stderr:
                break


def remove_bootstrap(system: System) -> None:
    """Remove what a worker's join leaves that did not come as far as a kubelet with a certificate."""
    system.run(["systemctl", "stop", "kubelet"], timeout=60.0)
    of_kubernetes = (BOOTSTRAP_KUBECONFIG, KUBELET_KUBECONFIG, CA_CERTIFICATE)
    for path in (*of_kubernetes, KUBELET_CONFIG, KUBELET_FLAGS, KUBELET_INSTANCE_CONFIG):
        system.remove(path)
