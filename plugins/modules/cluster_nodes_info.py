#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_nodes_info
short_description: List cluster nodes, optionally waiting for a condition
version_added: 0.1.0
description:
  - Lists the nodes with their pod ranges and addresses. Optionally waits until all nodes have a pod range or are ready.
    Nodes whose kubelet does not report are listed, but the module does not wait for them.
  - Changes nothing. In check mode, the module does not wait, and for a cluster that does not exist yet it returns the
    expected nodes.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  wait_for:
    description: The condition to wait for. V(pod_cidrs) waits until every node has a pod range, V(ready) until every
      node is ready.
    type: str
    choices: [nothing, pod_cidrs, ready]
    default: nothing
  timeout:
    description: The time to wait, in seconds.
    type: int
    default: 300
  failed:
    description: Names of nodes on which a task has failed. The module does not wait for them.
    type: list
    elements: str
    default: []
  expected:
    description: Nodes that join before this task. In check mode, those that do not exist yet are listed too.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the Node.
        type: str
        required: true
      addresses:
        description: Its addresses.
        type: list
        elements: str
        default: []
  kubeconfig:
    description: The path of the kubeconfig on the host that the task runs on.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Wait until every node is ready
  kubestead.cluster.cluster_nodes_info:
    wait_for: ready
  register: cluster
"""

RETURN = r"""
nodes:
  description: The nodes, by name.
  returned: success
  type: list
  elements: dict
  sample:
    - name: w1
      pod_cidrs: [10.244.1.0/24]
      addresses: [192.168.1.11]
      ready: true
      silent: false
      not_ready_reason: ""
      expected: false
      roles: []
      labels: {kubernetes.io/hostname: w1}
      taints: []
      unschedulable: false
      cordoned_by: ""
      kubelet_version: 1.36.2
      machine_id: 5a8d8929aa5749b2ba7ae4779cfcc10c
pod_network:
  description: The same nodes, with only the keys that M(kubestead.cluster.bridge_cni) needs.
  returned: success
  type: list
  elements: dict
  sample:
    - name: w1
      pod_cidrs: [10.244.1.0/24]
      addresses: [192.168.1.11]
      expected: false
"""

from typing import Any, Dict, List

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as cluster_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node, with_joining


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "wait_for": {"type": "str", "choices": ["nothing", "pod_cidrs", "ready"], "default": "nothing"},
        "timeout": {"type": "int", "default": 300},
        "failed": {"type": "list", "elements": "str", "default": []},
        "expected": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "name": {"type": "str", "required": True},
                "addresses": {"type": "list", "elements": "str", "default": []},
            },
        },
        "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Ask, and wait if wanted."""
    kubectl = Kubectl(system, call.params["kubeconfig"])
    timeout, wanted, failed = call.params["timeout"], call.params["wait_for"], call.params["failed"]
    nodes: List[Node] = []
    if call.check_mode:
        try:
            nodes = cluster_nodes.listed(kubectl)
        except KubesteadError:
            # The cluster is still to be made.
            nodes = []
        joining = [Node(node["name"], addresses=node["addresses"]) for node in call.params["expected"]]
        nodes = with_joining(nodes, joining)
    elif wanted == "ready":
        nodes = cluster_nodes.wait_ready(kubectl, timeout, failed)
    elif wanted == "pod_cidrs":
        nodes = cluster_nodes.wait(kubectl, timeout, lambda node: bool(node.pod_cidrs), "given a pod range", failed)
    else:
        nodes = cluster_nodes.listed(kubectl)
    if cluster_nodes.silent_warning(nodes):
        call.warn("nodes: " + cluster_nodes.silent_warning(nodes))
    result = _edge.apply_steps(call, [], lambda step: None)
    result["nodes"] = to_dict(nodes)
    needed = ("name", "pod_cidrs", "addresses", "expected")
    result["pod_network"] = [{name: getattr(node, name) for name in needed} for node in nodes]
    return result


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
