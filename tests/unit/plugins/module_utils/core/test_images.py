# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of images: how they are completed, and which registry serves them."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.images import (
    Reference,
    parse,
    registry_of,
    server_of,
)


@pytest.mark.parametrize(
    ("image", "full", "reference"),
    [
        ("redis", "docker.io/library/redis", Reference("docker.io", "library/redis")),
        ("redis:7", "docker.io/library/redis:7", Reference("docker.io", "library/redis", "7")),
        ("me/app@sha256:00", "docker.io/me/app@sha256:00", Reference("docker.io", "me/app", "", "sha256:00")),
        ("docker.io/me/app:1", "docker.io/me/app:1", Reference("docker.io", "me/app", "1")),
        ("localhost/a:1@sha256:00", "localhost/a:1@sha256:00", Reference("localhost", "a", "1", "sha256:00")),
        ("host:5000/a/b", "host:5000/a/b", Reference("host:5000", "a/b")),
        ("[fd00::1]:5000/a:1", "[fd00::1]:5000/a:1", Reference("[fd00::1]:5000", "a", "1")),
    ],
)
def test_names_are_completed(image: str, full: str, reference: Reference) -> None:
    assert parse(image) == reference
    assert str(parse(image)) == full == str(parse(full))


@pytest.mark.parametrize(
    ("repository", "registry", "server"),
    [
        ("registry.k8s.io", "registry.k8s.io", ("registry.k8s.io", 443)),
        ("registry.example.org:5000/k8s", "registry.example.org:5000", ("registry.example.org", 5000)),
        ("myorg", "docker.io", ("registry-1.docker.io", 443)),
        ("docker.io/myorg", "docker.io", ("registry-1.docker.io", 443)),
        ("[fd00::1]:5000/x", "[fd00::1]:5000", ("fd00::1", 5000)),
    ],
)
def test_registries_and_who_serves_them(repository: str, registry: str, server: tuple[str, int]) -> None:
    assert registry_of(repository) == registry
    assert server_of(registry) == server
