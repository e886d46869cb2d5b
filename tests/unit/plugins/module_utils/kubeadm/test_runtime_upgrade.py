# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another containerd on a drained node: the steps, a run that is killed in between, and the old one that comes back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Dict, List, Optional

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.state import CONFIG, DROPIN
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG, RUNTIME_RECORD
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import runtime_upgrade, upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.runtime_record import Record, read_record
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.runtime_upgrade import (
    RuntimeOptions,
    RuntimeState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.upgrade import UpgradeOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import KubePackagesOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.manager import Package
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kubeadm.test_upgrade import (
    NEW,
    OLD,
    control_plane,
    worker,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine

BEFORE, AFTER = "1.7.24~ds1-6+b4", "2.1.9-1"
OLD_CONFIG = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nsandbox_image = "registry.k8s.io/pause:3.10.1"\n'
RECORD = Record("1.7.24~ds1", {"containerd": BEFORE, "runc": "1.1.15"}, "containerd", AFTER, ready=True)
WANTED = RuntimeOptions("containerd", AFTER)
PLUGINS = "TYPE ID PLATFORMS STATUS\nio.containerd.grpc.v1 cri linux/amd64 ok\n"


def state(version: str = BEFORE, record: Optional[Record] = None, **more: Package) -> RuntimeState:
    installed = {"containerd": Package("containerd", version, held=True), "runc": Package("runc", "1.1.15"), **more}
    return RuntimeState("1.7.24~ds1", installed, record=record)


def actions(found: RuntimeState, options: RuntimeOptions = WANTED, ready: bool = True) -> List[str]:
    steps = runtime_upgrade.plan(found, options, "w1", ready, NEW)
    assert all(step.component == "containerd" for step in steps)
    return ["{0} {1}".format(step.action, step.target) for step in steps]


WAYS = ["configure " + CONFIG, "restart containerd.service", "wait_for node w1", "forget " + RUNTIME_RECORD]


def test_the_record_comes_first_and_the_node_is_ready_before_it_is_removed() -> None:
    assert actions(state()) == ["keep " + RUNTIME_RECORD, "install containerd", *WAYS]
    (record,) = [one.data["record"] for one in runtime_upgrade.plan(state(), WANTED, "w1", True, NEW)[:1]]
    assert record == replace(RECORD, held=["containerd"])
    install = runtime_upgrade.plan(state(), WANTED, "w1", True, NEW)[1]
    assert install.data["specs"] == ["containerd=" + AFTER] and install.data["held"] == ["containerd"]


def test_another_package_replaces_the_present_one() -> None:
    options = RuntimeOptions("containerd.io", "2.1.5-1~debian.13~trixie")
    (install,) = [one for one in runtime_upgrade.plan(state(), options, "w1", True, NEW) if one.action == "install"]
    assert install.data["specs"] == ["containerd.io=2.1.5-1~debian.13~trixie"]


def test_a_node_that_was_not_ready_is_not_waited_for() -> None:
    assert "wait_for node w1" not in actions(state(), ready=False)
    # It was ready before the run that was interrupted.
    assert "wait_for node w1" in actions(state(record=RECORD), ready=False)


@pytest.mark.parametrize("options", [RuntimeOptions(), RuntimeOptions("containerd", BEFORE)])
def test_a_node_that_keeps_its_containerd(options: RuntimeOptions) -> None:
    assert actions(state(), options) == []


def test_a_run_that_was_killed_is_finished_from_its_record() -> None:
    assert actions(state(record=RECORD)) == ["install containerd", *WAYS]
    assert actions(state(AFTER, RECORD)) == WAYS
    half = state(AFTER, RECORD, containerd=Package("containerd", AFTER, complete=False))
    assert actions(replace(half, interrupted=True)) == ["finish dpkg", "install containerd", *WAYS]


def test_containerd_comes_before_anything_of_kubernetes() -> None:
    options = UpgradeOptions(NEW, True, replace(UpgradeOptions(NEW).packages, key_fingerprint="A" * 40), runtime=WANTED)
    steps = upgrade.plan(replace(control_plane(), runtime=state()), options)
    names = ["{0} {1}".format(step.action, step.target) for step in steps]
    assert names[:2] == ["begin cp1", "keep /var/lib/kubestead/kubelet-before-upgrade.json"]
    assert names.index("forget " + RUNTIME_RECORD) < names.index("install kubeadm")
    assert [step.component for step in steps].count("containerd") == 6


def test_a_node_of_the_version_gets_only_its_containerd() -> None:
    options = UpgradeOptions(
        NEW, False, replace(UpgradeOptions(NEW).packages, key_fingerprint="A" * 40), runtime=WANTED
    )
    there = control_plane(NEW, runtime=state())
    assert {step.component for step in upgrade.plan(there, options)} == {"containerd"}
    assert upgrade.plan(replace(there, runtime=state(AFTER)), options) == []
    assert upgrade.plan(replace(there, runtime=RuntimeState()), replace(options, runtime=RuntimeOptions())) == []
    assert {step.component for step in upgrade.plan(replace(worker(), runtime=state()), options)} > {"containerd"}


# -- on a machine


class Node(Machine):
    """A node; ``bad`` are the versions of containerd with which the kubelet does not become ready."""

    bad: Sequence[str] = ()
    refused: Sequence[str] = ()
    version = BEFORE

    def start(self) -> None:
        self.put("/etc/os-release", 'ID=debian\nVERSION_ID="13"\nNAME="Debian GNU/Linux"\n')
        self.put(ADMIN_KUBECONFIG, "server: https://10.0.0.1:6443\n")
        self.put(CONFIG, OLD_CONFIG, 0o640)
        self.answer("kubectl", self._node)
        self.answer("dpkg-query", self._installed)
        self.answer("systemctl", self._systemctl)
        self.answer("apt-get", self._apt)
        self.answer("apt-mark")
        self.answer("journalctl", "containerd: failed to load plugin\n")
        self.answer("ctr plugins ls", PLUGINS)
        self.answer("containerd --version", self._program)

    def upstream(self) -> str:
        return self.version.rpartition("-")[0]

    def _program(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        return Result(0, "containerd github.com/containerd/containerd {0} x\n".format(self.upstream()))

    def _node(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        ready = [{"type": "Ready", "status": "False" if self.version in self.bad else "True"}]
        # As reported for Debian's 1.7.24~ds1, and for 2.1.9+unknown of its testing suite.
        shown = self.upstream().partition("~")[0] + ("+unknown" if self.version == AFTER else "")
        info = {"kubeletVersion": "v" + OLD, "containerRuntimeVersion": "containerd://" + shown}
        return Result(0, json.dumps({"metadata": {"name": "w1"}, "status": {"nodeInfo": info, "conditions": ready}}))

    def _installed(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        versions = {"containerd": self.version, "runc": "1.1.15"}
        lines = [f"{name}\t{versions[name]}\tamd64\tinstalled\tinstall\t\n" for name in argv if name in versions]
        return Result(0, "".join(lines))

    def _systemctl(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        return Result(1, "", "failed") if argv[1] == "restart" and self.version in self.refused else Result(0)

    def _apt(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        asked = [word.partition("=")[2] for word in argv if word.startswith("containerd=")]
        self.version = asked[0] if asked else self.version
        return Result(0)


@pytest.fixture
def node(tmp_path: Any) -> Node:
    machine = Node(tmp_path)
    machine.start()
    runtime_upgrade.keep(machine, RECORD)
    # What the replacement has changed.
    machine.version = AFTER
    machine.put(CONFIG, "version = 3\n", 0o644)
    machine.put(DROPIN, "version = 3\n")
    return machine


def apply(node: Node, action: str) -> None:
    clock = Clock()
    step = Step("containerd", action, "node w1", "must be ready with containerd " + AFTER)
    upgrade.apply_or_roll_back(step, node, KubePackagesOptions(), clock, clock.sleep)


def test_a_node_that_is_ready_reports_the_new_containerd(node: Node) -> None:
    apply(node, "restart")
    apply(node, "wait_for")
    assert read_record(node) == replace(RECORD, files={CONFIG: OLD_CONFIG, DROPIN: None}, modes={CONFIG: 0o640})
    apply(node, "forget")
    assert read_record(node) is None and node.version == AFTER


@pytest.mark.parametrize(("action", "failure"), [("wait_for", "bad"), ("restart", "refused")])
def test_the_old_containerd_comes_back_with_its_files(node: Node, action: str, failure: str) -> None:
    setattr(node, failure, (AFTER,))
    with pytest.raises(KubesteadError, match="containerd 1.7.24~ds1 was put back; remove the cause") as caught:
        apply(node, action)
    assert caught.value.details["rolled_back"] == "1.7.24~ds1" and node.version == BEFORE
    assert (node.read(CONFIG), node.mode(CONFIG), node.exists(DROPIN)) == (OLD_CONFIG, 0o640, False)
    assert not node.exists(RUNTIME_RECORD)


def test_a_control_plane_without_its_containerd_gets_the_old_one_back(node: Node) -> None:
    """The machine went down after the new package was unpacked, and no API server is left to plan with."""
    node.bad = (AFTER,)
    (step,) = upgrade.repair(node, KubeadmState())
    assert step.summary() == "put back containerd 1.7.24~ds1 (its replacement was interrupted)"
    clock = Clock()
    upgrade.apply(step, node, clock, clock.sleep)
    assert (node.version, node.read(CONFIG), node.exists(DROPIN)) == (BEFORE, OLD_CONFIG, False)
    assert upgrade.repair(node, KubeadmState()) == []


def test_an_old_containerd_that_fails_too_keeps_its_record(node: Node) -> None:
    node.bad = (AFTER, BEFORE)
    with pytest.raises(
        KubesteadError, match="containerd 1.7.24~ds1 could not be put back: the kubelet did not"
    ) as caught:
        apply(node, "wait_for")
    assert "rolled_back" not in caught.value.details and node.exists(RUNTIME_RECORD)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"packages": 7}', '{"packages": {"x": "1"}, "version": "1"}'])
def test_a_record_that_can_not_be_read_is_none(node: Node, text: str) -> None:
    node.put(RUNTIME_RECORD, text)
    assert read_record(node) is None
    node.bad = (AFTER,)
    with pytest.raises(KubesteadError) as caught:
        apply(node, "wait_for")
    assert "put back" not in caught.value.message and node.version == AFTER


def test_the_record_is_for_root_alone(node: Node) -> None:
    """The configuration may contain passwords of registries."""
    assert node.mode(RUNTIME_RECORD) == 0o600
    found: Dict[str, Any] = json.loads(node.read(RUNTIME_RECORD) or "")
    assert found["files"][CONFIG] == OLD_CONFIG
