# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The admin's kubeconfig for the login user and the control machine: never a foreign one lost, never a key shown."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail

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

# The recorded ones have no key; this one opens nothing.
KEY = base64.b64encode(b"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n").decode()
ADMIN = fixture("kubeadm/v1.35/admin.conf").replace("cmVkYWN0ZWQ=", KEY)
OTHER = fixture("kubeadm/v1.20/admin.conf").replace("cmVkYWN0ZWQ=", KEY)
SERVER = kubeconfig.summarize(ADMIN).servers[0]
# Same address as ADMIN, CA of another cluster: what a reset and a new init leave behind.
EARLIER = OTHER.replace(kubeconfig.summarize(OTHER).servers[0], SERVER)
PATH = "/home/anna/.kube/config"
BACKUPS = [PATH + ".before-kubestead", *(f"{PATH}.before-kubestead.{number}" for number in range(1, 10))]
#: The admin's file before its certificate was renewed, alone and with an entry of the user.
OLD = ADMIN.replace("client-certificate-data: L", "client-certificate-data: M")
OLD_WITH_MORE = OLD.replace("users:\n", "users:\n- name: anna\n  user:\n    token: abc\n")


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
    assert plan(node) == [("write_kubeconfig", "the kubeconfig does not exist")]
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
    assert "client-key-data" not in said and KEY not in said


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
    assert plan(node) == [("write_kubeconfig", "for this cluster, but it differs from admin.conf")]
    run(node)
    assert node.read(PATH) == ADMIN and node.names("/home/anna/.kube") == ["config"]


def test_a_foreign_kubeconfig_is_left_alone_and_told(node: Machine) -> None:
    node.put(PATH, OTHER, 0o644)
    assert plan(node) == []
    (warning,) = kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions())
    assert warning.startswith(
        "/home/anna/.kube/config is for another cluster (https://10.213.0.60:6443) and was not changed; "
    )
    assert plan(node, overwrite=True) == [("write_kubeconfig", "for another cluster (https://10.213.0.60:6443)")]
    run(node, overwrite=True)
    assert node.read(PATH) == ADMIN and node.read(PATH + ".before-kubestead") == OTHER
    assert node.mode(PATH + ".before-kubestead") == 0o600


def test_an_earlier_cluster_at_the_same_address_is_replaced_and_kept_beside(node: Machine) -> None:
    node.put(PATH, EARLIER)
    assert plan(node) == [("write_kubeconfig", f"for an earlier cluster at {SERVER}")]
    run(node)
    assert node.read(PATH) == ADMIN and node.read(PATH + ".before-kubestead") == EARLIER


@pytest.mark.parametrize("taken", [0, 1, 3, 9])
def test_the_step_names_the_file_in_which_the_replaced_one_is_kept(node: Machine, taken: int) -> None:
    names = [PATH + ".before-kubestead", *(f"{PATH}.before-kubestead.{number}" for number in range(1, 10))]
    for name in names[:taken]:
        node.put(name, "the user's own")
    node.put(PATH, EARLIER)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == names[taken]
    assert kubeconfig.apply(step, node) == step
    assert node.read(step.backup) == EARLIER
    assert [node.read(name) for name in names[:taken]] == ["the user's own"] * taken


def test_no_backup_is_replaced_if_there_is_no_further_number(node: Machine) -> None:
    names = BACKUPS
    for name in names[:-1]:
        node.put(name, "the user's own")
    node.put(PATH, EARLIER)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    # After the plan, the user writes one more.
    node.put(names[-1], "the user's own")
    with pytest.raises(KubesteadError) as failed:
        kubeconfig.apply(step, node)
    assert failed.value.message == f"{names[-1]} exists; remove the backups that you don't need, and run again"
    assert node.read(PATH) == EARLIER and [node.read(name) for name in names] == ["the user's own"] * 10
    assert sorted(node.names("/home/anna/.kube")) == sorted(map(os.path.basename, [PATH, *names]))
    # Without a file, there is nothing to back up.
    node.remove(PATH)
    assert kubeconfig.apply(step, node).backup == "" and node.read(PATH) == ADMIN


