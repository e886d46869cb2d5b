# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of ``./dev bench``."""

from __future__ import annotations

import argparse
from typing import Tuple

EPILOG = """\
Figures and pictures are kept in .lab/bench; --write-docs writes them into docs/performance.md.
"""


def numbers(text: str) -> Tuple[int, ...]:
    """``3,50`` -> (3, 50)."""
    return tuple(map(int, text.split(",")))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the cases and options of ``./dev bench`` to its parser."""
    parser.epilog = EPILOG
    parser.add_argument("cases", nargs="*", metavar="case", help="first, nothing, add, many, refused (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each contestant runs (default: 3)")
    parser.add_argument(
        "--sizes", type=numbers, default=(), metavar="N,N", help="numbers of nodes, for add, many, refused"
    )
    parser.add_argument(
        "--pin", action="store_true", help="give the control machine a core of its own; the nodes share the others"
    )
    parser.add_argument(
        "--quota",
        type=float,
        default=0.0,
        metavar="N",
        help="limit each node to N CPUs, such as 0.5 (default: no limit)",
    )
    parser.add_argument(
        "--key-exchange",
        default="",
        metavar="NAME",
        help="the key exchange of SSH connections, such as curve25519-sha256 (default: that of the machine's OpenSSH)",
    )
    parser.add_argument(
        "--other",
        action="append",
        default=[],
        metavar="NAME=playbook.yml:inventory",
        help="another playbook to measure",
    )
    parser.add_argument(
        "--variant", action="append", default=[], metavar="NAME=arguments", help="the collection with these arguments"
    )
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="write the figures into docs/performance.md; without a case, only that",
    )
    parser.add_argument("--keep", action="store_true", help="do not remove the nodes afterwards")
