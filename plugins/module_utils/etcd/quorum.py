# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The majority that etcd needs: which members can be removed one after the other. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Sequence


@dataclass(frozen=True)
class Loss:
    """The first removal that etcd would refuse or not survive.

    ``member`` is the member to remove. ``healthy`` of ``voters`` members are healthy before the removal, and
    ``healthy_left`` of ``voters_left`` after it. ``down`` are the unhealthy members that stay.
    """

    member: str
    healthy: int
    voters: int
    healthy_left: int
    voters_left: int
    down: List[str] = field(default_factory=list)

    @property
    def is_lost(self) -> bool:
        """True if etcd has already lost its majority, so that it can't approve any removal."""
        return self.healthy < majority(self.voters)


def majority(count: int) -> int:
    """The majority of ``count`` voters."""
    return count // 2 + 1


def has_majority(healthy: Mapping[str, bool]) -> bool:
    """True if a majority of the voters is healthy. ``healthy`` maps each voter to its health."""
    return sum(healthy.values()) >= majority(len(healthy))


def first_loss(healthy: Mapping[str, bool], leaving: Sequence[str]) -> Optional[Loss]:
    """The first removal without a majority before or after it; None if all of ``leaving`` can be removed.

    ``healthy`` maps each voter to its health. Unhealthy members are removed first, because they count as voters.
    """
    voters = dict(healthy)
    for member in sorted(leaving, key=lambda one: healthy[one]):
        rest = {name: voters[name] for name in voters if name != member}
        loss = Loss(
            member,
            sum(voters.values()),
            len(voters),
            sum(rest.values()),
            len(rest),
            [name for name in rest if not rest[name]],
        )
        if loss.is_lost or not has_majority(rest):
            return loss
        voters = rest
    return None
