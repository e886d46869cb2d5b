# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module calico_apply: it applies, waits, and compares the live pools with what was asked, before and after."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import ClusterAbsent
from ansible_collections.kubestead.cluster.plugins.modules import calico_apply
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.cluster import Cluster
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

OBJECTS = [
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "calico-config", "namespace": "kube-system"}},
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "calico-node", "namespace": "kube-system"}},
]
DAEMON_SET = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "calico-node", "namespace": "kube-system"},
    "spec": {"template": {"spec": {"containers": [{"name": "calico-node", "image": "quay.io/calico/node:v3.32.1"}]}}},
}


def pool(cidr: str = "10.244.0.0/16", **spec: Any) -> dict[str, Any]:
    usual = {"cidr": cidr, "ipipMode": "Never", "vxlanMode": "Always", "blockSize": 26}
    return {"metadata": {"name": "default-ipv4-ippool"}, "spec": {**usual, **spec}}


@pytest.fixture
def cluster(machine: Machine) -> Cluster:
    found = Cluster(machine)
    found.pools = [pool()]
    return found


def module(objects: list[Any] | None = None, **params: Any) -> FakeModule:
    given = {"objects": json.dumps(objects or OBJECTS), "pod_cidr": "10.244.0.0/16", "encapsulation": "VXLAN"}
    return FakeModule(calico_apply.argument_spec(), **{**given, "block_size": 26, "timeout": 1, **params})


def test_a_run_applies_waits_and_describes_the_pool(machine: Machine, cluster: Cluster) -> None:
    result = calico_apply.work(module(), machine)
    assert result["changed"] and cluster.applied == [["calico-config", "calico-node"]]
    assert result["nodes_ready"] == ["cp1", "w1"] and set(result["seconds"]) == {"apply", "rollout", "nodes"}
    assert [(one["cidr"], one["encapsulation"]) for one in result["pool"]] == [("10.244.0.0/16", "VXLAN")]
    again = calico_apply.work(module(), machine)
    assert not again["changed"] and len(cluster.applied) == 1 and "apply" not in again["seconds"]


def test_the_images_of_the_manifest_are_returned(machine: Machine, cluster: Cluster) -> None:
    result = calico_apply.work(module([*OBJECTS, DAEMON_SET], check_mode=True), machine)
    assert result["images"] == ["quay.io/calico/node:v3.32.1"]


def test_a_dry_run_applies_nothing_and_waits_for_nothing(machine: Machine, cluster: Cluster) -> None:
    result = calico_apply.work(module([*OBJECTS, DAEMON_SET], check_mode=True), machine)
    assert result["changed"] and len(result["steps"]) == 3
    assert cluster.applied == [] and result["seconds"] == {}


def test_a_dry_run_without_a_cluster_plans_for_an_empty_one(machine: Machine, cluster: Cluster) -> None:
    cluster.answers = False
    result = calico_apply.work(module(check_mode=True), machine)
    assert result["changed"] and len(result["steps"]) == 2 and result["nodes_ready"] == []
    with pytest.raises(ClusterAbsent):
        calico_apply.work(module(), machine)


@pytest.mark.parametrize(
    ("live", "option"),
    [
        (pool("10.1.0.0/16"), "cluster_pod_cidr"),
        (pool(vxlanMode="Never", ipipMode="Always"), "cni_encapsulation"),
        (pool(blockSize=24), "cni_block_size"),
    ],
)
def test_a_pool_that_differs_is_told_before_anything_is_applied(
    machine: Machine, cluster: Cluster, live: dict[str, Any], option: str
) -> None:
    cluster.pools = [live]
    for check_mode in (True, False):
        with pytest.raises(KubesteadError) as caught:
            calico_apply.work(module(check_mode=check_mode), machine)
        assert option in caught.value.message and len(caught.value.details["pool"]) == 1
    assert cluster.applied == []


