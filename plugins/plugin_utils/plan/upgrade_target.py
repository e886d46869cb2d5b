# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version that an upgrade brings all nodes to. Pure.

A minor version means its newest patch release. An upgrade that has started is completed first, with its own version.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Set, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import COMPONENTS
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Request as VersionRequest
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Version, parse
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import UPGRADE
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan

from ..cluster import Cluster
from ..hosts import Host
from .registry import PACKAGES
from .result import Request

CHECK = "upgrade.version"


def target(request: Request, cluster: Cluster, wanted: VersionRequest) -> Tuple[Optional[Version], List[Finding]]:
    """The version for all nodes, and findings about it. The findings are errors if there is no version.

    The versions of workers do not decide it. Otherwise a false answer of a worker would choose the version of other
    nodes. It could only delay a newer patch release, as an unfinished upgrade does.
    """
    inside = [host for host in request.hosts if host.control_plane]
    controls = [*inside, *request.reference_control_planes]
    begun = [parse(host.kubeadm.unfinished_upgrade.version) for host in controls if host.kubeadm.unfinished_upgrade]
    there = [version for host in controls for version in _versions(host)]
    known = wanted.newest(one for one in begun if one) or wanted.newest(one for one in there if one)
    newest = wanted.newest(_offered(inside or request.hosts))
    if known is None:
        return newest, [] if newest else _not_offered(request.hosts, wanted)
    if wanted.patch is not None or not _is_complete(request.hosts, cluster):
        return known, []
    if any(begun) or set(there) != {known} or not _runs(request.hosts, cluster, known):
        return known, _later(known, newest) if newest and newest > known else []
    if newest is None:
        return known, _unread(inside, wanted)
    return max(known, newest), []


def _versions(host: Host) -> List[Optional[Version]]:
    """The versions of kubeadm and of the static pods of a control plane, without etcd."""
    pods = {name: host.kubeadm.static_pods.get(name, "") for name in COMPONENTS if name != "etcd"}
    return [parse(host.kubeadm.installed_version), *map(parse, pods.values())]


def _offered(hosts: Sequence[Host]) -> Set[Version]:
    """The versions that the repositories of all these hosts have."""
    offered = []
    for host in hosts:
        repository = host.facts.kube_packages.repository
        offers = repository.offers.get("kubeadm", []) if repository else []
        offered.append({version for version in map(parse, offers) if version})
    return set.intersection(*offered) if offered else set()


def _is_complete(hosts: Sequence[Host], cluster: Cluster) -> bool:
    """True if the play has all control planes. Only then can all of them get another version."""
    names = {host.kubeadm.node_name for host in hosts if host.control_plane}
    return all(node.name in names for node in cluster.nodes if node.control_plane)


def _runs(hosts: Sequence[Host], cluster: Cluster, version: Version) -> bool:
    """True if the kubelets of all these hosts report this version."""
    reported: Dict[str, Optional[Version]] = {node.name: parse(node.kubelet_version) for node in cluster.nodes}
    return all(reported.get(host.kubeadm.node_name) == version for host in hosts)


# -- findings


def _all(text: str, fix: str, level: str = "error") -> Finding:
    return Finding("all", UPGRADE, Problem(CHECK, text, fix, level))


def _later(known: Version, newest: Version) -> List[Finding]:
    text = "Kubernetes {0} is available, but this run first completes the upgrade to {1}".format(newest, known)
    return [_all(text, "run upgrade.yml again afterwards", "warning")]


def _unread(hosts: Sequence[Host], wanted: VersionRequest) -> List[Finding]:
    """Warnings about repositories that can't be read, so that a newer patch release would not be noticed."""
    found = []
    for host in hosts:
        answer = host.facts.kube_packages.repository
        if answer is not None and answer.reachable:
            continue
        where = " {0}".format(redact(answer.url)) if answer else ""
        why = ": {0}".format(redact(answer.error)) if answer and answer.error else ""
        text = "the repository{0} can't be read, so a newer patch release of {1} can't be found{2}".format(
            where, wanted.series, why
        )
        found.append(Finding(host.name, UPGRADE, Problem(CHECK, text, "check cluster_packages_url", "warning")))
    return found


def _not_offered(hosts: Sequence[Host], wanted: VersionRequest) -> List[Finding]:
    """The reasons why there is no target: the problems that hosts have with their repositories."""
    found = []
    for host in hosts:
        problems = kube_plan.problems(host.facts.kube_packages, host.options.kube_packages)
        found += [Finding(host.name, PACKAGES, one) for one in problems if one.level == "error"]
    if found:
        return found
    text = "the repositories of the hosts do not have a common version {0}".format(wanted)
    return [_all(text, "check cluster_packages_url")]
