# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins that fail for a cause that appeared after the checks: the message names the program and its last log lines.

The lines are in docs/troubleshooting.md. They need Kubernetes 1.34 or newer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from . import figures
from .conftest import Lab, nodes
from .faults import Fault, arm, bare_again, disarm, recover, struck, whole

pytestmark = pytest.mark.thorough

# kubeadm gives up in seconds.
TIMEOUTS = {name: "25s" for name in ("kubeletHealthCheck", "tlsBootstrap", "kubernetesAPICall", "discovery")}
ARGUMENTS = ("-e", json.dumps({"cluster_kubeadm_config": {"JoinConfiguration": {"timeouts": TIMEOUTS}}}))

BEGINNING = r"^\[preflight\] Running"


@dataclass(frozen=True)
class Cause:
    """What happens on the host when kubeadm says ``at``, how it is undone, and what the message must contain."""

    at: str
    shell: str
    heal: str
    says: str


CAUSES = {
    "an unknown flag in /etc/default/kubelet": Cause(
        BEGINNING,
        "echo KUBELET_EXTRA_ARGS=--no-such-flag > /etc/default/kubelet",
        "echo KUBELET_EXTRA_ARGS= > /etc/default/kubelet",
        r"kubelet fails to start and is restarted repeatedly: .*unknown flag: --no-such-flag",
    ),
}


@pytest.fixture(scope="module")
def causes_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A control plane, and a worker with everything installed."""
    for lab in nodes("causes", ["cp1", "w1"], tmp_path_factory.mktemp("causes")):
        run = lab.site()
        assert run.code == 0, run.output
        yield lab


def fresh_worker(lab: Lab) -> None:
    lab.kubectl("delete node w1 --ignore-not-found")
    bare_again(lab, "w1")


def failure_line(output: str) -> str:
    """The line of the failed join."""
    found = re.findall(r"kubeadm join failed[^\n]*", output)
    assert found, output
    return max(found, key=len)


@pytest.mark.parametrize("name", CAUSES)
def test_the_message_names_the_cause(causes_lab: Lab, name: str) -> None:
    lab, cause = causes_lab, CAUSES[name]
    fresh_worker(lab)
    arm(lab, "w1", "join", cause.at, Fault(name, shell=cause.shell))
    figures.count("causes of failed joins", "provoked")
    first = lab.site(*ARGUMENTS)
    assert struck(lab, "w1"), first.output
    recover(lab, "w1", Fault(name, heal=cause.heal))
    disarm(lab, "w1")
    assert first.code != 0
    line = failure_line(first.output)
    assert re.search(cause.says, line), line
    second = lab.site(*ARGUMENTS)
    assert second.code == 0, second.output
    whole(lab, ["cp1", "w1"])
    figures.count("causes of failed joins", "named, then joined")
