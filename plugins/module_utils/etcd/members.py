# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The members of etcd, and the removal of those of one machine, which may be down, without breaking the majority.

A member is identified by its name or its peer URLs. A member whose join failed does not have a name, and the member of
a renamed machine still has the old name. Learners do not vote.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence
from urllib.parse import urlsplit

from ..core import untrusted
from ..core.addresses import normal_address
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from .client import LIST, REMOVE, STATUS, Client
from .quorum import first_loss, has_majority


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


def observe(urls: Sequence[str], request: Client) -> List[Member]:
    """The members that the first etcd of ``urls`` to answer lists, with the health of each. Raises OSError."""
    answer = _first_answer(urls, LIST, {}, request)
    listed = untrusted.mappings(answer.get("members"))
    # An answer of another shape does not mean a cluster without members.
    if not isinstance(answer.get("members"), list) or len(listed) < len(answer["members"]):
        raise OSError("the answer does not have a list of members")
    return [_member(one, request) for one in listed]


def _first_answer(urls: Sequence[str], path: str, query: Mapping[str, Any], request: Client) -> Dict[str, Any]:
    failure = OSError("no URL of an etcd member is known")
    for url in urls:
        try:
            return request(url, path, query)
        except OSError as err:
            failure = err
    raise failure


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


# -- Planning


def leaving(members: Sequence[Member], name: str, addresses: Sequence[str]) -> List[Member]:
    """The members with this node name, or with a peer URL at one of these addresses."""
    return [one for one in members if (name and one.name == name) or _is_at(one, addresses)]


def _is_at(member: Member, addresses: Sequence[str]) -> bool:
    known = {normal_address(address) for address in addresses}
    for url in member.peer_urls:
        try:
            host = urlsplit(url).hostname
        except ValueError:
            continue
        if host and normal_address(host) in known:
            return True
    return False


def refusal(members: Sequence[Member], going: Sequence[Member]) -> str:
    """Why these members can't be removed, with the fix; empty if they can be."""
    voters = {str(at): one for at, one in enumerate(members) if not one.learner}
    loss = first_loss(
        {key: one.healthy for key, one in voters.items()}, [key for key, one in voters.items() if one in going]
    )
    if loss is None:
        return ""
    if not loss.voters_left:
        return "it is the last member of etcd; reset the complete cluster, or add another control plane first"
    if loss.is_lost:
        return (
            "etcd has lost its majority ({0} of {1} members are healthy), so no member can be removed; start one of {2}"
        ).format(loss.healthy, loss.voters, _names([one for one in voters.values() if not one.healthy]))
    return (
        "{0} of the {1} etcd members left would be healthy, which is not a majority; start {2}, or add another "
        "control plane first"
    ).format(loss.healthy_left, loss.voters_left, _names([voters[key] for key in loss.down]))


def _names(members: Sequence[Member]) -> str:
    return ", ".join(one.label for one in members)


# -- Application


def remove(
    urls: Sequence[str],
    request: Client,
    name: str,
    addresses: Sequence[str],
    patience: float = 90.0,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> bool:
    """Remove the machine's members one at a time, until none is listed and a majority of the others is healthy.

    ``urls`` are of members that stay; ``name`` is empty for the machine that runs this. The majority is counted before
    each removal. True if a member was removed. Raises :class:`KubesteadError` after ``patience`` seconds: after a
    removal, etcd may need some time to elect a leader.
    """
    state = {"removed": False, "failure": "it is still listed", "refusal": ""}

    def is_gone() -> bool:
        try:
            members = observe(urls, request)
            going = sorted(leaving(members, name, addresses), key=lambda one: one.healthy)
            if not going:
                voters = {str(at): one.healthy for at, one in enumerate(members) if not one.learner}
                state["failure"], state["refusal"] = "etcd does not have a healthy majority yet", ""
                return not state["removed"] or has_majority(voters)
            state["refusal"] = refusal(members, going)
            if state["refusal"]:
                return False
            if not going[0].identifier:
                state["failure"] = "etcd does not report an ID for this member"
            else:
                _first_answer(urls, REMOVE, {"ID": going[0].identifier}, request)
                state["removed"] = True
        except OSError as err:
            state["failure"], state["refusal"] = str(err), ""
        return False

    if not poll(is_gone, patience, pause=1.0, clock=clock, sleep=sleep):
        if state["refusal"]:
            raise KubesteadError("{0} was not removed from etcd: {1}".format(name or "this host", state["refusal"]))
        raise KubesteadError(
            "{0} can't be removed from etcd ({1}); run again once the other control planes are healthy".format(
                name or "this host", state["failure"]
            )
        )
    return bool(state["removed"])
