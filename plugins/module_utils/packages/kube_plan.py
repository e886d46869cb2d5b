# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the changes that install and hold the Kubernetes packages at the requested version."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Dict, List, Optional, Sequence, Tuple

from ..core import versions
from ..core.errors import KubesteadError, OptionError
from ..core.foreign_files import backup_path, keep, rewrite
from ..core.problem import Problem
from ..core.redact import redact
from ..core.step import Step
from ..core.system import System
from ..host.os_release import SUPPORTED_FIX
from . import transaction
from .kube_state import (
    COMPONENT,
    FINGERPRINT_OPTION,
    VERSION_OPTION,
    KubePackagesOptions,
    KubePackagesState,
    deviating_member,
    lacking,
)
from .manager import finish_step, hold_steps, install_step, update_step
from .openpgp import public_keys
from .signing_key import day, describe_key, key_state
from .sources import (
    APT_KEY,
    APT_SOURCE,
    CRI_TOOLS,
    DNF_KEY,
    DNF_OPTIONS,
    DNF_SOURCE,
    KUBE,
    NAMES,
    URL_OPTION,
    key_path,
    render_source,
    repository_url,
    same_base,
    source_difference,
    source_path,
    strip,
)


def targets(state: KubePackagesState, request: versions.Request) -> Dict[str, str]:
    """Package -> version of the packages that must be installed. A package that already fits keeps its version.

    A version is empty if the repository does not have it (see ``problems``).
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


def planned_packages(state: KubePackagesState, options: KubePackagesOptions) -> Dict[str, str]:
    """Package -> version of the packages that a run installs; empty if :func:`problems` has errors."""
    if any(problem.level == "error" for problem in problems(state, options)):
        return {}
    return targets(state, options.request)


def _target_version(state: KubePackagesState, request: versions.Request) -> Optional[versions.Version]:
    """The version of an installed package if it fits, so that all packages are the same; otherwise the newest one."""
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
    """The problems of the plan, from the state alone: errors, and warnings about the signing key."""
    try:
        options.validate()
        request = options.request
    except OptionError as err:
        return [Problem("kube_packages.options", "{0} {1}".format(err.option, err.problem), err.fix)]
    if not state.manager:
        return [
            Problem(
                "kube_packages.system",
                "{0} is not supported".format(state.os_name or "the host"),
                SUPPORTED_FIX,
            )
        ]
    deviating = deviating_member(state, request)
    if deviating:
        name, _space, version = deviating.partition(" ")
        return [
            Problem(
                "kube_packages.member",
                "the node runs {0} {1} and is a member of a cluster, but {2} is {3}".format(
                    name, version, VERSION_OPTION, options.version
                ),
                "run upgrade.yml to upgrade the cluster, or set {0} to {1}".format(VERSION_OPTION, version),
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
    hidden = [name for name in targets(state, request) if name in state.excluded]
    if hidden:
        return [
            Problem(
                check,
                "dnf excludes {0}: see exclude and excludepkgs in /etc/dnf/dnf.conf".format(", ".join(hidden)),
                "remove the exclusion from this file; the collection holds the packages in the repository's own file",
            )
        ]
    answer = state.repository
    if answer is None:
        return [Problem(check, "the repository was not read", "observe the host again with this version")]
    answer = replace(answer, url=redact(answer.url), error=redact(answer.error))
    if not answer.reachable and answer.status in (403, 404, 410):
        message = "{0} {1}: repository {2} does not exist ({3})".format(
            VERSION_OPTION, options.version, answer.url, answer.status
        )
        if answer.minors:
            return [Problem(check, message, "use one of {0}".format(", ".join(answer.minors[-6:])))]
        return [Problem(check, message, "use another minor version, or correct {0}".format(URL_OPTION))]
    if not answer.reachable:
        fix = "check the network, proxies and {0}".format(URL_OPTION)
        if "not trusted" in answer.error:
            fix = "install ca-certificates or the CA of the mirror on the host, or correct {0}".format(URL_OPTION)
        return [Problem(check, "repository {0} can't be read: {1}".format(answer.url, answer.error), fix)]
    absent = [name for name in targets(state, request) if not answer.offers.get(name)]
    if absent:
        return [
            Problem(
                check,
                "repository {0} does not have {1} for {2}".format(answer.url, ", ".join(absent), state.architecture),
                "use a host with another architecture, or a repository that has them ({0})".format(URL_OPTION),
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
                "use one of {0}, or {1} for the newest".format(", ".join(there[-6:]), request.series)
                if there
                else "use another version",
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
    offered = [key.fingerprint for key in public_keys(state.offered_key)]
    if options.pin and set(offered) - {options.pin}:
        return [
            Problem(
                check,
                "the repository's signing key is {0}, not {1}".format(min(set(offered) - {options.pin}), options.pin),
                "check the network and {0}, or set the correct fingerprint in {1}".format(
                    URL_OPTION, FINGERPRINT_OPTION
                ),
            )
        ]
    if state.key is None or not state.key.fingerprints:
        if not state.offered_key:
            why = state.key_error or "it was not fetched"
            return [Problem(check, "the repository's signing key could not be fetched: {0}".format(why), _KEY_FIX)]
        if state.offered_key_ends == "over":
            return [Problem(check, "the repository's signing key has expired", _KEY_FIX)]
        return []
    if not state.offered_key and options.pin and set(state.key.fingerprints) - {options.pin}:
        return [
            Problem(
                check,
                "{0} holds the key {1}, not {2}".format(
                    path, min(set(state.key.fingerprints) - {options.pin}), options.pin
                ),
                "remove that file, or correct {0}".format(FINGERPRINT_OPTION),
            )
        ]
    if state.offered_key and not options.pin and same_base(state.source, options.url.rstrip("/")):
        # An additional key would be trusted as well.
        others = [key for key in offered if key not in state.key.fingerprints]
        if others:
            return [
                Problem(
                    check,
                    "the repository's signing key changed from {0} to {1}".format(state.key.fingerprints[0], others[0]),
                    "if the change was announced, remove {0} or set the new key in kube_packages_key".format(path),
                )
            ]
    proven = bool(state.offered_key) and key_state(state.offered_key, 0).verified
    if state.key.ends and (not state.offered_key or state.offered_key_ends or not proven):
        day = time.strftime("%Y-%m-%d", time.gmtime(state.key.expires))
        over = state.key.ends == "over"
        installing = over and bool(state.repository)
        return [
            Problem(
                check,
                "the repository's signing key in {0} {1} on {2}; {3}".format(
                    path,
                    "expired" if over else "expires",
                    day,
                    _no_newer_one(state),
                ),
                _KEY_FIX,
                "error" if installing else "warning",
            )
        ]
    return []


def _no_newer_one(state: KubePackagesState) -> str:
    """Why the repository's key does not replace a key that expires."""
    if not state.offered_key:
        return state.key_error or "no newer key was offered"
    if state.offered_key_ends:
        return "the repository does not have a newer key"
    return "the later expiration date in the repository can't be verified"


