# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""node_components on the control machine: which components, with which options, and what is added up."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError

from ansible_collections.kubestead.cluster.plugins.action import node_components
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import summarize
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

STEP = {"component": "host", "action": "set", "target": "net.ipv4.ip_forward", "reason": "0 -> 1"}
CLUSTER = {"pod_cidr": "10.244.0.0/16,fd00:1::/56", "service_cidr": "10.96.0.0/12", "endpoint": "api.example:6443"}
PLAN = {
    "todo": {"host": True, "kube_packages": False, "containerd": True, "control_plane": False},
    "images": [],
    "kubeadm_version": "1.36.2",
    "extra_packages": ["containerd"],
    "cluster": CLUSTER,
    "initializes": False,
    "kubeconfig": {},
}


class Action(node_components.ActionModule):
    """The action with answers instead of a host."""

    def __init__(self, arguments: dict[str, Any], *answers: Any) -> None:
        self._task = SimpleNamespace(
            args=arguments, action="kubestead.cluster.node_components", check_mode=False, no_log=False
        )
        self._task.copy = SimpleNamespace
        self._templar = SimpleNamespace(template=lambda value: value)
        self._play_context, self._loader = SimpleNamespace(no_log=False), None
        self._connection = SimpleNamespace(_play_context=self._play_context)
        self._shared_loader_obj = SimpleNamespace(action_loader=SimpleNamespace(get=self._other))
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def _execute_module(self, module_name: str = "", module_args: Any = None, **_others: Any) -> dict[str, Any]:
        self.asked.append((module_name, module_args))
        answer: Any = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _other(self, name: str, task: Any, **_others: Any) -> Any:
        def run(task_vars: Any) -> dict[str, Any]:
            self.asked.append((name, task.args))
            answer = self.answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer

        return SimpleNamespace(run=run)


@pytest.fixture(autouse=True)
def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def run(action: Action, **variables: Any) -> dict[str, Any]:
    return action.run(task_vars={"inventory_hostname": "w1", **variables})


def test_components_with_nothing_to_do_are_not_asked_again() -> None:
    action = Action({"components": ["host", "kube_packages", "containerd"], "plan": PLAN}, {"changed": False})
    run(action)
    ((name, arguments),) = action.asked
    assert name == "kubestead.cluster.node_components" and arguments["components"] == ["host", "containerd"]
    assert set(arguments["options"]) == {"host", "containerd"}


@pytest.mark.parametrize(
    ("run_tags", "skip_tags", "extra"),
    [
        (["all"], [], ["containerd"]),
        (["containerd"], [], []),
        (["containerd", "kube_packages"], [], ["containerd"]),
        (["all"], ["kube_packages"], []),
    ],
)
def test_a_dry_run_expects_the_runtime_only_from_packages_that_the_run_installs(
    run_tags: list[str], skip_tags: list[str], extra: list[str]
) -> None:
    action = Action({"components": ["containerd"], "plan": PLAN}, {"changed": False})
    # What an earlier task of a user registered under a name of a role is not evidence.
    run(action, ansible_run_tags=run_tags, ansible_skip_tags=skip_tags, kube_packages_result={"changed": True})
    ((_name, arguments),) = action.asked
    assert arguments["expected"]["extra_packages"] == extra


@pytest.mark.parametrize(
    ("roles", "extra"),
    [
        (["kube_packages", "containerd"], ["containerd"]),
        (["containerd", "kube_packages"], []),
        (["containerd"], ["containerd"]),
    ],
)
def test_a_dry_run_expects_the_runtime_only_from_packages_that_are_installed_before(
    roles: list[str], extra: list[str]
) -> None:
    action = Action({"components": ["containerd"], "plan": PLAN}, {"changed": False})
    run(action, ansible_play_role_names=[f"kubestead.cluster.{name}" for name in ["preflight", *roles]])
    ((_name, arguments),) = action.asked
    assert arguments["expected"]["extra_packages"] == extra


def test_a_host_with_nothing_to_do_is_not_asked_at_all() -> None:
    idle = {**PLAN, "todo": dict.fromkeys(PLAN["todo"], False)}
    action = Action({"components": ["host", "images", "control_plane"], "plan": idle})
    assert run(action) == {"changed": False, "steps": [], "diff": []} and action.asked == []


def test_the_pod_range_is_the_clusters_and_not_the_variable() -> None:
    action = Action({"components": ["host"], "plan": PLAN}, {"changed": False})
    run(action, cluster_pod_cidr="")
    assert action.asked[0][1]["options"]["host"]["pod_cidr"] == CLUSTER["pod_cidr"]


