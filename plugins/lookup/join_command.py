# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: join_command
short_description: Parse a join command of kubeadm or the result of kubeadm_join_token
version_added: 0.1.0
description:
  - Reads the result of M(kubestead.cluster.kubeadm_join_token), or the output of C(kubeadm token create
    --print-join-command) or C(kubeadm init), and returns the parts for M(kubestead.cluster.kubeadm_join).
  - Accepts a single line, lines that end in a backslash, several CA hashes, the command for control planes, and the
    complete output of C(kubeadm init), which contains both commands. Any other text fails with the exact reason, which
    never contains a secret.
author:
  - the kubestead authors (@kubestead)
options:
  _terms:
    description:
      - Registered results of M(kubestead.cluster.kubeadm_join_token), results of a command that printed a join command,
        or strings.
    type: list
    elements: raw
    required: true
  control_plane:
    description:
      - V(true) selects the command for control planes, V(false) the command for workers, without the certificate key.
      - If it is not set, the command in the input is used. If there are both, it is the command for workers.
    type: bool
  allow_missing:
    description:
      - Accept a result without a token, as check mode returns it, and return the available parts. Set it to
        C(ansible_check_mode).
    type: bool
    default: false
  check_expiry:
    description:
      - Refuse a token that has expired according to the clock of the control machine, if the expiration time is known.
        With V(false), only the join checks it, with the cluster.
    type: bool
    default: true
seealso:
  - module: kubestead.cluster.kubeadm_join_token
  - module: kubestead.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Join with a command that kubeadm printed
  kubestead.cluster.kubeadm_join:
    join: "{{ lookup('kubestead.cluster.join_command', vault_join_text) }}"

- name: Join as a control plane with the output of kubeadm init
  kubestead.cluster.kubeadm_join:
    join: "{{ lookup('kubestead.cluster.join_command', kubeadm_init_output, control_plane=true) }}"
    control_plane: true
"""

RETURN = r"""
_raw:
  description:
    - One dictionary per term, with C(endpoint) (V(host:port)), C(token), C(ca_cert_hashes) (a list), C(ca_certificate)
      (PEM, empty if the input has only its hash), C(certificate_key) (empty if there is none), C(control_plane) (a
      boolean) and C(expires) (ISO 8601, empty if it is not known).
  type: list
  elements: dict
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import join_command


class LookupModule(LookupBase):
    """The lookup plugin. It shares its parser with the modules."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """One dictionary for each term. Raises AnsibleLookupError with the exact reason."""
        self.set_options(var_options=variables, direct=kwargs)
        try:
            return [self._parts(term) for term in terms]
        except KubesteadError as err:
            raise AnsibleLookupError(err.message) from None

    def _parts(self, term: Any) -> dict[str, Any]:
        control_plane = self.get_option("control_plane")
        if not isinstance(term, Mapping):
            command = join_command.parse(term, control_plane)
        elif self.get_option("allow_missing") and not term.get("token") and "stdout" not in term:
            return {
                "endpoint": term.get("endpoint") or "",
                "ca_cert_hashes": list(term.get("ca_cert_hashes") or []),
                "ca_certificate": term.get("ca_certificate") or "",
                "control_plane": bool(term.get("control_plane")) if control_plane is None else control_plane,
            }
        else:
            command = join_command.from_result(term, control_plane)
        if self.get_option("check_expiry"):
            join_command.require_alive(command)
        return {
            "endpoint": command.endpoint,
            "token": command.token,
            "ca_cert_hashes": command.ca_cert_hashes,
            "ca_certificate": command.ca_certificate,
            "certificate_key": command.certificate_key,
            "control_plane": command.control_plane,
            "expires": command.expires,
        }
