# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of an upgrade, from recordings of a cluster of 1.35.0 whose repository offers more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import cordons, registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.upgrade import upgrade, wave_size
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import changed, recorded

ROOT = Path(__file__).resolve().parents[5]
Change = Mapping[str, Any]
#: The owner of a cordon that an interrupted run set.
YESTERDAY = f"{cordons.UPGRADE}: yesterday"
RECORDINGS = {"c1": "control-plane", "c2": "worker"}
MARKER = {
    "kind": "upgrade",
    "began": "2026-11-27T10:00:00Z",
    "control_plane": True,
    "version": "1.36.2",
    "first": True,
}


def offer(*versions: str) -> Change:
    """A host whose repository was asked for another version and has these, newest first."""
    offers = {name: [f"{one}-1.1" for one in versions] for name in ("kubeadm", "kubelet", "kubectl")}
    answer = {"url": "https://pkgs.k8s.io/", "reachable": True, "status": 200, "error": "", "offers": offers}
    return {
        "kube_packages.member": False,
        "kube_packages.repository": answer,
        "containerd.version": "2.1.9",
        "options.control_plane.kubelet_config": {"failCgroupV1": False},
    }


def wish(version: str) -> Change:
    return {"options.kube_packages.version": version, "options.control_plane.kubernetes_version": version}


def plan_of(
    version: str = "1.36",
    changes: Mapping[str, Change] | None = None,
    limit: tuple[str, ...] = (),
    serial: str = "1",
    pause: str = "60",
    offered: tuple[str, ...] = ("1.36.2", "1.36.1"),
) -> Plan:
    hosts = {}
    for name, recording in RECORDINGS.items():
        facts = changed(recorded(recording), {**offer(*offered), **wish(version)})
        facts = changed(facts, (changes or {}).get(name, {}))
        hosts[name] = registry.read_host(name, name == "c1", facts)
    inside = [host for name, host in hosts.items() if not limit or name in limit]
    outside = [host for name, host in hosts.items() if limit and name not in limit and name == "c1"]
    return upgrade(Request(Inventory(["c1"], ["c2"]), inside, ["kube_packages"], outside, serial=serial, pause=pause))


def errors(plan: Plan) -> list[str]:
    return [finding.line() for finding in plan.errors]


def actions(plan: Plan) -> dict[str, list[str]]:
    return {name: [step.action for step in host.steps] for name, host in plan.hosts.items()}


UPGRADED: dict[str, Change] = {
    "c1": {
        "kubeadm.installed_version": "1.36.2",
        "kubeadm.static_pods.etcd": "3.6.8-0",
        "kubeadm.static_pods.kube-apiserver": "1.36.2",
        "kubeadm.static_pods.kube-controller-manager": "1.36.2",
        "kubeadm.static_pods.kube-scheduler": "1.36.2",
        "kubeadm.api.server_version": "1.36.2",
        "kubeadm.api.config.kubernetes_version": "1.36.2",
        "kubeadm.api.nodes.0.kubelet_version": "1.36.2",
        "kube_packages.installed.kubelet.version": "1.36.2-1.1",
        "kube_packages.installed.kubeadm.version": "1.36.2-1.1",
        "kube_packages.installed.kubectl.version": "1.36.2-1.1",
    }
}


def with_c2(**more: Any) -> dict[str, Change]:
    return {
        "c1": {**UPGRADED["c1"], "kubeadm.api.nodes.1.kubelet_version": "1.36.2", **more},
        "c2": {
            "kubeadm.installed_version": "1.36.2",
            "kube_packages.installed.kubelet.version": "1.36.2-1.1",
            "kube_packages.installed.kubeadm.version": "1.36.2-1.1",
            "kube_packages.installed.kubectl.version": "1.36.2-1.1",
        },
    }


# -- what is done


def test_the_next_minor_control_plane_first() -> None:
    plan = plan_of()
    assert not errors(plan) and list(plan.hosts) == ["c1", "c2"]
    assert actions(plan) == {name: ["drain", "upgrade", "uncordon"] for name in RECORDINGS}
    first = plan.hosts["c1"]
    assert first.arguments["first"] and first.arguments["version"] == "1.36.2" and first.arguments["cgroup_v1"]
    assert first.steps[1].summary() == "upgrade cluster and control plane (the cluster 1.35.0 -> 1.36.2)"
    assert not plan.hosts["c2"].arguments["first"]
    assert plan.hosts["c2"].steps[1].summary() == "upgrade worker (kubelet 1.35.0 -> 1.36.2)"
    assert set(plan.disrupted) == {"c1", "c2"}


