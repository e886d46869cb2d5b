# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known to be behind a failure. How kubeadm's own output is read is tested with init and join."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import diagnosis
from ansible_collections.kubestead.cluster.tests.unit.support import Machine


@pytest.fixture
def healthy(machine: Machine) -> Machine:
    machine.answer("systemctl is-active", "active\n")
    return machine


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("etcdserver: write /var/lib/etcd/member/wal/0.tmp: no space left on device", "a disk is full"),
        ("server.go:294] running with swap on is not supported, please disable swap!", "swap is on"),
        ("x509: certificate has expired or is not yet valid: current time 2020-01-01", "clocks"),
        ('could not find a JWS signature in the cluster-info ConfigMap for token ID "abcdef"', "create a new one"),
        ("listen tcp 0.0.0.0:2380: bind: address already in use", "another program uses a port"),
        ("can only promote a learner member: etcd cluster is not healthy", "the cluster's etcd is not healthy"),
        (
            "panic: failed to merge, error: unrecognized feature gate: NoSuchGate",
            "the kubelet refuses its configuration",
        ),
        ('failed to get sandbox image "registry.k8s.io/pause:9.99": not found', "the pause image can't be pulled"),
        ("open /var/lib/kubelet/kubeadm-flags.env: read-only file system", "mounted read-only"),
        (
            "OCI runtime create failed: runc did not terminate successfully: exit status 127",
            "prevents runc from running",
        ),
        ('runc create failed: expected cgroupsPath to be of format "slice:prefix:name"', "different cgroup drivers"),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "signed by a CA that its peer does not trust",
        ),
        ("dial tcp 192.0.2.1:443: connect: no route to host", "can't be reached from this host"),
        ("rpc error: code = Unavailable desc = etcdserver: too many learner members in cluster", "not healthy"),
    ],
)
def test_what_is_known_by_its_text(healthy: Machine, log: str, says: str) -> None:
    (known,) = diagnosis.diagnose(healthy, {"container_logs": {"etcd": ["fine", log]}})
    assert says in known and "; " in known
    assert diagnosis.diagnose(healthy, {"causes": ["something else"]}) == []


def test_a_service_that_is_down(healthy: Machine) -> None:
    healthy.answer("systemctl is-active containerd", "failed\n", rc=3)
    healthy.answer("systemctl is-active kubelet", "inactive\n", rc=3)
    (known,) = diagnosis.diagnose(healthy, {})
    assert known.startswith("containerd is not running (failed); see 'journalctl -u containerd'")
    healthy.put("/var/lib/kubelet/config.yaml")
    assert diagnosis.diagnose(healthy, {})[1].startswith("kubelet is not running (inactive)")


def test_a_full_disk_is_named_once(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy.put("/var/lib/etcd/x")
    real: Callable[[Any], os.statvfs_result] = os.statvfs

    def full(path: Any) -> Any:
        about = real(path)
        return os.statvfs_result((*about[:3], 10, *about[4:])) if str(path).endswith("/var/lib/etcd") else about

    monkeypatch.setattr(os, "statvfs", full)
    (known,) = diagnosis.diagnose(healthy, {"causes": ["write: no space left on device"]})
    assert known == "no space is left in /var/lib/etcd; free some space (df -h) and run again"
