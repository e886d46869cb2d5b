# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long and how the fuzz tests search.

By default every test tries a fixed, small number of examples, the same ones in every run. ``KUBESTEAD_FUZZ=10`` lets
each test search for ten minutes, with new examples every time. Seeds are printed; ``KUBESTEAD_FUZZ_SEED`` starts with
that one.
"""

from __future__ import annotations

import functools
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, configuration, seed, settings

MINUTES = float(os.environ.get("KUBESTEAD_FUZZ") or 0)
SEED = int(os.environ.get("KUBESTEAD_FUZZ_SEED") or random.SystemRandom().getrandbits(32))

_ALL = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.large_base_example)
# hypothesis keeps what it finds out about Unicode.
configuration.set_hypothesis_home_dir(Path(tempfile.gettempdir()) / "kubestead-hypothesis")
# Without a database nothing is written into the checkout, and no run depends on the one before.
settings.register_profile(
    "kubestead",
    settings(database=None, deadline=None, derandomize=not MINUTES, suppress_health_check=_ALL, print_blob=True),
)
settings.load_profile("kubestead")


def fuzz(examples: int) -> Callable[[Any], Any]:
    """Decorate a hypothesis test: ``examples`` of them in a normal run, as many as fit into the time in a long one."""

    def decorate(test: Any) -> Any:
        if not MINUTES:
            return settings(max_examples=examples)(test)
        batch = settings(max_examples=max(examples, 500))(test)

        @functools.wraps(test)
        def search(*args: Any, **kwargs: Any) -> None:
            # hypothesis has no limit of time by itself: batches, each with a seed of its own.
            end, number = time.monotonic() + MINUTES * 60, SEED
            while time.monotonic() < end:
                print(f"KUBESTEAD_FUZZ_SEED={number}", file=sys.stderr)
                seed(number)(batch)(*args, **kwargs)
                number += 1

        return search

    return decorate
