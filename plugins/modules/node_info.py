# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Gather information about a node in one round trip
version_added: 0.1.0
description:
  - Returns the state of a host and changes nothing - swap, kernel modules and sysctls; containerd and its
    configuration; the Kubernetes packages and their repository; the files of kubeadm; addresses, routes and names. On a
    control plane, the module also queries the API server for the cluster and its nodes.
  - M(kubestead.cluster.cluster_plan) plans from the result. RV(options) contains the variables of the collection that
    are set for the host, except secrets.
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  diff_mode:
    support: none
    description: The module never changes anything.
options:
  components:
    description:
      - The components (roles) whose options are checked before the host is observed. If variables of the host are
        invalid, the host is not observed, and the result contains RV(options), RV(secrets) and RV(problems).
    type: list
    elements: str
    choices: [host, kube_packages, containerd, api_endpoint, control_plane, join, cni]
  operation:
    description:
      - The operation to plan from the result, as in M(kubestead.cluster.cluster_plan). With V(upgrade), a cluster node
        that runs another version also looks for packages of O(kubernetes_version), or for newer patch releases if it is
        a minor version. With V(endpoint), the module reads everything that names the endpoint - certificates,
        kubeconfigs, ConfigMaps. With V(remove) and V(reset), a control plane lists the members of etcd, and neither the
        package repository nor O(reach) is checked.
    type: str
    choices: [converge, endpoint, remove, reset, upgrade]
    default: converge
  packages_url:
    description: The base URL of the Kubernetes package repositories. It is read only if packages must be installed.
    type: str
    default: ""
  kubernetes_version:
    description: The requested version, to check whether the repository has it.
    type: str
    default: ""
  image_repository:
    description: The registry of the Kubernetes images, for the name of kubeadm's sandbox image.
    type: str
    default: ""
  kubeconfig_user:
    description: The user whose kubeconfig is read. If it is empty, it is the login user.
    type: str
    default: ""
  reach:
    description:
      - Targets such as V(192.0.2.10:6443) that a host which has not joined connects to, to check that they can be
        reached. Only the first 24 are used.
    type: list
    elements: str
    default: []
  proxied:
    description:
      - Whether the host will reach the API through a local proxy, as workers of a cluster with more than one control
        plane do. If haproxy is not installed, the host then looks for its package.
    type: bool
    default: false
  virtual_ip:
    description:
      - The virtual IP address of the API that the host will have, if it is a control plane. The host then looks for the
        packages that are needed, and whether another machine has the address.
    type: str
    default: ""
author:
  - The kubestead authors (@kubestead)
"""

EXAMPLES = r"""
- name: Observe every host
  kubestead.cluster.node_info:
  register: observed

- name: Show the hosts that are nodes of a cluster
  ansible.builtin.debug:
    msg: "{{ observed.kubeadm.role }} with kubeadm {{ observed.kubeadm.installed_version }}"
  # A host with invalid variables is not observed.
  when: observed.kubeadm.phase | default('') == 'done'
"""

RETURN = r"""
node:
  description:
    - The machine - host name, machine ID, operating system, architecture, kernel, CPUs, memory and disks (in MB),
      addresses, routes, name servers.
  returned: when the variables are valid
  type: dict
host:
  description: Swap, kernel features, sysctls, and the files that set them.
  returned: when the variables are valid
  type: dict
kube_packages:
  description: The installed packages, their holds, the definition of the repository, and the versions in the
    repository.
  returned: when the variables are valid
  type: dict
containerd:
  description: The package, the service and its configuration, without credentials.
  returned: when the variables are valid
  type: dict
