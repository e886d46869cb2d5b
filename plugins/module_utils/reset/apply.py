# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Resets a machine: applies the plan until an observation finds nothing left to remove."""

from __future__ import annotations

import os
import time
from typing import Callable, Dict, List, Sequence

from ..api_endpoint.component import write_hosts
from ..api_endpoint.services import disable
from ..api_endpoint.virtual_ip import remove_address
from ..core.errors import KubesteadError
from ..core.poll import Sleep
from ..core.step import Step
from ..core.system import System
from ..kube import kubeconfig
from ..kubeadm import operation as operations
from ..kubeadm.operation import RESET, Operation
from ..kubeadm.reset import EMPTY_CERT_DIR
from ..packages import transaction
from . import netfilter, network, paths, prepared, runtime
from .observe import PACKAGE_UNITS, UNITS, ResetOptions, ResetState, observe
from .plan import plan

#: The maximum number of times that the plan is applied.
ROUNDS = 3
_LOCK_WAIT = 600.0


def reset(system: System, options: ResetOptions, sleep: Sleep = time.sleep) -> List[Step]:
    """Reset the machine. Returns the applied steps. It is safe to run again after an interruption.

    Raises :class:`KubesteadError` with the items that remain, and why.
    """
    with operations.kubeadm_lock(system, _LOCK_WAIT):
        done: List[Step] = []
        state = observe(system, options)
        refuse(state)
        steps = plan(state, options)
        if not steps:
            return []
        operations.begin(system, _marker(state))
        failure = ""
        for round_number in range(ROUNDS):
            if round_number:
                sleep(1.0)
            failure = _apply_all(system, steps, done)
            state = observe(system, options)
            steps = [step for step in plan(state, options) if step.action != "end"]
            if not steps:
                operations.end(system)
                return done
        raise KubesteadError(_what_is_left(steps, failure))


def _what_is_left(steps: Sequence[Step], failure: str) -> str:
    """The message of a reset that does not complete."""
    left = ", ".join("{0} ({1})".format(step.target, step.reason) for step in steps[:3])
    more = " and {0} more".format(len(steps) - 3) if len(steps) > 3 else ""
    why = failure or "another program creates them again"
    return "the reset is not complete: {0}{1} can't be removed: {2}; remove the cause, and run again".format(
        left, more, why
    )


def refuse(state: ResetState) -> None:
    """Raise :class:`KubesteadError` if the marker is for an operation that this version does not know."""
    if state.operation is not None and state.operation.kind not in operations.KINDS:
        raise KubesteadError(operations.problems(state.operation)[0].line)


def _marker(state: ResetState) -> Operation:
    """The marker for the next run: the user's files, and the CA that identifies the kubeconfigs to remove."""
    before = state.operation
    return Operation(
        RESET,
        began=before.began if before and before.kind == RESET else operations.now(),
        preexisting_pki=list(before.preexisting_pki) if before else [],
        ca_cert_hashes=list(state.ca_cert_hashes),
    )


def _apply_all(system: System, steps: Sequence[Step], done: List[Step]) -> str:
    """Apply the steps up to the first failure. Returns the failure's message; the next round tries again.

    Later steps must not run after a failure. They may remove files that identify what is left (the network
    configuration identifies a link), or may delete data (a folder in which a volume is still mounted).
    """
    for step in steps:
        try:
            apply(step, system)
        except KubesteadError as err:
            return err.message
        if step not in done:
            done.append(step)
        if step.action == "start":
            # The containers can be listed only once the runtime is running.
            break
    return ""


def apply(step: Step, system: System) -> None:
    """Apply one step. Raises :class:`KubesteadError`."""
    action, target = step.action, step.target
    simple: Dict[str, Callable[[System, str], None]] = {
        "remove": paths.remove,
        "remove_folder": paths.remove_empty,
        "unmount": _unmount,
        "stop": _stop,
        "stop_unit": _stop_unit,
        "remove_address": remove_address,
        "remove_unit": _remove_unit,
        "disable_package": _disable_package,
        "remove_namespace": _remove_namespace,
        "remove_link": _remove_link,
        "clear_tunnel": _clear_tunnel,
        "remove_set": _remove_set,
        "remove_nft_table": _remove_nft_table,
        "put_back": _put_back,
        "uncomment": prepared.uncomment,
        "forget_api": _forget_api,
    }
    actions: Dict[str, Callable[[System], None]] = {
        "start": runtime.start,
        "restart": runtime.restart,
        "remove_containers": runtime.remove_containers,
        "remove_images": runtime.remove_images,
        "end": operations.end,
    }
    if action in simple:
        simple[action](system, target)
    elif action in actions:
        actions[action](system)
    else:
        _WITH_DATA[action](step, system)


