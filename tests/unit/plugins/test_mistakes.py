# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes with secrets: whatever shape a secret is given in, it is in no message."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.kubestead.cluster.plugins.action import kubeadm_join
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_variables
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.apply import Manifests
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.objects import check
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import cluster_info, join
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import sources
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils import calico_manifest, manifest_files, node_action
from ansible_collections.kubestead.cluster.tests.unit.plugins.lookup.test_join_command import look_up
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

SECRET = "hunter2-correct-horse"


def refused(call: Callable[[], Any], error: type[Exception] = KubesteadError) -> str:
    """The message of what is refused, which must be an error of the collection."""
    with pytest.raises(error) as caught:
        call()
    details = json.dumps(getattr(caught.value, "details", {}), default=str)
    return f"{caught.value} {getattr(caught.value, 'message', '')} {details}"


# -- registry credentials

CREDENTIALS: dict[str, Any] = {
    "text": SECRET,
    "a dictionary": {"registry.example.com": {"username": "bob", "password": SECRET}},
    "a number": 20231127,
    "a list of texts": [f"registry.example.com:bob:{SECRET}"],
    "a list of lists": [["registry.example.com", "bob", SECRET]],
    "a list of numbers": [5],
    "a password in a list": [{"registry": "registry.example.com", "username": "bob", "password": [SECRET]}],
    "a password in a dictionary": [{"registry": "r.example.com", "username": "bob", "password": {"value": SECRET}}],
    "an address with a password": [{"registry": f"https://b:{SECRET}@r.example.com", "username": "b", "password": "x"}],
    "fields exchanged": [{"registry": f"{SECRET} ", "username": "bob", "password": "r.example.com"}],
    "a misspelt field": [{"registry": "r.example.com", "username": "bob", "pasword": SECRET}],
    "one that is missing": [{"registry": "r.example.com", "password": SECRET}],
    "a truth": [{"registry": "r.example.com", "username": {SECRET: True}, "password": True}],
}


@pytest.mark.parametrize("shape", CREDENTIALS)
def test_no_registry_password_is_in_a_message(shape: str) -> None:
    variables = {"containerd_registry_credentials": CREDENTIALS[shape]}
    message = refused(lambda: from_variables(ContainerdOptions, "containerd", variables).validate())
    assert SECRET not in message and "20231127" not in message
    assert "containerd_registry_credentials" in message


def test_a_type_of_ansible_itself_is_not_named_in_a_message() -> None:
    """Texts and lists of an inventory are of types that only look like those of Python."""

    class _AnsibleTaggedList(list):  # type: ignore[type-arg]
        pass

    variables = {"containerd_registry_credentials": [_AnsibleTaggedList([SECRET])]}
    message = refused(lambda: from_variables(ContainerdOptions, "containerd", variables))
    assert "is a list, not a dictionary" in message and "Ansible" not in message


@pytest.mark.parametrize(
    "mirrors",
    [
        {"docker.io": [f"ftp://bob:{SECRET}@mirror.example.com"]},
        {"docker.io": [f"bob:{SECRET}@mirror.example.com"]},
        {"docker.io": [f"https://bob:{SECRET}@"]},
        {"docker.io": [f"https://bob:{SECRET}@[mirror"]},
        {"docker.io": {"mirrors": [{"url": f"http:/bob:{SECRET}@mirror.example.com"}]}},
        {f"https://bob:{SECRET}@docker.io": ["https://mirror.example.com"]},
        {f"bob:{SECRET}@docker.io": "nothing"},
    ],
)
def test_no_password_of_a_mirror_is_in_a_message(mirrors: dict[str, Any]) -> None:
    variables = {"containerd_registry_mirrors": mirrors}
    assert SECRET not in refused(lambda: from_variables(ContainerdOptions, "containerd", variables).validate())


