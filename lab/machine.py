# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This machine: its folders, its commands, and the Debian packages that the lab needs.

A fresh Debian 12 with python3 and apt is enough to start with. Every feature of the lab names the packages it needs.
apt is called only when one of their commands or files is missing, with the machine's own configuration.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from .say import say, step

ROOT = pathlib.Path(__file__).resolve().parent.parent

# feature -> ((proof that the package is installed, package), ...). A proof with a slash is a file, "import x" a module
# of this Python, anything else a command on the path.
FEATURES: Dict[str, Tuple[Tuple[str, str], ...]] = {
    "nodes": (
        ("podman", "podman"),
        ("runc", "runc"),
        ("/usr/lib/podman/netavark", "netavark"),
        ("iptables", "iptables"),
        ("nft", "nftables"),
        ("ip", "iproute2"),
        ("mmdebstrap", "mmdebstrap"),
        ("ssh", "openssh-client"),
        ("ssh-keygen", "openssh-client"),
    ),
    "venv": (("import ensurepip", "python3-venv"), ("import venv", "python3-venv")),
    "oldest-python": (("pypy3", "pypy3"), ("/usr/share/doc/pypy3-venv", "pypy3-venv")),
    "mirror": (
        ("openssl", "openssl"),
        ("skopeo", "skopeo"),
        ("gpg", "gnupg"),
        ("dpkg-deb", "dpkg"),
        ("apt-ftparchive", "apt-utils"),
        ("/etc/ssl/certs/ca-certificates.crt", "ca-certificates"),
    ),
    "debian-kubernetes": (
        ("dpkg-source", "dpkg-dev"),
        ("make", "make"),
        ("gcc", "gcc"),
        ("/usr/include/stdlib.h", "libc6-dev"),
        ("rsync", "rsync"),
        ("/usr/lib/go-1.19/bin/go", "golang-1.19-go"),
        ("/usr/share/gocode/src/github.com/modern-go/reflect2", "golang-github-modern-go-reflect2-dev"),
    ),
    "git": (("git", "git"),),
}

# For apt: no questions, and messages in English.
NONINTERACTIVE = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class MachineError(Exception):
    """Something does not work on this machine; the text names the cause and the fix."""


def cache_dir(environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """The folder for what is kept between runs: ``KUBESTEAD_CACHE`` or ``~/.cache/kubestead``."""
    named = environ.get("KUBESTEAD_CACHE")
    return pathlib.Path(named).expanduser() if named else pathlib.Path.home() / ".cache" / "kubestead"


def state_dir() -> pathlib.Path:
    """The folder in the checkout for the files of the running lab, such as inventories and known hosts."""
    return ROOT / ".lab"


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Let only one process at a time do what ``name`` names."""
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def search_path(path: str) -> str:
    """``path`` with the sbin folders a login may lack."""
    parts = [part for part in path.split(":") if part]
    return ":".join(parts + [folder for folder in SBIN if folder not in parts])


def run(
    argv: Sequence[Union[str, pathlib.Path]],
    *,
    cwd: Optional[pathlib.Path] = None,
    env: Optional[Mapping[str, str]] = None,
    input: Optional[str] = None,
    check: bool = True,
    timeout: Optional[float] = None,
    show_failure: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a command without a terminal and keep its output.

    ``env`` is added to this process's environment; ``timeout`` is in seconds. Raises :class:`MachineError` with the
    command and its last lines when it fails, unless ``check`` is false. ``show_failure`` prints all its output first.
    """
    command = [str(word) for word in argv]
    path = search_path(os.environ.get("PATH", ""))
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": path, **(env or {})},
            input=input or "",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise MachineError(
            f"{command[0]} is not installed; run the lab through ./dev, which installs what it needs"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{' '.join(command[:4])} took longer than {timeout:.0f} s") from error
    if check and done.returncode:
        if show_failure:
            say(f"{done.stdout}{done.stderr}".rstrip())
        last = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-4:])
        raise MachineError(f"{' '.join(command[:6])} failed with code {done.returncode}: {last or 'no output'}")
    return done


def has(proof: str) -> bool:
    """True when ``proof`` (see :data:`FEATURES`) holds on this machine."""
    if proof.startswith("import "):
        return (
            subprocess.run([sys.executable, "-c", proof], stdin=subprocess.DEVNULL, capture_output=True).returncode == 0
        )
    if "/" in proof:
        return os.path.exists(proof)
    return shutil.which(proof, path=search_path(os.environ.get("PATH", ""))) is not None


def missing_packages(features: Sequence[str]) -> List[str]:
    """The Debian packages that ``features`` need and this machine lacks, sorted."""
    unknown = [feature for feature in features if feature not in FEATURES]
    if unknown:
        raise MachineError(f"feature {unknown[0]} is unknown; the lab knows {', '.join(sorted(FEATURES))}")
    return sorted({package for feature in features for proof, package in FEATURES[feature] if not has(proof)})


def _apt(*arguments: str) -> None:
    options = ["-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=600"]
    run(["apt-get", "-q", "-y", *options, *arguments], env=NONINTERACTIVE, show_failure=True)


def ensure(*features: str) -> None:
    """Install the missing packages of ``features``. When none is missing, nothing runs, not even ``apt-get update``."""
    if not missing_packages(features):
        return
    with locked("apt"):
        packages = missing_packages(features)
        if not packages:
            return
        if not shutil.which("apt-get"):
            raise MachineError(
                f"packages {' '.join(packages)} are missing and apt-get does not exist; install them by hand"
            )
        if os.geteuid() != 0:
            raise MachineError(f"packages {' '.join(packages)} are missing; run as root or through sudo")
        with step(f"install {' '.join(packages)}"):
            _apt("update")
            _apt("install", "--no-install-recommends", *packages)
    still = missing_packages(features)
    if still:
        raise MachineError(f"packages {' '.join(still)} were installed but do not provide what the lab looks for")
