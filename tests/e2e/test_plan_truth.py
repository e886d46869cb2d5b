# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``--check --diff`` is true: it touches nothing, shows no secret, and the run that follows changes what it foretold.

A state of the nodes is made, foretold, then run. The tests build on each other, in this order; those marked thorough
leave the cluster as they found it.
"""

from __future__ import annotations

import concurrent.futures
import json
import re
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from . import figures
from .conftest import FOOTPRINT, Lab, Run, eventually, nodes
from .faults import bare_again

HOSTS = ("cp1", "w1", "w2")
# What a dry run may not touch beside what FOOTPRINT has: names, modes, owners and times of files, the caches of apt and
# kubectl, folders that Ansible makes, units and since when they run, routes, rules, containers. etcd is at work always.
MARKS = (
    "exec 2>/dev/null; { "
    + FOOTPRINT
    + r"""; } | grep -v /var/lib/etcd/member; find /etc /opt /root /home /usr/local /var/cache /var/lib/apt """
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


@pytest.fixture(scope="module")
def plain_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three bare nodes."""
    yield from nodes("truth", list(HOSTS), tmp_path_factory.mktemp("truth"))


# -- measuring


def marks(lab: Lab) -> dict[str, list[str]]:
    """Everything a dry run could have touched: on the nodes, in the API, on the control machine."""
    with concurrent.futures.ThreadPoolExecutor(len(HOSTS) + 1) as pool:
        texts = {host: pool.submit(lab.ssh, host, MARKS, False) for host in hosts_of(lab)}
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


def tell(lab: Lab, state: str, *arguments: str) -> dict[str, list[str]]:
    """Foretell a run, run it, compare; what was foretold."""
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
    return told


def nothing(lab: Lab, state: str) -> None:
    """Assert that a run foretells nothing and does nothing."""
    told = tell(lab, state)
    assert {host: steps for host, steps in told.items() if steps != ["nothing to do"]} == {}


def has(steps: list[str], *patterns: str) -> None:
    """Assert that each pattern is in one of the steps."""
    for pattern in patterns:
        assert any(re.search(pattern, step) for step in steps), (pattern, steps)


# -- from bare machines to a cluster


def test_bare_machines(plain_lab: Lab) -> None:
    # One for an earlier cluster of the same nodes would be left alone.
    (plain_lab.inventory.parent / "kubeconfig").unlink(missing_ok=True)
    told = tell(plain_lab, "bare", "--limit", "cp1,w1")
    has(
        told["cp1"],
        r"^install kubelet .* containerd \(.*not installed -> .*containerd not installed\)",
        r"^write config /etc/containerd/config.toml ",
        r"^init cp1 \(no cluster on this host; version \d+\.\d+\.\d+, pods 10",
        r"^write kubeconfig /home/admin/.kube/config \(the kubeconfig does not exist\)",
        r"^write kubeconfig \S+/kubeconfig \(the kubeconfig does not exist\)",
        r"^configure /etc/cni/net.d/10-kubestead.conflist ",
    )
    has(told["w1"], r"^join as worker \(no kubelet.conf; not in the API\)", r"^configure .*conflist ")


def test_a_newcomer_alone(plain_lab: Lab) -> None:
    told = tell(plain_lab, "newcomer with --limit", "--limit", "w2")
    has(told["w2"], r"^join as worker \(no kubelet.conf; not in the API\)")


def test_a_complete_cluster(plain_lab: Lab) -> None:
    nothing(plain_lab, "complete")


# -- drift

DRIFT = {
    "containerd's configuration edited": (
        "cp1",
        "sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' /etc/containerd/config.toml",
        r"^restart containerd.service \(SystemdCgroup false -> true\)",
    ),
    "swap in fstab": (
        "w1",
        "echo '//nas/share /mnt cifs noauto,user=me,password=geheim 0 0' >> /etc/fstab; "
        "echo '/swap.img none swap sw 0 0' >> /etc/fstab",
        r"^comment out /etc/fstab \(switches swap /swap.img on at boot; a copy is kept in /etc/fstab\S+\)",
    ),
    "packages not held": ("w1", "apt-mark unhold kubelet kubectl", r"^hold kubelet kubectl \(not held\)"),
    "a sysctl": ("w2", "sysctl -w net.ipv4.ip_forward=0", r"^set net.ipv4.ip_forward \(0 -> 1\)"),
    "a sysctl of another file": (
        "w2",
        "echo net.ipv4.ip_forward=0 > /etc/sysctl.d/zz-mine.conf",
        r"^comment out /etc/sysctl.d/zz-mine.conf \(is read later and sets net.ipv4.ip_forward = 0; a copy is kept in ",
    ),
    "the user's kubeconfig deleted": (
        "cp1",
        "rm -r /home/admin/.kube",
        r"^write kubeconfig /home/admin/.kube/config \(the kubeconfig does not exist\)",
    ),
    "routes lost": (
        "w2",
        "ip route flush proto 107",
        r"^add route 10\.\S+ \(missing\)",
    ),
    "kubelet not enabled": ("w1", "systemctl disable kubelet", r"^enable kubelet.service \(not enabled\)"),
    "the pod network's unit removed": (
        "cp1",
        "systemctl disable kubestead-routes; rm /etc/systemd/system/kubestead-routes.service; systemctl daemon-reload",
        r"^write /etc/systemd/system/kubestead-routes.service \(missing\)",
    ),
    "containerd not enabled": ("w2", "systemctl disable containerd", r"^enable containerd.service \(not enabled\)"),
}


