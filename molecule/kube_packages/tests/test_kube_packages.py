# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages are there at the one version, from the signed repository, and stay at it."""

from __future__ import annotations

from typing import Any

import pytest
from testinfra.host import Host

AT_THE_VERSION = ("kubelet", "kubeadm", "kubectl")


@pytest.mark.parametrize("package", AT_THE_VERSION)
def test_packages_have_exactly_the_version_asked_for(host: Host, variables: dict[str, Any], package: str) -> None:
    found = host.package(package)
    assert found.is_installed
    assert found.version.split("-")[0] == variables["cluster_kubernetes_version"]


@pytest.mark.parametrize(
    ("command", "word"),
    [("kubelet --version", "v"), ("kubeadm version -o short", "v"), ("kubectl version --client", "v")],
)
def test_programs_run_and_are_of_that_version(host: Host, variables: dict[str, Any], command: str, word: str) -> None:
    assert word + variables["cluster_kubernetes_version"] in host.check_output(command)


def test_upgrades_of_the_system_leave_them_alone(host: Host) -> None:
    held = set(host.check_output("apt-mark showhold").split())
    assert {*AT_THE_VERSION, "kubernetes-cni"} <= held


def test_the_kubelet_starts_with_the_machine(host: Host) -> None:
    assert host.service("kubelet").is_enabled


def test_the_repository_is_trusted_for_its_own_key_alone(host: Host) -> None:
    sources = host.check_output("grep -rlE 'pkgs.k8s.io|/core:/stable:' /etc/apt --include=*.list --include=*.sources")
    assert len(sources.split()) == 1, sources
    text = host.file(sources.strip()).content_string
    fields = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line and not line.startswith("#"))
    key = fields["Signed-By"]
    assert host.file(key).exists
    assert "trusted" not in text.lower()
    assert not key.startswith(("/etc/apt/trusted.gpg", "/usr/share/keyrings/debian"))


def test_the_packages_come_from_that_repository(host: Host, variables: dict[str, Any]) -> None:
    minor = ".".join(variables["cluster_kubernetes_version"].split(".")[:2])
    for package in AT_THE_VERSION:
        lines = host.check_output("apt-cache policy %s", package).splitlines()
        # Below the installed version are the places that have it.
        installed = next(number for number, line in enumerate(lines) if line.startswith(" ***"))
        assert f"/core:/stable:/v{minor}/deb" in lines[installed + 1]


def test_the_cni_plugins_came_along(host: Host) -> None:
    for plugin in ("bridge", "host-local", "loopback", "portmap"):
        assert host.file(f"/opt/cni/bin/{plugin}").mode & 0o111
