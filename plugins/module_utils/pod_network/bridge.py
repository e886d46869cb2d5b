# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pod network without images: the CNI plugins on disk, each node's own pod range, and routes to the others'.

Every node has a bridge with the range Kubernetes gave it (``spec.podCIDR``). A systemd unit holds the routes to the
other nodes and the few netfilter rules, so that both are there again after a reboot. All nodes have to be on one
network.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Sequence

from ..core.addresses import parse_cidrs, plain_network
from ..core.constants import KUBELET_KUBECONFIG, ROUTE_PROTOCOL, managed_header
from ..core.errors import KubesteadError
from ..core.step import Step
from ..core.system import System
from ..host import interfaces
from ..host.interfaces import Address
from ..kube.kubelet import node_name
from ..kube.nodes import Node
from .routes import OFF_NETWORK, Route, refused_nodes, routes_to, within

CNI_FOLDER = "/etc/cni/net.d"
CONFLIST = CNI_FOLDER + "/10-kubestead.conflist"
UNIT_NAME = "kubestead-routes.service"
UNIT = "/etc/systemd/system/" + UNIT_NAME
BIN_FOLDER = "/opt/cni/bin"
PLUGINS = ("bridge", "host-local", "loopback", "portmap")
BRIDGE = "cni0"
COMMENT = "kubestead"
COMPONENT = "cni"


@dataclass(frozen=True)
class BridgeOptions:
    """The bridge network to set up on one node. ``mtu`` is in bytes; 0 uses the MTU of the node's interface."""

    pod_cidr: str
    nodes: List[Node]
    mtu: int = 0
    # The name of this machine's Node; empty for the name of its kubelet.
    node_name: str = ""
    # A machine that is not one of the nodes is not changed.
    members_only: bool = False


@dataclass(frozen=True)
class Rule:
    """A netfilter rule; ``family`` is 4 or 6."""

    family: int
    table: str
    chain: str
    text: str

    @property
    def command(self) -> str:
        """The tool that handles the rule's family."""
        return "iptables" if self.family == 4 else "ip6tables"


@dataclass(frozen=True)
class BridgeState:
    """The state of the bridge network on a machine."""

    conflist: Optional[str] = None
    # Other CNI configurations. The runtime uses the first one by name.
    others: List[str] = field(default_factory=list)
    missing_plugins: List[str] = field(default_factory=list)
    unit: Optional[str] = None
    enabled: bool = False
    routes: List[Route] = field(default_factory=list)
    rules: List[Rule] = field(default_factory=list)
    addresses: List[Address] = field(default_factory=list)
    # The name that the kubelet has or would have.
    node_name: str = ""


# -- Observation


def observe(system: System) -> BridgeState:
    """Observe the machine. Changes nothing. The rules of a machine without a bridge network are not read."""
    names = [name for name in system.names(CNI_FOLDER) if name.endswith((".conf", ".conflist", ".json"))]
    unit = system.read(UNIT)
    # Routes of an earlier cluster remain even if its unit was removed.
    routes = []
    for flag in ("-4", "-6"):
        answer = system.run(["ip", "-j", flag, "route", "show", "proto", ROUTE_PROTOCOL])
        routes += parse_routes(answer.stdout)
    state = BridgeState(
        conflist=system.read(CONFLIST),
        others=[name for name in names if name != CONFLIST.rsplit("/", 1)[1]],
        missing_plugins=[name for name in PLUGINS if not system.is_executable("{0}/{1}".format(BIN_FOLDER, name))],
        addresses=interfaces.addresses(interfaces.query(system, "address", "show")),
        node_name=node_name(system, system.read(KUBELET_KUBECONFIG)),
        unit=unit,
        routes=routes,
    )
    if unit is None:
        return state
    rules: List[Rule] = []
    for family in (4, 6) if "ip6tables" in unit else (4,):
        for table, chain in (("nat", "POSTROUTING"), ("filter", "FORWARD")):
            command = Rule(family, table, chain, "").command
            rules += parse_rules(family, table, system.run([command, "-w", "-t", table, "-S", chain]).stdout)
    enabled = system.run(["systemctl", "is-enabled", UNIT_NAME]).stdout.strip() == "enabled"
    return replace(state, rules=rules, enabled=enabled)


