# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A fact never sets an option, and no task takes the options of the cluster from a host that merely comes first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.plugin_utils import variables
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry

ROOT = Path(__file__).resolve().parents[4]
DEFAULTS = {
    name
    for path in (ROOT / "roles").glob("*/defaults/main.yml")
    for name in yaml.safe_load(path.read_text(encoding="utf-8")) or {}
}


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_every_variable_of_every_role_is_refused_as_a_fact(name: str) -> None:
    known = {"ansible_facts": {name: "evil"}, name: "evil"}
    assert variables.claimed(known) == [name]
    with pytest.raises(OptionError, match=name):
        variables.Variables(known)[name]


def test_playbooks_give_no_variables_to_hosts_and_their_plan_is_refused_as_a_fact() -> None:
    given = {
        name
        for path in FILES
        for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
        for name in set(task.get("ansible.builtin.add_host") or {}) - {"name", "groups"}
    }
    assert given == set()
    plans = {"preflight_plan": {"upgrade": {"batches": [100]}}, "kubestead_upgrade_workers": ["cp1"]}
    assert variables.claimed({"ansible_facts": plans}) == sorted(plans)


def test_options_are_not_read_from_facts() -> None:
    with pytest.raises(OptionError, match="cni_calico_manifest is set by the facts of this host"):
        registry.options_from_variables(
            "cni",
            variables.Variables(
                {"cni_calico_manifest": "evil", "ansible_facts": {"cni_calico_manifest": "evil"}},
            ),
        )


@pytest.mark.parametrize("facts", [None, [], "text", {}, {"hostname": "w1", "host_name": "w1", "distribution": "x"}])
def test_other_facts_are_nobodys_business(facts: Any) -> None:
    known = {"ansible_facts": facts, "cni_mtu": 1400}
    assert variables.refusal(known) == "" and variables.Variables(known)["cni_mtu"] == 1400


def test_a_refusal_is_one_line_whatever_the_name() -> None:
    text = variables.refusal({"ansible_facts": {"cni_\n\x1b[2J" + "x" * 1000: 1}})
    assert "\n" not in text and "\x1b" not in text and len(text) < 400


def tasks(entries: Any) -> Iterator[dict[str, Any]]:
    for entry in entries if isinstance(entries, list) else []:
        yield entry
        for part in ("block", "always", "rescue", "tasks", "pre_tasks", "post_tasks"):
            yield from tasks(entry.get(part))


FILES = sorted([*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "playbooks").glob("*.yml")])
DELEGATED = [
    pytest.param(task, id=task["name"])
    for path in FILES
    for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
    if "delegate_to" in task
]


@pytest.mark.parametrize("task", DELEGATED)
def test_a_delegated_task_gives_its_facts_to_the_delegate_alone(task: dict[str, Any]) -> None:
    assert task.get("delegate_facts") is True


@pytest.mark.parametrize("task", DELEGATED)
def test_a_delegated_task_takes_its_options_from_the_plan_or_the_control_plane(task: dict[str, Any]) -> None:
    arguments = next(value for key, value in task.items() if key.startswith("kubestead.cluster."))
    given = {name: str(value) for name, value in (arguments or {}).items() if "{{" in str(value)}
    # join_workers is made of the plan, by the variables of the block.
    own = (
        "preflight_plan",
        "hostvars[join_api_host]",
        "join_workers",
        "join_token",
        "cni_nodes",
        "cni_failed_nodes",
        "deploy_",
        # How a node may be drained is said of that node.
        "cluster_drain_",
        "upgrade_",
        "endpoint_",
        "preflight_operation",
        # Machines that leave, as the plan lists them; the variables of the role are no facts of a host.
        "item.",
        "remove_",
        "reset_plan",
    )
    assert [name for name, value in given.items() if not value.startswith(tuple("{{ " + one for one in own))] == []
