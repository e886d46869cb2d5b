# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_info on the control machine: options beside the observation, and which hosts a host connects to."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.action import node_info
from ansible_collections.kubestead.cluster.plugins.module_utils.host import connect
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction

ADDRESSES = {"cp1": "192.0.2.1", "cp2": "192.0.2.2", "w1": "192.0.2.11", "w2": "192.0.2.12"}


class Action(FakeAction, node_info.ActionModule):
    pass


def variables(name: str, **more: Any) -> dict[str, Any]:
    """The variables of a host of a play over two control planes and two workers."""
    return {
        "inventory_hostname": name,
        "groups": {"control_plane": ["cp1", "cp2"], "workers": ["w1", "w2"]},
        "hostvars": {host: {"ansible_host": address} for host, address in ADDRESSES.items()},
        "cluster_endpoint": "k8s.example.org:6443",
        **more,
    }


def observed(name: str = "w1", arguments: dict[str, Any] | None = None, **more: Any) -> tuple[dict[str, Any], Action]:
    action = Action("node_info", arguments or {}, {"changed": False, "node": {"hostname": name}})
    return action.run(task_vars=variables(name, **more)), action


def test_the_options_are_beside_what_was_observed() -> None:
    result, action = observed(cluster_pod_cidr="10.1.0.0/16")
    assert result["node"] == {"hostname": "w1"} and result["options"]["host"]["pod_cidr"] == "10.1.0.0/16"
    assert set(result["options"]) == set(registry.OPTIONS) and result["problems"] == []
    assert 0 < result["asked"] <= result["answered"]
    assert action.asked[0][0] == "kubestead.cluster.node_info"


def test_secret_options_stay_here_and_their_names_do_not() -> None:
    credential = {"registry": "r.example", "username": "u", "password": "hidden-word"}
    result, action = observed(containerd_registry_credentials=[credential])
    assert "hidden-word" not in json.dumps(result) and "hidden-word" not in json.dumps(action.asked)
    assert result["secrets"]["containerd"] == ["registry_credentials"] and result["secrets"]["host"] == []


@pytest.mark.parametrize(
    ("variable", "value"), [("cluster_node_bind_port", "many"), ("containerd_cni_bin_dir", "not/absolute")]
)
def test_a_host_whose_options_are_wrong_is_not_asked(variable: str, value: Any) -> None:
    result, action = observed(**{variable: value})
    assert action.asked == [] and "node" not in result and result["changed"] is False
    assert "options" in result and "asked" not in result


def test_options_of_components_that_the_play_does_not_use_do_not_matter() -> None:
    _result, action = observed(arguments={"components": ["host"]}, containerd_cni_bin_dir="not/absolute")
    assert len(action.asked) == 1 and "components" not in action.asked[0][1]


def test_a_host_that_is_asked_for_another_ones_sake_is_asked_whatever_its_options_and_connects_to_nobody() -> None:
    action = Action("node_info", {}, {"changed": False})
    action._task.delegate_to = "cp1"
    action.run(task_vars=variables("w1", containerd_cni_bin_dir="not/absolute"))
    (_name, given) = action.asked[0]
    assert not [target for target in given["reach"] if target.startswith("192.0.2.")]


def test_a_host_that_is_asked_for_another_ones_sake_has_its_own_user_and_copies() -> None:
    def told(theirs: dict[str, Any], **own: Any) -> tuple[dict[str, Any], str]:
        action = Action("node_info", {}, {"changed": False})
        action._task.delegate_to = "cp1"
        given = variables("cp2", cluster_kubeconfig_path="~/mine", control_plane_kubeconfig_user="everyone", **own)
        given["hostvars"]["cp2"].update(own)
        given["hostvars"]["cp1"].update(theirs)
        result = action.run(task_vars=given)
        return result["options"]["kubeconfig"], str(action.asked[0][1]["kubeconfig_user"])

    # What the play or the role sets is for all hosts.
    options, user = told({})
    assert (options["copy_to"], options["user"], user) == ("~/mine", "everyone", "everyone")
    options, user = told({}, control_plane_kubeconfig=False, control_plane_kubeconfig_overwrite=True)
    assert options["install"] is True and options["overwrite"] is False
    options, user = told({"control_plane_kubeconfig_user": "theirs", "control_plane_kubeconfig": False})
    assert (options["install"], options["user"], user) == (False, "theirs", "theirs")
    # A fact of the host is not an option.
    fact = {"control_plane_kubeconfig_user": "root"}
    options, user = told({**fact, "ansible_facts": fact})
    assert (options["user"], user) == ("", "")


