#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kube_packages
short_description: Install and hold kubelet, kubeadm, kubectl and kubernetes-cni from the signed repository
version_added: 0.1.0
description:
  - Defines the signed package repository of one Kubernetes minor, installs C(kubelet), C(kubeadm), C(kubectl) and
    C(kubernetes-cni) at one version in one transaction, holds them and enables the kubelet's unit. C(cri-tools) is
    among them where the repository's kubeadm depends on it.
  - A version that is installed and fulfils O(kubernetes_version) stays. Asking for V(1.36) on a host with 1.36.1 is
    fulfilled also when 1.36.2 exists, and then nothing is fetched.
  - On a host that is a node of a cluster (it has C(/etc/kubernetes/kubelet.conf)) another version than the installed
    one is refused; on any other host the version asked for is installed, an older one too.
  - Works on a host whose apt lists are empty. Where they are not, only the index of this repository is fetched.
    Waits up to ten minutes for another package manager's lock, and finishes what a killed dpkg left.
  - Other definitions of the same repository (C(kubernetes.list) from typed instructions, other minors of it, the
    repositories that were shut down in 2024) would break apt, and are taken out of the host's sources.
  - The signing key comes from the repository over HTTPS once. It is fetched again when it is about to expire, and taken
    when it is the same key with a later end.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  kubernetes_version:
    description:
      - A minor (V(1.36), its newest patch is installed when none is there) or an exact version (V(1.36.2)).
    type: str
    default: "1.36"
  packages_url:
    description:
      - Where the repositories of all minors are; C(/v1.36/deb/) or C(/v1.36/rpm/) is added to it.
    type: str
    default: "https://pkgs.k8s.io/core:/stable:"
  hold:
    description:
      - Keep the packages at their version in upgrades of the system. With apt they are held, with dnf the repository is
        defined with C(exclude). V(false) releases them.
    type: bool
    default: true
  key:
    description:
      - The repository's signing key in ASCII armour, instead of the one the repository shows.
    type: str
    default: ""
  together:
    description:
      - Names of other packages to install in the same transaction, where there is one; nothing is installed for them
        alone. Two transactions take longer than one.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: The newest 1.36 on hosts that have none yet
  kubestead.cluster.kube_packages:
    kubernetes_version: "1.36"

- name: An exact version from a mirror whose key is in a file
  kubestead.cluster.kube_packages:
    kubernetes_version: "1.36.2"
    packages_url: https://mirror.example.org/kubernetes
    key: "{{ lookup('ansible.builtin.file', 'mirror.asc') }}"
"""

RETURN = r"""
version:
  description: The version of the kubelet that is installed after the run; of the one that would be, in check mode.
  returned: success
  type: str
  sample: 1.36.2
packages:
  description: The installed packages and their versions after the run (or would be, in check mode).
  returned: success
  type: dict
  sample: {"kubelet": "1.36.2-1.1", "kubeadm": "1.36.2-1.1", "kubectl": "1.36.2-1.1", "kubernetes-cni": "1.8.0-1.1"}
repository:
  description: The address of the repository.
  returned: success
  type: str
  sample: https://pkgs.k8s.io/core:/stable:/v1.36/deb/
steps:
  description: What was done, or would be, in order, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - {"component": "kube_packages", "action": "hold", "target": "kubelet kubeadm", "reason": "not held"}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core import versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube as kube_packages
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_observe, kube_plan, sources


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Look, decide, do."""
    options = kube_packages.KubePackagesOptions(
        version=module.params["kubernetes_version"],
        url=module.params["packages_url"],
        hold=module.params["hold"],
        key=module.params["key"],
    )
    options.validate()
    state = kube_observe.observe(system, options.url, options.request)
    for problem in kube_plan.problems(state, options):
        if problem.level == "warning":
            module.warn(problem.line)
    steps = kube_plan.plan(state, options, module.params["together"])
    result = _edge.carry_out(module, steps, lambda step: kube_plan.apply(step, system))
    there = {name: package.version for name, package in state.installed.items()}
    there.update(kube_plan.targets(state, options.request))
    result["packages"] = there
    result["version"] = str(versions.parse(there["kubelet"]))
    result["repository"] = sources.repository_url(options.url, options.request.series, state.manager)
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            kubernetes_version=dict(type="str", default="1.36"),
            packages_url=dict(type="str", default=sources.DEFAULT_URL),
            hold=dict(type="bool", default=True),
            key=dict(type="str", default="", no_log=False),
            together=dict(type="list", elements="str", default=[]),
        ),
        supports_check_mode=True,
    )
    _edge.run(module, work)


if __name__ == "__main__":
    main()
