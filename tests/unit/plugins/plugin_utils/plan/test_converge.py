# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules across hosts: who initialises, who joins, and what stops a run before anything changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.state import ContainerdState
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import COMPONENTS
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.host.facts import Address, NodeState
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterApi, ClusterConfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.health import Health
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, NONE, PARTIAL, KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Facts, Host, Options
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import planners
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import HostPlan, Plan, Request, as_result
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.waves import parallel_findings, waves_of

# What one machine needs for itself is tested on facts of real nodes.
ALL = ["control_plane", "join", "cni"]
ROOT = Path(__file__).resolve().parents[5]
HASH = "sha256:" + "a" * 64


def machine(number: int, *more: str) -> NodeState:
    addresses = [Address("eth0", f"192.0.2.{number}", f"192.0.2.{number}/24")]
    addresses += [Address("eth1", text.split("/")[0], text) for text in more]
    return NodeState(hostname=f"h{number}", addresses=addresses, default_address=f"192.0.2.{number}")


def bare(name: str) -> KubeadmState:
    return KubeadmState(installed_version="1.36.2", node_name=name, phase=NONE)


def joined(name: str) -> KubeadmState:
    return KubeadmState(
        node_name=name,
        phase=DONE,
        role="worker",
        kubelet_conf=True,
        ca_cert_hash=HASH,
        finished=True,
        server="https://192.0.2.1:6443",
    )


PODS = list(COMPONENTS)
COMPLETE = KubeadmState(phase=PARTIAL, role="control_plane", finished=True, manifests=PODS)
HEALTHY = Health(True, "", "https://192.0.2.1:6443")


def live(
    *nodes: str, endpoint: str = "", pod_cidr: str = "10.244.0.0/16", service_cidr: str = "10.96.0.0/12"
) -> KubeadmState:
    config = ClusterConfig("1.36.2", endpoint, pod_cidr, service_cidr, "cluster.local", "registry.k8s.io")
    members = [Node(name, ready=True, kubelet_version="1.36.2") for name in nodes]
    api = ClusterApi(live=True, server_version="1.36.2", config=config, nodes=members)
    return KubeadmState(
        node_name="cp1",
        phase=DONE,
        role="control_plane",
        ca_cert_hash=HASH,
        finished=True,
        manifests=PODS,
        api=api,
        local_api=HEALTHY,
    )


def host(name: str, kubeadm: KubeadmState | None = None, **options: Any) -> Host:
    number = sum(map(ord, name)) % 200 + 1
    more = options.pop("addresses", ())
    options.setdefault("pod_cidr", "")
    runtime = ContainerdState(version="2.1.4", cri="ok")
    facts = Facts(node=machine(number, *more), kubeadm=kubeadm or bare(name), containerd=runtime)
    return Host(name, name.startswith("cp"), facts, Options(control_plane=ControlPlaneOptions(**options)))


def plan(
    hosts: list[Host],
    outside: list[tuple[str, KubeadmState]] | None = None,
    components: list[str] | None = None,
    inventory: Inventory | None = None,
) -> Plan:
    whole = Inventory(
        [one.name for one in hosts if one.control_plane], [one.name for one in hosts if not one.control_plane]
    )
    others = [host(name, state) for name, state in outside or []]
    return converge(Request(inventory or whole, hosts, components or ALL, others))


def lines(result: Plan) -> list[str]:
    return [finding.line() for finding in result.errors]


def test_bare_hosts_the_first_control_plane_initialises_and_the_rest_join() -> None:
    result = plan([host("cp1"), host("w1"), host("w2")])
    assert not result.findings
    assert (result.init_host, result.api_host) == ("cp1", "cp1")
    assert result.joins == ["w1", "w2"]
    assert [step.action for step in result.steps["cp1"]] == ["init"]
    assert result.steps["w2"][0].summary() == "join as worker (no kubelet.conf; not in the API)"
    assert result.cluster.pod_cidr == "10.244.0.0/16"


def test_a_complete_cluster_asks_for_nothing() -> None:
    result = plan([host("cp1", live("cp1", "w1")), host("w1", joined("w1"))])
    assert not result.findings
    assert (result.init_host, result.joins) == ("", [])
    assert result.steps == {"cp1": [], "w1": []}
    assert result.cluster.exists is True


