# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""API objects as plain data: what identifies them, what is compared, and how differences are shown."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..core import untrusted
from ..core.errors import CommandError, KubesteadError
from ..core.redact import HIDDEN
from ..core.untrusted import mapping

_VOLATILE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
# Annotations that are derived from other fields.
_DERIVED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.daemonset.template.generation",
    "deployment.kubernetes.io/revision",
)

Object = Mapping[str, Any]
Key = Tuple[str, str, str, str]


# -- objects


def key(obj: Object) -> Key:
    """The identity of an object: API group, kind, namespace (empty without one) and name."""
    api_version = str(obj.get("apiVersion", ""))
    group = api_version.rpartition("/")[0]
    metadata = mapping(obj.get("metadata"))
    return group, str(obj.get("kind", "")), str(metadata.get("namespace") or ""), str(metadata.get("name", ""))


def title(obj: Object) -> str:
    """An object as people write it: ``Deployment shop/web``, ``Namespace shop``."""
    _group, kind, namespace, name = key(obj)
    return "{0} {1}/{2}".format(kind, namespace, name) if namespace else "{0} {1}".format(kind, name)


def objects_of(text: Optional[str], module: str) -> List[Any]:
    """The list that the action plugin of a module passes as JSON. Raises :class:`KubesteadError`."""
    try:
        found = untrusted.parse_json(text or "")
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise KubesteadError("the module {0} has no objects; run it as a task, by its full name".format(module))
    return found


