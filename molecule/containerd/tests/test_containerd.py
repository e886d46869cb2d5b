# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""containerd runs as Kubernetes needs it, as it says itself, and pulls from the mirrors the scenario names."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from testinfra.host import Host


@pytest.fixture
def live(host: Host) -> dict[str, Any]:
    """The configuration as containerd itself reads it: the sections of its plugins."""
    return dict(tomllib.loads(host.check_output("containerd config dump"))["plugins"])


def find(tree: Any, key: str) -> list[Any]:
    """All values of a key, wherever it is: the place differs between containerd's versions."""
    if not isinstance(tree, dict):
        return []
    below = [value for branch in tree.values() for value in find(branch, key)]
    return [tree[key], *below] if key in tree else below


def test_the_service_runs_now_and_after_a_restart(host: Host) -> None:
    service = host.service("containerd")
    assert service.is_running
    assert service.is_enabled


def test_pods_are_in_systemds_cgroups(live: dict[str, Any]) -> None:
    runc = [runtimes["runc"] for runtimes in find(live, "runtimes") if "runc" in runtimes]
    assert find(runc[0], "SystemdCgroup") == [True]


def test_the_running_daemon_answers_kubernetes(host: Host) -> None:
    assert host.socket("unix:///run/containerd/containerd.sock").is_listening
    rows = [line.split() for line in host.check_output("ctr plugins ls").splitlines()]
    cri = [row for row in rows if row and row[0].startswith("io.containerd.grpc") and "cri" in row]
    assert cri and all(row[-1] == "ok" for row in cri), cri


def test_the_daemon_has_read_its_configuration(host: Host) -> None:
    written = host.file("/etc/containerd/config.toml").mtime.timestamp()
    since = host.check_output("stat -c %Y /proc/$(systemctl show -p MainPID --value containerd)")
    assert int(since) >= int(written)


def test_the_pause_image_is_the_one_kubeadm_wants(host: Host, live: dict[str, Any], variables: dict[str, Any]) -> None:
    # Old releases name a registry that is no more, so the one the cluster's images come from is given.
    images = host.check_output(
        "kubeadm config images list --image-repository registry.k8s.io --kubernetes-version %s",
        "v" + variables["cluster_kubernetes_version"],
    ).split()
    wanted = [image for image in images if "/pause:" in image]
    assert len(wanted) == 1
    assert (find(live, "sandbox_image") or find(find(live, "pinned_images")[0], "sandbox")) == wanted


def test_cni_plugins_are_where_containerd_looks_for_them(host: Host, live: dict[str, Any]) -> None:
    assert host.file("/opt/cni/bin").is_directory
    assert "/opt/cni/bin" in find(live, "bin_dir") or ["/opt/cni/bin"] in find(live, "bin_dirs")
    assert host.file("/opt/cni/bin/loopback").mode & 0o111


def test_mirrors_are_asked_in_order_and_the_registry_last(host: Host) -> None:
    hosts = tomllib.loads(host.file("/etc/containerd/certs.d/docker.io/hosts.toml").content_string)
    assert list(hosts["host"]) == ["https://mirror.example.org", "https://second.example.org/v2/hub"]
    assert hosts["host"]["https://second.example.org/v2/hub"]["override_path"] is True
    assert "docker.io" in hosts["server"]


def test_without_fallback_the_registry_itself_is_never_asked(host: Host) -> None:
    hosts = tomllib.loads(host.file("/etc/containerd/certs.d/registry.example.com:5000/hosts.toml").content_string)
    assert "registry.example.com" not in str(hosts)


def test_containerd_reads_the_mirrors(live: dict[str, Any]) -> None:
    assert [path for path in find(live, "config_path") if path] == ["/etc/containerd/certs.d"]
