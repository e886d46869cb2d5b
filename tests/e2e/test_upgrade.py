# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upgrades of real clusters: foretold, interrupted, continued by the same command.

Without KUBESTEAD_UPGRADE_BINARIES, the later version is the same Kubernetes under the next patch version. Without an
option a representative part is run; ``./dev faults`` runs all of it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from . import figures
from .conftest import Lab, dev, eventually
from .faults import KILLED, KUBELET_KILLED, MODULE_KILLED, RESTARTED, Fault, arm, disarm, struck
from .upgrades import (
    LEFTOVERS,
    PODS_MAY_WAIT,
    UPGRADE,
    footprints,
    foretold,
    strike_at_every_line,
    upgradable,
    upgrade,
    upgraded,
    wanted,
)

KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
PLANES = ["cp1", "cp2", "cp3"]
REMOVE, RESET = "playbooks/remove.yml", "playbooks/reset.yml"
# kubeadm would wait for minutes for a kubelet that does not run.
KUBELET_STOPPED = Fault("the kubelet is stopped and kubeadm killed", kill="kubeadm", shell="systemctl stop kubelet")
# Only what kubeadm writes to; etcd goes on in the files that it has open. kubeadm fails, or it waits for minutes and is
# killed.
FULL_ETC = Fault(
    "the disk is full",
    shell="d=/etc/kubernetes; used() { echo $(( $(du -sk $d | cut -f1) + 16 ))k; }; "
    'grep -q " $d tmpfs " /proc/mounts || { mkdir -p /run/was; cp -a $d/. /run/was/; '
    "mount -t tmpfs -o size=$(used) full $d; cp -a /run/was/. $d/; rm -r /run/was; }; "
    "mount -o remount,size=$(used) $d; head -c 10M /dev/zero > $d/filler 2>/dev/null; "
    "p=$(pgrep -f '^/usr/bin/kubeadm'); { sleep 20; kill -KILL $p; } > /dev/null 2>&1 < /dev/null & true",
    heal="rm -f /etc/kubernetes/filler; mount -o remount,size=4g /etc/kubernetes 2>/dev/null; true",
)
ALL = (KILLED, MODULE_KILLED, RESTARTED, KUBELET_STOPPED, FULL_ETC)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Lab]:
    """A control plane and a worker."""
    yield from upgradable("upgrade", ["cp1", "w1"], tmp_path)


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Lab]:
    """A control plane and two workers."""
    yield from upgradable("upgrade", ["cp1", "w1", "w2"], tmp_path)


@pytest.fixture
def five(tmp_path: Path) -> Iterator[Lab]:
    """Three control planes and two workers."""
    yield from upgradable("upgrade", [*PLANES, "w1", "w2"], tmp_path)


def test_an_interrupted_upgrade_is_foretold_and_finished_by_the_same_command(pair: Lab) -> None:
    """The module is killed while the API server restarts; the cordon of an administrator stays."""
    lab = pair
    lab.kubectl("cordon w1")
    before = footprints(lab)
    dry = upgrade(lab, "--check", "--diff", *PODS_MAY_WAIT)
    assert dry.code == 0, dry.output
    assert {row["on"] for row in dry.tasks if row["changed"]} == {"cp1", "w1"}, dry.output
    assert footprints(lab) == before
    arm(lab, "cp1", "upgrade", "^<kube-apiserver> .* Waiting for the kubelet", MODULE_KILLED)
    figures.count("faults in an upgrade", "tried")
    first = upgrade(lab, *PODS_MAY_WAIT)
    assert first.code != 0 and struck(lab, "cp1"), first.output
    disarm(lab, "cp1")
    assert "operation.json" in lab.ssh("cp1", LEFTOVERS, check=False)
    foretold(lab, "interrupted upgrade", UPGRADE, *wanted(lab), *PODS_MAY_WAIT)
    upgraded(lab, ["cp1", "w1"], cordoned=("w1",))
    again = upgrade(lab, *PODS_MAY_WAIT)
    assert (again.code, again.changed()) == (0, {}), again.output
    site = lab.site(*wanted(lab))
    # kubeadm has renewed admin.conf, and the upgrade has written its copies for users again.
    assert (site.code, site.changed()) == (0, {}), site.output
    figures.count("faults in an upgrade", "converged")


