# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds misspelled variables: names that are similar, but not equal, to a variable of the collection.

Ansible ignores a variable that nothing reads, so the default applies without a message.
"""

from __future__ import annotations

import difflib
import functools
from pathlib import Path
from typing import Any, Dict, FrozenSet, Iterable, List, Mapping, Optional

import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem

COMPONENT = "cluster"
_ROLES = Path(__file__).resolve().parents[3] / "roles"
#: How similar a name must be, from 0 to 1: one wrong, missing or swapped letter, or an ``s`` at the end. The names
#: of users' own variables and of registered results are less similar.
_SIMILAR = 0.92


@functools.cache
def known() -> FrozenSet[str]:
    """The variables of all roles, as their argument specs declare them."""
    found = set()
    for path in _ROLES.glob("*/meta/argument_specs.yml"):
        specs = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for entry in specs["argument_specs"].values():
            found.update(entry.get("options", {}))
    return frozenset(found)


def misspelled_findings(variables: Mapping[str, Iterable[Any]]) -> List[Finding]:
    """A warning for each host and each of its variables that is probably misspelled.

    ``variables`` maps each host to the names of its variables.
    """
    beginnings = tuple({name.split("_")[0] + "_" for name in known()})
    meant: Dict[str, Optional[str]] = {}
    found = []
    for host, names in variables.items():
        # Ansible also takes a number as the name of a variable.
        texts = [one for one in names if isinstance(one, str)]
        for name in sorted(one for one in texts if one.startswith(beginnings) and one not in known()):
            if name not in meant:
                meant[name] = next(iter(difflib.get_close_matches(name, known(), 1, _SIMILAR)), None)
            if meant[name]:
                text = "{0} is not a variable of this collection, so it has no effect".format(name)
                problem = Problem("misspelled_variable", text, "use {0}".format(meant[name]), "warning")
                found.append(Finding(host, COMPONENT, problem))
    return found