def test_everything_that_can_drift_at_once(plain_lab: Lab) -> None:
    lab = plain_lab
    for host, command, _says in DRIFT.values():
        lab.ssh(host, command)
    (lab.inventory.parent / "kubeconfig").unlink()
    told = tell(lab, "all drift at once")
    for host, _command, says in DRIFT.values():
        has(told[host], says)
    has(told["cp1"], r"^write kubeconfig \S+/kubeconfig \(the kubeconfig does not exist\)")


def leave(lab: Lab, host: str) -> None:
    """Remove a node as the documentation of Kubernetes describes, and wait until the cluster is stable.

    Without the wait, the pods of the deleted node are replaced about a minute later, possibly during a dry run.
    """
    lab.kubectl(f"drain {host} --ignore-daemonsets --force --timeout=120s")
    lab.kubectl("-n kube-system rollout status deployment/coredns --timeout=120s")
    lab.kubectl(f"delete node {host}")
    lab.ssh(host, "kubeadm reset --force")
    lab.kubectl(f"delete pods -A --field-selector spec.nodeName={host} --force --grace-period=0")


def test_a_node_that_was_removed(plain_lab: Lab) -> None:
    leave(plain_lab, "w1")
    told = tell(plain_lab, "node removed")
    has(told["w1"], r"^join as worker \(no kubelet.conf; not in the API\)")
    for host in ("cp1", "w2"):
        has(told[host], r"^add route to the pods of w1 \(w1 joins\)", r"^remove route 10\S+ \(no node has this range\)")
    nothing(plain_lab, "complete again")


# -- each alone, and rarer states


@pytest.mark.thorough
@pytest.mark.parametrize("what", DRIFT)
def test_drift(plain_lab: Lab, what: str) -> None:
    host, command, says = DRIFT[what]
    plain_lab.ssh(host, command)
    told = tell(plain_lab, what)
    has(told[host], says)
    assert [one for one in HOSTS if told[one] == ["nothing to do"]] == [one for one in HOSTS if one != host]
    nothing(plain_lab, f"{what}, mended")


@pytest.mark.thorough
def test_the_copy_on_the_control_machine(plain_lab: Lab) -> None:
    copy = plain_lab.inventory.parent / "kubeconfig"
    for state, change in (
        ("copy deleted", copy.unlink),
        ("copy that others may read", lambda: copy.chmod(0o644)),
        ("copy edited", lambda: copy.write_text(copy.read_text() + "# mine\n")),
    ):
        change()
        told = tell(plain_lab, state)
        has(told["cp1"], r"^(write|protect) kubeconfig \S+/kubeconfig ")


@pytest.mark.thorough
def test_a_node_that_was_reset_but_is_in_the_api(plain_lab: Lab) -> None:
    plain_lab.ssh("w1", "kubeadm reset --force")
    # A node of that name that is ready would be another machine.
    assert eventually(lambda: "NotReady" in plain_lab.kubectl("get node w1 --no-headers"), 120)
    told = tell(plain_lab, "node reset, not deleted")
    has(told["w1"], r"^join as worker \(no kubelet.conf; a Node with its name exists")
    assert told["cp1"] == told["w2"] == ["nothing to do"]


@pytest.mark.thorough
def test_a_machine_whose_containerd_was_removed(plain_lab: Lab) -> None:
    """Its configuration is left, and the package takes it up again."""
    leave(plain_lab, "w2")
    plain_lab.ssh("w2", "DEBIAN_FRONTEND=noninteractive apt-get -q remove -y containerd")
    told = tell(plain_lab, "containerd removed, its configuration left")
    has(told["w2"], r"^install containerd \(not installed\)")
    assert not [step for step in told["w2"] if "config.toml" in step]


@pytest.mark.thorough
def test_a_machine_whose_containerd_was_purged(plain_lab: Lab) -> None:
    leave(plain_lab, "w2")
    plain_lab.ssh(
        "w2",
        "DEBIAN_FRONTEND=noninteractive apt-get -q purge -y containerd; rm -rf /etc/containerd; "
        "rm -rf /var/lib/apt/lists/*",
    )
    told = tell(plain_lab, "containerd purged, no lists")
    has(told["w2"], r"^install containerd \(not installed\)", r"^write config /etc/containerd/config.toml ")


