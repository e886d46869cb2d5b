#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_upgrade
short_description: Upgrade a node of a cluster to another version of Kubernetes
version_added: 0.1.0
description:
  - Installs kubeadm of the version, runs C(kubeadm upgrade apply) or C(kubeadm upgrade node), installs the other
    packages, restarts the kubelet, and waits until the Node is ready with the new version. The module continues an
    interrupted upgrade.
  - Does not drain the node or check other nodes; C(upgrade.yml) does both.
  - Before the first control plane of the cluster is upgraded, the module stores a snapshot of etcd in
    C(/var/lib/kubestead/snapshots), readable only by root. The two newest snapshots are kept.
  - If the new kubelet does not become ready, the module puts back the old packages and files of the kubelet, waits
    until the old kubelet is ready, and fails with the last line that the new kubelet logged. The marker of the upgrade
    stays, and the next run tries again.
  - With O(runtime), the module first replaces containerd, and puts the old packages and files of containerd back if the
    Node does not become ready with the new one.
  - If no other node can run the Job of kubeadm's check C(CreateJob), because of cordons and taints, the module ignores
    this check.
  - Flags that the new kubelet refuses are removed from kubeadm's file. In the user's own file, such flags are an error.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  state:
    description:
      - V(upgraded) upgrades the node.
      - V(repaired) only restores what an interrupted upgrade has removed or replaced (the old containerd, manifests and
        the files of the old kubelet), and waits for the API server.
    type: str
    choices: [upgraded, repaired]
    default: upgraded
  version:
    description: The exact version, for example V(1.36.2). Required with O(state=upgraded).
    type: str
    default: ""
  first:
    description: Also upgrade the cluster's configuration and addons, on one control plane before all other nodes.
    type: bool
    default: false
  packages:
    description:
      - The options of the role P(kubestead.cluster.kube_packages#role), without prefixes. By default, the variables of
        the host are used.
    type: dict
    default: {}
  ignore_preflight_errors:
    description: Names of kubeadm preflight checks whose errors are treated as warnings.
    type: list
    elements: str
    default: []
  timeout:
    description: The time limit for kubeadm, in seconds.
    type: int
    default: 1200
  cgroup_v1:
    description:
      - With O(first=true), allow the kubelets of the cluster to run on cgroup v1, which they refuse by default since
        1.35. The module sets C(failCgroupV1) to V(false) in the ConfigMap C(kubelet-config).
    type: bool
    default: false
  runtime:
    description:
      - The containerd that the node gets before its upgrade - C(package) and the exact C(version) of the package, for
        example V(containerd.io) and V(2.1.5-1~debian.13~trixie). Only with apt. The configuration is that of the role
        P(kubestead.cluster.containerd#role), from the variables of the host.
      - If it is empty, the node keeps its containerd.
    type: dict
    default: {}
  static_pods:
    description:
      - The versions of the controller managers and schedulers after the upgrade, as in the option C(static_pods) of
        M(kubestead.cluster.cluster_health_info). RV(static_pods) returns them.
    type: dict
    default: {}
  secrets:
    description: The options of containerd that hold secrets, as JSON. Set by the action plugin.
    type: str
    default: ""
seealso:
  - module: kubestead.cluster.node_drain
  - module: kubestead.cluster.cluster_health_info
"""

EXAMPLES = r"""
- name: Upgrade the first control plane and the cluster's configuration
  kubestead.cluster.kubeadm_upgrade:
    version: 1.36.2
    first: true
"""

RETURN = r"""
version:
  description: The version of the running kubelet.
  returned: with O(state=upgraded)
  type: str
  sample: 1.36.2
rolled_back:
  description: The version of the old kubelet or containerd, which was put back and is ready.
  returned: if the new kubelet did not become ready, or not with the new containerd
  type: str
  sample: 1.35.4
static_pods:
  description: The value of O(static_pods), or an empty dictionary if RV(rolled_back) is returned.
  returned: always
  type: dict
  sample: {cp1: {kube-controller-manager: 1.36.2, kube-scheduler: 1.36.2}}
"""

from dataclasses import replace
from typing import Any, Dict, List

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import (
    ContainerdOptions,
    secret_options,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import checked, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import upgrade
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import kubeadm_lock
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.runtime_upgrade import RuntimeOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import KubePackagesOptions


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    return {
        "state": {"type": "str", "choices": ["upgraded", "repaired"], "default": "upgraded"},
        "version": {"type": "str", "default": ""},
        "first": {"type": "bool", "default": False},
        "packages": {"type": "dict", "default": {}},
        "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
        "timeout": {"type": "int", "default": 1200},
        "cgroup_v1": {"type": "bool", "default": False},
        "runtime": {"type": "dict", "default": {}},
        "static_pods": {"type": "dict", "default": {}},
        "secrets": {"type": "str", "default": "", "no_log": True},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Observe, plan, apply."""
    given = call.params
    secrets = secret_options(given["secrets"])
    # Ansible hides these in all output of the module.
    call.hide(*(str(one["password"]) for one in secrets.get("registry_credentials", [])))
    runtime = checked("runtime", RuntimeOptions, given["runtime"])
    if secrets:
        containerd = checked("secrets", ContainerdOptions, {**to_dict(runtime.containerd), **secrets})
        runtime = replace(runtime, containerd=containerd)
    if given["state"] == "repaired":
        return _repair(call, system)
    options = upgrade.UpgradeOptions(
        version=given["version"],
        first=given["first"],
        packages=checked("packages", KubePackagesOptions, given["packages"]),
        ignore_preflight_errors=given["ignore_preflight_errors"],
        timeout=given["timeout"],
        cgroup_v1=given["cgroup_v1"],
        runtime=runtime,
    )
    options.packages.validate()
    state = upgrade.observe(system, options)
    steps = upgrade.plan(state, options)
    if steps and not call.check_mode:
        with kubeadm_lock(system, options.timeout):
            # The state may have changed: another run has just finished.
            state = upgrade.observe(system, options)
            steps = upgrade.plan(state, options)
            result = _edge.apply_steps(
                call, steps, lambda step: upgrade.apply_or_roll_back(step, system, options.packages)
            )
    else:
        result = _edge.apply_steps(call, steps, lambda step: None)
    return dict(result, version=options.version if steps and not call.check_mode else state.reported)


def _repair(call: Call, system: System) -> Dict[str, Any]:
    steps: List[Step] = upgrade.repair(system, kubeadm.observe(system))
    if call.check_mode:
        return _edge.apply_steps(call, steps, lambda step: None)
    # The kubeadm or the package manager of a killed run may still work here.
    with kubeadm_lock(system, call.params["timeout"]):
        steps = upgrade.repair(system, kubeadm.observe(system))
        result = _edge.apply_steps(call, steps, lambda step: upgrade.apply(step, system))
        system.run(["systemctl", "start", "kubelet.service"], timeout=120.0)
    if not upgrade.wait_for_api(system):
        raise KubesteadError(
            "the upgrade of this control plane was interrupted, and its API server did not become ready; see "
            "'crictl ps -a', 'crictl logs' and the manifests below {0}".format(upgrade.LEFTOVERS)
        )
    return result


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
