# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an upgrade must know about the cluster beforehand: removed APIs that clients still use, and Calico's version.

Clients write parts of both, so only text of the expected form is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, List

from ..core import untrusted
from ..core.system import System
from ..kube.api import Api
from . import runtime_record
from .state import KubeadmState

METRICS = "/metrics"
#: Calico's DaemonSet, as installed from the manifest and by the operator.
CALICO = (
    "/apis/apps/v1/namespaces/kube-system/daemonsets/calico-node",
    "/apis/apps/v1/namespaces/calico-system/daemonsets/calico-node",
)
# https://kubernetes.io/docs/reference/using-api/deprecation-guide/
_METRIC = re.compile(r"(?m)^apiserver_requested_deprecated_apis\{([^}\n]{1,2000})\} [1-9]")
_LABEL = re.compile(r'([a-z_]{1,32})="([^"\\]{0,253})"')
_WORD = re.compile(r"[A-Za-z0-9.-]{0,253}")
_RELEASE = re.compile(r"1\.([0-9]{1,4})")
# More than Kubernetes has ever removed.
_MOST = 200


@dataclass(frozen=True)
class RemovedApi:
    """A version of an API that was requested since the API server started. Kubernetes 1.``minor`` no longer has it."""

    group: str
    version: str
    resource: str
    minor: int

    @property
    def title(self) -> str:
        """``flowcontrol.apiserver.k8s.io/v1beta3 flowschemas``."""
        return "{0} {1}".format("/".join(part for part in (self.group, self.version) if part), self.resource)


@dataclass(frozen=True)
class UpgradeFacts:
    """The facts. ``calico`` is the version of Calico without ``v``; empty without Calico, or if it is not known.

    ``calico_by_manifest`` is false if the operator installed it. ``calico_rolling`` is true while pods are replaced.
    ``runtime`` and ``runtime_version`` are the package of containerd that an interrupted run was to install, and its
    version; empty without such a run.
    """

    removed_apis: List[RemovedApi] = field(default_factory=list)
    calico: str = ""
    calico_by_manifest: bool = False
    calico_rolling: bool = False
    runtime: str = ""
    runtime_version: str = ""


def observe(system: System, state: KubeadmState) -> UpgradeFacts:
    """The facts of a node. Those of the cluster are from a control plane's own API server. Never raises."""
    record = runtime_record.read_record(system)
    begun = UpgradeFacts(runtime=record.wanted, runtime_version=record.wanted_version) if record else UpgradeFacts()
    if not state.admin_conf or not state.local_api.url:
        return begun
    metrics, *calico = Api(system, server=state.local_api.url).get(METRICS, *CALICO)
    versions = [calico_version(one.body) if one.ok else "" for one in calico]
    return replace(
        begun,
        removed_apis=removed_apis(metrics.body) if metrics.ok else [],
        calico=next((found for found in versions if found), ""),
        calico_by_manifest=bool(versions[0]),
        calico_rolling=calico[0].ok and is_rolling(calico[0].body),
    )


def removed_apis(metrics: str) -> List[RemovedApi]:
    """The removed APIs in the metrics of an API server, sorted."""
    found = set()
    for match in _METRIC.finditer(metrics):
        labels = dict(_LABEL.findall(match.group(1)))
        release = _RELEASE.fullmatch(labels.get("removed_release", ""))
        group, version, resource = (labels.get(name, "") for name in ("group", "version", "resource"))
        if release and version and resource and all(map(_WORD.fullmatch, (group, version, resource))):
            found.add(RemovedApi(group, version, resource, int(release.group(1))))
    return sorted(found, key=lambda one: (one.minor, one.title))[:_MOST]


def is_rolling(body: str) -> bool:
    """True for a DaemonSet of which not all pods are of its newest revision."""
    try:
        found = untrusted.mapping(untrusted.parse_json(body))
    except ValueError:
        return False
    status = untrusted.mapping(found.get("status"))
    seen = untrusted.integer(status.get("observedGeneration"))
    newest = untrusted.integer(untrusted.mapping(found.get("metadata")).get("generation"))
    wanted = untrusted.integer(status.get("desiredNumberScheduled"))
    return seen < newest or untrusted.integer(status.get("updatedNumberScheduled")) < wanted


def calico_version(body: str) -> str:
    """The version in the image of the container calico-node of a DaemonSet; empty if the image does not have one."""
    try:
        data: Any = untrusted.parse_json(body)
    except ValueError:
        return ""
    for name in ("spec", "template", "spec"):
        data = untrusted.mapping(data).get(name)
    for container in untrusted.mappings(untrusted.mapping(data).get("containers")):
        match = re.search(r":v?([0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4})(?:[-@]|\Z)", untrusted.text(container.get("image")))
        if container.get("name") == "calico-node" and match:
            return match.group(1)
    return ""
