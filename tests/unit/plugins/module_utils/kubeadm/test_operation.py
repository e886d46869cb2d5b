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
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation as attempt
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Attempt
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

BEGUN = Attempt(attempt.JOIN, "2026-11-23T12:00:00Z", False, "10.0.0.1:6443", ["sha256:ab"], ["ca.crt"])


def test_a_marker_is_read_as_it_was_written_and_nobody_else_reads_it(machine: Machine) -> None:
    attempt.begin(machine, BEGUN)
    assert attempt.observe(machine) == BEGUN
    assert machine.mode(attempt.MARKER) == 0o600
    attempt.end(machine)
    assert attempt.observe(machine) is None and not machine.exists("/var/lib/kubestead")


def test_it_travels_to_the_control_machine() -> None:
    assert from_dict(Attempt, json.loads(json.dumps(to_dict(BEGUN)))) == BEGUN


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"endpoint": 1}', '{"command": "upgrade"}'])
def test_what_is_no_marker(text: str | None) -> None:
    assert attempt.parse(text) is None


def test_the_next_one_waits_for_the_one_that_is_at_it(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    order = []

    def first() -> None:
        with attempt.alone(machine, 5):
            order.append("first began")
            started.set()
            time.sleep(0.2)
            order.append("first ended")

    started = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    started.wait(5)
    with attempt.alone(machine, 5):
        order.append("second began")
    thread.join()
    assert order == ["first began", "first ended", "second began"]


def test_waiting_has_an_end(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    with (
        attempt.alone(machine, 5),
        pytest.raises(KubesteadError, match="another run of this collection is still at work"),
        attempt.alone(machine, 0),
    ):
        pass


def test_a_kubeadm_that_outlived_its_module_is_found(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    machine.put("/proc/1/cmdline", "/sbin/init\0")
    machine.put("/proc/47/cmdline", "kubeadm\0version\0")
    assert attempt.running_kubeadm(machine) == ""
    machine.put("/proc/4711/cmdline", "/usr/bin/kubeadm\0init\0--config\0x\0")
    with (
        pytest.raises(KubesteadError, match=r"kubeadm init \(process 4711\) is still at work on this host"),
        attempt.alone(machine, 0),
    ):
        pass


def test_the_lock_of_a_module_that_was_killed_is_free(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    code = f"import fcntl, os, signal; f = open({machine.path(attempt.LOCK)!r}, 'a'); fcntl.flock(f, fcntl.LOCK_EX); "
    done = subprocess.run([sys.executable, "-c", code + "os.kill(os.getpid(), signal.SIGKILL)"], check=False)
    assert done.returncode == -9
    with attempt.alone(machine, 0):
        pass
