# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of an upgrade of three control planes of which some are dead, interrupted or left out with ``--limit``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.upgrade import upgrade
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.plan.test_upgrade import (
    MARKER,
    ROOT,
    UPGRADED,
    WORKER_MARKER,
    Change,
    actions,
    errors,
    offer,
    wish,
    with_c2,
)
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import changed, recorded

CONTROLS = ("c1", "c2", "c3")
OLD, NEW = "1.35.0", "1.36.2"
DONE = {path: value for path, value in UPGRADED["c1"].items() if not path.startswith("kubeadm.api.")}
DEAD: Change = {
    "kubeadm.api": {"live": False, "reason": "connection refused", "nodes": []},
    "kubeadm.local_api.healthy": False,
    "kubeadm.phase": "partial",
}
RUNTIME: Change = {"upgrade": {"removed_apis": [], "runtime": "containerd.io", "runtime_version": "2.1.5-1"}}


def plan_of(
    version: str = "1.36",
    limit: Sequence[str] = (),
    asked: Sequence[str] = (),
    at: Mapping[str, str] | None = None,
    config: str = OLD,
    down: Sequence[str] = (),
    offered: Sequence[str] = (NEW, "1.36.1"),
    **changes: Change,
) -> Plan:
    """A plan for c1, c2, c3 and the worker w1.

    ``asked`` are control planes outside the play that were observed, ``at`` are the versions of kubelets in the API,
    ``config`` is the version in kubeadm's ConfigMap, and ``down`` are not ready.
    """
    versions = {**dict.fromkeys((*CONTROLS, "w1"), OLD), **(at or {})}
    base = recorded("control-plane")
    own, worker = base["kubeadm"]["api"]["nodes"]
    nodes = [
        {**(own if name in CONTROLS else worker), "name": name, "kubelet_version": version, "ready": name not in down}
        for name, version in versions.items()
    ]
    hosts = {}
    for name in versions:
        facts = recorded("control-plane" if name in CONTROLS else "worker")
        more = {**offer(*offered), **wish(version), "kubeadm.node_name": name}
        if name in CONTROLS:
            more = {
                **more,
                "kubeadm.api.nodes": nodes,
                "kubeadm.api.config.kubernetes_version": config,
                "kubeadm.api.server_version": versions["c1"],
            }
        facts = changed(changed(facts, more), changes.get(name, {}))
        hosts[name] = registry.read_host(name, name in CONTROLS, facts)
    inside = [host for name, host in hosts.items() if not limit or name in limit]
    outside = [hosts[name] for name in asked]
    return upgrade(Request(Inventory(list(CONTROLS), ["w1"]), inside, ["kube_packages"], outside))


# -- the control plane that upgrades the cluster


def test_a_cluster_that_is_upgraded_is_not_upgraded_again_with_limit() -> None:
    """The API server of c1 does not answer. c2 is outside the play, and has answered for the cluster."""
    at = dict.fromkeys((*CONTROLS, "w1"), NEW)
    interrupted = {**DEAD, **DONE, "kubeadm.operation": {**MARKER, "first": False}}
    plan = plan_of(limit=["c1"], asked=["c2"], at=at, config=NEW, c1=interrupted, c2=DONE)
    assert not errors(plan) and plan.api_host == "c2"
    assert plan.hosts["c1"].arguments["upgrade"] and not plan.hosts["c1"].arguments["first"]


@pytest.mark.parametrize(
    ("broken", "version"),
    [({"kubeadm.operation": {**MARKER, "first": False, "version": OLD}}, OLD), (RUNTIME, OLD)],
)
def test_no_control_plane_is_upgraded_before_the_first(broken: Change, version: str) -> None:
    """The variable was raised after the interruption. Interrupted nodes come first, but the cluster has no NEW yet."""
    (line,) = errors(plan_of("1.36.2", c2=broken))
    assert line.startswith("c2: ") and line.endswith(
        f"must be completed before the cluster is upgraded to {NEW}; set cluster_kubernetes_version to {version} and "
        f"run upgrade.yml, then upgrade to {NEW}"
    )
    assert not errors(plan_of("1.36.2", config=NEW, c2=broken))
    # A worker follows its control planes in any case.
    assert not errors(plan_of("1.36.2", w1={"kubeadm.operation": {**WORKER_MARKER, "version": OLD}}))


