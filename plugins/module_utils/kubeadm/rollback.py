# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the old kubelet of a node back if the new one does not become ready.

A kubelet may be older than the API server, so this is also possible on a control plane whose static pods are new.
Before the first change, a record keeps what belongs to the old kubelet: its files and the versions of its packages. The
record is kept until the upgrade ends. After an interruption, the next run puts the kubelet back
from the same record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Dict, List, Optional

from ..core import untrusted, versions
from ..core.constants import KUBELET_CONFIG, KUBELET_FLAGS, KUBELET_RECORD
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep
from ..core.step import Step
from ..core.system import System
from ..packages import manager, transaction
from ..packages.kube_state import KubePackagesOptions, KubePackagesState
from ..packages.sources import APT_SOURCE, DNF_OPTIONS, render_source, repository_url, source_path
from . import kubelet_start, old_program

#: The files that kubeadm writes for the kubelet. Releases before 1.34 do not write the last one.
FILES = (KUBELET_CONFIG, KUBELET_FLAGS, "/var/lib/kubelet/instance-config.yaml")
# kubeadm has already upgraded the node and stays.
_PACKAGES = ("kubelet", "kubectl")


@dataclass(frozen=True)
class Record:
    """The kubelet of a node before its upgrade.

    ``version`` is the version of the kubelet. ``packages`` maps packages to their versions, ``held`` lists those that
    are held. ``files`` maps paths to texts; a path without a text did not exist. ``modes`` are the modes of the files.
    """

    version: str
    packages: Dict[str, str] = field(default_factory=dict)
    held: List[str] = field(default_factory=list)
    files: Dict[str, Optional[str]] = field(default_factory=dict)
    modes: Dict[str, int] = field(default_factory=dict)


def observe(system: System) -> Optional[Record]:
    """The record of an unfinished upgrade; None if there is none or it can't be read. Never raises."""
    try:
        found = untrusted.mapping(untrusted.parse_json(system.read(KUBELET_RECORD) or ""))
    except ValueError:
        return None
    version = versions.parse(untrusted.text(found.get("version"), 64))
    packages = {
        name: untrusted.text(text, 128)
        for name, text in untrusted.mapping(found.get("packages")).items()
        if name in _PACKAGES
    }
    files = {path: text for path, text in untrusted.mapping(found.get("files")).items() if path in FILES}
    if version is None or not packages or not files:
        return None
    return Record(
        version=str(version),
        packages=packages,
        held=[name for name in untrusted.texts(found.get("held")) if name in _PACKAGES],
        files={path: text if isinstance(text, str) else None for path, text in files.items()},
        modes={path: untrusted.integer(mode) for path, mode in untrusted.mapping(found.get("modes")).items()},
    )


def plan(component: str, state: KubePackagesState, known: Optional[Record], resumed: bool, target: str) -> List[Step]:
    """The step that makes the record, when an upgrade starts.

    If the upgrade is ``resumed``, its record ``known`` stays, because the kubelet may already be new.
    """
    packages = {name: state.installed[name].version for name in _PACKAGES if name in state.installed}
    old = state.version
    if old is None or str(old) == target or (resumed and known is not None):
        return []
    held = [name for name in packages if state.installed[name].held]
    record = Record(str(old), packages, held)
    reason = "kubelet {0} is put back if {1} does not become ready".format(old, target)
    return [Step(component, "keep", KUBELET_RECORD, reason, data={"record": record})]


def replaced(system: System, known: Optional[Record], kubelet: str) -> List[str]:
    """The files of the old kubelet that an unfinished upgrade has replaced; empty if the new ``kubelet`` is installed.

    kubeadm writes new files while the old kubelet is installed. If the machine fails at that time, they can be empty,
    and then the kubelet does not start.
    """
    if known is None or kubelet != known.version:
        return []
    return sorted(path for path, text in known.files.items() if system.read(path) != text)


def restore_files(system: System) -> None:
    """Restore the files in the record. Raises OSError."""
    record = observe(system)
    if record is not None:
        old_program.restore_files(system, record.files, record.modes, 0o644)


def keep(system: System, record: Record) -> None:
    """Write the record, with the present files of the kubelet."""
    data = {
        "version": record.version,
        "packages": record.packages,
        "held": record.held,
        "files": {path: system.read(path) for path in FILES},
        "modes": {path: system.mode(path) for path in FILES if system.exists(path)},
    }
    system.write(KUBELET_RECORD, json.dumps(data, indent=2, sort_keys=True) + "\n", mode=0o600)


def forget(system: System) -> None:
    """Remove the record."""
    system.remove(KUBELET_RECORD)


def put_back(
    system: System,
    options: KubePackagesOptions,
    failed: KubesteadError,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> KubesteadError:
    """Put the old kubelet back after ``failed``. Returns the failure with the outcome added to its message.

    Its details have ``rolled_back``, the version of the old kubelet, if that kubelet is ready again.
    """
    record = observe(system)
    if record is None:
        return failed

    def work() -> None:
        restore_files(system)
        restore_packages(system, record, options)
        kubelet_start.restart(system)
        kubelet_start.wait(system, record.version, clock, sleep)

    return old_program.put_back(failed, "kubelet", record.version, work, "was put back and is ready")


def restore_packages(system: System, record: Record, options: KubePackagesOptions) -> None:
    """Install the old versions again, from the repository of their minor version. Raises :class:`KubesteadError`.

    The next run writes the definition of the new version's repository again.
    """
    found = manager.manager(system)
    there = manager.installed(system, found, list(record.packages))
    changed = old_program.other_versions(record.packages, there)
    if not changed:
        return
    old = versions.parse(record.version)
    series = old.series if old else ""
    if found == "apt" and manager.interrupted(system):
        transaction.finish_interrupted(system)
    url = repository_url(options.url, series, found)
    system.write(source_path(found), render_source(found, url, options.hold))
    if found == "apt":
        transaction.update_index(system, APT_SOURCE)
    install = manager.install_step("", found, there, changed, options=DNF_OPTIONS if found == "dnf" else (), source=url)
    transaction.apply(install, system)
    released = [name for name in record.held if name in changed]
    if found == "apt" and released:
        transaction.set_hold(system, found, released, True)
