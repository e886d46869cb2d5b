# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The groups of the inventory and their validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem

COMPONENT = "cluster"


@dataclass(frozen=True)
class Inventory:
    """The complete groups of the inventory, even if the play is limited to some hosts."""

    control_plane: Sequence[str] = ()
    workers: Sequence[str] = ()


def left_out_findings(inventory: Inventory, targets: Sequence[str], play: Sequence[str]) -> List[Finding]:
    """Findings about targets in the inventory that --limit leaves out of the play, so that they were never contacted.

    ``play`` are all hosts of the play, including those that do not answer.
    """
    listed = {*inventory.control_plane, *inventory.workers}
    text = "is left out of this run by --limit, so it was not contacted"
    fix = "run again without --limit, or with this host in it"
    return [
        Finding(name, COMPONENT, Problem("unreachable", text, fix))
        for name in dict.fromkeys(targets)
        if name in listed and name not in play
    ]


def inventory_findings(inventory: Inventory, untainted: bool = False) -> List[Finding]:
    """The problems of the groups. ``untainted`` is true if the control plane also runs applications."""
    found = []
    if not inventory.control_plane:
        fix = "add at least one host to the group control_plane (see inventories/example)"
        found.append(Finding("all", COMPONENT, Problem("groups", "the group control_plane is empty", fix)))
    elif not inventory.workers and len(inventory.control_plane) == 1 and not untainted:
        fix = "add a host to the group workers, or remove the taint of the control plane with cluster_node_taints: []"
        text = "the group workers is empty, so no node runs applications"
        found.append(Finding("all", COMPONENT, Problem("groups", text, fix, "warning")))
    for name in sorted(set(inventory.control_plane) & set(inventory.workers)):
        problem = Problem("groups", "is in both groups control_plane and workers", "remove it from one of them")
        found.append(Finding(name, COMPONENT, problem))
    return found
