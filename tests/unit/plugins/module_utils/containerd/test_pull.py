# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images that a node pulls before it is one: which, which of them are there, and what can't be had."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import pull as node_images
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

PROXY = "registry.k8s.io/kube-proxy:v1.35.0"
# As ctr of containerd 1.6.20 printed it.
LISTED = f"{PROXY}\nsha256:0ac6842ef78a5a599005f8957f121ad632c376844a04a838e228cf8b67116833\n"
NOT_FOUND = (
    'time="2026-11-26T15:32:20Z" level=info msg="trying next host - response was http.StatusNotFound" '
    'host=registry.k8s.io\nctr: failed to resolve reference "registry.k8s.io/nope:v1": registry.k8s.io/nope:v1: '
    "not found\n"
)


@pytest.mark.parametrize(
    ("version", "control_plane", "more", "names"),
    [
        ("1.35.0", False, {}, ["registry.k8s.io/kube-proxy"]),
        ("", False, {}, []),
        ("1.35.0", False, {"skip_phases": ["addon/kube-proxy"]}, []),
        ("1.35.0", False, {"skip_phases": ["addon"]}, []),
        ("1.35.0", False, {"skip_phases": ["addon/coredns"]}, ["registry.k8s.io/kube-proxy"]),
        ("1.35.0", False, {"config": {"ClusterConfiguration": {"proxy": {"disabled": True}}}}, []),
        (
            "1.35.0",
            False,
            {"config": {"ClusterConfiguration": {"imageRepository": "m.example/k"}}},
            ["m.example/k/kube-proxy"],
        ),
        (
            "1.35.0",
            True,
            {},
            [
                f"registry.k8s.io/{name}"
                for name in ("kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
            ],
        ),
    ],
)
def test_what_a_node_of_kubernetes_runs(
    version: str, control_plane: bool, more: dict[str, object], names: list[str]
) -> None:
    found = node_images.expected(version, "registry.k8s.io", control_plane, **more)
    assert found == [f"{name}:v{version}" for name in names]


def test_what_is_there_is_not_pulled(machine: Machine) -> None:
    machine.answer("ctr --namespace k8s.io images list --quiet", LISTED + "docker.io/library/redis:7\n")
    assert node_images.observe(machine, [PROXY, "redis:7", "quay.io/calico/node:v3.32.1"]) == [
        "quay.io/calico/node:v3.32.1"
    ]
    assert node_images.plan([]) == []


def test_without_containerd_everything_is_missing_once(machine: Machine) -> None:
    missing = node_images.observe(machine, [PROXY, PROXY])
    assert missing == [PROXY]
    assert [step.summary() for step in node_images.plan(missing)] == [f"pull {PROXY} (missing)"]


def test_what_can_not_be_pulled_is_told_and_stops_nothing(machine: Machine) -> None:
    machine.answer("ctr --namespace k8s.io images pull", lambda argv, stdin: answered(argv[-1]))

    def answered(image: str) -> Result:
        return Result(1, "", NOT_FOUND) if "nope" in image else Result(0)

    report = node_images.pull(machine, ["registry.k8s.io/nope:v1", PROXY], 5.0)
    assert report.pulled == [PROXY]
    assert list(report.failed) == ["registry.k8s.io/nope:v1"]
    assert report.failed["registry.k8s.io/nope:v1"].endswith("registry.k8s.io/nope:v1: not found")
    assert all(argv[5:7] == ["--hosts-dir", "/etc/containerd/certs.d"] for argv in machine.ran)