# -- single steps


def _stop(system: System, unit: str) -> None:
    system.run(["systemctl", "stop", unit], timeout=120.0, check=True)


def _unmount(system: System, place: str) -> None:
    """Unmount a file system, lazily if it is busy. In both cases it is no longer reachable by its path."""
    if not system.run(["umount", place]).ok:
        system.run(["umount", "--lazy", place])
    if place in paths.mounts_below(system, paths.KUBELET):
        raise KubesteadError("{0} can't be unmounted; stop the processes that use it, and run again".format(place))


def _stop_unit(system: System, name: str) -> None:
    system.run(["systemctl", "disable", "--now", name], timeout=120.0, check=True)


def _remove_unit(system: System, name: str) -> None:
    system.remove(UNITS[name])
    system.run(["systemctl", "daemon-reload"], check=True)
    # systemd remembers a failed unit even after its file is removed.
    system.run(["systemctl", "reset-failed", name])


def _disable_package(system: System, name: str) -> None:
    disable(system, name, PACKAGE_UNITS[name])


def _remove_namespace(system: System, name: str) -> None:
    system.run(["ip", "netns", "delete", name], check=True)


def _remove_link(system: System, name: str) -> None:
    if not system.run(["ip", "link", "delete", name]).ok and name in network.links(system):
        system.run(["ip", "link", "delete", name], check=True)


def _clear_tunnel(system: System, name: str) -> None:
    system.run(["ip", "address", "flush", "dev", name], check=True)
    system.run(["ip", "link", "set", name, "down"], check=True)


def _remove_set(system: System, name: str) -> None:
    system.run(["ipset", "destroy", name], check=True)


def _remove_nft_table(system: System, name: str) -> None:
    system.run(["nft", "delete", "table", *name.split()], check=True)


def _put_back(system: System, path: str) -> None:
    prepared.put_back(system, path)
    if path.startswith("/etc/systemd/"):
        system.run(["systemctl", "daemon-reload"], check=True)


def _forget_api(system: System, path: str) -> None:
    write_hosts(system, path, [])


def _clean_pods(step: Step, system: System) -> None:
    """Remove the pods with kubeadm, then remove the containers that remain.

    kubeadm only warns about failures, so the next observation finds them.
    """
    socket = str(step.data["cri_socket"])
    argv = ["kubeadm", "reset", "phase", "cleanup-node", "--cri-socket", socket, "--cert-dir", EMPTY_CERT_DIR]
    system.run(argv, timeout=300.0)
    if runtime.observe(system).containers:
        runtime.remove_containers(system)


def _remove_rules(step: Step, system: System) -> None:
    netfilter.apply(step.data["change"], system)


def _remove_kubeconfig(step: Step, system: System) -> None:
    place = step.data["place"]
    kubeconfig.remove(system, place.path, place.uid, place.gid, place.backup)


def _remove_certificates(step: Step, system: System) -> None:
    paths.remove_certificates(system, step.data["preexisting"])


def _run(step: Step, system: System) -> None:
    done = system.run(step.data["argv"])
    # Another program may have removed the entry, or the kernel removed it with its link.
    if not done.ok and "No such" not in done.stderr and "Cannot find" not in done.stderr:
        system.run(step.data["argv"], check=True)


def _purge(step: Step, system: System) -> None:
    had_opt = system.exists("/opt")
    transaction.remove(system, str(step.data["manager"]), step.data["names"])
    if had_opt:
        # dpkg removes the folders of a package that become empty, even /opt, which belongs to the system.
        os.makedirs(system.path("/opt"), mode=0o755, exist_ok=True)


_WITH_DATA: Dict[str, Callable[[Step, System], None]] = {
    "clean_pods": _clean_pods,
    "remove_rules": _remove_rules,
    "remove_kubeconfig": _remove_kubeconfig,
    "remove_certificates": _remove_certificates,
    "remove_route": _run,
    "remove_virtual_server": _run,
    "purge": _purge,
}