FULL = (
    f"{PATH} is already backed up 10 times (the maximum) and was not changed; remove those of "
    f"{PATH}.before-kubestead and {PATH}.before-kubestead.1 to .9 that you don't need, and run again"
)


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("text", [EARLIER, OLD_WITH_MORE, "{a: b}\n"])
def test_a_file_that_can_not_be_backed_up_is_kept_and_told(node: Machine, text: str, overwrite: bool) -> None:
    node.put(PATH, text)
    if not plan(node, overwrite=overwrite):
        return
    for name in BACKUPS:
        node.put(name, "the user's own")
    options = KubeconfigOptions(overwrite=overwrite)
    assert plan(node, overwrite=overwrite) == []
    assert kubeconfig.warnings_of(kubeconfig.observe(node), options) == [FULL]
    run(node, overwrite=overwrite)
    assert node.read(PATH) == text
    node.remove(BACKUPS[3])
    (step,) = kubeconfig.plan(kubeconfig.observe(node), options)
    assert step.backup == BACKUPS[3] and kubeconfig.warnings_of(kubeconfig.observe(node), options) == []


@pytest.mark.parametrize("text", [ADMIN, OLD, "", OTHER])
def test_a_file_without_a_backup_to_write_does_not_need_a_name_for_one(node: Machine, text: str) -> None:
    for name in BACKUPS:
        node.put(name, "the user's own")
    node.put(PATH, text, 0o600)
    assert FULL not in kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions())
    run(node)
    assert node.read(PATH) == (OTHER if text == OTHER else ADMIN)


def test_merges_make_one_backup(node: Machine) -> None:
    node.put(PATH, OLD_WITH_MORE)
    for number in range(15):
        certificate = base64.b64encode(str(number).encode()).decode()
        node.put("/etc/kubernetes/admin.conf", re.sub("(client-certificate-data:) .*", rf"\1 {certificate}", ADMIN))
        (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
        assert step.backup == ("" if number else BACKUPS[0])
        assert kubeconfig.apply(step, node) == step
        assert certificate in (node.read(PATH) or "")
    assert node.names("/home/anna/.kube") == ["config", "config.before-kubestead"]
    assert node.read(BACKUPS[0]) == OLD_WITH_MORE


def test_a_merge_makes_a_backup_beside_those_of_other_clusters(node: Machine) -> None:
    node.put(PATH, OLD_WITH_MORE)
    node.put(BACKUPS[0], OTHER)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == BACKUPS[1]
    # Any one is enough, as the user may remove others.
    node.put(BACKUPS[7], OLD_WITH_MORE)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == ""


def test_a_file_in_json_is_backed_up_before_it_gets_another_form(node: Machine) -> None:
    text = json.dumps(yaml.safe_load(OLD.replace(SERVER, "https://127.0.0.1:7000")))
    node.put(PATH, text)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == BACKUPS[0] and kubeconfig.apply(step, node) == step
    assert node.read(PATH) == ADMIN and node.read(BACKUPS[0]) == text
    # This is no backup of entries that the user adds later.
    node.put(PATH, OLD_WITH_MORE)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == BACKUPS[1]
    assert kubeconfig.backed_up(kubeconfig.summarize(text), kubeconfig.summarize(ADMIN))
    assert not kubeconfig.backed_up(kubeconfig.summarize(OLD), kubeconfig.summarize(ADMIN))


def test_a_copy_without_entries_of_the_user_is_no_backup_of_a_merge_on_the_control_machine(machine: Machine) -> None:
    path, wanted = "/home/me/config", kubeconfig.summarize(ADMIN)
    machine.put(path, OLD_WITH_MORE, 0o600)
    machine.put(path + ".before-kubestead", json.dumps(yaml.safe_load(OLD)))
    assert kubeconfig_copy.plan_copy(machine, path, wanted).backup == path + ".before-kubestead.1"
    machine.put(path + ".before-kubestead.1", OLD_WITH_MORE)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).backup == ""


