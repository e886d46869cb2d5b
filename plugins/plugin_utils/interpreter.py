# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Python on a host, found by the command that runs a module.

Ansible looks for Python with a separate command before it runs the first module on a host. That is half of the round
trips of a run with nothing to do. Here, the interpreter of a module is a placeholder. It is replaced by a shell command
that starts the first existing Python in Ansible's list. An interpreter that is set or was found before has priority.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ansible import constants as C

#: The fact that Ansible takes as the interpreter if ``ansible_python_interpreter`` is not set.
FACT = "discovered_interpreter_python"
#: Stands for the shell in a command. Ansible quotes an interpreter as one word.
NAME = "kubestead-first-python"

# Without single quotes: each shell on the way to the host would multiply them.
_ANSWER = r"{\"failed\": true, \"msg\": \"Python was not found; install python3, or set ansible_python_interpreter\"}"
# A program needs only the standard library. Python starts a third faster without looking for more (-S), and ignores
# the variables and folders of a user (-I).
_SEARCH = 'for python in {}; do command -v "$python" >/dev/null 2>&1 && exec "$python" -I -S "$@"; done; '
_END = f'echo "{_ANSWER}"; exit 1'


def with_name(task_vars: Mapping[str, Any], delegate: str | None) -> dict[str, Any]:
    """The variables of a task in which the interpreter is :data:`NAME`, unless it is known.

    ``delegate`` is the host that the task is delegated to. The variables that are given stay unchanged.
    """
    if not delegate:
        return _named(task_vars)
    delegated = task_vars["ansible_delegated_vars"]
    return {**task_vars, "ansible_delegated_vars": {**delegated, delegate: _named(delegated[delegate])}}


def _named(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {**variables, "ansible_facts": {FACT: NAME, **(variables.get("ansible_facts") or {})}}


def with_search(command: str, names: Sequence[str]) -> str:
    """A command line in which :data:`NAME` starts the first of the interpreters ``names`` that exists.

    If none exists, it answers as a module that failed.
    """
    script = _SEARCH.format(" ".join(map(shlex.quote, names))) + _END
    return command.replace(NAME, f"/bin/sh -c {shlex.quote(script)} sh", 1)


def candidates(task_vars: Mapping[str, Any], delegate: str | None) -> list[str]:
    """The interpreters that Ansible looks for on the host of a task, or on the host that it is delegated to."""
    variables = task_vars["ansible_delegated_vars"][delegate] if delegate else task_vars
    return [str(name) for name in C.config.get_config_value("INTERPRETER_PYTHON_FALLBACK", variables=dict(variables))]
