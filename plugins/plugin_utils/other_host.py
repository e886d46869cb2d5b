# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a module on another host of the inventory, during the task of a host.

A task runs on one host, and the next task waits for all hosts. An operation on another host that must run as soon as
one host has finished needs a separate connection.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import become_loader

from .node_action import NodeAction


def action_on(
    host: str, module: str, action: ActionBase, task_vars: Mapping[str, Any]
) -> tuple[NodeAction, dict[str, Any]]:
    """An action for a ``module`` of the collection on another host, and the variables to run it with.

    The new action has the settings of the task of ``action``; ``task_vars`` are the variables of that task's host.
    Raises AnsibleError if the connection plugin of the other host does not exist.
    """
    value = _variables(host, action, task_vars)
    task = action._task.copy()
    task.action, task.delegate_to, task.args = f"kubestead.cluster.{module}", None, {}
    context = action._play_context.copy()
    context.remote_addr = value("ansible_host") or host
    name = value("ansible_connection") or task.connection
    connection = action._shared_loader_obj.connection_loader.get(
        name, context, new_stdin=None, task_uuid=task._uuid, ansible_playbook_pid=str(os.getppid())
    )
    if connection is None:
        raise AnsibleError(f"the connection plugin {name!r} was not found")
    _set_options(connection, task, context, value)
    connection._play_context = context
    made = NodeAction(
        task=task,
        connection=connection,
        play_context=context,
        loader=action._loader,
        templar=action._templar,
        shared_loader_obj=action._shared_loader_obj,
    )
    variables = {"inventory_hostname": host, "ansible_facts": dict(value("ansible_facts") or {})}
    interpreter = value("ansible_python_interpreter")
    return made, {**variables, **({"ansible_python_interpreter": interpreter} if interpreter else {})}


def _variables(host: str, action: ActionBase, task_vars: Mapping[str, Any]) -> Callable[[str], Any]:
    """Returns a function that gives a connection variable of another host, or else of the play.

    Variables and facts of the task's host are never used for another host.
    """
    hostvars = task_vars["hostvars"]
    own, theirs = hostvars[task_vars["inventory_hostname"]], hostvars[host]

    def value(name: str) -> Any:
        if name in theirs:
            return theirs[name]
        common = name in task_vars and name not in own and name != "ansible_facts"
        return action._templar.template(task_vars[name]) if common else None

    return value


def _set_options(connection: Any, task: Any, context: Any, value: Callable[[str], Any]) -> None:
    """Give a connection, its shell and its become plugin their options, as Ansible does for the host of a task."""
    become = None
    wanted = value("ansible_become")
    if boolean((task.become if wanted is None else wanted) or False):
        become = become_loader.get(value("ansible_become_method") or task.become_method)
    connection.set_become_plugin(become)
    context.become = become is not None
    # The timeout of a task is not the timeout of its connection, and its retries are not the retries of SSH.
    keys = {**task.dump_attrs(), "timeout": context.timeout}
    del keys["retries"]
    # Passwords that the user entered for this run.
    keys.update({"password": context.password} if context.password else {})
    keys.update({"become_pass": context.become_pass} if context.become_pass else {})
    for kind, plugin in (("connection", connection), ("shell", connection._shell), ("become", become)):
        if plugin is not None:
            known = C.config.get_plugin_vars(kind, plugin._load_name)
            options = {name: value(name) for name in known}
            plugin.set_options(
                task_keys=keys, var_options={name: one for name, one in options.items() if one is not None}
            )
    if become is not None:
        context.set_become_plugin(become.name)
