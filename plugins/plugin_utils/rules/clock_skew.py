# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks that the clocks of hosts agree closely enough for certificates and leases."""

from __future__ import annotations

import statistics
from typing import Dict, List, Sequence

from ..hosts import Reading

# Seconds. kubeadm backdates certificates by five minutes (CertificateBackdate in its constants). On a host whose clock
# is further behind, they are not valid yet.
# https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/constants/constants.go
MAX_CLOCK_SKEW = 300.0
# Seconds. etcd warns about one second; a few seconds affect leases and tokens.
WARN_CLOCK_SKEW = 5.0


def skews(readings: Sequence[Reading]) -> Dict[str, float]:
    """The least difference of each host's clock from the median (behind: negative), in seconds; 0.0 if it may agree.

    The control machine's clock is one of the clocks. It counts twice if their number would otherwise be even, so that
    two hosts that agree outvote one wrong clock.
    """
    known = [reading for reading in readings if reading.known]
    own: List[float] = [0.0] if len(known) % 2 == 0 else [0.0, 0.0]
    # The true median lies between the medians of what is possible.
    low = statistics.median(own + [reading.low for reading in known])
    high = statistics.median(own + [reading.high for reading in known])
    found = {}
    for reading in known:
        ahead, behind = reading.low - high, low - reading.high
        found[reading.name] = ahead if ahead > 0 else (-behind if behind > 0 else 0.0)
    return found
