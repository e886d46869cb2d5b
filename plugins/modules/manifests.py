#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: manifests
short_description: Apply Kubernetes manifests in order, wait for their rollout, and list the Service URLs
version_added: 0.1.0
description:
  - Reads manifests on the control machine and applies them server-side and in order to a cluster, with a kubeconfig of
    the host that the task runs on. Works with any cluster. The host needs only C(kubectl).
  - The API server determines the changes with a server-side dry run. Check mode is therefore exact, and a manifest that
    the server refuses fails before anything is changed. The contents of Secrets are not shown.
  - Objects that are removed from the manifests later are not deleted from the cluster.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  manifests:
    description:
      - A directory, a file, or a list of directories, files and objects. The files of a directory (C(.yaml), C(.yml),
        C(.json)) are applied in the order of their names.
      - Paths are on the control machine. Relative paths start at the working directory or at the playbook's directory.
    type: raw
    required: true
  images:
    description:
      - Images to replace in the manifests. A key is an image with its tag, or a name without a tag, which matches all
        tags. The value replaces it. If the value has no tag, the tag is kept.
    type: dict
    default: {}
  namespace:
    description: The namespace of objects that do not set one. It is created if it does not exist. If it is empty, the
      namespace of the kubeconfig is used.
    type: str
    default: ""
  kubeconfig:
    description: The path of the kubeconfig on the host that the task runs on. If it is empty, kubectl's default is
      used.
    type: path
    default: ""
  context:
    description: The context of the kubeconfig to use. If it is empty, its current context is used.
    type: str
    default: ""
  wait:
    description:
      - Wait until every Deployment, DaemonSet, StatefulSet, Job and Pod has rolled out.
      - The module does not wait for a Deployment that is paused in its manifest, for a suspended Job, or for a Job that
        was deleted because of its C(ttlSecondsAfterFinished).
      - The pods of a DaemonSet on nodes whose kubelet does not report are not waited for. If such a node stops the
        rollout for 30 seconds, and the pods on the other nodes are available, the module shows a warning and continues.
      - If a rollout can't finish, the module fails immediately.
    type: bool
    default: true
  timeout:
    description: The time to wait, in seconds.
    type: int
    default: 300
  objects:
    description: The objects as JSON. Set by the action plugin.
    type: str
"""

EXAMPLES = r"""
- name: Apply a directory
  kubestead.cluster.manifests:
    manifests: examples/webapp
    namespace: shop
    kubeconfig: ~/.kube/config
  delegate_to: localhost

- name: Apply a file and an object, with an image from a mirror
  kubestead.cluster.manifests:
    manifests:
      - files/web.yaml
      - apiVersion: v1
        kind: ConfigMap
        metadata: {name: greeting}
        data: {text: hello}
    images:
      docker.io/library/redis: registry.example.org/redis
    kubeconfig: /etc/kubernetes/admin.conf
"""

RETURN = r"""
steps:
  description: The objects that were created or changed, or would be in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
  sample: [{component: deploy, action: update, target: Deployment shop/web, reason: spec.replicas 1 -> 2}]
objects:
  description: All objects of the manifests, in order.
  returned: success
  type: list
  elements: str
  sample: [Namespace shop, Deployment shop/web, Service shop/web]
services:
  description: The Services of the manifests, as they are in the cluster. The list is empty if there is no cluster yet.
  returned: success
  type: list
  elements: dict
  sample:
    - name: web
      namespace: shop
      type: NodePort
      cluster_ip: 10.96.12.7
      ports: [{name: http, port: 80, node_port: 30080, protocol: TCP}]
      node_ports: [30080]
      urls: ["http://192.168.1.11:30080/"]
      inside: ["web.shop.svc:80"]
summary:
  description: The Services and their URLs as lines of text.
  returned: success
  type: list
  elements: str
seconds:
  description: The duration of the rollout, in seconds.
  returned: when the module waited for the rollout
  type: float
"""

from typing import Any, Dict, List, Mapping

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import services
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import ClusterAbsent, Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.objects import items_of, objects_of, title


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "manifests": {"type": "raw", "required": True},
        "images": {"type": "dict", "default": {}},
        "namespace": {"type": "str", "default": ""},
        "kubeconfig": {"type": "path", "default": ""},
        "context": {"type": "str", "default": ""},
        "wait": {"type": "bool", "default": True},
        "timeout": {"type": "int", "default": 300},
        # Secrets may be among them.
        "objects": {"type": "str", "no_log": True},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan, apply, wait, describe."""
    params = call.params
    entries = [one if isinstance(one, dict) else {} for one in objects_of(params["objects"], "manifests")]
    objects: List[Any] = [entry.get("object") for entry in entries]
    sources = {index: str(entry.get("source")) for index, entry in enumerate(entries)}
    kubectl = Kubectl(system, params["kubeconfig"], params["context"])
    manifests = Manifests(kubectl, objects, params["namespace"], "deploy", sources=sources)
    result: Dict[str, Any] = {"objects": [title(obj) for obj in objects], "services": [], "summary": []}
    applied: List[Step] = []
    try:
        live = manifests.observe()
    except ClusterAbsent as err:
        if not call.check_mode:
            raise
        call.warn("{0} (check mode: treated as an empty cluster)".format(err.message))
        result.update(_edge.apply_steps(call, manifests.plan_absent(), applied.append))
        return result
    result["objects"] = [title(obj) for obj in live.objects]
    result.update(_edge.apply_steps(call, manifests.plan(live), applied.append))
    manifests.apply(applied)
    for warning in manifests.warnings:
        call.warn(warning)
    if params["wait"] and not call.check_mode:
        try:
            waited = manifests.wait(params["timeout"], live)
        except KubesteadError as err:
            err.details["changed"] = bool(applied)
            raise
        result["seconds"] = round(waited.seconds, 1)
        for warning in waited.warnings:
            call.warn(warning)
    result["services"] = _services(kubectl, manifests, [obj for obj in live.objects if obj["kind"] == "Service"])
    result["summary"] = services.lines(result["services"])
    return result


def _services(kubectl: Kubectl, manifests: Manifests, wanted: List[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    if not wanted:
        return []
    found = manifests.fetch(wanted)
    addresses: List[str] = []
    if any((item.get("spec") or {}).get("type") in ("NodePort", "LoadBalancer") for item in found):
        # A user who may not list nodes gets node ports without addresses.
        nodes = kubectl.run(["get", "nodes", "-o", "json"])
        addresses = services.node_addresses(items_of(nodes.stdout)) if nodes.ok else []
    return services.describe(found, addresses)


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
