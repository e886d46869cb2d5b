# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services as people want to read them."""

from __future__ import annotations

from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils.kube import services


def service(kind: str, *ports: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": kind, "clusterIP": "10.96.0.7", "ports": list(ports)},
        "status": status,
    }


def node(address: str, ready: str = "True", kind: str = "InternalIP") -> dict[str, Any]:
    return {
        "status": {
            "addresses": [{"type": kind, "address": address}],
            "conditions": [{"type": "Ready", "status": ready}],
        }
    }


HTTP = {"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}


def test_a_node_port_has_a_url_for_each_ready_node_up_to_three() -> None:
    nodes = [node("10.0.0.1"), node("10.0.0.2", "False"), *(node(f"10.0.0.{last}") for last in (3, 4, 5))]
    (found,) = services.describe([service("NodePort", HTTP)], services.node_addresses(nodes))
    assert found["urls"] == ["http://10.0.0.1:30080/", "http://10.0.0.3:30080/", "http://10.0.0.4:30080/"]
    assert found["node_ports"] == [30080]


def test_external_addresses_are_preferred() -> None:
    assert services.node_addresses([node("10.0.0.1"), node("8.8.8.8", kind="ExternalIP")]) == ["8.8.8.8"]


def test_a_load_balancer_answers_at_its_own_port() -> None:
    tls = {"name": "https", "port": 443, "nodePort": 30443}
    balanced = service("LoadBalancer", tls, loadBalancer={"ingress": [{"hostname": "lb.example"}, {"ip": "fd00::1"}]})
    (found,) = services.describe([balanced], ["10.0.0.1"])
    assert found["urls"] == ["https://lb.example/", "https://[fd00::1]/"]


def test_a_load_balancer_without_an_address_is_reached_by_node_port() -> None:
    (found,) = services.describe([service("LoadBalancer", HTTP)], ["10.0.0.1"])
    assert found["urls"] == ["http://10.0.0.1:30080/"]


def test_inside_the_cluster_there_is_a_name() -> None:
    (found,) = services.describe([service("ClusterIP", {"port": 6379})], ["10.0.0.1"])
    assert found["urls"] == [] and found["inside"] == ["web.shop.svc:6379"]
    assert services.lines([found]) == ["shop/web  ClusterIP  6379/TCP", "    web.shop.svc:6379 (inside the cluster)"]


def test_udp_has_no_url() -> None:
    (found,) = services.describe(
        [service("NodePort", {"port": 53, "nodePort": 30053, "protocol": "UDP"})], ["10.0.0.1"]
    )
    assert found["urls"] == []
    assert services.lines([found])[0] == "shop/web  NodePort  53:30053/UDP"
