# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The containerd of nodes in the plan of an upgrade."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.runtime import replacement
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import changed, recorded

from .test_upgrade import Change, actions, errors, plan_of, with_c2

OLD, NEW = "1.7.24~ds1-6+b4", "2.1.9-1"
DOCKER = "2.1.5-1~debian.13~trixie"


def runs(package: str = "containerd", version: str = OLD, **changes: Any) -> Change:
    """A node with this containerd, and with a newer one in apt's lists."""
    return {
        "containerd.packages": {package: version},
        "containerd.version": version.rpartition("-")[0],
        "containerd.debian": True,
        "containerd.offers": {"containerd": NEW, "containerd.io": DOCKER},
        **{name.replace("__", "."): value for name, value in changes.items()},
    }


def findings(plan: Plan, check: str = "containerd_version") -> list[tuple[str, str]]:
    return [(one.host, one.problem.level) for one in plan.findings if one.problem.check == check]


def runtimes(plan: Plan) -> dict[str, Mapping[str, str]]:
    return {name: host.arguments["runtime"] for name, host in plan.hosts.items() if host.arguments["runtime"]}


def test_a_containerd_that_the_new_version_needs_is_installed_in_the_same_drain() -> None:
    plan = plan_of(changes={"c2": runs()})
    assert not plan.findings and runtimes(plan) == {"c2": {"package": "containerd", "version": NEW}}
    assert actions(plan)["c2"] == ["drain", "upgrade", "upgrade", "uncordon"]
    step = plan.hosts["c2"].steps[1]
    assert step.disruptive and step.summary() == (
        f"upgrade containerd (containerd {OLD} -> {NEW}; Kubernetes 1.36 needs it)"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"containerd__offers": {}},
        # Not new enough.
        {"containerd__offers": {"containerd": "1.7.99-1"}},
        {"containerd__offers": {"containerd": "2.1; reboot"}},
        # The lists of dnf do not show what would be installed.
        {"containerd__debian": False},
    ],
)
def test_a_node_without_a_suitable_containerd_is_named_before_the_first_change(changes: dict[str, Any]) -> None:
    plan = plan_of(changes={"c2": runs(**changes)})
    assert findings(plan) == [("c2", "warning")] and not runtimes(plan)
    assert actions(plan)["c2"] == ["drain", "upgrade", "uncordon"]


def test_a_containerd_that_is_good_enough_stays_unless_the_variables_ask() -> None:
    plan = plan_of("1.35.4", offered=("1.35.4", "1.35.0"), changes={"c2": runs()})
    assert not findings(plan) and not runtimes(plan)
    asked = runs(options__containerd__upgrade=True)
    plan = plan_of("1.35.4", offered=("1.35.4", "1.35.0"), changes={"c2": asked})
    assert runtimes(plan) == {"c2": {"package": "containerd", "version": NEW}}
    assert plan.hosts["c2"].steps[1].reason.endswith("containerd_upgrade is true")
    newest = runs(version=NEW, options__containerd__upgrade=True)
    assert not runtimes(plan_of("1.35.4", offered=("1.35.4", "1.35.0"), changes={"c2": newest}))


def test_containerd_alone_is_replaced_node_by_node_too() -> None:
    changes = with_c2()
    changes["c2"] = {**changes["c2"], **runs(options__containerd__upgrade=True)}
    plan = plan_of(changes=changes)
    assert actions(plan) == {"c1": [], "c2": ["drain", "upgrade", "uncordon"]}
    assert [step.target for step in plan.hosts["c2"].steps] == ["node c2", "containerd", "node c2"]
    assert plan.hosts["c2"].steps[0].reason == "its containerd is replaced"
    arguments = plan.hosts["c2"].arguments
    assert arguments["upgrade"] and arguments["drain"] and arguments["uncordon"]
    assert plan.rollout.workers == ["c2"] and set(plan.disrupted) == {"c2"} and not plan.hosts["c2"].kubeconfig


def test_another_package_is_installed_where_the_variables_name_it() -> None:
    asked = runs(options__containerd__package="containerd.io")
    plan = plan_of(changes={"c1": asked, "c2": asked})
    wanted = {"package": "containerd.io", "version": DOCKER}
    assert not plan.findings and runtimes(plan) == {"c1": wanted, "c2": wanted}
    assert plan.hosts["c1"].steps[1].reason == f"containerd -> containerd.io {DOCKER}"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"containerd__offers": {"containerd": NEW}}, "and the apt package lists do not have containerd.io; add the"),
        ({"containerd__offers": {"containerd.io": ""}}, "and the apt package lists do not have containerd.io; add the"),
        ({"containerd__offers": {"containerd.io": "1.6.33-1"}}, "its version 1.6.33-1 is older than containerd 1.7.24"),
    ],
)
def test_a_package_that_can_not_replace_the_present_one(changes: dict[str, Any], text: str) -> None:
    plan = plan_of(changes={"c2": runs(options__containerd__package="containerd.io", **changes)})
    assert [text in line and line.startswith("c2: ") for line in errors(plan)] == [True]
    assert actions(plan) == {"c1": [], "c2": []}


@pytest.mark.parametrize(("kubelet", "refused"), [("1.25.9", True), ("1.26.0", False)])
def test_a_kubelet_without_cri_v1_does_not_get_containerd_2(kubelet: str, refused: bool) -> None:
    facts = changed(recorded("worker"), runs(options__containerd__upgrade=True))
    found, problems = replacement(registry.read_host("c2", False, facts), 26, kubelet)
    assert (found is None, bool(problems)) == (refused, refused)


def test_a_replacement_that_was_interrupted_is_finished_whatever_the_variables_say_now() -> None:
    begun = {"upgrade": {"runtime": "containerd", "runtime_version": NEW}}
    changes = with_c2()
    changes["c2"] = {**changes["c2"], **runs(), **begun, "containerd.packages": {}}
    plan = plan_of(changes=changes)
    assert runtimes(plan) == {"c2": {"package": "containerd", "version": NEW}}
    assert plan.hosts["c2"].steps[1].reason == f"the replacement of containerd by containerd {NEW} was interrupted"
