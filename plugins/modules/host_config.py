#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_config
short_description: Prepares a system to be a Kubernetes node
version_added: 0.1.0
description:
  - Switches swap off and keeps it off. Entries of C(/etc/fstab) become comments with the original kept, swap units of
    systemd, zram devices and services that make swap (zram-tools, zram-config, dphys-swapfile, swapspace) are masked.
    In a container active swap belongs to the machine around it; it is reported and left on.
  - Sees to it that the kernel has what O(kernel_modules) names, and keeps it for the next boot in
    C(/etc/modules-load.d/kubestead.conf). A feature that is built into the kernel counts, also where the kernel has no
    modules at all.
  - Sets C(net.ipv4.ip_forward), the two C(net.bridge.bridge-nf-call-*) sysctls, C(net.ipv6.conf.all.forwarding) where
    pods have IPv6 addresses, and O(sysctls); now, and for the next boot in C(/etc/sysctl.d/99-kubestead.conf). Lines of
    files in C(/etc) that are read later and say otherwise become comments.
  - All of this in one round trip.
extends_documentation_fragment:
  - kubestead.cluster.attributes
options:
  disable_swap:
    description: Switch swap off and keep it off. V(false) leaves swap alone, for kubelets configured to work with it.
    type: bool
    default: true
  kernel_modules:
    description: Kernel modules that must be loaded or built in.
    type: list
    elements: str
    default: [overlay, br_netfilter]
  sysctls:
    description: Further sysctls, name to value. They win over what the module sets by itself.
    type: dict
    default: {}
  pod_cidr:
    description: The range of pod addresses; with an IPv6 range in it, IPv6 forwarding is switched on.
    type: str
    default: ""
author:
  - The kubestead authors (@kubestead)
seealso:
  - module: kubestead.cluster.containerd_config
"""

EXAMPLES = r"""
- name: What every node needs
  kubestead.cluster.host_config:

- name: The same, with a sysctl that a search engine asks for
  kubestead.cluster.host_config:
    sysctls:
      vm.max_map_count: 262144
"""

RETURN = r"""
steps:
  description: What was done, or would be, in order, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - {"component": "host", "action": "swap_off", "target": "/dev/sda2", "reason": "swap /dev/sda2 is on"}
features:
  description: For each kernel module whether it was V(loaded), V(built in), V(loadable) or V(missing) before the run.
  returned: success
  type: dict
  sample: {"overlay": "built in", "br_netfilter": "loaded"}
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.host import prepare as host


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Look, decide, do."""
    options = from_dict(host.HostOptions, module.params)
    options.validate()
    state = host.observe(system, options.kernel_modules, list(options.sysctls))
    for problem in host.problems(state, options):
        line = problem.line
        if problem.level == "error":
            raise KubesteadError(line)
        module.warn(line)
    result = _edge.carry_out(module, host.plan(state, options), lambda step: host.apply(step, system))
    result["features"] = state.features
    return result


def main() -> None:
    module = AnsibleModule(
        argument_spec=dict(
            disable_swap=dict(type="bool", default=True),
            kernel_modules=dict(type="list", elements="str", default=["overlay", "br_netfilter"]),
            sysctls=dict(type="dict", default={}),
            pod_cidr=dict(type="str", default=""),
        ),
        supports_check_mode=True,
    )
    _edge.run(module, work)


if __name__ == "__main__":
    main()
