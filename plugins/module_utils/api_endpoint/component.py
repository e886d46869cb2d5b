# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The component that lets a node reach the API: a block in its hosts files, and on workers a proxy.

On control planes it also sets up the virtual IP address for clients outside the cluster; see :mod:`virtual_ip`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List, Optional, Sequence

from ..core.constants import CA_CERTIFICATE
from ..core.errors import KubesteadError
from ..core.foreign_files import rewrite
from ..core.step import Step
from ..core.system import System
from . import proxy, services, units, virtual_ip
from .hosts_file import HOSTS, block, with_block
from .options import Endpoint, EndpointOptions
from .proxy_config import (
    CA,
    CONFIG,
    FOLDER,
    INSTALLING,
    LOOPBACKS,
    PACKAGE_UNIT,
    PENDING,
    PROGRAM,
    RESTART_PENDING,
    UNIT,
    UNIT_NAME,
    unit,
)
from .virtual_ip import VirtualIpState

COMPONENT = services.COMPONENT
PACKAGE = "haproxy"

# cloud-init writes the hosts file at each boot from the template that the file names.
_TEMPLATE = re.compile(r"/etc/cloud/templates/hosts\.[a-z]{1,20}\.tmpl")
_PODS = "/var/lib/kubelet/pods"
# The first line that a kubelet writes for a pod in the network of the host.
_COPY = "# Kubernetes-managed hosts file (host network)."
# A server with a check in the configuration of the proxy.
_SERVER = re.compile(r"(?m)^ +server (?!unchecked-)(\S+) ")
_MOST_PODS = 1000
_LARGEST_COPY = 1 << 20
# Of a block. A pod in the network of the host may write anything into its own copy.
_MOST_LINES, _LONGEST_LINE = 100, 400
# Of the addresses that a host reports, and the characters of each.
_SHOWN, _LONGEST = 20, 64


@dataclass(frozen=True)
class EndpointState:
    """The observed state of the endpoint on a machine.

    ``hosts`` maps the hosts file of the machine, and the template from which cloud-init writes it, to the lines of the
    block in them. ``copies`` does the same for the copies of pods in the network of the host. ``config`` and ``unit``
    are the texts of the files of the proxy, None if they do not exist. ``pending`` is true if the proxy has not been
    reloaded since its configuration changed, ``restart_pending`` if it has not been restarted since its unit changed.
    ``installing`` is true if a run began to install haproxy and did not finish.
    ``absent`` is the reason why the package manager can't install haproxy, if it was asked; otherwise empty.
    ``joined`` is true if the machine has the CA of a cluster, ``trusts`` if the proxy has the same one. ``virtual_ip``
    is the state of the virtual IP address.
    """

    hosts: Dict[str, List[str]] = field(default_factory=lambda: {HOSTS: []})
    copies: Dict[str, List[str]] = field(default_factory=dict)
    haproxy: bool = False
    config: Optional[str] = None
    unit: Optional[str] = None
    active: bool = False
    enabled: bool = False
    pending: bool = False
    restart_pending: bool = False
    installing: bool = False
    joined: bool = False
    trusts: bool = False
    absent: str = ""
    virtual_ip: VirtualIpState = VirtualIpState()

    @property
    def control_planes(self) -> List[str]:
        """The addresses of the control planes that the name of the API leads to, directly or through the proxy."""
        found = [line.split()[0] for line in self.hosts.get(HOSTS, []) if line.split()]
        return _SERVER.findall(self.config or "") if set(found) & set(LOOPBACKS) else found


# -- Observation


