# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cases: what is measured.

Contestants are interleaved, round by round, so that all of them find the machine equally busy.
"""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from lab import nodes
from lab.flavour import minor_of
from lab.inventory import path_of
from lab.inventory import remove as remove_inventory
from lab.machine import MachineError
from lab.podman import network_subnet, podman
from lab.say import duration, say
from lab.sets import prepare_set

from . import endpoints, instruments
from .conditions import Conditions
from .contestants import BY_HAND, IN_STEPS, PING, Contestant, Ping, Playbook, by_hand, variables
from .endpoints import Endpoint
from .instruments import Command, WatchedHost
from .records import Run

ADMIN = "/etc/kubernetes/admin.conf"
THREE = ("cp1", "w1", "w2")
NEW_NODE = "n1"
SET = "bench"
# Inventories in addition to the lab's.
CONDITIONS, ENDPOINTS = "conditions.json", "endpoints.json"
IGNORED = "cluster_ignore_preflight_errors"
NO_NETWORK = ("-e", "cni_plugin=none")


@dataclass
class Testbed:
    """A set of nodes for one contestant, with endpoints in the cases with many nodes."""

    set_name: str
    inventory: pathlib.Path
    endpoints: List[Endpoint] = field(default_factory=list)

    @property
    def inventories(self) -> List[pathlib.Path]:
        """The lab's inventory, and those of the conditions and the endpoints where they are needed."""
        more = [self.inventory.parent / name for name in (CONDITIONS, ENDPOINTS)]
        return [self.inventory, *(path for path in more if path.exists())]

    @property
    def hosts(self) -> List[WatchedHost]:
        """All hosts, nodes and endpoints."""
        real = [WatchedHost(node.name, node.address, node.container) for node in nodes.listed(self.set_name)]
        return [*real, *(endpoint.watched for endpoint in self.endpoints)]

    def kubectl(self, command: str, text: str = "") -> str:
        """Run kubectl on the control plane; returns its output."""
        argv = ["exec", "-i", f"{self.set_name}-cp1", "kubectl", "--kubeconfig", ADMIN, *command.split()]
        return podman(*argv, input=text).stdout

    def require_nodes(self, count: int, ready: bool = True) -> None:
        """Raise :class:`MachineError` unless the cluster has ``count`` nodes, all of them ready if ``ready``."""
        states = [line.split()[1] for line in self.kubectl("get nodes --no-headers").splitlines()]
        if len(states) != count or (ready and not all(state.startswith("Ready") for state in states)):
            raise MachineError(f"{self.set_name}: expected {count} {'ready ' * ready}nodes, but they are {states}")

    def write_endpoints(self, given: Mapping[str, Any]) -> None:
        """Write the inventory of the endpoints, with the variables ``given`` for all hosts."""
        hosts = {one.name: {"ansible_host": one.address} for one in self.endpoints}
        content = {"all": {"vars": dict(given), "children": {"workers": {"hosts": hosts}}}}
        (self.inventory.parent / ENDPOINTS).write_text(json.dumps(content), encoding="utf-8")

    def allow_one_cpu(self, venv: pathlib.Path) -> None:
        """Let kubeadm accept nodes with a single CPU, which is less than it requires."""
        ignored = variables(venv, [self.inventory], THREE[0]).get(IGNORED, [])
        content = {"all": {"vars": {IGNORED: [*ignored, "NumCPU"]}}}
        (self.inventory.parent / CONDITIONS).write_text(json.dumps(content), encoding="utf-8")

    def remove(self) -> None:
        """Remove the nodes and the files written about them."""
        nodes.destroy(self.set_name)
        endpoints.sweep()
        for name in (CONDITIONS, ENDPOINTS, "timeline.json", "marks", "marks.log"):
            (self.inventory.parent / name).unlink(missing_ok=True)
        remove_inventory(self.set_name)


