# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes are ready, and their pods have a network that leads to the other node."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host


@pytest.fixture
def ranges(ask: Callable[[str], Any]) -> dict[str, str]:
    """The pods' range of each node."""
    return {node["metadata"]["name"]: node["spec"]["podCIDR"] for node in ask("nodes")["items"]}


@pytest.fixture
def name(host: Host) -> str:
    """The node's name."""
    return host.check_output("hostname")


def test_all_nodes_are_ready(nodes_ready: Callable[[], dict[str, bool]]) -> None:
    assert nodes_ready() == {"cp1": True, "w1": True}


@pytest.fixture
def bridge_only(variables: dict[str, Any]) -> None:
    """What follows is about the network the lab uses where there are no images of Calico."""
    if variables.get("cni_plugin") != "bridge":
        pytest.skip("the lab's network is Calico's here")


@pytest.mark.usefixtures("bridge_only")
def test_the_first_configuration_is_a_bridge_with_the_nodes_own_range(
    host: Host, name: str, ranges: dict[str, str]
) -> None:
    first = sorted(host.file("/etc/cni/net.d").listdir())[0]
    conflist = json.loads(host.file(f"/etc/cni/net.d/{first}").content_string)
    bridge = next(plugin for plugin in conflist["plugins"] if plugin["type"] == "bridge")
    assert [each["subnet"] for group in bridge["ipam"]["ranges"] for each in group] == [ranges[name]]
    for plugin in conflist["plugins"]:
        assert host.file(f"/opt/cni/bin/{plugin['type']}").mode & 0o111


@pytest.mark.usefixtures("bridge_only")
def test_a_route_leads_to_the_pods_of_the_other_node(
    host: Host, name: str, ranges: dict[str, str], addresses: dict[str, str]
) -> None:
    (other,) = set(ranges) - {name}
    pod = str(ipaddress.ip_network(ranges[other])[2])
    route = json.loads(host.check_output("ip -j route get %s", pod))[0]
    assert route.get("gateway") == addresses[other]


@pytest.mark.usefixtures("bridge_only")
def test_the_routes_are_set_at_boot(host: Host) -> None:
    assert host.service("kubestead-routes").is_enabled
    assert host.service("kubestead-routes").is_running


@pytest.mark.usefixtures("bridge_only")
def test_a_packet_between_pods_is_let_through(host: Host) -> None:
    assert host.sysctl("net.ipv4.ip_forward") == 1
    assert host.run("iptables -S FORWARD | grep -- kubestead").rc == 0
