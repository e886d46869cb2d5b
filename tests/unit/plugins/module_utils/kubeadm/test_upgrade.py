# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upgrade of one node: which steps, in which order, and what is left of an interrupted one."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Dict, List, Optional

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import (
    ADMIN_KUBECONFIG,
    KUBELET_FLAGS,
    MANIFESTS,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import snapshot
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterApi, ClusterConfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import read_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import (
    kubelet_flags,
    kubelet_start,
    operation,
    upgrade,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.health import Health
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.upgrade import UpgradeOptions, UpgradeState
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import (
    KubePackagesState,
    RepositoryState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.manager import Package
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.signing_key import KeyState
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine, fixture

OLD, NEW = "1.34.1", "1.35.0"
FLAGS = 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1 --pod-infra-container-image=registry.k8s.io/pause:3.10.1"\n'
NAMES = ("kubeadm", "kubelet", "kubectl", "kubernetes-cni")


def packages(**versions: str) -> KubePackagesState:
    """The packages of a node; ``kubelet="1.35.0"`` has been upgraded."""
    installed = {name: Package(name, "{0}-1.1".format(versions.get(name, OLD)), held=True) for name in NAMES}
    offers = {name: [NEW + "-1.1"] for name in NAMES}
    return KubePackagesState(
        os_name="Debian",
        manager="apt",
        architecture="amd64",
        installed=installed,
        source="",
        key=KeyState(["A" * 40], "x"),
        enabled=True,
        repository=RepositoryState("https://pkgs.k8s.io/", offers=offers),
    )


def control_plane(version: str = OLD, **changes: Any) -> UpgradeState:
    pods = {name: version for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")}
    there = KubeadmState(
        installed_version=version,
        admin_conf=True,
        kubelet_conf=True,
        node_name="cp1",
        role="control_plane",
        phase=DONE,
        static_pods={"etcd": "3.6.5-0", **pods},
        manifests=["etcd", *pods],
        api=ClusterApi(live=True, config=ClusterConfig(kubernetes_version=version)),
        etcd=Health(True, "", "https://10.0.0.1:2379"),
    )
    installed = packages(kubeadm=version, kubelet=version, kubectl=version)
    found = UpgradeState(there, installed, reported=version, ready=True, flags=FLAGS if version == OLD else "")
    return replace(found, **changes)


def worker(**changes: Any) -> UpgradeState:
    state = control_plane()
    there = KubeadmState(
        installed_version=OLD, kubelet_conf=True, node_name="w1", role="worker", phase=DONE, server="https://10.0.0.1"
    )
    return replace(state, kubeadm=there, **changes)


def planned(state: UpgradeState, first: bool = True, **options: Any) -> List[upgrade.Step]:
    wanted = UpgradeOptions(NEW, first, replace(UpgradeOptions(NEW).packages, key_fingerprint="A" * 40), **options)
    return upgrade.plan(state, wanted)


def actions(state: UpgradeState, first: bool = True, **options: Any) -> List[str]:
    return ["{0} {1}".format(step.action, step.target) for step in planned(state, first, **options)]


def test_the_first_control_plane() -> None:
    assert actions(control_plane()) == [
        "begin cp1",
        "keep /var/lib/kubestead/kubelet-before-upgrade.json",
        "snapshot /var/lib/kubestead/snapshots/before-1.34.1-to-1.35.0.db",
        "write /etc/apt/sources.list.d/kubernetes.sources",
        "update_index /etc/apt/sources.list.d/kubernetes.sources",
        "install kubeadm",
        "kubeadm upgrade apply",
        "write_flags /var/lib/kubelet/kubeadm-flags.env",
        "install kubelet kubectl",
        "restart kubelet.service",
        "wait_for node cp1",
        "end cp1",
    ]


def test_other_nodes_take_no_snapshot_and_leave_the_cluster_alone() -> None:
    assert "kubeadm upgrade node" in actions(worker(), first=False)
    assert not [
        one for one in actions(control_plane(), first=False) if one.startswith(("snapshot", "kubeadm upgrade a"))
    ]


def test_a_worker_skips_minor_versions_in_one_go() -> None:
    """Its kubelet is put back to its own version, and has no flag that any version in between has removed."""
    old = "1.32.9"
    state = worker(
        packages=packages(**dict.fromkeys(("kubeadm", "kubelet", "kubectl"), old)), reported=old, flags=FLAGS
    )
    state = replace(state, kubeadm=replace(state.kubeadm, installed_version=old))
    assert actions(state, first=False) == [
        "begin w1",
        "keep /var/lib/kubestead/kubelet-before-upgrade.json",
        "write /etc/apt/sources.list.d/kubernetes.sources",
        "update_index /etc/apt/sources.list.d/kubernetes.sources",
        "install kubeadm",
        "kubeadm upgrade node",
        "write_flags /var/lib/kubelet/kubeadm-flags.env",
        "install kubelet kubectl",
        "restart kubelet.service",
        "wait_for node w1",
        "end w1",
    ]
    options = UpgradeOptions(NEW, packages=replace(UpgradeOptions(NEW).packages, key_fingerprint="A" * 40))
    steps = {step.action: step for step in upgrade.plan(state, options)}
    assert steps["keep"].data["record"].version == old
    assert steps["install"].data["specs"] == ["kubelet=1.35.0-1.1", "kubectl=1.35.0-1.1"]
    assert "--pod-infra-container-image" not in steps["write_flags"].after


def test_a_node_of_the_version_has_nothing_to_do() -> None:
    assert actions(control_plane(NEW)) == [] == actions(control_plane(NEW), first=False)


@pytest.mark.parametrize("name", ["kubeadm", "kubelet", "reported", "scheduler", "config"])
def test_one_part_of_the_old_version_is_enough(name: str) -> None:
    state = control_plane(NEW)
    there = state.kubeadm
    found = {
        "kubeadm": replace(state, kubeadm=replace(there, installed_version=OLD)),
        "kubelet": replace(state, packages=packages(kubeadm=NEW)),
        "reported": replace(state, reported=OLD),
        "scheduler": replace(state, kubeadm=replace(there, static_pods={**there.static_pods, "kube-scheduler": OLD})),
        "config": replace(state, kubeadm=replace(there, api=ClusterApi(config=ClusterConfig(OLD)))),
    }[name]
    steps = actions(found)
    assert "kubeadm upgrade apply" in steps and "end cp1" in steps


def test_an_interrupted_upgrade_is_continued_with_its_marker_and_its_snapshot() -> None:
    marker = Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version=NEW, first=True)
    state = control_plane(snapshots=[snapshot.path_of(OLD, NEW)])
    steps = actions(replace(state, kubeadm=replace(state.kubeadm, operation=marker)))
    assert not [one for one in steps if one.startswith(("begin", "snapshot"))] and "kubeadm upgrade apply" in steps
    done = control_plane(NEW)
    steps = actions(replace(done, kubeadm=replace(done.kubeadm, operation=marker)))
    assert steps[0] == "kubeadm upgrade apply" and steps[-1] == "end cp1"
    assert not [one for one in steps if one.startswith(("install", "snapshot"))]


def test_cgroup_v1_is_permitted_before_kubeadm_runs() -> None:
    config = "apiVersion: kubelet.config.k8s.io/v1beta1\nfailCgroupV1: true\nkind: KubeletConfiguration\n"
    steps = actions(control_plane(kubelet_config=config), cgroup_v1=True)
    assert steps.index("configure ConfigMap kube-system/kubelet-config") < steps.index("kubeadm upgrade apply")
    text = upgrade.with_cgroup_v1(config)
    assert text.endswith("kind: KubeletConfiguration\nfailCgroupV1: false\n") and "true" not in text
    assert upgrade.with_cgroup_v1(text) == text and upgrade.with_cgroup_v1("") == ""


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (FLAGS, 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.1"\n'),
        ('ARGS="--pod-infra-container-image=x:1 --v=2"\n', 'ARGS="--v=2"\n'),
        ('ARGS="--pod-infra-container-image=x:1"\n', 'ARGS=""\n'),
        ('ARGS="--pod-infra-container-images=x:1"\n', 'ARGS="--pod-infra-container-images=x:1"\n'),
        # A kubelet takes underscores for dashes.
        ('ARGS="--pod_infra_container_image=x:1 --v=2"\n', 'ARGS="--v=2"\n'),
        ("", ""),
    ],
)
def test_flags_that_the_new_kubelet_refuses_are_taken_out(text: str, left: str) -> None:
    assert kubelet_flags.without(text, ["pod-infra-container-image"]) == left


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("KUBELET_EXTRA_ARGS=--cloud-provider=aws\n", True),
        ("KUBELET_EXTRA_ARGS='--v=2 --cloud_provider=aws'\r\n", True),
        ("KUBELET_EXTRA_ARGS=--cloud-provider aws\n", True),
        ("# KUBELET_EXTRA_ARGS=--cloud-provider=aws\nKUBELET_EXTRA_ARGS=\n", False),
        (" ; KUBELET_EXTRA_ARGS=--cloud-provider=aws\n", False),
        ("KUBELET_EXTRA_ARGS=--cloud-provider-name=aws\n", False),
    ],
)
def test_flags_that_users_set_in_environment_files(text: str, given: bool) -> None:
    assert kubelet_flags.given(text, ["cloud-provider"]) == (["cloud-provider"] if given else [])


