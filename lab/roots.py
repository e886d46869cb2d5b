# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small root filesystems of Debian packages that are unpacked but not installed, without a chroot.

mmdebstrap's variant ``extract`` does this too, but it fetches the package lists for each root, keeps what only serves
the installation, and does not merge /usr: it took five times as long, and the roots were three times as large.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Sequence

from .debian import apt_sources
from .machine import MachineError
from .private_apt import PrivateApt

# Serves only the installation; no program of a finished image needs it.
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
    """A short name for this machine's apt sources and for the code that makes a root."""
    text = "\n".join(apt_sources()).encode() + Path(__file__).read_bytes()
    return hashlib.sha256(text).hexdigest()[:12]


def debian_root(apt: PrivateApt, packages: Sequence[str], root: Path) -> None:
    """Unpack packages and what they need at run time into ``root``, a folder like / on Debian."""
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
    """Unpack a package into ``root``. A link to a folder there is followed, not replaced."""
    argv = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", "--no-same-owner"]
    argv += [f"--exclude={path}/*" for path in LEFT_OUT]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE) as source:
        done = subprocess.run(argv, stdin=source.stdout, capture_output=True, encoding="utf-8", errors="replace")
    if source.returncode or done.returncode:
        raise MachineError(f"cannot unpack {deb}: {(done.stderr.strip() or 'dpkg-deb failed').splitlines()[-1]}")