_KEY_FIX = "set the key in kube_packages_key, or correct {0}".format(URL_OPTION)


def plan(
    state: KubePackagesState,
    options: KubePackagesOptions,
    extra_packages: Sequence[str] = (),
    first: Sequence[str] = (),
) -> List[Step]:
    """The steps for the host. Raises :class:`KubesteadError` with the first error of :func:`problems`.

    ``extra_packages`` are other components' packages, installed in the same transaction. Without Kubernetes packages to
    install, they are not installed either. Packages in ``first`` are installed in a separate transaction before the
    others.
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
        steps.append(finish_step(COMPONENT))
    steps += _key_steps(state, options)
    steps += clash_steps(state, options.url.rstrip("/"), url)
    text = render_source(manager, url, options.hold)
    if state.source != text:
        reason = "missing" if state.source is None else source_difference(state.source, text)
        steps.append(_write(source_path(manager), reason, state.source or "", text))
    if chosen:
        if manager == "apt" and state.lists_empty:
            steps.append(update_step(COMPONENT))
        elif manager == "apt":
            steps.append(update_step(COMPONENT, "packages will be installed", APT_SOURCE))
        extra = DNF_OPTIONS if manager == "dnf" else ()
        all_of_them = {**chosen, **dict.fromkeys(extra_packages, "")}
        early = {name: version for name, version in all_of_them.items() if name in first}
        late = {name: version for name, version in all_of_them.items() if name not in first}
        for group in filter(None, (early, late)):
            install = install_step(COMPONENT, manager, state.installed, group, options=extra, source=url)
            # The package restarts a running kubelet.
            steps.append(replace(install, disruptive="kubelet" in group and "kubelet" in state.installed))
    if manager == "apt":
        names = list(dict.fromkeys([*state.needed, *chosen] if options.hold else [*NAMES, CRI_TOOLS]))
        steps += hold_steps(COMPONENT, manager, state.installed, names, options.hold)
    if not state.enabled:
        steps.append(Step(COMPONENT, "enable", "kubelet.service", "not enabled"))
    return steps


def clash_steps(state: KubePackagesState, base: str, url: str) -> List[Step]:
    """The steps that remove other definitions of the repository at ``url`` from files of the user or other tools."""
    steps = []
    for clash in state.clashes:
        action = "remove" if clash.after is None else "write"
        step = _write(clash.path, clash.reason, clash.before, clash.after or "", action)
        data = {**step.data, "base": base, "url": url}
        steps.append(replace(step, data=data, backup=backup_path(clash.path)))
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
        reason = "missing"
    elif not options.key and set(new.fingerprints) <= set(old.fingerprints):
        # A later expiration date counts only if the key itself has signed it.
        if not old.ends or not new.verified or (new.expires and new.expires <= old.expires):
            return []
        reason = "{0} {1}".format("expired" if old.ends == "over" else "expires", day(old.expires))
    elif not old.fingerprints:
        reason = "contains no key"
    else:
        reason = "different key"
    step = _write(path, reason, describe_key(old) if old else "", describe_key(new))
    return [Step(step.component, step.action, path, reason, step.before, step.after, {"text": text, "mode": 0o644})]


def _write(path: str, reason: str, before: str, text: str, action: str = "write") -> Step:
    # Addresses of repositories may hold a password.
    data = {"text": text, "mode": 0o644}
    return Step(COMPONENT, action, path, reason, redact(before), redact(text), data)


# -- Application


def _stripped(step: Step, before: str) -> str:
    """A file of sources without other definitions of the repository. Every other byte is preserved."""
    if "base" not in step.data:
        return str(step.data["text"])
    return strip(step.target, before, str(step.data["base"]), str(step.data["url"]))[0] or ""


def apply(step: Step, system: System) -> None:
    """Apply one step. Raises :class:`KubesteadError` with one line."""
    if step.action in ("write", "remove"):
        try:
            if step.backup:
                keep(system, step.target)
            if step.action == "remove":
                system.remove(step.target)
            elif step.target in (APT_SOURCE, DNF_SOURCE, APT_KEY, DNF_KEY) or not system.exists(step.target):
                # The collection's own files are readable by all users.
                system.write(step.target, step.data["text"], step.data["mode"])
            else:
                # A file not created by this collection keeps its mode: it may contain passwords.
                rewrite(system, step.target, lambda before: _stripped(step, before), backup=False)
        except OSError as err:
            raise KubesteadError("can't {0} {1}: {2}".format(step.action, step.target, err.strerror)) from err
    elif step.action == "enable":
        # This is for the next boot. kubeadm reloads the units before it starts the kubelet.
        system.run(["systemctl", "enable", "--quiet", "--no-reload", step.target], check=True)
    else:
        transaction.apply(step, system)
