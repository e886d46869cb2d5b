# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine's own routes and default address, out of what ``ip -j`` prints."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.host import facts
from ansible_collections.kubestead.cluster.plugins.module_utils.host.interfaces import Address
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

LAN = {"dst": "10.213.0.0/24", "dev": "eth0", "protocol": "kernel", "scope": "link", "prefsrc": "10.213.0.65"}
DEFAULT = {"dst": "default", "gateway": "10.213.0.1", "dev": "eth0", "flags": []}
ADDRESSES = [
    Address("eth0", "10.213.0.65", "10.213.0.65/24"),
    Address("eth0", "10.213.0.66", "10.213.0.66/24"),
    Address("eth0", "fd00::65", "fd00::65/64"),
]


def test_the_networks_that_a_machine_routes_to_by_itself() -> None:
    there = {"dst": "192.168.7.0/24", "gateway": "10.213.0.1", "dev": "eth0", "protocol": "static"}
    assert facts.own_routes([DEFAULT, there, LAN, LAN]) == ["10.213.0.0/24", "192.168.7.0/24"]


@pytest.mark.parametrize("protocol", ["bird", "12", "80", 80, "107", 107])
def test_routes_of_a_pod_network_are_told_by_their_protocol(protocol: Any) -> None:
    pods = {"dst": "10.244.1.0/24", "gateway": "10.213.0.66", "dev": "eth0", "protocol": protocol}
    assert facts.own_routes([LAN, pods]) == ["10.213.0.0/24"]
    assert facts.own_routes([LAN, {**pods, "protocol": "static"}]) == ["10.213.0.0/24", "10.244.1.0/24"]


@pytest.mark.parametrize(
    "changes",
    [
        {"dev": "cali1234"},
        {"dev": "cni0"},
        {"type": "blackhole"},
        {"type": "local"},
        {"type": "multicast"},
        {"dst": "fe80::/64"},
        {"dst": "169.254.0.0/16"},
        {"dst": "not a network"},
        {"dst": ""},
    ],
)
def test_routes_that_lead_to_no_network_of_others(changes: dict[str, Any]) -> None:
    usual = {"dst": "192.168.7.0/24", "dev": "eth1", "protocol": "static"}
    assert facts.own_routes([usual]) == ["192.168.7.0/24"]
    assert facts.own_routes([{**usual, **changes}]) == []


def test_the_default_route_says_which_of_two_addresses_it_leaves_from() -> None:
    assert facts.default_address([{**DEFAULT, "prefsrc": "10.213.0.66"}], ADDRESSES) == "10.213.0.66"
    assert facts.default_address([DEFAULT], ADDRESSES) == "10.213.0.65"
    # Not an address, so the interface's own counts.
    assert facts.default_address([{**DEFAULT, "prefsrc": "x"}], ADDRESSES) == "10.213.0.65"


def test_the_address_is_of_the_gateways_family() -> None:
    assert facts.default_address([{**DEFAULT, "gateway": "fe80::1"}], ADDRESSES) == "fd00::65"


def test_without_a_default_route_only_a_single_address_is_sure() -> None:
    assert facts.default_address([LAN], ADDRESSES) == ""
    assert facts.default_address([LAN], ADDRESSES[:1]) == "10.213.0.65"
    assert facts.default_address([{**DEFAULT, "dev": "wg0"}], ADDRESSES) == ""


def test_the_observation_of_a_machine_with_a_pod_network(machine: Machine) -> None:
    routes = [DEFAULT, LAN, *(dict(one, protocol="107") for one in json.loads(fixture("bridge/ip-route.json")))]
    machine.answer("ip -j address", fixture("bridge/ip-address.json"))
    machine.answer("ip -j -4 route", json.dumps([{**routes[0], "prefsrc": "10.213.0.65"}, *routes[1:]]))
    machine.answer("ip -j -6 route", "[]")
    state = facts.observe(machine)
    assert state.routes == ["10.213.0.0/24"] and state.default_address == "10.213.0.65"


# -- what is odd is read tolerantly