def items_of(text: str) -> List[Object]:
    """The objects that kubectl printed as JSON: those of a list, or one. Raises :class:`CommandError` for others."""
    if not text.strip():
        return []
    try:
        data = untrusted.parse_json(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise CommandError("kubectl did not print a JSON object: {0}".format(shortened(text, 100)))
    if str(data.get("kind", "")).endswith("List") and isinstance(data.get("items"), list):
        return [dict(item) for item in untrusted.mappings(data["items"])]
    return [data]


def check(objects: Sequence[Any], sources: Optional[Mapping[int, str]] = None) -> None:
    """Raise :class:`KubesteadError` for a value that is not a Kubernetes object, and for a duplicate object.

    ``sources`` maps the index of an object to its file, for the message.
    """
    where = sources or {}
    seen: Dict[Key, int] = {}
    for index, obj in enumerate(objects):
        origin = where.get(index, "object {0}".format(index + 1))
        if not isinstance(obj, Mapping):
            raise KubesteadError(
                "{0} is a {1}, not a Kubernetes object; set apiVersion, kind and metadata.name".format(
                    origin, untrusted.type_name(obj)
                )
            )
        metadata = obj.get("metadata")
        missing = [name for name in ("apiVersion", "kind") if not isinstance(obj.get(name), str)]
        if not isinstance(metadata, Mapping) or metadata.get("name") is None:
            missing.append("metadata.name")
        if missing:
            raise KubesteadError(
                "{0} does not have {1}, so it is not a Kubernetes object; add it".format(origin, " or ".join(missing))
            )
        wrong = metadata_problem(obj)
        if wrong:
            raise KubesteadError("{0} of {1}: {2}".format(obj["kind"], origin, wrong))
        if str(obj["kind"]).lower() == "secret":
            _check_secret(obj, origin)
        if key(obj) in seen:
            first = where.get(seen[key(obj)], "object {0}".format(seen[key(obj)] + 1))
            raise KubesteadError(
                "{0} of {1} is also in {2} and would be applied twice; keep one of them".format(
                    title(obj), origin, first
                )
            )
        seen[key(obj)] = index


def without_repeats(found: Sequence[Tuple[str, Any]]) -> List[Tuple[str, Any]]:
    """The (source, object) pairs without exact duplicates: two files may contain the same Namespace."""
    seen = set()
    kept = []
    for source, obj in found:
        text = json.dumps(obj, sort_keys=True, default=str)
        if text not in seen:
            kept.append((source, obj))
        seen.add(text)
    return kept


# The field types that kubectl requires in metadata (ObjectMeta of k8s.io/apimachinery).
_TEXTS = ("name", "generateName", "namespace", "selfLink", "uid", "resourceVersion")
_NUMBERS = ("generation", "deletionGracePeriodSeconds")
_TIMES = ("creationTimestamp", "deletionTimestamp")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d([.,]\d+)?(Z|[-+]\d\d:\d\d)\Z")


def metadata_problem(obj: Object) -> str:
    """The first metadata field that kubectl rejects without asking the API server, with the fix; empty if valid."""
    metadata = obj.get("metadata")
    if metadata is None:
        return ""
    if not isinstance(metadata, Mapping):
        return "metadata is {0}, not a dictionary; set name and namespace in it".format(_type(metadata))
    for name in _TEXTS:
        if not isinstance(metadata.get(name), (str, type(None))):
            return "metadata.{0} is {1}, not a string; put it in quotes".format(name, _type(metadata[name]))
    for name in ("labels", "annotations"):
        values = metadata.get(name)
        if not isinstance(values, (Mapping, type(None))):
            return "metadata.{0} is {1}, not a dictionary; use names and values".format(name, _type(values))
        for item, value in (values or {}).items():
            if not isinstance(value, (str, type(None))):
                text = "metadata.{0}: the value of {1!r} is {2}, not a string; put it in quotes"
                return text.format(name, str(item), _type(value))
    for name, inner in (("finalizers", str), ("ownerReferences", Mapping), ("managedFields", Mapping)):
        values = metadata.get(name)
        if values is not None and not (isinstance(values, list) and all(isinstance(item, inner) for item in values)):
            return "metadata.{0} is not a list of {1}; remove it".format(name, "strings" if inner is str else "objects")
    for name in _NUMBERS:
        number = metadata.get(name)
        if number is not None and (not isinstance(number, int) or isinstance(number, bool)):
            return "metadata.{0} is not a number; remove it".format(name)
    for name in _TIMES:
        value = metadata.get(name)
        if value is not None and not (isinstance(value, str) and _TIME.match(value)):
            return "metadata.{0} is not a time; remove it".format(name)
    return ""


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean (yes, no, on, off, y, n …)"
    if isinstance(value, (int, float)):
        return "a number"
    return "a list" if isinstance(value, list) else "a dictionary" if isinstance(value, Mapping) else "a string"


def _check_secret(obj: Object, origin: str) -> None:
    """Raise :class:`KubesteadError` for a Secret of another shape: the API server would quote what it holds."""
    for part in ("data", "stringData"):
        values = obj.get(part)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            raise KubesteadError(
                "{0} of {1}: {2} is a {3}, not a dictionary; use names and values".format(
                    title(obj), origin, part, untrusted.type_name(values)
                )
            )
        for at, (name, value) in enumerate(values.items()):
            scalar = isinstance(value, (str, int, float)) if part == "stringData" else isinstance(value, str)
            if not isinstance(name, str) or not (scalar or value is None):
                raise KubesteadError(
                    "{0} of {1}: value {2} of {3} is a {4}, not a string; put it in quotes".format(
                        title(obj), origin, at + 1, part, untrusted.type_name(value)
                    )
                )


def plain_secret(obj: Object) -> Object:
    """A Secret with ``stringData`` moved into ``data``, so that comparing it with the live one is exact."""
    if obj.get("kind") != "Secret" or not obj.get("stringData"):
        return obj
    changed = dict(obj)
    data = dict(changed.get("data") or {})
    for name, value in changed.pop("stringData").items():
        data[name] = base64.b64encode(str(value).encode("utf-8")).decode("ascii")
    changed["data"] = data
    return changed


def bare(obj: Object) -> Dict[str, Any]:
    """An object without the fields that the API server sets. A difference in the other fields is a change."""
    found = {name: value for name, value in obj.items() if name != "status"}
    metadata = {name: value for name, value in mapping(obj.get("metadata")).items() if name not in _VOLATILE}
    noted = mapping(metadata.get("annotations"))
    annotations = {name: value for name, value in noted.items() if name not in _DERIVED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    found["metadata"] = metadata
    return found


# -- how differences read


def flatten(value: Any, path: str = "") -> Dict[str, str]:
    """Every leaf of an object by its path: ``spec.containers[web].image``. Items of a list go by their name."""
    if isinstance(value, Mapping) and value:
        found: Dict[str, str] = {}
        for name in sorted(value):
            text = str(name)
            part = '["{0}"]'.format(text) if "." in text or "/" in text else (".{0}".format(text) if path else text)
            found.update(flatten(value[name], path + part))
        return found
    if isinstance(value, list) and value:
        names = [item.get("name") if isinstance(item, Mapping) else None for item in value]
        named = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        found = {}
        for index, item in enumerate(value):
            found.update(flatten(item, "{0}[{1}]".format(path, names[index] if named else index)))
        return found
    return {path: value if isinstance(value, str) else json.dumps(value)}


def differences(before: Object, after: Object) -> List[Tuple[str, Optional[str], Optional[str]]]:
    """(path, old value, new value) of what differs; None for a side that lacks the path. Secret data is hidden."""
    old, new = flatten(bare(before)), flatten(bare(after))
    secret = after.get("kind") == "Secret"
    found: List[Tuple[str, Optional[str], Optional[str]]] = []
    for path in sorted(set(old) | set(new)):
        left, right = old.get(path), new.get(path)
        if left == right:
            continue
        if secret and path.startswith(("data", "stringData")):
            left = None if left is None else HIDDEN
            right = None if right is None else "<hidden, changed>" if left else HIDDEN
        found.append((path, left, right))
    return found


def render(obj: Object, limit: int = 60) -> str:
    """An object as readable text that looks like YAML, at most ``limit`` lines; Secret data is hidden."""
    shown: Dict[str, Any] = bare(obj)
    if obj.get("kind") == "Secret":
        for part in ("data", "stringData"):
            if shown.get(part):
                shown[part] = {name: HIDDEN for name in shown[part]}
    lines = _lines(shown)
    if len(lines) > limit:
        rest = len(lines) - limit
        lines = lines[:limit] + ["… {0} more lines".format(rest)]
    return "\n".join(lines) + "\n"


def _lines(value: Any, indent: str = "") -> List[str]:
    if isinstance(value, Mapping):
        lines: List[str] = []
        for name, item in value.items():
            if isinstance(item, (Mapping, list)) and item:
                lines.append("{0}{1}:".format(indent, name))
                lines.extend(_lines(item, indent + "  "))
            elif isinstance(item, str) and "\n" in item:
                lines.append("{0}{1}: |".format(indent, name))
                lines.extend("{0}  {1}".format(indent, line) for line in item.splitlines())
            else:
                lines.append("{0}{1}: {2}".format(indent, name, _scalar(item)))
        return lines
    lines = []
    for item in value:
        if isinstance(item, (Mapping, list)) and item:
            inner = _lines(item, indent + "  ")
            lines.append("{0}- {1}".format(indent, inner[0].strip()))
            lines.extend(inner[1:])
        elif isinstance(item, str) and "\n" in item:
            lines.append("{0}- |".format(indent))
            lines.extend("{0}  {1}".format(indent, line) for line in item.splitlines())
        else:
            lines.append("{0}- {1}".format(indent, _scalar(item)))
    return lines


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def shortened(value: Optional[str], length: int = 60) -> str:
    """A value for a line of text; `not set` for None."""
    if value is None:
        return "not set"
    line = value.replace("\n", "\\n")
    return line if len(line) <= length else line[: length - 1] + "…"


def diff_side(changes: Sequence[Tuple[str, Optional[str]]], limit: int) -> str:
    """One side of a difference, a line for each field."""
    lines: List[str] = []
    for path, value in changes:
        if value is None:
            continue
        if "\n" in value:
            lines.append("{0}: |".format(path))
            lines.extend("  {0}".format(line) for line in value.splitlines())
        else:
            lines.append("{0}: {1}".format(path, value))
    if len(lines) > limit:
        lines = lines[:limit] + ["… {0} more lines".format(len(lines) - limit)]
    return "".join("{0}\n".format(line) for line in lines)


def change_reason(changes: Sequence[Tuple[str, Optional[str], Optional[str]]]) -> str:
    """The first changed field, and the number of other ones."""
    path, before, after = changes[0]
    text = "{0} {1} -> {2}".format(path, shortened(before), shortened(after))
    return text if len(changes) == 1 else "{0}, and {1} more".format(text, len(changes) - 1)


def _leaves(value: Any) -> List[str]:
    """Every scalar inside a value, as text."""
    if isinstance(value, Mapping):
        return [leaf for item in value.values() for leaf in _leaves(item)]
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in _leaves(item)]
    return [] if value is None else [str(value)]


def secret_values(objects: Sequence[Object]) -> List[str]:
    """The values in Secrets, longest first. Values too short to be distinguished from other text are left out."""
    values: Set[str] = set()
    for obj in objects:
        if str(obj.get("kind")).lower() == "secret":
            for part in ("data", "stringData"):
                values.update(_leaves(obj.get(part)))
    return sorted((value for value in values if len(value) >= 4), key=len, reverse=True)
