# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the files of containerd and restarts it."""

from __future__ import annotations

from ..core.constants import BACKUP_SUFFIX
from ..core.errors import CommandError, KubesteadError
from ..core.foreign_files import keep, rewrite
from ..core.poll import poll
from ..core.redact import redact, redact_data
from ..core.step import Step
from ..core.system import System
from .config import desired_config, desired_dropin, render_config, render_dropin
from .observe import cri_error
from .options import ContainerdOptions
from .state import CONFIG, DROPIN, PENDING, UNIT, ContainerdState

PROBE_SECONDS = 30.0


# -- Application


def apply(step: Step, system: System) -> None:
    """Apply one step that was planned for a state with its credentials. Raises :class:`KubesteadError`."""
    data = step.data
    if step.action == "install" or (step.action == "write_config" and "state" not in data):
        # Steps that were planned for a host without containerd only say what will happen.
        package = "the package {0}".format(step.target) if step.action == "install" else "its package"
        raise KubesteadError("containerd is not installed; install {0} first".format(package))
    if step.action == "write_ca":
        system.write(step.target, str(data["text"]))
    elif step.action == "write_hosts":
        if data["backup"]:
            keep(system, step.target)
        _put(system, step.target, str(data["text"]), int(data["mode"]))
    elif step.action in ("remove_hosts", "remove_ca"):
        system.remove(step.target)
        folder = step.target.rpartition("/")[0]
        if not system.names(folder):
            system.remove(folder)
    elif step.action == "write_dropin":
        _write_dropin(system, data["state"], data["options"])
    elif step.action == "remove_dropin":
        system.write(PENDING, "")
        system.remove(step.target)
    elif step.action == "write_config":
        _write_config(system, data["state"], data["options"], str(data["backup"]))
    elif step.action == "compare":
        pass
    elif step.action == "enable":
        system.run(["systemctl", "enable", UNIT], check=True)
    else:
        restart(system)


def _write_config(system: System, state: ContainerdState, options: ContainerdOptions, backup: str) -> None:
    config = desired_config(state, options, state.config)
    text = render_config(config)
    _validate_with_containerd(system, text, CONFIG)
    mode = system.mode(CONFIG) or 0o644
    if redact_data(config) != config or redact_data(state.config) != state.config:
        mode &= 0o600
    if backup:
        keep(system, CONFIG, "" if backup == BACKUP_SUFFIX else backup, mode)
    system.write(PENDING, "")
    _put(system, CONFIG, text, mode)


def _put(system: System, path: str, text: str, mode: int) -> None:
    """Write a file. An existing file keeps its owner, and an existing symbolic link is kept."""
    if system.exists(path):
        rewrite(system, path, lambda _before: text, mode, backup=False)
    else:
        system.write(path, text, mode=mode)


def _write_dropin(system: System, state: ContainerdState, options: ContainerdOptions) -> None:
    data = desired_dropin(state, options, desired_config(state, options, state.config))
    text = render_dropin(data or {})
    _validate_with_containerd(system, text, "containerd_config_dropin")
    system.write(PENDING, "")
    # It repeats a section of the configuration, which may hold a password.
    system.write(DROPIN, text, mode=0o600 if redact_data(data) != data else 0o644)


def _validate_with_containerd(system: System, text: str, name: str) -> None:
    """Let containerd check a configuration before it replaces the file."""
    result = system.run(["containerd", "--config", "/dev/stdin", "config", "dump"], stdin=text)
    if not result.ok:
        raise CommandError(
            "containerd refuses {0}: {1}; the file was not changed".format(name, result.last_line),
            {"rc": result.rc, "stderr": redact(result.stderr)},
        )


def restart(system: System) -> None:
    """Restart containerd and wait until it serves CRI. Raises :class:`CommandError` with what it logged."""
    result = system.run(["systemctl", "restart", UNIT], timeout=120)
    status = "systemctl restart: {0}".format(result.last_line)
    if result.ok:
        status = poll(lambda: cri_error(system), PROBE_SECONDS, lambda status: status == "ok", pause=0.1)
        if status == "ok":
            system.remove(PENDING)
            return
    output = system.run(["journalctl", "-u", UNIT, "-n", "20", "--no-pager", "-o", "cat"]).stdout
    journal = redact(output).splitlines()
    logged = next((line for line in reversed(journal) if _is_error(line)), "")
    raise CommandError(
        "containerd does not serve CRI after the restart: {0}{1}; see 'journalctl -u containerd'".format(
            status, " ({0})".format(logged[:300]) if logged else ""
        ),
        {"journal": journal},
    )


def _is_error(line: str) -> bool:
    return "level=error" in line or "level=fatal" in line or line.startswith("containerd: ")
