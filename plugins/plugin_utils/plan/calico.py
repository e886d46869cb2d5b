# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether, when and to which release an upgrade of the cluster upgrades Calico. Pure.

Only a Calico that was installed from its manifest, as this collection installs it. The release is that of the manifest
in the variables, which may be any file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.images import parse as parse_image
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import (
    CALICO_OLDEST,
    CALICO_TESTED,
    DEFAULT_CALICO,
    at,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Version, numbers, parse
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.upgrade_facts import UpgradeFacts

from ..cluster import Cluster
from ..hosts import Host

CHECK = "calico_version"
#: When Calico is upgraded, always after the control planes.
BEFORE, AFTER = "before the workers", "after the workers"
_TAG = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(?:-.*)?")


@dataclass(frozen=True)
class CalicoChange:
    """The upgrade of Calico: the current and the new version without ``v``, and when the new one is applied."""

    runs: str
    wanted: str
    when: str

    @property
    def reason(self) -> str:
        """Why Calico is applied, and when."""
        if self.runs == self.wanted:
            return "the rollout of {0} is not complete; {1}".format(self.wanted, self.when)
        return "{0} -> {1}; {2}".format(self.runs, self.wanted, self.when)


def change(
    host: Optional[Host], images: Sequence[str], cluster: Cluster, target: Version, upgraded: Sequence[str]
) -> Tuple[Optional[CalicoChange], List[Problem]]:
    """The upgrade of Calico, and the problems of its version.

    ``host`` is the control plane whose API server is used, ``images`` are those of the DaemonSet in the manifest, and
    ``upgraded`` are the names of Nodes that have the target at the end of the run.
    """
    facts = host.facts.upgrade if host else UpgradeFacts()
    if host is None or not facts.calico:
        return None, []
    managed = facts.calico_by_manifest and host.options.cni.plugin == "calico"
    wanted = version_of(images) if managed else ""
    if wanted and numbers(wanted, 3) < numbers(facts.calico, 3):
        text = "the manifest in the variables is of Calico {0}, but the cluster runs {1}".format(wanted, facts.calico)
        fix = "set cni_calico_version to v{0}, or cni_calico_manifest to its manifest".format(facts.calico)
        return None, [Problem(CHECK, text, fix)]
    tested = at(CALICO_TESTED, target.minor)
    coming = wanted or facts.calico
    problems = [] if numbers(coming) >= tested else [_untested(coming, coming != facts.calico, target, tested)]
    if not wanted or (wanted == facts.calico and not facts.calico_rolling):
        return None, problems
    when = _when(wanted, cluster, upgraded)
    return (CalicoChange(facts.calico, wanted, when) if when else None), problems


def version_of(images: Sequence[str]) -> str:
    """The version in the tag of Calico's node image; empty if it does not have one."""
    for image in images:
        reference = parse_image(image)
        match = _TAG.fullmatch(reference.tag)
        if match and reference.path.rpartition("/")[2] == "node":
            return ".".join(match.groups())
    return ""


def _when(wanted: str, cluster: Cluster, upgraded: Sequence[str]) -> str:
    """When the release can be applied: before the workers if it is tested with their kubelets, or else after them.

    Empty if a node that this run leaves out is too old for the release.
    """
    oldest = at(CALICO_OLDEST, numbers(wanted)[1])
    old = [node.name for node in cluster.nodes if 0 <= _minor(node.kubelet_version) < oldest]
    if not old:
        return BEFORE
    return AFTER if set(old) <= set(upgraded) else ""


def _minor(version: str) -> int:
    found = parse(version)
    return found.minor if found else -1


def _untested(version: str, coming: bool, target: Version, tested: Tuple[int, int]) -> Problem:
    text = "Calico {0} {1} in the cluster, but Kubernetes 1.{2} is tested with Calico {3}.{4} or newer".format(
        version, "will run" if coming else "runs", target.minor, *tested
    )
    newer = DEFAULT_CALICO if numbers(DEFAULT_CALICO) >= tested else "a release that is tested with it"
    fix = "set cni_calico_version to {0}; if this collection did not install Calico, upgrade it first".format(newer)
    return Problem(CHECK, text, fix, "warning")
