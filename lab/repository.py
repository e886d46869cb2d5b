# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Flat apt repositories: the signed one of a Kubernetes minor, and one with what nodes install from Debian."""

from __future__ import annotations

import gzip
import os
import re
import shutil
from pathlib import Path
from typing import List, Mapping, Sequence, Tuple

from .flavour import minor_of
from .machine import MachineError, cache_dir, locked, run
from .packages import build, kube_packages
from .private_apt import PrivateApt

# What nodes may install from their distribution: what the collection, kubeadm and Ansible's modules need.
DISTRIBUTION = (
    "apt-transport-https apt-utils bash-completion busybox-static ca-certificates chrony conntrack containerd"
    " containernetworking-plugins curl dbus e2fsprogs ebtables ethtool gnupg gpg haproxy iproute2 ipset"
    " iptables iputils-ping ipvsadm jq keepalived kmod libpam-systemd lsb-release mount netcat-openbsd nfs-common"
    " nftables openssl procps python3 python3-apt python3-debian python3-venv rsync runc socat sudo"
    " systemd systemd-sysv tar util-linux xz-utils zstd"
).split()


class Signer:
    """The lab's archive key, made once, in a gpg home of its own."""

    USER = "kubestead lab <lab@lab.test>"

    def __init__(self, home: Path) -> None:
        self.home = home
        with locked("archive-key"):
            if not (home / "key.asc").exists():
                self._make()

    def _make(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, mode=0o700)
        self._gpg("--passphrase", "", "--quick-gen-key", self.USER, "rsa3072", "sign", "never")
        public = self._gpg("--armor", "--export", self.USER)
        (self.home / "key.asc").write_text(public, encoding="utf-8")
        self.end()

    def _gpg(self, *arguments: str | Path) -> str:
        return run(["gpg", "--homedir", self.home, "--batch", "--quiet", "--yes", "--no-tty", *arguments]).stdout

    def fingerprint(self, key: Path) -> str:
        """The fingerprint of the public key in a file. Raises MachineError for a file without one."""
        for line in self._gpg("--with-colons", "--show-keys", key).splitlines():
            if line.startswith("fpr:"):
                return line.split(":")[9]
        raise MachineError(f"{key} holds no public key; run ./dev clean and try again")

    def end(self) -> None:
        """Stop the agent that gpg starts for this home and does not stop."""
        run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False)

    def public_key(self) -> str:
        """The armored public key."""
        return (self.home / "key.asc").read_text(encoding="utf-8")

    def sign(self, folder: Path) -> None:
        """Write InRelease, Release.gpg and Release.key next to the folder's Release file."""
        release_file = folder / "Release"
        self._gpg("--clearsign", "--digest-algo", "SHA256", "--output", folder / "InRelease", release_file)
        self._gpg(
            "--armor", "--detach-sign", "--digest-algo", "SHA256", "--output", folder / "Release.gpg", release_file
        )
        (folder / "Release.key").write_text(self.public_key(), encoding="utf-8")
        self.end()


def signer() -> Signer:
    """The signer with the key in the cache."""
    return Signer(cache_dir() / "gpg")


def index(folder: Path, debs: str, fields: Mapping[str, str]) -> None:
    """Write Packages, Packages.gz and Release into ``folder`` for the .deb files in its subfolder ``debs``.

    ``fields`` are further fields of the Release file, such as Origin.
    """
    sums = [f"-oAPT::FTPArchive::{name}=false" for name in ("MD5", "SHA1", "SHA512")]
    short = "-oAPT::FTPArchive::LongDescription=false"
    packages = run(["apt-ftparchive", *sums, short, "packages", debs], cwd=folder).stdout.encode()
    (folder / "Packages").write_bytes(packages)
    (folder / "Packages.gz").write_bytes(gzip.compress(packages, mtime=0))
    head = [f"-oAPT::FTPArchive::Release::{name}={value}" for name, value in fields.items()]
    # Not written by the command's own redirection: it would list its own unfinished output.
    release = run(["apt-ftparchive", *sums, *head, "release", "."], cwd=folder).stdout
    (folder / "Release").write_text(release, encoding="utf-8")


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"]).stdout.strip()


def kube_repository(apt: PrivateApt, releases: Sequence[Tuple[Path, str]], folder: Path) -> None:
    """Write the signed repository of a minor version to ``folder``, like upstream's ``/core:/stable:/vX.Y/deb/``.

    ``releases`` are folders of binaries with their versions, all of the same minor version.
    """
    arch = architecture()
    debs = folder / arch
    debs.mkdir(parents=True)
    plugins = debs / ".cni"
    apt.unpack(["containernetworking-plugins"], plugins)
    debian_version = apt.version("containernetworking-plugins")
    cni_version = re.split(r"[+~-]", debian_version.split(":")[-1])[0]
    for binaries, version in releases:
        for package in kube_packages(binaries, version, plugins / "usr/lib/cni", cni_version):
            build(package, arch, debs)
    shutil.rmtree(plugins)
    minor = "{}.{}".format(*minor_of(releases[0][1]))
    index(folder, arch, {"Origin": "kubestead lab", "Label": f"kubernetes v{minor}", "Architectures": arch})
    signer().sign(folder)


def distribution_repository(apt: PrivateApt, folder: Path) -> List[str]:
    """Write a flat repository of what nodes install from Debian, with all dependencies; the names of the packages.

    It is not signed. Nodes trust it by their source entry, because they have no key when they first read it.
    """
    wanted = available(apt, DISTRIBUTION)
    for deb in apt.download(wanted):
        target = folder / re.sub(
            r"%3a", "+", deb.name, flags=re.IGNORECASE
        )  # the colon of an epoch, which servers would unescape
        try:
            os.link(deb, target)
        except OSError:
            shutil.copyfile(deb, target)
    index(folder, ".", {"Origin": "kubestead lab", "Label": "debian", "Architectures": f"{architecture()} all"})
    return wanted


def available(apt: PrivateApt, names: Sequence[str]) -> List[str]:
    """Those of ``names`` that the machine's sources have."""
    known = set(run(["apt-cache", *apt.options(), "pkgnames"]).stdout.split())
    return [name for name in names if name in known]
