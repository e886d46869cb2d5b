# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the lab's Kubernetes comes from: the upstream servers, a folder of binaries, or Debian's source package."""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.error
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Mapping, Optional, Tuple

from .debian_kubernetes import ensure_debian_kubernetes
from .machine import ROOT, MachineError, run
from .next_patch import NEXT_PATCH, ensure_next_patch

UPSTREAM = "upstream"
BINARIES = "binaries"
DEBIAN = "debian"
UPGRADE = "KUBESTEAD_UPGRADE_BINARIES"
FLAVOURS = (UPSTREAM, BINARIES, DEBIAN)

PACKAGES_URL = "https://pkgs.k8s.io/core:/stable:"
IMAGE_REPOSITORY = "registry.k8s.io"
NEEDED = ("kubeadm", "kubelet", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
ANSWER_WITHIN = 3.0  # seconds
DEFAULTS = ROOT / "roles/cluster/defaults/main.yml"


@dataclass(frozen=True)
class Flavour:
    """One Kubernetes for the lab."""

    name: str
    """``upstream``, ``binaries`` or ``debian``."""
    version: str
    """The exact version, such as ``1.35.0``."""
    folder: Optional[Path]
    """The folder of binaries; None for ``upstream``."""
    images: Tuple[str, ...]
    """The images kubeadm wants, with registry and tag; empty for ``upstream``."""
    later: Optional[Flavour] = None
    """A later Kubernetes that the same server offers, for upgrades of nodes."""

    @property
    def minor(self) -> str:
        """``1.35``."""
        return "{}.{}".format(*minor_of(self.version))


def minor_of(version: str) -> Tuple[int, int]:
    """``1.36.1`` -> (1, 36). Raises :class:`MachineError` for anything that is not a version."""
    parts = version.lstrip("v").split(".")
    try:
        return int(parts[0]), int(parts[1])
    except (IndexError, ValueError) as err:
        raise MachineError(f"{version!r} is not a Kubernetes version; give one such as 1.36 or 1.36.1") from err


def decide(environ: Mapping[str, str] = os.environ, upstream_answers: Optional[bool] = None) -> str:
    """The flavour's name; nothing is built.

    ``KUBESTEAD_KUBERNETES`` forces one, ``KUBESTEAD_BINARIES`` means binaries; otherwise upstream when its package
    server answers within three seconds, else debian. ``upstream_answers`` skips that request. Raises MachineError
    for other values.
    """
    forced = environ.get("KUBESTEAD_KUBERNETES", "")
    folder = environ.get("KUBESTEAD_BINARIES", "")
    if forced and forced not in FLAVOURS:
        raise MachineError(f"KUBESTEAD_KUBERNETES {forced} is unknown; set one of {', '.join(FLAVOURS)}")
    if forced == BINARIES and not folder:
        raise MachineError("KUBESTEAD_BINARIES is not set; KUBESTEAD_KUBERNETES=binaries needs it to name the folder")
    if forced:
        return forced
    if folder:
        return BINARIES
    return UPSTREAM if (reachable() if upstream_answers is None else upstream_answers) else DEBIAN


def choose(environ: Mapping[str, str] = os.environ) -> Flavour:
    """The lab's Kubernetes. ``debian`` is built if it is not in the cache (about eight minutes).

    ``KUBESTEAD_UPGRADE_BINARIES`` is a folder of binaries of a later version, which the server offers too, or
    ``next-patch`` for the same binaries with another version; see :mod:`lab.next_patch`.
    """
    name = decide(environ)
    if name == UPSTREAM:
        return Flavour(UPSTREAM, newest_upstream(wanted_minor()), None, ())
    folder = ensure_debian_kubernetes() if name == DEBIAN else check_folder(Path(environ["KUBESTEAD_BINARIES"]))
    found, given = _of_folder(name, folder), environ.get(UPGRADE, "")
    if not given:
        return found
    if given == NEXT_PATCH:
        return replace(found, later=_of_folder(name, ensure_next_patch(folder, found.version, folder_key(folder))))
    return replace(found, later=_of_folder(BINARIES, check_folder(Path(given), UPGRADE)))


def _of_folder(name: str, folder: Path) -> Flavour:
    version = kubeadm_version(folder)
    return Flavour(name, version, folder, kubeadm_images(folder, version))


def check_folder(folder: Path, variable: str = "KUBESTEAD_BINARIES") -> Path:
    """The absolute path of a folder with every binary a cluster needs; raises MachineError naming what is missing."""
    missing = [name for name in NEEDED if not os.access(folder / name, os.X_OK)]
    if missing:
        raise MachineError(f"{variable} {folder} has no executable {', '.join(missing)}; add it")
    return folder.resolve()


def folder_key(folder: Path) -> str:
    """A short name for a folder's content, by the files' names, sizes and times."""
    rows = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            rows.append(f"{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]


def kubeadm_version(folder: Path) -> str:
    """The version that the folder's kubeadm reports, without the ``v``."""
    version = run([folder / "kubeadm", "version", "-o", "short"]).stdout.strip()
    if not re.fullmatch(r"v\d+\.\d+\.\d+", version):
        raise MachineError(f"{folder}/kubeadm has version {version}; the lab needs a release such as v1.35.0")
    return version[1:]


def kubeadm_images(folder: Path, version: str) -> Tuple[str, ...]:
    """The images that the folder's kubeadm would pull for its version, as kubeadm lists them without a network."""
    argv = ["config", "images", "list", "--kubernetes-version", f"v{version}", "--image-repository", IMAGE_REPOSITORY]
    return tuple(json.loads(run([folder / "kubeadm", *argv, "-o", "json"]).stdout)["images"])


def reachable(url: str = PACKAGES_URL, timeout: float = ANSWER_WITHIN) -> bool:
    """True when the server of ``url`` answers over HTTPS within ``timeout`` seconds, whatever the answer is."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=timeout):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except (OSError, ValueError):
        return False


def wanted_minor(defaults: Path = DEFAULTS) -> str:
    """The minor in the collection's default ``cluster_kubernetes_version``, which is the one taken from upstream."""
    match = re.search(
        r"^cluster_kubernetes_version:\s*[\"']?(\d+\.\d+)", defaults.read_text(encoding="utf-8"), re.MULTILINE
    )
    if not match:
        raise MachineError(f"{defaults} sets no cluster_kubernetes_version")
    return match.group(1)


def newest_upstream(minor: str) -> str:
    """The newest patch release of ``minor`` in the upstream package repository."""
    url = f"{PACKAGES_URL}/v{minor}/deb/Packages"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return newest_in(answer.read().decode("utf-8"), minor)
    except OSError as error:
        raise MachineError(f"cannot read {url}: {error}; try again, or set KUBESTEAD_KUBERNETES=debian") from error


def newest_in(packages: str, minor: str) -> str:
    """The newest version of kubeadm in an apt index, without the package revision."""
    patches = re.findall(rf"^Package: kubeadm\nVersion: {re.escape(minor)}\.(\d+)-", packages, re.MULTILINE)
    if not patches:
        raise MachineError(f"the upstream package index of {minor} has no kubeadm")
    return f"{minor}.{max(map(int, patches))}"
