# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options with contents that no module can use: the user gets one line, never a traceback."""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import Endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip_config import VirtualIp
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.host.prepare import HostOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.runtime_upgrade import RuntimeOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import KubePackagesOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.preparation import COMPONENTS, Expected
from ansible_collections.kubestead.cluster.plugins.plugin_utils import node_payload
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

FOLDER = Path(node_payload.__file__).parents[1] / "modules"
# cluster_plan has only an action.
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem not in ("__init__", "cluster_plan"))
JUNK: list[Any] = [
    *("text", "{", "[1]", "nan", "१", "a\nb", "", 5, -1, 1.5, 10**30, True, None),
    *([], ["x"], [["x"]], [1], [None], [{}], [{"name": 5}]),
    *({}, {"x": "y"}, {"x": None}, {"x": ["y"]}, {"x": {"y": 1}}, {1: 2}, {"": ""}),
]
#: What a module requires to reach the option.
BASE: dict[str, dict[str, Any]] = {
    "bridge_cni": {"nodes": [{"name": "w1", "pod_cidrs": ["10.244.1.0/24"]}], "pod_cidr": "10.244.0.0/16"},
    "calico_apply": {"objects": "[]"},
    "cluster_member": {"name": "w1"},
    "kubeadm_endpoint": {"part": "repair"},
    "manifests": {"manifests": "x", "objects": "[]"},
    "node_components": {"components": list(COMPONENTS)},
    "node_drain": {"name": ["w1"]},
    "kubeadm_upgrade": {"version": "1.36.2"},
}


def fields(cls: type) -> Iterator[tuple[str, Any]]:
    """Each field with each unusable value."""
    for field in dataclasses.fields(cls):
        for value in JUNK:
            yield field.name, value


def inner(module: str, option: str) -> Iterator[Any]:
    """Values of the option that are wrong deep inside."""
    if (module, option) == ("kubeadm_upgrade", "packages"):
        yield from ({name: value} for name, value in fields(KubePackagesOptions))
    if (module, option) == ("kubeadm_upgrade", "runtime"):
        yield from ({name: value} for name, value in fields(RuntimeOptions))
        yield from ({"containerd": {name: value}} for name, value in fields(ContainerdOptions))
    if (module, option) == ("node_components", "options"):
        for name, cls in (
            ("host", HostOptions),
            ("kube_packages", KubePackagesOptions),
            ("containerd", ContainerdOptions),
        ):
            yield from ({name: value} for value in JUNK)
            yield from ({name: {field: value}} for field, value in fields(cls))
    if (module, option) == ("node_components", "expected"):
        yield from ({name: value} for name, value in fields(Expected))
        yield from ({"api_endpoint": {name: value}} for name, value in fields(Endpoint))
        yield from ({"api_endpoint": {"virtual_ip": {name: value}}} for name, value in fields(VirtualIp))
    if (module, option) == ("bridge_cni", "nodes"):
        yield from ([{"name": "w1", name: value}] for name, value in fields(Node))
    if option in ("versions", "static_pods", "workloads", "config", "kubelet_config", "feature_gates", "images"):
        yield from ({"w1": value} for value in JUNK)
    if option == "objects":
        yield from map(json.dumps, JUNK)
        yield from (json.dumps([value]) for value in JUNK)
        yield from (json.dumps([{"source": "x", "object": value}]) for value in JUNK)


@pytest.mark.parametrize(
    ("module", "option"), [(module, option) for module in MODULES for option in node_payload.spec_of(module)]
)
def test_contents_that_cannot_be_used_are_one_line(machine: Machine, module: str, option: str) -> None:
    work = importlib.import_module(f"{node_payload.PACKAGE}modules.{module}").work
    bad: list[tuple[Any, str]] = []
    for value in [*JUNK, *inner(module, option)]:
        checked = node_payload.checked(module, {**BASE.get(module, {}), option: value})
        if checked.problem:
            continue
        # In JSON, keys are texts.
        params = json.loads(json.dumps(checked.parameters))
        try:
            work(Call(params, check_mode=True), machine)
        except KubesteadError as err:
            if "\n" in err.message:
                bad.append((value, err.message))
        except Exception as err:
            bad.append((value, repr(err)))
    assert not bad, "\n" + "\n".join(map(str, bad))


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        ("kubeadm_upgrade", {"packages": {"url": []}}, "packages.url is a list, not text; put it in quotes"),
        ("kubeadm_upgrade", {"packages": {"verison": "1.36.2"}}, "packages has an unknown key verison; the keys are "),
        ("kubeadm_upgrade", {"runtime": {"x": 1}}, "runtime has an unknown key x; the keys are package, version, "),
        ("bridge_cni", {"nodes": [{"name": "w1", "pod_cidrs": 5}]}, "nodes[0].pod_cidrs is a int, not a list; "),
        ("cluster_health_info", {"workloads": {"x": "two"}}, "workloads['x'] is 'two', not an integer; use a number"),
        ("cluster_health_info", {"versions": {"w1": []}}, "versions['w1'] is a list, not text; put it in quotes"),
        ("node_components", {"expected": {"images": "x"}}, "expected.images is a str, not a list; use a YAML list"),
        (
            "calico_apply",
            {"objects": "{"},
            "the module calico_apply has no objects; run it as a task, ",
        ),
        ("manifests", {"objects": "5"}, "the module manifests has no objects; run it as a task, by its full name"),
        (
            "node_components",
            {"secrets": '{"registry_credentials": ["s3cret"]}'},
            "secrets is not a value of the ",
        ),
    ],
)
def test_the_message_names_the_option_and_the_fix(
    machine: Machine, module: str, options: dict[str, Any], message: str
) -> None:
    work = importlib.import_module(f"{node_payload.PACKAGE}modules.{module}").work
    with pytest.raises(KubesteadError) as caught:
        work(Call(node_payload.checked(module, {**BASE.get(module, {}), **options}).parameters), machine)
    assert caught.value.message.startswith(message)
