# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each of three control planes is replaced as README.md says, while it runs and after it was powered off for good.

``./dev faults tests/e2e/test_replace.py -s`` prints the seconds from the first command until the successor is ready.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from lab.podman import podman

from . import figures
from .conftest import Lab, Run, dev, eventually, nodes
from .faults import RESTARTED, arm, whole
from .upgrades import foretold

pytestmark = pytest.mark.thorough

PLANES, WORKER = ["cp1", "cp2", "cp3"], "w1"
REMOVE, RESET = "playbooks/remove.yml", "playbooks/reset.yml"
KUBECTL = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
# The identity of a worker, and the address at which its kubelet reaches the API.
IDENTITY = "sha256sum /etc/kubernetes/kubelet.conf /var/lib/kubelet/pki/kubelet-client-current.pem"
MEMBERS = (
    "curl -sS --cacert /etc/kubernetes/pki/etcd/ca.crt --cert /etc/kubernetes/pki/etcd/server.crt "
    "--key /etc/kubernetes/pki/etcd/server.key -d '{}' https://127.0.0.1:2379/v3/cluster/member/list"
)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster of three control planes and a worker."""
    for lab in nodes("replace", [*PLANES, WORKER], tmp_path_factory.mktemp("replace")):
        run = lab.site()
        assert run.code == 0, run.output
        yield lab


def other_than(victim: str) -> str:
    """A control plane that stays."""
    return next(host for host in PLANES if host != victim)


def members(lab: Lab, at: str) -> list[dict[str, Any]]:
    """The members of etcd as a control plane lists them."""
    found: list[dict[str, Any]] = json.loads(lab.ssh(at, MEMBERS))["members"]
    return found


def node(lab: Lab, at: str, name: str) -> dict[str, Any]:
    """The Node as a control plane knows it; empty if there is none."""
    text = lab.ssh(at, f"{KUBECTL} get node {name} --ignore-not-found -o json", check=False)
    try:
        found: dict[str, Any] = json.loads(text or "{}")
    except ValueError:
        return {}
    return found


def ready(lab: Lab, at: str, name: str) -> str:
    """The status of the Node's Ready condition; empty if there is no Node."""
    conditions = node(lab, at, name).get("status", {}).get("conditions", [])
    return next((str(one["status"]) for one in conditions if one["type"] == "Ready"), "")


def set_of(lab: Lab) -> str:
    return lab.inventory.parent.name


def power_off(lab: Lab, host: str) -> None:
    """Power a machine off, and wait until its Node is not ready."""
    podman("kill", "--signal=KILL", f"{set_of(lab)}-{host}")
    known = other_than(host)
    assert eventually(lambda: ready(lab, known, host) in ("Unknown", "False", ""), 180.0)


def remove(lab: Lab, host: str, *arguments: str) -> Run:
    """The first command of README.md for a replacement."""
    run = lab.playbook(REMOVE, "-e", f"remove_hosts={host}", *arguments)
    assert run.code == 0, run.output
    return run


def removed(lab: Lab, host: str) -> None:
    """Assert that nothing of a removed control plane is left in the cluster, nor its address in the kubeconfig copy."""
    at = other_than(host)
    copy = (lab.inventory.parent / "kubeconfig").read_text()
    servers = re.findall(r"server: https://([^:\s]+):", copy)
    staying = [lab.variable(one, "ansible_host") for one in PLANES if one != host]
    assert len(servers) == 1 and servers[0] in staying, (servers, staying)
    assert sorted(one.get("name", "") for one in members(lab, at)) == [one for one in PLANES if one != host]
    assert node(lab, at, host) == {}


def complete(lab: Lab, identity: str) -> None:
    """Assert that all three control planes are members, the worker is unchanged, and nothing is left to do."""
    whole(lab, [*PLANES, WORKER], control_planes=3)
    for host in PLANES:
        found = members(lab, host)
        strays = [one for one in found if one.get("name") not in PLANES]
        figures.count("replacement of a control plane", "stray etcd members", len(strays))
        # A member that has never started does not have a name and client URLs.
        assert sorted(one.get("name", "") for one in found) == PLANES, found
        assert all(one.get("clientURLs") and not one.get("isLearner") for one in found), found
    assert lab.ssh(WORKER, IDENTITY) == identity
    again = lab.site()
    assert (again.code, again.changed()) == (0, {}), again.output


