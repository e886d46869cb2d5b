# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods that can't be moved: upgrade.yml and remove.yml name each of them with the fix, before the first change.

``./dev faults tests/e2e/test_drain_blockers.py -s`` prints the seconds until a command has ended with its message.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from . import figures
from .conftest import Lab, Run, eventually
from .test_upgrade import BUDGET, REMOVE
from .upgrades import UPGRADE, footprints, upgradable, wanted

pytestmark = pytest.mark.thorough

KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
SPACE = "shop"
WATCHED = "/run/nodes.watched"
# The messages, with the pod, the reason and the fix. A node has room for one pod of ``large`` alone.
MESSAGES = {
    "budget": rf"the PodDisruptionBudget {SPACE}/web does not allow pod {SPACE}/web-\S+ to be evicted "
    r"\(1 of 1 pods must run\); add a replica or change the budget",
    "bare pod": rf"pod {SPACE}/bare does not belong to a controller, so nothing would recreate it; "
    "delete it, or set cluster_drain_delete_bare_pods: true",
    "local data": rf"pod {SPACE}/scratch-\S+ has local data that would be lost \(emptyDir scratch\); "
    "set cluster_drain_delete_local_data: true",
    "no room": rf"pod {SPACE}/large-\S+ does not fit on another node: the other nodes do not have \d+ MiB of memory "
    "left; add a node, or set cluster_drain_pods_may_wait: true",
}
ALL = tuple(MESSAGES)
ALLOWED = ("cluster_drain_delete_bare_pods", "cluster_drain_delete_local_data", "cluster_drain_pods_may_wait")


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A control plane and two workers."""
    yield from upgradable("blockers", ["cp1", "w1", "w2"], tmp_path_factory.mktemp("blockers"))


def pod_spec(**extra: Any) -> dict[str, Any]:
    container = {"name": "web", "image": "docker.io/kubestead/web:1", **extra}
    return {"containers": [container], "terminationGracePeriodSeconds": 1}


def deployment(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def objects(lab: Lab, kind: str) -> list[dict[str, Any]]:
    """The objects that create a pod of this kind, which can't be moved."""
    if kind == "budget":
        old = "policy/v1\n" not in lab.kubectl("api-versions")
        return [deployment("web", pod_spec()), {**BUDGET, "apiVersion": "policy/v1beta1"} if old else BUDGET]
    if kind == "bare pod":
        return [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": pod_spec()}]
    if kind == "local data":
        spec = pod_spec(volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}])
        return [deployment("scratch", {**spec, "volumes": [{"name": "scratch", "emptyDir": {}}]})]
    room = lab.kubectl("get node w1 -o jsonpath='{.status.allocatable.memory}'")
    wish = {"memory": f"{int(room.removesuffix('Ki')) * 6 // 10}Ki"}
    return [deployment("large", pod_spec(resources={"requests": wish}))]


def pods(lab: Lab, ready: bool = False) -> dict[str, tuple[str, str]]:
    """The UID and the node of each pod; with ``ready``, of those that are ready."""
    found = json.loads(lab.kubectl(f"-n {SPACE} get pods -o json"))["items"]
    return {
        one["metadata"]["name"]: (one["metadata"]["uid"], one["spec"].get("nodeName", ""))
        for one in found
        if not ready
        or any(it["type"] == "Ready" and it["status"] == "True" for it in one["status"].get("conditions", []))
    }


@pytest.fixture
def blocked(trio: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[Lab, tuple[str, ...]]]:
    """The cluster with pods of the given kinds on w1, and with a second large pod on w2."""
    lab, kinds = trio, request.param
    lab.kubectl(f"create namespace {SPACE}")
    assert eventually(lambda: "default" in lab.kubectl(f"-n {SPACE} get serviceaccounts -o name"))
    # Pods that are bound to a node by their specification would not have room elsewhere.
    lab.kubectl("cordon w2")
    for document in [one for kind in kinds for one in objects(lab, kind)]:
        lab.ssh("cp1", f"printf %s {shlex.quote(json.dumps(document))} | {KUBECTL} -n {SPACE} apply -f -")
    assert eventually(lambda: len(pods(lab, ready=True)) == len(kinds)), pods(lab)
    lab.kubectl("uncordon w2")
    if "no room" in kinds:
        lab.kubectl(f"-n {SPACE} scale deployment/large --replicas=2")
    if "budget" in kinds:
        seen = f"-n {SPACE} get pdb web -o jsonpath='{{.status.expectedPods}} {{.status.currentHealthy}}'"
        assert eventually(lambda: lab.kubectl(seen) == "1 1")
    assert eventually(lambda: len(pods(lab, ready=True)) == len(kinds) + ("no room" in kinds)), pods(lab)
    yield lab, kinds
    lab.kubectl(f"delete namespace {SPACE} --timeout=120s")


