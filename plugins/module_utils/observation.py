# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The observation of a node by all components, as plain data."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from .api_endpoint import component as api_endpoint
from .containerd import observe as containerd
from .core.errors import OptionError
from .core.options import to_dict
from .core.system import System
from .core.versions import Request, parse_request
from .host import clock, connect, environment, facts, ports, prepare
from .kube import kubeconfig
from .kubeadm import state as kubeadm
from .kubeadm.operation import UPGRADE
from .packages import kube_observe
from .packages.kube_state import without_passwords
from .pod_network import options as cni

#: With UPGRADE, the operations whose plans need more facts than others. Those of LEAVING take hosts out of a cluster.
ENDPOINT, LEAVING = "endpoint", ("remove", "reset")


def observe(
    system: System,
    packages_url: str,
    kubernetes_version: str,
    image_repository: str,
    kubeconfig_user: str,
    reach: Sequence[str] = (),
    proxied: bool = False,
    virtual_ip: str = "",
    operation: str = "",
) -> Dict[str, Any]:
    """Observe everything that the collection uses. Changes nothing; takes about 0.5 s.

    Without ``packages_url``, or with an invalid version, the package repository is not read. ``reach`` are targets
    (``host:port``) that a host which has not joined connects to; a target that does not answer takes seconds. A host
    that will be ``proxied`` looks for the package of the local proxy. ``virtual_ip`` is the virtual IP address of the
    API that a control plane will have. The ``operation`` adds what only its plan needs: for an upgrade, members of
    a cluster also read the repository, and an API server reports removed APIs in use; for :data:`ENDPOINT`, what names
    the endpoint is read; for :data:`LEAVING`, a control plane lists the members of etcd.
    """
    upgrading = operation == UPGRADE
    kubeadm_state = kubeadm.observe(system)
    more: Dict[str, Any] = {}
    # Few runs need these, and a node compiles what it imports.
    if upgrading:
        from .kubeadm import upgrade_facts

        more["upgrade"] = upgrade_facts.observe(system, kubeadm_state)
    if operation == ENDPOINT:
        from .kubeadm import endpoint_facts

        more["endpoint"] = endpoint_facts.observe(system, kubeadm_state)
    if operation in LEAVING:
        from .kubeadm import removal

        more["etcd"] = removal.observe_members(system, kubeadm_state.etcd.url)
    endpoint = api_endpoint.observe(system, proxied, virtual_ip)
    state: Dict[str, Any] = to_dict(
        {
            "node": facts.observe(system, resolve=not kubeadm_state.kubelet_conf, shared=endpoint.virtual_ip.address),
            "host": prepare.observe(system),
            "kube_packages": without_passwords(
                kube_observe.observe(system, packages_url, _request(kubernetes_version), upgrading=upgrading)
            ),
            "containerd": containerd.observe(
                system, image_repository, kubeadm_version=kubeadm_state.installed_version, upgrading=upgrading
            ),
            "api_endpoint": endpoint,
            "cni": cni.observe(system),
            "kubeadm": kubeadm_state,
            "kubeconfig": kubeconfig.observe(system, kubeconfig_user),
            "clock": clock.observe(system),
            "ports": ports.observe(system, with_processes=not kubeadm_state.kubelet_conf),
            "environment": environment.observe(system),
            # What a node reaches is seen in the cluster itself.
            "reach": {} if kubeadm_state.kubelet_conf else connect.connect_all(reach),
            **more,
        }
    )
    return state


def _request(text: str) -> Request:
    # A version that can't be read is the plan's to report, together with everything else that is wrong.
    try:
        return parse_request(text)
    except OptionError:
        return Request(0, 0)
