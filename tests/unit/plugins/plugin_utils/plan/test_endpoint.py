# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The endpoint of a cluster: its name, whose addresses are behind it, and what prevents it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.component import EndpointState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.ports import PortsState
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, as_result

from .test_converge import ALL, host, joined, lines, live
from .test_converge import plan as planned

NAME = "api.kubernetes.internal"


def plan(hosts: list[Host], **more: Any) -> Plan:
    return planned(hosts, components=["api_endpoint", *ALL], **more)


def node(name: str, *roles: str, silent: bool = False) -> Node:
    number = sum(map(ord, name)) % 200 + 1
    address = f"192.0.2.{number}"
    return Node(name, addresses=[address], ready=not silent, silent=silent, roles=list(roles), kubelet_version="1.36.2")


def cluster(*nodes: Node, endpoint: str = f"{NAME}:6443", name: str = "cp1", cluster_name: str = "") -> KubeadmState:
    """The state of a control plane of a cluster with these nodes."""
    state = live(*(one.name for one in nodes), endpoint=endpoint)
    assert state.api.config
    config = replace(state.api.config, cluster_name=cluster_name)
    return replace(state, node_name=name, api=replace(state.api, nodes=list(nodes), config=config))


def address(name: str) -> str:
    return host(name).address


def given(result: Plan, name: str) -> list[str]:
    """The addresses in the hosts file of a host, and what is behind its proxy."""
    endpoint = result.hosts[name].endpoint
    assert endpoint is not None
    return [line.split()[0] for line in endpoint.lines] + (["->", *endpoint.control_planes] if endpoint.proxied else [])


def test_a_new_cluster_has_a_name_also_with_one_control_plane() -> None:
    result = plan([host("cp1"), host("w1")])
    assert not result.findings
    assert result.cluster.endpoint == f"{NAME}:6443"
    assert given(result, "cp1") == given(result, "w1") == [address("cp1")]
    assert [step.action for step in result.steps["cp1"]] == ["write_hosts", "init"]
    assert [step.action for step in result.steps["w1"]] == ["write_hosts", "join"]
    shown = as_result(result, host("cp1").options.cni)["hosts"]["w1"]
    assert shown["api_endpoint"]["name"] == NAME and shown["todo"]["api_endpoint"] and not shown["idle_before_join"]


def test_the_name_and_the_port_are_those_of_the_cluster() -> None:
    config = {"ClusterConfiguration": {"clusterName": "home"}}
    result = plan([host("cp1", config=config, bind_port=7443), host("w1", config=config)])
    assert result.cluster.endpoint == "api.home.internal:7443"
    other = plan([host("cp1", bind_port=7443), host("cp2"), host("w1")])
    assert lines(other)[0].startswith(
        "cp2: cluster_node_bind_port is 6443, but the API has the port 7443 on all control"
    )


def test_an_external_endpoint_stays_and_nodes_get_nothing() -> None:
    every = [host(name, endpoint="k8s.example.org:6443") for name in ("cp1", "cp2", "w1")]
    result = plan(every)
    assert not result.errors and result.cluster.endpoint == "k8s.example.org:6443"
    assert given(result, "w1") == given(result, "cp2") == []


def test_three_control_planes_are_made_at_once() -> None:
    result = plan([host("cp1"), host("cp2"), host("cp3"), host("w1")])
    planes = [address(name) for name in ("cp1", "cp2", "cp3")]
    assert not result.findings and result.control_plane_joins == ["cp2", "cp3"]
    assert given(result, "cp2") == [planes[1], planes[0], planes[2]]
    assert given(result, "w1") == ["127.0.0.1", "->", *planes]


def test_one_control_plane_becomes_three() -> None:
    there = cluster(node("cp1", "control-plane"), node("w1"))
    result = plan([host("cp1", there), host("cp2"), host("w1", joined("w1"))])
    assert not result.errors
    assert given(result, "w1") == ["127.0.0.1", "->", address("cp1"), address("cp2")]
    assert given(result, "cp1") == [address("cp1"), address("cp2")]
    assert [step.action for step in result.steps["w1"]][-2:] == ["start", "write_hosts"]


def test_with_limit_the_addresses_are_those_of_the_nodes_that_are_control_planes() -> None:
    there = cluster(node("cp1", "control-plane"), node("cp2", "master"), node("w1", "worker"))
    result = plan([host("w3")], outside=[("cp1", there)], inventory=Inventory(["cp1", "cp2"], ["w1", "w3"]))
    assert given(result, "w3") == ["127.0.0.1", "->", address("cp1"), address("cp2")]


def test_a_worker_that_claims_to_be_a_control_plane_is_not_believed() -> None:
    liar = replace(joined("w1"), role="control_plane", manifests=["kube-apiserver"])
    result = plan([host("cp1", cluster(node("cp1", "control-plane"), node("w1"))), host("w1", liar), host("w2")])
    assert result.hosts["w2"].endpoint is None or address("w1") not in result.hosts["w2"].endpoint.control_planes


def test_a_dead_control_plane_stays_and_is_tried_last() -> None:
    there = cluster(node("cp1", "control-plane", silent=True), node("cp2", "control-plane"), name="cp2")
    result = plan([host("cp2", there), host("cp3"), host("w1")], inventory=Inventory(["cp1", "cp2", "cp3"], ["w1"]))
    assert given(result, "cp3") == [address("cp3"), address("cp2"), address("cp1")]
    assert address("cp1") in given(result, "w1")