def test_a_refused_flag_of_the_user_is_an_error() -> None:
    with pytest.raises(
        KubesteadError,
        match="kubelet 1.35 does not start with --pod-infra-container-image, which is set in /etc/default/kubelet",
    ):
        actions(control_plane(extra_args=FLAGS))


def test_a_host_that_is_not_a_node_and_an_operation_of_another_kind_are_refused() -> None:
    with pytest.raises(KubesteadError, match="not a complete node of a cluster"):
        actions(replace(worker(), kubeadm=KubeadmState(reason="there are no files of kubeadm")))
    join = Operation(operation.JOIN, "2026-11-27T10:00:00Z")
    with pytest.raises(KubesteadError, match="not a complete node of a cluster"):
        actions(replace(worker(), kubeadm=replace(worker().kubeadm, operation=join)))


# -- on a machine

NODE = {"metadata": {"name": "cp1"}, "status": {"nodeInfo": {"kubeletVersion": "v" + NEW}}}


@pytest.fixture
def node(machine: Machine) -> Machine:
    """A control plane whose API server answers, with what kubeadm leaves of an upgrade."""
    machine.put(ADMIN_KUBECONFIG, "server: https://10.0.0.1:6443\n")
    manifest = "    - --advertise-address=10.0.0.1\n    - --secure-port=6443\n    image: kube-apiserver:v1.34.1\n"
    machine.put(MANIFESTS + "/kube-apiserver.yaml", manifest)
    machine.serve("https://10.0.0.1:6443", "/readyz", "ok")
    for when in ("2026-11-26-10-00-00", "2026-11-27-10-00-00"):
        folder = "{0}/kubeadm-backup-manifests-{1}".format(upgrade.LEFTOVERS, when)
        machine.put(folder + "/kube-scheduler.yaml", "scheduler of {0}\n".format(when))
        machine.put(folder + "/kube-apiserver.yaml", manifest)
    machine.answer("systemctl")
    machine.answer("kubeadm upgrade")
    return machine


