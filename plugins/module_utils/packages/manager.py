# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages of the distribution: what is installed, and one transaction that installs what is missing.

Two package managers: ``apt`` (Debian, Ubuntu) and ``dnf`` (Fedora, the RHEL family). An observation changes nothing:
no list is fetched, no cache is written. The exact version of a package is in a fetched list, so it is unknown on a host
whose lists are empty.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core.errors import KubesteadError
from ..core.step import Step
from ..core.system import System
from ..host import os_release

COMPONENT = "packages"

APT_LISTS = "/var/lib/apt/lists"
VERSIONLOCK = "/etc/dnf/plugins/versionlock.list"


@dataclass(frozen=True)
class Wanted:
    """A package that must be installed. ``version`` is exact, or ends with ``*``; empty means any."""

    name: str
    version: str = ""


@dataclass(frozen=True)
class Package:
    """A package on the host. ``complete`` is false if its installation was interrupted."""

    name: str
    version: str
    architecture: str = ""
    complete: bool = True
    held: bool = False
    depends: str = ""


@dataclass(frozen=True)
class PackagesState:
    """The state of the requested packages on a host.

    ``lists_empty``: the host can't install anything before an index update. ``interrupted``: dpkg was killed and
    must be finished first. ``offers``: the versions in apt's lists, the one apt would take first, of packages that are
    not installed as wanted; looked up at all only when ``offers_known``.
    """

    manager: str
    installed: Dict[str, Package] = field(default_factory=dict)
    lists_empty: bool = False
    interrupted: bool = False
    offers: Dict[str, List[str]] = field(default_factory=dict)
    offers_known: bool = False


def manager(system: System) -> str:
    """The host's package manager. Raises :class:`KubesteadError` for a system that has neither apt nor dnf."""
    release = os_release.read(system)
    if not release.package_manager:
        raise KubesteadError(
            "{0} is not supported; {1}".format(release.name or "this system", os_release.SUPPORTED_FIX)
        )
    return release.package_manager


def dnf_program(system: System) -> str:
    """``dnf``, or ``yum`` if only this program exists."""
    for name in ("dnf", "dnf5", "yum"):
        if system.is_executable("/usr/bin/" + name):
            return name
    return "dnf"


_DPKG_FORMAT = "${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Status}\\t${db:Status-Want}\\t${Depends}\\n"
_RPM_FORMAT = "%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\t%{ARCH}\\t[%{REQUIRENAME}, ]\\n"


def installed(system: System, found_manager: str, names: Sequence[str]) -> Dict[str, Package]:
    """The packages among ``names`` that are on the host, including incompletely installed ones. One command."""
    if found_manager == "apt":
        return parse_dpkg(system.run(["dpkg-query", "-W", "-f", _DPKG_FORMAT, *names]).stdout)
    if found_manager == "dnf":
        locked = versionlocks(system.read(VERSIONLOCK) or "")
        return parse_rpm(system.run(["rpm", "-q", "--qf", _RPM_FORMAT, *names]).stdout, locked)
    return {}


def owned(system: System, found_manager: str, paths: Sequence[str]) -> List[str]:
    """The paths among ``paths`` that belong to installed packages. One command."""
    if not paths:
        return []
    if found_manager == "apt":
        # A line is "package: path" or "package, package: path"; unknown paths are on standard error.
        lines = system.run(["dpkg-query", "-S", *paths]).stdout.splitlines()
        found = {line.partition(": ")[2] for line in lines}
    else:
        # All files of the packages that own a path.
        found = set(system.run(["rpm", "-qf", "--qf", "[%{FILENAMES}\\n]", *paths]).stdout.splitlines())
    return [path for path in paths if path in found]


def parse_dpkg(text: str) -> Dict[str, Package]:
    """Packages from ``dpkg-query -W`` lines. Packages removed but for their configuration are not there."""
    found = {}
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) != 6:
            continue
        name, version, architecture, status, want, depends = parts
        if status in ("not-installed", "config-files") or not version:
            continue
        found[name] = Package(name, version, architecture, status == "installed", want == "hold", depends)
    return found


def parse_rpm(text: str, locked: Sequence[str] = ()) -> Dict[str, Package]:
    """Packages from ``rpm -q`` lines; ``locked`` are the names under a version lock."""
    found: Dict[str, Package] = {}
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) != 4:
            continue
        name, version, architecture, requires = parts
        if name not in found or version_key(version) > version_key(found[name].version):
            found[name] = Package(name, version, architecture, True, name in locked, requires.rstrip(", "))
    return found


