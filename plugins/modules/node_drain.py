#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_drain
short_description: Drain and uncordon nodes of a cluster
version_added: 0.1.0
description:
  - Runs on a control plane whose API answers. Cordons a node and evicts its pods, or removes the cordon.
  - This collection records the owner of a cordon in an annotation of the Node. If a run is killed, the next run with
    the same owner removes the cordon. A cordon with another owner or without the annotation is never removed.
  - Before the first change, the module checks for everything that would prevent the drain - a PodDisruptionBudget that
    does not allow a disruption, a pod without a controller, local data, and pods that do not fit on another node. If
    there is such a problem, the module changes nothing and fails with one line for each pod.
  - Pods that are already terminating are waited for. If a node can't be drained in time, the module removes the cordons
    of O(owner) from all nodes of O(name) and fails.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  name:
    description:
      - The names of the Nodes. With O(state=drained), all of them are cordoned before the first one is drained, so that
        no pod moves to one of them. With O(state=checked), they will be drained in separate tasks, each of which is
        followed by O(state=schedulable).
    type: list
    elements: str
    required: true
  state:
    description:
      - V(drained) cordons the nodes and evicts their pods. Pods of DaemonSets and static pods stay.
      - V(schedulable) removes the cordons of O(owner).
      - V(checked) only reports what would prevent a drain.
    type: str
    choices: [drained, schedulable, checked]
    default: drained
  owner:
    description:
      - The operation that the cordons belong to. Details may follow after a colon. This is the value of the annotation.
      - A cordon is removed only by a task whose owner has the same text before the colon, so operations that run at the
        same time do not remove each other's cordons.
    type: str
    default: kubestead.cluster
  timeout:
    description: The time limit for the drain of one node, in seconds.
    type: int
    default: 300
  delete_bare_pods:
    description: Delete pods without a controller, and pods whose DaemonSet does not exist. Nothing starts them again.
    type: bool
    default: false
  delete_local_data:
    description: Evict pods with C(emptyDir) volumes. Their data is lost.
    type: bool
    default: false
  pods_may_wait:
    description: Drain the nodes although some of their pods do not fit on another node and stay pending.
    type: bool
    default: false
  returning:
    description:
      - The names of Nodes that will be ready and schedulable before other Nodes are drained, because the run continues
        their interrupted operation first. Cordons with another O(owner) stay.
    type: list
    elements: str
    default: []
  cordoned_before:
    description: In check mode with O(state=schedulable), whether an earlier task would have cordoned the nodes.
    type: bool
    default: false
  lifted:
    description:
      - In check mode, the names of Nodes whose cordon of O(owner) an earlier task would have lifted.
    type: list
    elements: str
    default: []
  kubeconfig:
    description: The path of the kubeconfig on the host that the task runs on.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.cluster_health_info
"""

EXAMPLES = r"""
- name: Drain the node
  kubestead.cluster.node_drain:
    name: w1
    owner: "maintenance: rack 4"
  delegate_to: cp1
  register: drained

- name: Uncordon the node
  kubestead.cluster.node_drain:
    name: w1
    state: schedulable
    owner: maintenance
  delegate_to: cp1
"""

RETURN = r"""
blockers:
  description:
    - The problems that prevent the drain, at most 200. Entries with C(passes) are only warnings, because they may
      resolve while the drain waits.
  returned: with O(state=drained) and O(state=checked)
  type: list
  elements: dict
  sample:
    - node: w1
      kind: budget
      pod: shop/web-7d9c5b8f6-x2x7k
      message: >-
        the PodDisruptionBudget shop/web does not allow pod shop/web-7d9c5b8f6-x2x7k to be evicted (1 of 1 pods must
        run)
      fix: add a replica or change the budget
      passes: false
workloads:
  description:
    - The workloads that have a pod on the nodes, with the number of their ready pods before the drain. Pass the value
      to M(kubestead.cluster.cluster_health_info) to wait until the same number of pods is ready again.
  returned: with O(state=drained)
  type: dict
  sample: {"ReplicaSet shop/web-7d9c5b8f6": 2}
"""

from typing import Any, Dict

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import drain
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.drain_forecast import Permission
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl

# Users of a cluster can have thousands of pods with a problem, which would make the answer too large to be read.
_SHOWN = 200


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "name": {"type": "list", "elements": "str", "required": True},
        "state": {"type": "str", "choices": ["drained", "schedulable", "checked"], "default": "drained"},
        "owner": {"type": "str", "default": "kubestead.cluster"},
        "timeout": {"type": "int", "default": 300},
        "delete_bare_pods": {"type": "bool", "default": False},
        "delete_local_data": {"type": "bool", "default": False},
        "pods_may_wait": {"type": "bool", "default": False},
        "returning": {"type": "list", "elements": "str", "default": []},
        "cordoned_before": {"type": "bool", "default": False},
        "lifted": {"type": "list", "elements": "str", "default": []},
        "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe the cluster, plan, and change the nodes."""
    given, kubectl = call.params, Kubectl(system, call.params["kubeconfig"])
    permission = Permission(given["delete_bare_pods"], given["delete_local_data"], given["pods_may_wait"])
    state = drain.observe(kubectl)
    if call.check_mode:
        state = drain.without_cordons(state, given["lifted"], given["owner"])
    # Nodes that are only checked are planned too, because a missing Node is an error.
    before = call.check_mode and given["cordoned_before"]
    steps = drain.plan_all(state, given["name"], given["state"], given["owner"], before)
    extra: Dict[str, Any] = {}
    if given["state"] != drain.SCHEDULABLE:
        together = given["state"] == drain.DRAINED
        found = drain.forecast(state, given["name"], permission, given["owner"], given["returning"], together)
        passing = [one for one in found if one.passes]
        for one in passing[:_SHOWN]:
            call.warn(one.line)
        hard = [one for one in found if not one.passes]
        if hard:
            raise KubesteadError(
                "{0}{1} (nothing was changed)".format(
                    hard[0].line, "; and {0} more".format(len(hard) - 1) if len(hard) > 1 else ""
                ),
                {"blockers": to_dict([*hard, *passing][:_SHOWN])},
            )
        extra = {"blockers": to_dict(found[:_SHOWN])}
    if given["state"] == drain.DRAINED:
        workloads: Dict[str, int] = {}
        for name in given["name"]:
            workloads.update(state.workloads(name))
        extra["workloads"] = workloads
    if given["state"] == "checked":
        steps = []
    result = _edge.apply_steps(
        call,
        steps,
        lambda step: drain.apply(step, kubectl, given["owner"], permission, float(given["timeout"]), given["name"]),
    )
    return dict(result, **extra)


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
