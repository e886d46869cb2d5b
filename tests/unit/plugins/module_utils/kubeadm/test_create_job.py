# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm's check CreateJob, whose pod may find no node while the first control plane is drained."""

from __future__ import annotations

from dataclasses import replace
from typing import List, Sequence

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import create_job, upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.upgrade import UpgradeOptions
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kubeadm.test_upgrade import (
    NEW,
    control_plane,
)

CONTROL = "node-role.kubernetes.io/control-plane"
FIRST = Node("cp1", ready=True)


@pytest.mark.parametrize(
    ("others", "told"),
    [
        ([Node("w1", ready=True)], ""),
        ([Node("cp2", ready=True, taints=[CONTROL + ":NoSchedule"])], ""),
        ([Node("w1", ready=True, taints=["team=a:PreferNoSchedule"])], ""),
        ([Node("w1", ready=True, unschedulable=True), Node("w2", ready=True)], ""),
        ([], "cp1 is being upgraded"),
        ([Node("w1", ready=True, taints=["a:NoSchedule"])], "cp1 is being upgraded, w1 has the taint a:NoSchedule"),
        ([Node("w1", ready=True, unschedulable=True)], "cp1 is being upgraded, w1 is cordoned"),
        ([Node("w1")], "cp1 is being upgraded, w1 is not ready"),
        ([Node("cp2", ready=True, taints=[CONTROL + ":NoExecute"])], "has the taint " + CONTROL + ":NoExecute"),
        ([Node("cp2", ready=True, taints=[CONTROL + "=x:NoSchedule"])], "has the taint " + CONTROL + "=x:NoSchedule"),
        ([Node("w{0}".format(at)) for at in range(9)], "w3 is not ready, and 5 more"),
    ],
)
def test_whether_a_node_can_run_the_job(others: Sequence[Node], told: str) -> None:
    found = create_job.obstacles([FIRST, *others], "cp1")
    assert found.endswith(told) and bool(found) == bool(told)


def test_nodes_that_are_not_known_change_nothing() -> None:
    assert create_job.obstacles([], "cp1") == ""


def ignored(first: bool, nodes: Sequence[Node]) -> List[str]:
    options = replace(
        UpgradeOptions(NEW, first, ignore_preflight_errors=["Swap"]),
        packages=replace(UpgradeOptions(NEW).packages, key_fingerprint="A" * 40),
    )
    (step,) = [one for one in upgrade.plan(control_plane(nodes=nodes), options) if one.action == "kubeadm"]
    assert ("CreateJob is ignored, because no node can run its Job (cp1 is being upgraded, w1" in step.reason) == (
        "CreateJob" in step.data["options"].ignore_preflight_errors
    )
    return list(step.data["options"].ignore_preflight_errors)


def test_the_check_is_ignored_only_where_kubeadm_runs_it_and_no_node_is_left() -> None:
    tainted = Node("w1", ready=True, taints=["team=a:NoSchedule"])
    assert ignored(True, [FIRST, tainted]) == ["Swap", "CreateJob"]
    assert ignored(False, [FIRST, tainted]) == ["Swap"]
    assert ignored(True, [FIRST, replace(tainted, taints=[])]) == ["Swap"]
