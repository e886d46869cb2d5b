# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order in which hosts are changed, so that applications are not disrupted."""

from __future__ import annotations

from typing import List, Mapping, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step


def waves_of(disruptive: Mapping[str, bool]) -> List[List[str]]:
    """The groups of hosts to change one after the other. The hosts of a group can be changed at the same time.

    ``disruptive`` maps each host to true if the run disrupts it as a member of a cluster. Such hosts come last and one
    by one, in their order. All others are the first group.
    """
    quiet = [name for name, disturbed in disruptive.items() if not disturbed]
    waves = [[name] for name, disturbed in disruptive.items() if disturbed]
    return [quiet, *waves] if quiet else waves


def parallel_findings(disrupted: Mapping[str, Sequence[Step]]) -> List[Finding]:
    """The errors of a play that changes all of its hosts at the same time and would disrupt more than one member.

    ``disrupted`` maps the members of a cluster that are disrupted to their steps.
    """
    if len(disrupted) < 2:
        return []
    found = []
    for name, steps in disrupted.items():
        step = next(step for step in steps if step.disruptive)
        text = f"this play would {step.summary()} on {len(disrupted)} members of the cluster at the same time"
        fix = "use site.yml or upgrade.yml, which change them one after the other, or set serial: 1 in this play"
        found.append(Finding(name, step.component, Problem("disruptive", text, fix)))
    return found
