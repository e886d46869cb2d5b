# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role says what there is to do and what is wrong, and leaves the machine as it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

PLACE = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
FOOTPRINT = Path(__file__).parents[1] / "files" / "footprint.sh"


@pytest.fixture(scope="module")
def plan() -> dict[str, Any]:
    """The plan that converge.yml kept."""
    return dict(json.loads((PLACE / "plan.json").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def refusal() -> dict[str, Any]:
    """What the role returned when side_effect.yml gave it variables that can't be."""
    return dict(json.loads((PLACE / "refusal.json").read_text(encoding="utf-8")))


def test_nothing_was_changed_on_the_node(host: Host) -> None:
    name = host.check_output("hostname")
    before = (PLACE / f"footprint-{name}").read_text(encoding="utf-8").splitlines()
    assert len(before) > 500
    now = host.check_output("sh -c %s", FOOTPRINT.read_text(encoding="utf-8")).splitlines()
    assert sorted(set(now) ^ set(before)) == []


def test_the_plan_says_who_begins_and_who_joins(plan: dict[str, Any]) -> None:
    assert plan["init_host"] == "cp1"
    assert plan["joins"] == ["w1"]
    assert plan["control_plane_joins"] == []
    assert not plan["changed"]


@pytest.mark.parametrize("node", ["cp1", "w1"])
def test_the_plan_has_steps_with_reasons_for_every_component(plan: dict[str, Any], node: str) -> None:
    steps = plan["hosts"][node]["steps"]
    assert all(step["reason"] and step["action"] and step["target"] for step in steps)
    own = "control_plane" if node == "cp1" else "join"
    assert {"host", "kube_packages", "containerd", own, "cni"} <= {step["component"] for step in steps}
    assert any(step["target"] == "/etc/fstab" and "/swapfile" in step["reason"] for step in steps)


def test_the_plan_names_the_version_and_a_range_that_is_free(plan: dict[str, Any], variables: dict[str, Any]) -> None:
    assert plan["cluster"]["pod_cidr"] == "10.244.0.0/16"
    assert plan["cluster"]["version"] == variables["cluster_kubernetes_version"]


def test_good_variables_have_no_errors(plan: dict[str, Any]) -> None:
    assert [finding for finding in plan["findings"] if finding["level"] == "error"] == []


def test_bad_variables_are_refused_all_at_once_with_a_line_each(refusal: dict[str, Any]) -> None:
    lines = refusal["msg"].splitlines()
    for start in ("cluster_kubernetes_version is 'newest'", "cni_plugin is 'flannel'", "host_sysctls has 'vm'"):
        assert [line for line in lines if start in line and "; " in line], refusal["msg"]


def test_findings_are_data_as_well(refusal: dict[str, Any]) -> None:
    errors = [finding for finding in refusal["findings"] if finding["level"] == "error"]
    assert errors
    assert all(finding["message"] and finding["fix"] for finding in errors)
