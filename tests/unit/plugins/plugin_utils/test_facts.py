# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts answer is read strictly: nonsense is a finding about one host, never an exception for all."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils import facts as facts_reader
from ansible_collections.kubestead.cluster.plugins.plugin_utils.facts import BrokenFacts, read_facts
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Request
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kube.test_nodes import places
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import (
    LIVE,
    changed,
    recorded,
)


@pytest.mark.parametrize("name", ["bare-control-plane", "bare-worker", "control-plane", "newcomer", "worker"])
def test_what_real_hosts_answered_is_read_as_before(name: str) -> None:
    facts = read_facts(recorded(name))
    assert facts.kubeadm.node_name and facts.node.addresses and facts.asked
    assert facts.kubeadm.phase == recorded(name)["kubeadm"]["phase"]


@pytest.mark.parametrize("name", ["bare-worker", "control-plane"])
def test_the_process_of_a_host_computes_no_types(name: str) -> None:
    before = facts_reader._fields.cache_info()
    read_facts(recorded(name))
    after = facts_reader._fields.cache_info()
    assert after.misses == before.misses and after.hits > before.hits


def test_unknown_keys_are_ignored() -> None:
    more = {**recorded("worker"), "ansible_facts": {"x": 1}, "future": []}
    more["node"] = {**more["node"], "future": 1}
    assert read_facts(more) == read_facts(recorded("worker"))


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("node", [], "node is list, not a dictionary"),
        ("node.cpus", "4", "node.cpus is str, not an integer"),
        ("node.cpus", True, "node.cpus is bool, not an integer"),
        ("node.epoch", float("nan"), "node.epoch is float, not a number"),
        ("node.hostname", {}, "node.hostname is dict, not text"),
        ("host.container", "no", "host.container is str, not true or false"),
        ("node.addresses", "10.0.0.1", "node.addresses is str, not a list"),
        (
            "node.addresses.0.address",
            "$(reboot)",
            "node.addresses[0].address is '$(reboot)', not an address or range",
        ),
        ("node.routes", ["10.0.0.0/99"], "node.routes[0] is '10.0.0.0/99', not an address or range"),
        ("node.dns_servers", ["x"], "node.dns_servers[0] is 'x', not an address or range"),
        ("node.default_address", "x", "node.default_address is 'x', not an address or range"),
        ("kubeadm.api.nodes", [{"ready": True}], "kubeadm.api.nodes[0].name is missing"),
        (
            "kubeadm.api.nodes.1.pod_cidrs",
            ["all"],
            "kubeadm.api.nodes[1].pod_cidrs is 'all', not an address or range",
        ),
        ("kubeadm.api.config.pod_cidr", "x", "kubeadm.api.config.pod_cidr is 'x', not an address or range"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_place(path: str, value: Any, text: str) -> None:
    with pytest.raises(BrokenFacts) as caught:
        read_facts(changed(recorded("control-plane"), {path: value}))
    assert caught.value.message == text
    finding = caught.value.finding("w1")
    assert finding.line().startswith(f"w1: the facts of this host are invalid: {text}; check that the host")


def planned(facts: dict[str, Any]) -> None:
    """Plan for the live cluster with one host that answered this."""
    hosts = [registry.read_host(name, name == "c1", recorded(LIVE[name])) for name in ("c1", "c2")]
    hosts.append(registry.read_host("c3", False, facts))
    converge(Request(Inventory(["c1"], ["c2", "c3"]), hosts, registry.NAMES))


JUNK: list[Any] = [None, True, -1, 1.5, "", "x", "1.2.3", "fd00::1", [], {}, [[]], {"x": "y"}, 1 << 70]


@pytest.mark.parametrize("name", ["newcomer", "control-plane"])
def test_no_answer_of_a_host_ends_the_plan_of_the_others(name: str) -> None:
    """Values of a real answer, replaced by everything that they should not be."""
    original = recorded(name)
    for key in ("options", "problems", "secrets"):
        original.pop(key, None)
    paths = [path for path in places(original) if path]
    random.Random(11).shuffle(paths)
    for path in paths[:30]:
        for junk in JUNK:
            facts = copy.deepcopy(original)
            place: Any = facts
            for key in path[:-1]:
                place = place[key]
            place[path[-1]] = junk
            facts["options"] = recorded(name)["options"]
            try:
                planned(json.loads(json.dumps(facts)))
            except BrokenFacts:
                continue
            except Exception as err:
                raise AssertionError(f"{'.'.join(map(str, path))} = {junk!r}: {type(err).__name__} {err}") from err
