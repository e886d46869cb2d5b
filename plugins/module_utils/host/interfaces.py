# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Network interfaces and their addresses, as `ip -j address` prints them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, List, Mapping


@dataclass(frozen=True)
class Interface:
    """An address of the machine, and the interface it is on."""

    name: str
    address: str
    # Prefix length.
    length: int
    mtu: int


def parse_interfaces(text: str) -> List[Interface]:
    """The addresses of ``ip -j address``, without loopback and link-local ones."""
    found: List[Interface] = []
    for link in json_objects(text):
        for entry in link.get("addr_info") or []:
            if entry.get("scope") in ("host", "link") or not entry.get("local"):
                continue
            length, mtu = int(entry.get("prefixlen", 0)), int(link.get("mtu", 0))
            found.append(Interface(str(link.get("ifname")), str(entry["local"]), length, mtu))
    return found


def json_objects(text: str) -> List[Mapping[str, Any]]:
    """What ``ip -j`` printed: a list of objects, empty where it is none."""
    try:
        data = json.loads(text or "[]")
    except ValueError:
        return []
    return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
