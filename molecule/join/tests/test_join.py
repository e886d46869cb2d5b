# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker is a member, and the way in is closed behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from testinfra.host import Host


def test_both_nodes_are_members(
    ask: Callable[[str], Any], variables: dict[str, Any], addresses: dict[str, str]
) -> None:
    nodes = {node["metadata"]["name"]: node for node in ask("nodes")["items"]}
    assert set(nodes) == {"cp1", "w1"}
    for name, node in nodes.items():
        assert node["status"]["nodeInfo"]["kubeletVersion"] == "v" + variables["cluster_kubernetes_version"]
        assert {"type": "InternalIP", "address": addresses[name]} in node["status"]["addresses"]


def test_the_worker_has_the_labels_and_taints_it_was_to_be_born_with(ask: Callable[[str], Any]) -> None:
    node = ask("node w1")
    assert node["metadata"]["labels"]["example.org/disk"] == "ssd"
    taints = {(one["key"], one.get("value", ""), one["effect"]) for one in node["spec"].get("taints", [])}
    assert ("example.org/batch", "only", "PreferNoSchedule") in taints
    assert not [key for key, _value, _effect in taints if key.startswith("node-role.kubernetes.io/")]


def test_the_kubelet_runs_with_credentials_of_its_own(host: Host) -> None:
    assert host.service("kubelet").is_running
    config = host.file("/etc/kubernetes/kubelet.conf")
    assert (config.user, config.mode) == ("root", 0o600)
    assert host.file("/var/lib/kubelet/pki/kubelet-client-current.pem").exists


def test_no_token_is_left_in_the_cluster(ask: Callable[[str], Any]) -> None:
    tokens = ask("secrets -n kube-system --field-selector type=bootstrap.kubernetes.io/token")["items"]
    assert tokens == []


#: The form of kubeadm's tokens, and one that is looked for together with those that must not be there.
TOKEN = r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b"
CONTROL = "abcdef.0123456789abcdef"


def test_no_token_is_left_on_a_node(host: Host) -> None:
    assert not host.file("/etc/kubernetes/bootstrap-kubelet.conf").exists
    assert host.file("/etc/kubernetes/kubelet.conf").size > 0
    places = "/etc/kubernetes /var/lib/kubelet/*.yaml /tmp /var/tmp /run/kube*"
    host.check_output(f"printf '%s\\n' {CONTROL} > /tmp/control")
    try:
        found = host.run(f"grep -rlE '{TOKEN}' {places}").stdout.split()
    finally:
        host.check_output("rm /tmp/control")
    assert found == ["/tmp/control"]


def test_no_token_is_in_the_logs(host: Host) -> None:
    journal = "journalctl --no-pager -o cat"
    assert int(host.check_output(f"{journal} -u kubelet | wc -l")) > 10, "the journal can be read"
    # Ansible logs the arguments of modules there.
    assert host.check_output(f"{journal} | grep -m 1 'Invoked with'")
    # The journal has the commands of these tests as well, the control token among them.
    assert host.check_output(f"({journal}; echo {CONTROL}) | grep -oE '{TOKEN}' | sort -u") == CONTROL
