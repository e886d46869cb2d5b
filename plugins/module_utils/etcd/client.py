# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A client for the JSON API of etcd, with this machine's client certificate."""

from __future__ import annotations

import http.client
import json
from typing import Any, Callable, Dict, Mapping
from urllib.parse import urlsplit

from ..core.constants import PKI
from ..core.deadline import within
from ..core.https import client_context, exchange
from ..core.system import System
from ..core.untrusted import parse_json

CA = PKI + "/etcd/ca.crt"
CERTIFICATE, KEY = PKI + "/apiserver-etcd-client.crt", PKI + "/apiserver-etcd-client.key"
# kubeadm's annotation on the pod of each member: the URL for clients.
CLIENT_URLS = "kubeadm.kubernetes.io/etcd.advertise-client-urls"
LIST, REMOVE = "/v3/cluster/member/list", "/v3/cluster/member/remove"
STATUS, ALARM = "/v3/maintenance/status", "/v3/maintenance/alarm"

# (client URL, path, query) -> answer. Raises OSError.
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

    def request(url: str, path: str, query: Mapping[str, Any]) -> Dict[str, Any]:
        connection = connect(system, url, 5.0)
        headers = {"Content-Type": "application/json"}
        status, text = within(30.0, lambda: exchange(connection, "POST", path, json.dumps(query), headers))
        try:
            parsed = parse_json(text)
        except ValueError:
            parsed = {}
        if status != 200 or not isinstance(parsed, dict):
            reason = parsed.get("message") or parsed.get("error") if isinstance(parsed, dict) else ""
            raise OSError(str(reason or "HTTP {0}".format(status)))
        return parsed

    return request
