# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepares the operating system for a node: swap off, kernel modules, sysctls, now and after a reboot."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core.constants import managed_header
from ..core.errors import KubesteadError, OptionError
from ..core.foreign_files import backup_path, keep, rewrite
from ..core.options import var
from ..core.problem import Problem
from ..core.step import Step
from ..core.system import System
from .swap import (
    DELETED,
    WAAGENT,
    agent_swap,
    deleted_swap,
    fstab_swaps,
    parse_swaps,
    swap_lines,
    swap_off,
    swap_units,
)
from .sysctls import SysctlLine, canonical, is_sysctl, matches, normal, parse_sysctls, sysctl_path

COMPONENT = "host"

FSTAB = "/etc/fstab"
MODULES_FILE = "/etc/modules-load.d/kubestead.conf"
SYSCTL_FILE = "/etc/sysctl.d/99-kubestead.conf"

_DISABLED = "# Disabled by kubestead.cluster: {0}"
# In falling priority: a file hides those of its name in the folders behind it.
_SYSCTL_FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
# Other names of a sysctl.
_SAME = {"net.ipv4.ip_forward": ("net.ipv4.conf.all.forwarding",)}
_BRIDGE = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")


@dataclass(frozen=True)
class HostOptions:
    """The variables of the role host. ``pod_cidr`` decides whether IPv6 is forwarded."""

    disable_swap: bool = True
    kernel_modules: List[str] = field(default_factory=lambda: ["overlay", "br_netfilter"])
    sysctls: Dict[str, Any] = field(default_factory=dict)
    pod_cidr: str = field(default="", metadata=var("cluster_pod_cidr"))

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        for name in self.kernel_modules:
            if not re.match(r"[A-Za-z0-9_-]+\Z", str(name)):
                raise OptionError(
                    "host_kernel_modules",
                    "has {0!r}, which is not a module name".format(name),
                    "use names like overlay",
                )
        for key, value in self.sysctls.items():
            if not re.match(r"[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_./:@-]+)+\Z", str(key)) or not is_sysctl(
                str(key)
            ):
                raise OptionError(
                    "host_sysctls",
                    "has {0!r}, which is not a sysctl name".format(key),
                    "use names like vm.max_map_count",
                )
            if re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", str(value)):
                fix = "use a number, or text in quotes"
                raise OptionError("host_sysctls", "sets {0} to text with control characters".format(key), fix)
            if isinstance(value, (dict, list, bool)) or value is None or not str(value).strip():
                raise OptionError(
                    "host_sysctls", "sets {0} to {1!r}".format(key, value), "use a number, or text in quotes"
                )

    def wanted_sysctls(self) -> Dict[str, str]:
        """The sysctls of a node. Those of the user override the others."""
        wanted = {"net.ipv4.ip_forward": "1"}
        if "br_netfilter" in self.kernel_modules:
            wanted.update({key: "1" for key in _BRIDGE})
        if ":" in self.pod_cidr:
            wanted["net.ipv6.conf.all.forwarding"] = "1"
        wanted.update({canonical(str(key)): normal(str(value)) for key, value in self.sysctls.items()})
        return wanted


@dataclass(frozen=True)
class HostState:
    """The observed state of the system.

    ``fstab`` contains only the lines about swap. ``features`` maps a kernel module to ``built in``, ``loaded``,
    ``loadable`` or ``missing``. ``sysctls`` contains the live values of the usual keys and of the keys in the
    collection's file, ``later_sysctls`` the lines that are read after this file. ``swap_units`` are the systemd units
    that switch swap on, without masked units. ``agent_swap`` is true if Azure's agent switches swap on.
    """

    container: bool = False
    kernel: str = ""
    swaps: List[str] = field(default_factory=list)
    fstab: str = ""
    swap_units: List[str] = field(default_factory=list)
    features: Dict[str, str] = field(default_factory=dict)
    modules_file: Optional[str] = None
    sysctls: Dict[str, str] = field(default_factory=dict)
    sysctl_file: Optional[str] = None
    later_sysctls: List[SysctlLine] = field(default_factory=list)
    later_files: Dict[str, str] = field(default_factory=dict)
    agent_swap: bool = False


# -- Observation


