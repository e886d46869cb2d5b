# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main job on real nodes, from bare machines to a cluster. The tests build on each other, in this order."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from .conftest import FOOTPRINT, Lab
from .dry_runs import has, nothing, told_and_run

TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b")


BAD_INPUT = [
    (["-e", "cluster_kubernetes_version=1.99"], r"cluster_kubernetes_version"),
    (
        ["-e", "cluster_kubernetes_version=newest"],
        r"cluster_kubernetes_version is 'newest', not a Kubernetes version; use",
    ),
    (["-e", "cluster_pod_cidr=10.244.0.0/33"], r"cluster_pod_cidr is '10.244.0.0/33', not a CIDR range .*; use"),
    (
        ["-e", "cluster_pod_cidr=10.100.0.0/16"],
        r"cluster_pod_cidr 10.100.0.0/16 overlaps with cluster_service_cidr .*; use",
    ),
    (["-e", "cni_plugin=flannel"], r"cni_plugin is 'flannel'; use one of"),
    (["-e", "cni_plugin=calico", "-e", "cni_calico_manifest=/nowhere/calico.yaml"], r"cni_calico_manifest"),
]


@pytest.mark.parametrize(("arguments", "pattern"), BAD_INPUT, ids=[" ".join(one[0][1::2]) for one in BAD_INPUT])
def test_bad_input_fails_with_one_line_before_anything_changes(lab: Lab, arguments: list[str], pattern: str) -> None:
    before = lab.ssh("w1", FOOTPRINT)
    run = lab.site(*arguments)
    assert run.code != 0
    errors = [line for line in run.output.splitlines() if re.search(pattern, line) and not line.startswith("fatal:")]
    assert errors, run.output
    assert any(re.search(r"\b(cp1|w1|w2|all): ", line) for line in errors), errors
    assert not run.changed()
    assert lab.ssh("w1", FOOTPRINT) == before


def test_a_host_whose_variables_are_wrong_is_not_asked_anything(lab: Lab, tmp_path: Path) -> None:
    more = tmp_path / "more.json"
    # Nobody is at that address, which would show.
    wrong = {"cni_plugin": "flannel", "ansible_host": "192.0.2.1"}
    more.write_text(json.dumps({"all": {"hosts": {"w1": wrong}}}))
    run = lab.site("-i", str(more))
    assert run.code != 0 and re.search(r"w1: cni_plugin is 'flannel'; use one of", run.output)
    assert "UNREACHABLE" not in run.output and not run.changed()


def test_a_pod_range_over_a_hosts_own_network_is_refused(lab: Lab) -> None:
    network = lab.ssh("w1", "ip -o -4 route show scope link | cut -d' ' -f1 | head -1").strip()
    run = lab.site("-e", f"cluster_pod_cidr={network}")
    assert run.code != 0
    assert re.search(rf"w1: cluster_pod_cidr {re.escape(network)} overlaps with .*; set cluster_pod_cidr", run.output)
    assert not run.changed()


def test_groups_and_endpoints_are_judged_first(lab: Lab, tmp_path: Path) -> None:
    inventory = json.loads(_inventory(lab))
    empty = tmp_path / "empty.json"
    empty.write_text(json.dumps({"workers": {"hosts": {"w1": {"ansible_host": "192.0.2.1"}}}}))
    run = Lab(empty, tmp_path).site()
    assert run.code != 0 and "the group control_plane is empty; add at least one host" in run.output
    nobody = tmp_path / "nobody.json"
    nobody.write_text("{}")
    run = Lab(nobody, tmp_path).site()
    assert run.code != 0 and "the group control_plane is empty; add at least one host" in run.output
    two = tmp_path / "two.json"
    planes = {"cp1": inventory["cp1"], "w1": {**inventory["w1"], "cluster_node_bind_port": 7443}}
    groups = {"control_plane": {"hosts": planes}, "workers": {"hosts": {"w2": inventory["w2"]}}}
    two.write_text(json.dumps(groups))
    run = Lab(two, tmp_path).site()
    assert run.code != 0
    assert "w1: cluster_node_bind_port is 7443, but the API has the port 6443 on all control planes" in run.output
    assert not run.changed()


