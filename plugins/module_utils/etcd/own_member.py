# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes this machine's member from the cluster's etcd before the machine's files are deleted.

A member that never comes back still counts for the majority: of two, a missing one stops the cluster. kubeadm reset
only warns if it could not remove the member.
"""

from __future__ import annotations

from typing import Any, List, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from ..core.constants import ADMIN_KUBECONFIG, MANIFESTS
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.system import System
from ..core.untrusted import mapping, mappings
from ..host import interfaces
from ..kube.kubectl import Kubectl
from . import members
from .client import CA, CERTIFICATE, CLIENT_URLS, KEY, Client

API_SERVER = MANIFESTS + "/kube-apiserver.yaml"
PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd"


def leave(
    system: System,
    request: Client,
    patience: float = 60.0,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> bool:
    """Remove this machine's member through the other members. True if there was one.

    Waits up to ``patience`` seconds for the API and again for etcd. Raises :class:`KubesteadError` if the member may
    still exist after that.
    """
    if not all(system.exists(path) for path in (ADMIN_KUBECONFIG, CA, CERTIFICATE, KEY, API_SERVER)):
        # kubeadm adds the member after it has written all of these; the API server's manifest is the last.
        return False
    own = [one.address for one in interfaces.addresses(interfaces.query(system, "address"))]
    try:
        others = _others(system, own, patience, clock, sleep)
        return bool(others) and members.remove(others, request, "", own, patience, clock, sleep)
    except KubesteadError as err:
        raise KubesteadError("{0} (nothing was changed on this host)".format(err.message), err.details) from err


def _others(
    system: System, own: Sequence[str], patience: float, clock: Optional[Clock], sleep: Optional[Sleep]
) -> List[str]:
    """The client URLs of the other members; empty if the cluster uses an etcd that kubeadm does not manage."""
    kubectl = Kubectl(system, request_timeout=5)
    found: List[str] = []
    failure = ""

    def is_known() -> bool:
        nonlocal failure
        try:
            pods = _items(kubectl.json(["get", "--raw", PODS]))
        except (KubesteadError, OSError) as err:
            failure = getattr(err, "message", "") or str(err)
            return False
        failure = "the API does not list another etcd member"
        found[:] = client_urls(pods, own)
        return bool(found) or not pods

    if not poll(is_known, patience, pause=1.0, clock=clock, sleep=sleep):
        raise KubesteadError(
            "this host can't be removed from etcd ({0}); run again once the other control planes are healthy".format(
                failure
            )
        )
    return found


def _items(answer: Mapping[str, Any]) -> List[Mapping[str, Any]]:
    """The items of a PodList. Raises OSError for an answer of another shape, which does not mean that no pods exist."""
    found = mappings(answer.get("items"))
    if not isinstance(answer.get("items"), list) or len(found) < len(answer["items"]):
        raise OSError("the answer does not have a list of items")
    return found


def client_urls(pods: Sequence[Mapping[str, Any]], own: Sequence[str]) -> List[str]:
    """The client URLs of the members on other machines than the one with the addresses ``own``, by their pods."""
    annotations = [mapping(mapping(pod.get("metadata")).get("annotations")) for pod in pods]
    urls = [str(one.get(CLIENT_URLS) or "") for one in annotations]
    return [url for url in urls if _host(url) and _host(url) not in own]


def _host(url: str) -> str:
    """The host in a URL; empty for text of another form."""
    try:
        return str(urlsplit(url).hostname or "")
    except ValueError:
        return ""
