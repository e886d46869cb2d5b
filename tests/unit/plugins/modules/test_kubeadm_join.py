# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module kubeadm_join on a faked machine: the endpoint is asked first, and nobody sees the token."""

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
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand, parse
from ansible_collections.kubestead.cluster.plugins.modules import kubeadm_join
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kubeadm.test_state import worker
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

COMMAND = parse(fixture("join/v1.35/worker.txt"))
JOIN = ["kubeadm", "join"]


class Endpoint:
    """What the endpoint is asked before a join, and whether that was before kubeadm ran."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.asked: list[JoinCommand] = []
        self.refusal = ""

    def __call__(self, command: JoinCommand) -> None:
        assert JOIN not in [argv[:2] for argv in self.machine.ran]
        self.asked.append(command)
        if self.refusal:
            raise KubesteadError(self.refusal)


@pytest.fixture
def endpoint(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Endpoint:
    """Beside a machine with kubeadm alone, of which ``kubeadm join`` makes a worker."""
    os.mkdir(machine.path("/run"))
    machine.put("/etc/hostname", "w1\n")
    machine.answer("kubeadm version -o json", fixture("kubeadm/v1.35/version.json"))

    def join(argv: Sequence[str], stdin: str | None) -> Result:
        worker(machine)
        return Result(0, "This node has joined the cluster\n")

    machine.answer("kubeadm join", join)
    asked = Endpoint(machine)
    monkeypatch.setattr(kubeadm_join.join_precheck, "precheck", asked)
    return asked


def module(**params: Any) -> FakeModule:
    params = {
        "endpoint": COMMAND.endpoint,
        "token": COMMAND.token,
        "ca_cert_hashes": list(COMMAND.ca_cert_hashes),
        **params,
    }
    return FakeModule(kubeadm_join.argument_spec(), **params)


def joins(machine: Machine) -> int:
    return sum(argv[:2] == JOIN for argv in machine.ran)


def test_a_run_asks_the_endpoint_then_joins_and_a_second_one_does_neither(machine: Machine, endpoint: Endpoint) -> None:
    result = kubeadm_join.work(module(), machine)
    assert result["changed"] and joins(machine) == 1 and len(endpoint.asked) == 1
    assert endpoint.asked[0].token == COMMAND.token
    assert (result["phase"], result["node_name"], result["control_plane"]) == ("done", "w1", False)
    assert result["endpoint"].endswith(":6443") and result["ca_cert_hash"].startswith("sha256:")
    assert not machine.exists(operation.MARKER) and machine.names("/run") == ["kubestead.lock"]
    again = kubeadm_join.work(module(ca_cert_hashes=[result["ca_cert_hash"]]), machine)
    assert not again["changed"] and joins(machine) == 1 and len(endpoint.asked) == 1


def test_a_node_that_has_joined_needs_no_token(machine: Machine, endpoint: Endpoint) -> None:
    worker(machine)
    result = kubeadm_join.work(module(endpoint="", token="", ca_cert_hashes=[]), machine)
    assert not result["changed"] and result["phase"] == "done" and not endpoint.asked


def test_the_token_is_in_no_result_and_in_no_argument(machine: Machine, endpoint: Endpoint) -> None:
    secret = COMMAND.token.split(".")[1]
    result = kubeadm_join.work(module(), machine)
    assert secret not in json.dumps(result)
    assert secret not in json.dumps(machine.ran)


def test_a_dry_run_without_a_token_tells_what_will_happen(machine: Machine, endpoint: Endpoint) -> None:
    result = kubeadm_join.work(module(check_mode=True, endpoint="", token="", ca_cert_hashes=[]), machine)
    assert result["changed"] and [step["action"] for step in result["steps"]] == ["join"]
    assert joins(machine) == 0 and not endpoint.asked and machine.names("/run") == []


def test_a_dry_run_with_a_token_asks_the_endpoint(machine: Machine, endpoint: Endpoint) -> None:
    assert kubeadm_join.work(module(check_mode=True), machine)["changed"]
    assert len(endpoint.asked) == 1 and joins(machine) == 0


def test_the_question_can_be_left_out(machine: Machine, endpoint: Endpoint) -> None:
    assert kubeadm_join.work(module(precheck=False), machine)["changed"]
    assert not endpoint.asked and joins(machine) == 1


def test_a_token_that_the_endpoint_does_not_know_ends_before_anything_began(
    machine: Machine, endpoint: Endpoint
) -> None:
    endpoint.refusal = "token abcdef is unknown"
    with pytest.raises(KubesteadError, match="is unknown"):
        kubeadm_join.work(module(), machine)
    assert joins(machine) == 0 and not machine.exists(operation.MARKER)


def test_a_run_without_a_token_is_refused(machine: Machine, endpoint: Endpoint) -> None:
    with pytest.raises(KubesteadError, match="token is not set"):
        kubeadm_join.work(module(token=""), machine)
    assert joins(machine) == 0


def test_after_waiting_for_another_run_the_machine_is_looked_at_again(
    machine: Machine, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def other_run_ends(system: System, timeout: float) -> Iterator[None]:
        worker(machine)
        yield

    monkeypatch.setattr(kubeadm_join, "kubeadm_lock", other_run_ends)
    hashes = ["sha256:" + "0" * 64]
    with pytest.raises(KubesteadError, match="another cluster"):
        kubeadm_join.work(module(ca_cert_hashes=hashes), machine)
    assert joins(machine) == 0 and not endpoint.asked