def test_a_link_takes_the_name_of_a_backup(node: Machine) -> None:
    node.put(PATH, EARLIER)
    os.symlink("/nowhere", node.path(PATH + ".before-kubestead"))
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    assert step.backup == PATH + ".before-kubestead.1" and kubeconfig.apply(step, node) == step


def test_a_file_that_comes_or_goes_after_the_plan_changes_what_the_step_tells(node: Machine) -> None:
    node.put(PATH, EARLIER)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    node.put(PATH + ".before-kubestead", "the user's own")
    assert kubeconfig.apply(step, node) == replace(step, backup=PATH + ".before-kubestead.1")
    assert node.read(PATH + ".before-kubestead") == "the user's own"
    node.remove(PATH)
    assert kubeconfig.apply(step, node) == replace(step, backup="")


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
    assert plan(node) == [("write_kubeconfig", "the kubeconfig does not exist")]
    node.put(PATH, EARLIER)
    host = SERVER.split("//")[1].rsplit(":", 1)[0]
    for endpoint, verdict in ((host, "write"), ("192.0.2.1", "keep"), ("", "keep")):
        existing = kubeconfig.observe(node).existing
        assert kubeconfig.classify(existing, kubeconfig.expected(endpoint))[0] == verdict, endpoint
    with pytest.raises(KubesteadError, match=r"/etc/kubernetes/admin.conf does not exist; initialize or join"):
        run(node, overwrite=True)


def test_who_the_login_user_is(node: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kubeconfig.login_user(node) == "anna"
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.delenv("DOAS_USER", raising=False)
    assert kubeconfig.login_user(node) == "root"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("", "user ben does not exist on this host"),
        ("ben:x:7:7::/home/ben:/bin/sh\n", "the home directory of ben, /home/ben, does not exist"),
    ],
)
def test_a_user_who_can_have_none(node: Machine, entry: str, said: str) -> None:
    node.answer("getent passwd ben", entry)
    state = kubeconfig.observe(node, "ben")
    assert kubeconfig.plan(state, KubeconfigOptions(user="ben")) == []
    (warning,) = kubeconfig.warnings_of(state, KubeconfigOptions(user="ben"))
    assert said in warning


def test_nobody_gets_one_where_the_switch_is_off(node: Machine) -> None:
    assert plan(node, install=False) == []
    node.put(PATH, OTHER, 0o644)
    assert plan(node, install=False, overwrite=True) == []
    assert kubeconfig.warnings_of(kubeconfig.observe(node), KubeconfigOptions(install=False)) == []
    assert node.read(PATH) == OTHER


# -- a user who puts something else in the place of the file


def attack(node: Machine, link: str, target: str) -> Path:
    """A link of the user's to something of root's."""
    path = Path(node.path(link))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(node.path(target))
    return path


def refused(node: Machine, said: str) -> None:
    """Nothing is planned, the user is told why, and nothing of the target is told."""
    state = kubeconfig.observe(node)
    assert kubeconfig.plan(state, KubeconfigOptions(overwrite=True)) == []
    (warning,) = kubeconfig.warnings_of(state, KubeconfigOptions())
    assert warning.startswith("/home/anna/.kube/config can't be used: ") and said in warning
    assert state.existing is None


def outside(node: Machine) -> dict[str, tuple[str, int, int]]:
    """All files outside of the home: text, mode, owner."""
    files = [path for path in node.folder.rglob("*") if path.is_file() and "/home/" not in str(path)]
    return {str(path): (path.read_text(), path.stat().st_mode, path.stat().st_uid) for path in files}


