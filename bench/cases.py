# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured. Contestants take turns, round by round, so that all of them meet the machine in the same mood."""

from __future__ import annotations

import json
import math
import pathlib
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, Iterator, List, Mapping, Sequence, Tuple

from lab import nodes
from lab.flavour import minor_of
from lab.inventory import remove as remove_inventory
from lab.machine import MachineError
from lab.podman import network_subnet, podman
from lab.say import duration, say
from lab.sets import prepare_set

from . import endpoints, instruments
from .contestants import BY_HAND, IN_STEPS, Playbook, by_hand, variables
from .endpoints import Endpoint
from .instruments import Seen
from .records import Run

ADMIN = "/etc/kubernetes/admin.conf"
THREE = ("cp1", "w1", "w2")
NEWCOMER = "n1"
SET = "bench"
NO_NETWORK = ("-e", "cni_plugin=none")


@dataclass
class Field:
    """A set of nodes for one contestant, with endpoints where there are many."""

    set_name: str
    inventory: pathlib.Path
    endpoints: List[Endpoint] = field(default_factory=list)

    @property
    def inventories(self) -> List[pathlib.Path]:
        """The lab's own inventory, and that of the endpoints."""
        more = self.inventory.parent / "endpoints.json"
        return [self.inventory, *([more] if more.exists() else [])]

    @property
    def seen(self) -> List[Seen]:
        """All hosts whose SSH servers are watched."""
        real = [Seen(node.name, node.address, node.container) for node in nodes.listed(self.set_name)]
        return [*real, *(endpoint.seen for endpoint in self.endpoints)]

    def kubectl(self, command: str, text: str = "") -> str:
        """Run kubectl on the control plane."""
        argv = ["exec", "-i", f"{self.set_name}-cp1", "kubectl", "--kubeconfig", ADMIN, *command.split()]
        return podman(*argv, input=text).stdout

    def require_nodes(self, count: int, ready: bool = True) -> None:
        """Raise :class:`MachineError` unless the cluster has so many nodes, and all of them ``ready``."""
        states = [line.split()[1] for line in self.kubectl("get nodes --no-headers").splitlines()]
        if len(states) != count or (ready and not all(state.startswith("Ready") for state in states)):
            raise MachineError(f"{self.set_name}: the cluster should have {count} ready nodes, it has {states}")

    def write_more(self, given: Mapping[str, Any]) -> None:
        """Write the inventory of the endpoints, with variables for all hosts."""
        hosts = {one.name: {"ansible_host": one.address} for one in self.endpoints}
        content = {"all": {"vars": dict(given), "children": {"workers": {"hosts": hosts}}}}
        (self.inventory.parent / "endpoints.json").write_text(json.dumps(content), encoding="utf-8")

    def remove(self) -> None:
        """Remove the nodes and what was written of them."""
        nodes.destroy(self.set_name)
        endpoints.sweep()
        for name in ("endpoints.json", "timeline.json", "marks", "marks.log"):
            (self.inventory.parent / name).unlink(missing_ok=True)
        remove_inventory(self.set_name)


@dataclass(frozen=True)
class Settings:
    """What a bench is asked to do. ``sizes`` are numbers of nodes; () leaves them to the case.

    ``fields`` are the sets of nodes that were made and are still there.
    """

    venv: pathlib.Path
    playbooks: Sequence[Playbook]
    rounds: int = 3
    sizes: Tuple[int, ...] = ()
    fields: List[Field] = field(default_factory=list)


def bare(settings: Settings, set_name: str, names: Sequence[str]) -> Field:
    """Fresh nodes whose SSH servers are watched; they join those of their set."""
    found = next((ground for ground in settings.fields if ground.set_name == set_name), None)
    path = prepare_set(set_name, names, nodes.Options(fresh=True))
    instruments.watch([f"{set_name}-{name}" for name in names])
    if found is None:
        found = Field(set_name, path)
        settings.fields.append(found)
    return found


def tell(run: Run, number: int) -> None:
    """One line for a run as soon as it is there."""
    trips = max((traffic.round_trips for traffic in run.hosts.values()), default=0)
    say(
        f"  round {number + 1}, {run.size} nodes, {run.contestant}: {run.wall:.2f} s, controller {run.cpu:.2f} CPU s"
        f" and {run.memory / 1e6:.0f} MB, at most {trips} round trips"
    )


