#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_init
short_description: Initialize the first control plane with kubeadm
version_added: 0.1.0
description:
  - Runs C(kubeadm init) on a host without files of kubeadm. The configuration file can only be read by root and is
    deleted afterwards. On a complete control plane, the module changes nothing and returns the same values.
  - Continues an interrupted init of this module if its control plane answers or was complete before. Otherwise it
    removes the leftovers and starts again. A CA that existed before the first init is kept. If the host has leftovers
    that were not created by this collection, the module changes nothing, fails and reports what it found.
  - If kubeadm is already running on the host, for example from a run that lost its connection, the module waits for it
    first.
  - Uses the newest configuration API (v1beta4, v1beta3 or v1beta2) that the installed kubeadm supports.
  - Leaves no bootstrap token. The token that kubeadm always creates has already expired and is deleted. Create tokens
    with M(kubestead.cluster.kubeadm_join_token).
  - Allows the controller manager 50 requests per second with a burst of 100 (C(kube-api-qps), C(kube-api-burst)), as
    for the kubelet and the scheduler. With the defaults of 20 and 30, its start in a new cluster takes some seconds
    longer, and so do the first joins. O(config) can set other values.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  kubernetes_version:
    description:
      - The version of the control plane. For a minor version (V(1.36)), it is the version of the installed kubeadm,
        which must be of this minor version.
      - An exact version (V(1.36.2)) must be of the minor version of kubeadm or the one before.
    type: str
    default: "1.36"
  kubeadm_version:
    description:
      - The version of kubeadm after the packages are installed, as M(kubestead.cluster.cluster_plan) returns it. It is
        used in check mode, when kubeadm may not be installed yet.
    type: str
    default: ""
  control_plane_endpoint:
    description:
      - The DNS name or address, optionally with a port, at which all control planes are reached. Required for more than
        one control plane.
    type: str
    default: ""
  node_address:
    description:
      - The address at which the other hosts reach the API server of this host. It is also the kubelet's C(--node-ip),
        unless O(kubelet_extra_args) sets one. If it is empty, both use the address of the default route.
      - In a dual-stack cluster, set one address of each family, separated by a comma. The API server uses the first
        address.
    type: str
    default: ""
  bind_port:
    description: The port of the API server on this host.
    type: int
    default: 6443
  pod_cidr:
    description: The range of pod addresses, or an IPv4 and an IPv6 range separated by a comma. If it is empty, nodes
      get no pod ranges.
    type: str
    default: 10.244.0.0/16
  service_cidr:
    description: The range of Service addresses, or an IPv4 and an IPv6 range separated by a comma.
    type: str
    default: 10.96.0.0/12
  dns_domain:
    description: The DNS domain of the cluster.
    type: str
    default: cluster.local
  image_repository:
    description: The registry, optionally with a path, of the control plane images, without a scheme.
    type: str
    default: registry.k8s.io
  cert_sans:
    description: Additional names and addresses for the API server's certificate.
    type: list
    elements: str
    default: []
  endpoint_vip:
    description: The virtual IP address of the API. It is added to the API server's certificate.
    type: str
    default: ""
  feature_gates:
    description: Feature gates of kubeadm, as a dictionary of names and booleans.
    type: dict
    default: {}
  kubelet_config:
    description: Fields of the cluster's KubeletConfiguration. Joining nodes get them too.
    type: dict
    default: {}
  kube_proxy_config:
    description: Fields of the cluster's KubeProxyConfiguration.
    type: dict
    default: {}
  skip_phases:
    description: Phases of C(kubeadm init) to skip, for example V(addon/kube-proxy).
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
  config:
    description:
      - Additional fields of the kubeadm configuration. They override the other options. The keys are
        V(InitConfiguration), V(ClusterConfiguration), V(KubeletConfiguration) and V(KubeProxyConfiguration)
        (V(JoinConfiguration) belongs to M(kubestead.cluster.kubeadm_join)).
      - Write the fields as in v1beta4; they are converted for an older kubeadm. Dictionaries are merged, arguments of
        components are merged by name, and all other values are replaced. Fields that hold secrets are refused.
    type: dict
    default: {}
  node_name:
    description: The name of the Node. If it is empty, it is the host name.
    type: str
    default: ""
  node_labels:
    description: Labels to create the Node with, as a dictionary of names and values.
    type: dict
    default: {}
  taints:
    description:
      - Taints of the Node as C(key[=value]:Effect). If it is not set, the Node gets the usual taint of control planes.
        With an empty list, the node runs any pod.
    type: list
    elements: str
  kubelet_extra_args:
    description: Additional arguments of the kubelet, as a dictionary of names without dashes and values.
    type: dict
    default: {}
  cri_socket:
    description: The socket of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  timeout:
    description: The time limit of C(kubeadm init) in seconds, including image pulls.
    type: int
    default: 900
seealso:
  - module: kubestead.cluster.kubeadm_join_token
  - module: kubestead.cluster.kubeadm_join
  - module: kubestead.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Create a cluster
  kubestead.cluster.kubeadm_init:
    kubernetes_version: "1.36"
    control_plane_endpoint: k8s.example.org:6443
    pod_cidr: 10.244.0.0/16

