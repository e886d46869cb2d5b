# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parses address ranges and endpoints with precise errors, and finds overlaps of ranges and the addresses of a host."""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import List, Sequence, Tuple, Union
from urllib.parse import urlsplit

from .errors import OptionError

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]
Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]


def plain_address(text: str) -> Address:
    """An IP address without a scope id: ``ipaddress`` takes any text after ``%`` as one. Raises :class:`ValueError`."""
    if not isinstance(text, str) or "%" in text:
        raise ValueError("{0!r} is not a plain IP address".format(text))
    return _address(str(text))


def plain_network(text: str, strict: bool = True) -> Network:
    """A range of IP addresses without a scope id. Raises :class:`ValueError`, if ``strict`` also for host bits."""
    if not isinstance(text, str) or "%" in text:
        raise ValueError("{0!r} is not a plain range".format(text))
    return _network(str(text), strict)


# A plan reads the same addresses for every host.
_address = functools.lru_cache(maxsize=8192)(ipaddress.ip_address)
_network = functools.lru_cache(maxsize=8192)(ipaddress.ip_network)


def parse_cidrs(option: str, text: str) -> List[Network]:
    """Parse one range, or two of different families separated by a comma (dual stack).

    Host bits are cleared, as kubeadm does: 10.100.0.0/12 becomes 10.96.0.0/12. Raises :class:`OptionError` naming
    ``option``.
    """
    networks: List[Network] = []
    for part in (piece.strip() for piece in text.split(",")):
        try:
            if "/" not in part:
                raise ValueError("it has no prefix length")
            networks.append(plain_network(part, strict=False))
        except ValueError as err:
            raise OptionError(
                option,
                "is {0!r}, not a CIDR range ({1})".format(text, err),
                "use a network address with its prefix length, like 10.244.0.0/16",
            ) from None
    families = [network.version for network in networks]
    if len(set(families)) != len(families):
        raise OptionError(
            option,
            "is {0!r}; both ranges are of the same family".format(text),
            "use one range, or one IPv4 and one IPv6 range",
        )
    return networks


def normal_address(text: str) -> str:
    """An address in its canonical form (2001:db8::10). Other text is returned unchanged."""
    try:
        return str(plain_address(text.strip()))
    except ValueError:
        return text


def url_host(url: str) -> str:
    """The host in a URL, an address in its canonical form; empty if there is none."""
    try:
        return normal_address(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def same_endpoint(one: str, other: str, default_port: int = 6443) -> bool:
    """True if two endpoints ``name[:port]`` have the same host, in any spelling of an address, and the same port.

    Raises :class:`OptionError`.
    """
    places = [parse_endpoint("endpoint", text, default_port) for text in (one, other)]
    return len({(normal_address(host), port) for host, port in places}) == 1


def overlapping(first: Sequence[Network], second: Sequence[Network]) -> List[Tuple[Network, Network]]:
    """The pairs, one of each side, that have addresses in common."""
    return [(one, other) for one in first for other in second if one.version == other.version and one.overlaps(other)]


def parse_address(option: str, text: str) -> Address:
    """One IP address. Raises :class:`OptionError` naming ``option``."""
    try:
        return plain_address(text.strip())
    except ValueError:
        raise OptionError(option, "is {0!r}, not an IP address".format(text), "use an address of this host") from None


def parse_endpoint(option: str, text: str, default_port: int = 6443) -> Tuple[str, int]:
    """Host and port of an endpoint ``name[:port]``; the port is ``default_port`` where none is given.

    Raises :class:`OptionError` naming ``option``.
    """
    fix = "use a DNS name or address with an optional port, like k8s.example.org:6443"
    if "@" in text:
        raise OptionError(option, "has a user name or password in an address", fix)
    host, port = text.strip(), str(default_port)
    if host.startswith("["):
        closing = host.find("]")
        if closing < 0:
            raise OptionError(option, "is {0!r}; the bracket is not closed".format(text), fix)
        rest = host[closing + 1 :]
        host, port = host[1:closing], rest[1:] if rest.startswith(":") else port
    elif host.count(":") == 1:
        host, port = host.split(":")
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise OptionError(option, "is {0!r}; the port must be a number from 1 to 65535".format(text), fix)
    if not host or "/" in host or " " in host:
        raise OptionError(option, "is {0!r}, not a host name or address".format(text), fix)
    return host, int(port)


def full_endpoint(endpoint: str, bind_port: int = 6443) -> str:
    """An endpoint as kubeadm writes it into kubeconfigs: ``host:port``, with the API server's port where none is named.

    Empty text stays empty. Raises :class:`OptionError`.
    """
    return host_port(*parse_endpoint("cluster_endpoint", endpoint, bind_port)) if endpoint else ""


def host_port(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return "[{0}]:{1}".format(host, port) if ":" in host else "{0}:{1}".format(host, port)
