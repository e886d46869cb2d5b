# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one observation of a node: every component's look at it, as plain data."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from .containerd import observe as containerd
from .core.errors import OptionError
from .core.options import to_dict
from .core.system import System
from .core.versions import Request, parse_request
from .host import clock, ports
from .host import connect as ways
from .host import environment as surroundings
from .host import facts as node
from .host import prepare as host
from .kube import kubeconfig
from .kubeadm import state as kubeadm
from .packages import kube_observe
from .pod_network import options as cni


def observe(
    system: System,
    packages_url: str,
    kubernetes_version: str,
    image_repository: str,
    kubeconfig_user: str,
    reach: Sequence[str] = (),
) -> Dict[str, Any]:
    """Look at everything the collection cares about. Changes nothing; about 0.5 s.

    Without ``packages_url`` (or with a version that is none) the package repository is not asked. ``reach`` are
    targets (``host:port``) that a host which is no node yet connects to; where nobody answers that takes seconds.
    """
    made = kubeadm.observe(system)
    state: Dict[str, Any] = to_dict(
        {
            "node": node.observe(system),
            "host": host.observe(system),
            "kube_packages": kube_observe.observe(system, packages_url, _request(kubernetes_version)),
            "containerd": containerd.observe(system, image_repository, kubeadm_version=made.installed_version),
            "cni": cni.observe(system),
            "kubeadm": made,
            "kubeconfig": kubeconfig.observe(system, kubeconfig_user),
            "clock": clock.observe(system),
            "ports": ports.observe(system, with_holders=not made.kubelet_conf),
            "surroundings": surroundings.observe(system),
            # What a node reaches is seen in the cluster itself.
            "reach": {} if made.kubelet_conf else ways.connect_all(reach),
        }
    )
    return state


def _request(text: str) -> Request:
    # A version that can't be read is the plan's to report, together with everything else that is wrong.
    try:
        return parse_request(text)
    except OptionError:
        return Request(0, 0)
