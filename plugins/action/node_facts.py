# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of node_facts that runs on the control machine: it lays the wanted options beside what was observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.kubestead.cluster.plugins.module_utils import areas
from ansible_collections.kubestead.cluster.plugins.module_utils.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.model import public_fields


class ActionModule(ActionBase):
    """Reads the host's variables, asks the node once, returns both.

    Role defaults are seen only by tasks of the host itself, never through hostvars; so this is where the options of a
    host are read, for the plan to use them. Options that are secret are left out; only their names are kept.
    """

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the module's result with ``options`` and ``problems`` (options of the wrong type) added."""
        super().run(tmp, task_vars)
        variables = _Variables(task_vars or {}, self._templar)
        options: dict[str, Any] = {}
        secrets: dict[str, list[str]] = {}
        problems: list[dict[str, str]] = []
        for area in areas.OPTIONS:
            try:
                value = areas.options_from_variables(area, variables)
            except OptionError as err:
                problems.append({"area": area, "option": err.option, "problem": err.problem, "fix": err.fix})
                continue
            options[area] = public_fields(value)
            secrets[area] = areas.secrets_in_use(value)
        arguments = {**areas.observation_arguments(options), **self._task.args}
        result: dict[str, Any] = self._execute_module("kubestead.cluster.node_facts", arguments, task_vars=task_vars)
        result.update(options=options, secrets=secrets, problems=problems)
        return result


class _Variables(Mapping[str, Any]):
    """The host's variables, templated one by one when they are asked for."""

    def __init__(self, variables: Mapping[str, Any], templar: Any) -> None:
        self._variables = variables
        self._templar = templar

    def __getitem__(self, name: str) -> Any:
        return self._templar.template(self._variables[name])

    def __iter__(self) -> Any:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)
