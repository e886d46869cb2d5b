# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses as ``ip -j`` prints them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.host import interfaces
from ansible_collections.kubestead.cluster.plugins.module_utils.host.interfaces import Address
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

LINKS: list[dict[str, Any]] = json.loads(fixture("bridge/ip-address.json"))


def test_the_addresses_of_a_real_node() -> None:
    found = interfaces.addresses(LINKS)
    (own,) = [item for item in found if item.interface == "eth0"]
    assert (own.address, own.network, own.mtu) == ("10.213.0.65", "10.213.0.65/20", 1500)
    assert own.mac.count(":") == 5
    assert not any(item.address.startswith(("127.", "fe80:", "::1")) for item in found)


def test_a_pod_network_has_addresses_of_its_own() -> None:
    bridge = {"ifname": "cni0", "mtu": 1450, "addr_info": [{"local": "10.244.0.1", "prefixlen": 24, "scope": "global"}]}
    loopback = {
        "ifname": "lo",
        "flags": ["LOOPBACK", "UP"],
        "addr_info": [{"local": "192.0.2.1", "prefixlen": 32, "scope": "global"}],
    }
    assert [item.address for item in interfaces.addresses([bridge, loopback])] == ["10.244.0.1", "192.0.2.1"]
    # A machine that announces its address with BGP has it there.
    assert [item.address for item in interfaces.own_addresses([bridge, loopback])] == ["192.0.2.1"]
    assert [item.interface for item in interfaces.own_addresses([*LINKS, bridge])] == ["eth0"]


@pytest.mark.parametrize("text", ["", "no JSON", "{}", "3", "null", '[null, 3, "x", {}]'])
def test_output_that_is_no_list_of_objects(machine: Machine, text: str) -> None:
    machine.answer("ip -j address", text)
    assert interfaces.query(machine, "address") == []


def test_an_entry_without_an_address_is_left_out() -> None:
    links: list[dict[str, Any]] = [{"ifname": "eth0", "addr_info": [{"scope": "global"}]}, {"ifname": "x"}]
    assert interfaces.addresses(links) == []
    assert interfaces.addresses([{"ifname": "e", "addr_info": [{"local": "192.0.2.1", "prefixlen": 24}]}]) == [
        Address("e", "192.0.2.1", "192.0.2.1/24")
    ]
