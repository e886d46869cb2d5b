# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubelet, kubeadm, kubectl and kubernetes-cni from the signed repository of one minor version, pinned and held.

An installed version that satisfies the request is kept: 1.36.1 satisfies the request ``1.36`` even if 1.36.2 exists.
Then nothing is fetched, and the observation is two commands and a few files. A member of a cluster (with kubelet.conf)
never gets a different version here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional

from ..core import versions
from ..core.errors import OptionError
from ..core.options import ADDRESS, var
from ..core.redact import redact
from ..core.releases import DEFAULT_KUBERNETES
from .manager import Package
from .openpgp import public_keys
from .signing_key import KeyState
from .sources import CRI_TOOLS, DEFAULT_URL, KUBE, NAMES, URL_OPTION, ConflictingSource, check_url

COMPONENT = "kube_packages"
VERSION_OPTION = "cluster_kubernetes_version"
FINGERPRINT_OPTION = "kube_packages_key_fingerprint"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
# The key of pkgs.k8s.io (isv:kubernetes), the same for every minor.
DEFAULT_FINGERPRINT = "DE15B14486CD377B9E876E1A234654DA9A296436"


@dataclass(frozen=True)
class KubePackagesOptions:
    """The user's options. ``key`` is the repository's signing key (ASCII armor); it is fetched if this is empty.

    ``key_fingerprint`` is the fingerprint that the key must have, empty for that of the default repository, and for any
    key of another one.
    """

    version: str = field(default=DEFAULT_KUBERNETES, metadata=var(VERSION_OPTION))
    url: str = field(default=DEFAULT_URL, metadata={**var(URL_OPTION), **ADDRESS})
    hold: bool = True
    key: str = ""
    key_fingerprint: str = ""

    @property
    def pin(self) -> str:
        """The only fingerprint that the signing key may have (40 hex digits, upper case); empty for any."""
        given = re.sub(r"\s|^0[xX]", "", self.key_fingerprint).upper()
        known = not self.key and self.url.rstrip("/") == DEFAULT_URL
        return given or (DEFAULT_FINGERPRINT if known else "")

    @property
    def request(self) -> versions.Request:
        """The requested version. Raises :class:`OptionError`."""
        return versions.parse_request(self.version, VERSION_OPTION)

    def validate(self) -> None:
        """Raise :class:`OptionError` for a value that can't be used."""
        versions.parse_request(self.version, VERSION_OPTION)
        check_url(self.url)
        keys = [key.fingerprint for key in public_keys(self.key)]
        if self.key and not keys:
            raise OptionError(
                "kube_packages_key",
                "does not contain an OpenPGP public key in ASCII armor",
                "use the text of Release.key",
            )
        if self.key_fingerprint and not re.match(r"[0-9A-F]{40}\Z", self.pin):
            raise OptionError(
                FINGERPRINT_OPTION,
                "is {0!r}, not a fingerprint".format(self.key_fingerprint),
                "use the 40 hex digits that gpg --show-keys prints",
            )
        if self.pin and set(keys) - {self.pin}:
            raise OptionError(
                FINGERPRINT_OPTION,
                "is {0}, but kube_packages_key holds {1}".format(self.pin, min(set(keys) - {self.pin})),
                "set only one of them, or use the fingerprint of that key",
            )
        if not self.url.lower().startswith("https://") and not self.key and not self.key_fingerprint:
            # An attacker on the network could send other packages and another key.
            raise OptionError(
                URL_OPTION,
                "does not use https, so its signing key can't be trusted",
                "use an https URL, or set kube_packages_key or {0}".format(FINGERPRINT_OPTION),
            )


@dataclass(frozen=True)
class RepositoryState:
    """The repository's answer. ``status`` is the HTTP code; ``minors`` exist there if the requested one does not."""

    url: str
    reachable: bool = True
    status: int = 200
    error: str = ""
    offers: Dict[str, List[str]] = field(default_factory=dict)
    cri_tools_for: List[str] = field(default_factory=list)
    minors: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class KubePackagesState:
    """The Kubernetes packages of a host. ``repository`` and ``offered_key`` are None if they were not needed.

    A ``member`` of a cluster keeps its version. During an upgrade, ``member`` is false for every host.
    """

    os_name: str = ""
    manager: str = ""
    architecture: str = ""
    installed: Dict[str, Package] = field(default_factory=dict)
    source: Optional[str] = None
    key: Optional[KeyState] = None
    clashes: List[ConflictingSource] = field(default_factory=list)
    excluded: List[str] = field(default_factory=list)
    lists_empty: bool = False
    interrupted: bool = False
    enabled: bool = False
    member: bool = False
    repository: Optional[RepositoryState] = None
    offered_key: str = ""
    offered_key_ends: str = ""
    key_error: str = ""

    @property
    def needed(self) -> List[str]:
        """The packages that a node must have, including cri-tools if the installed kubeadm depends on it."""
        kubeadm = self.installed.get("kubeadm")
        return list(NAMES) + ([CRI_TOOLS] if kubeadm and depends_on(kubeadm.depends, CRI_TOOLS) else [])

    @property
    def version(self) -> Optional[versions.Version]:
        """The version of the installed kubelet."""
        kubelet = self.installed.get("kubelet")
        return versions.parse(kubelet.version) if kubelet else None


def without_passwords(state: KubePackagesState) -> KubePackagesState:
    """The state as it may be shown: definitions of repositories may hold passwords."""
    clashes = [
        replace(one, before=redact(one.before), after=None if one.after is None else redact(one.after))
        for one in state.clashes
    ]
    return replace(state, source=None if state.source is None else redact(state.source), clashes=clashes)


def depends_on(depends: str, name: str) -> bool:
    """True when a list of dependencies (of a deb or an rpm) names the package."""
    return any(re.split(r"[\s(:<>=]", part.strip())[0] == name for part in re.split(r"[,|]", depends))


# -- Planning


def lacking(state: KubePackagesState, request: versions.Request) -> List[str]:
    """The packages that are not installed as requested."""
    found = []
    for name in state.needed:
        present = state.installed.get(name)
        if present is None or not present.complete:
            found.append(name)
        elif name in KUBE:
            version = versions.parse(present.version)
            if version is None or not request.accepts(version):
                found.append(name)
    return found


def deviating_member(state: KubePackagesState, request: versions.Request) -> str:
    """``kubelet 1.35.2`` for a node of a cluster that has another version than requested; otherwise empty."""
    if not state.member:
        return ""
    for name in KUBE:
        present = state.installed.get(name)
        version = versions.parse(present.version) if present and present.complete else None
        if version is not None and not request.accepts(version):
            return "{0} {1}".format(name, version)
    return ""
