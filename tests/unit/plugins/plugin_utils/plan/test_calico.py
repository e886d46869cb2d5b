# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calico in the plan of an upgrade: which release, and whether before or after the workers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.calico import version_of
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, as_result
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.upgrade import upgrade
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import changed, recorded

from .test_upgrade import RECORDINGS, UPGRADED, errors, offer, wish, with_c2

ROOT = Path(__file__).resolve().parents[5]
# In the order in which the DaemonSet of the manifest has them.
IMAGES = ["quay.io/calico/cni:v3.32.1", "quay.io/calico/node:v3.32.1"]


def plan_of(
    runs: str = "3.31.6",
    images: Sequence[str] = IMAGES,
    limit: tuple[str, ...] = (),
    c1: dict[str, Any] | None = None,
    c2: dict[str, Any] | None = None,
    skip: Sequence[str] = (),
    **facts: Any,
) -> Plan:
    hosts = []
    found = {"removed_apis": [], "calico": runs, "calico_by_manifest": True, "calico_rolling": False, **facts}
    network = {"options.cni.plugin": "calico"}
    for name, recording in RECORDINGS.items():
        own = changed(recorded(recording), {**offer("1.36.2"), **wish("1.36"), **network})
        more = {"upgrade": found, **(c1 or {})} if name == "c1" else c2 or {}
        hosts.append(registry.read_host(name, name == "c1", changed(own, more)))
    inside = [host for host in hosts if not limit or host.name in limit]
    request = Request(Inventory(["c1"], ["c2"]), inside, ["kube_packages", "containerd", "cni"], skip=skip)
    return upgrade(replace(request, network_images=list(images)))


def calico(plan: Plan) -> tuple[list[str], list[str], list[str]]:
    steps = [step.summary() for name in plan.hosts for step in plan.hosts[name].steps if step.component == "cni"]
    return list(plan.rollout.calico_before), list(plan.rollout.calico_after), steps


def findings(plan: Plan) -> list[str]:
    return [one.line() for one in plan.findings if one.problem.check == "calico_version"]


def test_calico_is_upgraded_after_the_control_planes_and_before_the_workers() -> None:
    plan = plan_of()
    assert not plan.findings
    assert calico(plan) == (["c1"], [], ["apply Calico (3.31.6 -> 3.32.1; before the workers)"])
    # The rollout replaces its pods node by node itself.
    assert [step.action for step in plan.hosts["c1"].steps] == ["drain", "upgrade", "uncordon", "apply"]


def test_a_release_that_is_not_tested_with_the_kubelets_of_workers_comes_after_them() -> None:
    """Workers skip minor versions."""
    old = {
        "kubeadm.installed_version": "1.33.4",
        "kube_packages.installed.kubelet.version": "1.33.4-1.1",
        "kube_packages.installed.kubeadm.version": "1.33.4-1.1",
    }
    c1 = {**UPGRADED["c1"], "kubeadm.api.nodes.1.kubelet_version": "1.33.4"}
    plan = plan_of(c1=c1, c2=old)
    assert not errors(plan)
    assert calico(plan) == ([], ["c1"], ["apply Calico (3.31.6 -> 3.32.1; after the workers)"])
    # A worker that the play leaves out stays too old.
    assert calico(plan_of(c1=c1, c2=old, limit=("c1",))) == ([], [], [])


def test_calico_alone_is_upgraded_too() -> None:
    done = with_c2()
    plan = plan_of(c1=dict(done["c1"]), c2=dict(done["c2"]))
    assert calico(plan)[0] == ["c1"] and plan.rollout.control_planes == plan.rollout.workers == []
    assert not plan.disrupted and not plan.hosts["c1"].arguments["due"]


def test_the_same_release_is_left_alone_unless_its_rollout_was_interrupted() -> None:
    assert calico(plan_of("3.32.1")) == ([], [], [])
    plan = plan_of("3.32.1", calico_rolling=True)
    assert calico(plan) == (["c1"], [], ["apply Calico (the rollout of 3.32.1 is not complete; before the workers)"])


def test_a_downgrade_is_refused() -> None:
    plan = plan_of("3.33.0")
    assert errors(plan) == [
        "all: the manifest in the variables is of Calico 3.32.1, but the cluster runs 3.33.0; set cni_calico_version "
        "to v3.33.0, or cni_calico_manifest to its manifest"
    ]
    plan = plan_of("3.33.0", skip=["calico_version"])
    assert not errors(plan) and calico(plan) == ([], [], [])


@pytest.mark.parametrize(
    "changes",
    [
        {"runs": ""},
        {"calico_by_manifest": False, "runs": "3.32.0"},
        {"c1": {"options.cni.plugin": "none"}, "runs": "3.32.0"},
        {"images": [], "runs": "3.32.0"},
        {"images": ["registry.example.org/calico/node@sha256:" + "a" * 64], "runs": "3.32.0"},
    ],
)
def test_a_calico_of_unknown_release_or_of_others_is_left_alone(changes: dict[str, Any]) -> None:
    plan = plan_of(**changes)
    assert calico(plan) == ([], [], []) and not findings(plan)


FIX = "; set cni_calico_version to v3.32.1; if this collection did not install Calico, upgrade it first"


def test_a_release_that_is_not_tested_with_the_target_is_named() -> None:
    text = "in the cluster, but Kubernetes 1.36 is tested with Calico 3.32 or newer" + FIX
    assert findings(plan_of(calico_by_manifest=False)) == [f"all: Calico 3.31.6 runs {text}"]
    coming = plan_of("3.30.1", images=["quay.io/calico/node:v3.31.6"])
    assert findings(coming) == [f"all: Calico 3.31.6 will run {text}"] and calico(coming)[0] == ["c1"]
    assert not errors(coming)


def test_each_host_is_in_the_group_of_its_play() -> None:
    result = as_result(plan_of(), CniOptions())
    groups = [(one["host"], one["group"]) for one in result["upgrade"]["groups"]]
    prefix = "kubestead_upgrade_"
    assert groups == [("c1", prefix + "control_planes"), ("c1", prefix + "calico_before"), ("c2", prefix + "workers")]
    # The plays are in the order of the groups.
    playbook = (ROOT / "playbooks" / "upgrade.yml").read_text()
    plays = re.findall(r"(?m)^  hosts: .*groups\['(\w+)'\]", playbook)
    assert plays == [prefix + name for name in ("control_planes", "calico_before", "workers", "calico_after")]


@pytest.mark.parametrize(
    ("images", "version"),
    [
        (IMAGES, "3.32.1"),
        (["mirror.example.org:5000/quay/calico/node:v3.31.6@sha256:" + "a" * 64], "3.31.6"),
        (["quay.io/calico/node:3.32.1-custom"], "3.32.1"),
        (["quay.io/calico/node:master", "quay.io/calico/cni:v3.32.1"], ""),
        ([], ""),
    ],
)
def test_the_release_of_a_manifest(images: list[str], version: str) -> None:
    assert version_of(images) == version
