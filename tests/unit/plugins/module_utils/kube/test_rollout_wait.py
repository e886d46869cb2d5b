# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts in a cluster with nodes that are down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.rollout_wait import Waited
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine

CRASHES = {"name": "calico-node", "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
STOPPED = (
    "the rollout of DaemonSet kube-system/calico-node is not complete and is not waited for: 0 of 2 pods are updated; "
    "a node that is not ready stops the rollout, so start or remove w2"
)


def daemon_set(desired: int, updated: int, available: int, **status: Any) -> dict[str, Any]:
    counts = {"desiredNumberScheduled": desired, "updatedNumberScheduled": updated, "numberAvailable": available}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "calico-node", "namespace": "kube-system", "generation": 2},
        "spec": {"selector": {"matchLabels": {"k8s-app": "calico-node"}}},
        "status": {"observedGeneration": 2, **counts, **status},
    }


def deployment(available: int, strategy: str = "Recreate", **status: Any) -> dict[str, Any]:
    counts = {"replicas": available, "updatedReplicas": available, "availableReplicas": available}
    return {
        **daemon_set(0, 0, 0),
        "kind": "Deployment",
        "spec": {"strategy": {"type": strategy}, "selector": {"matchLabels": {"k8s-app": "controllers"}}},
        "status": {"observedGeneration": 2, **counts, **status},
    }


