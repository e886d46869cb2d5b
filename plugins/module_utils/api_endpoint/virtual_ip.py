# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual IP address of the API on a control plane: keepalived with a unit and a configuration of its own."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..core.addresses import normal_address
from ..core.constants import PKI
from ..core.errors import KubesteadError
from ..core.step import Step
from ..core.system import System
from ..core.untrusted import mappings, texts
from ..core.x509 import certificate_addresses
from ..host import interfaces
from . import services, units
from .services import COMPONENT
from .virtual_ip_config import (
    CHECK,
    CONFIG,
    CURL,
    FOLDER,
    INSTALLING,
    PACKAGE_UNIT,
    PENDING,
    PROGRAM,
    RESTART_PENDING,
    UNIT,
    UNIT_NAME,
    VirtualIp,
    address_in,
    interface_of,
)

#: Marks the steps of this part of the component.
PART = "virtual_ip"
PACKAGE = "keepalived"
_CERTIFICATE = PKI + "/apiserver.crt"
# Seconds in which another machine of the subnet answers who has an address, and a port that nothing listens at.
_NEIGHBOUR_WAIT = 0.3
_DISCARD_PORT = 9


@dataclass(frozen=True)
class VirtualIpState:
    """The observed state of the virtual IP address on a machine.

    ``config``, ``check`` and ``unit`` are the texts of the files, None if they do not exist. ``address`` is the one in
    the configuration. ``pending`` and ``restart_pending`` are true if keepalived has not been reloaded or restarted
    since they changed. ``installing`` is true if a run began to install keepalived and did not finish. ``folder`` is
    true if there are any files, also of an interrupted run. ``held`` is the interface that has the address now; empty
    if none has it. ``networks`` maps the other addresses of the machine, with their prefix lengths, to their
    interfaces. ``taken`` is true if another machine answers for an address that is not set up here yet. ``absent`` has
    the packages that can't be installed, with the reasons, if it was asked. ``certified`` is true if the
    certificate of the API server has the address, None without a certificate.
    """

    address: str = ""
    keepalived: bool = False
    curl: bool = False
    config: Optional[str] = None
    check: Optional[str] = None
    unit: Optional[str] = None
    active: bool = False
    enabled: bool = False
    pending: bool = False
    restart_pending: bool = False
    installing: bool = False
    folder: bool = False
    held: str = ""
    networks: Dict[str, str] = field(default_factory=dict)
    taken: bool = False
    absent: Dict[str, str] = field(default_factory=dict)
    certified: Optional[bool] = None

    @property
    def present(self) -> bool:
        """True if there are files of keepalived's configuration."""
        return self.folder or not (self.config is None and self.check is None) or self.pending or self.restart_pending


# -- Observation


def observe(system: System, wanted: str = "") -> VirtualIpState:
    """Observe the machine. Without a virtual address that is ``wanted`` or set up, this reads two files.

    The package lists are read for a program that is missing. If the wanted address is not set up yet, a packet to it
    shows whether another machine has it, which takes 0.3 s.
    """
    config, unit = system.read(CONFIG), system.read(UNIT)
    present = address_in(config)
    address = wanted or present
    folder = system.exists(FOLDER)
    if not address and unit is None and not folder:
        return VirtualIpState()
    links = interfaces.query(system, "address")
    missing = [name for name, path in _programs().items() if not system.is_executable(path)]
    reasons = {name: services.absent(system, name) for name in missing if wanted}
    held = _holder(links, present)
    return VirtualIpState(
        address=present,
        keepalived=system.is_executable(PROGRAM),
        curl=system.is_executable(CURL),
        config=config,
        check=system.read(CHECK),
        unit=unit,
        active=unit is not None and units.answers(system, "is-active", "active", UNIT_NAME),
        enabled=unit is not None and units.answers(system, "is-enabled", "enabled", UNIT_NAME),
        pending=system.exists(PENDING),
        restart_pending=system.exists(RESTART_PENDING),
        installing=system.exists(INSTALLING),
        folder=folder,
        held=held,
        networks={
            one.network: one.interface
            for one in interfaces.own_addresses(links)
            if normal_address(one.address) not in (address, present)
        },
        taken=bool(wanted) and wanted != present and not _holder(links, wanted) and _is_taken(system, wanted),
        absent={name: reason for name, reason in reasons.items() if reason},
        certified=_certified(system, address),
    )


def _programs() -> Dict[str, str]:
    """The packages and their programs. curl asks the API servers."""
    return {PACKAGE: PROGRAM, "curl": CURL}


def _holder(links: Sequence[Mapping[str, Any]], address: str) -> str:
    """The interface that has an address; empty if none has it."""
    for link in links:
        if address and address in [str(one.get("local")) for one in mappings(link.get("addr_info"))]:
            return str(link.get("ifname"))
    return ""


def _is_taken(system: System, address: str) -> bool:
    """True if another machine of the subnet answers for an address, whatever its firewall is.

    An entry from an earlier answer is removed first: the kernel uses it for seconds without asking again, and the
    machine that answered may have given the address up. An entry that an administrator added stays.
    """
    learned = [one for one in _neighbours(system, address) if "PERMANENT" not in texts(one.get("state"))]
    for one in learned:
        system.run(["ip", "neighbour", "delete", address, "dev", str(one.get("dev"))])
    if system.root == "/":
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.setblocking(False)
                probe.sendto(b"", (address, _DISCARD_PORT))
        except OSError:
            return False
        time.sleep(_NEIGHBOUR_WAIT)
    return bool(_neighbours(system, address))


def _neighbours(system: System, address: str) -> List[Mapping[str, Any]]:
    """The entries of the kernel for machines that have answered for an address."""
    return [one for one in interfaces.query(system, "neighbour", "show", "to", address) if one.get("lladdr")]