@pytest.mark.parametrize("owner", ["kubestead.cluster remove: w1", "kubestead.cluster upgrade: to 1.36.2", ""])
def test_a_cordon_that_an_abandoned_run_left_is_named_with_the_command_that_lifts_it(owner: str) -> None:
    """The Node may be outside the play. A cordon of the user has no owner and is not reported."""
    state = live("cp1", "w1", "w2")
    nodes = [replace(one, unschedulable=one.name == "w1", cordoned_by=owner) for one in state.api.nodes]
    state = replace(state, api=replace(state.api, nodes=nodes))
    inventory = Inventory(["cp1"], ["w1", "w2"])
    result = plan([host("cp1", state), host("w2", joined("w2"))], inventory=inventory)
    expected = (
        f"all: node w1 was cordoned by another run ({owner}) and stays cordoned; "
        "if that run was killed, repeat its command, or run 'kubectl uncordon w1'"
    )
    assert [one.line() for one in result.findings] == [expected] * bool(owner)
    assert not result.errors


def test_a_new_worker_joins_with_the_control_plane_outside_the_limit() -> None:
    inventory = Inventory(["cp1"], ["w1", "w2"])
    result = plan([host("w2")], outside=[("cp1", live("cp1", "w1"))], inventory=inventory)
    assert not result.findings
    assert (result.api_host, result.joins, result.init_host) == ("cp1", ["w2"], "")


def test_a_limit_that_leaves_out_a_dead_control_plane_is_refused() -> None:
    dead = KubeadmState(phase=PARTIAL, api=ClusterApi(reason="refused"))
    result = plan([host("w2")], outside=[("cp1", dead)], inventory=Inventory(["cp1"], ["w1", "w2"]))
    assert lines(result) == [
        "all: no control plane answers; tried cp1; run site.yml without --limit first, "
        "or find out why the API server is down"
    ]


def test_a_second_control_plane_that_lives_answers_when_the_first_does_not() -> None:
    dead = KubeadmState(
        phase=PARTIAL, role="control_plane", finished=True, manifests=PODS, node_name="cp1", ca_cert_hash=HASH
    )
    hosts = [
        host("cp1", dead, endpoint="k8s:6443"),
        host("cp2", live("cp1", "cp2", endpoint="k8s:6443"), endpoint="k8s:6443"),
        host("w1"),
    ]
    result = plan(hosts)
    assert not result.errors
    assert (result.api_host, result.joins) == ("cp2", ["w1"])


def test_no_new_cluster_is_made_beside_one_that_is_down() -> None:
    dead = KubeadmState(
        phase=PARTIAL, role="control_plane", finished=True, manifests=PODS, api=ClusterApi(reason="connection refused")
    )
    result = plan([host("cp1", dead), host("w1")])
    assert len(result.errors) == 1
    assert "the API server of this control plane does not answer: connection refused" in lines(result)[0]
    assert not result.init_host


def test_a_half_done_init_is_reported_and_never_overrun() -> None:
    half = KubeadmState(phase=PARTIAL, reason="found certificates; missing admin.conf", node_name="cp1")
    result = plan([host("cp1", half), host("w1")])
    assert (
        "cp1: a kubeadm run on cp1 was interrupted: found certificates; missing admin.conf; check the host"
        in lines(result)[0]
    )
    assert not result.init_host


BEGUN = Operation(operation.INIT, began="2026-11-23T12:00:00Z")
#: An init of ours that was cut off when its API server answered already.
ANSWERS = replace(
    live("cp1"),
    phase=PARTIAL,
    operation=BEGUN,
    reached="upload-config",
    kubelet_conf=True,
    manifests=["kube-apiserver", "kube-controller-manager", "kube-scheduler"],
)


def test_an_init_of_ours_that_was_cut_off_goes_on_and_is_no_cluster_yet() -> None:
    result = plan([host("cp1", ANSWERS), host("w1")])
    assert not result.errors
    assert (result.init_host, result.joins, result.cluster.exists) == ("cp1", ["w1"], False)
    assert [step.summary() for step in result.steps["cp1"]] == [
        "continue cp1 (the init started at 2026-11-23T12:00:00Z was interrupted after phase upload-config)"
    ]
    result = plan([host("w1")], outside=[("cp1", ANSWERS)], inventory=Inventory(["cp1"], ["w1"]))
    assert lines(result)[0].startswith("all: no control plane answers; tried cp1; run site.yml without --limit first")


def test_an_init_of_ours_goes_on_where_it_was_begun() -> None:
    hosts = [host("cp1", endpoint="k8s:6443"), host("cp2", replace(ANSWERS, node_name="cp2"), endpoint="k8s:6443")]
    result = plan([*hosts, host("w1")])
    assert not result.errors
    assert (result.init_host, result.control_plane_joins) == ("cp2", ["cp1"])


