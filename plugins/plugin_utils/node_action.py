# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base class of action plugins that run a module on a node: the answer of a node is only data."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible.plugins.action import ActionBase

#: Keys of a result that Ansible itself gives a meaning which a node may have: how its task went, and texts to print.
COMMON = frozenset(
    (
        "changed",
        "failed",
        "unreachable",
        "skipped",
        "msg",
        "rc",
        "warnings",
        "deprecations",
        "diff",
        "steps",
    )
)
#: What else a failure may say: the collection's own exceptions have these details.
DETAILS = frozenset(
    (
        "check",
        "component",
        "stdout",
        "stderr",
        "stdout_lines",
        "stderr_lines",
        "phase",
        "causes",
        "diagnosis",
        "kubelet_log",
        "container_logs",
        "module_stdout",
        "module_stderr",
    )
)
#: Keys that Ansible adds on the control machine.
_OWN = ("_ansible_parsed", "_ansible_no_log", "_ansible_delegated_vars", "invocation")

MAX_TEXT = 1024 * 1024
MAX_ITEMS = 20_000
MAX_DEPTH = 24

# C0 and C1 control characters without tab and line feed, line and paragraph separators, bidirectional controls.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class NodeAction(ActionBase):
    """Runs modules on the host of the task and hands on only what they may say.

    A module's answer can name ``ansible_facts``, which Ansible makes variables that win over those of the inventory,
    and any other key that Ansible acts on. A machine that is not trusted must not decide such things, so only the keys
    in :attr:`RETURNS` and :data:`COMMON` pass, without control characters and within limits of size.
    """

    #: The keys that the module returns, as its documentation lists them.
    RETURNS: frozenset[str] = frozenset()

    _supports_check_mode = True
    _supports_diff = True
    # Nothing is put on the host, so no temporary folder has to be made there, in a dry run least of all.
    TRANSFERS_FILES = False

    def ask(
        self,
        module: str,
        arguments: Mapping[str, Any],
        task_vars: dict[str, Any] | None,
        returns: frozenset[str] | None = None,
    ) -> dict[str, Any]:
        """Run a module of the collection on the host; its answer, reduced to what it may say."""
        answer = self._execute_module(f"kubestead.cluster.{module}", dict(arguments), task_vars=task_vars)
        return reduced(answer, (self.RETURNS if returns is None else returns) | COMMON)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module of the same name with the arguments of the task."""
        super().run(tmp, task_vars)
        return self.ask(self._task.action.rpartition(".")[2], self._task.args, task_vars)

    @contextlib.contextmanager
    def censored(self) -> Iterator[None]:
        """Keep the connection from printing what goes over it at high verbosity, as ``no_log`` of a task does."""
        # The connection may hold a play context of its own.
        contexts = [self._play_context, getattr(self._connection, "_play_context", self._play_context)]
        before = [self._task.no_log, *(context.no_log for context in contexts)]
        try:
            self._task.no_log = True
            for context in contexts:
                context.no_log = True
            yield
        finally:
            self._task.no_log = before[0]
            for context, value in zip(contexts, before[1:], strict=True):
                context.no_log = value


def reduced(answer: Any, allowed: frozenset[str]) -> dict[str, Any]:
    """A module's answer with the ``allowed`` keys alone, cleaned; what Ansible added itself stays.

    An answer of another shape becomes a failure of the task, in one line.
    """
    if not isinstance(answer, Mapping):
        return {
            "failed": True,
            "msg": "the answer of the host is not a result; check Python and the login on this host",
        }
    own = {key: answer[key] for key in _OWN if key in answer}
    try:
        if answer.get("failed"):
            allowed = allowed | DETAILS
        said = {str(key): clean(value) for key, value in answer.items() if key in allowed}
    except ValueError as err:
        return {**own, "failed": True, "msg": f"the answer of the host was refused: {err}"}
    for key in ("changed", "failed", "unreachable", "skipped"):
        if key in said:
            said[key] = said[key] is True
    for key in ("warnings", "deprecations", "diff", "steps"):
        if key in said and not isinstance(said[key], list):
            said[key] = []
    if "warnings" in said:
        said["warnings"] = [line(text) for text in said["warnings"]]
    if "msg" in said:
        said["msg"] = str(said["msg"])
    return {**own, **said}


def clean(value: Any, depth: int = 0) -> Any:
    """Plain data without control characters. Raises :class:`ValueError` for what is too large or too deep."""
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"a text in it is longer than {MAX_TEXT} characters")
        return _CONTROL.sub("\ufffd", str(value))
    if isinstance(value, bool) or value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, Mapping):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"it has more than {MAX_ITEMS} entries")
        return {_CONTROL.sub("\ufffd", str(key)): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"it has more than {MAX_ITEMS} entries")
        return [clean(item, depth + 1) for item in value]
    raise ValueError(f"it holds a {type(value).__name__}")


def line(text: Any) -> str:
    """A text as one line, for a terminal."""
    return " ".join(_CONTROL.sub("\ufffd", str(text)).split())
