# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The system under a node: swap, kernel features, sysctls."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.host import prepare as host
from ansible_collections.kubestead.cluster.plugins.module_utils.host.prepare import (
    FSTAB,
    MODULES_FILE,
    SYSCTL_FILE,
    HostOptions,
    HostState,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

ROOT = Path(__file__).resolve().parents[5]
FORWARD = "/proc/sys/net/ipv4/ip_forward"
BRIDGE = ("/proc/sys/net/bridge/bridge-nf-call-iptables", "/proc/sys/net/bridge/bridge-nf-call-ip6tables")


def node(machine: Machine, forward: str = "0") -> Machine:
    """A machine whose kernel has both features built in, and no modules, with no swap: as a lab's node is."""
    machine.put("/proc/sys/kernel/osrelease", "6.1.0-38-amd64\n")
    machine.put("/proc/filesystems", fixture("host/filesystems.txt"))
    machine.put("/proc/swaps", fixture("host/swaps-none.txt"))
    machine.put(FSTAB, "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n")
    machine.put(FORWARD, forward + "\n")
    machine.put("/proc/sys/net/ipv6/conf/all/forwarding", "0\n")
    for path in BRIDGE:
        machine.put(path, "1\n")
    machine.answer("systemctl", "")
    return machine


def planned(machine: Machine, **more: Any) -> list[Step]:
    options = HostOptions(**more)
    return host.plan(host.observe(machine, options.kernel_modules, list(options.sysctls)), options)


def carry_out(machine: Machine, **more: Any) -> list[Step]:
    steps = planned(machine, **more)
    for step in steps:
        host.apply(step, machine)
    return steps


def lines(steps: Sequence[Step]) -> list[str]:
    return [step.summary() for step in steps]


def test_a_first_run_and_a_second(machine: Machine) -> None:
    node(machine)
    assert lines(carry_out(machine)) == [f"write {SYSCTL_FILE} (missing)", "set net.ipv4.ip_forward (0 -> 1)"]
    assert machine.read(FORWARD) == "1\n"
    assert (machine.read(SYSCTL_FILE) or "").splitlines()[1:] == [
        "net.bridge.bridge-nf-call-ip6tables = 1",
        "net.bridge.bridge-nf-call-iptables = 1",
        "net.ipv4.ip_forward = 1",
    ]
    assert planned(machine) == []
    assert machine.read(MODULES_FILE) is None


def test_the_state_survives_json(machine: Machine) -> None:
    node(machine)
    machine.put("/etc/sysctl.d/99-zz.conf", "net.ipv4.ip_forward = 0\n")
    state = host.observe(machine)
    assert from_dict(HostState, json.loads(json.dumps(to_dict(state)))) == state


# -- swap


def test_active_swap_is_switched_off(machine: Machine) -> None:
    node(machine)
    machine.put("/proc/swaps", fixture("host/swaps.txt"))

    def swapoff(argv: Sequence[str], stdin: str | None) -> Result:
        text = machine.read("/proc/swaps") or ""
        machine.put("/proc/swaps", "".join(line for line in text.splitlines(True) if argv[1] not in line))
        return Result(0)

    machine.answer("swapoff", swapoff)
    steps = carry_out(machine)
    assert lines(steps)[:2] == [
        "swap off /dev/sda2 (swap /dev/sda2 is on)",
        "swap off /swap file (swap /swap file is on)",
    ]
    assert ["swapoff", "/dev/sda2"] in machine.ran
    assert ["swapoff", "/swap file"] in machine.ran


def test_fstab_entries_become_comments(machine: Machine) -> None:
    node(machine)
    machine.put("/run/systemd/system/.keep")
    text = fixture("host/fstab.txt")
    machine.put(FSTAB, text, mode=0o640)
    steps = carry_out(machine)
    assert lines(steps)[0] == (
        "comment out /etc/fstab (switches swap UUID=0c8a3c6e, /swap file on at boot; "
        "a copy is kept in /etc/fstab.before-kubestead)"
    )
    assert machine.read(FSTAB + ".before-kubestead") == text
    # The lines about swap alone are shown, and all others stay.
    assert steps[0].before == "".join(text.splitlines(True)[2:4])
    assert machine.read(FSTAB) == fixture("host/fstab-after.txt")
    assert steps[0].after == "".join(fixture("host/fstab-after.txt").splitlines(True)[2:6])
    assert machine.mode(FSTAB) == 0o640
    assert ["systemctl", "daemon-reload"] in machine.ran
    assert planned(machine) == []


def test_units_and_services_that_make_swap_are_masked(machine: Machine) -> None:
    node(machine)
    machine.put("/run/systemd/generator/dev-sda2.swap", "[Unit]\nSourcePath=/etc/fstab\n[Swap]\nWhat=/dev/sda2\n")
    machine.put("/run/systemd/generator/dev-sda3.swap", "[Unit]\n[Swap]\nWhat=/dev/sda3\n")
    machine.put("/etc/systemd/system/swapfile.swap", "[Swap]\nWhat=/swapfile\n")
    machine.put("/usr/lib/systemd/system/zramswap.service", "[Service]\n")
    machine.put("/etc/init.d/dphys-swapfile", "#!/bin/sh\n")
    machine.put("/usr/lib/systemd/system-generators/zram-generator")
    machine.put("/usr/lib/systemd/zram-generator.conf", "[zram0]\nzram-size = 512\n")

    def mask(argv: Sequence[str], stdin: str | None) -> Result:
        link = machine.folder / "etc/systemd/system" / argv[2]
        if link.exists():
            return Result(1, "", f"Failed to mask unit: File {link} already exists.\n")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to("/dev/null")
        return Result(0)

    machine.answer("systemctl mask", mask)
    masked = [step.target for step in carry_out(machine) if step.action == "mask"]
    expected = ["dev-sda3.swap", "dev-zram0.swap", "dphys-swapfile.service", "swapfile.swap", "zramswap.service"]
    assert masked == expected
    assert machine.read("/etc/systemd/system/swapfile.swap.before-kubestead") == "[Swap]\nWhat=/swapfile\n"
    assert planned(machine) == []


def test_an_empty_zram_configuration_switches_the_generator_off(machine: Machine) -> None:
    node(machine)
    machine.put("/usr/lib/systemd/system-generators/zram-generator")
    machine.put("/usr/lib/systemd/zram-generator.conf", "[zram0]\n")
    machine.put("/etc/systemd/zram-generator.conf", "")
    assert host.observe(machine).swap_units == []


def test_swap_around_a_container_is_only_told(machine: Machine) -> None:
    node(machine)
    machine.put("/proc/swaps", fixture("host/swaps.txt"))
    machine.put("/run/systemd/container", "podman\n")
    assert "swap_off" not in [step.action for step in planned(machine)]
    problems = host.problems(host.observe(machine), HostOptions())
    assert [(problem.check, problem.level) for problem in problems] == [("swap", "warning")]
    assert "swap /dev/sda2, /swap file is on; it belongs to the machine" in problems[0].message


@pytest.mark.parametrize("shown", ["/swapfile\\040(deleted)", "/swapfile (deleted)"])
def test_a_deleted_swap_file_in_use_is_told_before_anything_changes(machine: Machine, shown: str) -> None:
    node(machine)
    machine.put(
        "/proc/swaps", f"Filename Type Size Used Priority\n{shown} file 1048572 0 -2\n/dev/sda2 partition 1 0 -3\n"
    )
    state = host.observe(machine)
    assert state.swaps == ["/swapfile (deleted)", "/dev/sda2"]
    errors = [one for one in host.problems(state, HostOptions()) if one.level == "error"]
    assert [(one.check, one.message, one.fix) for one in errors] == [
        (
            "swap",
            "swap file /swapfile is deleted but still in use, and can't be switched off without a reboot",
            "reboot this host, then run again",
        )
    ]
    # It does not matter where swap stays, or belongs to the machine that runs the container.
    assert [one.level for one in host.problems(state, HostOptions(disable_swap=False))] == []
    machine.put("/run/systemd/container", "docker")
    assert [one.level for one in host.problems(host.observe(machine), HostOptions())] == ["warning"]


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (Result(255, "", "swapoff: /dev/sda2: swapoff failed: Cannot allocate memory\n"), "Cannot allocate memory"),
        (Result(255, "", ""), "swapoff exited with code 255"),
    ],
)
def test_a_swap_that_stays_on_says_why_and_what_helps(machine: Machine, result: Result, cause: str) -> None:
    node(machine)
    machine.put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -3\n")
    machine.answer("swapoff", result)
    step = next(one for one in planned(machine) if one.action == "swap_off")
    with pytest.raises(KubesteadError) as caught:
        host.apply(step, machine)
    assert caught.value.message.startswith("swap /dev/sda2 can't be switched off: ")
    assert caught.value.message.endswith(f"{cause}; free memory and run again, or reboot this host")


