# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that runs a module of the collection on a node: files of the collection, without code of Ansible.

Ansible builds a program for each module and adds AnsibleModule with its dependencies. They are half of what is sent.
The control machine needs a third of a second to add them to a module, and each node a tenth of a second to import them
for a call. Here, the options are checked on the control machine with the argument spec of the module, and the node gets
only the files that the module imports.

For Ansible, the program is a JSONARGS module: a script with a placeholder that Ansible replaces with the arguments, as
documented in "Ansible module architecture". Ansible handles the interpreter, become, the environment, pipelining and
temporary files as for every module. Only this file depends on JSONARGS.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import fcntl
import functools
import importlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ansible import constants as C
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.kubestead.cluster.plugins.module_utils.core import bootstrap
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import masked, secrets_of

from . import bytecode

PREFIX = "kubestead.cluster."
PACKAGE = "ansible_collections.kubestead.cluster.plugins."
#: Ansible replaces this text with the arguments as JSON. JSON never contains three quotes in a row, and its backslashes
#: stay unchanged in a raw string.
PLACEHOLDER = "<<INCLUDE_ANSIBLE_MODULE_JSON_ARGS>>"

_PLUGINS = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(
    r"^[ \t]*from[ \t]+(\.[\w.]*|" + re.escape(PACKAGE) + r"[\w.]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE
)
# The documentation of a module is only for ansible-doc.
_DOCUMENTATION = re.compile(r'^(?:DOCUMENTATION|EXAMPLES|RETURN) = r"""\n.*?^"""', re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_DOCSTRING = re.compile(r'^([ ]*)"""(?:[^"\\]|"(?!""))*"""$', re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Checked:
    """The options of a module, converted by its argument spec, or the problem with the options.

    ``shown`` are the options without secrets, for the key ``invocation`` of the result.
    """

    parameters: dict[str, Any]
    shown: dict[str, Any]
    problem: str = ""


def is_own(name: str) -> bool:
    """True for the full name of a module of the collection."""
    return name.startswith(PREFIX)


@functools.cache
def spec_of(name: str) -> dict[str, dict[str, Any]]:
    """The argument spec of a module of the collection."""
    with bytecode.kept():
        module = importlib.import_module(f"{PACKAGE}modules.{name}")
    spec: dict[str, dict[str, Any]] = module.argument_spec()
    return spec


def load(name: str) -> None:
    """Load the argument spec of a module, if a module of this name exists."""
    if _is_file(f"modules.{name}"):
        spec_of(name)


def checked(name: str, arguments: Mapping[str, Any]) -> Checked:
    """Check the arguments of a module of the collection as AnsibleModule does on a node.

    Paths refer to the node and are resolved on it.
    """
    spec = spec_of(name)
    here = {option: {**one, "type": "str"} if one.get("type") == "path" else one for option, one in spec.items()}
    try:
        result = ArgumentSpecValidator(here).validate(dict(arguments))
    except TypeError:
        # Ansible's message about an unknown key within an option can contain only texts.
        problem = f"Unsupported parameters for ({PREFIX}{name}) module: an option has a key that is not text"
        return Checked({}, {}, problem)
    parameters = dict(result.validated_parameters)
    secrets = secrets_of(spec, parameters) | secrets_of(spec, arguments)
    problem = ""
    if result.error_messages:
        problem = str(masked(result.errors.msg, secrets))
        if result.unsupported_parameters:
            problem = f"Unsupported parameters for ({PREFIX}{name}) module: {problem}"
    return Checked(parameters, {option: masked(value, secrets) for option, value in parameters.items()}, problem)


def files_of(name: str) -> dict[str, str]:
    """The source of a module of the collection, without documentation, and of all its imports, by full name."""
    sources: dict[str, str] = {}
    waiting = [f"modules.{name}", bootstrap.ENTRY.removeprefix(PACKAGE)]
    while waiting:
        one = waiting.pop()
        if one not in sources:
            # Comments become empty lines, docstrings a dot and empty lines. A test compares the parsed code.
            sources[one] = _COMMENT.sub("", _DOCSTRING.sub(_emptied, _file(one).read_text(encoding="utf-8")))
            waiting += _imports(one, sources[one])
    own = f"modules.{name}"
    # The numbers of lines stay the same, for tracebacks.
    sources[own] = _DOCUMENTATION.sub(lambda match: "\n" * match[0].count("\n"), sources[own])
    return {PACKAGE + one: text for one, text in sorted(sources.items())}


def _emptied(docstring: re.Match[str]) -> str:
    # A dot, because Python creates a missing docstring of a dataclass from its signature, which takes 0.1 ms.
    return docstring[1] + '"."' + "\n" * docstring[0].count("\n")


def _file(name: str) -> Path:
    return _PLUGINS / (name.replace(".", "/") + ".py")


def _imports(name: str, text: str) -> list[str]:
    """The files of the collection that a file imports, at any level of the code."""
    found = []
    for base, names in _IMPORT.findall(text):
        if base.startswith("."):
            dots = len(base) - len(base.lstrip("."))
            base = ".".join([*name.split(".")[:-dots], *filter(None, [base.lstrip(".")])])  # noqa: PLW2901
        base = base.removeprefix(PACKAGE)  # noqa: PLW2901
        words = [word.split()[0] for word in names.strip("()").split(",") if word.split()]
        found += [one for one in (base, *(f"{base}.{word}" for word in words)) if _is_file(one)]
    return found


@functools.cache
def _is_file(name: str) -> bool:
    return _file(name).is_file()


def program(name: str) -> str:
    """The program for a module of the collection, with the placeholder for its arguments."""
    packed = base64.b64encode(zlib.compress(json.dumps(files_of(name)).encode())).decode()
    beginning = _file(bootstrap.__name__.removeprefix(PACKAGE)).read_text(encoding="utf-8")
    return f'#!/usr/bin/python\n{beginning}\n\nstart("{PACKAGE}modules.{name}", "{packed}", r"""{PLACEHOLDER}""")\n'


def program_file(name: str) -> str:
    """The path of the program. The first process that needs the program builds it, once in a run."""
    folder = Path(C.DEFAULT_LOCAL_TMP) / "kubestead"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{name}.py"
    if not path.exists():
        with open(folder / f"{name}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                unfinished = path.with_suffix(f".{os.getpid()}")
                unfinished.write_text(program(name), encoding="utf-8")
                unfinished.replace(path)
    return str(path)


@contextlib.contextmanager
def in_place_of_module(action: Any, name: str) -> Iterator[None]:
    """Make an action plugin find the program when it looks for the module of this full name."""
    found = SimpleNamespace(resolved=True, plugin_resolved_path=program_file(name.removeprefix(PREFIX)))
    finder = SimpleNamespace(find_plugin_with_context=lambda *_args, **_kwargs: found)
    before = action._shared_loader_obj
    action._shared_loader_obj = SimpleNamespace(module_loader=finder)
    try:
        yield
    finally:
        action._shared_loader_obj = before
