# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of what changes with a release: complete, sourced, and what roles and modules say as well."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core import releases, removals, versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import Since, at
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry

ROOT = Path(__file__).resolve().parents[5]
TABLES = {
    name: rows
    for name, rows in {**vars(releases), **vars(removals)}.items()
    if isinstance(rows, tuple) and rows and isinstance(rows[0], Since)
}


def test_a_fact_holds_until_the_next_row() -> None:
    rows = (Since(20, "a", ""), Since(22, "b", ""))
    assert [at(rows, minor) for minor in (19, 20, 21, 22, 40)] == ["a", "a", "a", "b", "b"]


@pytest.mark.parametrize("name", sorted(TABLES))
def test_rows_are_in_order_and_each_has_its_source(name: str) -> None:
    rows = TABLES[name]
    minors = [row.minor for row in rows]
    assert minors == sorted(set(minors)) and minors[-1] <= releases.NEWEST_MINOR + 1
    for row in rows:
        assert re.match(r"https://[^\s{}]+$", row.source), row


def test_every_table_is_looked_at() -> None:
    assert {"PAUSE", "ETCD", "CONFIG_API", "CONTAINERD_NEEDED", "CONTAINERD_TESTED", "KUBELET_SKEW"} <= set(TABLES)


@pytest.mark.parametrize(
    ("text", "api"),
    [("1.20.2", "v1beta2"), ("1.22.0", "v1beta3"), ("1.30.9", "v1beta3"), ("1.31.0", "v1beta4"), ("1.37.1", "v1beta4")],
)
def test_the_configuration_api_by_version(text: str, api: str) -> None:
    version = versions.parse(text)
    assert version is not None and releases.config_api(version) == api


def test_the_fields_of_an_api_are_those_of_an_api_there_is() -> None:
    assert set(releases.FIELDS) < set(releases.APIS)
    assert (releases.first_kubeadm("v1beta3"), releases.first_kubeadm("v1beta4")) == ("1.22", "1.31")


@pytest.mark.parametrize(
    ("minor", "needed", "tested"),
    [(25, (0, 0), (0, 0)), (26, (1, 6), (0, 0)), (35, (1, 6), (0, 0)), (37, (1, 6), (2, 0)), (38, (2, 0), (2, 0))],
)
def test_containerd_by_minor(minor: int, needed: tuple[int, int], tested: tuple[int, int]) -> None:
    assert (at(releases.CONTAINERD_NEEDED, minor), at(releases.CONTAINERD_TESTED, minor)) == (needed, tested)


# -- what derives from it


def test_the_defaults_of_options() -> None:
    assert registry.OPTIONS["control_plane"]().kubernetes_version == releases.DEFAULT_KUBERNETES
    assert registry.OPTIONS["kube_packages"]().version == releases.DEFAULT_KUBERNETES
    assert registry.OPTIONS["cni"]().calico_version == releases.DEFAULT_CALICO
    assert releases.DEFAULT_CALICO in releases.CALICO_CHECKSUMS
    minor = int(releases.DEFAULT_KUBERNETES.split(".")[1])
    assert releases.OLDEST_SUPPORTED <= minor <= releases.NEWEST_MINOR
    assert minor in releases.SUGGESTED_MINORS


@pytest.mark.parametrize(
    ("path", "variable", "value"),
    [
        ("roles/*/defaults/main.yml", "cluster_kubernetes_version", releases.DEFAULT_KUBERNETES),
        ("roles/*/defaults/main.yml", "cni_calico_version", releases.DEFAULT_CALICO),
    ],
)
def test_the_defaults_of_roles(path: str, variable: str, value: str) -> None:
    found = [(yaml.safe_load(file.read_text()) or {}).get(variable) for file in ROOT.glob(path)]
    assert [one for one in found if one is not None] == [value]


def documented(module: str) -> dict[str, Any]:
    # Without importing it: the oldest Python of nodes has no Ansible.
    tree = ast.parse((ROOT / f"plugins/modules/{module}.py").read_text())
    texts = [node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    options: dict[str, Any] = yaml.safe_load(str(texts[0].value))["options"]
    return options


def test_the_documentation_of_modules_and_roles() -> None:
    assert documented("kubeadm_init")["kubernetes_version"]["default"] == releases.DEFAULT_KUBERNETES
    calico = documented("calico_apply")
    assert calico["version"]["default"] == releases.DEFAULT_CALICO
    role = (ROOT / "roles/cni/meta/argument_specs.yml").read_text()
    for text in (str(calico["checksum"]["description"]), role):
        for version in releases.CALICO_CHECKSUMS:
            assert f"V({version})" in text
    example = (ROOT / "inventories/example/group_vars/all.yml").read_text()
    assert f'cluster_kubernetes_version: "{releases.DEFAULT_KUBERNETES}"' in example


# -- what is gone

GONE = {
    **removals.REMOVED_ARGUMENTS,
    "admission plugins": removals.REMOVED_ADMISSION_PLUGINS,
    "gates": removals.REMOVED_KUBEADM_GATES,
}


@pytest.mark.parametrize("name", sorted(GONE))
def test_what_is_gone_is_named_once_with_its_source(name: str) -> None:
    rows = GONE[name]
    assert [row.minor for row in rows] == sorted(row.minor for row in rows)
    names = [one for row in rows for one in row.value]
    assert len(names) == len(set(names))
    for row in rows:
        assert re.match(r"https://[^\s{}]+$", row.source) and row.value
    if name in removals.REMOVED_ARGUMENTS:
        assert all(re.match(r"[a-z0-9]+(-[a-z0-9]+)*$", one) for one in names)


def test_what_is_gone_is_gone_from_its_minor_on() -> None:
    rows = removals.REMOVED_ARGUMENTS["kubelet"]
    assert [removals.removed_since(rows, minor, "pod-infra-container-image") for minor in (33, 34, 35, 40)] == [
        0,
        0,
        35,
        35,
    ]
    assert removals.removed_since(rows, 37, "boot_id_file") == 37
    assert not removals.removed_since(rows, 37, "housekeeping-interval"), "the one of cAdvisor's that stays"


@pytest.mark.parametrize(
    ("tag", "version"),
    [("3.6.6-0", (3, 6)), ("v3.5.21", (3, 5)), ("3.10.0-1", (3, 10)), ("latest", ()), ("3", ()), ("3.6", ()), ("", ())],
)
def test_the_version_of_an_etcd_image(tag: str, version: tuple[int, ...]) -> None:
    assert removals.etcd_version(tag) == version


def test_arguments_of_etcd_go_by_its_own_version() -> None:
    gone = removals.removed_from_etcd
    assert [gone(version, "enable-v2") for version in ((3, 5), (3, 6), (3, 7))] == ["", "3.6", "3.6"]
    assert [gone(version, "experimental_max_learners") for version in ((3, 6), (3, 7), (3, 10))] == ["", "3.7", "3.7"]
    assert gone((3, 6), "experimental-enable-v2v3") == "3.6" and not gone((3, 7), "quota-backend-bytes")


def test_names_are_only_judged_where_they_were_looked_up() -> None:
    assert [removals.knows_names(minor) for minor in (33, 34, 35, 36)] == [False, True, True, False]
