# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module bridge_cni on a node whose ip and iptables do what they are told."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge
from ansible_collections.kubestead.cluster.plugins.modules import bridge_cni
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.pod_network.test_bridge import NODES, Host
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """The node w1 of NODES."""
    return Host(tmp_path)


def module(**params: Any) -> FakeModule:
    given = {"nodes": to_dict(NODES), "pod_cidr": "10.244.0.0/16", **params}
    return FakeModule(bridge_cni.argument_spec(), **given)


def test_a_run_sets_up_the_node_and_a_second_one_has_nothing_to_do(host: Host) -> None:
    result = bridge_cni.work(module(), host)
    assert result["changed"] and result["node"] == "w1"
    assert host.exists(bridge.CONFLIST) and set(host.routes) == {"10.244.0.0/24", "10.244.1.0/24"}
    again = bridge_cni.work(module(), host)
    assert not again["changed"] and again["node"] == "w1"


def test_a_dry_run_changes_nothing_and_needs_no_plugins_yet(host: Host) -> None:
    for name in bridge.PLUGINS:
        host.remove(f"/opt/cni/bin/{name}")
    result = bridge_cni.work(module(check_mode=True), host)
    assert result["changed"] and not host.exists(bridge.CONFLIST) and host.routes == {} and not host.enabled
    with pytest.raises(KubesteadError):
        bridge_cni.work(module(), host)
    assert not host.exists(bridge.CONFLIST) and host.routes == {}


def test_a_dry_run_on_a_host_that_has_not_joined_tells_that_it_is_configured(host: Host) -> None:
    others = to_dict([node for node in NODES if node.name != "w1"])
    result = bridge_cni.work(module(check_mode=True, nodes=others), host)
    assert [step["target"] for step in result["steps"]] == [bridge.CONFLIST] and result["node"] == ""
    with pytest.raises(KubesteadError):
        bridge_cni.work(module(nodes=others), host)


def test_a_host_that_is_not_a_member_is_left_alone_where_only_members_are_meant(host: Host) -> None:
    others = to_dict([node for node in NODES if node.name != "w1"])
    for check_mode in (True, False):
        result = bridge_cni.work(module(check_mode=check_mode, nodes=others, members_only=True), host)
        assert not result["changed"] and result["node"] == ""
    assert host.routes == {}


def test_a_node_without_a_name_is_refused(host: Host) -> None:
    with pytest.raises(OptionError) as caught:
        bridge_cni.work(module(nodes=[{"pod_cidrs": ["10.244.0.0/24"]}]), host)
    assert caught.value.option == "nodes" and host.ran == []


def test_two_runs_on_one_machine_take_turns(host: Host) -> None:
    """Each looks, adds what is missing, and ends before the other looks."""
    entered = threading.Event()

    def other() -> None:
        with bridge_cni.alone(host):
            entered.set()

    thread = threading.Thread(target=other)
    with bridge_cni.alone(host):
        thread.start()
        assert not entered.wait(0.2)
    assert entered.wait(30)
    thread.join()