def test_a_control_plane_that_was_removed_is_not_behind_the_name() -> None:
    there = cluster(node("cp1", "control-plane"), node("cp2", "control-plane"), node("w1"))
    result = plan([host("cp1", there), host("w1", joined("w1"))], inventory=Inventory(["cp1"], ["w1"]))
    # cp2 is still a Node.
    assert given(result, "w1") == ["127.0.0.1", "->", address("cp1"), address("cp2")]
    result = plan([host("cp1", cluster(node("cp1", "control-plane"), node("w1"))), host("w1", joined("w1"))])
    assert given(result, "w1") == [address("cp1")]


def test_a_control_plane_whose_kubelet_has_not_reported_is_not_a_worker() -> None:
    there = cluster(
        replace(node("cp1", "control-plane"), addresses=[]), node("cp2", "control-plane"), node("cp3", "control-plane")
    )
    result = plan([host("cp1", there)], inventory=Inventory(["cp1"], []))
    assert given(result, "cp1")[0] == address("cp1")


def test_without_a_known_address_a_worker_keeps_what_it_has() -> None:
    there = cluster(replace(node("cp1", "control-plane"), addresses=[]), node("w1"))
    result = plan([host("w1", joined("w1"))], outside=[("cp1", there)], inventory=Inventory(["cp1"], ["w1"]))
    assert result.hosts["w1"].endpoint is None and not result.steps["w1"]
    nameless = host("cp1", there)
    nameless = replace(nameless, facts=replace(nameless.facts, node=replace(nameless.node, default_address="")))
    assert given(plan([nameless, host("w1", joined("w1"))]), "cp1") == ["127.0.0.1"]


@pytest.mark.parametrize("endpoint", ["", "192.0.2.50:6443", "k8s.example.org", "api.other.internal:6443"])
def test_a_cluster_keeps_the_endpoint_that_it_has(endpoint: str) -> None:
    there = cluster(node("cp1", "control-plane"), node("w1"), endpoint=endpoint)
    result = plan([host("cp1", there), host("w1", joined("w1")), host("w2")])
    assert not result.findings and result.cluster.endpoint == endpoint
    assert given(result, "w2") == [] and [step.action for step in result.steps["w1"]] == []


def test_without_an_endpoint_another_control_plane_is_refused_or_warned_of() -> None:
    there = cluster(node("cp1", "control-plane"), node("w1"), endpoint="")
    refused = plan([host("cp1", there), host("cp2")])
    assert lines(refused) == [
        "all: this cluster was created without an endpoint, so a second control plane can't join; run endpoint.yml "
        "first, which gives the cluster an endpoint that is a name"
    ]
    warned = plan([host("cp1", there), host("w1", joined("w1"))], inventory=Inventory(["cp1", "cp2"], ["w1"]))
    assert [one.problem.level for one in warned.findings] == ["warning"]


def test_the_port_of_the_proxy_must_be_free_on_a_new_worker() -> None:
    def worker(**state: Any) -> Host:
        one = host("w1")
        return replace(one, facts=replace(one.facts, **state))

    busy = PortsState([6443], {"127.0.0.1": [6443]}, {"6443": "haproxy (77)"})
    result = plan([host("cp1"), host("cp2"), worker(ports=busy)])
    assert lines(result) == [
        f"w1: port 6443 of the local proxy for {NAME} is in use by haproxy (77); stop the program (ss -ltnp)"
    ]
    assert not plan([host("cp1"), worker(ports=busy)]).errors
    # A program at another address of the machine does not prevent the proxy from listening.
    elsewhere = PortsState([6443], {"127.0.0.1": [22], "::1": [6443]})
    assert not plan([host("cp1"), host("cp2"), worker(ports=elsewhere)]).errors


def test_the_port_of_the_proxy_must_be_free_on_a_joined_worker_too() -> None:
    there = cluster(node("cp1", "control-plane"), node("w1"))
    worker = host("w1", joined("w1"))
    ports = PortsState([6443], {"127.0.0.1": [6443]})
    worker = replace(worker, facts=replace(worker.facts, ports=ports))
    assert not plan([host("cp1", there), worker]).errors
    assert lines(plan([host("cp1", there), host("cp2"), worker])) == [
        f"w1: port 6443 of the local proxy for {NAME} is in use; stop the program (ss -ltnp)"
    ]
    proxied = replace(worker, facts=replace(worker.facts, api_endpoint=EndpointState(unit="[Unit]")))
    assert not plan([host("cp1", there), host("cp2"), proxied]).errors


@pytest.mark.parametrize("state", [None, joined("w1")])
def test_a_worker_that_needs_a_proxy_must_be_able_to_install_it(state: KubeadmState | None) -> None:
    worker = host("w1", state)
    lacks = replace(worker.facts, api_endpoint=EndpointState(absent="the apt package lists do not have it"))
    worker = replace(worker, facts=lacks)
    there = cluster(node("cp1", "control-plane"), node("w1")) if state else None
    assert not plan([host("cp1", there), worker]).errors
    assert lines(plan([host("cp1", there), host("cp2"), worker])) == [
        "w1: the local proxy to the control planes needs the package haproxy, which can't be installed: the apt "
        "package lists do not have it; enable a repository that has it and update the package lists (apt-get update), "
        "or install the package"
    ]


def test_a_new_node_need_not_resolve_the_name_before_the_run() -> None:
    def unaware(name: str) -> Host:
        one = host(name, endpoint=f"{NAME}:6443")
        return replace(one, facts=replace(one.facts, reach={f"{NAME}:6443": "unknown name"}))

    there = cluster(node("cp1", "control-plane"))
    assert not plan([unaware("cp1"), unaware("w1")]).findings
    assert not plan([host("cp1", there, endpoint=f"{NAME}:6443"), unaware("w1")]).findings
