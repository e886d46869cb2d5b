# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm's SystemVerification asks of a kernel."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.host import kernel
from ansible_collections.kubestead.cluster.plugins.module_utils.host.kernel import KernelState
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

NAMES = (
    "NAMESPACES NET_NS PID_NS IPC_NS UTS_NS CPUSETS MEMCG INET PROC_FS FAIR_GROUP_SCHED CGROUPS CGROUP_PIDS "
    "CGROUP_SCHED CGROUP_BPF CGROUP_CPUACCT CGROUP_DEVICE CGROUP_FREEZER"
)
MODULES = "EXT4_FS NETFILTER_XT_TARGET_REDIRECT NETFILTER_XT_MATCH_COMMENT"
CONFIG = (
    '#\n# Automatically generated file; DO NOT EDIT.\n# CONFIG_AUFS_FS is not set\nCONFIG_LSM="landlock"\n'
    + "".join(f"CONFIG_{name}=y\n" for name in NAMES.split())
    + "".join(f"CONFIG_{name}=m\n" for name in MODULES.split())
)


def without(*names: str) -> str:
    lines = [line for line in CONFIG.splitlines() if not any(line.startswith(f"CONFIG_{name}=") for name in names)]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("version", [1, 2])
def test_a_kernel_of_a_distribution_has_everything(version: int) -> None:
    assert kernel.lacks(CONFIG, version) == []


@pytest.mark.parametrize(
    ("text", "version", "missing"),
    [
        (without("CGROUP_PIDS"), 2, ["CGROUP_PIDS"]),
        (without("MEMCG", "EXT4_FS"), 2, ["MEMCG", "EXT4_FS"]),
        (without("CGROUP_BPF"), 2, ["CGROUP_BPF"]),
        (without("CGROUP_BPF"), 1, []),
        (without("CGROUP_DEVICE"), 1, ["CGROUP_DEVICE"]),
        (without("CGROUP_DEVICE"), 2, []),
        (without("NETFILTER_XT_TARGET_REDIRECT"), 2, ["NETFILTER_XT_TARGET_REDIRECT"]),
        (without("NETFILTER_XT_TARGET_REDIRECT") + "CONFIG_IP_NF_TARGET_REDIRECT=m\n", 2, []),
        (CONFIG.replace("CONFIG_PID_NS=y", "CONFIG_PID_NS=n"), 2, ["PID_NS"]),
        ("", 2, []),
        ("not a configuration", 2, []),
    ],
)
def test_what_a_kernel_lacks(text: str, version: int, missing: list[str]) -> None:
    assert kernel.lacks(text, version) == missing


@pytest.mark.parametrize(
    "place", ["/boot/config-6.1.0", "/lib/modules/6.1.0/build/.config", "/usr/lib/modules/6.1.0/config"]
)
def test_a_configuration_is_found_where_kubeadm_looks(machine: Machine, place: str) -> None:
    machine.put(place, without("MEMCG"))
    assert kernel.observe(machine, "6.1.0", 2) == KernelState(place, ["MEMCG"], [])
    assert not machine.ran


def test_the_configuration_of_the_running_kernel_comes_first(machine: Machine) -> None:
    machine.put("/boot/config-6.1.0", without("MEMCG"))
    machine.put("/proc/config.gz")
    Path(machine.path("/proc/config.gz")).write_bytes(gzip.compress(CONFIG.encode()))
    assert kernel.observe(machine, "6.1.0", 2) == KernelState("/proc/config.gz", [], [])
    for broken in (b"", b"\x1f\x8b", gzip.compress(CONFIG.encode())[:-9], b"text"):
        Path(machine.path("/proc/config.gz")).write_bytes(broken)
        assert kernel.observe(machine, "6.1.0", 2) == KernelState("/proc/config.gz", [], [])


def test_without_a_file_the_module_may_have_it(machine: Machine) -> None:
    assert kernel.observe(machine, "6.1.0", 2) == KernelState("", [], [])
    machine.answer("modprobe --dry-run --quiet configs")
    assert kernel.observe(machine, "6.1.0", 2) == KernelState("configs", [], [])


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("cpuset cpu io memory hugetlb pids rdma misc\n", []),
        # A Raspberry Pi without cgroup_enable=memory.
        ("cpuset cpu io pids\n", ["memory"]),
        ("cpu\n", ["cpuset", "memory", "pids"]),
        ("", []),
    ],
)
def test_controllers_of_cgroup_v2(machine: Machine, text: str, missing: list[str]) -> None:
    machine.put("/sys/fs/cgroup/cgroup.controllers", text)
    assert kernel.controllers_lacking(machine, 2) == missing


def test_controllers_of_cgroup_v1(machine: Machine) -> None:
    names = "cpuset cpu cpuacct blkio memory devices freezer pids".split()
    head = "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"
    machine.put("/proc/cgroups", head + "".join(f"{name}\t1\t9\t1\n" for name in names))
    assert kernel.controllers_lacking(machine, 1) == []
    machine.put("/proc/cgroups", head + "".join(f"{name}\t1\t9\t{0 if name == 'memory' else 1}\n" for name in names))
    assert kernel.controllers_lacking(machine, 1) == ["memory"]
