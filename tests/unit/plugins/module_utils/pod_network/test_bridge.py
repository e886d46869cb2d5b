# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The bridge network: its files, routes and rules, out of recorded output of ``ip`` and ``iptables``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result, System
from ansible_collections.kubestead.cluster.plugins.module_utils.host.interfaces import Address
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as cluster_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as kube_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import options as cni
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.bridge import (
    BridgeOptions,
    BridgeState,
    Route,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

PODS = "10.244.0.0/16"
NODES = [
    Node("cp1", ["10.244.0.0/24"], ["10.213.0.64"], True),
    Node("w1", ["10.244.2.0/24"], ["10.213.0.65"], True),
    Node("w2", ["10.244.1.0/24"], ["10.213.0.66"], True),
]


class Host(Machine):
    """A node whose ``ip``, ``iptables`` and ``systemctl`` do what they are told."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.routes: dict[str, str] = {}
        self.rules: dict[tuple[str, str], list[str]] = {}
        self.enabled = False
        self.answer("ip -j address show", fixture("bridge/ip-address.json"))
        self.answer("ip -j -4 route show proto 107", lambda argv, stdin: Result(0, self._shown()))
        self.answer("ip -j -6 route show proto 107", "[]")
        self.answer("ip -4 route replace", self._replace)
        self.answer("ip -4 route del", self._delete)
        self.answer("iptables", self._iptables)
        self.answer("systemctl", self._systemctl)
        for name in bridge.PLUGINS:
            self.put(f"/opt/cni/bin/{name}", "", 0o755)
        self.put("/proc/sys/kernel/hostname", "w1\n")

    def _shown(self) -> str:
        return json.dumps([{"dst": to, "gateway": via, "dev": "eth0"} for to, via in self.routes.items()])

    def _replace(self, argv, stdin):
        self.routes[argv[4]] = argv[6]
        return Result(0)

    def _delete(self, argv, stdin):
        return Result(0) if self.routes.pop(argv[4], None) else Result(2, "", "RTNETLINK answers: No such process")

    def _iptables(self, argv, stdin):
        table, verb, chain, text = argv[3], argv[4], argv[5], " ".join(argv[6:])
        rules = self.rules.setdefault((table, chain), [])
        if verb == "-S":
            return Result(0, f"-P {chain} ACCEPT\n" + "".join(f"-A {chain} {rule}\n" for rule in rules))
        if verb == "-I":
            rules.insert(0, text)
        elif verb == "-D":
            rules.remove(text)
        elif text not in rules:
            return Result(1, "", "iptables: Bad rule (does a matching rule exist in that chain?).")
        return Result(0)

    def _systemctl(self, argv, stdin):
        if argv[1] == "is-enabled":
            return Result(0, "enabled\n") if self.enabled else Result(1, "disabled\n")
        self.enabled = self.enabled or argv[1] == "enable"
        return Result(0)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def run(host: Host, options: BridgeOptions) -> list[str]:
    steps = bridge.plan(bridge.observe(host), options)
    for step in steps:
        bridge.apply(step, host)
    return [f"{step.action} {step.target}" for step in steps]


def test_rules_of_a_real_node() -> None:
    found = bridge.parse_rules(4, "filter", fixture("bridge/iptables-forward.txt"))
    wanted = bridge.wanted_rules(BridgeOptions(PODS, NODES))
    assert sorted(rule.text for rule in found) == sorted(rule.text for rule in wanted if rule.chain == "FORWARD")
    nat = bridge.parse_rules(4, "nat", fixture("bridge/iptables-postrouting.txt"))
    assert nat == [rule for rule in wanted if rule.table == "nat"]


def test_routes_of_a_real_node() -> None:
    found = bridge.parse_routes(fixture("bridge/ip-route.json"))
    assert found == [Route("10.244.0.0/24", "10.213.0.64"), Route("10.244.1.0/24", "10.213.0.66")]


def test_nodes_of_a_real_cluster() -> None:
    nodes = kube_nodes.read_nodes(json.loads(fixture("bridge/nodes.json")))
    assert [(node.name, node.pod_cidrs, node.addresses) for node in nodes] == [
        (node.name, node.pod_cidrs, node.addresses) for node in NODES
    ]
    assert [node.ready for node in nodes] == [False, False, False]
    assert "cni plugin not initialized" in nodes[0].not_ready_reason and not nodes[0].silent


def test_a_node_gets_all_and_then_nothing(host: Host) -> None:
    options = BridgeOptions(PODS, NODES)
    assert run(host, options) == [
        "write /etc/systemd/system/kubestead-routes.service",
        "add_route 10.244.0.0/24",
        "add_route 10.244.1.0/24",
        "add_rule iptables POSTROUTING",
        "add_rule iptables FORWARD",
        "add_rule iptables FORWARD",
        "write /etc/cni/net.d/10-kubestead.conflist",
    ]
    assert host.routes == {"10.244.0.0/24": "10.213.0.64", "10.244.1.0/24": "10.213.0.66"}
    assert host.enabled
    assert run(host, options) == []


def test_the_configuration_has_the_nodes_own_range(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES))
    config = json.loads(host.read(bridge.CONFLIST) or "")
    main = config["plugins"][0]
    assert main["ipam"]["ranges"] == [[{"subnet": "10.244.2.0/24"}]]
    assert main["mtu"] == 1500 and main["hairpinMode"] is True and main["ipMasq"] is False
    assert config["plugins"][1]["type"] == "portmap"


def test_the_unit_holds_routes_and_rules_for_the_next_boot(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES))
    unit = host.read(bridge.UNIT) or ""
    assert "/bin/sh" not in unit and "'" not in unit
    assert "ip -4 route replace 10.244.1.0/24 via 10.213.0.66 proto 107" in unit
    assert "-I POSTROUTING -s 10.244.0.0/16 ! -d 10.244.0.0/16 -m comment --comment kubestead -j MASQUERADE" in unit
    assert "WantedBy=multi-user.target" in unit and "Before=kubelet.service" in unit


def test_a_new_node_adds_a_route_and_a_gone_one_takes_its_own_away(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES[:2]))
    host.routes["192.168.77.0/24"] = "10.213.0.1"
    done = run(host, BridgeOptions(PODS, [NODES[1], NODES[2]]))
    assert done == [
        "write /etc/systemd/system/kubestead-routes.service",
        "add_route 10.244.1.0/24",
        "remove_route 10.244.0.0/24",
        "remove_route 192.168.77.0/24",
    ]
    assert host.routes == {"10.244.1.0/24": "10.213.0.66"}


def test_only_routes_of_ours_are_looked_at(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES))
    bridge.observe(host)
    shown = [argv for argv in host.ran if argv[:2] == ["ip", "-j"] and "route" in argv]
    assert shown and all(argv[-2:] == ["proto", "107"] for argv in shown)


def test_a_lost_route_and_a_lost_rule_come_back(host: Host) -> None:
    options = BridgeOptions(PODS, NODES)
    run(host, options)
    host.routes["10.244.1.0/24"] = "10.213.0.99"
    host.rules[("filter", "FORWARD")].pop()
    steps = bridge.plan(bridge.observe(host), options)
    assert [step.summary() for step in steps] == [
        "add route 10.244.1.0/24 (via 10.213.0.99 -> 10.213.0.66)",
        "add rule iptables FORWARD (missing)",
    ]
    run(host, options)
    assert run(host, options) == []


def test_rules_of_another_range_are_taken_away(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES))
    wider = BridgeOptions("10.244.0.0/15", NODES)
    assert "remove_rule iptables FORWARD" in run(host, wider)
    assert all("10.244.0.0/16" not in rule for rules in host.rules.values() for rule in rules)
    assert run(host, wider) == []


def test_a_node_is_found_by_the_name_of_its_kubelet_alone(host: Host) -> None:
    state = bridge.observe(host)
    assert bridge.this_node(state, BridgeOptions(PODS, NODES)) == NODES[1]
    thief = Node("a0", ["10.244.9.0/24"], ["10.213.0.65"])
    assert bridge.this_node(state, BridgeOptions(PODS, [thief, *NODES])) == NODES[1]
    assert bridge.this_node(state, BridgeOptions(PODS, [thief])) is None
    assert bridge.this_node(state, BridgeOptions(PODS, NODES, node_name="w2")) == NODES[2]
    assert bridge.this_node(state, BridgeOptions(PODS, NODES[2:])) is None


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        (
            [Node("w9", ["10.244.9.0/24"], ["10.9.9.9"])],
            "this host is not one of the cluster's nodes (w9); join it first",
        ),
        ([Node("w1", [], ["10.213.0.65"])], "node w1 does not have a pod range"),
        ([Node("w1", ["10.99.1.0/24"], ["10.213.0.65"])], "cluster_pod_cidr is 10.244.0.0/16, but node w1 has the pod"),
        (
            [NODES[1], Node("w3", ["10.244.3.0/24"], ["10.77.0.3"])],
            "node w3 (10.77.0.3) is not in any network of this host",
        ),
    ],
)
def test_what_stands_in_the_way_is_one_line(host: Host, nodes: list[Node], text: str) -> None:
    with pytest.raises(KubesteadError) as caught:
        run(host, BridgeOptions(PODS, nodes))
    assert text in caught.value.message and "\n" not in caught.value.message
    assert host.routes == {} and host.read(bridge.UNIT) is None


def test_a_machine_that_is_no_node_is_left_alone_where_only_members_are_meant(host: Host) -> None:
    strangers = [Node("w9", ["10.244.9.0/24"], ["10.9.9.9"])]
    assert bridge.plan(bridge.observe(host), BridgeOptions(PODS, strangers, members_only=True)) == []
    assert bridge.plan(bridge.observe(host), BridgeOptions(PODS, NODES, members_only=True)) != []


def test_missing_plugins_and_another_configuration_are_told(host: Host) -> None:
    host.remove("/opt/cni/bin/portmap")
    with pytest.raises(
        KubesteadError, match="the CNI plugins portmap are missing in /opt/cni/bin; install the package kubernetes-cni"
    ):
        run(host, BridgeOptions(PODS, NODES))
    host.put("/opt/cni/bin/portmap", "", 0o755)
    host.put("/etc/cni/net.d/10-calico.conflist", "{}")
    with pytest.raises(KubesteadError, match=r"takes /etc/cni/net.d/10-calico.conflist, which comes before"):
        run(host, BridgeOptions(PODS, NODES))
    host.remove("/etc/cni/net.d/10-calico.conflist")
    host.put("/etc/cni/net.d/87-podman.conflist", "{}")
    assert run(host, BridgeOptions(PODS, NODES))


def test_two_families() -> None:
    nodes = [
        Node("w1", ["10.244.1.0/24", "fd00:1::/64"], ["10.213.0.65", "fd01::50"]),
        Node("w2", ["10.244.2.0/24", "fd00:2::/64"], ["10.213.0.66", "fd01::51"]),
    ]
    options = BridgeOptions("10.244.0.0/16,fd00::/20", nodes)
    state = BridgeState(
        addresses=[Address("eth0", "10.213.0.65", "10.213.0.65/24"), Address("eth0", "fd01::50", "fd01::50/64")]
    )
    assert bridge.wanted_routes(state, options, nodes[0]) == [
        Route("10.244.2.0/24", "10.213.0.66"),
        Route("fd00:2::/64", "fd01::51"),
    ]
    assert {rule.command for rule in bridge.wanted_rules(options)} == {"iptables", "ip6tables"}
    ipam = json.loads(bridge.render_conflist(nodes[0], 0))["plugins"][0]["ipam"]
    assert ipam["routes"] == [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]


# -- what other nodes say of themselves


def evil(address: str = "10.213.0.70", *ranges: str) -> Node:
    return Node("a0", list(ranges) or ["10.244.7.0/24"], [address])


@pytest.mark.parametrize(
    ("destination", "gateway"),
    [
        ("10.244.7.0/24", "fd00::11%;CMD;"),
        ("fd00:7::/64", "fd00::11%;touch /tmp/x;"),
        ("fd00:7::/64", "fd00::11%\nExecStart=/bin/evil"),
        ("fd00:7::%x/64", "fd00::11"),
        ("10.244.7.0/24", "10.213.0.70\nExecStart=/bin/evil"),
        ("10.244.7.0/24", "fd00::11"),
        ("10.244.7.1/24", "10.213.0.70"),
        ("default", "10.213.0.70"),
        ("", ""),
        (7, 7),
        (None, ["10.213.0.70"]),
    ],
)
def test_a_route_that_is_none_can_not_be_made(destination: Any, gateway: Any) -> None:
    with pytest.raises(ValueError):
        Route(destination, gateway)
    assert bridge.parse_routes(json.dumps([{"dst": destination, "gateway": gateway}])) == []


@pytest.mark.parametrize("text", ["fd00::11%;CMD;", "fd00::11%eth0", "fd00::11%\nExecStart=/bin/evil", "1.2.3.4\n", 7])
def test_an_address_of_the_api_with_more_than_an_address_is_none(text: Any) -> None:
    status = {"addresses": [{"type": "InternalIP", "address": text}, text]}
    item = {"metadata": {"name": "a0"}, "spec": {"podCIDR": f"{text}/64", "podCIDRs": [text]}, "status": status}
    (node,) = kube_nodes.read_nodes({"items": [item]})
    # White space around an address is no part of it.
    assert (node.pod_cidrs, node.addresses) in (([], []), (["1.2.3.4"], ["1.2.3.4"]))


@pytest.mark.parametrize(
    ("node", "reason"),
    [
        (evil("10.213.0.70", "0.0.0.0/1"), "is not in cluster_pod_cidr"),
        (evil("10.213.0.70", "10.213.0.0/16"), "is not in cluster_pod_cidr"),
        (evil("10.213.0.70", "10.244.2.0/24"), "overlaps with that of w1"),
        (evil("10.213.0.70", "10.244.0.0/16"), "overlaps with that of cp1, w1, w2"),
        (evil("10.213.0.70", "10.244.0.0/25"), "overlaps with that of cp1"),
        (evil("10.213.0.65"), "its address is also an address of this host"),
        (evil("10.77.0.3"), "is not in any network of this host"),
        # What the kernel takes for no gateway would fail the run of every other host.
        (evil("127.0.0.2"), "is not in any network of this host"),
        (evil("0.0.0.0"), "is not in any network of this host"),
        (evil("224.0.0.1"), "is not in any network of this host"),
        (evil("10.213.0.0"), "is not in any network of this host"),
        (evil("10.213.15.255"), "is not in any network of this host"),
    ],
)
def test_a_node_that_claims_what_it_can_not_have_gets_no_route_and_the_others_keep_theirs(
    host: Host, node: Node, reason: str
) -> None:
    run(host, BridgeOptions(PODS, NODES))
    before, unit = dict(host.routes), host.read(bridge.UNIT)
    options = BridgeOptions(PODS, [node, *NODES])
    (said,) = bridge.refusals(bridge.observe(host), options)
    assert said.startswith("no route to the pods of node a0: ") and reason in said
    assert run(host, options) == []
    assert host.routes == before and host.read(bridge.UNIT) == unit
    conflist = json.loads(host.read(bridge.CONFLIST) or "{}")
    assert conflist["plugins"][0]["ipam"]["ranges"] == [[{"subnet": "10.244.2.0/24"}]]


def test_a_range_with_the_address_of_a_node_in_it_gets_no_route(host: Host) -> None:
    wide = BridgeOptions("10.0.0.0/8", [evil("10.213.0.70", "10.213.0.0/24"), *NODES])
    assert "has 10.213.0.64 in it, the address of a node" in bridge.refusals(bridge.observe(host), wide)[0]
    run(host, wide)
    assert "10.213.0.0/24" not in host.routes


def test_of_two_nodes_that_are_new_with_one_range_none_gets_it(host: Host) -> None:
    options = BridgeOptions(PODS, [NODES[1], evil(), Node("b0", ["10.244.7.0/24"], ["10.213.0.71"])])
    assert len(bridge.refusals(bridge.observe(host), options)) == 2
    run(host, options)
    assert host.routes == {}


def test_a_node_can_not_take_the_route_of_another_away_nor_that_of_one_that_joins(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES))
    newcomer = Node("w3", ["10.244.3.0/24"], ["10.213.0.67"])
    for thief in (
        evil("10.213.0.70", "10.244.0.0/16"),
        evil("10.213.0.70", "10.244.3.0/25"),
        evil("10.213.0.70", "10.244.2.0/23"),
        evil("10.244.3.7", "10.244.7.0/24"),
        evil("10.213.0.70", "10.244.1.0/24"),
    ):
        steps = bridge.plan(bridge.observe(host), BridgeOptions(PODS, [thief, *NODES, newcomer]))
        changes = [step.target for step in steps if step.action.endswith("_route")]
        assert changes == ["10.244.3.0/24"]


def test_a_refused_node_is_a_warning_of_the_plan(host: Host) -> None:
    options = cni.CniOptions(plugin="bridge", pod_cidr=PODS)
    problems = cni.problems(cni.observe(host), options, [evil("10.213.0.70", "0.0.0.0/1"), *NODES])
    assert [(one.check, one.level) for one in problems] == [("cni.node", "warning")]


def test_no_word_of_a_command_in_the_unit_needs_quotes() -> None:
    for word in ("a b", "$(x)", "%n", "a;b", "", "a\nb", "'"):
        with pytest.raises(KubesteadError):
            bridge._exec_line("/sbin/ip", [word])


# -- the component


def test_the_plan_before_the_node_has_joined(host: Host) -> None:
    state = cni.observe(host)
    steps = cni.plan(state, cni.CniOptions(plugin="bridge", pod_cidr=PODS), [])
    assert [step.summary() for step in steps] == [
        "configure /etc/cni/net.d/10-kubestead.conflist (the host has not joined the cluster yet)"
    ]
    assert cni.plan(state, cni.CniOptions(pod_cidr=PODS), NODES) == []


def test_the_plan_on_the_control_machine_is_that_of_the_node(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES))
    options = cni.CniOptions(plugin="bridge", pod_cidr=PODS)
    carried = from_dict(cni.CniState, json.loads(json.dumps(to_dict(cni.observe(host)))))
    assert cni.plan(carried, options, NODES) == []
    assert [
        step.target for step in cni.plan(carried, options, [*NODES, Node("w3", ["10.244.3.0/24"], ["10.213.0.67"])])
    ] == [
        bridge.UNIT,
        "10.244.3.0/24",
    ]


def test_a_node_that_joined_just_now_gets_its_range_soon_unless_the_cluster_has_none(host: Host) -> None:
    nodes = [NODES[0], Node("w1", [], ["10.213.0.65"])]
    options = cni.CniOptions(plugin="bridge", pod_cidr=PODS)
    assert cni.problems(cni.observe(host), options, nodes) == []
    assert [step.reason for step in cni.plan(cni.observe(host), options, nodes)] == [
        "the node does not have a pod range yet"
    ]
    problems = cni.problems(cni.observe(host), cni.CniOptions(plugin="bridge", pod_cidr=""), nodes)
    assert [problem.message for problem in problems] == [
        "bridge network: node w1 does not have a pod range: the cluster was created without one "
        "(podSubnet of kubeadm) or "
        "kube-controller-manager does not run"
    ]


def test_another_plugin_on_a_bridge_node_is_a_problem(host: Host) -> None:
    run(host, BridgeOptions(PODS, NODES))
    problems = cni.problems(cni.observe(host), cni.CniOptions(plugin="calico"), NODES)
    assert [problem.check for problem in problems] == ["cni.plugin"]
    assert cni.problems(cni.observe(host), cni.CniOptions(plugin="bridge", pod_cidr=PODS), NODES) == []


def test_a_problem_of_a_member_is_found_before_the_run(host: Host) -> None:
    host.remove("/opt/cni/bin/bridge")
    options = cni.CniOptions(plugin="bridge", pod_cidr=PODS)
    problems = cni.problems(cni.observe(host), options, NODES)
    assert [(one.check, one.fix) for one in problems] == [("cni.bridge", "install the package kubernetes-cni")]
    assert cni.plan(cni.observe(host), options, NODES)[0].action == "configure"


# -- waiting for nodes


def test_waiting_for_nodes_names_who_is_not_ready_and_why(machine: Machine) -> None:
    machine.answer("kubectl", fixture("bridge/nodes.json"))
    now = [0.0]
    with pytest.raises(KubesteadError) as caught:
        cluster_nodes.wait(
            Kubectl(machine, "/k"),
            5,
            lambda node: node.ready,
            "Ready",
            clock=lambda: now[0],
            sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
        )
    message = caught.value.message
    assert message.startswith("3 of 3 nodes are not Ready after 5 s: cp1 (container runtime network not ready")


def test_ready_nodes_are_told_by_the_api_and_not_asked_for_again_and_again(machine: Machine) -> None:
    # Every condition becomes True; only Ready is read.
    ready = fixture("bridge/nodes.json").replace('"status": "False"', '"status": "True"')
    listings = iter([fixture("bridge/nodes.json"), ready])
    machine.answer("kubectl", lambda argv, stdin: Result(0, "" if "wait" in argv else next(listings), ""))
    nodes = cluster_nodes.wait_ready(Kubectl(machine, "/k"), 60)
    assert [node.ready for node in nodes] == [True, True, True]
    asked = ["kubectl", "get", cluster_nodes.NODES]
    commands = [[word for word in argv if not word.startswith("--")] for argv in machine.ran]
    assert commands == [asked, ["kubectl", "wait", "node/cp1", "node/w1", "node/w2"], asked]


def test_nodes_that_can_not_be_watched_are_asked_for_after_a_pause(machine: Machine) -> None:
    refused = Result(1, "", "error: timed out")
    nodes = Result(0, fixture("bridge/nodes.json"), "")
    machine.answer("kubectl", lambda argv, stdin: refused if "wait" in argv else nodes)
    now = [0.0]
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    with pytest.raises(KubesteadError):
        cluster_nodes.wait(
            Kubectl(machine, "/k"), 5, lambda node: node.ready, "Ready", (), "Ready", lambda: now[0], sleep
        )
    assert len(slept) > 3 and min(slept) >= 0.2


def test_many_nodes_are_not_watched_longer_than_one() -> None:
    seconds = []

    def run(argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
        if "wait" in argv:
            seconds.append(timeout)
            return Result(124, "", "kubectl: did not finish")
        return Result(0, fixture("bridge/nodes.json"), "")

    with pytest.raises(KubesteadError):
        cluster_nodes.wait_ready(Kubectl(System(run), "/k"), 1)
    # kubectl 1.20 gives each of the three nodes the time it is told.
    assert seconds and max(seconds) <= 3.0


def test_a_silent_node_is_reported_and_not_waited_for(machine: Machine) -> None:
    data = json.loads(fixture("bridge/nodes.json"))
    for item, status in zip(data["items"], ("True", "True", "Unknown"), strict=True):
        for condition in item["status"]["conditions"]:
            if condition["type"] == "Ready":
                condition["status"] = status
    machine.answer("kubectl", json.dumps(data))
    nodes = cluster_nodes.wait_ready(Kubectl(machine, "/k"), 5)
    assert (
        cluster_nodes.silent_warning(nodes)
        == f"did not wait for nodes whose kubelet does not report: {data['items'][2]['metadata']['name']}"
    )


def test_an_empty_state_is_a_bare_machine(machine: Machine) -> None:
    state = bridge.observe(machine)
    assert state == BridgeState(missing_plugins=list(bridge.PLUGINS))
