# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that was typed by hand is taken over by ``site.yml``. The tests build on each other, in this order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import by_hand
from .conftest import Lab, nodes
from .dry_runs import changes, foretold, has
from .test_faults import ready, running

# The pod network that is there stays.
KEPT = ("-e", "cni_plugin=none")
OLD = ("cp1", "w1")
CONFIG = "/etc/containerd/config.toml"


@pytest.fixture(scope="module")
def typed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A control plane and a worker, typed by hand, and a bare machine with a newer system."""
    systems = ("--systems", "debian12,debian12,debian13")
    for lab in nodes("adopting", ["cp1", "w1", "w2"], tmp_path_factory.mktemp("adopting"), *systems):
        by_hand.create(lab, "cp1", ["w1"])
        # The worker has the cgroup driver of containerd's default configuration, and the kubelet has its own default.
        lab.ssh("w1", f"sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' {CONFIG}; systemctl restart containerd")
        yield lab


def services(lab: Lab, host: str) -> dict[str, str]:
    """Since when the runtime and the kubelet run."""
    shown = lab.ssh(host, "systemctl show containerd kubelet --property=Id,ActiveEnterTimestamp,MainPID")
    return {"kubelet" if "Id=kubelet" in part else "containerd": part.strip() for part in shown.split("\n\n")}


def test_a_typed_cluster_is_taken_over_as_foretold_and_nothing_restarts_needlessly(typed_lab: Lab) -> None:
    lab = typed_lab
    before = {host: (services(lab, host), running(lab, host)) for host in OLD}
    assert all(containers for _services, containers in before.values())
    only_old = ("--limit", ",".join(OLD), *KEPT)
    check = lab.site("--check", "--diff", *only_old)
    assert check.code == 0, check.output
    told = foretold(check)
    for host in OLD:
        has(
            told[host],
            r"^remove /etc/apt/sources.list.d/kubernetes.list \(defines the same repository with another key; a copy "
            r"is kept in /etc/apt/sources.list.d/kubernetes.list.before-kubestead.bak\)",
            r"^write /etc/apt/sources.list.d/kubernetes.sources \(missing\)",
            r"^hold .*kubernetes-cni",
        )
        assert not [step for step in told[host] if step.startswith(("install", "init", "join"))], told
    assert not [step for step in told["cp1"] if "restart" in step or CONFIG in step], told
    has(
        told["w1"],
        r"^restart containerd.service \(.*SystemdCgroup false -> true",
        rf"^write config {CONFIG} \(.*a copy is kept in ",
    )
    assert {host: services(lab, host) for host in OLD} == {host: before[host][0] for host in OLD}
    run = lab.site(*only_old)
    assert run.code == 0, run.output
    assert changes(run) == changes(check)
    for host in OLD:
        assert services(lab, host)["kubelet"] == before[host][0]["kubelet"]
        assert before[host][1] <= running(lab, host)
    assert services(lab, "cp1") == before["cp1"][0]
    assert ready(lab, 2)


def test_a_second_run_on_it_changes_nothing(typed_lab: Lab) -> None:
    run = typed_lab.site("--limit", ",".join(OLD), *KEPT)
    assert (run.code, run.changed()) == (0, {}), run.output


def test_a_node_joins_it(typed_lab: Lab) -> None:
    lab = typed_lab
    run = lab.site("--limit", "w2", *KEPT)
    assert run.code == 0, run.output
    assert "Join" in " ".join(run.changed()["w2"]), run.output
    # The pod network was typed, so it is typed for the new node too.
    by_hand.network(lab, [*OLD, "w2"])
    assert ready(lab, 3)
    everybody = lab.site(*KEPT)
    assert (everybody.code, everybody.changed()) == (0, {}), everybody.output
