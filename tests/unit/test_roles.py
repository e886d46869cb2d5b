# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every role says the same in three places: its defaults, its argument spec, and the options of its component."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import variable_name
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())


def load(role: str, name: str) -> Any:
    path = ROOT / "roles" / role / name
    return yaml.safe_load(path.read_text()) if path.exists() else None


def defaults() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for role in ROLES:
        found.update(load(role, "defaults/main.yml") or {})
    return found


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_argument_spec_agree(role: str) -> None:
    own = load(role, "defaults/main.yml") or {}
    spec = load(role, "meta/argument_specs.yml")["argument_specs"]
    spec = next(iter(spec.values()))["options"]
    assert set(own) <= set(spec), "a default without documentation"
    required = {name for name, option in spec.items() if option.get("required")}
    assert set(spec) - required == set(own), "no default, or one for a required variable"
    for name, value in own.items():
        assert spec[name].get("default") == value, name
        assert spec[name]["description"], name


@pytest.mark.parametrize("role", ROLES)
def test_roles_are_short_and_without_commands(role: str) -> None:
    tasks = [
        task
        for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
        for task in yaml.safe_load(path.read_text())
    ]
    text = str(tasks)
    assert len(tasks) <= 10
    for forbidden in ("ansible.builtin.shell", "ansible.builtin.command", "ansible.builtin.raw", "set_fact"):
        assert forbidden not in text


@pytest.mark.parametrize("role", ROLES)
def test_an_unreachable_host_does_not_end_a_play_that_is_to_ignore_it(role: str) -> None:
    """For a task that runs once, Ansible ends the play unless errors are ignored too."""
    for path in sorted((ROOT / "roles" / role / "tasks").glob("*.yml")):
        for task in yaml.safe_load(path.read_text()):
            if task.get("ignore_unreachable") and task.get("run_once") and "loop" in task:
                # The action plugin of bridge_cni returns a warning instead.
                assert task.get("ignore_errors") or "kubestead.cluster.bridge_cni" in task, task["name"]


@pytest.mark.parametrize("component", sorted(registry.OPTIONS))
def test_the_options_of_a_component_have_the_roles_defaults(component: str) -> None:
    there = defaults()
    options = registry.OPTIONS[component]
    for field in dataclasses.fields(options):
        name = variable_name(component, field)
        assert name in there, f"{name}: no role has a default for it"
        value = getattr(options(), field.name)
        # An empty cluster_pod_cidr lets the plan choose; a module used alone has the first choice as its default.
        assert there[name] == value or name == "cluster_pod_cidr", name


def test_the_action_group_has_all_modules() -> None:
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    assert runtime["action_groups"]["all"] == sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))


class NoKeyTwice(yaml.SafeLoader):
    """Counts keys as Ansible does: those that a merge brings in first, which it warns of in every run."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        self.flatten_mapping(node)
        keys = [str(self.construct_object(key, deep=True)) for key, _value in node.value]
        assert len(keys) == len(set(keys)), f"{node.start_mark}: a key is there twice in {keys}"
        return super().construct_mapping(node, deep)


@pytest.mark.parametrize(
    "path",
    sorted(path for folder in ("playbooks", "roles") for path in (ROOT / folder).rglob("*.yml")),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_mapping_has_a_key_twice(path: Path) -> None:
    yaml.load(path.read_text(), NoKeyTwice)


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.name)
def test_no_play_on_nodes_leaves_modules_with_their_arguments_in_files(path: Path) -> None:
    """Modules carry registry passwords, tokens, keys, and the Secrets of manifests."""
    for play in yaml.safe_load(path.read_text()):
        # What is imported is tested itself.
        elsewhere = play.get("connection") == "local" or "ansible.builtin.import_playbook" in play
        assert elsewhere or play.get("vars", {}).get("ansible_pipelining") is True, play["name"]


@pytest.mark.parametrize("role", ["containerd", "deploy", "join"])
def test_roles_that_carry_secrets_say_so(role: str) -> None:
    text = (ROOT / "roles" / role / "README.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(example)[0]["vars"]["ansible_pipelining"] is True
    assert "Without it, Ansible puts" in text.replace("\n", " ")