# The output of kubeadm in parts, so that one test of them takes minutes: host, lines, and how many there are at least.
BEGINNING = r"\[(preflight|upgrade/(config|preflight|versions?|prepull|init))\]|\[upgrade\] (Running|Fetching|Reading)"
COMPONENTS = r"\[(upgrade/(apply|control-plane|staticpods|etcd)|apiclient)\]"
PARTS = {
    "beginning": ("cp1", f"^({BEGINNING})", 3),
    "etcd": ("cp1", f"^(<etcd> )?({COMPONENTS})", 3),
    "kube-apiserver": ("cp1", f"^<kube-apiserver> ({COMPONENTS})", 4),
    "kube-controller-manager": ("cp1", f"^<kube-controller-manager> ({COMPONENTS})", 4),
    "kube-scheduler": ("cp1", f"^<kube-scheduler> ({COMPONENTS})", 4),
    "rest": ("cp1", f"^<kube-scheduler> (?!{COMPONENTS})", 3),
    "worker": ("w1", ".", 4),
}


@pytest.mark.thorough
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    "fault",
    ALL,
    ids=lambda fault: fault.name.replace(" ", "-"),
)
def test_a_fault_at_every_line_of_kubeadm(pair: Lab, fault: Fault, part: str) -> None:
    """Each run is struck at the next line of a part, until one ends well."""
    lab = pair
    lab.kubectl("cordon w1")
    host, at, least = PARTS[part]
    if host == "w1":
        run = upgrade(lab, *PODS_MAY_WAIT, "--limit", "cp1")
        assert run.code == 0, run.output
    lines = strike_at_every_line(lab, host, at, [fault], *PODS_MAY_WAIT)
    assert len(lines) >= (1 if fault is FULL_ETC else least), lines
    upgraded(lab, ["cp1", "w1"], cordoned=("w1",))
    again = upgrade(lab, *PODS_MAY_WAIT)
    assert (again.code, again.changed()) == (0, {}), again.output
    figures.count(f"{fault.name} during an upgrade", "converged", len(lines))


# Lines at which kubeadm has changed something, or is about to.
CHANGES = r"Moving|Restarting|Waiting|successfully|Writing|kubelet-config|bootstrap-token|addons|mark-control-plane"


@pytest.mark.thorough
def test_faults_of_all_kinds_in_turn(pair: Lab) -> None:
    """One after the other, each at the next line at which kubeadm changes something."""
    lab = pair
    lab.kubectl("cordon w1")
    lines = strike_at_every_line(lab, "cp1", CHANGES, ALL, *PODS_MAY_WAIT)
    upgraded(lab, ["cp1", "w1"], cordoned=("w1",))
    again = upgrade(lab, *PODS_MAY_WAIT)
    assert (again.code, again.changed()) == (0, {}), again.output
    figures.count("faults of all kinds in turn during an upgrade", "converged", len(lines))


def killed_at_every_task(lab: Lab, subject: str, playbook: str, *arguments: str, after: float = 0.0) -> None:
    """Run a playbook and kill it at its first task, again at its second task, and so on, until one run ends well."""
    task = kills = missed = 0
    # A task that ended before its time was over is not counted.
    while missed < 2:
        task += 1
        killed = lab.killed_at(task, *arguments, after=after, playbook=playbook)
        print(f"{datetime.now():%T} {subject}: task {task}: {killed}", flush=True)
        kills, missed = (kills + 1, 0) if killed else (kills, missed + 1)
        assert task < 80
    figures.count(subject, "tried", kills)
    assert kills > 8
    run = lab.playbook(playbook, *arguments)
    assert (run.code, run.changed()) == (0, {}), run.output
    figures.count(subject, "converged", kills)


