# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of a host, as an action plugin sees them: those of the inventory and of roles, never facts.

Ansible makes every fact of a host a variable that overrides the inventory and role defaults. This includes facts from a
cache. A host that is not trusted must not set options of this collection in this way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import variable_name
from ansible_collections.kubestead.cluster.plugins.module_utils.host.prepare import HostOptions

#: Beginnings of the variables of roles. ``host_`` is too common a beginning; its variables are listed one by one.
_PREFIXES = (
    "cluster_",
    "kube_packages_",
    "containerd_",
    "control_plane_",
    "join_",
    "cni_",
    "deploy_",
    "preflight_",
    "upgrade_",
    "endpoint_",
    "reset_",
    "remove_",
    # Variables that playbooks of the collection set on hosts for later plays.
    "kubestead_",
)
_NAMES = frozenset(variable_name("host", field) for field in dataclasses.fields(HostOptions))


class Variables(Mapping[str, Any]):
    """The host's variables, templated one by one when they are read.

    Reading a variable of the collection that is a fact of the host raises :class:`OptionError`.
    """

    def __init__(self, variables: Mapping[str, Any], templar: Any = None) -> None:
        self._variables = variables
        self._templar = templar
        self._refused = frozenset(claimed(variables))

    def __getitem__(self, name: str) -> Any:
        if name in self._refused:
            raise OptionError(name, *_REFUSAL)
        value = self._variables[name]
        return value if self._templar is None else self._templar.template(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def of_host(host: str, names: Iterable[str], task_vars: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    """Those of the named variables that a host has: its own, or else those of the play and of the roles.

    A value that the inventory gives only to the host of the task is not among them. Raises :class:`OptionError` for
    a fact, and for a template that can't be evaluated.
    """
    variables, hostvars = Variables(task_vars, templar), task_vars["hostvars"]
    this = task_vars["inventory_hostname"]
    own: Mapping[str, Any] = {} if host == this else hostvars[this]
    # For the host of the task, Ansible has already put them in order.
    theirs = Variables({} if host == this or host not in hostvars else hostvars[host])
    found = {}
    for name in names:
        try:
            if name in theirs:
                found[name] = theirs[name]
            elif name in variables:
                value = variables[name]
                # A play or a role may set what the inventory also sets for the host of the task.
                if name not in own or own[name] != value:
                    found[name] = value
        except AnsibleError:
            # Its message does not name the variable.
            raise OptionError(name, "is a template that can't be evaluated", "correct the template") from None
    return found


_REFUSAL = (
    "is set by the facts of this host, and facts override the inventory",
    "set it only in the inventory; clear the fact cache of this host if you did not set the fact yourself",
)


def claimed(variables: Mapping[str, Any]) -> list[str]:
    """The variables of the collection that are facts of the host, sorted."""
    facts = variables.get("ansible_facts")
    names = [str(name) for name in facts] if isinstance(facts, Mapping) else []
    return sorted(name for name in names if name in _NAMES or name.startswith(_PREFIXES))


def refusal(variables: Mapping[str, Any]) -> str:
    """Why nothing is done with a host whose facts are variables of the collection, in one line; empty for others."""
    names = claimed(variables)
    if not names:
        return ""
    error = OptionError(names[0], *_REFUSAL)
    # A name can be anything: it is the host that chose it.
    return f"{error.option[:80]!r} {error.problem}; {error.fix} (nothing was changed)"
