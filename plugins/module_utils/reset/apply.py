# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries out a reset: the steps of the plan, until an observation finds nothing that is left."""

from __future__ import annotations

import os
import time
from typing import Callable, Dict, List, Sequence

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
from .observe import UNITS, ResetOptions, ResetState, observe
from .plan import plan

#: How often the machine is looked at again and what is left is removed.
ROUNDS = 3
_LOCK_WAIT = 600.0


def carry_out(system: System, options: ResetOptions, sleep: Sleep = time.sleep) -> List[Step]:
    """Make the machine bare; the steps that were taken. Safe to run again after it was killed anywhere.

    Raises :class:`KubesteadError` that names what is left, or what could not be removed.
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
    """The message of a reset that does not come to an end."""
    left = ", ".join("{0} ({1})".format(step.target, step.reason) for step in steps[:3])
    more = " and {0} more".format(len(steps) - 3) if len(steps) > 3 else ""
    why = failure or "something makes it again"
    return "the host is not bare yet, left are {0}{1}: {2}; run again once that is solved".format(left, more, why)


def refuse(state: ResetState) -> None:
    """Raise :class:`KubesteadError` for the marker of an operation that this version does not know."""
    if state.operation is not None and state.operation.kind not in operations.KINDS:
        raise KubesteadError(operations.problems(state.operation)[0].line)


def _marker(state: ResetState) -> Operation:
    """What a run after an interruption must know: the user's files, and the CA that tells which kubeconfigs go."""
    before = state.operation
    return Operation(
        RESET,
        began=before.began if before and before.kind == RESET else operations.now(),
        preexisting_pki=list(before.preexisting_pki) if before else [],
        ca_cert_hashes=list(state.ca_cert_hashes),
    )


def _apply_all(system: System, steps: Sequence[Step], done: List[Step]) -> str:
    """Take the steps up to the first that fails; why it failed, for the next round tries it again.

    What comes after may explain it (a link by the configuration of its network), or would lose data (a folder by the
    volume that is mounted in it).
    """
    for step in steps:
        try:
            apply(step, system)
        except KubesteadError as err:
            return err.message
        if step not in done:
            done.append(step)
        if step.action == "start":
            # What the runtime holds shows only now.
            break
    return ""


def apply(step: Step, system: System) -> None:
    """Carry out one step. Raises :class:`KubesteadError`."""
    action, target = step.action, step.target
    simple: Dict[str, Callable[[System, str], None]] = {
        "remove": paths.remove,
        "remove_folder": paths.remove_empty,
        "unmount": _unmount,
        "stop": _stop,
        "stop_unit": _stop_unit,
        "remove_unit": _remove_unit,
        "remove_namespace": _remove_namespace,
        "remove_link": _remove_link,
        "clear_tunnel": _clear_tunnel,
        "remove_set": _remove_set,
        "remove_nft_table": _remove_nft_table,
        "put_back": _put_back,
        "uncomment": prepared.uncomment,
    }
    whole: Dict[str, Callable[[System], None]] = {
        "start": runtime.start,
        "restart": runtime.restart,
        "remove_containers": runtime.remove_containers,
        "remove_images": runtime.remove_images,
        "end": operations.end,
    }
    if action in simple:
        simple[action](system, target)
    elif action in whole:
        whole[action](system)
    else:
        _WITH_DATA[action](step, system)


# -- single steps


def _stop(system: System, unit: str) -> None:
    system.run(["systemctl", "stop", unit], timeout=120.0, check=True)


def _unmount(system: System, place: str) -> None:
    """Unmount at once, or as soon as nobody uses it any more: either way no path leads into it afterwards."""
    if not system.run(["umount", place]).ok:
        system.run(["umount", "--lazy", place])
    if place in paths.mounts_below(system, paths.KUBELET):
        raise KubesteadError("{0} can't be unmounted; close what uses it, and run again".format(place))


def _stop_unit(system: System, name: str) -> None:
    system.run(["systemctl", "disable", "--now", name], timeout=120.0, check=True)


def _remove_unit(system: System, name: str) -> None:
    system.remove(UNITS[name])
    system.run(["systemctl", "daemon-reload"], check=True)
    # A unit that failed is remembered without its file.
    system.run(["systemctl", "reset-failed", name])


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


def _clean_pods(step: Step, system: System) -> None:
    """Let kubeadm stop the pods, and remove behind it what it left.

    It only warns of what it could not do; the next observation tells.
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
    # Another program may have removed it, or it went with its link.
    if not done.ok and "No such" not in done.stderr and "Cannot find" not in done.stderr:
        system.run(step.data["argv"], check=True)


def _purge(step: Step, system: System) -> None:
    had_opt = system.exists("/opt")
    transaction.remove(system, str(step.data["manager"]), step.data["names"])
    if had_opt:
        # dpkg removes folders of a package that become empty, also this one, which is the system's.
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