def test_swap_may_stay(machine: Machine) -> None:
    node(machine, "1")
    machine.put("/proc/swaps", fixture("host/swaps.txt"))
    machine.put(FSTAB, fixture("host/fstab.txt"))
    assert lines(planned(machine, disable_swap=False)) == [f"write {SYSCTL_FILE} (missing)"]


# -- kernel features


def test_modules_are_loaded_and_kept(machine: Machine) -> None:
    node(machine)
    machine.put("/proc/filesystems", "nodev\tproc\n")
    machine.put("/proc/modules", "bridge 1 0 - Live 0x0\n")
    for path in BRIDGE:
        (machine.folder / path.lstrip("/")).unlink()

    def modprobe(argv: Sequence[str], stdin: str | None) -> Result:
        if "--dry-run" not in argv:
            machine.put("/proc/modules", (machine.read("/proc/modules") or "") + f"{argv[-1]} 1 0 - Live 0x0\n")
            if argv[-1] == "br_netfilter":
                for path in BRIDGE:
                    machine.put(path, "0\n")
        return Result(0)

    machine.answer("modprobe", modprobe)
    assert host.observe(machine).features == {"overlay": "loadable", "br_netfilter": "loadable"}
    steps = carry_out(machine)
    assert lines(steps)[:3] == [
        "load overlay (not loaded)",
        "load br_netfilter (not loaded)",
        f"write {MODULES_FILE} (load overlay, br_netfilter at boot)",
    ]
    assert (machine.read(MODULES_FILE) or "").splitlines()[1:] == ["overlay", "br_netfilter"]
    assert machine.read(BRIDGE[0]) == machine.read(BRIDGE[1]) == "1\n"
    assert host.observe(machine).features == {"overlay": "loaded", "br_netfilter": "loaded"}
    assert planned(machine) == []


