# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine leaves the cluster's etcd: what two real control planes answered."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.hosts_file import HOSTS, with_block
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import client
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import own_member as etcd
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import NODES as NODES_PATH
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine, fixture

MEMBERS: dict[str, Any] = json.loads(fixture("etcd/members.json"))
NODES = json.dumps(
    {
        "items": [
            {"metadata": {"name": name, "labels": {"node-role.kubernetes.io/" + role: ""}}}
            for name, role in (("cp1", "control-plane"), ("cp2", "control-plane"), ("w1", "worker"))
        ]
    }
)
OTHER, OWN = (one["clientURLs"][0] for one in sorted(MEMBERS["members"], key=lambda one: one["name"]))


class Etcd:
    """Answers like the etcd of the other control plane."""

    def __init__(self) -> None:
        self.members = copy.deepcopy(MEMBERS)["members"]
        self.refusals: list[str] = []
        self.asked: list[tuple[str, str]] = []

    def __call__(self, url: str, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        if path == client.STATUS:
            return {"leader": "1"}
        self.asked.append((url, path))
        if path == client.REMOVE:
            if self.refusals:
                raise OSError(self.refusals.pop(0))
            self.members = [one for one in self.members if one["ID"] != question["ID"]]
        return {"members": self.members}


@pytest.fixture
def second(tmp_path: Path) -> Machine:
    """The second control plane, as a join leaves it."""
    machine = Machine(tmp_path)
    for path in (ADMIN_KUBECONFIG, client.CA, client.CERTIFICATE, client.KEY, etcd.API_SERVER):
        machine.put(path, "")
    machine.answer("ip -j address", fixture("etcd/address.json"))
    machine.answer("kubectl", answers(fixture("etcd/pods.json")))
    return machine


def answers(pods: str) -> Callable[[Sequence[str], Any], Result]:
    """An API server with these pods of etcd and the Nodes of two control planes and a worker."""
    return lambda argv, _stdin: Result(0, NODES if argv[-1] == NODES_PATH else pods)


def test_the_member_is_removed_by_another_and_looked_for_again(second: Machine) -> None:
    ask = Etcd()
    assert etcd.leave(second, ask)
    assert [one["name"] for one in ask.members] == ["cp1"]
    assert ask.asked == [(OTHER, client.LIST), (OTHER, client.REMOVE), (OTHER, client.LIST)]


def test_a_member_stays_if_the_others_would_not_have_a_majority(second: Machine) -> None:
    ask = Etcd()
    third = "https://10.213.3.99:2379"
    ask.members.append({"ID": "3", "name": "cp3", "peerURLs": ["https://10.213.3.99:2380"], "clientURLs": [third]})

    def answer(url: str, path: str, query: Mapping[str, Any]) -> dict[str, Any]:
        if url == third:
            raise OSError("no route to host")
        return ask(url, path, query)

    with pytest.raises(KubesteadError, match="1 of the 2 etcd members left would be healthy"):
        etcd.leave(second, answer, **Clock().injected)
    assert len(ask.members) == 3


def test_where_one_of_the_others_is_down_the_next_is_asked(second: Machine) -> None:
    pods = json.loads(fixture("etcd/pods.json"))
    down = copy.deepcopy(pods["items"][0])
    down["metadata"]["annotations"][client.CLIENT_URLS] = "https://10.213.3.99:2379"
    second.answer("kubectl", answers(json.dumps({"items": [down, *pods["items"]]})))
    others = Etcd()

    def ask(url: str, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        if url == "https://10.213.3.99:2379":
            raise OSError("no route to host")
        return others(url, path, question)

    assert etcd.leave(second, ask)
    assert [one["name"] for one in others.members] == ["cp1"]


def test_a_machine_that_is_no_member_leaves_nothing(second: Machine) -> None:
    ask = Etcd()
    ask.members = [one for one in ask.members if one["name"] == "cp1"]
    assert not etcd.leave(second, ask)
    assert ask.asked == [(OTHER, client.LIST)]


def test_a_learner_that_never_started_has_no_name_and_is_found_by_its_address(second: Machine) -> None:
    ask = Etcd()
    next(one for one in ask.members if one["name"] == "cp2").update(name="", clientURLs=[], isLearner=True)
    assert etcd.leave(second, ask)
    assert len(ask.members) == 1


def test_a_cluster_that_is_not_at_rest_is_asked_again(second: Machine) -> None:
    ask, clock = Etcd(), Clock()
    ask.refusals = ["etcdserver: unhealthy cluster"]
    assert etcd.leave(second, ask, **clock.injected)
    assert clock.waits and len(ask.members) == 1


def test_where_it_can_not_be_taken_out_nothing_else_is_removed(second: Machine) -> None:
    ask = Etcd()
    ask.refusals = ["etcdserver: unhealthy cluster"] * 100
    with pytest.raises(KubesteadError) as caught:
        etcd.leave(second, ask, **Clock().injected)
    assert caught.value.message == (
        "this host can't be removed from etcd (etcdserver: unhealthy cluster); "
        "run again once the other control planes are healthy (nothing was changed on this host)"
    )


def test_an_api_that_is_silent_is_waited_for_and_told(second: Machine) -> None:
    second.answer("kubectl", Result(1, "", "Unable to connect to the server: context deadline exceeded"))
    with pytest.raises(KubesteadError) as caught:
        etcd.leave(second, Etcd(), **Clock().injected)
    assert "context deadline exceeded" in caught.value.message


@pytest.mark.parametrize("path", [ADMIN_KUBECONFIG, client.CERTIFICATE, etcd.API_SERVER])
def test_a_join_that_stopped_before_its_certificates_or_kubeconfigs_asks_nobody(second: Machine, path: str) -> None:
    second.remove(path)
    ask = Etcd()
    assert not etcd.leave(second, ask)
    assert ask.asked == [] and second.ran == []


def test_an_etcd_that_is_not_kubeadms_is_left_alone(second: Machine) -> None:
    second.answer("kubectl", answers('{"items": []}'))
    ask = Etcd()
    assert not etcd.leave(second, ask)
    assert ask.asked == []


def test_only_others_are_asked() -> None:
    pods = json.loads(fixture("etcd/pods.json"))["items"]
    controls = ["cp1", "cp2"]
    assert etcd.client_urls(pods, [], controls) == [OTHER, OWN]
    assert etcd.client_urls(pods, [OTHER.split("//")[1].split(":")[0]], controls) == [OWN]


def test_a_pod_that_a_worker_labels_as_etcd_is_not_asked(second: Machine) -> None:
    pods = json.loads(fixture("etcd/pods.json"))
    fake = copy.deepcopy(pods["items"][0])
    fake["metadata"]["annotations"][client.CLIENT_URLS] = "https://10.213.3.99:2379"
    fake["spec"]["nodeName"] = "w1"
    second.answer("kubectl", answers(json.dumps({"items": [fake, *pods["items"]]})))
    ask = Etcd()
    assert etcd.leave(second, ask)
    assert {url for url, _path in ask.asked} == {OTHER}


def test_the_api_server_of_another_control_plane_is_asked_and_not_the_own_one(second: Machine) -> None:
    second.put(ADMIN_KUBECONFIG, "clusters:\n- cluster:\n    server: https://api.kubernetes.internal:7443\n")
    lines = [f"{address} api.kubernetes.internal" for address in ("10.213.3.35", "10.213.3.99", "fd00::1")]
    second.put(HOSTS, with_block("127.0.0.1 localhost\n", lines))
    asked: list[str] = []

    def answer(argv: Sequence[str], stdin: Any) -> Result:
        asked.append("".join(word for word in argv if word.startswith("--server")))
        if "10.213.3.99" in asked[-1]:
            return Result(1, "", "Unable to connect to the server: context deadline exceeded")
        return answers(fixture("etcd/pods.json"))(argv, stdin)

    second.answer("kubectl", answer)
    assert etcd.leave(second, Etcd())
    assert list(dict.fromkeys(asked)) == ["--server=https://10.213.3.99:7443", "--server=https://[fd00::1]:7443"]


@pytest.mark.parametrize("block", [[], ["10.213.3.35 api.kubernetes.internal"], ["10.213.3.35 a", "10.213.3.9/24 a"]])
def test_without_another_control_plane_in_the_hosts_file_the_endpoint_is_asked(
    second: Machine, block: list[str]
) -> None:
    second.put(HOSTS, with_block("", block))
    assert etcd.other_servers(second) == [""]
