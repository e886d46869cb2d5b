#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join
short_description: Join a node to a cluster with kubeadm
version_added: 0.1.0
description:
  - Runs C(kubeadm join) from a configuration file that only root can read and that is deleted right after; no secret is
    ever an argument of a process. On a node that has joined it changes nothing.
  - Before anything is changed the endpoint is asked whether it answers, knows the token and has the expected CA, so
    that a wrong or expired token, a wrong CA hash or an endpoint out of reach fails within seconds and in one line.
  - A node of another cluster, or one that holds part of a cluster which this module did not put there, is never
    touched; the module fails and says what it found. What its own failed join left is removed before the next.
  - The configuration API (v1beta4, v1beta3, v1beta2) is the one that the installed kubeadm speaks.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  join:
    description:
      - What the node needs to join, as M(kubestead.cluster.kubeadm_join_token) registers it or the lookup
        P(kubestead.cluster.join_command#lookup) reads it from a pasted command. It stands for O(endpoint), O(token),
        O(ca_cert_hashes), O(ca_certificate) and O(certificate_key), of which those given beside it win.
      - The certificate key is used with O(control_plane=true) alone.
    type: dict
  endpoint:
    description:
      - Host and port of the cluster's API. Needed, like O(token) and O(ca_cert_hashes), when the node is to join.
    type: str
    default: ""
  token:
    description: The bootstrap token.
    type: str
    default: ""
  ca_cert_hashes:
    description: The pins of the cluster's CA, V(sha256:) and 64 hexadecimal digits each.
    type: list
    elements: str
    default: []
  ca_certificate:
    description:
      - The certificates of the cluster's CA (PEM); O(ca_cert_hashes) has the pin of each of them. With it the node
        trusts the cluster by the certificate itself, and whether the cluster has signed C(cluster-info) with the token
        does not matter; in a cluster that was just made that is waited for, since certificates are not signed before
        either.
    type: str
    default: ""
  certificate_key:
    description:
      - The key that the uploaded certificates are encrypted with. Needed with O(control_plane=true), unless the
        certificates are in C(/etc/kubernetes/pki) already.
    type: str
    default: ""
  control_plane:
    description: Become a control plane.
    type: bool
    default: false
  expires:
    description: When the token ends, ISO 8601, where it is known. A token that has ended fails at once.
    type: str
    default: ""
  node_name:
    description: The name of the Node. Empty takes the host's name.
    type: str
    default: ""
  node_address:
    description:
      - The address of this host that the other nodes reach it at; the kubelet's C(--node-ip) (unless
        O(kubelet_extra_args) has one) and what a control plane advertises. Empty leaves both to the default route.
    type: str
    default: ""
  bind_port:
    description: The port of the API server on this host, for a control plane.
    type: int
    default: 6443
  node_labels:
    description: Labels that the Node is born with, name to value.
    type: dict
    default: {}
  taints:
    description:
      - Taints that the Node is born with, as C(key[=value]:Effect). Left out, control planes get their usual one and
        workers none; an empty list means none at all.
    type: list
    elements: str
  kubelet_extra_args:
    description: Arguments of this host's kubelet, name without dashes to value.
    type: dict
    default: {}
  skip_phases:
    description: Phases of C(kubeadm join) to leave out.
    type: list
    elements: str
    default: []
  ignore_preflight_errors:
    description:
      - Preflight checks of kubeadm whose errors become warnings, by name, like V(Swap).
      - V(all) is refused.
    type: list
    elements: str
    default: []
  cri_socket:
    description: The socket of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  timeout:
    description: Seconds that C(kubeadm join) may take, pulling images included.
    type: int
    default: 600
  config:
    description:
      - Fields for kubeadm's configuration that have no option here, laid over what the options make. The key is
        V(JoinConfiguration); the other kinds are left to M(kubestead.cluster.kubeadm_init).
      - Written as in v1beta4 and translated for an older kubeadm. Dictionaries merge, arguments of the kubelet merge by
        name, anything else is replaced. Fields that hold secrets are refused.
    type: dict
    default: {}
  kubeadm_version:
    description:
      - The version of kubeadm that is there once the host's packages are, as M(kubestead.cluster.cluster_plan) tells.
        Used in check mode, where it need not be installed yet.
    type: str
    default: ""
  precheck:
    description:
      - Ask the endpoint before anything is changed. V(false) leaves finding out to kubeadm, for a node that reaches the
        endpoint through a proxy only.
    type: bool
    default: true
seealso:
  - module: kubestead.cluster.kubeadm_join_token
  - plugin: kubestead.cluster.join_command
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Join as a worker
  kubestead.cluster.kubeadm_join:
    endpoint: "{{ join.endpoint }}"
    token: "{{ join.token }}"
    ca_cert_hashes: "{{ join.ca_cert_hashes }}"
    ca_certificate: "{{ join.ca_certificate }}"
    node_labels:
      disk: ssd
  vars:
    join: "{{ lookup('kubestead.cluster.join_command', join_token) }}"