def parse_routes(text: str) -> List[Route]:
    """The routes of ``ip -j route`` that go through a gateway."""
    found = []
    for entry in interfaces.parse(text):
        # The default route, or one through another family's gateway, is not ours.
        with contextlib.suppress(ValueError):
            found.append(Route(entry.get("dst", ""), entry.get("gateway", "")))
    return found


def parse_rules(family: int, table: str, text: str) -> List[Rule]:
    """The collection's rules in the output of ``iptables -S``."""
    rules = []
    for line in text.splitlines():
        plain = line.replace('"', "")
        words = plain.split()
        if len(words) > 2 and words[0] == "-A" and "--comment {0} ".format(COMMENT) in plain:
            rules.append(Rule(family, table, words[1], " ".join(words[2:])))
    return rules


# -- Planning


def this_node(state: BridgeState, options: BridgeOptions) -> Optional[Node]:
    """This machine's node, by the name of its kubelet. Addresses that other nodes report do not count."""
    name = options.node_name or state.node_name
    return next((node for node in options.nodes if node.name == name), None)


def plan(state: BridgeState, options: BridgeOptions) -> List[Step]:
    """The changes to the machine. Raises :class:`KubesteadError` for a problem that prevents them."""
    node = this_node(state, options)
    if node is None and options.members_only:
        return []
    if node is None:
        raise KubesteadError(
            "bridge network: this host is not one of the cluster's nodes ({0}); join it first".format(
                ", ".join(item.name for item in options.nodes) or "none"
            )
        )
    if node.expected:
        reason = "its pod range is known after it has joined"
        return [Step(COMPONENT, "configure", CONFLIST, reason, state.conflist or "", state.conflist or "")]
    _require(state, options, node)
    routes = wanted_routes(state, options, node)
    rules = wanted_rules(options)
    steps: List[Step] = []
    unit = render_unit(routes, rules)
    if state.unit != unit:
        reason = "missing" if state.unit is None else "the routes or rules differ"
        steps.append(Step(COMPONENT, "write", UNIT, reason, state.unit or "", unit, {"text": unit}))
    elif not state.enabled:
        steps.append(Step(COMPONENT, "enable", UNIT_NAME, "not enabled"))
    steps += _route_steps(state.routes, routes)
    steps += [
        Step(COMPONENT, "add_route", "to the pods of {0}".format(other.name), "{0} joins".format(other.name))
        for other in options.nodes
        if other.expected
    ]
    steps += _rule_steps(state.rules, rules)
    conflist = render_conflist(node, _mtu(state, options, node))
    if state.conflist != conflist:
        reason = "missing" if state.conflist is None else "the content differs"
        steps.append(Step(COMPONENT, "write", CONFLIST, reason, state.conflist or "", conflist, {"text": conflist}))
    return steps


def wanted_routes(state: BridgeState, options: BridgeOptions, node: Node) -> List[Route]:
    """A route to each range of each other node, through that node's address of the same family.

    A node that claims what it can't have gets none (see :func:`~.routes.refused_nodes`). Raises
    :class:`KubesteadError` where no other node can be reached at all: then it is this machine that is elsewhere.
    """
    refused = _refused(state, options, node)
    others = [other for other in options.nodes if other.name != node.name and other.pod_cidrs]
    elsewhere = [other for other in others if OFF_NETWORK in refused.get(other.name, "")]
    if others and len(elsewhere) == len(others):
        other = elsewhere[0]
        raise KubesteadError(
            "bridge network: node {0} ({1}) {2}; use cni_plugin: calico, which uses tunnels".format(
                other.name, other.internal_ip, OFF_NETWORK
            )
        )
    routes = [route for other in others if other.name not in refused for route in routes_to(other)]
    return sorted(routes, key=lambda route: (route.destination, route.gateway))


def refusals(state: BridgeState, options: BridgeOptions) -> List[str]:
    """A line for each node that does not get a route, with the reason."""
    node = this_node(state, options)
    if node is None or node.expected or not node.pod_cidrs:
        return []
    return [
        "no route to the pods of node {0}: {1}".format(name, reason)
        for name, reason in _refused(state, options, node).items()
    ]


