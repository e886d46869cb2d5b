# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of a plan: changes to a machine with their reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Sequence

from .untrusted import line


@dataclass(frozen=True)
class Step:
    """One change.

    ``action`` selects the operation of a component's ``apply``, ``target`` is the file, unit, package or object, and
    ``reason`` is the difference that requires the change ("SystemdCgroup false -> true"). ``before`` and ``after`` are
    text for the diff and never contain a secret. ``data`` is only for ``apply`` and is never printed or returned.
    ``disruptive`` is true for a change that disrupts the pods of a node because it restarts or replaces the container
    runtime or the kubelet. ``backup`` is the path of the copy that is kept of a file not created by this collection
    before its first change; empty without a copy.
    """

    component: str
    action: str
    target: str
    reason: str
    before: str = ""
    after: str = ""
    data: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    disruptive: bool = False
    backup: str = ""

    @property
    def full_reason(self) -> str:
        """The reason, and the path of the original file's copy."""
        return "{0}; a copy is kept in {1}".format(self.reason, self.backup) if self.backup else self.reason

    def summary(self) -> str:
        """The step as one line: ``restart containerd (SystemdCgroup false -> true)``."""
        return line("{0} {1} ({2})".format(self.action.replace("_", " "), self.target, self.full_reason))

    def public(self) -> Dict[str, Any]:
        """The step as plain data, without ``data``, which is only for ``apply``."""
        return {
            "component": self.component,
            "action": self.action,
            "target": line(self.target),
            "reason": line(self.full_reason),
            "disruptive": self.disruptive,
        }


def diff(steps: Sequence[Step]) -> List[Dict[str, str]]:
    """The steps in the form of Ansible's diffs: one entry per step, which is the reason for a step without text."""
    entries = []
    for step in steps:
        header = line("{0} ({1})".format(step.target, step.action.replace("_", " ")))
        before, after = step.before, step.after
        if not before and not after:
            after = "{0}\n".format(line(step.full_reason))
        entries.append({"before_header": header, "after_header": header, "before": before, "after": after})
    return entries
