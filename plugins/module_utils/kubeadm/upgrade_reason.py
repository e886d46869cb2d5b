# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decides whether a node needs an upgrade. The plan of the cluster and the module on the node ask the same question."""

from __future__ import annotations

from ..core.constants import COMPONENTS
from .state import KubeadmState


def reason_to_upgrade(there: KubeadmState, kubelet: str, running: str, target: str, first: bool) -> str:
    """The reason to start or continue the upgrade of a node to ``target``; empty if the node is upgraded.

    ``kubelet`` is the version of the installed package, ``running`` the version that the running kubelet reports. With
    ``first``, the node also upgrades the configuration of the cluster.
    """
    begun = there.unfinished_upgrade
    if begun:
        return "the upgrade to {0} started at {1} was interrupted".format(begun.version or target, begun.began)
    versions = {}
    if first and there.api.config:
        versions["the cluster"] = there.api.config.kubernetes_version
    if there.role == "control_plane":
        versions.update({name: there.static_pods.get(name, "") for name in COMPONENTS if name != "etcd"})
    versions.update({"kubelet": kubelet, "kubeadm": there.installed_version, "the running kubelet": running})
    for what, version in versions.items():
        if version != target:
            return "{0} {1} -> {2}".format(what, version or "unknown", target)
    return ""
