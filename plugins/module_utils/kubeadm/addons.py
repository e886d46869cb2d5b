# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addons that applications on every node depend on: the DaemonSets of kube-system, and CoreDNS.

``kubeadm upgrade`` updates kube-proxy and CoreDNS after the last control plane. While the kube-proxy of a node
restarts, the node still sends connections to pods that were evicted from another node. So no node is drained before the
rollout of the addons is complete.

The controller of DaemonSets counts the deleted pod on a node that is down as unavailable, so with the usual
``maxUnavailable: 1`` it replaces no other pod: the rollout stops until that node is back or its Node is deleted. While
a node is not ready, a rollout therefore counts as complete when the pods on the other nodes are available, even if
they are old.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping

from ..core import untrusted
from ..kube.rollout import rollout_problem

DAEMON_SETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
KUBE_PROXY = DAEMON_SETS + "/kube-proxy"
# kubeadm gives the Deployment of CoreDNS this label.
DNS = "/apis/apps/v1/namespaces/kube-system/deployments?labelSelector=k8s-app%3Dkube-dns"
# With this strategy of a DaemonSet, its pods may be old.
_ANY_VERSION = {"updateStrategy": {"type": "OnDelete"}}


def rollouts(daemon_sets: Mapping[str, Any], deployments: Mapping[str, Any], not_ready: int) -> Dict[str, str]:
    """What the rollout of each addon still waits for, from the lists of the API; empty if it is complete.

    The keys are like ``DaemonSet kube-system/kube-proxy``. ``not_ready`` is the number of nodes that are not ready: the
    pods of DaemonSets on them are not waited for, and old pods on the other nodes may stay.
    """
    found = {}
    for kind, answer in (("DaemonSet", daemon_sets), ("Deployment", deployments)):
        # The objects of a list do not have their kind.
        for item in untrusted.mappings(answer.get("items")):
            name = untrusted.text(untrusted.mapping(item.get("metadata")).get("name"))
            if name:
                title = "{0} kube-system/{1}".format(kind, name)
                spec = dict(untrusted.mapping(item.get("spec")), **(_ANY_VERSION if not_ready else {}))
                found[title] = rollout_problem(dict(item, kind=kind, spec=spec), not_ready) or ""
    return found
