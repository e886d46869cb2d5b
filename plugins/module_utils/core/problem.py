# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The findings of the preflight checks."""

from __future__ import annotations

from dataclasses import dataclass

from . import untrusted


@dataclass(frozen=True)
class Problem:
    """A problem that prevents a run.

    ``check`` is a short name for tools (``kube_packages.version``), ``message`` says what is wrong, ``fix`` what to do
    about it. ``level`` is ``error`` (the run must not start), ``warning``, or ``skipped`` (the user skips the check).
    ``plugin_utils/rules/catalogue.py`` lists all names of checks.
    """

    check: str
    message: str
    fix: str
    level: str = "error"

    def __post_init__(self) -> None:
        # Both are printed, and both may contain text from a node.
        object.__setattr__(self, "message", untrusted.line(self.message))
        object.__setattr__(self, "fix", untrusted.line(self.fix))

    @property
    def line(self) -> str:
        """The finding as one line."""
        return "{0}; {1}".format(self.message, self.fix)


@dataclass(frozen=True)
class Finding:
    """A problem of a host. ``host`` is its inventory name, or ``all`` for a problem of the inventory or the cluster."""

    host: str
    component: str
    problem: Problem

    def line(self) -> str:
        """The finding as one line for users."""
        return "{0}: {1}; {2}".format(self.host, self.problem.message, self.problem.fix)