@pytest.mark.thorough
@pytest.mark.parametrize("after", [0.0, 2.5, 10.0])
def test_a_control_machine_that_dies_at_every_task(pair: Lab, after: float) -> None:
    """So many seconds after the task began. What it started on the nodes is not killed."""
    lab = pair
    lab.kubectl("cordon w1")
    subject = f"control machine killed {after:g} s after the start of a task of an upgrade"
    killed_at_every_task(lab, subject, UPGRADE, *wanted(lab), *PODS_MAY_WAIT, after=after)
    upgraded(lab, ["cp1", "w1"], cordoned=("w1",))


@pytest.mark.thorough
def test_a_control_machine_that_dies_at_every_task_of_a_removal(trio: Lab) -> None:
    lab = trio
    # Most tasks of a removal end within two seconds.
    for after in (0.0, 0.5):
        subject = f"control machine killed {after:g} s after the start of a task of a removal"
        killed_at_every_task(lab, subject, REMOVE, "-e", "remove_hosts=w2", after=after)
        assert "w2" not in lab.kubectl("get nodes -o name")
        run = lab.site()
        assert run.code == 0, run.output
        assert eventually(lambda: lab.kubectl("get node w2 --no-headers", check=False).split()[1:2] == ["Ready"])


@pytest.mark.thorough
def test_a_kubelet_that_is_killed_while_kubeadm_works(pair: Lab) -> None:
    """kubeadm goes on, and the upgrade ends in the same run."""
    lab = pair
    arm(lab, "cp1", "upgrade", "^<kube-apiserver> .* Waiting for the kubelet", KUBELET_KILLED)
    arm(lab, "w1", "upgrade", "Reading configuration", KUBELET_KILLED)
    figures.count("kubelet killed during an upgrade", "tried", 2)
    run = upgrade(lab, *PODS_MAY_WAIT)
    assert run.code == 0, run.output
    assert struck(lab, "cp1") and struck(lab, "w1")
    for host in ("cp1", "w1"):
        disarm(lab, host)
    upgraded(lab, ["cp1", "w1"])
    figures.count("kubelet killed during an upgrade", "converged", 2)


@pytest.mark.thorough
def test_dry_runs_are_true(trio: Lab) -> None:
    """From one state of a cluster to the next."""
    lab = trio
    to = wanted(lab)
    foretold(lab, "control plane alone", UPGRADE, *to, "--limit", "cp1")
    lab.kubectl("cordon w2")
    task = "Upgrade the packages, the control plane and the kubelet"
    assert lab.killed_at(task, *to, *PODS_MAY_WAIT, playbook=UPGRADE)
    foretold(lab, "workers, one cordoned by a killed run, one by an administrator", UPGRADE, *to, *PODS_MAY_WAIT)
    upgraded(lab, ["cp1", "w1", "w2"], cordoned=("w2",))
    lab.kubectl("uncordon w2")
    foretold(lab, "complete", UPGRADE, *to)
    lab.ssh("w1", "apt-mark unhold kubelet kubeadm kubectl")
    foretold(lab, "packages not held", UPGRADE, *to)
    arm(lab, "w2", "reset", r"\[reset\]", MODULE_KILLED)
    assert lab.playbook(REMOVE, *to, "-e", "remove_hosts=w2").code != 0
    disarm(lab, "w2")
    foretold(lab, "interrupted removal", REMOVE, *to, "-e", "remove_hosts=w2")
    foretold(lab, "removed already", REMOVE, *to, "-e", "remove_hosts=w2")
    run = lab.site(*to)
    assert run.code == 0, run.output
    foretold(lab, "remove a worker", REMOVE, *to, "-e", "remove_hosts=w2")
    run = lab.site(*to)
    assert run.code == 0, run.output
    foretold(lab, "reset a worker", RESET, *to, "--limit", "w2")
    foretold(lab, "reset a bare host", RESET, *to, "--limit", "w2")
    run = lab.site(*to)
    assert run.code == 0, run.output
    lab.kubectl("cordon w2")
    foretold(lab, "remove a cordoned worker", REMOVE, *to, "-e", "remove_hosts=w2")
    run = lab.site(*to)
    assert run.code == 0, run.output
    lab.ssh("w2", RESTARTED.shell, check=False)
    # A machine whose kubelet still reports is not dead.
    assert eventually(lambda: "NotReady" in lab.kubectl("get node w2 --no-headers"), 120.0)
    foretold(lab, "remove a dead worker", REMOVE, *to, "-e", "remove_hosts=w2", "-e", "remove_gone=true")
    dev("nodes", "create", "--set", lab.inventory.parent.name, "w2")
    # Its kubelet registers it again.
    assert eventually(lambda: "w2" in lab.kubectl("get nodes -o name"))
    foretold(lab, "reset a host that was removed while it was dead", RESET, *to, "--limit", "w2")
    foretold(lab, "reset the whole cluster", RESET, *to)