def run(machine: Machine, action: str, target: str = "", **data: Any) -> None:
    clock = Clock()
    step = upgrade.Step(upgrade.COMPONENT, action, target, data.pop("reason", ""), data=data)
    upgrade.apply(step, machine, clock, clock.sleep)


def test_a_manifest_is_restored_only_after_an_upgrade_of_ours() -> None:
    """The cluster has moved to an external etcd, after somebody upgraded it by hand."""
    state = control_plane(
        backups={"etcd": upgrade.LEFTOVERS + "/kubeadm-backup-manifests-2025-01-01-10-00-00/etcd.yaml"}
    )
    assert not [one for one in actions(state) if one.startswith("restore")]
    marker = Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version=NEW, first=True)
    begun = replace(state, kubeadm=replace(state.kubeadm, operation=marker))
    assert "restore /etc/kubernetes/manifests/etcd.yaml" in actions(begun)


def test_a_manifest_that_is_missing_comes_back_from_the_newest_backup(node: Machine) -> None:
    marker = Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version=NEW)
    state = KubeadmState(manifests=["kube-apiserver"], operation=marker)
    (step,) = upgrade.repair(node, state)
    assert step.target == MANIFESTS + "/kube-scheduler.yaml"
    upgrade.apply(step, node)
    assert node.read(step.target) == "scheduler of 2026-11-27-10-00-00\n" and node.mode(step.target) == 0o600
    assert upgrade.repair(node, replace(state, operation=None)) == []