def test_an_init_of_ours_that_was_complete_but_is_down_is_brought_up_not_reported() -> None:
    down = replace(ANSWERS, finished=True, api=ClusterApi(reason="refused"))
    result = plan([host("cp1", down), host("w1")])
    assert not result.errors
    assert [step.action for step in result.steps["cp1"]] == ["continue"]


def test_a_join_that_only_lacks_its_end_gets_it() -> None:
    ended = replace(
        joined("w1"), operation=Operation(operation.JOIN, began="2026-11-23T12:00:00Z", ca_cert_hashes=[HASH])
    )
    result = plan([host("cp1", live("cp1", "w1")), host("w1", ended)])
    assert not result.errors
    assert result.joins == ["w1"]
    assert result.steps["w1"][0].summary() == "finish w1 (the join started at 2026-11-23T12:00:00Z has finished)"


def test_a_ca_of_the_users_own_is_no_half_done_init() -> None:
    own = KubeadmState(phase=PARTIAL, own_ca=True, node_name="cp1")
    assert plan([host("cp1", own), host("w1")]).init_host == "cp1"


def test_two_control_planes_join_one_after_the_other() -> None:
    fine = plan([host("cp1", endpoint="k8s:6443"), host("cp2", endpoint="k8s:6443"), host("w1", endpoint="k8s:6443")])
    assert not fine.errors
    assert (fine.joins, fine.control_plane_joins, fine.worker_joins) == (["cp2", "w1"], ["cp2"], ["w1"])


def test_a_cluster_without_an_endpoint_takes_no_second_control_plane() -> None:
    result = plan([host("cp1", live("cp1"), endpoint="k8s:6443"), host("cp2", endpoint="k8s:6443")])
    assert "created without an endpoint" in lines(result)[0]


@pytest.mark.parametrize("where", ["192.0.2.77/24", "10.244.7.9/24", "10.244.7.9/8"])
def test_a_pod_range_a_host_lives_in_is_refused(where: str) -> None:
    cidr = "192.0.2.0/24" if where.startswith("192") else "10.244.0.0/16"
    result = plan(
        [
            host("cp1", pod_cidr=cidr, service_cidr="172.20.0.0/16"),
            host("w1", pod_cidr=cidr, service_cidr="172.20.0.0/16", addresses=[where]),
        ]
    )
    assert any(line.startswith(f"w1: cluster_pod_cidr {cidr} overlaps with ") for line in lines(result))
    assert result.steps == {"cp1": [], "w1": []}


def test_a_pod_range_within_the_network_of_a_host_is_only_warned_of() -> None:
    """As for a host at 10.0.0.9/8: only machines of that network with an address of the range are out of reach."""
    ranges = {"pod_cidr": "10.244.0.0/16", "service_cidr": "172.20.0.0/16"}
    result = plan([host("cp1", **ranges), host("w1", addresses=["10.0.0.9/8"], **ranges)])
    assert not result.errors and result.joins == ["w1"]
    (line,) = [one.line() for one in result.findings if one.problem.check == "pod_cidr_overlap"]
    assert "overlaps with 10.0.0.9/8 on " in line and "will be unreachable" in line


def test_the_default_pod_range_moves_away_from_a_host_that_lives_there() -> None:
    result = plan([host("cp1"), host("w1", addresses=["10.244.7.9/24"])])
    assert not result.errors
    assert result.cluster.pod_cidr == "10.245.0.0/16"


def test_a_service_range_a_host_lives_in_is_refused() -> None:
    result = plan([host("cp1"), host("w1", addresses=["10.100.0.4/24"])])
    assert lines(result) == [
        "w1: cluster_service_cidr 10.96.0.0/12 overlaps with 10.100.0.4/24 on eth1 of this host; "
        "set cluster_service_cidr to a range that no host uses"
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pod_cidr": "10.244.0.0"}, "cluster_pod_cidr 10.244.0.0/32"),
        ({"pod_cidr": "10.244.0.0/99"}, "cluster_pod_cidr is '10.244.0.0/99', not a CIDR range"),
        (
            {"pod_cidr": "10.100.0.0/16"},
            "cluster_pod_cidr 10.100.0.0/16 overlaps with cluster_service_cidr 10.96.0.0/12",
        ),
        ({"kubernetes_version": "newest"}, "cluster_kubernetes_version is 'newest', not a Kubernetes version"),
        ({"endpoint": "https://x"}, "cluster_endpoint is 'https://x'"),
        ({"node_address": "eth0"}, "cluster_node_address is 'eth0', not an IP address"),
    ],
)
def test_bad_options_stop_the_run_with_host_option_and_fix(options: dict[str, str], text: str) -> None:
    if text.endswith("/32"):
        # A lone address is a range of one: too small for any node.
        text = "cluster_pod_cidr is '10.244.0.0'"
    result = plan([host("cp1", **options), host("w1")])
    assert len(result.errors) == 1
    assert lines(result)[0].startswith(f"cp1: {text}")
    assert "; " in lines(result)[0]
    assert not result.joins


