# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that could not be observed, in the plan of each operation: what stops, what continues, and the way on."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.planners import PLANNERS
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.plan.test_upgrade import offer, wish
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import (
    LIVE,
    changed,
    recorded,
)

LOGIN = "login failed: root@192.0.2.9: Permission denied (publickey); check ansible_user"
REFUSED = "can't be reached: Connection refused; check its SSH server"
PYTHON = "can't be observed: Python was not found"
GONE = "if the machine no longer exists, use remove.yml with -e remove_hosts={0} -e remove_gone=true"
STOPS = ("upgrade", "endpoint")


def plan_of(operation: str, observed: tuple[str, ...] = ("c1", "c2"), **more: Any) -> Plan:
    hosts = []
    for name in observed:
        facts = changed(recorded(LIVE[name]), {**offer("1.36.2"), **wish("1.36")} if operation == "upgrade" else {})
        hosts.append(registry.read_host(name, name == "c1", facts))
    given = {"inventory": Inventory(["c1", "c9"], ["c2", "w8", "w9"]), "components": registry.NAMES, **more}
    return PLANNERS[operation](Request(hosts=hosts, **given))


def said(plan: Plan, level: str = "error") -> list[str]:
    return [finding.line() for finding in plan.findings if finding.problem.level == level]


@pytest.mark.parametrize("operation", STOPS)
def test_a_worker_stops_the_operation_and_the_line_says_how_to_continue_without_it(operation: str) -> None:
    plan = plan_of(operation, unobserved={"w8": REFUSED, "w9": PYTHON})
    way = "to continue without it, run again with --limit 'all,!w8,!w9'"
    assert said(plan) == [
        f"w8: {REFUSED}; {way}; {GONE.format('w8')}",
        f"w9: {PYTHON}; {way}; {GONE.format('w9')}",
    ]
    # What would follow from their absence is not reported as well.
    assert not [line for line in said(plan, "warning") if "w8" in line or "not among" in line]
    assert not any(host.steps for host in plan.hosts.values())
    assert {finding.problem.check for finding in plan.errors} == {"unreachable"}


@pytest.mark.parametrize(
    ("limit", "shown"),
    [
        ("workers", "workers,!w9"),
        ("c1,w9", "c1,w9,!w9"),
        ("all:!c2", "all:!c2:!w9"),
        ("", "all,!w9"),
        # Not lists, although they have colons.
        ("w[8:9]", "w[8:9],!w9"),
        ("2001:db8::1", "2001:db8::1,!w9"),
    ],
)
def test_the_limit_of_this_run_stays(limit: str, shown: str) -> None:
    plan = plan_of("upgrade", unobserved={"w9": REFUSED}, limit=limit)
    assert f"--limit '{shown}'" in said(plan)[0]


@pytest.mark.parametrize("limit", ["", "all", "all:!c2", "all,!c2"])
@pytest.mark.parametrize("name", ["w9", "2001:db8::12", "w[9]", "~w.*", "w?", "w*", "bob's", "w 9", "!w9"])
def test_the_limit_leaves_out_exactly_this_host(name: str, limit: str) -> None:
    plan = plan_of("upgrade", inventory=Inventory(["c1"], ["c2", name]), unobserved={name: REFUSED}, limit=limit)
    (shown,) = re.findall("--limit (.+?); if the machine", said(plan)[0])
    (pattern,) = shlex.split(shown)
    hosts = InventoryManager(DataLoader(), sources=None)
    every = ["c1", "c2", "w8", "2001:db8::13", name]
    for host in every:
        hosts.add_host(host, "all")
    hosts.subset(pattern)
    assert [host.name for host in hosts.get_hosts()] == [one for one in every[:-1] if "!c2" not in limit or one != "c2"]


@pytest.mark.parametrize("operation", STOPS)
def test_a_control_plane_can_only_return_or_be_removed(operation: str) -> None:
    plan = plan_of(operation, unobserved={"c9": REFUSED, "w9": REFUSED})
    control, worker = said(plan)
    way = "correct this and run again, because every control plane takes part"
    if operation == "upgrade":
        way += "; once all control planes have the new version, --limit 'all,!c9,!w9' leaves it out"
    assert control == f"c9: {REFUSED}; {way}; {GONE.format('c9')}"
    assert "--limit 'all,!w9'" in worker


@pytest.mark.parametrize("operation", STOPS)
def test_the_only_control_plane_is_the_cause_and_is_not_removed(operation: str) -> None:
    alone = Inventory(["c1"], ["c2"])
    plan = plan_of(operation, ("c2",), inventory=alone, unobserved={"c1": REFUSED})
    (line,) = said(plan)
    assert (
        line.startswith(f"c1: {REFUSED}; correct this and run again")
        and "remove.yml" not in line
        and "limit" not in line
    )
    # One that was observed and does not answer is another cause.
    plan = plan_of(operation, ("c2",), inventory=alone)
    assert "no control plane answers; tried c1" in said(plan)[0]


@pytest.mark.parametrize("operation", ["converge", *STOPS, "remove"])
def test_a_control_plane_outside_the_play_that_could_not_be_asked_is_named(operation: str) -> None:
    plan = plan_of(operation, ("c2",), unobserved_outside={"c1": REFUSED}, targets=["c2"])
    assert any("no control plane answers" in line for line in said(plan))
    assert f"c1: {REFUSED}; a run needs a control plane that describes the cluster" in said(plan, "warning")
    # If another one describes the cluster, it does not matter.
    plan = plan_of(operation, unobserved_outside={"c9": REFUSED}, targets=["c2"])
    assert not [line for line in said(plan, "warning") if line.startswith("c9:")]


def test_site_continues_without_a_host_and_says_so() -> None:
    plan = plan_of("converge", unobserved={"w9": REFUSED})
    assert not plan.errors
    (line,) = [line for line in said(plan, "warning") if line.startswith("w9:")]
    assert line == (f"w9: {REFUSED}; this run leaves it out; run again once it can be observed, or {GONE.format('w9')}")


def test_a_target_of_a_removal_has_the_reason() -> None:
    plan = plan_of("remove", targets=["w9"], unobserved={"w9": PYTHON})
    assert said(plan) == [f"w9: {PYTHON}; then run again, or set remove_gone=true if the machine no longer exists"]
    # Other hosts do not stop it.
    plan = plan_of("remove", targets=["c2"], unobserved={"w9": PYTHON})
    assert not plan.errors and [one.host for one in plan.leaving] == ["c2"]


def test_a_reset_says_what_stays_and_why() -> None:
    for reason in (REFUSED, LOGIN):
        plan = plan_of("reset", targets=["c1", "c2", "w9"], unobserved={"w9": reason})
        assert (
            f"w9: is not reset, so its kubelet and its pods stay: it {reason}; run reset.yml with --limit w9 once it "
            "answers, or erase the machine"
        ) in said(plan, "warning")