def versionlocks(text: str) -> List[str]:
    """The names in dnf's versionlock.list (``kubelet-0:1.36.1-150500.1.1.*``)."""
    names = []
    for line in text.splitlines():
        match = re.match(r"^(?:.+?:)?([A-Za-z0-9][\w.+-]*?)-(?:\d+:)?\d[^-]*-[^-]*\Z", line.strip())
        if match and not line.startswith(("#", "!")):
            names.append(match.group(1))
    return names


def lists_empty(system: System, ignoring: str = "") -> bool:
    """True if apt has no lists except those whose file names start with ``ignoring``."""
    for name in system.names(APT_LISTS):
        if re.search(r"_(Packages|InRelease|Release)(\.\w+)?\Z", name) and not (ignoring and name.startswith(ignoring)):
            return False
    return True


def interrupted(system: System) -> bool:
    """True if dpkg was killed and refuses to work before ``dpkg --configure`` has finished the interrupted packages."""
    return any(re.fullmatch("[0-9]+", name) for name in system.names("/var/lib/dpkg/updates"))


def policy(system: System, names: Sequence[str]) -> Dict[str, List[str]]:
    """Package -> versions in apt's lists, the candidate first. Nothing is written."""
    # apt would write a cache to /var/cache/apt/*.bin.
    argv = ["apt-cache", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "policy", *names]
    return parse_policy(system.run(argv).stdout)


def parse_policy(text: str) -> Dict[str, List[str]]:
    """Package -> available versions, the candidate first, from the output of ``apt-cache policy``.

    The first entry is empty for a package without a candidate: a pin forbids the package, so that only an exact version
    can be installed.
    """
    found: Dict[str, List[str]] = {}
    name = candidate = version = ""
    for line in text.splitlines():
        words = line.replace("***", "   ").split()
        if line and not line[0].isspace() and line.endswith(":"):
            name, version = line[:-1], ""
        elif words[:1] == ["Candidate:"]:
            candidate = "".join(words[1:2])
        elif name and len(words) == 2 and re.match(r"^( \*\*\*|    ) \S", line):
            version = words[0]
        elif version and len(words) > 2 and words[1] != "/var/lib/dpkg/status":
            known = found.setdefault(name, [""] if candidate == "(none)" else [])
            if version not in known:
                known.insert(0 if version == candidate else len(known), version)
    return found


def observe(system: System, wanted: Sequence[Wanted]) -> PackagesState:
    """Observe the packages, with at most two commands. Nothing is written.

    Raises :class:`KubesteadError` on a system with neither apt nor dnf.
    """
    found_manager = manager(system)
    present = installed(system, found_manager, [package.name for package in wanted])
    if found_manager == "dnf":
        return PackagesState("dnf", present)
    empty = lists_empty(system)
    missing = [package.name for package in wanted if not fulfilled(present, package)]
    offers: Dict[str, List[str]] = {}
    if missing and not empty:
        offers = policy(system, missing)
    return PackagesState("apt", present, empty, interrupted(system), offers, bool(missing) and not empty)


def fulfilled(present: Mapping[str, Package], wanted: Wanted) -> bool:
    """True if the package is completely installed, in a version that fits."""
    package = present.get(wanted.name)
    return package is not None and package.complete and fits(package.version, wanted.version)


# -- versions


def version_key(version: str) -> Tuple[Any, ...]:
    """A key that sorts package versions as dpkg does (epoch, then digits as numbers, ``~`` before the end)."""
    epoch, mark, rest = version.partition(":")
    if not mark or not re.fullmatch("[0-9]+", epoch):
        epoch, rest = "0", version
    upstream, mark, revision = rest.rpartition("-")
    if not mark:
        upstream, revision = rest, "0"
    return (_number_key(epoch), _part_key(upstream), _part_key(revision))


def _part_key(text: str) -> Tuple[Any, ...]:
    key: List[Any] = []
    for letters, digits in re.findall(r"([^0-9]*)([0-9]*)", text):
        key.append(tuple(_letter_weight(letter) for letter in letters) + (0,))
        key.append(_number_key(digits))
    return tuple(key)


def _number_key(digits: str) -> Tuple[int, str]:
    """A key that sorts digits by their numeric value. Python does not convert thousands of digits."""
    plain = digits.lstrip("0")
    return len(plain), plain


def _letter_weight(letter: str) -> int:
    if letter == "~":
        return -1
    return ord(letter) if letter.isalpha() else ord(letter) + 256


def fits(version: str, wanted: str) -> bool:
    """True if the installed ``version`` is ``wanted`` (empty: any; epoch and revision may be left out)."""
    if not wanted:
        return True
    without_epoch = version.partition(":")[2] if re.match(r"^\d+:", version) else version
    forms = [version, without_epoch, without_epoch.rpartition("-")[0]]
    return any(fnmatch.fnmatchcase(form, wanted) for form in forms if form)