@pytest.mark.parametrize(("first", "words"), [(True, ["apply", "v" + NEW, "--yes"]), (False, ["node"])])
def test_kubeadm_runs_once_the_api_server_is_ready(node: Machine, first: bool, words: List[str]) -> None:
    options = UpgradeOptions(NEW, first, ignore_preflight_errors=["SystemVerification"])
    run(node, "kubeadm", options=options)
    # Without a kubelet, kubeadm would wait for components that nobody restarts.
    assert node.ran[0] == ["systemctl", "start", "kubelet.service"]
    assert node.ran[-1] == ["kubeadm", "upgrade", *words, "--ignore-preflight-errors=SystemVerification"]
    node.refuse("https://10.0.0.1:6443")
    with pytest.raises(KubesteadError, match="did not become ready; see 'crictl ps -a'"):
        run(node, "kubeadm", options=options)
    assert sum(argv[0] == "kubeadm" for argv in node.ran) == 1


@pytest.mark.parametrize(("seconds", "restarted"), [(3600, True), (100, False)])
def test_a_kubelet_that_may_delay_the_components_is_restarted(node: Machine, seconds: int, restarted: bool) -> None:
    began = int((time.monotonic() - seconds) * 1e6)
    node.answer("systemctl show kubelet", f"ActiveState=active\nActiveEnterTimestampMonotonic={began}\n")
    clock = Clock()
    assert upgrade.wait_for_api(node, clock, clock.sleep)
    assert node.ran == []
    node.refuse("https://10.0.0.1:6443")
    assert not upgrade.wait_for_api(node, clock, clock.sleep)
    assert (["systemctl", "restart", "kubelet.service"] in node.ran) is restarted


def test_kubeadm_does_not_run_into_delays_that_an_interrupted_upgrade_left(node: Machine) -> None:
    """The kubelet is restarted, and kubeadm waits until it has reported again: at first it reports that it is not."""
    node.put("/etc/kubernetes/kubelet.conf", "user: {token: abc}\n")
    reports = [("True", "2026-11-27T10:00:00Z"), ("False", "9999-01-01T00:00:00Z"), ("True", "9999-01-01T00:00:05Z")]

    def kubectl(argv: Sequence[str], stdin: Optional[str]) -> Result:
        status, heard = reports.pop(0)
        ready = {"type": "Ready", "status": status, "lastHeartbeatTime": heard}
        return Result(0, json.dumps({**NODE, "status": {"conditions": [ready]}}))

    node.answer("kubectl", kubectl)
    run(node, "kubeadm", options=UpgradeOptions(NEW, True), resumed=True)
    begun = [argv for argv in node.ran if argv[0] in ("systemctl", "kubeadm")]
    assert begun[-2:] == [
        ["systemctl", "restart", "kubelet.service"],
        ["kubeadm", "upgrade", "apply", "v" + NEW, "--yes"],
    ]
    assert reports == []
    marker = Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version=NEW, first=True)
    for operations, resumed in ((None, False), (marker, True)):
        state = replace(control_plane(), kubeadm=replace(control_plane().kubeadm, operation=operations))
        (step,) = [one for one in planned(state) if one.action == "kubeadm"]
        assert step.data["resumed"] is resumed


def test_only_the_wait_for_a_restarted_kubelet_reads_the_time_of_its_report() -> None:
    """The Nodes of 200 machines are in the answer of each control plane, and all of them report all the time."""
    (cp1, _w1) = json.loads(fixture("kubeadm/v1.35/nodes.json"))["items"]
    assert kubelet_start.last_report(cp1) == "2026-11-24T00:18:04Z"
    assert "2026-11-24T00:18:04Z" not in str(read_nodes({"items": [cp1]}))
    for junk in ({}, {"status": 3}, {"status": {"conditions": [3, {"type": "Ready", "lastHeartbeatTime": []}]}}):
        assert kubelet_start.last_report(junk) == ""


