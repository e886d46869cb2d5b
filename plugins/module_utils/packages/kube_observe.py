# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observes the Kubernetes packages of a machine and reads their repository."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence

from ..core import versions
from ..core.errors import KubesteadError
from ..core.redact import redact
from ..core.releases import SUGGESTED_MINORS
from ..core.system import System
from ..host import os_release

if TYPE_CHECKING:
    from .repository import AvailablePackage, Fetch

from .dnf_files import excluded
from .kube_state import KUBELET_CONF, KubePackagesState, RepositoryState, depends_on, deviating_member, lacking
from .manager import installed, interrupted, lists_empty, version_key
from .openpgp import proven
from .signing_key import key_state
from .sources import (
    CRI_TOOLS,
    NAMES,
    apt_list_prefix,
    clashes,
    key_path,
    key_url,
    repository_url,
    same_base,
    source_path,
)

# Characters of a file with signing keys: that of pkgs.k8s.io has 1 kB.
_LARGEST_KEY = 256 * 1024

# -- Observation


def observe(
    system: System,
    url: str,
    request: versions.Request,
    fetch: Optional[Fetch] = None,
    clock: Callable[[], float] = time.time,
    upgrading: bool = False,
) -> KubePackagesState:
    """Observe the host's packages and, if they do not satisfy ``request``, the packages of the repository.

    ``url`` is the base URL (``cluster_packages_url``). Nothing is changed. A repository that does not answer is part of
    the state, not an error. With ``upgrading``, a member of a cluster may get another version, and the repository is
    also read for a request without a patch release. Tests replace the network and the time with ``fetch`` and
    ``clock``.
    """
    release = os_release.read(system)
    name = release.name or "an unknown system"
    manager = release.package_manager
    if not manager:
        return KubePackagesState(os_name=name)
    native = "dpkg" if manager == "apt" else "rpm"
    found = installed(system, manager, [native, *NAMES, CRI_TOOLS])
    own = found.pop(native, None)
    source = system.read(source_path(manager))
    key_text = system.read(key_path(manager))
    now = clock()
    base = url.rstrip("/")
    wanted_url = repository_url(base, request.series, manager)
    state = KubePackagesState(
        os_name=name,
        manager=manager,
        architecture=own.architecture if own else "",
        installed=found,
        source=source,
        key=None if key_text is None else key_state(key_text, now),
        clashes=clashes(system, manager, base, wanted_url),
        excluded=excluded(system, [*NAMES, CRI_TOOLS]) if manager == "dnf" else [],
        lists_empty=manager == "apt" and lists_empty(system, apt_list_prefix(wanted_url)),
        interrupted=manager == "apt" and interrupted(system),
        enabled=system.run(["systemctl", "is-enabled", "kubelet.service"]).stdout.strip() == "enabled",
        member=system.exists(KUBELET_CONF) and not upgrading,
    )
    must_install = bool(lacking(state, request)) and not deviating_member(state, request)
    must_have_key = (
        state.key is None or bool(state.key.ends) or not state.key.fingerprints or not same_base(source, base)
    )
    # An upgrade to a minor version is one to its newest patch release, which only the repository knows.
    must_read = must_install or (upgrading and request.patch is None)
    if not must_read and not must_have_key:
        return state
    from . import repository

    get = fetch or repository.fetcher(repository.package_manager_proxies(system, manager, wanted_url))
    if must_read:
        state = replace(state, repository=_query_repository(get, base, request, manager, state.architecture))
    if must_have_key and (state.repository is None or state.repository.reachable):
        state = _with_offered_key(state, get, key_url(base, request.series, manager), now)
    return state


def _query_repository(
    fetch: Fetch, base: str, request: versions.Request, manager: str, architecture: str
) -> RepositoryState:
    from . import repository

    url = repository_url(base, request.series, manager)
    names = [*NAMES, CRI_TOOLS]
    read = repository.deb_offers if manager == "apt" else repository.rpm_offers
    try:
        offers = read(url, fetch, architecture, names)
    except repository.Unreachable as err:
        missing = err.response.status in (403, 404, 410)
        minors = _other_minors(fetch, base, request, manager) if missing else []
        return RepositoryState(url, False, err.response.status, err.response.error, minors=minors)
    except KubesteadError as err:
        return RepositoryState(url, False, 200, err.message)
    return summarize(url, offers)


def summarize(url: str, offers: Sequence[AvailablePackage]) -> RepositoryState:
    """The offers as a state: versions by package, newest first, and the kubeadm versions that want cri-tools."""
    by_name: Dict[str, List[str]] = {}
    for offer in offers:
        known = by_name.setdefault(offer.name, [])
        if offer.version not in known:
            known.append(offer.version)
    for known in by_name.values():
        known.sort(key=version_key, reverse=True)
    wants = [offer.version for offer in offers if offer.name == "kubeadm" and depends_on(offer.depends, CRI_TOOLS)]
    return RepositoryState(url, offers=by_name, cri_tools_for=wants)


def _other_minors(fetch: Fetch, base: str, request: versions.Request, manager: str) -> List[str]:
    """Minor versions that the mirror has if the requested one is missing, for the message."""
    from concurrent.futures import ThreadPoolExecutor

    near = {request.minor - 2, request.minor - 1, request.minor + 1}
    candidates = sorted(minor for minor in set(SUGGESTED_MINORS) | near if minor > 0 and minor != request.minor)
    index = "InRelease" if manager == "apt" else "repodata/repomd.xml"

    def exists(minor: int) -> bool:
        address = repository_url(base, "{0}.{1}".format(request.major, minor), manager) + index
        return fetch(address, "HEAD").ok

    with ThreadPoolExecutor(max_workers=len(candidates)) as pool:
        found = list(pool.map(exists, candidates))
    return ["{0}.{1}".format(request.major, minor) for minor, there in zip(candidates, found) if there]


def _with_offered_key(state: KubePackagesState, fetch: Fetch, address: str, now: float) -> KubePackagesState:
    """The state with the signing key that the repository offers, or with why there is none."""
    response = fetch(address, "GET")
    if not response.ok:
        return replace(state, key_error="{0}: {1}".format(redact(address), redact(response.error)))
    # Written as it was understood here, so that apt or rpm can't find another key in it.
    text = proven(response.body[:_LARGEST_KEY].decode("utf-8", "replace"))
    offered = key_state(text, now)
    if not offered.fingerprints:
        return replace(state, key_error="{0} is not an OpenPGP public key".format(redact(address)))
    return replace(state, offered_key=text.strip() + "\n", offered_key_ends=offered.ends)
