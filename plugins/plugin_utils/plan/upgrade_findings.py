# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings that prevent an upgrade of a cluster, or that the user should know before it. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import List, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import (
    ETCD,
    ETCD_STEPS,
    KUBELET_SKEW,
    at,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Version, parse
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import UPGRADE

from ..cluster import Cluster
from ..hosts import Host
from ..rules.host_rules import upgrade_problems
from . import runtime
from .departure import unlisted
from .membership import dead_outside, is_down
from .result import Request

OPERATION = UPGRADE
# The versions that kubeadm can read, without the "v". It refuses to upgrade a cluster in which a Node reports any
# other version.
_SEMANTIC = re.compile(
    r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}(?:-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)


def is_interrupted(host: Host) -> bool:
    """True if a run was killed while it upgraded the host, or while it replaced its containerd."""
    return host.kubeadm.unfinished_upgrade is not None or runtime.is_interrupted(host)


def path_findings(cluster: Cluster, target: Version) -> List[Finding]:
    """The finding about a target that is older than the cluster, or more than one minor version newer."""
    runs = parse(cluster.version)
    if runs is None:
        return []
    if target < runs:
        text = "cluster_kubernetes_version is {0}, but the cluster runs {1}".format(target, runs)
        fix = "set it to {0} or newer; a cluster can't be downgraded".format(runs.series)
        return [Finding("all", OPERATION, Problem("upgrade.version", text, fix))]
    if target.major != runs.major or target.minor > runs.minor + 1:
        steps = ["{0}.{1}".format(runs.major, minor) for minor in range(runs.minor + 1, target.minor + 1)]
        text = "the cluster runs {0}, and an upgrade to {1} would skip a minor version".format(runs, target)
        fix = "upgrade to {0}, one after the other; set cluster_kubernetes_version to {1} first".format(
            ", ".join(steps), steps[0] if steps else runs.series
        )
        return [Finding("all", OPERATION, Problem("upgrade.version", text, fix))]
    return []


def begun_findings(hosts: Sequence[Host], target: Version) -> List[Finding]:
    """Findings about hosts whose interrupted upgrade is to a version that is newer than the target.

    Parts of such a node may already run that version, and nothing may be downgraded.
    """
    found = []
    for host in hosts:
        begun = host.kubeadm.unfinished_upgrade
        version = parse(begun.version) if begun else None
        if begun is not None and version is not None and version > target:
            text = "the upgrade of this host to {0}, started at {1}, is not finished, but the new target is {2}".format(
                version, begun.began, target
            )
            fix = "set cluster_kubernetes_version to {0} and run upgrade.yml again".format(version)
            found.append(Finding(host.name, OPERATION, Problem("upgrade.version", text, fix)))
    return found


def early_findings(hosts: Sequence[Host], cluster: Cluster, target: Version, first: str) -> List[Finding]:
    """Findings about interrupted control planes that would be upgraded before the ``first`` one.

    Interrupted nodes are repaired first, but the configuration of the cluster must have the target version before that.
    ``first`` is empty if it already has it.
    """
    found = []
    for host in hosts:
        if not first or host.name == first or not host.control_plane or not is_interrupted(host):
            continue
        begun = host.kubeadm.unfinished_upgrade
        what = "the upgrade of this host to {0}".format(begun.version) if begun else "the replacement of its containerd"
        text = "{0} was interrupted, and must be completed before the cluster is upgraded to {1}".format(what, target)
        fix = "set cluster_kubernetes_version to {0} and run upgrade.yml, then upgrade to {1}".format(
            begun.version if begun else cluster.version, target
        )
        found.append(Finding(host.name, OPERATION, Problem("upgrade.version", text, fix)))
    return found


