# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small root filesystems out of Debian packages: unpacked, not installed, so it takes seconds and no chroot."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Sequence

from .debian import apt_sources
from .machine import MachineError
from .private_apt import PrivateApt

# What only serves installing: no program of a finished image needs it.
INSTALL_TIME = frozenset(
    "adduser debconf dpkg gcc-12-base init-system-helpers iproute2 libaudit-common libaudit1 libbpf1 libelf1"
    " libfile-find-rule-perl libnumber-compare-perl libpam-modules libpam-modules-bin libpam0g libperl5.36"
    " libsemanage-common libsemanage2 libsepol2 libtext-glob-perl passwd perl perl-base perl-modules-5.36"
    " sysvinit-utils tar usrmerge".split()
)
LEFT_OUT = (
    "./usr/share/doc",
    "./usr/share/man",
    "./usr/share/locale",
    "./usr/share/lintian",
    "./usr/share/bash-completion",
)
MERGED = ("bin", "sbin", "lib", "lib64")
ACCOUNTS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def sources_digest() -> str:
    """Changes when this machine's apt sources do, or how a root is made."""
    text = "\n".join(apt_sources()).encode() + Path(__file__).read_bytes()
    return hashlib.sha256(text).hexdigest()[:12]


def debian_root(apt: PrivateApt, packages: Sequence[str], root: Path) -> None:
    """Unpack packages and what they need at run time into ``root``, a folder like / of a Debian."""
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "etc", "proc", "root", "run", "sys", "tmp", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).chmod(0o1777)
    for deb in apt.download(packages):
        if deb.name.split("_")[0] not in INSTALL_TIME:
            unpack(deb, root)
    for name, text in ACCOUNTS.items():
        (root / "etc" / name).write_text(text, encoding="utf-8")


def unpack(deb: Path, root: Path) -> None:
    """Lay a package's files into ``root``; where that has a link to a folder, into the folder."""
    argv = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", "--no-same-owner"]
    argv += [f"--exclude={path}/*" for path in LEFT_OUT]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as source:
        done = subprocess.run(argv, stdin=source.stdout, capture_output=True, encoding="utf-8", errors="replace")
    if source.returncode or done.returncode:
        raise MachineError(f"{deb} can't be unpacked: {(done.stderr.strip() or 'dpkg-deb failed').splitlines()[-1]}")
