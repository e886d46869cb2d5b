# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks names and addresses of a node as kubeadm and the kubelet do. Pure."""

from __future__ import annotations

import re
from typing import List

from ..core import addresses as network
from ..core.errors import OptionError

# RFC 1123, as Kubernetes implements it: only the length of the name is limited, not that of a label.
_DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z")
_LONGEST_NAME = 253
# The kubelet sets the Node's name as the value of the label kubernetes.io/hostname.
_LONGEST_NODE_NAME = 63


def is_dns_name(name: str) -> bool:
    """True for a DNS name in lower case (a subdomain of RFC 1123)."""
    return len(name) <= _LONGEST_NAME and bool(_DNS_NAME.match(name))


def check_dns_name(option: str, name: str) -> None:
    """Raise :class:`OptionError` for a name that is not a DNS name in lower case (RFC 1123)."""
    if not is_dns_name(name):
        fix = "use at most 253 of a-z, 0-9, dashes and dots"
        raise OptionError(option, "is {0!r}, not a DNS name in lower case".format(name), fix)


def check_node_name(option: str, name: str) -> None:
    """Raise :class:`OptionError` for a name that can't be the name of a Node."""
    check_dns_name(option, name)
    if len(name) > _LONGEST_NODE_NAME:
        text = "is {0!r}; a Node's name may have at most {1} characters, because it becomes a label value".format(
            name, _LONGEST_NODE_NAME
        )
        raise OptionError(option, text, "use a shorter name")


def parse_addresses(option: str, text: str) -> List[network.Address]:
    """One IP address, or two of different families separated by a comma. Raises :class:`OptionError`."""
    found = [network.parse_address(option, part) for part in text.split(",")]
    if len({one.version for one in found}) != len(found):
        fix = "use one address, or one IPv4 and one IPv6 address of this host"
        raise OptionError(option, "is {0!r}; both addresses are of the same family".format(text), fix)
    for one in found:
        if one.is_unspecified or one.is_loopback or one.is_multicast or one.is_link_local:
            raise OptionError(
                option, "is {0}, an address that other nodes can't reach".format(one), "use an address of this host"
            )
    return found
