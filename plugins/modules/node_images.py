#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_images
short_description: Pull images before a node needs them
version_added: 0.1.0
description:
  - Pulls images into containerd where the kubelet finds them, all at the same time, from the registries (and mirrors)
    that /etc/containerd/certs.d knows.
  - What can't be pulled is a warning and no failure, since the kubelet pulls what it lacks anyway.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  images:
    description: The images, with registry and tag.
    type: list
    elements: str
    required: true
  timeout:
    description: Seconds for one image.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Have a large image on every node before it is rolled out
  kubestead.cluster.node_images:
    images: [registry.example.com/shop:2.1]
"""

RETURN = r"""
pulled:
  description: Images that were not there and are now; in a dry run, those that would be pulled.
  returned: success
  type: list
  elements: str
  sample: [registry.k8s.io/kube-proxy:v1.36.2]
steps:
  description: What was done, or would be, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - {component: join, action: pull, target: "registry.k8s.io/kube-proxy:v1.36.2", reason: not there}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import pull as node_images
from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Look, pull what is missing, warn of what can't be had."""
    missing = node_images.observe(system, module.params["images"])
    report = node_images.PullReport(pulled=missing)
    if not module.check_mode:
        report = node_images.pull(system, missing, float(module.params["timeout"]))
    for image, reason in report.failed.items():
        module.warn("{0} can't be pulled yet: {1}".format(image, reason))
    result = _edge.carry_out(module, node_images.plan(report.pulled), lambda step: None)
    return dict(result, pulled=report.pulled)


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            images=dict(type="list", elements="str", required=True),
            timeout=dict(type="int", default=300),
        ),
        supports_check_mode=True,
    )
    _edge.run(module, work)


if __name__ == "__main__":
    main()
