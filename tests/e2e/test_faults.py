# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that are cut off, on real nodes with the real kubeadm: whatever happened, the next run ends well.

Without an option a representative part is run; ``./dev faults`` runs all of it.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import figures
from .conftest import FOOTPRINT, Lab, Run, dev, eventually, nodes
from .faults import (
    CONTAINERD_STOPPED,
    CUT_OFF,
    FULL_DISK,
    KILLED,
    KUBELET_KILLED,
    MODULE_KILLED,
    RESTARTED,
    Fault,
    arm,
    bare_again,
    disarm,
    recover,
    struck,
    summary,
    whole,
)
from .test_simultaneous import on_a_running_cluster

# kubeadm's own patience, so that what can't come up is given up in seconds.
IMPATIENT = {
    "cluster_kubeadm_config": {
        "InitConfiguration": {"timeouts": {"controlPlaneComponentHealthCheck": "40s"}},
    },
    "control_plane_timeout": 120,
    "join_timeout": 60,
}

INIT = (
    r"^\[preflight\]",
    r"^\[certs\] Generating \"apiserver\"",
    r"^\[kubeconfig\] Writing \"(admin|super-admin).conf\"",
    r"^\[etcd\]",
    r"^\[control-plane\] .*kube-scheduler",
    r"^\[kubelet-start\] Starting",
    r"^\[wait-control-plane\]",
    r"^\[upload-config\]",
    r"^\[mark-control-plane\]",
    r"^\[bootstrap-token\]",
    r"^\[kubelet-finalize\]",
    r"^\[addons\] Applied essential addon: CoreDNS",
)
JOIN = (
    r"^\[preflight\] Running",
    r"^\[preflight\] Reading",
    r"^\[kubelet-start\] Writing kubelet configuration",
    r"^\[kubelet-start\] Starting",
    r"^\[kubelet-start\] Waiting for the kubelet to perform",
    r"^This node has joined",
)
CONTROL_PLANE_JOIN = (
    r"^\[preflight\] Running",
    r"^\[download-certs\]",
    r"^\[certs\] Generating \"apiserver\"",
    r"^\[kubeconfig\] Generating",
    r"^\[control-plane\] .*kube-scheduler",
    r"^\[check-etcd\]",
    r"^\[kubelet-start\] Starting",
    r"^\[etcd\] Announced",
    r"^\[mark-control-plane\]",
)
# Faults that follow each other until the init is whole: before its API server answers, when it should, and later.
INIT_IN_TURN = (
    (r"^\[certs\] Generating \"apiserver\"", MODULE_KILLED),
    (r"^\[wait-control-plane\]", RESTARTED),
    (r"^\[bootstrap-token\]", MODULE_KILLED),
)
# The others are of the whole suite.
REPRESENTATIVE = {
    ("join", r"^\[kubelet-start\] Starting", MODULE_KILLED.name),
    ("control plane join", r"^\[kubelet-start\] Starting", MODULE_KILLED.name),
}


def cases(command: str, lines: tuple[str, ...], faults: tuple[Fault, ...]) -> list[Any]:
    """All combinations; those outside the representative part are marked."""
    found = []
    for fault in faults:
        for at in lines:
            marks = [] if (command, at, fault.name) in REPRESENTATIVE else [pytest.mark.thorough]
            found.append(pytest.param(at, fault, marks=marks, id=f"{fault.name} at {at}"))
    return found


