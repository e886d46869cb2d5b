# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The public ConfigMap kube-public/cluster-info, signed for each bootstrap token.

It has a kubeconfig with the server and its CA. For each token that is used to sign, it has a key
``jws-kubeconfig-<token id>``: a detached JWS (RFC 7515, HS256 with the token's secret). A node trusts the CA because it
has the same token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping

from ..core.errors import KubesteadError
from ..core.untrusted import mapping, parse_json
from ..core.x509 import ca_cert_hashes
from ..kube.api import kubeconfig_server

PATH = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
_SIGNATURE = "jws-kubeconfig-"


@dataclass(frozen=True)
class ClusterInfo:
    """The contents of cluster-info.

    ``endpoint`` is ``host:port``, ``ca_certificate`` PEM; ``signatures`` are detached JWS by token id.
    """

    endpoint: str
    ca_cert_hashes: List[str]
    ca_certificate: str = ""
    kubeconfig: str = field(default="", repr=False)
    signatures: Dict[str, str] = field(default_factory=dict, repr=False)

    def knows(self, token_id: str) -> bool:
        """True if the token with this ID exists, has not expired, and has been used to sign."""
        return token_id in self.signatures

    def signed_by(self, token: str) -> bool:
        """True if the kubeconfig has a valid signature of this token (ID and secret)."""
        token_id, _dot, secret = token.partition(".")
        header, _dots, signature = self.signatures.get(token_id, "").partition("..")
        try:
            algorithm = mapping(parse_json(_decode(header))).get("alg")
            payload = base64.urlsafe_b64encode(self.kubeconfig.encode("utf-8")).rstrip(b"=")
        except ValueError:
            return False
        if algorithm != "HS256" or not re.fullmatch("[A-Za-z0-9_-]+", signature):
            return False
        signed = header.encode("ascii") + b"." + payload
        digest = hmac.new(secret.encode("utf-8"), signed, hashlib.sha256).digest()
        return hmac.compare_digest(base64.urlsafe_b64encode(digest).rstrip(b"="), signature.encode("ascii"))


def read(config_map: Mapping[str, Any]) -> ClusterInfo:
    """The ConfigMap's contents. Raises :class:`KubesteadError` without a kubeconfig that has a server and a CA."""
    data = mapping(mapping(config_map).get("data"))
    kubeconfig = str(data.get("kubeconfig") or "")
    server = kubeconfig_server(kubeconfig)
    certificate = _ca_certificates(kubeconfig)
    hashes = ca_cert_hashes(certificate)
    if not server or not hashes:
        raise KubesteadError(
            "cluster-info does not have a {0}; run `kubeadm init phase bootstrap-token` on a control plane".format(
                "CA certificate" if server else "server"
            )
        )
    return ClusterInfo(
        endpoint=_host_port(server),
        ca_cert_hashes=hashes,
        ca_certificate=certificate,
        kubeconfig=kubeconfig,
        signatures={key[len(_SIGNATURE) :]: str(jws) for key, jws in data.items() if key.startswith(_SIGNATURE)},
    )


def _host_port(server: str) -> str:
    host = re.sub(r"^https?://", "", server).rstrip("/")
    return host if re.search(r":\d+\Z", host) else "{0}:443".format(host)


def _ca_certificates(kubeconfig: str) -> str:
    match = re.search(r"certificate-authority-data:[ \t]*[\"']?([A-Za-z0-9+/=]+)", kubeconfig)
    try:
        return base64.b64decode(match.group(1)).decode("ascii") if match else ""
    except (binascii.Error, ValueError):
        return ""


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