def test_a_patch_release() -> None:
    plan = plan_of("1.35.4", offered=("1.35.4", "1.35.0"))
    assert not errors(plan) and plan.hosts["c2"].arguments["version"] == "1.35.4"


def test_a_cluster_of_the_version_has_nothing_to_do() -> None:
    plan = plan_of("1.35")
    assert not plan.findings and actions(plan) == {"c1": [], "c2": []}
    assert not any(host.arguments["due"] for host in plan.hosts.values())


def test_what_is_upgraded_is_left_alone_and_its_version_is_the_target() -> None:
    plan = plan_of(changes=UPGRADED, offered=("1.36.9", "1.36.2"))
    assert not errors(plan)
    assert actions(plan) == {"c1": [], "c2": ["drain", "upgrade", "uncordon"]}
    assert plan.hosts["c2"].arguments["version"] == "1.36.2" and not plan.hosts["c1"].arguments["first"]
    assert actions(plan_of(changes=with_c2())) == {"c1": [], "c2": []}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kubeadm.installed_version", "1.35.0"),
        ("kubeadm.static_pods.kube-scheduler", "1.35.0"),
        ("kubeadm.api.config.kubernetes_version", "1.35.0"),
        ("kubeadm.api.nodes.0.kubelet_version", "1.35.0"),
        ("kube_packages.installed.kubelet.version", "1.35.0-1.1"),
    ],
)
def test_a_control_plane_that_lacks_one_part_is_upgraded_again(path: str, value: str) -> None:
    plan = plan_of(changes=with_c2(**{path: value}))
    assert not errors(plan) and actions(plan)["c1"] == ["drain", "upgrade", "uncordon"]


def test_an_upgrade_that_was_interrupted_is_continued() -> None:
    changes = with_c2(**{"kubeadm.operation": MARKER})
    plan = plan_of(changes=changes)
    assert not errors(plan) and plan.hosts["c1"].arguments["first"]
    assert plan.hosts["c1"].arguments["dead_before"] == plan.rollout.dead_nodes == ["c1"]
    assert [host.arguments["returning"] for host in plan.hosts.values()] == [True, False]
    assert plan.hosts["c1"].steps[1].reason == "the upgrade to 1.36.2 started at 2026-11-27T10:00:00Z was interrupted"


def test_a_cordon_of_ours_is_lifted_where_all_else_is_done_and_one_of_others_is_not() -> None:
    ours = {"kubeadm.api.nodes.1.unschedulable": True, "kubeadm.api.nodes.1.cordoned_by": YESTERDAY}
    plan = plan_of(changes=with_c2(**ours))
    assert actions(plan) == {"c1": [], "c2": ["uncordon"]} and not plan.hosts["c2"].arguments["drain"]
    assert plan.hosts["c2"].arguments["returning"]
    plan = plan_of(changes=with_c2(**{"kubeadm.api.nodes.1.unschedulable": True}))
    assert actions(plan) == {"c1": [], "c2": []} and not plan.hosts["c2"].arguments["returning"]


def test_a_node_that_a_removal_cordoned_is_upgraded_and_stays_cordoned() -> None:
    """remove.yml may run at the same time."""
    cordon = {"kubeadm.api.nodes.1.unschedulable": True, "kubeadm.api.nodes.1.cordoned_by": cordons.removal(["c2"])}
    plan = plan_of(changes={"c1": cordon})
    assert actions(plan)["c2"] == ["drain", "upgrade"] and not plan.hosts["c2"].arguments["returning"]
    assert not errors(plan) and [one.line() for one in plan.findings] == [
        "all: node c2 was cordoned by another run (kubestead.cluster remove: c2) and stays cordoned; if that run was "
        "killed, repeat its command, or run 'kubectl uncordon c2'"
    ]
    assert actions(plan_of(changes=with_c2(**cordon))) == {"c1": [], "c2": []}


def test_the_role_cordons_in_the_name_of_the_planner() -> None:
    variables = yaml.safe_load((ROOT / "roles/upgrade/vars/main.yml").read_text(encoding="utf-8"))
    assert variables["upgrade_owner"].startswith(cordons.UPGRADE + ": ")
    tasks = "".join((ROOT / f"roles/upgrade/tasks/{name}.yml").read_text(encoding="utf-8") for name in ("plan", "node"))
    assert tasks.count("kubestead.cluster.node_drain:") == tasks.count('owner: "{{ upgrade_owner }}"') == 4


