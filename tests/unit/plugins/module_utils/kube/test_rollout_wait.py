# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rollouts in a cluster with nodes that are down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.pods import Pod, read_pods
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.rollout import left_behind
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.rollout_wait import RolloutWait, Waited
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
    def of(one: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
        owner = {"kind": kind, "name": name, "controller": True}
        return {**one, "metadata": {**one["metadata"], "ownerReferences": [owner]}}

    own = [of(one, "DaemonSet", "calico-node") for one in (pod("cp1"), pod("w1", False))]
    for other in (("ReplicaSet", "typha-1"), ("DaemonSet", "calico")):
        live = Live(machine, lambda _now: daemon_set(2, 2, 1), [*own, of(pod("w2", False), *other)])
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


# -- DaemonSets whose pods on living nodes must be replaced


class Replaced:
    """A cluster in which a DaemonSet has got a new template, 7. A pod takes 3 s to end and its successor 4 s to start.

    The controller behaves like that of Kubernetes: it creates missing pods and deletes old pods that are not ready, but
    only one that is ready, and none while a pod is missing or not ready, also on a ``dead`` node.
    """

    def __init__(self, machine: Machine, names: Sequence[str], dead: Sequence[str], new: Sequence[str] = ()) -> None:
        self.clock, self.dead, self.deleted, self.most = Clock(), list(dead), list[str](), 0
        self.subject = RolloutWait(Kubectl(machine, "/k"), self._get, replaces=True, **self.clock.injected)
        self.pods = {name: {"name": f"old-{name}", "generation": "7" if name in new else "6"} for name in names}
        self.times: dict[str, float] = {}
        self.foreign: list[dict[str, Any]] = []
        self.kubelets, self.processed = True, 0.0
        machine.answer("kubectl", self._answer)

    def _ready(self, name: str) -> bool:
        started = self.kubelets or self.pods[name]["generation"] == "6"
        return name not in self.dead and started and self.clock.now >= self.times.get(f"start {name}", 0)

    def _controller(self) -> None:
        for name in self.pods:
            if name not in self.dead and self.clock.now >= self.times.get(f"end {name}", float("inf")):
                del self.times[f"end {name}"]
                self.times[f"start {name}"] = self.clock.now + 4
                self.pods[name] = {"name": f"new-{name}", "generation": "7"}
        free = 1
        for name, one in self.pods.items():
            if one["generation"] == "6" and not self._ready(name):
                self.times.setdefault(f"end {name}", self.clock.now + 3)
            free -= f"end {name}" in self.times or not self._ready(name)
        for name, one in self.pods.items():
            if one["generation"] == "6" and free > 0 and f"end {name}" not in self.times:
                self.times[f"end {name}"], free = self.clock.now + 3, free - 1
        away = [name for name in self.pods if f"end {name}" in self.times or not self._ready(name)]
        self.most = max(self.most, len(set(away) - set(self.dead)))

    def _get(self, _objects: Sequence[Any] = ()) -> list[dict[str, Any]]:
        self._controller()
        updated = sum(one["generation"] == "7" for one in self.pods.values())
        found = daemon_set(len(self.pods), updated, sum(map(self._ready, self.pods)))
        found["status"]["observedGeneration"] = 2 if self.clock.now >= self.processed else 1
        found["metadata"].update(uid="own", annotations={"deprecated.daemonset.template.generation": "7"})
        return [found]

    def _answer(self, argv: Sequence[str], _stdin: str | None) -> Result:
        if argv[-1] == "/api/v1/nodes":
            items = [node(name, "Unknown" if name in self.dead else "True") for name in self.pods]
            return Result(0, json.dumps({"items": items}))
        if "events" in argv:
            return Result(0, "")
        if "delete" not in argv:
            pods = [*map(self._pod, self.pods), *self.foreign]
            return Result(0, json.dumps({"kind": "List", "items": pods}))
        assert argv[-4:][1:] == ["--namespace=kube-system", "--wait=false", "--ignore-not-found"]
        self.deleted.append(argv[-4])
        self.times.setdefault(f"end {argv[-4].partition('-')[2]}", self.clock.now + 3)
        self._controller()
        return Result(0, "")

    def _pod(self, name: str) -> dict[str, Any]:
        one = pod(name, self._ready(name))
        owner = {"kind": "DaemonSet", "name": "calico-node", "uid": "own", "controller": True}
        labels = {"pod-template-generation": self.pods[name]["generation"]}
        one["metadata"].update(name=self.pods[name]["name"], labels=labels, ownerReferences=[owner])
        if f"end {name}" in self.times:
            one["metadata"]["deletionTimestamp"] = "2026-11-28T08:00:00Z"
        return one

    @property
    def old(self) -> list[str]:
        return [name for name, one in self.pods.items() if one["generation"] == "6"]

    def wait(self, timeout: float = 600) -> Waited:
        return self.subject.wait(self._get(), timeout)


def test_pods_on_living_nodes_are_replaced_one_at_a_time_although_a_dead_node_stops_the_rollout(
    machine: Machine,
) -> None:
    live = Replaced(machine, ["cp1", "w1", "w2", "w3"], ["w2"])
    waited = live.wait()
    assert (waited.skipped, waited.stopped, live.old, live.most) == (("w2",), (), ["w2"], 1)
    assert live.deleted == ["pod/old-cp1", "pod/old-w1", "pod/old-w3"]


def test_a_repetition_replaces_only_the_pods_that_are_old(machine: Machine) -> None:
    live = Replaced(machine, ["cp1", "w1", "w2", "w3"], ["w2"], new=["cp1", "w1"])
    assert live.wait().skipped == ("w2",) and live.deleted == ["pod/old-w3"]
    again = Replaced(machine, ["cp1", "w1", "w2", "w3"], ["w2"], new=["cp1", "w1", "w3"])
    assert again.wait() == Waited(0.0, skipped=("w2",)) and not again.deleted


def test_a_run_killed_after_it_deleted_a_pod_waits_for_the_successor_first(machine: Machine) -> None:
    live = Replaced(machine, ["cp1", "w1", "w2"], ["w2"])
    live.times["end w1"] = 3.0
    assert live.wait().skipped == ("w2",) and live.deleted == ["pod/old-cp1"] and live.most == 1


def test_pods_are_left_to_the_controller_while_all_nodes_live(machine: Machine) -> None:
    live = Replaced(machine, ["cp1", "w1", "w2"], [])
    assert live.wait().warnings == [] and not live.old and not live.deleted
    # A node that returns is not left behind: the rest is again up to the controller.
    live = Replaced(machine, [f"w{number}" for number in range(10, 19)], ["w12"])
    answer = live._answer

    def returns(argv: Sequence[str], stdin: str | None) -> Result:
        live.dead = live.dead if live.clock.now < 20 else []
        return answer(argv, stdin)

    machine.answer("kubectl", returns)
    assert live.wait().warnings == [] and not live.old and live.most <= 2 and 1 <= len(live.deleted) <= 5


def test_many_pods_are_replaced_in_eight_seconds_each(machine: Machine) -> None:
    live = Replaced(machine, [f"w{number}" for number in range(10, 60)], ["w15", "w16"])
    waited = live.wait()
    assert waited.skipped == ("w15", "w16") and live.old == ["w15", "w16"] and live.most == 1
    assert len(live.deleted) == 48 and waited.seconds <= 48 * 8


def test_no_further_pod_is_deleted_while_a_successor_does_not_start(machine: Machine) -> None:
    live = Replaced(machine, ["cp1", "w1", "w2"], ["w2"])
    live.kubelets = False
    with pytest.raises(KubesteadError, match="not ready after 600 s: 1 of 2 pods are updated"):
        live.wait()
    assert live.deleted == ["pod/old-cp1"] and live.old == ["w1", "w2"]


def test_a_pod_that_does_not_end_is_named(machine: Machine) -> None:
    live = Replaced(machine, ["cp1", "w1", "w2"], ["w2"])
    live.times["end w1"] = 10_000.0
    with pytest.raises(KubesteadError, match="0 of 2 pods are updated; pod old-w1 on w1 is terminating; see kubectl"):
        live.wait()
    assert not live.deleted


def test_pods_of_others_with_the_same_labels_are_never_deleted(machine: Machine) -> None:
    live = Replaced(machine, ["cp1", "w2"], ["w2"])
    bare = pod("a1")
    # The DaemonSet of this name in another API group, and one that was deleted and created again.
    owner = {"kind": "DaemonSet", "name": "calico-node", "uid": "other", "controller": True}
    other = {**pod("a2"), "metadata": {**pod("a2")["metadata"], "ownerReferences": [owner]}}
    listed = {**pod("a3"), "metadata": {**pod("a3")["metadata"], "ownerReferences": [{**owner, "uid": "own"}]}}
    listed["metadata"]["ownerReferences"][0]["controller"] = False
    live.foreign = [bare, other, listed]
    assert live.wait().skipped == ("w2",) and live.deleted == ["pod/old-cp1"]


def owned(name: str, uid: str) -> list[Pod]:
    """A pod of a DaemonSet that has this UID, as it is read."""
    one = pod(name)
    one["metadata"]["ownerReferences"] = [{"uid": uid, "controller": True}]
    return read_pods({"items": [one]})


def test_a_pod_that_has_finished_keeps_no_other_pod_old(machine: Machine) -> None:
    (found,) = Replaced(machine, ["cp1", "w2"], ["w2"])._get()
    evicted = [replace(one, name="evicted", over=True, ready=False) for one in owned("cp1", "own")]
    assert left_behind(found, [*evicted, *owned("cp1", "own")], ["w2"]) == owned("cp1", "own")[0]


def test_without_an_identity_of_the_daemon_set_or_its_template_nothing_is_deleted(machine: Machine) -> None:
    (found,) = Replaced(machine, ["cp1", "w2"], ["w2"])._get()
    assert left_behind(found, owned("cp1", "own"), ["w2"])
    for unknown, uid in (({"annotations": {}}, "own"), ({"uid": ""}, ""), ({"uid": None}, "")):
        other = {**found, "metadata": {**found["metadata"], **unknown}}
        assert left_behind(other, owned("cp1", uid), ["w2"]) is None


def test_a_pod_that_was_deleted_but_is_still_counted_is_waited_for(machine: Machine) -> None:
    (found,) = Replaced(machine, ["cp1", "w1", "w2"], ["w2"])._get()
    assert left_behind(found, owned("cp1", "own"), ["w2"]) is None
    assert left_behind(found, [*owned("w1", "other"), *owned("cp1", "own")], ["w2"]) is None
    assert left_behind(found, [*owned("w1", "own"), *owned("cp1", "own")], ["w2"]) == owned("cp1", "own")[0]


def test_nothing_is_deleted_before_the_controller_has_the_new_template(machine: Machine) -> None:
    live = Replaced(machine, ["cp1", "w1", "w2"], ["w2"])
    live.processed = 20.0
    with pytest.raises(KubesteadError, match="the controller has not processed the change yet"):
        live.wait(timeout=10)
    assert not live.deleted
    assert live.wait().skipped == ("w2",) and live.old == ["w2"]


@pytest.mark.parametrize(
    ("stderr", "failure"),
    [
        (
            "Error from server (Forbidden): pods is forbidden",
            "kubectl delete pod/old-cp1 --namespace=kube-system failed",
        ),
        # It is tried again until the time limit.
        ("Unable to connect to the server: EOF", "not ready after 600 s: 0 of 1 pods are updated"),
    ],
)
def test_a_deletion_that_fails(machine: Machine, stderr: str, failure: str) -> None:
    live = Replaced(machine, ["cp1", "w2"], ["w2"])
    answer = live._answer
    live.times["end w2"] = 3.0
    machine.answer("kubectl", lambda argv, stdin: Result(1, "", stderr) if "delete" in argv else answer(argv, stdin))
    with pytest.raises(KubesteadError, match=failure):
        live.wait()


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
