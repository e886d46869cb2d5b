# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replaces the containerd of a drained node by another version or package, and puts the old one back if that fails.

Before the first change, a record keeps what belongs to the old containerd: its files and the versions of its packages.
It is kept until the Node is ready with the new containerd. A run that finds a record finishes the replacement.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from ..containerd import apply as containerd_apply
from ..containerd import observe as containerd_observe
from ..containerd import plan as containerd_plan
from ..containerd.options import ContainerdOptions
from ..containerd.state import CONFIG, UNIT
from ..core import untrusted
from ..core.constants import RUNTIME_RECORD
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.step import Step
from ..core.system import System
from ..kube import kubelet
from ..packages import manager, transaction
from ..packages.manager import Package
from . import kubelet_start, old_program
from .runtime_record import FILES, PACKAGES, Record, read_record

COMPONENT = "containerd"
# Seconds for a kubelet to report the new containerd and to become ready with it.
_READY = 180.0


@dataclass(frozen=True)
class RuntimeOptions:
    """The containerd that a node gets. ``package`` is empty if it keeps the one that it has.

    ``version`` is the exact version of the package. ``containerd`` are the options for its configuration.
    """

    package: str = ""
    version: str = ""
    containerd: ContainerdOptions = ContainerdOptions()


@dataclass(frozen=True)
class RuntimeState:
    """The observed state. ``installed`` are those of :data:`PACKAGES` that are installed, completely or in part.

    ``version`` is that of the program. ``interrupted`` is true if dpkg was killed.
    """

    version: str = ""
    installed: Dict[str, Package] = field(default_factory=dict)
    interrupted: bool = False
    record: Optional[Record] = None


# -- Observation


def observe(system: System, options: RuntimeOptions) -> RuntimeState:
    """Observe the packages of containerd, unless the node keeps its containerd."""
    if not options.package:
        return RuntimeState()
    names = [*PACKAGES, *([options.package] if options.package not in PACKAGES else [])]
    return RuntimeState(
        version=containerd_observe.program_version(system),
        installed=manager.installed(system, manager.manager(system), names),
        interrupted=manager.interrupted(system),
        record=read_record(system),
    )


# -- Planning


def plan(state: RuntimeState, options: RuntimeOptions, node: str, ready: bool, kubeadm_version: str) -> List[Step]:
    """The steps that replace containerd; empty if the node has the package already.

    ``kubeadm_version`` is the version that the node will have. It decides which pause image is configured.
    """
    there = state.installed.get(options.package)
    installed = there is not None and there.complete and there.version == options.version
    if not options.package or (installed and state.record is None):
        return []
    steps = []
    if state.record is None:
        record = Record(
            version=state.version,
            packages={name: one.version for name, one in state.installed.items() if name in PACKAGES and one.complete},
            wanted=options.package,
            wanted_version=options.version,
            held=[name for name, one in state.installed.items() if one.held],
            ready=ready,
        )
        reason = "containerd {0} is put back if the new one fails".format(state.version)
        steps.append(Step(COMPONENT, "keep", RUNTIME_RECORD, reason, data={"record": record}))
    if state.interrupted:
        steps.append(manager.finish_step(COMPONENT))
    if not installed:
        target = {options.package: options.version}
        steps.append(manager.install_step(COMPONENT, "apt", state.installed, target))
    what = "containerd {0}".format(options.version)
    data = {"options": options.containerd, "kubeadm_version": kubeadm_version}
    steps.append(Step(COMPONENT, "configure", CONFIG, "for {0}".format(what), data=data))
    steps.append(Step(COMPONENT, "restart", UNIT, "{0} starts".format(what), disruptive=True))
    if ready or (state.record is not None and state.record.ready):
        steps.append(Step(COMPONENT, "wait_for", "node {0}".format(node), "must be ready with {0}".format(what)))
    return [*steps, Step(COMPONENT, "forget", RUNTIME_RECORD, "containerd is replaced")]


def repair(record: Optional[Record]) -> List[Step]:
    """The step that puts back the old containerd after an interrupted replacement, on a node whose API is down.

    It needs nothing but the record. The next plan decides about the new containerd again.
    """
    if record is None:
        return []
    reason = "its replacement was interrupted"
    what = "containerd {0}".format(record.version)
    return [Step(COMPONENT, "put_back", what, reason, data={"record": record}, disruptive=True)]


# -- Application