def test_only_a_control_plane_is_asked_about_the_virtual_address() -> None:
    def asked(name: str) -> str:
        _result, action = observed(name, cluster_endpoint_vip="2001:DB8::64")
        return str(action.asked[0][1]["virtual_ip"])

    assert asked("cp1") == "2001:db8::64" and asked("w1") == ""


def test_what_the_task_says_wins() -> None:
    _result, action = observed(arguments={"packages_url": "https://mirror.example/", "reach": []})
    assert (action.asked[0][1]["packages_url"], action.asked[0][1]["reach"]) == ("https://mirror.example/", [])


@pytest.mark.parametrize("operation", ["remove", "reset"])
def test_a_host_that_leaves_looks_for_no_packages_and_connects_to_nobody(operation: str) -> None:
    _result, action = observed(arguments={"operation": operation})
    given = action.asked[0][1]
    assert (given["packages_url"], given["reach"], given["operation"]) == ("", [], operation)


@pytest.mark.parametrize(
    ("operation", "asked"), [("upgrade", "converge"), ("endpoint", "endpoint"), ("remove", "remove")]
)
def test_a_host_outside_an_upgrade_is_not_asked_about_its_own(operation: str, asked: str) -> None:
    action = Action("node_info", {"operation": operation}, {"changed": False})
    action._task.delegate_to = "cp1"
    action.run(task_vars=variables("w1"))
    assert action.asked[0][1]["operation"] == asked


def test_the_host_cannot_overwrite_what_is_added_here() -> None:
    lie = {"options": {}, "problems": [{}], "secrets": {}, "asked": 1, "answered": 2, "ansible_facts": {"a": 1}}
    action = Action("node_info", {}, {"changed": False, **lie})
    result = action.run(task_vars=variables("w1"))
    assert result["options"] and result["problems"] == [] and result["asked"] > 2 and "ansible_facts" not in result


# -- the ways to other hosts


def test_a_worker_tries_the_api_servers() -> None:
    assert node_info._peers(variables("w1")) == ["192.0.2.1:6443", "192.0.2.2:6443"]


def test_a_control_plane_tries_etcd_and_kubelets_too_and_never_itself() -> None:
    found = node_info._peers(variables("cp1"))
    assert set(found) == {
        *["192.0.2.2:6443", "192.0.2.2:2379", "192.0.2.2:2380", "192.0.2.2:10250"],
        *["192.0.2.11:10250", "192.0.2.12:10250"],
    }


def test_a_host_is_where_its_node_address_says_before_where_ansible_reaches_it() -> None:
    given = variables("w1")
    given["hostvars"]["cp1"] = {"ansible_host": "198.51.100.1", "cluster_node_address": "fd00::1"}
    given["hostvars"]["cp2"]["cluster_node_bind_port"] = "7443"
    assert node_info._peers(given) == ["[fd00::1]:6443", "192.0.2.2:7443"]
    given["hostvars"]["cp1"]["cluster_node_address"] = "10.0.0.1, fd00::1"
    assert node_info._peers(given) == ["10.0.0.1:6443", "192.0.2.2:7443"]


def test_a_port_that_is_not_one_is_left_to_the_plan() -> None:
    given = variables("w1")
    given["hostvars"]["cp1"]["cluster_node_bind_port"] = "many"
    assert node_info._peers(given)[0] == "192.0.2.1:6443"


def test_names_are_resolved_here_and_stay_where_nobody_knows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(name: str, *_more: Any, **_others: Any) -> list[Any]:
        if name != "cp1":
            raise socket.gaierror(name)
        return [(0, 0, 0, "", ("192.0.2.77", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    given = variables("w1")
    given["hostvars"]["cp1"], given["hostvars"]["cp2"] = {}, {}
    assert node_info._peers(given) == ["192.0.2.77:6443", "cp2:6443"]


def test_hundreds_of_hosts_are_not_all_looked_at() -> None:
    given = variables("cp1")
    given["groups"]["workers"] = [f"w{number}" for number in range(300)]
    looked_at: list[str] = []

    class Hosts(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            looked_at.append(name)
            return {"ansible_host": "192.0.2.200"}

    given["hostvars"] = Hosts()
    node_info._peers(given)
    assert len(set(looked_at)) <= 2 + connect.MAX_TARGETS
