# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Server-side apply of objects: recorded answers of a Kubernetes 1.35 API server, and rollouts as it reports them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import CommandError, KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import diff
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import objects as kube_objects
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import rollout
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import ClusterAbsent, Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine, fixture

KUBECTL = ("kubectl", "--cache-dir=/dev/null", "--kubeconfig=/k", "--request-timeout=15s")
OBJECTS = json.loads(fixture("manifests/objects.json"))


def set_of(machine: Machine, objects: list[Any] | None = None, **more: Any) -> Manifests:
    machine.answer((*KUBECTL, "api-resources"), fixture("manifests/api-resources.txt"))
    return Manifests(Kubectl(machine, "/k"), OBJECTS if objects is None else objects, **more)


def of(kind: str, name: str, **parts: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **parts}


# -- plan


def test_an_empty_cluster_gets_everything_created(machine: Machine) -> None:
    subject = set_of(machine)
    machine.answer((*KUBECTL, "get"), "")
    machine.answer((*KUBECTL, "apply"), fixture("manifests/dry-run-same.json"))
    steps = subject.plan(subject.observe())
    assert [(step.action, step.target) for step in steps] == [
        ("create", "Secret rec/db"),
        ("create", "Service rec/web"),
        ("create", "Deployment rec/web"),
    ]


def test_what_is_live_already_needs_nothing(machine: Machine) -> None:
    subject = set_of(machine)
    machine.answer((*KUBECTL, "get"), fixture("manifests/get.json"))
    machine.answer((*KUBECTL, "apply"), fixture("manifests/dry-run-same.json"))
    assert subject.plan(subject.observe()) == []


def test_three_calls_tell_all_and_change_nothing(machine: Machine) -> None:
    subject = set_of(machine)
    machine.answer((*KUBECTL, "get"), fixture("manifests/get.json"))
    machine.answer((*KUBECTL, "apply"), fixture("manifests/dry-run-same.json"))
    subject.plan(subject.observe())
    assert [argv[4] for argv in machine.ran] == ["api-resources", "get", "apply"]
    assert "--dry-run=server" in machine.ran[-1]


def test_a_change_is_told_by_path_and_value(machine: Machine) -> None:
    subject = set_of(machine)
    machine.answer((*KUBECTL, "get"), fixture("manifests/get.json"))
    machine.answer((*KUBECTL, "apply"), fixture("manifests/dry-run-changed.json"))
    steps = {step.target: step for step in subject.plan(subject.observe())}
    assert set(steps) == {"Secret rec/db", "Deployment rec/web"}
    deployment = steps["Deployment rec/web"]
    assert deployment.reason == "spec.replicas 2 -> 3, and 1 more"
    assert deployment.before == (
        "spec.replicas: 2\nspec.template.spec.containers[web].image: docker.io/library/busybox:1\n"
    )
    assert deployment.after == (
        "spec.replicas: 3\nspec.template.spec.containers[web].image: docker.io/library/busybox:2\n"
    )


def test_no_secret_is_in_steps_or_diff(machine: Machine) -> None:
    for live in ("", fixture("manifests/get.json")):
        subject = set_of(machine)
        machine.answer((*KUBECTL, "get"), live)
        machine.answer((*KUBECTL, "apply"), fixture("manifests/dry-run-changed.json"))
        steps = subject.plan(subject.observe())
        shown = json.dumps([step.public() for step in steps]) + json.dumps(diff(steps)) + repr(steps)
        for secret in ("aHVudGVyMg", "aHVudGVyMw", "hunter"):
            assert secret not in shown
        assert "<hidden" in shown


def test_string_data_of_a_secret_is_compared_as_data() -> None:
    secret = of("Secret", "db", stringData={"password": "hunter2"}, data={"user": "cm9vdA=="})
    plain = kube_objects.plain_secret(secret)
    assert plain["data"] == {"user": "cm9vdA==", "password": "aHVudGVyMg=="}
    assert "stringData" not in plain


def test_a_refused_manifest_names_the_file_and_changes_nothing(machine: Machine) -> None:
    subject = set_of(machine, sources={1: "02-web.yaml", 2: "03-web.yaml"})
    machine.answer((*KUBECTL, "get"), fixture("manifests/get.json"))
    machine.answer((*KUBECTL, "apply"), Result(1, "", fixture("manifests/refused.txt")))
    with pytest.raises(CommandError) as caught:
        subject.plan(subject.observe())
    message = caught.value.message
    assert message.startswith("02-web.yaml: the API server refused it: failed to create typed patch object (rec/web;")
    assert ".spec.portz: field not declared in schema (and 1 more)" in message
    assert "nothing was changed" in message and "\n" not in message


