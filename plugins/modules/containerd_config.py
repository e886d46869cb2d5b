#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: containerd_config
short_description: Configures an installed containerd for Kubernetes
version_added: 0.1.0
description:
  - Writes C(/etc/containerd/config.toml) for the configuration version the installed binary speaks (2, 3 or 4). The CRI
    plugin is on, runc uses systemd's cgroups, the CNI plugins are found, the sandbox image is the one of the installed
    kubeadm, registries are read from C(/etc/containerd/certs.d).
  - Other settings of the file stay. An older file is brought forward by containerd itself. The first file that somebody
    else wrote is kept beside it as C(config.toml.before-kubestead).
  - Files are compared by what they mean. containerd is restarted only when that changed, when it does not run, or when
    it does not serve CRI; then the module waits until it does.
  - containerd reads a file before it is put in place; what it refuses never replaces what is there.
  - Where containerd is not installed the module fails; in check mode it predicts what comes after the installation.
extends_documentation_fragment:
  - kubestead.cluster.attributes
options:
  package:
    description:
      - The package that is expected to be installed, for the plan to name; the one that is there where it is empty.
        This module installs nothing.
    type: str
    default: ""
  registry_mirrors:
    description:
      - Where images of a registry are pulled from, one key for each registry (V(docker.io),
        V(registry.example.com:5000), V(_default) for all that have no key of their own).
      - A value is a list of addresses in the order they are tried. An item is an address, or a dictionary with C(url),
        C(ca) (a path on the node or a certificate in PEM form), C(skip_verify), C(override_path) and C(capabilities)
        (of C(pull), C(resolve), C(push)).
      - With a dictionary of C(mirrors) (such a list) and C(fallback=false) the registry itself is never asked.
    type: dict
    default: {}
  registry_credentials:
    description:
      - Names and passwords for registries. They are written into C(hosts.toml) below C(/etc/containerd/certs.d),
        readable by root alone, and go to this registry only, also where it is a mirror of another one.
    type: list
    elements: dict
    default: []
    suboptions:
      registry:
        description: The registry's host, with its port where it has one.
        type: str
        required: true
      username:
        description: The name to log in with.
        type: str
        required: true
      password:
        description: The password or access token.
        type: str
        required: true
  config_dropin:
    description:
      - TOML of your own, imported as C(/etc/containerd/conf.d/50-kubestead.toml). It wins over everything else.
      - Without a C(version) line it is taken as written for the installed containerd, or, where it sets
        C(io.containerd.grpc.v1.cri), for containerd 1.x. It is shown in differences, so no password belongs here.
    type: str
    default: ""
  sandbox_image:
    description:
      - The image of the pause container. Empty takes the one that the installed kubeadm names, and without kubeadm
        containerd's own in O(image_repository).
    type: str
    default: ""
  cni_bin_dir:
    description: The folder of the CNI plugins.
    type: path
    default: /opt/cni/bin
  image_repository:
    description: The repository of Kubernetes' own images.
    type: str
    default: registry.k8s.io
  kubeadm_version:
    description:
      - The version of kubeadm that is there once the host's packages are, as M(kubestead.cluster.cluster_plan) tells.
        Where another one is installed, as in check mode, the sandbox image is that of this version.
    type: str
    default: ""
author:
  - The kubestead authors (@kubestead)
seealso:
  - module: kubestead.cluster.node_packages
"""

EXAMPLES = r"""
- name: containerd as kubelet needs it
  kubestead.cluster.containerd_config:

- name: With a mirror, and a registry of your own
  kubestead.cluster.containerd_config:
    registry_mirrors:
      docker.io:
        - https://mirror.example.com
      registry.example.com:5000:
        - url: https://registry.example.com:5000
          ca: /etc/ssl/certs/example.pem
    registry_credentials:
      - registry: registry.example.com:5000
        username: puller
        password: "{{ vault_puller_password }}"
"""

RETURN = r"""
steps:
  description: What was done, or would be, in order, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - component: containerd
      action: restart
      target: containerd.service
      reason: SystemdCgroup false -> true
version:
  description: containerd's version; empty where it is not installed.
  returned: success
  type: str
  sample: 2.3.7
schema:
  description: The version of the configuration it speaks; 0 where it is not installed.
  returned: success
  type: int
  sample: 4
sandbox_image:
  description: The sandbox image that is set; empty where it is left to containerd.
  returned: success
  type: str
  sample: registry.k8s.io/pause:3.10.1
"""

from typing import Any, Dict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import apply as containerd_apply
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import config as containerd_config
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import observe as containerd
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import options as containerd_options
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import plan as containerd_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Look, decide, do."""
    options = from_dict(containerd_options.ContainerdOptions, module.params)
    options.validate()
    kubeadm = module.params["kubeadm_version"]
    state = containerd.observe(system, options.image_repository, reveal=True, kubeadm_version=kubeadm)
    state = containerd_plan.foresee(state, kubeadm, options.image_repository)
    steps = containerd_plan.plan(state, options)
    if module.check_mode:
        # Somebody else's task installs it, and has said so.
        steps = [step for step in steps if step.action != "install"]
    result = _edge.carry_out(module, steps, lambda step: containerd_apply.apply(step, system))
    # Whether a file of somebody else's overrides what was written shows only then.
    if steps and state.other_dropins and not module.check_mode:
        state = containerd.observe(system, options.image_repository, kubeadm_version=state.kubeadm_version)
    for problem in containerd_plan.problems(state, options):
        module.warn(problem.line)
    result.update(
        version=state.version, schema=state.schema, sandbox_image=containerd_config.sandbox_image(state, options)
    )
    return result


def main() -> None:
    credential = dict(
        registry=dict(type="str", required=True),
        username=dict(type="str", required=True),
        password=dict(type="str", required=True, no_log=True),
    )
    module = AnsibleModule(
        argument_spec=dict(
            package=dict(type="str", default=""),
            registry_mirrors=dict(type="dict", default={}),
            registry_credentials=dict(type="list", elements="dict", default=[], options=credential, no_log=False),
            config_dropin=dict(type="str", default=""),
            sandbox_image=dict(type="str", default=""),
            cni_bin_dir=dict(type="path", default="/opt/cni/bin"),
            image_repository=dict(type="str", default="registry.k8s.io"),
            kubeadm_version=dict(type="str", default=""),
        ),
        supports_check_mode=True,
    )
    _edge.run(module, work)


if __name__ == "__main__":
    main()
