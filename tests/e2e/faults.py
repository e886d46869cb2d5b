# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults on lab nodes, struck while the real kubeadm is at a certain line of its output.

A saboteur stands before kubeadm on the PATH of a node. It runs the real one, passes its output on, and strikes once
when a line matches. Without an order it is not there: it becomes the real kubeadm at once.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime

from .conftest import Lab, dev, eventually

ORDER = "/run/fault.json"
STRUCK = "/run/fault.struck"
# The lines at which faults that strike at every line have struck; it survives a restart of the node.
KNOWN = "/root/fault.lines"

SABOTEUR = r"""#!/usr/bin/python3
import ctypes, json, os, re, signal, subprocess, sys
REAL = "/usr/bin/kubeadm"
try:
    with open("/run/fault.json") as stream:
        order = json.load(stream)
except OSError:
    order = {}
if sys.argv[1:2] != [order.get("command")]:
    os.execv(REAL, [REAL] + sys.argv[1:])
component = ""
def strikes(line):
    global component
    text = line.decode("utf-8", "replace").strip()
    begun = re.search('Preparing for "(.*)" upgrade', text)
    component = "<%s> " % begun.group(1) if begun else component
    if not text or not re.search(order["at"], component + text):
        return False
    if not order["every"]:
        return True
    # Times and versions differ between runs.
    shape = re.sub("[0-9]+", "0", component + text)
    with open(order["every"], "a+") as known:
        known.seek(0)
        if shape in known.read().splitlines():
            return False
        known.write(shape + "\n")
        return True
# Who ends this, as kubeadm's module does after a time, means kubeadm: PR_SET_PDEATHSIG.
tied = lambda: ctypes.CDLL(None).prctl(1, signal.SIGKILL)
child = subprocess.Popen([REAL] + sys.argv[1:], stdout=subprocess.PIPE, preexec_fn=tied)
for line in child.stdout:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    if order and strikes(line):
        os.unlink("/run/fault.json")
        with open("/run/fault.struck", "wb") as stream:
            stream.write(line)
        if order["kill"]:
            child.kill()
        if order["kill"] == "module":
            os.kill(os.getppid(), signal.SIGKILL)
        if order["shell"]:
            subprocess.run(["bash", "-c", order["shell"]], stdin=subprocess.DEVNULL)
        order = {}
code = child.wait()
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
"""


@dataclass(frozen=True)
class Fault:
    """What is done to a node when kubeadm says ``at`` (a regular expression for a line of its output).

    ``kill`` is ``kubeadm`` or ``module`` (the Ansible module that runs kubeadm as well); ``shell`` runs on the node;
    ``heal`` is what no program can do for the user, such as plugging a cable in again.
    """

    name: str
    kill: str = ""
    shell: str = ""
    heal: str = ""
    restarts: bool = False


KILLED = Fault("kubeadm is killed", kill="kubeadm")
MODULE_KILLED = Fault("kubeadm and its module are killed", kill="module")
CONTAINERD_STOPPED = Fault("containerd is stopped", shell="systemctl stop containerd")
KUBELET_KILLED = Fault("the kubelet is killed", shell="systemctl kill -s KILL kubelet")
RESTARTED = Fault("the node restarts", shell="systemctl --force --force poweroff", restarts=True)
# Nothing but SSH from the control machine gets through.
CUT_OFF = Fault(
    "the network between the nodes is cut",
    shell="iptables -I INPUT -i eth0 -p tcp ! --dport 22 -j DROP; "
    "iptables -I OUTPUT -o eth0 -p tcp ! --sport 22 -j DROP",
    heal="iptables -D INPUT -i eth0 -p tcp ! --dport 22 -j DROP; "
    "iptables -D OUTPUT -o eth0 -p tcp ! --sport 22 -j DROP",
)
# What kubeadm and etcd write to becomes a file system that has no room, with what is there already in it. Healed, it
# has what preflight asks for.
FULL_DISK = Fault(
    "the disk is full",
    shell="for d in /etc/kubernetes /var/lib/etcd; do mkdir -p $d; mkdir -p /run/was$d; cp -a $d/. /run/was$d/; "
    "mount -t tmpfs -o size=$(( $(du -sk $d | cut -f1) + 16 ))k full $d; cp -a /run/was$d/. $d/; "
    "head -c 10M /dev/zero > $d/filler 2>/dev/null; done; true",
    heal="for d in /etc/kubernetes /var/lib/etcd; do rm -f $d/filler; mount -o remount,size=4g $d; done",
)


def arm(lab: Lab, host: str, command: str, at: str, fault: Fault, every: bool = False) -> None:
    """Have ``fault`` strike ``host`` when ``kubeadm command`` says ``at`` the next time.

    With ``every``, it strikes at the first line with ``at`` at which none has struck; see :func:`lines_struck`. A line
    that follows the beginning of a component's upgrade has the component before it, as in ``<etcd> [upgrade/etcd] …``.
    """
    known = KNOWN if every else ""
    order = json.dumps({"command": command, "at": at, "kill": fault.kill, "shell": fault.shell, "every": known})
    lab.ssh(
        host,
        f"rm -f {STRUCK}; printf %s {shlex.quote(SABOTEUR)} > /usr/local/bin/kubeadm; "
        f"chmod 755 /usr/local/bin/kubeadm; printf %s {shlex.quote(order)} > {ORDER}",
    )