def test_a_feature_that_is_missing_is_an_error_with_the_fix(machine: Machine) -> None:
    node(machine)
    for path in BRIDGE:
        (machine.folder / path.lstrip("/")).unlink()
    state = host.observe(machine)
    assert state.features == {"overlay": "built in", "br_netfilter": "missing"}
    problems = host.problems(state, HostOptions())
    assert [(problem.check, problem.level) for problem in problems] == [("kernel_feature", "error")]
    assert problems[0].message == (
        "kernel feature br_netfilter is missing: it is neither built into kernel 6.1.0-38-amd64 "
        "nor available as a module"
    )
    assert "kernel-modules-extra on the RHEL family" in problems[0].fix
    step = next(step for step in host.plan(state, HostOptions()) if step.action == "load")
    with pytest.raises(KubesteadError, match="br_netfilter is missing.*kernel-modules-extra"):
        host.apply(step, machine)
    assert host.problems(state, HostOptions(kernel_modules=["overlay"])) == []
    assert "net.bridge.bridge-nf-call-iptables" not in HostOptions(kernel_modules=["overlay"]).wanted_sysctls()


def test_in_a_container_a_module_is_loaded_outside(machine: Machine) -> None:
    node(machine)
    machine.put("/run/systemd/container", "podman\n")
    machine.put("/proc/modules", "overlay 1 0 - Live 0x0\n")
    machine.answer("modprobe", "")
    for path in BRIDGE:
        (machine.folder / path.lstrip("/")).unlink()
    problems = host.problems(host.observe(machine), HostOptions())
    assert problems[0].fix == "load it on the machine that this container runs on (modprobe br_netfilter)"
    # Nothing that this container could do at boot is written down.
    assert MODULES_FILE not in [step.target for step in planned(machine)]


