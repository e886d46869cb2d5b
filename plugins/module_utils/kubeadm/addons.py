# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addons that applications on every node depend on: the DaemonSets of kube-system, and CoreDNS.

``kubeadm upgrade`` updates kube-proxy and CoreDNS after the last control plane. While the kube-proxy of a node
restarts, the node still sends connections to pods that were evicted from another node. So no node is drained before the
rollout of the addons is complete.

While a node is not ready, the rollout of a DaemonSet counts as complete when the pods on the other nodes are available,
even if they are old; see :func:`living_problem`.
"""

from __future__ import annotations

from typing import Any, Dict, Iterator, Mapping, Sequence, Tuple

from ..core import untrusted
from ..kube.rollout import living_problem, rollout_problem, stopped_by

DAEMON_SETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"
KUBE_PROXY = DAEMON_SETS + "/kube-proxy"
# kubeadm gives the Deployment of CoreDNS this label.
DNS = "/apis/apps/v1/namespaces/kube-system/deployments?labelSelector=k8s-app%3Dkube-dns"


def rollouts(daemon_sets: Mapping[str, Any], deployments: Mapping[str, Any], not_ready: int) -> Dict[str, str]:
    """What the rollout of each addon still waits for, from the lists of the API; empty if it is complete.

    The keys are like ``DaemonSet kube-system/kube-proxy``. ``not_ready`` is the number of nodes that are not ready: the
    pods of DaemonSets on them are not waited for, and old pods on the other nodes may stay.
    """
    found = {}
    for title, obj in (*_listed("DaemonSet", daemon_sets), *_listed("Deployment", deployments)):
        reason = living_problem(obj, not_ready) if obj["kind"] == "DaemonSet" else rollout_problem(obj)
        found[title] = reason or ""
    return found


def outdated(daemon_sets: Mapping[str, Any], not_ready: Sequence[str]) -> Dict[str, str]:
    """The DaemonSets whose rollout counts as complete although pods on ready nodes are old, and why they stay old.

    ``not_ready`` are the names of the nodes that are not ready. The old pods work; they are replaced when these nodes
    are back or removed.
    """
    found = {}
    for title, obj in _listed("DaemonSet", daemon_sets) if not_ready else ():
        reason = rollout_problem(obj, len(not_ready))
        if reason and living_problem(obj, len(not_ready)) is None:
            found[title] = "{0}; {1}".format(reason, stopped_by(not_ready))
    return found


def _listed(kind: str, answer: Mapping[str, Any]) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The title and the object of each addon in a list of the API, whose objects do not have their kind."""
    for item in untrusted.mappings(answer.get("items")):
        name = untrusted.text(untrusted.mapping(item.get("metadata")).get("name"))
        if name:
            yield "{0} kube-system/{1}".format(kind, name), dict(item, kind=kind)
