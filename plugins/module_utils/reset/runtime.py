# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Kubernetes containers and images in containerd, and the cgroups of pods."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import List

from ..core.errors import KubesteadError
from ..core.system import System

#: The containerd namespace of the CRI plugin. Other programs use other namespaces.
NAMESPACE = "k8s.io"
_CTR = ["ctr", "--namespace", NAMESPACE]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,250}\Z")


@dataclass(frozen=True)
class Runtime:
    """The state of containerd. ``installed`` and ``active`` describe its service.

    ``containers`` are the IDs of the Kubernetes containers, ``images`` is the number of Kubernetes images. ``others``
    are the namespaces of other programs that have containers or images.
    """

    installed: bool = False
    active: bool = False
    containers: List[str] = field(default_factory=list)
    images: int = 0
    others: List[str] = field(default_factory=list)


def observe(system: System) -> Runtime:
    """Observe containerd. Never raises. If the service is not active, containers and images are not listed."""
    shown = system.run(["systemctl", "show", "containerd", "--property=LoadState,ActiveState"]).stdout
    properties = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    installed = properties.get("LoadState") == "loaded"
    if properties.get("ActiveState") != "active":
        return Runtime(installed)
    others = []
    for name in _lines(system, ["ctr", "namespaces", "list", "--quiet"]):
        listed = (["containers", "list", "--quiet"], ["images", "list", "--quiet"])
        if name != NAMESPACE and any(_lines(system, ["ctr", "--namespace", name, *words]) for words in listed):
            others.append(name)
    return Runtime(
        installed,
        True,
        _lines(system, [*_CTR, "containers", "list", "--quiet"]),
        len(_lines(system, [*_CTR, "images", "list", "--quiet"])),
        others,
    )


def _lines(system: System, argv: List[str]) -> List[str]:
    return [line.strip() for line in system.run(argv).stdout.splitlines() if _NAME.match(line.strip()) or "/" in line]


def slices(system: System) -> List[str]:
    """The slice units of the pods' cgroups, innermost first."""
    listed = system.run(["systemctl", "list-units", "--all", "--plain", "--no-legend", "--no-pager", "kubepods*"])
    names = [line.split()[0] for line in listed.stdout.splitlines() if line.split()]
    return sorted((name for name in names if re.match(r"kubepods[^/]*\.slice\Z", name)), key=lambda name: -len(name))


# -- Application


def remove_containers(system: System) -> None:
    """Kill and remove the remaining containers. The restart makes the CRI plugin notice their removal."""
    for name in observe(system).containers:
        if not _NAME.match(name):
            continue
        system.run([*_CTR, "tasks", "kill", "--all", "--signal", "SIGKILL", name], timeout=30.0)
        system.run([*_CTR, "tasks", "delete", "--force", name], timeout=30.0)
        system.run([*_CTR, "containers", "delete", name], timeout=30.0)
    restart(system)


def remove_images(system: System) -> None:
    """Remove the Kubernetes images; containerd then deletes their data. Raises :class:`CommandError`."""
    names = _lines(system, [*_CTR, "images", "list", "--quiet"])
    if names:
        system.run([*_CTR, "images", "delete", "--sync", *names], timeout=120.0, check=True)


def restart(system: System) -> None:
    """Restart containerd. Raises :class:`CommandError`."""
    system.run(["systemctl", "restart", "containerd"], timeout=120.0, check=True)


def start(system: System) -> None:
    """Start containerd, which is needed to remove its containers. Raises :class:`KubesteadError`."""
    done = system.run(["systemctl", "start", "containerd"], timeout=120.0)
    if not done.ok:
        raise KubesteadError(
            "containerd does not start ({0}), so its containers can't be removed; see 'journalctl -u containerd', or "
            "remove its package, and run again".format(done.last_line)
        )
