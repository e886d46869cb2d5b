# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pulls the images that a node will run before it joins, so that its kubelet does not have to wait for them."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..core.images import parse
from ..core.step import Step
from ..core.system import System

COMPONENT = "images"

# The namespace of the kubelet's containers, and the registries of containerd's CRI plugin.
_CTR = ("ctr", "--namespace", "k8s.io", "images")
_HOSTS = "/etc/containerd/certs.d"

_EVERY_NODE = ("kube-proxy",)
# etcd and coredns have versions of their own.
_CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@dataclass(frozen=True)
class PullReport:
    """The images that exist now, and the reasons for the others."""

    pulled: List[str] = field(default_factory=list)
    failed: Dict[str, str] = field(default_factory=dict)


def expected(
    version: str,
    repository: str,
    control_plane: bool,
    skip_phases: Sequence[str] = (),
    config: Optional[Mapping[str, Any]] = None,
) -> List[str]:
    """The images of Kubernetes' own that a node runs; ``config`` is a pass-through to kubeadm (kind -> fields).

    None where the exact ``version`` is not known.
    """
    cluster = (config or {}).get("ClusterConfiguration") or {}
    repository = str(cluster.get("imageRepository") or repository)
    without_proxy = "addon/kube-proxy" in skip_phases or "addon" in skip_phases
    names = [] if without_proxy or (cluster.get("proxy") or {}).get("disabled") else list(_EVERY_NODE)
    names += _CONTROL_PLANE if control_plane else ()
    return ["{0}/{1}:v{2}".format(repository, name, version) for name in names] if version and repository else []


def observe(system: System, images: Sequence[str]) -> List[str]:
    """The images among ``images`` that the node does not have; all of them without containerd. One command."""
    there = system.run([*_CTR, "list", "--quiet"], timeout=30.0).stdout.split()
    return [image for image in dict.fromkeys(images) if parse(image).stored not in there]


def plan(missing: Sequence[str]) -> List[Step]:
    """One step for all missing images."""
    return [Step(COMPONENT, "pull", " ".join(missing), "missing")] if missing else []


def pull(system: System, images: Sequence[str], timeout: float) -> PullReport:
    """Pull all images in parallel, each for at most ``timeout`` seconds. Never raises: the kubelet pulls them again."""
    failed: Dict[str, str] = {}

    def one(image: str) -> None:
        name = parse(image).stored
        done = system.run([*_CTR, "pull", "--hosts-dir", _HOSTS, name], timeout=timeout)
        if not done.ok:
            failed[image] = done.last_line

    threads = [threading.Thread(target=one, args=(image,)) for image in images]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return PullReport([image for image in images if image not in failed], failed)