def test_one_machine_that_runs_applications_too_is_not_warned_of() -> None:
    alone = plan([host("cp1")], inventory=Inventory(["cp1"], []))
    assert [one.problem.check for one in alone.findings] == ["groups"]
    assert not plan([host("cp1", taints=[])], inventory=Inventory(["cp1"], [])).findings


def test_groups() -> None:
    assert lines(plan([host("w1")], inventory=Inventory([], ["w1"]))) == [
        "all: the group control_plane is empty; add at least one host to the group control_plane "
        "(see inventories/example)"
    ]
    both = plan([host("cp1"), host("w1")], inventory=Inventory(["cp1", "w1"], ["w1"]))
    assert lines(both)[0].startswith("w1: is in both groups")
    alone = plan([host("cp1")])
    assert not alone.errors and alone.findings[0].problem.level == "warning"


def test_nodes_of_other_clusters_and_taken_names_are_refused() -> None:
    foreign = KubeadmState(
        phase=DONE,
        role="worker",
        node_name="w1",
        ca_cert_hash="sha256:" + "b" * 64,
        finished=True,
        server="https://other:6443",
    )
    result = plan([host("cp1", live("cp1", "w1")), host("w1", foreign)])
    assert "is a node of another cluster (https://other:6443)" in lines(result)[0]
    taken = plan([host("cp1", live("cp1", "w1")), host("w9", bare("w1"))])
    assert "w9: would join as w1, but the cluster has a ready node with this name" in lines(taken)[0]
    twins = plan([host("cp1"), host("w1", bare("same")), host("w2", bare("same"))])
    assert lines(twins) == ["w2: has the same host name as w1 (same); give each host a unique name"]


def test_a_node_somebody_removed_is_reported() -> None:
    result = plan([host("cp1", live("cp1")), host("w1", joined("w1"))])
    assert "w1: has joined (kubelet.conf exists), but the cluster does not have a Node w1" in lines(result)[0]


def test_ranges_that_differ_from_the_running_cluster_are_refused() -> None:
    result = plan([host("cp1", live("cp1"), pod_cidr="10.10.0.0/16")])
    assert "cluster_pod_cidr is 10.10.0.0/16, but the cluster runs with 10.244.0.0/16" in lines(result)[0]


# -- a control plane that is down beside another one

DEAD = Health(False, "connection refused", "https://192.0.2.1:6443")


def control(name: str, *nodes: str, local: Health = HEALTHY, **changes: Any) -> Host:
    """A control plane that reaches the cluster at its endpoint."""
    state = replace(live(*nodes, endpoint="k8s:6443"), node_name=name, local_api=local)
    if local.failed:
        state = replace(state, phase=PARTIAL, reached="mark-control-plane")
    return host(name, replace(state, **changes), endpoint="k8s:6443")


def said(result: Plan) -> list[tuple[str, str, str]]:
    return [(one.host, one.problem.check, one.problem.level) for one in result.findings]


def test_a_control_plane_that_is_dead_behind_the_endpoint_is_named_and_left_alone() -> None:
    hosts = [control("cp1", "cp1", "cp2", local=DEAD), control("cp2", "cp1", "cp2"), host("w1")]
    result = plan(hosts)
    assert said(result) == [("cp1", "api_down", "warning")]
    assert result.findings[0].line() == (
        "cp1: the API server of this control plane does not answer: https://192.0.2.1:6443: connection refused; "
        "see 'journalctl -u kubelet' and 'crictl ps -a' on it"
    )
    assert (result.api_host, result.joins, result.steps["cp1"]) == ("cp2", ["w1"], [])


