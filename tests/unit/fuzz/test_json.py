# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No reader of JSON fails where a value has another type than it should have, is missing, odd or deep."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.module_utils.core.https import Answer, Credentials
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result, System
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import client, own_member
from ansible_collections.kubestead.cluster.plugins.module_utils.host import (
    facts,
    interfaces,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import (
    cluster,
    nodes,
    objects,
    pods,
    rollout,
    services,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.api import Api
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import (
    bootstrap_token,
    cluster_info,
    endpoint_check,
    join_command,
    operation,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge

from ..support import fixture
from .paper import Paper
from .profile import fuzz
from .reading import check
from .strategies import DEEP, documents, json_texts

_JOIN = fixture("join/v1.20/worker.txt")
# -- JSON

_ADDRESSES, _ROUTES = json.loads(fixture("bridge/ip-address.json")), json.loads(fixture("bridge/ip-route.json"))
_NODES = [json.loads(fixture("bridge/nodes.json")), json.loads(fixture("kubeadm/v1.20/nodes.json"))]
_INFO = json.loads(fixture("join/v1.35/cluster-info.json"))
_SECRETS = json.loads(fixture("join/v1.35/token-secrets.json"))
_MARKER = {
    "command": "join",
    "began": "x",
    "control_plane": True,
    "endpoint": "a:1",
    "ca_cert_hashes": ["b"],
    "own_files": [],
}
_PODS, _MEMBERS = json.loads(fixture("etcd/pods.json")), json.loads(fixture("etcd/members.json"))
_SERVICES = {
    "items": [
        {
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "type": "LoadBalancer",
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP", "name": "http"}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "x"}]}},
        }
    ]
}
_STATUS = {
    "observedGeneration": 1,
    "updatedReplicas": 1,
    "availableReplicas": 1,
    "conditions": [{"type": "Ready", "status": "False", "message": "m"}],
    "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}}}],
}
_WORKLOADS = [
    {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "y", "generation": 1, "annotations": {"a": "b"}},
        "spec": {"replicas": 1, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
        "status": _STATUS,
        "involvedObject": {"name": "x"},
        "type": "Warning",
    }
    for kind in ("Deployment", "DaemonSet", "StatefulSet", "Job", "Pod")
]


def _kubectl(text: str) -> Kubectl:
    return Kubectl(Paper(text))


def _api(path: str) -> Callable[[str], Any]:
    """The cluster as its API tells it, where the answer at one path is another."""
    good = {"/livez": "ok", "/version": fixture("kubeadm/v1.20/api-version.json"), cluster.NODES: json.dumps(_NODES[1])}
    good[cluster.KUBEADM_CONFIG] = fixture("kubeadm/v1.20/kubeadm-config.json")

    def observe(text: str) -> Any:
        def get(_url: str, paths: Sequence[str], _credentials: Credentials, _timeout: float) -> list[Answer]:
            return [Answer(200, text if one == path else good[one]) for one in paths]

        return cluster.observe_api(Api(System(get=get), server="https://192.0.2.1:6443"))

    return observe


def _bridge(text: str) -> Any:
    found = bridge.BridgeState(addresses=interfaces.addresses(interfaces.parse(text)), routes=bridge.parse_routes(text))
    known = nodes.listed(_kubectl(json.dumps(_NODES[0])))
    return [
        step.summary() for step in bridge.plan(found, bridge.BridgeOptions("10.244.0.0/16", known, 0, known[0].name))
    ]


def _bridge_nodes(text: str) -> Any:
    known = nodes.listed(_kubectl(text))
    found = bridge.BridgeState(addresses=interfaces.addresses(interfaces.parse(json.dumps(_ADDRESSES))))
    name = known[0].name if known else "x"
    return [step.summary() for step in bridge.plan(found, bridge.BridgeOptions("10.244.0.0/16", known, 0, name))]


def _cluster_info(text: str) -> Any:
    info = cluster_info.read(_kubectl(text).read("/a"))
    return info.signed_by("abcdef.0123456789abcdef"), [info.signed_by(f"{name}.x") for name in info.signatures]


def _endpoint(text: str) -> Any:
    ticks = iter(range(10_000))
    command = join_command.JoinCommand("127.0.0.1:6443", "abcdef.0123456789abcdef", ["sha256:" + "0" * 64])
    endpoint_check.precheck(command, lambda *_question: (200, text), lambda: float(next(ticks)), lambda _seconds: None)


def _etcd(text: str, which: str) -> Any:
    labels = {"node-role.kubernetes.io/control-plane": ""}
    controls = json.dumps({"items": [{"metadata": {"name": name, "labels": labels}} for name in ("cp1", "cp2")]})
    answers = {"nodes": controls, "pods": json.dumps(_PODS), "address": fixture("etcd/address.json"), which: text}

    def run(argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
        return Result(0, answers["address" if argv[0] == "ip" else "nodes" if argv[-1].endswith("/nodes") else "pods"])

    def ask(url: str, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = json.loads(text) if which == "members" else _MEMBERS
        except (ValueError, RecursionError):
            found = {}
        assert path != client.REMOVE or question["ID"]
        return found if isinstance(found, dict) else {}

    there = Paper("x")
    there._run = run  # type: ignore[method-assign]
    ticks = iter(range(10_000))
    return own_member.leave(there, ask, 1.0, lambda: float(next(ticks)), lambda _seconds: None)


def _workload(text: str) -> Any:
    found = objects.items_of(text)
    trouble = [rollout.pod_trouble(found), rollout.event_trouble(found, ["x"])]
    for obj in found:
        trouble += [rollout.rollout_problem(obj), rollout.dead_end(obj)]
        trouble += [rollout.is_workload(obj), rollout.removes_itself(obj), rollout.past_deadline(obj)]
        trouble += [rollout.job_failure([obj], "x"), rollout.living_problem(obj, 1), rollout.is_recreated(obj)]
        seen = pods.read_pods({"items": [obj]})
        trouble += [rollout.is_stopped(obj, seen, ["x"]), rollout.without_updated(obj, seen, ["x"])]
        trouble += [rollout.left_behind(obj, seen, ["x"]), rollout.ending_pod([obj])]
        trouble += [objects.render(obj), objects.differences(obj, _WORKLOADS[0]), objects.title(obj)]
    return trouble


JSON: dict[str, tuple[Callable[[str], Any], Sequence[Any], bool]] = {
    "addresses": (lambda text: facts.observe(Paper("", answers={"ip": text})), [_ADDRESSES, _ROUTES], False),
    "interfaces": (lambda text: interfaces.own_addresses(interfaces.parse(text)), [_ADDRESSES], False),
    "bridge": (_bridge, [_ADDRESSES, _ROUTES], True),
    "nodes of the bridge": (_bridge_nodes, [_NODES[0]], True),
    "nodes": (lambda text: nodes.listed(_kubectl(text)), _NODES, True),
    "nodes of the API": (_api(cluster.NODES), _NODES, False),
    "version of the API": (_api("/version"), [json.loads(fixture("kubeadm/v1.20/api-version.json"))], False),
    "kubeadm-config": (_api(cluster.KUBEADM_CONFIG), [json.loads(fixture("kubeadm/v1.20/kubeadm-config.json"))], False),
    "cluster configuration": (cluster.read_cluster_configuration, [{"networking": {"podSubnet": "10.0.0.0/8"}}], False),
    "marker": (lambda text: operation.observe(Paper(text)), [_MARKER], False),
    "version of kubeadm": (
        lambda text: kubeadm.installed_version(Paper(text)),
        [{"clientVersion": {"gitVersion": "v1.36.0"}}],
        False,
    ),
    "cluster-info": (_cluster_info, [_INFO], True),
    "endpoint": (_endpoint, [_INFO], True),
    "tokens": (lambda text: bootstrap_token.observe(_kubectl(text)), [_SECRETS, _INFO], True),
    "etcd's pods": (lambda text: _etcd(text, "pods"), [_PODS], True),
    "etcd's members": (lambda text: _etcd(text, "members"), [_MEMBERS], True),
    "addresses beside etcd": (lambda text: _etcd(text, "address"), [_ADDRESSES], True),
    "workloads": (_workload, _WORKLOADS, True),
    "services": (
        lambda text: services.lines(
            services.describe(objects.items_of(text), services.node_addresses(objects.items_of(text)))
        ),
        [_SERVICES, *_NODES],
        True,
    ),
}


@pytest.mark.parametrize("name", JSON)
@fuzz(60)
@given(data=st.data())
def test_json(name: str, data: st.DataObject) -> None:
    read, seeds, raises = JSON[name]
    check(read, data.draw(json_texts(seeds)), raises)


@pytest.mark.parametrize("name", JSON)
def test_json_that_is_deep(name: str) -> None:
    read, _seeds, raises = JSON[name]
    for text in DEEP:
        check(read, text, raises)


@fuzz(150)
@given(documents([_INFO["data"], _MARKER, {"stdout": _JOIN}, {"token": "abcdef.0123456789abcdef", "endpoint": "a:1"}]))
def test_results_that_are_no_join_command(result: Any) -> None:
    if isinstance(result, dict):
        check(join_command.from_result, result, True)
