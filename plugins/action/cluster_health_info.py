# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of cluster_health_info on the control machine: it passes on only the results that the module documents."""

from __future__ import annotations

from ansible_collections.kubestead.cluster.plugins.plugin_utils.node_action import NodeAction


class ActionModule(NodeAction):
    """Runs the module."""

    RETURNS = frozenset(("ready_nodes", "api_servers", "etcd", "dead", "addons", "problems"))
