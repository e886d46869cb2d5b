# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings about hosts that could not be observed: why, and how to continue with or without them. Pure.

An upgrade and a change of the endpoint need all hosts of the play. ``site.yml`` leaves the others out.
"""

from __future__ import annotations

import re
import shlex
from typing import List, Mapping, Sequence

from ansible.inventory.manager import split_host_pattern

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem

from ..cluster import Cluster
from ..hosts import Host
from .result import Request

COMPONENT = "cluster"
CHECK = "unreachable"

# Names of hosts that can be in a pattern with colons, and how other characters are written in a pattern.
_PLAIN = re.compile(r"[\w.-]+")
_LITERALLY = str.maketrans({"~": "[~]", "*": "[*]", "?": "[?]", "[": "[[]", ",": "?"})


def stops(request: Request, component: str, dispensable: str = "") -> List[Finding]:
    """Errors about hosts of the play, for an operation that needs all of them.

    ``dispensable`` says when it no longer needs a control plane; empty if it always does.
    """
    return [
        Finding(name, component, Problem(CHECK, reason, _way(name, request, dispensable)))
        for name, reason in request.unobserved.items()
    ]


def left_out(request: Request, cluster: Cluster) -> List[Finding]:
    """Warnings about hosts of the play, for an operation that continues without them."""
    found = []
    for name, reason in request.unobserved.items():
        fix = "this run leaves it out; run again once it can be observed"
        if cluster.exists:
            fix += ", or if the machine no longer exists, use {0}".format(_removal(name))
        found.append(Finding(name, COMPONENT, Problem(CHECK, reason, fix, "warning")))
    return found


def silent(reasons: Mapping[str, str], component: str) -> List[Finding]:
    """Warnings about control planes, for a run in which no control plane describes the cluster."""
    fix = "a run needs a control plane that describes the cluster"
    return [Finding(name, component, Problem(CHECK, reason, fix, "warning")) for name, reason in reasons.items()]


def explains(request: Request, hosts: Sequence[Host]) -> bool:
    """True if no control plane describes the cluster because those of the play could not be observed."""
    return any(name in request.inventory.control_plane for name in request.unobserved) and not any(
        host.control_plane for host in hosts
    )


def _way(name: str, request: Request, dispensable: str) -> str:
    """How to continue: a worker can be left out, a control plane must usually return."""
    controls = request.inventory.control_plane
    if name not in controls:
        return "to continue without it, run again with --limit {0}; if the machine no longer exists, use {1}".format(
            _limit(request, [one for one in request.unobserved if one not in controls]), _removal(name)
        )
    way = "correct this and run again, because every control plane takes part"
    if len(controls) == 1:
        return way
    if dispensable:
        way += "; {0}, --limit {1} leaves it out".format(dispensable, _limit(request, list(request.unobserved)))
    return "{0}; if the machine no longer exists, use {1}".format(way, _removal(name))


def _limit(request: Request, names: Sequence[str]) -> str:
    """The hosts of this run without these, as a pattern in the notation of a shell.

    Ansible splits a pattern at commas, or else at colons, which IPv6 addresses and ranges have too.
    """
    given = split_host_pattern(request.limit) or ["all"]
    left_out = ["!" + name.translate(_LITERALLY) for name in names]
    colons = len(given) > 1 and "," not in request.limit and all(map(_PLAIN.fullmatch, names))
    return shlex.quote((":" if colons else ",").join([*given, *left_out]))


def _removal(name: str) -> str:
    return "remove.yml with -e remove_hosts={0} -e remove_gone=true".format(name)
