# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules node_drain and cluster_health_info on a control plane."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.action import node_drain as action
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.modules import cluster_health_info, node_drain
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kube.test_drain import Cluster, budget, pod
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine


@pytest.fixture
def cluster(machine: Machine) -> Cluster:
    return Cluster(machine)


def work(machine: Machine, check_mode: bool = False, **params: Any) -> dict[str, Any]:
    module = FakeModule(node_drain.argument_spec(), check_mode, **{"name": ["w1"], **params})
    return {**node_drain.work(module, machine), "warned": module.warnings}


def test_nodes_that_are_drained_in_one_task_are_not_room_for_one_another(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    assert work(machine, state="checked", name=["w1", "w2"])["blockers"] == []
    with pytest.raises(KubesteadError, match="does not fit on another node"):
        work(machine, name=["w1", "w2"])
    assert not cluster.said
    steps = work(machine, name=["w1", "w2"], pods_may_wait=True)["steps"]
    assert [(one["action"], one["target"]) for one in steps] == [("cordon", "w1"), ("cordon", "w2"), ("drain", "w1")]


def test_a_dry_run_sees_room_on_a_node_whose_cordon_would_have_been_lifted(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    cluster.cordon("w2", "kubestead.cluster: of yesterday")
    cluster.nodes["w2"]["spec"]["taints"] = [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
    assert work(machine, check_mode=True, lifted=["w2"])["blockers"] == []
    with pytest.raises(KubesteadError, match="does not fit on another node"):
        work(machine, check_mode=True)


def test_a_drained_node_and_its_workloads(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1"), pod("web-2", on="w2")]
    result = work(machine, owner="upgrade: 1")
    assert result["changed"] and result["workloads"] == {"ReplicaSet shop/web": 2} and result["blockers"] == []
    assert cluster.owner("w1") == "upgrade: 1"
    assert not work(machine)["changed"]
    assert not work(machine, state="schedulable", owner="remove: 1")["changed"] and cluster.is_cordoned("w1")
    assert work(machine, state="schedulable", owner="upgrade: 2")["changed"] and not cluster.is_cordoned("w1")


def test_a_dry_run_changes_nothing_and_says_what_a_run_changes(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    result = work(machine, check_mode=True)
    assert [step["action"] for step in result["steps"]] == ["cordon", "drain"] and not cluster.said
    assert work(machine, check_mode=True, state="schedulable", cordoned_before=True)["changed"]
    assert not work(machine, state="schedulable", cordoned_before=True)["changed"] and not cluster.said


def test_a_dry_run_knows_that_a_cordon_would_have_been_lifted(machine: Machine, cluster: Cluster) -> None:
    work(machine, owner="kubestead.cluster: of yesterday")
    for lifted, steps in ((["w1"], ["cordon"]), (["w2"], []), ([], [])):
        result = work(machine, check_mode=True, lifted=lifted)
        assert [step["action"] for step in result["steps"]] == steps
    assert not work(machine, lifted=["w1"])["changed"]


@pytest.mark.parametrize("params", [{"state": "checked"}, {}, {"check_mode": True}])
def test_blockers_are_told_before_the_first_change(machine: Machine, cluster: Cluster, params: dict[str, Any]) -> None:
    cluster.pods, cluster.budgets = [pod("web-1"), pod("x", metadata_ownerReferences=[])], [budget(0, 2, 2)]
    with pytest.raises(KubesteadError) as caught:
        work(machine, **params)
    assert "and 2 more (nothing was changed)" in caught.value.message
    assert [one["kind"] for one in caught.value.details["blockers"]] == ["budget", "budget", "bare_pod"]
    assert not cluster.said
    lines = action.reasons(caught.value.details["blockers"], ["w1"])
    assert len(lines) == 3 and lines[0].startswith("  w1: the PodDisruptionBudget shop/web")


def bare_pods(number: int) -> list[dict[str, Any]]:
    return [pod(f"x{at}", metadata_ownerReferences=[]) for at in range(number)]


def passing_pods(number: int) -> list[dict[str, Any]]:
    return [pod(f"web-{at}", spec_containers=[]) for at in range(number)]


@pytest.mark.parametrize(
    ("pods", "budgets"),
    [
        (bare_pods(node_action.MAX_ITEMS + 1), []),
        (passing_pods(node_action.MAX_ITEMS + 1), [budget(0, 1, 2)]),
        ([pod("x", spec_volumes=[{"name": f"{at:063}", "emptyDir": {}} for at in range(20_000)])], []),
        ([pod("x")], [budget(0, 1, 2, name=f"{at:0250}") for at in range(5000)]),
    ],
    ids=["pods", "warnings", "volumes", "budgets"],
)
def test_the_pods_of_a_user_do_not_make_the_answer_too_large_to_be_read(
    machine: Machine, cluster: Cluster, pods: list[dict[str, Any]], budgets: list[dict[str, Any]]
) -> None:
    """The answer says why a node can't be drained, and must not be refused instead."""
    cluster.pods, cluster.budgets = pods, budgets
    cluster.nodes["w2"]["status"]["allocatable"]["pods"] = "1000000"
    answer: dict[str, Any] = {"failed": True}
    try:
        found = work(machine, state="checked")
        answer = {"blockers": found["blockers"], "warnings": found["warned"]}
    except KubesteadError as err:
        answer.update(msg=err.message, **err.details)
    assert answer["blockers"] and len(answer.get("warnings", ())) <= 200
    reduced = node_action.reduced(answer, action.ActionModule.RETURNS | node_action.COMMON)
    assert "was refused" not in str(reduced.get("msg")) and reduced["blockers"]
    assert all(len(one["message"]) < 4000 for one in reduced["blockers"])


def test_workloads_are_returned_for_the_nodes_that_are_drained(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    assert "workloads" not in work(machine, state="checked")
    assert work(machine, check_mode=True)["workloads"] == {"ReplicaSet shop/web": 1}


def test_a_blocker_that_may_pass_is_a_warning(machine: Machine, cluster: Cluster) -> None:
    cluster.pods, cluster.budgets = [pod("web-1")], [budget(0, 1, 2)]
    result = work(machine, state="checked")
    assert not result["changed"] and len(result["warned"]) == 1 and result["blockers"][0]["passes"]


@pytest.mark.parametrize("params", [{"state": "checked"}, {"check_mode": True}])
def test_a_forecast_counts_on_nodes_that_return(machine: Machine, cluster: Cluster, params: dict[str, Any]) -> None:
    cluster.pods = [pod("web-1")]
    cluster.cordon("w2", "kubestead.cluster: of yesterday")
    assert work(machine, returning=["w2"], **params)["blockers"] == []
    with pytest.raises(KubesteadError, match="does not fit on another node"):
        work(machine, **params)
    assert not cluster.said


def test_reasons_of_any_shape_are_read() -> None:
    other = {"node": "w2", "message": "a", "fix": "b"}
    assert action.reasons("x", ["w1"]) == [] and action.reasons([3, {"passes": True}, other], ["w1"]) == []


def test_the_health_of_a_cluster_whose_api_is_silent(machine: Machine) -> None:
    machine.answer("kubectl", "", 1, "The connection to the server 10.0.0.1:6443 was refused")
    module = FakeModule(cluster_health_info.argument_spec())
    with pytest.raises(KubesteadError, match="was refused"):
        cluster_health_info.work(module, machine)
    module = FakeModule(cluster_health_info.argument_spec(), wait=True, timeout=0)
    with pytest.raises(KubesteadError, match="not healthy after 0 s: API server"):
        cluster_health_info.work(module, machine)


def test_the_health_of_a_cluster(machine: Machine, cluster: Cluster) -> None:
    result = cluster_health_info.work(FakeModule(cluster_health_info.argument_spec(), nodes=["w1", "w9"]), machine)
    assert result["ready_nodes"] == ["cp1", "w1", "w2"] and result["dead"] == [] and result["etcd"] == []
    assert result["problems"] == ["node w9 is no longer in the cluster"] and not result["changed"]


def test_the_versions_of_static_pods_are_waited_for(machine: Machine, cluster: Cluster) -> None:
    def health(pods: Any) -> dict[str, Any]:
        module = FakeModule(cluster_health_info.argument_spec(), static_pods={"cp1": pods})
        return cluster_health_info.work(module, machine)

    assert health({"kube-scheduler": "1.36.2"})["problems"] == [
        "the kube-scheduler of cp1 does not have a pod in the API"
    ]
    for wrong in ({"etcd": "3.6.6"}, "1.36.2", None):
        with pytest.raises(OptionError, match="use a dictionary of kube-controller-manager and kube-scheduler"):
            health(wrong)
