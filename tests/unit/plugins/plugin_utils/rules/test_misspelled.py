# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A misspelled variable of the collection is a warning with the correct name. Other variables are ignored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules.misspelled import known, misspelled_findings

ROOT = Path(__file__).resolve().parents[5]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cluster_kuberntes_version", "cluster_kubernetes_version"),
        ("cluster_pod_cdir", "cluster_pod_cidr"),
        ("containerd_registry_mirror", "containerd_registry_mirrors"),
        ("remove_host", "remove_hosts"),
        ("host_sysctl", "host_sysctls"),
        ("deploy_manifest", "deploy_manifests"),
        ("upgrade_serail", "upgrade_serial"),
    ],
)
def test_a_misspelled_variable_is_a_warning_with_the_name_that_was_meant(name: str, meant: str) -> None:
    (finding,) = misspelled_findings({"cp1": ["cluster_pod_cidr", name, "ansible_host"]})
    assert (finding.host, finding.problem.check, finding.problem.level) == ("cp1", "misspelled_variable", "warning")
    assert finding.problem.message.startswith(f"{name} is not a variable") and finding.problem.fix == f"use {meant}"


@pytest.mark.parametrize("name", ["cluster_name", "cluster_region", "host_name", "join_domain", "my_cluster_pod_cdir"])
def test_a_variable_of_the_user_is_left_alone(name: str) -> None:
    assert misspelled_findings({"cp1": [name]}) == []


def test_names_of_any_kind_are_read_and_shown_on_one_line() -> None:
    """Ansible accepts a number as the name of a variable."""
    odd = "cluster_pod_cdir\x1b[2J\n"
    found = misspelled_findings({"cp1": [1, None, True, "", "cluster_", odd[:-5], odd, "cluster_" + "x" * 100_000]})
    assert [finding.problem.fix for finding in found] == ["use cluster_pod_cidr"]
    assert all("\x1b" not in finding.line() and "\n" not in finding.line() for finding in found)


def test_no_name_of_the_collection_itself_is_taken_for_a_mistake() -> None:
    """Roles and playbooks register results, and set variables for their tasks."""
    places = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("roles/*/vars/*.yml"), *ROOT.glob("playbooks/*.yml")]
    names = {name for path in places for name in re.findall(r"[a-z]+(?:_[a-z]+)+", path.read_text(encoding="utf-8"))}
    assert {"preflight_plan", "preflight_observed", "reset_answer", "endpoint_part"} <= names
    assert misspelled_findings({"cp1": names | known()}) == []
