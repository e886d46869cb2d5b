# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Registries in /etc/containerd/certs.d: mirrors, certificates and credentials as hosts.toml files."""

from __future__ import annotations

import base64
from typing import Any, Dict, Mapping, Optional
from urllib.parse import urlsplit

from ..core.constants import managed_header
from ..core.images import DOCKER_HUB, DOCKER_HUB_NAMES, DOCKER_HUB_SERVER
from ..core.redact import redact_data
from ..core.untrusted import mapping
from . import toml
from .options import ContainerdOptions, Mirror, Mirrors, RegistryCredential
from .state import CERTS_D, HostsFile


def desired_hosts(options: ContainerdOptions) -> Dict[str, Dict[str, Any]]:
    """``hosts.toml`` for each registry that has a mirror or credentials."""
    wanted = options.mirrors()
    credentials = {registry_host(entry.registry): entry for entry in options.registry_credentials}
    found: Dict[str, Dict[str, Any]] = {}
    names = list(wanted) + [registry_folder(entry.registry) for entry in options.registry_credentials]
    for name in sorted(set(names)):
        own = wanted.get(name, Mirrors())
        entries = [
            (mirror.url, _host_entry(mirror, ca_path(name, number, mirror), credentials))
            for number, mirror in enumerate(own.mirrors)
        ]
        if own.fallback and name == "_default":
            found[name] = {"host": dict(entries)}
            continue
        if own.fallback:
            server = Mirror(url=server_url(name), capabilities=["pull", "resolve", "push"])
            known = dict(entries).get(server.url) or _host_entry(server, "", credentials)
            entries = [entry for entry in entries if entry[0] != server.url] + [(server.url, known)]
        # The registry itself, which is tried last, is the server. Its settings are outside of all hosts.
        last, settings = entries[-1]
        found[name] = {"server": last, **settings}
        if len(entries) > 1:
            found[name]["host"] = dict(entries[:-1])
    return found


def render_hosts(data: Mapping[str, Any]) -> str:
    """The text of a ``hosts.toml``."""
    header = managed_header("containerd_registry_mirrors and containerd_registry_credentials")
    return header + toml.dumps(data)


def registry_folder(registry: str) -> str:
    """The name of the folder in certs.d for a registry."""
    return DOCKER_HUB if registry in DOCKER_HUB_NAMES else registry


def registry_host(registry: str) -> str:
    """The registry that credentials belong to."""
    return DOCKER_HUB if registry in DOCKER_HUB_NAMES else registry.lower()


def server_url(registry: str) -> str:
    """The address of the registry itself."""
    return "https://{0}".format(DOCKER_HUB_SERVER if registry == DOCKER_HUB else registry)


def hosts_path(registry: str) -> str:
    """The path of a registry's hosts.toml."""
    return "{0}/{1}/hosts.toml".format(CERTS_D, registry)


def ca_path(registry: str, number: int, mirror: Mirror) -> str:
    """The path of a mirror's certificate on the node; empty without one."""
    if not mirror.ca or mirror.ca.startswith("/"):
        return mirror.ca
    return "{0}/{1}/kubestead-{2}.crt".format(CERTS_D, registry, number)


def _host_entry(mirror: Mirror, ca: str, credentials: Mapping[str, RegistryCredential]) -> Dict[str, Any]:
    entry: Dict[str, Any] = {"capabilities": list(mirror.capabilities)}
    if ca:
        entry["ca"] = ca
    if mirror.skip_verify:
        entry["skip_verify"] = True
    if mirror.override_path:
        entry["override_path"] = True
    credential = credentials.get(registry_host(urlsplit(mirror.url).netloc))
    if credential:
        pair = "{0}:{1}".format(credential.username, credential.password).encode("utf-8")
        entry["header"] = {"Authorization": "Basic {0}".format(base64.b64encode(pair).decode("ascii"))}
    return entry


def desired_ca_files(options: ContainerdOptions) -> Dict[str, str]:
    """The certificates given in PEM form, by their path on the node."""
    found = {}
    for name, own in options.mirrors().items():
        for number, mirror in enumerate(own.mirrors):
            path = ca_path(name, number, mirror)
            if path and path != mirror.ca:
                found[path] = mirror.ca.strip() + "\n"
    return found


def hosts_mode(data: Mapping[str, Any]) -> int:
    """The mode of a hosts.toml: readable only by root if it has credentials."""
    return 0o600 if has_secret(data) else 0o644


def has_secret(data: Mapping[str, Any]) -> bool:
    """True for a hosts.toml with headers, which are credentials or may be."""
    entries = [data, *mapping(data.get("host")).values()]
    return any(bool(mapping(entry).get("header")) for entry in entries)


def hosts_reason(there: Optional[HostsFile], data: Mapping[str, Any]) -> str:
    """Why a hosts.toml must be written; empty if its content is the desired one."""
    if there is None:
        return "missing"
    if there.error:
        return "the file is invalid ({0})".format(there.error)
    if redact_data(there.data) != redact_data(data) or there.order != list(data.get("host", {})):
        return "different mirrors" if there.ours else "replaces a file that was not created by this collection"
    if there.data != data:
        return "different credentials"
    if has_secret(data) and there.mode != 0o600:
        return "mode {0:04o} -> 0600".format(there.mode)
    return ""
