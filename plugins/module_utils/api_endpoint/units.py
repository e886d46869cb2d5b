# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The units of services of this collection."""

from __future__ import annotations

from typing import Sequence

from ..core.errors import KubesteadError
from ..core.system import System


def answers(system: System, question: str, answer: str, unit: str) -> bool:
    """True if ``systemctl is-active`` or ``is-enabled`` answers this for a unit."""
    return system.run(["systemctl", question, unit]).stdout.strip() == answer


def write(system: System, path: str, text: str, pending: str) -> None:
    """Write the file of a unit. The file ``pending`` exists from then on until the unit is restarted."""
    system.write(pending, "")
    system.write(path, text)
    system.run(["systemctl", "daemon-reload"], check=True)


def enable(system: System, unit: str) -> None:
    """Start a unit at boot. Raises :class:`KubesteadError`."""
    system.run(["systemctl", "enable", unit], check=True)


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
