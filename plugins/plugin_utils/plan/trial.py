# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a plan is possible from the answer of a host: tried for this host alone, before the plan of all hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node

from ..facts import BrokenFacts
from ..hosts import Host
from .inventory import Inventory
from .planners import DEFAULT, PLANNERS
from .registry import read_host
from .result import Request, as_result


def broken(name: str, control_plane: bool, facts: Mapping[str, Any], components: Sequence[str]) -> str:
    """Why a plan is not possible with the result of ``node_info`` for a host, in one line; empty if it is possible.

    The plan of all hosts reports other problems of the host.
    """
    try:
        host = read_host(name, control_plane, facts)
        _try(host, Inventory([name]) if control_plane else Inventory(["another"], [name]), components)
    except BrokenFacts as err:
        return err.finding(name).problem.line
    except Exception as err:
        # A host may answer anything. Every error that results is about that host.
        cause = BrokenFacts(f"the host can't be planned from them ({type(err).__name__})")
        return cause.finding(name).problem.line
    return ""


def _try(host: Host, inventory: Inventory, components: Sequence[str]) -> None:
    for name, planner in PLANNERS.items():
        one = host if name == DEFAULT else _in_a_cluster(host)
        plan = planner(Request(inventory, [one], components, targets=[host.name]))
        as_result(plan, host.options.cni)
        for finding in plan.findings:
            if finding.problem.check == "broken_facts":
                raise BrokenFacts(finding.problem.message)


def _in_a_cluster(host: Host) -> Host:
    """The host as its own control plane, so that operations on members are planned with only the facts of this host."""
    node = Node(host.kubeadm.node_name, addresses=[host.node.default_address], ready=True)
    api = replace(host.kubeadm.api, live=True, nodes=host.kubeadm.api.nodes or [node])
    facts = replace(host.facts, kubeadm=replace(host.kubeadm, api=api))
    return replace(host, control_plane=True, facts=facts)
