#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_health_info
short_description: Report the health of a cluster, and optionally wait until it is healthy
version_added: 0.1.0
description:
  - Runs on a control plane. Queries C(/readyz) of each API server at its own address, and the list of members, the
    leader, alarms and learners of each etcd member. Reads the static pods of the controller managers and schedulers
    from the API; one without a manifest on its control plane does not have a pod and is not waited for.
  - With O(wait=true), waits until the cluster is as healthy as before the last node was changed. Use it between two
    nodes of a rolling change.
  - Changes nothing. In check mode, the module does not wait.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  wait:
    description: Wait until all conditions below are met. After the timeout, the module fails and reports the reasons.
    type: bool
    default: false
  timeout:
    description:
      - The time to wait, in seconds. For controller managers and schedulers it is at least 330, because the kubelet may
        delay their containers by five minutes after their API server was down.
    type: int
    default: 300
  nodes:
    description: The names of nodes that must be ready, from RV(ready_nodes) of an earlier result.
    type: list
    elements: str
    default: []
  dead:
    description:
      - The names of nodes whose API server or etcd member did not answer before, from RV(dead) of an earlier result.
        The module does not wait for them, and not for the controller managers and schedulers of these nodes.
    type: list
    elements: str
    default: []
  etcd:
    description:
      - Whether the members of etcd must be healthy. Use V(false) if a later step of the play completes or removes
        members. API servers are ready only if etcd answers them.
    type: bool
    default: true
  workloads:
    description: The number of pods that must be ready in each workload, as M(kubestead.cluster.node_drain) returns it.
    type: dict
    default: {}
  versions:
    description: The versions that kubelets must report, without C(v), by node name.
    type: dict
    default: {}
  static_pods:
    description:
      - The versions that controller managers and schedulers must run, without C(v). The keys are the names of nodes,
        the values are dictionaries of C(kube-controller-manager) and C(kube-scheduler).
    type: dict
    default: {}
  addons:
    description:
      - The addons whose rollout must be complete, from RV(addons) of an earlier result. An addon that was deleted is
        not waited for.
    type: list
    elements: str
    default: []
  settle:
    description:
      - Whether to wait for rollouts of addons that are in progress. If they make no progress for 30 seconds, the
        module shows a warning, and RV(addons) does not contain those that are not complete.
    type: bool
    default: false
  stopping:
    description: The name of a node that is about to stop. Without its member, etcd must keep its majority.
    type: str
    default: ""
  kubeconfig:
    description: The path of the kubeconfig on the host that the task runs on.
    type: path
    default: /etc/kubernetes/admin.conf
seealso:
  - module: kubestead.cluster.node_drain
"""

EXAMPLES = r"""
- name: Record the health of the cluster before the first node is changed
  kubestead.cluster.cluster_health_info:
  delegate_to: cp1
  register: before

- name: Wait until the cluster is as healthy as before
  kubestead.cluster.cluster_health_info:
    wait: true
    nodes: "{{ before.ready_nodes }}"
    dead: "{{ before.dead }}"
    workloads: "{{ drained.workloads }}"
    addons: "{{ before.addons }}"
  delegate_to: cp1
"""

RETURN = r"""
ready_nodes:
  description: The names of the nodes that are ready.
  returned: success
  type: list
  elements: str
  sample: [cp1, w1]
api_servers:
  description: The reason why the API server of each node is not ready. Empty if the API server is ready.
  returned: success
  type: dict
  sample: {"cp1": ""}
etcd:
  description: The etcd members by node. Empty if etcd does not run in pods created by kubeadm.
  returned: success
  type: list
  elements: dict
  sample:
    - node: cp1
      error: ""
      version: 3.6.6
      leader: true
dead:
  description: The names of the nodes whose API server or etcd member does not answer.
  returned: success
  type: list
  elements: str
  sample: []
addons:
  description:
    - The addons whose rollout is complete. Addons are the DaemonSets of the namespace C(kube-system), and CoreDNS.
    - While a node is not ready, the pods of a DaemonSet on the other nodes must be available, but may be old.
  returned: success
  type: list
  elements: str
  sample: [DaemonSet kube-system/kube-proxy, Deployment kube-system/coredns]
problems:
  description: The conditions that are not met, one line each.
  returned: success
  type: list
  elements: str
  sample: []
"""

from typing import Any, Dict

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import checked
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import gates
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.mirror_pods import CONTROLLERS


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "wait": {"type": "bool", "default": False},
        "timeout": {"type": "int", "default": 300},
        "nodes": {"type": "list", "elements": "str", "default": []},
        "dead": {"type": "list", "elements": "str", "default": []},
        "workloads": {"type": "dict", "default": {}},
        "versions": {"type": "dict", "default": {}},
        "static_pods": {"type": "dict", "default": {}},
        "addons": {"type": "list", "elements": "str", "default": []},
        "settle": {"type": "bool", "default": False},
        "etcd": {"type": "bool", "default": True},
        "stopping": {"type": "str", "default": ""},
        "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Query the cluster, and wait if requested."""
    given, kubectl = call.params, Kubectl(system, call.params["kubeconfig"])
    wanted = gates.Wanted(
        nodes=given["nodes"],
        dead=given["dead"],
        workloads={
            str(title): checked("workloads[{0!r}]".format(title), int, count)
            for title, count in given["workloads"].items()
        },
        versions=checked("versions", Dict[str, str], given["versions"]),
        static_pods={str(name): _versions(pods) for name, pods in given["static_pods"].items()},
        addons=given["addons"],
        stopping=given["stopping"],
        etcd=given["etcd"],
    )

    def ask() -> gates.Health:
        return gates.observe(system, kubectl, bool(wanted.workloads))

    if given["wait"] and not call.check_mode:
        wait = gates.settle if given["settle"] else gates.wait
        health = wait(ask, wanted, float(given["timeout"]))
        unsettled = {title: reason for title, reason in health.addons.items() if reason and given["settle"]}
        for title, reason in sorted({**health.outdated, **unsettled}.items()):
            call.warn("the rollout of {0} is not complete and is not waited for: {1}".format(title, reason))
    else:
        health = ask()
        if health.error and not call.check_mode:
            raise KubesteadError(health.error)
    leaders = {view.leader for view in health.views}
    result = _edge.apply_steps(call, [], lambda step: None)
    return dict(
        result,
        ready_nodes=health.ready_nodes,
        api_servers=dict(health.api_servers),
        etcd=[
            {
                "node": view.node,
                "error": view.error,
                "version": view.version,
                "leader": bool(view.identity) and leaders == {view.identity},
            }
            for view in health.views
        ],
        dead=sorted({*health.failed_api_servers, *health.failed_members}),
        addons=health.complete_addons,
        problems=gates.problems(health, wanted),
    )


def _versions(pods: Any) -> Dict[str, str]:
    if not isinstance(pods, dict) or not set(pods) <= set(CONTROLLERS):
        fix = "use a dictionary of {0} for each node".format(" and ".join(CONTROLLERS))
        raise OptionError("static_pods", "has the value {0!r}".format(pods), fix)
    return dict(checked("static_pods", Dict[str, str], pods))


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
