# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Gather information about a node in one round trip
version_added: 0.1.0
description:
  - Looks at everything the collection cares about on a node, changes nothing, and returns it - swap, kernel features
    and sysctls; containerd and its configuration; the kube packages and their repository; what kubeadm made; addresses,
    routes and names. On a control plane it also asks the API server for the cluster and its nodes.
  - The result is what M(kubestead.cluster.cluster_plan) plans from. The variables of the collection that the host has
    are laid beside it as RV(options), except secret ones.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  diff_mode:
    support: none
    description: It never changes anything.
options:
  components:
    description:
      - The components (roles) whose options are checked before the host is observed. Where its variables are wrong,
        nothing is observed, and the result has no more than RV(options).
    type: list
    elements: str
    choices: [host, kube_packages, containerd, control_plane, join, cni]
  packages_url:
    description: Where the package repositories of Kubernetes are; looked at only when packages are to be installed.
    type: str
    default: ""
  kubernetes_version:
    description: The version that is asked for, to see whether the repository has it.
    type: str
    default: ""
  image_repository:
    description: The repository of Kubernetes' own images, for kubeadm to name its sandbox image in.
    type: str
    default: ""
  kubeconfig_user:
    description: The user whose kubeconfig is looked at; the login user where it is empty.
    type: str
    default: ""
  reach:
    description:
      - Targets like V(192.0.2.10:6443) that a host which is no node yet connects to, to see whether the way is free.
        Of more than 24 the first ones are taken.
    type: list
    elements: str
    default: []
author:
  - The kubestead authors (@kubestead)
"""

EXAMPLES = r"""
- name: Observe every host
  kubestead.cluster.node_info:
  register: observed

- name: Show the hosts that are nodes of a cluster
  ansible.builtin.debug:
    msg: "{{ inventory_hostname }} has kubeadm {{ observed.kubeadm.installed_version }}: {{ observed.kubeadm.reason }}"
  when: observed.kubeadm is defined and observed.kubeadm.phase == 'done'
"""

RETURN = r"""
node:
  description: System, names, addresses and routes.
  returned: when the variables of the host can be used
  type: dict
host:
  description: Swap, kernel features and sysctls.
  returned: when the variables of the host can be used
  type: dict
containerd:
  description: The package, the service and its configuration, without credentials.
  returned: when the variables of the host can be used
  type: dict
kube_packages:
  description: Installed packages, holds and the repository.
  returned: when the variables of the host can be used
  type: dict
kubeadm:
  description:
    - What kubeadm made on the node (C(phase) is V(none), V(partial) or V(done)), and C(api), the cluster as the address
      in the admin's kubeconfig tells it. C(local_api) and C(etcd) are the health of the servers on this control plane
      itself, C(static_pods) the versions of their images.
  returned: when the variables of the host can be used
  type: dict
cni:
  description: The files, routes and rules of the bridge network.
  returned: when the variables of the host can be used
  type: dict
kubeconfig:
  description: The admin's kubeconfig and that of the login user, by digest, servers and CA; without any key.
  returned: when the variables of the host can be used
  type: dict
clock:
  description: Whether the kernel's clock is kept in step.
  returned: when the variables of the host can be used
  type: dict
ports:
  description: TCP ports in use, and which program has those that Kubernetes needs.
  returned: when the variables of the host can be used
  type: dict
environment:
  description: Active firewalls, time services, NetworkManager; whether a proxy is set (never its address).
  returned: when the variables of the host can be used
  type: dict
reach:
  description: What came of connecting, by target - V(open), V(refused), V(timeout), V(unreachable), V(unknown name).
  returned: when the variables of the host can be used
  type: dict
  sample: {"192.0.2.10:6443": open}
asked:
  description: The control machine's clock before the node was asked, in seconds since 1970.
  returned: when the variables of the host can be used
  type: float
answered:
  description: The same when the answer was there.
  returned: when the variables of the host can be used
  type: float
options:
  description: The collection's options as the host's variables set them, by component, without secret ones.
  returned: always
  type: dict
secrets:
  description: The names of the secret options that the host's variables set, by component. Never their values.
  returned: always
  type: dict
  sample: {"containerd": ["registry_credentials"]}
problems:
  description: The variables whose type is wrong.
  returned: always
  type: list
  elements: dict
  contains:
    component:
      description: The component that reads the variable.
      returned: always
      type: str
    option:
      description: The variable.
      returned: always
      type: str
    problem:
      description: What is wrong.
      returned: always
      type: str
    fix:
      description: What to do about it.
      returned: always
      type: str
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils import observation
from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    arguments = {name: value for name, value in module.params.items() if name != "components"}
    return dict(observation.observe(system, **arguments), changed=False)


def main() -> None:
    text = dict(type="str", default="")
    module = AnsibleModule(
        argument_spec=dict(
            components=dict(
                type="list",
                elements="str",
                choices=["host", "kube_packages", "containerd", "control_plane", "join", "cni"],
            ),
            packages_url=text,
            kubernetes_version=text,
            image_repository=text,
            kubeconfig_user=text,
            reach=dict(type="list", elements="str", default=[]),
        ),
        supports_check_mode=True,
    )
    _edge.run(module, work)


if __name__ == "__main__":
    main()
