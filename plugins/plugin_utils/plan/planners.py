# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operations that can be planned, each with its own pure planner over the same hosts and cluster."""

from __future__ import annotations

from typing import Callable, Dict

from .converge import converge
from .endpoint_move import move
from .remove import remove
from .reset import reset
from .result import Plan, Request
from .upgrade import upgrade

PLANNERS: Dict[str, Callable[[Request], Plan]] = {
    "converge": converge,
    "endpoint": move,
    "remove": remove,
    "reset": reset,
    "upgrade": upgrade,
}
DEFAULT = "converge"
