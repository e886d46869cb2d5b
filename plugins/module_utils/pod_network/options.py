# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the pod network for all plugins, and its observed state on a node."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional, Tuple

from ..core.addresses import Network, parse_cidrs
from ..core.errors import KubesteadError, OptionError
from ..core.images import check_image
from ..core.options import ADDRESS, PATH_OR_ADDRESS, refuse_credentials, var
from ..core.problem import Problem
from ..core.releases import DEFAULT_CALICO
from ..core.step import Step
from ..core.system import System
from ..kube.nodes import Node
from . import bridge

COMPONENT = "cni"

PLUGINS = ("calico", "bridge", "none")
# Other names are ignored: Podman, CRI-O and containerd have configurations of their own, and Multus works with any.
_OTHER_NETWORK = re.compile(
    r"flannel|cilium|weave|canal|antrea|kube-?router|ovn|kindnet|romana|kilo|contiv|azure|terway|\baws\b"
)
ENCAPSULATIONS = ("VXLAN", "VXLANCrossSubnet", "IPIP", "IPIPCrossSubnet", "None")


@dataclass(frozen=True)
class CniOptions:
    """The variables of the role ``cni``."""

    plugin: str = "calico"
    calico_version: str = DEFAULT_CALICO
    # A path or URL; "" is the project's own manifest of calico_version.
    calico_manifest: str = field(default="", metadata=PATH_OR_ADDRESS)
    # sha256 of the manifest; "" is the known one of calico_version.
    calico_checksum: str = ""
    encapsulation: str = "VXLAN"
    # Bytes; 0 leaves it to Calico (or, with bridge, takes the interface's).
    mtu: int = 0
    autodetection: str = "kubernetes-internal-ip"
    image_registry: str = field(default="", metadata=ADDRESS)
    # Image of the manifest, with or without its tag -> image to use instead.
    images: Dict[str, str] = field(default_factory=dict)
    # Prefix length of the range a node takes at a time; 0 leaves it to Calico (26).
    block_size: int = 0
    felix: Dict[str, str] = field(default_factory=dict)
    wait_rollout: bool = True
    # Seconds, for the rollout and the nodes together.
    timeout: int = 300
    # "" is the range of the cluster (Calico reads it from kubeadm's configuration).
    pod_cidr: str = field(default="", metadata=var("cluster_pod_cidr"))

    def validate(self) -> None:
        """Raise :class:`OptionError` for what can't be used."""
        refuse_credentials("cni_calico_manifest", self.calico_manifest, str(PATH_OR_ADDRESS["credentials"]))
        refuse_credentials("cni_image_registry", self.image_registry, str(ADDRESS["credentials"]))
        for old, new in self.images.items():
            check_image("cni_images", old)
            check_image("cni_images[{0}]".format(old), new)
        if self.plugin not in PLUGINS:
            raise OptionError("cni_plugin", "is {0!r}".format(self.plugin), "use one of " + ", ".join(PLUGINS))
        if self.encapsulation not in ENCAPSULATIONS:
            raise OptionError(
                "cni_encapsulation", "is {0!r}".format(self.encapsulation), "use one of " + ", ".join(ENCAPSULATIONS)
            )
        if self.mtu and not 576 <= self.mtu <= 65535:
            raise OptionError(
                "cni_mtu", "is {0}".format(self.mtu), "use a number of bytes from 576 to 65535, or 0 to detect it"
            )
        if self.timeout < 1:
            raise OptionError("cni_timeout", "is {0}".format(self.timeout), "use seconds, like 300")
        pools = self.pools()
        if self.block_size and not 20 <= self.block_size <= 32:
            raise OptionError("cni_block_size", "is {0}".format(self.block_size), "use a prefix length from 20 to 32")
        block = self.block_size or 26
        for pool in pools:
            if self.plugin == "calico" and pool.version == 4 and pool.prefixlen > block:
                raise OptionError(
                    "cluster_pod_cidr",
                    "is {0}, which is smaller than one Calico block (/{1})".format(pool, block),
                    "use a larger range, or a longer cni_block_size",
                )

    def pools(self) -> List[Network]:
        """The ranges pods get their addresses from: one, one of each family, or none where it is left open."""
        return parse_cidrs("cluster_pod_cidr", self.pod_cidr) if self.pod_cidr.strip() else []


