# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters whose lab has a second version, and what must be true of them after an upgrade."""

from __future__ import annotations

import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from lab.inventory import LATER

from . import figures
from .conftest import WITHOUT_ETCD, Lab, Run, eventually, nodes
from .faults import Fault, arm, disarm, lines_struck, recover

UPGRADE = "playbooks/upgrade.yml"
CORDONED_BY = "kubestead.cluster/cordoned-by"
# Two nodes have no room for the pods of a third.
PODS_MAY_WAIT = ("-e", '{"cluster_drain_pods_may_wait": true}')
# Files that an interrupted upgrade leaves and a finished one does not, and manifests that are not kubeadm's.
LEFTOVERS = (
    "exec 2>/dev/null; ls -d /etc/kubernetes/tmp/* /run/kubestead.[!l]*; "
    "find /var/lib/kubestead -type f ! -path '*/snapshots/*'; "
    "ls -A /etc/kubernetes/manifests | grep -vxE '(etcd|kube-(apiserver|controller-manager|scheduler)).yaml'"
)


def upgradable(part: str, names: list[str], folder: Path) -> Iterator[Lab]:
    """A cluster on new nodes, whose mirror also has a later version."""
    with pytest.MonkeyPatch.context() as patch:
        # Nodes that a test starts again have the same mirror.
        patch.setenv("KUBESTEAD_UPGRADE_BINARIES", os.environ.get("KUBESTEAD_UPGRADE_BINARIES", "next-patch"))
        for lab in nodes(part, names, folder):
            run = lab.site()
            assert run.code == 0, run.output
            if not lab.has_variable("cp1", LATER):
                pytest.skip("the mirror has one version of Kubernetes")
            yield lab


def wanted(lab: Lab) -> tuple[str, ...]:
    """The arguments that name the later version."""
    return ("-e", f"cluster_kubernetes_version={lab.variable('cp1', LATER)}")


def upgrade(lab: Lab, *arguments: str) -> Run:
    """Run upgrade.yml to the later version."""
    return lab.playbook(UPGRADE, *wanted(lab), *arguments)


def upgraded(lab: Lab, hosts: list[str], cordoned: tuple[str, ...] = ()) -> None:
    """Assert that all parts of the cluster of ``hosts`` have the later version, and that nothing is left of its way
    there. ``cordoned`` are nodes that somebody else cordoned.
    """
    version = lab.variable("cp1", LATER)
    assert eventually(lambda: _nodes(lab, hosts) == {host: (f"v{version}", True) for host in hosts}), _nodes(lab, hosts)
    for node in json.loads(lab.kubectl("get nodes -o json"))["items"]:
        name = node["metadata"]["name"]
        assert CORDONED_BY not in node["metadata"].get("annotations", {}), name
        assert bool(node["spec"].get("unschedulable")) == (name in cordoned), name
    config = lab.kubectl("-n kube-system get configmap kubeadm-config -o jsonpath='{.data.ClusterConfiguration}'")
    assert f"kubernetesVersion: v{version}\n" in config
    # A component that lost its API server several times is started again after up to five minutes.
    assert eventually(lambda: _components(lab) == {f"v{version}"}, 330.0), _components(lab)
    for host in hosts:
        left = lab.ssh(host, LEFTOVERS, check=False)
        assert left == "", f"{host}: {left}"
        packages = lab.ssh(host, "dpkg-query -W -f '${Package} ${Version}\\n' kube*; apt-mark showhold")
        for name in ("kubeadm", "kubelet", "kubectl"):
            assert f"{name} {version}-" in packages and f"\n{name}\n" in f"\n{packages}\n", packages


def _nodes(lab: Lab, hosts: list[str]) -> dict[str, tuple[str, bool]]:
    """The version of the kubelet of each node, and whether the node is ready."""
    try:
        found = json.loads(lab.kubectl("get nodes -o json", check=False))["items"]
    except ValueError:
        return {}
    return {
        one["metadata"]["name"]: (
            one["status"]["nodeInfo"]["kubeletVersion"],
            any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"]["conditions"]),
        )
        for one in found
    }


def _components(lab: Lab) -> set[str]:
    """The tags of the images that the components' containers run; ``starting`` if one is not ready."""
    pods = json.loads(lab.kubectl("-n kube-system get pods -o json"))["items"]
    found = set()
    for pod in pods:
        for status in pod["status"].get("containerStatuses", []):
            if status["name"] in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"):
                found.add(status["image"].rpartition(":")[2] if status["ready"] else "starting")
    return found


def strike_at_every_line(lab: Lab, host: str, at: str, faults: Sequence[Fault], *arguments: str) -> list[str]:
    """Run the upgrade until it ends well. Each run is struck at the first line of kubeadm's output on ``host`` with
    ``at`` (a regular expression) at which none was struck before, by the ``faults`` in turn. The lines, with 0 for each
    number; at most KUBESTEAD_STRIKES of them.
    """
    lines: list[str] = []
    for fault in itertools.cycle(faults):
        if len(lines) < int(os.environ.get("KUBESTEAD_STRIKES", "100")):
            arm(lab, host, "upgrade", at, fault, every=True)
        run = upgrade(lab, *arguments)
        recover(lab, host, fault)
        found = lines_struck(lab, host)
        print(f"{datetime.now():%T} {host} {fault.name}: {found[len(lines) :]}: {run.code}", flush=True)
        # A fault that kubeadm survives need not stop the run.
        assert run.code == 0 or len(found) > len(lines), f"failed without being struck: {run.output}"
        if len(found) > len(lines):
            figures.count(f"{fault.name} during an upgrade", "tried")
        lines = found
        if run.code == 0:
            break
    disarm(lab, host)
    return lines


def changes(run: Run) -> Counter[str]:
    """The changed tasks, with the host they ran on and the steps of their modules."""
    return Counter(
        f"{row['on']}: {row['task'].rpartition(' : ')[2]}: {', '.join(row['steps'])}"
        for row in run.tasks
        if row["changed"]
    )


# Written by programs that are always at work: kubectl's cache, and what the kubelet (1.33 and later) notes about pods.
AT_WORK = r"' /root/.kube/cache/\| /var/lib/kubelet/\(actuated\|allocated\)_pods_state$'"


def footprints(lab: Lab) -> dict[str, str]:
    """What a dry run must not touch on each node, which may be down. etcd and kubelets are always at work."""
    hosts = re.findall(r"(?m)^ +(\w+):\n +ansible_host:", lab.inventory.read_text())
    command = "{ " + WITHOUT_ETCD + "; } | grep -v " + AT_WORK
    return {host: lab.ssh(host, command, check=False) for host in hosts}


def foretold(lab: Lab, state: str, playbook: str, *arguments: str) -> Run:
    """Run a playbook with --check --diff, then run it, and compare; the run.

    A reset is confirmed.
    """
    before = footprints(lab)
    said = lab.playbook(playbook, "--check", "--diff", *arguments)
    after = footprints(lab)
    run = lab.playbook(playbook, "-e", "reset_confirmed=true", *arguments)
    figures.count("dry runs of upgrade, remove and reset", "states foretold and run")
    wrong = [f"{state}: foretold, but not changed: {one}" for one in changes(said) - changes(run)]
    wrong += [f"{state}: changed, but not foretold: {one}" for one in changes(run) - changes(said)]
    figures.count("dry runs of upgrade, remove and reset", "mispredictions", len(wrong))
    assert (said.code, run.code) == (0, 0), said.output + run.output
    assert not wrong, "\n".join(wrong) + said.output + run.output
    assert after == before, f"{state}: the dry run changed {[host for host in after if after[host] != before[host]]}"
    return run
