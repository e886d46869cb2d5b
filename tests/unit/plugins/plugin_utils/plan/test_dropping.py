# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workers with errors are left out where the user wants it; control planes never are."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.dropping import without_failing
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, as_result
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

# A cluster of two, and machines that have not joined.
RECORDED = {"c1": "control-plane", "c2": "worker", "c3": "newcomer", "c4": "newcomer"}


def host(name: str, **node: Any) -> Host:
    facts = json.loads(fixture(f"preflight/{RECORDED[name]}.json"))
    if name == "c4":
        facts["kubeadm"]["node_name"] = "c4"
        own = {"address": "10.213.0.43", "network": "10.213.0.43/20", "mac": "02:00:00:00:00:43"}
        facts["node"]["addresses"] = [{**facts["node"]["addresses"][0], **own}]
        facts["node"].update(default_address="10.213.0.43", machine_id="4" * 32, product_uuid="")
    if node.pop("ports", False):
        facts["ports"]["listening"] = [10250]
    facts["node"].update(node)
    return registry.read_host(name, name == "c1", facts)


def planned(hosts: list[Host], findings: list[Finding] | None = None) -> Plan:
    inventory = Inventory(["c1"], ["c2", "c3", "c4"])
    return without_failing(converge, Request(inventory, hosts, registry.NAMES, findings=findings or []))


def test_a_worker_with_an_error_is_left_out_and_named() -> None:
    plan = planned([host("c1"), host("c2"), host("c3"), host("c4", ports=True)])
    assert plan.errors == [] and list(plan.hosts) == ["c1", "c2", "c3"] and plan.joins == ["c3"]
    assert list(plan.dropped) == ["c4"] and "10250" in plan.dropped["c4"][0]
    result = as_result(plan, host("c1").options.cni)
    assert list(result["dropped"]) == ["c4"] and "c4" not in result["hosts"]
    assert ("c4", "error") in {(one["host"], one["level"]) for one in result["findings"]}


def test_nothing_is_different_where_nothing_is_wrong() -> None:
    hosts = [host("c1"), host("c2"), host("c3")]
    plan = planned(hosts)
    request = Request(Inventory(["c1"], ["c2", "c3", "c4"]), hosts, registry.NAMES)
    assert plan == converge(request) and plan.dropped == {}


def test_an_error_of_a_control_plane_stops_everybody_with_all_findings() -> None:
    identity = host("c1").node.machine_id
    plan = planned([host("c1"), host("c3", ports=True), host("c4", machine_id=identity)])
    # It is the newcomer that is to blame for the identity of a member.
    assert list(plan.dropped) == ["c3", "c4"] and plan.errors == []
    wrong = Finding("c1", "cluster", Problem("options", "cluster_pod_cidr is wrong", "correct it"))
    plan = planned([host("c2"), host("c3", ports=True)], [wrong])
    assert plan.dropped == {} and "c1" in {finding.host for finding in plan.errors}


def test_an_error_of_all_stops_everybody() -> None:
    wrong = Finding("all", "cni", Problem("cni.manifest", "it is not there", "put it there"))
    assert planned([host("c1"), host("c3")], [wrong]).dropped == {}


def test_a_worker_whose_variables_are_wrong_is_left_out_too() -> None:
    wrong = Finding("c4", "cluster", Problem("options", "cluster_node_labels is wrong", "correct it"))
    plan = planned([host("c1"), host("c3")], [wrong])
    assert list(plan.dropped) == ["c4"] and plan.joins == ["c3"]


def test_when_all_would_be_left_out_the_plan_fails() -> None:
    plan = planned([host("c3", ports=True)])
    assert plan.dropped == {} and plan.errors