@pytest.fixture(scope="module")
def killed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two bare nodes, which all tests of two nodes use one after the other."""
    yield from nodes("faults", ["cp1", "w1"], tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def faulty_lab(killed_lab: Lab) -> Lab:
    """The same nodes with everything installed and a cluster on them, in which no token of a killed run is left."""
    lab = killed_lab
    run = lab.site()
    assert run.code == 0, run.output
    lab.kubectl("-n kube-system delete secrets --field-selector type=bootstrap.kubernetes.io/token")
    return lab


def cut_off(lab: Lab, host: str, fault: Fault, run: Run) -> bool:
    """Whether the join of a host was struck."""
    return f"{host} became unreachable while it joined" in run.output if fault.restarts else struck(lab, host)


ALL = (MODULE_KILLED, KILLED, CONTAINERD_STOPPED, KUBELET_KILLED, RESTARTED, FULL_DISK)


def test_a_control_machine_that_dies_at_every_task_boundary(killed_lab: Lab) -> None:
    """One boundary after the other on the same nodes, from bare machines to a run that is not killed any more."""
    lab = killed_lab
    kills = 0
    while lab.killed_at(kills + 1):
        kills += 1
        assert kills < 60
    assert kills > 15
    run = lab.site()
    assert (run.code, run.changed()) == (0, {}), run.output
    whole(lab, ["cp1", "w1"], tokens=True)
    figures.count("kills of the control machine", "tried", kills)
    figures.count("kills of the control machine", "converged", kills)


@pytest.mark.thorough
def test_a_control_machine_that_dies_in_the_middle_of_every_task(killed_lab: Lab) -> None:
    """From bare nodes each time, and so many seconds into the task, whose program goes on on the nodes."""
    lab, task, at_once = killed_lab, 0, 0.4
    for after in itertools.cycle((at_once, 1.5, 4.0, 10.0)):
        task += 1
        for host in ("cp1", "w1"):
            bare_again(lab, host)
        if not lab.killed_at(task, after=after):
            # It has no such task, or all of its tasks ended before that time was over.
            if after == at_once:
                break
            continue
        figures.count("kills in the middle of a task", "tried")
        run = lab.site()
        assert run.code == 0, f"killed at {task}: {run.output}"
        whole(lab, ["cp1", "w1"], tokens=True)
        figures.count("kills in the middle of a task", "converged")
    assert task > 20


def test_a_run_that_comes_while_the_last_ones_kubeadm_is_at_it(faulty_lab: Lab) -> None:
    """The control machine dies, kubeadm on the node does not: the next run waits for it instead of fighting it."""
    lab = faulty_lab
    lab.kubectl("delete node w1 --ignore-not-found")
    bare_again(lab, "w1")
    slow = "pkill -STOP -f '^/usr/bin/kubeadm'; sleep 15; pkill -CONT -f '^/usr/bin/kubeadm'"
    arm(lab, "w1", "join", JOIN[0], Fault("kubeadm is slow", shell=slow))
    assert lab.killed_at("Join workers", after=5.0)
    assert "join" in lab.ssh("w1", "pgrep -af '^/usr/bin/kubeadm'")
    run = lab.site()
    assert run.code == 0, run.output
    assert [line for line in summary(run.output, "w1") if line.startswith("join: ")], run.output
    disarm(lab, "w1")
    whole(lab, ["cp1", "w1"])


def test_two_control_machines_at_the_same_time(faulty_lab: Lab, tmp_path: Path) -> None:
    on_a_running_cluster(faulty_lab, tmp_path, 0)


ADMIN = "cat /etc/kubernetes/admin.conf"
# Of the control plane alone.
ONLY_INIT = ("--limit", "cp1", "-e", json.dumps(IMPATIENT))


def struck_in_init(lab: Lab, at: str, fault: Fault, *more: str) -> Run:
    """A run that is struck, and what a person does after it; the run. ``more`` are arguments."""
    arm(lab, "cp1", "init", at, fault)
    figures.count("faults in kubeadm init", "tried")
    run = lab.site(*ONLY_INIT, *more)
    recover(lab, "cp1", fault)
    assert "UNREACHABLE" in run.output if fault.restarts else struck(lab, "cp1"), run.output
    disarm(lab, "cp1")
    if fault.kill or fault.restarts:
        assert run.code != 0
    return run


def authorities(kubeconfig: str) -> list[str]:
    """The CAs in a kubeconfig, in base64."""
    return re.findall(r"certificate-authority-data: (\S+)", kubeconfig)


def initialized(lab: Lab, *before: Run, more: tuple[str, ...] = ()) -> None:
    """Assert that the next run ends well, and that another one changes nothing. ``more`` are arguments."""
    run = lab.site(*ONLY_INIT, *more)
    assert run.code == 0, "".join(one.output for one in before) + run.output
    whole(lab, ["cp1"])
    again = lab.site(*ONLY_INIT, *more)
    assert (again.code, again.changed()) == (0, {}), again.output
    figures.count("faults in kubeadm init", "converged", len(before))


def test_an_init_that_is_cut_off_again_and_again(faulty_lab: Lab) -> None:
    """Each run takes up what the one before left, and gets as far as the next fault.

    The copy on the control machine is of an earlier cluster at the same address. Whichever run creates the new one, the
    last run replaces the copy, and the old contents stay in the backup.
    """
    lab, copy = faulty_lab, faulty_lab.folder / "of-an-earlier-cluster"
    server = f"server: https://{lab.variable('cp1', 'ansible_host')}:"
    earlier = re.sub(r"server: https://[^:\s]+:", server, lab.ssh("cp1", ADMIN))
    copy.write_text(earlier)
    for host in ("cp1", "w1"):
        bare_again(lab, host)
    more = ("-e", f"cluster_kubeconfig_path={copy}")
    initialized(lab, *[struck_in_init(lab, at, fault, *more) for at, fault in INIT_IN_TURN], more=more)
    assert copy.with_name(copy.name + ".before-kubestead").read_text() == earlier
    assert authorities(copy.read_text()) == authorities(lab.ssh("cp1", ADMIN)) != authorities(earlier)
    assert server in copy.read_text()


@pytest.mark.thorough
@pytest.mark.parametrize(("at", "fault"), cases("init", INIT, ALL))
def test_an_init_that_is_cut_off(faulty_lab: Lab, at: str, fault: Fault) -> None:
    for host in ("cp1", "w1"):
        bare_again(faulty_lab, host)
    initialized(faulty_lab, struck_in_init(faulty_lab, at, fault))


def running(lab: Lab, host: str) -> set[tuple[str, str]]:
    """The containers that run on a node, and which of their lives they are in."""
    pods = json.loads(lab.kubectl(f"get pods -A -o json --field-selector spec.nodeName={host}"))["items"]
    statuses = [one for pod in pods for one in pod["status"].get("containerStatuses", [])]
    return {(one["containerID"], one["state"]["running"]["startedAt"]) for one in statuses if "running" in one["state"]}


@pytest.mark.parametrize(("at", "fault"), cases("join", JOIN, (*ALL, CUT_OFF)))
def test_a_join_that_is_cut_off(faulty_lab: Lab, at: str, fault: Fault) -> None:
    lab = faulty_lab
    lab.kubectl("delete node w1 --ignore-not-found")
    bare_again(lab, "w1")
    # Pods of the w1 that was are listed for a while yet.
    before = running(lab, "cp1")
    arm(lab, "w1", "join", at, fault)
    figures.count("faults in kubeadm join", "tried")
    arguments = ("-e", json.dumps(IMPATIENT))
    first = lab.site(*arguments)
    recover(lab, "w1", fault)
    assert cut_off(lab, "w1", fault, first), first.output
    disarm(lab, "w1")
    second = lab.site(*arguments)
    assert second.code == 0, first.output + second.output
    whole(lab, ["cp1", "w1"])
    third = lab.site(*arguments)
    assert (third.code, third.changed()) == (0, {}), third.output
    assert before and before <= running(lab, "cp1")
    figures.count("faults in kubeadm join", "converged")


WRONG = {
    "unknown": ({"token": "aaaaaa.bbbbbbbbbbbbbbbb"}, "token aaaaaa is unknown at"),
    # The API server is asked with the token itself then.
    "unknown, with the CA at hand": (
        {"token": "aaaaaa.bbbbbbbbbbbbbbbb", "ca_certificate": "{ca}"},
        "token aaaaaa is unknown at",
    ),
    "wrong secret": (
        {"token": "{id}.bbbbbbbbbbbbbbbb"},
        "token {id} is known at {host}:6443, but has a different secret part",
    ),
    "wrong CA": ({"ca_cert_hashes": ["sha256:" + "0" * 64]}, "ca_cert_hashes has sha256:000"),
    "wrong endpoint": ({"endpoint": "{host}:6444"}, "endpoint {host}:6444 does not answer"),
}


def test_a_join_with_what_does_not_fit_changes_nothing(faulty_lab: Lab) -> None:
    lab = faulty_lab
    lab.kubectl("delete node w1 --ignore-not-found")
    bare_again(lab, "w1")
    expired = lab.module("cp1", "kubeadm_join_token", {"ttl": "1m", "reuse": False})
    minted = lab.module("cp1", "kubeadm_join_token", {"ttl": "10m", "reuse": False})
    good = {key: minted[key] for key in ("endpoint", "token", "ca_cert_hashes")}
    words = {
        "id": minted["token_id"],
        "host": good["endpoint"].split(":")[0],
        "ca": minted["ca_certificate"],
    }
    before = lab.ssh("w1", FOOTPRINT)

    def refused(arguments: dict[str, Any], says: str) -> None:
        figures.count("joins with a token, CA or endpoint that does not fit", "tried")
        failed = lab.module("w1", "kubeadm_join", arguments)
        assert failed["failed"] and says in failed["msg"] and "\n" not in failed["msg"], failed
        assert lab.ssh("w1", FOOTPRINT) == before
        figures.count("joins with a token, CA or endpoint that does not fit", "refused with nothing changed")

    for changes, says in WRONG.values():
        filled = {
            key: value.format(**words) if isinstance(value, str) else value
            for key, value in changes.items()  # type: ignore[attr-defined]
        }
        refused(good | filled, says.format(**words))
    lab.module("cp1", "kubeadm_join_token", {"state": "absent", "token_id": minted["token_id"]})
    refused(good, f"token {minted['token_id']} is unknown at")
    ended = f"-n kube-system get secret bootstrap-token-{expired['token_id']}"
    assert eventually(lambda: "NotFound" in lab.kubectl(ended, check=False), 120)
    refused(good | {"token": expired["token"]}, f"token {expired['token_id']} is unknown at")
    run = lab.site()
    assert run.code == 0, run.output
    whole(lab, ["cp1", "w1"])


@pytest.fixture(scope="module")
def shared_lab(killed_lab: Lab) -> Lab:
    """A control plane that others may join, with a worker, and a bare machine that is to be the second.

    They are the nodes of the tests before, taken out of their cluster, and a new one.
    """
    lab = killed_lab
    for host in ("cp1", "w1"):
        bare_again(lab, host)
    dev("nodes", "create", "--set", lab.inventory.parent.name, "cp1", "cp2", "w1")
    run = lab.site("--limit", "cp1,w1", *shared(lab))
    assert run.code == 0, run.output
    return lab


def shared(lab: Lab) -> tuple[str, ...]:
    """The arguments that give the cluster an endpoint which leads to cp1."""
    return ("-e", json.dumps({**IMPATIENT, "cluster_endpoint": f"{lab.variable('cp1', 'ansible_host')}:6443"}))


@pytest.mark.parametrize(("at", "fault"), cases("control plane join", CONTROL_PLANE_JOIN, ALL))
def test_a_control_plane_join_that_is_cut_off(shared_lab: Lab, at: str, fault: Fault) -> None:
    lab = shared_lab
    # As a control plane is taken out: its etcd member first, which kubeadm reset sees to.
    bare_again(lab, "cp2")
    lab.kubectl("delete node cp2 --ignore-not-found")
    before = running(lab, "w1")
    arm(lab, "cp2", "join", at, fault)
    figures.count("faults in kubeadm join of a control plane", "tried")
    first = lab.site(*shared(lab))
    recover(lab, "cp2", fault)
    assert cut_off(lab, "cp2", fault, first), first.output
    disarm(lab, "cp2")
    second = lab.site(*shared(lab))
    if "run again once the other control planes are healthy" in second.output:
        # etcd has no quorum until the kubelet of cp2 starts the new member. Without the API, the kubelet of Kubernetes
        # 1.20 may need minutes to start, which is longer than join_timeout here.
        figures.count("faults in kubeadm join of a control plane", "waited for etcd")
        assert eventually(lambda: lab.kubectl("get --raw /readyz", check=False).strip() == "ok", 300), second.output
        second = lab.site(*shared(lab))
    assert second.code == 0, first.output + second.output
    whole(lab, ["cp1", "cp2", "w1"], control_planes=2)
    third = lab.site(*shared(lab))
    assert (third.code, third.changed()) == (0, {}), third.output
    assert before <= running(lab, "w1")
    figures.count("faults in kubeadm join of a control plane", "converged")


def ready(lab: Lab, number: int) -> bool:
    """Whether so many nodes become ready."""
    return eventually(lambda: lab.kubectl("get nodes --no-headers", check=False).count(" Ready") == number, 120)


def pod_ranges(lab: Lab, node: str) -> str:
    """The pod ranges in the Node; empty if the Node does not exist."""
    return lab.kubectl(f"get node {node} --ignore-not-found -o jsonpath='{{.spec.podCIDRs}}'").strip()


def test_a_dead_worker_stops_nobody_else(shared_lab: Lab) -> None:
    lab = shared_lab
    before = pod_ranges(lab, "cp2")
    bare_again(lab, "cp2")
    lab.kubectl("delete node cp2 --ignore-not-found")
    lab.ssh("w1", RESTARTED.shell, check=False)
    dead = lab.site(*shared(lab))
    recover(lab, "w1", RESTARTED)
    assert dead.code != 0 and "w1" in dead.output and "UNREACHABLE" in dead.output, dead.output
    assert "Join" in " ".join(dead.changed()["cp2"]), dead.output
    assert ready(lab, 3)
    whole(lab, ["cp1", "cp2", "w1"], control_planes=2)
    figures.count("dead nodes", "tried")
    # w1 missed only the route to cp2. A newly elected controller manager may assign the earlier range of cp2 again;
    # then the existing route is still correct.
    expected = [] if pod_ranges(lab, "cp2") == before else ["w1"]
    missed = lab.site(*shared(lab))
    assert missed.code == 0 and list(missed.changed()) == expected, missed.output
    again = lab.site(*shared(lab))
    assert (again.code, again.changed()) == (0, {}), again.output
    figures.count("dead nodes", "stopped nobody else")


@pytest.mark.thorough
def test_a_dead_control_plane_stops_nobody_else(tmp_path: Path) -> None:
    for lab in nodes("planes", ["cp1", "cp2", "cp3", "w1"], tmp_path):
        run = lab.site("--limit", "control_plane", *shared(lab))
        assert run.code == 0, run.output
        lab.ssh("cp3", RESTARTED.shell, check=False)
        figures.count("dead nodes", "tried")
        dead = lab.site(*shared(lab))
        assert dead.code != 0 and "UNREACHABLE" in dead.output, dead.output
        assert "Join" in " ".join(dead.changed()["w1"]), dead.output
        recover(lab, "cp3", RESTARTED)
        assert ready(lab, 4)
        missed = lab.site(*shared(lab))
        assert missed.code == 0 and list(missed.changed()) == ["cp3"], missed.output
        again = lab.site(*shared(lab))
        assert (again.code, again.changed()) == (0, {}), again.output
        figures.count("dead nodes", "stopped nobody else")
