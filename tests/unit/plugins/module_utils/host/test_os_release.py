# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""os-release files: real ones, and those that nobody should write."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.host import os_release
from ansible_collections.kubestead.cluster.plugins.module_utils.host.os_release import OsRelease
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

ROCKY = """NAME="Rocky Linux"
VERSION="9.4 (Blue Onyx)"
ID="rocky"
ID_LIKE="rhel centos fedora"
VERSION_ID="9.4"
PRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"
"""


def test_a_real_file(machine: Machine) -> None:
    machine.put("/etc/os-release", ROCKY)
    found = os_release.read(machine)
    assert found == OsRelease("rocky", ["rhel", "centos", "fedora"], "9.4", "Rocky Linux 9.4 (Blue Onyx)")
    assert (found.name, found.package_manager) == ("Rocky Linux 9.4 (Blue Onyx)", "dnf")


def test_the_second_place_counts_where_the_first_has_nothing(machine: Machine) -> None:
    assert os_release.read(machine) == OsRelease()
    machine.put("/usr/lib/os-release", "ID=debian\n")
    assert os_release.read(machine).package_manager == "apt"
    machine.put("/etc/os-release", "ID=fedora\n")
    assert os_release.read(machine).package_manager == "dnf"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=debian", "debian"),
        ("A='a b'", "a b"),
        ("A='a \\\" b'", 'a \\" b'),
        ('A="a b"  ', "a b"),
        ('A="a \\"b\\" \\$c \\\\ \\x"', 'a "b" $c \\ \\x'),
        ("A=a\\ b", "a b"),
        ("A=a b", "a"),
        ('A="never closed', "never closed"),
        ("A='never closed", "never closed"),
        ('A="ends in \\', "ends in "),
        ("A=\\", ""),
        ("A=", ""),
        (" A=x", "x"),
        ("A=b=c", "b=c"),
    ],
)
def test_values(line: str, value: str) -> None:
    assert os_release.parse(line) == {"A": value}


@pytest.mark.parametrize("line", ["", "#A=b", "nothing", "=x", "A B=c", "\0\0", "1A=b"])
def test_lines_that_are_no_assignment(line: str) -> None:
    assert os_release.parse(f"{line}\nID=x\n") == {"ID": "x"}


@pytest.mark.parametrize(
    ("text", "manager"),
    [
        ("\ufeffID=debian\n", "apt"),
        ("ID=Debian\n", "apt"),
        ('ID=uos\nID_LIKE="Debian"\n', "apt"),
        ('ID="x"\nID_LIKE="rhel,fedora"\n', "dnf"),
        ("ID=\nID_LIKE=debian\n", "apt"),
    ],
)
def test_spellings_of_names(machine: Machine, text: str, manager: str) -> None:
    machine.put("/etc/os-release", text)
    assert os_release.read(machine).package_manager == manager