def observe(
    system: System, kernel_modules: Sequence[str] = ("overlay", "br_netfilter"), sysctls: Sequence[str] = ()
) -> HostState:
    """Observe the system, with files and at most three commands. ``sysctls`` are additional keys to read."""
    own = system.read(SYSCTL_FILE)
    keys = ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", *_BRIDGE]
    keys += [canonical(key) for key in sysctls] + [line.key for line in parse_sysctls(SYSCTL_FILE, own or "")]
    live = {}
    for key in keys:
        value = system.read(sysctl_path(key)) if is_sysctl(key) else None
        if value is not None:
            live[key] = normal(value)
    later = _later_files(system)
    return HostState(
        container=system.exists("/run/systemd/container") or system.exists("/run/.containerenv"),
        kernel=os.uname().release if system.root == "/" else (system.read("/proc/sys/kernel/osrelease") or "").strip(),
        swaps=parse_swaps(system.read("/proc/swaps") or ""),
        fstab=swap_lines(system.read(FSTAB) or ""),
        swap_units=swap_units(system),
        agent_swap=agent_swap(system),
        features={name: _feature(system, name) for name in kernel_modules},
        modules_file=system.read(MODULES_FILE),
        sysctls=live,
        sysctl_file=own,
        later_sysctls=[line for path, text in later for line in parse_sysctls(path, text)],
        later_files={path: text for path, text in later if path.startswith("/etc/") and parse_sysctls(path, text)},
    )


def _later_files(system: System) -> List[Tuple[str, str]]:
    """The sysctl files read after ours, in order, with their text."""
    chosen: Dict[str, str] = {}
    for folder in _SYSCTL_FOLDERS:
        for name in system.names(folder):
            if name.endswith(".conf"):
                chosen.setdefault(name, "{0}/{1}".format(folder, name))
    paths = [path for name, path in sorted(chosen.items()) if name > os.path.basename(SYSCTL_FILE)]
    # procps reads this one last; systemd does where a link in sysctl.d leads to it.
    paths.append("/etc/sysctl.conf")
    found: List[Tuple[str, str]] = []
    for path in paths:
        real = _real(system, path)
        text = system.read(path)
        if text is not None and real not in [known for known, _text in found]:
            found.append((real, text))
    return found


def _real(system: System, path: str) -> str:
    real = os.path.realpath(system.path(path))
    root = os.path.realpath(system.root)
    return real if root == "/" else "/" + os.path.relpath(real, root)


def _feature(system: System, name: str) -> str:
    if re.search(r"^{0} ".format(re.escape(name.replace("-", "_"))), system.read("/proc/modules") or "", re.MULTILINE):
        return "loaded"
    if _is_provided(system, name):
        return "built in"
    if system.run(["modprobe", "--dry-run", "--quiet", name]).ok:
        return "loadable"
    return "missing"