def test_credentials_travel_apart_from_the_other_options() -> None:
    credential = {"registry": "r.example", "username": "u", "password": "hidden-word"}
    action = Action({"components": ["containerd"], "plan": PLAN}, {"changed": False})
    run(action, containerd_registry_credentials=[credential])
    arguments = action.asked[0][1]
    assert json.loads(arguments["secrets"]) == {"registry_credentials": [credential]}
    assert "hidden-word" not in str(arguments["options"])


def test_an_option_that_is_wrong_is_named_before_the_host_is_asked() -> None:
    action = Action({"components": ["containerd"]})
    with pytest.raises(
        AnsibleActionFail, match=r"containerd_cni_bin_dir is 'bin', not an absolute path.*nothing was changed"
    ):
        run(action, containerd_cni_bin_dir="bin")
    assert action.asked == []


@pytest.mark.parametrize("given", [[], None, ["docker"], "docker"])
def test_unknown_components_are_refused(given: Any) -> None:
    with pytest.raises(AnsibleActionFail, match="components .*use some of host, kube_packages"):
        run(Action({"components": given}))


def test_the_first_control_plane_is_initialized_after_its_machine_is_prepared() -> None:
    plan = {**PLAN, "initializes": True, "kubeconfig": {"user": "admin"}}
    action = Action(
        {"components": ["host", "control_plane"], "plan": plan},
        {"changed": True, "steps": [STEP], "seconds": {"host": 0.2}},
        {"changed": True, "steps": [dict(STEP, component="control_plane")], "phase": "done"},
        {"changed": False, "steps": []},
    )
    result = run(action, cluster_service_cidr="10.0.0.0/8")
    assert [name for name, _arguments in action.asked] == [
        "kubestead.cluster.node_components",
        "kubestead.cluster.kubeadm_init",
        "kubestead.cluster.kubeconfig",
    ]
    init = action.asked[1][1]
    assert (init["pod_cidr"], init["service_cidr"]) == (CLUSTER["pod_cidr"], "10.96.0.0/12")
    assert init["control_plane_endpoint"] == "api.example:6443" and "taints" not in init and "endpoint" not in init
    assert result["changed"] and [step["component"] for step in result["steps"]] == ["host", "control_plane"]
    assert result["init"]["phase"] == "done" and result["kubeconfig"] == {"changed": False}


class Timeout(BaseException):
    """As Ansible ends a task that takes too long."""


DONE: dict[str, Any] = {"changed": True}


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ([DONE, DONE], 0),
        ([{"failed": True, "msg": "x"}], 1),
        ([AnsibleConnectionFailure("can't be reached: x")], 1),
        ([AnsibleActionFail("x")], 1),
        ([Timeout("x")], 1),
        # The cluster exists, but the copy is still empty.
        ([DONE, {"failed": True, "msg": "x"}], 1),
        ([DONE, AnsibleActionFail("x")], 1),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_a_copy_of_an_earlier_cluster_is_set_aside_before_the_cluster_is_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcomes: list[Any], told: int, check: bool
) -> None:
    copy, text = tmp_path / "copy", fixture("kubeadm/v1.35/admin.conf")
    copy.write_text(text)
    (server,) = summarize(text).servers
    kubeconfig = {"copy_to": str(copy), "copy_server": server, "endpoint": "x", "new_cluster": True}
    plan = {**PLAN, "initializes": True, "kubeconfig": kubeconfig}

    class Init(Action):
        def _other(self, name: str, task: Any, **others: Any) -> Any:
            seen.append(copy.read_text())
            return super()._other(name, task, **others)

    seen: list[str] = []
    warnings: list[str] = []
    shown = SimpleNamespace(display=lambda *_args, **_more: None, warning=warnings.append)
    monkeypatch.setattr(node_components, "display", shown)
    action = Init({"components": ["control_plane"], "plan": plan}, *map(copied, outcomes))
    action._task.check_mode = check
    try:
        warnings += run(action).get("warnings", [])
    except (AnsibleError, Timeout) as err:
        assert err is outcomes[-1]
    assert seen[0] == (text if check else "") and len(seen) == len(outcomes)
    if check:
        assert list(tmp_path.iterdir()) == [copy] and warnings == []
        return
    assert (tmp_path / "copy.before-kubestead").read_text() == text
    said = f"{copy} on the control machine was for an earlier cluster and is now empty; its contents are in {copy}"
    assert warnings == [said + ".before-kubestead"] * told


