# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_plan
short_description: Validate the observed hosts and plan each one's steps
version_added: 0.1.0
description:
  - Runs on the control machine, without a connection, once for all hosts of a play. Reads the results of
    M(kubestead.cluster.node_info) that each host registered.
  - Fails before anything is changed if there is a problem, with one line for each finding - the host, what is wrong,
    and the fix.
  - Returns the steps of every host with their reasons. The roles of the collection run only these steps.
options:
  operation:
    description:
      - The operation to plan. V(converge) brings the hosts to the state that their variables describe, as members of
        one cluster. V(endpoint) gives a cluster an endpoint that is a name. V(upgrade) upgrades a cluster to the
        version in their variables, control planes first. V(remove) removes machines from a cluster that continues to
        run. V(reset) removes the cluster from hosts.
    type: str
    choices: [converge, endpoint, remove, reset, upgrade]
    default: converge
  components:
    description: The components (roles) to plan. By default, all components are planned.
    type: list
    elements: str
    choices: [host, kube_packages, containerd, api_endpoint, control_plane, join, cni]
  observed:
    description: The name of the variable in which each host registered its observation.
    type: str
    default: preflight_observed
  outside:
    description: The name of the variable with the observations of control planes outside the play.
    type: str
    default: preflight_outside
  skip_checks:
    description:
      - Names of checks (see docs/preflight.md) whose findings do not stop the run; they are returned as V(skipped).
    type: list
    elements: str
    default: []
  rolling:
    description:
      - Whether the play changes the hosts in RV(disrupted) one at a time, as C(site.yml) does. With V(false), a plan
        that disrupts more than one member of a cluster is refused.
    type: bool
    default: false
  drop_hosts:
    description:
      - Together with O(rolling), plan without the workers that have errors, instead of failing. RV(dropped) names these
        workers; the play must leave them out. Errors of control planes and of the inventory still fail.
    type: bool
    default: false
  serial:
    description:
      - With O(operation=upgrade), the number of workers that are upgraded at the same time, or a percentage of the
        workers that must be upgraded. A percentage is rounded up.
    type: str
    default: "1"
  pause:
    description: With O(operation=upgrade), the pause between two control planes or waves of workers, in seconds.
    type: int
    default: 0
  targets:
    description:
      - The hosts to remove or reset, with O(operation=remove) and O(operation=reset), including hosts that do not
        answer. V(remove) also accepts names of Nodes. The default is the hosts of the play.
    type: list
    elements: str
  gone:
    description: Assume that targets that do not answer no longer exist.
    type: bool
    default: false
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
- name: Observe every host
  kubestead.cluster.node_info:
  register: preflight_observed

- name: Plan
  kubestead.cluster.cluster_plan:
  register: preflight_plan
  run_once: true
"""

RETURN = r"""
roles:
  description: The components (roles) that were planned.
  returned: success
  type: list
  elements: str
operation:
  description: The operation that was planned.
  returned: success
  type: str
  sample: converge
dropped:
  description: With O(drop_hosts), the hosts that are left out, and the errors of each host on one line.
  returned: success
  type: dict
  sample: {w3: "port 10250 of the kubelet is in use by nginx; stop the program (ss -ltnp)"}
findings:
  description: The problems, including those that O(skip_checks) names.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: The host, or V(all) for a problem of the inventory.
      returned: always
      type: str
    component:
      description: The component that found the problem, or V(cluster).
      returned: always
      type: str
    check:
      description: The name of the check, as in docs/preflight.md.
      returned: always
      type: str
    level:
      description: V(error), V(warning) or V(skipped).
      returned: always
      type: str
    message:
      description: What is wrong.
      returned: always
      type: str
    fix:
      description: What to do about it.
      returned: always
      type: str