def member_findings(
    request: Request, cluster: Cluster, target: Version, first: bool, left_down: Sequence[Host] = ()
) -> List[Finding]:
    """Findings about hosts that are not complete nodes, nodes that the play does not upgrade, and old kubelets.

    ``first`` is true if the run upgrades the configuration of the cluster. ``left_down`` are complete nodes whose API
    server does not answer.
    """
    found = []
    names = set()
    for host in request.hosts:
        state = host.kubeadm
        names.add(state.node_name)
        other = state.operation is not None and not state.unfinished_upgrade
        partial = state.phase != "done" and host not in left_down
        if not host.member or other or (partial and not is_interrupted(host)):
            text = "this host is not a complete node of the cluster: {0}".format(state.reason)
            fix = "run site.yml first, or leave the host out with --limit"
            found.append(Finding(host.name, OPERATION, Problem("upgrade.node", text, fix)))
            continue
        node = cluster.node(state.node_name)
        if node is None:
            text = "the cluster does not have a Node {0}".format(state.node_name)
            fix = "run 'systemctl restart kubelet' on this host to register it again"
            found.append(Finding(host.name, OPERATION, Problem("node_removed", text, fix)))
        else:
            # Otherwise a false name would drain or uncordon the Node of another host.
            found += unlisted(host, request, node) + _newer(host, target)
            found += [Finding(host.name, OPERATION, one) for one in _older(node, host.name, cluster, target, first)]
    for node in cluster.nodes:
        version = parse(node.kubelet_version)
        if node.name in names:
            continue
        too_old = [Finding("all", OPERATION, one) for one in _older(node, "", cluster, target, first)]
        if version is None:
            found += too_old
        elif node.control_plane and version != target:
            text = "the control plane {0} runs {1} and is not among the hosts of this play".format(node.name, version)
            fix = "upgrade control planes before workers: run upgrade.yml without --limit, or with this host in it"
            if node.silent:
                fix += "; if the machine no longer exists, use remove.yml with -e remove_hosts={0}".format(node.name)
                fix += " -e remove_gone=true"
            found.append(Finding("all", OPERATION, Problem("upgrade.control_plane", text, fix)))
        elif too_old:
            found += too_old
        elif version != target:
            text = "node {0} is not among the hosts of this play and stays at {1}".format(node.name, version)
            fix = "add it to the inventory, or run again without --limit"
            found.append(Finding("all", OPERATION, Problem("upgrade.left_out", text, fix, "warning")))
    return found


def _newer(host: Host, target: Version) -> List[Finding]:
    """The finding about a worker that reports a newer version than the target."""
    version = parse(str(host.facts.kube_packages.version or host.kubeadm.installed_version))
    if host.control_plane or version is None or version <= target:
        return []
    text = "has Kubernetes {0}, which is newer than {1}, the version of the upgrade".format(version, target)
    fix = "set cluster_kubernetes_version to {0}, or remove the host and add it again".format(version)
    return [Finding(host.name, OPERATION, Problem("upgrade.version", text, fix))]


def _older(node: Node, host: str, cluster: Cluster, target: Version, first: bool) -> List[Problem]:
    """The problem of a node whose kubelet is too old for the API servers of the target, by its own report.

    ``kubeadm upgrade apply`` refuses such a cluster, and one in which a kubelet does not report a version. The finding
    is therefore an error until the ``first`` control plane is upgraded. Afterwards it does not affect other nodes.
    ``host`` is that of the node; empty if it is not in the play.
    """
    version = parse(node.kubelet_version)
    oldest = target.minor - at(KUBELET_SKEW, target.minor)
    if version is None and not first:
        return []
    readable = _SEMANTIC.fullmatch(node.kubelet_version) is not None
    if version is not None and (readable or not first) and version.minor >= oldest:
        return []
    text = "node {0} reports kubelet {1}, but Kubernetes {2} supports kubelets since 1.{3}".format(
        node.name, version if readable else repr(node.kubelet_version), target.series, oldest
    )
    if first:
        text += ", and kubeadm upgrades a cluster only if all kubelets report such a version"
        remove = "remove.yml with -e remove_hosts={0}".format(host or node.name)
        remove += " -e remove_gone=true" if node.silent else ""
        fix = "upgrade it with cluster_kubernetes_version: {0} first, or remove it: {1}".format(cluster.version, remove)
        return [Problem("version_skew", text, fix)]
    fix = "run upgrade.yml for this node too"
    if host:
        fix = "nothing to do: this run upgrades the node directly to {0}".format(target)
    return [Problem("version_skew", text, fix, "warning")]


def control_plane_findings(hosts: Sequence[Host], left_down: Sequence[Host] = ()) -> List[Finding]:
    """Findings about control planes that do not answer. kubeadm upgrades a cluster only if all of them are ready.

    They are warnings for those of ``left_down``, which the run leaves as they are.
    """
    found = []
    for host in hosts:
        if host.control_plane and is_down(host, True) and not is_interrupted(host):
            reason = host.kubeadm.local_api.reason or host.kubeadm.api.reason or host.kubeadm.reason
            text = "the API server of this control plane does not answer: {0}".format(reason)
            fix = "repair or remove it first; kubeadm upgrades a cluster only if all control planes are ready"
            level = "error"
            if host in left_down:
                text, level = "{0}; only workers are upgraded, and no gate waits for it".format(text), "warning"
                fix = "repair it, or remove it with remove.yml"
            found.append(Finding(host.name, OPERATION, Problem("upgrade.control_plane", text, fix, level)))
    return found


