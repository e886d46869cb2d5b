# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The old kubelet comes back if the new one does not become ready."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import (
    ADMIN_KUBECONFIG,
    COMPONENTS,
    KUBELET_CONFIG,
    KUBELET_FLAGS,
    KUBELET_RECORD,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import (
    kubelet_start,
    old_program,
    operation,
    rollback,
    upgrade,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.rollback import Record
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import KubePackagesOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.sources import APT_SOURCE
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kubeadm.test_upgrade import (
    NEW,
    OLD,
    actions,
    control_plane,
    packages,
    worker,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine

OPTIONS = KubePackagesOptions(NEW, url="https://packages.example.org")
INSTANCE = "/var/lib/kubelet/instance-config.yaml"
RECORDED = Record(OLD, {"kubelet": OLD + "-1.1", "kubectl": OLD + "-1.1"}, ["kubelet", "kubectl"])
# As recorded from a kubelet 1.35 with a flag that it does not have, and from systemd.
UNKNOWN = (
    'E1127 10:00:00.000000    4711 run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: --x"'
)


class Node(Machine):
    """A node whose kubelet is new; ``bad`` are the versions of kubelets that exit at once."""

    bad: Sequence[str] = (NEW,)
    version = NEW
    restarts = 0

    def start(self) -> None:
        """Answer what is asked of the node."""
        self.put("/etc/os-release", 'ID=debian\nVERSION_ID="12"\nNAME="Debian GNU/Linux"\n')
        self.put(ADMIN_KUBECONFIG, "server: https://10.0.0.1:6443\n")
        self.answer("kubectl", self._node)
        self.answer("dpkg-query", self._installed)
        self.answer("systemctl", self._systemctl)
        self.answer("apt-get", self._apt)
        self.answer("apt-mark")
        self.answer("journalctl _SYSTEMD_UNIT=kubelet.service", UNKNOWN + "\n")

    def _node(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        ready = [{"type": "Ready", "status": "False" if self.version in self.bad else "True"}]
        status = {"nodeInfo": {"kubeletVersion": "v" + self.version}, "conditions": ready}
        return Result(0, json.dumps({"metadata": {"name": "cp1"}, "status": status}))

    def _installed(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        versions = {"kubelet": self.version, "kubectl": self.version, "kubeadm": NEW}
        lines = [f"{name}\t{versions[name]}-1.1\tamd64\tinstalled\thold\t\n" for name in argv if name in versions]
        return Result(0, "".join(lines))

    def _systemctl(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        if argv[1] == "restart":
            self.restarts = 0
        if argv[1] != "show":
            return Result(0)
        self.restarts += self.version in self.bad
        return Result(0, f"ActiveState=activating\nNRestarts={self.restarts}\n")

    def _apt(self, argv: Sequence[str], stdin: Optional[str]) -> Result:
        asked = [word.partition("=")[2] for word in argv if word.startswith("kubelet=")]
        self.version = asked[0].partition("-")[0] if asked else self.version
        return Result(0)


@pytest.fixture
def node(tmp_path: Any) -> Node:
    machine = Node(tmp_path)
    machine.start()
    machine.put(KUBELET_CONFIG, "old: true\n", 0o600)
    machine.put(KUBELET_FLAGS, "old flags\n")
    rollback.keep(machine, RECORDED)
    # What kubeadm writes during the upgrade.
    machine.put(KUBELET_CONFIG, "new: true\n")
    machine.put(KUBELET_FLAGS, "new flags\n")
    machine.put(INSTANCE, "new: true\n")
    return machine


def fail(node: Node, action: str = "wait_for", component: str = upgrade.COMPONENT, target: str = "") -> KubesteadError:
    clock = Clock()
    step = Step(component, action, target, "must be ready with kubelet " + NEW)
    with pytest.raises(KubesteadError) as caught:
        upgrade.apply_or_roll_back(step, node, OPTIONS, clock, clock.sleep)
    return caught.value


def test_the_record_is_made_once_before_anything_is_changed() -> None:
    state = worker()
    (step,) = rollback.plan("upgrade", state.packages, None, False, NEW)
    assert step.data["record"] == RECORDED and step.target == KUBELET_RECORD
    # The next run must not take the new files for the old ones.
    assert rollback.plan("upgrade", state.packages, RECORDED, True, NEW) == []
    assert rollback.plan("upgrade", packages(kubelet=NEW), None, True, NEW) == []
    # A record of another upgrade is replaced.
    assert len(rollback.plan("upgrade", state.packages, RECORDED, False, NEW)) == 1


def test_a_record_is_read_as_it_was_written(node: Node) -> None:
    record = rollback.observe(node)
    assert record and (record.version, record.packages, record.held) == (OLD, RECORDED.packages, RECORDED.held)
    assert record.files == {KUBELET_CONFIG: "old: true\n", KUBELET_FLAGS: "old flags\n", INSTANCE: None}
    assert node.mode(KUBELET_RECORD) == 0o600
    for text in ("", "{", "[]", '{"version": "1.34.1"}', '{"version": 1, "packages": {"kubelet": "1"}, "files": []}'):
        node.put(KUBELET_RECORD, text)
        assert rollback.observe(node) is None


def test_a_kubelet_that_exits_again_and_again_is_replaced_by_the_old_one(node: Node) -> None:
    failed = fail(node)
    assert failed.message == (
        'kubelet 1.35.0 does not start: run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: '
        '--x"; kubelet 1.34.1 was put back and is ready; remove the cause, then run the same command again'
    )
    assert failed.details["rolled_back"] == OLD and node.version == OLD
    assert node.read(KUBELET_CONFIG) == "old: true\n" and node.mode(KUBELET_CONFIG) == 0o600
    assert node.read(KUBELET_FLAGS) == "old flags\n" and not node.exists(INSTANCE)
    assert "https://packages.example.org/v1.34/deb/" in (node.read(APT_SOURCE) or "")
    installs = [argv for argv in node.ran if "install" in argv]
    assert {word for word in installs[0] if word.startswith("kube")} == {"kubelet=1.34.1-1.1", "kubectl=1.34.1-1.1"}
    # The next run continues with the same record.
    assert rollback.observe(node) is not None


def test_a_rollback_that_was_interrupted_is_repeated(node: Node) -> None:
    """The files are back, and the packages are partly installed."""
    record = rollback.observe(node)
    assert record
    old_program.restore_files(node, record.files, record.modes, 0o644)
    node.put("/var/lib/dpkg/updates/0001")
    node.answer("dpkg --force-confdef")
    fail(node)
    assert node.version == OLD and any(argv[0] == "dpkg" for argv in node.ran)
    before = len(node.ran)
    node.bad = ()
    rollback.restore_packages(node, record, OPTIONS)
    assert not [argv for argv in node.ran[before:] if argv[0] == "apt-get"]


def test_an_old_kubelet_that_can_not_come_back_is_named(node: Node) -> None:
    node.answer("apt-get", Result(100, "", "E: Version '1.34.1-1.1' for 'kubelet' was not found\n"))
    failed = fail(node)
    assert "kubelet 1.35.0 does not start" in failed.message and "rolled_back" not in failed.details
    assert "; kubelet 1.34.1 could not be put back: apt-get update failed: " in failed.message
    node.start()
    node.bad = (OLD, NEW)
    assert "kubelet 1.34.1 could not be put back: kubelet 1.34.1 does not start" in fail(node).message


def test_without_a_record_nothing_is_put_back(node: Node) -> None:
    rollback.forget(node)
    assert "put back" not in fail(node).message and node.read(KUBELET_CONFIG) == "new: true\n"


@pytest.mark.parametrize(
    ("component", "action", "target", "back"),
    [
        (kube_plan.COMPONENT, "install", "kubelet kubectl", True),
        (kube_plan.COMPONENT, "install", "kubeadm", False),
        (upgrade.COMPONENT, "kubeadm", "upgrade node", False),
    ],
)
def test_only_what_replaces_the_kubelet_is_undone(
    node: Node, monkeypatch: pytest.MonkeyPatch, component: str, action: str, target: str, back: bool
) -> None:
    def broken(*arguments: Any) -> None:
        raise KubesteadError("no space left")

    monkeypatch.setattr(upgrade, "apply", broken)
    assert ("was put back" in fail(node, action, component, target).message) is back


@pytest.mark.parametrize(
    ("shown", "count"),
    [
        ("ActiveState=active\nNRestarts=0\n", 0),
        ("ActiveState=activating\nNRestarts=3\n", 3),
        ("ActiveState=failed\nNRestarts=0\n", kubelet_start._EXITS),
        ("NRestarts=٣\n", 0),
        ("", 0),
    ],
)
def test_how_often_a_kubelet_has_exited(machine: Machine, shown: str, count: int) -> None:
    machine.answer("systemctl show kubelet.service", shown)
    assert kubelet_start.exits(machine) == count


def test_the_end_of_an_upgrade_leaves_no_record(node: Node) -> None:
    operation.begin(node, Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version=NEW))
    upgrade.apply(Step(upgrade.COMPONENT, "end", "cp1", ""), node)
    assert not node.exists(KUBELET_RECORD) and operation.observe(node) is None
    assert control_plane().record is None


def test_the_old_kubelet_keeps_its_files_until_the_new_one_is_installed(node: Node) -> None:
    """The machine failed while kubeadm wrote the configuration: the file is empty, and no kubelet starts with it."""
    node.version = OLD
    node.put(KUBELET_FLAGS, "old flags\n")
    node.put(KUBELET_CONFIG, "old: true\n")
    node.remove(INSTANCE)
    operation.begin(node, Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version=NEW, first=True))
    state = KubeadmState(manifests=list(COMPONENTS), operation=operation.observe(node))
    assert upgrade.repair(node, state) == []
    node.put(KUBELET_CONFIG, "")
    node.put(INSTANCE, "containerRuntimeEndpoint: x\n")
    (step,) = upgrade.repair(node, state)
    assert step.target == f"{KUBELET_CONFIG}, {INSTANCE}"
    node.version = NEW
    assert upgrade.repair(node, state) == []
    node.version = OLD
    upgrade.apply(step, node)
    assert node.read(KUBELET_CONFIG) == "old: true\n" and node.read(INSTANCE) is None
    assert upgrade.repair(node, state) == []
    begun = replace(control_plane(), kubeadm=replace(control_plane().kubeadm, operation=state.operation))
    planned = actions(replace(begun, record=RECORDED, replaced=[KUBELET_CONFIG]))
    assert planned[0] == f"restore_kubelet {KUBELET_CONFIG}" and "kubeadm upgrade apply" in planned
    assert not [one for one in actions(replace(control_plane(), replaced=[KUBELET_CONFIG])) if "restore" in one]
