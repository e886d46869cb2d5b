# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The preflight on two bare nodes of its own: what is wrong with real machines is found, all of it at once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import figures
from .conftest import ROOT, Lab, Run, nodes

# The findings as a tool reads them: of the plan, or of the failed task.
PLAYBOOK = """
- hosts: control_plane:workers
  gather_facts: false
  become: true
  environment: "{{ proxies | default({}) }}"
  tasks:
    - block:
        - ansible.builtin.include_role: {name: kubestead.cluster.preflight}
      always:
        - ansible.builtin.copy:
            content: "{{ ansible_failed_result.findings | default(preflight_plan.findings | default([])) | to_json }}"
            dest: "{{ findings_file }}"
            mode: "0644"
          delegate_to: localhost
          become: false
          run_once: true
"""

# On a host: what is done, how it is undone, and what must be found (host, check, level).
PROVOCATIONS = [
    (
        "w1",
        "cp /etc/machine-id /run/id; echo {id} > /etc/machine-id",
        "cat /run/id > /etc/machine-id",
        "machine_id",
        "error",
    ),
    ("w1", "hostname cp1", "hostname w1", "hostname", "error"),
    (
        "w1",
        "systemd-run --quiet --unit=squatter python3 -m http.server 10250",
        "systemctl stop squatter",
        "port_taken",
        "error",
    ),
    (
        "cp1",
        "systemd-run --quiet --unit=squatter python3 -m http.server 6443",
        "systemctl stop squatter",
        "port_taken",
        "error",
    ),
    ("cp1", "touch /var/lib/etcd/old", "rm /var/lib/etcd/old", "etcd_leftovers", "error"),
    (
        "w1",
        "mkdir -p /etc/cni/net.d; touch /etc/cni/net.d/10-old.conflist; ip link add cali0123456789a type bridge",
        "rm /etc/cni/net.d/10-old.conflist; ip link del cali0123456789a",
        "leftovers",
        "warning",
    ),
    (
        "w1",
        "cp /etc/fstab /run/fstab; echo /swapfile none swap sw 0 0 >> /etc/fstab",
        "cat /run/fstab > /etc/fstab",
        "swap",
        "warning",
    ),
    (
        "cp1",
        "mkdir -p /etc/ufw; echo ENABLED=yes > /etc/ufw/ufw.conf; "
        "systemd-run --quiet --unit=ufw --remain-after-exit true",
        "systemctl stop ufw; rm /etc/ufw/ufw.conf",
        "firewall",
        "warning",
    ),
    # Of two hosts the one with the larger packets is named.
    ("cp1", "ip link set eth0 mtu 1600", "ip link set eth0 mtu 1500", "mtu", "warning"),
    (
        "w1",
        "cp /etc/resolv.conf /run/resolv; echo nameserver 127.0.0.53 > /etc/resolv.conf",
        "cat /run/resolv > /etc/resolv.conf",
        "dns_loop",
        "error",
    ),
    (
        "w1",
        "ip link add home0 type bridge; ip link set home0 up; ip address add 10.244.7.1/24 dev home0",
        "ip link del home0",
        "pod_cidr_overlap",
        "error",
    ),
    (
        "w1",
        "ip link add home1 type bridge; ip link set home1 up; ip route add 10.100.0.0/24 dev home1",
        "ip link del home1",
        "service_cidr_overlap",
        "error",
    ),
]
ARGUMENTS = [
    "-e",
    json.dumps(
        {
            "host_disable_swap": False,
            "cluster_pod_cidr": "10.244.0.0/16",
            "host_kernel_modules": ["overlay", "br_netfilter", "no_such_module"],
            "proxies": {"https_proxy": "http://user:geheim@192.0.2.1:3128", "no_proxy": "pkgs.k8s.io,10.244.0.0/16"},
            "cluster_kubelet_config": {},
        }
    ),
]
OF_ARGUMENTS = {
    (host, check, level)
    for host in ("cp1", "w1")
    for check, level in (("kernel_feature", "error"), ("no_proxy", "warning"))
}
# The new name of w1 can't be resolved.
OF_THE_NAME = {("w1", "hostname_lookup", "warning")}
EXPECTED = {(host, check, level) for host, _do, _undo, check, level in PROVOCATIONS} | OF_ARGUMENTS | OF_THE_NAME


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two bare nodes."""
    folder = tmp_path_factory.mktemp("preflight")
    (folder / "observe.yml").write_text(PLAYBOOK)
    yield from nodes("preflight", ["cp1", "w1"], folder)


def preflight(pair: Lab, *arguments: str) -> tuple[Run, list[dict[str, Any]]]:
    """Run the role alone; the run and its findings."""
    path = pair.folder / "findings.json"
    path.unlink(missing_ok=True)
    run = pair.playbook(str(pair.folder / "observe.yml"), "-e", f"findings_file={path}", *arguments)
    return run, json.loads(path.read_text()) if path.exists() else []


def said(findings: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(one["host"], one["check"], one["level"]) for one in findings}


@contextmanager
def done(pair: Lab, host: str, do: str, undo: str) -> Iterator[None]:
    """Something wrong on a node, as long as the block lasts."""
    pair.ssh(host, do)
    try:
        yield
    finally:
        pair.ssh(host, undo)


def test_healthy_nodes_bring_no_finding_and_no_warning(pair: Lab) -> None:
    run, findings = preflight(pair)
    assert run.code == 0, run.output
    assert findings == []
    assert not [line for line in run.output.splitlines() if "WARNING" in line and "interpreter" not in line]
    assert "join as worker" in run.output


TWO_PLAYS = """
- hosts: w1
  gather_facts: false
  become: true
  roles: [kubestead.cluster.host]
