# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pytest plugin: what tests use of Python 3.11, for their run on an older one.

Node code must not use it; vermin finds it there.
"""

from __future__ import annotations

import datetime
import importlib
import sys

if not hasattr(datetime, "UTC"):
    datetime.UTC = datetime.timezone.utc
if sys.version_info < (3, 11):
    sys.modules["tomllib"] = importlib.import_module("tomli")
