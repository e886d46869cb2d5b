# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a member of a cluster claims, planned for in this process: upgrade, remove and reset do to the others what they
would do without it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry, trial
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.planners import PLANNERS
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, as_result
from ansible_collections.kubestead.cluster.tests.unit.fuzz.profile import fuzz
from ansible_collections.kubestead.cluster.tests.unit.hostile import lies
from ansible_collections.kubestead.cluster.tests.unit.hostile.test_answers import CONTROL, OPTIONS, Talking, texts

NUMBERS = {"cp1": 0, "w1": 1, "liar": 9}
OTHERS = ("cp1", "w1")
#: Operation and the hosts it is for: with the liar among them, without it, and it alone.
OPERATIONS: list[tuple[str, tuple[str, ...]]] = [
    ("upgrade", ("cp1", "w1", "liar")),
    ("upgrade", ("liar",)),
    ("remove", ("w1",)),
    ("remove", ("liar",)),
    ("reset", ("cp1", "w1", "liar")),
    ("reset", ("w1",)),
    ("reset", ("liar",)),
]


def facts(number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    options = copy.deepcopy(OPTIONS)
    for component in ("kube_packages", "control_plane"):
        options[component]["version" if component == "kube_packages" else "kubernetes_version"] = "1.36"
    options["control_plane"]["node_name"] = f"w{number}" if number else "c1"
    return {**copy.deepcopy(dict(answer)), "options": options, "secrets": {}, "problems": []}


def host(name: str, answer: Mapping[str, Any] | None = None) -> Host:
    number = NUMBERS[name]
    return registry.read_host(name, name == "cp1", facts(number, answer or lies.member_observation(number)))


def plan(operation: str, targets: Sequence[str], hosts: Sequence[Host]) -> Plan:
    """As a play would plan: of a play for some hosts the control plane is outside."""
    limited = operation == "upgrade" or (operation == "reset" and "cp1" not in targets)
    inside = [one for one in hosts if not limited or one.name in targets]
    outside = [one for one in hosts if one.name == "cp1" and one not in inside]
    addresses = {name: [f"10.213.1.{NUMBERS[name]}" if NUMBERS[name] else "10.213.0.40"] for name in targets}
    inventory = Inventory(["cp1"], ["w1", "liar"])
    request = Request(inventory, inside, ["kube_packages"], outside, targets=list(targets), addresses=addresses)
    return PLANNERS[operation](request)


# The names of the liar in the inventory and in the API.
MINE = ("liar", "w9")
HONEST = {name: host(name) for name in NUMBERS}
BEFORE = {(operation, targets): plan(operation, targets, list(HONEST.values())) for operation, targets in OPERATIONS}


def check(operation: str, targets: tuple[str, ...], liar: Host) -> Plan:
    """What holds whatever one worker claims; the plan."""
    found = plan(operation, targets, [HONEST["cp1"], HONEST["w1"], liar])
    before = BEFORE[operation, targets]
    assert not [text for text in texts(as_result(found, liar.options.cni)) if CONTROL.search(text)]
    assert not [one.line() for one in found.findings if "\n" in one.line()]
    # It is to blame for whatever stops the run; where nothing does, the others get what they would have got.
    blamed = {"liar", *(one.host for one in before.errors)}
    assert {one.host for one in found.errors} <= blamed, [one.line() for one in found.errors]
    if found.errors:
        return found
    for name in set(OTHERS) & set(before.hosts):
        assert found.hosts[name] == before.hosts[name]
    assert found.api_host in ("cp1", "")
    assert set(found.resets) <= set(targets)
    assert {one.name for one in found.leaving} <= {one.name for one in before.leaving} | {"w9", "liar"}
    for one in found.leaving:
        assert one.host != "liar" or (one.name in ("w9", "liar") and set(one.addresses) <= {"10.213.1.9"})
    if operation == "upgrade":
        mine = found.hosts["liar"]
        before_it, order = to_dict(before.rollout), to_dict(found.rollout)
        assert order.pop("batches")[-1] == before_it.pop("batches")[-1] == 1
        for name, names in order.items():
            assert [one for one in names if one not in MINE] == [one for one in before_it[name] if one not in MINE]
        assert mine.node_name == "w9" and mine.arguments["version"] == "1.36.2" and not mine.arguments["first"]
    return found


def test_the_honest_plans_do_something() -> None:
    assert not [
        one.line() for found in BEFORE.values() for one in found.errors if "control plane c1 runs" not in one.line()
    ]
    assert [step.action for step in BEFORE[OPERATIONS[0]].hosts["w1"].steps] == ["drain", "upgrade", "uncordon"]
    assert [one.name for one in BEFORE["remove", ("liar",)].leaving] == ["w9"]
    assert [one.name for one in BEFORE["reset", ("w1",)].leaving] == ["w1"]


@pytest.mark.parametrize("claim", sorted(lies.CLAIMS))
@pytest.mark.parametrize(("operation", "targets"), OPERATIONS)
def test_a_claim_is_about_nobody_else(operation: str, targets: tuple[str, ...], claim: str) -> None:
    answer = json.loads(lies.answer(claim, "node_info", 9, True))
    said = trial.broken("liar", False, facts(9, answer), registry.NAMES)
    if not said:
        check(operation, targets, host("liar", Talking().read("node_info", json.dumps(answer))))


@pytest.mark.parametrize("operation", sorted(PLANNERS))
def test_facts_that_an_operation_can_not_plan_with_fail_their_host_alone(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planner(request: Request) -> Plan:
        return Plan(str(1 // len(request.hosts[0].kubeadm.node_name.strip("w9"))))

    monkeypatch.setitem(PLANNERS, operation, planner)
    said = trial.broken("liar", False, facts(9, lies.member_observation(9)), registry.NAMES)
    assert said.startswith(
        "the facts of this host are invalid: the host can't be planned from them (ZeroDivisionError)"
    )
    assert trial.broken("w1", False, facts(1, lies.member_observation(1)), registry.NAMES) == ""


def test_no_generated_claim_is_about_anybody_else() -> None:
    talking = Talking()

    @fuzz(500)
    @given(st.integers(0, 1 << 30), st.integers(1, 4))
    def claims(seed: int, changes: int) -> None:
        truth = lies.member_observation(9)
        # Most of the facts are of no use here.
        answer = {**truth, "kubeadm": lies.mutated(truth["kubeadm"], seed, changes)}
        answer["kube_packages"] = lies.mutated(truth["kube_packages"], seed, changes // 3)
        result = talking.read("node_info", json.dumps(answer))
        if result.get("failed"):
            return
        said = trial.broken("liar", False, facts(9, result), registry.NAMES)
        assert "\n" not in said
        for operation, targets in OPERATIONS if not said else ():
            check(operation, targets, host("liar", result))

    claims()
