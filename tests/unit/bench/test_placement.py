# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The placement of control machine and nodes on CPUs, and the options for it."""

from __future__ import annotations

import argparse

import pytest

from bench import arguments, placement
from bench.placement import Placement
from lab.machine import MachineError


def test_lists_of_cpus_are_those_of_linux() -> None:
    assert placement.cpu_numbers("0-2,4\n") == [0, 1, 2, 4]
    assert placement.cpu_numbers("7") == [7]
    assert placement.cpu_numbers("\n") == []
    assert placement.cpu_numbers(placement.cpu_list([0, 3, 5])) == [0, 3, 5]


def test_the_control_machine_gets_a_core_with_all_its_threads() -> None:
    assert placement.split([0, 1], [0]) == ([0], [1])
    assert placement.split([0, 1, 2, 3], [0, 2]) == ([0, 2], [1, 3])
    # This process may not run on CPU 0.
    assert placement.split([2, 3, 6, 7], [2, 6]) == ([2, 6], [3, 7])
    # One core with two threads.
    assert placement.split([0, 1], [0, 1]) == ([0], [1])
    assert placement.split([0, 1], []) == ([0], [1])
    with pytest.raises(MachineError, match="two CPUs"):
        placement.split([0], [0])


def test_the_placement_reaches_command_and_containers() -> None:
    default = Placement()
    assert (default.control_prefix(), default.node_arguments(), default.name) == ([], (), "")
    both = Placement("0", "1-3", 0.5)
    assert both.control_prefix() == ["taskset", "--cpu-list", "0"]
    assert both.node_arguments() == ("--cpuset-cpus=1-3", "--cpus=0.5")
    assert both.name == "pin-quota-0.5"
    assert Placement(quota=2.0).node_arguments() == ("--cpus=2",)
    assert Placement("0", "1").name == "pin"
    # kubeadm requires two CPUs.
    assert Placement("0", "1").one_cpu and not both.one_cpu and not default.one_cpu


def test_a_container_may_use_the_quota_of_all_its_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(placement, "podman", lambda *argv: called.append(argv))
    monkeypatch.setattr(placement.os, "cpu_count", lambda: 4)
    Placement().share_quota("w1", 51)
    assert called == []
    Placement(quota=0.5).share_quota("w1", 3)
    Placement(quota=0.5).share_quota("w1", 51)
    assert called == [("update", "--cpus=1.5", "w1"), ("update", "--cpus=4", "w1")]


def test_the_options_decide_the_placement() -> None:
    assert placement.decide(False, 0.5) == Placement(quota=0.5)
    with pytest.raises(MachineError, match="--quota -1"):
        placement.decide(False, -1.0)


def test_the_options_of_the_command() -> None:
    parser = argparse.ArgumentParser()
    arguments.add_arguments(parser)
    found = parser.parse_args(["add", "--sizes", "3,300", "--pin", "--quota", "0.5"])
    assert (found.cases, found.sizes, found.pin, found.quota) == (["add"], (3, 300), True, 0.5)
    default = parser.parse_args([])
    assert (default.cases, default.sizes, default.pin, default.quota, default.rounds) == ([], (), False, 0.0, 3)
