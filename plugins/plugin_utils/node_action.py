# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base class of action plugins that run a module on a node: the answer of a node is only data."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import HIDDEN
from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import printable, type_name

from . import connection_errors, interpreter, node_payload, wakeups
from .answer_limits import limited
from .variables import refusal

#: Keys of a result that Ansible itself gives a meaning which a node may have: how its task went, and texts to print.
COMMON = frozenset(("changed", "failed", "unreachable", "skipped", "msg", "rc", "warnings", "diff", "steps"))
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
        "containerd_log",
        "container_logs",
        "culprits",
        "module_stdout",
        "module_stderr",
    )
)
#: The key that marks a complete answer. It is added on the control machine, after a key of the node with this name is
#: removed.
COMPLETE = "kubestead_complete"
#: Keys that Ansible adds on the control machine, after those of the node with such names were removed.
_OWN = ("_ansible_no_log", "_ansible_delegated_vars")
#: Keys that Ansible returns for output that is not a result.
_NOISE = frozenset(("module_stdout", "module_stderr"))
# The beginning of a line that Ansible would read as the beginning of a result.
_OBJECT = re.compile(r"^[ \t]*(?={)", re.MULTILINE)
_INTERPRETER = re.compile(r"discovered_interpreter_[a-z]+")
_INTERPRETER_PATH = re.compile(r"/[A-Za-z0-9/._+-]{1,250}")

#: Characters of a module's output; what is longer is not even parsed.
MAX_OUTPUT = 16 * 1024 * 1024
#: Bytes that are read of it. A character has four bytes at most.
MAX_READ = 4 * MAX_OUTPUT
#: Values in an answer. Even an empty list takes much more memory than text.
MAX_VALUES = 1_000_000
#: Characters of a key.
MAX_KEY = 4096
#: Characters that are shown of what is not a result at all.
MAX_NOISE = 4000
#: Characters of a line of this output in a message.
MAX_REASON = 300
MAX_TEXT = 1024 * 1024
#: The limits for steps and differences (a node may need a route to each other node), for warnings, and for the length
#: of a line in characters.
MAX_STEPS, MAX_WARNINGS, MAX_LINE = 5000, 100, 20_000
#: The limit for numbers: larger than any count or time, and small enough for arithmetic.
MAX_NUMBER = 2**64
MAX_ITEMS = 20_000
MAX_DEPTH = 24


