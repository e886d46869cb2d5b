# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one reader of Node objects, on what real API servers answered and on what a hostile kubelet might report."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import untrusted
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node, read_nodes, with_joining
from ansible_collections.kubestead.cluster.tests.unit.support import fixture


def listing() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(fixture("kubeadm/v1.35/nodes.json"))
    return data


def test_everything_that_planners_need_of_a_real_node() -> None:
    cp1, w1 = read_nodes(listing())
    assert (cp1.name, cp1.roles, cp1.control_plane) == ("cp1", ["control-plane"], True)
    assert cp1.taints == ["node-role.kubernetes.io/control-plane:NoSchedule"]
    assert cp1.labels["kubernetes.io/os"] == "linux"
    assert (w1.kubelet_version, w1.unschedulable, w1.taints, w1.control_plane) == ("1.35.0", False, [], False)
    assert w1.addresses == [w1.internal_ip] and w1.machine_id
    assert from_dict(Node, json.loads(json.dumps(to_dict(w1)))) == w1


def node(**changes: Any) -> Node:
    item: dict[str, Any] = {"metadata": {"name": "w1"}, "spec": {}, "status": {}}
    for name, value in changes.items():
        item[name] = value
    (found,) = read_nodes({"items": [item]})
    return found


def test_a_cordoned_node_and_its_taints() -> None:
    taints = [{"key": "a", "value": "b", "effect": "NoExecute"}, {"key": "c", "effect": "NoSchedule"}, {"key": "d"}]
    found = node(spec={"unschedulable": True, "taints": taints})
    assert found.unschedulable and found.taints == ["a=b:NoExecute", "c:NoSchedule"]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([{"type": "Ready", "status": "True", "message": "kubelet is posting"}], (True, "", False)),
        ([{"type": "Ready", "status": "False", "message": "cni plugin not initialized"}], (False, "cni plugin", False)),
        ([{"type": "Ready", "status": "False", "reason": "KubeletNotReady"}], (False, "KubeletNotReady", False)),
        ([{"type": "Ready", "status": "Unknown", "message": "Kubelet stopped"}], (False, "Kubelet stopped", True)),
        ([{"type": "DiskPressure", "status": "True"}], (False, "the kubelet has not reported yet", False)),
    ],
)
def test_whether_a_node_is_ready_and_why_not(conditions: list[Any], expected: tuple[bool, str, bool]) -> None:
    found = node(status={"conditions": conditions})
    assert (found.ready, found.silent) == (expected[0], expected[2])
    assert found.not_ready_reason.startswith(expected[1]) and bool(found.not_ready_reason) == (not found.ready)


def test_both_address_families_are_kept_and_what_is_not_an_address_is_not() -> None:
    addresses = [
        {"type": "Hostname", "address": "w1"},
        {"type": "InternalIP", "address": "192.0.2.7"},
        {"type": "InternalIP", "address": "fd00::7"},
        {"type": "InternalIP", "address": "$(reboot)"},
        {"type": "InternalIP", "address": 7},
        "nonsense",
    ]
    ranges = ["10.244.1.0/24", "fd00:1::/64", "10.244.1.7/24", "all"]
    found = node(spec={"podCIDRs": ranges}, status={"addresses": addresses})
    assert found.addresses == ["192.0.2.7", "fd00::7"]
    assert found.pod_cidrs == ["10.244.1.0/24", "fd00:1::/64"]
    assert node(spec={"podCIDR": "10.244.2.0/24"}).pod_cidrs == ["10.244.2.0/24"]


def test_text_of_a_node_can_be_shown_on_a_terminal() -> None:
    found = node(
        status={"conditions": [{"type": "Ready", "status": "False", "message": "\x1b[2Jgone\r\n" + "x" * 9000}]}
    )
    assert found.not_ready_reason.startswith("[2Jgone xxx") and len(found.not_ready_reason) == 400
    assert untrusted.text("a\u202eb") == "a b"


JUNK: list[Any] = [None, True, 0, -1.5, "x", "", [], {}, [None], [[]], [{}], {"items": 1}, {"name": {}}, ["x", 7]]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in JSON data."""
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += places(item, (*path, key))
    return found


def test_no_json_makes_the_reader_raise() -> None:
    """Values of a real list, replaced by everything that they should not be."""
    original = listing()
    paths = [path for path in places(original) if "managedFields" not in path]
    random.Random(7).shuffle(paths)
    for path in paths[:150]:
        for junk in JUNK:
            if not path:
                assert read_nodes(junk) == []
                continue
            data = listing() if len(path) < 4 else json.loads(json.dumps(original))
            place = data
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = junk
            for found in read_nodes(data):
                assert from_dict(Node, to_dict(found)) == found
                assert isinstance(found.name, str) and all(isinstance(one, str) for one in found.labels.values())


def test_nodes_that_are_still_to_join_are_expected() -> None:
    there = [Node("cp1", ready=True)]
    assert with_joining(there, [Node("cp1"), Node("w1")]) == [there[0], Node("w1", expected=True)]


@pytest.mark.parametrize("name", ["--all", "w1; reboot", "a/../b", "w1\n", "W1", "x" * 254, "", "w1\u202e", ".w1", 7])
def test_what_can_not_be_the_name_of_a_node_is_not_one(name: Any) -> None:
    """Messages have names in commands to paste."""
    assert read_nodes({"items": [{"metadata": {"name": name}}]}) in ([], read_nodes(OF_W1))


OF_W1 = {"items": [{"metadata": {"name": "w1"}}]}


def test_a_node_has_no_more_ranges_and_addresses_than_it_can_use() -> None:
    addresses = [{"type": "InternalIP", "address": f"10.0.{at // 256}.{at % 256}"} for at in range(5000)]
    spec = {"podCIDRs": [f"10.{at}.0.0/16" for at in range(200)]}
    item = {"metadata": {"name": "w1"}, "spec": spec, "status": {"addresses": addresses}}
    (node,) = read_nodes({"items": [item]})
    assert len(node.pod_cidrs) == 2 and len(node.addresses) <= 32
