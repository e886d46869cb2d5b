# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module kubeconfig on a faked machine: what it writes, and what it hands to the control machine."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig as planning
from ansible_collections.kubestead.cluster.plugins.modules import kubeconfig
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

ADMIN = fixture("kubeadm/v1.35/admin.conf")
OTHER = fixture("kubeadm/v1.20/admin.conf")
PATH = "/home/anna/.kube/config"
SPEC = {
    "install": {"default": True},
    "user": {"default": ""},
    "overwrite": {"default": False},
    "copy_to": {"default": ""},
    "endpoint": {"default": ""},
    "bind_port": {"default": 6443},
    "renewed": {"default": False},
}


@pytest.fixture
def node(machine: Machine) -> Machine:
    os.makedirs(machine.path("/home/anna"))
    machine.answer("getent passwd anna", f"anna:x:{os.getuid()}:{os.getgid()}:Anna,,,:/home/anna:/bin/bash\n")
    return machine


def module(**params: Any) -> FakeModule:
    return FakeModule(SPEC, **{"user": "anna", **params})


def test_a_run_writes_it_and_a_second_one_does_not(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    result = kubeconfig.work(module(), node)
    assert result["changed"] and node.read(PATH) == ADMIN
    assert (result["user"], result["kubeconfig"], result["local_kubeconfig"]) == ("anna", PATH, "")
    assert result["server"] in ADMIN and result["server"].startswith("https://")
    assert not kubeconfig.work(module(), node)["changed"]


def test_check_mode_and_a_run_keep_a_file_that_can_not_be_backed_up(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    node.put(PATH, OTHER, 0o600)
    for number in range(10):
        node.put(f"{PATH}.before-kubestead" + (f".{number}" if number else ""), "mine")
    for check_mode in (True, False):
        call = module(overwrite=True)
        call.check_mode = check_mode
        assert not kubeconfig.work(call, node)["changed"] and node.read(PATH) == OTHER
        assert ["already backed up 10 times" in one for one in call.warnings] == [True]


def test_the_result_has_a_digest_and_no_key(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    result = kubeconfig.work(module(), node)
    assert len(result["source"]["digest"]) == 64 and result["source"]["servers"] == [result["server"]]
    assert "cmVkYWN0ZWQ" in ADMIN and "cmVkYWN0ZWQ" not in json.dumps(result)


def test_the_server_is_that_of_the_current_context(node: Machine) -> None:
    """kubectl sorts the clusters by name."""
    more = "clusters:\n- cluster:\n    server: https://192.0.2.1:6443\n  name: aws\n"
    node.put("/etc/kubernetes/admin.conf", ADMIN.replace("clusters:\n", more), 0o600)
    result = kubeconfig.work(module(), node)
    assert result["server"] in ADMIN and result["source"]["servers"] == ["https://192.0.2.1:6443", result["server"]]


def test_a_dry_run_before_the_init_expects_the_kubeconfig_of_the_endpoint(node: Machine) -> None:
    result = kubeconfig.work(module(check_mode=True, endpoint="api.example.org", bind_port=6444), node)
    assert result["changed"] and [step["action"] for step in result["steps"]] == ["write_kubeconfig"]
    assert result["source"]["servers"] == ["https://api.example.org:6444"] and not node.exists(PATH)


def test_a_dry_run_of_an_upgrade_expects_another_certificate(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    node.put(PATH, ADMIN, 0o600)
    result = kubeconfig.work(module(check_mode=True, renewed=True), node)
    assert [step["action"] for step in result["steps"]] == ["write_kubeconfig"] and result["source"]["digest"] == ""
    # The run itself compares what is there.
    assert not kubeconfig.work(module(renewed=True), node)["changed"]


def test_a_run_before_the_init_is_refused(node: Machine) -> None:
    with pytest.raises(KubesteadError, match="admin.conf does not exist"):
        kubeconfig.work(module(), node)


def test_one_of_another_cluster_stays_with_a_warning_unless_it_may_be_replaced(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    node.put(PATH, OTHER, 0o600)
    subject = module()
    assert not kubeconfig.work(subject, node)["changed"]
    assert node.read(PATH) == OTHER and [PATH in text for text in subject.warnings] == [True]
    subject = module(overwrite=True)
    assert kubeconfig.work(subject, node)["changed"] and subject.warnings == []
    assert node.read(PATH) == ADMIN and node.read(PATH + ".before-kubestead") == OTHER


def test_the_result_names_the_backup_as_check_mode_predicts_it(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    node.put(PATH, OTHER, 0o600)
    node.put(PATH + ".before-kubestead", "the user's own")
    foreseen = kubeconfig.work(module(overwrite=True, check_mode=True), node)
    assert node.read(PATH) == OTHER
    done = kubeconfig.work(module(overwrite=True), node)
    assert done["steps"] == foreseen["steps"] and done["diff"] == foreseen["diff"]
    assert done["steps"][0]["reason"].endswith(f"; a copy is kept in {PATH}.before-kubestead.1")
    assert node.read(PATH + ".before-kubestead.1") == OTHER


def test_the_result_names_the_backup_that_was_made(node: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    node.put(PATH, OTHER, 0o600)
    plan = planning.plan

    def late(*arguments: Any) -> Any:
        steps = plan(*arguments)
        node.put(PATH + ".before-kubestead", "the user's own")
        return steps

    monkeypatch.setattr(planning, "plan", late)
    (step,) = kubeconfig.work(module(overwrite=True), node)["steps"]
    assert step["reason"].endswith(f"; a copy is kept in {PATH}.before-kubestead.1")


def test_a_user_that_is_not_there_is_a_warning(node: Machine) -> None:
    node.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    subject = module(user="nobody-here")
    assert not kubeconfig.work(subject, node)["changed"]
    assert ["nobody-here" in text for text in subject.warnings] == [True]
