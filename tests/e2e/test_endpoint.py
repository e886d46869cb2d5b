# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that was typed by hand gets an endpoint, grows to three control planes and loses the first one.

The tests build on each other, in this order. The control machine is killed in three parts of ``endpoint.yml``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.podman import podman

from . import by_hand, figures
from .conftest import FOOTPRINT, Lab, dev, eventually, nodes
from .dry_runs import changes
from .test_faults import running

pytestmark = pytest.mark.thorough

# The pod network that is there stays.
KEPT = ("-e", "cni_plugin=none")
OLD = ("cp1", "w1", "w2")
NEW = ("cp2", "cp3")
ENDPOINT, REMOVE = "playbooks/endpoint.yml", "playbooks/remove.yml"
NAME = "api.kubernetes.internal"
CERTIFICATE = "sha256sum /var/lib/kubelet/pki/kubelet-client-current.pem"
SERVERS = "grep -H server: /etc/kubernetes/*.conf /home/admin/.kube/config"
# The parts of the run in which the control machine is killed, and seconds after the start of each. A run begins with
# the first part that is not done.
KILLS = (("certificate", 2.0), ("cluster", 2.0), ("kubeconfigs", 1.5))


@pytest.fixture(scope="module")
def typed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A control plane and two workers, typed by hand, and two bare machines for further control planes."""
    names = [*OLD, *NEW]
    options = ("--control-plane", "cp1,cp2,cp3")
    for lab in nodes("endpoint", names, tmp_path_factory.mktemp("endpoint"), *options):
        by_hand.create(lab, "cp1", ["w1", "w2"])
        run = lab.site("--limit", ",".join(OLD), *KEPT)
        assert run.code == 0, run.output
        yield lab


@pytest.fixture(scope="module")
def certificates(typed_lab: Lab) -> dict[str, str]:
    """The client certificates of the workers' kubelets, before anything is changed."""
    return workers_certificates(typed_lab)


def workers_certificates(lab: Lab) -> dict[str, str]:
    return {host: lab.ssh(host, CERTIFICATE) for host in ("w1", "w2")}


def footprint(lab: Lab, host: str) -> list[str]:
    """What a run may touch, without the database of etcd, which always changes."""
    return [line for line in lab.ssh(host, FOOTPRINT).splitlines() if "/var/lib/etcd/" not in line]


def ready(lab: Lab, at: str, hosts: tuple[str, ...]) -> bool:
    found = lab.ssh(at, "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes -o json", check=False)
    try:
        items = json.loads(found)["items"]
    except ValueError:
        return False
    states = {
        one["metadata"]["name"]: any(
            state["type"] == "Ready" and state["status"] == "True" for state in one["status"]["conditions"]
        )
        for one in items
    }
    return states == {host: True for host in hosts}


def test_a_second_control_plane_is_refused_with_the_way_to_it(typed_lab: Lab, certificates: dict[str, str]) -> None:
    run = typed_lab.site(*KEPT)
    assert run.code != 0 and run.changed() == {}, run.output
    assert "run endpoint.yml first" in run.output
    assert len(certificates) == 2


def test_the_operation_is_foretold_and_survives_three_kills(typed_lab: Lab, certificates: dict[str, str]) -> None:
    lab = typed_lab
    before = {host: running(lab, host) for host in OLD}
    prints = {host: footprint(lab, host) for host in OLD}
    check = lab.playbook(ENDPOINT, "--check", "--diff")
    assert check.code == 0, check.output
    assert set(check.changed()) == set(OLD), check.output
    assert {host: footprint(lab, host) for host in OLD} == prints
    for part, seconds in KILLS:
        figures.count("control machine killed in endpoint.yml", "tried")
        assert lab.killed_at("Change the endpoint", after=seconds, playbook=ENDPOINT), part
        # What the module began on a node goes on without the control machine.
        for host in OLD:
            lab.ssh(host, "flock --wait 300 /run/kubestead.lock true")
        # The cluster works at every moment.
        assert ready(lab, "cp1", OLD)
    foretold = lab.playbook(ENDPOINT, "--check", "--diff")
    assert foretold.code == 0, foretold.output
    run = lab.playbook(ENDPOINT)
    assert run.code == 0, run.output
    assert changes(run) == changes(foretold)
    again = lab.playbook(ENDPOINT)
    assert (again.code, again.changed()) == (0, {}), again.output
    figures.count("control machine killed in endpoint.yml", "converged", len(KILLS))
    assert workers_certificates(lab) == certificates
    for host in OLD:
        servers = lab.ssh(host, SERVERS, check=False)
        for line in servers.splitlines():
            own = host == "cp1" and any(
                f"/{name}.conf" in line for name in ("kubelet", "controller-manager", "scheduler")
            )
            assert "No such file" in line or own or f"https://{NAME}:6443" in line, servers
        # Only kube-proxy was restarted.
        assert len(before[host] - running(lab, host)) <= 1
        assert lab.ssh(host, "ls -A /var/lib/kubestead", check=False).strip() in ("", "snapshots") or (
            "No such file" in lab.ssh(host, "ls -A /var/lib/kubestead", check=False)
        )
    assert ready(lab, "cp1", OLD)
    assert lab.ssh("w1", f"getent hosts {NAME}")
    site = lab.site("--limit", ",".join(OLD), *KEPT)
    assert (site.code, site.changed()) == (0, {}), site.output


