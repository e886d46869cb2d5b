# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two control machines run ``site.yml`` on the same hosts at the same time, at several distances. Both succeed.

The nodes have different releases of the operating system. test_faults.py has such a run for every ``./dev test``.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import figures
from .conftest import Lab, Run, nodes
from .faults import bare_again, whole

pytestmark = pytest.mark.thorough

HOSTS = ("cp1", "w1")
# Seconds between the starts.
OFFSETS = (0, 5, 15, 30)


@pytest.fixture(scope="module")
def both_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two bare nodes."""
    systems = ("--systems", "debian12,debian13")
    yield from nodes("both", list(HOSTS), tmp_path_factory.mktemp("both"), *systems)


def together(lab: Lab, folder: Path, offset: int) -> list[Run]:
    """Run site.yml twice, the second time ``offset`` seconds after the first."""

    def later() -> Run:
        time.sleep(offset)
        return Lab(lab.inventory, folder).site()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(lab.site), pool.submit(later)]
        return [run.result() for run in runs]


def both_succeed(lab: Lab, runs: list[Run], where: str) -> None:
    """Assert that both runs succeeded, that the cluster is complete, and that another run changes nothing."""
    figures.count(f"two control machines at the same time, {where}", "tried")
    for run in runs:
        assert run.code == 0, run.output
    whole(lab, list(HOSTS), tokens=True)
    third = lab.site()
    assert (third.code, third.changed()) == (0, {}), third.output
    figures.count(f"two control machines at the same time, {where}", "succeeded, then nothing changed")


def on_a_running_cluster(lab: Lab, folder: Path, offset: int) -> None:
    """Two runs that find the same few things to do."""
    lab.ssh("w1", "sysctl -w net.ipv4.ip_forward=0; apt-mark unhold kubelet")
    lab.ssh("cp1", "rm -r /home/admin/.kube")
    both_succeed(lab, together(lab, folder, offset), "a running cluster")


@pytest.mark.parametrize("offset", OFFSETS)
def test_on_bare_hosts(both_lab: Lab, tmp_path: Path, offset: int) -> None:
    lab = both_lab
    for host in HOSTS:
        bare_again(lab, host)
    both_succeed(lab, together(lab, tmp_path, offset), "bare hosts")


@pytest.mark.parametrize("offset", OFFSETS)
def test_on_a_running_cluster(both_lab: Lab, tmp_path: Path, offset: int) -> None:
    lab = both_lab
    run = lab.site()
    assert run.code == 0, run.output
    on_a_running_cluster(lab, tmp_path, offset)
