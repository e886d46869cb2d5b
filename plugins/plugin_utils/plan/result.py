# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a run as a value, and as the result of a task for roles to read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import Endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import line
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigSummary
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions

from ..cluster import Cluster
from ..hosts import Host
from .inventory import Inventory
from .waves import waves_of

_AFTER_JOIN = ("join", "cni")


@dataclass(frozen=True)
class Request:
    """The input of a planner.

    ``hosts`` are those of the play; ``reference_control_planes`` were observed because the play has no control plane.
    ``components`` are the roles that the play uses. ``skip`` names checks whose findings do not stop the run;
    ``findings`` are about hosts whose facts are invalid. ``network_images`` are the images that the pod network runs
    on every node; ``serial`` is the number or percentage of workers that an operation changes at the same time,
    ``pause`` the time between two control planes or such groups of workers, in seconds.

    ``targets`` are the names of the hosts that an operation on single hosts changes, reachable or not. With ``gone``,
    unreachable targets no longer exist. ``addresses`` maps hosts to their addresses in the inventory, ``node_names``
    those with a ``cluster_node_name`` to this name. ``places`` maps the targets and all control planes of the inventory
    to the names and addresses that the inventory gives for them.
    ``kubeconfig_copies`` are the copies of the admin kubeconfig on the control machine, by the control planes whose
    variables name them. ``unusable_copies`` are the reasons why such a file can't be read as a kubeconfig.

    ``unobserved`` maps hosts of the play that could not be observed to the reasons, ``unobserved_outside`` control
    planes outside the play. ``limit`` is the pattern of ``--limit``; empty without one.
    """

    inventory: Inventory
    hosts: Sequence[Host]
    components: Sequence[str]
    reference_control_planes: Sequence[Host] = ()
    skip: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    network_images: Sequence[str] = ()
    serial: str = "1"
    pause: str = "0"
    targets: Sequence[str] = ()
    gone: bool = False
    addresses: Mapping[str, Sequence[str]] = field(default_factory=dict)
    node_names: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Sequence[str]] = field(default_factory=dict)
    kubeconfig_copies: Mapping[str, KubeconfigSummary] = field(default_factory=dict)
    unusable_copies: Mapping[str, str] = field(default_factory=dict)
    unobserved: Mapping[str, str] = field(default_factory=dict)
    unobserved_outside: Mapping[str, str] = field(default_factory=dict)
    limit: str = ""


@dataclass(frozen=True)
class HostPlan:
    """The plan of one host.

    ``kubeadm_version`` is the version of kubeadm once its packages are installed; ``extra_packages`` are installed in
    one transaction with the kube packages; ``images`` can be pulled while the cluster is made. ``node_name`` is what
    the host is or will be called in the API, ``joins_as`` is ``worker``, ``control_plane`` or empty. ``kubeconfig``
    are the arguments of the module of that name if it has something to do. ``member`` is true if pods may run on the
    host; ``arguments`` are the arguments for tasks of operations other than ``converge``. ``endpoint`` is what the
    component ``api_endpoint`` is applied with; None if it does nothing. ``api_address`` is the address of a control
    plane whose cluster has an endpoint that only nodes resolve.
    """

    steps: Sequence[Step] = ()
    kubeadm_version: str = ""
    node_name: str = ""
    extra_packages: Sequence[str] = ()
    images: Sequence[str] = ()
    joins_as: str = ""
    initializes: bool = False
    kubeconfig: Mapping[str, Any] = field(default_factory=dict)
    member: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    endpoint: Optional[Endpoint] = None
    api_address: str = ""

    @property
    def disruptive(self) -> bool:
        """True for a member of a cluster whose pods, kubelet or runtime are disrupted."""
        return self.member and any(step.disruptive for step in self.steps)


@dataclass(frozen=True)
class Leaving:
    """A machine to remove from a cluster that continues to run.

    ``host`` is the inventory name, ``name`` the name of the Node, ``addresses`` are its addresses. With ``drain``, its
    pods are evicted first; with ``etcd``, its etcd member is removed; with ``node``, its Node is deleted. ``gone`` is
    true if the machine no longer answers.
    """

    host: str
    name: str
    addresses: Sequence[str] = ()
    drain: bool = False
    etcd: bool = False
    node: bool = False
    gone: bool = False