# -- Planning


def plan(
    state: PackagesState, wanted: Sequence[Wanted], hold: Optional[bool] = None, component: str = COMPONENT
) -> List[Step]:
    """The steps that install all of ``wanted`` and set or remove their holds (None leaves holds unchanged).

    Raises :class:`KubesteadError` for a package that the host's lists do not have.
    """
    missing = [package for package in wanted if not fulfilled(state.installed, package)]
    steps = []
    if missing:
        absent = [
            _package_spec(state.manager, item) for item in missing if state.offers_known and not _offer(state, item)
        ]
        if absent:
            raise KubesteadError(
                "package {0} is not in any repository of the host; check the name and version, or add the repository "
                "that has it".format(", ".join(absent))
            )
        if state.interrupted:
            steps.append(finish_step(component))
        if state.lists_empty:
            steps.append(update_step(component))
        targets = {item.name: _offer(state, item) or item.version for item in missing}
        pins = {item.name: targets[item.name] for item in missing if item.version}
        steps.append(install_step(component, state.manager, state.installed, targets, pins))
    names = [package.name for package in wanted]
    steps.extend(hold_steps(component, state.manager, state.installed, names, hold))
    return steps


def _offer(state: PackagesState, package: Wanted) -> str:
    """The version that would be installed: the first that fits, or that of an incompletely installed package."""
    offers = state.offers.get(package.name, [])
    present = state.installed.get(package.name)
    if present is not None and fits(present.version, package.version):
        return present.version
    return next((version for version in offers if fits(version, package.version)), "")


def _package_spec(found_manager: str, package: Wanted) -> str:
    return _spec(found_manager, package.name, package.version)


def finish_step(component: str) -> Step:
    """Let dpkg finish an interrupted installation."""
    return Step(component, "finish", "dpkg", "an earlier package transaction was interrupted")


def update_step(component: str, reason: str = "apt lists are empty", source: str = "") -> Step:
    """Fetch apt's lists: all, or those of one ``source`` file alone."""
    return Step(component, "update_index", source or "apt lists", reason, data={"source": source})


def install_step(
    component: str,
    found_manager: str,
    present: Mapping[str, Package],
    targets: Mapping[str, str],
    pinned: Optional[Mapping[str, str]] = None,
    options: Sequence[str] = (),
    source: str = "",
) -> Step:
    """One transaction for all of ``targets`` (name -> version, empty when not known).

    ``pinned`` (name -> version) are asked for by version; without it all targets that have one are. ``options`` go to
    the package manager; ``source`` is named if a version is not available.
    """
    pins = {name: version for name, version in targets.items() if version} if pinned is None else pinned
    differences: Dict[str, List[str]] = {}
    before = []
    for name, version in targets.items():
        differences.setdefault(_difference(present.get(name), version), []).append(name)
        if name in present:
            before.append("{0} {1}\n".format(name, present[name].version))
    reasons = ["{0} {1}".format(" ".join(names), difference) for difference, names in differences.items()]
    return Step(
        component,
        "install",
        " ".join(targets),
        next(iter(differences)) if len(differences) == 1 else ", ".join(reasons),
        before="".join(before),
        after="".join("{0} {1}\n".format(name, version or "(newest)") for name, version in targets.items()),
        data={
            "manager": found_manager,
            "specs": [_spec(found_manager, name, pins.get(name, "")) for name in targets],
            "held": [name for name in targets if name in present and present[name].held],
            "options": list(options),
            "source": source,
        },
    )


def _difference(present: Optional[Package], version: str) -> str:
    if present is None:
        return "not installed -> {0}".format(version) if version else "not installed"
    if not present.complete:
        return "partially installed"
    return "{0} -> {1}".format(present.version, version)


def _spec(found_manager: str, name: str, version: str) -> str:
    if not version:
        return name
    return "{0}={1}".format(name, version) if found_manager == "apt" else "{0}-{1}".format(name, version)


def hold_steps(
    component: str, found_manager: str, present: Mapping[str, Package], names: Sequence[str], hold: Optional[bool]
) -> List[Step]:
    """Hold or release the packages ``names``, as far as necessary (None: leave holds unchanged)."""
    if hold is None:
        return []
    held = [name for name in names if name in present and present[name].held]
    others = [name for name in names if name not in held]
    if hold and others:
        return [_hold_step(component, "hold", found_manager, others, "not held")]
    if not hold and held:
        return [_hold_step(component, "release", found_manager, held, "held")]
    return []


def _hold_step(component: str, action: str, found_manager: str, names: Sequence[str], reason: str) -> Step:
    return Step(component, action, " ".join(names), reason, data={"manager": found_manager, "names": list(names)})