def struck(lab: Lab, host: str) -> str:
    """The line at which the fault struck; empty when it did not."""
    return lab.ssh(host, f"cat {STRUCK} 2>/dev/null", check=False).strip()


def lines_struck(lab: Lab, host: str) -> list[str]:
    """The lines at which faults that strike at every line have struck, with 0 for each number."""
    return lab.ssh(host, f"cat {KNOWN} 2>/dev/null", check=False).splitlines()


def disarm(lab: Lab, host: str) -> None:
    """Take the saboteur away."""
    lab.ssh(host, f"rm -f {ORDER} {STRUCK} {KNOWN} /usr/local/bin/kubeadm")


def recover(lab: Lab, host: str, fault: Fault) -> None:
    """Do what a person has to do after ``fault``: switch the machine on, plug it in, make room. Nothing else."""
    if fault.restarts:
        dev("nodes", "create", "--set", lab.inventory.parent.name, host)
    if fault.heal:
        lab.ssh(host, fault.heal)


def bare_again(lab: Lab, host: str) -> None:
    """Take a node out of whatever it is in, as its owner would: packages stay, Kubernetes' state goes."""
    lab.ssh(
        host,
        "rm -f /usr/local/bin/kubeadm; systemctl start containerd; kubeadm reset --force >/dev/null 2>&1; "
        # Full disks; what the node keeps over a restart stays mounted.
        "grep -oE ' /(etc/kubernetes|var/lib/etcd) tmpfs ' /proc/mounts | while read -r dir _; do umount $dir; done; "
        "rm -rf /etc/kubernetes/* /var/lib/etcd/* /var/lib/kubestead /etc/cni/net.d/* /home/admin/.kube /run/was "
        "/var/lib/cni; ip link delete cni0 2>/dev/null; "
        "systemctl list-unit-files --no-legend 'kubestead*' | cut -d' ' -f1 | xargs -r systemctl disable --now; "
        "rm -f /etc/systemd/system/kubestead-*; systemctl daemon-reload; true",
    )


def whole(lab: Lab, hosts: list[str], control_planes: int = 1, tokens: bool = False) -> None:
    """Assert that the cluster of ``hosts`` lacks nothing and that nothing is left of what was cut off.

    ``tokens`` allows for bootstrap tokens that end within 15 minutes: no one deletes that of a control machine that
    died, where nobody has to join any more.
    """
    # A kubelet whose containerd was down says so late, when it is up again: at its next status.
    assert eventually(lambda: _ready(lab) == set(hosts)), _ready(lab)
    # It fails, and names what is missing, unless all of them exist.
    lab.kubectl(
        "-n kube-system get configmap/kubeadm-config configmap/kube-proxy daemonset/kube-proxy deployment/coredns "
        "service/kube-dns role/kubeadm:nodes-kubeadm-config -o name"
    )
    lab.kubectl("-n kube-public get configmap/cluster-info -o name")
    minutes = _minutes_left(lab)
    # The cluster removes them a little late.
    assert tokens or not minutes, minutes
    assert all(-2 < left <= 15 for left in minutes), minutes
    for host in hosts:
        files = lab.ssh(
            host,
            "ls -d /var/lib/kubestead /etc/kubernetes/bootstrap-kubelet.conf /run/kubestead.[!l]* 2>&1",
            check=False,
        )
        assert not [line for line in files.splitlines() if "No such file" not in line], files
    members = json.loads(
        lab.ssh(
            "cp1",
            "curl -sS --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt "
            "--key /etc/kubernetes/pki/etcd/server.key -d '{}' https://127.0.0.1:2379/v3/cluster/member/list",
        )
    )["members"]
    assert len(members) == control_planes and all(one.get("name") for one in members), members


def _ready(lab: Lab) -> set[str]:
    return {
        node["metadata"]["name"]
        for node in json.loads(lab.kubectl("get nodes -o json"))["items"]
        if any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"]["conditions"])
    }


def _minutes_left(lab: Lab) -> list[float]:
    """How long each bootstrap token of the cluster is still good for."""
    listed = lab.kubectl("-n kube-system get secrets --field-selector type=bootstrap.kubernetes.io/token -o json")
    ends = [base64.b64decode(one["data"]["expiration"]).decode() for one in json.loads(listed)["items"]]
    now = datetime.now(UTC)
    return [(datetime.fromisoformat(end.replace("Z", "+00:00")) - now).total_seconds() / 60 for end in ends]


def summary(output: str, host: str) -> list[str]:
    """The plan's lines for a host."""
    return [line.split(None, 1)[1] for line in output.splitlines() if re.match(rf"^  {host} ", line)]
