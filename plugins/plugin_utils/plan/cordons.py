# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cordons that a run finds: which of them it may lift, and what it says about the others. Pure.

Nothing in the cluster shows whether the run that set a cordon was killed or still runs, maybe from another control
machine. A run therefore lifts only cordons of its own operation, and only those of nodes that it works on. A removal
also lifts the cordons that were set together with that of one of its nodes, because it takes the place of that run.
"""

from __future__ import annotations

from typing import List, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.drain import is_own
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node

#: The owners of the cordons of ``upgrade.yml`` and ``remove.yml``; details follow after a colon.
UPGRADE, REMOVE = "kubestead.cluster upgrade", "kubestead.cluster remove"


def removal(names: Sequence[str]) -> str:
    """The owner of the cordons of a run that removes these Nodes."""
    return "{0}: {1}".format(REMOVE, " ".join(sorted(names)))


def continued(nodes: Sequence[Node], names: Sequence[str]) -> List[str]:
    """The Nodes that stay although a removal cordoned them together with one of ``names``, which are removed now."""
    own = [node for node in nodes if node.unschedulable and is_own(node.cordoned_by, REMOVE)]
    # A long list of names is truncated, but it is the same text on all of its Nodes.
    same = {node.cordoned_by for node in own if node.name in names}
    return [
        node.name
        for node in own
        if node.name not in names and (node.cordoned_by in same or set(_removed(node.cordoned_by)) & set(names))
    ]


def _removed(owner: str) -> List[str]:
    """The Nodes in the text of :func:`removal`."""
    return owner.partition(":")[2].split()


def staying(component: str, nodes: Sequence[Node]) -> List[Finding]:
    """The warnings about Nodes whose cordon was set by another run of this collection and stays."""
    found = []
    for node in nodes:
        text = "node {0} was cordoned by another run ({1}) and stays cordoned".format(node.name, node.cordoned_by)
        fix = "if that run was killed, repeat its command, or run 'kubectl uncordon {0}'".format(node.name)
        found.append(Finding("all", component, Problem("cordon", text, fix, "warning")))
    return found


def of_others(nodes: Sequence[Node], owner: str) -> List[Node]:
    """The Nodes whose cordon was set by another operation of this collection than ``owner``."""
    return [node for node in nodes if node.unschedulable and node.cordoned_by and not is_own(node.cordoned_by, owner)]