@dataclass(frozen=True)
class Settings:
    """The settings of a measurement. ``sizes`` are numbers of nodes; () leaves them to the case.

    ``series`` identifies the measurement, see :class:`.records.Run`. ``testbeds`` are those that exist now.
    """

    venv: pathlib.Path
    playbooks: Sequence[Playbook]
    rounds: int = 3
    sizes: Tuple[int, ...] = ()
    conditions: Conditions = Conditions()
    series: int = 0
    testbeds: List[Testbed] = field(default_factory=list)


def fresh_nodes(settings: Settings, set_name: str, names: Sequence[str]) -> Testbed:
    """Create new nodes in a set, replacing those of the same names, and watch their SSH servers."""
    testbed = next((one for one in settings.testbeds if one.set_name == set_name), None)
    if testbed is None:
        testbed = Testbed(set_name, path_of(set_name))
        # Known before it exists, so that it is removed when a node does not start.
        settings.testbeds.append(testbed)
    conditions = settings.conditions
    options = nodes.Options(fresh=True, extra=conditions.node_arguments(), prefix=conditions.node_prefix())
    prepare_set(set_name, names, options)
    if conditions.one_cpu:
        testbed.allow_one_cpu(settings.venv)
    with (nodes.set_dir(set_name) / "ssh_config").open("a", encoding="utf-8") as file:
        file.write(conditions.ssh_config())
    instruments.watch([f"{set_name}-{name}" for name in names])
    return testbed


def report_run(settings: Settings, number: int, run: Run) -> Run:
    """Print one line about a run of round ``number``; returns the run with its series and round."""
    trips = max((traffic.round_trips for traffic in run.hosts.values()), default=0)
    say(
        f"  round {number + 1}, {run.size} nodes, {run.contestant}: {run.wall:.2f} s,"
        f" control machine {run.control_cpu:.2f} CPU s and {run.memory / 1e6:.0f} MB"
        f" (SSH masters {run.left_cpu:.2f} and {run.left_memory / 1e6:.0f}),"
        f" nodes {run.node_cpu:.2f} CPU s above idle ({run.idle:.2f} per second), at most {trips} round trips"
    )
    return dataclasses.replace(run, series=settings.series, round=number)


def require_unchanged(run: Run, contestant: Contestant) -> None:
    """Raise :class:`MachineError` when the collection changed anything in a run with nothing to do."""
    changed = sorted({span.name for span in run.spans if span.status == "changed"})
    if contestant.ours and changed:
        raise MachineError(f"a run with nothing to do changed something: {', '.join(changed)}")


def schedule(rounds: int, contestants: Sequence[Any]) -> List[Tuple[int, Any]]:
    """Round and contestant in the order of their runs.

    Contestants alternate, and every second round has the opposite order, so that none of them is always the first.
    """
    order = []
    for number in range(rounds):
        order += [(number, one) for one in (contestants if number % 2 == 0 else contestants[::-1])]
    return order


# -- the cases


def first(settings: Settings) -> Iterator[Run]:
    """Three new nodes become a cluster, by hand and by playbooks; each run has new nodes."""
    hands = [Playbook(name, pathlib.Path()) for name in (BY_HAND, IN_STEPS)]
    set_name = f"{SET}-first"
    for number, contestant in schedule(settings.rounds, [*hands, *settings.playbooks]):
        testbed = fresh_nodes(settings, set_name, THREE)
        if contestant in hands:
            given = variables(settings.venv, testbed.inventories, THREE[0])
            in_steps = contestant.name == IN_STEPS
            command = by_hand(set_name, THREE[0], THREE[1:], given, settings.venv, in_steps)
        else:
            command = contestant.command(settings.venv, testbed.inventories)
        run = _measure(settings, contestant.name, len(THREE), command, testbed)
        testbed.require_nodes(len(THREE))
        yield report_run(settings, number, run)