def _inventory(lab: Lab) -> str:
    done = subprocess.run(
        ["ansible-inventory", "-i", str(lab.inventory), "--list"], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.dumps(json.loads(done.stdout)["_meta"]["hostvars"])


def test_the_first_run_is_foretold_and_makes_a_cluster(lab: Lab) -> None:
    # One for an earlier cluster of the same nodes would be left alone.
    (lab.inventory.parent / "kubeconfig").unlink(missing_ok=True)
    told, run = told_and_run(lab, "bare", "--limit", "cp1,w1")
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
    assert len(run.remote("cp1")) <= 17, run.remote("cp1")
    assert len(run.remote("w1")) <= 12, run.remote("w1")
    assert not TOKEN.search(run.output)
    nodes = json.loads(lab.kubectl("get nodes -o json"))["items"]
    ready = {node["metadata"]["name"]: _ready(node) for node in nodes}
    assert ready == {"cp1": True, "w1": True}
    kubeconfig = lab.inventory.parent / "kubeconfig"
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    assert "server: https://" in kubeconfig.read_text()
    assert lab.ssh("cp1", "stat -c '%U %a' /home/admin/.kube/config").split() == ["admin", "600"]


def _ready(node: dict[str, object]) -> bool:
    conditions = node["status"]["conditions"]  # type: ignore[index]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def test_no_token_is_left_in_the_cluster_or_on_a_node(lab: Lab) -> None:
    secrets = lab.kubectl("get secrets -n kube-system --field-selector type=bootstrap.kubernetes.io/token -o name")
    assert secrets.strip() == ""
    for host in ("cp1", "w1"):
        assert (
            lab.ssh(
                host,
                "ls -d /etc/kubernetes/bootstrap-kubelet.conf /tmp/*kubeadm* /tmp/kubestead* 2>/dev/null",
                check=False,
            ).strip()
            == ""
        )


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    before = lab.ssh("w1", FOOTPRINT)
    run = lab.site("--limit", "cp1,w1")
    assert run.code == 0, run.output
    assert run.changed() == {}
    assert lab.ssh("w1", FOOTPRINT) == before


def test_check_mode_on_a_cluster_predicts_nothing_to_do(lab: Lab) -> None:
    run = lab.site("--check", "--diff", "--limit", "cp1,w1")
    assert run.code == 0, run.output
    assert run.changed() == {}


def test_a_newcomer_that_a_filter_keeps_from_the_api_is_told_before_it_is_touched(lab: Lab) -> None:
    address = lab.ssh("w2", "ip -o -4 address show dev eth0 | grep -o 'inet [0-9.]*' | cut -d' ' -f2").strip()
    rule = f"INPUT -s {address} -p tcp --dport 6443 -j DROP"
    lab.ssh("cp1", f"iptables -I {rule}")
    try:
        run = lab.site("--limit", "w2")
    finally:
        lab.ssh("cp1", f"iptables -D {rule}")
    assert run.code != 0
    assert re.search(r"w2: can't connect to the API server of cp1 \(.*:6443\): no answer within 3 s; open", run.output)
    assert not run.changed()


def test_a_third_node_joins_with_limit_alone(lab: Lab) -> None:
    told, run = told_and_run(lab, "newcomer with --limit", "--limit", "w2")
    has(told["w2"], r"^join as worker \(no kubelet.conf; not in the API\)")
    assert len(run.remote("w2")) <= 12, run.remote("w2")
    assert not [row for row in run.tasks if row["on"] == "w1" and row["changed"] and "route" not in row["task"].lower()]
    assert _ready(json.loads(lab.kubectl("get node w2 -o json")))


def test_another_run_of_the_complete_cluster_foretells_and_does_nothing(lab: Lab) -> None:
    nothing(lab, "complete")