def test_a_refusal_does_not_quote_a_secret(machine: Machine) -> None:
    subject = set_of(machine)
    machine.answer((*KUBECTL, "get"), "")
    text = (
        'Error from server (BadRequest): cannot be handled, error found in #10 byte of ...|"aHVudGVyMg=="|..., bigger'
    )
    machine.answer((*KUBECTL, "apply"), Result(1, "", text))
    with pytest.raises(CommandError) as caught:
        subject.plan(subject.observe())
    assert "aHVud" not in caught.value.message


def test_objects_without_a_namespace_get_the_one_given(machine: Machine) -> None:
    subject = set_of(machine, [of("ConfigMap", "a", data={"x": "1"}), of("Namespace", "shop")], namespace="shop")
    machine.answer((*KUBECTL, "get"), "")
    live = subject.observe()
    assert [kube_objects.title(obj) for obj in live.objects] == ["ConfigMap shop/a", "Namespace shop"]


def test_what_goes_into_a_new_namespace_is_not_tried_there(machine: Machine) -> None:
    objects = [of("ConfigMap", "a"), of("Namespace", "shop")]
    subject = set_of(machine, objects, namespace="shop")
    machine.answer((*KUBECTL, "get"), "")
    machine.answer((*KUBECTL, "apply"), json.dumps(objects[1]))
    steps = subject.plan(subject.observe())
    assert [step.target for step in steps] == ["Namespace shop", "ConfigMap shop/a"]
    tried = json.loads(machine.inputs[-1] or "")["items"]
    assert [obj["kind"] for obj in tried] == ["Namespace"]


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "bars.foo.io"},
    "spec": {
        "group": "foo.io",
        "scope": "Namespaced",
        "names": {"kind": "Bar", "plural": "bars"},
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
}
CUSTOM = {"apiVersion": "foo.io/v1", "kind": "Bar", "metadata": {"name": "x"}}


def test_a_kind_that_the_set_defines_is_created(machine: Machine) -> None:
    subject = set_of(machine, [CUSTOM, DEFINITION], namespace="default")
    machine.answer((*KUBECTL, "get"), "")
    machine.answer((*KUBECTL, "apply"), json.dumps(DEFINITION))
    steps = subject.plan(subject.observe())
    assert [step.target for step in steps] == ["CustomResourceDefinition bars.foo.io", "Bar default/x"]


def test_a_kind_that_nobody_defines_is_an_error_that_names_it(machine: Machine) -> None:
    subject = set_of(machine, [CUSTOM], sources={0: "01-bar.yaml"})
    with pytest.raises(
        KubesteadError, match=r"Bar x \(01-bar.yaml\): the cluster does not have the kind Bar of foo.io/v1; "
    ):
        subject.observe()


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Result(1, "", fixture("manifests/unreachable.txt")), "/k does not answer: dial tcp 127.0.0.1:1: connect: "),
        (Result(1, "", fixture("manifests/no-kubeconfig.txt")), "kubeconfig /k does not exist; use "),
        (Result(127, "", "kubectl: command not found"), "kubectl is not installed on this host; install it"),
    ],
)
def test_no_cluster_is_told_from_a_refusal(machine: Machine, result: Result, text: str) -> None:
    subject = set_of(machine)
    machine.answer((*KUBECTL, "api-resources"), result)
    with pytest.raises(ClusterAbsent) as caught:
        subject.observe()
    assert text in caught.value.message


def test_without_a_cluster_everything_would_be_created(machine: Machine) -> None:
    subject = set_of(machine, [CUSTOM, DEFINITION])
    assert [step.action for step in subject.plan_absent()] == ["create", "create"]
    assert subject.plan_absent()[0].target == "CustomResourceDefinition bars.foo.io"
    assert machine.ran == []


def test_a_login_that_is_refused_is_not_taken_for_no_cluster(machine: Machine) -> None:
    subject = set_of(machine)
    text = "error: You must be logged in to the server (Unauthorized)"
    machine.answer((*KUBECTL, "api-resources"), Result(1, "", text))
    with pytest.raises(CommandError, match="Unauthorized"):
        subject.observe()


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        (["x"], "object 1 is a str, not a Kubernetes object"),
        ([{"kind": "A", "metadata": {"name": "x"}}], "object 1 does not have apiVersion"),
        ([{"apiVersion": "v1", "kind": "A", "metadata": {}}], "object 1 does not have metadata.name"),
        ([of("A", "x"), of("A", "x")], "A x of object 2 is also in object 1"),
    ],
)
def test_what_is_no_object_is_refused(objects: list[Any], text: str) -> None:
    with pytest.raises(KubesteadError) as caught:
        kube_objects.check(objects)
    assert caught.value.message.startswith(text)