# -- dead control planes


def test_gates_wait_for_what_is_upgraded_and_not_for_what_is_still_to_be_repaired() -> None:
    other = {**MARKER, "first": False}
    plan = plan_of(
        config=NEW, down=["c2", "c3"], c2={**DEAD, "kubeadm.operation": other}, c3={**DEAD, "kubeadm.operation": other}
    )
    assert not errors(plan) and plan.rollout.control_planes == ["c2", "c3", "c1"]
    assert plan.rollout.dead_nodes == ["c2", "c3"]
    gates = {name: (host.arguments["dead_before"], host.arguments["dead_after"]) for name, host in plan.hosts.items()}
    assert gates == {
        "c2": (["c2", "c3"], ["c3"]),
        "c3": (["c3"], []),
        "c1": ([], []),
        "w1": ([], []),
    }


def test_workers_are_upgraded_beside_a_dead_control_plane_that_is_left_out() -> None:
    at = dict.fromkeys(CONTROLS, NEW)
    plan = plan_of(limit=["c1", "c2", "w1"], at=at, config=NEW, down=["c3"], c1=DONE, c2=DONE)
    assert not errors(plan) and actions(plan)["w1"] == ["drain", "upgrade", "uncordon"]
    assert [one.line() for one in plan.findings] == [
        "all: the control plane c3 is not ready and not among the hosts of this play, so the health checks do not wait "
        "for it; repair it, or remove it with remove.yml"
    ]
    assert plan.rollout.dead_nodes == ["c3"] and plan.hosts["w1"].arguments["dead_after"] == ["c3"]


#: Its kubelet, its manifests and its packages have the version, and another API server answers for it.
SILENT: Change = {
    **DONE,
    "kubeadm.local_api.healthy": False,
    "kubeadm.local_api.reason": "connection refused",
    "kubeadm.phase": "partial",
}
BESIDE = (
    "c3: the API server of this control plane does not answer: connection refused; only workers are upgraded, and no "
    "gate waits for it; repair it, or remove it with remove.yml"
)


def beside(config: str = NEW, **changes: Change) -> Plan:
    """A run with all hosts, of which c3 has no API server. Its Node is ready, because the kubelet runs."""
    at = dict.fromkeys(CONTROLS, NEW)
    return plan_of(at=at, config=config, **{"c1": DONE, "c2": DONE, "c3": SILENT, **changes})


def test_workers_are_upgraded_beside_a_control_plane_without_an_api_server() -> None:
    plan = beside()
    assert [one.line() for one in plan.findings] == [BESIDE] and not errors(plan)
    assert actions(plan) == {"w1": ["drain", "upgrade", "uncordon"], "c1": [], "c2": [], "c3": []}
    assert plan.rollout.dead_nodes == plan.rollout.dead_at_end == ["c3"]
    assert plan.hosts["w1"].arguments["dead_before"] == plan.hosts["w1"].arguments["dead_after"] == ["c3"]
    # Another one may be the first of the inventory that answers for the cluster.
    assert beside(c1=SILENT, c3=DONE).api_host == "c2"


@pytest.mark.parametrize(
    "changes",
    [
        # A control plane is changed too: etcd may lose its majority, and kubeadm wants all API servers.
        {"c2": {}},
        {"c2": {**DONE, **RUNTIME}},
        {"config": OLD},
        # It lacks a manifest, so it is not upgraded itself.
        {"c3": {**SILENT, "kubeadm.static_pods.kube-apiserver": ""}},
        # The endpoint of the cluster fails for it, although its own API server is healthy.
        {"c3": {**DONE, "kubeadm.api": DEAD["kubeadm.api"], "kubeadm.phase": "partial"}},
        # The one that answers has trouble itself.
        {"c1": {**DONE, "kubeadm.etcd.healthy": False}},
        {"c1": SILENT, "c2": SILENT},
    ],
)
def test_nothing_else_is_upgraded_beside_a_control_plane_without_an_api_server(changes: dict[str, Any]) -> None:
    plan = beside(**changes)
    assert any(line.startswith("c3: the API server of this control plane does not answer") for line in errors(plan))


