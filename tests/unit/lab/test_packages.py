# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages and the repositories they are in."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from pathlib import Path

import pytest

from lab import packages, repository


@pytest.mark.parametrize(
    ("version", "kubeadm", "kubelet"),
    [
        ("1.35.0", set(), {"kubernetes-cni", "mount", "util-linux"}),
        ("1.31.4", {"cri-tools"}, {"kubernetes-cni", "mount", "util-linux"}),
        ("1.20.2", {"cri-tools", "kubelet", "kubectl", "kubernetes-cni"}, {"conntrack", "socat", "kubernetes-cni"}),
    ],
)
def test_dependencies_are_the_versions_own(version: str, kubeadm: set[str], kubelet: set[str]) -> None:
    assert {need.split()[0] for need in packages.kubeadm_depends(version)} == kubeadm
    assert kubelet <= {need.split()[0] for need in packages.kubelet_depends(version)}


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    folder = tmp_path / "binaries"
    folder.mkdir()
    for name in ("kubelet", "kubeadm", "kubectl"):
        (folder / name).write_text(f"#!/bin/sh\necho {name}\n")
    return folder


def made(binaries: Path, version: str = "1.35.0") -> dict[str, packages.Package]:
    cni = binaries / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "bridge").write_text("bridge")
    return {package.name: package for package in packages.kube_packages(binaries, version, cni, "1.1.1")}


def test_versions_look_like_upstreams(binaries: Path) -> None:
    versions = {name: package.version for name, package in made(binaries).items()}
    assert versions == {
        "kubelet": "1.35.0-1.1",
        "kubeadm": "1.35.0-1.1",
        "kubectl": "1.35.0-1.1",
        "kubernetes-cni": "1.1.1-1.1",
        "cri-tools": "1.35.0-1.1",
    }


def test_the_folders_own_crictl_wins(binaries: Path) -> None:
    assert made(binaries)["cri-tools"].files["usr/bin/crictl"][0] == packages.CRICTL
    (binaries / "crictl").touch()
    assert made(binaries)["cri-tools"].files["usr/bin/crictl"][0] == binaries / "crictl"


def test_a_built_package_and_its_index(binaries: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    (folder / "amd64").mkdir(parents=True)
    deb = packages.build(made(binaries)["kubelet"], "amd64", folder / "amd64")
    assert deb.name == "kubelet_1.35.0-1.1_amd64.deb"
    assert [path.name for path in deb.parent.iterdir()] == [deb.name]
    content = subprocess.run(["dpkg-deb", "-c", deb], check=True, capture_output=True, encoding="utf-8").stdout
    rows = {line.split()[-1]: line.split()[:2] for line in content.splitlines()}
    assert rows["./usr/bin/kubelet"] == ["-rwxr-xr-x", "root/root"]
    assert rows["./usr/lib/systemd/system/kubelet.service"] == ["-rw-r--r--", "root/root"]

    repository.index(folder, "amd64", {"Origin": "lab", "Label": "two words"})
    text = (folder / "Packages").read_text()
    assert "Filename: amd64/kubelet_1.35.0-1.1_amd64.deb\n" in text
    assert f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n" in text
    assert gzip.decompress((folder / "Packages.gz").read_bytes()).decode() == text
    assert hashlib.sha256(text.encode()).hexdigest() in (folder / "Release").read_text()


def test_a_signature_holds_only_for_what_was_signed(tmp_path: Path) -> None:
    signer = repository.Signer(tmp_path / "gpg")
    key = signer.public_key()
    assert repository.Signer(tmp_path / "gpg").public_key() == key, "the key is made once"
    (tmp_path / "Release").write_text("Origin: lab\n")
    signer.sign(tmp_path)
    assert (tmp_path / "Release.key").read_text() == key

    def verify() -> int:
        argv = ["gpg", "--homedir", str(tmp_path / "gpg"), "--batch", "--verify", "Release.gpg", "Release"]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True).returncode

    assert verify() == 0
    (tmp_path / "Release").write_text("Origin: somebody\n")
    assert verify() != 0
    signer.end()
