# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: join_command
short_description: The parts of a join command, from a minted token or from kubeadm's text
version_added: 0.1.0
description:
  - Takes what M(kubestead.cluster.kubeadm_join_token) returned, or the text that C(kubeadm token create
    --print-join-command) or C(kubeadm init) printed, and returns its parts for M(kubestead.cluster.kubeadm_join).
  - Understands one line and lines that end in a backslash, several CA hashes, the form for control planes, and the
    whole output of C(kubeadm init), which has both forms. Anything else fails with the precise reason; no secret is
    ever in it.
author:
  - the kubestead authors (@kubestead)
options:
  _terms:
    description:
      - Registered results of M(kubestead.cluster.kubeadm_join_token), results of a command that printed a join command,
        or texts.
    type: list
    elements: raw
    required: true
  control_plane:
    description:
      - V(true) asks for the form of control planes, V(false) for that of workers, without the certificate key.
      - Unset, it is the form that is given; that of workers where both are.
    type: bool
  allow_missing:
    description:
      - Let a result without a token pass, as a dry run returns it, with the parts there are. Set it to
        C(ansible_check_mode).
    type: bool
    default: false
  check_expiry:
    description:
      - Refuse a token whose end is known and past by the clock of the control machine. V(false) leaves that to the
        join, which asks the cluster itself.
    type: bool
    default: true
seealso:
  - module: kubestead.cluster.kubeadm_join_token
  - module: kubestead.cluster.kubeadm_join
"""

EXAMPLES = r"""
- name: Join with a token that was minted on a control plane
  kubestead.cluster.kubeadm_join:
    endpoint: "{{ join.endpoint }}"
    token: "{{ join.token }}"
    ca_cert_hashes: "{{ join.ca_cert_hashes }}"
  vars:
    join: "{{ lookup('kubestead.cluster.join_command', join_token) }}"

- name: Join with what kubeadm printed
  kubestead.cluster.kubeadm_join:
    endpoint: "{{ join.endpoint }}"
    token: "{{ join.token }}"
    ca_cert_hashes: "{{ join.ca_cert_hashes }}"
    control_plane: "{{ join.control_plane }}"
    certificate_key: "{{ join.certificate_key }}"
  vars:
    join: "{{ lookup('kubestead.cluster.join_command', vault_join_text, control_plane=true) }}"
"""

RETURN = r"""
_raw:
  description:
    - One dictionary a term, with C(endpoint) (V(host:port)), C(token), C(ca_cert_hashes) (a list), C(ca_certificate)
      (PEM, empty where a text has only its hash), C(certificate_key) (empty where there is none), C(control_plane) (a
      boolean) and C(expires) (ISO 8601, empty where it is not known).
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
    """The lookup; it shares the parser with the modules."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """One dictionary for each term. Raises AnsibleLookupError with the precise reason."""
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
