# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab itself: what a machine's bad days leave behind."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.podman import podman

from .conftest import Lab, dev, nodes


@pytest.fixture(scope="module")
def lone_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One node with nothing on it."""
    yield from nodes("lone", ["n1"], tmp_path_factory.mktemp("lone"))


def test_a_node_that_died_with_its_monitor_is_started_again(lone_lab: Lab) -> None:
    """podman goes on calling it running; its disk is kept."""
    lone_lab.ssh("n1", "echo kept > /root/kept")
    set_name = lone_lab.inventory.parent.name
    state = json.loads(podman("inspect", f"{set_name}-n1").stdout)[0]["State"]
    pids = (state["ConmonPid"], state["Pid"])
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "a killed process does not end"
        time.sleep(0.1)
    assert podman("inspect", "--format", "{{.State.Status}}", f"{set_name}-n1").stdout.strip() == "running"
    dev("nodes", "create", "--set", set_name, "n1")
    assert lone_lab.ssh("n1", "cat /root/kept").strip() == "kept"


def test_a_node_that_restarts_keeps_its_mac_address(lone_lab: Lab) -> None:
    before = lone_lab.ssh("n1", "cat /sys/class/net/eth0/address")
    dev("nodes", "restart", "--set", lone_lab.inventory.parent.name, "n1")
    assert lone_lab.ssh("n1", "cat /sys/class/net/eth0/address") == before
