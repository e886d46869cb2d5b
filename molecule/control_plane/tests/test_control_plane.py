# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster answers its administrator, and nobody else can read the credentials."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from testinfra.host import Host


@pytest.fixture
def admin(variables: dict[str, Any]) -> str:
    """The user Ansible logs in as."""
    return str(variables["ansible_user"])


def test_the_login_user_has_a_cluster(host: Host, admin: str, variables: dict[str, Any]) -> None:
    with host.sudo(admin):
        answer = json.loads(host.check_output("cd && kubectl version -o json"))
        assert host.check_output("cd && kubectl get --raw /readyz") == "ok"
    assert answer["serverVersion"]["gitVersion"] == "v" + variables["cluster_kubernetes_version"]


def test_the_kubeconfig_is_the_login_users_alone(host: Host, admin: str) -> None:
    config = host.file(f"{host.user(admin).home}/.kube/config")
    assert (config.user, config.group, config.mode) == (admin, host.user(admin).group, 0o600)
    folder = host.file(f"{host.user(admin).home}/.kube")
    assert folder.user == admin
    assert not folder.mode & 0o022


def test_the_admins_credentials_are_roots_alone(host: Host) -> None:
    config = host.file("/etc/kubernetes/admin.conf")
    assert (config.user, config.mode) == ("root", 0o600)


def test_the_copy_on_this_machine_leads_to_the_cluster(variables: dict[str, Any], addresses: dict[str, str]) -> None:
    copy = Path(variables["cluster_kubeconfig_path"])
    assert copy.stat().st_mode & 0o777 == 0o600
    server = yaml.safe_load(copy.read_text(encoding="utf-8"))["clusters"][0]["cluster"]["server"]
    assert server == f"https://{addresses['cp1']}:6443"
    # Who it is is not asked here; that it answers is.
    context = ssl._create_unverified_context()
    with urllib.request.urlopen(f"{server}/version", timeout=10, context=context) as answer:
        assert json.load(answer)["gitVersion"] == "v" + variables["cluster_kubernetes_version"]


def test_the_first_node_is_a_control_plane_that_keeps_applications_away(ask: Callable[[str], Any]) -> None:
    (node,) = ask("nodes")["items"]
    assert node["metadata"]["name"] == "cp1"
    roles = {"node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"}
    assert roles & set(node["metadata"]["labels"])
    taints = node["spec"]["taints"]
    assert any(taint["key"] in roles and taint["effect"] == "NoSchedule" for taint in taints)


def test_the_parts_of_the_control_plane_run(eventually: Callable[..., bool], ask: Callable[[str], Any]) -> None:
    parts = {f"{part}-cp1" for part in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")}

    def running() -> set[str]:
        pods = ask("pods -n kube-system")["items"]
        return {pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"}

    # The kubelet tells the API a while after they do.
    assert eventually(lambda: parts <= running()), running()


def test_nodes_have_pod_ranges_of_the_clusters_range(
    eventually: Callable[..., bool], ask: Callable[[str], Any]
) -> None:
    assert eventually(lambda: ask("nodes")["items"][0]["spec"].get("podCIDR", "").startswith("10.244."))


def test_no_token_lets_others_in(ask: Callable[[str], Any]) -> None:
    tokens = ask("secrets -n kube-system --field-selector type=bootstrap.kubernetes.io/token")["items"]
    assert tokens == []
