# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of the lab's server."""

from __future__ import annotations

from typing import List, Sequence

from ..registry import MANIFEST
from . import HOSTNAMES, MIRROR, PACKAGES_HOST, PRIVATE, REGISTRIES


def nginx_conf(hosts: Sequence[str] = HOSTNAMES) -> str:
    """nginx's configuration: a server per host name, over the folders ``/srv/site`` and ``/srv/debian``."""
    blocks = [_plain_server()]
    for host in hosts:
        if host in REGISTRIES:
            blocks.append(_server([host], _registry(REGISTRIES[host])))
        elif host == PRIVATE:
            blocks.append(_server([host], _private() + _registry("docker.io")))
        elif host == MIRROR:
            blocks.append(_server([host], _packages("/k8s/") + _registry("")))
        elif host == PACKAGES_HOST:
            blocks.append(_server([host], _packages("/core:/stable:/")))
        else:
            blocks.append(_server([host], []))
    body = "\n".join(line for block in blocks for line in block)
    return f"""\
user root;
worker_processes 2;
pid /run/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    types {{}}
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65;
    server_tokens off;
    log_format lab '$remote_addr $scheme://$host $request_method $request_uri $status $body_bytes_sent';
    access_log /dev/stdout lab;
    ssl_certificate /srv/tls/server.pem;
    ssl_certificate_key /srv/tls/server.key;
    ssl_session_cache shared:tls:1m;
{body}
}}
"""


def _plain_server() -> List[str]:
    return [
        "    server {",
        "        listen 80 default_server;",
        "        root /srv/none;",
        "        location /debian/ { alias /srv/debian/; autoindex on; }",
        "        location = /healthz { default_type text/plain; return 200 'ok\\n'; }",
        "    }",
    ]


def _server(names: Sequence[str], locations: Sequence[str]) -> List[str]:
    return [
        "    server {",
        "        listen 443 ssl http2;",
        f"        server_name {' '.join(names)};",
        f"        root /srv/site/hosts/{names[0]};",
        *(f"        {line}" for line in locations),
        "    }",
    ]


def _packages(prefix: str) -> List[str]:
    return [f"location {prefix} {{ alias /srv/site/packages/; autoindex on; }}"]


def _private() -> List[str]:
    return ["auth_basic private;", "auth_basic_user_file /srv/conf/users;"]


def _registry(registry: str) -> List[str]:
    """A read-only registry. A client that uses it as a mirror names the registry it means as ``?ns=``."""
    lines = [f"set $registry '{registry}';"]
    if not registry:
        lines.append("if ($arg_ns ~ ^[a-z0-9.-]+$) { set $registry $arg_ns; }")
    tree = "/srv/site/registry/$registry"
    return [
        *lines,
        "add_header Docker-Distribution-Api-Version registry/2.0 always;",
        "error_page 404 @unknown;",
        # A file, because nginx asks for no password where it has to `return` something.
        "location = /v2/ { default_type application/json; root /srv/conf; try_files /v2 =404; }",
        r'location ~ "^/v2/.+/blobs/(sha256:[0-9a-f]{64})$" { alias /srv/site/blobs/$1; }',
        r"location ~ ^/v2/(?<path>.+)/manifests/(?<reference>[A-Za-z0-9._:-]+)$ {",
        f"    root {tree};",
        f"    default_type {MANIFEST};",
        "    try_files /$path/manifests/oci/$reference @docker;",
        "}",
        "location @docker {",
        f"    root {tree};",
        "    default_type application/vnd.docker.distribution.manifest.v2+json;",
        "    try_files /$path/manifests/docker/$reference =404;",
        "}",
        r"location ~ ^/v2/(?<named>.+)/tags/list$ {",
        f"    root {tree};",
        "    default_type application/json;",
        "    try_files /$named/tags/list =404;",
        "}",
        "location @unknown {",
        "    internal;",
        "    default_type application/json;",
        '    return 404 \'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not known to this registry"}]}\';',
        "}",
    ]
