# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""manifests on the control machine: files are read here, and what may be secret is not logged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.kubestead.cluster.plugins.action import manifests
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction

SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "hunter2"}}
ROOT = Path(__file__).resolve().parents[4]
DEPLOY = f"{ROOT}/roles/deploy/tasks/main.yml:2"
FILE = """
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: web, image: web:1}]}
"""


class Action(FakeAction, manifests.ActionModule):
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.yaml").write_text(FILE)
    return tmp_path


def sent(folder: Path, **arguments: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The arguments that the module gets, and the objects among them."""
    action = Action("manifests", arguments, {"changed": True}, folder=folder)
    action.run(task_vars={})
    ((name, given),) = action.asked
    assert name == "kubestead.cluster.manifests"
    return given, json.loads(given["objects"])


def test_a_file_beside_the_playbook_is_read_here(folder: Path) -> None:
    given, objects = sent(folder, manifests="app.yaml", timeout=5)
    assert given["manifests"] == ["app.yaml"] and given["timeout"] == 5
    assert [entry["object"]["metadata"]["name"] for entry in objects] == ["web"]
    assert "app.yaml" in objects[0]["source"]


def test_a_control_plane_that_is_not_reached_is_named_with_the_other_way(folder: Path) -> None:
    refused = "Failed to connect to the host via ssh: ssh: connect to host 192.0.2.1 port 22: Connection refused"
    broken = "Failed to connect to the host via ssh: client_loop: send disconnect: Broken pipe"
    # The shell of the host prints something, and then the connection breaks.
    shell = broken.replace("client_loop", "/etc/profile.d/x.sh: line 3: /var/log/x: Permission denied\nclient_loop")
    for text, unchanged in ((refused, True), (broken, False), (shell, False)):
        action = Action("manifests", {"manifests": "app.yaml"}, AnsibleConnectionFailure(text), folder=folder)
        action._task.delegate_to = "cp1"
        action._connection.host = "192.0.2.1"
        with pytest.raises(AnsibleConnectionFailure) as caught:
            action.run(task_vars={})
        line = caught.value.message
        assert line.startswith(f"cp1: can't be reached: {text.splitlines()[-1].rpartition('via ssh: ')[2]}; check "), (
            line
        )
        assert "or apply the manifests from this machine with delegate_to: localhost and kubeconfig" in line
        # A connection that breaks may break after the first objects.
        assert line.endswith(" (nothing was changed)") == unchanged


def test_a_login_to_the_control_plane_that_fails_is_told_in_a_line(folder: Path) -> None:
    text = "Failed to connect to the host via ssh: root@192.0.2.9: Permission denied (publickey)."
    action = Action("manifests", {"manifests": "app.yaml"}, AnsibleConnectionFailure(text), folder=folder)
    action._task.delegate_to = "cp1"
    action._task.get_path = lambda: DEPLOY
    action._connection.host, action._connection.user = "192.0.2.9", None
    with pytest.raises(AnsibleConnectionFailure) as caught:
        action.run(task_vars={})
    assert caught.value.message == (
        "cp1: login failed: root@192.0.2.9: Permission denied (publickey); check ansible_user and its key or "
        "password, or apply the manifests from this machine with deploy_kubeconfig (nothing was changed)"
    )


def test_a_login_that_a_program_on_the_control_plane_tried_may_come_after_a_change(folder: Path) -> None:
    text = "Failed to connect to the host via ssh: git@192.0.2.7: Permission denied (publickey)."
    for options in ({"host": "192.0.2.9", "user": "root"}, {}):
        action = Action("manifests", {"manifests": "app.yaml"}, AnsibleConnectionFailure(text), folder=folder)
        vars(action._connection).update(options)
        action._task.get_path = lambda: DEPLOY
        with pytest.raises(AnsibleConnectionFailure, match="deploy_kubeconfig$"):
            action.run(task_vars={})


def test_a_mistake_is_told_with_the_name_that_the_user_has_set(folder: Path) -> None:
    # The role passes its variable on. A task of the user's own has the option, also where the variable is set.
    variables = {"deploy_manifests": "{{ folder }}/web"}
    for path, name in (("/home/ada/play.yml:7", "manifests"), (DEPLOY, "deploy_manifests")):
        action = Action("manifests", {"manifests": f"{folder}/web"}, folder=folder)
        action._task.get_path = lambda path=path: path
        with pytest.raises(AnsibleActionFail) as caught:
            action.run(task_vars=variables)
        assert caught.value.message.startswith(f"{name} is '{folder}/web', which does not exist; ")
        objects = Action("manifests", {"manifests": [{"kind": "List", "items": 5}]}, folder=folder)
        objects._task.get_path = action._task.get_path
        with pytest.raises(AnsibleActionFail, match=f"^{name}\\[0\\] has a List whose items are not a list"):
            objects.run(task_vars=variables)


def test_images_are_replaced_before_anything_is_sent(folder: Path) -> None:
    _given, objects = sent(folder, manifests=["app.yaml"], images={"web:1": "registry.example/web:2"})
    assert objects[0]["object"]["spec"]["containers"][0]["image"] == "registry.example/web:2"


def test_an_object_of_the_task_is_sent_in_the_argument_that_is_not_logged_alone(folder: Path) -> None:
    given, objects = sent(folder, manifests=["app.yaml", SECRET])
    assert objects[1]["object"]["stringData"] == {"password": "hunter2"}
    logged = {name: value for name, value in given.items() if name != "objects"}
    assert "hunter2" not in json.dumps(logged) and given["manifests"] == ["app.yaml", "an object"]


def test_a_namespace_comes_first_unless_the_manifests_have_it(folder: Path) -> None:
    _given, objects = sent(folder, manifests="app.yaml", namespace="shop")
    assert [entry["object"]["kind"] for entry in objects] == ["Namespace", "Pod"]
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"a": "b"}}}
    _given, objects = sent(folder, manifests=[own, "app.yaml"], namespace="shop")
    assert [entry["object"] for entry in objects if entry["object"]["kind"] == "Namespace"] == [own]


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "app.yaml"), ("apiVersion: v1\nkind: Pod\n", "app.yaml"), (None, "app.yaml")],
)
def test_a_file_that_is_no_manifest_is_named_and_nothing_is_sent(folder: Path, text: str | None, said: str) -> None:
    (folder / "app.yaml").unlink()
    if text is not None:
        (folder / "app.yaml").write_text(text)
    action = Action("manifests", {"manifests": "app.yaml"}, folder=folder)
    with pytest.raises(AnsibleActionFail, match="nothing was changed") as caught:
        action.run(task_vars={})
    assert said in str(caught.value) and action.asked == []
