# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates and deletes bootstrap tokens on a control plane.

A token is written through the API from standard input. It is never an argument of a process, as it would be with
``kubeadm token create``.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import string
from datetime import datetime, timezone
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core.errors import CommandError, KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.redact import redact
from ..core.step import Step
from ..core.untrusted import mapping
from ..kube.kubectl import Kubectl
from . import cluster_info
from .bootstrap_token import SECRETS, Token, TokenOptions, TokenState, decoded, secret_name, token_secret
from .certificate_upload import upload_certificates
from .join_command import JoinCommand

_ALPHABET = string.ascii_lowercase + string.digits


class TokenManager:
    """Applies the steps on a control plane, and keeps the tokens that they create.

    ``sign_timeout`` limits the time (seconds) in which a new token must be signed. Tests replace ``now`` (UTC),
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
        # The token and its expiration, by bearer.
        self.tokens: Dict[str, Tuple[str, str]] = {}
        self._created: List[str] = []
        self._sign_timeout = sign_timeout
        self._now = now
        self._monotonic = clock
        self._sleep = sleep

    def apply_all(self, steps: Sequence[Step]) -> None:
        """Apply the steps, all deletions at once. Raises :class:`KubesteadError` without secrets."""
        # Unneeded tokens are deleted first, so that they are deleted even if a later step fails.
        self._delete([name for step in steps if step.action == "delete" for name in step.data["secrets"]])
        for step in steps:
            if step.action == "create":
                self._create(step.data["bearers"])
            elif step.action == "upload":
                self.certificate_key = secrets.token_hex(32)
                upload_certificates(self.kubectl, self.certificate_key)

    def discard(self) -> None:
        """Delete the created tokens after a later step has failed. Never raises."""
        with contextlib.suppress(KubesteadError):
            self._delete([secret_name(token_id) for token_id in self._created])

    def reuse(self, kept: Mapping[str, Token]) -> None:
        """Read the secret parts of existing tokens. Raises :class:`KubesteadError` if one no longer exists."""
        for bearer, token in kept.items():
            secret = self.kubectl.objects("{0}/{1}".format(SECRETS, secret_name(token.token_id)))[0]
            text = decoded(mapping((secret or {}).get("data")).get("token-secret"))
            if not text:
                raise KubesteadError("token {0} has just been deleted; run again".format(token.token_id))
            self.tokens[bearer] = ("{0}.{1}".format(token.token_id, text), token.expires)

    def _create(self, bearers: Sequence[str]) -> None:
        """Create a token for each bearer with one process, which reads them from its standard input."""
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
                if done.ok or "secret/" + secret_name(token_id) in created:
                    self._created.append(token_id)
                    end = str(bodies[bearer]["stringData"]["expiration"])
                    self.tokens[bearer] = ("{0}.{1}".format(token_id, secret), end)
            left = [bearer for bearer in left if bearer not in self.tokens]
            if not left:
                if self.options.signing:
                    self._wait_for_signature(self._created)
                return
            if "AlreadyExists" not in done.stderr:
                # A command that was interrupted may have created some of them.
                self._created += [new[bearer][0] for bearer in left]
                error = self.kubectl.error(["create", "the bootstrap token"], done)
                raise type(error)(redact(error.message, *(secret for _token_id, secret in new.values())))
        raise CommandError("the bootstrap token can't be created: all generated IDs exist; delete old tokens")

    def _wait_for_signature(self, token_ids: Sequence[str]) -> None:
        """Wait until the controller manager has signed cluster-info with the tokens, usually within 0.1 s."""

        def is_signed() -> bool:
            config_map = self.kubectl.objects(cluster_info.PATH)[0]
            info = cluster_info.read(config_map) if config_map else None
            return info is not None and all(info.knows(token_id) for token_id in token_ids)

        seconds = self._sign_timeout
        if poll(is_signed, seconds, pause=0.1, growth=1.5, longest=0.5, clock=self._monotonic, sleep=self._sleep):
            return
        self.discard()
        raise KubesteadError(
            "cluster-info was not signed with token {0} within {1:.0f} seconds; check kube-controller-manager on the "
            "control plane, whose bootstrapsigner signs it".format(", ".join(token_ids[:3]), seconds)
        )

    def _delete(self, names: Sequence[str]) -> None:
        if not names:
            return
        options = ["--ignore-not-found", "--wait=false"]
        done = self.kubectl.run(["--namespace=kube-system", "delete", "secret", *options, *names])
        if not done.ok:
            raise self.kubectl.error(["delete", "secret", names[0]], done)

    def commands(self, state: TokenState) -> Dict[str, JoinCommand]:
        """The join commands of the created and reused tokens, by bearer."""
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


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _index in range(length))
