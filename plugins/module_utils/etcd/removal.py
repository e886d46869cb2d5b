# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes the etcd members of another machine, which may be down, without breaking the majority.

A member is identified by its name or its peer URLs. A member whose join failed does not have a name, and the member of
a renamed machine still has the old name. Learners do not vote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, List, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from ..core import untrusted
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from .cluster import STATUS
from .members import LIST, REMOVE, Client


@dataclass(frozen=True)
class Member:
    """A member of etcd. ``name`` is empty if the member has never started.

    ``healthy`` is true if the member answers, has a leader and reports no errors. ``identifier`` is the member ID, a
    decimal number as text.
    """

    identifier: str
    name: str = ""
    peer_urls: List[str] = field(default_factory=list)
    client_urls: List[str] = field(default_factory=list)
    learner: bool = False
    healthy: bool = False

    @property
    def label(self) -> str:
        """The member as messages show it."""
        where = ", ".join(self.peer_urls) or "without a peer URL"
        kind = " (learner)" if self.learner else ""
        return "{0} at {1}{2}".format(self.name or "a member that never started", where, kind)


def observe(url: str, request: Client) -> List[Member]:
    """The members that the etcd at ``url`` lists, with the health of each. Raises OSError."""
    answer = request(url, LIST, {})
    if not isinstance(answer.get("members"), list):
        raise OSError("the answer does not have a list of members")
    return [_member(one, request) for one in untrusted.mappings(answer["members"])]


def _member(data: Mapping[str, Any], request: Client) -> Member:
    urls = [one for one in untrusted.texts(data.get("clientURLs")) if one.startswith("https://")]
    identifier = untrusted.text(str(data.get("ID") or ""), 32)
    return Member(
        identifier=identifier if identifier.isdigit() else "",
        name=untrusted.text(data.get("name")),
        peer_urls=untrusted.texts(data.get("peerURLs")),
        client_urls=urls,
        learner=data.get("isLearner") is True,
        healthy=any(_answers(url, request) for url in urls),
    )


def _answers(url: str, request: Client) -> bool:
    try:
        status = request(url, STATUS, {})
    except OSError:
        return False
    leader = status.get("leader")
    return bool(leader) and str(leader) != "0" and not status.get("errors")


# -- planning (pure)


def leaving(members: Sequence[Member], name: str, addresses: Sequence[str]) -> List[Member]:
    """The members with this node name, or with a peer URL at one of these addresses."""
    return [one for one in members if (name and one.name == name) or _is_at(one, addresses)]


def _is_at(member: Member, addresses: Sequence[str]) -> bool:
    for url in member.peer_urls:
        try:
            host = urlsplit(url).hostname
        except ValueError:
            continue
        if host and host in addresses:
            return True
    return False


def majority(count: int) -> int:
    """The majority of ``count`` voters."""
    return count // 2 + 1


def refusal(members: Sequence[Member], going: Sequence[Member]) -> str:
    """Why these members can't be removed, with the fix; empty if they can be."""
    gone = {one.identifier for one in going}
    voters = [one for one in members if not one.learner]
    if not [one for one in voters if one.identifier in gone]:
        return ""
    rest = [one for one in voters if one.identifier not in gone]
    if not rest:
        return "it is the last member of etcd; reset the complete cluster, or add another control plane first"
    healthy = [one for one in voters if one.healthy]
    if len(healthy) < majority(len(voters)):
        return (
            "etcd has lost its majority ({0} of {1} members are healthy), so no member can be removed; start one of {2}"
        ).format(len(healthy), len(voters), _names([one for one in voters if not one.healthy]))
    left = [one for one in rest if one.healthy]
    if len(left) < majority(len(rest)):
        return (
            "{0} of the {1} etcd members left would be healthy, which is not a majority; start {2}, or add another "
            "control plane first"
        ).format(len(left), len(rest), _names([one for one in rest if not one.healthy]))
    return ""


def _names(members: Sequence[Member]) -> str:
    return ", ".join(one.label for one in members)


# -- applying


def remove(
    url: str,
    request: Client,
    name: str,
    addresses: Sequence[str],
    patience: float = 90.0,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> None:
    """Remove the machine's members one at a time, until none is listed and a majority of the others is healthy.

    The majority is checked before each removal. Raises :class:`KubesteadError` after ``patience`` seconds, or at once
    if a removal would break the majority.
    """
    failure: List[str] = []

    def is_gone() -> bool:
        try:
            members = observe(url, request)
            going = leaving(members, name, addresses)
            if not going:
                voters = [one for one in members if not one.learner]
                failure[:] = ["etcd does not have a healthy majority yet"]
                return len([one for one in voters if one.healthy]) >= majority(len(voters))
            why = refusal(members, going[:1])
            if why:
                raise KubesteadError("{0} was not removed from etcd: {1}".format(name or addresses[0], why))
            if not going[0].identifier:
                raise OSError("etcd does not report an ID for this member")
            request(url, REMOVE, {"ID": going[0].identifier})
            return False
        except OSError as err:
            failure[:] = [str(err)]
            return False

    if not poll(is_gone, patience, pause=1.0, clock=clock, sleep=sleep):
        raise KubesteadError(
            "{0} can't be removed from etcd ({1}); run again once the other control planes are healthy".format(
                name or addresses[0], failure[0] if failure else "it is still listed"
            )
        )
