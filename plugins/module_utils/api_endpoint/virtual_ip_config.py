# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual IP address of the API: what a control plane must know of it, and what keepalived is configured with.

The options of keepalived are those of keepalived.conf(5), version 2.2.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import List, Mapping, Optional, Tuple

from ..core.addresses import host_port, plain_address, plain_network
from ..core.constants import managed_header
from ..core.errors import OptionError

FOLDER = "/etc/kubestead/api-vip"
CONFIG = FOLDER + "/keepalived.conf"
CHECK = FOLDER + "/check"
#: It exists between a change of the configuration and the reload of keepalived.
PENDING = FOLDER + "/pending"
#: It exists between a change of the unit and the restart of keepalived.
RESTART_PENDING = FOLDER + "/restart-pending"
#: It exists between the start of keepalived's installation and the moment when the service of its package is disabled.
INSTALLING = FOLDER + "/installing"
UNIT_NAME = "kubestead-api-vip.service"
UNIT = "/etc/systemd/system/" + UNIT_NAME
PROGRAM = "/usr/sbin/keepalived"
#: The unit of the package. Debian's package starts it.
PACKAGE_UNIT = "keepalived.service"
CURL = "/usr/bin/curl"

# Many examples of keepalived have this router ID, so other routers of the network may use it.
_USUAL_ROUTER_ID = 51
# The priority decides who takes over, and how soon: a control plane waits (256 - priority) / 256 s longer than three
# intervals. With these distances, the first one is the owner before the next one would take over.
_HIGHEST, _DISTANCE, _RANGE = 250, 40, 200
_INTERFACE = re.compile(r"[A-Za-z0-9_.:-]{1,15}")
_ROUTER_ID = re.compile(r"(?m)^    virtual_router_id ([0-9]{1,3})$")
_PEER_BLOCK = re.compile(r"(?m)^    unicast_peer \{\n((?:        [0-9a-fA-F.:]+\n)*)    \}$")
_ADDRESS = re.compile(r"(?m)^    virtual_ipaddress \{\n        ([0-9a-fA-F.:]+)/")

