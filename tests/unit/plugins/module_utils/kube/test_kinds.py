# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinds in versions that the API server serves but does not prefer, which kubectl api-resources leaves out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import CommandError, KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kinds
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import ApiUnreachable, Kubectl
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

KUBECTL = ("kubectl", "--cache-dir=/dev/null", "--kubeconfig=/k", "--request-timeout=15s")
AUTOSCALING_V1 = {
    "kind": "APIResourceList",
    "groupVersion": "autoscaling/v1",
    "resources": [
        {"name": "horizontalpodautoscalers", "namespaced": True, "kind": "HorizontalPodAutoscaler"},
        {"name": "horizontalpodautoscalers/status", "namespaced": True, "kind": "HorizontalPodAutoscaler"},
    ],
}
NOT_FOUND = Result(1, "", "Error from server (NotFound): the server could not find the requested resource\n")


def autoscaler(version: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}}


def subject_of(machine: Machine, objects: list[Any], listed: str = "") -> Manifests:
    machine.answer((*KUBECTL, "api-resources"), fixture("manifests/api-resources.txt") + listed)
    machine.answer((*KUBECTL, "get"), "")
    machine.answer((*KUBECTL, "apply"), json.dumps({"kind": "List", "items": []}))
    return Manifests(Kubectl(machine, "/k"), objects, namespace="shop")


def asked(machine: Machine) -> list[str]:
    return [argv[6] for argv in machine.ran if argv[4:6] == ["get", "--raw"]]


def test_a_version_that_is_served_but_not_preferred_is_known(machine: Machine) -> None:
    subject = subject_of(machine, [autoscaler("autoscaling/v1")])
    machine.answer((*KUBECTL, "get", "--raw", "/apis/autoscaling/v1"), json.dumps(AUTOSCALING_V1))
    live = subject.observe()
    assert live.unknown == set()
    assert [step.target for step in subject.plan(live)] == ["HorizontalPodAutoscaler shop/web"]
    assert asked(machine) == ["/apis/autoscaling/v1"]


def test_kinds_in_their_preferred_version_cost_no_call(machine: Machine) -> None:
    subject_of(machine, [autoscaler("autoscaling/v2")]).observe()
    assert asked(machine) == []


def test_one_version_is_asked_for_once(machine: Machine) -> None:
    other = autoscaler("autoscaling/v1")
    other["metadata"] = {"name": "api"}
    subject = subject_of(machine, [autoscaler("autoscaling/v1"), other])
    machine.answer((*KUBECTL, "get", "--raw", "/apis/autoscaling/v1"), json.dumps(AUTOSCALING_V1))
    subject.observe()
    assert asked(machine) == ["/apis/autoscaling/v1"]


def test_a_custom_resource_in_an_older_version_of_its_definition(machine: Machine) -> None:
    gateway = {"apiVersion": "gateway.networking.k8s.io/v1beta1", "kind": "Gateway", "metadata": {"name": "web"}}
    listed = "gateways   gtw   gateway.networking.k8s.io/v1   true   Gateway\n"
    answer = {
        "groupVersion": gateway["apiVersion"],
        "resources": [{"name": "gateways", "namespaced": True, "kind": "Gateway"}],
    }
    subject = subject_of(machine, [gateway], listed)
    machine.answer((*KUBECTL, "get", "--raw", "/apis/gateway.networking.k8s.io/v1beta1"), json.dumps(answer))
    assert [obj["metadata"] for obj in subject.observe().objects] == [{"name": "web", "namespace": "shop"}]


def test_a_version_that_is_served_no_more_names_the_one_that_is(machine: Machine) -> None:
    subject = subject_of(machine, [autoscaler("autoscaling/v2beta2")])
    machine.answer((*KUBECTL, "get", "--raw"), NOT_FOUND)
    with pytest.raises(KubesteadError) as caught:
        subject.observe()
    assert caught.value.message == (
        "HorizontalPodAutoscaler web: the cluster does not have the kind HorizontalPodAutoscaler of "
        "autoscaling/v2beta2; use autoscaling/v2, which serves this kind"
    )


def test_a_version_without_the_kind_is_not_taken_for_it(machine: Machine) -> None:
    subject = subject_of(machine, [autoscaler("autoscaling/v1")])
    status = {"name": "horizontalpodautoscalers/status", "namespaced": True, "kind": "HorizontalPodAutoscaler"}
    machine.answer((*KUBECTL, "get", "--raw"), json.dumps({**AUTOSCALING_V1, "resources": [status]}))
    with pytest.raises(KubesteadError, match="does not have the kind HorizontalPodAutoscaler of autoscaling/v1; use "):
        subject.observe()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Result(1, "", "Error from server (ServiceUnavailable): the server is unable to handle it\n"), CommandError),
        (Result(1, "", "The connection to the server 127.0.0.1:6443 was refused\n"), ApiUnreachable),
        (Result(0, "<html>"), CommandError),
    ],
)
def test_an_answer_that_is_missing_is_not_taken_for_a_no(
    machine: Machine, answer: Result, error: type[KubesteadError]
) -> None:
    subject = subject_of(machine, [autoscaler("autoscaling/v1")])
    machine.answer((*KUBECTL, "get", "--raw"), answer)
    with pytest.raises(error):
        subject.observe()


@pytest.mark.parametrize("version", ["autoscaling/v1?x=1", "autoscaling/../v1", "autoscaling/", "/v1", "v1", "x/v1"])
def test_what_is_no_version_of_a_known_group_is_not_asked_for(version: str) -> None:
    known = {("autoscaling/v2", "HorizontalPodAutoscaler"): True}
    assert kinds.other_versions([(version, "HorizontalPodAutoscaler")], known) == []