def dead_findings(hosts: Sequence[Host], cluster: Cluster, first: bool) -> List[Finding]:
    """Findings about dead control planes outside the play. They are errors if the ``first`` one is to be upgraded."""
    found = []
    for node in dead_outside(hosts, cluster):
        text = "the control plane {0} is not ready and not among the hosts of this play".format(node.name)
        more = ", but kubeadm upgrades a cluster only if all control planes are ready"
        if not first:
            more = ", so the health checks do not wait for it"
        fix = "repair it, or remove it with remove.yml"
        level = "error" if first else "warning"
        found.append(Finding("all", OPERATION, Problem("upgrade.control_plane", text + more, fix, level)))
    return found


def no_control_plane(request: Request) -> Finding:
    """The finding if no control plane answers. Those outside the play are asked only if it has no control plane."""
    inside = [host.name for host in request.hosts if host.control_plane]
    tried = inside or list(request.inventory.control_plane)
    left_out = [name for name in request.inventory.control_plane if name not in tried]
    text = "no control plane answers; tried {0}".format(", ".join(tried) or "none")
    fix = "find out why the API server is down (journalctl -u kubelet)"
    if left_out:
        fix = "run without --limit, which excludes {0}, or {1}".format(", ".join(left_out), fix)
    else:
        fix += ", or run site.yml if there is no cluster"
    return Finding("all", OPERATION, Problem("api_down", text, fix))


def etcd_findings(hosts: Sequence[Host], target: Version) -> List[Finding]:
    """Findings about etcd members that must run a newer patch release before their minor version changes."""
    coming = tuple(int(part) for part in str(at(ETCD, target.minor)).split("."))
    found = []
    if target.minor < ETCD[0].minor:
        return []
    for host in hosts:
        runs = tuple(int(part) for part in re.findall(r"\d{1,9}", host.kubeadm.static_pods.get("etcd", ""))[:3])
        if len(runs) < 3 or runs[:2] >= coming[:2]:
            continue
        needed = at(ETCD_STEPS, coming[1]) if coming[1] >= ETCD_STEPS[0].minor else (0, 0, 0)
        if runs < needed:
            text = "etcd {0} can't be upgraded to {1}: each member must first run {2} or newer".format(
                _dotted(runs), _dotted(coming), _dotted(needed)
            )
            fix = "first upgrade to the newest patch release of the current minor version, which has a newer etcd"
            found.append(Finding(host.name, OPERATION, Problem("upgrade.etcd", text, fix)))
    return found


def _dotted(version: Sequence[int]) -> str:
    return ".".join(str(part) for part in version)


def machine_findings(host: Host, target: Version) -> List[Finding]:
    """Findings about a machine on which the target does not run, such as one with an older containerd."""
    found = []
    for problem in upgrade_problems(host, target.minor):
        runtime = problem.check == "containerd_version"
        one = replace(problem, fix=_containerd_fix(host)) if runtime else problem
        found.append(Finding(host.name, OPERATION, one))
    return found


def _containerd_fix(host: Host) -> str:
    """How a node of a cluster gets a newer containerd, if apt's lists do not have one that upgrade.yml can install."""
    state = host.facts.containerd
    if host.facts.kube_packages.manager != "dnf":
        update = "run 'apt-get update' on this host if its repositories have a newer one"
        other = ", or add Docker's repository and set containerd_package to containerd.io"
        return "{0}{1}; upgrade.yml then installs it".format(update, "" if "containerd.io" in state.packages else other)
    if "containerd.io" in state.packages:
        return "before the upgrade, drain the node and run 'dnf upgrade containerd.io' on this host"
    return "before the upgrade, remove the host and add it again with containerd_package: containerd.io"


def removed_api_findings(hosts: Sequence[Host], cluster: Cluster, target: Version) -> List[Finding]:
    """Findings about APIs that clients use and that the target, or the minor version after it, no longer serves.

    They are errors only before the first change, because an interrupted upgrade must be continued.
    """
    controls = [host for host in hosts if host.control_plane]
    begun = cluster.version == str(target) or any(host.kubeadm.unfinished_upgrade for host in controls)
    found = []
    for host in controls:
        runs = parse(host.kubeadm.static_pods.get("kube-apiserver", ""))
        for one in host.facts.upgrade.removed_apis:
            if runs is None or not runs.minor < one.minor <= target.minor + 1:
                continue
            text = "clients use the API {0}, which Kubernetes 1.{1} no longer serves".format(one.title, one.minor)
            fix = "change these clients before the next upgrade"
            level = "warning"
            if one.minor <= target.minor:
                fix = (
                    "change these clients (the audit log names them) and restart the API server, or set "
                    "preflight_skip_checks: [removed_api]"
                )
                level = "warning" if begun else "error"
            found.append(Finding(host.name, OPERATION, Problem("removed_api", text, fix, level)))
    return found