def test_it_grows_to_three_control_planes(typed_lab: Lab, certificates: dict[str, str]) -> None:
    lab = typed_lab
    run = lab.site(*KEPT)
    assert run.code == 0, run.output
    # The pod network was typed, so it is typed for the new nodes too.
    by_hand.network(lab, [*OLD, *NEW])
    assert eventually(lambda: ready(lab, "cp1", (*OLD, *NEW)), 120)
    again = lab.site(*KEPT)
    assert (again.code, again.changed()) == (0, {}), again.output
    same = lab.playbook(ENDPOINT)
    assert (same.code, same.changed()) == (0, {}), same.output
    assert workers_certificates(lab) == certificates


def test_the_first_control_plane_leaves(typed_lab: Lab, certificates: dict[str, str]) -> None:
    lab = typed_lab
    run = lab.playbook(REMOVE, "-e", "remove_hosts=cp1", "-e", '{"cluster_drain_pods_may_wait": true}')
    assert run.code == 0, run.output
    lab.ssh("cp1", "systemctl stop kubelet containerd", check=False)
    left = ("w1", "w2", *NEW)
    assert eventually(lambda: ready(lab, "cp2", left), 120)
    again = lab.site("--limit", ",".join(left), *KEPT)
    assert again.code == 0, again.output
    assert workers_certificates(lab) == certificates
    # Longer than a kubelet may be silent.
    lab.ssh("cp2", "sleep 60")
    assert ready(lab, "cp2", left)


def test_a_worker_that_is_down_keeps_no_other_node_from_the_endpoint(tmp_path: Path) -> None:
    """The pods of kube-proxy on the other nodes are replaced although the controller would wait for the worker."""
    for lab in nodes("endpoint-down", list(OLD), tmp_path):
        by_hand.create(lab, "cp1", ["w1", "w2"])
        run = lab.site(*KEPT)
        assert run.code == 0, run.output
        old = {host: proxies(lab, host) for host in OLD}
        podman("kill", "--signal=KILL", f"{lab.inventory.parent.name}-w2")
        assert eventually(lambda lab=lab: " NotReady " in lab.kubectl("get node w2 --no-headers"), 120.0)
        limit = ("--limit", "all:!w2")
        foretold = lab.playbook(ENDPOINT, "--check", "--diff", *limit)
        run = lab.playbook(ENDPOINT, *limit)
        assert (foretold.code, run.code) == (0, 0), foretold.output + run.output
        assert changes(run) == changes(foretold)
        assert "did not wait for kube-proxy on nodes whose kubelet does not report: w2" in run.output
        for host in ("cp1", "w1"):
            assert len(proxies(lab, host)) == 1 and not proxies(lab, host) & old[host], host
        again = lab.playbook(ENDPOINT, *limit)
        assert (again.code, again.changed()) == (0, {}), again.output
        dev("nodes", "create", "--set", lab.inventory.parent.name, "w2")
        assert eventually(lambda lab=lab: ready(lab, "cp1", OLD), 120.0)
        run = lab.playbook(ENDPOINT)
        assert run.code == 0 and set(run.changed()) == {"w2"}, run.output
        assert eventually(lambda lab=lab, old=old: not proxies(lab, "w2") & old["w2"], 120.0)
        site = lab.site(*KEPT)
        assert (site.code, site.changed()) == (0, {}), site.output


def proxies(lab: Lab, host: str) -> set[str]:
    """The UIDs of the pods of kube-proxy on a node that are not being deleted."""
    pods = json.loads(lab.kubectl(f"-n kube-system get pods -o json --field-selector spec.nodeName={host}"))["items"]
    found = [one["metadata"] for one in pods if one["metadata"]["name"].startswith("kube-proxy-")]
    return {one["uid"] for one in found if "deletionTimestamp" not in one}
