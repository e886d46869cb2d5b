# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module cluster_nodes_info on a control plane whose kubectl answers as recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import ApiUnreachable
from ansible_collections.kubestead.cluster.plugins.modules import cluster_nodes_info
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

READY = fixture("kubeadm/v1.35/nodes.json")
DOWN = Result(1, "", "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?")


def module(**params: Any) -> FakeModule:
    return FakeModule(cluster_nodes_info.argument_spec(), **params)


def with_conditions(status: str, message: str = "") -> str:
    listing = json.loads(READY)
    for condition in listing["items"][1]["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition.update(status=status, message=message)
    return json.dumps(listing)


def test_the_nodes_as_the_pod_network_needs_them(machine: Machine) -> None:
    machine.answer("kubectl", READY)
    result = cluster_nodes_info.work(module(), machine)
    assert not result["changed"] and [node["name"] for node in result["nodes"]] == ["cp1", "w1"]
    assert result["pod_network"][1] == {
        "name": "w1",
        "pod_cidrs": ["10.244.1.0/24"],
        "addresses": [result["nodes"][1]["addresses"][0]],
        "expected": False,
    }


@pytest.mark.parametrize("wanted", ["ready", "pod_cidrs"])
def test_where_all_is_well_nothing_is_waited_for(machine: Machine, wanted: str) -> None:
    machine.answer("kubectl", READY)
    assert len(cluster_nodes_info.work(module(wait_for=wanted), machine)["nodes"]) == 2
    assert len(machine.ran) == 1


def test_a_node_that_is_not_ready_ends_the_wait_with_its_reason(machine: Machine) -> None:
    machine.answer("kubectl", with_conditions("False", "cni plugin not initialized"))
    with pytest.raises(KubesteadError, match=r"w1 \(cni plugin not initialized\)"):
        cluster_nodes_info.work(module(wait_for="ready", timeout=0), machine)
    assert cluster_nodes_info.work(module(wait_for="nothing"), machine)["nodes"][1]["ready"] is False
    assert cluster_nodes_info.work(module(wait_for="ready", timeout=0, failed=["w1"]), machine)["nodes"]


def test_a_node_whose_kubelet_is_silent_is_a_warning(machine: Machine) -> None:
    machine.answer("kubectl", with_conditions("Unknown", "Kubelet stopped posting node status."))
    subject = module(wait_for="ready", timeout=0)
    assert len(cluster_nodes_info.work(subject, machine)["nodes"]) == 2
    assert ["w1" in text for text in subject.warnings] == [True]


def test_a_dry_run_expects_the_nodes_that_join_and_waits_for_none(machine: Machine) -> None:
    expected = [{"name": "w2", "addresses": ["10.0.0.9"]}]
    machine.answer("kubectl", with_conditions("False"))
    result = cluster_nodes_info.work(module(check_mode=True, wait_for="ready", timeout=0, expected=expected), machine)
    assert [node["name"] for node in result["pod_network"]] == ["cp1", "w1", "w2"]
    machine.answer("kubectl", DOWN)
    result = cluster_nodes_info.work(module(check_mode=True, wait_for="ready", expected=expected), machine)
    assert [(node["name"], node["addresses"]) for node in result["pod_network"]] == [("w2", ["10.0.0.9"])]


def test_expected_nodes_are_for_dry_runs_alone(machine: Machine) -> None:
    machine.answer("kubectl", READY)
    result = cluster_nodes_info.work(module(expected=[{"name": "w2", "addresses": []}]), machine)
    assert [node["name"] for node in result["nodes"]] == ["cp1", "w1"]
    machine.answer("kubectl", DOWN)
    with pytest.raises(ApiUnreachable):
        cluster_nodes_info.work(module(), machine)