def test_a_node_that_others_cordoned_is_upgraded_and_stays_cordoned() -> None:
    plan = plan_of(changes={"c1": {"kubeadm.api.nodes.1.unschedulable": True}})
    assert actions(plan)["c2"] == ["drain", "upgrade"] and plan.hosts["c2"].arguments["due"]


def test_a_node_whose_kubelet_is_interrupted_is_not_drained_again() -> None:
    dead = {"kubeadm.api.nodes.1.ready": False}
    changes: dict[str, Change] = {
        "c1": {**UPGRADED["c1"], **dead},
        "c2": {"kubeadm.operation": {**MARKER, "first": False}},
    }
    assert actions(plan_of(changes=changes))["c2"] == ["upgrade", "uncordon"]
    del changes["c2"]
    assert actions(plan_of(changes=changes))["c2"] == ["drain", "upgrade", "uncordon"]


def test_a_control_plane_without_its_api_server_is_brought_back_first() -> None:
    down = {
        "kubeadm.api": {"live": False, "reason": "connection refused", "nodes": []},
        "kubeadm.local_api.healthy": False,
        "kubeadm.phase": "partial",
    }
    plan = plan_of(changes={"c1": {**down, "kubeadm.operation": MARKER}})
    assert not errors(plan) and plan.api_host == "" and actions(plan) == {"c1": ["repair"], "c2": []}
    assert plan.hosts["c1"].arguments["repair"] and not plan.hosts["c2"].arguments["repair"]
    (line,) = errors(plan_of(changes={"c1": down}))
    assert line.startswith("all: no control plane answers; tried c1")


# -- what is refused


@pytest.mark.parametrize(
    ("version", "offered", "text"),
    [
        (
            "1.38",
            ("1.38.0",),
            "an upgrade to 1.38.0 would skip a minor version; upgrade to 1.36, 1.37, 1.38, one after",
        ),
        ("1.34", ("1.34.1",), "cluster_kubernetes_version is 1.34.1, but the cluster runs 1.35.0; set it to 1.35 or"),
        ("1.36.7", ("1.36.2",), "kubelet 1.36.7 is not in the repository"),
    ],
)
def test_a_version_that_can_not_be_reached(version: str, offered: tuple[str, ...], text: str) -> None:
    plan = plan_of(version, offered=offered)
    assert [text in line for line in errors(plan)] == [True] * len(errors(plan)) and errors(plan)
    assert actions(plan) == {"c1": [], "c2": []}


def test_hosts_must_agree_on_the_version() -> None:
    (line,) = errors(plan_of(changes={"c2": wish("1.35")}))
    assert "cluster_kubernetes_version differs between hosts: 1.35, 1.36" in line


def test_workers_alone_only_after_the_control_planes() -> None:
    (line,) = errors(plan_of(limit=("c2",)))
    assert "the control plane c1 runs 1.35.0 and is not among the hosts of this play" in line
    assert "remove.yml" not in line
    plan = plan_of(limit=("c2",), changes=UPGRADED)
    assert not errors(plan) and actions(plan) == {"c2": ["drain", "upgrade", "uncordon"]}


def test_the_way_out_of_a_dead_control_plane_is_named() -> None:
    dead = {"name": "c9", "roles": ["control-plane"], "silent": True, "kubelet_version": "1.35.0"}
    nodes = [*recorded(RECORDINGS["c1"])["kubeadm"]["api"]["nodes"], dead]
    line, _not_ready = errors(plan_of(changes={"c1": {"kubeadm.api.nodes": nodes}}))
    assert line.startswith("all: the control plane c9 runs 1.35.0 and is not among the hosts of this play")
    assert line.endswith("no longer exists, use remove.yml with -e remove_hosts=c9 -e remove_gone=true")


