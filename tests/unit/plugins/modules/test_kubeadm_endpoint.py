# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module kubeadm_endpoint shows the warnings of the steps that it takes."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import endpoint_move
from ansible_collections.kubestead.cluster.plugins.modules import kubeadm_endpoint
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

RESTART = Step(endpoint_move.COMPONENT, "restart", "DaemonSet kube-system/kube-proxy", "its pods are old")


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_warning_of_a_step_is_shown(machine: Machine, monkeypatch: pytest.MonkeyPatch, check_mode: bool) -> None:
    machine.put("/run/utmp")
    monkeypatch.setattr(endpoint_move, "repair", lambda _system: [RESTART])
    monkeypatch.setattr(endpoint_move, "apply", lambda step, *_more: [f"did not wait for {step.target}"])
    call = FakeModule(kubeadm_endpoint.argument_spec(), check_mode, part="repair")
    assert kubeadm_endpoint.work(call, machine)["changed"]
    assert call.warnings == ([] if check_mode else ["did not wait for DaemonSet kube-system/kube-proxy"])
