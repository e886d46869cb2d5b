# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The thin edge between Ansible and the pure core: the one file of module_utils that imports Ansible."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Optional

from ansible.module_utils.basic import AnsibleModule

from .errors import KubesteadError
from .redact import redact, redact_data
from .step import Step, diff
from .system import System


def carry_out(module: AnsibleModule, steps: List[Step], apply: Callable[[Step], None]) -> Dict[str, Any]:
    """Apply the steps unless this is a dry run; the result every module of the collection returns.

    This is the one place that knows check mode: ``changed``, ``steps`` and ``diff`` all come from the plan.
    """
    if not module.check_mode:
        for step in steps:
            apply(step)
    return {"changed": bool(steps), "steps": [step.public() for step in steps], "diff": diff(steps)}


def run(module: AnsibleModule, work: Callable[[AnsibleModule, System], Dict[str, Any]]) -> None:
    """Run a module's work and leave with its result, or with one line when the collection's exception comes up."""
    system = System()
    failure: Optional[KubesteadError] = None
    result: Dict[str, Any] = {}
    try:
        result = work(module, system)
    except KubesteadError as err:
        failure = err
    if failure is not None:
        # Filtered at its source already; this is for what nobody thought of.
        module.fail_json(msg=redact(failure.message), **redact_data(failure.details))
    module.exit_json(**result)
