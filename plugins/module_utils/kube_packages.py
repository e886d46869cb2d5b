# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubelet, kubeadm, kubectl and kubernetes-cni from the signed repository of one minor version, pinned and held.

A version that is installed and fulfils what is asked for stays: asking for ``1.36`` on a host with 1.36.1 is fulfilled
also when 1.36.2 exists. Then nothing is fetched, and looking is two commands and a few files.
A host that is a node of a cluster already (it has kubelet.conf) never gets another version here.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Dict, List, Optional, Sequence, Tuple

from . import packages, versions
from .errors import KubesteadError, OptionError
from .findings import Problem
from .model import option
from .openpgp import public_keys
from .packages import Package
from .plan import Step
from .system import System

# Every observation reads this file, few ask a repository: what that takes is imported where it is used.
if TYPE_CHECKING:
    from .repository import Fetch, Offer

AREA = "kube_packages"

KUBE = ("kubelet", "kubeadm", "kubectl")
NAMES = ("kubelet", "kubeadm", "kubectl", "kubernetes-cni")
CRI_TOOLS = "cri-tools"
VERSION_OPTION = "cluster_kubernetes_version"
URL_OPTION = "cluster_packages_url"
DEFAULT_URL = "https://pkgs.k8s.io/core:/stable:"

APT_SOURCE = "/etc/apt/sources.list.d/kubernetes.sources"
APT_KEY = "/etc/apt/keyrings/kubernetes.asc"
APT_SOURCES_FOLDER = "/etc/apt/sources.list.d"
DNF_SOURCE = "/etc/yum.repos.d/kubernetes.repo"
DNF_KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes"
DNF_SOURCES_FOLDER = "/etc/yum.repos.d"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"

# The first lets dnf (4 and 5) see what the repository's definition excludes, the second has it look for new versions.
_DNF_OPTIONS = ("--setopt=disable_excludes=kubernetes", "--setopt=kubernetes.metadata_expire=0")

# A key that ends within these days is looked after: the repository may have it with a later end.
KEY_DAYS = 14
# Shut down in 2024; any apt-get update with one of them fails.
_OLD_HOSTS = re.compile(
    r"://(apt\.kubernetes\.io|yum\.kubernetes\.io|packages\.cloud\.google\.com/(apt/?\s+kubernetes-|yum/repos/kubernetes))"
)
# The oldest minor pkgs.k8s.io was asked for when this was written; used only to suggest another one.
_MINORS = range(33, 43)


@dataclass(frozen=True)
class KubePackagesOptions:
    """What the user sets. ``key`` is the repository's signing key (ASCII armour), fetched from it when empty."""

    version: str = option("1.36", var=VERSION_OPTION)
    url: str = option(DEFAULT_URL, var=URL_OPTION)
    hold: bool = True
    key: str = ""

    @property
    def request(self) -> versions.Request:
        """The version asked for. Raises :class:`OptionError`."""
        return versions.parse_request(self.version, VERSION_OPTION)

    def validate(self) -> None:
        """Raise :class:`OptionError` for a value that can't be used."""
        versions.parse_request(self.version, VERSION_OPTION)
        check_url(self.url)
        if self.key and not public_keys(self.key):
            raise OptionError(
                "kube_packages_key", "holds no OpenPGP public key in ASCII armour", "give the text of Release.key"
            )


@dataclass(frozen=True)
class KeyState:
    """A signing key in a file: primary fingerprints, when the first of them ends (seconds since 1970, 0 for never).

    ``ends``: ``""``, ``"soon"`` or ``"over"`` by the host's clock.
    """

    fingerprints: List[str] = field(default_factory=list)
    expires: int = 0
    ends: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class Clash:
    """A file with another definition of the repository. ``after`` is its text without it, None to remove the file."""

    path: str
    reason: str
    before: str
    after: Optional[str] = None


@dataclass(frozen=True)
class RepositoryState:
    """What the repository answered. ``status`` is HTTP's code; ``minors`` exist there when the asked one does not."""

    url: str
    reachable: bool = True
    status: int = 200
    error: str = ""
    offers: Dict[str, List[str]] = field(default_factory=dict)
    cri_tools_for: List[str] = field(default_factory=list)
    minors: List[str] = field(default_factory=list)


