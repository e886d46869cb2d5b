# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connects to other machines to check that they can be reached. The error distinguishes a filter from a closed port.

``open`` and ``refused`` both prove that the host can be reached. ``timeout`` indicates a filter that drops packets,
``unreachable`` a filter that rejects packets, or a missing route.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
import time
from typing import Dict, List, Sequence, Tuple

OPEN, REFUSED, TIMEOUT, UNREACHABLE, NO_NAME = "open", "refused", "timeout", "unreachable", "unknown name"
# These outcomes prove that the target can be reached.
PROVEN = (OPEN, REFUSED)

CONNECT_TIMEOUT = 3.0
# The maximum number of targets of a host. In a cluster of 300 nodes, a host must not connect to each other one.
MAX_TARGETS = 24


def split(text: str) -> Tuple[str, int]:
    """The host and port of a target ``host:port``."""
    host, _colon, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def is_address(host: str) -> bool:
    """True for an IP address, False for a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def connect_all(targets: Sequence[str]) -> Dict[str, str]:
    """Target -> outcome, all at the same time. Never raises; ends after :data:`CONNECT_TIMEOUT` and a little.

    The lookup of a name does not have a timeout: it takes half a minute if no DNS server answers.
    """
    outcomes: Dict[str, str] = {}

    def work(text: str) -> None:
        outcomes[text] = connect(text)

    chosen = list(dict.fromkeys(targets))[:MAX_TARGETS]
    threads = [threading.Thread(target=work, args=(text,), daemon=True) for text in chosen]
    for thread in threads:
        thread.start()
    end = time.monotonic() + CONNECT_TIMEOUT + 0.5
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return {text: outcomes.get(text, TIMEOUT) for text in chosen}


def resolve(name: str) -> List[str]:
    """The addresses of a name, as resolved by this machine; empty after an error or a timeout. Never raises."""
    found: List[str] = []

    def work() -> None:
        try:
            found.extend(
                str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            )
        except (OSError, ValueError):
            # ValueError: the name is not a valid DNS name.
            return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(CONNECT_TIMEOUT)
    return list(dict.fromkeys(found))


def connect(text: str) -> str:
    """Connect to a target and close the connection. Returns the outcome. Never raises."""
    try:
        with socket.create_connection(split(text), timeout=CONNECT_TIMEOUT):
            return OPEN
    except ConnectionRefusedError:
        return REFUSED
    except socket.timeout:
        return TIMEOUT
    except (socket.gaierror, ValueError, OverflowError):
        # The target is not a host and a port.
        return NO_NAME
    except OSError as err:
        return TIMEOUT if err.errno == errno.ETIMEDOUT else UNREACHABLE