def test_a_worker_that_is_left_out_is_named() -> None:
    plan = plan_of(limit=("c1",))
    assert not errors(plan)
    assert [one.line() for one in plan.findings] == [
        "all: node c2 is not among the hosts of this play and stays at 1.35.0; "
        "add it to the inventory, or run again without --limit"
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kubeadm.phase": "none", "kubeadm.finished": False}, "is not a complete node of the cluster"),
        ({"kubeadm.operation": {**MARKER, "kind": "join", "endpoint": "", "ca_cert_hashes": []}}, "complete node"),
        ({"kubeadm.operation": {"kind": "hibernate"}}, "started by a newer version"),
        (
            {"options.control_plane.kubelet_config": {}},
            "the host uses cgroup v1, but kubelet 1.36 requires cgroup v2 by default",
        ),
    ],
)
def test_hosts_that_can_not_be_upgraded(changes: Change, text: str) -> None:
    lines = errors(plan_of(changes={"c2": changes}))
    assert lines and all(text in line and line.startswith("c2: ") for line in lines)


@pytest.mark.parametrize(
    ("version", "etcd", "text"),
    [
        ("1.36", "3.5.24-0", "etcd 3.5.24 can't be upgraded to 3.6.8: each member must first run 3.5.26 or newer"),
        ("1.36", "3.5.26-0", ""),
        ("1.36", "3.6.6-0", ""),
    ],
)
def test_stepping_stones_of_etcd(version: str, etcd: str, text: str) -> None:
    lines = errors(plan_of(version, {"c1": {"kubeadm.static_pods.etcd": etcd}}))
    assert [text in line for line in lines] == ([True] if text else [])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"kubeadm.installed_version": "1.36.1"}, ""),
        ({"kubeadm.static_pods": {"kube-apiserver": "1.36.1"}}, ""),
        ({"kubeadm.operation": {**MARKER, "version": "1.36.1", "control_plane": False}}, ""),
        (
            {"kube_packages.installed.kubelet.version": "1.36.9-1.1"},
            "has Kubernetes 1.36.9, which is newer than 1.36.2",
        ),
        (offer("1.36.1"), "kubelet 1.36.2 is not in the repository"),
        ({"kubeadm.node_name": "c1"}, "reports that it is Node c1, but the inventory has neither this name nor"),
        ({"kubeadm.node_name": "c1", "kubeadm.ca_cert_hash": ""}, "reports that it is Node c1"),
    ],
)
def test_a_worker_does_not_choose_the_version_of_the_others(changes: Change, text: str) -> None:
    plan = plan_of(changes={"c2": changes})
    lines = errors(plan)
    assert [line.startswith("c2: ") and text in line for line in lines] == ([True] if text else [])
    assert text or {host.arguments["version"] for host in plan.hosts.values()} == {"1.36.2"}


def test_what_the_inventory_calls_otherwise_is_known_by_its_address() -> None:
    """The Node's address is one that the control machine found for the host."""
    facts = [changed(recorded(name), {**offer("1.36.2"), **wish("1.36")}) for name in RECORDINGS.values()]
    hosts = [registry.read_host(name, name == "a", one) for name, one in zip(("a", "b"), facts, strict=True)]
    request = Request(Inventory(["a"], ["b"]), hosts, ["kube_packages"])
    assert len(errors(upgrade(request))) == 2
    addresses = {"a": ["10.213.0.40"], "b": ["10.213.0.41"]}
    assert not errors(upgrade(replace(request, addresses=addresses)))


@pytest.mark.parametrize(
    ("runs", "version", "level"),
    [
        ("1.33.4", "1.36.2", ""),
        ("1.32.9", "1.36.2", "warning"),
        ("1.32.9", "1.35.0", "error"),
        ("1.33.4", "1.35.0", ""),
    ],
)
def test_workers_skip_minor_versions_as_far_as_kubelets_may_be_older(runs: str, version: str, level: str) -> None:
    """``version`` is that of the control plane; the target is 1.36.2."""
    old = {
        "kubeadm.installed_version": runs,
        "kube_packages.installed.kubelet.version": f"{runs}-1.1",
        "kube_packages.installed.kubeadm.version": f"{runs}-1.1",
    }
    above = UPGRADED["c1"] if version == "1.36.2" else {}
    plan = plan_of(changes={"c1": {**above, "kubeadm.api.nodes.1.kubelet_version": runs}, "c2": old})
    found = [one.problem.level for one in plan.findings if one.problem.check == "version_skew"]
    assert found == [level] * bool(level)
    if level != "error":
        assert actions(plan)["c2"] == ["drain", "upgrade", "uncordon"]
        assert plan.hosts["c2"].arguments["version"] == "1.36.2"