@pytest.mark.parametrize(
    ("text", "servers", "loopback", "odd"),
    [
        ("nameserver 10.0.0.2\n", ["10.0.0.2"], [], []),
        ("nameserver 10.0.0.2;\n", [], [], ["10.0.0.2;"]),
        ("nameserver 10.0.0.2# x\n", [], [], ["10.0.0.2#"]),
        ("nameserver 10.0.0.2 # x\n", ["10.0.0.2"], [], []),
        ("nameserver 1.1.1.1,8.8.8.8\nnameserver 9.9.9.9\n", ["9.9.9.9"], [], ["1.1.1.1,8.8.8.8"]),
        ("nameserver dns.example.org\n", [], [], ["dns.example.org"]),
        ("nameserver\t10.0.0.2\r\n", ["10.0.0.2"], [], []),
        ("nameserver fe80::1%eth0\n", ["fe80::1"], [], []),
        ("nameserver\n;nameserver 10.0.0.9\n#nameserver 10.0.0.8\n", [], [], []),
        ("nameserver 127.0.0.1\nnameserver 10.0.0.2\n", ["10.0.0.2"], ["127.0.0.1"], []),
        ("nameserver 0:0:0:0:0:0:0:1\n", [], ["0:0:0:0:0:0:0:1"], []),
        ("nameserver 10.0.0.256\n", [], [], ["10.0.0.256"]),
        # A pod would ask itself at these addresses too.
        ("nameserver 0.0.0.0\nnameserver ::\n", [], ["0.0.0.0", "::"], []),
        ("nameserver ::ffff:127.0.0.53\n", [], ["::ffff:127.0.0.53"], []),
        ("nameserver ::ffff:10.0.0.2\n", ["::ffff:10.0.0.2"], [], []),
        ("nameserver 127.0.0.1%lo\n", [], ["127.0.0.1"], []),
        # glibc reads these, other resolvers do not.
        ("nameserver 127.1\nnameserver 010.0.0.2\nnameserver [fd00::1]:53\n", [], [])
        + (["127.1", "010.0.0.2", "[fd00::1]:53"],),
        ("nameservers 10.0.0.3\n nameserver 10.0.0.4\n", [], [], []),
    ],
)
def test_name_servers_are_addresses_or_odd(
    machine: Machine, text: str, servers: list[str], loopback: list[str], odd: list[str]
) -> None:
    machine.put("/etc/resolv.conf", text)
    state = facts.observe(machine)
    assert (state.dns_servers, state.loopback_dns, state.odd_dns) == (servers, loopback, odd)
    assert state.dns_file == "/etc/resolv.conf" and state.hostname_addresses is None


def test_pods_get_the_servers_behind_systemd_resolved(machine: Machine) -> None:
    machine.put("/etc/resolv.conf", "nameserver 127.0.0.53\n")
    machine.put("/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.2\n")
    state = facts.observe(machine)
    assert (state.dns_file, state.dns_servers, state.loopback_dns) == (
        "/run/systemd/resolve/resolv.conf",
        ["10.0.0.2"],
        [],
    )


def test_a_default_route_over_several_hops() -> None:
    """Several ways of equal weight, each with its interface."""
    hops = [
        {"gateway": "10.213.0.1", "dev": "eth0", "weight": 1, "flags": []},
        {"gateway": "10.213.0.2", "dev": "eth0", "weight": 1, "flags": []},
    ]
    several = {"dst": "default", "protocol": "static", "flags": [], "nexthops": hops}
    assert facts.default_address([several], ADDRESSES) == "10.213.0.65"
    assert (
        facts.default_address([{**several, "nexthops": [{**hops[0], "dev": "wg0"}, hops[1]]}], ADDRESSES)
        == "10.213.0.65"
    )
    assert facts.default_address([{**several, "nexthops": "x"}], ADDRESSES) == ""


def test_a_default_route_over_a_gateway_of_the_other_family() -> None:
    via = {"dst": "default", "via": {"family": "inet6", "host": "fe80::1"}, "dev": "eth0", "flags": []}
    assert facts.default_address([via], ADDRESSES) == "10.213.0.65"


