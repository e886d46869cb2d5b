# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kinds of an API server: listed by kubectl, served in other versions, or defined by manifests. Pure.

A kind is a pair (apiVersion, name). It maps to True if the kind is namespaced.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..core.untrusted import mapping, mappings
from .objects import Object

Kind = Tuple[str, str]
DEFINITION = "CustomResourceDefinition"


def preferred_kinds(text: str) -> Dict[Kind, bool]:
    """The kinds in the output of ``kubectl api-resources --no-headers``, which lists only preferred versions."""
    kinds: Dict[Kind, bool] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 4 and words[-2] in ("true", "false"):
            kinds[(words[-3], words[-1])] = words[-2] == "true"
    return kinds


def versions_of(kinds: Mapping[Kind, bool]) -> Dict[Tuple[str, str], str]:
    """For each (group, kind), an apiVersion that serves it."""
    return {(version.rpartition("/")[0], name): version for version, name in kinds}


def other_versions(wanted: Sequence[Kind], kinds: Mapping[Kind, bool]) -> List[str]:
    """The API paths to query for wanted kinds that are so far known only in another version."""
    known = versions_of(kinds)
    found: List[str] = []
    for version, name in wanted:
        group, _slash, short = version.rpartition("/")
        path = "/apis/" + version
        if (version, name) in kinds or (group, name) not in known or path in found:
            continue
        # The core group has only one version. Only a well-formed version may become part of a path.
        if group and re.match(r"[a-z][a-z0-9-]*\Z", short):
            found.append(path)
    return found


def served_kinds(data: Mapping[str, Any]) -> Dict[Kind, bool]:
    """The kinds in an APIResourceList, without subresources."""
    version = str(data.get("groupVersion", ""))
    return {
        (version, str(entry.get("kind"))): entry.get("namespaced") is True
        for entry in mappings(data.get("resources"))
        if "/" not in str(entry.get("name"))
    }


def defined_kinds(objects: Sequence[Object]) -> Dict[Kind, bool]:
    """The kinds that the CustomResourceDefinitions among the objects define."""
    found: Dict[Kind, bool] = {}
    for obj in objects:
        if obj["kind"] == DEFINITION:
            spec = mapping(obj.get("spec"))
            for version in mappings(spec.get("versions")):
                served = "{0}/{1}".format(spec.get("group"), version.get("name"))
                found[(served, str(mapping(spec.get("names")).get("kind")))] = spec.get("scope") == "Namespaced"
    return found
