#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeconfig
short_description: Give the login user of a control plane, and the control machine, the admin's kubeconfig
version_added: 0.1.0
description:
  - Makes C(~/.kube/config) of a user of a control plane a copy of C(/etc/kubernetes/admin.conf), readable by that user
    alone, and on demand a file on the control machine too.
  - A kubeconfig of another cluster is left alone with a warning. One of an earlier cluster at the same address is
    replaced, and kept beside with C(.before-kubestead) at its name.
  - Links are not followed in the user's home. A link in place of the file or its folder is left alone with a warning.
  - The file on the control machine is made again from the server, the CA, the client certificate and its key alone. A
    kubeconfig that names programs to run, files, or a proxy is refused there.
  - The kubeconfig is never part of the result. It is read from the host with output censored, and only when the file on
    the control machine differs.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  install:
    description:
      - Whether the user gets C(~/.kube/config). V(false) leaves the users of the host without the rights of the
        cluster's admin; one that is there already stays.
    type: bool
    default: true
  user:
    description:
      - Whose C(~/.kube/config) it is. Empty takes the user who logged in and became root, or root who logged in.
    type: str
    default: ""
  overwrite:
    description: Replace the user's kubeconfig also when it is of another cluster; a copy is kept beside it.
    type: bool
    default: false
  copy_to:
    description:
      - A file on the control machine to be made a copy as well, readable by its owner alone. C(~) is your home there.
      - A kubeconfig of another cluster in its place is left alone with a warning.
    type: str
    default: ""
  endpoint:
    description:
      - Where the API of a cluster will be that is not there yet, C(host[:port]). It lets a dry run predict what becomes
        of a kubeconfig of an earlier cluster.
    type: str
    default: ""
  bind_port:
    description: The port of that API where O(endpoint) has none.
    type: int
    default: 6443
attributes:
  action:
    description: Runs in part on the control machine.
    support: full
seealso:
  - module: kubestead.cluster.kubeadm_init
"""

EXAMPLES = r"""
- name: Let the login user run kubectl
  kubestead.cluster.kubeconfig:

- name: Let me run kubectl here as well
  kubestead.cluster.kubeconfig:
    copy_to: ~/.kube/home-cluster.conf
"""

RETURN = r"""
user:
  description: The user whose kubeconfig was looked at.
  returned: success
  type: str
  sample: admin
kubeconfig:
  description: The kubeconfig on the host; empty when the user has no home there.
  returned: success
  type: str
  sample: /home/admin/.kube/config
local_kubeconfig:
  description: The kubeconfig on the control machine; empty when none was asked for.
  returned: success
  type: str
  sample: /home/me/.kube/home-cluster.conf
server:
  description: The URL of the API that the admin's kubeconfig names; empty in a dry run before there is one.
  returned: success
  type: str
  sample: https://192.168.1.10:6443
steps:
  description: What was (or would be) done, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - component: control_plane
      action: write_kubeconfig
      target: /home/admin/.kube/config
      reason: no kubeconfig yet
"""

import dataclasses
from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Observe, plan, carry out; what the action plugin needs for its own part is in ``source``, without a secret."""
    options = kubeconfig.KubeconfigOptions(
        install=module.params["install"], user=module.params["user"], overwrite=module.params["overwrite"]
    )
    state = kubeconfig.observe(system, options.user)
    if state.source is None and not module.check_mode:
        raise KubesteadError("{0} is not there; initialise or join this control plane first".format(ADMIN_KUBECONFIG))
    source = state.source
    if source is None:
        state = dataclasses.replace(
            state, source=kubeconfig.expected(module.params["endpoint"], module.params["bind_port"])
        )
    for warning in kubeconfig.warnings_of(state, options):
        module.warn(warning)
    steps = kubeconfig.plan(state, options)
    result = _edge.carry_out(module, steps, lambda step: kubeconfig.apply(step, system))
    result.update(
        user=state.user,
        kubeconfig=state.path,
        local_kubeconfig="",
        server=source.servers[0] if source and source.servers else "",
        source=to_dict(state.source),
    )
    return result


def main() -> None:
    """The module's entry."""
    spec = {
        "install": {"type": "bool", "default": True},
        "user": {"type": "str", "default": ""},
        "overwrite": {"type": "bool", "default": False},
        "copy_to": {"type": "str", "default": ""},
        "endpoint": {"type": "str", "default": ""},
        "bind_port": {"type": "int", "default": 6443},
    }
    _edge.run(AnsibleModule(argument_spec=spec, supports_check_mode=True), work)


if __name__ == "__main__":
    main()
