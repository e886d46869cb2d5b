# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Octal escapes in the tables of mounts."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.mount_table import unescape


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("/srv/swap", "/srv/swap"),
        (r"/srv/my\040swap\011file", "/srv/my swap\tfile"),
        (r"/srv/a\134040", r"/srv/a\040"),
        (r"/srv/\08\9", r"/srv/\08\9"),
    ],
)
def test_an_octal_escape_is_one_character(field: str, place: str) -> None:
    assert unescape(field) == place
