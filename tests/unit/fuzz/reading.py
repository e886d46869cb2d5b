# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every reader of text that others wrote must keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict


def _may_leave_the_node(value: Any) -> None:
    """What is observed travels as JSON, which has no number of thousands of digits and no object of ours."""
    if not isinstance(value, (Exception, bytes)):
        json.dumps(to_dict(value))


def check(read: Callable[[Any], Any], data: Any, raises: bool) -> None:
    """Read; only a reader that ``raises`` may fail, and with nothing but the collection's own error."""
    try:
        value = read(data)
    except KubesteadError as err:
        assert raises, "it may not raise"
        assert "Traceback" not in str(err)
        return
    if not raises:
        _may_leave_the_node(value)
