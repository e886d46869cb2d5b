#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bridge_cni
short_description: Make the pod network of a node from the CNI plugins on disk and routes
version_added: 0.1.0
description:
  - Writes C(/etc/cni/net.d/10-kubestead.conflist) with the plugins C(bridge), C(host-local) and C(portmap) and the
    node's own pod range, and sets routes to the pod ranges of the other nodes through their addresses, at once and, by
    the unit C(kubestead-routes.service), after a reboot. Routes that it made for nodes that are gone are removed.
  - Pods' packets are forwarded whatever the policy of the chain C(FORWARD) is, and get the node's address where they
    leave the pod network.
  - Needs no image. All nodes have to be on one network.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  nodes:
    description:
      - All nodes of the cluster, as M(kubestead.cluster.cluster_nodes_info) returns them, best in C(pod_network). Each
        needs a C(name); C(pod_cidrs), C(addresses) and, for a node that joins later in a dry run, C(expected) are read
        as well.
    type: list
    elements: dict
    required: true
  pod_cidr:
    description: The range of all pods, or one of each family separated by a comma.
    type: str
    required: true
  node_name:
    description: The node this host is. Empty takes the name of its kubelet.
    type: str
    default: ""
  mtu:
    description: The MTU of the pods' interfaces in bytes; V(0) takes that of the interface with the node's address.
    type: int
    default: 0
  members_only:
    description: Leave a host alone that is none of the nodes, instead of failing.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Look at the nodes
  kubestead.cluster.cluster_nodes_info:
    wait_for: pod_cidrs
  delegate_to: "{{ groups['control_plane'] | first }}"
  run_once: true
  register: cluster

- name: Pod network
  kubestead.cluster.bridge_cni:
    nodes: "{{ cluster.pod_network }}"
    pod_cidr: 10.244.0.0/16
"""

RETURN = r"""
steps:
  description: What was (or would be) changed, and why.
  returned: success
  type: list
  elements: dict
  sample: [{component: cni, action: add_route, target: 10.244.1.0/24, reason: not there}]
node:
  description: The node that this host is; empty where it is none.
  returned: success
  type: str
  sample: w1
"""

from dataclasses import replace
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import plain_address, plain_network
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict
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


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Observe, plan, carry out."""
    params = module.params
    if not all(node.get("name") for node in params["nodes"]):
        raise OptionError("nodes", "has an element without a name", "pass the nodes as cluster_nodes_info returns them")
    nodes = [_checked(from_dict(kube_nodes.Node, node)) for node in params["nodes"]]
    options = bridge.BridgeOptions(
        params["pod_cidr"], nodes, params["mtu"], params["node_name"], params["members_only"]
    )
    state = bridge.observe(system)
    if module.check_mode:
        # The plugins come with a package that a run would have installed by now.
        state = replace(state, missing_plugins=[])
    node = bridge.this_node(state, options)
    if node is None and module.check_mode and not options.members_only:
        steps = [Step("cni", "configure", bridge.CONFLIST, "the node is not part of the cluster yet")]
    else:
        steps = bridge.plan(state, options)
    for text in bridge.refusals(state, options):
        module.warn("bridge network: " + text)
    result = _edge.carry_out(module, steps, lambda step: bridge.apply(step, system))
    result["node"] = node.name if node else ""
    return result


def _checked(node: kube_nodes.Node) -> kube_nodes.Node:
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
    """The module's entry."""
    _edge.run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), work)


if __name__ == "__main__":
    main()
