# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Workloads for which waiting does not help: held back, gone, over, or past their deadline."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import rollout
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine

KUBECTL = ("kubectl", "--cache-dir=/dev/null", "--kubeconfig=/k", "--request-timeout=15s")
VERSIONS = {"Job": "batch/v1", "Pod": "v1"}
LATE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}


def workload(kind: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": VERSIONS.get(kind, "apps/v1"),
        "kind": kind,
        "metadata": {"name": "x", "namespace": "shop", "generation": 2, **metadata},
        "spec": spec,
        "status": {"observedGeneration": 2, **(status or {})},
    }


class Live:
    """The wait for one object, of which the cluster has the given ones, one a look, the last from then on."""

    def __init__(self, machine: Machine, manifest: dict[str, Any], *looks: dict[str, Any] | None) -> None:
        self.looks = list(looks)
        self.clock = Clock()
        self.subject = Manifests(Kubectl(machine, "/k"), [manifest])
        machine.answer((*KUBECTL, "get"), self._get)

    def _get(self, argv: Any, stdin: str | None) -> Result:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return Result(0, "" if found is None else json.dumps(found))

    def wait(self) -> float:
        return self.subject.wait(1000, **self.clock.injected).seconds

    def failure(self) -> str:
        with pytest.raises(KubesteadError) as caught:
            self.wait()
        return caught.value.message


@pytest.mark.parametrize(
    ("kind", "spec", "status"),
    [
        ("Deployment", {"paused": True, "replicas": 2}, {"replicas": 2}),
        ("Deployment", {"replicas": 0}, {}),
        ("Job", {"suspend": True}, {}),
        ("Job", {"parallelism": 0}, {}),
        (
            "StatefulSet",
            {"replicas": 2, "updateStrategy": {"type": "OnDelete"}},
            {"currentRevision": "a", "updateRevision": "b", "readyReplicas": 2, "availableReplicas": 2},
        ),
        (
            "StatefulSet",
            {"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 5}}},
            {"currentRevision": "a", "updateRevision": "b", "readyReplicas": 2, "availableReplicas": 2},
        ),
        (
            "DaemonSet",
            {"updateStrategy": {"type": "OnDelete"}},
            {"desiredNumberScheduled": 2, "updatedNumberScheduled": 0, "numberAvailable": 2},
        ),
        ("DaemonSet", {}, {"desiredNumberScheduled": 0}),
    ],
)
def test_what_the_manifest_holds_back_is_not_waited_for(
    machine: Machine, kind: str, spec: dict[str, Any], status: dict[str, Any]
) -> None:
    found = workload(kind, spec, status)
    assert Live(machine, found, found).wait() == 0


def test_a_paused_deployment_is_done_once_its_controller_has_seen_it(machine: Machine) -> None:
    new = workload("Deployment", {"paused": True}, {"observedGeneration": 1})
    assert Live(machine, new, new, workload("Deployment", {"paused": True})).wait() == 2.0


def test_a_deployment_that_its_manifest_does_not_pause_ends_the_wait(machine: Machine) -> None:
    found = workload("Deployment", {"paused": True, "replicas": 2}, {"replicas": 2, "updatedReplicas": 0})
    live = Live(machine, workload("Deployment", {"replicas": 2}), found)
    assert live.failure() == (
        "Deployment shop/x is not ready: it is paused, and 2 old pods still exist; run kubectl -n shop rollout resume "
        "deployment/x, or set paused: true in its manifest"
    )
    assert live.clock.now == 0


def test_a_paused_deployment_whose_pods_are_all_new_is_ready(machine: Machine) -> None:
    found = workload("Deployment", {"paused": True}, {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1})
    assert Live(machine, workload("Deployment", {}), found).wait() == 0


def event(reason: str, second: int, name: str = "x", kind: str = "Job") -> dict[str, Any]:
    return {
        "involvedObject": {"kind": kind, "name": name},
        "reason": reason,
        "message": "Job has reached the specified backoff limit" if reason != "Completed" else "Job completed",
        "lastTimestamp": f"2026-11-27T10:00:{second:02}Z",
    }


RUNNING = workload("Job", {"ttlSecondsAfterFinished": 0}, {"active": 1})


@pytest.mark.parametrize(
    "events",
    [
        [],
        [event("Completed", 5)],
        # A run before this one, another Job, and a pod that was tried again.
        [event("BackoffLimitExceeded", 1), event("Completed", 5)],
        [event("BackoffLimitExceeded", 9, "x-2"), event("BackOff", 9, "x", "Pod")],
    ],
)
@pytest.mark.parametrize("looks", [[None], [RUNNING, RUNNING, None]])
def test_a_job_that_its_time_to_live_deleted_is_done(
    machine: Machine, events: list[dict[str, Any]], looks: list[dict[str, Any] | None]
) -> None:
    live = Live(machine, RUNNING, *looks)
    machine.answer((*KUBECTL, "-n", "shop", "get", "events"), json.dumps({"kind": "List", "items": events}))
    assert live.wait() == 2.0 * (len(looks) - 1)


def test_a_job_whose_time_to_live_was_set_in_the_cluster(machine: Machine) -> None:
    machine.answer((*KUBECTL, "-n", "shop", "get", "events"), "")
    assert Live(machine, workload("Job", {}), RUNNING, None).wait() == 2.0


def test_a_job_that_failed_before_its_time_to_live_deleted_it(machine: Machine) -> None:
    live = Live(machine, RUNNING, None)
    events = [event("Completed", 1), event("BackoffLimitExceeded", 5)]
    machine.answer((*KUBECTL, "-n", "shop", "get", "events"), json.dumps({"kind": "List", "items": events}))
    assert live.failure() == (
        "Job shop/x is not ready: it failed and was deleted after its ttlSecondsAfterFinished: BackoffLimitExceeded: "
        "Job has reached the specified backoff limit; increase ttlSecondsAfterFinished to keep its logs, and run again"
    )


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "StatefulSet", "Job", "Pod"])
def test_what_was_deleted_meanwhile_ends_the_wait(machine: Machine, kind: str) -> None:
    live = Live(machine, workload(kind, {}), None)
    assert live.failure() == f"{kind} shop/x was deleted during its rollout; find out what deletes it, and run again"
    assert live.clock.now == 0