@dataclass(frozen=True)
class Rollout:
    """The order in which an upgrade changes the nodes of a running cluster.

    ``control_planes`` and ``workers`` are the hosts to change, in order. ``batches`` are the numbers of workers that
    are changed at the same time; the last number is repeated. The other fields are names of Nodes: ``drained_nodes``
    are drained, ``upgraded_nodes`` get another version, and ``returning_nodes`` accept pods again before other nodes
    are drained. ``lifted_nodes`` are those of them whose cordon is lifted before the first node is changed.
    ``dead_nodes`` are the control planes that gates do not wait for at the start, because an upgrade of them was
    interrupted, or because the run does not change them; the latter are ``dead_at_end``. ``calico_before`` and
    ``calico_after`` have the host that upgrades Calico before or after the workers; at least one of them is empty.
    """

    control_planes: Sequence[str] = ()
    workers: Sequence[str] = ()
    batches: Sequence[int] = (1,)
    drained_nodes: Sequence[str] = ()
    upgraded_nodes: Sequence[str] = ()
    dead_nodes: Sequence[str] = ()
    dead_at_end: Sequence[str] = ()
    returning_nodes: Sequence[str] = ()
    lifted_nodes: Sequence[str] = ()
    calico_before: Sequence[str] = ()
    calico_after: Sequence[str] = ()


#: The groups of hosts that the plays of upgrade.yml are for, by the lists of :class:`Rollout`.
_GROUPS = ("control_planes", "calico_before", "workers", "calico_after")


@dataclass(frozen=True)
class Move:
    """The hosts that each part of a change of the endpoint concerns, in the order of the parts.

    ``hosts_files`` resolve the name first. Then the API servers of ``certificates`` get new certificates, one after the
    other. ``cluster`` is the control plane that changes the ConfigMaps; empty if nothing is to change. ``kubeconfigs``
    are changed last, one host after the other. ``dead_nodes`` are the control planes that gates do not wait for. They
    are not in the play.
    """

    hosts_files: Sequence[str] = ()
    certificates: Sequence[str] = ()
    cluster: Sequence[str] = ()
    kubeconfigs: Sequence[str] = ()
    dead_nodes: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """The plan of one operation: the findings, and the plan of each host by its inventory name.

    ``init_host`` initializes (empty when a cluster exists); ``api_host`` is the control plane that answers for the
    cluster; ``joining_nodes`` are nodes that are not in the API yet, but will be at the end. ``dropped`` maps hosts
    that are left out to their errors. ``leaving`` are the machines to remove from the cluster, in order; ``resets`` are
    the hosts to reset, ``redirected`` those that stay and get other addresses of the API. ``uncordoned`` are Nodes that
    an interrupted removal cordoned and that stay, ``owner`` is the owner of the cordons of this removal. ``dead_nodes``
    are the control planes that no gate of ``site.yml`` waits for. ``rollout`` is the order of an upgrade, ``move`` that
    of a change of the endpoint. ``token_ttl`` is the lifetime of the tokens that ``api_host`` creates; empty if no host
    joins.
    """

    operation: str
    components: Sequence[str] = ()
    findings: Sequence[Finding] = ()
    hosts: Mapping[str, HostPlan] = field(default_factory=dict)
    cluster: Cluster = Cluster()
    init_host: str = ""
    api_host: str = ""
    joining_nodes: Sequence[Node] = ()
    dropped: Mapping[str, Sequence[str]] = field(default_factory=dict)
    leaving: Sequence[Leaving] = ()
    resets: Sequence[str] = ()
    redirected: Sequence[str] = ()
    uncordoned: Sequence[str] = ()
    owner: str = ""
    dead_nodes: Sequence[str] = ()
    rollout: Rollout = Rollout()
    move: Move = Move()
    token_ttl: str = ""

    @property
    def errors(self) -> List[Finding]:
        """The findings that stop the run."""
        errors = [finding for finding in self.findings if finding.problem.level == "error"]
        return [finding for finding in errors if finding.host not in self.dropped]

    @property
    def joins(self) -> List[str]:
        """The hosts that join."""
        return [name for name, host in self.hosts.items() if host.joins_as]

    @property
    def worker_joins(self) -> List[str]:
        """The hosts that join as workers."""
        return [name for name, host in self.hosts.items() if host.joins_as == "worker"]

    @property
    def control_plane_joins(self) -> List[str]:
        """The hosts that join as control planes."""
        return [name for name, host in self.hosts.items() if host.joins_as == "control_plane"]

    @property
    def waves(self) -> List[List[str]]:
        """The hosts, in groups that must be done one after the other; see :func:`waves_of`."""
        return waves_of({name: host.disruptive for name, host in self.hosts.items()})

    @property
    def disrupted(self) -> Dict[str, List[Step]]:
        """The members of a cluster that are disturbed, and their steps."""
        return {name: list(host.steps) for name, host in self.hosts.items() if host.disruptive}

    @property
    def steps(self) -> Dict[str, List[Step]]:
        """The steps of every host."""
        return {name: list(host.steps) for name, host in self.hosts.items()}

    def with_steps(self, name: str, steps: Sequence[Step]) -> Plan:
        """The plan with more steps for one host."""
        host = self.hosts[name]
        return replace(self, hosts={**self.hosts, name: replace(host, steps=[*host.steps, *steps])})

    def summary(self) -> List[str]:
        """What will happen and why, one line a step: ``w2: join as worker (no kubelet.conf; not in the API)``."""
        lines = []
        for name, host in self.hosts.items():
            lines += [f"{name}: {step.summary()}" for step in host.steps] or [f"{name}: nothing to do"]
        return lines


