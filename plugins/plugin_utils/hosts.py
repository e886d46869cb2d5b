# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host of the play, as rules and planners see it: its observation, and the options that its variables set."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Dict, List, Mapping, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.component import EndpointState
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import EndpointOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.state import ContainerdState
from ansible_collections.kubestead.cluster.plugins.module_utils.core import mappings
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import variable_name
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.host.clock import ClockState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.environment import Environment
from ansible_collections.kubestead.cluster.plugins.module_utils.host.facts import NodeState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.ports import PortsState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.prepare import HostOptions, HostState
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    KubeconfigOptions,
    KubeconfigState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_facts import EndpointFacts
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join import JoinOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.removal import MemberFacts
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.upgrade_facts import UpgradeFacts
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import (
    KubePackagesOptions,
    KubePackagesState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions, CniState


@dataclass(frozen=True)
class Facts:
    """The observation of a host, with a field for each part of the result of ``node_info``.

    ``reach`` maps the targets that the host connected to, to the outcomes (see :mod:`connect`); ``asked`` and
    ``answered`` are the control machine's clock around the observation (seconds since 1970, 0 where it is not known).
    ``connects_to`` is the address that Ansible connects to by the inventory; empty for a host that has joined.
    ``upgrade``, ``endpoint`` and ``etcd`` are empty unless an upgrade, a change of the endpoint, or a removal is
    planned.
    """

    node: NodeState = NodeState()
    host: HostState = HostState()
    kube_packages: KubePackagesState = KubePackagesState()
    containerd: ContainerdState = ContainerdState()
    api_endpoint: EndpointState = EndpointState()
    cni: CniState = CniState()
    kubeadm: KubeadmState = KubeadmState()
    kubeconfig: KubeconfigState = KubeconfigState()
    clock: ClockState = ClockState()
    ports: PortsState = PortsState()
    environment: Environment = Environment()
    upgrade: UpgradeFacts = UpgradeFacts()
    endpoint: EndpointFacts = EndpointFacts()
    etcd: MemberFacts = MemberFacts()
    reach: Dict[str, str] = field(default_factory=dict)
    asked: float = 0.0
    answered: float = 0.0
    connects_to: str = ""


@dataclass(frozen=True)
class Options:
    """The options of all components, as a host's variables set them; secret ones are left out."""

    host: HostOptions = HostOptions()
    kube_packages: KubePackagesOptions = KubePackagesOptions()
    containerd: ContainerdOptions = ContainerdOptions()
    api_endpoint: EndpointOptions = EndpointOptions()
    control_plane: ControlPlaneOptions = ControlPlaneOptions()
    join: JoinOptions = JoinOptions()
    cni: CniOptions = CniOptions()
    kubeconfig: KubeconfigOptions = KubeconfigOptions()

    def with_variables(self, values: Mapping[str, str]) -> Options:
        """The options with some variables set to other values, in every component that reads them."""
        changed = {}
        for component in dataclasses.fields(self):
            options = getattr(self, component.name)
            names = {one.name: variable_name(component.name, one) for one in dataclasses.fields(options)}
            changes = {name: values[variable] for name, variable in names.items() if variable in values}
            changed[component.name] = replace(options, **changes)
        return Options(**changed)


@dataclass(frozen=True)
class Host:
    """One host. ``control_plane`` is its place in the inventory.

    ``option_problems`` are wrong options by component; ``secret_options`` names the secret options that are set.
    """

    name: str
    control_plane: bool
    facts: Facts = Facts()
    options: Options = Options()
    option_problems: Sequence[Tuple[str, Problem]] = ()
    secret_options: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def node(self) -> NodeState:
        """The machine: its system, names, addresses and routes."""
        return self.facts.node

    @property
    def kubeadm(self) -> KubeadmState:
        """The state that kubeadm created on the machine."""
        return self.facts.kubeadm

    @property
    def container(self) -> bool:
        """True for a machine that shares kernel, clock and hardware with others."""
        return self.facts.host.container

    @property
    def address(self) -> str:
        """The address the other nodes will reach this host at, as far as it is known."""
        return self.options.control_plane.main_address or self.node.default_address

    @property
    def own_etcd(self) -> bool:
        """False if the user's configuration has an external etcd."""
        cluster = self.options.control_plane.config.get("ClusterConfiguration")
        return mappings.get(cluster, ["etcd", "external"]) is None

    @property
    def member(self) -> bool:
        """True for a node of a cluster, whether it is healthy or not: pods may run on it."""
        return (self.kubeadm.phase == DONE or self.kubeadm.finished) and not self.kubeadm.unfinished_init

    @property
    def node_name(self) -> str:
        """The name this host has or will get as a Node."""
        given = self.options.control_plane.node_name
        return self.kubeadm.node_name if self.kubeadm.phase == DONE else given or self.kubeadm.node_name

    @property
    def reading(self) -> Reading:
        """This host's clock compared with the control machine's."""
        return Reading(self.name, self.node.epoch, self.facts.asked, self.facts.answered)


@dataclass(frozen=True)
class Reading:
    """A host's clock (``epoch``, seconds since 1970) and the control machine's before and after it was read."""

    name: str
    epoch: float
    asked: float
    answered: float

    @property
    def known(self) -> bool:
        """False for a host whose observation lacks a time."""
        return bool(self.epoch and self.asked and self.answered)

    @property
    def low(self) -> float:
        """The least the host's clock can be ahead of the control machine's, in seconds."""
        return self.epoch - self.answered

    @property
    def high(self) -> float:
        """The most the host's clock can be ahead of the control machine's, in seconds."""
        return self.epoch - self.asked


def names(hosts: Sequence[Host]) -> List[str]:
    """The inventory names of hosts."""
    return [host.name for host in hosts]