def test_workers_that_are_not_ready_may_need_the_api_server_that_is_down() -> None:
    at = dict.fromkeys(CONTROLS, NEW)
    plan = plan_of(at=at, config=NEW, down=["w1"], c1=DONE, c2=DONE, c3=SILENT)
    assert any(line.startswith("c3: ") for line in errors(plan))


def test_a_gate_waits_for_the_components_that_have_a_manifest() -> None:
    both = ("kube-controller-manager", "kube-scheduler")
    plan = plan_of()
    assert plan.hosts["c2"].arguments["static_pods"] == {"c2": dict.fromkeys(both, NEW)}
    assert plan.hosts["w1"].arguments["static_pods"] == {}
    pods = recorded("control-plane")["kubeadm"]["static_pods"]
    one = plan_of(c2={"kubeadm.static_pods": {name: pods[name] for name in pods if name != both[1]}})
    assert one.hosts["c2"].arguments["static_pods"] == {"c2": {both[0]: NEW}}


def test_the_gate_after_an_upgrade_gets_the_static_pods_from_the_upgrade() -> None:
    (block,) = yaml.safe_load((ROOT / "roles/upgrade/tasks/node.yml").read_text(encoding="utf-8"))
    done = [at for at, task in enumerate(block["block"]) if "kubestead.cluster.kubeadm_upgrade" in task]
    gate = block["block"][done[0] + 1]["kubestead.cluster.cluster_health_info"]
    assert gate["wait"] is True and gate["static_pods"] == "{{ upgrade_done.static_pods }}"
    upgrade = block["block"][done[0]]
    assert upgrade["kubestead.cluster.kubeadm_upgrade"]["static_pods"] == "{{ upgrade_host.static_pods }}"
    assert upgrade["register"] == "upgrade_done" and upgrade["when"] == block["block"][done[0] + 1]["when"]


def test_kubeadm_does_not_upgrade_a_cluster_beside_a_dead_control_plane() -> None:
    (line,) = errors(plan_of("1.36.2", limit=["c1", "c2", "w1"], at={"c3": NEW}, down=["c3"]))
    assert line == (
        "all: the control plane c3 is not ready and not among the hosts of this play, but kubeadm upgrades a cluster "
        "only if all control planes are ready; repair it, or remove it with remove.yml"
    )


def test_only_control_planes_that_were_tried_are_named() -> None:
    (line,) = errors(plan_of(limit=["c1", "w1"], c1=DEAD))
    assert line == (
        "all: no control plane answers; tried c1; run without --limit, which excludes c2, c3, or find out why the API "
        "server is down (journalctl -u kubelet)"
    )
    (line,) = errors(plan_of(c1=DEAD, c2=DEAD, c3=DEAD))
    assert "tried c1, c2, c3; find out why" in line
    (line,) = errors(plan_of(limit=["w1"]))
    assert "tried c1, c2, c3; find out why" in line


# -- a replacement of containerd that was interrupted, without an upgrade of Kubernetes


@pytest.mark.parametrize("name", ["c2", "w1"])
def test_a_node_whose_containerd_is_interrupted_is_not_drained_and_not_waited_for(name: str) -> None:
    at = dict.fromkeys((*CONTROLS, "w1"), NEW)
    broken = {**RUNTIME, **(DEAD if name == "c2" else {}), **(DONE if name == "c2" else with_c2()["c2"])}
    plan = plan_of(
        at=at, config=NEW, down=[name], c1=DONE, c3=DONE, **{"c2": DONE, "w1": with_c2()["c2"], name: broken}
    )
    assert not errors(plan) and actions(plan)[name] == ["upgrade", "uncordon"]
    assert plan.rollout.dead_nodes == [one for one in CONTROLS if one == name]
    assert plan.hosts[name].arguments["dead_after"] == []
    assert plan.hosts[name].arguments["returning"]


