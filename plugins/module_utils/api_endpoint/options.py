# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node must know to reach the API by its name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import List, Optional

from ..core.addresses import host_port, normal_address, plain_address
from ..core.errors import OptionError
from ..core.options import var
from . import hosts_file, proxy_config
from .virtual_ip_config import VirtualIp


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
            fix = "use a free address in a subnet of all control planes, without a prefix length"
            try:
                found = plain_address(self.virtual_ip.strip())
            except ValueError:
                text = "is {0!r}, not an IP address".format(self.virtual_ip)
                raise OptionError("cluster_endpoint_vip", text, fix) from None
            if found.is_unspecified or found.is_loopback or found.is_multicast or found.is_link_local:
                text = "is {0}, an address that other machines can't reach".format(found)
                raise OptionError("cluster_endpoint_vip", text, fix)

    @property
    def address(self) -> str:
        """The virtual IP address in its canonical form; empty without one."""
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
            raise OptionError("api_endpoint", "is not an endpoint that a plan has", "use the result of cluster_plan")

    @property
    def proxied(self) -> bool:
        """True for a worker that has more than one control plane."""
        return bool(self.name) and not self.own and len(self.control_planes) > 1

    @property
    def loopback(self) -> str:
        """The address at which the proxy listens: that of the family of the control planes."""
        return proxy_config.LOOPBACKS[all(":" in address for address in self.control_planes)]

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
        bind, places = host_port(self.loopback, self.port), {one: host_port(one, self.port) for one in addresses}
        return proxy_config.config(bind, places, joined)
