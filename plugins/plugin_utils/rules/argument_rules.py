# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments, feature gates and images that the programs of the wanted version do not support. Pure.

Values that are invalid for every version are refused by the options themselves (:mod:`limits`, :mod:`kubelet_config`).
"""

from __future__ import annotations

import difflib
from typing import Any, Dict, List, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.state import CGROUPFS
from ansible_collections.kubestead.cluster.plugins.module_utils.core import mappings
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import (
    CGROUP_DRIVER_FROM_CRI,
    ETCD,
    at,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.removals import (
    ETCD_OLDEST,
    INIT_PHASES,
    KUBEADM_GATES,
    REMOVED_ADMISSION_PLUGINS,
    REMOVED_ARGUMENTS,
    REMOVED_KUBEADM_GATES,
    etcd_version,
    knows_names,
    removed_from_etcd,
    removed_since,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import parse, parse_request
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.limits import ARGUMENTS, argument_values

from ..cluster import Cluster
from ..hosts import Host

_CONFIG = "cluster_kubeadm_config"
_PLUGINS = ("enable-admission-plugins", "disable-admission-plugins", "admission-control")


def argument_problems(host: Host, cluster: Cluster) -> List[Problem]:
    """The problems of the arguments of a host that has not joined yet."""
    runs = parse(cluster.version) if cluster.exists else None
    minor = parse_request(host.options.control_plane.kubernetes_version).minor
    found = _kubelet(host, minor) + _cgroup_driver(host, cluster, minor)
    if not runs and host.control_plane:
        # In an existing cluster, kubeadm reads these settings from the cluster.
        found += _control_plane(host, minor) + _etcd(host, minor) + _gates(host, minor) + _phases(host, minor)
    return found


def _given(host: Host, component: str) -> List[Tuple[str, Dict[str, str]]]:
    """The arguments of a component in ``cluster_kubeadm_config``: (option, name -> value)."""
    config = host.options.control_plane.config
    found = []
    for kind, path, owner in ARGUMENTS:
        values = argument_values(mappings.get(config.get(kind), path.split(".")))
        if owner == component and values:
            found.append(("{0}.{1}.{2}".format(_CONFIG, kind, path), values))
    return found


def _kubelet(host: Host, minor: int) -> List[Problem]:
    given = [("cluster_node_kubelet_extra_args", dict(host.options.control_plane.kubelet_extra_args))]
    return _removed("kubelet", given + _given(host, "kubelet"), minor)


def _cgroup_driver(host: Host, cluster: Cluster, minor: int) -> List[Problem]:
    """The problem of a kubelet and a containerd with different cgroup drivers. Newer versions of both agree on one."""
    options = host.options.control_plane
    driver = options.kubelet_config.get("cgroupDriver") or options.kubelet_extra_args.get("cgroup-driver")
    runtime = parse(host.facts.containerd.version)
    agrees = minor >= CGROUP_DRIVER_FROM_CRI and runtime is not None and runtime.major >= 2
    if agrees or "containerd" not in options.cri_socket:
        return []
    if cluster.exists and cluster.cgroup_driver == CGROUPFS:
        text = "the kubelets of this cluster are configured for cgroupDriver cgroupfs, but containerd would use systemd"
        fix = "set cgroupDriver: systemd in the ConfigMap kube-system/kubelet-config and on each node, as in the docs "
        return [Problem("cgroup_driver", text, fix + "of Kubernetes ('Configuring a cgroup driver')")]
    if driver != CGROUPFS:
        return []
    text = "the kubelet is configured for cgroupDriver cgroupfs, but containerd for systemd; pods can't start"
    return [Problem("cgroup_driver", text, "remove cgroupDriver from cluster_kubelet_config")]


def _control_plane(host: Host, minor: int) -> List[Problem]:
    found: List[Problem] = []
    for component in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        found += _removed(component, _given(host, component), minor)
    for option, values in _given(host, "kube-apiserver"):
        plugins = [(name, one.strip()) for name in _PLUGINS for one in values.get(name, "").split(",")]
        for name, plugin in plugins:
            since = removed_since(REMOVED_ADMISSION_PLUGINS, minor, plugin)
            if since:
                text = "{0} sets {1} to {2}, which Kubernetes removed in 1.{3}; the API server can't start"
                found.append(
                    Problem("removed_argument", text.format(option, name, plugin, since), "remove it from the list")
                )
    return found


def _removed(component: str, given: Sequence[Tuple[str, Dict[str, str]]], minor: int) -> List[Problem]:
    found = []
    for option, values in given:
        for name in sorted(values):
            since = removed_since(REMOVED_ARGUMENTS[component], minor, name)
            if since:
                text = "{0} has {1}, which {2} removed in 1.{3}; {2} can't start".format(option, name, component, since)
                found.append(Problem("removed_argument", text, "remove it"))
    return found


def _etcd(host: Host, minor: int) -> List[Problem]:
    """The problems of the etcd version, and of the arguments from the user and from this kubeadm."""
    tag = mappings.get(host.options.control_plane.config.get("ClusterConfiguration"), ["etcd", "local", "imageTag"])
    option = "{0}.ClusterConfiguration.etcd.local.imageTag".format(_CONFIG)
    found = []
    version = etcd_version(str(tag)) if tag else etcd_version("{0}-0".format(at(ETCD, minor)))
    if tag and not version:
        text = "{0} is {1!r}; kubeadm writes arguments for an old etcd if the tag has no version".format(option, tag)
        found.append(Problem("etcd_image", text, "use a tag like {0}-0".format(at(ETCD, minor)), "warning"))
    elif tag and version < at(ETCD_OLDEST, minor):
        text = "{0} is {1}, but kubeadm 1.{2} starts etcd with arguments that were added in {3}.{4}".format(
            option, tag, minor, *at(ETCD_OLDEST, minor)
        )
        found.append(Problem("etcd_image", text, "use {0}-0, or remove it".format(at(ETCD, minor))))
    for place, values in _given(host, "etcd") if version else []:
        for name in sorted(values):
            since = removed_from_etcd(version, name)
            if since:
                text = "{0} has {1}, which etcd removed in {2}; etcd can't start".format(place, name, since)
                found.append(Problem("removed_argument", text, "remove it, or use its replacement"))
    return found


def _gates(host: Host, minor: int) -> List[Problem]:
    options = host.options.control_plane
    more: Any = mappings.get(options.config.get("ClusterConfiguration"), ["featureGates"])
    given = [("cluster_feature_gates", name) for name in options.feature_gates]
    given += [(_CONFIG + ".ClusterConfiguration.featureGates", name) for name in (more or {})]
    found = []
    for option, name in given:
        since = removed_since(REMOVED_KUBEADM_GATES, minor, name)
        if since:
            text = "{0} has {1}, which kubeadm removed in 1.{2}".format(option, name, since)
            found.append(Problem("feature_gate", text, "remove it"))
        elif knows_names(minor) and name not in at(KUBEADM_GATES, minor):
            text = "{0} has {1}, which is not a feature gate of kubeadm".format(option, name)
            fix = "remove it; set gates of the kubelet in cluster_kubelet_config.featureGates, and gates of {0}"
            others = "other components in their extraArgs (feature-gates)"
            found.append(Problem("feature_gate", text, fix.format(others)))
    return found


def _phases(host: Host, minor: int) -> List[Problem]:
    if not knows_names(minor):
        return []
    phases = at(INIT_PHASES, minor)
    known = [
        *phases,
        *("{0}/{1}".format(name, one) for name in phases for one in ("all", *phases[name]) if phases[name]),
    ]
    found = []
    for name in host.options.control_plane.skip_phases:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, 1, 0.6)
            fix = "did you mean {0}?".format(near[0]) if near else "see 'kubeadm init phase --help'"
            text = "cluster_skip_phases has {0!r}, which is not a phase of kubeadm init".format(name)
            found.append(Problem("skip_phase", text, fix))
    return found
