# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/security.md names files and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core import releases
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init
from ansible_collections.kubestead.cluster.plugins.plugin_utils.cluster import Cluster
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules import argument_rules
from ansible_collections.kubestead.cluster.plugins.plugin_utils.variables import Variables

from .plugins.plugin_utils.plan.test_converge import host

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
PROMISES, BENCHMARK = TEXT.split("## The CIS Kubernetes Benchmark")
ROWS = [row for row in re.findall(r"^\| (.+) \|$", PROMISES, re.MULTILINE) if " | " in row and "Mechanism" not in row]


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"`((?:plugins|roles|tests|playbooks)/[\w./]+)`", TEXT)
    assert len(named) > 20
    assert [place for place in named if not (ROOT / place).exists()] == []


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`(test_\w+)`", TEXT)
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    defined = re.findall(r"^ *def (test_\w+)\(", source, re.MULTILINE)
    assert len(named) > 20
    assert [name for name in named if name not in defined] == []


def test_every_promise_has_a_mechanism() -> None:
    assert len(ROWS) > 15
    assert [row for row in ROWS if "`" not in row.split(" | ")[1]] == []


# -- the benchmark

HARDENING: dict[str, Any] = yaml.safe_load(BENCHMARK.split("```yaml\n")[1].split("```")[0])
CLUSTER: dict[str, Any] = HARDENING["cluster_kubeadm_config"]["ClusterConfiguration"]
COMPONENTS = ("apiServer", "controllerManager", "scheduler")


def test_every_item_of_the_benchmark_has_a_state_and_a_reason() -> None:
    rows = [row.split(" | ") for row in re.findall(r"^\| (.+) \|$", BENCHMARK, re.MULTILINE)][1:]
    assert len(rows) > 20
    assert [row for row in rows if len(row) != 3 or row[1] not in ("default", "variable", "not done")] == []
    # Settings that a row names are in the example.
    example = yaml.safe_dump(HARDENING)
    for item, state, reason in rows:
        names = [name for name in re.findall(r"`([\w-]+)`", item + reason) if name != "bridge" and "_" not in name]
        missing = [name for name in names if state == "variable" and name not in example]
        assert set(missing) <= {"RuntimeDefault"}, item


@pytest.mark.parametrize("minor", [releases.OLDEST_SUPPORTED, releases.NEWEST_MINOR])
def test_the_settings_for_the_benchmark_reach_kubeadm(minor: int) -> None:
    variables = {**HARDENING, "cluster_kubernetes_version": f"1.{minor}"}
    options = registry.options_from_variables("control_plane", Variables(variables))
    options.validate()
    found = {one["kind"]: one for one in init.documents(options, "v1beta4", f"1.{minor}.0")}
    for component in COMPONENTS:
        rendered = {one["name"]: one["value"] for one in found["ClusterConfiguration"][component]["extraArgs"]}
        expected = {one["name"]: one["value"] for one in CLUSTER[component]["extraArgs"]}
        assert expected and expected.items() <= rendered.items()
    assert found["ClusterConfiguration"]["apiServer"]["extraVolumes"] == CLUSTER["apiServer"]["extraVolumes"]
    given = {"config": options.config, "kubelet_config": options.kubelet_config}
    assert not argument_rules.argument_problems(host("cp1", kubernetes_version=f"1.{minor}", **given), Cluster())
    kubelet = found["KubeletConfiguration"]
    assert {name: kubelet[name] for name in HARDENING["cluster_kubelet_config"]} == HARDENING["cluster_kubelet_config"]


def test_every_file_of_the_settings_is_in_a_mounted_folder() -> None:
    volumes = [one["mountPath"] + "/" for one in CLUSTER["apiServer"]["extraVolumes"]]
    paths = [one["value"] for one in CLUSTER["apiServer"]["extraArgs"] if one["value"].startswith("/")]
    assert len(paths) == 4
    assert [path for path in paths if not path.startswith(tuple(volumes))] == []


def test_the_sysctls_for_the_benchmark_are_set() -> None:
    options = registry.options_from_variables("host", Variables(HARDENING))
    options.validate()
    expected = {name: str(value) for name, value in HARDENING["host_sysctls"].items()}
    assert len(expected) == 6 and expected.items() <= options.wanted_sysctls().items()