- name: The same role, told something else
  hosts: w1
  gather_facts: false
  become: true
  vars:
    host_sysctls: {vm.max_map_count: 300000}
  roles: [kubestead.cluster.host]
"""


def test_a_plan_is_good_for_its_own_play_alone(pair: Lab) -> None:
    (pair.folder / "two.yml").write_text(TWO_PLAYS)
    run = pair.playbook(str(pair.folder / "two.yml"), "--check")
    assert run.code == 0, run.output
    assert "set vm.max_map_count (-> 300000)" in run.output
    assert len(run.changed()["w1"]) == 2


TASKS = {"kube_packages": "Install and hold the kube packages", "containerd": "Install and configure containerd"}


@pytest.mark.parametrize("order", [["kube_packages", "containerd"], ["containerd", "kube_packages"]])
def test_containerd_is_installed_whichever_role_comes_first(pair: Lab, order: list[str]) -> None:
    roles = [f"kubestead.cluster.{name}" for name in ["preflight", *order]]
    play = [{"hosts": "all", "gather_facts": False, "become": True, "roles": roles}]
    (pair.folder / "order.yml").write_text(json.dumps(play))
    run = pair.playbook(str(pair.folder / "order.yml"), "--check")
    assert run.code == 0, run.output
    steps = {
        row["task"].rpartition(" : ")[2]: row["steps"] for row in run.tasks if row["changed"] and row["on"] == "w1"
    }
    assert list(steps) == [TASKS[role] for role in order]
    assert ("containerd: install" in steps[TASKS["containerd"]]) == (order[0] == "containerd"), steps
    assert "containerd: write_config" in steps[TASKS["containerd"]]


def test_all_that_is_wrong_is_found_at_once_and_can_be_skipped(pair: Lab) -> None:
    own = pair.ssh("cp1", "cat /etc/machine-id").strip()
    with ExitStack() as stack:
        for host, do, undo, _check, _level in PROVOCATIONS:
            stack.enter_context(done(pair, host, do.format(id=own), undo))
        run, findings = preflight(pair, *ARGUMENTS)
        checks = sorted({one["check"] for one in findings})
        skipped, still = preflight(pair, *ARGUMENTS, "-e", json.dumps({"preflight_skip_checks": checks}))
    assert run.code != 0
    assert said(findings) == EXPECTED, run.output
    figures.count("preflight checks", "provoked on nodes", len(checks))
    lines = run.output.splitlines()
    for one in findings:
        where = "cp1, w1" if one["check"] == "kernel_feature" else one["host"]
        assert any(f"{where}: {one['message']}; {one['fix']}" in line for line in lines), one
    assert "port 10250 of the kubelet is in use by python3 (process " in run.output
    assert "geheim" not in run.output + json.dumps(findings)
    assert skipped.code == 0, skipped.output
    assert said(still) == {(host, check, "skipped") for host, check, _level in EXPECTED}
    assert "skipped  w1: has the same host name as cp1" in skipped.output


def test_a_foreign_ca_and_a_filtered_way(pair: Lab) -> None:
    pem = (ROOT / "tests/unit/fixtures/join/v1.35/ca.crt").read_text()
    put = f"mkdir -p /etc/kubernetes/pki; echo {shlex.quote(pem)} > /etc/kubernetes/pki/ca.crt"
    address = pair.ssh("w1", "ip -o -4 address show dev eth0 | grep -o 'inet [0-9.]*' | cut -d' ' -f2").strip()
    with done(pair, "w1", put, "rm -r /etc/kubernetes"):
        # A route to nowhere is what a machine behind a filter looks like from here.
        with done(pair, "cp1", f"ip route add unreachable {address}/32", f"ip route del unreachable {address}/32"):
            run, findings = preflight(pair)
    assert run.code != 0
    assert said(findings) == {
        ("w1", "join.partial", "error"),
        ("w1", "api_unreachable", "error"),
        ("cp1", "node_unreachable", "warning"),
    }


def test_a_name_that_is_no_check_is_an_error_in_one_line(pair: Lab) -> None:
    run, _findings = preflight(pair, "-e", '{"preflight_skip_checks": ["port_takn"]}')
    assert run.code != 0
    assert "preflight_skip_checks has 'port_takn', which is not a check; did you mean port_taken?" in run.output


def test_nothing_is_left_of_the_provocations(pair: Lab, tmp_path: Path) -> None:
    run, findings = preflight(pair)
    assert run.code == 0, run.output
    assert findings == []