def _is_provided(system: System, name: str) -> bool:
    """True when the kernel does what the module is for; a kernel without modules has no list and no folder of them."""
    if name == "br_netfilter":
        return system.exists("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if name in (system.read("/proc/filesystems") or "").split():
        return True
    return system.exists("/sys/module/{0}".format(name.replace("-", "_")))


# -- Planning


def problems(state: HostState, options: HostOptions) -> List[Problem]:
    """The problems that would make a run fail."""
    try:
        options.validate()
    except OptionError as err:
        return [Problem("options", "{0} {1}".format(err.option, err.problem), err.fix)]
    found = []
    for name in options.kernel_modules:
        if _lacks(state, name):
            found.append(Problem("kernel_feature", *_missing(state, name)))
    if options.disable_swap and state.container and state.swaps:
        text = "swap {0} is on; it belongs to the machine that this container runs on".format(", ".join(state.swaps))
        fix = "switch it off on that machine, or set failSwapOn: false in cluster_kubelet_config"
        found.append(Problem("swap", text, fix, "warning"))
    if options.disable_swap and not state.container:
        found.extend(deleted_swap(device) for device in state.swaps if device.endswith(DELETED))
    if options.disable_swap and state.agent_swap:
        text = "{0} has ResourceDisk.EnableSwap=y, so the agent switches swap on at every boot".format(WAAGENT)
        found.append(Problem("swap", text, "set it to n in this file and restart walinuxagent", "warning"))
    elif options.disable_swap and not state.container and state.swaps and not _explained(state):
        text = "swap {0} is switched off now, but what enables it at boot is unknown".format(", ".join(state.swaps))
        found.append(Problem("swap", text, "make sure that it stays off after a reboot", "warning"))
    for line in _overrides(state, options):
        if not line.path.startswith("/etc/"):
            text = "{0} sets {1} = {2} and is read after {3}".format(line.path, line.key, line.value, SYSCTL_FILE)
            fix = "create an empty file with the same name in /etc/sysctl.d"
            found.append(Problem("sysctl_override", text, fix, "warning"))
    return found


def _explained(state: HostState) -> bool:
    """Whether a line of fstab or a systemd unit explains why swap is on."""
    return bool(state.swap_units or fstab_swaps(state.fstab))


def _lacks(state: HostState, name: str) -> bool:
    feature = state.features.get(name, "loadable")
    # Inside a container no module can be loaded, whatever its own modprobe says.
    return feature == "missing" or (feature == "loadable" and state.container)


def _missing(state: HostState, name: str) -> Tuple[str, str]:
    text = "kernel feature {0} is missing: it is neither built into kernel {1} nor available as a module".format(
        name, state.kernel
    )
    if state.container:
        return text, "load it on the machine that this container runs on (modprobe {0})".format(name)
    packages = "kernel-modules-extra on the RHEL family, linux-modules-extra-{0} on Ubuntu".format(state.kernel)
    return text, "install the kernel modules ({0}), or reboot into the installed kernel".format(packages)


def plan(state: HostState, options: HostOptions) -> List[Step]:
    """The steps that lead from ``state`` to ``options``."""
    options.validate()
    steps = _plan_swap(state) if options.disable_swap else []
    return steps + _plan_modules(state, options) + _plan_sysctls(state, options)


def _plan_swap(state: HostState) -> List[Step]:
    steps = []
    entries = fstab_swaps(state.fstab)
    if entries:
        reason = "switches swap {0} on at boot".format(", ".join(device for _number, device in entries))
        numbers = [number for number, _device in entries]
        step = _comment_out(FSTAB, reason, state.fstab, numbers, "the kubelet requires swap to be off")
        steps.append(replace(step, before=_filled(step.before), after=_filled(step.after)))
    for name in state.swap_units:
        steps.append(Step(COMPONENT, "mask", name, "switches swap on"))
    if not state.container:
        for device in state.swaps:
            steps.append(Step(COMPONENT, "swap_off", device, "swap {0} is on".format(device)))
    return steps


def _filled(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if line.strip())


def _plan_modules(state: HostState, options: HostOptions) -> List[Step]:
    steps = []
    keep = []
    for name in options.kernel_modules:
        feature = state.features.get(name, "loadable")
        if _lacks(state, name) or feature == "loadable":
            text, fix = _missing(state, name)
            failure = "{0}; {1}".format(text, fix)
            steps.append(Step(COMPONENT, "load", name, "not loaded", data={"failure": failure}))
        if feature != "built in" and not state.container:
            keep.append(name)
    wanted = managed_header() + "".join("{0}\n".format(name) for name in keep) if keep else None
    if wanted is not None and state.modules_file != wanted:
        reason = "load {0} at boot".format(", ".join(keep))
        steps.append(Step(COMPONENT, "write", MODULES_FILE, reason, state.modules_file or "", wanted))
    elif wanted is None and state.modules_file is not None:
        steps.append(Step(COMPONENT, "remove", MODULES_FILE, "no modules to load at boot", state.modules_file, ""))
    return steps


def _plan_sysctls(state: HostState, options: HostOptions) -> List[Step]:
    steps = []
    wanted = options.wanted_sysctls()
    text = managed_header() + "".join("{0} = {1}\n".format(key, value) for key, value in sorted(wanted.items()))
    if state.sysctl_file != text:
        reason = _file_reason(state.sysctl_file, wanted)
        steps.append(Step(COMPONENT, "write", SYSCTL_FILE, reason, state.sysctl_file or "", text))
    overrides = [line for line in _overrides(state, options) if line.path in state.later_files]
    for path in sorted({line.path for line in overrides}):
        lines = [line for line in overrides if line.path == path]
        reason = "is read later and sets {0}".format(
            ", ".join("{0} = {1}".format(line.key, line.value) for line in lines)
        )
        numbers = [line.number - 1 for line in lines]
        why = "contradicts {0}".format(SYSCTL_FILE)
        steps.append(_comment_out(path, reason, state.later_files[path], numbers, why))
    for key, value in sorted(wanted.items()):
        live = state.sysctls.get(key)
        if live != value:
            reason = "-> {0}".format(value) if live is None else "{0} -> {1}".format(live, value)
            before = "" if live is None else "{0} = {1}\n".format(key, live)
            steps.append(
                Step(COMPONENT, "set", key, reason, before, "{0} = {1}\n".format(key, value), {"value": value})
            )
    return steps


def _file_reason(text: Optional[str], wanted: Mapping[str, str]) -> str:
    if text is None:
        return "missing"
    present = {line.key: line.value for line in parse_sysctls(SYSCTL_FILE, text)}
    differences = [
        "{0} {1} -> {2}".format(key, present.get(key, "missing"), wanted.get(key, "missing"))
        for key in sorted(set(present) | set(wanted))
        if present.get(key) != wanted.get(key)
    ]
    return ", ".join(differences) or "edited"


def _overrides(state: HostState, options: HostOptions) -> List[SysctlLine]:
    """The lines that are read after the collection's file and set one of its keys to another value."""
    wanted = options.wanted_sysctls()
    return [
        line
        for line in state.later_sysctls
        if any(
            any(matches(line.key, name) for name in (key, *_SAME.get(key, ()))) and line.value != value
            for key, value in wanted.items()
        )
    ]


def _comment_out(path: str, reason: str, text: str, numbers: Sequence[int], why: str) -> Step:
    """``text`` is the file as it may be shown; applying reads the file itself."""
    data = {"numbers": list(numbers), "why": why}
    after = _commented(text, numbers, why)
    return Step(COMPONENT, "comment_out", path, reason, text, after, data, backup=backup_path(path))


def _commented(text: str, numbers: Sequence[int], why: str) -> str:
    lines = []
    for number, line in enumerate(text.splitlines(keepends=True)):
        end = "\r\n" if line.endswith("\r\n") else "\n"
        lines.append(_DISABLED.format(why) + end + "#" + line if number in numbers else line)
    return "".join(lines)


# -- Application


def apply(step: Step, system: System) -> None:
    """Apply one step. Raises :class:`KubesteadError` with one line."""
    if step.action in ("write", "comment_out"):
        _write(step, system)
    elif step.action == "remove":
        system.remove(step.target)
    elif step.action == "mask":
        _mask(step.target, system)
    elif step.action == "swap_off":
        # Stopping its unit may have done it already.
        if step.target in parse_swaps(system.read("/proc/swaps") or ""):
            swap_off(step.target, system)
    elif step.action == "load":
        if not system.run(["modprobe", step.target]).ok and not _is_provided(system, step.target):
            raise KubesteadError(str(step.data["failure"]))
    else:
        _set_sysctl(system, step.target, str(step.data["value"]))


def _write(step: Step, system: System) -> None:
    if step.action == "comment_out":
        rewrite(system, step.target, lambda text: _commented(text, step.data["numbers"], str(step.data["why"])))
    else:
        system.write(step.target, step.after, mode=system.mode(step.target) or 0o644)
    if step.target == FSTAB and system.exists("/run/systemd/system"):
        system.run(["systemctl", "daemon-reload"], check=True)


def _mask(unit: str, system: System) -> None:
    path = "/etc/systemd/system/" + unit
    text = system.read(path)
    if text:
        # systemd masks no unit whose file is in this folder.
        keep(system, path)
        system.remove(path)
    command = ["systemctl", "mask", unit]
    if system.exists("/run/systemd/system"):
        system.run(["systemctl", "stop", unit], timeout=600)
    system.run(command, check=True)


def _set_sysctl(system: System, key: str, value: str) -> None:
    path = system.path(sysctl_path(key))
    below = os.path.realpath(system.path("/proc/sys")) + os.sep
    if not is_sysctl(key) or not os.path.realpath(path).startswith(below):
        raise KubesteadError("host_sysctls has {0!r}, which is not below /proc/sys; correct its name".format(key))
    try:
        with open(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "w", encoding="utf-8") as handle:
            handle.write(value + "\n")
    except OSError as err:
        raise KubesteadError(
            "sysctl {0} can't be set to {1}: {2}; {3}".format(
                key, value, err.strerror, "check host_sysctls and whether the kernel has this sysctl"
            )
        ) from None
