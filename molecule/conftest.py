# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scenarios' tests share. Every test runs on each node of the scenario, as root, unless its file says else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.host import Host

KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf "


def _eventually(holds: Callable[[], bool], seconds: float = 120.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(1)
    return holds()


@pytest.fixture(scope="session")
def eventually() -> Callable[..., bool]:
    """True as soon as what it is given is true; False when it is not within the seconds (120)."""
    return _eventually


@pytest.fixture(scope="session")
def inventory(request: pytest.FixtureRequest) -> Path:
    """The inventory the lab wrote for the scenario's nodes."""
    return Path(request.config.getoption("ansible_inventory"))


@pytest.fixture(scope="session")
def variables(inventory: Path) -> dict[str, Any]:
    """The variables of the cluster, as the lab set them."""
    return dict(yaml.safe_load(inventory.read_text(encoding="utf-8"))["all"]["vars"])


@pytest.fixture(scope="session")
def addresses(inventory: Path) -> dict[str, str]:
    """The nodes and their addresses."""
    groups = yaml.safe_load(inventory.read_text(encoding="utf-8"))["all"]["children"].values()
    return {name: host["ansible_host"] for group in groups for name, host in group["hosts"].items()}


@pytest.fixture(scope="session")
def control_plane(inventory: Path) -> Host:
    """The control plane, also in tests of another node."""
    return testinfra.get_hosts(["ansible://control_plane"], ansible_inventory=str(inventory), sudo=True)[0]


@pytest.fixture(scope="session")
def ask(control_plane: Host) -> Callable[[str], Any]:
    """What kubectl answers to ``get …``, as data. After a restart the API server may need a while."""

    def asked(what: str) -> Any:
        assert _eventually(lambda: control_plane.run(KUBECTL + "get --raw /readyz").rc == 0), "the API is not ready"
        return json.loads(control_plane.check_output(KUBECTL + "get -o json " + what))

    return asked


@pytest.fixture(scope="session")
def nodes_ready(ask: Callable[[str], Any]) -> Callable[[], dict[str, bool]]:
    """Which nodes the cluster has, and whether they are ready."""

    def asked() -> dict[str, bool]:
        return {node["metadata"]["name"]: _is_ready(node) for node in ask("nodes")["items"]}

    return asked


def _is_ready(node: dict[str, Any]) -> bool:
    """Whether a Node says so itself."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