def _certified(system: System, address: str) -> Optional[bool]:
    certificate = system.read(_CERTIFICATE)
    return None if certificate is None else address in certificate_addresses(certificate)


# -- Planning


def plan(state: VirtualIpState, wanted: VirtualIp) -> List[Step]:
    """The steps that set up the virtual address, or remove it if none is wanted. Raises :class:`KubesteadError`."""
    if not wanted.address:
        return _removal(state)
    interface = interface_of(state.networks, wanted.own)
    if not interface:
        raise KubesteadError("no interface of this host has the address {0}; run again".format(wanted.own))
    steps = []
    packages = [PACKAGE] if state.installing or not state.keepalived else []
    packages += ["curl"] if wanted.peers and not state.curl else []
    if packages:
        reason = "its installation was interrupted" if state.installing else "needed for the virtual IP address"
        steps.append(_step("install", " ".join(packages), reason, packages=packages))
    check, config, unit = wanted.check(), wanted.config(interface), wanted.unit(interface)
    if check and state.check != check:
        reason = "missing" if state.check is None else "control planes {0}".format(", ".join(wanted.peers))
        steps.append(_step("write_check", CHECK, reason, state.check, check))
    if state.config != config:
        tested = wanted.config(interface, tracked=False)
        steps.append(_step("write_config", CONFIG, _difference(state, wanted), state.config, config, tested=tested))
    new_unit = state.unit != unit or state.restart_pending
    if new_unit:
        # An interrupted run may have written the file, but systemd has not read it.
        reason = "missing" if state.unit is None else "edited" if state.unit != unit else "not applied"
        steps.append(_step("write_unit", UNIT, reason, state.unit, unit))
    if not state.enabled:
        steps.append(_step("enable", UNIT_NAME, "not enabled"))
    if not state.active:
        steps.append(_step("start", UNIT_NAME, "not active"))
    elif new_unit:
        steps.append(_step("restart", UNIT_NAME, "its unit differs"))
    elif state.config != config or state.pending:
        steps.append(_step("reload", UNIT_NAME, "its configuration differs"))
    if not check and state.check is not None:
        # keepalived runs the script until it has read a configuration without it.
        steps.append(_step("remove_check", CHECK, "a single control plane always has the address", state.check))
    return steps


def _difference(state: VirtualIpState, wanted: VirtualIp) -> str:
    if state.config is None:
        return "missing"
    if state.address != wanted.address:
        return "virtual IP address {0} -> {1}".format(state.address or "none", wanted.address)
    return "control planes {0}".format(", ".join([wanted.own, *wanted.peers]))


def _removal(state: VirtualIpState) -> List[Step]:
    steps, reason = [], "the host has no virtual IP address"
    if state.unit is not None:
        steps.append(_step("remove_unit", UNIT_NAME, reason))
    if state.held and (state.unit is None or not state.active):
        steps.append(_step("remove_address", state.address, reason))
    if state.installing:
        steps.append(_step("disable_package", PACKAGE_UNIT, "an interrupted run installed its package"))
    if state.present:
        steps.append(_step("remove", FOLDER, reason, state.config))
    return steps


def _step(
    action: str,
    target: str,
    reason: str,
    before: Optional[str] = None,
    after: str = "",
    **data: Any,
) -> Step:
    return Step(COMPONENT, action, target, reason, before or "", after, {"part": PART, **data})


# -- Application


def apply(step: Step, system: System) -> None:
    """Apply one step. Raises :class:`KubesteadError` with one line."""
    if step.action == "install":
        service = PACKAGE_UNIT if PACKAGE in step.data["packages"] else ""
        services.install(system, step.data["packages"], service, INSTALLING)
    elif step.action == "disable_package":
        services.disable(system, PACKAGE_UNIT, INSTALLING)
    elif step.action == "write_check":
        # keepalived reads the script again for each check, so nothing is reloaded.
        system.write(CHECK, step.after, mode=0o755)
    elif step.action == "remove_check":
        system.remove(CHECK)
    elif step.action == "write_config":
        _write_config(system, step.after, step.data["tested"])
    elif step.action == "write_unit":
        units.write(system, UNIT, step.after, RESTART_PENDING)
    elif step.action == "enable":
        units.enable(system, UNIT_NAME)
    elif step.action == "remove_unit":
        units.remove(system, UNIT_NAME, UNIT)
    elif step.action == "remove_address":
        remove_address(system, step.target)
    elif step.action == "remove":
        system.remove(FOLDER)
    else:
        units.run(system, step.action, UNIT_NAME, ("rror", "annot"))
        system.remove(PENDING)
        system.remove(RESTART_PENDING)


def _write_config(system: System, text: str, tested: str) -> None:
    """Write the configuration, if keepalived accepts it. Raises :class:`KubesteadError`.

    ``tested`` is the configuration without its check: keepalived 2.2.7 ends itself with SIGTERM when it tests a check.
    """
    candidate = CONFIG + ".new"
    system.write(candidate, tested)
    found = system.run([PROGRAM, "--vrrp", "--config-test", "--use-file=" + candidate])
    system.remove(candidate)
    if not found.ok:
        cause = next((line.strip() for line in found.stderr.splitlines() if line.strip()), found.last_line)
        raise KubesteadError("keepalived refuses the configuration of the virtual IP address: {0}".format(cause))
    system.write(PENDING, "")
    system.write(CONFIG, text)


def remove_address(system: System, address: str) -> None:
    """Remove the virtual address from the interface that has it. Raises :class:`KubesteadError`."""
    interface = _holder(interfaces.query(system, "address"), address)
    if interface:
        prefix = "{0}/{1}".format(address, 128 if ":" in address else 32)
        system.run(["ip", "address", "delete", prefix, "dev", interface], check=True)
