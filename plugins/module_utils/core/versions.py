# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions: the request of a user for Kubernetes, and what programs, packages and nodes report."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, List, Optional, Tuple

from .errors import OptionError

_REQUEST = re.compile(r"^v?([0-9]{1,9})\.([0-9]{1,9})(?:\.([0-9]{1,9}))?\Z")
_PARTS = re.compile(r"^v?([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})(?:[-+~].*)?\Z")


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
    """A requested version: a minor version (``1.36``, which means its newest patch), or an exact one (``1.36.2``)."""

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
        """True for a version that satisfies the request."""
        same_minor = (version.major, version.minor) == (self.major, self.minor)
        return same_minor and (self.patch is None or self.patch == version.patch)

    def newest(self, versions: Iterable[Version]) -> Optional[Version]:
        """The newest of ``versions`` that satisfies the request."""
        fitting: List[Version] = [version for version in versions if self.accepts(version)]
        return max(fitting) if fitting else None


def parse_request(text: str, option: str = "cluster_kubernetes_version") -> Request:
    """The user's request. Raises :class:`OptionError` with the name ``option`` for anything but X.Y or X.Y.Z."""
    match = _REQUEST.match(str(text).strip())
    if not match:
        raise OptionError(
            option,
            "is {0!r}, not a Kubernetes version".format(text),
            'use a minor version like "1.36" or an exact version like "1.36.2" (in quotes)',
        )
    major, minor, patch = match.groups()
    if patch is None and int(minor) < 10:
        raise OptionError(
            option,
            "is {0}, a version that no repository has; without quotes, YAML reads 1.30 as 1.3".format(text),
            'put the version in quotes, like "{0}.{1}0"'.format(major, minor),
        )
    return Request(int(major), int(minor), None if patch is None else int(patch))


def parse(text: str) -> Optional[Version]:
    """A version in the form of a binary, package or node (``v1.36.2``, ``1.36.2-1.1``); None for other text."""
    match = _PARTS.match(text.strip())
    return Version(*(int(part) for part in match.groups())) if match else None


def numbers(text: str, count: int = 2) -> Tuple[int, ...]:
    """The first numbers of a version of any program or package, by default major and minor; fewer if it has fewer.

    The epoch of a package (``1:``) is not one of them.
    """
    found = re.findall(r"[0-9]+", re.sub(r"^[0-9]+:", "", text))
    return tuple(int(part) for part in found[:count])
