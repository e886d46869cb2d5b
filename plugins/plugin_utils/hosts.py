# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host of the play as the rules see it: its place in the inventory, what was observed of it, what is wanted of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, List, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.state import ContainerdState
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.host.clock import ClockState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.environment import Environment
from ansible_collections.kubestead.cluster.plugins.module_utils.host.facts import NodeState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.ports import PortsState
from ansible_collections.kubestead.cluster.plugins.module_utils.host.prepare import HostOptions, HostState
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    KubeconfigOptions,
    KubeconfigState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join import JoinOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions, CniState


@dataclass(frozen=True)
class Inventory:
    """The inventory's groups, whole, whatever the play is limited to."""

    control_plane: Sequence[str] = ()
    workers: Sequence[str] = ()


@dataclass(frozen=True)
class Host:
    """One host.

    What a run installs before anything else is seen as if it was there: ``kubeadm`` tells the version that will be, and
    the CNI plugins are in place; ``together`` are packages installed in one transaction with the kube packages.
    ``asked`` and ``answered`` are the control machine's clock around the observation (seconds since 1970, 0 where it is
    not known); ``reach`` has what came of connecting to the targets the host was given (see :mod:`reach`).
    """

    name: str
    control_plane: bool
    node: NodeState
    kubeadm: KubeadmState
    options: ControlPlaneOptions
    join_options: JoinOptions = JoinOptions()
    cni: CniState = CniState()
    cni_options: CniOptions = CniOptions()
    # Steps of the components that concern one machine alone, and what those components find wrong.
    steps: Sequence[Step] = ()
    problems: Sequence[Tuple[str, Problem]] = ()
    system: HostState = HostState()
    system_options: HostOptions = HostOptions()
    containerd: ContainerdState = ContainerdState()
    containerd_options: ContainerdOptions = ContainerdOptions()
    together: List[str] = field(default_factory=list)
    kubeconfig: KubeconfigState = KubeconfigState()
    kubeconfig_options: KubeconfigOptions = KubeconfigOptions()
    clock: ClockState = ClockState()
    ports: PortsState = PortsState()
    environment: Environment = Environment()
    reach: Dict[str, str] = field(default_factory=dict)
    asked: float = 0.0
    answered: float = 0.0

    @property
    def container(self) -> bool:
        """True for a machine that shares kernel, clock and hardware with others."""
        return self.system.container

    @property
    def address(self) -> str:
        """The address the other nodes will reach this host at, as far as it is known."""
        return self.options.node_address or self.node.default_address

    def node_name(self, first: str) -> str:
        """The name this host has or will get as a Node; ``first`` is the host that initialises."""
        wanted = self.options.node_name if self.name == first else self.join_options.node_name
        return self.kubeadm.node_name if self.kubeadm.phase == DONE else wanted or self.kubeadm.node_name

    @property
    def reading(self) -> Reading:
        """This host's clock beside the control machine's."""
        return Reading(self.name, self.node.epoch, self.asked, self.answered)


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
