#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_init
short_description: Make the first control plane of a cluster with kubeadm
version_added: 0.1.0
description:
  - Runs C(kubeadm init) on a host on which nothing of kubeadm's is, from a configuration file that only root can read
    and that is deleted right after. On a control plane that is done it changes nothing and returns the same values.
  - Where an init of this module was cut off, it is continued if its control plane answers (or once was complete), else
    what it left is removed and it begins anew; a CA of your own that lay there before stays. A host on which somebody
    else's run stopped half way is never touched; the module fails and says what it found.
  - When kubeadm is at work on the host already, say for a run whose connection broke, the module waits for it first.
  - The configuration API (v1beta4, v1beta3, v1beta2) is the one that the installed kubeadm speaks.
  - No bootstrap token is left behind; the one that kubeadm insists on making is void from the beginning and deleted.
    Make tokens with M(kubestead.cluster.kubeadm_join_token).
  - The controller manager may make 50 requests a second, 100 at once (C(kube-api-qps), C(kube-api-burst)), like the
    kubelet and the scheduler. With its own 20 and 30 it takes seconds longer to start in a new cluster, and so do the
    first joins. O(config) can set others.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  kubernetes_version:
    description:
      - The version to make. With a minor (V(1.36)) it is that of the installed kubeadm, which must be of this minor.
      - An exact version (V(1.36.2)) may be of kubeadm's minor or of the one before.
    type: str
    default: "1.36"
  kubeadm_version:
    description:
      - The version of kubeadm that is there once the host's packages are, as M(kubestead.cluster.cluster_plan) tells.
        Used in check mode, where it need not be installed yet.
    type: str
    default: ""
  control_plane_endpoint:
    description:
      - DNS name or address, with an optional port, that leads to all control planes. Needed for more than one.
    type: str
    default: ""
  node_address:
    description:
      - The address of this host at which the others reach its API server; also the kubelet's C(--node-ip), unless
        O(kubelet_extra_args) has one. Empty leaves both to the default route.
    type: str
    default: ""
  bind_port:
    description: The port of the API server on this host.
    type: int
    default: 6443
  pod_cidr:
    description: The range of pod addresses, or one of each family separated by a comma. Empty gives nodes no ranges.
    type: str
    default: 10.244.0.0/16
  service_cidr:
    description: The range of service addresses, or one of each family separated by a comma.
    type: str
    default: 10.96.0.0/12
  dns_domain:
    description: The domain of the cluster's services.
    type: str
    default: cluster.local
  image_repository:
    description: Where the images of the control plane come from, without a scheme.
    type: str
    default: registry.k8s.io
  cert_sans:
    description: More names and addresses for the API server's certificate.
    type: list
    elements: str
    default: []
  feature_gates:
    description: kubeadm's own feature gates, name to boolean.
    type: dict
    default: {}
  kubelet_config:
    description: Fields of the cluster's KubeletConfiguration; nodes that join get it too.
    type: dict
    default: {}
  kube_proxy_config:
    description: Fields of the cluster's KubeProxyConfiguration.
    type: dict
    default: {}
  skip_phases:
    description: Phases of C(kubeadm init) to leave out, like V(addon/kube-proxy).
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
  config:
    description:
      - Fields for kubeadm's configuration that have no option here, laid over what the options make. The keys are
        V(InitConfiguration), V(ClusterConfiguration), V(KubeletConfiguration) and V(KubeProxyConfiguration)
        (V(JoinConfiguration) is left to M(kubestead.cluster.kubeadm_join)).
      - Written as in v1beta4 and translated for an older kubeadm. Dictionaries merge, arguments of components merge by
        name, anything else is replaced. Fields that hold secrets are refused.
    type: dict
    default: {}
  node_name:
    description: The name of the Node. Empty takes the host's name.
    type: str
    default: ""
  node_labels:
    description: Labels that the Node is created with, name to value.
    type: dict
    default: {}
  taints:
    description:
      - Taints of the Node as C(key[=value]:Effect). Left out, it gets the usual one of control planes; an empty list
        lets it run any pod.
    type: list
    elements: str
  kubelet_extra_args:
    description: Arguments of this host's kubelet, name without dashes to value.
    type: dict
    default: {}
  cri_socket:
    description: The socket of the container runtime.
    type: str
    default: unix:///run/containerd/containerd.sock
  timeout:
    description: Seconds that C(kubeadm init) may take, pulling images included.
    type: int
    default: 900
