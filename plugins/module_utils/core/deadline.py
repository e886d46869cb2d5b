# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A time limit for a complete call whose own timeout applies only to each of its steps."""

from __future__ import annotations

import socket
import threading
from typing import Any, Callable, List, TypeVar

T = TypeVar("T")


class DeadlineExceeded(socket.timeout):
    """A call that exceeded its time limit, although none of its steps did."""


def within(seconds: float, call: Callable[[], T]) -> T:
    """What ``call`` returns or raises, or :class:`DeadlineExceeded` (an OSError) when it takes more than ``seconds``.

    The timeout of a socket starts again with every byte, so that a server that sends one now and then holds a reader
    for hours. The call continues in a thread that ends with the process, so it must be safe to abandon.
    """
    results: List[Any] = []
    errors: List[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as err:  # raised again where the call is waited for
            errors.append(err)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if results:
        return results[0]  # type: ignore[no-any-return]
    raise DeadlineExceeded("no complete answer within {0:.0f} seconds".format(seconds))
