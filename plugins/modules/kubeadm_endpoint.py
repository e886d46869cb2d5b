#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_endpoint
short_description: Give a node of a running cluster another endpoint of the API
version_added: 0.1.0
description:
  - Changes what kubeadm wrote about the endpoint - the certificate of the API server, ConfigMaps and kubeconfigs. The
    playbook C(endpoint.yml) calls the parts on all nodes in the right order. The previous endpoint stays valid.
  - Every part compares the machine with O(endpoint), so an interrupted part is continued by the same call.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  part:
    description:
      - V(repair) completes a pair of certificate and key if a run was killed between the two files. It does nothing on
        any other machine.
      - V(certificate) gives the API server of a control plane a certificate with the name of the endpoint and with all
        its current names, and waits until the API server presents it. kubeadm creates the pair in
        C(/var/lib/kubestead/endpoint). If the API server does not present the new certificate, the previous pair is
        put back.
      - V(cluster) changes the ConfigMaps C(kubeadm-config), C(cluster-info) and C(kube-proxy), and restarts the pods of
        kube-proxy one after the other. It runs on one control plane. Nodes whose kubelet does not report are not waited
        for, and a warning names them. With such a node, Kubernetes may not replace the pods on the other nodes, so the
        module deletes them one at a time, and Kubernetes creates their successors.
      - V(node) changes the admin kubeconfigs of a control plane and the copy of its user, and the kubeconfig of the
        kubelet. The client certificates stay. The kubelet restarts. If it does not report to the API after that, its
        previous server is put back.
    type: str
    choices: [repair, certificate, cluster, node]
    required: true
  endpoint:
    description: The endpoint as C(host:port). Required except with O(part=repair).
    type: str
    default: ""
  names:
    description:
      - With O(part=cluster), names that the certificates of later control planes must have in addition, such as that of
        the previous endpoint.
    type: list
    elements: str
    default: []
  address:
    description:
      - With O(part=certificate) and O(part=cluster), the virtual IP address of the API, which the certificates must
        have too. Empty without one.
    type: str
    default: ""
  install:
    description: With O(part=node), whether C(~/.kube/config) of O(user) is changed if it has the admin's server.
    type: bool
    default: true
  user:
    description: The user of C(~/.kube/config). If it is empty, it is the user who ran sudo.
    type: str
    default: ""
  timeout:
    description: The time to wait for another run or for kubeadm on this machine, in seconds.
    type: int
    default: 600
seealso:
  - module: kubestead.cluster.cluster_health_info
"""

EXAMPLES = r"""
- name: Give the API server a certificate with the name
  kubestead.cluster.kubeadm_endpoint:
    part: certificate
    endpoint: api.kubernetes.internal:6443
"""

RETURN = r"""
steps:
  description: The steps that were taken, or would be taken in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
"""

from typing import Any, Dict, List

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import normal_address
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import endpoint_move
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import kubeadm_lock


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "part": {"type": "str", "choices": list(endpoint_move.PARTS), "required": True},
        "endpoint": {"type": "str", "default": ""},
        "names": {"type": "list", "elements": "str", "default": []},
        "address": {"type": "str", "default": ""},
        "install": {"type": "bool", "default": True},
        "user": {"type": "str", "default": ""},
        "timeout": {"type": "int", "default": 600},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan, apply."""
    given = call.params
    part = given["part"]
    address = normal_address(given["address"])
    options = endpoint_move.MoveOptions(given["endpoint"], given["names"], given["user"], given["install"], address)

    def planned() -> List[Step]:
        if part == endpoint_move.REPAIR:
            return endpoint_move.repair(system)
        return endpoint_move.plan(endpoint_move.observe(system, options, part), options, part)

    def apply(step: Step) -> None:
        for warning in endpoint_move.apply(step, system, options):
            call.warn(warning)

    steps = planned()
    if not steps or call.check_mode:
        return _edge.apply_steps(call, steps, lambda step: None)
    with kubeadm_lock(system, float(given["timeout"])):
        # The state may have changed: another run has just finished.
        return _edge.apply_steps(call, planned(), apply)


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