@dataclass(frozen=True)
class KubePackagesState:
    """What a host has. ``repository`` is None when there was no need to ask it; ``offered_key`` likewise."""

    system: str = ""
    manager: str = ""
    architecture: str = ""
    installed: Dict[str, Package] = field(default_factory=dict)
    source: Optional[str] = None
    key: Optional[KeyState] = None
    clashes: List[Clash] = field(default_factory=list)
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
        """The packages a node must have: cri-tools too where the installed kubeadm depends on it."""
        kubeadm = self.installed.get("kubeadm")
        return list(NAMES) + ([CRI_TOOLS] if kubeadm and depends_on(kubeadm.depends, CRI_TOOLS) else [])

    @property
    def version(self) -> Optional[versions.Version]:
        """The version of the installed kubelet."""
        kubelet = self.installed.get("kubelet")
        return versions.parse(kubelet.version) if kubelet else None


# -- addresses and files


def check_url(url: str) -> None:
    """Raise :class:`OptionError` for an address that is no base of package repositories."""
    if not re.match(r"^https?://[^/\s]+(/\S*)?$", url):
        raise OptionError(URL_OPTION, "is {0!r}, not an http(s) address".format(url), "give one like " + DEFAULT_URL)


def repository_url(base: str, series: str, manager: str) -> str:
    """The repository of a minor: ``https://pkgs.k8s.io/core:/stable:/v1.36/deb/``."""
    return "{0}/v{1}/{2}/".format(base.rstrip("/"), series, "deb" if manager == "apt" else "rpm")


def key_url(base: str, series: str, manager: str) -> str:
    """Where the repository's signing key is."""
    name = "Release.key" if manager == "apt" else "repodata/repomd.xml.key"
    return repository_url(base, series, manager) + name


def source_path(manager: str) -> str:
    """The file that defines the repository."""
    return APT_SOURCE if manager == "apt" else DNF_SOURCE


def key_path(manager: str) -> str:
    """The file with the repository's signing key."""
    return APT_KEY if manager == "apt" else DNF_KEY


def render_source(manager: str, url: str, hold: bool) -> str:
    """The text of the file that defines the repository at ``url``."""
    if manager == "apt":
        return (
            "# Kept by the Ansible collection kubestead.cluster\nTypes: deb\nURIs: {0}\nSuites: /\nSigned-By: {1}\n"
        ).format(url, APT_KEY)
    text = (
        "# Kept by the Ansible collection kubestead.cluster\n"
        "[kubernetes]\n"
        "name=Kubernetes\n"
        "baseurl={0}\n"
        "enabled=1\n"
        "gpgcheck=1\n"
        "repo_gpgcheck=1\n"
        "gpgkey=file://{1}\n"
    ).format(url, DNF_KEY)
    return text + ("exclude={0} {1}\n".format(" ".join(NAMES), CRI_TOOLS) if hold else "")


def depends_on(depends: str, name: str) -> bool:
    """True when a list of dependencies (of a deb or an rpm) names the package."""
    return any(re.split(r"[\s(:<>=]", part.strip())[0] == name for part in re.split(r"[,|]", depends))


# -- looking


