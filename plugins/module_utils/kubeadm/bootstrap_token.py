# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bootstrap tokens of a cluster, observed without their secret parts.

A token is a Secret ``kube-system/bootstrap-token-<id>``.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Mapping

from ..core.errors import KubesteadError, OptionError
from ..core.untrusted import mapping, mappings, number
from ..kube.kubectl import Kubectl
from . import cluster_info
from .join_command import parse_time

DESCRIPTION = "kubestead.cluster join"
# The bearer of a token that is not for a certain node.
ANY_NODE = ""
NODES_ANNOTATION = "kubestead.cluster/nodes"
DEFAULT_GROUP = "system:bootstrappers:kubeadm:default-node-token"
USAGES = ("signing", "authentication")

SECRETS = "/api/v1/namespaces/kube-system/secrets"
TOKEN_SECRETS = SECRETS + "?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken"
CERTIFICATES = "kubeadm-certs"
CERTIFICATES_PATH = "{0}/{1}".format(SECRETS, CERTIFICATES)

_DURATION = re.compile(r"^(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?\Z")
_SHORTEST, _LONGEST = 60, 24 * 3600
#: The lifetime of a token, unless another one is set.
DEFAULT_TTL = "15m"


def parse_duration(text: str, option: str = "ttl") -> int:
    """Seconds of a duration like ``15m``, ``1h30m``, ``90s`` or a number of seconds.

    Raises :class:`OptionError` for anything else, and for less than a minute or more than a day.
    """
    text = str(text).strip()
    match = _DURATION.match(text)
    if number(text) >= 0:
        seconds = number(text)
    elif text and match:
        days, hours, minutes, rest = (int(part or 0) for part in match.groups())
        seconds = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        raise OptionError(option, "is {0!r}, not a duration".format(text), "use a duration like 15m, 1h30m or 90s")
    if not _SHORTEST <= seconds <= _LONGEST:
        raise OptionError(option, "is {0!r}, not between 1m and 24h".format(text), "use a duration like 15m")
    return seconds


