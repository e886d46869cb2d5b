# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes versions as asked for and as found."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import Version


def test_a_minor_takes_its_newest_patch_and_an_exact_version_only_itself() -> None:
    there = [Version(1, 35, 9), Version(1, 36, 2), Version(1, 36, 10), Version(1, 37, 0)]
    assert versions.parse_request("1.36").newest(there) == Version(1, 36, 10)
    assert versions.parse_request("v1.36.2").newest(there) == Version(1, 36, 2)
    assert versions.parse_request("1.36.3").newest(there) is None


@pytest.mark.parametrize("text", ["1", "latest", "1.36.x", "1.36.2-1.1", "", "1.3.4.5"])
def test_anything_else_is_refused_with_the_option_and_the_fix(text: str) -> None:
    with pytest.raises(OptionError, match="^cluster_kubernetes_version is .*; use a minor"):
        versions.parse_request(text)


def test_versions_as_programs_packages_and_nodes_tell_them() -> None:
    for text in ("v1.36.2", "1.36.2", "1.36.2-1.1", "v1.36.2+k3s1", "1.36.2-150500.1.1"):
        assert versions.parse(text) == Version(1, 36, 2)
    assert versions.parse("unknown") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v3.32.1", (3, 32)),
        ("1.7.24~ds1-6+deb13u1", (1, 7)),
        ("1:2.0.5-1.el9", (2, 0)),
        ("2", (2,)),
        ("unknown", ()),
        ("१.२", ()),
    ],
)
def test_the_numbers_of_any_version(text: str, expected: tuple[int, ...]) -> None:
    assert versions.numbers(text) == expected
    assert versions.numbers("v3.32.1-0", 3) == (3, 32, 1)


@pytest.mark.parametrize(("text", "meant"), [("1.3", "1.30"), ("1.4", "1.40"), ("v1.3", "1.30"), (1.3, "1.30")])
def test_a_version_whose_zero_yaml_took(text: object, meant: str) -> None:
    with pytest.raises(OptionError, match=f'put the version in quotes, like "{meant}"'):
        versions.parse_request(text)  # type: ignore[arg-type]
