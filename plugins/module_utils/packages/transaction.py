# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs apt and dnf: waits for locks, finishes interrupted transactions, and reports why a transaction failed."""

from __future__ import annotations

import re
from typing import Callable, Optional, Sequence

from ..core.errors import CommandError, KubesteadError
from ..core.poll import poll
from ..core.redact import redact
from ..core.step import Step
from ..core.system import Result, System
from .manager import dnf_program, lists_empty

# Seconds to wait for the lock of another package manager (unattended upgrades after a boot take minutes).
LOCK_WAIT = 600
_UPDATE_TIMEOUT = 900.0
_INSTALL_TIMEOUT = 3600.0

_APT_ENV = {
    "DEBIAN_FRONTEND": "noninteractive",
    "APT_LISTCHANGES_FRONTEND": "none",
    # needrestart would ask, or restart services in the middle of a run.
    "NEEDRESTART_SUSPEND": "1",
}
_APT_GET = (
    "apt-get",
    "-q",
    "-y",
    "-o",
    "DPkg::Lock::Timeout={0}".format(LOCK_WAIT),
    "-o",
    "Dpkg::Use-Pty=0",
)


# -- Application


def apply(step: Step, system: System) -> None:
    """Apply one step. Raises :class:`CommandError` with the package manager's own cause in one line."""
    data = step.data
    if step.action == "finish":
        finish_interrupted(system)
    elif step.action == "update_index":
        update_index(system, str(data.get("source", "")))
    elif step.action == "install":
        install(system, data["manager"], data["specs"], data["held"], data["options"], data["source"])
    elif step.action in ("hold", "release"):
        set_hold(system, data["manager"], data["names"], step.action == "hold")
    else:
        raise KubesteadError("the package manager can't {0}; this is a bug in the collection".format(step.action))


def finish_interrupted(system: System) -> None:
    """Let dpkg finish an interrupted installation."""
    argv = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"]
    result = _patiently(lambda: system.run(argv, timeout=_INSTALL_TIMEOUT, env=_APT_ENV))
    if not result.ok:
        raise failure("dpkg --configure -a", result)


def update_index(system: System, source: str = "") -> None:
    """Fetch apt's lists; with ``source`` those of that sources file alone, and any trouble with it is an error.

    A full update continues if another repository of the host is broken: the installation fails if it needs that one.
    """
    argv = [*_APT_GET]
    if source:
        argv += ["-o", "Dir::Etc::SourceList=" + source, "-o", "Dir::Etc::SourceParts=/dev/null"]
        argv += ["-o", "APT::Get::List-Cleanup=0", "-o", "APT::Update::Error-Mode=any"]
    argv.append("update")
    result = _patiently(lambda: system.run(argv, timeout=_UPDATE_TIMEOUT, env=_APT_ENV))
    if not result.ok and (source or lists_empty(system)):
        raise failure("apt-get update", result)


