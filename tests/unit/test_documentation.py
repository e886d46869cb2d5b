# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documented results of modules are those that the code returns, and docs/design.md describes the code there is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.action import cluster_plan as plan_action
from ansible_collections.kubestead.cluster.plugins.action import node_info as info_action
from ansible_collections.kubestead.cluster.plugins.module_utils import observation
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.modules import cluster_plan, node_info
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import HostPlan, Plan, as_result
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

ROOT = Path(__file__).resolve().parents[2]
DESIGN = (ROOT / "docs/design.md").read_text(encoding="utf-8")


def contents(documented: dict[str, Any], *path: str) -> set[str]:
    """The names that RETURN documents below a path."""
    for name in path:
        documented = documented[name]["contains"]
    return set(documented)


def test_node_info_documents_what_it_returns(machine: Machine) -> None:
    documented = yaml.safe_load(node_info.RETURN)
    operations = node_info.argument_spec()["operation"]["choices"]
    observed = set().union(*(observation.observe(machine, "", "", "", "", operation=one) for one in operations))
    added = {"asked", "answered", "options", "secrets", "problems"}
    assert observed == info_action.ActionModule.RETURNS
    assert set(documented) == observed | added
    assert contents(documented, "kubeadm") <= {field.name for field in dataclasses.fields(KubeadmState)}
    # An observation is left out when the variables are wrong; what the action plugin adds then is always there.
    assert {name for name, value in documented.items() if value["returned"] == "always"} == (
        added - {"asked", "answered"}
    )


@pytest.fixture
def planned() -> dict[str, Any]:
    plan = Plan(
        "converge",
        registry.NAMES,
        findings=[Finding("cp1", "host", Problem("swap", "swap is on", "switch it off"))],
        hosts={"cp1": HostPlan([Step("host", "swapoff", "/dev/sda2", "swap is on")])},
        joining_nodes=[Node("w1", addresses=["192.0.2.11"])],
    )
    return as_result(plan, CniOptions())


def test_cluster_plan_documents_what_it_returns(planned: dict[str, Any]) -> None:
    documented = yaml.safe_load(cluster_plan.RETURN)
    assert set(documented) == set(planned) - {"changed"} | {"play"}
    assert contents(documented, "findings") == set(planned["findings"][0])
    assert contents(documented, "hosts") == set(planned["hosts"]["cp1"])
    step = documented["hosts"]["contains"]["steps"]["sample"][0]
    assert set(step) == set(planned["hosts"]["cp1"]["steps"][0])
    assert contents(documented, "joining_nodes") == set(planned["joining_nodes"][0])
    assert contents(documented, "cluster") == set(planned["cluster"])


def test_cluster_plan_documents_its_options() -> None:
    assert set(yaml.safe_load(cluster_plan.DOCUMENTATION)["options"]) == plan_action.ActionModule._VALID_ARGS


# -- docs/design.md


def packages() -> list[str]:
    """The packages of plugins, and the files that are beside packages of module_utils."""
    found = {
        str(path.parent.relative_to(ROOT))
        for kind in ("module_utils", "plugin_utils", "modules", "action", "lookup")
        for path in (ROOT / "plugins" / kind).rglob("*.py")
    }
    beside = [str(path.relative_to(ROOT)) for path in (ROOT / "plugins/module_utils").glob("*.py")]
    return sorted((found | set(beside)) - {"plugins/module_utils"})


@pytest.mark.parametrize("package", packages())
def test_the_design_page_has_a_line_for_each_package(package: str) -> None:
    assert re.search(rf"(?m)^\| `{re.escape(package)}` \| \S", DESIGN)


@pytest.mark.parametrize("folder", ["lab", "bench", "devtools", "roles", "playbooks", "molecule", "tests"])
def test_the_design_page_has_a_line_for_each_folder(folder: str) -> None:
    assert (ROOT / folder).is_dir() and f"| `{folder}` |" in DESIGN


def test_the_places_that_the_design_page_names_exist() -> None:
    named = re.findall(r"`((?:\w+/)+[\w.]*|\w+\.(?:py|yml))`", DESIGN)
    # Below plugins and module_utils, or a playbook, paths may be shortened.
    roots = [ROOT, ROOT / "plugins", ROOT / "plugins/module_utils", ROOT / "playbooks"]
    assert len(named) > 40
    assert [place for place in named if not any((root / place).exists() for root in roots)] == []


def test_the_links_of_the_design_page_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", DESIGN)
    assert links and [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_the_design_page_names_every_module_by_its_own_name() -> None:
    modules = {path.stem for path in (ROOT / "plugins/modules").glob("*.py")}
    named = set(
        re.findall(r"\b((?:kubeadm|node|cluster)_(?:init|join|join_token|info|components|plan|nodes_info))\b", DESIGN)
    )
    assert named <= modules


# -- playbooks

PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("*.yml") if path.stem != "check_inventory")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("roles/*/README.md")])


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_clone_has_a_file_for_each_playbook(name: str) -> None:
    """Ansible finds the collection of a clone only from playbooks next to the folder ``collections``."""
    plays = yaml.safe_load((ROOT / f"{name}.yml").read_text(encoding="utf-8"))
    assert [play["ansible.builtin.import_playbook"] for play in plays] == [f"kubestead.cluster.{name}"]
    assert f"{name}.yml" in yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["build_ignore"]


def playbooks_in_commands(text: str) -> list[str]:
    """The playbooks in the commands of a page, without its inventories."""
    commands = [re.sub(r"-i \S+", "", line) for line in re.findall(r"ansible-playbook ([^`\n]+)", text)]
    return [name for command in commands for name in re.findall(r"[\w./-]+\.yml|kubestead\.cluster\.\w+", command)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_playbooks_in_commands_can_be_run(page: Path) -> None:
    runnable = {f"{name}.yml" for name in PLAYBOOKS} | {f"kubestead.cluster.{name}" for name in PLAYBOOKS}
    assert [name for name in playbooks_in_commands(page.read_text(encoding="utf-8")) if name not in runnable] == []


def test_the_commands_of_the_pages_are_found() -> None:
    found = playbooks_in_commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {"site.yml", "upgrade.yml", "remove.yml", "reset.yml", "deploy.yml"} <= set(found)
    assert playbooks_in_commands("ansible-playbook -i hosts.yml playbooks/site.yml") == ["playbooks/site.yml"]