@pytest.mark.parametrize("claim", ["1.12.0", "1.32.9", "1.36.2~x", "x", "", "1.036.0"])
@pytest.mark.parametrize("limit", [(), ("c1",)])
def test_a_node_because_of_which_kubeadm_refuses_is_named_with_the_fixes(claim: str, limit: tuple[str, ...]) -> None:
    """kubeadm upgrade apply refuses a cluster with such a Node. Without the plan, it would do so after the drain."""
    plan = plan_of(changes={"c1": {"kubeadm.api.nodes.1.kubelet_version": claim}}, limit=limit)
    (line,) = errors(plan)
    # Of "1.36.2~x", the part that looks like a version would not show why kubeadm refuses it.
    shown = claim if claim in ("1.12.0", "1.32.9") else repr(claim)
    assert line.startswith("{0}: node c2 reports kubelet {1}, but ".format("all" if limit else "c2", shown))
    assert line.endswith(
        "; upgrade it with cluster_kubernetes_version: 1.35.0 first, or remove it: remove.yml with -e remove_hosts=c2"
    )
    assert not any(actions(plan).values())


@pytest.mark.parametrize("claim", ["1.12.0", "1.36.2~x", "x", ""])
def test_after_the_first_control_plane_a_claim_stops_no_other_node(claim: str) -> None:
    """``kubeadm upgrade node`` does not check other Nodes. The worker c2 is not in the play, or upgraded directly."""
    above = {**UPGRADED["c1"], "kubeadm.static_pods.kube-scheduler": "1.36.1"}
    changes = {"c1": {**above, "kubeadm.api.nodes.1.kubelet_version": claim}}
    plan = plan_of(changes=changes, limit=("c1",))
    assert not errors(plan) and actions(plan)["c1"] == ["drain", "upgrade", "uncordon"]
    assert not plan.hosts["c1"].arguments["first"]
    found = [one.line() for one in plan.findings if one.problem.check == "version_skew"]
    assert ["run upgrade.yml for this node too" in line for line in found] == [True] * (claim == "1.12.0")
    plan = plan_of(changes=changes)
    assert not errors(plan) and actions(plan)["c2"] == ["drain", "upgrade", "uncordon"]


def test_a_node_that_no_longer_exists_and_is_too_old_can_be_removed() -> None:
    gone = {"name": "c9", "silent": True, "kubelet_version": "1.20.2"}
    nodes = [*recorded(RECORDINGS["c1"])["kubeadm"]["api"]["nodes"], gone]
    (line,) = errors(plan_of(changes={"c1": {"kubeadm.api.nodes": nodes}}))
    assert line.startswith("all: node c9 reports kubelet 1.20.2, but Kubernetes 1.36 supports kubelets since 1.33, and")
    assert line.endswith("remove.yml with -e remove_hosts=c9 -e remove_gone=true")


def removed(minor: int) -> Change:
    api = {"group": "flowcontrol.apiserver.k8s.io", "version": "v1beta3", "resource": "flowschemas", "minor": minor}
    return {"upgrade": {"removed_apis": [api], "calico": ""}}


@pytest.mark.parametrize(("minor", "level"), [(35, ""), (36, "error"), (37, "warning"), (38, "")])
def test_apis_that_clients_use_and_the_target_removes(minor: int, level: str) -> None:
    plan = plan_of(changes={"c1": removed(minor)})
    found = [one.problem for one in plan.findings if one.problem.check == "removed_api"]
    assert [one.level for one in found] == [level] * bool(level)
    for one in found:
        text = "clients use the API flowcontrol.apiserver.k8s.io/v1beta3 flowschemas, which Kubernetes 1."
        assert one.message.startswith(f"{text}{minor} no longer serves")


def test_a_removed_api_can_be_skipped() -> None:
    facts = changed(recorded("control-plane"), {**offer("1.36.2"), **wish("1.36"), **removed(36)})
    host = registry.read_host("c1", True, facts)
    request = Request(Inventory(["c1"], []), [host], ["kube_packages"], skip=["removed_api"])
    plan = upgrade(request)
    assert not errors(plan) and plan.hosts["c1"].steps
    assert "skipped" in [one.problem.level for one in plan.findings if one.problem.check == "removed_api"]


def test_removed_apis_do_not_stop_an_upgrade_that_was_interrupted() -> None:
    plan = plan_of(changes={"c1": {**removed(36), "kubeadm.operation": MARKER}})
    assert not errors(plan)
    assert [one.problem.level for one in plan.findings if one.problem.check == "removed_api"] == ["warning"]


