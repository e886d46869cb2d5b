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
  - Runs C(kubeadm join) with a configuration file that only root can read and that is deleted afterwards. No secret is
    passed as an argument of a process. On a node that has joined, the module changes nothing.
  - Before anything is changed, the module checks that the endpoint answers, knows the token and has the expected CA. A
    wrong or expired token, a wrong CA hash or an unreachable endpoint fails within seconds, in one line.
  - If the host is a node of another cluster, or has leftovers that were not created by this collection, the module
    changes nothing, fails and reports what it found. Leftovers of its own failed join are removed before the next join.
  - Uses the newest configuration API (v1beta4, v1beta3 or v1beta2) that the installed kubeadm supports.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  join:
    description:
      - The registered result of M(kubestead.cluster.kubeadm_join_token), or the result of the lookup
        P(kubestead.cluster.join_command#lookup) for a pasted command. It sets O(endpoint), O(token),
        O(ca_cert_hashes), O(ca_certificate) and O(certificate_key). These options take precedence if you set them too.
      - The certificate key is used only with O(control_plane=true).
    type: dict
  token_host:
    description:
      - The inventory name of the control plane on which the token of this host is deleted. The token is deleted as soon
        as the host has joined, has failed or has become unreachable, even if other hosts are still joining. Hosts whose
        joins end at the same time share one call of M(kubestead.cluster.kubeadm_join_token).
      - If the deletion fails, the join still succeeds. Delete the tokens again after the joins, as in the last example.
    type: str
    default: ""
  endpoint:
    description:
      - The host and port of the cluster's API. Required for a join, like O(token) and O(ca_cert_hashes).
    type: str
    default: ""
  token:
    description: The bootstrap token.
    type: str
    default: ""
  ca_cert_hashes:
    description: The hashes of the cluster's CA, each V(sha256:) and 64 hexadecimal digits.
    type: list
    elements: str
    default: []
  ca_certificate:
    description:
      - The certificates of the cluster's CA (PEM); the hash of each is in O(ca_cert_hashes). With them, the node trusts
        the certificates themselves and does not need a C(cluster-info) that is signed with the token. In a new cluster,
        the module still waits for the signature, because the cluster does not sign node certificates earlier either.
    type: str
    default: ""
  certificate_key:
    description:
      - The key that the uploaded certificates are encrypted with. Required with O(control_plane=true), unless the
        certificates are already in C(/etc/kubernetes/pki).
    type: str
    default: ""
  control_plane:
    description: Join as a control plane.
    type: bool
    default: false
  expires:
    description: The expiration time of the token in ISO 8601, if it is known. An expired token fails immediately.
    type: str
    default: ""
  node_name:
    description: The name of the Node. If it is empty, it is the host name.
    type: str
    default: ""
  node_address:
    description:
      - The address at which the other nodes reach this host. It is the kubelet's C(--node-ip), unless
        O(kubelet_extra_args) sets one, and the address that a control plane advertises. If it is empty, both use the
        address of the default route.
      - In a dual-stack cluster, set one address of each family, separated by a comma. The API server uses the first
        address.
    type: str
    default: ""
  bind_port:
    description: The port of the API server on a control plane.
    type: int
    default: 6443
  node_labels:
    description: Labels to create the Node with, as a dictionary of names and values.
    type: dict
    default: {}
  taints:
    description:
      - Taints to create the Node with, as C(key[=value]:Effect). If it is not set, control planes get the usual taint
        and workers get none. With an empty list, the Node gets no taints.
    type: list
    elements: str
  kubelet_extra_args:
    description: Additional arguments of the kubelet, as a dictionary of names without dashes and values.
    type: dict
    default: {}
  skip_phases:
    description: Phases of C(kubeadm join) to skip.
    type: list
    elements: str
    default: []
  ignore_preflight_errors:
    description:
      - Names of kubeadm preflight checks whose errors are treated as warnings, for example V(Swap).
      - V(all) is refused.
    type: list
    elements: str
    default: []
  cri_socket:
    description: The socket of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  timeout:
    description: The time limit of C(kubeadm join) in seconds, including image pulls.
    type: int
    default: 600
  config:
    description:
      - Additional fields of the kubeadm configuration. They override the other options. The key is
        V(JoinConfiguration); the other kinds belong to M(kubestead.cluster.kubeadm_init).
      - Write the fields as in v1beta4; they are converted for an older kubeadm. Dictionaries are merged, arguments of
        the kubelet are merged by name, and all other values are replaced. Fields that hold secrets are refused.
    type: dict
    default: {}
  kubeadm_version:
    description:
      - The version of kubeadm after the packages are installed, as M(kubestead.cluster.cluster_plan) returns it. It is
        used in check mode, when kubeadm may not be installed yet.
    type: str
    default: ""
  precheck:
    description:
      - Check the endpoint before anything is changed. With V(false), only kubeadm checks it. Use this for a node that
        reaches the endpoint only through a proxy.
    type: bool
    default: true
seealso:
  - module: kubestead.cluster.kubeadm_join_token
  - plugin: kubestead.cluster.join_command
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Join as a worker with the registered result of kubeadm_join_token
  kubestead.cluster.kubeadm_join:
    join: "{{ join_token }}"
    node_labels:
      disk: ssd

- name: Join as a further control plane
  kubestead.cluster.kubeadm_join:
    join: "{{ join_token }}"
    control_plane: true
  throttle: 1

- name: Join with tokens that are deleted after each join
  block:
    - name: Join
      kubestead.cluster.kubeadm_join:
        join: "{{ join_token }}"
        token_host: cp1
  always:
    - name: Delete the remaining tokens
      kubestead.cluster.kubeadm_join_token:
        state: absent
        nodes: "{{ ansible_play_hosts_all }}"
      delegate_to: cp1
      run_once: true
"""

RETURN = r"""
node_name:
  description: The name of the Node.
  returned: success
  type: str
  sample: w1
endpoint:
  description: The host and port at which this node reaches the API.
  returned: success
  type: str
  sample: 192.168.1.10:6443
phase:
  description: The state of the host now - V(none) or V(done), in check mode also V(partial).
  returned: success
  type: str
  sample: done
control_plane:
  description: Whether the node is a control plane, or would be in check mode.
  returned: success
  type: bool
  sample: false
ca_cert_hash:
  description: The hash of the CA that the node trusts. It is empty for a join in check mode.
  returned: success
  type: str
  sample: sha256:66c9aa2a619dca5c6152038388e94445aa11a6d0231eccf1da58b8688db00119
steps:
  description: The steps that were taken, or would be taken in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
  sample:
    - {component: join, action: join, target: w1, reason: "no kubelet.conf; joins as a worker of 192.168.1.10:6443"}
"""

import re
from typing import Any, Dict, List, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
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
        # Read by the action plugin, which passes on its parts.
        "join": {"type": "dict", "no_log": True},
        # Only the action plugin reads this option. The name of a host is not a secret.
        "token_host": {"type": "str", "default": "", "no_log": False},
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


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan, check the endpoint, apply, and describe the result."""
    params = call.params
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
        state = kubeadm.assume_version(state, params["kubeadm_version"] if call.check_mode else "")
        checked = join.checked_command(command, state, required=not call.check_mode)
        return state, checked, join.plan(state, options, checked)

    state, checked, steps = look()
    if steps and not call.check_mode:
        with kubeadm_lock(system, options.timeout):
            # The state may have changed: another run has just finished.
            state, checked, steps = look(state.installed_version)
            if steps and checked.token and params["precheck"]:
                join_precheck.precheck(checked)
            result = _edge.apply_steps(call, steps, lambda step: join.apply(step, system))
        there = kubeadm.observe(system, state.installed_version)
    else:
        if steps and checked.token and params["precheck"]:
            join_precheck.precheck(checked)
        result = _edge.apply_steps(call, steps, lambda step: join.apply(step, system))
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
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