- name: Create a cluster of one node with an audit log
  kubestead.cluster.kubeadm_init:
    kubernetes_version: "1.36"
    taints: []
    config:
      ClusterConfiguration:
        apiServer:
          extraArgs:
            - {name: audit-log-path, value: /var/log/kubernetes/audit.log}
            - {name: audit-log-maxage, value: "30"}
"""

RETURN = r"""
kubernetes_version:
  description: The version of the control plane. It is empty in check mode if kubeadm is not installed yet.
  returned: success
  type: str
  sample: 1.36.2
endpoint:
  description: The host and port at which the API is reached. It is empty in check mode if no endpoint is set.
  returned: success
  type: str
  sample: 192.168.1.10:6443
ca_cert_hash:
  description: The hash of the cluster's CA for joins. It is empty in check mode.
  returned: success
  type: str
  sample: sha256:66c9aa2a619dca5c6152038388e94445aa11a6d0231eccf1da58b8688db00119
node_name:
  description: The name of the Node.
  returned: success
  type: str
  sample: cp1
phase:
  description: The state of the host now - V(none), V(partial) or V(done).
  returned: success
  type: str
  sample: done
actions:
  description: The phases that kubeadm ran.
  returned: success
  type: list
  elements: str
  sample: [preflight, certs, kubeconfig, etcd, control-plane]
steps:
  description: The steps that were taken, or would be taken in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
  sample:
    - component: control_plane
      action: init
      target: cp1
      reason: no cluster on this host; version 1.36.2, pods 10.244.0.0/16, services 10.96.0.0/12
stdout_lines:
  description: The output of kubeadm, without tokens and keys.
  returned: when kubeadm ran
  type: list
  elements: str
  sample: ["[preflight] Running pre-flight checks"]
"""

from typing import Any, Callable, Dict, List, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import kubeadm_lock
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState


def argument_spec() -> Dict[str, Any]:
    """The module's options; their defaults are those of the component."""
    defaults = init.ControlPlaneOptions()
    spec: Dict[str, Any] = {
        "kubernetes_version": {"type": "str"},
        "kubeadm_version": {"type": "str", "default": ""},
        "control_plane_endpoint": {"type": "str", "default": defaults.endpoint},
        "node_address": {"type": "str"},
        "bind_port": {"type": "int"},
        "pod_cidr": {"type": "str"},
        "service_cidr": {"type": "str"},
        "dns_domain": {"type": "str"},
        "image_repository": {"type": "str"},
        "cert_sans": {"type": "list", "elements": "str"},
        "endpoint_vip": {"type": "str"},
        "feature_gates": {"type": "dict"},
        "kubelet_config": {"type": "dict"},
        "kube_proxy_config": {"type": "dict"},
        "skip_phases": {"type": "list", "elements": "str"},
        "ignore_preflight_errors": {"type": "list", "elements": "str"},
        "config": {"type": "dict"},
        "node_name": {"type": "str"},
        "node_labels": {"type": "dict"},
        "taints": {"type": "list", "elements": "str"},
        "kubelet_extra_args": {"type": "dict"},
        "cri_socket": {"type": "str"},
        "timeout": {"type": "int"},
    }
    for name, one in spec.items():
        default = getattr(defaults, name, None)
        if default is not None:
            one["default"] = default
    return spec


def validate_and_apply(
    call: Call, system: System, state: KubeadmState, steps: List[Step], apply: Callable[[Step], None]
) -> Dict[str, Any]:
    """Let kubeadm validate the configuration if it is installed, then apply the steps except in check mode."""
    # In check mode, the kubeadm that will read it may not be installed yet.
    readers = kubeadm.installed_version(system) if steps and call.check_mode else state.installed_version
    for step in steps:
        if readers and readers == state.installed_version and step.action == "init":
            init.check_with_kubeadm(step, system)
    return _edge.apply_steps(call, steps, apply)


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan, apply, and describe the result."""
    options = init.options_from_module(call.params)

    def look(installed: str = "") -> Tuple[KubeadmState, List[Step]]:
        state = kubeadm.observe(system, installed)
        state = kubeadm.assume_version(state, call.params["kubeadm_version"] if call.check_mode else "")
        error = init.first_error(init.problems(state, options))
        if error is not None:
            raise error
        return state, init.plan(state, options)

    state, steps = look()
    runs: List[init.InitRun] = []

    def apply(step: Step) -> None:
        run = init.apply(step, system)
        if run is not None:
            runs.append(run)

    if steps and not call.check_mode:
        with kubeadm_lock(system, options.timeout):
            # The state may have changed: another run has just finished.
            state, steps = look(state.installed_version)
            result = validate_and_apply(call, system, state, steps, apply)
        state = kubeadm.observe(system, state.installed_version)
    else:
        result = validate_and_apply(call, system, state, steps, apply)
    for warning in init.warnings_of(init.problems(state, options)):
        call.warn(warning)
    result["actions"] = [phase for run in runs for phase in run.phases]
    if runs:
        result["stdout_lines"] = runs[-1].output
    result.update(init.described(state, options))
    return result


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
