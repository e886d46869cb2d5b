# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same binaries with another version."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import flavour, next_patch
from lab.machine import MachineError

KUBEADM = (
    "#!/bin/sh\ncase \"$*\" in\n'version -o short') echo v1.20.2 ;;\n*) echo '{\"images\": [\"'$0'\"]}' ;;\nesac\n"
)


def test_next_patch_is_as_long() -> None:
    assert next_patch.next_patch("1.20.2") == "1.20.3"
    assert next_patch.next_patch("1.34.18") == "1.34.19"
    with pytest.raises(MachineError, match=r"1\.34\.10 is longer than 1\.34\.9"):
        next_patch.next_patch("1.34.9")


def test_only_the_version_itself_is_replaced() -> None:
    content = b"archive\0v1.20.2v1.20.21 1.20.2 xv1.20.2\0"
    assert next_patch.relabelled(content, "1.20.2", "1.20.3") == b"archive\0v1.20.3v1.20.21 1.20.2 xv1.20.3\0"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBESTEAD_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "binaries"
    made.mkdir()
    for name in flavour.NEEDED:
        (made / name).write_text(KUBEADM)
        (made / name).chmod(0o755)
    return made


def test_a_later_version_is_offered_only_where_it_is_asked_for(folder: Path) -> None:
    environment = {"KUBESTEAD_BINARIES": str(folder)}
    assert flavour.choose(environment).later is None
    chosen = flavour.choose({**environment, "KUBESTEAD_UPGRADE_BINARIES": "next-patch"})
    later = chosen.later
    assert later is not None and later.folder is not None
    assert (chosen.version, later.version) == ("1.20.2", "1.20.3")
    assert later.folder != chosen.folder and flavour.kubeadm_version(folder) == "1.20.2"
    assert later.images == (str(later.folder / "kubeadm"),)
    # Made once.
    again = flavour.choose({**environment, "KUBESTEAD_UPGRADE_BINARIES": "next-patch"})
    assert again == chosen


def test_a_binary_without_its_version_is_an_error(folder: Path) -> None:
    (folder / "kubelet").write_text("v1.20.1\n")
    with pytest.raises(MachineError, match=r"kubelet does not contain its version v1\.20\.2"):
        next_patch.ensure_next_patch(folder, "1.20.2", "key")
    assert [path.name for path in (folder.parent / "cache" / "kubernetes").iterdir()] == []