- name: Join as a further control plane
  kubestead.cluster.kubeadm_join:
    control_plane: true
    endpoint: "{{ join.endpoint }}"
    token: "{{ join.token }}"
    ca_cert_hashes: "{{ join.ca_cert_hashes }}"
    certificate_key: "{{ join.certificate_key }}"
  vars:
    join: "{{ lookup('kubestead.cluster.join_command', join_token, control_plane=true) }}"
  throttle: 1
"""

RETURN = r"""
node_name:
  description: The name of the Node.
  returned: success
  type: str
  sample: w1
endpoint:
  description: Host and port at which this node reaches the API.
  returned: success
  type: str
  sample: 192.168.1.10:6443
phase:
  description: What is on the host now, V(none) or V(done) (V(partial) only in a dry run).
  returned: success
  type: str
  sample: done
control_plane:
  description: Whether the node is (in a dry run, would be) a control plane.
  returned: success
  type: bool
  sample: false
ca_cert_hash:
  description: The pin of the CA that the node trusts; empty in a dry run of a join.
  returned: success
  type: str
  sample: sha256:66c9aa2a619dca5c6152038388e94445aa11a6d0231eccf1da58b8688db00119
steps:
  description: What was (or would be) done, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - {component: join, action: join, target: w1, reason: "no kubelet.conf; becomes a worker of 192.168.1.10:6443"}
"""

import re
from typing import Any, Dict, List, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import endpoint_check as join_precheck
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import join
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.node_options import from_parameters
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import kubeadm_lock
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState


def argument_spec() -> Dict[str, Any]:
    """The module's options; the defaults are those of the component."""
    defaults = join.JoinOptions()
    spec: Dict[str, Any] = {
        # Read by the action plugin, which hands on its parts.
        "join": {"type": "dict", "no_log": True},
        "endpoint": {"type": "str", "default": ""},
        "token": {"type": "str", "default": "", "no_log": True},
        "ca_cert_hashes": {"type": "list", "elements": "str", "default": []},
        "ca_certificate": {"type": "str", "default": ""},
        "certificate_key": {"type": "str", "default": "", "no_log": True},
        "control_plane": {"type": "bool", "default": False},
        "expires": {"type": "str", "default": ""},
        "node_name": {"type": "str"},
        "node_address": {"type": "str"},
        "bind_port": {"type": "int"},
        "node_labels": {"type": "dict"},
        "taints": {"type": "list", "elements": "str"},
        "kubelet_extra_args": {"type": "dict"},
        "skip_phases": {"type": "list", "elements": "str"},
        "ignore_preflight_errors": {"type": "list", "elements": "str"},
        "cri_socket": {"type": "str"},
        "timeout": {"type": "int"},
        "config": {"type": "dict"},
        "kubeadm_version": {"type": "str", "default": ""},
        "precheck": {"type": "bool", "default": True},
    }
    for name, one in spec.items():
        default = getattr(defaults, name, None)
        if default is not None:
            one["default"] = default
    return spec


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Observe, plan, ask the endpoint, carry out, and describe what is there then."""
    params = module.params
    options = from_parameters(join.JoinOptions, params)
    command = JoinCommand(
        endpoint=params["endpoint"],
        token=params["token"],
        ca_cert_hashes=params["ca_cert_hashes"],
        certificate_key=params["certificate_key"],
        control_plane=params["control_plane"],
        expires=params["expires"],
        ca_certificate=params["ca_certificate"],
    )

    def look(installed: str = "") -> Tuple[KubeadmState, JoinCommand, List[Step]]:
        state = kubeadm.observe(system, installed)
        state = kubeadm.assume_version(state, params["kubeadm_version"] if module.check_mode else "")
        checked = join.checked_command(command, state, required=not module.check_mode)
        return state, checked, join.plan(state, options, checked)

    state, checked, steps = look()
    if steps and not module.check_mode:
        with kubeadm_lock(system, options.timeout):
            # What is there may be another by now: the run that was waited for has ended.
            state, checked, steps = look(state.installed_version)
            if steps and checked.token and params["precheck"]:
                join_precheck.precheck(checked)
            result = _edge.carry_out(module, steps, lambda step: join.apply(step, system))
        there = kubeadm.observe(system, state.installed_version)
    else:
        if steps and checked.token and params["precheck"]:
            join_precheck.precheck(checked)
        result = _edge.carry_out(module, steps, lambda step: join.apply(step, system))
        there = state
    result.update(
        node_name=options.node_name if steps and options.node_name else there.node_name,
        endpoint=re.sub(r"^https?://", "", there.server) or checked.endpoint,
        phase=there.phase,
        control_plane=there.role == "control_plane" or (bool(steps) and checked.control_plane),
        ca_cert_hash=there.ca_cert_hash,
    )
    return result


def main() -> None:
    """The module's entry."""
    _edge.run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), work)


if __name__ == "__main__":
    main()
