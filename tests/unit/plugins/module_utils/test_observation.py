# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the preflight sees of a machine: ports, services, proxies, clock, addresses, and the ways to others."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils import observation
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import host_port
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.host import clock, environment, ports
from ansible_collections.kubestead.cluster.plugins.module_utils.host import connect as reach
from ansible_collections.kubestead.cluster.plugins.module_utils.host import facts as node
from ansible_collections.kubestead.cluster.plugins.module_utils.host.clock import ClockState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.environment import Environment
from ansible_collections.kubestead.cluster.plugins.module_utils.host.ports import PortsState
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules import reachability
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

# -- ports


def control_plane(machine: Machine) -> Machine:
    machine.put("/proc/net/tcp", fixture("preflight/proc-net-tcp.txt"))
    machine.put("/proc/net/tcp6", fixture("preflight/proc-net-tcp6.txt"))
    return machine


def test_ports_that_somebody_listens_on(machine: Machine) -> None:
    state = ports.observe(control_plane(machine))
    assert {22, 2379, 2380, 6443, 10250, 10257, 10259} <= set(state.listening)
    # A connection to a port is no listener on it.
    assert 48934 not in state.listening and 0xBF76 not in state.listening
    assert not machine.ran


def test_ports_are_in_use_at_a_loopback_address_by_sockets_there_and_by_those_on_all_addresses(
    machine: Machine,
) -> None:
    loopback = ports.observe(control_plane(machine)).loopback
    assert {22, 2379, 2381, 6443, 10248, 10250, 10257, 10259} <= set(loopback["127.0.0.1"])
    # The peers of etcd listen on the address of the machine alone.
    assert 2380 not in loopback["127.0.0.1"]
    assert loopback["::1"] == [22, 6443, 10250, 10256]


@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("0100007F", ["127.0.0.1"]),
        ("7F000001", ["127.0.0.1"]),
        ("3500007F", []),
        ("0000000000000000FFFF00000100007F", ["127.0.0.1"]),
        ("00000000000000000000000001000000", ["::1"]),
        ("0000000000000000FFFF00002800D50A", []),
    ],
)
def test_only_sockets_at_the_address_itself_take_its_port(machine: Machine, address: str, taken: list[str]) -> None:
    place = " 0: {0}:192B 0:0 0A 0:0 00:0 0 0 0 7".format(address)
    assert [one for one, found in ports.parse_loopback("head\n" + place).items() if found == [6443]] == taken


def test_the_program_that_has_a_port_is_named(machine: Machine) -> None:
    inode = ports.parse_listening(fixture("preflight/proc-net-tcp.txt"))[10257]
    control_plane(machine).put("/proc/77/comm", "kube-controller\n")
    folder = machine.path("/proc/77/fd")
    os.makedirs(folder)
    os.symlink(f"socket:[{inode}]", f"{folder}/5")
    os.symlink("socket:[1]", f"{folder}/6")
    assert ports.observe(machine).processes == {"10257": "kube-controller (process 77)"}
    assert ports.observe(machine, with_processes=False).processes == {}


def test_a_machine_without_those_files_has_no_ports(machine: Machine) -> None:
    assert ports.observe(machine) == PortsState()


def test_ports_that_nodes_need() -> None:
    assert sorted(ports.needed(False, 6443)) == [10248, 10250]
    assert sorted(ports.needed(True, 7443)) == [2379, 2380, 2381, 7443, 10248, 10250, 10257, 10259]
    assert sorted(ports.needed(True, 6443, own_etcd=False)) == [6443, 10248, 10250, 10257, 10259]


# -- environment


def services(machine: Machine, *active: str) -> None:
    rules = ["netfilter-persistent", "iptables", "ip6tables", "nftables"]
    names = [*environment.FIREWALLS, *rules, *environment.TIME_SERVICES, environment.NETWORK_MANAGER]
    machine.answer("systemctl is-active", "".join("active\n" if one in active else "inactive\n" for one in names), rc=3)


def test_active_services_are_seen_with_one_command(machine: Machine) -> None:
    services(machine, "firewalld", "chronyd")
    state = environment.observe(machine, {})
    assert state == Environment(firewalls=["firewalld"], time_services=["chronyd"])
    assert len(machine.ran) == 1


@pytest.mark.parametrize(("text", "on"), [("ENABLED=yes\n", True), ("ENABLED=no\n", False), ("", False)])
def test_ufw_counts_only_when_it_is_switched_on(machine: Machine, text: str, on: bool) -> None:
    services(machine, "ufw")
    machine.put("/etc/ufw/ufw.conf", "# a comment\n" + text)
    assert environment.observe(machine, {}).firewalls == (["ufw"] if on else [])


