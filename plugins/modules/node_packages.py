#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_packages
short_description: Install packages of the distribution in one transaction, also where apt's lists are empty
version_added: 0.1.0
description:
  - Sees to it that packages are installed, with apt (Debian, Ubuntu) or dnf (Fedora, the RHEL family), without the
    packages they merely recommend. All that is missing comes in one transaction.
  - Fetches apt's lists only when they are empty, or when they turn out to be too old to install from.
    Waits up to ten minutes for another package manager's lock, and finishes what a killed dpkg left.
  - Never upgrades a package for which no version is given.
  - In check mode the prediction is exact. Where apt's lists are empty, the version that would come is not known yet and
    not named.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  packages:
    description: What must be installed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The package's name.
        type: str
        required: true
      version:
        description:
          - The version it must have, as the package manager calls it, or the beginning of it and C(*).
            Without it, any installed version is right. An older version than the installed one is installed too.
        type: str
  hold:
    description:
      - V(true) keeps all these packages at their version in upgrades of the system, V(false) releases them.
        Without it, holds stay as they are. With dnf its versionlock plugin is needed.
    type: bool
"""

EXAMPLES = r"""
- name: What a storage driver needs on every node
  kubestead.cluster.node_packages:
    packages:
      - name: open-iscsi
      - name: nfs-common

- name: A certain containerd, held
  kubestead.cluster.node_packages:
    packages:
      - name: containerd.io
        version: 2.2.*
    hold: true
"""

RETURN = r"""
packages:
  description: The packages and their versions before the run; those that were not installed are not in it.
  returned: success
  type: dict
  sample: {"nfs-common": "1:2.6.2-4"}
steps:
  description: What was done, or would be, in order, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - {"component": "packages", "action": "install", "target": "open-iscsi", "reason": "not installed"}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import manager as packages
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import transaction


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Look, decide, do."""
    wanted = packages.wanted_from(module.params["packages"])
    state = packages.observe(system, wanted)
    steps = packages.plan(state, wanted, module.params["hold"])
    result = _edge.carry_out(module, steps, lambda step: transaction.apply(step, system))
    result["packages"] = {name: package.version for name, package in state.installed.items()}
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            packages=dict(
                type="list",
                elements="dict",
                required=True,
                options=dict(name=dict(type="str", required=True), version=dict(type="str")),
            ),
            hold=dict(type="bool"),
        ),
        supports_check_mode=True,
    )
    _edge.run(module, work)


if __name__ == "__main__":
    main()
