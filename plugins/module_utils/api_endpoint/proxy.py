# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files and the unit of the proxy of a worker."""

from __future__ import annotations

from ..core.constants import CA_CERTIFICATE
from ..core.errors import KubesteadError
from ..core.system import System
from . import units
from .proxy_config import CA, CONFIG, PENDING, PROGRAM, RESTART_PENDING, UNIT, UNIT_NAME, with_ca


def after_join(system: System) -> None:
    """Let the proxy of a worker that has just joined accept only its own cluster. Raises :class:`KubesteadError`.

    The CA comes with the join. A later run does the same if this was interrupted.
    """
    present, ca = system.read(CONFIG), system.read(CA_CERTIFICATE)
    if not system.exists(UNIT) or present is None or ca is None:
        return
    config = with_ca(present)
    if system.read(CA) == ca and present == config:
        return
    write_ca(system)
    write_config(system, config)
    run(system, "reload")


def write_ca(system: System) -> None:
    """Give the proxy the CA of the cluster, from a file that it can't read itself."""
    system.write(PENDING, "")
    system.write(CA, system.read(CA_CERTIFICATE) or "")


def write_config(system: System, text: str) -> None:
    """Write a configuration that haproxy accepts. Raises :class:`KubesteadError` if it does not."""
    candidate = CONFIG + ".new"
    system.write(candidate, text)
    checked = system.run([PROGRAM, "-c", "-q", "-f", candidate])
    system.remove(candidate)
    if not checked.ok:
        raise KubesteadError("haproxy refuses the configuration of the local API proxy: {0}".format(checked.last_line))
    system.write(PENDING, "")
    system.write(CONFIG, text)


def run(system: System, action: str) -> None:
    """Start, restart or reload the proxy. Raises :class:`KubesteadError`."""
    units.run(system, action, UNIT_NAME, ("ALERT", "cannot bind"))
    system.remove(PENDING)
    # The plan has a reload only if no restart is pending.
    system.remove(RESTART_PENDING)