def require_nothing(run: Run, playbook: Playbook) -> None:
    """Raise :class:`MachineError` when the collection changed what was done already."""
    changed = sorted({span.name for span in run.spans if span.status == "changed"})
    if playbook.ours and changed:
        raise MachineError(f"a run with nothing to do changed something: {', '.join(changed)}")


def turns(rounds: int, contestants: Sequence[Any]) -> List[Tuple[int, Any]]:
    """Round and contestant in the order they run: there and back, so that nobody is always the first."""
    order = []
    for number in range(rounds):
        order += [(number, one) for one in (contestants if number % 2 == 0 else contestants[::-1])]
    return order


# -- the cases


def first(settings: Settings) -> Iterator[Run]:
    """Three bare nodes become a cluster: by hand and by playbooks, each time on fresh nodes."""
    hands = [Playbook(name, pathlib.Path()) for name in (BY_HAND, IN_STEPS)]
    set_name = f"{SET}-first"
    for number, contestant in turns(settings.rounds, [*hands, *settings.playbooks]):
        ground = bare(settings, set_name, THREE)
        if contestant in hands:
            given = variables(settings.venv, ground.inventory, THREE[0])
            in_steps = contestant.name == IN_STEPS
            command = by_hand(set_name, THREE[0], THREE[1:], given, settings.venv, in_steps)
        else:
            command = contestant.command(settings.venv, ground.inventories)
        run = instruments.measure(contestant.name, len(THREE), command, ground.seen)
        ground.require_nodes(len(THREE))
        tell(run, number)
        yield run


def nothing(settings: Settings) -> Iterator[Run]:
    """The second run on three nodes."""
    grounds = {}
    for index, playbook in enumerate(settings.playbooks):
        grounds[playbook.name] = ground = bare(settings, f"{SET}-nothing{index}", THREE)
        _run(settings, ground, playbook)
    for number, playbook in turns(settings.rounds, settings.playbooks):
        run = _run(settings, grounds[playbook.name], playbook)
        require_nothing(run, playbook)
        tell(run, number)
        yield run


def add(settings: Settings) -> Iterator[Run]:
    """One bare node is added to a cluster of three and to one of fifty, with --limit.

    The collection leaves the pod network alone: the lab's, of plain routes, wants one on every node; Calico does not.
    """
    sizes = settings.sizes or (3, 50)
    grounds = {}
    playbooks = _without_network(settings)
    for index, playbook in enumerate(playbooks):
        for size in sizes:
            grounds[playbook.name, size] = _cluster(settings, f"{SET}-add{index}-{size}", playbook, (size,))
            _grow(settings, grounds[playbook.name, size], playbook, size)
    for number, (playbook, size) in turns(settings.rounds, [(one, size) for one in playbooks for size in sizes]):
        ground = grounds[playbook.name, size]
        bare(settings, ground.set_name, [NEWCOMER])
        run = _run(settings, ground, playbook, size, "--limit", NEWCOMER)
        # Without a pod network no node gets ready.
        ground.require_nodes(size + 1, ready=False)
        tell(run, number)
        yield run
        ground.kubectl(f"delete node {NEWCOMER}")
        nodes.destroy(ground.set_name, [NEWCOMER])


def many(settings: Settings) -> Iterator[Run]:
    """A run with nothing to do, on ever more nodes; the collection without pod network, as in :func:`add`."""
    playbooks = _without_network(settings)
    sizes = tuple(sorted(settings.sizes or (10, 50, 100, 200)))
    grounds = {}
    for index, playbook in enumerate(playbooks):
        grounds[playbook.name] = _cluster(settings, f"{SET}-many{index}", playbook, sizes)
    for size in sizes:
        for playbook in playbooks:
            _grow(settings, grounds[playbook.name], playbook, size)
        for number, playbook in turns(settings.rounds, playbooks):
            run = _run(settings, grounds[playbook.name], playbook, size)
            require_nothing(run, playbook)
            tell(run, number)
            yield run


