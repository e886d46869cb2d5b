#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_member
short_description: Remove a machine from etcd and from the API
version_added: 0.1.0
description:
  - Runs on a live control plane and removes another machine from the cluster, even if the machine does not answer.
    Finds its etcd member by the peer URL, including learners and members without a name, removes the member, and
    deletes the Node.
  - Counts the majority of etcd first. If etcd would lose its majority, the module fails and suggests a fix.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - The kubestead authors (@kubestead)
options:
  name:
    description: The name of the Node.
    type: str
    required: true
  addresses:
    description:
      - Addresses of the machine, in addition to those of its Node. Addresses of other Nodes are ignored.
    type: list
    elements: str
    default: []
  parts:
    description: The parts to remove.
    type: list
    elements: str
    choices: [etcd, node]
    default: [etcd, node]
  removed:
    description: In check mode, the machines whose etcd members an earlier task would have removed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: The name of the Node.
        type: str
        required: true
      addresses:
        description: Addresses of the machine.
        type: list
        elements: str
        default: []
seealso:
  - module: kubestead.cluster.node_reset
"""

EXAMPLES = r"""
- name: Remove a dead control plane from the cluster
  kubestead.cluster.cluster_member:
    name: cp2
    addresses: [192.0.2.12]
  delegate_to: cp1
"""

RETURN = r"""
steps:
  description: The steps of the removal with their reasons. In check mode, the steps that a run would take.
  returned: success
  type: list
  elements: dict
  sample:
    - component: cluster
      action: remove_member
      target: cp2 at https://192.0.2.12:2380
      reason: of cp2
      disruptive: false
members:
  description: The remaining etcd members. Empty if O(parts) does not contain V(etcd).
  returned: success
  type: list
  elements: str
  sample: [cp1, cp3]
"""

from typing import Any, Dict

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import normal_address
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import removal


def argument_spec() -> Dict[str, Dict[str, Any]]:
    """The module's options."""
    parts = list(removal.PARTS)
    machine: Dict[str, Any] = {
        "name": {"type": "str", "required": True},
        "addresses": {"type": "list", "elements": "str", "default": []},
    }
    return {
        **machine,
        "removed": {"type": "list", "elements": "dict", "options": machine, "default": []},
        "parts": {"type": "list", "elements": "str", "choices": parts, "default": parts},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan and apply."""
    leaver = removal.Leaver(call.params["name"], list(map(normal_address, call.params["addresses"])))
    parts = call.params["parts"]
    state = removal.observe(system, parts)
    if call.check_mode:
        earlier = [removal.Leaver(one["name"], list(one["addresses"])) for one in call.params["removed"]]
        state = removal.without_members(state, earlier)
    steps = removal.plan(state, leaver, parts)
    result = _edge.apply_steps(call, steps, lambda step: removal.apply(step, system, state, leaver))
    going = removal.members_of(state, leaver)
    result["members"] = [one.name for one in state.members if one not in going]
    return result


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
