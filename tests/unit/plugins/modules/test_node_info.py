# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module node_info: one look at a machine, which changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils import observation
from ansible_collections.kubestead.cluster.plugins.modules import node_info
from ansible_collections.kubestead.cluster.plugins.plugin_utils.facts import read_facts
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kubeadm.test_state import control_plane
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

NAMES = ("packages_url", "kubernetes_version", "image_repository", "kubeconfig_user")
SPEC: dict[str, Any] = {**{name: {"default": ""} for name in NAMES}, "reach": {"default": []}, "components": {}}


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_machine_is_observed_and_not_changed(machine: Machine, check_mode: bool) -> None:
    control_plane(machine, "v1.35")
    before = sorted(str(path) for path in machine.folder.rglob("*"))
    result = node_info.work(FakeModule(SPEC, check_mode=check_mode), machine)
    assert result["changed"] is False and result["kubeadm"]["phase"] == "done"
    assert sorted(str(path) for path in machine.folder.rglob("*")) == before
    # What goes over the wire is what the planners read.
    facts = read_facts({name: value for name, value in json.loads(json.dumps(result)).items() if name != "changed"})
    assert facts.kubeadm.node_name == "cp1"


def test_the_names_of_components_are_for_the_control_machine_alone(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr(observation, "observe", lambda system, **given: seen.update(given) or {})
    module = FakeModule(SPEC, components=["host"], reach=["192.0.2.1:6443"], kubeconfig_user="anna")
    assert node_info.work(module, machine) == {"changed": False}
    assert set(seen) == {*NAMES, "reach"} and seen["reach"] == ["192.0.2.1:6443"]
