# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole cluster, after the first run and after all of its nodes were restarted."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from testinfra.host import Host


@pytest.fixture
def name(host: Host) -> str:
    """The node's name."""
    return host.check_output("hostname")


def test_all_nodes_are_ready(eventually: Callable[..., bool], nodes_ready: Callable[[], dict[str, bool]]) -> None:
    assert eventually(lambda: nodes_ready() == {"cp1": True, "w1": True}), nodes_ready()


def test_the_kubelet_reports_since_the_last_start(
    host: Host, name: str, eventually: Callable[..., bool], ask: Callable[[str], Any]
) -> None:
    # A node that went away is called ready until it has been silent for a while; so its own sign of life is looked at.
    started = int(host.check_output("stat -c %Y /proc/1"))

    def sign_of_life() -> float:
        renewed = ask(f"lease {name} -n kube-node-lease")["spec"]["renewTime"]
        return datetime.datetime.fromisoformat(renewed).timestamp()

    assert eventually(lambda: sign_of_life() > started)


@pytest.mark.parametrize("service", ["containerd", "kubelet"])
def test_services_run_and_will_after_a_restart(host: Host, service: str) -> None:
    assert host.service(service).is_running
    assert host.service(service).is_enabled


def test_pods_of_the_cluster_itself_run(eventually: Callable[..., bool], ask: Callable[[str], Any]) -> None:
    def waiting() -> dict[str, str]:
        pods = ask("pods -n kube-system")["items"]
        return {
            pod["metadata"]["name"]: pod["status"]["phase"]
            for pod in pods
            if not any(
                one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", [])
            )
        }

    assert eventually(lambda: waiting() == {}), waiting()
    proxies = ask("daemonset kube-proxy -n kube-system")["status"]
    assert proxies["numberReady"] == proxies["desiredNumberScheduled"] == 2


def test_the_login_user_has_the_cluster(control_plane: Host, variables: dict[str, Any]) -> None:
    with control_plane.sudo(variables["ansible_user"]):
        assert control_plane.check_output("cd && kubectl get nodes -o name").split() == ["node/cp1", "node/w1"]


def test_what_pods_need_of_the_node_is_there(host: Host) -> None:
    assert host.file("/proc/swaps").content_string.splitlines()[1:] == []
    assert host.sysctl("net.ipv4.ip_forward") == 1
    assert host.sysctl("net.bridge.bridge-nf-call-iptables") == 1


def test_the_service_of_the_api_answers_on_every_node(host: Host, eventually: Callable[..., bool]) -> None:
    # Through kube-proxy's rules: the first address of the Services' range.
    assert eventually(lambda: host.run("curl -sSk -m 5 https://10.96.0.1/healthz").stdout == "ok")


def test_no_token_is_left(ask: Callable[[str], Any]) -> None:
    assert ask("secrets -n kube-system --field-selector type=bootstrap.kubernetes.io/token")["items"] == []
