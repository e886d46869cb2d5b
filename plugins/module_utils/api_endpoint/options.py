# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node must know to reach the API by its name, and what the proxy of a worker is configured with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

from ..core.addresses import host_port, normal_address, parse_address, plain_address
from ..core.constants import managed_header
from ..core.errors import OptionError
from ..core.options import var
from . import hosts_file
from .virtual_ip_config import VirtualIp

FOLDER = "/etc/kubestead/api-endpoint"
CONFIG = FOLDER + "/haproxy.cfg"
#: It exists between a change of the configuration and the reload of the proxy.
PENDING = FOLDER + "/pending"
#: It exists between a change of the unit and the restart of the proxy.
RESTART_PENDING = FOLDER + "/restart-pending"
#: The CA of the cluster, a copy that the user haproxy can read.
CA = FOLDER + "/ca.crt"
UNIT_NAME = "kubestead-api-endpoint.service"
UNIT = "/etc/systemd/system/" + UNIT_NAME
PROGRAM = "/usr/sbin/haproxy"
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


@dataclass(frozen=True)
class EndpointOptions:
    """The virtual IP address of the API, and the ID of its VRRP router; 0 for one that is derived.

    Everything else of the component depends on the control planes of the cluster.
    """

    virtual_ip: str = field(default="", metadata=var("cluster_endpoint_vip"))
    router_id: int = field(default=0, metadata=var("cluster_endpoint_vip_router_id"))

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        if not 0 <= self.router_id <= 255:
            text = "is {0}, which is not the ID of a VRRP router".format(self.router_id)
            raise OptionError("cluster_endpoint_vip_router_id", text, "use a number from 1 to 255, or 0 to derive one")
        if self.virtual_ip:
            found = parse_address("cluster_endpoint_vip", self.virtual_ip)
            if found.is_unspecified or found.is_loopback or found.is_multicast or found.is_link_local:
                text = "is {0}, at which other machines can't reach the API".format(found)
                raise OptionError("cluster_endpoint_vip", text, "use a free address in a subnet of all control planes")

    @property
    def address(self) -> str:
        """The virtual IP address in its usual spelling; empty without one."""
        return normal_address(self.virtual_ip)


@dataclass(frozen=True)
class Endpoint:
    """The name of the API and what is behind it, as one node needs it.

    ``own`` is the node's own address if it is a control plane, else empty. ``control_planes`` are the addresses of all
    control planes. The name is empty where nodes do not resolve the endpoint themselves. ``virtual_ip`` is the virtual
    IP address that the node sets up; None if it keeps what it has.
    """

    name: str = ""
    port: int = 6443
    own: str = ""
    control_planes: List[str] = field(default_factory=list)
    virtual_ip: Optional[VirtualIp] = None

    def validate(self) -> None:
        """Raise :class:`OptionError` for a value that must not be written to a file."""
        if self.virtual_ip is not None:
            self.virtual_ip.validate()
        if not self.name:
            return
        try:
            known = [plain_address(text) for text in self.control_planes]
        except ValueError:
            known = []
        own = not self.own or self.own in self.control_planes
        if not known or not own or not 0 < self.port < 65536 or not hosts_file.is_endpoint_name(self.name):
            raise OptionError("api_endpoint", "is not what the plan contains", "use the result of cluster_plan")

    @property
    def proxied(self) -> bool:
        """True for a worker that has more than one control plane."""
        return bool(self.name) and not self.own and len(self.control_planes) > 1

    @property
    def loopback(self) -> str:
        """The address at which the proxy listens: that of the family of the control planes."""
        return LOOPBACKS[all(":" in address for address in self.control_planes)]

    @property
    def lines(self) -> List[str]:
        """The lines of the block in the hosts file. A control plane tries itself first, then the others."""
        if not self.name:
            return []
        addresses = [self.own, *(address for address in self.control_planes if address != self.own)]
        if not self.own:
            addresses = [self.loopback if self.proxied else self.control_planes[0]]
        return ["{0} {1}".format(address, self.name) for address in addresses]

    def config(self, joined: bool = False) -> str:
        """The configuration of the proxy, for a worker that has ``joined`` with the CA of its cluster."""
        addresses = sorted(self.control_planes, key=lambda text: (plain_address(text).version, plain_address(text)))
        servers = "".join(
            line.format(address=address, place=host_port(address, self.port), verify=_OWN_CLUSTER if joined else _ANY)
            for line in (_CHECKED, _UNCHECKED)
            for address in addresses
        )
        return _CONFIG.format(header=managed_header(), bind=host_port(self.loopback, self.port), servers=servers)


def with_ca(config: str) -> str:
    """The configuration of a worker before its join, with the CA of the cluster that it has joined."""
    return config.replace(_ANY, _OWN_CLUSTER)


def unit() -> str:
    """The systemd unit of the proxy: its own, so that a haproxy of the user is never changed."""
    return _UNIT.format(header=managed_header(), program=PROGRAM, config=CONFIG)
