# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module kubeadm_upgrade on a control plane whose upgrade was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG, MANIFESTS
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation, upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.modules import kubeadm_upgrade
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

SERVER = "https://10.0.0.1:6443"
MANIFEST = "    - --advertise-address=10.0.0.1\n    - --secure-port=6443\n    image: kube-apiserver:v{0}\n"
PATH = MANIFESTS + "/kube-apiserver.yaml"


def repair(check_mode: bool = False) -> FakeModule:
    return FakeModule(kubeadm_upgrade.argument_spec(), check_mode, state="repaired")


@pytest.fixture
def control_plane(machine: Machine) -> Machine:
    """kubeadm was killed between two renames."""
    machine.put(ADMIN_KUBECONFIG, f"server: {SERVER}\n")
    machine.serve(SERVER, "/readyz", "ok")
    machine.put(
        f"{upgrade.LEFTOVERS}/kubeadm-backup-manifests-2026-11-27-10-00-00/kube-apiserver.yaml", MANIFEST.format("1")
    )
    machine.put("/run/utmp")
    machine.answer("kubeadm", rc=1)
    machine.answer("systemctl", rc=1)
    operation.begin(machine, Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version="1.36.2"))
    return machine


def test_a_missing_manifest_comes_back(control_plane: Machine) -> None:
    assert kubeadm_upgrade.work(repair(check_mode=True), control_plane)["changed"] and not control_plane.exists(PATH)
    assert kubeadm_upgrade.work(repair(), control_plane)["changed"]
    assert control_plane.read(PATH) == MANIFEST.format("1")


def test_a_kubeadm_that_outlived_its_run_is_waited_for(control_plane: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It renames the new manifest, which must not be replaced by the old one."""

    @contextmanager
    def kubeadm_ends(system: System, timeout: float) -> Iterator[None]:
        control_plane.put(PATH, MANIFEST.format("2"))
        yield

    monkeypatch.setattr(kubeadm_upgrade, "kubeadm_lock", kubeadm_ends)
    assert not kubeadm_upgrade.work(repair(), control_plane)["changed"]
    assert control_plane.read(PATH) == MANIFEST.format("2")