def copied(outcome: Any) -> Any:
    return dict(outcome) if isinstance(outcome, dict) else outcome


def test_the_backup_that_is_named_is_the_one_that_was_made(tmp_path: Path) -> None:
    copy, text = tmp_path / "copy", fixture("kubeadm/v1.35/admin.conf")
    copy.write_text(text)
    (tmp_path / "copy.before-kubestead").write_text("the user's own")
    (server,) = summarize(text).servers
    kubeconfig = {"copy_to": str(copy), "copy_server": server, "endpoint": "x", "new_cluster": True}
    plan = {**PLAN, "initializes": True, "kubeconfig": kubeconfig}
    action = Action({"components": ["control_plane"], "plan": plan}, {"failed": True, "msg": "x"})
    (warning,) = run(action)["warnings"]
    assert warning.endswith(f"its contents are in {copy}.before-kubestead.1")
    assert (tmp_path / "copy.before-kubestead").read_text() == "the user's own"


def test_no_cluster_is_created_if_the_earlier_copy_can_not_be_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, text = tmp_path / "copy", fixture("kubeadm/v1.35/admin.conf")
    copy.write_text(text)

    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    (server,) = summarize(text).servers
    kubeconfig = {"copy_to": str(copy), "copy_server": server, "endpoint": "x", "new_cluster": True}
    action = Action({"components": ["control_plane"], "plan": {**PLAN, "initializes": True, "kubeconfig": kubeconfig}})
    result = run(action)
    assert result["failed"] and action.asked == [] and copy.read_text() == text
    assert result["msg"] == (
        f"{copy}.before-kubestead can't be written: No space left on device (the cluster was not initialized)"
    )


def test_a_control_plane_that_is_to_join_gets_no_kubeconfig_yet() -> None:
    plan = {**PLAN, "joins_as": "control_plane", "kubeconfig": {"user": "admin"}}
    action = Action({"components": ["host", "control_plane"], "plan": plan}, {"changed": True, "steps": [STEP]})
    assert run(action)["changed"]
    assert [name for name, _arguments in action.asked] == ["kubestead.cluster.node_components"]


def test_nothing_is_initialized_on_a_machine_that_could_not_be_prepared() -> None:
    plan = {**PLAN, "initializes": True}
    failure = {"failed": True, "msg": "containerd: it does not start", "component": "containerd", "changed": True}
    action = Action({"components": ["containerd", "control_plane"], "plan": plan}, dict(failure))
    result = run(action)
    assert len(action.asked) == 1
    assert result["failed"] and result["msg"] == failure["msg"] and result["changed"]


def test_a_host_that_is_lost_on_the_way_is_unreachable() -> None:
    error = AnsibleConnectionFailure("Failed to connect to the host via ssh: no route to host")
    with pytest.raises(AnsibleConnectionFailure, match="no route to host"):
        run(Action({"components": ["host"], "plan": PLAN}, error))


def test_a_node_is_told_of_the_endpoint_only_by_a_plan() -> None:
    endpoint = {"name": "api.home.internal", "port": 6443, "own": "", "control_planes": ["192.0.2.1"]}
    plan = {**PLAN, "todo": {"api_endpoint": True}, "api_endpoint": endpoint}
    action = Action({"components": ["api_endpoint"], "plan": plan}, {"changed": True})
    run(action)
    assert action.asked[0][1]["expected"]["api_endpoint"] == endpoint
    action = Action({"components": ["api_endpoint"]}, {"changed": False})
    run(action)
    assert "api_endpoint" not in action.asked[0][1]["expected"]


def test_an_init_by_tags_finds_the_api() -> None:
    components = ["host", "api_endpoint", "control_plane"]
    assert node_components.selected(components, ["control_plane"], []) == ["api_endpoint", "control_plane"]
    assert node_components.selected(components, ["host"], []) == ["host"]


@pytest.mark.parametrize(
    ("run_tags", "skip_tags", "left"),
    [
        (["all"], [], ["host", "containerd"]),
        (["containerd"], [], ["containerd"]),
        (["all"], ["containerd"], ["host"]),
        (["join"], [], ["host", "containerd"]),
        (None, None, ["host", "containerd"]),
    ],
)
def test_tags_select_components(run_tags: Any, skip_tags: Any, left: list[str]) -> None:
    assert node_components.selected(["host", "containerd"], run_tags, skip_tags) == left