def observe(
    system: System,
    url: str,
    request: versions.Request,
    fetch: Optional[Fetch] = None,
    clock: Callable[[], float] = time.time,
) -> KubePackagesState:
    """What the host has and, only when that does not fulfil ``request``, what the repository below ``url`` offers.

    ``url`` is the base (``cluster_packages_url``). Nothing is changed. A repository that does not answer is part of the
    state, never an error. ``fetch`` and ``clock`` stand for the network and the time in tests.
    """
    release = packages.os_release(system)
    name = release.get("PRETTY_NAME") or release.get("ID", "an unknown system")
    manager = packages.manager_of(release)
    if not manager:
        return KubePackagesState(system=name)
    native = "dpkg" if manager == "apt" else "rpm"
    found = packages.installed(system, manager, [native, *NAMES, CRI_TOOLS])
    own = found.pop(native, None)
    source = system.read(source_path(manager))
    key_text = system.read(key_path(manager))
    now = clock()
    base = url.rstrip("/")
    wanted_url = repository_url(base, request.series, manager)
    state = KubePackagesState(
        system=name,
        manager=manager,
        architecture=own.architecture if own else "",
        installed=found,
        source=source,
        key=None if key_text is None else key_state(key_text, now),
        clashes=_clashes(system, manager, base, wanted_url),
        lists_empty=manager == "apt" and packages.lists_empty(system, apt_list_prefix(wanted_url)),
        interrupted=manager == "apt" and packages.interrupted(system),
        enabled=system.run(["systemctl", "is-enabled", "kubelet.service"]).stdout.strip() == "enabled",
        member=system.exists(KUBELET_CONF),
    )
    must_install = bool(lacking(state, request)) and not deviating_member(state, request)
    must_have_key = (
        state.key is None or bool(state.key.ends) or not state.key.fingerprints or not _same_base(source, base)
    )
    if not must_install and not must_have_key:
        return state
    from . import repository

    get = fetch or repository.fetcher(repository.package_manager_proxies(system, manager))
    answers = dict(state.__dict__)
    if must_install:
        answers["repository"] = _ask(get, base, request, manager, state.architecture)
    if must_have_key and (not must_install or answers["repository"].reachable):
        answers.update(_ask_key(get, key_url(base, request.series, manager), now))
    return KubePackagesState(**answers)


def key_state(text: str, now: float) -> KeyState:
    """What a file says of the keys in it; without fingerprints when there are none."""
    keys = public_keys(text)
    ends = [key.expires for key in keys if key.expires]
    first = min(ends) if ends else 0
    return KeyState(
        [key.fingerprint for key in keys],
        first,
        _ending(first, now),
        hashlib.sha256(text.strip().encode("utf-8")).hexdigest(),
    )


def _ending(expires: int, now: float) -> str:
    if not expires or expires > now + KEY_DAYS * 86400:
        return ""
    return "over" if expires <= now else "soon"


def apt_list_prefix(url: str) -> str:
    """How apt's list files of a repository are named: the address without its scheme, slashes as underscores."""
    return url.split("://", 1)[-1].replace("_", "%5f").replace("/", "_")


def _same_base(source: Optional[str], base: str) -> bool:
    return source is not None and base + "/v" in source


def _ask(fetch: Fetch, base: str, request: versions.Request, manager: str, architecture: str) -> RepositoryState:
    from . import repository

    url = repository_url(base, request.series, manager)
    names = [*NAMES, CRI_TOOLS]
    read = repository.deb_offers if manager == "apt" else repository.rpm_offers
    try:
        offers = read(url, fetch, architecture, names)
    except repository.Unreachable as err:
        missing = err.page.status in (403, 404, 410)
        minors = _other_minors(fetch, base, request, manager) if missing else []
        return RepositoryState(url, False, err.page.status, err.page.error, minors=minors)
    except KubesteadError as err:
        return RepositoryState(url, False, 200, err.message)
    return summarize(url, offers)


def summarize(url: str, offers: Sequence[Offer]) -> RepositoryState:
    """The offers as a state: versions by package, newest first, and the kubeadm versions that want cri-tools."""
    by_name: Dict[str, List[str]] = {}
    for offer in offers:
        known = by_name.setdefault(offer.name, [])
        if offer.version not in known:
            known.append(offer.version)
    for known in by_name.values():
        known.sort(key=packages.version_key, reverse=True)
    wants = [offer.version for offer in offers if offer.name == "kubeadm" and depends_on(offer.depends, CRI_TOOLS)]
    return RepositoryState(url, offers=by_name, cri_tools_for=wants)


def _other_minors(fetch: Fetch, base: str, request: versions.Request, manager: str) -> List[str]:
    """Minors that are there when the asked one is not, so that the message can name them."""
    from concurrent.futures import ThreadPoolExecutor

    near = {request.minor - 2, request.minor - 1, request.minor + 1}
    candidates = sorted(minor for minor in set(_MINORS) | near if minor > 0 and minor != request.minor)
    index = "InRelease" if manager == "apt" else "repodata/repomd.xml"

    def exists(minor: int) -> bool:
        address = repository_url(base, "{0}.{1}".format(request.major, minor), manager) + index
        return fetch(address, "HEAD").ok

    with ThreadPoolExecutor(max_workers=len(candidates)) as pool:
        found = list(pool.map(exists, candidates))
    return ["{0}.{1}".format(request.major, minor) for minor, there in zip(candidates, found) if there]


