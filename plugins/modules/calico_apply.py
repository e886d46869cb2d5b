#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_apply
short_description: Install Calico from its manifest and verify its IP pools
version_added: 0.1.0
description:
  - Reads Calico's manifest on the control machine, from a path or from a URL pinned by its checksum, and adapts it to
    the options. All images can be pulled from another registry.
  - Applies it server-side from the host that the task runs on (a control plane, or any host with C(kubectl) and a
    kubeconfig), waits for the rollout and for every node to be ready, and compares the live IPPools with the options.
    Calico reads its pool settings only once, so the module fails if they differ. If the pools already exist, it fails
    before anything is changed.
  - Applying the same manifest again changes nothing.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  manifest:
    description:
      - The path on the control machine, or the URL, of a release's C(manifests/calico.yaml).
      - If it is empty, the manifest of O(version) is read from Calico's repository.
    type: str
    default: ""
  checksum:
    description:
      - The SHA-256 checksum of the manifest. Required for a URL. The checksums of the default O(manifest) of V(v3.32.1)
        and V(v3.31.6) are known.
    type: str
    default: ""
  version:
    description: The Calico release whose manifest is used if O(manifest) is empty.
    type: str
    default: v3.32.1
  pod_cidr:
    description:
      - The range of pod addresses, or an IPv4 and an IPv6 range separated by a comma.
      - If it is empty, Calico uses the range from the configuration of kubeadm.
    type: str
    default: ""
  encapsulation:
    description: How Calico encapsulates packets between nodes. With VXLAN, BGP is disabled.
    type: str
    choices: [VXLAN, VXLANCrossSubnet, IPIP, IPIPCrossSubnet, None]
    default: VXLAN
  mtu:
    description: The MTU of the pods' interfaces in bytes. With V(0), Calico detects it.
    type: int
    default: 0
  autodetection:
    description: How Calico finds a node's address (C(IP_AUTODETECTION_METHOD)).
    type: str
    default: kubernetes-internal-ip
  image_registry:
    description: The registry, optionally with a path, that replaces the registry of the images. If it is empty, the
      images stay as they are.
    type: str
    default: ""
  images:
    description:
      - Images of the manifest and their replacements, for example with a digest that pins the content. A key without a
        tag matches every tag. A value without a tag and digest keeps the tag and digest of the manifest.
      - O(image_registry) does not apply to these images. An image that is not in the manifest is an error.
    type: dict
    default: {}
  block_size:
    description: The prefix length of the blocks that Calico assigns to nodes. With V(0), Calico's default (26) applies.
    type: int
    default: 0
  felix:
    description: Settings of Felix, as a dictionary of names (with or without C(FELIX_)) and values.
    type: dict
    default: {}
  kubeconfig:
    description: The path of the kubeconfig on the host that the task runs on.
    type: path
    default: /etc/kubernetes/admin.conf
  wait_rollout:
    description:
      - Wait until Calico runs on all nodes and every node is ready. Nodes whose kubelet does not report are not waited
        for, and a warning names them.
      - With such a node, Kubernetes may not replace the pods on the other nodes. If the rollout makes no progress for
        30 seconds and Calico's pods on the other nodes are available, the module shows a warning and continues.
    type: bool
    default: true
  failed_nodes:
    description: Names of nodes on which a task has failed. The module does not wait for them.
    type: list
    elements: str
    default: []
  timeout:
    description: The time to wait for the rollout and the nodes together, in seconds.
    type: int
    default: 300
  objects:
    description: The objects of Calico as JSON. Set by the action plugin.
    type: str
"""

EXAMPLES = r"""
- name: Install Calico with VXLAN from the pinned manifest
  kubestead.cluster.calico_apply:
    pod_cidr: 10.244.0.0/16

- name: Install Calico from a file, with images from a mirror
  kubestead.cluster.calico_apply:
    manifest: files/calico.yaml
    image_registry: registry.example.org/quay
    pod_cidr: 10.244.0.0/16
    encapsulation: IPIP
    mtu: 1480
"""

RETURN = r"""
steps:
  description: The objects that were created or changed, or would be in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
  sample:
    - {component: cni, action: update, target: ConfigMap kube-system/calico-config, reason: data.veth_mtu 0 -> 1400}
images:
  description: The images that the nodes pull.
  returned: success
  type: list
  elements: str
pool:
  description: The live IPPools. The list is empty until Calico has created them.
  returned: success
  type: list
  elements: dict
  sample: [{name: default-ipv4-ippool, cidr: 10.244.0.0/16, encapsulation: VXLAN, block_size: 26}]
nodes_ready:
  description: The nodes that are ready.
  returned: success
  type: list
  elements: str