@pytest.mark.parametrize("target", ["/etc/kubernetes/admin.conf", "/etc/shadow", "/nothing"])
def test_a_link_in_place_of_the_file_is_not_followed(node: Machine, target: str) -> None:
    node.put("/etc/shadow", "root:$6$secret", 0o600)
    attack(node, PATH, target)
    before = outside(node)
    refused(node, "it is a link")
    assert outside(node) == before


def test_a_link_in_place_of_the_folder_is_not_followed(node: Machine) -> None:
    node.put("/root/.kube/config", OTHER, 0o600)
    attack(node, "/home/anna/.kube", "/root/.kube")
    refused(node, "its folder is a link")


def test_a_second_name_of_a_file_of_root_is_not_used(node: Machine) -> None:
    os.mkdir(node.path("/home/anna/.kube"))
    os.link(node.path("/etc/kubernetes/admin.conf"), node.path(PATH))
    os.chmod(node.path("/etc/kubernetes/admin.conf"), 0o640)
    refused(node, "more than one hard link")
    assert node.mode("/etc/kubernetes/admin.conf") == 0o640


def test_a_fifo_a_folder_and_a_huge_file_are_not_read(node: Machine) -> None:
    os.mkdir(node.path("/home/anna/.kube"))
    os.mkfifo(node.path(PATH))
    refused(node, "not a regular file")
    os.unlink(node.path(PATH))
    os.mkdir(node.path(PATH))
    refused(node, "not a regular file")
    os.rmdir(node.path(PATH))
    with open(node.path(PATH), "wb") as handle:
        handle.truncate(1 << 32)
    refused(node, "larger than 1 MiB")
    os.unlink(node.path(PATH))
    os.rmdir(node.path("/home/anna/.kube"))
    node.put("/home/anna/.kube", "a file")
    refused(node, "or a file")


@pytest.mark.parametrize("secret", ["/etc/shadow", "/etc/kubernetes/admin.conf"])
@pytest.mark.parametrize("content", [None, "EARLIER", "ADMIN"])
def test_what_is_exchanged_after_the_observation_is_not_followed(
    node: Machine, secret: str, content: str | None
) -> None:
    """Between looking and writing the user replaces the file, then the folder, by a link."""
    node.put("/etc/shadow", "root:$6$secret", 0o640)
    os.chmod(node.path("/etc/kubernetes/admin.conf"), 0o640)
    if content:
        node.put(PATH, {"EARLIER": EARLIER, "ADMIN": ADMIN}[content], 0o644)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions(overwrite=True))
    before = outside(node)
    node.remove(PATH)
    attack(node, PATH, secret)
    try:
        kubeconfig.apply(step, node)
    except KubesteadError as err:
        assert content == "ADMIN" and "can't be protected: it is a link" in err.message
    else:
        assert Path(node.path(PATH)).is_file() and not Path(node.path(PATH)).is_symlink()
    assert outside(node) == before
    kept = Path(node.path(PATH + ".before-kubestead"))
    assert not kept.exists() or kept.is_symlink(), "a copy would be the user's to read"
    node.remove("/home/anna/.kube")
    attack(node, "/home/anna/.kube", os.path.dirname(secret))
    with pytest.raises(KubesteadError, match="its folder is a link"):
        kubeconfig.apply(step, node)
    assert outside(node) == before


