# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The documentation of check mode and diff mode that all modules share."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes shared by the modules."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts the changes of a run without making them.
    support: full
  diff_mode:
    description: Returns the differences that were made, or would be made in check mode. They never contain a secret.
    support: full
  platform:
    description: The platforms that the module supports.
    support: full
    platforms: posix
"""