def apply(step: Step, system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Apply a step. Raises :class:`KubesteadError` with the cause in one line."""
    if step.action == "keep":
        keep(system, step.data["record"])
    elif step.action == "configure":
        configure(system, step.data["options"], str(step.data["kubeadm_version"]))
    elif step.action == "restart":
        containerd_apply.restart(system)
    elif step.action == "wait_for":
        wait(system, clock, sleep)
    elif step.action == "forget":
        system.remove(RUNTIME_RECORD)
    elif step.action == "put_back":
        restore(system, step.data["record"], clock, sleep)
    else:
        transaction.apply(step, system)


def apply_or_put_back(step: Step, system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Apply a step. If it fails after the record was made, the old containerd is put back.

    Raises :class:`KubesteadError`; see :func:`put_back`.
    """
    try:
        apply(step, system, clock, sleep)
    except KubesteadError as err:
        if step.action in ("keep", "put_back"):
            raise
        raise put_back(system, err, clock, sleep) from err


def keep(system: System, record: Record) -> None:
    """Write the record, with the present files of containerd. They may contain passwords."""
    data: Dict[str, Any] = {
        "version": record.version,
        "packages": record.packages,
        "wanted": record.wanted,
        "wanted_version": record.wanted_version,
        "held": record.held,
        "files": {path: system.read(path) for path in FILES},
        "modes": {path: system.mode(path) for path in FILES if system.exists(path)},
        "ready": record.ready,
    }
    system.write(RUNTIME_RECORD, json.dumps(data, indent=2, sort_keys=True) + "\n", mode=0o600)


def configure(system: System, options: ContainerdOptions, kubeadm_version: str) -> None:
    """Write the configuration in the schema of the installed containerd. Raises :class:`KubesteadError`."""
    state = containerd_observe.observe(system, options.image_repository, reveal=True, kubeadm_version=kubeadm_version)
    for step in containerd_plan.plan(state, options, package_planned_elsewhere=True):
        # containerd is restarted by its own step, also if its configuration stays.
        if step.action != "restart":
            containerd_apply.apply(step, system)


def wait(system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Wait until the Node is ready and reports the installed containerd. Raises :class:`KubesteadError`."""
    version = containerd_observe.program_version(system)
    name = kubelet.node_name(system, kubelet.kubelet_kubeconfig(system))
    # The kubelet leaves out what a distribution adds to the version, as in 1.7.24~ds1.
    expected = re.sub(r"^(\d+\.\d+\.\d+).*", r"containerd://\1", version)

    def look() -> str:
        node = kubelet_start.own_node(system, name)
        if node is None:
            return "its Node can't be read"
        if not node.ready:
            return "its Node is not ready: {0}".format(node.not_ready_reason)
        reported = re.match(r"containerd://\d+\.\d+\.\d+", node.runtime)
        return (
            ""
            if reported and reported.group(0) == expected
            else "its Node reports {0}".format(node.runtime or "no runtime")
        )

    problem = poll(look, _READY, lambda found: not found, clock=clock, sleep=sleep)
    if problem:
        raise KubesteadError(
            untrusted.line(
                "the kubelet did not become ready with containerd {0}: {1}; see 'journalctl -u containerd -u kubelet'"
                " on this host".format(version, problem)
            )
        )


# -- Recovery


def put_back(
    system: System, failed: KubesteadError, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None
) -> KubesteadError:
    """Put the old containerd back after ``failed``. Returns the failure with the outcome added to its message.

    Its details have ``rolled_back``, the version of the old containerd, if that containerd serves the kubelet again.
    """
    record = read_record(system)
    if record is None:
        return failed

    return old_program.put_back(
        failed, "containerd", record.version, lambda: restore(system, record, clock, sleep), "was put back"
    )


def restore(system: System, record: Record, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Restore the old packages and files, and wait for the Node. Raises :class:`KubesteadError` and OSError."""
    restore_packages(system, record)
    old_program.restore_files(system, record.files, record.modes, 0o600)
    containerd_apply.restart(system)
    if record.ready:
        wait(system, clock, sleep)
    # The next run decides again, by its variables.
    system.remove(RUNTIME_RECORD)


def restore_packages(system: System, record: Record) -> None:
    """Install the old versions again. Raises :class:`KubesteadError`.

    The package manager removes a package that conflicts with them.
    """
    if manager.interrupted(system):
        transaction.finish_interrupted(system)
    there = manager.installed(system, "apt", PACKAGES)
    changed = old_program.other_versions(record.packages, there)
    if not changed:
        return
    transaction.apply(manager.install_step(COMPONENT, "apt", there, changed), system)
    released = [name for name in record.held if name in changed]
    if released:
        transaction.set_hold(system, "apt", released, True)