seconds:
  description: The durations of applying and waiting, in seconds.
  returned: when something was applied or waited for
  type: dict
  sample: {apply: 5.6, rollout: 31.0, nodes: 2.1}
"""

import time
from typing import Any, Dict, List, Mapping

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import mappings
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import nodes as cluster_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import ClusterAbsent, Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.objects import objects_of
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import calico
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import ENCAPSULATIONS, CniOptions


def argument_spec() -> Dict[str, Any]:
    """The module's options; their defaults are those of the component."""
    defaults = CniOptions()
    return {
        "manifest": {"type": "str", "default": defaults.calico_manifest},
        "checksum": {"type": "str", "default": defaults.calico_checksum},
        "version": {"type": "str", "default": defaults.calico_version},
        "pod_cidr": {"type": "str", "default": defaults.pod_cidr},
        "encapsulation": {"type": "str", "choices": list(ENCAPSULATIONS), "default": defaults.encapsulation},
        "mtu": {"type": "int", "default": defaults.mtu},
        "autodetection": {"type": "str", "default": defaults.autodetection},
        "image_registry": {"type": "str", "default": defaults.image_registry},
        "images": {"type": "dict", "default": {}},
        "block_size": {"type": "int", "default": defaults.block_size},
        "felix": {"type": "dict", "default": {}},
        "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
        "wait_rollout": {"type": "bool", "default": defaults.wait_rollout},
        "failed_nodes": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "int", "default": defaults.timeout},
        # Not a secret, but 350 kB that would be logged and returned as arguments of the task.
        "objects": {"type": "str", "no_log": True},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan, apply, wait, compare."""
    params = call.params
    objects = objects_of(params["objects"], "calico_apply")
    kubectl = Kubectl(system, params["kubeconfig"])
    manifests = Manifests(kubectl, objects, namespace=calico.NAMESPACE, component=calico.COMPONENT, lines=0)
    result: Dict[str, Any] = {"images": calico.images(objects), "pool": [], "nodes_ready": [], "seconds": {}}
    applied: List[Step] = []
    try:
        live = manifests.observe()
    except ClusterAbsent:
        if not call.check_mode:
            raise
        result.update(_edge.apply_steps(call, manifests.plan_absent(), applied.append))
        return result
    wanted = calico.expected_pools(_options(params))
    _require_pools(_live_pools(kubectl), wanted, missing_is_wrong=False)
    result.update(_edge.apply_steps(call, manifests.plan(live), applied.append))
    begin = time.monotonic()
    manifests.apply(applied)
    if applied:
        result["seconds"]["apply"] = round(time.monotonic() - begin, 1)
    for warning in manifests.warnings:
        call.warn(warning)
    if params["wait_rollout"] and not call.check_mode:
        failed = params["failed_nodes"]
        # The controllers of Calico are recreated. The pod network of the nodes does not wait for them.
        waited = manifests.wait(params["timeout"], live, failed, recreated=True)
        result["seconds"]["rollout"] = round(waited.seconds, 1)
        for warning in waited.stopped:
            call.warn(warning)
        since = time.monotonic()
        left = max(10.0, params["timeout"] - (since - begin))
        nodes = cluster_nodes.wait_ready(kubectl, left, failed)
        result["seconds"]["nodes"] = round(time.monotonic() - since, 1)
        if cluster_nodes.silent_warning(nodes):
            call.warn(cluster_nodes.silent_warning(nodes))
    else:
        nodes = cluster_nodes.listed(kubectl)
    result["nodes_ready"] = [node.name for node in nodes if node.ready]
    pools = _live_pools(kubectl)
    started = bool(params["wait_rollout"] and not call.check_mode and nodes)
    _require_pools(pools, wanted, missing_is_wrong=started)
    result["pool"] = [calico.describe_pool(item) for item in pools]
    return result


def _options(params: Mapping[str, Any]) -> CniOptions:
    return CniOptions(
        pod_cidr=params["pod_cidr"], encapsulation=params["encapsulation"], block_size=params["block_size"]
    )


def _live_pools(kubectl: Kubectl) -> List[Mapping[str, Any]]:
    # None: the cluster does not have Calico yet.
    found = kubectl.objects(calico.POOLS)[0]
    return mappings(found.get("items")) if found else []


def _require_pools(pools: List[Mapping[str, Any]], wanted: List[calico.Pool], missing_is_wrong: bool) -> None:
    if not pools and not missing_is_wrong:
        return
    problems = calico.compare_pools(pools, wanted)
    if problems:
        raise KubesteadError(
            " | ".join(problem.message for problem in problems),
            {"pool": [calico.describe_pool(item) for item in pools]},
        )


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
