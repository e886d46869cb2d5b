# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CONTRIBUTING.md names places that exist, and all the places that a change touches."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core import releases
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.plugin_utils import hosts
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import machine_steps, planners, registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, as_result

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def named(text: str) -> list[str]:
    """The paths in a part of the page."""
    return re.findall(r"`((?:plugins|roles|tests|docs|playbooks|changelogs|inventories|README)(?:/?[\w.]+)*)`", text)


def section(title: str) -> str:
    """A section of the page, without the paragraph about the tests below its list."""
    return TEXT.split(f"## {title}\n")[1].split("\n## ")[0].split("\n\n`tests/")[0]


def test_every_place_that_is_named_exists() -> None:
    places = named(TEXT)
    assert len(places) > 60
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_the_table_has_at_least_thirty_behaviours_each_once() -> None:
    table = TEXT.split("<!-- places: start -->")[1].split("<!-- places: end -->")[0]
    rows = re.findall(r"^\| (.+?) \| `(.+?)` \|$", table, re.MULTILINE)
    assert len(rows) >= 30 and len(rows) == len({behaviour for behaviour, _place in rows})


# -- a component

#: One that concerns a machine alone and whose name is no word of anything else.
WITNESS = "kube_packages"
#: Where it is more than one of the components: its packages are known to the steps of others, and an upgrade replaces
#: them.
OF_ITS_OWN = {
    "plugins/module_utils/packages/kube_state.py",
    "plugins/plugin_utils/plan/machine_steps.py",
    "plugins/action/node_components.py",
    "roles/upgrade/tasks/plan.yml",
}


def strings(path: Path) -> Iterator[str]:
    """What a plugin or role names: constants, names of fields, and the choices that a module documents."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".yml":
        yield from values(yaml.safe_load(text))
        return
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "DOCUMENTATION":
            options = yaml.safe_load(ast.literal_eval(node.value))["options"]
            yield from values([one.get("choices") for one in options.values()])


def values(data: Any) -> Iterator[str]:
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        yield from values(list(data.values()))
    elif isinstance(data, list):
        for item in data:
            yield from values(item)


def test_the_name_of_a_component_is_where_the_page_says_and_nowhere_else() -> None:
    files = [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("roles/*/*/*.yml"), *ROOT.glob("playbooks/*.yml")]
    found = {str(path.relative_to(ROOT)) for path in files if WITNESS in strings(path)}
    own_role = {path for path in found if path.startswith(f"roles/{WITNESS}/")}
    assert own_role
    listed = {place for place in named(section("Adding a component")) if Path(place).suffix}
    assert found - own_role - OF_ITS_OWN == listed


@dataclass(frozen=True)
class ExampleOptions:
    mode: str = field(default="on")

    def validate(self) -> None:
        pass


@dataclass(frozen=True)
class ExampleState:
    mode: str = "off"


def problems(state: ExampleState, options: ExampleOptions) -> list[Problem]:
    return [Problem("swap", "the mode is broken", "fix it")] if state.mode == "broken" else []


def steps(state: ExampleState, options: ExampleOptions) -> list[Step]:
    same = state.mode == options.mode
    return [] if same else [Step("example", "switch", "the mode", f"{state.mode} -> {options.mode}")]


def result_of(monkeypatch: pytest.MonkeyPatch, state: ExampleState) -> tuple[Plan, dict[str, Any]]:
    """The plan of one worker with a component that exists here alone."""
    component = registry.Component("example", ExampleOptions, ExampleState, ExampleState, problems, steps, own=True)
    components = (*registry.COMPONENTS, component)
    for module in (registry, machine_steps):
        monkeypatch.setattr(module, "COMPONENTS", components)
    facts = make_dataclass("Facts", [("example", ExampleState, state)], bases=(hosts.Facts,), frozen=True)
    options = make_dataclass(
        "Options", [("example", ExampleOptions, ExampleOptions())], bases=(hosts.Options,), frozen=True
    )
    monkeypatch.setattr(hosts, "Options", options)
    host = hosts.Host("w1", False, facts(), options())
    plan = converge(Request(Inventory(["cp1"], ["w1"]), [host], ["example"]))
    return plan, as_result(plan, host.options.cni)["hosts"]["w1"]


def test_a_component_of_the_registry_is_planned_without_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, result = result_of(monkeypatch, ExampleState("off"))
    assert not plan.findings
    assert [step.summary() for step in plan.steps["w1"]] == ["switch the mode (off -> on)"]
    assert result["todo"] == {"example": True} and result["idle_before_join"] is False
    plan, result = result_of(monkeypatch, ExampleState("on"))
    assert plan.steps == {"w1": []} and result["todo"] == {"example": False} and result["idle_before_join"] is True


def test_the_problems_of_a_component_of_the_registry_are_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, result = result_of(monkeypatch, ExampleState("broken"))
    assert [finding.line() for finding in plan.errors] == ["w1: the mode is broken; fix it"]
    assert result["todo"] == {"example": False}


# -- an operation


def test_the_name_of_an_operation_is_where_the_page_says_and_nowhere_else() -> None:
    # One whose name is no word of anything else.
    name = "converge"
    assert name in planners.PLANNERS
    # Its own planner names it in what it returns.
    own = {f"plugins/plugin_utils/plan/{name}.py"}
    files = list(ROOT.glob("plugins/**/*.py"))
    found = {str(path.relative_to(ROOT)) for path in files if name in strings(path)} - own
    listed = {place for place in named(section("Adding an operation")) if Path(place).suffix}
    modules = {"plugins/modules/cluster_plan.py", "plugins/modules/node_info.py"}
    everywhere = {"plugins/plugin_utils/plan/planners.py", *modules}
    # Only one that can be interrupted has a kind of marker.
    assert found - {"plugins/module_utils/kubeadm/operation.py"} == everywhere <= found <= listed


# -- a release


def test_the_default_release_is_where_the_page_says_and_nowhere_else() -> None:
    value = re.escape(releases.DEFAULT_KUBERNETES)
    listing = ["git", "ls-files", "plugins", "roles", "playbooks", "inventories", "README.md", "deploy.yml", "site.yml"]
    files = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    # As a value: of a variable, of a documented default, of a constant; tables are generated.
    pattern = re.compile(rf"""(?m)(kubernetes_version|DEFAULT_KUBERNETES|default)\s*[:=]\s*["']{value}["']""")
    found = {name for name in files if pattern.search((ROOT / name).read_text(encoding="utf-8"))}
    assert found == {place for place in named(section("Adding a Kubernetes release")) if Path(place).suffix} - {
        "README.md"
    }