# -- apply


def test_definitions_come_first_and_are_waited_for(machine: Machine) -> None:
    subject = set_of(machine, [CUSTOM, DEFINITION])
    machine.answer((*KUBECTL, "apply"), "{}")
    machine.answer((*KUBECTL, "wait"), "")
    subject.apply(subject.plan_absent())
    assert [argv[4] for argv in machine.ran] == ["apply", "wait", "apply"]
    assert machine.ran[1][-1] == "crd/bars.foo.io"
    assert "--force-conflicts" in machine.ran[0] and "--field-manager=kubestead" in machine.ran[0]
    assert [json.loads(text or "")["items"][0]["kind"] for text in (machine.inputs[0], machine.inputs[2])] == [
        "CustomResourceDefinition",
        "Bar",
    ]


def test_nothing_to_apply_calls_nothing(machine: Machine) -> None:
    set_of(machine).apply([])
    assert machine.ran == []


def test_warnings_of_the_api_server_are_kept(machine: Machine) -> None:
    subject = set_of(machine)
    machine.answer((*KUBECTL, "apply"), Result(0, "{}", "Warning: policy/v1beta1 is deprecated\n"))
    subject.apply(subject.plan_absent())
    assert subject.warnings == ["policy/v1beta1 is deprecated"]


# -- rollouts


