# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Host names, resolved on the control machine: nodes may not know the names, and their answers are not trusted."""

from __future__ import annotations

import socket

from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import normal_address
from ansible_collections.kubestead.cluster.plugins.module_utils.host import connect


def resolved(place: str) -> str:
    """The first address of a host name; the name itself if the control machine can't resolve it.

    An address is returned in its canonical form.
    """
    if connect.is_address(place):
        return normal_address(place)
    try:
        return str(socket.getaddrinfo(place, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        return place
