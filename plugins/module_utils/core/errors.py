# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exception type of the collection and the format of its messages."""

from __future__ import annotations

from typing import Any, Dict, Optional


class KubesteadError(Exception):
    """A failure the user can act on.

    ``message`` is one line: the thing (option, file, command), what is wrong with it, and the fix. ``details`` is
    returned by modules in addition, for tools; it never contains a secret.
    """

    def __init__(self, message: str, details: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: Dict[str, Any] = details or {}


class OptionError(KubesteadError):
    """An option (variable) whose value can't be used.

    The text is always ``<option> <what is wrong>; <fix>``, so that a reader knows which variable to change.
    """

    def __init__(self, option: str, problem: str, fix: str) -> None:
        super().__init__("{0} {1}; {2}".format(option, problem, fix), {"option": option})
        self.option = option
        self.problem = problem
        self.fix = fix


class CommandError(KubesteadError):
    """A command that exited with a code other than 0, or did not end in time."""
