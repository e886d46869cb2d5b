# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describes the Services of an application and their URLs. Pure."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Sequence

from ..core.untrusted import integer, mapping, mappings

_HTTPS_PORTS = (443, 8443, 6443)


def node_addresses(nodes: Sequence[Mapping[str, Any]]) -> List[str]:
    """The addresses for node ports: those of ready nodes, external addresses before internal ones."""
    found: List[str] = []
    for kind in ("ExternalIP", "InternalIP"):
        for node in nodes:
            status = mapping(node.get("status"))
            ready = any(
                item.get("type") == "Ready" and item.get("status") == "True"
                for item in mappings(status.get("conditions"))
            )
            if ready:
                addresses = [item for item in mappings(status.get("addresses")) if item.get("type") == kind]
                found += [str(item["address"]) for item in addresses if item.get("address")]
        if found:
            return found
    return found


def describe(services: Sequence[Mapping[str, Any]], addresses: Sequence[str]) -> List[Dict[str, Any]]:
    """Every Service with its ports, node ports and the URLs it answers at.

    ``addresses`` are those of the nodes; at most three of them make URLs for a node port.
    """
    return [_one(service, addresses) for service in services]


def lines(services: Sequence[Mapping[str, Any]]) -> List[str]:
    """The Services as lines to print."""
    text = []
    for service in services:
        ports = ", ".join(
            "{0}{1}/{2}".format(
                port["port"], ":{0}".format(port["node_port"]) if port["node_port"] else "", port["protocol"]
            )
            for port in service["ports"]
        )
        text.append(
            "{0}/{1}  {2}  {3}".format(service["namespace"], service["name"], service["type"], ports or "no port")
        )
        text.extend("    {0}".format(url) for url in service["urls"])
        if not service["urls"] and service["inside"]:
            text.append("    {0} (inside the cluster)".format(", ".join(service["inside"])))
    return text


def _one(service: Mapping[str, Any], addresses: Sequence[str]) -> Dict[str, Any]:
    metadata, spec = mapping(service.get("metadata")), mapping(service.get("spec"))
    name, namespace = str(metadata.get("name")), str(metadata.get("namespace") or "default")
    kind = str(spec.get("type") or "ClusterIP")
    ports = [
        {
            "name": str(port.get("name") or ""),
            "port": integer(port.get("port")),
            "node_port": integer(port.get("nodePort")),
            "protocol": str(port.get("protocol") or "TCP"),
        }
        for port in mappings(spec.get("ports"))
    ]
    urls: List[str] = []
    if kind in ("NodePort", "LoadBalancer"):
        for entry in mappings(mapping(mapping(service.get("status")).get("loadBalancer")).get("ingress")):
            urls += _urls([str(entry.get("ip") or entry.get("hostname"))], ports, "port")
        if not urls:
            urls = _urls(addresses[:3], ports, "node_port")
    host = "{0}.{1}.svc".format(name, namespace)
    return {
        "name": name,
        "namespace": namespace,
        "type": kind,
        "cluster_ip": str(spec.get("clusterIP") or ""),
        "ports": ports,
        "node_ports": [port["node_port"] for port in ports if port["node_port"]],
        "urls": urls,
        "inside": ["{0}:{1}".format(host, port["port"]) for port in ports],
    }


def _urls(hosts: Sequence[str], ports: Sequence[Mapping[str, Any]], which: str) -> List[str]:
    urls = []
    for port in ports:
        if port["protocol"] != "TCP" or not port[which]:
            continue
        scheme = "https" if port["name"].startswith("https") or port["port"] in _HTTPS_PORTS else "http"
        for host in hosts:
            shown = "[{0}]".format(host) if ":" in host else host
            usual = (scheme, port[which]) in (("http", 80), ("https", 443))
            urls.append("{0}://{1}{2}/".format(scheme, shown, "" if usual else ":{0}".format(port[which])))
    return urls