hosts:
  description: The plan of each host. The keys are the names of the hosts of the play, and of those in RV(copies).
  returned: success
  type: dict
  contains:
    todo:
      description: For each component, whether it has a step.
      returned: always
      type: dict
      sample: {"host": true, "containerd": false}
    steps:
      description:
        - The steps in order, each with C(component), C(action), C(target), C(reason), and C(disruptive), whether it
          disrupts the pods of a node.
      returned: always
      type: list
      elements: dict
      sample:
        - component: containerd
          action: restart
          target: containerd.service
          reason: SystemdCgroup false -> true
          disruptive: true
    kubeadm_version:
      description: The version of kubeadm after the packages are installed.
      returned: always
      type: str
    node_name:
      description: The name of the Node, now or after the join.
      returned: always
      type: str
    extra_packages:
      description: The packages that are installed in one transaction with those of Kubernetes.
      returned: always
      type: list
      elements: str
    images:
      description: The images that a joining host pulls while its cluster is created.
      returned: always
      type: list
      elements: str
    cluster:
      description: The same as RV(cluster), without C(nodes).
      returned: always
      type: dict
    api_endpoint:
      description:
        - The name of the API, its port, the addresses of the control planes, and on a control plane its own address.
          The name is empty if the hosts files of nodes do not have the endpoint.
      returned: always
      type: dict
    initializes:
      description: Whether the host initializes the cluster.
      returned: always
      type: bool
    kubeconfig:
      description: The options of M(kubestead.cluster.kubeconfig) on a control plane that writes one; otherwise empty.
      returned: always
      type: dict
    joins_as:
      description: V(control_plane), V(worker), or empty.
      returned: always
      type: str
    idle_before_join:
      description: Whether the host has nothing to do until nodes join.
      returned: always
      type: bool
    idle_after_join:
      description: Whether the host has nothing to do in and after the joins.
      returned: always
      type: bool
    disruptive:
      description: Whether the host is a node of a cluster and one of its steps disrupts its pods.
      returned: always
      type: bool
    arguments:
      description: Arguments for the tasks of the operation. Empty for O(operation=converge).
      returned: always
      type: dict
    wave:
      description: The index of its group in RV(waves), starting at 0.
      returned: always
      type: int
idle_before_join:
  description: Whether all hosts have nothing to do until nodes join.
  returned: success
  type: bool
idle_after_join:
  description: Whether all hosts have nothing to do in and after the joins.
  returned: success
  type: bool
disrupted:
  description: The members of the cluster whose runtime or kubelet is restarted. They are changed one at a time.
  returned: success
  type: list
  elements: str
  sample: [w1, w2]
waves:
  description:
    - The hosts in groups that must be changed one after the other. Those in RV(disrupted) come last, one by one.
  returned: success
  type: list
  elements: list
  sample: [[cp1, w3], [w1], [w2]]
summary:
  description: The steps of all hosts, one line each.
  returned: success
  type: list
  elements: str
  sample: ["w2: join as worker (no kubelet.conf; not in the API)"]
init_host:
  description: The host that initializes the cluster; empty if there is a cluster.
  returned: success
  type: str
api_host:
  description: The control plane whose API server is used. It is empty if none answers.
  returned: success
  type: str
