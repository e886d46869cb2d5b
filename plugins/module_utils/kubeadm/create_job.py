# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm's check CreateJob: ``kubeadm upgrade apply`` runs a Job of one pod, and fails if it does not end in 15 s.

kubeadm leaves the check out only if all Nodes are cordoned. The node that it upgrades is drained, so the pod may find
no other node: the workers have taints of the user, or are cordoned. That is not a fault of the cluster, whose health
the gates check before. Source: createJob in cmd/kubeadm/app/phases/upgrade/health.go of Kubernetes. Pure.
"""

from __future__ import annotations

from typing import Sequence

from ..kube.nodes import Node
from ..kube.pods import Pod

#: The name of the check for ``--ignore-preflight-errors``.
CHECK = "CreateJob"
# The pod has one toleration.
_POD = Pod(
    "kube-system",
    "upgrade-health-check",
    tolerations=(("node-role.kubernetes.io/control-plane", "Equal", "", "NoSchedule"),),
)
# More names would not help.
_SHOWN = 5


def obstacles(nodes: Sequence[Node], drained: str) -> str:
    """Why no node can run the pod while the node ``drained`` is upgraded; empty if one can, or without known nodes."""
    reasons = {node.name: _reason(node, drained) for node in nodes}
    if not reasons or "" in reasons.values():
        return ""
    shown = ["{0} {1}".format(name, reason) for name, reason in sorted(reasons.items())]
    return ", ".join(shown[:_SHOWN] + ["and {0} more".format(len(shown) - _SHOWN)] * (len(shown) > _SHOWN))


def _reason(node: Node, drained: str) -> str:
    if node.name == drained:
        return "is being upgraded"
    if node.unschedulable:
        return "is cordoned"
    if not node.ready:
        return "is not ready"
    taint = next((one for one in node.taints if not _POD.tolerates(one)), "")
    return "has the taint {0}".format(taint) if taint else ""
