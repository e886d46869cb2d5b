# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bootstrap tokens on a control plane: created for a few minutes, handed to the nodes that join, deleted by id.

A token is a Secret ``kube-system/bootstrap-token-<id>``. It is written through the API from standard input, so that it
is never part of a process's arguments, as it would be with ``kubeadm token create``.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
import secrets
import string
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core.constants import ADMIN_KUBECONFIG
from ..core.errors import CommandError, KubesteadError, OptionError
from ..core.poll import Clock, Sleep, poll
from ..core.redact import redact
from ..core.releases import config_api
from ..core.secret_files import private_file
from ..core.step import Step
from ..core.system import Result
from ..core.untrusted import mapping, mappings, number
from ..core.versions import parse
from ..kube.kubectl import KUBEADM_CONFIG, Kubectl
from . import cluster_info
from .join_command import JoinCommand, parse_time

COMPONENT = "join"
DESCRIPTION = "kubestead.cluster join"
# The bearer of a token that is for no particular node.
ANYBODY = ""
NODES_ANNOTATION = "kubestead.cluster/nodes"
DEFAULT_GROUP = "system:bootstrappers:kubeadm:default-node-token"
USAGES = ("signing", "authentication")

SECRETS = "/api/v1/namespaces/kube-system/secrets"
TOKEN_SECRETS = SECRETS + "?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken"
CERTIFICATES = "kubeadm-certs"
CERTIFICATES_PATH = "{0}/{1}".format(SECRETS, CERTIFICATES)

