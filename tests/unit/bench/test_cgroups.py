# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU seconds from control groups, on v1 and v2."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import cgroups
from bench.cgroups import Sample

ID = "4f5e" * 16
# systemd in a container has its first process in a group of its own, at least in the hierarchy it manages.
V1 = f"""\
12:name=systemd:/libpod_parent/libpod-{ID}/init.scope
5:cpu,cpuacct:/libpod_parent/libpod-{ID}
3:cpuset:/libpod_parent/libpod-{ID}/system.slice
0::/
"""
V2 = f"0::/machine.slice/libpod-{ID}.scope/container/init.scope\n"
CPU_STAT = """\
usage_usec 2500000
user_usec 2000000
system_usec 500000
nr_periods 0
"""


def test_usage_is_in_seconds_on_both_versions() -> None:
    assert cgroups.usage_v1("1500000000\n") == 1.5
    assert cgroups.usage_v2(CPU_STAT) == 2.5
    with pytest.raises(ValueError, match="usage_usec"):
        cgroups.usage_v2("nr_periods 0\n")


def test_idle_use_is_subtracted_for_the_time_of_the_run() -> None:
    idle = cgroups.rate(Sample(100.0, 50.0), Sample(110.0, 52.0))
    assert idle == pytest.approx(0.2)
    assert cgroups.above_idle(Sample(110.0, 52.0), Sample(140.0, 70.0), idle) == pytest.approx(12.0)
    # Less than while idle is shown as it is.
    assert cgroups.above_idle(Sample(110.0, 52.0), Sample(120.0, 53.0), idle) == pytest.approx(-1.0)


def test_nodes_have_settled_when_their_use_no_longer_decreases() -> None:
    assert not cgroups.has_settled(1.0, 0.7)
    assert cgroups.has_settled(1.0, 0.85)
    assert cgroups.has_settled(0.3, 0.5)
    # A tenth of nearly nothing is noise.
    assert cgroups.has_settled(0.02, 0.001)


def test_idle_use_is_that_of_the_last_windows_once_nodes_have_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    used = iter([0.0, 10.0, 15.0, 17.0, 19.2, 40.0])
    moments = iter(range(0, 100, 10))
    monkeypatch.setattr(cgroups, "sample", lambda _files: Sample(float(next(moments)), next(used)))
    monkeypatch.setattr(cgroups.time, "sleep", lambda _seconds: None)
    assert cgroups.idle_rate([]) == pytest.approx(0.21)


def test_nodes_that_stay_busy_are_not_waited_for_forever(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[Sample] = []

    def sample(_files: object) -> Sample:
        number = len(taken)
        taken.append(Sample(10.0 * number, 10.0 * sum(0.5**n for n in range(number))))
        return taken[-1]

    monkeypatch.setattr(cgroups, "sample", sample)
    monkeypatch.setattr(cgroups, "SETTLED_RATE", 0.0)
    monkeypatch.setattr(cgroups.time, "sleep", lambda _seconds: None)
    cgroups.idle_rate([])
    assert len(taken) == cgroups.MOST_WINDOWS + 1


def test_the_group_is_the_containers_own_not_one_below() -> None:
    assert cgroups.container_group(V1, ID, "cpuacct") == f"libpod_parent/libpod-{ID}"
    assert cgroups.container_group(V1, ID, "cpuset") == f"libpod_parent/libpod-{ID}"
    assert cgroups.container_group(V2, ID) == f"machine.slice/libpod-{ID}.scope"


def test_a_process_outside_of_the_container_is_an_error() -> None:
    for text, controller in ((V1, ""), (V1, "memory"), (V2, "cpuacct"), ("0::/user.slice\n", "")):
        with pytest.raises(ValueError, match="no group of container"):
            cgroups.container_group(text, ID, controller)


def test_the_version_is_that_of_the_mounts(tmp_path: Path) -> None:
    assert cgroups.version(tmp_path) == "v1"
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").touch()
    assert cgroups.version(tmp_path) == "v1 (hybrid)"
    (tmp_path / "cgroup.controllers").touch()
    assert cgroups.version(tmp_path) == "v2"


def machine(monkeypatch: pytest.MonkeyPatch, root: Path, v2: bool) -> None:
    monkeypatch.setattr(cgroups, "ROOT", root)
    monkeypatch.setattr(cgroups, "host_facts", lambda: SimpleNamespace(cgroup_v2=v2))
    monkeypatch.setattr(cgroups, "_members", lambda names: [(ID, V2 if v2 else V1) for _name in names])


def test_the_usage_of_all_containers_is_added(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, tmp_path, v2=False)
    group = tmp_path / "cpuacct" / "libpod_parent" / f"libpod-{ID}"
    group.mkdir(parents=True)
    (group / "cpuacct.usage").write_text("1500000000\n")
    assert cgroups.sample(cgroups.usage_files(["cp1", "w1"])).cpu == 3.0
    machine(monkeypatch, tmp_path, v2=True)
    group = tmp_path / "machine.slice" / f"libpod-{ID}.scope"
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text(CPU_STAT)
    assert cgroups.sample(cgroups.usage_files(["cp1", "w1"])).cpu == 5.0


def test_the_processes_of_a_container_are_found_at_all_levels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine(monkeypatch, tmp_path, v2=False)
    group = tmp_path / "cpuacct" / "libpod_parent" / f"libpod-{ID}"
    (group / "kubepods.slice").mkdir(parents=True)
    (group / "cgroup.procs").write_text("7\n8\n")
    (group / "kubepods.slice" / "cgroup.procs").write_text("9\n")
    assert sorted(cgroups.processes(cgroups.usage_files(["cp1"]))) == [7, 8, 9]


def test_endpoints_enter_the_groups_that_count_and_limit_their_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, tmp_path, v2=False)
    found = [str(path.relative_to(tmp_path)) for path in cgroups.endpoint_groups("w1")]
    assert found == [f"{name}/libpod_parent/libpod-{ID}" for name in ("cpu", "cpuacct")]
    machine(monkeypatch, tmp_path, v2=True)
    inner = tmp_path / "machine.slice" / f"libpod-{ID}.scope" / "container"
    inner.mkdir(parents=True)
    # On v2 a group with groups below has no processes.
    assert cgroups.endpoint_groups("w1") == [inner / cgroups.ENDPOINTS]
    assert (inner / cgroups.ENDPOINTS).is_dir()