def test_workers_tell_nothing_of_the_apis_and_the_calico_of_the_cluster() -> None:
    claim = {**removed(36)["upgrade"], "calico": "3.0.0"}
    plan = plan_of(changes={"c2": {"upgrade": claim, "kubeadm.static_pods": {"kube-apiserver": "1.35.0"}}})
    assert not plan.findings


def test_an_old_containerd_is_named_with_what_helps_a_node() -> None:
    old = {"containerd.version": "1.7.28", "containerd.packages": {"containerd.io": "1.7.28-1"}}
    (finding,) = plan_of(changes={"c2": old}).findings
    assert finding.line() == (
        "c2: has containerd 1.7.28, but Kubernetes 1.36 is tested with 2.0 or newer; run 'apt-get update' on this host "
        "if its repositories have a newer one; upgrade.yml then installs it"
    )
    (finding,) = plan_of(changes={"c2": {**old, "kube_packages.manager": "dnf"}}).findings
    assert finding.problem.fix == "before the upgrade, drain the node and run 'dnf upgrade containerd.io' on this host"


def test_an_upgrade_that_has_begun_is_not_turned_back() -> None:
    """The control plane was interrupted before its static pods were replaced, and the variable was set back."""
    (line,) = errors(plan_of("1.35.0", changes={"c1": {"kubeadm.operation": MARKER}}))
    assert line == (
        "c1: the upgrade of this host to 1.36.2, started at 2026-11-27T10:00:00Z, is not finished, but the new target "
        "is 1.35.0; set cluster_kubernetes_version to 1.36.2 and run upgrade.yml again"
    )


@pytest.mark.parametrize(
    ("version", "changes", "text"),
    [
        ("1.36", {}, "c2: {0}1.35.0 {1}1.36; run upgrade.yml to continue the upgrade of the cluster"),
        ("1.36.2", {}, "c2: {0}1.35.0 {1}1.36.2; run upgrade.yml to continue the upgrade of the cluster"),
        ("1.35.0", {}, "c1: {0}1.36.2 {1}1.35.0; set cluster_kubernetes_version to 1.36.2; a cluster can't be downgr"),
        ("1.36.0", {}, "c1: {0}1.36.2 {1}1.36.0; set cluster_kubernetes_version to 1.36.2; a cluster can't be downgr"),
        ("1.36.4", {}, "c1: {0}1.36.2 {1}1.36.4; run upgrade.yml to upgrade the cluster, or set cluster_kubernetes_v"),
        ("1.37", {}, "c2: {0}1.35.0 {1}1.37; set cluster_kubernetes_version to 1.36.2 and run upgrade.yml to continue"),
        ("1.36", {"kubeadm.operation": MARKER}, "c2: {2}; run upgrade.yml to continue the upgrade"),
        ("1.35", {"kubeadm.operation": MARKER}, "c2: {2}; set cluster_kubernetes_version to 1.36.2 and run upgrade.ym"),
    ],
)  # fmt: skip
def test_site_yml_names_the_way_out_of_a_half_done_upgrade(version: str, changes: Change, text: str) -> None:
    """The control plane runs 1.36.2, the worker 1.35.0."""
    hosts = []
    for name, recording in RECORDINGS.items():
        more = {**offer("1.36.2"), **wish(version), "kube_packages.member": True, "kube_packages.repository": None}
        facts = changed(recorded(recording), {**more, **(UPGRADED["c1"] if name == "c1" else changes)})
        hosts.append(registry.read_host(name, name == "c1", facts))
    plan = converge(Request(Inventory(["c1"], ["c2"]), hosts, registry.NAMES))
    expected = text.format(
        "the node runs kubelet ",
        "and is a member of a cluster, but cluster_kubernetes_version is ",
        "the upgrade of this host to 1.36.2, started at 2026-11-27T10:00:00Z, is not finished",
    )
    assert [line for line in errors(plan) if line.startswith(expected)], errors(plan)


# -- the order

OURS = {"kubeadm.api.nodes.1.unschedulable": True, "kubeadm.api.nodes.1.cordoned_by": YESTERDAY}


