# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are cut off, on real nodes with the real kubeadm: whatever happened, the next run ends well.

Without an option a representative part is run; ``./dev faults`` runs all of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Lab, nodes
from .faults import (
    CONTAINERD_STOPPED,
    CUT_OFF,
    FULL_DISK,
    KILLED,
    KUBELET_KILLED,
    MODULE_KILLED,
    RESTARTED,
    Fault,
    arm,
    bare_again,
    disarm,
    recover,
    struck,
    whole,
)

# kubeadm's own patience, so that what can't come up is given up in seconds.
IMPATIENT = {
    "cluster_kubeadm_config": {
        "ClusterConfiguration": {"apiServer": {"timeoutForControlPlane": "40s"}},
    },
    "control_plane_timeout": 120,
    "join_timeout": 90,
}

INIT = (
    r"^\[preflight\]",
    r"^\[certs\] Generating \"apiserver\"",
    r"^\[kubeconfig\] Writing \"(admin|super-admin).conf\"",
    r"^\[etcd\]",
    r"^\[control-plane\] .*kube-scheduler",
    r"^\[kubelet-start\] Starting",
    r"^\[wait-control-plane\]",
    r"^\[upload-config\]",
    r"^\[mark-control-plane\]",
    r"^\[bootstrap-token\]",
    r"^\[kubelet-finalize\]",
    r"^\[addons\] Applied essential addon: CoreDNS",
)
JOIN = (
    r"^\[preflight\] Running",
    r"^\[preflight\] Reading",
    r"^\[kubelet-start\] Writing kubelet configuration",
    r"^\[kubelet-start\] Starting",
    r"^\[kubelet-start\] Waiting for the kubelet to perform",
    r"^This node has joined",
)
# The others are of the whole suite.
REPRESENTATIVE = {
    ("init", r"^\[certs\] Generating \"apiserver\"", MODULE_KILLED.name),
    ("init", r"^\[kubelet-start\] Starting", KILLED.name),
    ("init", r"^\[bootstrap-token\]", MODULE_KILLED.name),
    ("init", r"^\[wait-control-plane\]", RESTARTED.name),
    ("join", r"^\[kubelet-start\] Starting", MODULE_KILLED.name),
    ("join", r"^\[kubelet-start\] Waiting for the kubelet to perform", CUT_OFF.name),
}


def cases(command: str, lines: tuple[str, ...], faults: tuple[Fault, ...]) -> list[Any]:
    """All combinations; those outside the representative part are marked."""
    found = []
    for fault in faults:
        for at in lines:
            marks = [] if (command, at, fault.name) in REPRESENTATIVE else [pytest.mark.thorough]
            found.append(pytest.param(at, fault, marks=marks, id=f"{fault.name} at {at}"))
    return found


@pytest.fixture(scope="module")
def faulty_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two nodes with everything installed and a cluster on them."""
    for lab in nodes("faults", ["cp1", "w1"], tmp_path_factory.mktemp("faults")):
        run = lab.site()
        assert run.code == 0, run.output
        yield lab


ALL = (MODULE_KILLED, KILLED, CONTAINERD_STOPPED, KUBELET_KILLED, RESTARTED, FULL_DISK)


@pytest.mark.parametrize(("at", "fault"), cases("init", INIT, ALL))
def test_an_init_that_is_cut_off(faulty_lab: Lab, at: str, fault: Fault) -> None:
    lab = faulty_lab
    for host in ("cp1", "w1"):
        bare_again(lab, host)
    arm(lab, "cp1", "init", at, fault)
    arguments = ("--limit", "cp1", "-e", json.dumps(IMPATIENT))
    first = lab.site(*arguments)
    recover(lab, "cp1", fault)
    assert "UNREACHABLE" in first.output if fault.restarts else struck(lab, "cp1"), first.output
    disarm(lab, "cp1")
    if fault.kill or fault.restarts:
        assert first.code != 0
    second = lab.site(*arguments)
    assert second.code == 0, first.output + second.output
    whole(lab, ["cp1"])
    third = lab.site(*arguments)
    assert (third.code, third.changed()) == (0, {}), third.output


def running(lab: Lab) -> set[tuple[str, str]]:
    """The containers that run, and which of their lives they are in."""
    pods = json.loads(lab.kubectl("get pods -A -o json"))["items"]
    statuses = [one for pod in pods for one in pod["status"].get("containerStatuses", [])]
    return {(one["containerID"], one["state"]["running"]["startedAt"]) for one in statuses if "running" in one["state"]}


@pytest.fixture(scope="module")
def joined_lab(faulty_lab: Lab) -> Lab:
    """The control plane, with an application on it that must not notice anything."""
    lab = faulty_lab
    for host in ("cp1", "w1"):
        bare_again(lab, host)
    run = lab.site("--limit", "cp1")
    assert run.code == 0, run.output
    return lab


@pytest.mark.parametrize(("at", "fault"), cases("join", JOIN, (*ALL, CUT_OFF)))
def test_a_join_that_is_cut_off(joined_lab: Lab, at: str, fault: Fault) -> None:
    lab = joined_lab
    lab.kubectl("delete node w1 --ignore-not-found")
    bare_again(lab, "w1")
    before = running(lab)
    arm(lab, "w1", "join", at, fault)
    arguments = ("-e", json.dumps(IMPATIENT))
    first = lab.site(*arguments)
    recover(lab, "w1", fault)
    assert "UNREACHABLE" in first.output if fault.restarts else struck(lab, "w1"), first.output
    disarm(lab, "w1")
    second = lab.site(*arguments)
    assert second.code == 0, first.output + second.output
    whole(lab, ["cp1", "w1"])
    third = lab.site(*arguments)
    assert (third.code, third.changed()) == (0, {}), third.output
    assert before and before <= running(lab)
