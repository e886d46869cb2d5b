# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one list of components, held against everything else that has to know a component."""

from __future__ import annotations

import dataclasses
import typing
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils import observation
from ansible_collections.kubestead.cluster.plugins.modules import cluster_plan, node_info
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Facts, Options
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import planners, registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.registry import COMPONENTS, Component
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

ROOT = Path(__file__).resolve().parents[5]


def documented(module: Any) -> dict[str, Any]:
    options: dict[str, Any] = yaml.safe_load(module.DOCUMENTATION)["options"]
    return options


def test_every_component_has_its_options_and_its_role() -> None:
    hints = typing.get_type_hints(Options)
    assert hints == {component.name: component.options for component in COMPONENTS}
    for component in COMPONENTS:
        assert (ROOT / "roles" / (component.role or component.name) / "tasks/main.yml").exists()


def test_the_documentation_names_the_components_there_are() -> None:
    for module in (cluster_plan, node_info):
        assert documented(module)["components"]["choices"] == list(registry.NAMES)
    defaults = yaml.safe_load((ROOT / "roles/preflight/defaults/main.yml").read_text())
    assert sorted(defaults["preflight_roles"]) == sorted(registry.NAMES)
    operation = documented(cluster_plan)["operation"]
    assert (operation["choices"], operation["default"]) == (list(planners.PLANNERS), planners.DEFAULT)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda one: one.name)
def test_a_component_observes_the_state_that_it_plans_from(component: Component) -> None:
    assert component.observe.__annotations__["return"] == component.state.__name__
    states = list(typing.get_type_hints(Facts).values())
    assert component.state in states
    if component.own:
        assert typing.get_type_hints(Facts)[component.name] is component.state


def test_the_observation_has_every_part_that_facts_have(machine: Machine) -> None:
    own = {field.name for field in dataclasses.fields(Facts)} - {"asked", "answered", "connects_to"}
    for operation, more in {
        "converge": set(),
        "upgrade": {"upgrade"},
        "endpoint": {"endpoint"},
        "remove": {"etcd"},
        "reset": {"etcd"},
    }.items():
        observed = observation.observe(machine, "", "", "", "root", operation=operation)
        assert set(observed) == own - {"upgrade", "endpoint", "etcd"} | more
