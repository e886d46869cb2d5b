# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of components for the modules that apply them, as the variables of a host set them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import SECRET_OPTIONS
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict

from .plan import registry
from .variables import Variables

#: Their options are those of other components.
WITHOUT_OPTIONS = ("images", "control_plane")


def options_of(
    components: Iterable[str], variables: Mapping[str, Any], templar: Any, plan: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of components as plain data, and those that hold secrets apart. Fails naming the variable."""
    found: dict[str, Any] = {}
    secrets: dict[str, Any] = {}
    for name in components:
        if name in WITHOUT_OPTIONS:
            continue
        try:
            options = registry.options_from_variables(name, Variables(variables, templar))
            options.validate()
        except OptionError as err:
            raise AnsibleActionFail(f"{err.option} {err.problem}; {err.fix} (nothing was changed)") from None
        found[name] = to_dict(options)
        for option in SECRET_OPTIONS:
            value = found[name].pop(option, None)
            if value:
                secrets[option] = value
        if name == "host" and plan.get("cluster"):
            found[name]["pod_cidr"] = plan["cluster"]["pod_cidr"]
    return found, secrets