def observe(system: System, proxied: bool = False, address: str = "") -> EndpointState:
    """Observe the machine: files, and two commands if there is a proxy of this collection.

    With ``proxied``, a machine without haproxy also looks for the package in apt's lists, or in the configuration
    of dnf. Nothing is downloaded. ``address`` is the virtual IP address that the machine will have, if any.
    """
    own_unit, ca = system.read(UNIT), system.read(CA_CERTIFICATE)
    return EndpointState(
        hosts={path: _lines(system.read(path) or "") for path in hosts_files(system)},
        copies=_copies(system),
        haproxy=system.is_executable(PROGRAM),
        absent=services.absent(system, PACKAGE) if proxied and not system.is_executable(PROGRAM) else "",
        config=system.read(CONFIG),
        unit=own_unit,
        active=own_unit is not None and units.answers(system, "is-active", "active", UNIT_NAME),
        enabled=own_unit is not None and units.answers(system, "is-enabled", "enabled", UNIT_NAME),
        pending=system.exists(PENDING),
        restart_pending=system.exists(RESTART_PENDING),
        installing=system.exists(INSTALLING),
        joined=ca is not None,
        trusts=ca is not None and system.read(CA) == ca,
        virtual_ip=virtual_ip.observe(system, address),
    )


def hosts_files(system: System) -> List[str]:
    """The hosts file, and the template from which cloud-init writes it, if cloud-init manages it."""
    text = system.read(HOSTS) or ""
    template = _TEMPLATE.search(text) if "manage_etc_hosts" in text else None
    return [HOSTS, *([template.group(0)] if template and system.exists(template.group(0)) else [])]


def _copies(system: System) -> Dict[str, List[str]]:
    """The lines of the block in the hosts files of pods in the network of the host, by path."""
    found = {}
    for name in system.names(_PODS)[:_MOST_PODS]:
        path = "{0}/{1}/etc-hosts".format(_PODS, name)
        text = system.read(path, _LARGEST_COPY) or ""
        if text.startswith(_COPY):
            found[path] = _lines(text)
    return found


def _lines(text: str) -> List[str]:
    return [line[:_LONGEST_LINE] for line in block(text)[:_MOST_LINES]]


# -- Planning


def plan(state: EndpointState, _options: EndpointOptions, endpoint: Endpoint) -> List[Step]:
    """The steps that set up ``endpoint``. The name resolves to the proxy only while the proxy runs."""
    endpoint.validate()
    before = _proxy(state, endpoint) if endpoint.proxied else []
    after = [] if endpoint.proxied else _no_proxy(state)
    if endpoint.virtual_ip is not None:
        after += virtual_ip.plan(state.virtual_ip, endpoint.virtual_ip)
    return [*before, *_hosts(state, endpoint), *after]


def _hosts(state: EndpointState, endpoint: Endpoint) -> List[Step]:
    wanted, steps = endpoint.lines, []
    for path, present in state.hosts.items():
        if not _same(present, wanted):
            reason = "{0} -> {1}".format(_addresses(present), _addresses(wanted))
            before, after = ("".join(line + "\n" for line in lines) for lines in (present, wanted))
            steps.append(Step(COMPONENT, "write_hosts", path, reason, before, after, {"lines": wanted}))
    if not all(_same(present, wanted) for present in state.copies.values()):
        reason = "pods in the network of the host have a copy of {0}".format(HOSTS)
        steps.append(Step(COMPONENT, "write_copies", _PODS, reason, data={"lines": wanted}))
    return steps


def _same(present: Sequence[str], wanted: Sequence[str]) -> bool:
    """True if both contain the same machines, and the same machine first."""
    return list(present[:1]) == list(wanted[:1]) and sorted(present) == sorted(wanted)


def _addresses(lines: Sequence[str]) -> str:
    shown = ", ".join(line.split()[0][:_LONGEST] for line in lines[:_SHOWN] if line.split())
    return shown + (" and others" if len(lines) > _SHOWN else "") or "no address of the API"