def test_a_second_name_that_comes_after_the_observation_keeps_its_mode(node: Machine) -> None:
    node.put(PATH, ADMIN, 0o644)
    node.put("/etc/other", "x", 0o644)
    (step,) = kubeconfig.plan(kubeconfig.observe(node), KubeconfigOptions())
    node.remove(PATH)
    os.link(node.path("/etc/other"), node.path(PATH))
    with pytest.raises(KubesteadError, match="replaced during the run"):
        kubeconfig.apply(step, node)
    assert node.mode("/etc/other") == 0o644


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give files to others")
def test_owners_of_others(node: Machine) -> None:
    node.answer("getent passwd anna", "anna:x:4242:4242::/home/anna:/bin/bash\n")
    folder = Path(node.path("/home/anna/.kube"))
    run(node)
    assert (folder.stat().st_uid, Path(node.path(PATH)).stat().st_uid) == (4242, 4242)
    # What a kubectl of root left.
    os.chown(folder, 0, 0)
    node.put(PATH, ADMIN, 0o600)
    os.chown(node.path(PATH), 0, 0)
    assert plan(node) == [("protect_kubeconfig", "owner 0 -> 4242")]
    run(node)
    assert (folder.stat().st_uid, Path(node.path(PATH)).stat().st_uid) == (4242, 4242)
    # What a run as root left, with backups.
    node.put(PATH + ".before-kubestead.1", OTHER, 0o600)
    node.put(PATH, EARLIER, 0o600)
    os.chown(folder, 0, 0)
    run(node)
    assert folder.stat().st_uid == 4242 and node.read(PATH) == ADMIN
    # A folder of root's that the user renamed.
    node.remove("/home/anna/.kube")
    node.put("/home/anna/.kube/id_rsa", "secret", 0o600)
    os.chown(folder, 0, 0)
    with pytest.raises(KubesteadError, match=r"/home/anna/.kube belongs to another user \(id 0\)"):
        run(node)
    assert folder.stat().st_uid == 0
    # A file of root's that the user renamed is not handed over, as itself or as the copy beside.
    node.remove("/home/anna/.kube")
    node.put(PATH, EARLIER + "# of root\n", 0o600)
    os.chown(node.path(PATH), 0, 0)
    run(node)
    kept = Path(node.path(PATH + ".before-kubestead"))
    assert (kept.stat().st_uid, kept.stat().st_mode & 0o777) == (0, 0o600)


def test_a_folder_is_made_with_its_mode_whatever_the_umask(node: Machine) -> None:
    before = os.umask(0)
    try:
        run(node)
    finally:
        os.umask(before)
    assert (node.mode(PATH), node.mode("/home/anna/.kube")) == (0o600, 0o700)


# -- the copy on the control machine


def test_the_copy(machine: Machine) -> None:
    wanted, path = kubeconfig.summarize(ADMIN), "/home/me/clusters/home.conf"
    step = kubeconfig_copy.plan_copy(machine, path, wanted)
    assert (step.action, step.reason) == ("write_kubeconfig", "the kubeconfig does not exist")
    kubeconfig_copy.apply_copy(step, machine, ADMIN)
    assert machine.read(path) == ADMIN
    assert (machine.mode(path), machine.mode("/home/me/clusters")) == (0o600, 0o700)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).action == "same"
    os.chmod(machine.path(path), 0o640)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).reason == "mode 0640 -> 0600"
    machine.put(path, OTHER)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).action == "keep"
    machine.put(path, EARLIER)
    assert kubeconfig_copy.plan_copy(machine, path, wanted).action == "other_ca"
    kubeconfig_copy.apply_copy(kubeconfig_copy.plan_copy(machine, path, wanted, True), machine, ADMIN)
    assert machine.read(path + ".before-kubestead") == EARLIER and machine.read(path) == ADMIN


