# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of the proxy of a worker: where they are, and their text."""

from __future__ import annotations

from typing import Mapping

from ..core.constants import managed_header

FOLDER = "/etc/kubestead/api-endpoint"
CONFIG = FOLDER + "/haproxy.cfg"
#: It exists between a change of the configuration and the reload of the proxy.
PENDING = FOLDER + "/pending"
#: It exists between a change of the unit and the restart of the proxy.
RESTART_PENDING = FOLDER + "/restart-pending"
#: It exists between the start of haproxy's installation and the moment when the service of its package is disabled.
INSTALLING = FOLDER + "/installing"
#: The CA of the cluster, a copy that the user haproxy can read.
CA = FOLDER + "/ca.crt"
UNIT_NAME = "kubestead-api-endpoint.service"
UNIT = "/etc/systemd/system/" + UNIT_NAME
PROGRAM = "/usr/sbin/haproxy"
#: The unit of the package. Debian's package starts it.
PACKAGE_UNIT = "haproxy.service"
#: The addresses at which a proxy listens.
LOOPBACKS = ("127.0.0.1", "::1")

# A connection without an answer times out after a second and is tried at another server. Two failed connections, or two
# failed checks, take a server out. The servers without a check are used only when all checks fail: an API server that
# refuses anonymous requests fails the check, but it works. Idle watches stay open for a day. After a reload, the old
# process ends within half a minute, because it no longer checks servers. A worker that has joined accepts only API
# servers with a certificate of its own cluster: a machine that was removed may answer as one of another cluster.
_CONFIG = """\
{header}global
    log stdout format raw daemon notice
    maxconn 8192
    hard-stop-after 30s

defaults
    mode tcp
    log global
    retries 3
    timeout connect 1s
    timeout check 1500ms
    timeout client 24h
    timeout server 24h
    option clitcpka
    option srvtcpka
    option redispatch 1

listen kubernetes-api
    bind {bind}
    balance leastconn
    option allbackups
    option httpchk GET /readyz
    http-check expect status 200
    default-server inter 3s fastinter 500ms fall 2 rise 1
{servers}"""
_CHECKED = (
    "    server {address} {place} check check-ssl {verify} observe layer4 error-limit 2 on-error mark-down"
    " on-marked-down shutdown-sessions\n"
)
_ANY, _OWN_CLUSTER = "verify none", "verify required ca-file " + CA
_UNCHECKED = "    server unchecked-{address} {place} backup\n"

_UNIT = """\
{header}[Unit]
Description=Connections of this node to the Kubernetes API
Wants=network-online.target
After=network-online.target
Before=kubelet.service

[Service]
Type=notify
User=haproxy
Group=haproxy
NoNewPrivileges=yes
ExecStart={program} -Ws -f {config}
ExecReload={program} -c -q -f {config}
ExecReload=/bin/kill -USR2 $MAINPID
KillMode=mixed
SuccessExitStatus=143
Restart=always
RestartSec=1
LimitNOFILE=32768

[Install]
WantedBy=multi-user.target
"""


def config(bind: str, places: Mapping[str, str], joined: bool) -> str:
    """The configuration of a proxy that listens at ``bind``, for a worker that has ``joined`` or not.

    ``places`` maps the addresses of the control planes to those of their API servers (``host:port``), in order.
    """
    servers = "".join(
        line.format(address=address, place=place, verify=_OWN_CLUSTER if joined else _ANY)
        for line in (_CHECKED, _UNCHECKED)
        for address, place in places.items()
    )
    return _CONFIG.format(header=managed_header(), bind=bind, servers=servers)


def with_ca(config: str) -> str:
    """The configuration of a worker before its join, with the CA of the cluster that it has joined."""
    return config.replace(_ANY, _OWN_CLUSTER)


def unit() -> str:
    """The systemd unit of the proxy: its own, so that a haproxy of the user is never changed."""
    return _UNIT.format(header=managed_header(), program=PROGRAM, config=CONFIG)
