# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan foresees of things that the run itself brings about, on facts recorded from real nodes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.action.kubeconfig import ActionModule
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import observe as containerd
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import plan as containerd_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import state as containerd_state
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.core import releases, versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.host import prepare as host
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as kube_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import manager as packages
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import (
    KubePackagesOptions,
    KubePackagesState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.bridge import BridgeOptions, BridgeState
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import HostPlan, Plan, Request, as_result
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.containerd.test_containerd import (
    OFFERED,
    carry_out,
    node,
)
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import (
    BARE,
    LIVE,
    changed,
    judge,
    recorded,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

# What signed the packages of the recorded repository.
SIGNER = "D74F5542990591D3743FFF20D4EEA38A7A3E2331"


def lines(steps: list[Step], component: str) -> list[str]:
    return [step.summary() for step in steps if step.component == component]


# -- the cluster


def test_a_bare_control_plane_gets_a_kubeconfig_and_a_network_with_its_init() -> None:
    plan = judge(BARE)
    made, kubeconfigs = lines(plan.steps["a1"], "control_plane")
    assert made.startswith("init a1 (no cluster on this host; version 1.20.2, pods 10.244.0.0/16")
    assert kubeconfigs == "write kubeconfig /home/admin/.kube/config (the kubeconfig does not exist)"
    for name in ("a1", "a2"):
        assert lines(plan.steps[name], "cni") == [
            "configure /etc/cni/net.d/10-kubestead.conflist (its pod range is known after it has joined)"
        ]
    assert list(plan.joining_nodes) == [
        Node("a1", addresses=["10.213.0.38"], expected=True),
        Node("a2", addresses=["10.213.0.39"], expected=True),
    ]
    assert [host.kubeadm_version for host in plan.hosts.values()] == ["1.20.2", "1.20.2"]


def test_all_packages_come_in_one_transaction_where_both_roles_are_used() -> None:
    plan = judge(BARE)
    transactions = [step for step in plan.steps["a2"] if step.action == "install"]
    assert [step.component for step in transactions] == ["kube_packages"]
    assert transactions[0].target.split()[-1] == "containerd"
    assert transactions[0].data["specs"][-1] == "containerd"
    assert [host.extra_packages for host in plan.hosts.values()] == [("containerd",), ("containerd",)]
    # What is held are the kube packages alone.
    assert "containerd" not in next(step.target for step in plan.steps["a2"] if step.action == "hold").split()


def test_containerd_alone_is_installed_by_its_own_role() -> None:
    plan = judge(BARE, wanted=("host", "containerd"))
    assert [step.component for step in plan.steps["a2"] if step.action == "install"] == ["containerd"]
    assert [host.extra_packages for host in plan.hosts.values()] == [(), ()]


def test_a_control_plane_that_joins_anew_comes_back_with_another_range() -> None:
    """Its join was cut off when its Node was in the API already."""
    api = recorded(LIVE["c1"])["kubeadm"]["api"]
    node = {**api["nodes"][1], "name": "c3", "ready": False, "pod_cidrs": ["10.244.77.0/24"]}
    node["addresses"] = ["10.213.0.77"]
    begun = {
        "kind": "join",
        "began": "2026-11-26T09:13:58Z",
        "control_plane": True,
        "endpoint": "c1:6443",
        "ca_cert_hashes": [recorded(LIVE["c1"])["kubeadm"]["ca_cert_hash"]],
        "preexisting_pki": [],
    }
    cut_off = {"kubeadm.phase": "partial", "kubeadm.kubelet_conf": True, "kubeadm.operation": begun}
    cut_off["kubeadm.ca_cert_hash"] = begun["ca_cert_hashes"][0]
    changes = {"c1": {"kubeadm.api.nodes": [*api["nodes"], node]}, "c3": {**cut_off, "kubeadm.admin_conf": True}}
    plan = judge(LIVE, changes)
    assert [step.action for step in plan.steps["c3"] if step.component == "join"] == ["clean", "join"]
    assert [one.name for one in plan.joining_nodes] == ["c3"]
    assert "add route to the pods of c3 (c3 joins)" in lines(plan.steps["c1"], "cni")
    # A worker's Node stays where it is, with its range.
    plan = judge(LIVE, {**changes, "c3": {**cut_off, "kubeadm.admin_conf": False}})
    assert not plan.joining_nodes
    assert "add route to the pods of c3 (c3 joins)" not in lines(plan.steps["c1"], "cni")


def test_a_node_that_is_not_ready_yet_is_waited_for() -> None:
    unready = {"ready": False, "not_ready_reason": "container runtime network not ready: cni plugin not initialized"}
    nodes = [
        {**one, **unready} if one["name"] == "c2" else one for one in recorded(LIVE["c1"])["kubeadm"]["api"]["nodes"]
    ]
    there = {name: which for name, which in LIVE.items() if name != "c3"}
    plan = judge(there, {"c1": {"kubeadm.api.nodes": nodes}})
    assert plan.steps["c1"] == []
    assert [step.summary() for step in plan.steps["c2"]] == [
        "wait for the node (not ready: container runtime network not ready: cni plugin not initialized)"
    ]
    # One whose kubelet is silent is not.
    silent = [{**one, "silent": not one["ready"]} for one in nodes]
    assert judge(there, {"c1": {"kubeadm.api.nodes": silent}}).steps["c2"] == []


def test_existing_nodes_get_a_route_to_the_one_that_joins() -> None:
    plan = judge(LIVE)
    assert plan.joins == ["c3"]
    for name in ("c1", "c2"):
        assert [step.summary() for step in plan.steps[name]] == ["add route to the pods of c3 (c3 joins)"]
    assert lines(plan.steps["c3"], "cni") == [
        "configure /etc/cni/net.d/10-kubestead.conflist (its pod range is known after it has joined)"
    ]


def test_a_node_that_is_in_the_api_is_no_node_to_come() -> None:
    """It was reset and not deleted: its range stays, so nobody's routes change."""

    def with_c3(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return nodes + [dict(nodes[1], name="c3", pod_cidrs=["10.244.2.0/24"], addresses=["10.213.0.42"], ready=False)]

    route = {"destination": "10.244.2.0/24", "gateway": "10.213.0.42"}
    unit = {
        name: recorded(LIVE[name])["cni"]["bridge"]["unit"].replace(
            "ExecStart=-/usr/sbin/iptables -w -t nat",
            "ExecStart=-/sbin/ip -4 route replace 10.244.2.0/24 via 10.213.0.42 proto 107\n"
            "ExecStart=-/usr/sbin/iptables -w -t nat",
            1,
        )
        for name in ("c1", "c2")
    }
    changes: dict[str, dict[str, Any]] = {
        name: {"cni.bridge.routes": lambda routes: routes + [route], "cni.bridge.unit": unit[name]} for name in unit
    }
    changes["c1"]["kubeadm.api.nodes"] = with_c3
    plan = judge(LIVE, changes)
    assert not plan.errors
    assert plan.joins == ["c3"] and not plan.joining_nodes
    assert plan.steps["c1"] == plan.steps["c2"] == []


def test_the_summary_says_what_happens_and_why_a_line_each() -> None:
    summary = judge(LIVE, limit={"c3"}).summary()
    assert "c3: join as worker (no kubelet.conf; not in the API)" in summary
    assert Plan("converge", hosts={"c1": HostPlan()}).summary() == ["c1: nothing to do"]


# -- the cluster that is decided once


def test_a_dual_stack_cluster_keeps_ipv6_forwarding_when_the_variable_is_emptied() -> None:
    """The README allows to empty it: a cluster keeps the range that it was made with."""
    dual = "10.244.0.0/16,fd00:10:244::/56"

    def facts(pod_cidr: str) -> dict[str, dict[str, Any]]:
        options = {f"options.{name}.pod_cidr": pod_cidr for name in ("host", "control_plane", "cni")}
        return {"*": options, "c1": {"kubeadm.api.config.pod_cidr": dual}}

    def file_of(plan: Plan, name: str) -> str:
        return "".join(step.after for step in plan.steps[name] if step.target == host.SYSCTL_FILE)

    written = file_of(judge(LIVE, facts(dual), wanted=("host",)), "c2")
    assert "net.ipv6.conf.all.forwarding = 1" in written
    emptied = facts("")
    live = {**recorded("worker")["host"]["sysctls"], "net.ipv6.conf.all.forwarding": "1"}
    emptied["c2"] = {"host.sysctl_file": written, "host.sysctls": live}
    plan = judge(LIVE, emptied, wanted=("host",))
    assert plan.steps["c2"] == [], "a node keeps its forwarding"
    assert file_of(plan, "c3") == written, "a new node gets it"


# -- disruption


def test_members_whose_runtime_restarts_go_one_by_one() -> None:
    edited = {"containerd.config": lambda config: json.loads(json.dumps(config).replace("pause:3.10.1", "pause:3.9"))}
    plan = judge(LIVE, {"c1": edited, "c2": edited, "c3": edited})
    for name in ("c1", "c2"):
        assert [step.disruptive for step in plan.steps[name] if step.action == "restart"] == [True], name
    # c3 is no member: nobody's pods run there.
    assert {name: one.disruptive for name, one in plan.hosts.items()} == {"c1": True, "c2": True, "c3": False}
    assert plan.waves == [["c3"], ["c1"], ["c2"]]
    result = as_result(plan, CniOptions(plugin="bridge"))
    assert [result["hosts"][name]["wave"] for name in LIVE] == [1, 2, 0]
    assert [result["hosts"][name]["disruptive"] for name in LIVE] == [True, True, False]
    (restart,) = [step for step in result["hosts"]["c1"]["steps"] if step["action"] == "restart"]
    assert restart["disruptive"] is True


def test_what_disturbs_nobody_is_done_everywhere_at_once() -> None:
    plan = judge(LIVE, {"*": {"kube_packages.enabled": False}})
    assert all(plan.steps.values()) and plan.waves == [list(LIVE)]


def test_a_runtime_that_does_not_run_is_not_disturbed() -> None:
    stopped = {"containerd.active": False}
    plan = judge(LIVE, {"c2": stopped})
    assert [step.disruptive for step in plan.steps["c2"] if step.action == "restart"] == [False]


# -- the result


def test_the_result_has_what_roles_read() -> None:
    result = as_result(judge(LIVE), CniOptions(plugin="bridge"))
    assert (result["operation"], result["roles"]) == ("converge", list(registry.NAMES))
    assert (result["api_host"], result["init_host"], result["joins"]) == ("c1", "", ["c3"])
    assert result["cluster"]["nodes"] == ["c1", "c2"] and result["cluster"]["exists"] is True
    assert result["pod_network"]["bridge"] is True and result["pod_network"]["plugin"] == "bridge"
    assert result["joining_nodes"] == [{"name": "c3", "addresses": [recorded("newcomer")["node"]["default_address"]]}]
    new = result["hosts"]["c3"]
    assert new["todo"]["join"] is True and new["joins_as"] == "worker" and new["node_name"] == "c3"
    assert new["idle_before_join"] is False and new["idle_after_join"] is False
    member = result["hosts"]["c1"]
    assert (member["idle_before_join"], member["idle_after_join"], member["joins_as"]) == (True, False, "")
    assert (result["idle_before_join"], result["idle_after_join"]) == (False, False)
    assert "nodes" not in member["cluster"] and member["cluster"]["pod_cidr"] == "10.244.0.0/16"
    assert json.loads(json.dumps(result)) == result


def test_a_host_with_nothing_to_do_is_idle_unless_it_applies_calico() -> None:
    there = {name: which for name, which in LIVE.items() if name != "c3"}
    plan = judge(there)
    bridge_result = as_result(plan, CniOptions(plugin="bridge"))
    assert all(one["idle_before_join"] and one["idle_after_join"] for one in bridge_result["hosts"].values())
    assert bridge_result["idle_before_join"] and bridge_result["idle_after_join"]
    calico = as_result(plan, CniOptions(plugin="calico"))
    assert [calico["hosts"][name]["idle_after_join"] for name in there] == [False, True]
    assert calico["idle_before_join"] and not calico["idle_after_join"]


# -- the kubeconfig


def test_the_kubeconfig_of_an_init_to_come_is_told_by_its_server() -> None:
    server = "https://api.kubernetes.internal:6443"
    earlier = {"digest": "x", "servers": [server], "ca_cert_hashes": ["sha256:old"]}
    plan = judge(BARE, {"a1": {"kubeconfig.existing": earlier}})
    assert lines(plan.steps["a1"], "control_plane")[1:] == [
        f"write kubeconfig /home/admin/.kube/config (for an earlier cluster at {server}; "
        "a copy is kept in /home/admin/.kube/config.before-kubestead)"
    ]
    foreign = dict(earlier, servers=["https://192.0.2.9:6443"])
    assert len(lines(judge(BARE, {"a1": {"kubeconfig.existing": foreign}}).steps["a1"], "control_plane")) == 1


def test_a_control_plane_that_joins_gets_one_too() -> None:
    shared = {
        "kubeadm.api.config": lambda config: dict(config, endpoint="10.213.0.40:6443"),
    }
    hosts = [
        dataclasses.replace(one, control_plane=True) if one.name == "c3" else one for one in _hosts({"c1": shared})
    ]
    plan = converge(Request(Inventory(["c1", "c3"], ["c2"]), hosts, ["control_plane", "join", "cni"]))
    assert plan.control_plane_joins == ["c3"]
    assert lines(plan.steps["c3"], "control_plane") == [
        "write kubeconfig /home/admin/.kube/config (the kubeconfig does not exist)"
    ]


def _hosts(changes: dict[str, Any]) -> list[Host]:
    return [
        registry.read_host(name, name == "c1", changed(recorded(recording), changes.get(name, {})))
        for name, recording in LIVE.items()
    ]


def test_the_control_machines_copy_is_foreseen(tmp_path: Path) -> None:
    wanted = kubeconfig.expected("10.213.0.38", 6443)
    options = KubeconfigOptions(copy_to=str(tmp_path / "copy"))
    (step,) = kubeconfig_copy.copy_steps(System(), options, wanted)
    assert step.summary() == f"write kubeconfig {tmp_path}/copy (the kubeconfig does not exist)"
    assert kubeconfig_copy.copy_steps(System(), KubeconfigOptions(), wanted) == []
    foreign = fixture("kubeadm/v1.35/admin.conf")
    (tmp_path / "copy").write_text(foreign)
    assert kubeconfig_copy.copy_steps(System(), options, wanted) == []


def test_no_temporary_folder_is_made_on_a_host_for_a_kubeconfig() -> None:
    assert ActionModule.TRANSFERS_FILES is False


# -- the packages


def test_the_kubeadm_to_come_is_the_one_the_repository_has() -> None:
    facts = recorded("newcomer")["kube_packages"]
    state = from_dict(KubePackagesState, facts)
    asked = KubePackagesOptions(version="1.35.0", key_fingerprint=SIGNER)
    assert kube_plan.planned_packages(state, asked)["kubeadm"].startswith("1.35.0-")
    assert kube_plan.planned_packages(state, KubePackagesOptions(version="1.34.9", key_fingerprint=SIGNER)) == {}
    there = from_dict(KubePackagesState, recorded("worker")["kube_packages"])
    assert kube_plan.planned_packages(there, KubePackagesOptions(version="1.35.0", key_fingerprint=SIGNER)) == {}
    coming = kubeadm.assume_version(KubeadmState(installed_version="1.20.2", config_api="v1beta2"), "1.35.0")
    assert (coming.installed_version, coming.config_api) == ("1.35.0", "v1beta4")
    assert kubeadm.assume_version(coming, "") == coming


def test_a_kubeadm_of_another_minor_does_not_forbid_an_init_that_comes_after_its_packages() -> None:
    old = {"kubeadm.installed_version": "1.19.0", "kubeadm.config_api": "v1beta2"}
    plan = judge(BARE, {"a1": old})
    assert not plan.errors and plan.hosts["a1"].kubeadm_version == "1.20.2"
    # Where the play installs no packages, kubeadm stays what it is.
    assert judge(BARE, {"a1": old}, wanted=("control_plane",)).hosts["a1"].kubeadm_version == "1.19.0"


def test_plugins_that_a_package_brings_are_not_missed() -> None:
    lost = {
        "cni.bridge.missing_plugins": ["bridge"],
        "kube_packages.installed": lambda found: {k: v for k, v in found.items() if k != "kubernetes-cni"},
        "kube_packages.repository": recorded("newcomer")["kube_packages"]["repository"],
    }
    plan = judge(LIVE, {"c2": lost})
    assert not plan.errors
    assert any(one.startswith("install kubernetes-cni") for one in lines(plan.steps["c2"], "kube_packages"))
    assert judge(LIVE, {"c2": {"cni.bridge.missing_plugins": ["bridge"]}}).errors


def test_looking_at_what_apt_offers_writes_no_cache(machine: Machine) -> None:
    machine.answer("apt-cache", fixture("packages/apt-cache-policy.txt"))
    assert packages.policy(machine, ["ipvsadm"])["ipvsadm"] == ["1:1.31-1+b1"]
    assert machine.ran == [
        ["apt-cache", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "policy", "ipvsadm"]
    ]


# -- containerd


@pytest.mark.parametrize(
    ("version", "tag"),
    [
        ("1.20.2", "3.2"),
        ("1.23.17", "3.6"),
        ("1.30.6", "3.9"),
        ("1.31.2", "3.10"),
        ("1.35.0", "3.10.1"),
        ("1.99.0", ""),
    ],
)
def test_the_pause_image_of_a_kubeadm_that_is_not_there(version: str, tag: str) -> None:
    """From 1.22 to 1.31 as Kubernetes' releases had it; a later one than is known gets the last that is."""
    parsed = versions.parse(version)
    assert parsed and releases.pause_tag(parsed) == (tag or "3.10.1")


def test_the_sandbox_image_is_foreseen_as_kubeadm_itself_names_it(machine: Machine) -> None:
    node(machine)
    repository = "registry.example.com/k8s"
    before = containerd.observe(machine, repository)
    machine.answer("kubeadm version -o short", "v1.35.0\n")
    machine.answer("kubeadm config images list", fixture("containerd/images-1.35.0.txt"))
    after = containerd.observe(machine, repository)
    assert containerd_plan.assume_version(before, "1.35.0", repository) == after
    # What the installed kubeadm says of itself is not replaced.
    odd = dataclasses.replace(after, kubeadm_sandbox="x/pause:9")
    assert containerd_plan.assume_version(odd, "1.35.0", repository) == odd
    assert containerd_plan.assume_version(before, "", repository) == before


def test_the_plan_of_a_containerd_that_was_made_for_another_kubeadm() -> None:
    """It restarts in the run that brings the kubeadm, not in the next one."""
    live = recorded("worker")["containerd"]
    config = json.loads(json.dumps(live["config"]).replace("pause:3.10.1", "pause:3.9"))
    left = dict(live, config=config, kubeadm_sandbox="registry.k8s.io/pause:3.9", kubeadm_version="1.30.1")
    plan = judge(LIVE, {"c3": {"containerd": left}})
    assert lines(plan.steps["c3"], "containerd")[-1].startswith(
        "restart containerd.service (sandbox_image registry.k8s.io/pause:3.9 -> registry.k8s.io/pause:3.10.1"
    )
    alone = judge(LIVE, {"c3": {"containerd": left}}, wanted=("containerd",))
    assert alone.steps["c3"] == []


@pytest.fixture
def left(machine: Machine) -> Machine:
    """A machine that was configured here, and whose containerd was removed afterwards."""
    node(machine)
    carry_out(machine)
    bare = Machine(machine.folder)
    bare.answer("apt-cache", OFFERED.format("containerd", "1.6.20~ds1-1+b1"))
    return bare


def planned(machine: Machine, **options: Any) -> list[str]:
    return [step.action for step in containerd_plan.plan(containerd.observe(machine), ContainerdOptions(**options))]


def test_a_configuration_that_a_removed_package_left_needs_no_restart(left: Machine) -> None:
    assert planned(left) == ["install"]
    assert planned(left, sandbox_image="x/pause:1") == ["install", "write_config", "restart"]
    left.answer("apt-cache", "")
    assert planned(left) == ["install"]


@pytest.mark.parametrize("offered", ["2.1.4-1", "2.3.7-1"])
def test_a_configuration_of_another_version_is_written_anew(left: Machine, offered: str) -> None:
    left.answer("apt-cache", OFFERED.format("containerd", offered))
    assert planned(left) == ["install", "write_config", "restart"]


def test_a_configuration_of_somebody_else_is_written_anew(left: Machine) -> None:
    left.put(containerd_state.CONFIG, fixture("containerd/debian-12.toml"))
    assert planned(left) == ["install", "write_config", "restart"]


def test_a_package_of_the_rhel_family_starts_nothing(left: Machine) -> None:
    state = dataclasses.replace(containerd.observe(left), debian=False)
    assert [step.action for step in containerd_plan.plan(state, ContainerdOptions())] == [
        "install",
        "write_config",
        "restart",
    ]


@pytest.mark.parametrize(("binary", "schema"), [("1.7.35", 2), ("2.1.9", 3), ("2.3.7", 4), ("2.4.2", 4)])
def test_the_schema_of_a_package_is_that_of_its_binary(binary: str, schema: int) -> None:
    assert containerd_plan._schema_of(f"1:{binary}-1~debian.12") == containerd_plan._schema_of(binary) == schema


# -- the bridge network


def test_only_nodes_that_are_not_there_are_foreseen() -> None:
    there = [Node("cp1", ["10.244.0.0/24"], ["192.0.2.1"], True)]
    both = kube_nodes.with_joining(there, [Node("cp1"), Node("w1", addresses=["192.0.2.2"])])
    assert both == [there[0], Node("w1", addresses=["192.0.2.2"], expected=True)]
    state = BridgeState(node_name="w1")
    (step,) = bridge.plan(state, BridgeOptions("10.244.0.0/16", both))
    assert (step.action, step.target) == ("configure", bridge.CONFLIST)


# -- what a difference may show


def test_passwords_in_fstab_are_neither_shown_nor_lost(machine: Machine) -> None:
    share = "//nas/share /mnt cifs noauto,user=me,password=geheim,vers=3 0 0\n"
    other = (
        "//nas/b /b cifs pass=geheim 0 0\n"
        "mon:/ /ceph ceph name=admin,secret=geheim,_netdev 0 0\n"
        "//nas/c /c cifs user=me%geheim 0 0\n"
        "https://me:geheim@nas/d /d davfs user 0 0\n"
        "//nas/e /e cifs username=me,password=a,geheim 0 0\n"
    )
    machine.put(host.FSTAB, share + other + "/swap none swap sw 0 0\n")
    state = host.observe(machine, [], [])
    assert "geheim" not in repr(state) and state.fstab.strip() == "/swap none swap sw 0 0"
    step = next(step for step in host.plan(state, host.HostOptions()) if step.target == host.FSTAB)
    assert "geheim" not in step.before + step.after
    machine.answer("systemctl daemon-reload", "")
    host.apply(step, machine)
    text = machine.read(host.FSTAB) or ""
    assert text.startswith(share + other + "# Disabled by kubestead.cluster: ")
    assert text.endswith("\n#/swap none swap sw 0 0\n")