def _refused(state: BridgeState, options: BridgeOptions, node: Node) -> Dict[str, str]:
    pods = parse_cidrs("cluster_pod_cidr", options.pod_cidr)
    own = [entry for entry in state.addresses if entry.interface != BRIDGE]
    return refused_nodes(node, options.nodes, pods, own, state.routes)


def wanted_rules(options: BridgeOptions) -> List[Rule]:
    """The rules that forward packets of pods despite the chain's policy, and masquerade those to other networks."""
    rules = []
    for network in parse_cidrs("cluster_pod_cidr", options.pod_cidr):
        mark = "-m comment --comment {0}".format(COMMENT)
        rules += [
            Rule(network.version, "nat", "POSTROUTING", "-s {0} ! -d {0} {1} -j MASQUERADE".format(network, mark)),
            Rule(network.version, "filter", "FORWARD", "-s {0} {1} -j ACCEPT".format(network, mark)),
            Rule(network.version, "filter", "FORWARD", "-d {0} {1} -j ACCEPT".format(network, mark)),
        ]
    return rules


def render_conflist(node: Node, mtu: int) -> str:
    """The CNI configuration of a node."""
    ranges = [plain_network(cidr) for cidr in node.pod_cidrs]
    defaults = {4: "0.0.0.0/0", 6: "::/0"}
    main: Dict[str, Any] = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        # A node that joined again has a different range; the bridge is changed.
        "forceAddress": True,
        # The unit masquerades what leaves the pod network; the plugin would do it between nodes as well.
        "ipMasq": False,
        # A pod reaches itself through its own Service.
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": str(one)}] for one in ranges],
            "routes": [{"dst": defaults[one.version]} for one in ranges],
        },
    }
    if mtu:
        main["mtu"] = mtu
    document = {
        "cniVersion": "0.4.0",
        "name": "kubestead",
        "plugins": [main, {"type": "portmap", "capabilities": {"portMappings": True}}],
    }
    return json.dumps(document, indent=2) + "\n"


def render_unit(routes: Sequence[Route], rules: Sequence[Rule]) -> str:
    """The systemd unit that sets routes and rules at boot."""
    lines = [
        managed_header().rstrip("\n"),
        "[Unit]",
        "Description=Routes and rules of the pod network",
        "Wants=network-online.target",
        "After=network-online.target",
        "Before=kubelet.service",
        "# What manages the network may drop routes that are not its own when it restarts.",
        "PartOf=systemd-networkd.service NetworkManager.service networking.service",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
    ]
    lines += [_exec_line("/sbin/ip", _route_command(route)[1:]) for route in routes]
    for rule in rules:
        # Each rule must exist once. The deletion fails if it does not exist.
        for action in ("-D", "-I"):
            words = ["-w", "-t", rule.table, action, rule.chain] + rule.text.split()
            lines.append(_exec_line("/usr/sbin/" + rule.command, words))
    lines += ["", "[Install]", "WantedBy=multi-user.target"]
    return "\n".join(lines) + "\n"


# No word needs systemd's quotes, nor has one of its specifiers or variables.
_PLAIN_WORD = re.compile(r"[A-Za-z0-9./:-]+|!")


def _exec_line(program: str, words: Sequence[str]) -> str:
    """A command of the unit that may fail; systemd runs it without a shell."""
    for word in words:
        if not _PLAIN_WORD.fullmatch(word):
            raise KubesteadError("bridge network: {0!r} can't be part of a command in {1}".format(word, UNIT))
    return "ExecStart=-{0}".format(" ".join([program] + list(words)))


def _require(state: BridgeState, options: BridgeOptions, node: Node) -> None:
    if not node.pod_cidrs:
        raise KubesteadError(
            "bridge network: node {0} does not have a pod range: the cluster was created without one (podSubnet of "
            "kubeadm) or kube-controller-manager does not run; check spec.podCIDR of the node".format(node.name)
        )
    pods = parse_cidrs("cluster_pod_cidr", options.pod_cidr)
    for cidr in node.pod_cidrs:
        if not any(within(plain_network(cidr), pod) for pod in pods):
            raise KubesteadError(
                "cluster_pod_cidr is {0}, but node {1} has the pod range {2}; set it to the range of the "
                "cluster".format(options.pod_cidr, node.name, cidr)
            )
    if state.missing_plugins:
        raise KubesteadError(
            "bridge network: the CNI plugins {1} are missing in {0}; install the package kubernetes-cni".format(
                BIN_FOLDER, ", ".join(state.missing_plugins)
            )
        )
    before = [name for name in state.others if name < CONFLIST.rsplit("/", 1)[1]]
    if before:
        raise KubesteadError(
            "bridge network: the container runtime takes {0}/{1}, which comes before {2}; remove it, or set cni_plugin "
            "to the network that it belongs to".format(CNI_FOLDER, before[0], CONFLIST.rsplit("/", 1)[1])
        )


