# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An AnsibleModule for the work of modules: parameters with the defaults of the argument spec, and warnings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class FakeModule:
    """What a module's ``work`` uses of an AnsibleModule. Parameters that the spec lacks are refused."""

    def __init__(self, spec: Mapping[str, Any], check_mode: bool = False, **params: Any) -> None:
        unknown = set(params) - set(spec)
        assert not unknown, f"not in the argument spec: {unknown}"
        self.params = {name: params.get(name, one.get("default")) for name, one in spec.items()}
        self.check_mode = check_mode
        self.warnings: list[str] = []
        self.no_log_values: set[str] = set()

    def warn(self, text: str) -> None:
        self.warnings.append(text)