def refused(settings: Settings) -> Iterator[Run]:
    """A hundred bare nodes, and a run that ends before anything is changed.

    Once for a variable that is wrong by itself, once for a pod range in which all of the nodes live.
    """
    for size in settings.sizes or (100,):
        carriers = _carriers((size,))
        ground = bare(settings, f"{SET}-refused{size}", ["cp1", *carriers])
        _add_endpoints(ground, size, carriers, joined=False)
        reasons: Dict[str, Dict[str, Any]] = {
            "a variable": {"cni_plugin": "flannel"},
            "what is observed": {"cluster_pod_cidr": str(network_subnet())},
        }
        ours = [one for one in settings.playbooks if one.ours]
        for number, (playbook, why) in turns(settings.rounds, [(one, why) for one in ours for why in reasons]):
            ground.write_more(reasons[why])
            command = playbook.command(settings.venv, ground.inventories)
            run = instruments.measure(f"{playbook.name}, {why}", size, command, ground.seen, expected=2)
            require_nothing(run, playbook)
            tell(run, number)
            yield run


CASES: Dict[str, Callable[[Settings], Iterator[Run]]] = {
    "first": first,
    "nothing": nothing,
    "add": add,
    "many": many,
    "refused": refused,
}


# -- their parts


def _without_network(settings: Settings) -> List[Playbook]:
    return [replace(one, arguments=(*one.arguments, *NO_NETWORK)) if one.ours else one for one in settings.playbooks]


def _run(settings: Settings, ground: Field, playbook: Playbook, size: int = 3, *arguments: str) -> Run:
    command = playbook.command(settings.venv, ground.inventories, arguments)
    return instruments.measure(playbook.name, size, command, ground.seen)


def _carriers(sizes: Sequence[int]) -> List[str]:
    """The workers that are nodes of their own: all of a small cluster, else some that carry endpoints."""
    count = max(sizes)
    return [f"w{number + 1}" for number in range(count - 1 if count < 5 else math.ceil(count / endpoints.PER_CARRIER))]


def _cluster(settings: Settings, set_name: str, playbook: Playbook, sizes: Sequence[int]) -> Field:
    """A cluster of a contestant, with room for endpoints."""
    carriers = _carriers(sizes)
    ground = bare(settings, set_name, ["cp1", *carriers])
    version = variables(settings.venv, ground.inventory, "cp1")["cluster_kubernetes_version"]
    # Nodes without a kubelet of their own stay ready.
    argument: Any = {"node-monitor-grace-period": "24h"}
    if minor_of(version) >= (1, 31):
        argument = [{"name": name, "value": value} for name, value in argument.items()]
    config = {"ClusterConfiguration": {"controllerManager": {"extraArgs": argument}}}
    ground.write_more({"cluster_kubeadm_config": config} if max(sizes) > len(carriers) + 1 else {})
    say(f"  {set_name}: a cluster of {len(carriers) + 1} nodes, {duration(_run(settings, ground, playbook).wall)}")
    return ground


def _add_endpoints(ground: Field, size: int, carriers: Sequence[str], joined: bool) -> List[Endpoint]:
    there = len(nodes.listed(ground.set_name)) + len(ground.endpoints)
    names = [f"e{number}" for number in range(len(ground.endpoints) + 1, len(ground.endpoints) + 1 + size - there)]
    if not names:
        return []
    hosts = [node for node in nodes.listed(ground.set_name) if node.name in carriers]
    made = endpoints.create(hosts, names, joined)
    ground.endpoints += made
    return made


def _grow(settings: Settings, ground: Field, playbook: Playbook, size: int) -> None:
    """Let the cluster have so many nodes, with nothing left to do on any of them."""
    more = json.loads((ground.inventory.parent / "endpoints.json").read_text(encoding="utf-8"))["all"]["vars"]
    carriers = [node.name for node in nodes.listed(ground.set_name) if node.name.startswith("w")]
    made = _add_endpoints(ground, size, carriers, joined=True)
    if not made:
        return
    ground.write_more(more)
    version = variables(settings.venv, ground.inventory, "cp1")["cluster_kubernetes_version"]
    ground.kubectl("create -f -", endpoints.node_objects(made, version))
    settled = _run(settings, ground, playbook, size, "--forks", "10")
    say(f"  {ground.set_name}: {size} nodes have all they need, {duration(settled.wall)}")