def nothing(settings: Settings) -> Iterator[Run]:
    """The second run on three nodes; the ping is on the collection's nodes."""
    testbeds = {}
    for index, playbook in enumerate(settings.playbooks):
        testbeds[playbook.name] = testbed = fresh_nodes(settings, f"{SET}-nothing{index}", THREE)
        _run(settings, testbed, playbook)
    testbeds[PING] = testbeds[settings.playbooks[0].name]
    for number, contestant in schedule(settings.rounds, [*settings.playbooks, Ping()]):
        run = _run(settings, testbeds[contestant.name], contestant)
        require_unchanged(run, contestant)
        yield report_run(settings, number, run)


def add(settings: Settings) -> Iterator[Run]:
    """One new node is added with --limit, to a cluster of 3 and to one of 300.

    The collection leaves the pod network out: that of the lab, plain routes, needs a route on every node; Calico does
    not.
    """
    sizes = tuple(sorted(settings.sizes or (3, 300)))
    testbeds = {}
    playbooks = _without_network(settings)
    for index, playbook in enumerate(playbooks):
        for size in sizes:
            testbeds[playbook.name, size] = _cluster(settings, f"{SET}-add{index}-{size}", playbook, (size,))
            _grow(settings, testbeds[playbook.name, size], playbook, size)
    pairs = [(one, size) for one in playbooks for size in sizes]
    for number, (playbook, size) in schedule(settings.rounds, pairs):
        testbed = testbeds[playbook.name, size]
        fresh_nodes(settings, testbed.set_name, [NEW_NODE])
        run = _run(settings, testbed, playbook, size, "--limit", NEW_NODE)
        # Without a pod network, nodes do not become ready.
        testbed.require_nodes(size + 1, ready=False)
        yield report_run(settings, number, run)
        testbed.kubectl(f"delete node {NEW_NODE}")
        nodes.destroy(testbed.set_name, [NEW_NODE])


def many(settings: Settings) -> Iterator[Run]:
    """A run with nothing to do on a growing number of nodes; the collection without pod network, as in :func:`add`."""
    playbooks = _without_network(settings)
    sizes = tuple(sorted(settings.sizes or (10, 50, 100, 200)))
    testbeds = {}
    for index, playbook in enumerate(playbooks):
        testbeds[playbook.name] = _cluster(settings, f"{SET}-many{index}", playbook, sizes)
    testbeds[PING] = testbeds[playbooks[0].name]
    for size in sizes:
        for playbook in playbooks:
            _grow(settings, testbeds[playbook.name], playbook, size)
        for number, contestant in schedule(settings.rounds, [*playbooks, Ping()]):
            run = _run(settings, testbeds[contestant.name], contestant, size)
            require_unchanged(run, contestant)
            yield report_run(settings, number, run)


def refused(settings: Settings) -> Iterator[Run]:
    """A hundred new nodes, and a run that fails its preflight checks before anything is changed.

    One reason is a variable with an invalid value, the other a pod range that contains the addresses of all nodes.
    """
    for size in settings.sizes or (100,):
        carriers = _carriers((size,))
        testbed = fresh_nodes(settings, f"{SET}-refused{size}", ["cp1", *carriers])
        _add_endpoints(settings, testbed, size, carriers, joined=False)
        reasons: Dict[str, Dict[str, Any]] = {
            "a variable": {"cni_plugin": "flannel"},
            "what is observed": {"cluster_pod_cidr": str(network_subnet())},
        }
        ours = [one for one in settings.playbooks if one.ours]
        pairs: List[Tuple[Contestant, str]] = [*((one, why) for one in ours for why in reasons), (Ping(), "")]
        for number, (contestant, why) in schedule(settings.rounds, pairs):
            testbed.write_endpoints(reasons.get(why, {}))
            command = contestant.command(settings.venv, testbed.inventories)
            name = f"{contestant.name}, {why}" if why else contestant.name
            run = _measure(settings, name, size, command, testbed, expected=2 if why else 0)
            require_unchanged(run, contestant)
            yield report_run(settings, number, run)


