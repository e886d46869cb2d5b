# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins without Ansible around them: arguments, variables, and answers instead of a host."""

from __future__ import annotations

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class FakeAction:
    """The part of ActionBase that the collection's action plugins use; the first base of a class under test.

    ``asked`` lists the modules that were run on the host with their arguments, ``censored`` for each whether the
    connection kept it to itself.
    """

    def __init__(self, name: str, arguments: dict[str, Any], *answers: Any, folder: Path | str = "/nowhere") -> None:
        self._task: Any = SimpleNamespace(
            args=arguments,
            action=f"kubestead.cluster.{name}",
            check_mode=False,
            no_log=False,
            delegate_to=None,
            get_path=lambda: "/home/ada/play.yml:7",
        )
        self._templar: Any = SimpleNamespace(template=lambda value: value)
        self._play_context: Any = SimpleNamespace(no_log=False)
        self._connection: Any = SimpleNamespace(_play_context=SimpleNamespace(no_log=False))
        self._loader: Any = SimpleNamespace(get_basedir=lambda: str(folder))
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.censored_calls: list[bool] = []

    def _execute_module(self, module_name: str = "", module_args: Any = None, **_others: Any) -> Any:
        self.asked.append((module_name, copy.deepcopy(module_args)))
        contexts = (self._task, self._play_context, self._connection._play_context)
        self.censored_calls.append(all(context.no_log for context in contexts))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer
