# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""podman's configuration by machine, and a range for the lab's network."""

from __future__ import annotations

import ipaddress
import json

import pytest

from lab import podman
from lab.machine import MachineError
from lab.podman import HostFacts


def test_a_small_machine_gets_its_own_limits_and_no_systemd() -> None:
    text = podman.render_containers_conf(HostFacts(cgroup_v2=False, systemd=False, nofile=20000, nproc=15000))
    assert 'default_ulimits = ["nofile=20000:20000", "nproc=15000:15000"]' in text
    assert 'cgroup_manager = "cgroupfs"' in text
    assert 'runtime = "runc"' in text
    assert 'events_logger = "file"' in text


def test_a_laptop_keeps_systemd_and_has_limits_podman_can_set() -> None:
    text = podman.render_containers_conf(HostFacts(cgroup_v2=True, systemd=True, nofile=-1, nproc=500000))
    assert 'cgroup_manager = "systemd"' in text
    assert 'default_ulimits = ["nofile=1048576:1048576", "nproc=32768:32768"]' in text


@pytest.mark.parametrize(("cgroup_v2", "systemd"), [(True, False), (False, True)])
def test_systemd_manages_cgroups_only_when_it_runs_on_v2(cgroup_v2: bool, systemd: bool) -> None:
    assert '"cgroupfs"' in podman.render_containers_conf(HostFacts(cgroup_v2, systemd, 1024, 1024))


ROUTES = [
    {"dst": "default", "gateway": "192.0.2.1"},
    {"dst": "192.0.2.0/24"},
    {"dst": "10.213.5.0/24"},
    {"dst": "10.1.2.3"},
]


def test_routes_are_read_without_the_default() -> None:
    found = podman.used_networks(json.dumps(ROUTES))
    assert [str(network) for network in found] == ["192.0.2.0/24", "10.213.5.0/24", "10.1.2.3/32"]
    assert podman.used_networks("") == []


def test_the_first_candidate_without_a_route_is_taken() -> None:
    assert str(podman.choose_subnet([])) == "10.213.0.0/20"
    assert str(podman.choose_subnet(podman.used_networks(json.dumps(ROUTES)))) == "10.214.0.0/20"


def test_the_candidates_are_free_of_what_clusters_and_podman_use() -> None:
    reserved = [ipaddress.IPv4Network(text) for text in podman.RESERVED]
    for text in podman.CANDIDATES:
        assert not any(ipaddress.IPv4Network(text).overlaps(other) for other in reserved)


def test_no_free_range_is_said_with_the_way_out() -> None:
    with pytest.raises(MachineError, match="KUBESTEAD_SUBNET"):
        podman.choose_subnet([ipaddress.IPv4Network("0.0.0.0/0")])


def test_a_named_range_is_taken_as_it_is() -> None:
    assert str(podman.choose_subnet([], "10.5.0.0/24")) == "10.5.0.0/24"


@pytest.mark.parametrize("text", ["10.5.0.1/24", "ten", "10.5.0.0/29"])
def test_a_named_range_must_be_one(text: str) -> None:
    with pytest.raises(MachineError, match=f"KUBESTEAD_SUBNET {text} is"):
        podman.choose_subnet([], text)
