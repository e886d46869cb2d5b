# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an upgrade reads from an API server beforehand. Clients of the cluster write parts of it."""

from __future__ import annotations

import json
from typing import Any, List

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG, RUNTIME_RECORD
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import upgrade_facts
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.health import Health
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.upgrade_facts import RemovedApi, UpgradeFacts
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

URL = "https://10.0.0.1:6443"
STATE = KubeadmState(admin_conf=True, local_api=Health(True, "", URL))
# The form in which API servers of 1.34 and 1.35 report it.
METRICS = """\
# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs that have been requested
# TYPE apiserver_requested_deprecated_apis gauge
apiserver_requested_deprecated_apis{group="",removed_release="",resource="endpoints",subresource="",version="v1"} 1
apiserver_requested_deprecated_apis{group="flowcontrol.apiserver.k8s.io",removed_release="1.32",\
resource="flowschemas",subresource="",version="v1beta3"} 1
apiserver_requested_deprecated_apis{group="storage.k8s.io",removed_release="1.37",\
resource="volumeattributesclasses",subresource="status",version="v1beta1"} 1
apiserver_request_total{code="200",component="apiserver",group="",resource="pods",verb="LIST",version="v1"} 7
"""
FLOWS = RemovedApi("flowcontrol.apiserver.k8s.io", "v1beta3", "flowschemas", 32)
CLASSES = RemovedApi("storage.k8s.io", "v1beta1", "volumeattributesclasses", 37)


def daemon_set(image: Any, name: str = "calico-node") -> str:
    return json.dumps({"spec": {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}})


def test_a_control_plane_tells_of_removed_apis_and_calico(machine: Machine) -> None:
    machine.put(ADMIN_KUBECONFIG, "server: https://192.0.2.9:6443\n")
    machine.serve(URL, upgrade_facts.METRICS, METRICS)
    machine.serve(URL, upgrade_facts.CALICO[1], daemon_set("quay.io/calico/node:v3.31.6"))
    assert upgrade_facts.observe(machine, STATE) == UpgradeFacts([FLOWS, CLASSES], "3.31.6")
    # Its own API server is asked, not the one that the kubeconfig leads to.
    assert all(url.startswith(URL) for url in machine.asked)
    machine.refuse(URL)
    assert upgrade_facts.observe(machine, STATE) == UpgradeFacts()
    assert upgrade_facts.observe(machine, KubeadmState()) == UpgradeFacts()


def rollout(generation: int, observed: int, updated: int) -> str:
    found = json.loads(daemon_set("quay.io/calico/node:v3.32.1"))
    status = {"observedGeneration": observed, "desiredNumberScheduled": 3, "updatedNumberScheduled": updated}
    return json.dumps({**found, "metadata": {"generation": generation}, "status": status})


@pytest.mark.parametrize(
    ("body", "rolling"),
    [(rollout(2, 2, 3), False), (rollout(2, 2, 2), True), (rollout(3, 2, 3), True), ("no JSON", False)],
)
def test_calico_of_the_manifest_and_its_rollout(machine: Machine, body: str, rolling: bool) -> None:
    machine.put(ADMIN_KUBECONFIG, "server: https://192.0.2.9:6443\n")
    machine.serve(URL, upgrade_facts.CALICO[0], body)
    found = upgrade_facts.observe(machine, STATE)
    assert (found.calico_by_manifest, found.calico_rolling) == (body != "no JSON", rolling)


def test_an_unfinished_replacement_of_containerd_is_known_on_every_node(machine: Machine) -> None:
    record = {"version": "1.7.24", "packages": {"containerd": "1.7.24-1"}, "wanted": "containerd.io"}
    machine.put(RUNTIME_RECORD, json.dumps({**record, "wanted_version": "2.1.5-1"}))
    expected = UpgradeFacts(runtime="containerd.io", runtime_version="2.1.5-1")
    assert upgrade_facts.observe(machine, KubeadmState()) == expected


def test_titles() -> None:
    assert FLOWS.title == "flowcontrol.apiserver.k8s.io/v1beta3 flowschemas"
    assert RemovedApi("", "v1", "componentstatuses", 40).title == "v1 componentstatuses"


def metric(release: str = "1.36", resource: str = "x", version: str = "v1", group: str = "g", value: str = "1") -> str:
    labels = f'group="{group}",removed_release="{release}",resource="{resource}",version="{version}"'
    return f"apiserver_requested_deprecated_apis{{{labels}}} {value}\n"


@pytest.mark.parametrize(
    "text",
    [
        metric(release="1.36\\n"),
        metric(release="2.0"),
        metric(release="1.٣"),
        metric(resource="x\x1b[31m"),
        metric(resource='x\\"} 1'),
        metric(resource="two words"),
        metric(resource="x" * 254),
        metric(version=""),
        metric(value="0"),
        metric(group="{{ evil }}"),
        "apiserver_requested_deprecated_apis{" * 1000,
        "apiserver_requested_deprecated_apis{" + 'a="b",' * 100_000 + "} 1\n",
        "",
    ],
)
def test_labels_of_another_form_are_left_out(text: str) -> None:
    assert upgrade_facts.removed_apis(text) == []
    assert upgrade_facts.removed_apis(text + "\n" + metric()) == [RemovedApi("g", "v1", "x", 36)]


def test_the_number_of_removed_apis_is_limited() -> None:
    assert len(upgrade_facts.removed_apis("".join(metric(resource=f"x{at}") for at in range(1000)))) == 200


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (daemon_set("quay.io/calico/node:v3.32.1"), "3.32.1"),
        (daemon_set("mirror.example.org:5000/calico/node:3.31.6-custom"), "3.31.6"),
        (daemon_set("mirror.example.org:5000/calico/node@sha256:" + "a" * 64), ""),
        (daemon_set("quay.io/calico/node:v3.32.1", "other"), ""),
        (daemon_set("quay.io/calico/node:master"), ""),
        (daemon_set(["x"]), ""),
        ('{"spec": []}', ""),
        ("[" * 5000, ""),
        ("no JSON", ""),
    ],
)
def test_the_version_of_calico(body: str, version: str) -> None:
    assert upgrade_facts.calico_version(body) == version


def test_many_labels_are_read_in_order() -> None:
    found: List[RemovedApi] = upgrade_facts.removed_apis(metric("1.40") + metric("1.36"))
    assert [one.minor for one in found] == [36, 40]