@pytest.mark.parametrize(
    ("text", "spares"),
    [
        ("[keyfile]\nunmanaged-devices=interface-name:cali*;interface-name:tunl*\n", True),
        ("[keyfile]\nunmanaged-devices+=interface-name:cali*\n", True),
        ("[keyfile]\n#unmanaged-devices=interface-name:cali*\n", False),
        ("[keyfile]\nunmanaged-devices=interface-name:docker0\n", False),
        ("[keyfile]\nunmanaged-devices=*,except:interface-name:eth0\n", True),
        ("[keyfile]\nunmanaged-devices=*;except:type:veth\n", False),
        ("[keyfile]\nunmanaged-devices=interface-name:cali*\nunmanaged-devices=interface-name:x\n", False),
    ],
)
def test_network_manager_and_calico(machine: Machine, text: str, spares: bool) -> None:
    services(machine, "NetworkManager")
    machine.put("/etc/NetworkManager/conf.d/calico.conf", text)
    state = environment.observe(machine, {})
    assert (state.network_manager, state.ignores_calico_interfaces) == (True, spares)


def test_network_manager_of_ubuntu_manages_what_a_file_says(machine: Machine) -> None:
    def spared() -> bool:
        return environment.observe(machine, {}).ignores_calico_interfaces

    services(machine, "NetworkManager")
    name = "10-globally-managed-devices.conf"
    # Ubuntu's package has this file. An installation with a desktop has an empty one of the same name in /run or /etc.
    machine.put(
        f"/usr/lib/NetworkManager/conf.d/{name}",
        "[keyfile]\nunmanaged-devices=*,except:type:wifi,except:type:gsm,except:type:cdma\n",
    )
    assert spared()
    machine.put("/etc/NetworkManager/conf.d/20-own.conf.save", "[keyfile]\nunmanaged-devices=none\n")
    assert spared()
    machine.put("/etc/NetworkManager/NetworkManager.conf", "[keyfile]\nunmanaged-devices=interface-name:eth9\n")
    assert not spared()
    machine.put("/etc/NetworkManager/conf.d/20-own.conf", "[keyfile]\nunmanaged-devices+=interface-name:cali*\n")
    assert spared()
    os.unlink(machine.path("/etc/NetworkManager/conf.d/20-own.conf"))
    os.unlink(machine.path("/etc/NetworkManager/NetworkManager.conf"))
    machine.put(f"/run/NetworkManager/conf.d/{name}", "")
    assert not spared()