def test_no_gate_between_disrupted_members_waits_for_a_control_plane_that_is_dead() -> None:
    hosts = [control("cp1", "cp1", "cp2", local=DEAD), control("cp2", "cp1", "cp2"), host("w1")]
    assert list(plan(hosts).dead_nodes) == as_result(plan(hosts), CniOptions())["dead_nodes"] == ["cp1"]
    assert not plan([control("cp1", "cp1", "cp2"), control("cp2", "cp1", "cp2")]).dead_nodes
    alone = plan([control("cp1", "cp1", "cp2", "cp3")], inventory=Inventory(["cp1", "cp2", "cp3"], ["w1"]))
    assert not alone.dead_nodes
    # The API server of an interrupted join may have started, and its Node may be there. It joins again.
    begun = Operation(operation.JOIN, began="2026-11-23T12:00:00Z", ca_cert_hashes=[HASH])
    again = control("cp2", "cp1", "cp2", phase=PARTIAL, operation=begun, reached="control-plane")
    result = plan([control("cp1", "cp1", "cp2"), again])
    assert result.joins == ["cp2"] and list(result.dead_nodes) == ["cp2"]
    assert not plan([host("cp1"), host("w1")]).dead_nodes


def test_members_that_are_disrupted_follow_each_other_behind_the_gates() -> None:
    plays = yaml.safe_load((ROOT / "playbooks/site.yml").read_text(encoding="utf-8"))
    (play,) = [one for one in plays if "kubestead_disrupted" in str(one.get("hosts"))]
    gate = play["tasks"][-1]["kubestead.cluster.cluster_health_info"]
    assert play["serial"] == 1 and gate["wait"] is True and gate["dead"] == "{{ preflight_plan.dead_nodes }}"


def test_the_cause_in_etcd_is_named_with_it() -> None:
    etcd = Health(False, "raft no leader", "https://192.0.2.1:2379")
    result = plan([control("cp1", "cp1", "cp2", local=DEAD, etcd=etcd), control("cp2", "cp1", "cp2")])
    assert said(result) == [("cp1", "api_down", "warning")]
    assert "connection refused; its etcd member: raft no leader; see" in result.findings[0].line()
    alone = plan([control("cp1", "cp1", etcd=etcd)], inventory=Inventory(["cp1"], ["w1"]))
    assert said(alone) == [("cp1", "etcd_unhealthy", "warning")]


def test_the_only_one_of_a_play_that_is_dead_still_answers_for_the_cluster_through_the_endpoint() -> None:
    result = plan([control("cp1", "cp1", "cp2", local=DEAD)], inventory=Inventory(["cp1", "cp2"], ["w1"]))
    assert said(result) == [("cp1", "api_down", "warning")]
    assert result.api_host == "cp1" and result.cluster.exists and not result.init_host


def test_without_any_that_answers_it_is_an_error() -> None:
    dead = control("cp1", "cp1", local=DEAD, api=ClusterApi(reason="https://k8s:6443 does not answer: unknown name"))
    result = plan([dead, host("w1")])
    assert said(result) == [("cp1", "api_down", "error")]
    assert "https://192.0.2.1:6443: connection refused" in result.findings[0].line()
    assert not result.init_host and not result.joins


def test_a_control_plane_that_lost_the_manifest_of_its_api_server_is_named_and_left_alone() -> None:
    both = [
        control("cp1", "cp1", "cp2"),
        control("cp2", "cp1", "cp2", local=Health(), phase=PARTIAL, manifests=["etcd"]),
    ]
    result = plan(both)
    assert said(result) == [("cp2", "api_down", "warning")]
    assert "/etc/kubernetes/manifests/kube-apiserver.yaml is missing" in result.findings[0].line()
    assert not result.joins


def test_an_endpoint_that_is_down_is_told_from_an_api_server_that_is() -> None:
    api = ClusterApi(reason="https://k8s:6443 does not answer: connection refused")
    result = plan([control("cp1", phase=PARTIAL, api=api), host("w1")])
    assert said(result) == [("cp1", "api_down", "error")]
    line = result.findings[0].line()
    assert (
        "the API server of this host is healthy, but the endpoint of the cluster fails: https://k8s:6443 does not"
        in line
    )
    assert "check the load balancer or virtual IP of cluster_endpoint" in line