def _ask_key(fetch: Fetch, address: str, now: float) -> Dict[str, str]:
    page = fetch(address, "GET")
    if not page.ok:
        return {"key_error": "{0}: {1}".format(address, page.error)}
    text = page.body.decode("utf-8", "replace")
    state = key_state(text, now)
    if not state.fingerprints:
        return {"key_error": "{0} is no OpenPGP public key".format(address)}
    return {"offered_key": text.strip() + "\n", "offered_key_ends": state.ends}


# -- other definitions of the repository


def _clashes(system: System, manager: str, base: str, url: str) -> List[Clash]:
    own = source_path(manager)
    if manager == "apt":
        paths = ["/etc/apt/sources.list"]
        paths += [os.path.join(APT_SOURCES_FOLDER, name) for name in system.names(APT_SOURCES_FOLDER)]
        paths = [path for path in paths if path.endswith((".list", ".sources"))]
    else:
        paths = [os.path.join(DNF_SOURCES_FOLDER, name) for name in system.names(DNF_SOURCES_FOLDER)]
        paths = [path for path in paths if path.endswith(".repo")]
    clashes = []
    for path in paths:
        text = system.read(path)
        if path == own or not text:
            continue
        if manager == "apt":
            after, reason = strip_apt_source(text, base, url, path.endswith(".sources"))
        else:
            after, reason = strip_dnf_source(text, base, url)
        if reason:
            clashes.append(Clash(path, reason, text, after))
    return clashes


def _conflict(line: str, base: str, url: str) -> str:
    """Why a repository definition with this address can't stay, empty when it has nothing to do with ours."""
    if _OLD_HOSTS.search(line):
        return "its repository was shut down in 2024"
    addresses = [word.rstrip("/") for word in re.split(r"[\s=]+", line)]
    if url.rstrip("/") in addresses:
        return "defines the same repository with another key"
    for address in addresses:
        if re.match(re.escape(base) + r"/v\d+\.\d+/(deb|rpm)$", address):
            return "defines the repository of another minor ({0})".format(address.rsplit("/", 2)[1])
    return ""


def strip_apt_source(text: str, base: str, url: str, deb822: bool) -> Tuple[Optional[str], str]:
    """An apt sources file without other definitions of the repository, and why; None when nothing else is in it."""
    if deb822:
        parts = re.split(r"(?m)^[ \t]*\n", text)
        kept, reasons = [], []
        for part in parts:
            settings = re.sub(r"(?m)^#.*\n?", "", part)
            fields = dict(re.findall(r"(?mi)^([\w-]+):((?:.*\n?)(?:[ \t]+.*\n?)*)", settings))
            fields = {key.lower(): value for key, value in fields.items()}
            disabled = fields.get("enabled", "yes").strip().lower() in ("no", "false", "off", "0", "without", "disable")
            where = " ".join("{0} {1}".format(uri, fields.get("suites", "")) for uri in fields.get("uris", "").split())
            reason = "" if disabled else _conflict(where, base, url)
            if reason:
                reasons.append(reason)
            else:
                kept.append(part)
        rest = "\n".join(part if part.endswith("\n") else part + "\n" for part in kept if part.strip())
    else:
        lines, reasons = [], []
        for line in text.splitlines():
            reason = "" if line.lstrip().startswith("#") else _conflict(line.split(" #")[0], base, url)
            if reason:
                reasons.append(reason)
            else:
                lines.append(line)
        rest = "\n".join(lines) + "\n"
    if not reasons:
        return text, ""
    has_more = any(line.strip() and not line.lstrip().startswith("#") for line in rest.splitlines())
    return (rest if has_more else None), reasons[0]


