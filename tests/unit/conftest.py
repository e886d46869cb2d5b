# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as a collection, and gives tests a machine of their own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "collections"))
sys.path.insert(0, str(ROOT))

from ansible_collections.kubestead.cluster.tests.unit.support import Machine  # noqa: E402


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine whose root is an empty folder and whose commands are recorded answers."""
    return Machine(tmp_path)
