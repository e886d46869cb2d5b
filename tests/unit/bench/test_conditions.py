# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The conditions of a measurement, and the options for them."""

from __future__ import annotations

import argparse
from types import SimpleNamespace

import pytest

from bench import arguments, conditions
from bench.conditions import Conditions
from lab.machine import MachineError


def test_lists_of_cpus_are_those_of_linux() -> None:
    assert conditions.cpu_numbers("0-2,4\n") == [0, 1, 2, 4]
    assert conditions.cpu_numbers("7") == [7]
    assert conditions.cpu_numbers("\n") == []
    assert conditions.cpu_numbers(conditions.cpu_list([0, 3, 5])) == [0, 3, 5]


def test_the_control_machine_gets_a_core_with_all_its_threads() -> None:
    assert conditions.split([0, 1], [0]) == ([0], [1])
    assert conditions.split([0, 1, 2, 3], [0, 2]) == ([0, 2], [1, 3])
    # This process may not run on CPU 0.
    assert conditions.split([2, 3, 6, 7], [2, 6]) == ([2, 6], [3, 7])
    # One core with two threads.
    assert conditions.split([0, 1], [0, 1]) == ([0], [1])
    assert conditions.split([0, 1], []) == ([0], [1])
    with pytest.raises(MachineError, match="two CPUs"):
        conditions.split([0], [0])


def test_the_placement_reaches_command_and_containers() -> None:
    default = Conditions()
    assert (default.control_prefix(), default.node_arguments(), default.node_prefix(), default.name) == ([], (), (), "")
    both = Conditions("0", "1-3", 0.5)
    assert both.control_prefix() == ["taskset", "--cpu-list", "0"]
    assert both.node_arguments() == ("--cpus=0.5",)
    assert both.node_prefix() == ("taskset", "--cpu-list", "1-3")
    assert both.name == "pin-quota-0.5"
    assert Conditions(quota=2.0).node_arguments() == ("--cpus=2",)
    assert Conditions("0", "1").name == "pin"
    # kubeadm requires two CPUs.
    assert Conditions("0", "1").one_cpu and not both.one_cpu and not default.one_cpu


def test_a_node_outside_its_cpus_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    affinities = {11: {1}, 12: {0, 1}}

    def affinity(number: int) -> set[int]:
        if number not in affinities:
            raise ProcessLookupError
        return affinities[number]

    monkeypatch.setattr(conditions.os, "sched_getaffinity", affinity)
    Conditions().require_pinned([12])
    Conditions("0", "1").require_pinned([10, 11])
    with pytest.raises(MachineError, match="process 12 of a node uses CPU 0 despite --pin"):
        Conditions("0", "1").require_pinned([11, 12])


def test_a_container_may_use_the_quota_of_all_its_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(conditions, "podman", lambda *argv: called.append(argv))
    monkeypatch.setattr(conditions.os, "cpu_count", lambda: 4)
    Conditions().share_quota("w1", 51)
    assert called == []
    Conditions(quota=0.5).share_quota("w1", 3)
    Conditions(quota=0.5).share_quota("w1", 51)
    assert called == [("update", "--cpus=1.5", "w1"), ("update", "--cpus=4", "w1")]


def test_the_key_exchange_reaches_ansible_and_the_commands_typed_by_hand() -> None:
    assert (Conditions().environment(), Conditions().ssh_config()) == ({}, "")
    chosen = Conditions(key_exchange="curve25519-sha256")
    assert chosen.environment() == {"ANSIBLE_SSH_EXTRA_ARGS": "-o KexAlgorithms=curve25519-sha256"}
    assert chosen.ssh_config() == "Host *\n    KexAlgorithms curve25519-sha256\n"
    assert chosen.name == "curve25519-sha256"
    assert chosen.text.endswith(" share all CPUs. SSH connections use the key exchange curve25519-sha256.")


def test_the_options_decide_the_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "run", lambda _argv: SimpleNamespace(stdout="curve25519-sha256\nsntrup761\n"))
    with pytest.raises(MachineError, match="--key-exchange curve25519-sha265: ssh does not know it"):
        conditions.decide(False, 0.0, "curve25519-sha265")
    assert conditions.decide(False, 0.0, "curve25519-sha256") == Conditions(key_exchange="curve25519-sha256")
    assert conditions.decide(False, 0.5) == Conditions(quota=0.5)
    with pytest.raises(MachineError, match="--quota -1"):
        conditions.decide(False, -1.0)


def test_the_options_of_the_command() -> None:
    parser = argparse.ArgumentParser()
    arguments.add_arguments(parser)
    found = parser.parse_args(["add", "--sizes", "3,300", "--pin", "--quota", "0.5", "--key-exchange", "x"])
    assert (found.cases, found.sizes, found.pin, found.quota) == (["add"], (3, 300), True, 0.5)
    assert found.key_exchange == "x"
    default = parser.parse_args([])
    assert (default.cases, default.sizes, default.pin, default.quota, default.rounds) == ([], (), False, 0.0, 3)
