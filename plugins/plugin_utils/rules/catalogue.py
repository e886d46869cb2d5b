# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names of all checks of a preflight, and which of them a user may skip (``preflight_skip_checks``)."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import Dict, Iterable, List, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem

OPTION = "preflight_skip_checks"
ERROR, WARNING, SKIPPED = "error", "warning", "skipped"
_BOTH = (ERROR, WARNING)

#: The checks that can be skipped, because they assess a machine or its network. Name -> its possible levels.
SKIPPABLE: Dict[str, Tuple[str, ...]] = {
    # the machine
    "system": (WARNING,),
    "architecture": (ERROR,),
    "cpus": _BOTH,
    "memory": _BOTH,
    "disk": _BOTH,
    "kernel_feature": (ERROR,),
    "kernel_config": (ERROR,),
    "cgroup_controller": (ERROR,),
    "ip_forward": (ERROR,),
    "swap": _BOTH,
    "sysctl_override": (WARNING,),
    "cgroup_v1": (ERROR,),
    "cgroup_driver": (ERROR, WARNING),
    # versions
    "version_skew": _BOTH,
    "containerd_version": _BOTH,
    "calico_version": _BOTH,
    "removed_api": _BOTH,
    "local_program": (WARNING,),
    "removed_argument": (ERROR,),
    "feature_gate": (ERROR,),
    "skip_phase": (ERROR,),
    "etcd_image": _BOTH,
    # identity
    "hostname": (ERROR,),
    "node_name": _BOTH,
    "hostname_lookup": (WARNING,),
    "node_name_taken": _BOTH,
    "already_a_node": _BOTH,
    "machine_id": _BOTH,
    "product_uuid": (WARNING,),
    "mac": _BOTH,
    "address": _BOTH,
    # time
    "clock_skew": _BOTH,
    "time_sync": (WARNING,),
    # the inventory
    "misspelled_variable": (WARNING,),
    # the network
    "pod_cidr_overlap": _BOTH,
    "service_cidr_overlap": _BOTH,
    "pod_cidr_size": (ERROR,),
    "address_family": _BOTH,
    "node_address": (ERROR,),
    "default_route": (ERROR,),
    "port_taken": (ERROR,),
    "virtual_ip_taken": (ERROR,),
    "api_unreachable": _BOTH,
    "node_unreachable": _BOTH,
    "registry_unreachable": (WARNING,),
    "mtu": (WARNING,),
    "dns_loop": (ERROR,),
    "dns_server": (ERROR, WARNING),
    "firewall": (WARNING,),
    "network_manager": (WARNING,),
    "no_proxy": (WARNING,),
    # existing files and services
    "leftovers": (WARNING,),
    "etcd_leftovers": (ERROR,),
    "cri": (WARNING,),
    "containerd_package": (WARNING,),
    "containerd_dropin": (ERROR,),
    "etcd_unhealthy": (WARNING,),
}

#: Checks that can't be skipped: a plan is not possible without them, or the module would fail for the same reason.
FIXED: Dict[str, Tuple[str, ...]] = {
    "options": (ERROR,),
    "groups": _BOTH,
    "endpoint": _BOTH,
    "kubeconfig": (WARNING,),
    "first_control_plane": (ERROR,),
    "api_down": _BOTH,
    "pod_cidr_default": (ERROR,),
    "pod_cidr_differs": (ERROR,),
    "service_cidr_differs": (ERROR,),
    "operation": (ERROR,),
    "broken_facts": (ERROR,),
    "last_control_plane": (ERROR,),
    "etcd_majority": (ERROR,),
    "unreachable": _BOTH,
    "unlisted_node": (WARNING,),
    "cordon": (WARNING,),
    "kubeconfig_ca": (WARNING,),
    "foreign_node": (ERROR,),
    "node_removed": (ERROR,),
    "component_plan": (ERROR,),
    "kube_packages.options": (ERROR,),
    "kube_packages.system": (ERROR,),
    "kube_packages.member": (ERROR,),
    "kube_packages.repository": (ERROR,),
    "kube_packages.version": (ERROR,),
    "kube_packages.key": _BOTH,
    "containerd_member": (ERROR,),
    "disruptive": (ERROR,),
    "control_plane.worker": (ERROR,),
    "control_plane.api_down": (ERROR,),
    "control_plane.partial": (ERROR,),
    "control_plane.version": (ERROR,),
    # Only the module kubeadm_init reports this one.
    "control_plane.differs": (WARNING,),
    "join.foreign_node": (ERROR,),
    "join.foreign_ca": (ERROR,),
    "join.is_worker": (ERROR,),
    "join.broken": (ERROR,),
    "join.partial": (ERROR,),
    "upgrade.version": (ERROR, WARNING),
    "upgrade.node": (ERROR,),
    "upgrade.control_plane": (ERROR, WARNING),
    "upgrade.left_out": (WARNING,),
    "upgrade.etcd": (ERROR,),
    "upgrade.kubelet_flags": (ERROR,),
    "cni.bridge": (ERROR,),
    "cni.node": (WARNING,),
    "cni.plugin": (ERROR,),
    "cni.manifest": (ERROR,),
}

NAMES: Dict[str, Tuple[str, ...]] = {**SKIPPABLE, **FIXED}


def validate(skip: Sequence[str], option: str = OPTION) -> None:
    """Raise :class:`OptionError` for the first name in ``option`` that is not a check, or that can't be skipped."""
    for name in skip:
        if name in SKIPPABLE:
            continue
        if name in FIXED:
            fix = "remove it from the list; the run can't continue with this problem"
            raise OptionError(option, "has {0!r}, which can't be skipped".format(name), fix)
        near = difflib.get_close_matches(str(name), list(SKIPPABLE), 1, 0.5)
        text = "has {0!r}, which is not a check".format(name)
        fix = (
            "did you mean {0}? docs/preflight.md lists all checks".format(near[0]) if near else "see docs/preflight.md"
        )
        raise OptionError(option, text, fix)


def apply_skip(problem: Problem, skip: Iterable[str]) -> Problem:
    """The problem, as ``skipped`` where the user wants its check skipped."""
    return replace(problem, level=SKIPPED) if problem.check in skip else problem


def apply_skips(findings: Iterable[Finding], skip: Iterable[str]) -> List[Finding]:
    """The findings, with those as ``skipped`` whose checks the user wants skipped."""
    return [replace(finding, problem=apply_skip(finding.problem, skip)) for finding in findings]
