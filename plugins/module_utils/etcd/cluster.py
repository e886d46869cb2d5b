# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's etcd as each of its members sees it: who belongs to it, who leads, and what is wrong.

A member that is asked alone may tell of a cluster that the others have left long ago, so all of them are asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence

from ..core import untrusted
from .members import CLIENT_URLS, LIST, Client

STATUS, ALARM = "/v3/maintenance/status", "/v3/maintenance/alarm"


@dataclass(frozen=True)
class View:
    """What one member says. ``error`` is why it said nothing.

    ``members`` maps IDs to names (empty for one that has not started), ``learners`` are IDs, ``leader`` is an ID or
    empty; ``identity`` is the ID of the member that speaks, and ``version`` its own.
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
    """By node where clients reach its member, from the PodList of etcd's pods. Never raises."""
    found = {}
    for pod in untrusted.mappings(untrusted.mapping(pods).get("items")):
        notes = untrusted.mapping(untrusted.mapping(pod.get("metadata")).get("annotations"))
        url = untrusted.text(notes.get(CLIENT_URLS)).partition(",")[0]
        node = untrusted.text(untrusted.mapping(pod.get("spec")).get("nodeName"))
        if node and url.startswith("https://"):
            found[node] = url
    return found


def observe(places: Mapping[str, str], request: Client) -> List[View]:
    """The views of the members at these URLs (by node). Never raises."""
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
    """What keeps this etcd from losing a member for a while. ``tolerated`` names nodes whose member need not answer."""
    found = ["the etcd member of {0} does not answer: {1}".format(view.node, view.error) for view in _silent(views)]
    found = [text for text, view in zip(found, _silent(views)) if view.node not in tolerated]
    seen = [view for view in views if not view.error]
    if not seen:
        return found
    if len({tuple(sorted(view.members)) for view in seen}) > 1:
        found.append("the members of etcd do not report the same list of members")
    leaders = {view.leader for view in seen}
    if "" in leaders or len(leaders) > 1:
        found.append("etcd does not have one leader")
    for view in seen[:1]:
        found += ["etcd has a member that has not started (ID {0})".format(one) for one in _nameless(view)]
        found += ["etcd member {0} is still a learner".format(view.members.get(one) or one) for one in view.learners]
    alarms = sorted({alarm for view in seen for alarm in view.alarms if alarm and alarm != "NONE"})
    if alarms:
        found.append("etcd reports the alarm {0}".format(", ".join(alarms)))
    return found


def spare(views: Sequence[View]) -> int:
    """How many of the members that answer may stop before etcd loses its majority."""
    healthy = sum(1 for view in views if not view.error)
    total = max((len(view.members) for view in views), default=0)
    return healthy - (total // 2 + 1)


def _silent(views: Sequence[View]) -> List[View]:
    return [view for view in views if view.error]


def _nameless(view: View) -> List[str]:
    return [identity for identity, name in view.members.items() if not name and identity not in view.learners]
