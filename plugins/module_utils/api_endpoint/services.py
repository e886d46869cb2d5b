# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program of the distribution that runs as a service of this collection, with its own unit and configuration.

The service of the package, and the configuration that the user gave it, are never changed.
"""

from __future__ import annotations

from typing import Sequence

from ..core.errors import KubesteadError
from ..core.system import System
from ..packages import dnf_files, manager, transaction

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
    return "a pin of apt forbids it" if offers else "the lists of apt do not have it"


def install(system: System, packages: Sequence[str], service: str = "") -> None:
    """Install packages, and disable the service that one of them starts. Raises :class:`KubesteadError`.

    A package that was installed before is not changed, and neither is its service.
    """
    wanted = [manager.Wanted(name) for name in packages]
    for step in manager.plan(manager.observe(system, wanted), wanted, component=COMPONENT):
        transaction.apply(step, system)
    if service:
        system.run(["systemctl", "disable", "--now", service])


def answers(system: System, question: str, answer: str, unit: str) -> bool:
    """True if ``systemctl is-active`` or ``is-enabled`` answers this for a unit."""
    return system.run(["systemctl", question, unit]).stdout.strip() == answer


def run(system: System, action: str, unit: str, causes: Sequence[str]) -> None:
    """Start, restart or reload a unit. Raises :class:`KubesteadError` with a line of its log that has one of causes."""
    done = system.run(["systemctl", action, unit], timeout=60.0)
    if not done.ok:
        log = system.run(["journalctl", "-u", unit, "-n", "20", "-o", "cat", "--no-pager"]).stdout
        found = [line.strip() for line in log.splitlines() if any(cause in line for cause in causes)]
        raise KubesteadError(
            "{0} does not {1}: {2}; see 'journalctl -u {0}'".format(unit, action, found[0] if found else done.last_line)
        )


def remove(system: System, unit: str, path: str) -> None:
    """Stop a unit and remove its file. Raises :class:`KubesteadError`."""
    system.run(["systemctl", "disable", "--now", unit], timeout=60.0, check=True)
    system.remove(path)
    system.run(["systemctl", "daemon-reload"], check=True)
    # systemd remembers a failed unit even after its file is removed.
    system.run(["systemctl", "reset-failed", unit])