_ALPHABET = string.ascii_lowercase + string.digits
_DURATION = re.compile(r"^(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?\Z")
_SHORTEST, _LONGEST = 60, 24 * 3600


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
    """What is wanted of tokens.

    ``ttl`` is in seconds. ``nodes`` names who will join, each with a token of its own (without names there is one): a
    token left by a run that was killed is taken up (or removed) only by a run for the same node, never one that another
    run is using. ``finished`` names nodes whose tokens are no longer needed. ``wait`` is for the cluster to sign.
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
        """Who gets a token each: the nodes, or one without a name."""
        return sorted(set(self.nodes)) or [ANYBODY]

    @property
    def signing(self) -> bool:
        """Whether the token has to be signed with before it is of use."""
        return self.wait and "signing" in self.usages

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
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
    """A bootstrap token without its secret. ``expires`` is as the API has it, empty for never."""

    token_id: str
    expires: str = ""
    description: str = ""
    nodes: List[str] = field(default_factory=list)
    usages: List[str] = field(default_factory=list)
    groups: List[str] = field(default_factory=list)
    whole: bool = True

    @property
    def ours(self) -> bool:
        """True for a token that this collection created."""
        return self.description == DESCRIPTION

    def seconds_left(self, now: datetime) -> float:
        """How long it is still good for; endless where it never expires."""
        if not self.expires:
            return float("inf")
        end = parse_time(self.expires)
        return (end - now).total_seconds() if end else 0.0


@dataclass(frozen=True)
class TokenState:
    """The tokens of a cluster, and what belongs beside a token to join. Holds no secret."""

    endpoint: str = ""
    ca_cert_hashes: List[str] = field(default_factory=list)
    tokens: List[Token] = field(default_factory=list)
    signed: List[str] = field(default_factory=list)
    certificates: bool = False
    certificates_owner: str = ""
    ca_certificate: str = ""


def observe(kubectl: Kubectl, joining: bool = True, certificates: bool = True) -> TokenState:
    """Ask the cluster for its tokens, with ``joining`` for what a join needs, and for uploaded ``certificates``.

    Raises :class:`~.kubectl.ApiUnreachable` when the API does not answer, :class:`KubesteadError` when it has no
    cluster-info.
    """
    paths = [TOKEN_SECRETS, *([cluster_info.PATH] if joining else []), *([CERTIFICATES_PATH] if certificates else [])]
    answers = {path: _object(kubectl, path, done) for path, done in zip(paths, kubectl.raw(*paths))}
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
    """A token from its Secret, the secret part left out."""
    data = {key: _decoded(value) for key, value in mapping(secret.get("data")).items()}
    annotations = mapping(mapping(secret.get("metadata")).get("annotations"))
    nodes = str(annotations.get(NODES_ANNOTATION) or "")
    return Token(
        token_id=data.get("token-id", ""),
        expires=data.get("expiration", ""),
        description=data.get("description", ""),
        nodes=[name for name in nodes.split(",") if name],
        usages=[usage for usage in USAGES if data.get("usage-bootstrap-{0}".format(usage)) == "true"],
        groups=[group for group in data.get("auth-extra-groups", "").split(",") if group],
        whole=bool(re.match(r"^[a-z0-9]{16}\Z", data.get("token-secret", ""))),
    )


def token_secret(token_id: str, secret: str, bearer: str, options: TokenOptions, now: datetime) -> Dict[str, Any]:
    """The Secret that makes ``token_id.secret`` a token of a bearer, good from ``now`` for the time asked for."""
    data = {
        "token-id": token_id,
        "token-secret": secret,
        "expiration": _time(now + timedelta(seconds=options.ttl)),
        "auth-extra-groups": ",".join(options.groups),
        "description": DESCRIPTION,
    }
    data.update({"usage-bootstrap-{0}".format(usage): "true" for usage in options.usages})
    metadata: Dict[str, Any] = {"name": "bootstrap-token-{0}".format(token_id), "namespace": "kube-system"}
    if bearer:
        metadata["annotations"] = {NODES_ANNOTATION: bearer}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": metadata,
        "stringData": data,
    }


# -- Planning


def reusable(state: TokenState, options: TokenOptions, now: datetime) -> Dict[str, Token]:
    """The tokens to take instead of new ones, by bearer: ours, theirs alone, and good for half the time asked for."""
    if not options.reuse:
        return {}
    fitting: Dict[str, Token] = {}
    for token in sorted(state.tokens, key=lambda token: token.seconds_left(now)):
        if (
            token.ours
            and token.whole
            and len(token.nodes) <= 1
            and token.seconds_left(now) >= options.ttl / 2
            and set(options.usages) <= set(token.usages)
            and set(token.groups) == set(options.groups)
            and (not options.signing or token.token_id in state.signed)
        ):
            fitting[token.nodes[0] if token.nodes else ANYBODY] = token
    return {bearer: fitting[bearer] for bearer in options.bearers if bearer in fitting}


def plan_present(state: TokenState, options: TokenOptions, now: datetime) -> List[Step]:
    """What makes the tokens ready: those that are over removed, new ones where none can be reused, certificates."""
    kept = reusable(state, options, now)
    keep = {token.token_id for token in kept.values()}
    steps = []
    for token in state.tokens:
        if not token.ours or token.token_id in keep:
            continue
        if token.seconds_left(now) <= 0:
            steps.append(_delete_step(token, "expired at {0}".format(token.expires)))
        elif set(token.nodes) & set(options.finished):
            steps.append(_delete_step(token, "no longer needed"))
        elif set(token.nodes) & set(options.nodes):
            steps.append(_delete_step(token, "left by a run for {0}".format(", ".join(token.nodes))))
    new = [bearer for bearer in options.bearers if bearer not in kept]
    if new:
        reason = "no token to reuse, valid for {0}".format(_span(options.ttl))
        if options.nodes:
            reason = "{0} to join, {1}".format(_some(new), reason)
        target = "bootstrap token" if len(new) == 1 else "bootstrap tokens"
        steps.append(Step(COMPONENT, "create", target, reason, data={"bearers": new}))
    if options.control_plane and state.certificates:
        # They will be replaced; the token that ends them would stay for its two hours.
        steps.append(_delete_certificates_step(state, "uploaded earlier, with a key that is no longer known"))
    if options.control_plane:
        reason = "a control plane joins; they are encrypted and the cluster deletes them after two hours"
        steps.append(Step(COMPONENT, "upload", "control plane certificates", reason))
    return steps


def plan_absent(
    state: TokenState, token_id: str, certificates: bool, now: datetime, nodes: Sequence[str] = ()
) -> List[Step]:
    """What removes tokens: the one of an id, those of ``nodes``, ours that expired; and uploaded certificates."""
    steps = []
    for token in state.tokens:
        if (token_id and token.token_id == token_id) or (token.ours and set(token.nodes) & set(nodes)):
            steps.append(_delete_step(token, "no longer needed"))
        elif token.ours and token.seconds_left(now) <= 0:
            steps.append(_delete_step(token, "expired at {0}".format(token.expires)))
    if certificates and state.certificates:
        steps.append(_delete_certificates_step(state, "no longer needed"))
    return steps


def _delete_certificates_step(state: TokenState, reason: str) -> Step:
    # kubeadm has a token of two hours own them, so that they leave the cluster with it.
    owner = state.certificates_owner
    names = [CERTIFICATES, *([owner] if owner.startswith("bootstrap-token-") else [])]
    return Step(COMPONENT, "delete", "control plane certificates", reason, data={"secrets": names})


def _delete_step(token: Token, reason: str) -> Step:
    data = {"secrets": [_secret_name(token.token_id)]}
    return Step(COMPONENT, "delete", "bootstrap token {0}".format(token.token_id), reason, data=data)


def _secret_name(token_id: str) -> str:
    return "bootstrap-token-{0}".format(token_id)


def _some(names: List[str]) -> str:
    return ", ".join(names) if len(names) < 4 else "{0} and {1} more".format(", ".join(names[:2]), len(names) - 2)


def _span(seconds: int) -> str:
    return "{0} min".format(seconds // 60) if seconds % 60 == 0 else "{0} s".format(seconds)


# -- Application


class TokenManager:
    """Carries the steps out on a control plane, and afterwards has what they made.

    ``sign_timeout`` is how long (seconds) a new token may take to be signed. ``now`` (UTC) is replaced in tests, as are
    ``clock`` and ``sleep`` (see :func:`poll`).
    """

    def __init__(
        self,
        kubectl: Kubectl,
        options: TokenOptions,
        sign_timeout: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        clock: Optional[Clock] = None,
        sleep: Optional[Sleep] = None,
    ) -> None:
        self.kubectl = kubectl
        self.options = options
        self.certificate_key = ""
        # By bearer: the token, and when it ends.
        self.tokens: Dict[str, Tuple[str, str]] = {}
        self._created: List[str] = []
        self._sign_timeout = sign_timeout
        self._now = now
        self._monotonic = clock
        self._sleep = sleep

    def apply_all(self, steps: Sequence[Step]) -> None:
        """Carry the steps out, all deletions at once. Raises :class:`KubesteadError`, without secrets."""
        # What is no longer needed goes first: it must not stay where what follows fails.
        self._delete([name for step in steps if step.action == "delete" for name in step.data["secrets"]])
        for step in steps:
            if step.action == "create":
                self._create(step.data["bearers"])
            elif step.action == "upload":
                self.certificate_key = secrets.token_hex(32)
                upload_certificates(self.kubectl, self.certificate_key)

    def discard(self) -> None:
        """Delete the tokens that were created, when what comes after them failed. Never raises."""
        with contextlib.suppress(KubesteadError):
            self._delete([_secret_name(token_id) for token_id in self._created])

    def reuse(self, kept: Mapping[str, Token]) -> None:
        """Take up tokens that are there. Raises :class:`KubesteadError` when one has gone meanwhile."""
        for bearer, token in kept.items():
            secret = _get(self.kubectl, "{0}/{1}".format(SECRETS, _secret_name(token.token_id)))
            text = _decoded(mapping((secret or {}).get("data")).get("token-secret"))
            if not text:
                raise KubesteadError("token {0} has just been deleted; run again".format(token.token_id))
            self.tokens[bearer] = ("{0}.{1}".format(token.token_id, text), token.expires)

    def _create(self, bearers: Sequence[str]) -> None:
        """Create a token for each bearer with one process, whose standard input alone has them."""
        left = list(bearers)
        for _attempt in range(5):
            new = {bearer: (_random(6), _random(16)) for bearer in left}
            bodies = {
                bearer: token_secret(token_id, secret, bearer, self.options, self._now())
                for bearer, (token_id, secret) in new.items()
            }
            listing = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(bodies.values())})
            done = self.kubectl.run(["create", "--validate=false", "-f", "-", "-o", "name"], stdin=listing)
            created = {line.strip() for line in done.stdout.splitlines()}
            for bearer, (token_id, secret) in new.items():
                if done.ok or "secret/" + _secret_name(token_id) in created:
                    self._created.append(token_id)
                    end = str(bodies[bearer]["stringData"]["expiration"])
                    self.tokens[bearer] = ("{0}.{1}".format(token_id, secret), end)
            left = [bearer for bearer in left if bearer not in self.tokens]
            if not left:
                if self.options.signing:
                    self._wait_for_signature(self._created)
                return
            if "AlreadyExists" not in done.stderr:
                # What was interrupted may have created some of them.
                self._created += [new[bearer][0] for bearer in left]
                error = self.kubectl.error(["create", "the bootstrap token"], done)
                raise type(error)(redact(error.message, *(secret for _token_id, secret in new.values())))
        raise CommandError("the bootstrap token can't be created: all generated IDs exist; delete old tokens")

    def _wait_for_signature(self, token_ids: Sequence[str]) -> None:
        """Nodes trust cluster-info once the controller manager signed it with the token: mostly within 0.1 s."""

        def is_signed() -> bool:
            config_map = _get(self.kubectl, cluster_info.PATH)
            info = cluster_info.read(config_map) if config_map else None
            return info is not None and all(info.knows(token_id) for token_id in token_ids)

        seconds = self._sign_timeout
        if poll(is_signed, seconds, pause=0.1, growth=1.5, longest=0.5, clock=self._monotonic, sleep=self._sleep):
            return
        self.discard()
        raise KubesteadError(
            "token {0} was not signed into cluster-info within {1:.0f} seconds; look at kube-controller-manager on "
            "the control plane (its bootstrapsigner does that)".format(", ".join(token_ids[:3]), seconds)
        )

    def _delete(self, names: Sequence[str]) -> None:
        if not names:
            return
        options = ["--ignore-not-found", "--wait=false"]
        done = self.kubectl.run(["--namespace=kube-system", "delete", "secret", *options, *names])
        if not done.ok:
            raise self.kubectl.error(["delete", "secret", names[0]], done)

    def commands(self, state: TokenState) -> Dict[str, JoinCommand]:
        """The join commands by bearer; none where nothing was created or taken."""
        return {
            bearer: JoinCommand(
                endpoint=state.endpoint,
                token=token,
                ca_cert_hashes=list(state.ca_cert_hashes),
                certificate_key=self.certificate_key,
                control_plane=self.options.control_plane,
                expires=expires,
                ca_certificate=state.ca_certificate,
            )
            for bearer, (token, expires) in sorted(self.tokens.items())
        }


def upload_certificates(kubectl: Kubectl, certificate_key: str) -> None:
    """Let kubeadm encrypt the control plane's certificates with a key and put them into the cluster.

    The key passes in a config file that only root reads and that is gone afterwards.
    """
    system = kubectl.system
    config_map = _get(kubectl, KUBEADM_CONFIG)
    stored = str(mapping((config_map or {}).get("data")).get("ClusterConfiguration") or "")
    if not stored:
        raise KubesteadError(
            "ConfigMap kube-system/kubeadm-config does not have a ClusterConfiguration; "
            "run `kubeadm init phase upload-config kubeadm` on a control plane"
        )
    version = parse(system.run(["kubeadm", "version", "-o", "short"], check=True).stdout)
    if version is None:
        raise CommandError("kubeadm version did not print a version; install kubeadm on the control plane")
    with private_file(system, upload_config(config_api(version), stored, certificate_key)) as path:
        done = system.run(
            ["kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print"]
            + ["--config", path],
            timeout=120.0,
            env={"KUBECONFIG": ADMIN_KUBECONFIG},
        )
    if not done.ok:
        raise CommandError(
            "kubeadm init phase upload-certs failed: {0}".format(redact(done.last_line, certificate_key)),
            {"stderr": redact(done.stderr, certificate_key)},
        )


def upload_config(api: str, stored: str, certificate_key: str) -> str:
    """kubeadm's configuration for the upload: the key, and the cluster's own configuration as the cluster keeps it."""
    document = {
        "apiVersion": "kubeadm.k8s.io/{0}".format(api),
        "kind": "InitConfiguration",
        "certificateKey": certificate_key,
        # Not used by this phase, but without it kubeadm insists on finding an address and a container runtime.
        "localAPIEndpoint": {"advertiseAddress": "192.0.2.1"},
        "nodeRegistration": {"criSocket": "unix:///run/containerd/containerd.sock"},
    }
    return "{0}\n---\n{1}\n".format(json.dumps(document, indent=2), stored.strip())


def _get(kubectl: Kubectl, path: str) -> Optional[Dict[str, Any]]:
    """An object of the API by its path, None when there is none."""
    return _object(kubectl, path, kubectl.run(["get", "--raw", path]))


def _object(kubectl: Kubectl, path: str, done: Result) -> Optional[Dict[str, Any]]:
    if not done.ok and "(NotFound)" in done.stderr:
        return None
    return kubectl.parsed(["get", path], done)


def _decoded(value: Any) -> str:
    try:
        return base64.b64decode(value).decode("utf-8") if isinstance(value, str) else ""
    except (binascii.Error, ValueError):
        return ""


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _index in range(length))


def _time(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