# With nopreempt, a control plane never takes the address from a living owner, whatever the priorities are. The owner
# must therefore give it up by itself, and it does so when the check fails. The check of a machine that has not joined
# yet, or that was removed, fails as well, so such a machine never becomes the owner next to another.
_CONFIG = """\
{header}global_defs {{
    script_user nobody
    enable_script_security
    vrrp_version 3
}}
{script}
vrrp_instance kubernetes_api {{
    state BACKUP
    nopreempt
    interface {interface}
    virtual_router_id {router_id}
    priority {priority}
    advert_int 1
{peers}    virtual_ipaddress {{
        {address}/{bits} dev {interface}
    }}
{track}}}
"""
_SCRIPT = """\
vrrp_script api_server {{
    script "{check}"
    interval 1
    timeout 4
    fall 2
    rise 1
    init_fail
}}
"""
_PEERS = """\
    unicast_src_ip {own}
    unicast_peer {{
{peers}    }}
"""
_TRACK = """\
    track_script {
        api_server
    }
"""
# An API server that refuses anonymous requests (401, 403) can't say whether it is ready, but it works. All checks pass
# if curl does not work, so the address then moves only when its machine is down.
_CHECK = (
    "#!/bin/sh\n{header}"
    "# Fails if the API server of this machine is not ready while that of another control plane is, so that the\n"
    "# virtual IP address moves there. If no API server is ready, the address stays where it is.\n"
    "ready() {{\n"
    "    curl -gks --noproxy '*' -m 1 -Z -w '\\n%{{http_code}}\\n' \"$@\" | grep -Eqx '200|401|403'\n"
    "}}\n"
    "ready {own} || ! ready {peers}\n"
)
# keepalived removes the address when it ends. If its first process is killed, systemd ends the other one with SIGTERM,
# so that it removes the address too. What is left then, systemd removes.
_UNIT = """\
{header}[Unit]
Description=Virtual IP address of the Kubernetes API
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
RuntimeDirectory=kubestead-api-vip
ExecStart={program} --dont-fork --vrrp --use-file={config} \\
    --pid=/run/kubestead-api-vip/keepalived.pid --vrrp_pid=/run/kubestead-api-vip/vrrp.pid
ExecReload=/bin/kill -HUP $MAINPID
ExecStopPost=-ip address delete {address}/{bits} dev {interface}
TimeoutStopSec=5
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


@dataclass(frozen=True)
class VirtualIp:
    """The virtual IP address as one control plane needs it; an empty ``address`` where it has none.

    ``own`` is the control plane's own address in the subnet of the virtual one, ``peers`` are those of the others.
    ``router_id`` is the ID of the VRRP router (1 to 255), ``port`` that of the API servers.
    """

    address: str = ""
    router_id: int = 1
    port: int = 6443
    own: str = ""
    peers: List[str] = field(default_factory=list)

    def validate(self) -> None:
        """Raise :class:`OptionError` for a value that must not be written to a file."""
        if not self.address:
            return
        try:
            known = [plain_address(text) for text in (self.address, self.own, *self.peers)]
        except ValueError:
            known = []
        families = {one.version for one in known}
        if len(families) != 1 or not 0 < self.router_id < 256 or not 0 < self.port < 65536:
            raise OptionError("api_endpoint", "is not an endpoint that a plan has", "use the result of cluster_plan")

    @property
    def bits(self) -> int:
        """The length of the prefix of the virtual address, which is alone in its network."""
        return plain_address(self.address).max_prefixlen

    @property
    def priority(self) -> int:
        """The priority of the control plane, by the order of the addresses."""
        order = sorted([self.own, *self.peers], key=plain_address)
        return _HIGHEST - order.index(self.own) * min(_DISTANCE, _RANGE // len(order))

    def config(self, interface: str, tracked: bool = True) -> str:
        """The configuration of keepalived; without the check if it is not ``tracked``.

        A single control plane never gives the address up. keepalived refuses to run in unicast mode without peers.
        """
        tracked = tracked and bool(self.peers)
        peers = "".join("        {0}\n".format(peer) for peer in sorted(self.peers, key=plain_address))
        return _CONFIG.format(
            header=managed_header(),
            script="\n" + _SCRIPT.format(check=CHECK) if tracked else "",
            track=_TRACK if tracked else "",
            interface=interface,
            router_id=self.router_id,
            priority=self.priority,
            peers=_PEERS.format(own=self.own, peers=peers) if peers else "",
            address=self.address,
            bits=self.bits,
        )

    def check(self) -> str:
        """The script that decides whether this control plane may be the owner; empty for a single control plane."""
        if not self.peers:
            return ""
        own, *others = [
            "'https://{0}/readyz'".format(host_port(address, self.port))
            for address in (self.own, *sorted(self.peers, key=plain_address))
        ]
        return _CHECK.format(header=managed_header(), own=own, peers=" ".join(others))

    def unit(self, interface: str) -> str:
        """The systemd unit: its own, so that a keepalived of the user is never changed."""
        return _UNIT.format(
            header=managed_header(),
            program=PROGRAM,
            config=CONFIG,
            address=self.address,
            bits=self.bits,
            interface=interface,
        )


def address_in(config: Optional[str]) -> str:
    """The virtual address in a configuration; empty without one, and for text that is not an address."""
    found = _ADDRESS.search(config or "")
    try:
        return str(plain_address(found.group(1))) if found else ""
    except ValueError:
        return ""


def router_id_in(config: Optional[str]) -> int:
    """The ID of the VRRP router in a configuration; 0 without one."""
    found = _ROUTER_ID.search(config or "")
    return int(found.group(1)) if found else 0


def peers_in(config: Optional[str]) -> List[str]:
    """The peers in a configuration, which keepalived sends its packets to."""
    found = _PEER_BLOCK.search(config or "")
    return found.group(1).split() if found else []


def router_id(cluster: str, address: str) -> int:
    """The ID of the VRRP router for the virtual address of a cluster, from 1 to 255 and not the usual one."""
    choices = [number for number in range(1, 256) if number != _USUAL_ROUTER_ID]
    return choices[zlib.crc32("{0} {1}".format(cluster, address).encode()) % len(choices)]


def interface_of(networks: Mapping[str, str], own: str) -> str:
    """The interface that has the machine's own address; empty without one."""
    found = [networks[network] for network in networks if network.partition("/")[0] == own]
    return next((name for name in found if _INTERFACE.fullmatch(name)), "")


def source(networks: Mapping[str, str], address: str, preferred: str = "") -> Tuple[str, str]:
    """The machine's own address in the subnet of a virtual address, and the interface; empty texts without one.

    ``networks`` maps the machine's addresses with their prefix lengths to their interfaces. ``preferred`` is chosen if
    it is one of several: another one may be temporary, as IPv6 makes them, or a floating one.
    """
    for network, interface in sorted(networks.items(), key=lambda one: one[0].partition("/")[0] != preferred):
        own = network.partition("/")[0]
        inside = plain_address(address) in plain_network(network, strict=False)
        if inside and own != address and _INTERFACE.fullmatch(interface):
            return own, interface
    return "", ""
