# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_plan
short_description: Judges what was observed of all hosts and plans what each of them needs
version_added: 0.1.0
description:
  - Runs on the control machine, without a connection, once for all hosts of a play. Reads what
    M(kubestead.cluster.node_info) registered on each of them.
  - Fails before anything is changed when something is wrong, with one line for each finding - host, option or thing,
    what is wrong, fix.
  - Says for every host which steps a run will take and why; the roles of the collection run only what it asks for.
options:
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
components:
  description: The components planned for.
  returned: always
  type: list
  elements: str
findings:
  description: What was found - host, component, check, level (V(error), V(warning) or V(skipped)), message, fix.
  returned: always
  type: list
  elements: dict
hosts:
  description:
    - For each host its steps (component, action, target, reason); C(kubeadm_version), the version of kubeadm that it
      has once its packages are there; C(together), what it installs in one transaction with the kube packages;
      C(images), what a host that joins can pull while its cluster is made; and C(node_name), what it is or will be
      called in the API.
  returned: success
  type: dict
summary:
  description: The steps of all hosts, one line each.
  returned: success
  type: list
  elements: str
  sample: ["w2: join as worker (no kubelet.conf; not in the API)"]
todo:
  description: For each host and component whether there is something to do.
  returned: success
  type: dict
init_host:
  description: The host that initialises the cluster; empty when there is one.
  returned: success
  type: str
token_host:
  description: The control plane that answers for the cluster.
  returned: success
  type: str
cni_host:
  description: The control plane through which the pod network is applied.
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
nodes_to_come:
  description: The nodes (name, addresses) that the API will know of at the end of the run and does not yet.
  returned: success
  type: list
  elements: dict
play:
  description: The play it is good for - its name and its roles.
  returned: success
  type: list
  elements: raw
cluster:
  description: The cluster that is or will be - version, endpoint, ranges, nodes.
  returned: success
  type: dict
"""
