# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The etcd cluster as each of its members reports it: the members, the leader, and the alarms.

A single member may report an outdated state of the cluster, so all members are queried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence, Set

from ..core import untrusted
from .client import ALARM, CLIENT_URLS, LIST, STATUS, Client
from .quorum import majority


@dataclass(frozen=True)
class View:
    """The state that one member reports. ``error`` is set if the member does not answer.

    ``members`` maps IDs to names; the name of a member that has not started is empty. ``learners`` are IDs; ``leader``
    is an ID or empty. ``identity`` and ``version`` are the ID and the version of the reporting member.
    """

    node: str
    url: str = ""
    identity: str = ""
    error: str = ""
    members: Dict[str, str] = field(default_factory=dict)
    learners: List[str] = field(default_factory=list)
    leader: str = ""
    version: str = ""
    alarms: List[str] = field(default_factory=list)


def urls(pods: Any) -> Dict[str, str]:
    """The client URLs of the members, keyed by node, from the PodList of the etcd pods. Never raises."""
    found = {}
    for pod in untrusted.mappings(untrusted.mapping(pods).get("items")):
        notes = untrusted.mapping(untrusted.mapping(pod.get("metadata")).get("annotations"))
        url = untrusted.text(notes.get(CLIENT_URLS)).partition(",")[0]
        node = untrusted.text(untrusted.mapping(pod.get("spec")).get("nodeName"))
        if node and url.startswith("https://"):
            found[node] = url
    return found


def observe(places: Mapping[str, str], request: Client) -> List[View]:
    """The views of the members; ``places`` maps each node to the client URL of its member. Never raises."""
    return [_view(node, url, request) for node, url in sorted(places.items())]


def _view(node: str, url: str, request: Client) -> View:
    try:
        listed, status = request(url, LIST, {}), request(url, STATUS, {})
        alarms = request(url, ALARM, {"action": "GET"})
    except OSError as err:
        return View(node, url, error=untrusted.line(str(err), 200) or type(err).__name__)
    members: Dict[str, str] = {}
    learners = []
    for member in untrusted.mappings(listed.get("members")):
        identity = untrusted.text(str(member.get("ID") or ""), 32)
        members[identity] = untrusted.text(member.get("name"))
        if member.get("isLearner") is True:
            learners.append(identity)
    leader = untrusted.text(str(status.get("leader") or ""), 32)
    header = untrusted.mapping(status.get("header"))
    return View(
        node,
        url,
        identity=untrusted.text(str(header.get("member_id") or ""), 32),
        members=members,
        learners=learners,
        leader="" if leader == "0" else leader,
        version=re.sub("^v", "", untrusted.text(status.get("version"), 64)),
        alarms=sorted({untrusted.text(one.get("alarm"), 64) for one in untrusted.mappings(alarms.get("alarms"))}),
    )


def problems(views: Sequence[View], tolerated: Sequence[str] = ()) -> List[str]:
    """Why no member may be stopped now; empty if one may. The members of ``tolerated`` nodes need not answer."""
    found = ["the etcd member of {0} does not answer: {1}".format(view.node, view.error) for view in _silent(views)]
    found = [text for text, view in zip(found, _silent(views)) if view.node not in tolerated]
    seen = [view for view in views if not view.error]
    if not seen:
        return found
    if len({tuple(sorted(view.members)) for view in seen}) > 1:
        found.append("the members of etcd do not report the same list of members")
    leaders = {view.leader for view in seen}
    if "" in leaders or len(leaders) > 1:
        found.append("the members of etcd do not agree on a leader")
    for view in seen[:1]:
        found += ["etcd has a member that has not started (ID {0})".format(one) for one in _nameless(view)]
        found += ["etcd member {0} is still a learner".format(view.members.get(one) or one) for one in view.learners]
    alarms = sorted({alarm for view in seen for alarm in view.alarms if alarm and alarm != "NONE"})
    if alarms:
        found.append("etcd reports the alarm {0}".format(", ".join(alarms)))
    return found


def lost_without(views: Sequence[View], node: str) -> str:
    """Why etcd would lose its majority if the member of ``node`` stopped; empty if it would not.

    The list of members counts, not the pods: a member without a pod is still a voter. One or two members have no member
    to spare, so the cluster waits until the stopped member runs again. A member that is down already costs nothing.
    """
    voters = max((_voters(view) for view in views), key=len, default=set())
    answering = {view.identity for view in views if not view.error} & voters
    own = {view.identity for view in views if view.node == node and not view.error} & voters
    if not own or len(voters) < 3 or len(answering) - len(own) >= majority(len(voters)):
        return ""
    return "etcd would lose its majority without the member of {0}: {1} of {2} members answer".format(
        node, len(answering), len(voters)
    )


def _voters(view: View) -> Set[str]:
    return set(view.members) - set(view.learners)


def _silent(views: Sequence[View]) -> List[View]:
    return [view for view in views if view.error]


def _nameless(view: View) -> List[str]:
    return [identity for identity, name in view.members.items() if not name and identity not in view.learners]
