# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thin edge between modules and the pure core: the one file of module_utils that imports Ansible."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional, Sequence

from .call import Call
from .errors import KubesteadError
from .redact import redact, redact_data
from .step import Step, diff
from .system import System

Work = Callable[[Call, System], Dict[str, Any]]


def apply_steps(call: Call, steps: List[Step], apply: Callable[[Step], Optional[Step]]) -> Dict[str, Any]:
    """Apply the steps, except in check mode. Returns the result that all modules of the collection have.

    ``apply`` may return the step as it was taken, if only then all of it is known.
    This is the one place that knows check mode: ``changed``, ``steps`` and ``diff`` all come from the plan.
    """
    if not call.check_mode:
        steps = [apply(step) or step for step in steps]
    return report(steps)


def report(steps: Sequence[Step]) -> Dict[str, Any]:
    """The part of a module's result that describes its steps; the same for every module of the collection."""
    return {"changed": bool(steps), "steps": [step.public() for step in steps], "diff": diff(steps)}


def outcome(call: Call, work: Work) -> Dict[str, Any]:
    """The result of a module's work. An exception of the collection becomes a failure with a message of one line."""
    try:
        return work(call, System())
    except KubesteadError as err:
        # Secrets are already removed at their source; this covers cases that were overlooked.
        return dict(redact_data(err.details), failed=True, msg=redact(err.message))


def run(spec: Dict[str, Any], work: Work) -> None:
    """Run a module as an ordinary Ansible module, for tools that do not use action plugins, such as ansible-test.

    The collection's action plugins run ``work`` without this function: on a node, importing Ansible's AnsibleModule
    takes longer than most observations.
    """
    from ansible.module_utils.basic import AnsibleModule

    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    call = Call(module.params, module.check_mode)
    answer = outcome(call, work)
    module.no_log_values.update(call.hidden)
    for text in call.warnings:
        module.warn(text)
    if answer.pop("failed", False):
        module.fail_json(**answer)
    module.exit_json(**answer)
