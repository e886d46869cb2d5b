# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A call of a module, with the defaults of its argument spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils.core.call import Call


class FakeModule(Call):
    """What a module's ``work`` is called with. Parameters that the spec lacks are refused."""

    def __init__(self, spec: Mapping[str, Any], check_mode: bool = False, **params: Any) -> None:
        unknown = set(params) - set(spec)
        assert not unknown, f"not in the argument spec: {unknown}"
        super().__init__({name: params.get(name, one.get("default")) for name, one in spec.items()}, check_mode)