def test_a_feature_of_sys_module_counts(machine: Machine) -> None:
    node(machine)
    machine.put("/sys/module/ip_vs/refcnt", "0")
    assert host.observe(machine, ["ip_vs"]).features == {"ip_vs": "built in"}


# -- sysctls


def test_drift_of_live_values_and_of_the_file(machine: Machine) -> None:
    node(machine)
    carry_out(machine)
    machine.put(FORWARD, "0\n")
    machine.put(SYSCTL_FILE, (machine.read(SYSCTL_FILE) or "").replace("iptables = 1", "iptables = 0"))
    assert lines(planned(machine)) == [
        f"write {SYSCTL_FILE} (net.bridge.bridge-nf-call-iptables 0 -> 1)",
        "set net.ipv4.ip_forward (0 -> 1)",
    ]


def test_extra_sysctls(machine: Machine) -> None:
    node(machine, "1")
    machine.put("/proc/sys/vm/max_map_count", "65530\n")
    machine.put("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
    machine.put("/proc/sys/net/ipv4/conf/eth0.100/forwarding", "0\n")
    extra = {
        "vm.max_map_count": 262144,
        "net.ipv4.ip_local_port_range": "32768 60999",
        "net/ipv4/conf/eth0.100/forwarding": 1,
    }
    steps = carry_out(machine, sysctls=extra)
    assert lines(steps)[1:] == [
        "set net.ipv4.conf.eth0/100.forwarding (0 -> 1)",
        "set vm.max_map_count (65530 -> 262144)",
    ]
    assert machine.read("/proc/sys/net/ipv4/conf/eth0.100/forwarding") == "1\n"
    assert planned(machine, sysctls=extra) == []
    # Once they are in the file, an observation that was not told of them sees them too.
    assert host.plan(host.observe(machine), HostOptions(sysctls=extra)) == []


def test_a_sysctl_the_kernel_lacks(machine: Machine) -> None:
    node(machine, "1")
    with pytest.raises(KubesteadError, match="sysctl net.nothing.here can't be set to 1: No such file or directory; "):
        carry_out(machine, sysctls={"net.nothing.here": 1})


def test_ipv6_forwarding_where_pods_have_ipv6(machine: Machine) -> None:
    node(machine, "1")
    assert "set net.ipv6.conf.all.forwarding (0 -> 1)" in lines(planned(machine, pod_cidr="10.244.0.0/16,fd00::/48"))
    assert "net.ipv6.conf.all.forwarding" not in HostOptions(pod_cidr="10.244.0.0/16").wanted_sysctls()


def test_a_later_file_that_says_otherwise(machine: Machine) -> None:
    node(machine)
    (machine.folder / "etc/sysctl.d").mkdir(parents=True)
    machine.put("/etc/sysctl.conf", "# mine\n-net/ipv4/ip_forward=0\nnet.ipv4.tcp_syncookies = 1\n")
    (machine.folder / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    machine.put("/etc/sysctl.d/10-early.conf", "net.ipv4.ip_forward = 0\n")
    machine.put("/usr/lib/sysctl.d/99-z.conf", "net.bridge.bridge-nf-call-* = 0\n")
    steps = carry_out(machine)
    assert lines(steps)[1] == (
        "comment out /etc/sysctl.conf (is read later and sets net.ipv4.ip_forward = 0; "
        "a copy is kept in /etc/sysctl.conf.before-kubestead)"
    )
    assert (machine.folder / "etc/sysctl.d/99-sysctl.conf").is_symlink()
    assert (machine.read("/etc/sysctl.conf") or "").splitlines() == [
        "# mine",
        f"# Disabled by kubestead.cluster: contradicts {SYSCTL_FILE}",
        "#-net/ipv4/ip_forward=0",
        "net.ipv4.tcp_syncookies = 1",
    ]
    assert machine.read("/etc/sysctl.d/10-early.conf") == "net.ipv4.ip_forward = 0\n"
    assert planned(machine) == []
    problems = host.problems(host.observe(machine), HostOptions())
    assert {problem.level for problem in problems} == {"warning"}
    assert "/usr/lib/sysctl.d/99-z.conf sets net.bridge.bridge-nf-call-* = 0" in problems[0].message
    # A file of that name in /etc hides it.
    machine.put("/etc/sysctl.d/99-z.conf", "")
    assert host.problems(host.observe(machine), HostOptions()) == []


@pytest.mark.parametrize(
    "line", ["net.ipv4.conf.all.forwarding = 0", "net/ipv4/conf/all/forwarding=0", "-net.ipv4.conf.*.forwarding = 0"]
)
def test_a_later_file_with_another_name_of_ip_forward(machine: Machine, line: str) -> None:
    # The name that rules for hardening use.
    node(machine)
    machine.put("/etc/sysctl.d/99-sysctl-hardening.conf", f"{line}\nnet.ipv4.conf.all.accept_redirects = 0\n")
    steps = carry_out(machine)
    assert any(one.target == "/etc/sysctl.d/99-sysctl-hardening.conf" for one in steps)
    assert (machine.read("/etc/sysctl.d/99-sysctl-hardening.conf") or "").splitlines()[1:] == [
        "#" + line,
        "net.ipv4.conf.all.accept_redirects = 0",
    ]
    assert planned(machine) == []
    machine.put("/etc/sysctl.d/99-sysctl-hardening.conf", line.replace("0", "1") + "\n")
    assert planned(machine) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel_modules": ["over lay"]}, "host_kernel_modules has 'over lay', which is not a module name"),
        ({"sysctls": {"ip_forward": 1}}, "host_sysctls has 'ip_forward', which is not a sysctl name"),
        (
            {"sysctls": {"net/../../etc/passwd": 1}},
            "host_sysctls has 'net/../../etc/passwd', which is not a sysctl name",
        ),
        ({"sysctls": {"vm.overcommit_memory": True}}, "host_sysctls sets vm.overcommit_memory to True"),
        ({"sysctls": {"vm.overcommit_memory": "1\n2"}}, "host_sysctls sets vm.overcommit_memory to"),
        ({"sysctls": {"vm.overcommit_memory": "1\r2"}}, "host_sysctls sets vm.overcommit_memory to"),
        ({"sysctls": {"vm.overcommit_memory": "1\0"}}, "host_sysctls sets vm.overcommit_memory to"),
        ({"sysctls": {"-vm.overcommit_memory": "1"}}, "host_sysctls has '-vm.overcommit_memory', which is not"),
    ],
)
def test_options_that_can_not_be(machine: Machine, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        HostOptions(**options).validate()
    assert caught.value.message.startswith(message)
    problems = host.problems(HostState(), HostOptions(**options))
    assert [problem.level for problem in problems] == ["error"]


def test_the_roles_defaults_are_the_options() -> None:
    defaults = yaml.safe_load((ROOT / "roles/host/defaults/main.yml").read_text())
    specs = yaml.safe_load((ROOT / "roles/host/meta/argument_specs.yml").read_text())
    described = specs["argument_specs"]["main"]["options"]
    own = {
        f"host_{field.name}": getattr(HostOptions(), field.name)
        for field in dataclasses.fields(HostOptions)
        if "var" not in field.metadata
    }
    assert defaults == own
    assert {name: entry["default"] for name, entry in described.items()} == own


# -- names that lead out of /proc/sys


@pytest.mark.parametrize(
    "key",
    [
        "kernel.//.//.//.tmp.x",
        "kernel/../../../tmp/x",
        "kernel..x",
        "kernel.",
        "kernel/",
        "kernel",
        "kernel./.x",
        "kernel./",
        "/etc/passwd",
        "kernel.x\n",
    ],
)
def test_a_sysctl_that_is_not_below_proc_sys_is_neither_taken_read_nor_written(machine: Machine, key: str) -> None:
    node(machine)
    machine.put("/proc/sys/kernel/hostname", "a")
    machine.put("/tmp/x", "untouched")
    with pytest.raises(OptionError, match=r"host_sysctls has .*, which is not a sysctl name"):
        HostOptions(sysctls={key: "evil"}).validate()
    machine.put(SYSCTL_FILE, f"{key} = evil\n")
    assert "untouched" not in host.observe(machine, sysctls=[key]).sysctls.values()
    with pytest.raises(KubesteadError):
        host.apply(Step("host", "set", key, "", data={"value": "evil"}), machine)
    assert machine.read("/tmp/x") == "untouched"


def test_a_sysctl_that_the_kernel_lacks_makes_no_file(machine: Machine) -> None:
    node(machine)
    with pytest.raises(KubesteadError, match="check host_sysctls"):
        host.apply(Step("host", "set", "net.nothing", "", data={"value": "1"}), machine)
    assert not machine.exists("/proc/sys/net/nothing")


def test_keys_with_dots_and_slashes_in_a_part_stay_possible() -> None:
    HostOptions(sysctls={"net.ipv4.conf.eth0/100.rp_filter": 1, "net/ipv4/conf/eth0.100/rp_filter": 1}).validate()


# -- swap that comes back


@pytest.mark.parametrize(
    "unit",
    ["armbian-zram-config.service", "zram-swap.service", "zramd.service", "zramswap.service", "dphys-swapfile.service"],
)
def test_services_that_make_swap_are_masked(machine: Machine, unit: str) -> None:
    node(machine)
    machine.put(f"/usr/lib/systemd/system/{unit}", "[Service]\nExecStart=/usr/bin/x\n")
    machine.put("/proc/swaps", "Filename Type Size Used Priority\n/dev/zram0 partition 1 0 5\n")
    assert f"mask {unit} (switches swap on)" in lines(planned(machine))
    found = host.problems(host.observe(machine), HostOptions())
    assert [one for one in found if one.check == "swap"] == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ResourceDisk.Format=y\nResourceDisk.EnableSwap=y\nResourceDisk.SwapSizeMB=2048\n", True),
        ("  resourcedisk.enableswap = Y\n", True),
        ("ResourceDisk.EnableSwap=n\n", False),
        ("# ResourceDisk.EnableSwap=y\n", False),
        ("ResourceDisk.EnableSwapEncryption=y\n", False),
        ("ResourceDisk.EnableSwap=y\nResourceDisk.EnableSwap=n\n", False),
    ],
)
def test_azures_agent_that_makes_swap_is_told(machine: Machine, text: str, told: bool) -> None:
    node(machine)
    machine.put("/etc/waagent.conf", text)
    found = host.problems(host.observe(machine), HostOptions())
    assert [(one.check, one.level) for one in found] == ([("swap", "warning")] if told else [])
    assert host.problems(host.observe(machine), HostOptions(disable_swap=False)) == []


def test_swap_that_nothing_known_switches_on_is_told(machine: Machine) -> None:
    node(machine)
    machine.put("/proc/swaps", "Filename Type Size Used Priority\n/opt/swap file 1 0 5\n")
    (found,) = host.problems(host.observe(machine), HostOptions())
    assert found.message == "swap /opt/swap is switched off now, but what enables it at boot is unknown"
    machine.put(FSTAB, "/opt/swap none swap sw 0 0\n")
    assert host.problems(host.observe(machine), HostOptions()) == []