@dataclass(frozen=True)
class TokenOptions:
    """Options of bootstrap tokens.

    ``ttl`` is in seconds. Each node in ``nodes`` gets its own token; without names, one token is created. A token of an
    interrupted run is reused or deleted only by a run for the same node, so a token that another run uses stays.
    ``finished`` are nodes whose tokens are deleted. With ``wait``, the cluster must sign a new token.
    """

    ttl: int = 900
    reuse: bool = True
    nodes: List[str] = field(default_factory=list)
    finished: List[str] = field(default_factory=list)
    usages: List[str] = field(default_factory=lambda: list(USAGES))
    groups: List[str] = field(default_factory=lambda: [DEFAULT_GROUP])
    control_plane: bool = False
    wait: bool = True

    @property
    def bearers(self) -> List[str]:
        """The nodes that get a token each; without names, :data:`ANY_NODE`."""
        return sorted(set(self.nodes)) or [ANY_NODE]

    @property
    def signing(self) -> bool:
        """True if a token is usable only after the cluster has signed cluster-info with it."""
        return self.wait and "signing" in self.usages

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first invalid value."""
        unknown = [usage for usage in self.usages if usage not in USAGES]
        if unknown or not self.usages:
            raise OptionError(
                "usages", "has {0!r}".format(unknown or self.usages), "use signing, authentication or both"
            )
        for group in self.groups:
            if not re.match(r"^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]\Z", group):
                raise OptionError(
                    "groups", "has {0!r}".format(group), "use groups that start with system:bootstrappers:"
                )


@dataclass(frozen=True)
class Token:
    """A bootstrap token without its secret part. ``expires`` has the format of the API; empty if it never expires.

    ``well_formed`` is true if the secret part has the length and the characters that Kubernetes requires.
    """

    token_id: str
    expires: str = ""
    description: str = ""
    nodes: List[str] = field(default_factory=list)
    usages: List[str] = field(default_factory=list)
    groups: List[str] = field(default_factory=list)
    well_formed: bool = True

    @property
    def ours(self) -> bool:
        """True for a token that this collection created."""
        return self.description == DESCRIPTION

    def seconds_left(self, now: datetime) -> float:
        """The seconds until the token expires; infinity if it never does."""
        if not self.expires:
            return float("inf")
        end = parse_time(self.expires)
        return (end - now).total_seconds() if end else 0.0


@dataclass(frozen=True)
class TokenState:
    """The tokens of a cluster, and what a join needs in addition to a token. Contains no secret."""

    endpoint: str = ""
    ca_cert_hashes: List[str] = field(default_factory=list)
    tokens: List[Token] = field(default_factory=list)
    signed: List[str] = field(default_factory=list)
    certificates: bool = False
    certificates_owner: str = ""
    ca_certificate: str = ""


def observe(kubectl: Kubectl, joining: bool = True, certificates: bool = True) -> TokenState:
    """Observe the tokens; with ``joining`` also what a join needs; with ``certificates`` also uploaded certificates.

    Raises :class:`~.kubectl.ApiUnreachable` if the API does not answer, :class:`KubesteadError` if cluster-info is
    missing.
    """
    paths = [TOKEN_SECRETS, *([cluster_info.PATH] if joining else []), *([CERTIFICATES_PATH] if certificates else [])]
    answers = dict(zip(paths, kubectl.objects(*paths)))
    listing = answers[TOKEN_SECRETS] or {}
    tokens = sorted((read_token(item) for item in mappings(listing.get("items"))), key=lambda token: token.token_id)
    secret = answers.get(CERTIFICATES_PATH)
    owners = mappings(mapping((secret or {}).get("metadata")).get("ownerReferences"))
    state = TokenState(
        tokens=tokens,
        certificates=secret is not None,
        certificates_owner=str(owners[0].get("name", "")) if owners else "",
    )
    if not joining:
        return state
    config_map = answers[cluster_info.PATH]
    if config_map is None:
        raise KubesteadError(
            "cluster-info is missing in namespace kube-public, so nodes can't find the cluster; "
            "run `kubeadm init phase bootstrap-token` on a control plane"
        )
    info = cluster_info.read(config_map)
    return replace(
        state,
        endpoint=info.endpoint,
        ca_cert_hashes=info.ca_cert_hashes,
        ca_certificate=info.ca_certificate,
        signed=sorted(info.signatures),
    )


def read_token(secret: Mapping[str, Any]) -> Token:
    """The token in a Secret, without its secret part."""
    data = {key: decoded(value) for key, value in mapping(secret.get("data")).items()}
    annotations = mapping(mapping(secret.get("metadata")).get("annotations"))
    nodes = str(annotations.get(NODES_ANNOTATION) or "")
    return Token(
        token_id=data.get("token-id", ""),
        expires=data.get("expiration", ""),
        description=data.get("description", ""),
        nodes=[name for name in nodes.split(",") if name],
        usages=[usage for usage in USAGES if data.get("usage-bootstrap-{0}".format(usage)) == "true"],
        groups=[group for group in data.get("auth-extra-groups", "").split(",") if group],
        well_formed=bool(re.match(r"^[a-z0-9]{16}\Z", data.get("token-secret", ""))),
    )


def token_secret(token_id: str, secret: str, bearer: str, options: TokenOptions, now: datetime) -> Dict[str, Any]:
    """The Secret of the token ``token_id.secret`` for a bearer. The token is valid for ``options.ttl`` from ``now``."""
    data = {
        "token-id": token_id,
        "token-secret": secret,
        "expiration": _time(now + timedelta(seconds=options.ttl)),
        "auth-extra-groups": ",".join(options.groups),
        "description": DESCRIPTION,
    }
    data.update({"usage-bootstrap-{0}".format(usage): "true" for usage in options.usages})
    metadata: Dict[str, Any] = {"name": secret_name(token_id), "namespace": "kube-system"}
    if bearer:
        metadata["annotations"] = {NODES_ANNOTATION: bearer}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": metadata,
        "stringData": data,
    }


def secret_name(token_id: str) -> str:
    """The name of a token's Secret."""
    return "bootstrap-token-{0}".format(token_id)


def decoded(value: Any) -> str:
    """The text of a value in a Secret; empty for anything else."""
    try:
        return base64.b64decode(value).decode("utf-8") if isinstance(value, str) else ""
    except (binascii.Error, ValueError):
        return ""


def _time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
