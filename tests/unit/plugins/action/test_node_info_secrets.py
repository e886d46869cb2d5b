# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A secret in an option that is no place for one: refused, shown nowhere, recorded nowhere."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.action import node_info
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import variable_name
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.config import refuse_secrets
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_action
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry

SECRET = "s3cret"
ADDRESSES = [f"https://bob:{SECRET}@x.example", f"HTTP://{SECRET}@x.example/y", f"htps:/bob:{SECRET}@x.example"]
VARIABLES = sorted(
    {
        variable_name(component, field)
        for component, options in registry.OPTIONS.items()
        for field in dataclasses.fields(options)
        if not field.metadata.get("secret")
    }
)
#: The variables that are an address by themselves, which may lack its scheme.
WITHOUT_SCHEME = [
    "cluster_packages_url",
    "cluster_endpoint",
    "cluster_image_repository",
    "containerd_registry_mirrors",
    "cni_calico_manifest",
    "cni_image_registry",
]


class Task(node_info.ActionModule):
    """The action for a host with these variables; asking the host would be wrong."""

    def __init__(self, variables: dict[str, Any], **args: Any) -> None:
        self._task = SimpleNamespace(args=args, delegate_to=None)
        self._templar = SimpleNamespace(template=lambda value: value)
        self.variables = {"inventory_hostname": "a1", "groups": {}, "hostvars": {}, **variables}

    def run_on_node(self, *_args: Any, **_others: Any) -> dict[str, Any]:
        raise AssertionError("the host was asked, and its journal has the arguments")

    def result(self) -> dict[str, Any]:
        return self.run(task_vars=self.variables)


@pytest.fixture(autouse=True)
def no_base(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_action.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})


def refused(variable: str, value: Any) -> None:
    result = Task({variable: value}).result()
    said = json.dumps(result)
    assert SECRET not in said and "bob" not in said
    assert any(variable in problem["option"] for problem in result["problems"]), said


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_variable_takes_an_address_with_a_password(variable: str, address: str) -> None:
    for value in (address, [address], {"a": address}, {address: "a"}, {"a": [{"b": address}]}):
        refused(variable, value)


@pytest.mark.parametrize("variable", WITHOUT_SCHEME)
@pytest.mark.parametrize("address", [f"bob:{SECRET}@x.example", f"bob:{SECRET}/1@x.example/y", f"bob: {SECRET} @x"])
def test_no_address_takes_a_password_without_a_scheme_either(variable: str, address: str) -> None:
    for value in (address, {"docker.io": [address]}, {"docker.io": [{"url": address}]}):
        refused(variable, value)


@pytest.mark.parametrize(
    "harmless",
    [
        {"cni_calico_manifest": "/home/me@work/calico.yaml"},
        {"cluster_kubeadm_config": {"ClusterConfiguration": {"certificatesDir": "/etc/x", "clusterName": "a@b"}}},
        {"containerd_registry_mirrors": {"docker.io": ["https://m.example:5000/v2"]}},
    ],
)
def test_what_only_looks_a_little_like_it_is_taken(harmless: dict[str, Any]) -> None:
    for component in registry.OPTIONS:
        registry.options_from_variables(component, harmless)


@pytest.mark.parametrize("option", ["packages_url", "image_repository"])
def test_nor_do_the_modules_own_options(option: str) -> None:
    with pytest.raises(AnsibleActionFail) as failed:
        Task({}, **{option: f"https://bob:{SECRET}@x"}).result()
    assert SECRET not in str(failed.value) and option in str(failed.value)


@pytest.mark.parametrize(
    "config",
    [
        {"JoinConfiguration": {"controlPlane": {"certificateKey": SECRET}}},
        {"JoinConfiguration": {"controlPlane": {"certificate-key": SECRET}}},
        {"JoinConfiguration": {"discovery": {"bootstrapToken": {"token": SECRET}}}},
        {"JoinConfiguration": {"discovery": {"tlsBootstrapToken": SECRET}}},
        {"InitConfiguration": {"bootstrapTokens": [{"token": SECRET}]}},
        {"InitConfiguration": {"CERTIFICATEKEY": SECRET}},
        {"InitConfiguration": {"x": [[{"y": {"token": SECRET}}]]}},
        {"KubeletConfiguration": {"staticPodURLHeader": {"Private": [SECRET]}}},
        {"Unknown": {"a": {"password": SECRET}}},
    ],
)
def test_no_secret_of_kubeadm_is_passed_through_however_deep(config: dict[str, Any]) -> None:
    refused("cluster_kubeadm_config", config)
    with pytest.raises(OptionError) as failed:
        refuse_secrets("cluster_kubeadm_config", config)
    assert SECRET not in str(failed.value) and "contains a secret" in str(failed.value)


def test_a_pass_through_of_another_type_is_not_shown() -> None:
    result = Task({"cluster_kubeadm_config": {"InitConfiguration": f"certificateKey: {SECRET}"}}).result()
    (problem,) = registry.option_findings("a1", result)[:1]
    assert "has a str for InitConfiguration, which is not a dictionary" in problem.problem.line
    assert SECRET not in problem.problem.line


@pytest.mark.parametrize(
    "credential",
    [
        {"registry": "r.example.com", "password": SECRET},
        {"registry": "r.example.com", "username": "bob", "pasword": SECRET},
        {"registry": f"https://bob:{SECRET}@r.example.com", "username": "bob", "password": SECRET},
    ],
)
def test_credentials_that_can_not_be_used_are_named_before_the_host_is_asked(credential: dict[str, str]) -> None:
    """They are not among the options that the plan judges."""
    result = Task({"containerd_registry_credentials": [credential]}).result()
    (problem,) = result["problems"]
    assert problem["option"] == "containerd_registry_credentials[0]" and SECRET not in json.dumps(result)


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "oidc-client-secret", "token", "REGISTRY_TOKEN", "aws.secret.access.key", "API_KEY"]
)
@pytest.mark.parametrize("field", ["extraEnvs", "extraArgs"])
def test_no_secret_is_passed_through_as_an_argument_or_in_the_environment(name: str, field: str) -> None:
    config = {"ClusterConfiguration": {"apiServer": {field: [{"name": name, "value": SECRET}]}}}
    with pytest.raises(OptionError) as failed:
        refuse_secrets("cluster_kubeadm_config", config)
    assert SECRET not in str(failed.value)


def test_files_of_secrets_are_passed_through() -> None:
    names = ["token-auth-file", "service-account-key-file", "enable-bootstrap-token-auth", "encryption-provider-config"]
    arguments = [{"name": name, "value": "/etc/kubernetes/x"} for name in names]
    refuse_secrets("cluster_kubeadm_config", {"ClusterConfiguration": {"apiServer": {"extraArgs": arguments}}})
