# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The identity of a machine's kubelet: its kubeconfig, its certificate, and the name it has as a Node."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Optional

from ..core.constants import (
    KUBELET_CLIENT_CERTIFICATE,
    KUBELET_FLAGS,
    KUBELET_KUBECONFIG,
)
from ..core.system import System
from ..core.x509 import certificate_node_name


def kubelet_kubeconfig(system: System) -> Optional[str]:
    """The kubelet's kubeconfig; None if it does not exist or has no usable client certificate.

    A kubelet that bootstraps in the background writes it before it has the certificate, and a full disk cuts it short.
    """
    text = system.read(KUBELET_KUBECONFIG)
    named = re.search(r"(?m)^[ \t]*client-certificate:[ \t]*[\"']?([^\s\"']+)", text or "")
    if named:
        return text if system.exists(named.group(1)) else None
    return text if _CREDENTIALS.search(text or "") else None


# The other credentials that a kubeconfig may contain.
_CREDENTIALS = re.compile(r"(?m)^[ \t-]*(client-certificate-data|token|tokenFile|exec|auth-provider|username):")


def node_name(system: System, kubelet_conf: Optional[str]) -> str:
    """The name this machine has (or would get) as a Node.

    From the kubelet's client certificate, else kubelet.conf's user, else the kubelet's hostname override, else the
    host's name in lower case, as kubeadm takes it.
    """
    name = ""
    for certificate in (system.read(KUBELET_CLIENT_CERTIFICATE) or "", _embedded_certificate(kubelet_conf or "")):
        name = name or certificate_node_name(certificate)
    if not name:
        match = re.search(r"--hostname-override=([^\s\"']+)", system.read(KUBELET_FLAGS) or "")
        name = match.group(1) if match else ""
    if not name:
        name = (system.read("/proc/sys/kernel/hostname") or system.read("/etc/hostname") or "").strip().lower()
    return name


def _embedded_certificate(kubeconfig: str) -> str:
    match = re.search(r"client-certificate-data:\s*(\S+)", kubeconfig)
    if not match:
        return ""
    try:
        return base64.b64decode(match.group(1)).decode("ascii", "replace")
    except (binascii.Error, ValueError):
        return ""
