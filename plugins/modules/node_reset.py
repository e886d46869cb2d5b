#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_reset
short_description: Remove a cluster from a host
version_added: 0.1.0
description:
  - Stops the kubelet and the pods, and removes what kubeadm, the kubelet, kube-proxy, Calico, the pod network V(bridge)
    and this collection created - files, mounts, links, routes, netfilter rules, units and the kubeconfigs of this
    cluster.
  - Files that were not created by kubeadm or this collection are kept and listed in RV(kept). A directory in which a
    file system is still mounted is not removed.
  - Observes the host again at the end, and fails if something remains. After an interruption, run the module again.
  - Does not remove the etcd member and the Node of the host. The role P(kubestead.cluster.reset#role) removes the
    member before this module runs, and the Node after it.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - The kubestead authors (@kubestead)
options:
  preparation:
    description:
      - Also remove the preparation of the host - the packages of Kubernetes and their repository, containerd with its
        images, and the settings of modules, sysctls and swap.
      - containerd stays if it was installed before the first run, or if other programs use it.
    type: bool
    default: false
  cri_socket:
    description: The socket of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  kubeconfig_user:
    description:
      - The user whose C(~/.kube/config) is removed if it contains only this cluster. The default is the user who logged
        in. The file of root is removed under the same condition.
    type: str
    default: ""
seealso:
  - module: kubestead.cluster.cluster_member
"""

EXAMPLES = r"""
- name: Remove the cluster from the host, and keep the packages
  kubestead.cluster.node_reset:

- name: Remove everything that the collection installed
  kubestead.cluster.node_reset:
    preparation: true
"""

RETURN = r"""
steps:
  description: The steps of the reset with their reasons. In check mode, the steps that a run would take.
  returned: success
  type: list
  elements: dict
  sample:
    - component: reset
      action: remove
      target: /var/lib/etcd
      reason: etcd data
      disruptive: true
kept:
  description: Files in the directories of the cluster that were not created by kubeadm or this collection.
  returned: success
  type: list
  elements: str
  sample: [/etc/kubernetes/audit-policy.yaml]
"""

from typing import Any, Dict

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.reset import apply
from ansible_collections.kubestead.cluster.plugins.module_utils.reset.observe import (
    DEFAULT_SOCKET,
    ResetOptions,
    observe,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.reset.plan import plan


def argument_spec() -> Dict[str, Dict[str, Any]]:
    """The module's options."""
    return {
        "preparation": {"type": "bool", "default": False},
        "cri_socket": {"type": "str", "default": DEFAULT_SOCKET},
        "kubeconfig_user": {"type": "str", "default": ""},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan and apply until nothing remains."""
    params = call.params
    options = ResetOptions(params["preparation"], params["cri_socket"], params["kubeconfig_user"])
    state = observe(system, options)
    apply.refuse(state)
    steps = plan(state, options)
    if steps and not call.check_mode:
        steps = apply.reset(system, options)
    result = _edge.report(steps)
    result["kept"] = state.kept
    return result


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
