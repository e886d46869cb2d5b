# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is left out where there is no Ansible, as on the oldest Python."""

from __future__ import annotations

import importlib.util

# The action plugin is tested there, too.
collect_ignore = [] if importlib.util.find_spec("ansible") else ["test_kubeconfig.py", "test_kubeconfig_entries.py"]
