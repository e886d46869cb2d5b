# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of a cluster on a machine: firewalls, NetworkManager, proxies, time services."""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import Dict, List, Mapping, Optional, Sequence

from ..core.system import System

FIREWALLS = ("firewalld", "ufw")
# Services that load rules from files: they close ports only if a rule rejects or drops all other packets.
_RULES = {
    "netfilter-persistent": ("/etc/iptables/rules.v4", "/etc/iptables/rules.v6"),
    "iptables": ("/etc/sysconfig/iptables",),
    "ip6tables": ("/etc/sysconfig/ip6tables",),
    "nftables": ("/etc/nftables.conf", "/etc/sysconfig/nftables.conf"),
}
_CLOSED = re.compile(
    r"^:INPUT (DROP|REJECT)\b|^-A INPUT -j (DROP|REJECT)\b"
    r"|\bhook input\b[^{}]*(policy drop\b|\n\s*(counter (packets \d+ bytes \d+ )?)?(reject|drop)\b)",
    re.MULTILINE,
)
TIME_SERVICES = ("chronyd", "chrony", "systemd-timesyncd", "ntpd", "ntp", "ntpsec")
NETWORK_MANAGER = "NetworkManager"
_NM_FOLDERS = ("/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d")
_UNMANAGED = re.compile(r"^[ \t]*unmanaged-devices[ \t]*(\+?=)(.*)$", re.MULTILINE)
# How a list names Calico's interfaces.
_CALICO = re.compile(r"cali|type:(veth|vxlan|ip-?tunnel)")


@dataclass(frozen=True)
class Environment:
    """The active services that affect a node.

    ``proxied`` is true if programs that Ansible starts here, such as kubeadm, use a proxy; its address is not kept,
    because it may contain a password. ``no_proxy`` are the destinations without a proxy. ``ignores_calico_interfaces``
    is true if NetworkManager does not manage Calico's interfaces.
    """

    firewalls: List[str] = field(default_factory=list)
    time_services: List[str] = field(default_factory=list)
    network_manager: bool = False
    ignores_calico_interfaces: bool = False
    proxied: bool = False
    no_proxy: List[str] = field(default_factory=list)


def observe(system: System, variables: Optional[Mapping[str, str]] = None) -> Environment:
    """Look at the machine: one command, a few files. ``variables`` are those of this process unless they are given."""
    around = os.environ if variables is None else variables
    active = active_units(system, [*FIREWALLS, *_RULES, *TIME_SERVICES, NETWORK_MANAGER])
    closed = [name for name in _RULES if name in active and _closes(system, _RULES[name])]
    # The unit ufw.service is active also where the firewall itself is switched off.
    ufw_on = re.search(r"^ENABLED=[\"']?yes", system.read("/etc/ufw/ufw.conf") or "", re.MULTILINE | re.IGNORECASE)
    manager = NETWORK_MANAGER in active
    excluded = around.get("no_proxy") or around.get("NO_PROXY") or ""
    return Environment(
        firewalls=[name for name in FIREWALLS if name in active and (name != "ufw" or ufw_on)] + closed,
        time_services=[name for name in TIME_SERVICES if name in active],
        network_manager=manager,
        ignores_calico_interfaces=manager and _ignores_calico_interfaces(system),
        proxied=any(around.get(name) for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")),
        no_proxy=[entry.strip() for entry in excluded.split(",") if entry.strip()],
    )


def active_units(system: System, names: Sequence[str]) -> List[str]:
    """Those of the services that are active; one command."""
    answers = system.run(["systemctl", "is-active", *names]).stdout.splitlines()
    return [name for name, answer in zip(names, answers) if answer.strip() == "active"]


def uncovered(no_proxy: Sequence[str], wanted: Sequence[str]) -> List[str]:
    """The addresses, ranges and names in ``wanted`` that no entry of ``no_proxy`` covers, as Go's programs read it."""
    if "*" in no_proxy:
        return []
    ranges = []
    for entry in no_proxy:
        try:
            ranges.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            # A name, with or without a port.
            continue
    missing = []
    for text in wanted:
        try:
            own = ipaddress.ip_network(text, strict=False)
        except ValueError:
            missing += [] if any(_covers(entry, text) for entry in no_proxy) else [text]
            continue
        first, last = int(own.network_address), int(own.broadcast_address)
        if not any(
            one.version == own.version and int(one.network_address) <= first and last <= int(one.broadcast_address)
            for one in ranges
        ):
            missing.append(text)
    return missing


def _covers(entry: str, name: str) -> bool:
    """True if an entry of no_proxy (a name, ``.domain`` or ``*.domain``, also with a port) covers a name."""
    entry = entry.lower().partition(":")[0].lstrip("*")
    return bool(entry) and (name == entry or name.endswith(entry if entry.startswith(".") else "." + entry))


def _closes(system: System, paths: Sequence[str]) -> bool:
    """True if the rules in a file close all ports that they do not open."""
    texts = [re.sub(r"(?m)#.*$", "", system.read(path) or "") for path in paths]
    return any(_CLOSED.search(text) for text in texts)


def _ignores_calico_interfaces(system: System) -> bool:
    """True if NetworkManager does not manage Calico's interfaces. A later file replaces the list, or adds to it."""
    chosen: Dict[str, str] = {}
    for folder in _NM_FOLDERS:
        for name in system.names(folder):
            if name.endswith(".conf"):
                chosen.setdefault(name, "{0}/{1}".format(folder, name))
    # The files of /usr/lib and /run come before NetworkManager.conf, those of /etc after it.
    places = [path for _name, path in sorted(chosen.items())]
    after = [path for path in places if path.startswith("/etc/")]
    listed: List[str] = []
    for path in [*(one for one in places if one not in after), "/etc/NetworkManager/NetworkManager.conf", *after]:
        for sign, value in _UNMANAGED.findall(system.read(path) or ""):
            items = [one for one in re.split(r"[;,\s]+", value) if one]
            listed = [*listed, *items] if sign == "+=" else items
    excepted = any(one.startswith("except:") and _CALICO.search(one) for one in listed)
    return any("cali" in one and not one.startswith("except:") for one in listed) or ("*" in listed and not excepted)
