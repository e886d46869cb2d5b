#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_components
short_description: Bring the components of a node to the desired state
version_added: 0.1.0
description:
  - Prepares a machine to run as a Kubernetes node, in one task and one round trip, so that each machine proceeds at its
    own pace. Each component observes the machine, plans, and applies the differences.
  - The options of a component are the variables of the role with its name (C(host_*), C(kube_packages_*),
    C(containerd_*), C(control_plane_*)) and those of the role P(kubestead.cluster.cluster#role) (C(cluster_*)).
  - V(host) switches swap off and keeps it off, loads the kernel modules that Kubernetes needs, and sets sysctls.
    Contradicting entries of C(/etc/fstab) and lines of other sysctl files become comments.
  - V(kube_packages) defines the signed package repository of one minor version, installs and holds C(kubelet),
    C(kubeadm), C(kubectl) and C(kubernetes-cni) at one version, and enables the kubelet. An installed version that
    satisfies the request is kept. On a member of a cluster, a different version is refused.
  - V(containerd) installs containerd and configures it, in the configuration version that the binary supports. Other
    settings are kept. containerd is restarted only if the meaning of its configuration has changed.
  - V(api_endpoint) lets the machine find the API by its name. It writes the addresses of control planes to a block of
    C(/etc/hosts). On a worker of a cluster with more than one control plane, it sets up a local proxy (haproxy) as a
    separate service.
  - V(images) pulls the images that the plan names while the cluster is created on another host.
  - V(control_plane) runs M(kubestead.cluster.kubeadm_init) on the host that the plan selects, and installs the admin
    kubeconfig as M(kubestead.cluster.kubeconfig) does.
extends_documentation_fragment:
  - kubestead.cluster.attributes
options:
  components:
    description:
      - The components to apply. Their order is fixed; the order in this list does not matter.
      - If the run has tags (C(--tags), C(--skip-tags)), only the components that the tags select are applied.
    type: list
    elements: str
    required: true
    choices: [host, kube_packages, containerd, api_endpoint, images, control_plane]
  plan:
    description:
      - The entry of this host in RV(kubestead.cluster.cluster_plan#module:hosts). Without it, the components are
        applied from the variables alone, and V(api_endpoint), V(images) and V(control_plane) do nothing.
    type: dict
    default: {}
  options:
    description: Set by the action plugin, from the host's variables.
    type: dict
    default: {}
  expected:
    description: Set by the action plugin, from O(plan).
    type: dict
    default: {}
  secrets:
    description:
      - Set by the action plugin, from C(containerd_registry_credentials) and C(containerd_config_dropin), as JSON. It
        is one text, so that no part of it is logged, whatever characters a password has.
    type: str
    default: ""
attributes:
  action:
    description: Runs partly on the control machine, where it reads the host's variables.
    support: full
author:
  - The kubestead authors (@kubestead)
seealso:
  - module: kubestead.cluster.cluster_plan
"""

EXAMPLES = r"""
- name: Prepare the operating system and the container runtime
  kubestead.cluster.node_components:
    components: [host, containerd]
  vars:
    host_sysctls:
      vm.max_map_count: 262144
    containerd_registry_mirrors:
      docker.io:
        - https://mirror.example.com

- name: Prepare machines and initialize the first control plane
  kubestead.cluster.node_components:
    components: [host, kube_packages, containerd, api_endpoint, images, control_plane]
    plan: "{{ preflight_plan.hosts[inventory_hostname] }}"
"""

RETURN = r"""
steps:
  description: The steps that were taken, or would be taken in check mode, in order and with their reasons.
  returned: always
  type: list
  elements: dict
  sample:
    - component: containerd
      action: restart
      target: containerd.service
      reason: SystemdCgroup false -> true
seconds:
  description: The duration of each component, in seconds.
  returned: success
  type: dict
  sample: {"host": 0.3, "kube_packages": 7.2, "containerd": 1.4}
init:
  description: The result of M(kubestead.cluster.kubeadm_init).
  returned: on the host that initializes the cluster
  type: dict
kubeconfig:
  description: The result of M(kubestead.cluster.kubeconfig).
  returned: on a control plane whose plan has steps of V(control_plane)
  type: dict
"""

from typing import Any, Dict

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import secret_options
from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import checked
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import diff
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.preparation import COMPONENTS, Expected, Preparation


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    choices = [*COMPONENTS, "control_plane"]
    return {
        "components": {"type": "list", "elements": "str", "required": True, "choices": choices},
        "plan": {"type": "dict", "default": {}},
        "options": {"type": "dict", "default": {}},
        "expected": {"type": "dict", "default": {}},
        "secrets": {"type": "str", "default": "", "no_log": True},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Apply the components."""
    params = call.params
    options = {
        str(name): dict(checked("options.{0}".format(name), Dict[str, Any], given))
        for name, given in params["options"].items()
    }
    secrets = secret_options(params["secrets"])
    # Ansible hides these in all output of the module.
    call.hide(*(str(one["password"]) for one in secrets.get("registry_credentials", [])))
    options.setdefault("containerd", {}).update(secrets)
    preparation = Preparation(system, checked("expected", Expected, params["expected"]), call.check_mode)
    report = preparation.run(params["components"], options)
    for text in report.warnings:
        call.warn(text)
    return {
        "changed": bool(report.steps),
        "steps": [step.public() for step in report.steps],
        "diff": diff(report.steps),
        "seconds": report.seconds,
    }


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
