# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dry runs: what they say, what they touch, and what the run that follows changes."""

from __future__ import annotations

import concurrent.futures
import json
import re
import shlex
import time
from collections import Counter
from typing import Any

from . import figures
from .conftest import WITHOUT_ETCD, Lab, Run

# What a dry run may not touch beside what WITHOUT_ETCD has: names, modes, owners and times of files, the caches of apt
# and kubectl, folders that Ansible makes, units and since when they run, routes, rules, containers.
MARKS = (
    "exec 2>/dev/null; " + WITHOUT_ETCD + r"""; find /etc /opt /root /home /usr/local /var/cache /var/lib/apt """
    r"""/var/lib/dpkg /var/lib/kubestead /var/lib/cni /srv -xdev ! -name kubestead-lab.crt """
    r"""-printf '%p %y %m %U:%G %s %T@ %C@\n'; """
    r"""find /usr -xdev -type d -printf '%p %m %T@\n'; ls -d /run/kubestead*; """
    r"""systemctl show containerd kubestead-routes -p Id,ActiveState,UnitFileState,InvocationID,MainPID; """
    r"""systemctl is-enabled kubelet; ip route; iptables-save | grep -v '^[:#]'; cat /proc/swaps; """
    r"""sysctl net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables; """
    r"""ctr -n k8s.io containers ls -q | sort"""
)
# A line for each object of the API, without what changes while nobody does anything: events and leases come and go.
DIGEST = """
import hashlib, json, sys
for item in json.load(sys.stdin)["items"]:
    metadata = item["metadata"]
    for name in ("managedFields", "resourceVersion", "generation"):
        metadata.pop(name, None)
    metadata.get("annotations", {}).pop("control-plane.alpha.kubernetes.io/leader", None)
    item.pop("status", None)
    digest = hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest()
    print(item["kind"], metadata.get("namespace", ""), metadata["name"], digest)
"""
# Another cache than root's own, whose files are watched. A file, for what comes through pipes of SSH and sudo was cut.
ALL_OBJECTS = (
    'kubectl() { command kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /tmp/e2e-kubectl "$@"; }; '
    "exec 2>/dev/null; "
    "test -e /etc/kubernetes/admin.conf || exit 0; "
    "kubectl get -A -o json $(kubectl api-resources --verbs=list -o name | "
    r"grep -vE '^(events|leases)(\.|$)|^componentstatuses$|metrics' | paste -sd,) > /tmp/e2e-objects && "
    f"python3 -c {shlex.quote(DIGEST)} < /tmp/e2e-objects | sort"
)
# kubectl's own time is for each pod.
PODS_READY = (
    "timeout 60 kubectl --kubeconfig /etc/kubernetes/admin.conf --cache-dir /tmp/e2e-kubectl "
    "wait --for=condition=Ready pods --all -A --timeout=60s"
)
SECRET = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|PRIVATE KEY|client-key-data: \S|geheim")


def marks(lab: Lab) -> dict[str, list[str]]:
    """Everything a dry run could have touched: on the nodes, in the API, on the control machine."""
    hosts = hosts_of(lab)
    with concurrent.futures.ThreadPoolExecutor(len(hosts) + 1) as pool:
        texts = {host: pool.submit(lab.ssh, host, MARKS, False) for host in hosts}
        api = pool.submit(lab.ssh, "cp1", ALL_OBJECTS)
        found = {host: text.result().splitlines() for host, text in texts.items()}
        found["the API"] = api.result().splitlines()
    copy = lab.inventory.parent / "kubeconfig"
    found["the control machine"] = [f"{copy.stat()} {copy.read_text()}"] if copy.exists() else []
    return found


def settled(lab: Lab) -> dict[str, list[str]]:
    """The same once rules and containers that somebody's change has set off have come to rest."""
    end = time.monotonic() + 90
    found = marks(lab)
    while found != (again := marks(lab)) and time.monotonic() < end:
        found = again
    return again


def hosts_of(lab: Lab) -> list[str]:
    """The lab's nodes."""
    return re.findall(r"(?m)^ +(\w+):\n +ansible_host:", lab.inventory.read_text())


def _components(row: dict[str, Any]) -> list[str]:
    """The components that a task changed, where it is the task that applies several."""
    if row["action"] != "kubestead.cluster.node_components":
        return [""]
    return sorted({step.partition(":")[0] for step in row["steps"]})


def changes(run: Run) -> Counter[str]:
    """The changed tasks, with the host they ran on and the component that changed."""
    return Counter(
        f"{row['on']}: {row['task'].rpartition(' : ')[2]}: {component}"
        for row in run.tasks
        if row["changed"]
        for component in _components(row)
    )


def foretold(run: Run) -> dict[str, list[str]]:
    """The summary at the end of a dry run: what will happen, by host."""
    text = run.output[run.output.rindex("TASK [Show the plan]") :]
    found: dict[str, list[str]] = {}
    for line in re.findall(r'(?m)^ +("(?:\w+): .*"),?$', text):
        host, _colon, step = json.loads(line).partition(": ")
        found.setdefault(host, []).append(step)
    return found


def check(lab: Lab, *arguments: str) -> Run:
    """A dry run; fails when it touches anything, shows a secret, or does not end well."""
    before = settled(lab)
    run = lab.site("--check", "--diff", *arguments)
    after = marks(lab)
    assert run.code == 0, run.output
    for place, lines in before.items():
        assert sorted(set(lines) ^ set(after[place]))[:20] == [], place
    assert not SECRET.search(run.output), SECRET.findall(run.output)
    return run


def told_and_run(lab: Lab, state: str, *arguments: str) -> tuple[dict[str, list[str]], Run]:
    """Foretell a run, run it, compare; what was foretold, and the run."""
    said = check(lab, *arguments)
    run = lab.site(*arguments)
    figures.count("dry runs", "states foretold and run")
    wrong = [f"{state}: foretold, but not changed: {one}" for one in changes(said) - changes(run)]
    wrong += [f"{state}: changed, but not foretold: {one}" for one in changes(run) - changes(said)]
    figures.count("dry runs", "mispredictions", len(wrong))
    assert run.code == 0, said.output + run.output
    assert not wrong, said.output + run.output
    lab.ssh("cp1", PODS_READY, check=False)
    told = foretold(said)
    # A host is said to have nothing to do just when nothing is changed there for its own sake.
    busy = {row["on"] for row in run.tasks if row["changed"] and "token" not in row["task"]}
    quiet = {host for host, steps in told.items() if steps == ["nothing to do"]}
    assert not busy & quiet, (busy, told)
    assert not [line for line in str(told).split("'") if len(line) > 400], "a line nobody reads"
    return told, run


def tell(lab: Lab, state: str, *arguments: str) -> dict[str, list[str]]:
    """Foretell a run, run it, compare; what was foretold."""
    return told_and_run(lab, state, *arguments)[0]


def nothing(lab: Lab, state: str) -> None:
    """Assert that a run foretells nothing and does nothing."""
    told, run = told_and_run(lab, state)
    assert {host: steps for host, steps in told.items() if steps != ["nothing to do"]} == {}
    assert run.changed() == {}, run.output


def has(steps: list[str], *patterns: str) -> None:
    """Assert that each pattern is in one of the steps."""
    for pattern in patterns:
        assert any(re.search(pattern, step) for step in steps), (pattern, steps)
