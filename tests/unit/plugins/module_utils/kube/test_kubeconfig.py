# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The admin's kubeconfig for the login user and the control machine: never a foreign one lost, never a key shown."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.action import kubeconfig as action
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    KubeconfigOptions,
    KubeconfigState,
)
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy, node_action
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

ADMIN = fixture("kubeadm/v1.35/admin.conf")
OTHER = fixture("kubeadm/v1.20/admin.conf")
SERVER = kubeconfig.summarize(ADMIN).servers[0]
# Same address as ADMIN, CA of another cluster: what a reset and a new init leave behind.
EARLIER = OTHER.replace(kubeconfig.summarize(OTHER).servers[0], SERVER)
PATH = "/home/anna/.kube/config"


@pytest.fixture
def node(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A control plane on which anna, who has the ids of whoever runs the tests, became root with sudo."""
    monkeypatch.setenv("SUDO_USER", "anna")
    machine.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    os.makedirs(machine.path("/home/anna"))
    machine.answer("getent passwd anna", f"anna:x:{os.getuid()}:{os.getgid()}:Anna,,,:/home/anna:/bin/bash\n")
    machine.answer("id -un", "root\n")
    return machine


def plan(node: Machine, **options: Any) -> list[tuple[str, str]]:
    return [
        (step.action, step.reason) for step in kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions(**options))
    ]


def run(node: Machine, **options: Any) -> None:
    for step in kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions(**options)):
        kubeconfig.apply(step, node)


def test_a_login_user_gets_the_admins_kubeconfig_alone(node: Machine) -> None:
    assert plan(node) == [("write_kubeconfig", "no kubeconfig yet")]
    run(node)
    assert node.read(PATH) == ADMIN
    assert (node.mode(PATH), node.mode("/home/anna/.kube")) == (0o600, 0o700)
    assert os.stat(node.path(PATH)).st_uid == os.getuid()
    assert plan(node) == []


def test_what_is_observed_and_planned_holds_no_key(node: Machine) -> None:
    state = kubeconfig.observe(node)
    assert from_dict(KubeconfigState, json.loads(json.dumps(to_dict(state)))) == state
    (step,) = kubeconfig.plan(state, KubeconfigOptions())
    said = json.dumps(to_dict(state)) + repr(step) + json.dumps(dict(step.data))
    assert "client-key-data" not in said and "cmVkYWN0ZWQ" not in said


def test_another_owner_or_mode_is_put_right(node: Machine) -> None:
    run(node)
    os.chmod(node.path(PATH), 0o644)
    assert plan(node) == [("protect_kubeconfig", "mode 0644 -> 0600")]
    run(node)
    assert node.mode(PATH) == 0o600
    node.answer("getent passwd anna", "anna:x:4242:4242::/home/anna:/bin/bash\n")
    assert plan(node) == [("protect_kubeconfig", f"owner {os.getuid()} -> 4242")]


def test_renewed_certificates_are_taken_over_without_a_copy(node: Machine) -> None:
    node.put(PATH, ADMIN.replace("client-certificate-data: L", "client-certificate-data: M"))
    assert plan(node) == [("write_kubeconfig", "of this cluster, but other than admin.conf")]
    run(node)
    assert node.read(PATH) == ADMIN and node.names("/home/anna/.kube") == ["config"]


def test_a_foreign_kubeconfig_is_left_alone_and_told(node: Machine) -> None:
    node.put(PATH, OTHER, 0o644)
    assert plan(node) == []
    (warning,) = kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions())
    assert warning.startswith(
        "/home/anna/.kube/config is of another cluster (https://10.213.0.60:6443) and was left alone; "
    )
    assert plan(node, overwrite=True) == [("write_kubeconfig", "of another cluster (https://10.213.0.60:6443)")]
    run(node, overwrite=True)
    assert node.read(PATH) == ADMIN and node.read(PATH + ".before-kubestead") == OTHER
    assert node.mode(PATH + ".before-kubestead") == 0o600


def test_an_earlier_cluster_at_the_same_address_is_replaced_and_kept_beside(node: Machine) -> None:
    node.put(PATH, EARLIER)
    assert plan(node) == [("write_kubeconfig", f"of an earlier cluster at {SERVER}")]
    run(node)
    assert node.read(PATH) == ADMIN and node.read(PATH + ".before-kubestead") == EARLIER


def test_a_kubeconfig_of_several_clusters_is_its_users_own(node: Machine) -> None:
    second = "clusters:\n- cluster:\n    server: https://other:6443\n"
    node.put(PATH, ADMIN.replace("clusters:\n", second), 0o600)
    assert plan(node) == []
    assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions()) == []
    node.put(PATH, EARLIER.replace("clusters:\n", second), 0o600)
    assert plan(node) == []
    assert len(kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions())) == 1


def test_a_dry_run_before_the_cluster_predicts_the_run_after(node: Machine) -> None:
    node.remove("/etc/kubernetes/admin.conf")
    assert plan(node) == [("write_kubeconfig", "no kubeconfig yet")]
    node.put(PATH, EARLIER)
    host = SERVER.split("//")[1].rsplit(":", 1)[0]
    for endpoint, verdict in ((host, "write"), ("192.0.2.1", "keep"), ("", "keep")):
        existing = kubeconfig.observe(node).existing
        assert kubeconfig.classify(existing, kubeconfig.expected(endpoint))[0] == verdict, endpoint
    with pytest.raises(KubesteadError, match=r"/etc/kubernetes/admin.conf is not there; initialise or join"):
        run(node, overwrite=True)


def test_who_the_login_user_is(node: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kubeconfig.login_user(node) == "anna"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.delenv("DOAS_USER", raising=False)
    assert kubeconfig.login_user(node) == "root"


@pytest.mark.parametrize(
    ("entry", "said"),
    [("", "there is no user ben here"), ("ben:x:7:7::/home/ben:/bin/sh\n", "ben has no home /home/ben")],
)
def test_a_user_who_can_have_none(node: Machine, entry: str, said: str) -> None:
    node.answer("getent passwd ben", entry)
    state = kubeconfig.observe(node, "ben")
    assert kubeconfig.plan(state, KubeconfigOptions(user="ben")) == []
    (warning,) = kubeconfig.warnings_of(state, KubeconfigOptions(user="ben"))
    assert said in warning


# -- the copy on the control machine


def test_the_copy(machine: Machine) -> None:
    wanted, path = kubeconfig.summarize(ADMIN), "/home/me/clusters/home.conf"
    step = kubeconfig_copy.plan_copy(machine, path, wanted)
    assert (step.action, step.reason) == ("write_kubeconfig", "no kubeconfig yet")
    kubeconfig_copy.apply_copy(step, machine, ADMIN)
    assert machine.read(path) == ADMIN
    assert (machine.mode(path), machine.mode("/home/me/clusters")) == (0o600, 0o700)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).action == "same"
    os.chmod(machine.path(path), 0o640)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).reason == "mode 0640 -> 0600"
    machine.put(path, OTHER)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).action == "keep"
    machine.put(path, EARLIER)
    kubeconfig_copy.apply_copy(kubeconfig_copy.plan_copy(machine, path, wanted), machine, ADMIN)
    assert machine.read(path + ".before-kubestead") == EARLIER and machine.read(path) == ADMIN


class Task(action.ActionModule):
    """The action with a connection that keeps what it would have printed."""

    def __init__(self, tmp_path: Path, module: dict[str, Any], check_mode: bool = False) -> None:
        args = {"copy_to": str(tmp_path / "k" / "config")}
        self._task = SimpleNamespace(args=args, check_mode=check_mode, no_log=False)
        self._play_context = SimpleNamespace(no_log=False)
        self._connection = SimpleNamespace(_play_context=SimpleNamespace(no_log=False))
        self.module = module
        self.printed = ""
        self.calls: list[str] = []

    def _execute_module(self, module_name: str = "", module_args: Any = None, **_others: Any) -> dict[str, Any]:
        self.calls.append(module_name)
        answer = self.module
        if module_name != MODULE:
            answer = {"content": base64.b64encode(ADMIN.encode()).decode(), "encoding": "base64"}
        if not self._connection._play_context.no_log:
            self.printed += json.dumps(answer)
        return dict(answer)


def answered(**more: Any) -> dict[str, Any]:
    return {"changed": False, "steps": [], "diff": [], "source": to_dict(kubeconfig.summarize(ADMIN)), **more}


MODULE = "kubestead.cluster.kubeconfig"


@pytest.fixture
def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


@pytest.mark.usefixtures("no_base")
def test_the_kubeconfig_is_fetched_censored_and_only_when_it_differs(tmp_path: Path) -> None:
    target = tmp_path / "k" / "config"
    task = Task(tmp_path, answered())
    result = task.run()
    assert result["changed"] and result["local_kubeconfig"] == str(target) and target.read_text() == ADMIN
    assert target.stat().st_mode & 0o777 == 0o600
    assert task.calls == [MODULE, "ansible.legacy.slurp"]
    assert "content" not in task.printed, "a connection prints this at -vvv"
    assert "client-key" not in json.dumps(result) and "source" not in result
    assert not task._play_context.no_log and not task._connection._play_context.no_log
    again = Task(tmp_path, answered())
    assert again.run()["changed"] is False and again.calls == [MODULE]


@pytest.mark.usefixtures("no_base")
def test_the_copy_in_a_dry_run_and_beside_a_failure(tmp_path: Path) -> None:
    task = Task(tmp_path, answered(), check_mode=True)
    result = task.run()
    assert result["changed"] and result["steps"][0]["reason"] == "no kubeconfig yet" and task.calls == [MODULE]
    assert not (tmp_path / "k").exists()
    assert Task(tmp_path, {"failed": True, "msg": "x"}).run() == {"failed": True, "msg": "x"}


@pytest.mark.usefixtures("no_base")
def test_a_foreign_file_on_the_control_machine_is_kept(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "config").write_text(OTHER)
    task = Task(tmp_path, answered())
    result = task.run()
    assert not result["changed"] and task.calls == [MODULE] and (tmp_path / "k" / "config").read_text() == OTHER
    assert "is of another cluster (https://10.213.0.60:6443) and was left alone" in result["warnings"][0]
