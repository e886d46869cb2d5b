# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where Kubernetes comes from, and what is read out of versions and apt's output."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import debian_kubernetes, flavour, private_apt
from lab.machine import MachineError


@pytest.mark.parametrize(
    ("environ", "answers", "name"),
    [
        ({}, True, "upstream"),
        ({}, False, "debian"),
        ({"KUBESTEAD_BINARIES": "/somewhere"}, True, "binaries"),
        ({"KUBESTEAD_KUBERNETES": "debian", "KUBESTEAD_BINARIES": "/somewhere"}, True, "debian"),
        ({"KUBESTEAD_KUBERNETES": "upstream"}, False, "upstream"),
    ],
)
def test_decides(environ: dict[str, str], answers: bool, name: str) -> None:
    assert flavour.decide(environ, answers) == name


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"KUBESTEAD_KUBERNETES": "redhat"}, "set one of upstream, binaries, debian"),
        ({"KUBESTEAD_KUBERNETES": "binaries"}, "KUBESTEAD_BINARIES is not set"),
    ],
)
def test_refuses(environ: dict[str, str], says: str) -> None:
    with pytest.raises(MachineError, match=says):
        flavour.decide(environ, False)


def test_folder_must_have_every_binary(tmp_path: Path) -> None:
    for name in flavour.NEEDED:
        (tmp_path / name).touch(mode=0o755)
    assert flavour.check_folder(tmp_path) == tmp_path.resolve()
    (tmp_path / "kubelet").chmod(0o644)
    (tmp_path / "kubectl").unlink()
    with pytest.raises(MachineError, match="has no executable kubelet, kubectl"):
        flavour.check_folder(tmp_path)


def test_folder_key_sees_a_changed_binary(tmp_path: Path) -> None:
    (tmp_path / "kubeadm").write_text("1")
    before = flavour.folder_key(tmp_path)
    assert flavour.folder_key(tmp_path) == before
    (tmp_path / "kubeadm").write_text("22")
    assert flavour.folder_key(tmp_path) != before


def test_asks_the_folders_kubeadm(tmp_path: Path) -> None:
    (tmp_path / "kubeadm").write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "'version -o short') echo v1.35.0 ;;\n"
        "'config images list --kubernetes-version v1.35.0 --image-repository registry.k8s.io -o json')\n"
        '  echo \'{"images": ["registry.k8s.io/pause:3.10.1"]}\' ;;\n'
        "*) exit 1 ;;\nesac\n"
    )
    (tmp_path / "kubeadm").chmod(0o755)
    assert flavour.kubeadm_version(tmp_path) == "1.35.0"
    assert flavour.kubeadm_images(tmp_path, "1.35.0") == ("registry.k8s.io/pause:3.10.1",)


def test_a_server_that_is_not_there_does_not_answer() -> None:
    assert flavour.reachable("https://127.0.0.1:1/", timeout=0.5) is False


def test_newest_patch_is_a_number_not_a_word() -> None:
    index = "".join(
        f"Package: {package}\nVersion: {version}\nArchitecture: amd64\n\n"
        for package, version in (("kubeadm", "1.36.9-1.1"), ("kubeadm", "1.36.10-1.1"), ("kubelet", "1.36.11-1.1"))
    )
    assert flavour.newest_in(index, "1.36") == "1.36.10"
    with pytest.raises(MachineError, match="has no kubeadm"):
        flavour.newest_in(index, "1.35")


def test_wanted_minor_is_the_collections_default() -> None:
    assert flavour.wanted_minor().startswith("1.")


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [("1.20.5+really1.20.2-1.1+deb12u1", "1.20.2"), ("1.20.2-1", "1.20.2"), ("2:1.32.3+ds-2", "1.32.3")],
)
def test_upstream_version(debian: str, upstream: str) -> None:
    assert debian_kubernetes.upstream_version(debian) == upstream


def test_upstream_version_needs_one() -> None:
    with pytest.raises(MachineError, match="no upstream version"):
        debian_kubernetes.upstream_version("experimental")


def test_version_file_is_shell() -> None:
    text = debian_kubernetes.version_file("1.20.2")
    assert "KUBE_GIT_VERSION='v1.20.2'\nKUBE_GIT_MAJOR='1'\nKUBE_GIT_MINOR='20'\n" in text


def test_source_lines_keep_host_options_and_suite() -> None:
    lines = ["deb [signed-by=/k.gpg] http://a.test/debian bookworm main", "deb-src http://b.test x main"]
    assert private_apt.source_lines(lines) == [
        "deb-src [signed-by=/k.gpg] http://a.test/debian bookworm main",
        "deb-src http://b.test x main",
    ]


def test_uris() -> None:
    text = (
        "Reading package lists...\n"
        "'http://a.test/pool/c/conntrack_1.4.7-1%2bb2_amd64.deb' conntrack_1%3a1.4.7-1+b2_amd64.deb 33628 SHA256:ab\n"
    )
    assert private_apt.uris(text) == {
        "conntrack_1%3a1.4.7-1+b2_amd64.deb": "http://a.test/pool/c/conntrack_1.4.7-1%2bb2_amd64.deb"
    }
