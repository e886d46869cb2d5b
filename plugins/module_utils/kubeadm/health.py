# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health of the control plane components on this machine, each queried at its own address.

The address of the cluster may lead to another control plane, which says nothing about this one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from ..core import untrusted
from ..core.constants import PKI
from ..core.https import Answer, Credentials
from ..core.system import System
from ..kube import api
from .static_pods import StaticPod, api_server_url, etcd_url


@dataclass(frozen=True)
class Health:
    """The health of a server on this machine. ``url`` is the queried address; empty if there is no such server.

    ``reason`` says why it is not well.
    """

    healthy: bool = False
    reason: str = ""
    url: str = ""

    @property
    def failed(self) -> bool:
        """True for a server that should be here and is not well."""
        return bool(self.url) and not self.healthy


def api_server(system: System, pods: Mapping[str, StaticPod]) -> Health:
    """This machine's own API server, by its /readyz and with the admin's kubeconfig."""
    url = api_server_url(pods.get("kube-apiserver", StaticPod()))
    if not url:
        return Health()
    (answer,) = api.Api(system, server=url).get("/readyz")
    return Health(api.is_ok(answer), "" if api.is_ok(answer) else api.failure(answer), url)


def etcd_member(system: System, pods: Mapping[str, StaticPod]) -> Health:
    """This machine's own member of etcd, by its /health: it has a leader, no alarm, and commits."""
    url = etcd_url(pods.get("etcd", StaticPod()))
    if not url:
        return Health()
    (answer,) = system.get(url, ["/health"], _etcd_credentials(system))
    reason = _etcd_failure(answer)
    return Health(not reason, reason, url)


def _etcd_credentials(system: System) -> Credentials:
    # kubeadm makes this one for the health checks; it is missing where certificates are the user's own.
    for name in ("etcd/healthcheck-client", "etcd/peer"):
        certificate, key = (system.read("{0}/{1}.{2}".format(PKI, name, end)) for end in ("crt", "key"))
        if certificate and key:
            return Credentials(system.read(PKI + "/etcd/ca.crt") or "", certificate, key)
    return Credentials(system.read(PKI + "/etcd/ca.crt") or "")


def _etcd_failure(answer: Answer) -> str:
    if answer.error:
        return answer.error
    try:
        data = untrusted.mapping(untrusted.parse_json(answer.body))
    except ValueError:
        data = {}
    if answer.ok and data.get("health") in ("true", True):
        return ""
    return untrusted.text(data.get("reason")).lower() or "HTTP {0}".format(answer.status)