@dataclass(frozen=True)
class CniState:
    """What a node shows of its pod network."""

    bridge: Optional[bridge.BridgeState] = None


def observe(system: System) -> CniState:
    """Look at a node (read-only)."""
    return CniState(bridge.observe(system))


def with_plugins(state: CniState) -> CniState:
    """The state as it is once the package kubernetes-cni is installed."""
    return CniState(replace(state.bridge, missing_plugins=[])) if state.bridge else state


def plan(state: CniState, options: CniOptions, nodes: Optional[List[Node]] = None, node_name: str = "") -> List[Step]:
    """What the node lacks. Calico is the cluster's own business: its plan is made on a control plane.

    ``node_name`` is what the node's kubelet is called. ``nodes`` are the cluster's, as the API reports them; without
    them (no cluster yet) the plan only says that the network is to be set up. The problems are for
    :func:`problems`.
    """
    if options.plugin != "bridge":
        return []
    seen, wanted = _bridge(state, options, nodes, node_name)
    node = bridge.this_node(seen, wanted)
    if node is None:
        return [Step(COMPONENT, "configure", bridge.CONFLIST, "the host has not joined the cluster yet")]
    if _awaits_range(node, options):
        return [Step(COMPONENT, "configure", bridge.CONFLIST, "the node does not have a pod range yet")]
    try:
        return bridge.plan(seen, wanted)
    except KubesteadError as err:
        return [Step(COMPONENT, "configure", bridge.CONFLIST, err.message)]


def problems(
    state: CniState, options: CniOptions, nodes: Optional[List[Node]] = None, node_name: str = ""
) -> List[Problem]:
    """The problems of the node's pod network, for a host that has joined."""
    found: List[Problem] = []
    seen, wanted = _bridge(state, options, nodes, node_name)
    node = bridge.this_node(seen, wanted)
    if options.plugin == "bridge" and node is not None and not _awaits_range(node, options):
        try:
            bridge.plan(seen, wanted)
        except KubesteadError as err:
            what, _separator, fix = err.message.partition("; ")
            found.append(Problem("cni.bridge", what, fix))
        for text in [] if found else bridge.refusals(seen, wanted):
            fix = "check that node: its addresses and its spec.podCIDR (kubectl get node -o yaml)"
            found.append(Problem("cni.node", text, fix, "warning"))
    if options.plugin == "calico" and seen.conflist is not None:
        text = "cni_plugin is calico, but this node runs the bridge network ({0})".format(bridge.CONFLIST)
        fix = "set cni_plugin to bridge: the pod network of a running cluster can't be replaced"
        found.append(Problem("cni.plugin", text, fix))
    elif options.plugin == "calico" and bridge.this_node(seen, wanted) is not None:
        others = [name for name in seen.others if _OTHER_NETWORK.search(name)]
        if others and not any("calico" in name for name in seen.others):
            text = "cni_plugin is calico, but this node runs another pod network ({0})".format(", ".join(others))
            fix = "set cni_plugin to none: the pod network of a running cluster can't be replaced"
            found.append(Problem("cni.plugin", text, fix))
    return found


def _awaits_range(node: Node, options: CniOptions) -> bool:
    """True for a node that joined just now: kube-controller-manager gives it its range within seconds."""
    return not node.pod_cidrs and not node.expected and bool(options.pools())


def _bridge(
    state: CniState, options: CniOptions, nodes: Optional[List[Node]], node_name: str
) -> Tuple[bridge.BridgeState, bridge.BridgeOptions]:
    wanted = bridge.BridgeOptions(pod_cidr=options.pod_cidr, mtu=options.mtu, nodes=nodes or [], node_name=node_name)
    return state.bridge or bridge.BridgeState(), wanted
