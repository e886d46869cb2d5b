# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes versions: what a user asks for, what packages are called, and what goes with which minor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, List, Optional

from .errors import OptionError

_REQUEST = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?$")
_PARTS = re.compile(r"^v?(\d+)\.(\d+)\.(\d+)(?:[-+~].*)?$")


@dataclass(frozen=True, order=True)
class Version:
    """An exact version, ``1.36.2``."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return "{0}.{1}.{2}".format(self.major, self.minor, self.patch)

    @property
    def series(self) -> str:
        """The minor as the package repositories call it: ``1.36``."""
        return "{0}.{1}".format(self.major, self.minor)


@dataclass(frozen=True)
class Request:
    """A version as asked for: a minor (``1.36``, its newest patch is meant) or an exact one (``1.36.2``)."""

    major: int
    minor: int
    patch: Optional[int] = None

    def __str__(self) -> str:
        return self.series if self.patch is None else "{0}.{1}".format(self.series, self.patch)

    @property
    def series(self) -> str:
        """The minor: ``1.36``."""
        return "{0}.{1}".format(self.major, self.minor)

    def accepts(self, version: Version) -> bool:
        """True for a version that fulfils the request."""
        same_minor = (version.major, version.minor) == (self.major, self.minor)
        return same_minor and (self.patch is None or self.patch == version.patch)

    def newest(self, versions: Iterable[Version]) -> Optional[Version]:
        """The newest of ``versions`` that fulfils the request."""
        fitting: List[Version] = [version for version in versions if self.accepts(version)]
        return max(fitting) if fitting else None


def parse_request(text: str, option: str = "cluster_kubernetes_version") -> Request:
    """What the user asks for. Raises :class:`OptionError` naming ``option`` for anything but X.Y or X.Y.Z."""
    match = _REQUEST.match(str(text).strip())
    if not match:
        raise OptionError(
            option,
            "is {0!r}, not a Kubernetes version".format(text),
            'give a minor like "1.36" or an exact version like "1.36.2" (in quotes)',
        )
    major, minor, patch = match.groups()
    return Request(int(major), int(minor), None if patch is None else int(patch))


def parse(text: str) -> Optional[Version]:
    """A version as a binary, package or node tells it (``v1.36.2``, ``1.36.2-1.1``), or None when it is none."""
    match = _PARTS.match(text.strip())
    return Version(*(int(part) for part in match.groups())) if match else None


# The pause image of kubeadm, by the minor it came with.
_PAUSE = {20: "3.2", 21: "3.4.1", 22: "3.5", 23: "3.6", 24: "3.7", 25: "3.8", 26: "3.9", 31: "3.10", 34: "3.10.1"}
_NEWEST_KNOWN = 35


def knows_pause(version: Version) -> bool:
    """Whether :func:`pause_tag` is sure of this version."""
    return version.major == 1 and min(_PAUSE) <= version.minor <= _NEWEST_KNOWN


def pause_tag(version: Version) -> str:
    """The tag of the pause image that a kubeadm of this version names; of a newer one the last that is known."""
    return next((tag for minor, tag in sorted(_PAUSE.items(), reverse=True) if minor <= version.minor), _PAUSE[20])


def config_api(version: Version) -> str:
    """The kubeadm configuration API a kubeadm of this version writes: v1beta4 from 1.31, v1beta3 from 1.22."""
    if (version.major, version.minor) >= (1, 31):
        return "v1beta4"
    if (version.major, version.minor) >= (1, 22):
        return "v1beta3"
    return "v1beta2"
