# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The modules node_reset and cluster_member: a dry run predicts the run and changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation, removal
from ansible_collections.kubestead.cluster.plugins.modules import cluster_member, node_reset
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kubeadm.test_removal import STATE
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.reset.test_reset import Node, remaining
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule


@pytest.fixture
def node(tmp_path: Path) -> Node:
    (tmp_path / "run").mkdir()
    return Node(tmp_path)


def reset(node: Node, **params: Any) -> dict[str, Any]:
    return node_reset.work(FakeModule(node_reset.argument_spec(), **params), node)


def test_a_dry_run_of_a_reset_returns_what_the_run_returns(node: Node) -> None:
    before = remaining(node)
    dry = reset(node, check_mode=True)
    assert dry["changed"] and remaining(node) == before and node.kubelet
    run = reset(node)
    assert run["steps"] == dry["steps"] and run["diff"] == dry["diff"]
    assert run["kept"] == ["/etc/kubernetes/audit-policy.yaml", "/etc/cni/net.d/87-podman-bridge.conflist"]
    assert not reset(node)["changed"]


def test_a_marker_of_a_newer_version_is_refused_in_a_dry_run_too(node: Node) -> None:
    operation.begin(node, operation.Operation("migrate"))
    for check_mode in (True, False):
        with pytest.raises(KubesteadError):
            reset(node, check_mode=check_mode)


def test_a_dry_run_knows_the_members_that_an_earlier_task_would_have_removed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With cp3 dead, cp2 can go only after cp3."""
    dead = Member("3", "cp3", ["https://192.0.2.9:2380"])
    state = replace(STATE, members=[*STATE.members, dead])
    monkeypatch.setattr(removal, "observe", lambda system, parts: state)

    def steps(check_mode: bool, removed: list[dict[str, Any]]) -> list[str]:
        params: dict[str, Any] = {"name": "cp2", "addresses": [], "parts": ["etcd"], "removed": removed}
        module = FakeModule(cluster_member.argument_spec(), check_mode=check_mode, **params)
        return [step["target"] for step in cluster_member.work(module, node)["steps"]]

    with pytest.raises(KubesteadError, match="not a majority"):
        steps(True, [])
    assert steps(True, [{"name": "cp3", "addresses": []}]) == ["cp2 at https://192.0.2.2:2380"]
    assert steps(True, [{"name": "old", "addresses": ["192.0.2.9"]}]) == ["cp2 at https://192.0.2.2:2380"]
    # A run asks etcd.
    with pytest.raises(KubesteadError, match="not a majority"):
        steps(False, [{"name": "cp3", "addresses": []}])


def test_a_dry_run_of_a_removal_changes_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "observe", lambda system, parts: STATE)
    params: dict[str, Any] = {"name": "cp2", "addresses": [], "parts": ["etcd", "node"]}
    result = cluster_member.work(FakeModule(cluster_member.argument_spec(), check_mode=True, **params), node)
    assert [step["action"] for step in result["steps"]] == ["remove_member", "delete_node"]
    assert result["members"] == ["cp1"] and node.ran == [] and "secret" not in json.dumps(result)