def test_each_family_has_its_default_address(machine: Machine) -> None:
    v6 = {"dst": "default", "gateway": "fe80::1", "dev": "eth0", "v6": True}
    assert facts.default_addresses([DEFAULT, v6], ADDRESSES) == ["10.213.0.65", "fd00::65"]
    assert facts.default_addresses([v6], ADDRESSES) == ["fd00::65"]
    # A point to point link has no gateway.
    link = {"dst": "default", "dev": "eth0", "scope": "link", "v6": True}
    assert facts.default_addresses([link], ADDRESSES) == ["fd00::65"]
    assert facts.default_addresses([DEFAULT, DEFAULT], ADDRESSES) == ["10.213.0.65"]


@pytest.mark.parametrize("route", [{**DEFAULT, "dst": "0.0.0.0/0"}, {**DEFAULT, "nhid": 5, "flags": ["linkdown"]}])
def test_a_default_route_in_another_form(route: dict[str, Any]) -> None:
    reject = {"type": "unreachable", "dst": "default", "dev": "lo", "metric": 4278198272}
    assert facts.default_address([reject, route], ADDRESSES) == "10.213.0.65"
    assert facts.own_routes([route]) == []


@pytest.mark.parametrize(
    "device",
    ["docker0", "br-0123456789ab", "podman1", "cni-podman0", "nerdctl0", "lxcbr0", "virbr0", "wg0", "tailscale0"],
)
def test_networks_of_other_programs_are_the_hosts_own(device: str) -> None:
    """Pods with these addresses could not be reached from the host."""
    there = {"dst": "172.17.0.0/16", "dev": device, "protocol": "kernel", "flags": ["linkdown"]}
    assert facts.own_routes([there]) == ["172.17.0.0/16"]


@pytest.mark.parametrize("kind", ["unreachable", "prohibit", "throw", "blackhole", "broadcast", "anycast"])
def test_routes_that_only_reject(kind: str) -> None:
    assert facts.own_routes([{"type": kind, "dst": "10.0.0.0/8", "dev": "lo", "protocol": "static"}]) == []


@pytest.mark.parametrize("text", ["2001:db8::10", "2001:DB8:0::10", "2001:0db8:0000::0010", " 2001:db8::10"])
def test_an_address_is_the_hosts_own_however_it_is_spelled(text: str) -> None:
    state = facts.NodeState(addresses=[Address("eth0", "2001:db8::10", "2001:db8::10/64")])
    assert state.at(text) is not None and state.at("2001:db8::11") is None


def test_programs_that_were_installed_by_hand(machine: Machine) -> None:
    machine.put("/usr/bin/kubeadm", mode=0o755)
    machine.put("/usr/local/bin/kubectl", mode=0o644)
    assert facts.observe(machine).local_programs == []
    machine.put("/usr/local/bin/kubeadm", mode=0o755)
    assert facts.observe(machine).local_programs == ["/usr/local/bin/kubeadm"]


