# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order hosts are done, so that applications don't notice."""

from __future__ import annotations

from typing import List, Mapping


def waves_of(disruptive: Mapping[str, bool]) -> List[List[str]]:
    """Groups of hosts to be done one after the other; those of a group can be done at the same time.

    ``disruptive`` tells of each host whether it is a member of a cluster that is disturbed: such hosts come last and
    one by one, in their order. All others, which disturb nobody, are the first group.
    """
    quiet = [name for name, disturbed in disruptive.items() if not disturbed]
    waves = [[name] for name, disturbed in disruptive.items() if disturbed]
    return [quiet, *waves] if quiet else waves