def install(
    system: System,
    found_manager: str,
    specs: Sequence[str],
    held: Sequence[str] = (),
    options: Sequence[str] = (),
    source: str = "",
) -> None:
    """Install ``specs`` in one transaction, to an older version too; packages ``held`` before are held again.

    Outdated lists (a file is missing on the mirror, a dependency is unknown) are fetched again, once.
    """
    if found_manager == "dnf":
        argv = [dnf_program(system), "-q", "-y", "--setopt=install_weak_deps=False", *options, "install", *specs]
        result = _patiently(lambda: system.run(argv, timeout=_INSTALL_TIMEOUT))
        if not result.ok:
            raise failure("dnf install", result, source)
        return
    argv = [*_APT_GET, "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
    argv += ["--no-install-recommends", "--allow-downgrades", "--allow-change-held-packages"]
    argv += [*options, "install", *specs]

    def transaction() -> Result:
        return system.run(argv, timeout=_INSTALL_TIMEOUT, env=_APT_ENV)

    result = _patiently(transaction)
    if not result.ok and _lists_are_old(result):
        update_index(system)
        result = _patiently(transaction)
    if not result.ok:
        raise failure("apt-get install", result, source)
    if held:
        set_hold(system, "apt", held, True)


def remove(system: System, found_manager: str, names: Sequence[str]) -> None:
    """Remove packages with their configuration, including held ones, and packages that depend on them; nothing else."""
    if found_manager == "dnf":
        keep = "--setopt=clean_requirements_on_remove=False"
        argv = [dnf_program(system), "-q", "-y", "--disableexcludes=all", keep, "remove", *names]
        result = system.run(argv, timeout=_INSTALL_TIMEOUT)
    else:
        argv = [*_APT_GET, "--allow-change-held-packages", "purge", *names]
        result = _patiently(lambda: system.run(argv, timeout=_INSTALL_TIMEOUT, env=_APT_ENV))
    if not result.ok:
        raise failure("{0} {1}".format(argv[0], "remove" if found_manager == "dnf" else "purge"), result)


def set_hold(system: System, found_manager: str, names: Sequence[str], hold: bool) -> None:
    """Hold packages at their version, or release them. dnf needs its versionlock plugin for it."""
    if found_manager == "apt":
        argv = ["apt-mark", "-q", "hold" if hold else "unhold", *names]
        result = _patiently(lambda: system.run(argv, timeout=_UPDATE_TIMEOUT))
    else:
        argv = [dnf_program(system), "-q", "-y", "versionlock", "add" if hold else "delete", *names]
        result = system.run(argv, timeout=_UPDATE_TIMEOUT)
        if not result.ok and "versionlock" in result.stderr:
            raise CommandError(
                "packages can't be held: dnf lacks the versionlock command; install python3-dnf-plugin-versionlock"
            )
    if not result.ok:
        raise failure(" ".join(argv[:3]), result)


_LOCKED = re.compile(
    r"(?i)could not get lock|unable to (?:acquire|lock)|is another process using it|locked by another"
    # dnf waits for locks itself unless exit_on_lock is set. rpm does not wait.
    r"|failed to obtain .{0,20}lock|existing lock \S+: another copy|can't create transaction lock"
)
_OLD_LISTS = re.compile(
    r"404 +Not Found|Unable to fetch some archives|Unable to locate package|no installation candidate"
    r"|unmet dependencies|Unable to satisfy dependencies|is not installable|not going to be installed|Hash Sum mismatch"
)


def _lists_are_old(result: Result) -> bool:
    return bool(_OLD_LISTS.search(result.stdout + result.stderr))


def _patiently(command: Callable[[], Result]) -> Result:
    """Run a command again while another package manager has the lock: apt itself waits for some of its locks only."""
    return poll(command, LOCK_WAIT, lambda result: result.ok or not _LOCKED.search(result.stderr), pause=2.0)


def failure(what: str, result: Result, source: str = "") -> CommandError:
    """The exception for a command of the package manager that failed, with its cause."""
    text = redact(cause(result, source))
    details = {"rc": result.rc, "stderr": redact(result.stderr)[-4000:]}
    return CommandError("{0} failed: {1}".format(what, text), details)


def cause(result: Result, source: str = "") -> str:
    """Why apt, dpkg or dnf failed, in one line: the first cause it names, not the last consequence."""
    if result.rc in (124, 127):
        return result.last_line
    if result.rc < 0:
        return "it was killed by signal {0}; the next run finishes the transaction".format(-result.rc)
    lines = [line.strip() for line in (result.stdout + "\n" + result.stderr).splitlines() if line.strip()]
    # apt 3 spells out "Error: " on terminals.
    text = re.sub(r"(?m)^Error: (?=Version '|Package '|Unable to locate)", "E: ", "\n".join(lines))
    match = re.search(r"E: Version '([^']+)' for '([^']+)' was not found", text)
    if match:
        return _not_in_repository("{0}={1}".format(match.group(2), match.group(1)), source)
    # In a later line, dnf also reports the package as missing.
    match = re.search(r"filtered out by (exclude|modular) filtering for argument: (\S+)", text)
    if match:
        return "{0} {1}".format(match.group(2), _FILTERED[match.group(1)])
    match = re.search(r"Argument '([^']+)' matches only excluded packages", text)
    if match:
        return "{0} {1}".format(match.group(1), _FILTERED["exclude"])
    match = re.search(r"package (\S+) (?:from \S+ )?is filtered out by (exclude|modular) filtering", text)
    if match:
        return "{0} {1}".format(match.group(1), _FILTERED[match.group(2)])
    match = re.search(r"E: Package '([^']+)' has no installation candidate", text)
    if match:
        return "package {0} has no candidate; a pin forbids it (apt-cache policy {0}), or no repository has it".format(
            match.group(1)
        )
    match = re.search(r"(?:No match for argument|Unable to find a match): (\S+)", text)
    if match:
        return _not_in_repository(match.group(1), source)
    match = re.search(r"E: Unable to locate package (\S+)", text)
    if match:
        return "package {0} is not in any repository of the host".format(match.group(1))
    if "No space left on device" in text or "don't have enough free space" in text:
        return "the disk is full ({0})".format(_first(lines, ("No space left", "free space")) or "")
    for index, line in enumerate(lines):
        if line.startswith("dpkg: error processing") and index + 1 < len(lines):
            return "{0} {1}".format(line, lines[index + 1])
    unmet = [line for line in lines if re.match(r"\S+ : (Pre)?(Depends|Breaks|Conflicts)", line)]
    if unmet:
        return "; ".join(unmet[:3])
    for index, line in enumerate(lines):
        # apt's solver 3.0 numbers the conflicting decisions in the lines after this one.
        if "Unable to satisfy dependencies" in line:
            return " ".join([re.sub("^(E|Error): ", "", line), *lines[index + 1 : index + 6]])
    found = _first(lines, ("GPG error", "E: ", "Error: ", "error: ", "Problem"))
    return found or result.last_line or "it exited with code {0} and printed nothing".format(result.rc)


_FILTERED = {
    "exclude": "is excluded by dnf's configuration (exclude, excludepkgs) or by a version lock (dnf versionlock list); "
    "remove it there",
    "modular": "is hidden by a module (dnf module list); reset or disable the module",
}


def _not_in_repository(spec: str, source: str) -> str:
    return "{0} is {1}".format(spec, "not in the repository " + source if source else "not in any of the repositories")


def _first(lines: Sequence[str], marks: Sequence[str]) -> Optional[str]:
    for mark in marks:
        for line in lines:
            if mark in line:
                return line[3:] if line.startswith(("E: ", "W: ")) else line
    return None