def strip_dnf_source(text: str, base: str, url: str) -> Tuple[Optional[str], str]:
    """A dnf repository file without other definitions of the repository, and why; None when nothing else is in it."""
    sections = re.split(r"(?m)^(?=\[)", text)
    kept, reasons = [sections[0]], []
    for section in sections[1:]:
        reason = ""
        for line in section.splitlines():
            if re.match(r"\s*baseurl\s*=", line):
                reason = reason or _conflict(line, base, url)
        if not reason and section.startswith("[kubernetes]"):
            reason = "has a repository of the same name"
        if reason and not re.search(r"(?m)^\s*enabled\s*=\s*(0|no|false)\s*$", section):
            reasons.append(reason)
        else:
            kept.append(section)
    if not reasons:
        return text, ""
    rest = "".join(kept)
    return (rest if "[" in "".join(kept[1:]) else None), reasons[0]


# -- deciding


def lacking(state: KubePackagesState, request: versions.Request) -> List[str]:
    """The packages that are not installed as asked for."""
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
    """For a node of a cluster with another version than asked for: ``kubelet 1.35.2``; else empty."""
    if not state.member:
        return ""
    for name in KUBE:
        present = state.installed.get(name)
        version = versions.parse(present.version) if present and present.complete else None
        if version is not None and not request.accepts(version):
            return "{0} {1}".format(name, version)
    return ""


def targets(state: KubePackagesState, request: versions.Request) -> Dict[str, str]:
    """Package -> version for what is to be installed; of a package that fits already the version stays.

    Empty versions are those the repository does not have (``problems`` tells them).
    """
    names = lacking(state, request)
    if not names or state.repository is None:
        return {name: "" for name in names}
    version = _target_version(state, request)
    chosen = {}
    for name in names:
        offers = state.repository.offers.get(name, [])
        if name in KUBE:
            offers = [offer for offer in offers if version is not None and versions.parse(offer) == version]
        chosen[name] = offers[0] if offers else ""
    kubeadm = chosen.get("kubeadm", "")
    if kubeadm in state.repository.cri_tools_for and CRI_TOOLS not in chosen:
        present = state.installed.get(CRI_TOOLS)
        if present is None or not present.complete:
            chosen[CRI_TOOLS] = (state.repository.offers.get(CRI_TOOLS) or [""])[0]
    return chosen


def to_come(state: KubePackagesState, options: KubePackagesOptions) -> Dict[str, str]:
    """Package -> version for what a run installs; nothing where :func:`problems` forbids the run."""
    if any(problem.level == "error" for problem in problems(state, options)):
        return {}
    return targets(state, options.request)


def _target_version(state: KubePackagesState, request: versions.Request) -> Optional[versions.Version]:
    """The version of an installed part when it fits (so that all parts are the same), else the newest there is."""
    offers = state.repository.offers if state.repository else {}
    wanted = [name for name in lacking(state, request) if name in KUBE]
    per_name = [{versions.parse(text) for text in offers.get(name, [])} for name in wanted]
    if not per_name:
        return None
    common = {version for version in set.intersection(*per_name) if version is not None and request.accepts(version)}
    there = [versions.parse(state.installed[name].version) for name in KUBE if name in state.installed]
    fitting = {version for version in there if version is not None and version in common}
    return request.newest(fitting) or request.newest(common)


def problems(state: KubePackagesState, options: KubePackagesOptions) -> List[Problem]:
    """What stands in the way of the plan, from the state alone: errors, and warnings about the signing key."""
    try:
        options.validate()
        request = options.request
    except OptionError as err:
        return [Problem("kube_packages.options", "{0} {1}".format(err.option, err.problem), err.fix)]
    if not state.manager:
        return [
            Problem(
                "kube_packages.system",
                "{0} is no system the kube packages are made for".format(state.system or "the host"),
                "use Debian, Ubuntu, Fedora or a RHEL kin",
            )
        ]
    deviating = deviating_member(state, request)
    if deviating:
        name, _space, version = deviating.partition(" ")
        return [
            Problem(
                "kube_packages.member",
                "the node runs {0} {1} and is part of a cluster, {2} asks for {3}".format(
                    name, version, VERSION_OPTION, options.version
                ),
                "set {0} to {1}; nodes of a cluster are not upgraded or downgraded by this role".format(
                    VERSION_OPTION, version
                ),
            )
        ]
    found: List[Problem] = []
    if lacking(state, request):
        found += _repository_problems(state, options, request)
    if not any(problem.level == "error" for problem in found):
        found += _key_problems(state, options)
    return found


