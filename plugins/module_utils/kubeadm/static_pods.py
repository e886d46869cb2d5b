# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The static pods of a control plane, from the manifests that the kubelet runs them from."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Dict, List

from ..core.constants import MANIFESTS
from ..core.system import System

_SUFFIX = re.compile(r"\.(ya?ml|json)\Z")


@dataclass(frozen=True)
class StaticPod:
    """A static pod's manifest: the image of the first container, and the flags in its command."""

    image: str = ""
    flags: Dict[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The image's tag without ``v``, like ``1.36.2`` or ``3.6.6-0``; empty where there is none."""
        name = self.image.partition("@")[0].rpartition("/")[2]
        return re.sub("^v", "", name.partition(":")[2])

    def urls(self, flag: str) -> List[str]:
        """The URLs in a flag that lists some."""
        return [url.strip() for url in self.flags.get(flag, "").split(",") if url.strip()]


def observe(system: System) -> Dict[str, StaticPod]:
    """The static pods by the names of their manifests, without the suffix. Never raises."""
    found = {}
    for name in system.names(MANIFESTS):
        if _SUFFIX.search(name):
            found[_SUFFIX.sub("", name)] = parse(system.read("{0}/{1}".format(MANIFESTS, name)) or "")
    return found


def parse(manifest: str) -> StaticPod:
    """A manifest as kubeadm writes it: YAML in block style, a flag a line."""
    image = re.search(r"(?m)^\s*(?:- )?image:\s*[\"']?([^\s\"']+)", manifest)
    flags = re.findall(r"(?m)^\s*- [\"']?--([a-z0-9-]+)=(.*?)[\"']?\s*$", manifest)
    return StaticPod(image.group(1) if image else "", dict(flags))


def api_server_url(pod: StaticPod) -> str:
    """Where this machine's own API server listens, whatever address the cluster is reached at; empty if unknown."""
    address, port = pod.flags.get("advertise-address", ""), pod.flags.get("secure-port", "6443")
    if not address or not port.isdigit():
        return ""
    return "https://{0}:{1}".format("[{0}]".format(address) if ":" in address else address, port)


def etcd_url(pod: StaticPod) -> str:
    """Where clients reach this machine's own member of etcd; empty if unknown."""
    urls = pod.urls("advertise-client-urls") or pod.urls("listen-client-urls")
    return next((url for url in urls if url.startswith("https://")), "")