def test_a_control_plane_whose_join_reached_its_last_phase_is_never_removed() -> None:
    """Its marker is left, and its API server is down: that is a member to repair."""
    begun = Operation(operation.JOIN, began="2026-11-23T12:00:00Z", ca_cert_hashes=[HASH])
    dead = control("cp2", "cp1", "cp2", local=DEAD, operation=begun)
    result = plan([control("cp1", "cp1", "cp2"), dead])
    assert said(result) == [("cp2", "api_down", "warning")]
    assert (result.joins, result.steps["cp2"]) == ([], [])
    # One that did not come so far is cleaned and joined again.
    early = control("cp2", "cp1", local=DEAD, operation=begun, reached="control-plane", kubelet_conf=True)
    result = plan([control("cp1", "cp1"), early])
    assert (said(result), result.control_plane_joins) == ([], ["cp2"])
    assert [step.action for step in result.steps["cp2"]] == ["clean", "join"]


# -- the cluster is decided once


def test_the_ranges_of_the_cluster_reach_every_component() -> None:
    dual = "10.244.0.0/16,fd00:10:244::/56"
    result = plan([host("cp1", live("cp1", pod_cidr=dual)), host("w1")])
    assert result.cluster.pod_cidr == dual and not result.errors
    assert [one.problem.check for one in result.findings] == ["address_family"]
    settled = Options().with_variables(result.cluster.variables)
    assert settled.host.pod_cidr == settled.control_plane.pod_cidr == settled.cni.pod_cidr == dual
    assert settled.control_plane.service_cidr == "10.96.0.0/12"


@pytest.mark.parametrize(
    ("live_ranges", "given"),
    [
        # kubeadm takes an address within the range for it, and keeps the text.
        ({"service_cidr": "10.100.0.0/12"}, {}),
        ({"service_cidr": "10.100.0.0/12"}, {"service_cidr": "10.100.0.0/12"}),
        ({"service_cidr": "10.100.0.0/12"}, {"service_cidr": "10.96.0.0/12"}),
        ({"pod_cidr": "10.244.1.1/16"}, {"pod_cidr": "10.244.0.0/16"}),
        ({"pod_cidr": "10.244.0.0/16"}, {"pod_cidr": " 10.244.0.0/16 "}),
        ({"pod_cidr": "10.244.0.0/16,fd00:0::/56"}, {"pod_cidr": "10.244.0.0/16, FD00::/56"}),
        ({"service_cidr": "10.43.0.0/16"}, {}),
        ({"service_cidr": "10.96.0.0/16,fd00:96::/112", "pod_cidr": "10.244.0.0/16,fd00::/56"}, {}),
    ],
    ids=str,
)
def test_a_worker_joins_a_cluster_whose_ranges_are_spelled_otherwise(
    live_ranges: dict[str, str], given: dict[str, str]
) -> None:
    result = plan([host("cp1", live("cp1", **live_ranges)), host("w1", **given)])
    assert not result.errors and result.joins == ["w1"]


def test_a_planner_is_known_by_its_operation() -> None:
    assert planners.PLANNERS[planners.DEFAULT] is converge
    assert plan([host("cp1")]).operation == "converge"


def test_several_members_are_not_disrupted_in_parallel() -> None:
    restart = Step("containerd", "restart", "containerd.service", "its configuration changed", disruptive=True)
    member = HostPlan(steps=[restart], member=True)
    plan = Plan("converge", hosts={"w1": member, "w2": member, "w3": replace(member, member=False)})
    found = parallel_findings(plan.disrupted)
    assert [(one.host, one.component, one.problem.check) for one in found] == [
        ("w1", "containerd", "disruptive"),
        ("w2", "containerd", "disruptive"),
    ]
    assert "restart containerd.service" in found[0].line() and "serial: 1" in found[0].line()
    assert parallel_findings(replace(plan, hosts={"w1": member}).disrupted) == []


def test_waves_have_disturbed_members_one_by_one_after_all_others() -> None:
    assert waves_of({"a": False, "b": True, "c": False, "d": True}) == [["a", "c"], ["b"], ["d"]]
    assert waves_of({"a": True, "b": True}) == [["a"], ["b"]]
    assert waves_of({"a": False}) == [["a"]] and waves_of({}) == []


def test_a_node_that_is_not_in_the_inventory_is_named_and_left_alone() -> None:
    result = plan([host("cp1", live("cp1", "w1", "w9")), host("w1", joined("w1"))])
    assert said(result) == [("all", "unlisted_node", "warning")]
    assert "remove_hosts=w9" in result.findings[0].problem.fix and not any(result.steps.values())
    # Under another inventory name, or where a host of the inventory was not asked, nothing can be said.
    limited = Inventory(["cp1"], ["w1", "w2"])
    assert not plan([host("cp1", live("cp1", "w1", "w9")), host("w1", joined("w1"))], inventory=limited).findings