def _repository_problems(
    state: KubePackagesState, options: KubePackagesOptions, request: versions.Request
) -> List[Problem]:
    check = "kube_packages.repository"
    answer = state.repository
    if answer is None:
        return [Problem(check, "the repository was not asked what it has", "observe the host for this version")]
    if not answer.reachable and answer.status in (403, 404, 410):
        message = "{0} {1}: repository {2} does not exist ({3})".format(
            VERSION_OPTION, options.version, answer.url, answer.status
        )
        if answer.minors:
            return [Problem(check, message, "give one of {0}".format(", ".join(answer.minors[-6:])))]
        return [Problem(check, message, "give another minor, or correct {0}".format(URL_OPTION))]
    if not answer.reachable:
        fix = "check the network, proxies and {0}".format(URL_OPTION)
        if "not trusted" in answer.error:
            fix = "install ca-certificates or the mirror's own CA on the host, or correct {0}".format(URL_OPTION)
        return [Problem(check, "repository {0} can't be read: {1}".format(answer.url, answer.error), fix)]
    absent = [name for name in targets(state, request) if not answer.offers.get(name)]
    if absent:
        return [
            Problem(
                check,
                "repository {0} has no {1} for {2}".format(answer.url, ", ".join(absent), state.architecture),
                "use a host of another architecture, or a repository that has it ({0})".format(URL_OPTION),
            )
        ]
    lost = [name for name, version in targets(state, request).items() if not version]
    if lost:
        there = sorted({str(version) for version in map(versions.parse, answer.offers[lost[0]]) if version}, key=_patch)
        return [
            Problem(
                "kube_packages.version",
                "{0} {1}: {2} {1} is not in the repository {3}".format(
                    VERSION_OPTION, options.version, lost[0], answer.url
                ),
                "give one of {0}, or {1} for the newest".format(", ".join(there[-6:]), request.series)
                if there
                else "give another version",
            )
        ]
    return []


def _patch(text: str) -> Tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _key_problems(state: KubePackagesState, options: KubePackagesOptions) -> List[Problem]:
    check = "kube_packages.key"
    path = key_path(state.manager)
    if options.key:
        return []
    if state.key is None or not state.key.fingerprints:
        if not state.offered_key:
            why = state.key_error or "it was not fetched"
            return [Problem(check, "the repository's signing key can't be had: {0}".format(why), _KEY_FIX)]
        if state.offered_key_ends == "over":
            return [Problem(check, "the repository's signing key is expired", _KEY_FIX)]
        return []
    if state.offered_key:
        offered = [key.fingerprint for key in public_keys(state.offered_key)]
        if _same_base(state.source, options.url.rstrip("/")) and not set(offered) & set(state.key.fingerprints):
            return [
                Problem(
                    check,
                    "the repository's signing key changed from {0} to {1}".format(
                        state.key.fingerprints[0], offered[0]
                    ),
                    "when that was announced, remove {0} or give the new key in kube_packages_key".format(path),
                )
            ]
    if state.key.ends and (not state.offered_key or state.offered_key_ends):
        day = time.strftime("%Y-%m-%d", time.gmtime(state.key.expires))
        over = state.key.ends == "over"
        installing = over and bool(state.repository)
        return [
            Problem(
                check,
                "the repository's signing key in {0} {1} on {2}, and {3}".format(
                    path,
                    "expired" if over else "expires",
                    day,
                    "the repository has no newer one" if state.offered_key else state.key_error or "no newer one came",
                ),
                _KEY_FIX,
                "error" if installing else "warning",
            )
        ]
    return []


_KEY_FIX = "give the key in kube_packages_key, or correct {0}".format(URL_OPTION)


