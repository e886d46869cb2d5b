# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an upgrade gives a node another containerd: because Kubernetes needs it, or because the variables ask for it.

Only on hosts with apt, whose lists show which version would be installed. On other hosts, the findings say what to do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Dict, List, Optional, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.plan import package_name, replaces_package
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.versions import numbers, parse
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.manager import version_key

from ..hosts import Host
from ..rules.host_rules import upgrade_problems

CHECK = "containerd_version"
# As dpkg allows it: https://www.debian.org/doc/debian-policy/ch-controlfields.html#version
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+:~-]{0,120}\Z")
# containerd 2.0 removed the version of CRI that older kubelets use.
_CRI_V1 = 26


@dataclass(frozen=True)
class Replacement:
    """The package of containerd that a node gets, its exact version, and why."""

    package: str
    version: str
    reason: str

    @property
    def arguments(self) -> Dict[str, str]:
        """The option ``runtime`` of the module kubeadm_upgrade."""
        return {"package": self.package, "version": self.version}


def is_interrupted(host: Host) -> bool:
    """True if a run was killed while it replaced containerd on the host."""
    begun = host.facts.upgrade
    return bool(begun.runtime and _VERSION.match(begun.runtime_version))


def replacement(host: Host, minor: int, kubelet: str) -> Tuple[Optional[Replacement], List[Problem]]:
    """The containerd that the host gets in an upgrade to 1.``minor``, and the problems that prevent a replacement.

    ``kubelet`` is the version of its running kubelet, which must be able to use the new containerd.
    """
    state, options = host.facts.containerd, host.options.containerd
    begun = host.facts.upgrade
    if is_interrupted(host):
        why = "the replacement of containerd by {0} {1} was interrupted".format(begun.runtime, begun.runtime_version)
        return Replacement(begun.runtime, begun.runtime_version, why), []
    if not state.packages or not state.debian:
        return None, []
    package, installed = package_name(state, options), next(iter(state.packages.values()))
    offered = state.offers.get(package, "")
    usable = offered if _VERSION.match(offered) else ""
    if replaces_package(state, options):
        return _exchanged(host, package, usable, kubelet)
    newer = bool(usable) and version_key(usable) > version_key(installed)
    needed = any(problem.check == CHECK for problem in upgrade_problems(host, minor))
    solved = newer and not any(
        one.check == CHECK for one in upgrade_problems(with_runtime(host, package, usable), minor)
    )
    if not (newer and options.upgrade) and not (needed and solved):
        return None, []
    reason = "Kubernetes 1.{0} needs it".format(minor) if needed and solved else "containerd_upgrade is true"
    found = Replacement(package, usable, "{0} {1} -> {2}; {3}".format(package, installed, usable, reason))
    problem = _too_new(usable, kubelet)
    return (None, [problem]) if problem else (found, [])


def _exchanged(host: Host, package: str, offered: str, kubelet: str) -> Tuple[Optional[Replacement], List[Problem]]:
    """The exchange of a package for another one."""
    there = ", ".join(sorted(host.facts.containerd.packages))
    if not offered:
        text = "containerd_package is {0}, but the node has {1}, and the apt package lists do not have {0}".format(
            package, there
        )
        fix = "add the repository that has it and run 'apt-get update', or set containerd_package to {0}".format(there)
        return None, [Problem("containerd_member", text, fix)]
    if numbers(offered) < numbers(host.facts.containerd.version):
        text = "containerd_package is {0}, but its version {1} is older than containerd {2} on this node".format(
            package, offered, host.facts.containerd.version
        )
        fix = "set containerd_package to {0}; a running containerd is not downgraded".format(there)
        return None, [Problem("containerd_member", text, fix)]
    problem = _too_new(offered, kubelet)
    if problem:
        return None, [problem]
    return Replacement(package, offered, "{0} -> {1} {2}".format(there, package, offered)), []


def _too_new(offered: str, kubelet: str) -> Optional[Problem]:
    runs = parse(kubelet)
    if runs is None or runs.minor >= _CRI_V1 or numbers(offered) < (2, 0):
        return None
    text = "containerd {0} would be installed, but kubelet {1} of this node can't use it".format(offered, kubelet)
    fix = "first upgrade to Kubernetes 1.{0} with the current containerd".format(_CRI_V1)
    return Problem("containerd_member", text, fix)


def with_runtime(host: Host, package: str, version: str) -> Host:
    """The host after the installation of this package."""
    upstream = re.sub(r"^\d+:", "", version)
    state = replace(host.facts.containerd, packages={package: version}, version=upstream)
    return replace(host, facts=replace(host.facts, containerd=state))
