# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Joins that fail for a cause that appeared after the checks: the message names the program and its last log lines.

The lines are in docs/troubleshooting.md. They need Kubernetes 1.34 or newer.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from . import figures
from .conftest import Lab, eventually, nodes
from .faults import FULL_DISK, Fault, arm, bare_again, disarm, recover, struck, whole

pytestmark = pytest.mark.thorough

# kubeadm gives up in seconds.
TIMEOUTS = {name: "25s" for name in ("kubeletHealthCheck", "tlsBootstrap", "kubernetesAPICall", "discovery")}
ARGUMENTS = ("-e", json.dumps({"cluster_kubeadm_config": {"JoinConfiguration": {"timeouts": TIMEOUTS}}}))

BEGINNING = r"^\[preflight\] Running"
WRITING = r"^\[kubelet-start\] Writing kubelet configuration"
STARTING = r"^\[kubelet-start\] Starting"
# kubeadm stands still for as long as the shell runs.
STOPPED = "pkill -STOP -f '^/usr/bin/kubeadm'; {0}; pkill -CONT -f '^/usr/bin/kubeadm'"
BOOTSTRAP = "/etc/kubernetes/bootstrap-kubelet.conf"


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
    "a typo in the kubelet's configuration": Cause(
        STARTING,
        "sed -i 's/^cgroupDriver:.*/cgroupDriver: systemdd/' /var/lib/kubelet/config.yaml; systemctl restart kubelet",
        "true",
        r"kubelet fails to start and is restarted repeatedly: .*systemdd",
    ),
    "port 10250 is taken": Cause(
        BEGINNING,
        "systemd-run --quiet --unit=squatter python3 -m http.server 10250",
        "systemctl stop squatter",
        r"10250.*bind: address already in use.*; another program uses a port",
    ),
    "containerd is stopped": Cause(
        STARTING,
        "systemctl stop containerd",
        "systemctl start containerd",
        r"containerd is not running \(inactive\)",
    ),
    "the API server can't be reached any more": Cause(
        WRITING,
        "iptables -I OUTPUT -p tcp --dport 6443 -j REJECT --reject-with icmp-host-unreachable",
        "iptables -D OUTPUT -p tcp --dport 6443 -j REJECT --reject-with icmp-host-unreachable",
        r"kubelet.* logged: .*no route to host.*; an address can't be reached from this host",
    ),
    "another CA in the bootstrap kubeconfig": Cause(
        WRITING,
        STOPPED.format(
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=other -days 2 -out /run/other.crt; "
            f'sed -i "s/certificate-authority-data: .*/certificate-authority-data: $(base64 -w0 /run/other.crt)/" '
            f"{BOOTSTRAP}"
        ),
        "rm /run/other.crt",
        r"kubelet.* logged: .*certificate signed by unknown authority.*; a certificate is signed by a CA",
    ),
    "the disk is full": Cause(BEGINNING, FULL_DISK.shell, FULL_DISK.heal, r"no space (is )?left"),
    "/var/lib/kubelet is mounted read-only": Cause(
        BEGINNING,
        "mount -o remount,ro,bind /var/lib/kubelet || mount -o bind,ro /var/lib/kubelet /var/lib/kubelet",
        "mount -o remount,rw,bind /var/lib/kubelet",
        r"read-only file system.*; a file system is mounted read-only",
    ),
    "the unit of the kubelet is masked": Cause(
        BEGINNING,
        "systemctl mask --now kubelet",
        "systemctl unmask kubelet",
        r"kubelet is not running \(inactive\).*masked|masked",
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
    print(f"{name}: {line[:900]}")
    assert re.search(cause.says, line), line
    second = lab.site(*ARGUMENTS)
    assert second.code == 0, second.output
    whole(lab, ["cp1", "w1"])
    figures.count("causes of failed joins", "named, then joined")


def test_a_token_that_is_revoked_while_a_host_joins(causes_lab: Lab) -> None:
    lab = causes_lab
    fresh_worker(lab)
    arm(lab, "w1", "join", WRITING, Fault("slow", shell=STOPPED.format("sleep 25")))
    figures.count("causes of failed joins", "provoked")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        run = pool.submit(lab.site, *ARGUMENTS)
        assert eventually(lambda: bool(struck(lab, "w1")), 180)
        lab.kubectl("-n kube-system delete secret --field-selector type=bootstrap.kubernetes.io/token")
        time.sleep(1)
        first = run.result()
    disarm(lab, "w1")
    assert first.code != 0
    line = failure_line(first.output)
    print(f"token revoked: {line[:900]}")
    assert re.search(r"[Uu]nauthorized.*; the token has expired or was revoked; run again", line), line
    second = lab.site(*ARGUMENTS)
    assert second.code == 0, second.output
    whole(lab, ["cp1", "w1"])
    figures.count("causes of failed joins", "named, then joined")
