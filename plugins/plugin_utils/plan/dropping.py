# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan without the workers that have errors, if the user wants the run to continue for the other hosts. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Dict, List

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding

from .result import Plan, Request


def without_failing(planner: Callable[[Request], Plan], request: Request) -> Plan:
    """The plan for the hosts without errors. :attr:`Plan.dropped` has the other hosts with their errors.

    Only workers are left out: without a control plane, another cluster would be planned. If a control plane, the
    inventory or every host has an error, the plan is that of all hosts, with the errors.
    """
    complete = plan = planner(request)
    droppable = set(request.inventory.workers) - set(request.inventory.control_plane)
    findings: List[Finding] = []
    while plan.errors:
        blamed = {finding.host for finding in plan.errors}
        left = [host for host in request.hosts if host.name not in blamed]
        if not blamed <= droppable or not left:
            return complete
        findings += [finding for finding in plan.findings if finding.host in blamed]
        others = [finding for finding in request.findings if finding.host not in blamed]
        request = replace(request, hosts=left, findings=others)
        plan = planner(request)
    if not findings:
        return plan
    dropped: Dict[str, List[str]] = {}
    for finding in findings:
        if finding.problem.level == "error":
            dropped.setdefault(finding.host, []).append(finding.problem.line)
    return replace(plan, findings=[*findings, *plan.findings], dropped=dropped)