def workload(kind: str, spec: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    found = of(kind, "x", spec=spec, status={"observedGeneration": 2, **status})
    found["metadata"].update(generation=2, namespace="shop")
    return found


@pytest.mark.parametrize(
    ("obj", "problem"),
    [
        (
            workload("Deployment", {"replicas": 2}, {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
            None,
        ),
        (
            workload("Deployment", {"replicas": 2}, {"replicas": 2, "updatedReplicas": 1, "availableReplicas": 2}),
            "1 old pods still exist",
        ),
        (workload("Deployment", {"replicas": 2}, {"replicas": 1, "updatedReplicas": 1}), "1 of 2 pods are updated"),
        (workload("Deployment", {}, {"replicas": 1, "updatedReplicas": 1}), "0 of 1 pods are available"),
        (workload("Deployment", {"replicas": 0}, {}), None),
        (
            workload("Deployment", {"replicas": 0}, {"observedGeneration": 1}),
            "the controller has not processed the change yet",
        ),
        (
            workload(
                "DaemonSet",
                {},
                {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 2},
            ),
            "2 of 3 pods are available",
        ),
        (
            workload(
                "StatefulSet",
                {"replicas": 1},
                {"updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1},
            ),
            None,
        ),
        # Kubernetes 1.20 does not tell the available ones.
        (workload("StatefulSet", {"replicas": 1}, {"updatedReplicas": 1, "readyReplicas": 1}), None),
        (workload("StatefulSet", {"replicas": 1}, {"updatedReplicas": 1}), "0 of 1 pods are available"),
        (workload("Job", {}, {"conditions": [{"type": "Complete", "status": "True"}]}), None),
        (workload("Job", {"completions": 3}, {"succeeded": 1}), "1 of 3 completions"),
        (workload("Pod", {}, {"phase": "Pending"}), "phase Pending"),
        (workload("Pod", {}, {"phase": "Succeeded"}), None),
    ],
)
def test_rollouts(obj: dict[str, Any], problem: str | None) -> None:
    assert rollout.rollout_problem(obj) == problem


def test_pods_on_silent_nodes_are_not_waited_for() -> None:
    status = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 2, "numberAvailable": 2}
    assert rollout.rollout_problem(workload("DaemonSet", {}, status), 1) is None


def test_waiting_ends_when_all_runs(machine: Machine) -> None:
    subject = set_of(machine)
    clock = Clock()
    slow = workload("Deployment", {"replicas": 2}, {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 1})
    done = copy.deepcopy(slow)
    done["status"]["availableReplicas"] = 2
    for obj in (slow, done):
        obj.update(apiVersion="apps/v1")
        obj["metadata"].update(name="web", namespace="rec")

    def get(argv: Any, stdin: str | None) -> Result:
        items = json.loads(stdin or "")["items"]
        assert [item["kind"] for item in items] == ["Deployment"]
        return Result(0, json.dumps(slow if clock.now < 4 else done))

    machine.answer((*KUBECTL, "get"), get)
    assert subject.wait(60, **clock.injected).seconds == 4.0


def test_a_timeout_names_pod_and_reason(machine: Machine) -> None:
    subject = set_of(machine)
    clock = Clock()
    live = workload(
        "Deployment",
        {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}},
        {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 0},
    )
    live.update(apiVersion="apps/v1")
    live["metadata"].update(name="web", namespace="rec")
    machine.answer((*KUBECTL, "get"), json.dumps(live))
    machine.answer((*KUBECTL, "-n", "rec", "get", "pods", "-l", "app=web"), fixture("manifests/pods.json"))
    with pytest.raises(KubesteadError) as caught:
        subject.wait(10, clock=clock, sleep=clock.sleep)
    message = caught.value.message
    assert message.startswith("Deployment rec/web is not ready after 10 s: 0 of 2 pods are available; pod web-")
    assert "ImagePullBackOff" in message and message.endswith("check the image name and whether the node can pull it")
    assert caught.value.details["not_ready"][0]["object"] == "Deployment rec/web"


def test_a_failed_job_ends_the_wait_at_once(machine: Machine) -> None:
    job = workload("Job", {}, {"conditions": [{"type": "Failed", "status": "True", "message": "backoff limit"}]})
    job.update(apiVersion="batch/v1")
    subject = set_of(machine, [job])
    clock = Clock()
    machine.answer((*KUBECTL, "get"), json.dumps(job))
    with pytest.raises(KubesteadError, match="Job shop/x is not ready: it failed: backoff limit; see kubectl"):
        subject.wait(1000, clock=clock, sleep=clock.sleep)
    assert clock.now == 0


def test_an_api_server_that_restarts_is_waited_for(machine: Machine) -> None:
    subject = set_of(machine)
    clock = Clock()
    done = workload("Deployment", {"replicas": 0}, {})
    done.update(apiVersion="apps/v1")
    done["metadata"].update(name="web", namespace="rec")
    refused = Result(1, "", "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host?")
    machine.answer((*KUBECTL, "get"), lambda argv, stdin: refused if clock.now < 6 else Result(0, json.dumps(done)))
    assert subject.wait(60, **clock.injected).seconds == 6.0


def test_trouble_of_pods() -> None:
    crashing = {
        "metadata": {"name": "web-1", "namespace": "shop"},
        "spec": {"nodeName": "w1"},
        "status": {
            "containerStatuses": [
                {
                    "name": "web",
                    "restartCount": 4,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"exitCode": 3}},
                }
            ]
        },
    }
    assert rollout.pod_trouble([crashing]) == (
        "pod web-1 on w1, container web: CrashLoopBackOff: exit code 3, 4 restarts",
        "see kubectl -n shop logs web-1 -c web --previous",
    )
    unschedulable = {
        "metadata": {"name": "web-2", "namespace": "shop"},
        "status": {
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/3 nodes are available",
                }
            ]
        },
    }
    assert rollout.pod_trouble([unschedulable]) == ("pod web-2: Unschedulable: 0/3 nodes are available", "")
    assert rollout.pod_trouble([{"metadata": {"name": "ok"}, "status": {"phase": "Running"}}]) is None


def test_the_newest_warning_of_a_workload_is_told() -> None:
    def event(kind: str, reason: str, message: str, day: int, name: str) -> dict[str, object]:
        when = f"2026-01-0{day}T00:00:00Z"
        return {
            "type": kind,
            "reason": reason,
            "message": message,
            "lastTimestamp": when,
            "involvedObject": {"name": name},
        }

    events = [
        event("Warning", "Old", "a", 1, "web-1"),
        event("Warning", "New", "b", 2, "web-1"),
        event("Normal", "Fine", "c", 3, "web-1"),
        event("Warning", "Other", "d", 3, "website"),
    ]
    assert rollout.event_trouble(events, ["web"]) == "New: b"
    assert rollout.event_trouble([], ["web"]) == ""


def test_render_is_readable_and_short() -> None:
    obj = of("ConfigMap", "a", data={"text": "one\ntwo\n", "empty": ""})
    obj["metadata"].update(uid="1", managedFields=[{}])
    assert kube_objects.render(obj) == (
        'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  text: |\n    one\n    two\n  empty: ""\n'
    )
    assert kube_objects.render(obj, 3).splitlines()[-1] == "… 6 more lines"