api_endpoint:
  description: The addresses of the API in hosts files (the machine's and those of pods), and the local proxy.
  returned: when the variables are valid
  type: dict
cni:
  description: The state of the pod network V(bridge) on the host. Calico is observed through the API.
  returned: when the variables are valid
  type: dict
kubeadm:
  description: The files of kubeadm on the host, and the cluster as the API server describes it.
  returned: when the variables are valid
  type: dict
  contains:
    installed_version:
      description: The version of kubeadm; empty if it is not installed.
      returned: always
      type: str
      sample: 1.36.2
    phase:
      description: V(none) if the host has not joined a cluster, V(partial) if something is missing, V(done).
      returned: always
      type: str
    reason:
      description: The evidence for RV(kubeadm.phase), in one line.
      returned: always
      type: str
    role:
      description: V(control_plane), V(worker), or empty.
      returned: always
      type: str
    node_name:
      description: The name of the Node; empty if there is none.
      returned: always
      type: str
    api:
      description: On a control plane, whether the API server answers (C(live), C(reason)), and the cluster's version,
        configuration and nodes. The query uses the address in the admin kubeconfig, where another control plane may
        answer.
      returned: always
      type: dict
    local_api:
      description: The health of the API server on this machine (C(healthy), C(reason), and C(url), which is empty if
        there is none).
      returned: always
      type: dict
    etcd:
      description: The health of the etcd member on this machine, with the same keys.
      returned: always
      type: dict
    static_pods:
      description: The static pods of a control plane with the versions of their images.
      returned: always
      type: dict
      sample: {"etcd": 3.6.6-0, "kube-apiserver": 1.36.2}
kubeconfig:
  description: The kubeconfig of the user and that of the admin - digest, server and CA hash, without credentials.
  returned: when the variables are valid
  type: dict
clock:
  description: Whether the kernel's clock is synchronized.
  returned: when the variables are valid
  type: dict
ports:
  description: The TCP ports in use, and the programs that use the ports that Kubernetes needs.
  returned: when the variables are valid
  type: dict
environment:
  description: Active firewalls, time services and NetworkManager, and whether a proxy is set, but never its address.
  returned: when the variables are valid
  type: dict
upgrade:
  description:
    - With O(operation=upgrade), on a control plane, the removed APIs that clients have requested since its API server
      started, and the version of Calico.
  returned: with O(operation=upgrade)
  type: dict
endpoint:
  description:
    - With O(operation=endpoint), the servers in kubeconfigs and, on a control plane, the names in the certificate of
      the API server and the servers in ConfigMaps.
  returned: with O(operation=endpoint)
  type: dict
etcd:
  description:
    - With O(operation=remove) and O(operation=reset), on a control plane, the members of etcd and whether each one is
      healthy.
  returned: with O(operation=remove) and O(operation=reset)
  type: dict
reach:
  description:
    - The results of the connections, by target - V(open), V(refused), V(timeout), V(unreachable) or V(unknown name).
      Empty on a node of a cluster.
  returned: when the variables are valid
  type: dict
  sample: {"192.0.2.10:6443": open}
asked:
  description: The clock of the control machine before the host was observed, in seconds since 1970.
  returned: when the variables are valid
  type: float
answered:
  description: The clock of the control machine after the host was observed.
  returned: when the variables are valid
  type: float
options:
  description: The options of the collection that the host's variables set, by component, without secrets.
  returned: always
  type: dict
secrets:
  description: The names of the secret options that the host's variables set, by component. Never their values.
  returned: always
  type: dict
  sample: {"containerd": ["registry_credentials"]}
problems:
  description: The variables that have an invalid value.
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

from ansible_collections.kubestead.cluster.plugins.module_utils import observation
from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    text = {"type": "str", "default": ""}
    operations = ["converge", "endpoint", "remove", "reset", "upgrade"]
    choices = ["host", "kube_packages", "containerd", "api_endpoint", "control_plane", "join", "cni"]
    return {
        "components": {"type": "list", "elements": "str", "choices": choices},
        "operation": {"type": "str", "choices": operations, "default": "converge"},
        "packages_url": text,
        "kubernetes_version": text,
        "image_repository": text,
        "kubeconfig_user": text,
        "reach": {"type": "list", "elements": "str", "default": []},
        "proxied": {"type": "bool", "default": False},
        "virtual_ip": text,
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe the node."""
    arguments = {name: value for name, value in call.params.items() if name != "components"}
    return dict(observation.observe(system, **arguments), changed=False)


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
