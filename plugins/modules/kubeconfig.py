#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Install the admin kubeconfig for a user and copy it to the control machine
version_added: 0.1.0
description:
  - Copies C(/etc/kubernetes/admin.conf) of a control plane to C(~/.kube/config) of a user, readable only by that user,
    and optionally to a file on the control machine.
  - A kubeconfig of another cluster is kept, with a warning. A kubeconfig of an earlier cluster at the same address is
    replaced. A backup with the suffix C(.before-kubestead) is kept. If there is one already, it stays, and the new one
    gets a number, such as C(.before-kubestead.1). The step names it. If there is no further number, the task fails.
  - A file in flow style, or with anchors or texts in several lines, can't be compared. It is kept, with a warning that
    names the command that rewrites it, and so are the copies of such an C(admin.conf).
  - On the control machine, the CAs in an existing copy are never changed, because whoever has the key of a CA can
    pretend to be the API. A copy with other CAs is kept, with a warning, unless O(new_cluster) is set.
  - Links in the user's home directory are not followed. A link in place of the file or its directory is kept, with a
    warning.
  - The file on the control machine is created only from the server, the CA, the client certificate and its key. A
    kubeconfig that names programs to run, files, or a proxy is refused there.
  - The kubeconfig is never part of the result. It is read from the host with censored output, and only if the file on
    the control machine differs.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  install:
    description:
      - Install C(~/.kube/config) for the user. With V(false), no user of the host gets the rights of the cluster's
        admin; an existing file is kept.
    type: bool
    default: true
  user:
    description:
      - The user who gets the kubeconfig. If it is empty, it is the user who ran sudo, or root for a direct root login.
    type: str
    default: ""
  overwrite:
    description:
      - Replace the user's kubeconfig even if it belongs to another cluster or can't be compared. A backup copy is kept.
    type: bool
    default: false
  copy_to:
    description:
      - The path of a copy on the control machine, readable only by its owner. C(~) is your home directory there.
      - A kubeconfig of another cluster at this path, or a file that can't be read as a kubeconfig, is kept, with a
        warning.
    type: str
    default: ""
  copy_server:
    description:
      - The server in the copy, such as V(https://192.0.2.10:6443), if the control machine can't resolve the one in the
        admin kubeconfig. It must be in the certificate of the API server.
    type: str
    default: ""
  new_cluster:
    description:
      - Replace a copy on the control machine that belongs to an earlier cluster at the same address. Set it only if the
        cluster has just been created, so that it must have another CA.
      - If a playbook is interrupted between C(kubeadm init) and this task, its next run keeps the old copy, with a
        warning. The playbook C(site.yml) prevents this. It empties such a copy before C(kubeadm init).
    type: bool
    default: false
  server_leaves:
    description:
      - The server in the existing copy on the control machine is a control plane that leaves the cluster. If the copy
        must be kept, the task fails, instead of a warning.
    type: bool
    default: false
  endpoint:
    description:
      - The endpoint of a cluster that does not exist yet, as C(host[:port]). Check mode uses it to predict whether a
        kubeconfig of an earlier cluster is replaced.
    type: str
    default: ""
  bind_port:
    description: The port of the API if O(endpoint) has none.
    type: int
    default: 6443
  renewed:
    description:
      - In check mode, expect that the client certificate in the admin kubeconfig has been renewed before this task, as
        C(kubeadm upgrade) does.
    type: bool
    default: false
attributes:
  action:
    description: Runs partly on the control machine.
    support: full
seealso:
  - module: kubestead.cluster.kubeadm_init
"""

EXAMPLES = r"""
- name: Install the admin kubeconfig for the login user
  kubestead.cluster.kubeconfig:

- name: Copy the admin kubeconfig to the control machine as well
  kubestead.cluster.kubeconfig:
    copy_to: ~/.kube/home-cluster.conf
"""

RETURN = r"""
user:
  description: The user of the kubeconfig.
  returned: success
  type: str
  sample: admin
kubeconfig:
  description: The path of the kubeconfig on the host. It is empty if the user has no home directory.
  returned: success
  type: str
  sample: /home/admin/.kube/config
local_kubeconfig:
  description: The path of the kubeconfig on the control machine. It is empty if no copy is requested.
  returned: success
  type: str
  sample: /home/me/.kube/home-cluster.conf
server:
  description: The URL of the API in the admin kubeconfig. It is empty in check mode if there is no cluster yet.
  returned: success
  type: str
  sample: https://192.168.1.10:6443
steps:
  description: The steps that were taken, or would be taken in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
  sample:
    - component: control_plane
      action: write_kubeconfig
      target: /home/admin/.kube/config
      reason: the kubeconfig does not exist
"""

import dataclasses
from typing import Any, Dict

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "install": {"type": "bool", "default": True},
        "user": {"type": "str", "default": ""},
        "overwrite": {"type": "bool", "default": False},
        "copy_to": {"type": "str", "default": ""},
        "copy_server": {"type": "str", "default": ""},
        "server_leaves": {"type": "bool", "default": False},
        "endpoint": {"type": "str", "default": ""},
        "bind_port": {"type": "int", "default": 6443},
        "renewed": {"type": "bool", "default": False},
        "new_cluster": {"type": "bool", "default": False},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan and apply. ``source`` has the values that the action plugin needs, without a secret."""
    options = kubeconfig.KubeconfigOptions(
        install=call.params["install"], user=call.params["user"], overwrite=call.params["overwrite"]
    )
    state = kubeconfig.observe(system, options.user)
    if state.source is None and not call.check_mode:
        raise KubesteadError("{0} does not exist; initialize or join this control plane first".format(ADMIN_KUBECONFIG))
    source = state.source
    if source is None:
        state = dataclasses.replace(
            state, source=kubeconfig.expected(call.params["endpoint"], call.params["bind_port"])
        )
    elif call.check_mode and call.params["renewed"]:
        state = dataclasses.replace(state, source=kubeconfig.renewed(source))
    for warning in kubeconfig.warnings_of(state, options):
        call.warn(warning)
    steps = kubeconfig.plan(state, options)
    result = _edge.apply_steps(call, steps, lambda step: kubeconfig.apply(step, system))
    result.update(
        user=state.user,
        kubeconfig=state.path,
        local_kubeconfig="",
        server=(source.server or source.servers[0]) if source and source.servers else "",
        source=to_dict(state.source),
    )
    return result


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
