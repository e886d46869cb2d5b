# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another machine's member is taken out of etcd, and the majority is never broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import members as etcd
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.client import REMOVE, STATUS
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, fixture

#: What two real control planes listed.
MEMBERS: list[dict[str, Any]] = json.loads(fixture("etcd/members.json"))["members"]
FIRST, SECOND = sorted(MEMBERS, key=lambda one: str(one["name"]))
URL = FIRST["clientURLs"][0]
PLACE = SECOND["peerURLs"][0].split("//")[1].split(":")[0]


class Etcd:
    """Answers like etcd; members at ``dead`` URLs do not."""

    def __init__(self, members: list[dict[str, Any]], dead: tuple[str, ...] = ()) -> None:
        self.members, self.dead = copy.deepcopy(members), dead
        self.removed: list[str] = []
        self.refusals: list[str] = []

    def __call__(self, url: str, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        if url in self.dead:
            raise OSError("connection refused")
        if path == STATUS:
            return {"leader": "1", "version": "3.6.6"}
        if path == REMOVE:
            if self.refusals:
                raise OSError(self.refusals.pop(0))
            self.removed.append(question["ID"])
            self.members = [one for one in self.members if one["ID"] != question["ID"]]
        return {"members": self.members}


def member(name: str, healthy: bool = True, learner: bool = False) -> Member:
    number = sum(map(ord, name))
    return Member(str(number), name, [f"https://192.0.2.{number % 200}:2380"], learner=learner, healthy=healthy)


def test_a_member_goes_by_its_peer_url_alone() -> None:
    nameless = {**SECOND, "name": "", "clientURLs": []}
    ask = Etcd([FIRST, nameless])
    # It never started, so it counts as one that is down; of two voters one is not a majority.
    with pytest.raises(KubesteadError) as caught:
        etcd.remove([URL], ask, "cp2", [PLACE], **Clock().injected)
    assert "lost its majority" in caught.value.message and not ask.removed
    # The refusal contains its own fix.
    assert caught.value.message.startswith("cp2 was not removed") and "run again" not in caught.value.message
    ask = Etcd([FIRST, {**nameless, "isLearner": True}])
    etcd.remove([URL], ask, "", [PLACE], **Clock().injected)
    assert ask.removed == [SECOND["ID"]] and [one["name"] for one in ask.members] == [FIRST["name"]]


def test_a_running_member_of_two_can_go_and_is_looked_for_again() -> None:
    ask = Etcd([FIRST, SECOND])
    ask.refusals = ["etcdserver: unhealthy cluster"]
    clock = Clock()
    etcd.remove([URL], ask, "", [PLACE], **clock.injected)
    assert ask.removed == [SECOND["ID"]] and clock.waits
    # Nothing is left to do.
    etcd.remove([URL], ask, "", [PLACE], **clock.injected)
    assert len(ask.removed) == 1


def test_a_refusal_that_stays_is_told() -> None:
    ask = Etcd([FIRST, SECOND])
    ask.refusals = ["etcdserver: not enough started members"] * 1000
    with pytest.raises(KubesteadError) as caught:
        etcd.remove([URL], ask, "cp2", [PLACE], **Clock().injected)
    assert "not enough started members" in caught.value.message and "run again" in caught.value.message


@pytest.mark.parametrize(
    ("members", "going", "words"),
    [
        ([member("a")], ["a"], "it is the last member"),
        ([member("a"), member("b", False)], ["b"], "lost its majority (1 of 2"),
        ([member("a"), member("b"), member("c", False)], ["b"], "1 of the 2 etcd members left"),
        ([member("a"), member("b"), member("c", False)], ["c"], ""),
        ([member("a"), member("b"), member("c")], ["b"], ""),
        ([member("a"), member("b")], ["b"], ""),
        # A learner does not vote, so that it can always go.
        ([member("a"), member("b", False, learner=True)], ["b"], ""),
        ([member("a"), member("b"), member("c", False), member("d", False)], ["c"], "lost its majority (2 of 4"),
        ([member(one) for one in "abcde"], ["d", "e"], ""),
        ([member("a"), member("b"), member("c"), member("d", False), member("e", False)], ["a"], "2 of the 4"),
    ],
)
def test_the_majority_decides(members: list[Member], going: list[str], words: str) -> None:
    why = etcd.refusal(members, [one for one in members if one.name in going])
    assert words in why and bool(why) == bool(words)


def test_who_leaves_is_known_by_name_or_address() -> None:
    members = etcd.observe([URL], Etcd(MEMBERS))
    assert all(one.healthy and one.name for one in members)
    assert [one.name for one in etcd.leaving(members, "", [PLACE])] == [SECOND["name"]]
    assert [one.name for one in etcd.leaving(members, SECOND["name"], [])] == [SECOND["name"]]
    assert etcd.leaving(members, "", ["192.0.2.9"]) == [] == etcd.leaving(members, "", [])


@pytest.mark.parametrize(
    "data",
    [
        {"members": [{"ID": ["x"], "name": 7, "peerURLs": "https://[", "clientURLs": {"a": 1}}]},
        {"members": [{"peerURLs": ["https://[1:2380"]}]},
    ],
)
def test_answers_of_other_shapes_are_read_as_nothing(data: dict[str, Any]) -> None:
    members = etcd.observe([URL], lambda url, path, question: data)
    assert etcd.leaving(members, "cp2", [PLACE]) == []


@pytest.mark.parametrize("data", [{}, {"members": {}}, {"members": [SECOND, 5]}])
def test_an_answer_without_a_list_is_not_an_etcd_without_members(data: dict[str, Any]) -> None:
    with pytest.raises(OSError, match="list of members"):
        etcd.observe([URL], lambda url, path, question: data)


def test_the_next_member_is_queried_if_one_is_down() -> None:
    ask = Etcd([FIRST, SECOND], dead=("https://192.0.2.9:2379",))
    assert etcd.remove(["https://192.0.2.9:2379", URL], ask, "", [PLACE], **Clock().injected)
    assert ask.removed == [SECOND["ID"]]


def test_an_unhealthy_member_of_a_machine_is_removed_before_its_healthy_one() -> None:
    old = {**SECOND, "ID": "7", "clientURLs": ["https://192.0.2.9:2379"]}
    third = {**FIRST, "ID": "8", "name": "cp3", "peerURLs": ["https://192.0.2.3:2380"]}
    ask = Etcd([FIRST, SECOND, third, old], dead=("https://192.0.2.9:2379",))
    etcd.remove([URL], ask, "", [PLACE], **Clock().injected)
    assert ask.removed == ["7", SECOND["ID"]]


def test_a_member_without_a_majority_of_the_others_stays() -> None:
    down = {**FIRST, "ID": "8", "name": "cp3", "clientURLs": ["https://192.0.2.9:2379"]}
    ask = Etcd([FIRST, SECOND, down], dead=("https://192.0.2.9:2379",))
    with pytest.raises(KubesteadError, match="1 of the 2 etcd members left"):
        etcd.remove([URL], ask, "", [PLACE], **Clock().injected)
    assert ask.removed == []


def test_the_majority_is_counted_again_until_etcd_has_a_leader() -> None:
    ask, answers = Etcd([FIRST, SECOND]), iter(["0", "0", "1", "1", "1", "1"])

    def electing(url: str, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        return {"leader": next(answers, "1")} if path == STATUS else ask(url, path, query)

    clock = Clock()
    assert etcd.remove([URL], electing, "", [PLACE], **clock.injected)
    assert ask.removed == [SECOND["ID"]] and clock.waits