pod_network:
  description:
    - The options of P(kubestead.cluster.cni#role) without C(cni_). C(bridge) is true if a host must set up V(bridge).
  returned: success
  type: dict
joins:
  description: The hosts that join.
  returned: success
  type: list
  elements: str
worker_joins:
  description: Those of RV(joins) that join as workers.
  returned: success
  type: list
  elements: str
control_plane_joins:
  description: Those of RV(joins) that join as control planes.
  returned: success
  type: list
  elements: str
token_ttl:
  description: The lifetime of the tokens of hosts that join, as RV(api_host) has it. It is empty if no host joins.
  returned: success
  type: str
joining_nodes:
  description: The Nodes that will exist after the joins and do not exist yet.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the Node.
      returned: always
      type: str
    addresses:
      description: The addresses of the machine.
      returned: always
      type: list
      elements: str
leaving:
  description: The machines to remove from a cluster that continues to run, in order.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: The name in the inventory, or the name of the Node.
      returned: always
      type: str
    name:
      description: The name of the Node.
      returned: always
      type: str
    addresses:
      description: The addresses of the machine.
      returned: always
      type: list
      elements: str
    drain:
      description: Whether the pods of the Node are evicted first.
      returned: always
      type: bool
    etcd:
      description: Whether the machine may have an etcd member.
      returned: always
      type: bool
    node:
      description: Whether the machine has a Node.
      returned: always
      type: bool
    gone:
      description: Whether the machine no longer answers.
      returned: always
      type: bool
drained:
  description: The names of the Nodes among RV(leaving) whose pods are evicted first.
  returned: success
  type: list
  elements: str
  sample: [w2]
members:
  description: The machines among RV(leaving) that have an etcd member, in the order in which their members are removed.
  returned: success
  type: list
  elements: dict
  sample: [{name: cp2, addresses: [192.0.2.2]}]
uncordoned:
  description: The names of Nodes that an interrupted removal cordoned, and that stay in the cluster.
  returned: success
  type: list
  elements: str
owner:
  description: The owner of the cordons of a removal. Empty for other operations.
  returned: success
  type: str
dead_nodes:
  description:
    - The control planes that are down or join again. C(site.yml) does not wait for them. Empty for other operations.
  returned: success
  type: list
  elements: str
resets:
  description: The hosts to reset.
  returned: success
  type: list
  elements: str
redirected:
  description: The hosts that stay in the cluster and get other addresses of the API, because control planes leave.
  returned: success
  type: list
  elements: str
copies:
  description: The hosts that write copies of the admin kubeconfig, with the options of M(kubestead.cluster.kubeconfig).
  returned: success
  type: list
  elements: dict
  sample: [{host: cp2, install: false, user: "", copy_to: ~/.kube/lab, copy_server: "https://192.0.2.2:6443"}]
upgrade:
  description: The order of an upgrade. Its lists are empty for other operations.
  returned: success
  type: dict
  contains:
    control_planes:
      description: The control planes to change, in order.
      returned: always
      type: list
      elements: str
    workers:
      description: The workers to change, in order.
      returned: always
      type: list
      elements: str
    batches:
      description: The numbers of workers that are changed at the same time. The last number is repeated.
      returned: always
      type: list
      elements: int
    drained_nodes:
      description: The names of the Nodes that are drained.
      returned: always
      type: list
      elements: str
    upgraded_nodes:
      description: The names of the Nodes that get another version.
      returned: always
      type: list
      elements: str
    dead_nodes:
      description:
        - The names of the control planes that the first health check does not wait for, because their upgrade was
          interrupted, because they are not ready and not in the play, or because their API server does not answer while
          only workers are upgraded.
      returned: always
      type: list
      elements: str
    dead_at_end:
      description: The names of those of them that the run does not change.
      returned: always
      type: list
      elements: str
    returning_nodes:
      description: The names of the Nodes that accept pods again before other nodes are drained.
      returned: always
      type: list
      elements: str
    lifted_nodes:
      description:
        - The names of the Nodes whose cordon, set by an interrupted run, is lifted before the first node is changed.
      returned: always
      type: list
      elements: str
    groups:
      description: The groups that the playbook adds hosts to, each with the name of a host.
      returned: always
      type: list
      elements: dict
      contains:
        host:
          description: The name of the host.
          returned: always
          type: str
        group:
          description: The name of the group.
          returned: always
          type: str
    calico_before:
      description: The host that upgrades Calico before the workers; empty if none does.
      returned: always
      type: list
      elements: str
    calico_after:
      description: The host that upgrades Calico after the workers; empty if none does.
      returned: always
      type: list
      elements: str
endpoint:
  description: The hosts that each part of a change of the endpoint concerns. Its lists are empty for other operations.
  returned: success
  type: dict
  contains:
    hosts_files:
      description: The hosts whose hosts files get the name.
      returned: always
      type: list
      elements: str
    certificates:
      description: The control planes whose API server gets another certificate, in order.
      returned: always
      type: list
      elements: str
    cluster:
      description: The control plane that changes the ConfigMaps.
      returned: always
      type: list
      elements: str
    kubeconfigs:
      description: The hosts whose kubeconfigs are changed, in order.
      returned: always
      type: list
      elements: str
    dead_nodes:
      description: The names of the control planes that no health check waits for, because they are not in the play.
      returned: always
      type: list
      elements: str
play:
  description: The play that the plan was made for - its name and its roles.
  returned: success
  type: list
  elements: raw
cluster:
  description: The cluster, as it is or will be.
  returned: success
  type: dict
  contains:
    exists:
      description: Whether there is a cluster.
      returned: always
      type: bool
    version:
      description: The version of the API server, or the requested one.
      returned: always
      type: str
    endpoint:
      description: The endpoint of the control planes; empty if none is set.
      returned: always
      type: str
    pod_cidr:
      description: The range of pod addresses, or one of each family separated by a comma.
      returned: always
      type: str
    service_cidr:
      description: The range of Service addresses.
      returned: always
      type: str
    dns_domain:
      description: The DNS domain.
      returned: always
      type: str
    nodes:
      description: The names of the existing Nodes.
      returned: always
      type: list
      elements: str
"""
