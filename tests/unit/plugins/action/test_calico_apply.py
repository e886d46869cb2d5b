# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""calico_apply on the control machine: the manifest is read and shaped here, and an option is named by its own name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.action import calico_apply
from ansible_collections.kubestead.cluster.plugins.modules import calico_apply as module
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.fake_action import FakeAction
from ansible_collections.kubestead.cluster.tests.unit.support import FIXTURES

SMALL = str(FIXTURES / "calico" / "small.yaml")
USUAL = {"manifest": SMALL, "pod_cidr": "10.244.0.0/16"}


class Action(FakeAction, calico_apply.ActionModule):
    pass


def test_the_manifest_is_sent_in_the_shape_that_the_options_ask_for() -> None:
    action = Action("calico_apply", {**USUAL, "encapsulation": "VXLAN", "timeout": 7}, {"changed": True})
    action.run(task_vars={})
    ((name, given),) = action.asked
    assert name == "kubestead.cluster.calico_apply" and given["timeout"] == 7
    text = given["objects"]
    (daemon_set,) = [obj for obj in json.loads(text) if obj["kind"] == "DaemonSet"]
    container = daemon_set["spec"]["template"]["spec"]["containers"][0]
    variables = {one["name"]: one.get("value") for one in container["env"]}
    assert variables["CALICO_IPV4POOL_CIDR"] == "10.244.0.0/16"
    assert (variables["CALICO_IPV4POOL_VXLAN"], variables["CALICO_IPV4POOL_IPIP"]) == ("Always", "Never")
    assert set(given) <= set(module.argument_spec())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"manifest": "/nowhere/calico.yaml"}, "manifest "),
        ({"manifest": "https://example.org/calico.yaml"}, "checksum is empty"),
        ({"checksum": "abc"}, "checksum is 'abc'"),
        ({"pod_cidr": "10.244.0.0"}, "pod_cidr"),
        ({"mtu": "many"}, "mtu is 'many'"),
        ({"felix": ["a"]}, "felix is "),
    ],
)
def test_an_option_that_is_wrong_is_named_as_the_module_knows_it(changes: dict[str, Any], said: str) -> None:
    action = Action("calico_apply", {**USUAL, **changes})
    with pytest.raises(AnsibleActionFail, match="nothing was changed") as caught:
        action.run(task_vars={})
    assert str(caught.value).startswith(said) and action.asked == []


def test_every_option_of_the_module_that_shapes_the_manifest_is_read() -> None:
    others = {"kubeconfig", "wait_rollout", "failed_nodes", "objects"}
    assert set(calico_apply.VARIABLES.values()) == set(module.argument_spec()) - others
