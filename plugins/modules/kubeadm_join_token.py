#!/usr/bin/python
# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_join_token
short_description: Create and delete bootstrap tokens for joining nodes
version_added: 0.1.0
description:
  - Runs on a live control plane. Creates short-lived bootstrap tokens, one for each node that joins,
    and returns what these nodes need. With O(state=absent), deletes tokens.
  - A token is written through the API from standard input. It is never an argument of a process.
  - A result that contains a token is not shown at any verbosity, but the registered variable contains it. Pass it to
    M(kubestead.cluster.kubeadm_join), which uses the token of its own host. Failures, deletions and results of check
    mode are shown. Output that was interrupted is not shown.
  - The module also deletes expired tokens of this collection.
extends_documentation_fragment:
  - kubestead.cluster.attributes
author:
  - the kubestead authors (@kubestead)
options:
  state:
    description:
      - V(present) creates or reuses tokens. V(absent) deletes the tokens of O(nodes) and the token O(token_id).
    type: str
    choices: [present, absent]
    default: present
  ttl:
    description: The lifetime of a new token, from 1m to 24h, for example V(15m), V(1h30m) or V(900) (seconds).
    type: str
    default: 15m
  reuse:
    description:
      - Reuse a token that this collection created for the same node (without O(nodes), for no particular node), if it
        is valid for at least half of O(ttl), permits O(usages) and has the same O(groups).
    type: bool
    default: true
  nodes:
    description:
      - The nodes that join, by their names in the inventory. Each node gets its own token. Without names, one token is
        created.
      - The name is stored with the token. The next run for the same node therefore reuses or deletes a token that an
        interrupted run left, and tokens that other runs use are not changed.
      - With O(state=absent), the nodes whose tokens are deleted. This does not require the result of an earlier task.
    type: list
    elements: str
    default: []
  finished:
    description: With O(state=present), nodes whose tokens are no longer needed. They are deleted in the same call.
    type: list
    elements: str
    default: []
  usages:
    description: The permitted uses of the token. A join requires both.
    type: list
    elements: str
    choices: [signing, authentication]
    default: [signing, authentication]
  groups:
    description: The groups that the token authenticates as.
    type: list
    elements: str
    default: ["system:bootstrappers:kubeadm:default-node-token"]
  control_plane:
    description:
      - With O(state=present), also upload the control plane's certificates for further control planes, encrypted with a
        new key. The cluster deletes them after two hours.
      - With O(state=absent), delete the uploaded certificates.
    type: bool
    default: false
  token_id:
    description:
      - With O(state=absent), the public first half of a token, RV(token_id) of an earlier result. Without it and
        without O(nodes), only expired tokens of this collection are removed.
    type: str
    default: ""
  kubeconfig:
    description: The path of a kubeconfig that may write Secrets in C(kube-system).
    type: path
    default: /etc/kubernetes/admin.conf
  wait:
    description:
      - Wait until the cluster has signed C(cluster-info) with the token, because C(kubeadm join) checks the signature
        along with the CA hash. Use V(false) for nodes that get RV(ca_certificate) and do not need the signature. A new
        cluster takes some seconds to sign.
    type: bool
    default: true
  timeout:
    description: The time to wait for the cluster to sign C(cluster-info), in seconds. It usually takes 0.1 seconds.
    type: int
    default: 60
seealso:
  - plugin: kubestead.cluster.join_command
    plugin_type: lookup
  - module: kubestead.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Create a token for each worker of the play
  kubestead.cluster.kubeadm_join_token:
    nodes: "{{ ansible_play_hosts }}"
    ttl: 15m
  register: join_token
  delegate_to: cp1
  run_once: true

- name: Join the workers
  kubestead.cluster.kubeadm_join:
    join: "{{ join_token }}"

- name: Create a token for a further control plane, and upload the certificates
  kubestead.cluster.kubeadm_join_token:
    nodes: [cp2]
    control_plane: true
  register: join_token
  delegate_to: cp1
  run_once: true

- name: Delete the tokens
  kubestead.cluster.kubeadm_join_token:
    state: absent
    nodes: "{{ ansible_play_hosts_all }}"
  delegate_to: cp1
  run_once: true
"""

RETURN = r"""
endpoint:
  description: The host and port of the API in the cluster's configuration. An IPv6 address is in brackets.
  returned: when the cluster answers
  type: str
  sample: 192.168.1.10:6443
tokens:
  description:
    - A dictionary for each node with C(token), C(token_id), C(expires) and, with O(control_plane=true),
      C(certificate_key). A result that contains one is not shown.
  returned: with O(state=present) and O(nodes); in check mode, only existing tokens
  type: dict
  sample:
    w1: {token: "******.****************", token_id: k3x9q0, expires: "2026-11-23T12:15:00Z"}
token:
  description: The token. A result that contains one is not shown.
  returned: with O(state=present), without O(nodes), unless check mode would create the token
  type: str
  sample: "******.****************"
token_id:
  description: The public ID of the token, which is its first half.
  returned: when there is a RV(token)
  type: str
  sample: k3x9q0
ca_cert_hashes:
  description: The hashes of the cluster's CA, each V(sha256:) and 64 hexadecimal digits.
  returned: when the cluster answers
  type: list
  elements: str
  sample: ["sha256:66c9aa2a619dca5c6152038388e94445aa11a6d0231eccf1da58b8688db00119"]
