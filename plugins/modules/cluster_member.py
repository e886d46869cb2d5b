#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_member
short_description: Take a machine out of etcd and out of the API
version_added: 0.1.0
description:
  - Runs on a live control plane and takes another machine out of the cluster, which need not answer. Removes its etcd
    member, known by its peer URL, also one without a name and a learner, and deletes its Node.
  - Counts the majority of etcd first, and fails if it would be lost, with what would help.
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
      - Addresses of the machine, beside those that its Node has. Addresses of other Nodes are ignored.
    type: list
    elements: str
    default: []
  parts:
    description: What is removed.
    type: list
    elements: str
    choices: [etcd, node]
    default: [etcd, node]
seealso:
  - module: kubestead.cluster.node_reset
"""

EXAMPLES = r"""
- name: Take a dead control plane out of the cluster
  kubestead.cluster.cluster_member:
    name: cp2
    addresses: [192.0.2.12]
  delegate_to: cp1
"""

RETURN = r"""
steps:
  description: What was removed, or would be in check mode, with the reasons.
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
  description: The etcd members that are left, or would be. It is empty without the part V(etcd).
  returned: success
  type: list
  elements: str
  sample: [cp1, cp3]
"""

from typing import Any, Dict

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.removal import leaving
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import removal


def argument_spec() -> Dict[str, Dict[str, Any]]:
    """The module's options."""
    parts = list(removal.PARTS)
    return {
        "name": {"type": "str", "required": True},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "parts": {"type": "list", "elements": "str", "choices": parts, "default": parts},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan, carry out."""
    leaver = removal.Leaver(call.params["name"], list(call.params["addresses"]))
    parts = call.params["parts"]
    state = removal.observe(system, parts)
    steps = removal.plan(state, leaver, parts)
    result = _edge.carry_out(call, steps, lambda step: removal.apply(step, system, state, leaver))
    going = leaving(state.members, leaver.name, removal.addresses_of(state, leaver))
    result["members"] = [one.name for one in state.members if one not in going]
    return result


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
