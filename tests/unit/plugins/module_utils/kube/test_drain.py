# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Draining a node: who owns a cordon, what blocks a drain, and what is undone."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, Dict, List, Optional, Tuple

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import drain
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.api import kubeconfig_server
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.drain_forecast import Permission, blockers
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import NODES, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.pods import (
    BUDGETS,
    DAEMON_SETS,
    OLD_BUDGETS,
    PODS,
    Pod,
    quantity,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

OURS = "kubestead.cluster upgrade: to 1.36.2"
OTHER = "kubestead.cluster remove: w1"
EVERYTHING = Permission(True, True, True)
NOTHING = Permission()
ADMIN = fixture("kubeadm/v1.35/admin.conf")


def node(name: str, taints: Sequence[Dict[str, str]] = (), cpu: str = "2", memory: str = "4Gi") -> Dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}, "resourceVersion": "7"},
        "spec": {"taints": list(taints)},
        "status": {
            "conditions": [{"type": "Ready", "status": "True"}],
            "allocatable": {"cpu": cpu, "memory": memory, "pods": "110"},
        },
    }


def pod(name: str, on: str = "w1", **changes: Any) -> Dict[str, Any]:
    """A running pod of a ReplicaSet ``web``."""
    found: Dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"app": "web"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": True}],
        },
        "spec": {"nodeName": on, "containers": [{"resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }
    for path, value in changes.items():
        part, _space, key = path.partition("_")
        found[part][key] = value
    return found


def budget(allowed: int, wanted: int, expected: int, name: str = "web", **selector: Any) -> Dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": selector or {"matchLabels": {"app": "web"}}},
        "status": {"disruptionsAllowed": allowed, "desiredHealthy": wanted, "expectedPods": expected},
    }


class Cluster:
    """Answers kubectl like an API server with these objects, and moves pods when a node is drained."""

    def __init__(self, machine: Machine) -> None:
        tainted = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
        self.nodes = {one["metadata"]["name"]: one for one in (node("cp1", tainted), node("w1"), node("w2"))}
        self.pods: List[Dict[str, Any]] = []
        self.daemon_sets = [{"metadata": {"name": "proxy", "namespace": "shop"}}]
        self.budgets: List[Dict[str, Any]] = []
        self.conflicts = 0
        self.drain = Result(0)
        self.said: List[str] = []
        machine.answer("kubectl", self.kubectl)

    def kubectl(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        words = [one for one in argv[1:] if not one.startswith(("--cache", "--kubeconfig", "--request"))]
        if words[0] != "get":
            self.said.append(" ".join(words[:2]))
        if words[0] == "get" and words[2].startswith("/api/v1/nodes/"):
            return Result(0, json.dumps(self.nodes[words[2].rpartition("/")[2]]))
        if words[0] == "get":
            lists = {
                "/api/v1/nodes": list(self.nodes.values()),
                "/api/v1/pods": self.pods,
                "/apis/apps/v1/daemonsets": self.daemon_sets,
            }
            return Result(0, json.dumps({"items": lists.get(words[2], self.budgets)}))
        if words[0] == "patch":
            (manager,) = [one.partition("=")[2] for one in words if one.startswith("--field-manager=")]
            return self.patch(words[2], json.loads(words[5]), manager)
        assert words[0] == "drain"
        if self.drain.ok:
            self.pods = [one for one in self.pods if one["spec"]["nodeName"] != words[1]]
        return self.drain

    def patch(self, name: str, patch: Dict[str, Any], manager: str) -> Result:
        assert patch["metadata"].pop("resourceVersion") == self.nodes[name]["metadata"]["resourceVersion"]
        if self.conflicts:
            self.conflicts -= 1
            self.nodes[name]["metadata"]["resourceVersion"] += "1"
            return Result(1, "", 'Error from server (Conflict): Operation cannot be fulfilled on nodes "w1"')
        merged = copy.deepcopy(self.nodes[name])
        for part, values in {"spec": patch["spec"], "metadata": patch["metadata"]}.items():
            for key, value in values.items():
                merged[part][key] = value
        notes = {key: value for key, value in merged["metadata"]["annotations"].items() if value is not None}
        merged["metadata"]["annotations"] = notes
        self.nodes[name] = merged
        self.record(name, manager, {"f:annotations": {f"f:{key}": {} for key in notes}})
        return Result(0)

    def record(self, name: str, manager: str, metadata: Dict[str, Any]) -> None:
        """Record who set the cordon, as the API server does. The other managers lose a field that was changed."""
        metadata_of = self.nodes[name]["metadata"]
        known = metadata_of.get("managedFields", [])
        entries = [one for one in known if one["manager"] != manager]
        for entry in entries:
            entry["fieldsV1"].pop("f:spec", None)
        # A client keeps the fields that it does not change.
        before = next((one["fieldsV1"].get("f:metadata", {}) for one in known if one["manager"] == manager), {})
        fields: Dict[str, Any] = {"f:metadata": metadata or before}
        if self.is_cordoned(name):
            fields["f:spec"] = {"f:unschedulable": {}}
        metadata_of["managedFields"] = [*entries, {"manager": manager, "operation": "Update", "fieldsV1": fields}]

    def by_hand(self, name: str, cordoned: bool, manager: str = "kubectl-cordon") -> None:
        """``kubectl cordon`` or ``kubectl uncordon``, or ``kubectl patch``."""
        self.nodes[name]["spec"]["unschedulable"] = cordoned
        self.record(name, manager, {})

    def cordon(self, name: str, owner: str = "") -> None:
        self.nodes[name]["spec"]["unschedulable"] = True
        self.nodes[name]["metadata"]["annotations"] = {drain.CORDONED_BY: owner} if owner else {}

    def is_cordoned(self, name: str) -> bool:
        return self.nodes[name]["spec"].get("unschedulable") is True

    def owner(self, name: str) -> Optional[str]:
        found = self.nodes[name]["metadata"].get("annotations", {}).get(drain.CORDONED_BY)
        return None if found is None else str(found)


@pytest.fixture
def cluster(machine: Machine) -> Cluster:
    return Cluster(machine)


def run(machine: Machine, wanted: str, permission: Permission = NOTHING, name: str = "w1") -> List[str]:
    return [action for action, _name in run_all(machine, wanted, [name], permission)]


def run_all(
    machine: Machine, wanted: str, names: Sequence[str], permission: Permission = NOTHING
) -> List[Tuple[str, str]]:
    kubectl, now = Kubectl(machine), [0.0]
    steps = drain.plan_all(drain.observe(kubectl), names, wanted, OURS)
    for step in steps:
        drain.apply(
            step, kubectl, OURS, permission, 60.0, names, lambda: now[0], lambda s: now.__setitem__(0, now[0] + s)
        )
    return [(step.action, step.target) for step in steps]


def told(machine: Machine, permission: Permission = NOTHING, name: str = "w1") -> List[str]:
    return [one.line for one in drain.forecast(drain.observe(Kubectl(machine)), [name], permission, OURS)]


def test_nodes_pods_and_budgets_are_read_over_one_connection(machine: Machine, cluster: Cluster) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    lists: Dict[str, Any] = {
        NODES: cluster.nodes.values(),
        PODS: [pod("web-1")],
        DAEMON_SETS: cluster.daemon_sets,
        BUDGETS: [budget(0, 2, 2)],
    }
    for path, items in lists.items():
        machine.serve(kubeconfig_server(ADMIN), path, json.dumps({"items": list(items)}))
    found = drain.observe(Kubectl(machine))
    assert sorted(found.cordons) == ["cp1", "w1", "w2"] and [one.name for one in found.leaving("w1")] == ["web-1"]
    assert [one.name for one in found.budgets] == ["web"]
    assert len(machine.credentials) == 1 and machine.ran == []


def test_an_old_api_server_has_its_budgets_under_another_version(machine: Machine, cluster: Cluster) -> None:
    """What kubectl prints for Kubernetes 1.20, which does not serve policy/v1."""
    cluster.pods, cluster.budgets = [pod("web-1")], [budget(0, 2, 2)]
    missing = Result(1, "", "Error from server (NotFound): the server could not find the requested resource")
    machine.answer("kubectl", lambda argv, stdin: missing if argv[-1] == BUDGETS else cluster.kubectl(argv, stdin))
    assert "the PodDisruptionBudget shop/web does not allow" in told(machine)[0]
    assert machine.ran[-1][-1] == OLD_BUDGETS


# -- who owns a cordon


def test_a_node_is_cordoned_in_our_name_drained_and_let_back(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    assert run(machine, "drained") == ["cordon", "drain"]
    assert cluster.is_cordoned("w1") and cluster.owner("w1") == OURS and cluster.pods == []
    assert run(machine, "drained") == []
    assert run(machine, "schedulable") == ["uncordon"]
    assert not cluster.is_cordoned("w1") and cluster.owner("w1") is None
    assert run(machine, "schedulable") == []


def test_a_cordon_of_another_is_never_lifted(machine: Machine, cluster: Cluster) -> None:
    cluster.cordon("w1")
    cluster.pods = [pod("web-1")]
    assert run(machine, "drained") == ["drain"]
    assert run(machine, "schedulable") == []
    assert cluster.is_cordoned("w1") and cluster.owner("w1") is None


def test_the_cordon_of_a_run_that_was_killed_is_continued_and_lifted(machine: Machine, cluster: Cluster) -> None:
    cluster.cordon("w1", "kubestead.cluster upgrade: of yesterday")
    cluster.pods = [pod("web-1")]
    assert run(machine, "drained") == ["drain"]
    assert run(machine, "schedulable") == ["uncordon"]
    assert not cluster.is_cordoned("w1")


def test_the_cordon_of_another_operation_stays(machine: Machine, cluster: Cluster) -> None:
    """remove.yml may run at the same time, on another control machine."""
    cluster.cordon("w1", OTHER)
    cluster.pods, cluster.drain = [pod("web-1")], Result(1, "", "refused")
    with pytest.raises(KubesteadError, match="the cordon of w1 was not set by this operation and stays"):
        run(machine, "drained")
    assert run(machine, "schedulable") == [] and not drain.lift_cordon(Kubectl(machine), "w1", OURS)
    assert cluster.is_cordoned("w1") and cluster.owner("w1") == OTHER
    state = drain.without_cordons(drain.observe(Kubectl(machine)), ["w1"], OURS)
    assert state.cordons["w1"].set and state.nodes[1].unschedulable
    assert drain.plan(state, "w1", "schedulable", OURS, was_cordoned=True) == []
    assert drain.lift_cordon(Kubectl(machine), "w1", OTHER) and not cluster.is_cordoned("w1")


def test_an_annotation_without_a_cordon_is_removed(machine: Machine, cluster: Cluster) -> None:
    cluster.cordon("w1", OURS)
    cluster.nodes["w1"]["spec"]["unschedulable"] = False
    assert run(machine, "schedulable") == ["forget"]
    assert cluster.owner("w1") is None


def test_a_node_that_changed_meanwhile_is_looked_at_again(machine: Machine, cluster: Cluster) -> None:
    cluster.conflicts = 2
    drain.set_cordon(Kubectl(machine), "w1", OURS)
    assert cluster.owner("w1") == OURS


def test_a_cordon_that_came_between_is_not_ours(machine: Machine, cluster: Cluster) -> None:
    step = drain.plan(drain.observe(Kubectl(machine)), "w1", "drained", OURS)[0]
    cluster.cordon("w1")
    drain.apply(step, Kubectl(machine), OURS, Permission(), 60.0)
    assert cluster.is_cordoned("w1") and cluster.owner("w1") is None


def test_a_dry_run_foresees_that_the_cordon_is_lifted(machine: Machine, cluster: Cluster) -> None:
    state = drain.observe(Kubectl(machine))
    assert [step.action for step in drain.plan(state, "w1", "schedulable", OURS, was_cordoned=True)] == ["uncordon"]
    cluster.cordon("w1")
    state = drain.observe(Kubectl(machine))
    assert drain.plan(state, "w1", "schedulable", OURS, was_cordoned=True) == []


def test_a_node_that_does_not_exist_is_named(machine: Machine, cluster: Cluster) -> None:
    with pytest.raises(KubesteadError, match="does not have a node w9; its nodes are cp1, w1, w2"):
        run(machine, "drained", name="w9")


@pytest.mark.parametrize("client", ["kubectl-cordon", "kubectl-patch"])
def test_a_cordon_that_another_set_after_ours_was_lifted_by_hand_is_theirs(
    machine: Machine, cluster: Cluster, client: str
) -> None:
    run(machine, "drained")
    cluster.by_hand("w1", False, client)
    assert cluster.owner("w1") == OURS
    cluster.by_hand("w1", True, client)
    state = drain.observe(Kubectl(machine))
    assert state.cordons["w1"] == drain.Cordon(True) and not state.nodes[1].cordoned_by
    assert run(machine, "schedulable") == [] and not drain.lift_cordon(Kubectl(machine), "w1", OURS)
    assert cluster.is_cordoned("w1")
    cluster.by_hand("w1", False, client)
    assert run(machine, "schedulable") == ["forget"]


def test_a_cordon_is_ours_only_if_our_name_set_it(machine: Machine, cluster: Cluster) -> None:
    """A copied annotation does not make a cordon ours. The API server joins old entries under one name."""
    run(machine, "drained")
    (entry,) = cluster.nodes["w1"]["metadata"]["managedFields"]
    assert entry["manager"] == "kubestead.cluster"
    for manager, owner in (("kubectl-patch", ""), ("ancient-changes", OURS), (["x"], ""), (None, "")):
        entry["manager"] = manager
        assert drain.observe(Kubectl(machine)).cordons["w1"].owner == owner


def test_a_node_that_was_uncordoned_by_hand_is_cordoned_in_our_name_again(machine: Machine, cluster: Cluster) -> None:
    run(machine, "drained")
    cluster.by_hand("w1", False)
    assert run(machine, "drained") == ["cordon"] and run(machine, "schedulable") == ["uncordon"]


# -- pods that are terminating


def test_pods_that_are_terminating_are_waited_for(machine: Machine, cluster: Cluster) -> None:
    """A run was killed after the eviction; the machine must not be reset beneath the pod."""
    cluster.cordon("w1", OURS)
    cluster.pods = [pod("web-1", metadata_deletionTimestamp="2026-11-27T10:15:00Z")]
    assert told(machine) == []
    answer, left = cluster.kubectl, [3]

    def ends_later(argv: Sequence[str], stdin: Optional[str]) -> Result:
        left[0] -= "/api/v1/pods" in argv
        if left[0] <= 0:
            cluster.pods = []
        assert "drain" not in argv or not cluster.pods
        return answer(argv, stdin)

    machine.answer("kubectl", ends_later)
    assert run(machine, "drained") == ["drain"] and left[0] <= 0


def test_pods_that_never_end_fail_the_drain(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1", metadata_deletionTimestamp="2026-11-27T10:15:00Z")]
    with pytest.raises(KubesteadError, match="terminating do not end; pods still on it: 1 pod: shop/web-1; w1 accepts"):
        run(machine, "drained")
    assert "drain w1" not in cluster.said


def test_daemons_and_static_pods_that_are_terminating_are_not_waited_for(machine: Machine, cluster: Cluster) -> None:
    end = {"metadata_deletionTimestamp": "2026-11-27T10:15:00Z"}
    owner = [{"kind": "DaemonSet", "name": "proxy", "controller": True}]
    cluster.pods = [pod("proxy", metadata_ownerReferences=owner, **end), pod("done", status_phase="Succeeded", **end)]
    assert run(machine, "drained") == ["cordon"]


# -- several nodes


def test_all_nodes_are_cordoned_before_the_first_is_drained(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1"), pod("web-2", on="w2")]
    steps = [("cordon", "w1"), ("cordon", "w2"), ("drain", "w1"), ("drain", "w2")]
    assert run_all(machine, "drained", ["w1", "w2"]) == steps
    assert cluster.owner("w1") == cluster.owner("w2") == OURS


def test_nodes_that_are_drained_together_do_not_take_the_pods_of_one_another(
    machine: Machine, cluster: Cluster
) -> None:
    cluster.pods = [pod("web-1")]
    state = drain.observe(Kubectl(machine))
    assert not drain.forecast(state, ["w1", "w2"], NOTHING, OURS)
    (one,) = drain.forecast(state, ["w1", "w2"], NOTHING, OURS, together=True)
    assert one.node == "w1" and "no other node accepts it" in one.message
    # Their pods share the room on the nodes that stay.
    cluster.nodes["w3"] = node("w3", cpu="1")
    wish = [{"resources": {"requests": {"cpu": "800m"}}}]
    cluster.pods = [pod("web-1", spec_containers=wish), pod("web-2", on="w2", spec_containers=wish)]
    (one,) = drain.forecast(drain.observe(Kubectl(machine)), ["w1", "w2"], NOTHING, OURS, together=True)
    assert one.node == "w2" and "the other nodes do not have 0.8 CPUs left" in one.message


def test_a_drain_that_fails_lifts_our_cordons_of_all_its_nodes(machine: Machine, cluster: Cluster) -> None:
    cluster.pods, cluster.drain = [pod("web-1"), pod("web-2", on="w2")], Result(1, "", "refused")
    with pytest.raises(KubesteadError, match="refused; .*; w1, w2 accept pods again$"):
        run_all(machine, "drained", ["w1", "w2"])
    assert not cluster.is_cordoned("w1") and not cluster.is_cordoned("w2")
    cluster.by_hand("w2", True)
    with pytest.raises(KubesteadError, match="; w1 accepts pods again$"):
        run_all(machine, "drained", ["w1", "w2"])
    assert cluster.is_cordoned("w2") and not cluster.is_cordoned("w1")


# -- a drain that fails

LATE = 'error when evicting pods/"web-1" -n "shop": global timeout reached: 1m0s\n'


def test_a_drain_that_fails_is_undone_and_names_what_stayed(machine: Machine, cluster: Cluster) -> None:
    cluster.pods, cluster.drain = [pod("web-1")], Result(1, "", LATE)
    with pytest.raises(KubesteadError) as caught:
        run(machine, "drained")
    assert "global timeout reached" in caught.value.message and "1 pod: shop/web-1" in caught.value.message
    assert caught.value.message.endswith("; w1 accepts pods again")
    assert not cluster.is_cordoned("w1") and cluster.owner("w1") is None


def test_a_drain_that_fails_leaves_the_cordon_of_another(machine: Machine, cluster: Cluster) -> None:
    cluster.cordon("w1")
    cluster.pods, cluster.drain = [pod("web-1")], Result(1, "", LATE)
    with pytest.raises(KubesteadError, match="was not set by this operation and stays"):
        run(machine, "drained")
    assert cluster.is_cordoned("w1")


def test_what_a_drain_may_do_is_what_was_permitted(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    run(machine, "drained", EVERYTHING)
    argv = next(one for one in machine.ran if "drain" in one)
    assert {"--force", "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=60s"} <= set(argv)
    assert "--disable-eviction" not in argv
    cluster.pods = [pod("web-1", on="w2")]
    run(machine, "drained", name="w2")
    assert not {"--force", "--delete-emptydir-data"} & set(machine.ran[-1])


# -- the forecast


def test_pods_that_find_room_block_nothing(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1"), pod("web-2", on="w2")]
    cluster.budgets = [budget(1, 1, 2)]
    assert told(machine) == []


def test_each_of_the_four_blockers_is_named(machine: Machine, cluster: Cluster) -> None:
    cluster.budgets = [budget(0, 1, 1)]
    cluster.pods = [
        pod("web-1"),
        pod("alone", metadata_ownerReferences=[], metadata_labels={}),
        pod("scratch", metadata_labels={}, spec_volumes=[{"name": "tmp", "emptyDir": {}}]),
        pod("large", metadata_labels={}, spec_containers=[{"resources": {"requests": {"memory": "5Gi"}}}]),
    ]
    lines = told(machine)
    assert len(lines) == 4
    assert lines[0].startswith("w1: the PodDisruptionBudget shop/web does not allow pod shop/web-1 to be evicted")
    assert "pod shop/alone does not belong to a controller" in lines[1]
    assert "pod shop/scratch has local data that would be lost (emptyDir tmp)" in lines[2]
    assert "pod shop/large does not fit on another node: the other nodes do not have 5120 MiB of memory" in lines[3]
    left = told(machine, EVERYTHING)
    assert len(left) == 1 and "PodDisruptionBudget" in left[0]


def test_a_budget_that_only_waits_for_a_pod_passes(machine: Machine, cluster: Cluster) -> None:
    cluster.pods, cluster.budgets = [pod("web-1")], [budget(0, 1, 2)]
    assert [one.passes for one in drain.forecast(drain.observe(Kubectl(machine)), ["w1"], Permission(), OURS)] == [True]
    cluster.budgets = [budget(0, 2, 2)]
    assert [one.passes for one in drain.forecast(drain.observe(Kubectl(machine)), ["w1"], Permission(), OURS)] == [
        False
    ]


def test_two_budgets_for_a_pod_can_not_both_be_kept(machine: Machine, cluster: Cluster) -> None:
    cluster.pods, cluster.budgets = [pod("web-1")], [budget(1, 1, 2), budget(1, 1, 2, name="all")]
    assert ["covered by 2 PodDisruptionBudgets (all, web)" in one for one in told(machine)] == [True]


@pytest.mark.parametrize(
    ("selector", "covered"),
    [
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "api"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "other"}}, False),
    ],
)
def test_a_budget_covers_what_its_selector_matches(
    machine: Machine, cluster: Cluster, selector: Dict[str, Any], covered: bool
) -> None:
    cluster.pods, cluster.budgets = [pod("web-1")], [budget(0, 1, 1, **selector)]
    assert bool(told(machine)) == covered


def test_static_pods_daemons_and_pods_that_have_ended_stay(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [
        pod("etcd-w1", metadata_annotations={"kubernetes.io/config.mirror": "x"}, metadata_ownerReferences=[]),
        pod("proxy", metadata_ownerReferences=[{"kind": "DaemonSet", "name": "proxy", "controller": True}]),
        pod("done", metadata_ownerReferences=[], status_phase="Succeeded"),
    ]
    assert told(machine) == [] and run(machine, "drained") == ["cordon"]


@pytest.mark.parametrize(("controller", "deletable"), [("gone", True), ("proxy/x", False), ("..", False)])
def test_a_pod_of_a_daemon_set_that_does_not_exist_is_named(
    machine: Machine, cluster: Cluster, controller: str, deletable: bool
) -> None:
    """``kubectl drain`` fails with ``daemonsets.apps "gone" not found``, and deletes the pod only with ``--force``."""
    owner = [{"apiVersion": "example.org/v1", "kind": "DaemonSet", "name": controller, "controller": True}]
    cluster.pods = [pod("stray", metadata_ownerReferences=owner)]
    (line,) = told(machine)
    assert line.startswith(f"w1: pod shop/stray has the controller DaemonSet {controller}, which does not exist")
    assert told(machine, EVERYTHING) == ([] if deletable else [line.partition(", or set")[0]])
    assert ("cluster_drain_delete_bare_pods" in line) == deletable
    # A DaemonSet of another namespace is not its controller.
    cluster.daemon_sets = [{"metadata": {"name": controller, "namespace": "other"}}]
    assert len(told(machine)) == 1
    # It is evicted like a pod without a controller, and waited for like one.
    cluster.budgets = [budget(0, 1, 1)]
    assert "PodDisruptionBudget" in told(machine, EVERYTHING)[0]
    assert run(machine, "drained", EVERYTHING) == ["cordon", "drain"]


def test_room_is_only_where_a_pod_may_run(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    cluster.cordon("w2")
    assert ["no other node accepts it" in one for one in told(machine)] == [True]
    tolerant = [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists", "effect": "NoSchedule"}]
    cluster.pods = [pod("web-1", spec_tolerations=tolerant)]
    assert told(machine) == []
    cluster.pods = [pod("web-1", spec_tolerations=tolerant, spec_nodeSelector={"kubernetes.io/hostname": "w1"})]
    assert len(told(machine)) == 1


def test_a_node_that_returns_has_room_unless_another_cordoned_it(machine: Machine, cluster: Cluster) -> None:
    cluster.pods = [pod("web-1")]
    cluster.cordon("w2", "kubestead.cluster upgrade: of yesterday")
    keys = ("unschedulable", "not-ready", "unreachable")
    passing = [{"key": f"node.kubernetes.io/{key}", "effect": "NoSchedule"} for key in keys]
    cluster.nodes["w2"]["spec"]["taints"] = passing
    cluster.nodes["w2"]["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]

    def blocked(returning: Sequence[str]) -> bool:
        return bool(drain.forecast(drain.observe(Kubectl(machine)), ["w1"], NOTHING, OURS, returning))

    assert blocked([]) and blocked(["w1"]) and not blocked(["w2"])
    cluster.nodes["w2"]["spec"]["taints"] = [*passing, {"key": "gpu", "effect": "NoSchedule"}]
    assert blocked(["w2"])
    cluster.nodes["w2"]["spec"]["taints"] = []
    for owner in ("", OTHER):
        cluster.cordon("w2", owner)
        assert blocked(["w2"])


def test_pods_that_move_together_share_the_room(machine: Machine, cluster: Cluster) -> None:
    wish = [{"resources": {"requests": {"cpu": "800m"}}}]
    cluster.pods = [pod(f"web-{at}", spec_containers=wish) for at in range(3)]
    assert ["w1: pod shop/web-2 does not fit" in one for one in told(machine)] == [True]


def container(cpu: str, **more: Any) -> Dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}, **more}


SIDECAR = {"restartPolicy": "Always"}


@pytest.mark.parametrize(
    ("spec", "cpus"),
    [
        ({"containers": [container("1"), container("500m")]}, 1.5),
        ({"containers": [container("1")], "initContainers": [container("2")]}, 2.0),
        ({"containers": [container("1")], "initContainers": [container("250m", **SIDECAR)]}, 1.25),
        # An init container runs beside the sidecars before it, not beside those after it.
        ({"containers": [container("1")], "initContainers": [container("1", **SIDECAR), container("2")]}, 3.0),
        ({"containers": [container("1")], "initContainers": [container("2"), container("500m", **SIDECAR)]}, 2.0),
        ({"containers": [container("1")], "overhead": {"cpu": "250m"}}, 1.25),
        ({"containers": [container("1")], "resources": {"requests": {"cpu": "3"}}, "overhead": {"cpu": "1"}}, 4.0),
        ({"containers": [container("1")], "resources": {"requests": {"memory": "1Gi"}}}, 1.0),
        ({"containers": [container("1")], "overhead": 3, "resources": [], "initContainers": [3]}, 1.0),
    ],
)
def test_requests_are_those_that_the_scheduler_computes(spec: Dict[str, Any], cpus: float) -> None:
    (found,) = drain.read_pods({"items": [{"metadata": {"name": "x"}, "spec": spec}]})
    assert found.requests["cpu"] == pytest.approx(cpus) and found.requests["pods"] == 1.0


@pytest.mark.parametrize(
    ("operator", "value", "taint", "tolerated"),
    [
        ("", "5", "5", True),
        ("Equal", "5", "6", False),
        ("Exists", "", "6", True),
        ("Gt", "5", "6", True),
        ("Gt", "5", "5", False),
        ("Gt", "-5", "0", True),
        ("Lt", "10", "9", True),
        ("Lt", "10", "10", False),
        ("Lt", "10", "", False),
        ("Lt", "010", "9", False),
        ("Lt", "x", "x", False),
        ("Near", "5", "5", False),
    ],
)
def test_tolerations_compare_the_value_of_the_taint(operator: str, value: str, taint: str, tolerated: bool) -> None:
    spec = {"tolerations": [{"key": "sla", "operator": operator, "value": value, "effect": "NoSchedule"}]}
    (found,) = drain.read_pods({"items": [{"metadata": {"name": "x"}, "spec": spec}]})
    assert found.tolerates("sla={0}:NoSchedule".format(taint) if taint else "sla:NoSchedule") == tolerated


@pytest.mark.parametrize(
    ("text", "number"),
    [("250m", 0.25), ("2", 2.0), (2, 2.0), ("1.5", 1.5), ("64Mi", 67108864.0), ("1k", 1000.0), ("1e3", 1000.0)]
    + [(bad, 0.0) for bad in (None, "", "x", "1x", True, [], "9" * 5000, "\u0661")],
)
def test_quantities(text: Any, number: float) -> None:
    assert quantity(text) == number


@pytest.mark.parametrize("junk", [None, [], {"items": 3}, {"items": [None, {"metadata": 3, "spec": [], "status": ""}]}])
def test_objects_of_any_shape_are_read(junk: Any) -> None:
    assert drain.read_cordons(junk) in ({}, {"": drain.Cordon()})
    for read in (drain.read_pods, drain.read_budgets, drain.read_allocatable):
        read(junk)


def test_a_forecast_looks_at_each_pod_once_however_many_nodes_there_are() -> None:
    """A user of the cluster can create any number of pods."""
    looks = 0

    class Counted(List[Pod]):
        def __iter__(self) -> Iterator[Pod]:
            nonlocal looks
            looks += 1
            return super().__iter__()

    nodes = [Node(f"w{at}", ready=True) for at in range(50)]
    pods = Counted([Pod("shop", f"x{at}", node=f"w{at}") for at in range(50)])
    assert len(blockers([one.name for one in nodes[:25]], nodes, pods, [], {}, NOTHING)) == 25
    assert looks == 1


@pytest.mark.parametrize("operator", ["In", "NotIn"])
def test_a_budget_that_selects_an_empty_value_covers_its_pods(
    machine: Machine, cluster: Cluster, operator: str
) -> None:
    own = "" if operator == "In" else "x"
    cluster.pods = [
        pod("web-1", metadata_labels={"tier": own}),
        pod("web-2", metadata_labels={"tier": "" if own else "x"}),
    ]
    selector = {"key": "tier", "operator": operator, "values": ["", 7]}
    cluster.budgets = [budget(0, 2, 2, matchExpressions=[selector])]
    assert [line.partition("does not allow pod ")[2].split()[0] for line in told(machine)] == ["shop/web-1"]
