# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans which bootstrap tokens are created, reused and deleted. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Dict, List, Sequence

from ..core.step import Step
from .bootstrap_token import ANY_NODE, CERTIFICATES, Token, TokenOptions, TokenState, secret_name

COMPONENT = "join"


def reusable(state: TokenState, options: TokenOptions, now: datetime) -> Dict[str, Token]:
    """The tokens to reuse, by bearer: created by this collection for this bearer alone, and valid for half the ttl."""
    if not options.reuse:
        return {}
    fitting: Dict[str, Token] = {}
    for token in sorted(state.tokens, key=lambda token: token.seconds_left(now)):
        if (
            token.ours
            and token.well_formed
            and len(token.nodes) <= 1
            and token.seconds_left(now) >= options.ttl / 2
            and set(options.usages) <= set(token.usages)
            and set(token.groups) == set(options.groups)
            and (not options.signing or token.token_id in state.signed)
        ):
            fitting[token.nodes[0] if token.nodes else ANY_NODE] = token
    return {bearer: fitting[bearer] for bearer in options.bearers if bearer in fitting}


def plan_present(state: TokenState, options: TokenOptions, now: datetime) -> List[Step]:
    """The steps that delete unneeded tokens, create missing tokens, and upload certificates for control planes."""
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
        reason = "no token to reuse, valid for {0}".format(_duration(options.ttl))
        if options.nodes:
            reason = "{0} to join, {1}".format(_shortened(new), reason)
        target = "bootstrap token" if len(new) == 1 else "bootstrap tokens"
        steps.append(Step(COMPONENT, "create", target, reason, data={"bearers": new}))
    if options.control_plane and state.certificates:
        # The upload replaces the Secret, but the token that limits its lifetime would remain for two hours.
        steps.append(_delete_certificates_step(state, "uploaded earlier, with a key that is no longer known"))
    if options.control_plane:
        reason = "a control plane joins; they are encrypted and the cluster deletes them after two hours"
        steps.append(Step(COMPONENT, "upload", "control plane certificates", reason))
    return steps


def plan_absent(
    state: TokenState, token_id: str, certificates: bool, now: datetime, nodes: Sequence[str] = ()
) -> List[Step]:
    """The steps that delete the token ``token_id``, those of ``nodes``, expired ones, and uploaded certificates."""
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
    # Their owner is a token that kubeadm creates for two hours. The cluster deletes both together.
    owner = state.certificates_owner
    names = [CERTIFICATES, *([owner] if owner.startswith("bootstrap-token-") else [])]
    return Step(COMPONENT, "delete", "control plane certificates", reason, data={"secrets": names})


def _delete_step(token: Token, reason: str) -> Step:
    data = {"secrets": [secret_name(token.token_id)]}
    return Step(COMPONENT, "delete", "bootstrap token {0}".format(token.token_id), reason, data=data)


def _shortened(names: List[str]) -> str:
    return ", ".join(names) if len(names) < 4 else "{0} and {1} more".format(", ".join(names[:2]), len(names) - 2)


def _duration(seconds: int) -> str:
    return "{0} min".format(seconds // 60) if seconds % 60 == 0 else "{0} s".format(seconds)