@pytest.mark.parametrize("kind", ["Deployment", "DaemonSet", "StatefulSet", "Job", "Pod"])
def test_what_is_being_deleted_ends_the_wait(machine: Machine, kind: str) -> None:
    found = workload(kind, {}, {"replicas": 1}, deletionTimestamp="2026-11-27T10:00:00Z")
    live = Live(machine, workload(kind, {}), found)
    assert live.failure() == f"{kind} shop/x is not ready: it is being deleted; run again when it is gone"


def test_a_job_that_is_complete_may_be_deleted(machine: Machine) -> None:
    status = {"conditions": [{"type": "Complete", "status": "True"}]}
    found = workload("Job", {}, status, deletionTimestamp="2026-11-27T10:00:00Z")
    assert Live(machine, workload("Job", {}), found).wait() == 0


def test_a_pod_that_failed_ends_the_wait(machine: Machine) -> None:
    found = workload("Pod", {}, {"phase": "Failed", "reason": "Evicted", "message": "The node was low on memory."})
    live = Live(machine, workload("Pod", {}), found)
    assert live.failure() == (
        "Pod shop/x is not ready: phase Failed: The node was low on memory.; see kubectl -n shop logs x, delete the "
        "Pod and run again"
    )


def test_a_deployment_that_comes_past_its_deadline_ends_the_wait(machine: Machine) -> None:
    status = {"replicas": 1, "updatedReplicas": 1}
    live = Live(
        machine,
        workload("Deployment", {"replicas": 1}),
        workload("Deployment", {"replicas": 1}, status),
        workload("Deployment", {"replicas": 1}, {**status, "conditions": [LATE]}),
    )
    assert live.failure().startswith(
        "Deployment shop/x is not ready after 2 s: 0 of 1 pods are available, and it exceeded its "
        "progressDeadlineSeconds; "
    )


def test_a_deployment_past_its_deadline_before_may_still_come_up(machine: Machine) -> None:
    status = {"replicas": 1, "updatedReplicas": 1}
    late = workload("Deployment", {"replicas": 1}, {**status, "conditions": [LATE]})
    ready = workload("Deployment", {"replicas": 1}, {**status, "availableReplicas": 1})
    assert Live(machine, workload("Deployment", {"replicas": 1}), late, late, ready).wait() == 4.0


def test_kinds_of_other_groups_are_not_waited_for(machine: Machine) -> None:
    other = {**workload("Job", {}), "apiVersion": "batch.volcano.sh/v1alpha1"}
    assert not rollout.is_workload(other)
    assert Live(machine, other, other).wait() == 0
    assert machine.ran == []


def test_an_api_server_that_restarts_is_not_a_job_that_is_gone(machine: Machine) -> None:
    live = Live(machine, RUNNING, RUNNING)
    refused = Result(1, "", "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host?")
    machine.answer((*KUBECTL, "get"), refused)
    machine.answer((*KUBECTL, "-n", "shop", "get"), refused)
    assert live.failure().startswith("Job shop/x is not ready after 1000 s: the API server does not answer; ")


@pytest.mark.parametrize("name", ["web; reboot", "$(id)", "--all", "web\nreboot", "W", "x" * 64, "", 7, None, ["web"]])
def test_a_name_that_a_kubelet_reports_becomes_no_part_of_a_command_unless_it_is_plain(name: Any) -> None:
    waiting = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    pod = {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "status": {"containerStatuses": [{"name": name, **waiting}]},
    }
    _text, fix = rollout.pod_trouble([pod]) or ("", "")
    assert fix == "see kubectl -n shop logs web-1 --previous"
