# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A set of nodes with all that belongs to it: network, mirror, nodes and inventory."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Dict, Optional, Sequence

from . import inventory, nodes
from .machine import ensure
from .mirror.server import ensure_mirror
from .podman import NETWORK, ensure_network, host_facts
from .say import say
from .systems import chosen


def prepare_set(
    set_name: str,
    names: Sequence[str],
    options: nodes.Options,
    control_plane: Optional[Sequence[str]] = None,
    mirror: bool = True,
    renew: bool = False,
) -> pathlib.Path:
    """Create the network, mirror, nodes and inventory of a set; the path of the inventory.

    ``renew``: nodes that were created for another Kubernetes version than the mirror's are replaced.
    """
    ensure("nodes")
    subnet = ensure_network()
    variables: Dict[str, object] = {}
    if mirror:
        info = ensure_mirror(NETWORK, subnet, chosen(options.systems, len(names)))
        served = nodes.Mirror(info.ip, pathlib.Path(info.ca_pem_path), tuple(info.hostnames))
        variables = inventory.cluster_variables(
            info.version,
            info.flavour,
            host_facts().cgroup_v2,
            info.missing_images,
            set_name,
            info.key_fingerprint,
            info.later_version,
        )
        before = inventory.version_in(set_name)
        if renew and before not in (None, info.version):
            say(f"replace the nodes of {set_name}: they are for Kubernetes {before}, the mirror has {info.version}")
            options = dataclasses.replace(options, fresh=True)
    else:
        served = nodes.Mirror(str(subnet[2]), None, ())
    there = nodes.create(set_name, names, served, options)
    return inventory.write(set_name, there, variables, control_plane)