@pytest.mark.thorough
def test_a_containerd_that_was_made_for_another_kubeadm(plain_lab: Lab) -> None:
    """The sandbox image is foretold of the kubeadm that is to come."""
    leave(plain_lab, "w2")
    plain_lab.ssh(
        "w2",
        "DEBIAN_FRONTEND=noninteractive apt-get -q purge -y --allow-change-held-packages kubeadm kubelet kubectl; "
        r"sed -i -E 's|(sandbox(_image)? = \".*pause:)[^\"]*|\13.1|' /etc/containerd/config.toml; "
        "systemctl restart containerd",
    )
    told = tell(plain_lab, "containerd of another kubeadm")
    has(told["w2"], r"^restart containerd.service \(.*sandbox.*pause:3.1 -> \S+pause:3\.")
    nothing(plain_lab, "containerd of another kubeadm, mended")


OTHER_VERSION = (
    "cd $(mktemp -d) && mkdir -p p/DEBIAN && "
    "printf 'Package: kubectl\\nVersion: 1.19.9-1.1\\nArchitecture: all\\nMaintainer: me\\nDescription: x\\n' "
    "> p/DEBIAN/control && dpkg-deb -b p k.deb && dpkg --force-downgrade,hold -i k.deb && apt-mark {0} kubectl"
)


@pytest.mark.thorough
@pytest.mark.parametrize("hold", ["hold", "unhold"])
def test_another_version_of_a_package(plain_lab: Lab, hold: str) -> None:
    leave(plain_lab, "w2")
    plain_lab.ssh("w2", OTHER_VERSION.format(hold))
    told = tell(plain_lab, f"another version ({hold})")
    has(told["w2"], r"^install kubectl \(1.19.9-1.1 -> ")


@pytest.mark.thorough
def test_another_version_on_a_node_is_refused_by_both(plain_lab: Lab) -> None:
    lab = plain_lab
    lab.ssh("w2", OTHER_VERSION.format("hold"))
    for arguments in (("--check", "--diff"), ()):
        run = lab.site(*arguments)
        assert run.code != 0 and "the node runs kubectl 1.19.9 and is a member of a cluster" in run.output
        assert not run.changed()
    leave(lab, "w2")
    tell(lab, "another version, taken out")


@pytest.mark.thorough
def test_a_node_without_its_cni_plugins(plain_lab: Lab) -> None:
    plain_lab.ssh("w1", "dpkg --force-depends,hold,remove-reinstreq -r kubernetes-cni")
    told = tell(plain_lab, "kubernetes-cni removed")
    has(told["w1"], r"^install .*kubernetes-cni")


@pytest.mark.thorough
def test_machines_that_have_the_packages_alone(plain_lab: Lab) -> None:
    lab = plain_lab
    earlier = shlex.quote(lab.ssh("cp1", "cat /home/admin/.kube/config"))
    for host in HOSTS:
        bare_again(lab, host)
    # The login user and the control machine still have the kubeconfig of the cluster that is gone.
    lab.ssh(
        "cp1",
        f"install -d -o admin -g admin -m 700 /home/admin/.kube; printf %s {earlier} > /tmp/k; "
        "install -o admin -g admin -m 600 /tmp/k /home/admin/.kube/config; rm /tmp/k",
    )
    told = tell(lab, "packages alone, to a control plane", "--limit", "cp1")
    has(told["cp1"], r"^write kubeconfig /home/admin/.kube/config \(for an earlier cluster at ")
    told = tell(lab, "control plane alone")
    has(told["w1"], r"^join as worker")
    has(told["cp1"], r"^add route to the pods of w1", r"^add route to the pods of w2")
    nothing(lab, "half-built, completed")


@pytest.mark.thorough
def test_a_second_control_plane(tmp_path_factory: pytest.TempPathFactory) -> None:
    for lab in nodes("truth2", ["cp1", "cp2", "w1"], tmp_path_factory.mktemp("truth2")):
        told = tell(lab, "two control planes, bare")
        has(
            told["w1"],
            r"^install haproxy \(the node has 2 control planes\)",
            r"^start kubestead-api-endpoint.service \(not active\)",
            r"^write hosts /etc/hosts \(no address of the API -> 127.0.0.1\)",
        )
        has(
            told["cp2"],
            r"^join as control plane \(no kubelet.conf; not in the API\)",
            r"^write kubeconfig /home/admin/.kube/config \(the kubeconfig does not exist\)",
        )
        lab.ssh("cp2", "rm -r /home/admin/.kube")
        told = tell(lab, "two control planes, complete but for a kubeconfig")
        assert told["cp1"] == told["w1"] == ["nothing to do"]
