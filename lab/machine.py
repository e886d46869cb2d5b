# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this machine has, and installing what it lacks.

A fresh Debian 12 with python3 and apt is enough to begin with. Every feature of the lab names the Debian packages it
needs; apt is called only when one of their commands or files is missing, and with the machine's own configuration.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from .say import say, step

ROOT = pathlib.Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements-dev.txt"

# feature -> ((what proves it is here, package), ...); proof with a slash is a file, else a command on the path,
# "import x" a module of this Python.
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
    "mirror": (
        ("openssl", "openssl"),
        ("skopeo", "skopeo"),
        ("gpg", "gnupg"),
        ("dpkg-deb", "dpkg"),
        ("dpkg-scanpackages", "dpkg-dev"),
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

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class MachineError(Exception):
    """This machine lacks something the lab can't get by itself; the text says what and the way out."""


def cache_dir(environ: Mapping[str, str] = os.environ) -> pathlib.Path:
    """The folder for what may be kept between runs: ``KUBESTEAD_CACHE`` or ``~/.cache/kubestead``."""
    named = environ.get("KUBESTEAD_CACHE")
    return pathlib.Path(named).expanduser() if named else pathlib.Path.home() / ".cache" / "kubestead"


def state_dir() -> pathlib.Path:
    """The folder in the checkout for what belongs to the running lab (inventories, known hosts)."""
    return ROOT / ".lab"


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Let only one process at a time do the thing called ``name``."""
    folder = cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w", encoding="utf-8") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def search_path(path: str) -> str:
    """``path`` with the sbin folders a login may lack."""
    parts = [part for part in path.split(":") if part]
    return ":".join(parts + [folder for folder in SBIN if folder not in parts])


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
        raise MachineError(f"feature {unknown[0]} is unknown: the lab knows {', '.join(sorted(FEATURES))}")
    return sorted({package for feature in features for proof, package in FEATURES[feature] if not has(proof)})


def apt_environment() -> Dict[str, str]:
    """The environment for apt without questions."""
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C", "PATH": search_path(os.environ["PATH"])}


def _apt(*arguments: str) -> None:
    argv = ["apt-get", "-q", "-y", "-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=600", *arguments]
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=apt_environment(),
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        say(done.stdout)
        raise MachineError(
            f"{' '.join(arguments[:1])} failed with code {done.returncode}: see apt's lines above; "
            "check this machine's apt sources and network"
        )


def ensure(*features: str) -> None:
    """Install what ``features`` lack. Nothing is run, not even ``apt-get update``, when nothing is missing."""
    if not missing_packages(features):
        return
    with locked("apt"):
        packages = missing_packages(features)
        if not packages:
            return
        if not shutil.which("apt-get"):
            raise MachineError(
                f"packages {' '.join(packages)} are missing and there is no apt-get; install them by hand"
            )
        if os.geteuid() != 0:
            raise MachineError(f"packages {' '.join(packages)} are missing; run as root or through sudo")
        with step(f"install {' '.join(packages)}"):
            _apt("update")
            _apt("install", "--no-install-recommends", *packages)
    still = missing_packages(features)
    if still:
        raise MachineError(f"packages {' '.join(still)} were installed but what they should bring is not there")


# -- the Python environment


def requirements_key(requirements: str, python: str) -> str:
    """A short name for an environment: the same for the same pins and the same Python, whatever the comments say."""
    pins = sorted(line.split("#", 1)[0].strip() for line in requirements.splitlines())
    text = "\n".join([python] + [pin for pin in pins if pin])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def ensure_venv() -> pathlib.Path:
    """The folder of the Python environment with everything in requirements-dev.txt, made when it is not there."""
    key = requirements_key(REQUIREMENTS.read_text(encoding="utf-8"), f"{sys.base_prefix} {sys.version}")
    folder = cache_dir() / "venv" / key
    if (folder / ".complete").exists():
        return folder
    ensure("venv")
    with locked("venv"):
        if (folder / ".complete").exists():
            return folder
        with step("make the Python environment (ansible-core, linters, test tools)"):
            if folder.exists():
                shutil.rmtree(folder)
            folder.parent.mkdir(parents=True, exist_ok=True)
            run([sys.executable, "-m", "venv", str(folder)])
            run([str(folder / "bin" / "pip"), "install", "-q", "--no-input", "-r", str(REQUIREMENTS)])
            (folder / ".complete").write_text("", encoding="utf-8")
    return folder


def run(argv: Sequence[str], env: Optional[Mapping[str, str]] = None, cwd: Optional[pathlib.Path] = None) -> str:
    """Run a command without a terminal or stdin; its output is shown only when it fails."""
    done = subprocess.run(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=None if env is None else dict(env),
        cwd=cwd,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        say(done.stdout)
        raise MachineError(f"{argv[0]} failed with code {done.returncode}: see its lines above")
    return done.stdout


# -- apt sources of this machine


def codename(os_release: str) -> str:
    """The release's code name in the text of /etc/os-release."""
    match = re.search(r'^VERSION_CODENAME="?([a-z]+)"?$', os_release, re.MULTILINE)
    if not match:
        raise MachineError("/etc/os-release names no VERSION_CODENAME: the lab is made for Debian 12 and its like")
    return match.group(1)


def release_sources(files: Mapping[str, str], release: str) -> List[str]:
    """The distribution's own apt sources as one-line entries, of all the texts of sources files by name.

    Entries of other vendors (whose suites are not the release's) are left out, as are source packages.
    """
    lines: List[str] = []
    for name, text in sorted(files.items()):
        lines += _deb822_sources(text) if name.endswith(".sources") else _line_sources(text)
    wanted = []
    for line in lines:
        match = re.match(r"^deb\s+(?:\[[^]]*\]\s+)?\S+\s+(\S+)\s+(.+)$", line)
        suite_ok = match is not None and re.match(rf"^{release}(-|/|$)", match.group(1)) is not None
        if match and suite_ok and "main" in match.group(2).split() and line not in wanted:
            wanted.append(line)
    return wanted


def _line_sources(text: str) -> List[str]:
    lines = (line.split("#", 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line.startswith("deb ") or line.startswith("deb\t")]


def _deb822_sources(text: str) -> List[str]:
    lines: List[str] = []
    for stanza in re.split(r"\n\s*\n", "\n".join(row for row in text.splitlines() if not row.startswith("#"))):
        fields: Dict[str, str] = {}
        for match in re.finditer(r"^([A-Za-z-]+):((?:.*)(?:\n[ \t]+.*)*)", stanza, re.MULTILINE):
            fields[match.group(1).lower()] = " ".join(match.group(2).split())
        if fields.get("enabled", "yes").lower() in ("no", "false", "0") or "deb" not in fields.get("types", "").split():
            continue
        options = []
        signed_by = fields.get("signed-by", "")
        if signed_by.startswith("/"):
            options.append(f"signed-by={signed_by}")
        if fields.get("trusted", "").lower() == "yes":
            options.append("trusted=yes")
        prefix = f"deb [{' '.join(options)}]" if options else "deb"
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                lines.append(f"{prefix} {uri} {suite} {fields.get('components', '')}".rstrip())
    return lines


def apt_sources() -> List[str]:
    """This machine's own apt sources for its release, as one-line entries."""
    etc = pathlib.Path("/etc/apt")
    paths = [etc / "sources.list", *sorted(etc.glob("sources.list.d/*"))]
    files = {
        str(path): path.read_text(encoding="utf-8", errors="replace")
        for path in paths
        if path.is_file() and path.suffix in (".list", ".sources")
    }
    release = codename(pathlib.Path("/etc/os-release").read_text(encoding="utf-8"))
    found = release_sources(files, release)
    if not found:
        raise MachineError(f"/etc/apt has no source for {release} main; add one, the lab takes node packages from it")
    return found


def apt_acquire_options() -> List[str]:
    """How this machine's apt fetches (proxies, certificates, retries), as lines for another apt's configuration."""
    done = subprocess.run(["apt-config", "dump"], stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8")
    skipped = ("Acquire::IndexTargets::", "Acquire::Changelogs::", "Acquire::CompressionTypes::")
    return [line for line in done.stdout.splitlines() if line.startswith("Acquire::") and not line.startswith(skipped)]