CASES: Dict[str, Callable[[Settings], Iterator[Run]]] = {
    "first": first,
    "nothing": nothing,
    "add": add,
    "many": many,
    "refused": refused,
}


# -- parts of cases


def _without_network(settings: Settings) -> List[Playbook]:
    return [
        dataclasses.replace(one, arguments=(*one.arguments, *NO_NETWORK)) if one.ours else one
        for one in settings.playbooks
    ]


def _measure(settings: Settings, name: str, size: int, command: Command, testbed: Testbed, expected: int = 0) -> Run:
    return instruments.measure(name, size, command, testbed.hosts, settings.conditions, expected)


def _run(settings: Settings, testbed: Testbed, contestant: Contestant, size: int = 3, *arguments: str) -> Run:
    command = contestant.command(settings.venv, testbed.inventories, arguments)
    return _measure(settings, contestant.name, size, command, testbed)


def _carriers(sizes: Sequence[int]) -> List[str]:
    """The names of the workers that are nodes of the lab: all of a small cluster, else those that carry endpoints."""
    count = max(sizes)
    return [f"w{number + 1}" for number in range(count - 1 if count < 5 else math.ceil(count / endpoints.PER_CARRIER))]


def _cluster(settings: Settings, set_name: str, playbook: Playbook, sizes: Sequence[int]) -> Testbed:
    """A cluster of a contestant, with carriers for endpoints."""
    carriers = _carriers(sizes)
    testbed = fresh_nodes(settings, set_name, ["cp1", *carriers])
    version = variables(settings.venv, testbed.inventories, "cp1")["cluster_kubernetes_version"]
    # Endpoints have no kubelet, and must stay ready.
    argument: Any = {"node-monitor-grace-period": "24h"}
    if minor_of(version) >= (1, 31):
        argument = [{"name": name, "value": value} for name, value in argument.items()]
    config = {"ClusterConfiguration": {"controllerManager": {"extraArgs": argument}}}
    testbed.write_endpoints({"cluster_kubeadm_config": config} if max(sizes) > len(carriers) + 1 else {})
    wall = _run(settings, testbed, playbook).wall
    say(f"  {set_name}: created a cluster of {len(carriers) + 1} nodes in {duration(wall)}")
    return testbed


def _add_endpoints(
    settings: Settings, testbed: Testbed, size: int, carriers: Sequence[str], joined: bool
) -> List[Endpoint]:
    """Add endpoints until the testbed has ``size`` hosts; returns the new ones."""
    existing = len(nodes.listed(testbed.set_name)) + len(testbed.endpoints)
    start = len(testbed.endpoints) + 1
    names = [f"e{number}" for number in range(start, start + size - existing)]
    if not names:
        return []
    hosts = [node for node in nodes.listed(testbed.set_name) if node.name in carriers]
    made = endpoints.create(hosts, names, joined, settings.conditions.node_prefix())
    testbed.endpoints += made
    for carrier, count in Counter(one.carrier for one in testbed.endpoints).items():
        settings.conditions.share_quota(carrier, count + 1)
    return made


def _grow(settings: Settings, testbed: Testbed, playbook: Playbook, size: int) -> None:
    """Grow the cluster to ``size`` nodes with nothing left to do on any of them."""
    given = json.loads((testbed.inventory.parent / ENDPOINTS).read_text(encoding="utf-8"))["all"]["vars"]
    carriers = [node.name for node in nodes.listed(testbed.set_name) if node.name.startswith("w")]
    made = _add_endpoints(settings, testbed, size, carriers, joined=True)
    if not made:
        return
    testbed.write_endpoints(given)
    version = variables(settings.venv, testbed.inventories, "cp1")["cluster_kubernetes_version"]
    testbed.kubectl("create -f -", endpoints.node_objects(made, version))
    wall = _run(settings, testbed, playbook, size, "--forks", "10").wall
    say(f"  {testbed.set_name}: {size} nodes have nothing left to do after {duration(wall)}")