def test_a_kubeadm_that_fails_is_told_with_its_cause(node: Machine) -> None:
    said = "[preflight] Some fatal errors occurred:\n\t[ERROR ControlPlaneNodesReady]: cp2 is not ready\n"
    node.answer("kubeadm upgrade", Result(1, "", said))
    with pytest.raises(KubesteadError, match="kubeadm upgrade apply failed.*cp2 is not ready"):
        run(node, "kubeadm", options=UpgradeOptions(NEW, True))


def test_the_kubelet_is_waited_for_until_it_reports_its_version(node: Machine) -> None:
    ready: List[Dict[str, str]] = [{"type": "Ready", "status": "True"}]
    answers = [Result(1, "", "refused"), Result(0, json.dumps(NODE))]

    def kubectl(argv: Sequence[str], stdin: Optional[str]) -> Result:
        found = {**NODE, "status": {**NODE["status"], "conditions": ready}}
        return answers.pop(0) if answers else Result(0, json.dumps(found))

    node.answer("kubectl", kubectl)
    run(node, "wait_for", reason="must be ready with kubelet " + NEW)
    ready[0]["status"] = "False"
    with pytest.raises(KubesteadError, match="kubelet 1.35.0 did not become ready: its Node reports 1.35.0 and is not"):
        run(node, "wait_for", reason="must be ready with kubelet " + NEW)


def test_flags_are_taken_out_of_what_kubeadm_has_written_meanwhile(node: Machine) -> None:
    node.put(KUBELET_FLAGS, 'KUBELET_KUBEADM_ARGS="--pod-infra-container-image=x --v=3"\n')
    run(node, "write_flags", KUBELET_FLAGS, flags=["pod-infra-container-image"])
    assert node.read(KUBELET_FLAGS) == 'KUBELET_KUBEADM_ARGS="--v=3"\n'


def test_the_end_leaves_nothing_of_kubeadm_and_no_marker(node: Machine) -> None:
    operation.begin(node, Operation(operation.UPGRADE, "2026-11-27T10:00:00Z", version=NEW))
    node.put(upgrade.LEFTOVERS + "/notes-of-an-admin", "keep")
    run(node, "end")
    assert node.names(upgrade.LEFTOVERS) == ["notes-of-an-admin"] and operation.observe(node) is None


# -- the snapshot


def streamed(data: bytes, size: int = 1000) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        blob = base64.b64encode(data[at : at + size]).decode()
        yield json.dumps({"result": {"remaining_bytes": "1", "blob": blob}}).encode() + b"\n"


DATABASE = bytes(range(256)) * 16
COMPLETE = DATABASE + hashlib.sha256(DATABASE).digest()
PATH = snapshot.path_of(OLD, NEW)


def test_a_snapshot_is_complete_and_for_root_alone(machine: Machine) -> None:
    assert snapshot.save(machine, "https://10.0.0.1:2379", PATH, lambda url: streamed(COMPLETE)) == len(COMPLETE)
    assert (machine.folder / PATH.lstrip("/")).read_bytes() == COMPLETE
    assert machine.mode(PATH) == 0o600 and machine.mode(snapshot.FOLDER) == 0o700


@pytest.mark.parametrize(
    "lines",
    [
        list(streamed(COMPLETE))[:-1],
        list(streamed(COMPLETE[:-1] + b"\0")),
        [],
        [b"not JSON\n"],
        [b'{"result": {"blob": "%%%"}}\n'],
        [b'{"error": {"message": "etcdserver: no space"}}\n'],
    ],
)
def test_a_snapshot_that_is_not_complete_is_none(machine: Machine, lines: List[bytes]) -> None:
    with pytest.raises(KubesteadError, match="could not save a snapshot of etcd"):
        snapshot.save(machine, "https://10.0.0.1:2379", PATH, lambda url: iter(lines))
    assert machine.names(snapshot.FOLDER) == []


def test_old_snapshots_and_parts_are_removed(machine: Machine) -> None:
    import os

    for at, name in enumerate(("before-a.db", "before-b.db", "before-c.db", "before-d.db.part", "mine.db")):
        machine.put("{0}/{1}".format(snapshot.FOLDER, name))
        os.utime(machine.path("{0}/{1}".format(snapshot.FOLDER, name)), (at, at))
    assert snapshot.prune(machine) == ["before-a.db", "before-d.db.part"]
    assert machine.names(snapshot.FOLDER) == ["before-b.db", "before-c.db", "mine.db"]
