#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bridge_cni
short_description: Set up the pod network of a node with the CNI plugins on disk and routes
version_added: 0.1.0
description:
  - Writes C(/etc/cni/net.d/10-kubestead.conflist) with the plugins C(bridge), C(host-local) and C(portmap) and the
    node's own pod range. Sets routes to the pod ranges of the other nodes through their addresses, immediately and
    after a reboot (C(kubestead-routes.service)). Removes the routes that it created for nodes that no longer exist.
  - Forwards the packets of pods regardless of the policy of the chain C(FORWARD), and translates their source address
    to that of the node when they leave the pod network.
  - Needs no images. All nodes must be in one network.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  nodes:
    description:
      - All nodes of the cluster, preferably C(pod_network) as M(kubestead.cluster.cluster_nodes_info) returns it. Each
        node requires C(name). The module also reads C(pod_cidrs), C(addresses), and in check mode C(expected), which
        marks a node that joins later.
    type: list
    elements: dict
    required: true
  pod_cidr:
    description: The range of pod addresses, or an IPv4 and an IPv6 range separated by a comma.
    type: str
    required: true
  node_name:
    description: The name of this host's Node. If it is empty, the module uses the name of the host's kubelet.
    type: str
    default: ""
  mtu:
    description: The MTU of the pods' interfaces in bytes. V(0) uses the MTU of the interface with the node's address.
    type: int
    default: 0
  members_only:
    description:
      - For hosts that are not part of a run. On a host that is not one of the nodes, the module does nothing instead of
        failing. If the module fails or the host is unreachable, the task returns a warning that names the host.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: List the nodes
  kubestead.cluster.cluster_nodes_info:
    wait_for: pod_cidrs
  delegate_to: "{{ groups['control_plane'] | first }}"
  run_once: true
  register: cluster

- name: Set up the pod network
  kubestead.cluster.bridge_cni:
    nodes: "{{ cluster.pod_network }}"
    pod_cidr: 10.244.0.0/16
"""

RETURN = r"""
steps:
  description: The changes that were made, or would be made in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
  sample: [{component: cni, action: add_route, target: 10.244.1.0/24, reason: missing}]
node:
  description: The name of this host's Node. It is empty if the host is not a node.
  returned: success
  type: str
  sample: w1
"""

import fcntl
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Dict, Iterator, List

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import plain_address, plain_network
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import checked
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as kube_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "nodes": {"type": "list", "elements": "dict", "required": True},
        "pod_cidr": {"type": "str", "required": True},
        "node_name": {"type": "str", "default": ""},
        "mtu": {"type": "int", "default": 0},
        "members_only": {"type": "bool", "default": False},
    }


# Two runs at the same time would both add the rules that are missing.
LOCK = "/run/kubestead.lock.bridge"


@contextmanager
def alone(system: System) -> Iterator[None]:
    """Hold the lock of this module on this machine during the block, after other runs have released it."""
    path = system.path(LOCK)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "a", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), 0o600)
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan and apply."""
    if call.check_mode:
        return set_up(call, system)
    with alone(system):
        return set_up(call, system)


def set_up(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan and apply while the lock is held."""
    params = call.params
    if not all(node.get("name") for node in params["nodes"]):
        raise OptionError("nodes", "has an element without a name", "pass the nodes as cluster_nodes_info returns them")
    nodes = [_plain(node) for node in checked("nodes", List[kube_nodes.Node], params["nodes"])]
    options = bridge.BridgeOptions(
        params["pod_cidr"], nodes, params["mtu"], params["node_name"], params["members_only"]
    )
    state = bridge.observe(system)
    if call.check_mode:
        # A run would have installed the package with the plugins by now.
        state = replace(state, missing_plugins=[])
    node = bridge.this_node(state, options)
    if node is None and call.check_mode and not options.members_only:
        steps = [Step("cni", "configure", bridge.CONFLIST, "the host has not joined the cluster yet")]
    else:
        steps = bridge.plan(state, options)
    for text in bridge.refusals(state, options):
        call.warn("bridge network: " + text)
    result = _edge.apply_steps(call, steps, lambda step: bridge.apply(step, system))
    result["node"] = node.name if node else ""
    return result


def _plain(node: kube_nodes.Node) -> kube_nodes.Node:
    """The node, whose ranges and addresses become commands: each must be one."""
    for parse, values in ((plain_network, node.pod_cidrs), (plain_address, node.addresses)):
        for value in values:
            try:
                parse(value)
            except ValueError as err:
                fix = "pass the nodes as cluster_nodes_info returns them"
                raise OptionError(
                    "nodes", "has a wrong value for node {0!r}: {1}".format(node.name, err), fix
                ) from None
    return node


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
