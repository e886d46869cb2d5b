# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes a machine from the cluster's etcd before its files are deleted.

A member that never comes back still counts for the majority: of two, one that is gone stops the cluster. kubeadm
reset only warns where it did not take the member out, so it is done here, and seen to be done.
"""

from __future__ import annotations

import http.client
import json
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from ..core.constants import ADMIN_KUBECONFIG, MANIFESTS, PKI
from ..core.deadline import within
from ..core.errors import KubesteadError
from ..core.https import client_context
from ..core.poll import Clock, Sleep, poll
from ..core.system import System
from ..core.untrusted import mapping, mappings, parse_json
from ..host import interfaces
from ..kube.kubectl import Kubectl

CA = PKI + "/etcd/ca.crt"
CERTIFICATE, KEY = PKI + "/apiserver-etcd-client.crt", PKI + "/apiserver-etcd-client.key"
API_SERVER = MANIFESTS + "/kube-apiserver.yaml"
PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Detcd"
# What kubeadm notes on each etcd's pod: where its clients find it.
CLIENT_URLS = "kubeadm.kubernetes.io/etcd.advertise-client-urls"
LIST, REMOVE = "/v3/cluster/member/list", "/v3/cluster/member/remove"

# (client URL, path, question) -> answer. Raises OSError.
Client = Callable[[str, str, Mapping[str, Any]], Dict[str, Any]]


def connect(system: System, url: str, timeout: float) -> http.client.HTTPSConnection:
    """A connection to etcd with this machine's client certificate. It trusts only the cluster's CA.

    ``timeout`` applies to each socket operation, in seconds. Raises OSError if the CA or the certificate is not
    readable.
    """
    authority = system.read(CA)
    if not authority:
        raise OSError("{0} can't be read".format(CA))
    context = client_context(authority)
    context.load_cert_chain(system.path(CERTIFICATE), system.path(KEY))
    place = urlsplit(url)
    return http.client.HTTPSConnection(str(place.hostname), place.port, timeout=timeout, context=context)


def client(system: System) -> Client:
    """A client for the JSON API of etcd; see :func:`connect`."""

    def request(url: str, path: str, question: Mapping[str, Any]) -> Dict[str, Any]:
        connection = connect(system, url, 5.0)

        def ask() -> Tuple[int, str]:
            try:
                connection.request("POST", path, json.dumps(question), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                return answer.status, answer.read(1 << 20).decode("utf-8", "replace")
            except (http.client.HTTPException, ValueError) as err:
                raise OSError("no HTTP answer ({0})".format(type(err).__name__)) from err
            finally:
                connection.close()

        status, text = within(30.0, ask)
        try:
            parsed = parse_json(text)
        except ValueError:
            parsed = {}
        if status != 200 or not isinstance(parsed, dict):
            said = parsed.get("message") or parsed.get("error") if isinstance(parsed, dict) else ""
            raise OSError(str(said or "HTTP {0}".format(status)))
        return parsed

    return request


def leave(
    system: System,
    request: Client,
    patience: float = 60.0,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> bool:
    """Take this machine's member out of etcd, asking the others; True when there was one.

    ``patience`` (seconds) is for a cluster that comes to rest. Raises :class:`KubesteadError` when the member may still
    be there then.
    """
    if not all(system.exists(path) for path in (ADMIN_KUBECONFIG, CA, CERTIFICATE, KEY, API_SERVER)):
        # Members are added after all of these were made, the API server's manifest as the last.
        return False
    kubectl = Kubectl(system, request_timeout=5)
    own = [one.address for one in interfaces.addresses(interfaces.query(system, "address"))]
    removed = False
    failure: Optional[Exception] = None

    def is_gone() -> bool:
        nonlocal removed, failure
        try:
            # What is not a list must not pass for a cluster without members.
            pods = _list(kubectl.json(["get", "--raw", PODS]), "items")
            others = client_urls(pods, own)
            if not pods:
                # The cluster keeps its data in an etcd that is not kubeadm's.
                return True
            mine = _members_at(own, others, request)
            while mine:
                if not mine[0].get("ID"):
                    raise OSError("etcd does not report an ID for this host's member")
                _any(others, REMOVE, {"ID": mine[0]["ID"]}, request)
                removed = True
                left = _members_at(own, others, request)
                if len(left) >= len(mine):
                    return False
                mine = left
            return True
        except (KubesteadError, OSError) as err:
            failure = err
            return False

    if not poll(is_gone, patience, pause=2.0, clock=clock, sleep=sleep):
        raise KubesteadError(
            "this host can't be removed from the cluster's etcd ({0}); nothing was changed on this host; run again "
            "once the other control planes are healthy".format(getattr(failure, "message", "") or failure)
        )
    return removed


def client_urls(pods: Sequence[Mapping[str, Any]], own: Sequence[str]) -> List[str]:
    """Where the etcds of other machines than the one with the addresses ``own`` are found, by their pods."""
    notes = [mapping(mapping(pod.get("metadata")).get("annotations")) for pod in pods]
    urls = [str(note.get(CLIENT_URLS) or "") for note in notes]
    return [url for url in urls if _host(url) and _host(url) not in own]


def _host(url: Any) -> str:
    """The host in a URL; empty for anything else."""
    try:
        return str(urlsplit(url).hostname or "") if isinstance(url, str) else ""
    except ValueError:
        return ""


def _list(answer: Mapping[str, Any], name: str) -> List[Mapping[str, Any]]:
    """The list of that name. Raises OSError for an answer without one."""
    found = mappings(answer.get(name))
    if not isinstance(answer.get(name), list) or len(found) < len(answer[name]):
        raise OSError("the answer does not have a list of {0}".format(name))
    return found


def _any(others: Sequence[str], path: str, question: Mapping[str, Any], request: Client) -> Dict[str, Any]:
    """The answer of the first that gives one: another control plane may be down."""
    failure = OSError("the API does not list another etcd member")
    for url in others:
        try:
            return request(url, path, question)
        except OSError as err:
            failure = err
    raise failure


def _members_at(own: Sequence[str], others: Sequence[str], request: Client) -> List[Mapping[str, Any]]:
    """The members of etcd, as the others list them, that are at one of the addresses ``own``."""
    return [one for one in _list(_any(others, LIST, {}, request), "members") if _is_at(one, own)]


def _is_at(member: Mapping[str, Any], own: Sequence[str]) -> bool:
    urls = member.get("peerURLs")
    return any(_host(url) in own for url in urls) if isinstance(urls, list) else False