def plan(state: KubePackagesState, options: KubePackagesOptions, together: Sequence[str] = ()) -> List[Step]:
    """What is to be done to the host. Raises :class:`KubesteadError` with the first error among :func:`problems`.

    ``together`` are packages of others, installed in the same transaction; nothing is installed for them alone.
    """
    for problem in problems(state, options):
        if problem.level == "error":
            raise KubesteadError(problem.line, {"check": problem.check})
    request = options.request
    manager = state.manager
    url = repository_url(options.url, request.series, manager)
    steps: List[Step] = []
    chosen = targets(state, request)
    if state.interrupted and chosen:
        steps.append(packages.finish_step(AREA))
    steps += _key_steps(state, options)
    for clash in state.clashes:
        action = "remove" if clash.after is None else "write"
        after = clash.after or ""
        steps.append(Step(AREA, action, clash.path, clash.reason, clash.before, after, {"text": after, "mode": 0o644}))
    text = render_source(manager, url, options.hold)
    if state.source != text:
        reason = "not there" if state.source is None else _source_difference(state.source, text)
        steps.append(_write(source_path(manager), reason, state.source or "", text))
    if chosen:
        if manager == "apt" and state.lists_empty:
            steps.append(packages.update_step(AREA))
        elif manager == "apt":
            steps.append(packages.update_step(AREA, "packages are to be installed", APT_SOURCE))
        extra = _DNF_OPTIONS if manager == "dnf" else ()
        all_of_them = {**chosen, **dict.fromkeys(together, "")}
        steps.append(packages.install_step(AREA, manager, state.installed, all_of_them, options=extra, source=url))
    if manager == "apt":
        names = list(dict.fromkeys([*state.needed, *chosen] if options.hold else [*NAMES, CRI_TOOLS]))
        steps += packages.hold_steps(AREA, manager, state.installed, names, options.hold)
    if not state.enabled:
        steps.append(Step(AREA, "enable", "kubelet.service", "not enabled"))
    return steps


def _key_steps(state: KubePackagesState, options: KubePackagesOptions) -> List[Step]:
    path = key_path(state.manager)
    text = options.key.strip() + "\n" if options.key else state.offered_key
    if not text:
        return []
    new = key_state(text, 0)
    old = state.key
    if old is not None and old.sha256 == new.sha256:
        return []
    if old is None:
        reason = "not there"
    elif not options.key and set(old.fingerprints) & set(new.fingerprints):
        if not old.ends or (new.expires and new.expires <= old.expires):
            return []
        reason = "{0} {1}".format("expired" if old.ends == "over" else "expires", _day(old.expires))
    elif not old.fingerprints:
        reason = "holds no key"
    else:
        reason = "another key"
    step = _write(path, reason, _describe(old) if old else "", _describe(new))
    return [Step(step.area, step.action, path, reason, step.before, step.after, {"text": text, "mode": 0o644})]


def _describe(key: KeyState) -> str:
    ends = "expires {0}".format(_day(key.expires)) if key.expires else "does not expire"
    return "".join("OpenPGP key {0}, {1}\n".format(fingerprint, ends) for fingerprint in key.fingerprints)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _write(path: str, reason: str, before: str, text: str) -> Step:
    return Step(AREA, "write", path, reason, before, text, {"text": text, "mode": 0o644})


def _source_difference(before: str, after: str) -> str:
    old = set(before.splitlines())
    new = set(after.splitlines())
    for line in after.splitlines():
        if line not in old and re.match(r"(URIs: |baseurl=)", line):
            was = re.search(r"(?m)^(?:URIs:|baseurl\s*=)\s*(.*?)\s*$", before)
            return "{0} -> {1}".format(was.group(1) if was else "no address", re.split("[ =]", line, maxsplit=1)[1])
    holds = [any(re.match(r"exclude\s*=", line) for line in lines) for lines in (old, new)]
    if holds[0] != holds[1]:
        return "the packages are {0}".format("held" if holds[0] else "not held")
    changed = sorted(new - old) or sorted(old - new)
    return "differs in {0}".format(changed[0].strip() if changed else "the order of its lines")


# -- doing


def apply(step: Step, system: System) -> None:
    """Carry out one step. Raises :class:`KubesteadError` with one line."""
    if step.action in ("write", "remove"):
        try:
            if step.action == "write":
                system.write(step.target, step.data["text"], step.data["mode"])
            else:
                system.remove(step.target)
        except OSError as err:
            raise KubesteadError("can't {0} {1}: {2}".format(step.action, step.target, err.strerror)) from err
    elif step.action == "enable":
        # It is for the next boot; kubeadm reads the units anew before it starts the kubelet.
        system.run(["systemctl", "enable", "--quiet", "--no-reload", step.target], check=True)
    else:
        packages.apply(step, system)