class NodeAction(ActionBase):
    """Runs modules on the host of the task, and passes on only the results that they may return.

    A module's answer can name ``ansible_facts``, which Ansible makes variables that win over those of the inventory,
    and any other key that Ansible acts on. A machine that is not trusted must not decide such things, so only the keys
    in :attr:`RETURNS` and :data:`COMMON` pass, without control characters and within limits of size.
    """

    #: The keys that the module returns, as its documentation lists them.
    RETURNS: frozenset[str] = frozenset()

    _supports_check_mode = True
    _supports_diff = True
    # No file is transferred to the host, so Ansible need not create a temporary folder there.
    TRANSFERS_FILES = False

    def __init_subclass__(cls, **more: Any) -> None:
        """Prepare Ansible's main process, which loads the class before it starts a process for each host.

        The module of the same name is loaded once, and the main process wakes up less often while it waits for hosts.
        """
        super().__init_subclass__(**more)
        node_payload.load(cls.__module__.rpartition(".")[2])
        wakeups.group()

    #: The most seconds that the host may take for its answer; 0 for modules whose time is an option.
    PATIENCE = 0.0

    #: Whether the last answer of the host was a complete object.
    complete = False
    _pythons: Sequence[str] = ()

    def run_on_node(
        self,
        module: str,
        arguments: Mapping[str, Any],
        task_vars: dict[str, Any] | None,
        secrets: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Run a module of the collection on the host. Returns its answer, reduced to the documented keys.

        If facts of a host have names of variables of the collection, the module does not run on any host.
        ``secrets`` are the secrets among the arguments (an empty list if they are not known individually). They are
        never shown, even if a host repeats them or the output of a module is interrupted.
        Raises AnsibleConnectionFailure and AnsibleActionFail with a text of one line, because the host wrote the text.
        """
        refused = refusal(task_vars or {})
        if refused:
            return {"failed": True, "msg": refused}
        try:
            with contextlib.nullcontext() if secrets is None else self.censored():
                answer = self._execute_module(node_payload.PREFIX + module, dict(arguments), task_vars=task_vars)
        except AnsibleError as err:
            text = without(str(err.message), secrets or ())
            if isinstance(err, AnsibleConnectionFailure):
                raise AnsibleConnectionFailure(connection_errors.lost(text)) from None
            raise AnsibleActionFail(line(connection_errors.refused(text))) from None
        self.complete = isinstance(answer, Mapping) and answer.get(COMPLETE) is True
        if secrets is not None and not self.complete and isinstance(answer, Mapping) and _NOISE & set(answer):
            return incomplete(module, answer)
        reported = reduced(answer, self.RETURNS | COMMON)
        return {**(without(reported, secrets) if secrets else reported), **self._interpreter(answer)}

    def _execute_module(self, module_name: str = "", module_args: Any = None, **others: Any) -> Any:
        """Run a module on the host. The options of this collection's modules are checked first."""
        if not node_payload.is_own(module_name):
            return super()._execute_module(module_name, module_args, **others)
        given = node_payload.checked(module_name.removeprefix(node_payload.PREFIX), module_args)
        invocation = {"invocation": {"module_args": given.shown}}
        if given.problem:
            return {"failed": True, "msg": given.problem, COMPLETE: True, **invocation}
        return {**super()._execute_module(module_name, given.parameters, **others), **invocation}

    def _configure_module(self, module_name: str, module_args: Any, task_vars: Any) -> Any:
        """Prepare what is sent to the host. For a module of this collection, this is the program of the collection."""
        if not node_payload.is_own(module_name):
            return super()._configure_module(module_name, module_args, task_vars)
        with node_payload.in_place_of_module(self, module_name):
            variables = interpreter.with_name(task_vars or {}, self._task.delegate_to)
            self._pythons = interpreter.candidates(variables, self._task.delegate_to)
            return super()._configure_module(module_name, module_args, variables)

    def _low_level_execute_command(self, cmd: str, *args: Any, **others: Any) -> Any:
        """Run a command on the host, within limits. One that runs a module of this collection finds Python itself."""
        with limited(MAX_READ, self.PATIENCE) as limit:
            result = super()._low_level_execute_command(interpreter.with_search(cmd, self._pythons), *args, **others)
        return {**result, **_refused(limit.reason)} if limit.reason else result

    def _interpreter(self, answer: Any) -> dict[str, Any]:
        """The path of Python on the host, where Ansible looked for it in this task: the next one need not look again.

        It is the one fact that passes. It was not in the module's answer, and Ansible uses it on that host alone.
        """
        key = getattr(self, "_discovered_interpreter_key", None)
        facts = answer.get("ansible_facts") if isinstance(answer, Mapping) else None
        path = facts.get(key) if key and isinstance(facts, Mapping) else None
        if isinstance(path, str) and _INTERPRETER.fullmatch(str(key)) and _INTERPRETER_PATH.fullmatch(path):
            return {"ansible_facts": {str(key): str(path)}}
        return {}

    def _parse_returned_data(self, res: dict[str, Any], *args: Any) -> Any:
        """The module's answer, without anything that Ansible would act on or print before it hands the answer on."""
        output = {key: str(res.get(key) or "") for key in ("stdout", "stderr")}
        if any(len(text) > MAX_OUTPUT for text in output.values()):
            output = _refused(f"it is longer than {MAX_OUTPUT} characters")
        elif sum(map(output["stdout"].count, "[{,")) > MAX_VALUES:
            output = _refused(f"it has more than {MAX_VALUES} values")
        # A terminal on the host ends lines in two characters.
        output = {key: printable(text.replace("\r\n", "\n")) for key, text in output.items()}
        output["stdout"] = _result_alone(output["stdout"])
        try:
            output["stdout"] = json.dumps(
                {**_plain_answer(json.loads(output["stdout"], object_hook=_plain)), COMPLETE: True}
            )
        except (ValueError, TypeError, RecursionError):
            # Ansible then finds no result in the output, and reports whether Python is missing.
            output["stdout"] = _OBJECT.sub(r"> \g<0>", output["stdout"])
        try:
            # The return value differs between releases of Ansible.
            return super()._parse_returned_data({**res, **output}, *args)
        except Exception as err:
            # Nothing that a host sends ends in a traceback.
            output = _refused(f"it can't be read ({type(err).__name__})")
            return super()._parse_returned_data({**res, **output}, *args)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module of the same name with the arguments of the task."""
        super().run(tmp, task_vars)
        return self.run_on_node(self._task.action.rpartition(".")[2], self._task.args, task_vars)

    @contextlib.contextmanager
    def censored(self) -> Iterator[None]:
        """Keep the connection from printing its data at high verbosity, as ``no_log`` of a task does."""
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


def _refused(why: str) -> dict[str, str]:
    """The output of a module in place of one that is not read."""
    msg = f"the host's answer was refused: {why}"
    return {"stdout": json.dumps({"failed": True, "msg": msg}), "stderr": ""}


def _result_alone(output: str) -> str:
    """The module's output from the first to the last line that can be its result.

    Ansible prints what it finds around the result as a warning.
    """
    lines = output.splitlines()
    begin = next((at for at, text in enumerate(lines) if text.lstrip().startswith("{")), 0)
    end = next((at for at in range(len(lines), begin, -1) if lines[at - 1].rstrip().endswith("}")), len(lines))
    return "\n".join(lines[begin:end])


def _plain(found: dict[str, Any]) -> dict[str, Any] | None:
    """An object of an answer; None if Ansible would convert the object to a type other than plain data."""
    return None if "__ansible_type" in found else found


def _plain_answer(data: Any) -> dict[str, Any]:
    """The answer without internal keys of Ansible, and without the facts it would set and the texts it would split."""
    if not isinstance(data, Mapping):
        raise TypeError("not an object")
    answer = {
        key: value
        for key, value in data.items()
        if isinstance(key, str) and not key.startswith(("_ansible", "ansible"))
    }
    for key in ("stdout", "stderr", "exception"):
        if key in answer and not isinstance(answer[key], str):
            del answer[key]
    # Only the connection reports that a host is unreachable.
    for key in ("add_host", "add_group", "results", "unreachable"):
        answer.pop(key, None)
    return answer


def reduced(answer: Any, allowed: frozenset[str]) -> dict[str, Any]:
    """A module's answer with the ``allowed`` keys alone, cleaned; what Ansible added itself stays.

    An answer of another shape becomes a failure of the task, in one line.
    """
    if not isinstance(answer, Mapping):
        return {
            "failed": True,
            "msg": "the host's answer is not a module result; check Python and the login on this host",
        }
    own = {key: answer[key] for key in _OWN if key in answer}
    try:
        if answer.get("failed"):
            allowed = allowed | DETAILS
        reported = {
            str(key): _warnings(value) if key == "warnings" else clean(value)
            for key, value in answer.items()
            if key in allowed or (key == "invocation" and isinstance(value, Mapping))
        }
    except ValueError as err:
        return {**own, "failed": True, "msg": f"the host's answer was refused: {err}"}
    for key in ("changed", "failed", "unreachable", "skipped"):
        if key in reported:
            reported[key] = reported[key] is True
    for key, shape in (("diff", _diff), ("steps", _step)):
        if key in reported:
            entries = reported[key][:MAX_STEPS] if isinstance(reported[key], list) else []
            reported[key] = [shape(entry) for entry in entries if isinstance(entry, dict)]
    if "rc" in reported and not isinstance(reported["rc"], int):
        del reported["rc"]
    if _NOISE & set(reported) and reported.get("failed"):
        # Only if the interpreter does not exist, Ansible's own message is better.
        missing = "interpreter" in str(reported.get("msg"))
        reported["msg"] = (
            connection_errors.without_python(str(reported["msg"])) if missing else _without_result(reported)
        )
    for key in ("module_stdout", "module_stderr"):
        # Whatever it is, it is not a result.
        if key in reported:
            reported[key] = str(reported[key])[:MAX_NOISE]
    if "msg" in reported:
        # Ansible prints the message of a failure as it is, so that a line end would begin a line of the output.
        reported["msg"] = line(reported["msg"])[:MAX_LINE]
    return {**own, **reported}


def _without_result(answer: Mapping[str, Any]) -> str:
    """The message about a program that ended without a result: what it printed about the cause, and the fix."""
    output = "\n".join(str(answer.get(key) or "") for key in ("module_stderr", "module_stdout"))
    shown, fix = connection_errors.ended(output, answer.get("rc"))
    code = f" with exit code {answer['rc']}" if "rc" in answer else ""
    return f"the program on the host ended{code} without a result: {line(shown)[:MAX_REASON]}; {fix}"


def incomplete(module: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The failure of a module whose unreadable output may contain secrets. Part of a secret can't be recognized."""
    code = answer.get("rc")
    why = f"exit code {code}" if isinstance(code, int) and abs(code) < MAX_NUMBER else "no exit code"
    text = f"the output of {module} is incomplete ({why}); check that Python runs on this host, and run again"
    return {"failed": True, "msg": text}


def without(value: Any, secrets: Sequence[str]) -> Any:
    """Plain data in which these secrets are hidden, also in the notation of JSON."""
    if isinstance(value, str):
        forms = {form for secret in secrets if secret for form in (secret, json.dumps(secret)[1:-1])}
        for form in sorted(forms, key=len, reverse=True):
            value = value.replace(form, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {key: without(item, secrets) for key, item in value.items()}
    return [without(item, secrets) for item in value] if isinstance(value, list) else value


def _warnings(value: Any) -> list[str]:
    """Warnings, each on one line. Ansible's own modules hand them on as objects."""
    entries = value if isinstance(value, (list, tuple)) else []
    if len(entries) > MAX_ITEMS:
        raise ValueError(f"it has more than {MAX_ITEMS} entries")
    texts = [one if isinstance(one, str) else getattr(getattr(one, "event", None), "msg", None) for one in entries]
    return [line(text[:MAX_LINE]) for text in texts if isinstance(text, str)][:MAX_WARNINGS]


def _diff(entry: Mapping[str, Any]) -> dict[str, str]:
    """An entry of a difference with the parts that Ansible shows line by line, behind a sign for each line."""
    texts = {key: entry[key] for key in ("before", "after") if isinstance(entry.get(key), str)}
    headers = {key: line(entry[key]) for key in ("before_header", "after_header") if isinstance(entry.get(key), str)}
    return {**texts, **headers}


def _step(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A step as :meth:`Step.public` makes it."""
    names = ("component", "action", "target", "reason")
    texts = {key: line(entry[key])[:MAX_LINE] for key in names if key in entry}
    return {**texts, "disruptive": entry.get("disruptive") is True}


def clean(value: Any, depth: int = 0) -> Any:
    """Plain data without control characters. Raises :class:`ValueError` for what is too large or too deep."""
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            raise ValueError(f"a text in it is longer than {MAX_TEXT} characters")
        return printable(str(value))
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        if not abs(value) < MAX_NUMBER:
            raise ValueError("a number in it is too large or invalid")
        return value
    if isinstance(value, Mapping):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"it has more than {MAX_ITEMS} entries")
        if any(len(str(key)) > MAX_KEY for key in value):
            raise ValueError(f"a key in it is longer than {MAX_KEY} characters")
        if any(str(key).startswith("__ansible") for key in value):
            # In a fact cache, such a key would turn the value into a vault or another internal type of Ansible.
            raise ValueError("it contains a type that is internal to Ansible")
        return {line(key): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) > MAX_ITEMS:
            raise ValueError(f"it has more than {MAX_ITEMS} entries")
        return [clean(item, depth + 1) for item in value]
    raise ValueError(f"it contains a {type_name(value)}")


def lines(value: Any) -> list[str]:
    """The texts of a list, each on one line. If a host returns anything but a list, the result is empty."""
    entries = value if isinstance(value, (list, tuple)) else []
    return [line(one[:MAX_LINE]) for one in entries if isinstance(one, str)]


def line(text: Any) -> str:
    """A text as one line, for a terminal."""
    return " ".join(printable(str(text)).split())