APPLICATION = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [
                    {
                        "name": "web",
                        "image": "docker.io/kubestead/web:1",
                        "ports": [{"containerPort": 8080}],
                        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1},
                        # Connections that began before the endpoint was removed everywhere.
                        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "10"]}}},
                    }
                ],
                "topologySpreadConstraints": [
                    {
                        "maxSkew": 1,
                        "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"app": "web"}},
                    }
                ],
            },
        },
    },
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
}
BUDGET = {
    "apiVersion": "policy/v1",
    "kind": "PodDisruptionBudget",
    "metadata": {"name": "web"},
    "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
}
# 20 requests a second, each within 3 s, until the file /run/requests.stop exists; a line for each that failed: when it
# began, whether it waited for the connection or for the answer, and by how many seconds this process itself was late in
# that time. A machine that has no processor for it is not an application that fails.
REQUESTS = r"""
import concurrent.futures, http.client, os, sys, time
late = []
def ask(at):
    phase = "connection"
    try:
        connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=3)
        connection.connect()
        phase = "answer"
        connection.request("GET", "/")
        answer = connection.getresponse()
        if answer.status == 200 and answer.read():
            return ""
        reason = "status %d" % answer.status
    except Exception as err:
        reason = repr(err)
    own = max([delay for due, delay in list(late) if at - 1 <= due <= at + 4] or [0])
    return "%s %s: %s (late by %.1f s)" % (time.strftime("%T", time.gmtime(at)), phase, reason, own)
done = []
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    due = time.time()
    while not os.path.exists("/run/requests.stop"):
        done.append(pool.submit(ask, due))
        due += 0.05
        time.sleep(max(0, due - time.time()))
        late.append((due, time.time() - due))
failed = [one.result() for one in done if one.result()]
print(len(done), *failed, sep="\n")
"""


@pytest.mark.thorough
@pytest.mark.parametrize("_number", range(10))
def test_an_application_does_not_notice_an_upgrade(five: Lab, _number: int) -> None:
    """Two replicas with a budget, asked through their Service on a worker that is upgraded too."""
    lab = five
    old = "policy/v1\n" not in lab.kubectl("api-versions")
    budget = {**BUDGET, "apiVersion": "policy/v1beta1"} if old else BUDGET
    for document in (APPLICATION, SERVICE, budget):
        lab.ssh("cp1", f"printf %s {shlex.quote(json.dumps(document))} | {KUBECTL} apply -f -")
    lab.kubectl("rollout status deployment/web --timeout=120s")
    address = json.loads(lab.kubectl("get service web -o json"))["spec"]["clusterIP"]
    lab.ssh("w1", "rm -f /run/requests.stop")
    asking = lab.start("w1", f"python3 -c {shlex.quote(REQUESTS)} {address} 80 > /root/requests")
    try:
        run = upgrade(lab)
    finally:
        lab.ssh("w1", "touch /run/requests.stop")
        asking.wait(timeout=60)
    assert run.code == 0, run.output
    upgraded(lab, [*PLANES, "w1", "w2"])
    total, *failed = lab.ssh("w1", "cat /root/requests").splitlines()
    figures.count("requests to an application during an upgrade", "sent", int(total))
    figures.count("requests to an application during an upgrade", "failed", len(failed))
    assert int(total) > 1000
    assert not failed, "\n".join(failed)