@pytest.mark.parametrize("url", [f"ftp://bob:{SECRET}@host", f"https://bob:{SECRET}@host/a b", f"bob:{SECRET}@host"])
def test_no_password_of_a_repository_is_in_a_message(url: str) -> None:
    assert SECRET not in refused(lambda: sources.check_url(url))


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://bob:{SECRET}@host/calico.yaml",
        f"https://bob:{SECRET}@127.0.0.1:9/calico.yaml",
        f"http://bob:{SECRET}@no-such-host.invalid/calico.yaml",
    ],
)
@pytest.mark.parametrize("checksum", ["", "0" * 64])
def test_no_password_of_a_manifests_address_is_in_a_message(url: str, checksum: str) -> None:
    options = CniOptions(calico_manifest=url, calico_checksum=checksum)
    assert SECRET not in refused(lambda: calico_manifest.read(options, cache=""))


# -- manifests

TEXT = f"apiVersion: v1\nkind: Secret\nmetadata:\n  name: x\nstringData:\n  password: {SECRET}\n"
GIVEN: dict[str, Any] = {
    "the text of a manifest": TEXT,
    "the text in a list": [TEXT],
    "the text as JSON": json.dumps({"kind": "Secret", "data": {"password": SECRET}}),
    "one line of it": f"password: {SECRET}",
    "a list in a list": [[{"kind": "Secret", "data": {"password": SECRET}}]],
    "a number": [20231127],
    "no kind": [{"metadata": {"name": "x"}, "stringData": {"password": SECRET}}],
    "no name": [{"apiVersion": "v1", "kind": "Secret", "stringData": {"password": SECRET}}],
    "a kind in a list": [{"apiVersion": "v1", "kind": [SECRET], "metadata": {"name": "x"}}],
    "a NUL": f"{SECRET}\0",
    "a text of 5000 characters": SECRET * 300,
}


@pytest.mark.parametrize("shape", GIVEN)
def test_no_manifest_is_in_a_message(shape: str) -> None:
    def read() -> None:
        check([obj for _source, obj in manifest_files.gather("deploy_manifests", GIVEN[shape], ["/nowhere"])])

    message = refused(read)
    assert SECRET not in message and "20231127" not in message


@pytest.mark.parametrize(
    "value",
    [
        f"!{SECRET} x",
        f"!{SECRET}",
        f"!{SECRET}!x y",
        f"!!int {SECRET}",
        f"!!float {SECRET}",
        f"!!bool {SECRET}",
        f"!!binary {SECRET}",
        f"!!timestamp {SECRET}",
        f"!!null {SECRET}",
        f"*{SECRET}",
        f"&{SECRET} x\n  again: &{SECRET} y\n  more: *{SECRET}z",
        f'"{SECRET}',
        f'"{SECRET}\\q"',
        f"{SECRET}: {SECRET}: x",
        f"%{SECRET}",
        f"@{SECRET}",
        f"[{SECRET}",
        f"{{{SECRET}: [}}",
        f"{SECRET}\x07",
        f"<<: {SECRET}",
        f"{{<<: {SECRET}}}",
    ],
)
def test_no_value_of_a_file_is_in_a_message(value: str, tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text(TEXT.replace(SECRET, value))

    def read() -> None:
        check([obj for _source, obj in manifest_files.gather("deploy_manifests", str(path), [])])

    try:
        read()
    except KubesteadError as err:
        assert SECRET not in err.message and "secret.yaml" in err.message


WRONG: dict[str, Any] = {
    "text": SECRET,
    "a list": [SECRET],
    "a list as value": {"password": [SECRET]},
    "a dictionary as value": {"password": {"value": SECRET}},
    "a dictionary of dictionaries": {"password": {"a": {"b": [SECRET]}}},
    "a list of dictionaries": {"password": [{"value": SECRET}]},
    "a number as name": {5: SECRET},
    "a list of lists": {"password": [[SECRET]]},
    "pairs": [["password", SECRET]],
    "a list of pairs": [{"name": "password", "value": SECRET}],
}


@pytest.mark.parametrize("part", ["data", "stringData"])
@pytest.mark.parametrize("shape", WRONG)
def test_a_secret_of_a_wrong_shape_is_refused_unseen(machine: Machine, part: str, shape: str) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, part: WRONG[shape]}
    message = refused(lambda: Manifests(Kubectl(machine), [secret], sources={0: "db.yaml"}))
    assert SECRET not in message and "Secret db of db.yaml" in message and part in message


