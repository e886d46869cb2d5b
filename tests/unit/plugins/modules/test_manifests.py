# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module manifests on a host whose kubectl reaches a cluster, or does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import ClusterAbsent
from ansible_collections.kubestead.cluster.plugins.modules import manifests
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.cluster import Cluster
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

OBJECTS: list[dict[str, Any]] = json.loads(fixture("manifests/objects.json"))


def module(objects: list[Any] | None = None, **params: Any) -> FakeModule:
    entries = [{"source": "app.yaml", "object": obj} for obj in (OBJECTS if objects is None else objects)]
    return FakeModule(manifests.argument_spec(), **{"objects": json.dumps(entries), "wait": False, **params})


@pytest.fixture
def cluster(machine: Machine) -> Cluster:
    return Cluster(machine)


def test_a_run_applies_what_is_new_and_describes_the_services(machine: Machine, cluster: Cluster) -> None:
    result = manifests.work(module(), machine)
    assert result["changed"] and cluster.applied == [["db", "web", "web"]]
    assert result["objects"] == ["Secret rec/db", "Service rec/web", "Deployment rec/web"]
    assert [service["name"] for service in result["services"]] == ["web"] and result["summary"]
    assert "seconds" not in result


def test_a_second_run_applies_nothing(machine: Machine, cluster: Cluster) -> None:
    manifests.work(module(), machine)
    result = manifests.work(module(), machine)
    assert not result["changed"] and len(cluster.applied) == 1 and result["services"]


def test_a_dry_run_applies_nothing_and_waits_for_nothing(machine: Machine, cluster: Cluster) -> None:
    result = manifests.work(module(check_mode=True, wait=True, timeout=0), machine)
    assert result["changed"] and len(result["steps"]) == 3
    assert cluster.applied == [] and "seconds" not in result


def test_no_secret_is_in_the_result(machine: Machine, cluster: Cluster) -> None:
    assert "aHVudGVyMg" in json.dumps(OBJECTS)
    for check_mode in (True, False):
        assert "aHVudGVyMg" not in json.dumps(manifests.work(module(check_mode=check_mode), machine))


def test_a_dry_run_without_a_cluster_plans_for_an_empty_one(machine: Machine, cluster: Cluster) -> None:
    cluster.answers = False
    subject = module(check_mode=True)
    result = manifests.work(subject, machine)
    assert result["changed"] and len(result["steps"]) == 3 and result["services"] == []
    assert len(subject.warnings) == 1 and "does not answer" in subject.warnings[0]
    with pytest.raises(ClusterAbsent):
        manifests.work(module(), machine)


def test_a_rollout_that_does_not_finish_tells_that_something_was_applied(machine: Machine, cluster: Cluster) -> None:
    with pytest.raises(KubesteadError) as caught:
        manifests.work(module(wait=True, timeout=0), machine)
    assert caught.value.details["changed"] is True and len(cluster.applied) == 1
    with pytest.raises(KubesteadError) as caught:
        manifests.work(module(wait=True, timeout=0), machine)
    assert caught.value.details["changed"] is False and len(cluster.applied) == 1


def test_a_node_that_is_down_and_not_waited_for_is_a_warning(machine: Machine, cluster: Cluster) -> None:
    agent = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "shop", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "agent"}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1},
    }
    agent["status"]["numberAvailable"] = 1
    cluster.items, cluster.pods = [agent], [{"metadata": {"name": "agent-1"}, "spec": {"nodeName": "w1"}}]
    cluster.nodes["items"][1]["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    subject = module([agent], wait=True, timeout=0)
    assert "seconds" in manifests.work(subject, machine)
    assert subject.warnings == ["did not wait for pods on nodes whose kubelet does not report: w1"]


def test_the_api_servers_warnings_are_shown(machine: Machine, cluster: Cluster) -> None:
    cluster.warning = "Warning: apps/v1beta1 is deprecated\n"
    subject = module()
    manifests.work(subject, machine)
    assert subject.warnings == ["apps/v1beta1 is deprecated"]


def test_nodes_are_asked_for_only_where_a_service_has_a_port_there(machine: Machine, cluster: Cluster) -> None:
    assert OBJECTS[1]["spec"]["type"] == "NodePort"
    manifests.work(module(), machine)
    assert any("nodes" in words for words in cluster.asked)
    cluster.asked.clear()
    inside = {**OBJECTS[1], "spec": {**OBJECTS[1]["spec"], "type": "ClusterIP"}}
    assert manifests.work(module([inside]), machine)["services"]
    assert not any("nodes" in words for words in cluster.asked)


def test_kubeconfig_and_context_are_those_of_the_task(machine: Machine, cluster: Cluster) -> None:
    manifests.work(module(kubeconfig="/home/anna/k", context="shop"), machine)
    assert all({"--kubeconfig=/home/anna/k", "--context=shop"} <= set(argv) for argv in machine.ran)


def test_without_the_action_plugin_there_is_nothing_to_apply(machine: Machine) -> None:
    with pytest.raises(KubesteadError, match="full name"):
        manifests.work(FakeModule(manifests.argument_spec(), manifests=["app.yaml"]), machine)
    assert machine.ran == []
