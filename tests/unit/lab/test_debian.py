# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The apt sources of this machine."""

from __future__ import annotations

import pytest

from lab import debian
from lab.machine import MachineError

DEB822 = """\
Types: deb deb-src
# a comment between the fields
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/archive.gpg

Types: deb
URIs: http://mirror.test/security
Suites: bookworm-security
Components: main contrib
Enabled: no
"""

ONE_LINE = """\
deb http://mirror.test/debian bookworm main  # the usual one
deb-src http://mirror.test/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] https://vendor.test/apt vendor-bookworm main
deb [arch=amd64] https://docker.test/debian bookworm stable
#deb http://mirror.test/debian bookworm-backports main
"""


def test_only_the_releases_own_enabled_binary_sources_are_taken() -> None:
    found = debian.release_sources({"a.sources": DEB822, "b.list": ONE_LINE}, "bookworm")
    assert found == [
        "deb [signed-by=/usr/share/keyrings/archive.gpg] http://mirror.test/debian bookworm main",
        "deb [signed-by=/usr/share/keyrings/archive.gpg] http://mirror.test/debian bookworm-updates main",
        "deb http://mirror.test/debian bookworm main",
    ]


def test_another_release_with_the_same_beginning_is_another_release() -> None:
    assert debian.release_sources({"a.list": "deb http://m.test/d bookwormish main"}, "bookworm") == []


def test_the_code_name_comes_from_os_release() -> None:
    assert debian.codename('ID=debian\nVERSION_CODENAME=bookworm\nNAME="x"\n') == "bookworm"
    with pytest.raises(MachineError, match="VERSION_CODENAME"):
        debian.codename("ID=debian\n")