# -- the result


def findings_result(findings: Sequence[Finding]) -> List[Dict[str, str]]:
    """Findings as plain data."""
    return [dict(to_dict(one.problem), host=one.host, component=one.component) for one in findings]


def as_result(plan: Plan, network: CniOptions) -> Dict[str, Any]:
    """The plan as the result of a task. ``network`` are the options that the pod network is applied with."""
    waves = plan.waves
    wave_of = {name: at for at, wave in enumerate(waves) for name in wave}
    hosts = {name: dict(_host_result(plan, name, network), wave=wave_of[name]) for name in plan.hosts}
    bridge = network.plugin == "bridge" and any(host["todo"].get("cni") for host in hosts.values())
    return {
        "changed": False,
        "roles": list(plan.components),
        "operation": plan.operation,
        "findings": findings_result(plan.findings),
        "summary": plan.summary(),
        "cluster": _plain(plan.cluster.public()),
        "init_host": plan.init_host,
        "api_host": plan.api_host,
        "joins": plan.joins,
        "worker_joins": plan.worker_joins,
        "control_plane_joins": plan.control_plane_joins,
        "token_ttl": plan.token_ttl,
        "joining_nodes": [_plain({"name": node.name, "addresses": node.addresses}) for node in plan.joining_nodes],
        "leaving": [_plain(to_dict(one)) for one in plan.leaving],
        "drained": [_plain(one.name) for one in plan.leaving if one.drain],
        "members": [_plain({"name": one.name, "addresses": one.addresses}) for one in plan.leaving if one.etcd],
        "uncordoned": _plain(list(plan.uncordoned)),
        "owner": _plain(plan.owner),
        "dead_nodes": _plain(list(plan.dead_nodes)),
        "resets": list(plan.resets),
        "redirected": list(plan.redirected),
        "copies": [
            dict(_plain(dict(host.kubeconfig)), host=name) for name, host in plan.hosts.items() if host.kubeconfig
        ],
        "upgrade": dict(_plain(to_dict(plan.rollout)), groups=_groups(plan.rollout)),
        "endpoint": _plain(to_dict(plan.move)),
        "pod_network": dict(to_dict(network), bridge=bridge),
        "waves": waves,
        "disrupted": list(plan.disrupted),
        "dropped": {name: "; ".join(lines) for name, lines in plan.dropped.items()},
        "idle_before_join": all(host["idle_before_join"] for host in hosts.values()),
        "idle_after_join": all(host["idle_after_join"] for host in hosts.values()),
        "hosts": hosts,
    }


def _groups(rollout: Rollout) -> List[Dict[str, str]]:
    """The hosts with the groups that they are added to."""
    return [
        {"host": host, "group": "kubestead_upgrade_{0}".format(name)}
        for name in _GROUPS
        for host in getattr(rollout, name)
    ]


def _plain(value: Any) -> Any:
    """A value that may come from a node, with each text on one line."""
    if isinstance(value, str):
        return line(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _host_result(plan: Plan, name: str, network: CniOptions) -> Dict[str, Any]:
    host = plan.hosts[name]
    concerned = {step.component for step in host.steps}
    todo = {component: component in concerned for component in plan.components}
    # Calico is applied in every run; one host has to take the task.
    takes_calico = name == (plan.api_host if plan.api_host in plan.hosts else next(iter(plan.hosts)))
    calico = "cni" in plan.components and network.plugin == "calico" and takes_calico
    cluster = _plain(plan.cluster.public())
    del cluster["nodes"]
    return {
        "todo": todo,
        "steps": [step.public() for step in host.steps],
        "kubeadm_version": _plain(host.kubeadm_version),
        "node_name": _plain(host.node_name),
        "extra_packages": _plain(list(host.extra_packages)),
        "images": _plain(list(host.images)),
        "cluster": cluster,
        "api_endpoint": None if host.endpoint is None else _plain(to_dict(host.endpoint)),
        "initializes": host.initializes,
        "kubeconfig": _plain(dict(host.kubeconfig)),
        "joins_as": host.joins_as,
        "idle_before_join": not host.images and not any(todo[name] for name in todo if name not in _AFTER_JOIN),
        "idle_after_join": not any(todo.get(component) for component in _AFTER_JOIN) and not calico,
        "disruptive": host.disruptive,
        "arguments": _plain(dict(host.arguments)),
    }
