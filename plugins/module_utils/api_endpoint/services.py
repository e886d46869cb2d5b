# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packages of programs that run as services of this collection, with units and configurations of their own.

The service of a package, and the configuration that the user gave it, are never changed.
"""

from __future__ import annotations

from typing import Sequence

from ..core.errors import CommandError, KubesteadError
from ..core.system import System
from ..packages import dnf_files, manager

COMPONENT = "api_endpoint"


def absent(system: System, package: str) -> str:
    """The reason why the package manager can't install a package; empty if it can, or if that is unknown."""
    try:
        found = manager.observe(system, [manager.Wanted(package)])
    except KubesteadError as err:
        return err.message
    if found.manager == "dnf":
        return "dnf excludes it" if dnf_files.excluded(system, [package]) else ""
    offers = found.offers.get(package, [])
    if package in found.installed or not found.offers_known or any(offers[:1]):
        return ""
    return "an apt pin forbids it" if offers else "the apt package lists do not have it"


def install(system: System, packages: Sequence[str], service: str = "", marker: str = "") -> None:
    """Install packages, and disable the ``service`` that the first of them starts. Raises :class:`KubesteadError`.

    A package that was installed before is not changed, and neither is its service. The file ``marker`` exists from
    before the installation until the service is disabled, so that the next run disables it if this one is killed, or if
    the package manager fails after it has unpacked the package.
    """
    from ..packages import transaction

    wanted = [manager.Wanted(name) for name in packages]
    before = manager.observe(system, wanted)
    try:
        steps = manager.plan(before, wanted, component=COMPONENT)
        # A package whose installation the user has started is that of the user, as is its service.
        if service and steps and packages[0] not in before.installed:
            system.write(marker, "")
        for step in steps:
            transaction.apply(step, system)
    except KubesteadError as err:
        # If the package is not there, the user may install it later for another purpose.
        if service and not manager.installed(system, before.manager, packages[:1]):
            system.remove(marker)
        text = "{0} can't be installed: {1}".format(" and ".join(packages), err.message)
        raise CommandError(text, err.details) from err
    if service and system.exists(marker):
        disable(system, service, marker)


def disable(system: System, service: str, marker: str) -> None:
    """Stop and disable the service of a package that this collection has installed, if it exists."""
    system.run(["systemctl", "disable", "--now", service])
    system.remove(marker)