def watch(lab: Lab) -> subprocess.Popen[bytes]:
    """Record each state of each Node, even one that lasts only a moment, until :func:`states` is called."""
    lab.ssh("cp1", f"rm -f {WATCHED}")
    watching = lab.start("cp1", f"timeout 120 {KUBECTL} get nodes --watch -o json > {WATCHED}")
    assert eventually(lambda: lab.ssh("cp1", f"cat {WATCHED}", check=False).count('"kind": "Node"') == 3)
    return watching


def states(lab: Lab, watching: subprocess.Popen[bytes]) -> dict[str, list[dict[str, Any]]]:
    """The different states of each Node that were recorded, without what kubelets report."""
    lab.ssh("cp1", f"pkill -f '^{KUBECTL} get nodes --watch'", check=False)
    watching.wait(timeout=60)
    text, at, decoder = lab.ssh("cp1", f"cat {WATCHED}").strip(), 0, json.JSONDecoder()
    found: dict[str, list[dict[str, Any]]] = {}
    while at < len(text):
        one, at = decoder.raw_decode(text, at)
        at += len(text[at:]) - len(text[at:].lstrip())
        metadata = one["metadata"]
        state = {"spec": one["spec"], **{key: metadata.get(key) for key in ("annotations", "labels")}}
        if state not in found.setdefault(metadata["name"], []):
            found[metadata["name"]].append(state)
    return found


def refused(lab: Lab, kinds: tuple[str, ...], playbook: str, *arguments: str) -> Run:
    """Run a playbook that names the blockers, and assert that it has not changed anything at any time."""
    subject = f"drain blockers in {playbook.rpartition('/')[2]}"
    files, before = footprints(lab), pods(lab)
    watching = watch(lab)
    began = time.monotonic()
    run = lab.playbook(playbook, *arguments)
    seconds = time.monotonic() - began
    changed = {name: found for name, found in states(lab, watching).items() if len(found) > 1}
    print(f"\n{subject}: {', '.join(kinds)}: {seconds:.1f} s", flush=True)
    figures.count(subject, "asked for", len(kinds))
    figures.count(subject, "nodes touched", len(changed))
    assert run.code != 0 and run.changed() == {} and changed == {}, (changed, run.output)
    text = " ".join(run.output.replace("\\n", " ").split())
    for kind, message in MESSAGES.items():
        assert bool(re.search(rf"\bw1: {message}", text)) == (kind in kinds), (kind, run.output)
    assert "nothing was changed" in text
    figures.count(subject, "named with pod, reason and fix", len(kinds))
    assert pods(lab) == before
    after = footprints(lab)
    assert after == files, [host for host in files if after[host] != files[host]]
    return run


@pytest.mark.parametrize("blocked", [*((one,) for one in ALL), ALL], indirect=True, ids=[*ALL, "all"])
def test_what_prevents_a_drain_is_named_before_the_first_change(blocked: tuple[Lab, tuple[str, ...]]) -> None:
    lab, kinds = blocked
    refused(lab, kinds, UPGRADE, *wanted(lab))
    refused(lab, kinds, REMOVE, "-e", "remove_hosts=w1")


@pytest.mark.parametrize("blocked", [ALL], indirect=True, ids=["all"])
def test_a_node_is_drained_after_the_fixes_of_the_messages(blocked: tuple[Lab, tuple[str, ...]]) -> None:
    lab, _kinds = blocked
    lab.kubectl(f"-n {SPACE} scale deployment/web --replicas=2")
    allowed = f"-n {SPACE} get pdb web -o jsonpath='{{.status.disruptionsAllowed}}'"
    assert eventually(lambda: lab.kubectl(allowed) == "1")
    run = lab.playbook(REMOVE, "-e", "remove_hosts=w1", *(one for name in ALLOWED for one in ("-e", f"{name}=true")))
    assert run.code == 0, run.output
    assert "w1" not in lab.kubectl("get nodes -o name")
    assert {node for _uid, node in pods(lab).values()} <= {"w2", ""}