def _mtu(state: BridgeState, options: BridgeOptions, node: Node) -> int:
    if options.mtu:
        return options.mtu
    return next((entry.mtu for entry in state.addresses if entry.address in node.addresses), 0)


def _route_steps(present: Sequence[Route], wanted: Sequence[Route]) -> List[Step]:
    steps = []
    now = {route.destination: route.gateway for route in present}
    then = {route.destination: route.gateway for route in wanted}
    for route in wanted:
        via = now.get(route.destination)
        if via != route.gateway:
            reason = "missing" if via is None else "via {0} -> {1}".format(via, route.gateway)
            after = "via {0}\n".format(route.gateway)
            before = "" if via is None else "via {0}\n".format(via)
            data = {"argv": _route_command(route)}
            steps.append(Step(COMPONENT, "add_route", route.destination, reason, before, after, data))
    for route in present:
        if route.destination not in then:
            argv = ["ip", _family(route), "route", "del", route.destination, "proto", ROUTE_PROTOCOL]
            before = "via {0}\n".format(route.gateway)
            steps.append(
                Step(COMPONENT, "remove_route", route.destination, "no node has this range", before, "", {"argv": argv})
            )
    return steps


def _rule_steps(present: Sequence[Rule], wanted: Sequence[Rule]) -> List[Step]:
    steps = []
    for rule in wanted:
        if rule not in present:
            target = "{0} {1}".format(rule.command, rule.chain)
            data = {"rule": rule}
            steps.append(Step(COMPONENT, "add_rule", target, "missing", "", rule.text + "\n", data))
    for index, rule in enumerate(present):
        if rule not in wanted or rule in present[:index]:
            target = "{0} {1}".format(rule.command, rule.chain)
            argv = [rule.command, "-w", "-t", rule.table, "-D", rule.chain] + rule.text.split()
            reason = "no longer needed" if rule not in wanted else "duplicate"
            steps.append(Step(COMPONENT, "remove_rule", target, reason, rule.text + "\n", "", {"argv": argv}))
    return steps


def _family(route: Route) -> str:
    return "-{0}".format(plain_network(route.destination).version)


def _route_command(route: Route) -> List[str]:
    argv = ["ip", _family(route), "route", "replace", route.destination, "via", route.gateway]
    return argv + ["proto", ROUTE_PROTOCOL]


# -- Application


def apply(step: Step, system: System) -> None:
    """Apply one step."""
    if step.action == "write":
        # Only the container runtime reads the CNI configuration. It runs as root.
        system.write(step.target, step.data["text"], mode=0o600 if step.target == CONFLIST else 0o644)
        if step.target == UNIT:
            # Enabling would also reload all units, which takes systemd some time.
            _enable(system, "--no-reload")
            system.run(["systemctl", "daemon-reload"], check=True)
            system.run(["systemctl", "restart", UNIT_NAME], check=True)
    elif step.action == "enable":
        _enable(system)
    elif step.action == "add_rule":
        _add_rule(step.data["rule"], system)
    elif step.action == "remove_route":
        done = system.run(step.data["argv"])
        # The file may have been removed since the observation.
        if not done.ok and "No such process" not in done.stderr:
            system.run(step.data["argv"], check=True)
    else:
        system.run(step.data["argv"], check=True)


def _enable(system: System, *options: str) -> None:
    system.run(["systemctl", "enable", *options, UNIT_NAME], check=True)


def _add_rule(rule: Rule, system: System) -> None:
    words = rule.text.split()
    base = [rule.command, "-w", "-t", rule.table]
    known = system.run(base + ["-C", rule.chain] + words)
    if known.rc == 127:
        raise KubesteadError("{0} is not installed on this host; install the package iptables".format(rule.command))
    if not known.ok:
        system.run(base + ["-I", rule.chain] + words, check=True)
