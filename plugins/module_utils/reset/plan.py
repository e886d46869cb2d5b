# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that make a machine bare again. Pure: what the machine still has decides, not what was done before."""

from __future__ import annotations

from typing import List

from ..core.constants import MANIFESTS, PKI
from ..core.step import Step
from ..kubeadm.operation import MARKER
from .network import TUNNEL
from .observe import DEFAULT_SOCKET, ResetOptions, ResetState
from .paths import CLUSTER, ETCD, KUBELET
from .prepared import Prepared

COMPONENT = "reset"


def plan(state: ResetState, options: ResetOptions) -> List[Step]:
    """The steps, in the order that leaves the evidence of a thing until the thing is gone. Empty for a bare machine."""
    steps = _programs(state, options) + _network(state) + _files(state)
    if state.prepared is not None:
        steps += _preparation(state, state.prepared)
    steps += [_step("remove_folder", path, "it is empty") for path in state.folders]
    if not steps and state.operation is not None:
        steps.append(_step("end", MARKER, "the operation {0} is over".format(state.operation.kind or "there")))
    return steps


def _step(action: str, target: str, reason: str, **data: object) -> Step:
    return Step(COMPONENT, action, target, reason, data=data, disruptive=True)


def _programs(state: ResetState, options: ResetOptions) -> List[Step]:
    """What runs, and what keeps folders busy. kubeadm takes down pods as the CRI wants it; the rest is ours."""
    steps = []
    if state.kubelet_active:
        steps.append(_step("stop", "kubelet.service", "it runs"))
    for place in state.mounts:
        steps.append(_step("unmount", place, "below the folder of the kubelet"))
    # kubeadm would wait for an API that may be dead, as long as it finds the admin's credentials.
    steps += [_step("remove", path, what) for path, what in state.files if path.startswith("/etc/") and path in CLUSTER]
    traces = bool(state.files or state.static_pods or state.mounts)
    # One that is stopped does not tell whether other programs use it.
    purged = state.prepared is not None and not state.prepared.runtime_stays
    if state.runtime.installed and not state.runtime.active and (traces or purged):
        steps.append(_step("start", "containerd.service", "its containers are removed through it"))
    count = len(state.runtime.containers)
    foreign_socket = options.cri_socket != DEFAULT_SOCKET and traces
    if state.kubeadm and (count or foreign_socket):
        reason = "{0} container{1}".format(count, "" if count == 1 else "s") if count else "pods of another runtime"
        steps.append(_step("clean_pods", "kubeadm", reason, cri_socket=options.cri_socket))
    elif count:
        steps.append(_step("remove_containers", "containerd", "{0} containers of Kubernetes".format(count)))
    steps += [_step("stop", name, "control group of pods") for name in state.slices]
    return steps


def _network(state: ResetState) -> List[Step]:
    steps = [_step("stop_unit", name, "unit of the pod network") for name in state.units]
    steps += [_step("remove_namespace", name, "network of a pod") for name in state.namespaces]
    for argv in state.virtual_servers:
        steps.append(_step("remove_virtual_server", argv[-1], "of a Service", argv=argv))
    for route in state.routes:
        steps.append(_step("remove_route", route.destination, "leads to pods", argv=route.argv))
    steps += [_step("remove_link", name, "link of the pod network") for name in state.links]
    if state.tunnel:
        steps.append(_step("clear_tunnel", TUNNEL, "has an address or is up"))
    for change in state.rules:
        before = "".join(line + "\n" for line in change.lines if not line.startswith("-F"))
        target = "{0} {1}".format(change.program, change.table)
        count = len([line for line in change.lines if line.startswith("-X")])
        step = _step("remove_rules", target, "rules and {0} chains of the cluster".format(count), change=change)
        steps.append(Step(**{**vars(step), "before": before}))
    steps += [_step("remove_nft_table", name, "rules of the cluster") for name in state.nft_tables]
    steps += [_step("remove_set", name, "addresses of the cluster") for name in state.sets]
    steps += [_step("remove_unit", name, "unit of the pod network") for name in state.units]
    return steps


def _files(state: ResetState) -> List[Step]:
    """Data first, certificates last: by their CA a user's kubeconfig is known to be of this cluster."""
    steps = [
        _step("remove", path, what)
        for path, what in state.files
        if not (path.startswith("/etc/") and path in CLUSTER) and path not in (ETCD, KUBELET)
    ]
    if state.static_pods:
        steps.append(_step("remove", MANIFESTS, "static pods"))
    steps += [_step("remove", path, what) for path, what in state.files if path in (ETCD, KUBELET)]
    steps += [_step("remove", path, what) for path, what in state.network_files]
    for one in state.kubeconfigs:
        reason = "for this cluster; the file it replaced is put back" if one.backup else "for this cluster"
        steps.append(_step("remove_kubeconfig", one.path, reason, place=one))
    if state.certificates:
        preexisting = list(state.operation.preexisting_pki) if state.operation else []
        steps.append(_step("remove_certificates", PKI, "certificates of the cluster", preexisting=preexisting))
    return steps


def _preparation(state: ResetState, prepared: Prepared) -> List[Step]:
    steps = []
    if prepared.packages:
        names = [*prepared.packages, *prepared.dependencies]
        reason = "packages of Kubernetes"
        if prepared.dependencies:
            reason += ", and {0} that were installed for them alone".format(", ".join(prepared.dependencies))
        steps.append(_step("purge", ", ".join(prepared.packages), reason, names=names, manager=prepared.manager))
    if prepared.runtime_stays and state.runtime.images:
        reason = "{0} images of Kubernetes".format(state.runtime.images)
        steps.append(_step("remove_images", "containerd", reason))
    for path, copy in prepared.backups.items():
        steps.append(_step("put_back", path, "from {0}".format(copy)))
    steps += [_step("remove", path, "made by this collection") for path in prepared.files]
    steps += [_step("remove", path, "list of the repository") for path in prepared.lists]
    for path in prepared.commented:
        steps.append(_step("uncomment", path, "lines that this collection switched off"))
    steps += [_step("remove", path, "of the package containerd") for path in prepared.folders]
    steps += [_step("remove", path, "written by Calico") for path in state.plugins]
    changed = [path for path in (*prepared.backups, *prepared.files) if path.startswith("/etc/containerd/")]
    if changed and prepared.runtime_stays:
        steps.append(_step("restart", "containerd.service", "its configuration is the one from before"))
    return steps
