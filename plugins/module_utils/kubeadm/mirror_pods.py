# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The static pods of control planes as the API shows them: each kubelet creates a mirror pod for each of its manifests.

A control plane without a manifest therefore does not have the pod either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping

from ..core import untrusted
from ..core.constants import COMPONENTS
from .static_pods import StaticPod

#: All static pods of kubeadm, in one request.
PODS = "/api/v1/namespaces/kube-system/pods?labelSelector=component%20in%20({0})".format(",".join(COMPONENTS))
#: The components that have no address at which another machine can query them.
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
_MIRROR = "kubernetes.io/config.mirror"


@dataclass(frozen=True)
class MirrorPod:
    """A static pod of a node. ``version`` is that of its image without ``v``.

    ``reason`` is the reason why the pod is not ready; empty if it is.
    """

    node: str
    component: str
    version: str = ""
    reason: str = ""


def by_component(data: Any) -> Dict[str, Dict[str, Any]]:
    """Component -> PodList of its pods. Never raises."""
    found: Dict[str, Dict[str, Any]] = {name: {"items": []} for name in COMPONENTS}
    for pod in untrusted.mappings(untrusted.mapping(data).get("items")):
        metadata = untrusted.mapping(pod.get("metadata"))
        name = untrusted.labels(metadata.get("labels")).get("component", "")
        if name in found:
            found[name]["items"].append(pod)
    return found


def read(component: str, data: Any) -> List[MirrorPod]:
    """The static pods of a component in a PodList, by node. Other pods are left out. Never raises."""
    found = []
    for pod in untrusted.mappings(untrusted.mapping(data).get("items")):
        metadata, spec = untrusted.mapping(pod.get("metadata")), untrusted.mapping(pod.get("spec"))
        node = untrusted.text(spec.get("nodeName"))
        if node and _MIRROR in untrusted.mapping(metadata.get("annotations")):
            images = [untrusted.text(one.get("image"), 512) for one in untrusted.mappings(spec.get("containers"))]
            version = StaticPod(images[0] if images else "").version
            found.append(MirrorPod(node, component, version, _reason(metadata, pod.get("status"))))
    return sorted(found, key=lambda pod: pod.node)


def _reason(metadata: Mapping[str, Any], given: Any) -> str:
    status = untrusted.mapping(given)
    if metadata.get("deletionTimestamp"):
        return "its pod is being replaced"
    conditions = untrusted.mappings(status.get("conditions"))
    ready = next((one for one in conditions if one.get("type") == "Ready"), {})
    if ready.get("status") == "True":
        return ""
    for container in untrusted.mappings(status.get("containerStatuses")):
        waiting = untrusted.mapping(untrusted.mapping(container.get("state")).get("waiting"))
        told = [untrusted.text(waiting.get(name), 200) for name in ("reason", "message")]
        if any(told):
            return ": ".join(one for one in told if one)
    return untrusted.text(ready.get("message"), 200) or "its containers have not been reported as ready"