@pytest.mark.parametrize("kind", ["Secret", "secret", "SECRET"])
def test_what_the_api_server_quotes_of_a_secret_is_hidden(machine: Machine, kind: str) -> None:
    secret = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "db"}, "data": {"password": SECRET}}
    manifests = Manifests(Kubectl(machine), [secret])
    machine.answer("kubectl", Result(1, "", f'Error from server (BadRequest): Secret "db": illegal base64 {SECRET}'))
    assert SECRET not in refused(lambda: manifests._apply([secret]))


def test_numbers_and_truths_of_string_data_are_taken_as_before(machine: Machine) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"a": 5, "b": True}}
    assert Manifests(Kubectl(machine), [secret]).objects[0]["data"] == {"a": "NQ==", "b": "VHJ1ZQ=="}


# -- joins

TOKEN, KEY = "abcdef.hunter2correctho", "5e" * 32
JOINS: dict[str, Any] = {
    "upper case": TOKEN.upper(),
    "the secret alone": TOKEN[7:],
    "too long": TOKEN + "x",
    "with a space": TOKEN.replace(".", ". "),
    "with a line end": TOKEN.replace(".", "\n."),
    "in quotes": f"'{TOKEN}'",
    "in a list": [TOKEN],
    "in a dictionary": {"token": TOKEN},
    "as a flag": f"--token {TOKEN}x",
    "in a broken command": f"kubeadm join 10.0.0.1:6443 --token {TOKEN}y",
    "key too short": KEY[:-1],
}


@pytest.mark.parametrize("shape", JOINS)
@pytest.mark.parametrize("name", ["token", "certificate_key"])
def test_no_token_or_key_is_in_a_message(name: str, shape: str) -> None:
    # The module has every option as text.
    values = {"token": "abcdef.0123456789abcdef", "certificate_key": "a" * 64, name: str(JOINS[shape])}
    command = JoinCommand("10.0.0.1:6443", values["token"], ["sha256:" + "0" * 64], values["certificate_key"], True)
    message = refused(lambda: join.checked_command(command, KubeadmState(), required=True))
    for secret in (TOKEN[7:], TOKEN[7:].upper(), KEY[:20]):
        assert secret not in message


@pytest.mark.parametrize("shape", JOINS)
def test_no_pasted_command_is_in_a_message(shape: str) -> None:
    for term in (JOINS[shape], [JOINS[shape]], {"token": JOINS[shape], "endpoint": "10.0.0.1:6443"}):
        message = refused(lambda term=term: look_up(term), AnsibleError)  # type: ignore[misc]
        for secret in (TOKEN[7:], TOKEN[7:].upper(), KEY[:20]):
            assert secret not in message


@pytest.mark.parametrize("given", [TOKEN, [TOKEN], 5, [{"token": TOKEN}], True])
def test_what_is_given_as_join_is_in_no_message(given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    action = object.__new__(kubeadm_join.ActionModule)
    action._task = SimpleNamespace(args={"join": given}, action="kubestead.cluster.kubeadm_join", check_mode=False)
    message = refused(lambda: action.run(task_vars={}), AnsibleError)
    assert TOKEN not in message and "join is not a dictionary" in message


# -- a hostile endpoint


@pytest.mark.parametrize(
    "jws", ["é..x", "eyJhbGciOiJIUzI1NiJ9..é", "é", "\ud800..\ud800", "..", "eyJhbGciOiJIUzI1NiJ9.."]
)
def test_a_signature_with_any_letters_is_a_wrong_one(jws: str) -> None:
    info = cluster_info.ClusterInfo("10.0.0.1:6443", [], kubeconfig="é", signatures={"abcdef": jws})
    assert info.signed_by("abcdef.0123456789abcdef") is False