def test_the_order_of_an_upgrade() -> None:
    order = plan_of(serial="3").rollout
    assert (order.control_planes, order.workers, order.batches) == (["c1"], ["c2"], [3])
    assert order.drained_nodes == order.upgraded_nodes == [host.node_name for host in plan_of().hosts.values()]
    assert order.dead_nodes == order.dead_at_end == order.returning_nodes == order.lifted_nodes == []
    nothing = plan_of("1.35").rollout
    assert (nothing.control_planes, nothing.workers, nothing.batches) == ([], [], [1])


def test_a_run_pauses_between_nodes_only() -> None:
    assert [host.arguments["pause"] for host in plan_of().hosts.values()] == [60, 0]
    assert not any(host.arguments["pause"] for host in plan_of(changes=UPGRADED).hosts.values())
    assert not any(host.arguments["pause"] for host in plan_of(changes=with_c2(**OURS)).hosts.values())


def test_workers_that_are_down_are_repaired_before_others_are_drained() -> None:
    plan = cluster_of(serial="2", w1={}, w2={"kubeadm.operation": WORKER_MARKER}, w3={}, down=["w2"])
    assert (plan.rollout.workers, plan.rollout.batches) == (["w2", "w1", "w3"], [1, 2])
    assert plan.rollout.drained_nodes == ["w1", "w3"]
    assert [name for name, host in plan.hosts.items() if host.arguments["pause"]] == ["w2"]


def test_cordons_of_an_interrupted_wave_are_lifted_before_the_first_drain() -> None:
    plan = cluster_of(serial="2", w1={}, w2={"kubeadm.operation": WORKER_MARKER}, w3={}, ours=["w1", "w2"])
    assert plan.rollout.lifted_nodes == ["w2", "w1"] and plan.rollout.workers == ["w2", "w1", "w3"]
    assert actions(plan)["w1"] == ["uncordon", "drain", "upgrade", "uncordon"]
    # A single node continues where it was interrupted.
    plan = cluster_of(serial="2", w1={"kubeadm.operation": WORKER_MARKER}, w2={}, ours=["w1"])
    assert plan.rollout.lifted_nodes == [] and plan.rollout.returning_nodes == ["w1"]


def test_a_run_pauses_after_each_wave_but_the_last_that_is_upgraded() -> None:
    done = with_c2()["c2"]
    plan = cluster_of(serial="2", w1={}, w2={}, w3={}, w4={})
    assert (plan.rollout.workers, plan.rollout.batches) == (["w1", "w2", "w3", "w4"], [2])
    assert [name for name, host in plan.hosts.items() if host.arguments["pause"]] == ["w1", "w2"]
    # The last wave only lifts cordons of an interrupted run. The control plane is upgraded already.
    plan = cluster_of(serial="2", w1={}, w2={}, w3=done, w4=done, ours=["w3", "w4"], current=["w3", "w4"])
    assert plan.rollout.workers == ["w1", "w2", "w3", "w4"]
    assert not any(host.arguments["pause"] for host in plan.hosts.values())


def test_a_wave_of_two_continues_where_it_was_interrupted() -> None:
    """The first node of the wave was upgraded, and both were still cordoned."""
    done = with_c2()["c2"]
    plan = cluster_of(serial="2", w1=done, w2={"kubeadm.operation": WORKER_MARKER}, ours=["w1", "w2"], current=["w1"])
    assert actions(plan) == {
        "c1": [],
        "w1": ["uncordon"],
        "w2": ["uncordon", "drain", "upgrade", "uncordon"],
    }
    order = plan.rollout
    assert (order.workers, order.batches) == (["w2", "w1"], [2])
    assert (order.returning_nodes, order.lifted_nodes) == (["w2", "w1"], ["w2"])
    assert order.drained_nodes == order.upgraded_nodes == ["w2"]


WORKER_MARKER = {**MARKER, "control_plane": False, "first": False}