ca_certificate:
  description: The certificate of the cluster's CA (PEM). It is public.
  returned: when the cluster answers
  type: str
  sample: |-
    -----BEGIN CERTIFICATE-----
    ...
    -----END CERTIFICATE-----
certificate_key:
  description: The key that encrypts the uploaded certificates. A result that contains one is not shown.
  returned: with O(control_plane=true) and O(state=present), without O(nodes), not in check mode
  type: str
  sample: "****************************************************************"
control_plane:
  description: Whether certificates for control planes were uploaded.
  returned: with O(state=present)
  type: bool
  sample: false
expires:
  description: The expiration time of the token, in ISO 8601 format and UTC.
  returned: when there is a RV(token)
  type: str
  sample: "2026-11-23T12:15:00Z"
reused:
  description: Whether all tokens existed before.
  returned: with O(state=present)
  type: bool
  sample: false
steps:
  description: The steps that were taken, or would be taken in check mode, with their reasons.
  returned: success
  type: list
  elements: dict
  sample:
    - component: join
      action: create
      target: bootstrap token
      reason: w1 to join, no token to reuse, valid for 15 min
"""

from datetime import datetime, timezone
from typing import Any, Dict, List

from ansible_collections.kubestead.cluster.plugins.module_utils.core import ansible_module as _edge
from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import bootstrap_token, token_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.token_manager import TokenManager


def argument_spec() -> Dict[str, Any]:
    """The module's options."""
    defaults = bootstrap_token.TokenOptions()
    return {
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "ttl": {"type": "str", "default": bootstrap_token.DEFAULT_TTL},
        "reuse": {"type": "bool", "default": defaults.reuse},
        "nodes": {"type": "list", "elements": "str", "default": []},
        "finished": {"type": "list", "elements": "str", "default": []},
        "usages": {
            "type": "list",
            "elements": "str",
            "choices": list(bootstrap_token.USAGES),
            "default": list(defaults.usages),
        },
        "groups": {"type": "list", "elements": "str", "default": list(defaults.groups)},
        "control_plane": {"type": "bool", "default": defaults.control_plane},
        # The first half of a token is public: it names the Secret. Only "token" in its name looks secret.
        "token_id": {"type": "str", "default": "", "no_log": False},
        "wait": {"type": "bool", "default": defaults.wait},
        "kubeconfig": {"type": "path", "default": ADMIN_KUBECONFIG},
        "timeout": {"type": "int", "default": 60},
    }


def work(call: Call, system: System) -> Dict[str, Any]:
    """Create or reuse a token, or delete one."""
    params = call.params
    options = bootstrap_token.TokenOptions(
        ttl=bootstrap_token.parse_duration(params["ttl"]),
        reuse=params["reuse"],
        nodes=sorted(set(params["nodes"])),
        finished=sorted(set(params["finished"])),
        usages=params["usages"],
        groups=params["groups"],
        control_plane=params["control_plane"],
        wait=params["wait"],
    )
    options.validate()
    kubectl = Kubectl(system, kubeconfig=params["kubeconfig"])
    manager = TokenManager(kubectl, options, sign_timeout=float(params["timeout"]))
    now = datetime.now(timezone.utc)
    present = params["state"] == "present"
    chosen: List[Step] = []
    if not system.exists(params["kubeconfig"]):
        if not call.check_mode:
            raise KubesteadError(
                "kubeconfig {0} is not on this host; run this on a control plane".format(params["kubeconfig"])
            )
        # The run that check mode predicts creates this control plane first.
        nothing = bootstrap_token.TokenState()
        steps = token_plan.plan_present(nothing, options, now) if present else []
        result = _edge.apply_steps(call, steps, chosen.append)
        return dict(result, control_plane=options.control_plane, reused=False) if present else result
    state = bootstrap_token.observe(kubectl, joining=present, certificates=options.control_plane)
    if not present:
        steps = token_plan.plan_absent(state, params["token_id"], options.control_plane, now, options.nodes)
        result = _edge.apply_steps(call, steps, chosen.append)
        manager.apply_all(chosen)
        return result
    kept = token_plan.reusable(state, options, now)
    steps = token_plan.plan_present(state, options, now)
    result = _edge.apply_steps(call, steps, chosen.append)
    try:
        manager.apply_all(chosen)
        manager.reuse(kept)
    except KubesteadError:
        manager.discard()
        raise
    result.update(
        endpoint=state.endpoint,
        ca_cert_hashes=state.ca_cert_hashes,
        ca_certificate=state.ca_certificate,
        control_plane=options.control_plane,
        reused=len(kept) == len(options.bearers),
    )
    tokens = {bearer: _entry(command) for bearer, command in manager.commands(state).items()}
    if options.nodes:
        result["tokens"] = tokens
    else:
        result.update(tokens.get(bootstrap_token.ANY_NODE, {}))
    return result


def _entry(command: JoinCommand) -> Dict[str, str]:
    """The part of the result that differs between tokens."""
    entry = {"token": command.token, "token_id": command.token_id, "expires": command.expires}
    if command.certificate_key:
        entry["certificate_key"] = command.certificate_key
    return entry


def main() -> None:
    """Run the module."""
    _edge.run(argument_spec(), work)


if __name__ == "__main__":
    main()
