# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every module of the collection says of check mode and diff mode."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes shared by the modules."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts what a run would change, and changes nothing.
    support: full
  diff_mode:
    description: Returns what was, or would be, different; never a secret.
    support: full
  platform:
    description: Systems the module runs on.
    support: full
    platforms: posix
"""