def cluster_of(
    serial: str,
    down: Sequence[str] = (),
    ours: Sequence[str] = (),
    current: Sequence[str] = (),
    **workers: Change,
) -> Plan:
    """A plan for workers with an upgraded control plane.

    ``down`` are not ready, ``ours`` were cordoned by a run, and the kubelets of ``current`` have the target.
    """
    facts = changed(recorded("control-plane"), {**offer("1.36.2"), **wish("1.36"), **UPGRADED["c1"]})
    own, template = facts["kubeadm"]["api"]["nodes"]
    nodes = []
    for name in workers:
        cordon = {"unschedulable": True, "cordoned_by": YESTERDAY} if name in ours else {}
        version = {"kubelet_version": "1.36.2"} if name in current else {}
        nodes.append({**template, "name": name, "ready": name not in down, **cordon, **version})
    facts = changed(facts, {"kubeadm.api.nodes": [own, *nodes]})
    hosts = [registry.read_host("c1", True, facts)]
    for name, changes in workers.items():
        own_facts = changed(
            recorded("worker"), {**offer("1.36.2"), **wish("1.36"), "kubeadm.node_name": name, **changes}
        )
        hosts.append(registry.read_host(name, False, own_facts))
    plan = upgrade(Request(Inventory(["c1"], list(workers)), hosts, ["kube_packages"], serial=serial, pause="60"))
    assert not errors(plan)
    return plan


# -- waves


@pytest.mark.parametrize(
    ("serial", "hosts", "size"),
    [("1", 7, 1), ("3", 7, 3), ("20%", 7, 2), ("1%", 7, 1), ("100%", 7, 7), ("50%", 1, 1), ("20%", 0, 1)],
)
def test_percentages_are_rounded_up(serial: str, hosts: int, size: int) -> None:
    assert wave_size(serial, hosts) == size


@pytest.mark.parametrize("serial", ["0", "-1", "half", "101%", "", "1.5", "٣"])
def test_a_serial_that_is_not_one(serial: str) -> None:
    with pytest.raises(OptionError, match="upgrade_serial is"):
        wave_size(serial, 3)
    assert "upgrade_serial is" in errors(plan_of(serial=serial))[0]


@pytest.mark.parametrize("pause", ["-1", "1.5", "ten", "10m", "٣", "1234567"])
def test_a_pause_that_is_not_a_number_of_seconds(pause: str) -> None:
    (line,) = errors(plan_of(pause=pause))
    assert line == f"all: upgrade_pause is {pause!r}, not a number of seconds; use 600 for ten minutes"


# -- the name of the API


@pytest.mark.parametrize("limit", [(), ("c2",)])
def test_a_node_whose_hosts_file_lost_the_name_of_the_api_needs_site_first(limit: tuple[str, ...]) -> None:
    named = {"kubeadm.api.config.endpoint": "api.kubernetes.internal:6443"}
    block = {"api_endpoint": {"hosts": {"/etc/hosts": ["192.0.2.1 api.kubernetes.internal"]}}}
    lost = (
        "/etc/hosts does not have the block of this collection with api.kubernetes.internal, the name of the API; run "
        "site.yml for this host first"
    )
    changes = with_c2() if limit else {"c1": {}, "c2": {}}
    changes = {"c1": {**changes["c1"], **named}, "c2": {**changes["c2"], **block}}
    assert errors(plan_of(limit=limit, changes=changes)) == [f"c1: {lost}"]
    changes["c1"] = {**changes["c1"], **block}
    assert not errors(plan_of(limit=limit, changes=changes))
    changes["c2"] = {**changes["c2"], "api_endpoint": {"hosts": {"/etc/hosts": ["192.0.2.1 api.other.internal"]}}}
    assert errors(plan_of(limit=limit, changes=changes)) == [f"c2: {lost}"]


def test_an_interrupted_upgrade_is_not_sent_to_site_which_would_send_it_back() -> None:
    named = {"kubeadm.api.config.endpoint": "api.kubernetes.internal:6443"}
    block = {"api_endpoint": {"hosts": {"/etc/hosts": ["192.0.2.1 api.kubernetes.internal"]}}}
    plan = plan_of(changes={"c1": {**named, "kubeadm.operation": MARKER}, "c2": block})
    assert not errors(plan)
    (warning,) = [one for one in plan.findings if one.problem.check == "endpoint"]
    assert warning.host == "c1" and "add a line with the address of a control plane" in warning.problem.fix


def test_an_interrupted_worker_excuses_no_other_host() -> None:
    """site.yml can still be run for the others, and the marker may be a lie."""
    named = {"kubeadm.api.config.endpoint": "api.kubernetes.internal:6443"}
    interrupted = {"kubeadm.operation": {**MARKER, "control_plane": False, "first": False}}
    plan = plan_of(changes={"c1": named, "c2": interrupted})
    found = [(one.host, one.problem.level) for one in plan.findings if one.problem.check == "endpoint"]
    assert found == [("c1", "error"), ("c2", "warning")]
