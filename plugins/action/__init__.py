# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugins. Ansible imports this package before the first of them."""

from __future__ import annotations

from ansible_collections.kubestead.cluster.plugins.plugin_utils import bytecode

bytecode.keep()
