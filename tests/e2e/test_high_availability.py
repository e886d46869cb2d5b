# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Three control planes and two workers, while one control plane after the other has no power.

``./dev faults tests/e2e/test_high_availability.py -s`` prints the outages.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from lab.podman import podman

from . import figures
from .conftest import SET, Lab, dev, eventually, nodes
from .watching import NodeProbe

pytestmark = pytest.mark.thorough

PLANES, WORKERS = ["cp1", "cp2", "cp3"], ["w1", "w2"]
KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster of three control planes and two workers, under the name that the first run gave to its API."""
    for lab in nodes("ha", [*PLANES, *WORKERS], tmp_path_factory.mktemp("ha")):
        run = lab.site()
        assert run.code == 0, run.output
        yield lab


def ready_since(lab: Lab, host: str) -> dict[str, tuple[str, str]]:
    """The Ready condition of each node and the time of its last change, as a control plane knows them."""
    found = json.loads(lab.ssh(host, f"{KUBECTL} get nodes -o json", check=False) or "{}")
    return {
        node["metadata"]["name"]: (one["status"], one["lastTransitionTime"])
        for node in found.get("items", [])
        for one in node["status"]["conditions"]
        if one["type"] == "Ready"
    }


def all_ready(lab: Lab, host: str) -> bool:
    """True if every node is ready and the API server of ``host`` as well."""
    known = ready_since(lab, host)
    return len(known) == len(PLANES + WORKERS) and {status for status, _ in known.values()} == {"True"}


@pytest.mark.parametrize("number", range(20))
def test_a_control_plane_without_power_is_hardly_noticed_on_a_worker(five: Lab, number: int) -> None:
    """New connections to the API by its name on a worker, while a control plane loses its power and gets it back."""
    lab = five
    victim, other = PLANES[number % 3], PLANES[(number + 1) % 3]
    assert eventually(lambda: all_ready(lab, victim) and all_ready(lab, other), 240.0)
    before = ready_since(lab, other)
    figures.count("a control plane without power", "tried")
    with NodeProbe(lab, "w1") as watched:
        time.sleep(3)
        podman("kill", "--signal=KILL", f"{SET}-ha-{victim}")
        # The others would have been found at the same time.
        assert eventually(lambda: ready_since(lab, other).get(victim, ("",))[0] == "Unknown", 180.0)
        time.sleep(10)
    after = ready_since(lab, other)
    print(
        f"\n{number}: {victim} without power: {watched.lost()} of {len(watched.answers)} connections lost, longest "
        f"outage {watched.longest_outage():.2f} s"
    )
    dev("nodes", "restart", "--set", f"{SET}-ha", victim)
    # A node that was not ready for a moment would have a new time.
    for host in {*PLANES, *WORKERS} - {victim}:
        assert after[host] == before[host], (host, before, after)
    assert watched.good_after(watched.answers[-1][0] - 10)
    figures.count("a control plane without power", "every other node ready all the time")


def test_a_run_after_all_of_this_changes_nothing(five: Lab) -> None:
    assert eventually(lambda: all_ready(five, "cp1") and all_ready(five, "cp2"), 240.0)
    again = five.site()
    assert (again.code, again.changed()) == (0, {}), again.output
