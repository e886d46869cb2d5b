# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the steps of a reset. Pure: the plan depends only on the current state of the machine."""

from __future__ import annotations

from typing import List

from ..api_endpoint.proxy_config import UNIT_NAME as ENDPOINT_UNIT_NAME
from ..api_endpoint.virtual_ip_config import UNIT_NAME as VIRTUAL_IP_UNIT_NAME
from ..core.constants import MANIFESTS, PKI
from ..core.step import Step
from ..kubeadm.operation import MARKER
from ..pod_network.bridge import UNIT_NAME
from .network import TUNNEL
from .observe import DEFAULT_SOCKET, ResetOptions, ResetState
from .paths import CLUSTER, ETCD, KUBELET
from .prepared import Prepared

COMPONENT = "reset"
_UNITS = {
    UNIT_NAME: "unit of the pod network",
    ENDPOINT_UNIT_NAME: "local API proxy",
    VIRTUAL_IP_UNIT_NAME: "virtual IP address of the API",
}


def plan(state: ResetState, options: ResetOptions) -> List[Step]:
    """The steps of the reset, in order; empty if nothing is left. Files that identify an item are removed after it."""
    steps = _programs(state, options) + _network(state) + _files(state)
    if state.prepared is not None:
        steps += _preparation(state, state.prepared)
    steps += [_step("remove_folder", path, "it is empty") for path in state.folders]
    if not steps and state.operation is not None:
        steps.append(_step("end", MARKER, "the operation {0} is complete".format(state.operation.kind or "in it")))
    return steps


def _step(action: str, target: str, reason: str, **data: object) -> Step:
    return Step(COMPONENT, action, target, reason, data=data, disruptive=True)


def _programs(state: ResetState, options: ResetOptions) -> List[Step]:
    """Stops the kubelet, removes the pods and unmounts their volumes. kubeadm removes pods through the CRI."""
    steps = []
    if state.kubelet_active:
        steps.append(_step("stop", "kubelet.service", "it is running"))
    for place in state.mounts:
        steps.append(_step("unmount", place, "mounted below the kubelet's folder"))
    # With admin credentials, kubeadm would wait for an API server that may be down.
    steps += [_step("remove", path, what) for path, what in state.files if path.startswith("/etc/") and path in CLUSTER]
    traces = bool(state.files or state.static_pods or state.mounts)
    # A containerd that is stopped can't list the namespaces of other programs.
    purged = state.prepared is not None and not state.prepared.runtime_stays
    if state.runtime.installed and not state.runtime.active and (traces or purged):
        steps.append(_step("start", "containerd.service", "needed to remove its containers"))
    count = len(state.runtime.containers)
    foreign_socket = options.cri_socket != DEFAULT_SOCKET and traces
    if state.kubeadm and (count or foreign_socket):
        reason = "{0} container{1}".format(count, "" if count == 1 else "s") if count else "pods in another runtime"
        steps.append(_step("clean_pods", "kubeadm", reason, cri_socket=options.cri_socket))
    elif count:
        steps.append(_step("remove_containers", "containerd", "{0} Kubernetes containers".format(count)))
    steps += [_step("stop", name, "cgroup of pods") for name in state.slices]
    return steps


def _network(state: ResetState) -> List[Step]:
    steps = [_step("stop_unit", name, _UNITS[name]) for name in state.units]
    for name in state.package_units:
        steps.append(_step("disable_package", name, "an interrupted run installed its package"))
    if state.virtual_ip:
        steps.append(_step("remove_address", state.virtual_ip, "virtual IP address of the API"))
    steps += [_step("remove_namespace", name, "network namespace of a pod") for name in state.namespaces]
    for argv in state.virtual_servers:
        steps.append(_step("remove_virtual_server", argv[-1], "IPVS service of kube-proxy", argv=argv))
    for route in state.routes:
        steps.append(_step("remove_route", route.destination, "route to pods", argv=route.argv))
    steps += [_step("remove_link", name, "link of the pod network") for name in state.links]
    if state.tunnel:
        steps.append(_step("clear_tunnel", TUNNEL, "it has an address or is up"))
    for change in state.rules:
        before = "".join(line + "\n" for line in change.lines if not line.startswith("-F"))
        target = "{0} {1}".format(change.program, change.table)
        count = len([line for line in change.lines if line.startswith("-X")])
        step = _step("remove_rules", target, "rules and {0} chains of the cluster".format(count), change=change)
        steps.append(Step(**{**vars(step), "before": before}))
    steps += [_step("remove_nft_table", name, "rules of kube-proxy or Calico") for name in state.nft_tables]
    steps += [_step("remove_set", name, "IP set of kube-proxy or Calico") for name in state.sets]
    steps += [_step("remove_unit", name, _UNITS[name]) for name in state.units]
    return steps


def _files(state: ResetState) -> List[Step]:
    """Data first, certificates last: their CA identifies the user kubeconfigs of this cluster."""
    steps = [
        _step("remove", path, what)
        for path, what in state.files
        if not (path.startswith("/etc/") and path in CLUSTER) and path not in (ETCD, KUBELET)
    ]
    if state.static_pods:
        steps.append(_step("remove", MANIFESTS, "static pods"))
    steps += [_step("remove", path, what) for path, what in state.files if path in (ETCD, KUBELET)]
    steps += [_step("remove", path, what) for path, what in state.network_files]
    steps += [_step("forget_api", path, "it contains the addresses of the API") for path in state.hosts_files]
    for one in state.kubeconfigs:
        reason = "for this cluster; the file it replaced is restored" if one.backup else "for this cluster"
        steps.append(_step("remove_kubeconfig", one.path, reason, place=one))
    if state.certificates:
        preexisting = list(state.operation.preexisting_pki) if state.operation else []
        steps.append(_step("remove_certificates", PKI, "certificates of the cluster", preexisting=preexisting))
    return steps


def _preparation(state: ResetState, prepared: Prepared) -> List[Step]:
    steps = []
    if prepared.packages:
        names = [*prepared.packages, *prepared.dependencies]
        reason = "Kubernetes packages"
        if prepared.dependencies:
            reason += ", and {0}, which only they need".format(", ".join(prepared.dependencies))
        steps.append(_step("purge", ", ".join(prepared.packages), reason, names=names, manager=prepared.manager))
    if prepared.runtime_stays and state.runtime.images:
        reason = "{0} Kubernetes images".format(state.runtime.images)
        steps.append(_step("remove_images", "containerd", reason))
    for path, copy in prepared.backups.items():
        steps.append(_step("put_back", path, "restored from {0}".format(copy)))
    steps += [_step("remove", path, "created by this collection") for path in prepared.files]
    steps += [_step("remove", path, "package list of the repository") for path in prepared.lists]
    for path in prepared.commented:
        steps.append(_step("uncomment", path, "lines that this collection commented out"))
    steps += [_step("remove", path, "data of the containerd package") for path in prepared.folders]
    steps += [_step("remove", path, "written by Calico") for path in state.plugins]
    changed = [path for path in (*prepared.backups, *prepared.files) if path.startswith("/etc/containerd/")]
    if changed and prepared.runtime_stays:
        steps.append(_step("restart", "containerd.service", "its original configuration is restored"))
    return steps
