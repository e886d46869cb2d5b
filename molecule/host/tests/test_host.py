# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node is as Kubernetes needs it, against what the scenario's prepare.yml left there; also after a restart."""

from __future__ import annotations

import pytest
from testinfra.host import Host


def test_no_swap_is_on(host: Host) -> None:
    assert host.file("/proc/swaps").content_string.splitlines()[1:] == []


def test_nothing_switches_swap_on_again(host: Host) -> None:
    lines = [line.split() for line in host.file("/etc/fstab").content_string.splitlines()]
    assert [line for line in lines if line and not line[0].startswith("#") and line[2:3] == ["swap"]] == []
    # systemd reads fstab itself; what it would start is what counts.
    assert host.run("systemctl daemon-reload").rc == 0
    assert "swapfile.swap" not in host.check_output("systemctl list-dependencies --plain swap.target")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("net.ipv4.ip_forward", 1),
        ("net.bridge.bridge-nf-call-iptables", 1),
        ("net.bridge.bridge-nf-call-ip6tables", 1),
        ("net.ipv4.tcp_keepalive_time", 600),
    ],
)
def test_sysctls_are_live(host: Host, key: str, value: int) -> None:
    assert host.sysctl(key) == value


def test_kernel_features_are_there(host: Host) -> None:
    assert "\toverlay\n" in host.file("/proc/filesystems").content_string
    assert host.file("/proc/sys/net/bridge/bridge-nf-call-iptables").exists


def test_kernel_modules_that_are_no_part_of_the_kernel_are_loaded_at_boot(host: Host) -> None:
    modules = host.file("/proc/modules")
    loaded = {line.split()[0] for line in modules.content_string.splitlines()} if modules.exists else set()
    at_boot = host.file("/etc/modules-load.d/kubestead.conf")
    listed = set(at_boot.content_string.splitlines()) if at_boot.exists else set()
    assert {"overlay", "br_netfilter"} & loaded <= listed
