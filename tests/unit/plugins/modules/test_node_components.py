# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module node_components, and with it the preparation of a machine: order, dry run, failures half way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils import preparation
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.plan import CONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.host.prepare import SYSCTL_FILE
from ansible_collections.kubestead.cluster.plugins.modules import node_components
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.containerd.test_containerd import (
    node as with_containerd,
)
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.host.test_prepare import node
from ansible_collections.kubestead.cluster.tests.unit.plugins.modules.fake_module import FakeModule
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

PROXY = "registry.k8s.io/kube-proxy:v1.36.2"
CALICO = "quay.io/calico/node:v3.32.1"
LIST = "ctr --namespace k8s.io images list --quiet"
PULL = "ctr --namespace k8s.io images pull --hosts-dir /etc/containerd/certs.d"


def module(*components: str, check_mode: bool = False, **params: Any) -> FakeModule:
    return FakeModule(node_components.argument_spec(), check_mode, components=list(components), **params)


@pytest.fixture
def bare(machine: Machine) -> Machine:
    """A machine with the features of a kernel, containerd's client, and nothing prepared."""
    machine.answer(LIST, "")
    machine.answer(PULL, "")
    return node(machine)


def test_a_run_applies_components_in_their_own_order(bare: Machine) -> None:
    result = node_components.work(module("images", "host", expected={"images": [PROXY]}), bare)
    assert result["changed"]
    assert [step["component"] for step in result["steps"]] == ["host", "host", "images"]
    assert list(result["seconds"]) == ["host", "images"] and bare.exists(SYSCTL_FILE)
    assert len(result["diff"]) == 3


def test_the_endpoint_of_the_plan_is_applied_and_without_a_plan_nothing_is(bare: Machine) -> None:
    bare.put("/etc/hosts", "127.0.0.1 localhost\n")
    assert not node_components.work(module("api_endpoint"), bare)["changed"]
    endpoint = {"name": "api.home.internal", "port": 6443, "own": "", "control_planes": ["192.0.2.1"]}
    foretold = node_components.work(module("api_endpoint", check_mode=True, expected={"api_endpoint": endpoint}), bare)
    assert bare.read("/etc/hosts") == "127.0.0.1 localhost\n"
    result = node_components.work(module("api_endpoint", expected={"api_endpoint": endpoint}), bare)
    assert result["steps"] == foretold["steps"] and [one["target"] for one in result["steps"]] == ["/etc/hosts"]
    assert "192.0.2.1 api.home.internal\n" in str(bare.read("/etc/hosts"))
    assert not node_components.work(module("api_endpoint", expected={"api_endpoint": endpoint}), bare)["changed"]
    # A worker of another kind of cluster.
    node_components.work(module("api_endpoint", expected={"api_endpoint": {"name": ""}}), bare)
    assert bare.read("/etc/hosts") == "127.0.0.1 localhost\n"


@pytest.mark.parametrize("installed", [True, False])
def test_kubeadm_is_not_started_for_the_version_that_this_run_installed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """Only the version decides on the image of the sandbox."""
    with_containerd(machine)
    machine.answer("kubeadm version -o short", "v1.35.0\n")
    packages = {"kubeadm": "1.35.0-1.1", "kubelet": "1.35.0-1.1"} if installed else {}
    monkeypatch.setattr(preparation.kube_observe, "observe", lambda *_given: None)
    for name, found in (("problems", []), ("plan", []), ("planned_packages", packages)):
        monkeypatch.setattr(preparation.kube_plan, name, lambda *_given, found=found: found)
    node_components.work(module("kube_packages", "containerd"), machine)
    assert 'sandbox_image = "registry.k8s.io/pause:3.10.1"' in str(machine.read(CONFIG))
    assert (["kubeadm", "version", "-o", "short"] in machine.ran) is not installed


def test_a_second_run_has_nothing_to_do(bare: Machine) -> None:
    node_components.work(module("host"), bare)
    assert not node_components.work(module("host"), bare)["changed"]


def test_a_dry_run_changes_nothing(bare: Machine) -> None:
    before = {str(path): path.read_bytes() for path in bare.folder.rglob("*") if path.is_file()}
    result = node_components.work(module("host", "images", check_mode=True, expected={"images": [PROXY]}), bare)
    assert result["changed"] and [step["component"] for step in result["steps"]] == ["host", "host", "images"]
    assert {str(path): path.read_bytes() for path in bare.folder.rglob("*") if path.is_file()} == before
    assert not any(argv[4:5] == ["pull"] for argv in bare.ran)


def test_a_component_that_is_not_asked_for_is_not_looked_at(bare: Machine) -> None:
    result = node_components.work(module("images", expected={"images": [PROXY]}), bare)
    assert [argv[0] for argv in bare.ran] == ["ctr", "ctr"] and not bare.exists(SYSCTL_FILE)
    assert list(result["seconds"]) == ["images"]


def test_an_image_that_is_not_available_is_a_warning(bare: Machine) -> None:
    bare.answer(f"{PULL} {CALICO}", rc=1, stderr="ctr: not found\n")
    subject = module("images", expected={"images": [PROXY, CALICO]})
    result = node_components.work(subject, bare)
    assert [step["target"] for step in result["steps"]] == [PROXY]
    assert ["not found" in text and CALICO in text for text in subject.warnings] == [True]


def test_a_failure_names_its_component_and_what_was_done_before(bare: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(self: Any, given: Any) -> None:
        raise KubesteadError("it does not start", {"stderr": "x"})

    monkeypatch.setattr(preparation.Preparation, "_containerd", fails)
    for check_mode in (False, True):
        with pytest.raises(KubesteadError) as caught:
            node_components.work(module("host", "containerd", "images", check_mode=check_mode), bare)
        assert caught.value.message == "containerd: it does not start"
        details = caught.value.details
        assert (details["component"], details["stderr"]) == ("containerd", "x")
        assert details["changed"] is bool(details["steps"]) is (not check_mode)
        bare.remove(SYSCTL_FILE)
    assert not any(argv[0] == "ctr" for argv in bare.ran)


def test_what_the_kernel_lacks_ends_the_run_before_anything_is_written(bare: Machine) -> None:
    bare.put("/proc/filesystems", "nodev\tsysfs\n")
    bare.answer("modprobe", rc=1)
    with pytest.raises(KubesteadError, match="^host: .*overlay"):
        node_components.work(module("host"), bare)
    assert not bare.exists(SYSCTL_FILE)


@pytest.mark.parametrize(
    ("component", "option", "value"),
    [
        ("host", "sysctls", {"net.ipv4.ip_forward; x": "1"}),
        ("kube_packages", "url", "ftp://x"),
        ("containerd", "cni_bin_dir", "bin"),
    ],
)
def test_options_are_validated_on_the_machine_as_well(bare: Machine, component: str, option: str, value: Any) -> None:
    with pytest.raises(KubesteadError, match=f"^{component}: "):
        node_components.work(module(component, options={component: {option: value}}), bare)
    assert not bare.exists(SYSCTL_FILE)


def test_credentials_reach_containerd_and_no_result(bare: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(preparation.Preparation, "_containerd", lambda self, options: given.append(options))
    credential = {"registry": "r.example", "username": "u", "password": "hidden-word"}
    options = {"containerd": {"registry_mirrors": {}}}
    result = node_components.work(
        module("containerd", options=options, secrets=json.dumps({"registry_credentials": [credential]})), bare
    )
    assert given == [{"registry_mirrors": {}, "registry_credentials": [credential]}]
    assert "hidden-word" not in json.dumps(result) and "registry_credentials" not in options["containerd"]
