# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module kubeadm_init on a faked machine: dry run, first run, second run, and what it refuses."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result, System
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation
from ansible_collections.kubestead.cluster.plugins.modules import kubeadm_init
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kubeadm.test_state import (
    control_plane,
    worker,
)
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

VALIDATE = ["kubeadm", "config", "validate"]
INIT = ["kubeadm", "init"]


def module(**params: Any) -> FakeModule:
    params.setdefault("kubernetes_version", "1.35")
    return FakeModule(kubeadm_init.argument_spec(), **params)


@pytest.fixture
def bare(machine: Machine) -> Machine:
    """A machine with kubeadm alone; ``kubeadm init`` makes a control plane of it."""
    os.mkdir(machine.path("/run"))
    machine.put("/etc/hostname", "cp1\n")
    machine.answer("kubeadm version -o json", fixture("kubeadm/v1.35/version.json"))
    machine.answer("kubeadm config validate", "ok")

    def init(argv: Sequence[str], stdin: str | None) -> Result:
        control_plane(machine, "v1.35")
        return Result(0, "[init] Using Kubernetes version: v1.35.0\n[certs] Using\n[bootstrap-token] Configuring\n")

    machine.answer("kubeadm init", init)
    return machine


def ran(machine: Machine, words: list[str]) -> int:
    return sum(argv[: len(words)] == words for argv in machine.ran)


def test_a_dry_run_lets_kubeadm_read_the_configuration_and_changes_nothing(bare: Machine) -> None:
    result = kubeadm_init.work(module(check_mode=True), bare)
    assert result["changed"] and [step["action"] for step in result["steps"]] == ["init"]
    assert (ran(bare, VALIDATE), ran(bare, INIT)) == (1, 0)
    assert result["actions"] == [] and "stdout_lines" not in result
    assert result["phase"] == "none" and not bare.exists(operation.LOCK) and not bare.exists(operation.MARKER)


def test_a_dry_run_asks_no_kubeadm_that_the_run_replaces(bare: Machine) -> None:
    result = kubeadm_init.work(module(check_mode=True, kubeadm_version="1.35.9"), bare)
    assert result["changed"] and ran(bare, VALIDATE) == 0
    assert result["kubernetes_version"] == "1.35.9"
    bare.answer("kubeadm version", rc=127)
    assert kubeadm_init.work(module(check_mode=True, kubeadm_version="1.35.9"), bare)["changed"]
    assert ran(bare, VALIDATE) == 0


def test_a_run_makes_a_control_plane_and_a_second_one_finds_it(bare: Machine) -> None:
    result = kubeadm_init.work(module(), bare)
    assert result["changed"] and (ran(bare, VALIDATE), ran(bare, INIT)) == (1, 1)
    assert result["actions"] == ["certs", "bootstrap-token"]
    assert result["stdout_lines"][0] == "[init] Using Kubernetes version: v1.35.0"
    assert (result["phase"], result["node_name"], result["kubernetes_version"]) == ("done", "cp1", "1.35.0")
    assert result["ca_cert_hash"].startswith("sha256:") and result["endpoint"].endswith(":6443")
    assert not bare.exists(operation.MARKER)
    bare.ran.clear()
    again = kubeadm_init.work(module(), bare)
    assert not again["changed"] and again["steps"] == [] and again["phase"] == "done"
    assert (ran(bare, VALIDATE), ran(bare, INIT)) == (0, 0)


def test_no_secret_is_in_the_result(bare: Machine) -> None:
    result = kubeadm_init.work(module(), bare)
    text = json.dumps(result)
    assert "PRIVATE KEY" not in text and "client-key-data" not in text and "bootstrapTokens" not in text


def test_after_waiting_for_another_run_the_machine_is_looked_at_again(
    bare: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def other_run_ends(system: System, timeout: float) -> Iterator[None]:
        control_plane(bare, "v1.35")
        yield

    monkeypatch.setattr(kubeadm_init, "kubeadm_lock", other_run_ends)
    result = kubeadm_init.work(module(), bare)
    assert not result["changed"] and result["phase"] == "done" and ran(bare, INIT) == 0


def test_a_configuration_that_kubeadm_refuses_ends_before_anything_began(bare: Machine) -> None:
    bare.answer("kubeadm config validate", rc=1, stderr='error: strict decoding error: unknown field "netwerk"\n')
    for check_mode in (True, False):
        with pytest.raises(KubesteadError, match="netwerk"):
            kubeadm_init.work(module(check_mode=check_mode), bare)
    assert ran(bare, INIT) == 0 and not bare.exists(operation.MARKER)


def test_a_worker_is_refused(bare: Machine) -> None:
    worker(bare)
    with pytest.raises(KubesteadError) as caught:
        kubeadm_init.work(module(), bare)
    assert caught.value.details == {"check": "control_plane.worker"} and ran(bare, INIT) == 0


def test_what_a_live_cluster_keeps_is_a_warning(bare: Machine) -> None:
    control_plane(bare, "v1.35")
    subject = module(pod_cidr="10.1.0.0/16")
    result = kubeadm_init.work(subject, bare)
    assert not result["changed"]
    (warning,) = subject.warnings
    assert "cluster_pod_cidr" in warning and "10.244.0.0/16" in warning


def test_a_failed_init_leaves_its_marker_and_tells_the_phase(bare: Machine) -> None:
    output = fixture("kubeadm/v1.35/init-preflight-again.stdout")
    errors = fixture("kubeadm/v1.35/init-preflight-again.stderr")
    bare.answer("kubeadm init", Result(1, output, errors))
    with pytest.raises(KubesteadError) as caught:
        kubeadm_init.work(module(), bare)
    assert caught.value.details["phase"] == "preflight"
    assert bare.exists(operation.MARKER)
