# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which addresses a host must reach: API servers, etcd members, kubelets and registries."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.core import images
from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import host_port, parse_endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.host import ports
from ansible_collections.kubestead.cluster.plugins.module_utils.host.connect import (
    CONNECT_TIMEOUT,
    NO_NAME,
    REFUSED,
    TIMEOUT,
    UNREACHABLE,
)

# The ports that hosts try at each other.
API = (ports.API_PORT,)
ETCD = (2379, 2380)
KUBELET = (ports.KUBELET_PORT,)
OUTCOME_TEXT = {
    REFUSED: "connection refused",
    TIMEOUT: "no answer within {0:.0f} s".format(CONNECT_TIMEOUT),
    UNREACHABLE: "unreachable",
    NO_NAME: "unknown name",
}


def registries(
    image_repository: str, containerd: ContainerdOptions, cni_plugin: str, cni_registry: str
) -> Dict[str, List[str]]:
    """The registries a node to be pulls from, and for each the targets that can answer for it (its mirrors first)."""
    names = [images.registry_of(image_repository)]
    if cni_plugin == "calico":
        names.append(images.registry_of(cni_registry or "quay.io"))
    try:
        mirrors = containerd.mirrors()
    except OptionError:
        # The rules about options report an invalid address.
        mirrors = {}
    found = {}
    for name in dict.fromkeys(names):
        configured = mirrors.get(name) or mirrors.get("_default")
        addresses = [_url_target(mirror.url) for mirror in configured.mirrors] if configured else []
        if configured is None or configured.fallback:
            addresses.append(host_port(*images.server_of(name)))
        found[name] = addresses
    return found


def peers(name: str, control_planes: Mapping[str, Tuple[str, int]], workers: Mapping[str, str]) -> List[str]:
    """The targets of the host ``name`` on other hosts: the API servers; for a control plane also etcd and the kubelets.

    ``control_planes`` maps a host to its address and the API server's port, ``workers`` to its address.
    """
    others = [place for host, place in control_planes.items() if host != name]
    found = [host_port(address, port) for address, port in others]
    if name in control_planes:
        found += [host_port(address, port) for address, _api in others for port in ETCD]
        kubelets = [address for address, _api in others] + list(workers.values())
        found += [host_port(address, KUBELET[0]) for address in kubelets]
    return found


def endpoint_target(endpoint: str) -> str:
    """The target behind ``cluster_endpoint``; empty where it is not set or can't be read."""
    try:
        return host_port(*parse_endpoint("cluster_endpoint", endpoint)) if endpoint else ""
    except OptionError:
        return ""


def targets_from_options(options: Mapping[str, Mapping[str, Any]]) -> List[str]:
    """The targets that a host's own options name (plain data): the cluster's endpoint and the registries."""
    plane, cni = options.get("control_plane") or {}, options.get("cni") or {}
    fields = {
        name: value
        for name, value in (options.get("containerd") or {}).items()
        if name in ContainerdOptions.__dataclass_fields__
    }
    found = [endpoint_target(str(plane.get("endpoint") or ""))]
    repository = str(plane.get("image_repository") or "")
    if repository:
        wanted = registries(
            repository, ContainerdOptions(**fields), str(cni.get("plugin")), str(cni.get("image_registry") or "")
        )
        found += [one for addresses in wanted.values() for one in addresses]
    return [one for one in found if one]


def _url_target(url: str) -> str:
    scheme, _mark, rest = url.partition("://")
    place = (rest or scheme).split("/")[0].rpartition("@")[2]
    host, colon, port = place.rpartition(":")
    if colon and port.isdigit():
        return host_port(host.strip("[]"), int(port))
    return host_port(place.strip("[]"), 80 if scheme == "http" else 443)