def replaced(lab: Lab, host: str, how: str, began: float, *options: str) -> None:
    """Put a bare machine in the place of a removed control plane, and join it with the second command."""
    dev("nodes", "create", "--fresh", *options, "--set", set_of(lab), host)
    assert lab.ssh(host, "ls /usr/bin/kubeadm /etc/kubernetes/admin.conf 2>/dev/null", check=False) == ""
    run = lab.site()
    assert run.code == 0, run.output
    assert eventually(lambda: ready(lab, other_than(host), host) == "True", 240.0)
    seconds = round(time.monotonic() - began)
    figures.count(f"replacement of {host}, {how}", "seconds", seconds)
    print(f"\n{host}, {how}: Ready {seconds} s after the first command", flush=True)


@pytest.mark.parametrize("how", ["dead", "running"])
@pytest.mark.parametrize("host", PLANES)
def test_a_control_plane_is_replaced(four: Lab, host: str, how: str) -> None:
    """The new machine has the address of a dead one, and another address than a running one."""
    lab = four
    identity = lab.ssh(WORKER, IDENTITY)
    address = lab.variable(host, "ansible_host")
    figures.count("replacement of a control plane", "tried")
    if how == "dead":
        power_off(lab, host)
    began = time.monotonic()
    remove(lab, host, *(("-e", "remove_gone=true") if how == "dead" else ()))
    print(f"\n{host}, {how}: removed after {time.monotonic() - began:.0f} s", flush=True)
    removed(lab, host)
    replaced(lab, host, how, began, *(("--same-address",) if how == "dead" else ()))
    assert (lab.variable(host, "ansible_host") == address) == (how == "dead")
    complete(lab, identity)
    figures.count("replacement of a control plane", "converged")


def test_a_member_that_never_started_is_removed_and_its_machine_replaced(four: Lab) -> None:
    """A control plane loses its power for good when it has just been added to etcd."""
    lab, host = four, "cp3"
    at, identity = other_than(host), lab.ssh(WORKER, IDENTITY)
    remove(lab, host)
    arm(lab, host, "join", r"^\[etcd\] Announced", RESTARTED)
    figures.count("replacement of a control plane whose etcd member never started", "tried")
    first = lab.site()
    assert first.code != 0 and f"{host} became unreachable while it joined" in first.output, first.output
    nameless = [one for one in members(lab, at) if not one.get("name")]
    assert len(nameless) == 1 and len(members(lab, at)) == 3, members(lab, at)
    assert f"https://{lab.variable(host, 'ansible_host')}:2380" in nameless[0]["peerURLs"]
    began = time.monotonic()
    remove(lab, host, "-e", "remove_gone=true")
    removed(lab, host)
    replaced(lab, host, "its member never started", began, "--same-address")
    complete(lab, identity)
    figures.count("replacement of a control plane whose etcd member never started", "converged")


def test_a_control_plane_is_reset_and_joins_again(four: Lab) -> None:
    """The copy of the admin kubeconfig names it, and the control planes that stay are not selected."""
    lab, host = four, "cp1"
    identity = lab.ssh(WORKER, IDENTITY)
    copy = lab.inventory.parent / "kubeconfig"
    server = f"server: https://{lab.variable(host, 'ansible_host')}:"
    copy.write_text(re.sub(r"server: https://[^:\s]+:", server, copy.read_text()))
    run = foretold(lab, "reset a control plane of three", RESET, "--limit", host)
    assert server not in copy.read_text(), run.output
    removed(lab, host)
    assert lab.ssh(host, "ls -d /etc/kubernetes/*.conf /etc/kubernetes/pki 2>/dev/null", check=False) == ""
    again = lab.playbook(RESET, "--limit", host, "-e", "reset_confirmed=true")
    assert (again.code, again.changed()) == (0, {}), again.output
    run = lab.site()
    assert run.code == 0, run.output
    complete(lab, identity)
