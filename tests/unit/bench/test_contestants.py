# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contestants, the variables of the script typed by hand, and the order of runs."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from bench import cases, contestants, endpoints
from bench.endpoints import Endpoint
from lab.machine import MachineError

GIVEN = {
    "cluster_kubernetes_version": "1.36.2",
    "cluster_ignore_preflight_errors": ["SystemVerification", "Swap"],
    "cluster_kube_proxy_config": {"conntrack": {"maxPerCore": 0}},
}


def test_another_playbook_is_given_by_path(tmp_path: Path) -> None:
    playbook, inventory = tmp_path / "site.yml", tmp_path / "hosts.yml"
    playbook.touch()
    inventory.touch()
    peer = contestants.other(f"peer={playbook}:{inventory}")
    assert not peer.ours
    command = peer.command(tmp_path, [tmp_path / "lab.yml"], ["--limit", "w3"])
    # Its inventory comes after the lab's.
    assert command.argv[1:] == ["-i", str(tmp_path / "lab.yml"), "-i", str(inventory), str(playbook), "--limit", "w3"]
    assert command.folder == tmp_path
    for wrong in (
        "peer",
        f"collection={playbook}",
        f"by hand in steps={playbook}",
        f"ping={playbook}",
        f"peer={tmp_path}/none.yml",
    ):
        with pytest.raises(MachineError, match="--other"):
            contestants.other(wrong)


def test_the_ping_is_on_all_hosts_with_pipelining_and_records_its_times(tmp_path: Path) -> None:
    lab, more = tmp_path / "lab.yml", tmp_path / "endpoints.json"
    command = contestants.Ping().command(tmp_path, [lab, more])
    assert command.argv == [
        str(tmp_path / "bin" / "ansible"),
        *("-i", str(lab), "-i", str(more)),
        *("all", "-m", "ansible.builtin.ping"),
    ]
    assert command.environment["ANSIBLE_PIPELINING"] == "True"
    assert command.environment["KUBESTEAD_TIMELINE"] == str(command.spans)
    assert not contestants.Ping().ours
    # The same ansible.cfg applies to both, for forks and the like.
    assert command.folder == contestants.collection().command(tmp_path, [lab]).folder


def test_a_variant_is_the_collection_with_arguments() -> None:
    variant = contestants.variant("forks=--forks 50")
    assert variant.ours and variant.name == "collection, forks" and variant.arguments == ("--forks", "50")


@pytest.mark.parametrize(("version", "api"), [("1.20.2", "v1beta2"), ("1.30.1", "v1beta3"), ("1.36.2", "v1beta4")])
def test_kubeadm_reads_the_configuration_of_its_time(version: str, api: str) -> None:
    assert contestants.config_api(version) == api


def test_the_configuration_has_the_labs_variables() -> None:
    documents = [json.loads(part) for part in contestants.kubeadm_config(GIVEN).split("---\n")]
    assert [document["kind"] for document in documents] == [
        "InitConfiguration",
        "ClusterConfiguration",
        "KubeletConfiguration",
        "KubeProxyConfiguration",
    ]
    assert documents[1]["kubernetesVersion"] == "v1.36.2"
    assert documents[3]["conntrack"] == {"maxPerCore": 0}


def test_the_script_is_given_every_variable_it_names(tmp_path: Path) -> None:
    command = contestants.by_hand("some", "cp1", ["w1", "w2"], GIVEN, tmp_path)
    script = contestants.RUN.read_text(encoding="utf-8")
    named = set(re.findall(r"\$\{?([A-Z_]{4,})\b", script)) - {"BASH_SOURCE"}
    assert named <= set(command.environment)
    assert command.environment["IGNORED"] == "SystemVerification,Swap"
    for path in (contestants.RUN, contestants.RUN.with_name("node.sh")):
        subprocess.run(["bash", "-n", str(path)], check=True)


def test_contestants_take_turns_there_and_back() -> None:
    assert cases.schedule(2, ["a", "b", "c"]) == [(0, "a"), (0, "b"), (0, "c"), (1, "c"), (1, "b"), (1, "a")]


def test_an_endpoint_is_a_node_of_its_own() -> None:
    made = [Endpoint(f"e{number}", f"10.213.1.{number}", "bench-w1", True) for number in (1, 2)]
    assert len({one.machine_id for one in made}) == 2
    assert all(re.fullmatch(r"[0-9a-f]{32}", one.machine_id) for one in made)
    # An interface's name has at most 15 characters.
    assert endpoints.namespace("10.213.15.250") == "kbe15x250"
    items = json.loads(endpoints.node_objects(made, "1.36.2"))["items"]
    assert [item["metadata"]["name"] for item in items] == ["e1", "e2"]
    assert items[0]["status"]["nodeInfo"]["machineID"] == made[0].machine_id
    assert items[1]["status"]["addresses"][0] == {"type": "InternalIP", "address": "10.213.1.2"}
    # A pod without room is scheduled again whenever a node joins.
    assert int(items[0]["status"]["allocatable"]["pods"]) > 0
