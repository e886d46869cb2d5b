# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds Kubernetes manifests on the control machine and reads the objects in them, as kubectl does."""

from __future__ import annotations

import codecs
import os
import re
from typing import Any, Callable, List, Mapping, Optional, Sequence, Tuple

from ansible.errors import AnsibleError

from ansible_collections.kubestead.cluster.plugins.module_utils.core import untrusted
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError

from . import kubectl_yaml

SUFFIXES = (".yaml", ".yml", ".json")
# Files of other programs that are often in the same folder as manifests.
_TOOLS = {
    "kustomization.yaml": "kustomize",
    "kustomization.yml": "kustomize",
    "chart.yaml": "Helm",
    "values.yaml": "Helm",
}

# The path of a file that Ansible Vault has encrypted -> its text.
Decrypt = Callable[[str], str]


def parse(text: str, option: str, name: str) -> List[Any]:
    """The documents of a YAML text, lists of objects opened, empty ones left out.

    Raises :class:`OptionError` for ``option`` with the file ``name`` and the line.
    """
    found: List[Any] = []
    try:
        for document in kubectl_yaml.documents(text):
            found.extend(opened(document))
    except kubectl_yaml.YamlError as err:
        raise OptionError(
            option, "is not YAML: {0}, line {1}: {2}".format(name, err.line, err.problem), "correct the file"
        ) from None
    except RecursionError:
        raise OptionError(option, "is not YAML: {0} is nested too deeply".format(name), "correct the file") from None
    except NotAList as err:
        raise OptionError(option, "has {0} in {1}".format(err, name), "correct the file") from None
    return found


class NotAList(ValueError):
    """A document that kubectl reads as a list of objects, but that is not a valid list."""


def opened(document: Any) -> List[Any]:
    """The objects of a document. As in kubectl, a document of any kind with ``items`` is a list of objects.

    An item without kind and apiVersion inherits those of the list, so the items of a PodList are Pods. Raises
    :class:`NotAList`.
    """
    if not isinstance(document, Mapping) or "items" not in document or not _kind(document):
        return [document]
    items = document["items"]
    if items is None:
        return []
    if not isinstance(items, list):
        raise NotAList("a {0} whose items are not a list".format(_kind(document)))
    kind, version = _kind(document), document.get("apiVersion")
    kind = kind[: -len("List")] if kind.endswith("List") else kind
    found: List[Any] = []
    for item in items:
        inner = {} if item is None else item
        if not isinstance(inner, Mapping):
            raise NotAList("a {0} with an item that is not an object".format(_kind(document)))
        if not inner.get("kind") and not inner.get("apiVersion"):
            inner = {**inner, "apiVersion": version, "kind": kind}
        # kubectl refuses a list within a list, although its meaning is clear.
        found.extend(opened(inner) if isinstance(inner.get("items"), list) else [inner])
    return found


def _kind(document: Mapping[str, Any]) -> str:
    kind = document.get("kind")
    return kind if isinstance(kind, str) else ""


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
    """A file's text. Raises :class:`OptionError` naming ``option``.

    As for kubectl, a byte order mark can name UTF-16, which Windows PowerShell writes.
    """
    try:
        with open(path, "rb") as handle:
            data = handle.read()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return data.decode("utf-16" if wide else "utf-8")
    except OSError as err:
        raise OptionError(
            option, "is {0}, which can't be read ({1})".format(_path(path), err.strerror), "use a file on this machine"
        ) from None
    except UnicodeDecodeError:
        raise OptionError(option, "is {0}, which is not UTF-8 text".format(_path(path)), "use a YAML file") from None


def _opened_file(option: str, path: str, decrypt: Optional[Decrypt]) -> str:
    """The text of a manifest, decrypted if the file is encrypted with Ansible Vault."""
    text = read_text(option, path)
    if not text.startswith("$ANSIBLE_VAULT;"):
        return text
    try:
        if decrypt is not None:
            return decrypt(path)
    except AnsibleError:
        pass
    raise OptionError(
        option,
        "is {0}, which is encrypted with Ansible Vault, and its password is not known".format(_path(path)),
        "provide the password, for example with --vault-password-file",
    )


def _belongs_to_tool(option: str, path: str) -> None:
    """Raise :class:`OptionError` for the files of kustomize and Helm, which are not manifests."""
    tool = _TOOLS.get(os.path.basename(path).lower())
    if tool:
        raise OptionError(
            option,
            "has {0}, which is not a manifest but a file of {1}".format(_path(path), tool),
            "use a file with the output of '{0}'".format(
                "kubectl kustomize" if tool == "kustomize" else "helm template"
            ),
        )


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
        # As for kubectl, a link to a file that does not exist is an error. It must not be ignored.
        found = [os.path.join(path, name) for name in names]
        found = [one for one in found if os.path.isfile(one) or not os.path.exists(one)]
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


def gather(
    option: str, wanted: Any, folders: Sequence[str], decrypt: Optional[Decrypt] = None
) -> List[Tuple[str, Any]]:
    """(source, object) for a folder, a file, or a list of folders, files and objects, in order.

    Relative paths are searched for in ``folders``. ``decrypt`` returns the text of a file that is encrypted with
    Ansible Vault. Raises :class:`OptionError` naming ``option``.
    """
    entries = wanted if isinstance(wanted, list) else [wanted]
    found: List[Tuple[str, Any]] = []
    for index, entry in enumerate(entries):
        if isinstance(entry, Mapping):
            place = "{0}[{1}]".format(option, index)
            try:
                found.extend((place, item) for item in opened(entry))
            except NotAList as err:
                raise OptionError(place, "has {0}".format(err), "correct it") from None
        elif isinstance(entry, str) and entry.strip():
            for path in files(option, find(entry.strip(), folders)):
                name = os.path.basename(path)
                _belongs_to_tool(option, path)
                found.extend((name, item) for item in parse(_opened_file(option, path, decrypt), option, name))
        else:
            raise OptionError(
                "{0}[{1}]".format(option, index) if isinstance(wanted, list) else option,
                "is neither a path nor an object ({0})".format(untrusted.type_name(entry)),
                "use directories, files or objects",
            )
    if not found:
        raise OptionError(option, "does not contain a Kubernetes object", "use a directory, files or objects")
    return found