# Ubuntu's image for Oracle's cloud, with fewer lines.
ORACLE = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT
-A INPUT -j REJECT --reject-with icmp-host-prohibited
COMMIT
"""
NFTABLES = """#!/usr/sbin/nft -f
flush ruleset
table inet filter {{
        chain input {{
                type filter hook input priority filter;{0}
        }}
        chain forward {{
                type filter hook forward priority filter; policy drop;
        }}
}}
"""


@pytest.mark.parametrize(
    ("service", "path", "text", "closed"),
    [
        ("netfilter-persistent", "/etc/iptables/rules.v4", ORACLE, True),
        ("iptables", "/etc/sysconfig/iptables", ORACLE, True),
        ("ip6tables", "/etc/sysconfig/ip6tables", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n", True),
        (
            "netfilter-persistent",
            "/etc/iptables/rules.v4",
            "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.1/32 -j DROP\n",
            False,
        ),
        ("netfilter-persistent", "/etc/iptables/rules.v4", ORACLE.replace("-A INPUT -j", "# -A INPUT -j"), False),
        ("netfilter-persistent", "/etc/other", ORACLE, False),
        # Debian's own file.
        ("nftables", "/etc/nftables.conf", NFTABLES.format(""), False),
        ("nftables", "/etc/nftables.conf", NFTABLES.format(" policy drop;"), True),
        ("nftables", "/etc/nftables.conf", NFTABLES.format("\n tcp dport 22 accept\n counter reject"), True),
        ("nftables", "/etc/nftables.conf", NFTABLES.format("\n ip saddr 192.0.2.1 drop"), False),
        ("nftables", "/etc/nftables.conf", NFTABLES.format("\n # policy drop;"), False),
    ],
)
def test_rules_that_close_ports_are_a_firewall(
    machine: Machine, service: str, path: str, text: str, closed: bool
) -> None:
    services(machine, service)
    machine.put(path, text)
    assert environment.observe(machine, {}).firewalls == ([service] if closed else [])
    services(machine)
    assert environment.observe(machine, {}).firewalls == []


def test_a_proxys_address_and_password_are_not_kept(machine: Machine) -> None:
    state = environment.observe(machine, {"HTTPS_PROXY": "http://me:geheim@proxy:3128", "no_proxy": "10.0.0.0/8, .x "})
    assert state.proxied and state.no_proxy == ["10.0.0.0/8", ".x"]
    assert "geheim" not in repr(state) and "3128" not in repr(state)


@pytest.mark.parametrize(
    ("no_proxy", "missing"),
    [
        (["10.0.0.0/8"], ["fd00::/64"]),
        (["*"], []),
        (["10.96.0.0/16", "fd00::/48"], ["10.96.0.0/12", "10.1.2.3"]),
        (["10.1.2.3", ".example.org", "10.96.0.0/12", "[fd00::]/64", "fd00::/64"], []),
        ([], ["10.96.0.0/12", "10.1.2.3", "fd00::/64"]),
    ],
)
def test_what_no_proxy_covers(no_proxy: list[str], missing: list[str]) -> None:
    assert environment.uncovered(no_proxy, ["10.96.0.0/12", "10.1.2.3", "fd00::/64"]) == missing


@pytest.mark.parametrize(
    ("entry", "covered"),
    [
        ("api.home.internal", True),
        ("API.home.internal:6443", True),
        ("home.internal", True),
        (".internal", True),
        ("*.internal", True),
        (".api.home.internal", False),
        ("ome.internal", False),
        ("", False),
    ],
)
def test_what_no_proxy_covers_by_name(entry: str, covered: bool) -> None:
    assert environment.uncovered([entry, "10.0.0.0/8"], ["api.home.internal"]) == (
        [] if covered else ["api.home.internal"]
    )


# -- clock


def test_the_kernel_is_asked_about_the_clock() -> None:
    assert clock.observe(System()).synchronized in (True, False)


def test_a_recorded_machine_has_no_clock(machine: Machine) -> None:
    assert clock.observe(machine) == ClockState()


# -- the machine


LINKS = [
    {"ifname": "lo", "flags": ["LOOPBACK"], "mtu": 65536, "addr_info": []},
    {
        "ifname": "eth0",
        "flags": ["UP"],
        "mtu": 9000,
        "address": "02:00:00:00:00:01",
        "addr_info": [{"scope": "global", "local": "192.0.2.7", "prefixlen": 24}],
    },
    *({"ifname": name, "flags": [], "mtu": 1500, "addr_info": []} for name in ("cali12", "lxcbr0", "docker0")),
]


def test_addresses_have_their_mtu_and_leftover_interfaces_are_seen(machine: Machine) -> None:
    machine.answer("ip -j address", json.dumps(LINKS))
    state = node.observe(machine)
    entry = state.at("192.0.2.7")
    assert entry and (entry.mtu, entry.mac) == (9000, "02:00:00:00:00:01")
    assert state.at("192.0.2.8") is None
    assert state.pod_interfaces == ["cali12"]


def test_dns_servers_on_the_machine_itself_and_beyond(machine: Machine) -> None:
    machine.put("/etc/resolv.conf", "nameserver 127.0.0.53\noptions edns0\n")
    assert (node.observe(machine).loopback_dns, node.observe(machine).dns_servers) == (["127.0.0.53"], [])
    machine.put("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\nnameserver fe80::1%eth0\n")
    assert node.observe(machine).dns_servers == ["192.0.2.53", "fe80::1"]


def test_disks_are_those_the_folders_will_be_on(machine: Machine) -> None:
    disks = {disk.folder: disk for disk in node.observe(machine).disks}
    assert set(disks) == set(node.DATA_FOLDERS)
    assert all(0 <= disk.free_mb <= disk.size_mb and disk.size_mb for disk in disks.values())
    assert node.Disk("/x", 200, 30).free_percent == 15


# -- the ways to others


@pytest.fixture
def listener() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server.getsockname()[1]


def test_connecting_tells_what_came_of_it(listener: int) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        closed = other.getsockname()[1]
    targets = [f"127.0.0.1:{listener}", f"127.0.0.1:{closed}", "no-such-host.invalid:1", "nonsense"]
    found = reach.connect_all([*targets, targets[0]])
    assert list(found) == targets
    assert found[targets[0]] == "open" and found[targets[1]] == "refused"
    assert found["nonsense"] == "unknown name"
    assert reach.connect_all([]) == {}


def test_a_name_server_that_never_answers_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "CONNECT_TIMEOUT", 0.1)
    released, answered = threading.Event(), []
    monkeypatch.setattr(reach, "connect", lambda text: answered.append(text) if released.wait(60) else None)
    assert reach.connect_all(["slow:1", "slow:2"]) == {"slow:1": "timeout", "slow:2": "timeout"}
    assert answered == []
    released.set()


def test_no_more_than_some_targets_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "connect", lambda _text: "open")
    assert len(reach.connect_all([f"10.0.0.{number}:1" for number in range(99)])) == reach.MAX_TARGETS


def test_targets_read_back() -> None:
    for host, port in (("192.0.2.1", 1), ("fd00::1", 6443), ("x.example", 443)):
        assert reach.split(host_port(host, port)) == (host, port)


def test_what_a_host_tries_at_others() -> None:
    controls, workers = {"cp1": ("10.0.0.1", 6443), "cp2": ("10.0.0.2", 7443)}, {"w1": "10.0.0.3"}
    assert reachability.peers("w1", controls, {}) == ["10.0.0.1:6443", "10.0.0.2:7443"]
    assert reachability.peers("cp1", controls, workers) == [
        "10.0.0.2:7443",
        "10.0.0.2:2379",
        "10.0.0.2:2380",
        "10.0.0.2:10250",
        "10.0.0.3:10250",
    ]


@pytest.mark.parametrize(
    ("repository", "mirrors", "expected"),
    [
        ("registry.k8s.io", {}, {"registry.k8s.io": ["registry.k8s.io:443"]}),
        ("docker.io/me", {}, {"docker.io": ["registry-1.docker.io:443"]}),
        ("reg.example:5000/k8s", {}, {"reg.example:5000": ["reg.example:5000"]}),
        (
            "registry.k8s.io",
            {"_default": {"mirrors": ["http://m.example/v2", "https://n.example:8443"], "fallback": False}},
            {"registry.k8s.io": ["m.example:80", "n.example:8443"]},
        ),
        ("registry.k8s.io", {"registry.k8s.io": 7}, {"registry.k8s.io": ["registry.k8s.io:443"]}),
    ],
)
def test_who_answers_for_a_registry(
    repository: str, mirrors: dict[str, object], expected: dict[str, list[str]]
) -> None:
    found = reachability.registries(repository, ContainerdOptions(registry_mirrors=mirrors), "bridge", "")
    assert found == expected


def test_calicos_registry_is_tried_too_and_the_endpoint_first() -> None:
    options = {
        "control_plane": {"endpoint": "k8s.example", "image_repository": "registry.k8s.io"},
        "cni": {"plugin": "calico", "image_registry": "mirror.example/calico"},
    }
    assert reachability.targets_from_options(options) == [
        "k8s.example:6443",
        "registry.k8s.io:443",
        "mirror.example:443",
    ]
    assert registry.observation_arguments(options, ["10.0.0.1:6443"])["reach"][-1] == "10.0.0.1:6443"
    assert reachability.targets_from_options({}) == []


@pytest.mark.parametrize(
    ("facts", "wanted", "expected"),
    [
        ({"options": {}}, registry.NAMES, []),
        ({"options": {"cni": {"plugin": "flannel"}}}, registry.NAMES, ["cni_plugin is 'flannel'"]),
        ({"options": {"cni": {"plugin": "flannel"}}}, ["host"], []),
        (
            {"options": {"control_plane": {"pod_cidr": "10.96.0.0/16"}}},
            ["join"],
            ["cluster_pod_cidr 10.96.0.0/16 over"],
        ),
        ({"options": {"control_plane": {"pod_cidr": "10.96.0.0/16"}}}, ["host"], []),
        (
            {
                "options": {},
                "problems": [{"component": "host", "option": "host_sysctls", "problem": "is a list", "fix": "x"}],
            },
            ["host"],
            ["host_sysctls is a list"],
        ),
    ],
)
def test_options_are_judged_without_an_observation(
    facts: dict[str, object], wanted: list[str], expected: list[str]
) -> None:
    found = registry.option_findings("w1", facts, wanted)
    assert {one.host for one in found} <= {"w1"}
    assert [one.problem.message[: len(text)] for one, text in zip(found, expected, strict=True)] == expected


def test_a_node_that_runs_tries_no_ways(machine: Machine, listener: int) -> None:
    target = f"127.0.0.1:{listener}"
    arguments = ("", "", "", "root", [target])
    assert observation.observe(machine, *arguments)["reach"] == {target: "open"}
    machine.put("/etc/kubernetes/kubelet.conf", "users:\n- user:\n    client-certificate-data: eA==\n")
    assert observation.observe(machine, *arguments)["reach"] == {}


# -- the cost of an observation


def test_what_only_other_operations_need_is_not_loaded() -> None:
    code = "import sys; from {0} import observation; print(*sys.modules)".format(observation.__package__)
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[4] / "collections")},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    names = {name.partition(".module_utils.")[2] for name in loaded}
    assert {"kubeadm.state", "packages.manager"} <= names
    # For upgrades, for a change of the endpoint, and for changes of packages.
    assert not names & {"kubeadm.upgrade_facts", "kubeadm.endpoint_facts", "kubeadm.diagnosis", "packages.transaction"}