UNUSABLE = {
    "folder": "it is a directory",
    "loop": "Too many levels of symbolic links",
    "pipe": "it is not a regular file",
    "large": "it is larger than 1 MiB",
    "broken": "it is not YAML",
    "other": "it is not a kubeconfig in block style or JSON",
    "flow": "it is not a kubeconfig in block style or JSON",
    "file/below": "Not a directory",
    "nul\0": "ValueError",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_can_not_be_read_as_a_kubeconfig_is_kept(machine: Machine, name: str) -> None:
    path, secret = f"/home/me/{name}", "hidden-word"
    os.makedirs(machine.path("/home/me/folder"))
    os.symlink("loop", machine.path("/home/me/loop"))
    os.mkfifo(machine.path("/home/me/pipe"))
    machine.put("/home/me/large", "# x\n" * (1 << 19))
    machine.put("/home/me/broken", f"token: [{secret}\n")
    machine.put("/home/me/other", f"{secret}\n")
    machine.put("/home/me/flow", f"{{apiVersion: v1, clusters: [{{name: {secret}}}]}}\n")
    machine.put("/home/me/file", "")
    assert kubeconfig_copy.look(machine, path)[1] == UNUSABLE[name]
    step = kubeconfig_copy.plan_copy(machine, path, kubeconfig.summarize(ADMIN))
    assert (step.action, step.reason) == ("keep", f"not usable ({UNUSABLE[name]})")


def test_a_file_without_the_permission_to_read_it_is_kept(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.put("/home/me/config", ADMIN)

    def refuse(*_arguments: Any, **_others: Any) -> int:
        raise PermissionError(13, "Permission denied", "/home/me/config")

    # Root may read everything.
    monkeypatch.setattr(os, "open", refuse)
    assert kubeconfig_copy.look(machine, "/home/me/config") == (None, "Permission denied")


def test_a_file_of_another_cluster_or_in_json_is_a_kubeconfig(machine: Machine) -> None:
    path = "/home/me/config"
    assert kubeconfig_copy.look(machine, path) == (None, "")
    # kubectl reads JSON that is indented with tabs, YAML does not have it.
    for text in (ADMIN, OTHER, "", json.dumps(yaml.safe_load(ADMIN), indent="\t")):
        machine.put(path, text)
        assert kubeconfig_copy.look(machine, path) == (kubeconfig.summarize(text), "")


class Task(action.ActionModule):
    """The action with a connection that keeps what it would have printed."""

    def __init__(self, tmp_path: Path, module: dict[str, Any], check_mode: bool = False) -> None:
        args = {"copy_to": str(tmp_path / "k" / "config")}
        self._task = SimpleNamespace(
            args=args, check_mode=check_mode, no_log=False, delegate_to=None, get_path=lambda: ""
        )
        self._play_context = SimpleNamespace(no_log=False)
        self._connection = SimpleNamespace(_play_context=SimpleNamespace(no_log=False))
        self.module = module
        self.printed = ""
        self.sent: dict[str, Any] = {"rc": 0, "stdout": ADMIN, "stderr": ""}
        self.calls: list[str] = []

    def _execute_module(self, module_name: str = "", module_args: Any = None, **_others: Any) -> dict[str, Any]:
        return self._answer(module_name, self.module)

    def _low_level_execute_command(self, cmd: str, *_args: Any, **_others: Any) -> dict[str, Any]:
        return self._answer(cmd, self.sent)

    def _answer(self, call: str, answer: dict[str, Any]) -> dict[str, Any]:
        self.calls.append(call)
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
    assert task.calls == [MODULE, "cat /etc/kubernetes/admin.conf"]
    assert "client-key" not in task.printed, "a connection prints this at -vvv"
    assert "client-key" not in json.dumps(result) and "source" not in result
    assert not task._play_context.no_log and not task._connection._play_context.no_log
    again = Task(tmp_path, answered())
    assert again.run()["changed"] is False and again.calls == [MODULE]


@pytest.mark.usefixtures("no_base")
def test_the_copy_in_a_dry_run_and_beside_a_failure(tmp_path: Path) -> None:
    task = Task(tmp_path, answered(), check_mode=True)
    result = task.run()
    assert (
        result["changed"] and result["steps"][0]["reason"] == "the kubeconfig does not exist" and task.calls == [MODULE]
    )
    assert not (tmp_path / "k").exists()
    assert Task(tmp_path, {"failed": True, "msg": "x"}).run() == {"failed": True, "msg": "x"}


@pytest.mark.usefixtures("no_base")
def test_a_foreign_file_on_the_control_machine_is_kept(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "config").write_text(OTHER)
    task = Task(tmp_path, answered())
    result = task.run()
    assert not result["changed"] and task.calls == [MODULE] and (tmp_path / "k" / "config").read_text() == OTHER
    assert "is for another cluster (https://10.213.0.60:6443) and was not changed" in result["warnings"][0]


@pytest.mark.usefixtures("no_base")
def test_an_earlier_copy_that_may_not_be_replaced_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "config").write_text(EARLIER)

    def refused(*_arguments: Any, **_options: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refused)
    monkeypatch.setattr(kubeconfig_copy, "backed_up", lambda *_summaries: False)
    task = Task(tmp_path, answered())
    task._task.args["new_cluster"] = True
    with pytest.raises(AnsibleActionFail) as failed:
        task.run()
    assert str(failed.value) == (
        f"copy_to: {tmp_path}/k/config can't be written: Permission denied; use a path that you can write to"
    )
    assert (tmp_path / "k" / "config").read_text() == EARLIER


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("before", ["sudo: unable to resolve host cp1: Name or service not known\n", "\n" * 20])
def test_lines_of_other_programs_before_the_file_are_left_out(tmp_path: Path, before: str) -> None:
    task = Task(tmp_path, answered())
    task.sent["stdout"] = (before + ADMIN).replace("\n", "\r\n")
    assert task.run()["changed"] and (tmp_path / "k" / "config").read_text() == ADMIN
    assert "differs from the file" in refuse(tmp_path / "other", "\n" * 21 + ADMIN)


# -- a control plane against the machine of the operator


def refuse(tmp_path: Path, sent: Any, about: str | None = None) -> str:
    """What the operator is told when a host sends something else; nothing is written."""
    told = kubeconfig.summarize(about or ADMIN)
    task = Task(tmp_path, {**answered(), "source": to_dict(told)})
    task.sent = sent if isinstance(sent, dict) else {"rc": 0, "stdout": sent, "stderr": ""}
    with pytest.raises(AnsibleActionFail) as failed:
        task.run()
    assert not (tmp_path / "k").exists() and KEY not in str(failed.value)
    assert "\n" not in str(failed.value) and "\x1b" not in str(failed.value)
    return str(failed.value)


USER = f"    client-key-data: {KEY}\n"
ATTACKS = {
    "exec": ADMIN.replace(USER, USER + "    exec:\n      command: /bin/sh\n      args: [-c, evil]\n"),
    "exec alone": ADMIN.replace(USER, "    exec: {command: evil, apiVersion: client.authentication.k8s.io/v1}\n"),
    "auth-provider": ADMIN.replace(USER, USER + "    auth-provider: {name: gcp, config: {cmd-path: /tmp/evil}}\n"),
    "tokenFile": ADMIN.replace(USER, USER + "    tokenFile: /home/me/.ssh/id_ed25519\n"),
    "client-key": ADMIN.replace(USER, USER + "    client-key: /home/me/.ssh/id_rsa\n"),
    "client-certificate": ADMIN.replace(USER, USER + "    client-certificate: /home/me/.ssh/id_rsa.pub\n"),
    "token": ADMIN.replace(USER, USER + "    token: aaaaaa\n"),
    "username": ADMIN.replace(USER, USER + "    username: me\n    password: aaaaaa\n"),
    "as": ADMIN.replace(USER, USER + "    as: someone\n"),
    "as-groups": ADMIN.replace(USER, USER + "    as-groups: [admins]\n"),
    "as-user-extra": ADMIN.replace(USER, USER + "    as-user-extra: {a: [b]}\n"),
    "unknown": ADMIN.replace(USER, USER + "    unknown: true\n"),
    "tls-server-name": ADMIN.replace("    server:", "    tls-server-name: evil.example.com\n    server:"),
    "disable-compression": ADMIN.replace("    server:", "    disable-compression: true\n    server:"),
    "proxy-url": ADMIN.replace("    server:", "    proxy-url: http://evil.example.com\n    server:"),
    "certificate-authority": ADMIN.replace("    server:", "    certificate-authority: /etc/passwd\n    server:"),
    "insecure-skip-tls-verify": ADMIN.replace("    server:", "    insecure-skip-tls-verify: true\n    server:"),
    "\x1b escape": ADMIN.replace(USER, USER + '    "\\e[31mevil\\nline": x\n'),
}


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("name", ATTACKS)
def test_a_kubeconfig_that_runs_or_reads_something_is_not_taken(tmp_path: Path, name: str) -> None:
    said = refuse(tmp_path, ATTACKS[name], ATTACKS[name])
    assert "not copied to this machine" in said
    assert "escape" in name or name.split()[0] in said


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize(
    "server", ["http://10.0.0.1:6443", "https://u:hunter2@10.0.0.1", "https://a b", "file:///etc", "[1]", "{a: b}"]
)
def test_a_server_that_is_no_https_address_is_not_taken(tmp_path: Path, server: str) -> None:
    text = ADMIN.replace(SERVER, server)
    assert "has no https address" in refuse(tmp_path, text, text)


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize(
    "value", ["x", "/etc/passwd", "bm8gUEVN", "[1, 2]", base64.b64encode(b"a: b\nexec: c").decode()]
)
def test_values_that_are_no_certificate_or_key_are_not_taken(tmp_path: Path, value: str) -> None:
    text = ADMIN.replace(KEY, value)
    assert "has no usable client-key-data" in refuse(tmp_path, text, text)


@pytest.mark.usefixtures("no_base")
def test_the_file_that_comes_must_be_the_one_that_was_told_of(tmp_path: Path) -> None:
    assert "differs from the file that the host reported" in refuse(tmp_path, OTHER)
    assert "differs from the file that the host reported" in refuse(tmp_path, ADMIN + "\n")


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize(
    "sent",
    [
        {"rc": 0, "stdout": "\udcff", "stderr": ""},
        {"rc": 0, "stdout": ADMIN + "#" * 64 * 1024, "stderr": ""},
        {"rc": 1, "stdout": ADMIN, "stderr": "\x1b[31mw1\nnothing to do"},
        {"rc": 1, "stdout": ADMIN, "stderr": ""},
        {"rc": 126, "stdout": "", "stderr": "cat: x\n" * 10_000},
        "[" * 20_000,
        "a: &a [x]\nb: *a\n",
        "- 1\n",
        "",
        "\x07",
        "clusters: 7\nusers: [7]\ncontexts: {a: b}\ncurrent-context: [1]\n",
    ],
)
def test_answers_of_another_type_or_size_are_refused_in_one_line(tmp_path: Path, sent: Any) -> None:
    assert refuse(tmp_path, sent, sent if isinstance(sent, str) else None)


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("source", [7, "x", [], {"digest": 7}, {"digest": "x" * 64, "servers": {"a": 1}}])
def test_a_summary_of_another_type_is_refused_in_one_line(tmp_path: Path, source: Any) -> None:
    task = Task(tmp_path, {**answered(), "source": source})
    with pytest.raises(AnsibleActionFail, match="differs from the file that the host reported"):
        task.run()
    assert not (tmp_path / "k").exists()


@pytest.mark.usefixtures("no_base")
def test_only_the_four_values_are_taken(tmp_path: Path) -> None:
    extra = "extensions:\n- name: x\n  extension: {exec: evil}\npreferences: {colors: true}\nkind: Config\n"
    second = "users:\n- name: other\n  user: {exec: {command: evil}}\n"
    text = ADMIN.replace("kind: Config\n", extra).replace("users:\n", second)
    assert text.count("evil") == 2
    task = Task(tmp_path, {**answered(), "source": to_dict(kubeconfig.summarize(text))})
    # A terminal on the host ends lines in two characters.
    task.sent = {"rc": 0, "stdout": text.replace("\n", "\r\n"), "stderr": ""}
    task.run()
    assert (tmp_path / "k" / "config").read_text() == ADMIN
    again = Task(tmp_path, {**answered(), "source": to_dict(kubeconfig.summarize(text))})
    assert not again.run()["changed"], "the same values in another text are no change"