seealso:
  - module: kubestead.cluster.kubeadm_join_token
  - module: kubestead.cluster.kubeadm_join
  - module: kubestead.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Make the cluster
  kubestead.cluster.kubeadm_init:
    kubernetes_version: "1.36"
    control_plane_endpoint: k8s.example.org:6443
    pod_cidr: 10.244.0.0/16

- name: Make a cluster of one node, with an audit log
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
  description: The version of the control plane; empty in a dry run on a host that has no kubeadm yet.
  returned: success
  type: str
  sample: 1.36.2
endpoint:
  description: Host and port at which the API is reached; empty in a dry run where nobody named one.
  returned: success
  type: str
  sample: 192.168.1.10:6443
ca_cert_hash:
  description: The pin of the cluster's CA as a join takes it; empty in a dry run.
  returned: success
  type: str
  sample: sha256:66c9aa2a619dca5c6152038388e94445aa11a6d0231eccf1da58b8688db00119
node_name:
  description: The name of the Node.
  returned: success
  type: str
  sample: cp1
phase:
  description: What is on the host now, V(none), V(partial) or V(done).
  returned: success
  type: str
  sample: done
actions:
  description: The phases that kubeadm went through in this run.
  returned: success
  type: list
  elements: str
  sample: [preflight, certs, kubeconfig, etcd, control-plane]
steps:
  description: What was (or would be) done, and why.
  returned: success
  type: list
  elements: dict
  sample:
    - component: control_plane
      action: init
      target: cp1
      reason: no cluster here; version 1.36.2, pods 10.244.0.0/16, services 10.96.0.0/12
stdout_lines:
  description: What kubeadm printed, without tokens and keys.
  returned: when kubeadm ran
  type: list
  elements: str
  sample: ["[preflight] Running pre-flight checks"]
"""

from typing import Any, Callable, Dict, List, Tuple

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
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


def carry_out(
    module: AnsibleModule, system: System, state: KubeadmState, steps: List[Step], apply: Callable[[Step], None]
) -> Dict[str, Any]:
    """Let kubeadm read the configuration first, where there is one, then apply the steps unless this is a dry run."""
    # In a dry run the kubeadm that is going to read it may not be there yet.
    readers = kubeadm.installed_version(system) if steps and module.check_mode else state.installed_version
    for step in steps:
        if readers and readers == state.installed_version and step.action == "init":
            init.check_with_kubeadm(step, system)
    return _edge.carry_out(module, steps, apply)


def work(module: AnsibleModule, system: System) -> Dict[str, Any]:
    """Observe, plan, carry out, and describe what is there then."""
    options = init.options_from_module(module.params)

    def look(installed: str = "") -> Tuple[KubeadmState, List[Step]]:
        state = kubeadm.observe(system, installed)
        state = kubeadm.assume_version(state, module.params["kubeadm_version"] if module.check_mode else "")
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

    if steps and not module.check_mode:
        with kubeadm_lock(system, options.timeout):
            # What is there may be another by now: the run that was waited for has ended.
            state, steps = look(state.installed_version)
            result = carry_out(module, system, state, steps, apply)
        state = kubeadm.observe(system, state.installed_version)
    else:
        result = carry_out(module, system, state, steps, apply)
    for warning in init.warnings_of(init.problems(state, options)):
        module.warn(warning)
    result["actions"] = [phase for run in runs for phase in run.phases]
    if runs:
        result["stdout_lines"] = runs[-1].output
    result.update(init.described(state, options))
    return result


def main() -> None:
    """The module's entry."""
    _edge.run(AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True), work)


if __name__ == "__main__":
    main()
