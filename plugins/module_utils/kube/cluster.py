# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster as its API describes it: version, nodes, and kubeadm's ClusterConfiguration."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

from ..core import untrusted
from ..core.https import Answer
from ..core.poll import poll
from ..core.versions import parse
from .api import Api, is_ok
from .kubectl import KUBEADM_CONFIG, NODES
from .nodes import Node, read_nodes


@dataclass(frozen=True)
class ClusterConfig:
    """The settings in the ConfigMap kube-system/kubeadm-config. A setting that is not in it is empty."""

    kubernetes_version: str = ""
    endpoint: str = ""
    pod_cidr: str = ""
    service_cidr: str = ""
    dns_domain: str = ""
    image_repository: str = ""
    cluster_name: str = ""


@dataclass(frozen=True)
class ClusterApi:
    """The cluster as its API reports it. ``reason`` is set if the API is not ``live``."""

    live: bool = False
    reason: str = ""
    server_version: str = ""
    config: Optional[ClusterConfig] = None
    nodes: List[Node] = field(default_factory=list)

    def node(self, name: str) -> Optional[Node]:
        """The Node of that name."""
        for node in self.nodes:
            if node.name == name:
                return node
        return None


# -- the API


def wait_for_api(api: Api, seconds: float, path: str = "/livez") -> ClusterApi:
    """The cluster's API as soon as ``path`` reports that it is healthy, or its state after that time."""
    poll(lambda: api.ok(path), seconds)
    return observe_api(api)


def observe_api(api: Api) -> ClusterApi:
    """The cluster behind a kubeconfig: four requests on one connection. Never raises."""
    alive, about, listed, stored = api.get("/livez", "/version", NODES, KUBEADM_CONFIG)
    if not is_ok(alive):
        return ClusterApi(live=False, reason=api.reason(alive))
    for answer in (about, listed):
        if not answer.ok:
            return ClusterApi(live=False, reason=api.reason(answer))
    server = parse(untrusted.text(_object(about).get("gitVersion")))
    config = untrusted.mapping(_object(stored).get("data")).get("ClusterConfiguration") if stored.ok else None
    return ClusterApi(
        live=True,
        server_version=str(server) if server else "",
        config=read_cluster_configuration(config) if config and isinstance(config, str) else None,
        nodes=read_nodes(_object(listed)),
    )


def _object(answer: Answer) -> Mapping[str, Any]:
    try:
        return untrusted.mapping(untrusted.parse_json(answer.body))
    except ValueError:
        return {}


def read_cluster_configuration(text: str) -> ClusterConfig:
    """The essentials of the ClusterConfiguration that kubeadm stored, in YAML (as it does) or JSON."""
    scalars = yaml_scalars(text)
    return ClusterConfig(
        kubernetes_version=scalars.get("kubernetesVersion", "").lstrip("v"),
        endpoint=scalars.get("controlPlaneEndpoint", ""),
        pod_cidr=_ranges(scalars.get("networking.podSubnet", "")),
        service_cidr=_ranges(scalars.get("networking.serviceSubnet", "")),
        dns_domain=scalars.get("networking.dnsDomain", ""),
        image_repository=scalars.get("imageRepository", ""),
        cluster_name=scalars.get("clusterName", ""),
    )


def _ranges(text: str) -> str:
    """Ranges without leading zeros in IPv4 addresses (010.96.0.0/12), which Kubernetes ignores and Python refuses."""
    parts = [part.strip() for part in text.split(",")]
    return ",".join(part if ":" in part else re.sub(r"(?<![0-9])0+(?=[0-9])", "", part) for part in parts)


_YAML_ENTRY = re.compile(r"^( *)([A-Za-z0-9_.-]+):(?: +(.*))?\Z")
# An entry of a mapping in braces.
_FLOW_ENTRY = re.compile(r"""([A-Za-z0-9_.-]+|"[A-Za-z0-9_.-]+"): +("[^"]*"|'[^']*'|[^,{}\[\]"' ]+)""")


def yaml_scalars(text: str) -> Dict[str, str]:
    """Scalars below mappings of a YAML document as Kubernetes' own programs write it, by dotted path.

    They write block style with one entry a line. JSON is read as well, and mappings in braces and texts on a line of
    their own, as people write them. Lists and longer texts are skipped.
    """
    stripped = text.strip()
    if stripped.startswith("{"):
        try:
            return dict(_flat(untrusted.parse_json(stripped), ""))
        except ValueError:
            return {}
    scalars: Dict[str, str] = {}
    parents: List[Tuple[int, str]] = []
    skip_deeper_than: Optional[int] = None
    block: List[str] = []
    block_path = ""
    for line in [*text.splitlines(), "end:"]:
        indent = len(line) - len(line.lstrip(" "))
        if not line.strip() or line.lstrip().startswith("#") or line == "---":
            continue
        if skip_deeper_than is not None:
            if indent > skip_deeper_than:
                block.append(line.strip())
                continue
            skip_deeper_than = None
            if block_path and len(block) == 1:
                scalars[block_path] = block[0]
        block, block_path = [], ""
        match = _YAML_ENTRY.match(line)
        if not match:
            # An entry of a list. The lines below it do not belong to a requested mapping.
            skip_deeper_than = indent
            continue
        key, value = match.group(2), (match.group(3) or "").strip()
        while parents and parents[-1][0] >= indent:
            parents.pop()
        path = ".".join([name for _level, name in parents] + [key])
        if not value:
            parents.append((indent, key))
        elif value[0] in "|>":
            skip_deeper_than, block_path = indent, path
        elif value[0] == "{":
            # Only flat mappings: the entries of nested ones would have wrong paths.
            for found in _FLOW_ENTRY.finditer(value) if value.count("{") == 1 else ():
                name = "{0}.{1}".format(path, found.group(1).strip('"'))
                scalars[name] = _yaml_text(found.group(2))
        elif value[0] != "[" and value not in ("null", "~"):
            scalars[path] = _yaml_text(re.sub(r"\A!\S* +", "", value))
    return scalars


def _yaml_text(value: str) -> str:
    if value.startswith('"'):
        try:
            return str(untrusted.parse_json(value))
        except ValueError:
            return value.strip('"')
    if value.startswith("'") and value.endswith("'") and len(value) > 1:
        return value[1:-1].replace("''", "'")
    return re.sub(r"\s+#.*\Z", "", value)


def _flat(value: Any, path: str) -> Iterator[Tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, "{0}.{1}".format(path, key) if path else str(key))
    elif isinstance(value, bool):
        yield path, "true" if value else "false"
    elif value is not None and not isinstance(value, list):
        yield path, str(value)