def test_a_pool_that_is_not_there_after_the_wait_is_an_error_and_before_it_is_none(
    machine: Machine, cluster: Cluster
) -> None:
    cluster.pools = []
    assert calico_apply.work(module(wait_rollout=False), machine)["pool"] == []
    assert calico_apply.work(module(check_mode=True), machine)["pool"] == []
    with pytest.raises(KubesteadError, match="cluster_pod_cidr"):
        calico_apply.work(module(), machine)


def test_without_waiting_nodes_may_be_anything(machine: Machine, cluster: Cluster) -> None:
    for node in cluster.nodes["items"]:
        node["status"]["conditions"] = []
    result = calico_apply.work(module(wait_rollout=False), machine)
    assert result["nodes_ready"] == [] and set(result["seconds"]) == {"apply"}


def rolled_out(available: int, updated: int = 2) -> dict[str, Any]:
    status = {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated}
    return {
        **DAEMON_SET,
        "metadata": {**DAEMON_SET["metadata"], "generation": 1},
        "spec": {**DAEMON_SET["spec"], "selector": {"matchLabels": {"k8s-app": "calico-node"}}},
        "status": {**status, "numberAvailable": available, "numberReady": available},
    }


def pod(node: str, ready: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"calico-node-{node}", "namespace": "kube-system"},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    }


def fall_silent(cluster: Cluster) -> None:
    for condition in cluster.nodes["items"][1]["status"]["conditions"]:
        if condition["type"] == "Ready":
            condition["status"] = "Unknown"


def test_pods_on_failed_and_silent_nodes_are_not_waited_for(machine: Machine, cluster: Cluster) -> None:
    cluster.items, cluster.pods = [rolled_out(1)], [pod("cp1", "True"), pod("w1", "False")]
    with pytest.raises(KubesteadError, match="calico-node"):
        calico_apply.work(module([rolled_out(1)], timeout=0), machine)
    assert not calico_apply.work(module([rolled_out(1)], timeout=0, failed_nodes=["w1"]), machine)["changed"]
    fall_silent(cluster)
    subject = module([rolled_out(1)], timeout=0)
    assert calico_apply.work(subject, machine)["nodes_ready"] == ["cp1"]
    assert ["w1" in text for text in subject.warnings] == [True]


def test_a_rollout_that_a_silent_node_stops_is_a_warning(machine: Machine, cluster: Cluster) -> None:
    cluster.items, cluster.pods = [rolled_out(1, updated=0)], [pod("cp1", "True"), pod("w1", "False")]
    fall_silent(cluster)
    subject = module(cluster.items, timeout=0)
    assert calico_apply.work(subject, machine)["nodes_ready"] == ["cp1"]
    assert subject.warnings == [
        "the rollout of DaemonSet kube-system/calico-node is not complete and is not waited for: 0 of 1 pods are "
        "updated; a node that is not ready stops the rollout, so start or remove w1",
        "did not wait for nodes whose kubelet does not report: w1",
    ]
    # The pod of the other node does not start.
    cluster.items, cluster.pods = [rolled_out(0)], [pod("cp1", "False"), pod("w1", "False")]
    with pytest.raises(KubesteadError, match="calico-node is not ready after 0 s: 0 of 1 pods are available"):
        calico_apply.work(module(cluster.items, timeout=0), machine)


def test_controllers_that_a_silent_node_keeps_from_being_recreated_are_a_warning(
    machine: Machine, cluster: Cluster
) -> None:
    found = rolled_out(0)
    found.update(
        kind="Deployment",
        spec={**found["spec"], "strategy": {"type": "Recreate"}},
        metadata={**found["metadata"], "name": "calico-kube-controllers"},
    )
    cluster.items, cluster.pods = [found], [pod("w1", "False")]
    fall_silent(cluster)
    subject = module(cluster.items, timeout=0)
    calico_apply.work(subject, machine)
    assert "Deployment kube-system/calico-kube-controllers is not complete" in subject.warnings[0]


def test_without_the_action_plugin_there_is_nothing_to_apply(machine: Machine) -> None:
    with pytest.raises(KubesteadError, match="full name"):
        calico_apply.work(FakeModule(calico_apply.argument_spec()), machine)
    assert machine.ran == []