@pytest.mark.parametrize(
    "route",
    [
        # FRR on a machine with unnumbered interfaces, and a cloud with a gateway outside of the network.
        {"dst": "default", "dev": "swp1", "via": {"family": "inet6", "host": "fe80::1"}, "protocol": "bgp"},
        {"dst": "default", "gateway": "169.254.0.1", "dev": "eth0", "flags": ["onlink"]},
        {"dst": "default", "nexthops": [{"dev": "swp1", "via": {"host": "fe80::1"}}, {"dev": "swp2"}]},
    ],
)
def test_an_address_that_is_announced_is_on_the_loopback_interface(machine: Machine, route: dict[str, Any]) -> None:
    links = [
        {
            "ifname": "lo",
            "flags": ["LOOPBACK", "UP"],
            "mtu": 65536,
            "address": "00:00:00:00:00:00",
            "addr_info": [
                {"local": "127.0.0.1", "prefixlen": 8, "scope": "host"},
                {"local": "10.0.0.5", "prefixlen": 32, "scope": "global"},
            ],
        },
        {"ifname": "swp1", "flags": ["UP"], "addr_info": [{"local": "fe80::5", "prefixlen": 64, "scope": "link"}]},
    ]
    machine.answer("ip -j address", json.dumps(links))
    machine.answer("ip -j -4 route", json.dumps([route]))
    state = facts.observe(machine)
    assert (state.default_address, state.addresses) == ("10.0.0.5", [Address("lo", "10.0.0.5", "10.0.0.5/32", "", 0)])
    # With an own address on the interface, an address for a load balancer on the loopback interface does not count.
    links.append({"ifname": "eth1", "addr_info": [{"local": "10.0.0.6", "prefixlen": 24, "scope": "global"}]})
    machine.answer("ip -j address", json.dumps(links))
    machine.answer("ip -j -4 route", "[]")
    assert facts.observe(machine).default_address == "10.0.0.6"
    machine.answer("ip -j -4 route", json.dumps([{"dst": "default", "dev": "eth1", "gateway": "10.0.0.1"}]))
    assert facts.observe(machine).default_address == "10.0.0.6"


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("processor\t: 0\nmodel name\t: x\nprocessor\t: 1\n", 2),
        # s390x
        (
            "vendor_id       : IBM/S390\n# processors    : 3\nprocessor 0: version = FF,  identification = 0133E8\n"
            "processor 1: version = FF,  identification = 0133E8\nprocessor 2: version = FF,  identification = 0\n",
            3,
        ),
        # ppc64le
        ("processor\t: 0\ncpu\t\t: POWER9\n\nprocessor\t: 8\ncpu\t\t: POWER9\n\ntimebase\t: 512000000\n", 2),
        # aarch64 of a Raspberry Pi
        ("processor\t: 0\nBogoMIPS\t: 108.00\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4\n", 1),
        ("", 0),
    ],
)
def test_cpus_of_all_architectures(machine: Machine, text: str, cpus: int) -> None:
    machine.put("/proc/cpuinfo", text)
    assert facts.observe(machine).cpus == cpus


@pytest.mark.parametrize(
    ("usual", "active", "chosen"),
    [
        ("nameserver 127.0.0.53\n", "", "/run/systemd/resolve/resolv.conf"),
        ("nameserver 192.0.2.1\n", "active\n", "/run/systemd/resolve/resolv.conf"),
        # The service was stopped for a file of one's own; its files remain until the next boot.
        ("nameserver 127.0.0.1\n", "inactive\n", "/etc/resolv.conf"),
        ("nameserver 127.0.0.1\n", "failed\n", "/etc/resolv.conf"),
        ("nameserver 192.0.2.1\n", "", "/run/systemd/resolve/resolv.conf"),
    ],
)
def test_the_file_of_systemd_resolved_counts_while_it_runs(
    machine: Machine, usual: str, active: str, chosen: str
) -> None:
    machine.put("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\n")
    machine.put("/etc/resolv.conf", usual)
    machine.answer("systemctl is-active systemd-resolved", active, rc=0 if active == "active\n" else 3)
    assert facts.observe(machine).dns_file == chosen


def test_a_resolv_conf_that_is_not_there(machine: Machine) -> None:
    assert facts.observe(machine).no_dns_file
    os.makedirs(machine.path("/etc"))
    # A link from the time when systemd-resolved was installed.
    os.symlink("../run/systemd/resolve/stub-resolv.conf", machine.path("/etc/resolv.conf"))
    assert facts.observe(machine).no_dns_file
    os.unlink(machine.path("/etc/resolv.conf"))
    machine.put("/etc/resolv.conf", "")
    assert not facts.observe(machine).no_dns_file


@pytest.mark.parametrize(
    ("machine", "wide", "found"),
    [
        ("x86_64", True, "x86_64"),
        ("aarch64", True, "aarch64"),
        # Raspberry Pi OS with 32 bits starts a 64-bit kernel on new models.
        ("aarch64", False, "armv8l"),
        ("x86_64", False, "i686"),
        ("armv7l", False, "armv7l"),
        ("s390x", True, "s390x"),
    ],
)
def test_the_architecture_is_that_of_the_programs(machine: str, wide: bool, found: str) -> None:
    assert facts.architecture(machine, wide) == found