def pod(node: str, ready: bool = True, **status: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {
        "metadata": {"name": f"calico-node-{node}", "namespace": "kube-system"},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": conditions, **status},
    }


def node(name: str, status: str = "True") -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": status}]}}


PODS = [pod("cp1"), pod("w1"), pod("w2", False)]


class Live:
    """A cluster of cp1, w1 and w2, of which w2 is down, with one workload as a function of the time in seconds."""

    def __init__(
        self, machine: Machine, live: Callable[[float], dict[str, Any]], pods: Sequence[Any] = PODS, **more: Any
    ) -> None:
        self.clock, self.live, self.pods, self.more = Clock(), live, pods, more
        self.silent: Callable[[float], Sequence[str]] = lambda _now: ["w2"]
        self.asked: list[str] = []
        self.nodes_answer = True
        self.subject = Manifests(Kubectl(machine, "/k"), [live(0)])
        machine.answer("kubectl", self._answer)

    def _answer(self, argv: Sequence[str], stdin: str | None) -> Result:
        if argv[-1] == "/api/v1/nodes":
            self.asked.append("nodes")
            if not self.nodes_answer:
                return Result(1, "", "Error from server (Forbidden): nodes is forbidden")
            silent = self.silent(self.clock.now)
            names = ["cp1", "w1", "w2"]
            items = [node(name, "Unknown" if name in silent else "True") for name in names]
            return Result(0, json.dumps({"items": items}))
        if "pods" in argv:
            self.asked.append("pods")
            return Result(0, json.dumps({"kind": "List", "items": list(self.pods)}))
        if "events" in argv:
            return Result(0, "")
        return Result(0, json.dumps(self.live(self.clock.now)))

    def wait(self, timeout: float = 300) -> Waited:
        return self.subject.wait(timeout, **self.more, **self.clock.injected)

    def failure(self) -> str:
        with pytest.raises(KubesteadError) as caught:
            self.wait()
        assert self.clock.now >= 300
        return caught.value.message


def test_only_the_pod_of_a_node_that_is_down_is_missing(machine: Machine) -> None:
    waited = Live(machine, lambda _now: daemon_set(3, 2, 2)).wait()
    assert waited == Waited(0.0, skipped=("w2",))
    assert waited.warnings == ["did not wait for pods on nodes whose kubelet does not report: w2"]


def test_a_rollout_that_a_node_stops_ends_the_wait_with_a_warning_that_names_the_node(machine: Machine) -> None:
    waited = Live(machine, lambda _now: daemon_set(3, 0, 2)).wait()
    assert list(waited.stopped) == waited.warnings == [STOPPED] and 30 <= waited.seconds < 40


def test_at_the_time_limit_it_is_a_warning_too(machine: Machine) -> None:
    assert Live(machine, lambda _now: daemon_set(3, 0, 2)).wait(timeout=4).stopped == (STOPPED,)


def test_a_rollout_that_makes_progress_is_waited_for(machine: Machine) -> None:
    # Its maxUnavailable is larger, so that the node does not stop it.
    live = Live(machine, lambda now: daemon_set(9, int(min(8, now // 20)), 8))
    assert live.wait() == Waited(160.0, skipped=("w2",))


def test_the_pod_of_a_node_that_joins_is_waited_for_while_another_node_stops_the_rollout(machine: Machine) -> None:
    waited = Live(machine, lambda now: daemon_set(4, 1, 2 if now < 50 else 3)).wait()
    assert 80 <= waited.seconds < 90 and "1 of 3 pods are updated" in waited.stopped[0]


def test_a_moment_between_two_replacements_is_not_a_standstill(machine: Machine) -> None:
    # A pod takes 48 s to start, and two seconds later the next one is replaced.
    def look(now: float) -> dict[str, Any]:
        done, since = divmod(now, 50)
        return daemon_set(4, min(3, 1 + int(done)), 3 if since >= 48 else 2)

    assert Live(machine, look).wait() == Waited(148.0, skipped=("w2",))


def test_a_pod_that_does_not_start_on_a_living_node_is_a_failure_with_its_cause(machine: Machine) -> None:
    # The kubelet of the dead node reported a problem before.
    pods = [pod("w2", False, containerStatuses=[CRASHES]), pod("cp1"), pod("w1", False, containerStatuses=[CRASHES])]
    live = Live(machine, lambda _now: daemon_set(3, 2, 1), pods)
    assert live.failure() == (
        "DaemonSet kube-system/calico-node is not ready after 300 s: 1 of 2 pods are available; pod calico-node-w1 on "
        "w1, container calico-node: CrashLoopBackOff: exit code unknown, 4 restarts; "
        "see kubectl -n kube-system logs calico-node-w1 -c calico-node --previous"
    )


def test_without_a_node_that_is_down_a_rollout_without_progress_is_a_failure(machine: Machine) -> None:
    live = Live(machine, lambda _now: daemon_set(3, 0, 3), [pod("cp1"), pod("w1"), pod("w2")])
    live.silent = lambda _now: []
    assert "0 of 3 pods are updated" in live.failure()
    # The nodes may have failed since, but are not queried in every look.
    assert live.asked.count("nodes") <= 31 and live.asked.count("pods") == 1


@pytest.mark.parametrize(
    ("pods", "failed"),
    [
        # The task of w1 failed, but its pod runs: that of cp1 is missing.
        ([pod("cp1", False), pod("w1"), pod("w2")], ["w1"]),
        # The DaemonSet has no pod on the node that is down.
        ([pod("cp1", False), pod("w1")], []),
    ],
)
def test_a_node_that_is_down_does_not_hide_a_pod_of_another_one(
    machine: Machine, pods: Sequence[Any], failed: Sequence[str]
) -> None:
    live = Live(machine, lambda _now: daemon_set(len(pods), len(pods), len(pods) - 1), pods, failed=failed)
    live.silent = lambda _now: [] if failed else ["w2"]
    assert "pods are available" in live.failure()


def test_pods_on_nodes_on_which_a_task_failed_are_not_waited_for(machine: Machine) -> None:
    live = Live(machine, lambda _now: daemon_set(3, 3, 2), failed=["w2"])
    live.silent = lambda _now: []
    assert live.wait() == Waited(0.0, skipped=("w2",))


def test_a_node_may_fail_or_come_back_while_its_pod_is_waited_for(machine: Machine) -> None:
    live = Live(machine, lambda _now: daemon_set(3, 2, 2))
    live.silent = lambda now: ["w2"] if now >= 60 else []
    assert 60 <= live.wait().seconds <= 72
    live = Live(machine, lambda now: daemon_set(3, 0, 2) if now < 60 else daemon_set(3, 3, 3))
    live.silent = lambda now: ["w2"] if now < 20 else []
    assert live.wait() == Waited(60.0)


def test_a_user_who_may_not_list_nodes_waits_for_all_pods(machine: Machine) -> None:
    live = Live(machine, lambda _now: daemon_set(3, 2, 2))
    live.nodes_answer = False
    assert "2 of 3 pods are updated" in live.failure()


def test_a_change_that_the_controller_has_not_processed_is_waited_for(machine: Machine) -> None:
    live = Live(machine, lambda _now: daemon_set(3, 3, 2, observedGeneration=1))
    assert "the controller has not processed the change yet" in live.failure()


def test_an_api_that_stopped_answering_is_the_cause(machine: Machine) -> None:
    live = Live(machine, lambda _now: daemon_set(3, 0, 2))
    answer = live._answer
    down = Result(1, "", "The connection to the server 192.0.2.1:6443 was refused - did you specify the right host?")
    machine.answer("kubectl", lambda argv, stdin: answer(argv, stdin) if live.clock.now < 20 else down)
    assert live.failure() == (
        "DaemonSet kube-system/calico-node is not ready after 300 s: 0 of 2 pods are updated; API server of /k does "
        f"not answer: {down.stderr}; check that a control plane runs"
    )


def versioned(pods: Sequence[dict[str, Any]], *updated: str) -> list[dict[str, Any]]:
    """Pods as the controller labels them; those on these nodes are of the current template, 7."""
    found = []
    for one in pods:
        generation = "7" if one["spec"]["nodeName"] in updated else "6"
        found.append({**one, "metadata": {**one["metadata"], "labels": {"pod-template-generation": generation}}})
    return found


def test_a_pod_updated_before_its_node_failed_does_not_stand_for_an_old_one_elsewhere(machine: Machine) -> None:
    def waited(*updated: str) -> Waited:
        found = daemon_set(3, len(updated), 2)
        found["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "7"}
        return Live(machine, lambda _now: found, versioned(PODS, *updated)).wait()

    stopped = waited("cp1", "w2")
    assert stopped.seconds >= 30 and "1 of 2 pods are updated" in stopped.stopped[0]
    assert waited("cp1", "w1") == waited("cp1", "w1", "w2") == Waited(0.0, skipped=("w2",))


def test_a_new_pod_beside_an_old_one_must_start(machine: Machine) -> None:
    """With maxSurge, the old pod of w1 runs until the new one is ready."""
    pods = [*PODS, pod("w1", False, containerStatuses=[CRASHES])]
    failure = Live(machine, lambda _now: daemon_set(3, 0, 2), pods).failure()
    assert "0 of 2 pods are updated; pod calico-node-w1 on w1, container calico-node: CrashLoopBackOff" in failure


def test_pods_of_another_workload_with_the_same_labels_do_not_count(machine: Machine) -> None:
    def owned(one: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
        owner = {"kind": kind, "name": name, "controller": True}
        return {**one, "metadata": {**one["metadata"], "ownerReferences": [owner]}}

    own = [owned(one, "DaemonSet", "calico-node") for one in (pod("cp1"), pod("w1", False))]
    for other in (("ReplicaSet", "typha-1"), ("DaemonSet", "calico")):
        live = Live(machine, lambda _now: daemon_set(2, 2, 1), [*own, owned(pod("w2", False), *other)])
        assert "1 of 2 pods are available" in live.failure()


def test_the_pods_of_a_daemon_set_are_found_by_expressions_too(machine: Machine) -> None:
    found = daemon_set(3, 2, 2)
    expressions = [
        {"key": "app", "operator": "In", "values": ["a", "b"]},
        {"key": "tier", "operator": "NotIn", "values": ["c"]},
        {"key": "log", "operator": "Exists"},
        {"key": "old", "operator": "DoesNotExist"},
    ]
    found["spec"]["selector"] = {"matchExpressions": expressions}
    assert Live(machine, lambda _now: found).wait() == Waited(0.0, skipped=("w2",))
    (selector,) = {argv[argv.index("-l") + 1] for argv in machine.ran if "-l" in argv}
    assert selector == "app in (a,b),tier notin (c),log,!old"


# -- Deployments whose old pods must end before new ones start


def test_a_deployment_that_must_recreate_a_pod_of_a_node_that_is_down(machine: Machine) -> None:
    waited = Live(machine, lambda _now: deployment(0), [pod("w2", False)], recreated=True).wait()
    assert 30 <= waited.seconds < 40 and waited.stopped == (
        "the rollout of Deployment kube-system/calico-node is not complete and is not waited for: 0 of 1 pods are "
        "updated; a node that is not ready stops the rollout, so start or remove w2",
    )


@pytest.mark.parametrize(
    ("live", "pods", "recreated"),
    [
        # It is an application, which does not run then.
        (deployment(0), [pod("w2", False)], False),
        # The new pod does not start.
        (deployment(0), [pod("w2", False), pod("w1", False)], True),
        (deployment(0), [pod("w1", False)], True),
        (deployment(0), [], True),
        # Kubernetes starts another pod.
        (deployment(0, "RollingUpdate"), [pod("w2", False)], True),
        (deployment(0, observedGeneration=1), [pod("w2", False)], True),
    ],
)
def test_other_deployments_are_waited_for(
    machine: Machine, live: dict[str, Any], pods: Sequence[Any], recreated: bool
) -> None:
    failure = Live(machine, lambda _now: live, pods, recreated=recreated).failure()
    assert failure.startswith("Deployment kube-system/calico-node is not ready after 300 s: ")