def _proxy(state: EndpointState, endpoint: Endpoint) -> List[Step]:
    steps = []
    if not state.haproxy:
        reason = "the node has {0} control planes".format(len(endpoint.control_planes))
        steps.append(Step(COMPONENT, "install", PACKAGE, reason))
    elif state.installing:
        steps.append(Step(COMPONENT, "install", PACKAGE, "its installation was interrupted"))
    if state.joined and not state.trusts:
        steps.append(Step(COMPONENT, "write_ca", CA, "not the CA of the cluster"))
    config = endpoint.config(state.joined)
    if state.config != config:
        reason = "missing" if state.config is None else "control planes {0}".format(", ".join(endpoint.control_planes))
        steps.append(Step(COMPONENT, "write_config", CONFIG, reason, state.config or "", config))
    new_unit = state.unit != unit() or state.restart_pending
    if new_unit:
        # An interrupted run may have written the file, but systemd has not read it.
        reason = "missing" if state.unit is None else "edited" if state.unit != unit() else "not applied"
        steps.append(Step(COMPONENT, "write_unit", UNIT, reason, state.unit or "", unit()))
    if not state.enabled:
        steps.append(Step(COMPONENT, "enable", UNIT_NAME, "not enabled"))
    if not state.active:
        steps.append(Step(COMPONENT, "start", UNIT_NAME, "not active"))
    elif new_unit:
        steps.append(Step(COMPONENT, "restart", UNIT_NAME, "its unit differs"))
    elif state.config != config or state.pending or (state.joined and not state.trusts):
        steps.append(Step(COMPONENT, "reload", UNIT_NAME, "its configuration differs"))
    return steps


def _no_proxy(state: EndpointState) -> List[Step]:
    steps = []
    if state.unit is not None:
        steps.append(Step(COMPONENT, "remove_unit", UNIT_NAME, "the node needs no proxy"))
    if state.installing:
        steps.append(Step(COMPONENT, "disable_package", PACKAGE_UNIT, "an interrupted run installed its package"))
    if state.config is not None or state.pending or state.restart_pending or state.installing:
        steps.append(Step(COMPONENT, "remove", FOLDER, "the node needs no proxy", state.config or ""))
    return steps


# -- Application


def apply(step: Step, system: System) -> None:
    """Apply one step. Raises :class:`KubesteadError` with one line."""
    if step.data.get("part") == virtual_ip.PART:
        virtual_ip.apply(step, system)
    elif step.action == "write_hosts":
        write_hosts(system, step.target, step.data["lines"])
    elif step.action == "write_copies":
        for path, present in _copies(system).items():
            if not _same(present, step.data["lines"]):
                _write_copy(system, path, step.data["lines"])
    elif step.action == "install":
        services.install(system, [PACKAGE], PACKAGE_UNIT, INSTALLING)
    elif step.action == "disable_package":
        services.disable(system, PACKAGE_UNIT, INSTALLING)
    elif step.action == "write_ca":
        proxy.write_ca(system)
    elif step.action == "write_config":
        proxy.write_config(system, step.after)
    elif step.action == "write_unit":
        units.write(system, UNIT, step.after, RESTART_PENDING)
    elif step.action == "enable":
        units.enable(system, UNIT_NAME)
    elif step.action == "remove_unit":
        units.remove(system, UNIT_NAME, UNIT)
    elif step.action == "remove":
        system.remove(FOLDER)
    else:
        proxy.run(system, step.action)


def write_hosts(system: System, path: str, lines: Sequence[str]) -> None:
    """Write the block of a hosts file, or remove it if there are no lines. Raises :class:`KubesteadError`."""
    if system.exists(path):
        rewrite(system, path, lambda text: with_block(text, lines), backup=False)
    elif lines:
        system.write(path, with_block("", lines))


def _write_copy(system: System, path: str, lines: Sequence[str]) -> None:
    """Change the copy of a pod in place, because it is mounted, as the kubelet does when it starts a container."""
    try:
        rewrite(system, path, lambda text: with_block(text, lines), backup=False, in_place=True)
    except KubesteadError:
        # The pod has ended since.
        if system.exists(path):
            raise
