# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_plan
short_description: Validate the observed hosts and plan each one's steps
version_added: 0.1.0
description:
  - Runs on the control machine, without a connection, once for all hosts of a play. Reads what
    M(kubestead.cluster.node_info) registered on each of them.
  - Fails before anything is changed when something is wrong, with one line for each finding - host, option or thing,
    what is wrong, fix.
  - Says for every host which steps a run will take and why; the roles of the collection run only what it asks for.
options:
  operation:
    description: What to plan. V(converge) makes the hosts what their variables say, and members of one cluster.
    type: str
    choices: [converge]
    default: converge
  components:
    description: The components (roles) to plan for; all of them where it is not given.
    type: list
    elements: str
    choices: [host, kube_packages, containerd, control_plane, join, cni]
  observed:
    description: The name of the variable each host registered its observation in.
    type: str
    default: preflight_observed
  outside:
    description: The name of the variable that holds what control planes outside the play answered.
    type: str
    default: preflight_outside
  skip_checks:
    description:
      - Names of checks (see docs/preflight.md) whose findings stop nothing; they are returned as V(skipped).
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - kubestead.cluster.attributes
attributes:
  diff_mode:
    support: none
    description: It never changes anything.
author:
  - The kubestead authors (@kubestead)
seealso:
  - module: kubestead.cluster.node_info
"""

EXAMPLES = r"""
- name: Observe every node
  kubestead.cluster.node_info:
  register: preflight_observed

- name: Plan
  kubestead.cluster.cluster_plan:
  register: preflight_plan
  run_once: true
"""

RETURN = r"""
roles:
  description: The components (roles) that were planned for.
  returned: always
  type: list
  elements: str
operation:
  description: The operation that was planned.
  returned: success
  type: str
  sample: converge
findings:
  description: What was found.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: The inventory name of the host, or V(all).
      type: str
    component:
      description: The component that is concerned, or V(cluster).
      type: str
    check:
      description: The name of the check; docs/preflight.md lists all.
      type: str
    level:
      description: V(error), V(warning) or V(skipped).
      type: str
    message:
      description: What is wrong.
      type: str
    fix:
      description: What to do about it.
      type: str
summary:
  description: The steps of all hosts, one line each.
  returned: success
  type: list
  elements: str
  sample: ["w2: join as worker (no kubelet.conf; not in the API)"]
cluster:
  description: The cluster that exists or will be made.
  returned: success
  type: dict
  contains:
    exists:
      description: Whether there is one already.
      type: bool
    version:
      description: The version of its API servers, or the one that is requested.
      type: str
    endpoint:
      description: The address that leads to its control planes; empty where it has none.
      type: str
    pod_cidr:
      description: The range of its pods, or one of each family separated by a comma.
      type: str
    service_cidr:
      description: The range of its Services.
      type: str
    dns_domain:
      description: Its DNS domain.
      type: str
    nodes:
      description: The names of its nodes.
      type: list
      elements: str
init_host:
  description: The host that initializes the cluster; empty when one exists.
  returned: success
  type: str
api_host:
  description: The control plane that answers for the cluster.
  returned: success
  type: str
joins:
  description: The hosts that join.
  returned: success
  type: list
  elements: str
control_plane_joins:
  description: Those of RV(joins) that join as control planes.
  returned: success
  type: list
  elements: str
joining_nodes:
  description: The nodes (C(name), C(addresses)) that the API does not know yet and will know at the end of the run.
  returned: success
  type: list
  elements: dict
pod_network:
  description: The options of the pod network on RV(api_host), and C(bridge), whether to set up the bridge network.
  returned: success
  type: dict
waves:
  description:
    - The hosts in groups that must be done one after the other. Members of a cluster whose pods are disturbed come
      last, one by one; the first group has all others.
  returned: success
  type: list
  elements: list
  sample: [[cp1, w3], [w1], [w2]]
hosts:
  description: What each host does, by its inventory name.
  returned: success
  type: dict
  contains:
    todo:
      description: For each component whether there is something to do.
      type: dict
    steps:
      description: The steps; each has C(component), C(action), C(target), C(reason) and C(disruptive).
      type: list
      elements: dict
    kubeadm_version:
      description: The version of kubeadm once its packages are installed.
      type: str
    node_name:
      description: What the host is or will be called in the API.
      type: str
    extra_packages:
      description: What is installed in one transaction with the kube packages.
      type: list
      elements: str
    images:
      description: What a host that joins can pull while its cluster is made.
      type: list
      elements: str
    cluster:
      description: The same as RV(cluster), without its nodes.
      type: dict
    initializes:
      description: Whether it is RV(init_host).
      type: bool
    kubeconfig:
      description: The arguments of M(kubestead.cluster.kubeconfig) where it has something to do; else empty.
      type: dict
    joins_as:
      description: V(worker), V(control_plane), or empty for a host that does not join.
      type: str
    idle_before_join:
      description: Whether it has nothing to do until hosts join.
      type: bool
    idle_after_join:
      description: Whether it has nothing to do from the joins on.
      type: bool
    disruptive:
      description: Whether it is a member of a cluster and one of its steps disturbs its pods.
      type: bool
    wave:
      description: The place of its group in RV(waves), from 0 on.
      type: int
play:
  description: The play that the plan is good for - its name and its roles.
  returned: success
  type: list
  elements: raw
"""
