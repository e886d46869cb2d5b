# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads Kubernetes manifests from YAML on the control machine, which has PyYAML.

Values are read the way kubectl reads them: ``12:30`` is text, not a number in base sixty, and a date stays text.
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core import untrusted
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError

SUFFIXES = (".yaml", ".yml", ".json")

_INT = re.compile(r"^(?:[-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+)\Z")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_loader_class: List[Any] = []


def _loader() -> Any:
    """The YAML loader, made once."""
    if _loader_class:
        return _loader_class[0]
    import yaml  # the control machine has it, targets need not

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        """Safe, with kubectl's idea of plain values, and without keys given twice."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for name, _value in node.value:
                if name.tag == "tag:yaml.org,2002:merge":
                    continue
                value = self.construct_object(name, deep=True)
                if isinstance(value, (str, int)) and value in seen:
                    problem = _Twice("{0!r} is defined twice".format(value))
                    raise yaml.constructor.ConstructorError(None, None, problem, name.start_mark)
                if isinstance(value, (str, int)):
                    seen.add(value)
            return super().construct_mapping(node, deep)

    def construct_int(loader: Any, node: Any) -> Any:
        text = str(loader.construct_scalar(node)).replace("_", "")
        if re.match(r"^[-+]?0o", text):
            return int(text.replace("0o", ""), 8)
        return loader.construct_yaml_int(node)

    kept: Dict[Any, Any] = {}
    dropped = tuple("tag:yaml.org,2002:" + name for name in ("timestamp", "value", "int", "float"))
    for first, resolvers in base.yaml_implicit_resolvers.items():
        kept[first] = [(tag, pattern) for tag, pattern in resolvers if tag not in dropped]
    for first in "-+0123456789":
        kept.setdefault(first, []).append(("tag:yaml.org,2002:int", _INT))
    for first in "-+0123456789.":
        kept.setdefault(first, []).append(("tag:yaml.org,2002:float", _FLOAT))
    Loader.yaml_implicit_resolvers = kept
    Loader.add_constructor("tag:yaml.org,2002:int", construct_int)
    _loader_class.append(Loader)
    return Loader


def parse(text: str, option: str, name: str) -> List[Any]:
    """The documents of a YAML text, lists of objects opened, empty ones left out.

    Raises :class:`OptionError` for ``option`` with the file ``name`` and the line.
    """
    import yaml

    documents: List[Any] = []
    try:
        for document in yaml.load_all(text, Loader=_loader()):
            documents.extend(_opened(document))
    except yaml.MarkedYAMLError as err:
        mark = err.problem_mark or err.context_mark
        line = ", line {0}".format(mark.line + 1) if mark else ""
        raise OptionError(
            option, "is not YAML: {0}{1}: {2}".format(name, line, _without_values(err)), "correct the file"
        ) from None
    except RecursionError:
        raise OptionError(option, "is not YAML: {0} is nested too deeply".format(name), "correct the file") from None
    except (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as err:
        # PyYAML raises any of these for a value that does not fit its tag, with the value in the text.
        unreadable = isinstance(err, yaml.reader.ReaderError)
        why = "it has a character that YAML does not allow" if unreadable else "a value does not fit its tag"
        raise OptionError(option, "is not YAML: {0}: {1}".format(name, why), "correct the file") from None
    return documents


class _Twice(str):
    """A problem that quotes a name, not a value."""


def _without_values(error: Any) -> str:
    """What is wrong with a YAML text, without the words of the text: an alias or a tag may be a password."""
    problem = error.problem or error.context or "it can't be read"
    if isinstance(problem, _Twice):
        return str(problem)
    # What PyYAML names itself stays: '<block end>', and characters like ':'.
    return " ".join(re.sub(r"'(?!<|\W')(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "", str(problem)).split())


def _opened(document: Any) -> List[Any]:
    if document is None:
        return []
    if isinstance(document, Mapping):
        items = document.get("items")
        if str(document.get("kind", "")).endswith("List") and isinstance(items, list):
            return [inner for item in items for inner in _opened(item)]
    return [document]


def find(path: str, folders: Sequence[str]) -> str:
    """A path made absolute: as it is, below the home folder (``~``), or in the first of ``folders`` that has it."""
    expanded = os.path.expanduser(path)
    if os.path.isabs(expanded):
        return expanded
    for folder in folders:
        candidate = os.path.join(folder, expanded)
        if os.path.exists(candidate):
            return candidate
    return os.path.join(folders[0], expanded) if folders else expanded


def _path(path: str) -> str:
    """A path in a message; what does not look like one may be the text of a manifest, with a password."""
    name = os.path.basename(path)
    if re.match(r"[\w.+@~-][\w.+@~ -]{0,99}\Z", name) and not re.search(r"[\n\r:{}\"']", path):
        return repr(path)
    return "text of {0} characters, not a path".format(len(name))


def read_text(option: str, path: str) -> str:
    """A file's text. Raises :class:`OptionError` naming ``option``."""
    try:
        with open(path, "rb") as handle:
            return handle.read().decode("utf-8")
    except OSError as err:
        raise OptionError(
            option, "is {0}, which can't be read ({1})".format(_path(path), err.strerror), "use a file on this machine"
        ) from None
    except UnicodeDecodeError:
        raise OptionError(option, "is {0}, which is not UTF-8 text".format(_path(path)), "use a YAML file") from None


def files(option: str, path: str) -> List[str]:
    """The manifest files a path means: the file itself, or those in a folder by name.

    Raises :class:`OptionError` naming ``option`` for a path that is not there and for a directory without manifests.
    """
    if "\0" in path:
        raise OptionError(option, "is not a path", "use a file or directory on this machine")
    if os.path.isdir(path):
        try:
            names = sorted(name for name in os.listdir(path) if name.endswith(SUFFIXES) and not name.startswith("."))
        except OSError as err:
            raise OptionError(
                option, "is {0}, which can't be read ({1})".format(_path(path), err.strerror), "use another directory"
            ) from None
        found = [os.path.join(path, name) for name in names if os.path.isfile(os.path.join(path, name))]
        if not found:
            raise OptionError(
                option,
                "is {0}, a directory without manifests".format(_path(path)),
                "add *.yaml, *.yml or *.json files to it",
            )
        return found
    if not os.path.exists(path):
        raise OptionError(
            option, "is {0}, which does not exist".format(_path(path)), "use a file or directory on this machine"
        )
    return [path]


def gather(option: str, wanted: Any, folders: Sequence[str]) -> List[Tuple[str, Any]]:
    """(source, object) for a folder, a file, or a list of folders, files and objects, in order.

    ``folders`` are where relative paths are looked for. Raises :class:`OptionError` naming ``option``.
    """
    entries = wanted if isinstance(wanted, list) else [wanted]
    found: List[Tuple[str, Any]] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            found.extend(("{0}[{1}]".format(option, index), item) for item in _opened(entry))
        elif isinstance(entry, str) and entry.strip():
            for path in files(option, find(entry.strip(), folders)):
                name = os.path.basename(path)
                found.extend((name, item) for item in parse(read_text(option, path), option, name))
        else:
            raise OptionError(
                "{0}[{1}]".format(option, index) if isinstance(wanted, list) else option,
                "is neither a path nor an object ({0})".format(untrusted.type_name(entry)),
                "use directories, files or objects",
            )
    if not found:
        raise OptionError(option, "does not contain a Kubernetes object", "use a directory, files or objects")
    return found
