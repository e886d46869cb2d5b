# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The marker of what was begun, and who may work on a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init, join, operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join import JoinOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, NONE, PARTIAL, KubeadmState
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

BEGUN = Operation(operation.JOIN, "2026-11-23T12:00:00Z", False, "10.0.0.1:6443", ["sha256:ab"], ["ca.crt"])


def test_a_marker_is_read_as_it_was_written_and_nobody_else_reads_it(machine: Machine) -> None:
    operation.begin(machine, BEGUN)
    assert operation.observe(machine) == BEGUN
    assert machine.mode(operation.MARKER) == 0o600
    operation.end(machine)
    assert operation.observe(machine) is None and not machine.exists("/var/lib/kubestead")


def test_it_travels_to_the_control_machine() -> None:
    assert from_dict(Operation, json.loads(json.dumps(to_dict(BEGUN)))) == BEGUN


def test_without_a_marker_nothing_was_started(machine: Machine) -> None:
    assert operation.parse(None) is None and operation.observe(machine) is None
    assert operation.problems(None) == operation.problems(BEGUN) == []


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"endpoint": 1}', '{"kind": 7}', '{"kind": "join", "began": 1}']
)
def test_a_marker_that_cant_be_read_is_an_error_and_never_nothing(machine: Machine, text: str) -> None:
    machine.put(operation.MARKER, text)
    found = operation.observe(machine)
    assert found is not None and found.kind not in operation.KINDS
    (problem,) = operation.problems(found)
    assert (problem.check, problem.level) == ("operation", "error")
    assert "the marker of an unfinished operation, /var/lib/kubestead/operation.json, can't be read" in problem.line


def test_a_marker_of_a_newer_version_is_an_error_that_says_so() -> None:
    found = operation.parse('{"kind": "hibernate\\u001b[2J", "began": "2027-01-01T00:00:00Z", "target": "1.37"}')
    assert found == Operation("hibernate [2J", began="2027-01-01T00:00:00Z")
    (problem,) = operation.problems(found)
    started = "started by a newer version of this collection"
    assert problem.message == f"has an unfinished operation 'hibernate [2J' of 2027-01-01T00:00:00Z, {started}"


@pytest.mark.parametrize("phase", [NONE, PARTIAL, DONE])
@pytest.mark.parametrize("kind", ["hibernate", ""])
def test_an_unknown_operation_is_never_taken_for_an_init_or_a_join(phase: str, kind: str) -> None:
    state = KubeadmState(
        phase=phase, role="worker", kubelet_conf=phase != NONE, node_name="w1", operation=Operation(kind, "2027-01-01")
    )
    assert not state.unfinished_init and not state.unfinished_join
    assert not join.join_left_marker(state) and not join.leftovers_reason(state)
    assert [one.check for one in join.problems(state, JoinOptions())] == ["operation"]
    assert [one.check for one in init.problems(state, ControlPlaneOptions())] == ["operation"]
    assert init.plan(state, ControlPlaneOptions()) == []
    with pytest.raises(KubesteadError, match="unfinished operation"):
        join.plan(state, JoinOptions())


def test_the_next_one_waits_for_the_one_that_is_at_it(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    order = []

    def first() -> None:
        with operation.kubeadm_lock(machine, 5):
            order.append("first began")
            started.set()
            time.sleep(0.2)
            order.append("first ended")

    started = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    started.wait(5)
    with operation.kubeadm_lock(machine, 5):
        order.append("second began")
    thread.join()
    assert order == ["first began", "first ended", "second began"]


def test_waiting_has_an_end(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    with (
        operation.kubeadm_lock(machine, 5),
        pytest.raises(KubesteadError, match="another run of this collection is still running"),
        operation.kubeadm_lock(machine, 0),
    ):
        pass


RUNNING = {
    "kubeadm join --config /run/x": "join",
    "/usr/bin/kubeadm reset --force": "reset",
    "kubeadm upgrade node": "upgrade",
    "kubeadm --v=5 certs renew all": "certs",
    "kubeadm token list": "",
    "kubeadm --help": "",
    "bash kubeadm init": "",
}


def process(machine: Machine, pid: int, words: str, ids: str = "0 0 0 0", program: str = "/usr/bin/kubeadm") -> None:
    folder = f"/proc/{pid}"
    machine.put(f"{folder}/cmdline", words.replace(" ", "\0") + "\0")
    listed = ids.replace(" ", "\t")
    machine.put(f"{folder}/status", f"Name:\tkubeadm\nUid:\t{listed}\nGid:\t0\t0\t0\t0\n")
    machine.remove(f"{folder}/exe")
    os.symlink(program, machine.path(f"{folder}/exe"))


@pytest.mark.parametrize(
    "pretended",
    [
        {"ids": "1000 1000 1000 1000"},
        {"ids": "1000 0 0 0"},
        {"ids": ""},
        {"program": "/usr/bin/sleep"},
        {"program": "/home/mallory/kubeadm/sleep"},
        {"program": "/home/mallory/kubeadm", "ids": "1000 1000 1000 1000"},
    ],
)
def test_a_process_that_only_calls_itself_kubeadm_stops_nobody(machine: Machine, pretended: dict[str, str]) -> None:
    os.mkdir(machine.path("/run"))
    process(machine, 666, "kubeadm join --config x", **pretended)
    assert operation.running_kubeadm(machine) == ""
    with operation.kubeadm_lock(machine, 0):
        pass


def test_a_kubeadm_whose_package_was_upgraded_meanwhile_is_found(machine: Machine) -> None:
    process(machine, 4711, "kubeadm init", program="/usr/bin/kubeadm (deleted)")
    assert operation.running_kubeadm(machine) == "kubeadm init (process 4711)"


def test_a_kubeadm_that_outlived_its_module_is_found(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    machine.put("/proc/1/cmdline", "/sbin/init\0")
    machine.put("/proc/47/cmdline", "kubeadm\0version\0")
    assert operation.running_kubeadm(machine) == ""
    for words, expected in RUNNING.items():
        process(machine, 4711, words)
        assert operation.running_kubeadm(machine) == (f"kubeadm {expected} (process 4711)" if expected else "")
    process(machine, 4711, "/usr/bin/kubeadm init --config x")
    with (
        pytest.raises(KubesteadError, match=r"kubeadm init \(process 4711\) is still running on this host"),
        operation.kubeadm_lock(machine, 0),
    ):
        pass


def test_the_lock_of_a_module_that_was_killed_is_free(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    code = f"import fcntl, os, signal; f = open({machine.path(operation.LOCK)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX); "
    done = subprocess.run([sys.executable, "-c", code + "os.kill(os.getpid(), signal.SIGKILL)"], check=False)
    assert done.returncode == -9
    with operation.kubeadm_lock(machine, 0):
        pass
