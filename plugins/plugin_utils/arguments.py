# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of a task that an action plugin uses itself, before the argument spec of the module can check them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import type_name

_COLLECTION = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
#: The folders with the tasks of the collection.
_OWN_TASKS = tuple(os.path.join(_COLLECTION, name, "") for name in ("playbooks", "roles"))


def known_as(option: str, variable: str, task: Any) -> str:
    """The name by which a user has set an option of a module, for messages.

    It is the ``variable`` that the collection's roles and playbooks pass on, or the option in a task of the user's own.
    The file of the task decides, because a play with these variables may have tasks of both kinds.
    """
    path = str(task.get_path()).rpartition(":")[0]
    return variable if path and os.path.realpath(path).startswith(_OWN_TASKS) else option


def names(option: str, given: Any) -> list[str]:
    """The names in a list, or in a text with commas between them, as -e passes it. Raises AnsibleActionFail."""
    if isinstance(given, str):
        return [name.strip() for name in given.split(",") if name.strip()]
    if not isinstance(given, (list, tuple, type(None))):
        raise AnsibleActionFail(f"{option} is a {type_name(given)}, not a list; use a list of names")
    return [str(name) for name in given or []]


def truth(option: str, given: Any) -> bool:
    """A boolean in the spellings of Ansible; false without a value. Raises AnsibleActionFail."""
    try:
        return given is not None and bool(boolean(given))
    except TypeError:
        # Ansible's own message lists its spellings in no order.
        raise AnsibleActionFail(f"{option} is not a boolean; use true or false") from None


def dictionary(option: str, given: Any) -> dict[str, Any]:
    """A dictionary, which is empty without a value. Raises AnsibleActionFail."""
    if given is None or given == "":
        return {}
    if not isinstance(given, Mapping):
        raise AnsibleActionFail(f"{option} is a {type_name(given)}, not a dictionary; use a YAML dictionary")
    return {str(key): value for key, value in given.items()}