def test_control_planes_without_an_api_server_are_repaired_if_containerd_was_interrupted() -> None:
    broken = {**DEAD, **RUNTIME}
    plan = plan_of(c1=broken, c2=DEAD, c3=DEAD)
    assert not errors(plan) and actions(plan) == {"c1": ["repair"], "c2": [], "c3": [], "w1": []}
    assert plan.hosts["c1"].steps[0].reason == "the replacement of its containerd was interrupted"


# -- a minor version


def settled(version: str, offered: Sequence[str], **more: Change) -> Plan:
    pods: Change = {
        f"kubeadm.static_pods.kube-{name}": version for name in ("apiserver", "controller-manager", "scheduler")
    }
    parts: Change = {
        **{f"kube_packages.installed.{name}.version": f"{version}-1.1" for name in ("kubeadm", "kubelet", "kubectl")},
        "kubeadm.installed_version": version,
    }
    there = {name: {**parts, **(pods if name in CONTROLS else {}), **more.get(name, {})} for name in (*CONTROLS, "w1")}
    limit = [name for name in there if name not in more.get("limited", ())]
    at = dict.fromkeys(there, version)
    at.update({name: str(version) for name, version in more.get("at", {}).items()})
    return plan_of("1.36", limit, ["c1"] if "c1" not in limit else [], at, version, offered=offered, **there)


def test_a_minor_version_is_its_newest_patch_release() -> None:
    plan = settled("1.36.0", ("1.36.2", "1.36.0"))
    assert not plan.findings and {host.arguments["version"] for host in plan.hosts.values()} == {"1.36.2"}
    assert all(host.arguments["upgrade"] for host in plan.hosts.values())
    again = settled("1.36.2", ("1.36.2", "1.36.0"))
    assert not again.findings and not any(host.steps for host in again.hosts.values())
    older = settled("1.36.2", ("1.36.1",))
    assert not older.findings and not any(host.steps for host in older.hosts.values())


def test_an_upgrade_that_was_started_is_completed_before_a_newer_patch_release() -> None:
    plan = settled("1.36.0", ("1.36.2",), c1={"kubeadm.operation": {**MARKER, "version": "1.36.0"}})
    assert not errors(plan) and {host.arguments["version"] for host in plan.hosts.values()} == {"1.36.0"}
    plan = settled("1.36.1", ("1.36.2",), at={"w1": "1.35.0"})
    assert actions(plan) == {"c1": [], "c2": [], "c3": [], "w1": ["drain", "upgrade", "uncordon"]}
    assert [one.line() for one in plan.findings] == [
        "all: Kubernetes 1.36.2 is available, but this run first completes the upgrade to 1.36.1; run upgrade.yml "
        "again afterwards"
    ]


def test_nodes_in_a_limit_get_the_version_of_the_control_planes() -> None:
    limited = {"limited": ("c1", "c2", "c3")}
    plan = settled("1.36.0", ("1.36.2",), at={"w1": "1.35.0"}, **limited)
    assert not errors(plan) and plan.hosts["w1"].arguments["version"] == "1.36.0"
    plan = settled("1.36.0", ("1.36.2",), limited=("c2", "c3"))
    assert not plan.findings and not plan.hosts["c1"].steps


@pytest.mark.parametrize("answer", [None, {"url": "https://mirror.example.org/", "reachable": False, "error": "gone"}])
def test_a_repository_that_does_not_answer_is_named(answer: Change | None) -> None:
    plan = settled("1.36.0", ("1.36.2",), c2={"kube_packages.repository": answer})
    assert not errors(plan) and not any(host.steps for host in plan.hosts.values())
    (finding,) = plan.findings
    assert finding.host == "c2" and finding.problem.level == "warning"
    assert "can't be read" in finding.problem.message and "newer patch release of 1.36" in finding.problem.message
