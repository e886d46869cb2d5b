# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another machine leaves the cluster: its member and its Node, and nothing of anybody else's."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import removal
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.removal import ClusterState, Leaver
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

NODES = [
    Node("cp1", addresses=["192.0.2.1"], roles=["control-plane"]),
    Node("cp2", addresses=["192.0.2.2"], roles=["control-plane"]),
    Node("w1", addresses=["192.0.2.3"]),
]
MEMBERS = [
    Member("1", "cp1", ["https://192.0.2.1:2380"], healthy=True),
    Member("2", "cp2", ["https://192.0.2.2:2380"], healthy=True),
]
STATE = ClusterState("https://192.0.2.1:2379", MEMBERS, NODES)


def steps(state: ClusterState, leaver: Leaver, parts: Sequence[str] = removal.PARTS) -> list[tuple[str, str]]:
    return [(step.action, step.target) for step in removal.plan(state, leaver, parts)]


def test_a_control_plane_leaves_with_its_member_and_its_node() -> None:
    assert steps(STATE, Leaver("cp2")) == [
        ("remove_member", "cp2 at https://192.0.2.2:2380"),
        ("delete_node", "cp2"),
    ]
    assert [action for action, _target in steps(STATE, Leaver("cp2"), ["node"])] == ["delete_node"]
    assert steps(STATE, Leaver("w1")) == [("delete_node", "w1")]


def test_a_member_without_a_node_is_found_by_the_address_that_is_given() -> None:
    stray = Member("3", "", ["https://192.0.2.9:2380"], learner=True)
    state = ClusterState(STATE.etcd_url, [*MEMBERS, stray], NODES)
    assert steps(state, Leaver("cp3", ["192.0.2.9"])) == [
        ("remove_member", "a member that never started at https://192.0.2.9:2380 (learner)")
    ]


def test_an_address_that_another_node_has_is_not_the_leaver_s() -> None:
    """The inventory may still have the address of a dead machine that another one has got."""
    assert removal.addresses_of(STATE, Leaver("w9", ["192.0.2.1", "192.0.2.9"])) == ["192.0.2.9"]
    assert steps(STATE, Leaver("w9", ["192.0.2.1"])) == []


def test_a_worker_that_claims_the_address_of_another_machine_does_not_keep_its_member() -> None:
    stray = Member("3", "", ["https://192.0.2.9:2380"])
    state = ClusterState(STATE.etcd_url, [*MEMBERS, stray], [*NODES, Node("w2", addresses=["192.0.2.9"])])
    assert removal.members_of(state, Leaver("cp3", ["192.0.2.9"])) == [stray]
    # A control plane that is just joining has a member, and no label yet.
    joining = [*NODES, Node("cp4", addresses=["192.0.2.9"])]
    state = ClusterState(STATE.etcd_url, [*MEMBERS, Member("4", "cp4", ["https://192.0.2.9:2380"])], joining)
    assert removal.members_of(state, Leaver("cp3", ["192.0.2.9"])) == []


def test_the_last_member_stays() -> None:
    with pytest.raises(KubesteadError) as caught:
        removal.plan(ClusterState(STATE.etcd_url, MEMBERS[:1], NODES), Leaver("cp1"), removal.PARTS)
    assert "last member" in caught.value.message and "nothing was changed" in caught.value.message


def test_a_node_is_deleted_and_seen_to_be_gone(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    left = [{"metadata": {"name": name}} for name in ("cp1", "w1")]

    def kubectl(argv: Sequence[str], stdin: str | None) -> Result:
        if "delete" in argv:
            left[:] = [one for one in left if one["metadata"]["name"] != argv[-1].rpartition("/")[2]]
        return Result(0, json.dumps({"items": left}))

    machine.answer("kubectl", kubectl)
    (step,) = removal.plan(STATE, Leaver("w1"), ["node"])
    removal.apply(step, machine, STATE, Leaver("w1"))
    assert [one["metadata"]["name"] for one in left] == ["cp1"]


@pytest.mark.parametrize("name", ["../cp1", "w1?x=1", "w1/status", "", "W1"])
def test_a_name_never_becomes_another_path(tmp_path: Path, name: str) -> None:
    machine = Machine(tmp_path)
    state = ClusterState(nodes=[Node(name)])
    (step,) = removal.plan(state, Leaver(name), ["node"])
    with pytest.raises(KubesteadError):
        removal.apply(step, machine, state, Leaver(name))
    assert machine.ran == []


def test_the_members_are_listed_for_the_plan(tmp_path: Path) -> None:
    asked: list[str] = []

    def request(url: str, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        asked.append(url + path)
        if url != "https://192.0.2.1:2379":
            raise OSError("no route to host")
        members = [
            {"ID": "1", "name": "cp1", "peerURLs": ["https://192.0.2.1:2380"], "clientURLs": [url]},
            {"ID": "2", "name": "cp9", "clientURLs": ["https://192.0.2.9:2379"]},
        ]
        return {"members": members, "leader": "1"}

    found = removal.observe_members(Machine(tmp_path), "https://192.0.2.1:2379", request).members
    assert [(one.name, one.healthy) for one in found] == [("cp1", True), ("cp9", False)]
    # A worker does not ask, and an etcd that does not answer is not an error here.
    asked.clear()
    assert removal.observe_members(Machine(tmp_path), "", request).members == [] and not asked
    assert removal.observe_members(Machine(tmp_path), "https://192.0.2.7:2379", request).members == []
