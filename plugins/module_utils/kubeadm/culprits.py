# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which program on a machine keeps a control plane or a kubelet from coming up, in its own last words.

kubeadm tells of what it waits for, which mostly is the API server. What fails is often another: etcd that exits, a
kubelet that does not start, a runtime that can't make a container. The kubelet's journal names the containers it can't
run, and the files below /var/log/pods have what they said. No command of a container runtime is needed.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from typing import Dict, List, Sequence, Tuple

from ..core.constants import COMPONENTS, KUBELET_CONFIG
from ..core.redact import redact
from ..core.system import System
from ..core.untrusted import line

_LOGS = "/var/log/pods"
# A kubelet without an API server writes several lines a second; those that tell come once in a while.
_JOURNAL = 3000
# Bytes at the end of a log that are looked at.
_TAIL = 256 * 1024
_CRASH = "exits repeatedly"
# The reason of a kubelet's "Error syncing pod" -> what happened, in the order in which one tells more than another.
_REASONS = (
    ("CreatePodSandboxError", "can't get a sandbox"),
    ("RunContainerError", "can't be started"),
    ("CreateContainerError", "can't be created"),
    ("CreateContainerConfigError", "can't be created"),
    ("ErrImagePull", "has an image that can't be pulled"),
    ("ImagePullBackOff", "has an image that can't be pulled"),
    ("CrashLoopBackOff", _CRASH),
)
# Lines that say nothing by themselves: the help that follows a wrong flag, and goroutines after a panic.
_NOISE = re.compile(r"^(Usage|Flags|Usage of .*|Global flags|goroutine \d+|\s+-|\s{2,}\S+|\t|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Culprit:
    """A component (``etcd``, ``kubelet``, ``containerd`` …), what is wrong with it, and its own last lines."""

    name: str
    state: str = ""
    lines: List[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The culprit as part of a message: ``etcd says: …``, ``etcd can't be started: …``."""
        said = " | ".join(shorter(one) for one in self.lines[-2:])
        if not said:
            return "{0} {1} and wrote nothing".format(self.name, self.state or "failed")
        if self.state in ("", _CRASH):
            return "{0} says: {1}".format(self.name, said)
        return "{0} {1}: {2}".format(self.name, self.state, said)


class Journals:
    """The journals of units since ``since`` (seconds since 1970), each read once, without secrets."""

    def __init__(self, system: System, since: float) -> None:
        self.system = system
        self.since = since
        self._known: Dict[str, List[str]] = {}

    def lines(self, unit: str) -> List[str]:
        """The last lines of a unit; none where there is no journal."""
        if unit not in self._known:
            since = "@{0:.0f}".format(self.since)
            argv = ["journalctl", "-u", unit, "--since", since, "-n", str(_JOURNAL), "--no-pager", "-o", "cat"]
            result = self.system.run(argv, timeout=20.0)
            self._known[unit] = redact(result.stdout).splitlines() if result.ok else []
        return self._known[unit]


def shorter(text: str, width: int = 300) -> str:
    """A line short enough for a message: of a long one the beginning and the end, where the cause is."""
    clean = line(text)
    if len(clean) <= width:
        return clean
    return "{0} … {1}".format(clean[: width // 3], clean[-(width - width // 3 - 3) :])


def find(system: System, journals: Journals) -> List[Culprit]:
    """The programs that failed, the one that others depend on first."""
    found = []
    for unit in ("containerd", "kubelet"):
        state = _unit_state(system, unit)
        if state and (unit == "containerd" or system.exists(KUBELET_CONFIG)):
            found.append(Culprit(unit, state, last_words(journals.lines(unit))))
    if any(one.name == "containerd" for one in found):
        # Whatever else fails follows from it.
        return found[:1]
    failing = failing_containers(journals.lines("kubelet"))
    for name in sorted(set(failing) | set(_crashed(system, journals.since)), key=_rank):
        state, reason = failing.get(name, (_CRASH, ""))
        lines = last_words(container_lines(system, name)) if state == _CRASH else [reason]
        found.append(Culprit(name, state, lines))
    return _together(found)


def _together(found: Sequence[Culprit]) -> List[Culprit]:
    """The same, with those that fail for the same reason as one."""
    names: Dict[Tuple[str, ...], List[str]] = {}
    for one in found:
        # Ids of pods and containers are all that differs where the runtime itself is the cause.
        same = [re.sub(r"[0-9a-f]{32,}|<hidden>", "", text) for text in one.lines] or [one.name]
        names.setdefault((one.state, *same), []).append(one.name)
    merged = []
    for key, several in names.items():
        lines = next(one.lines for one in found if one.name == several[0])
        merged.append(Culprit(" and ".join([", ".join(several[:-1]), several[-1]][len(several) < 2 :]), key[0], lines))
    return merged


def _rank(name: str) -> Tuple[int, str]:
    return (COMPONENTS.index(name) if name in COMPONENTS else len(COMPONENTS)), name


def _unit_state(system: System, unit: str) -> str:
    """What is wrong with a unit; empty for one that runs."""
    shown = system.run(["systemctl", "show", unit, "--property=ActiveState,SubState,NRestarts,Result"], timeout=10.0)
    values = dict(one.split("=", 1) for one in shown.stdout.splitlines() if "=" in one)
    active, sub = values.get("ActiveState", ""), values.get("SubState", "")
    if sub == "auto-restart":
        return "fails to start and is restarted repeatedly"
    if active in ("inactive", "failed"):
        return "is not running ({0})".format(active)
    return ""


def failing_containers(journal: Sequence[str]) -> Dict[str, Tuple[str, str]]:
    """Static pods of a control plane that the kubelet can't run: component -> what happened, and the runtime's words.

    The last thing that happened to a component counts, but a reason that tells nothing (a wait before the next try)
    does not replace one that does.
    """
    found: Dict[str, Tuple[str, str]] = {}
    for text in journal:
        if "Error syncing pod" not in text:
            continue
        # Quotes within quotes: the error is a quoted text in the line, and has quoted texts itself.
        plain = text.replace('\\\\\\"', '"').replace('\\\\"', '"').replace('\\"', '"')
        match = re.search(r'failed to "(?:StartContainer|CreatePodSandbox)" for "([^"]+)" with (\w+): "(.*)', plain)
        if match is None:
            continue
        name, kind, reason = match.groups()
        name = next((one for one in COMPONENTS if name == one or name.startswith(one + "-")), "")
        state = dict(_REASONS).get(kind, "")
        if not name or not state:
            continue
        # Behind it is the end of two quotes and which pod it is; before 1.23 the end of one quote.
        reason, whole = re.subn(r'"" pod="[^"]*" podUID=.*\Z', "", reason)
        reason = reason if whole else re.sub(r'"\Z', "", reason)
        # What every such line says.
        reason = re.sub(
            r'\A(failed to create sandbox for pod "[^"]*": )?(rpc error: code = \w+ desc = )?', "", reason, flags=re.I
        )
        waits = kind in ("CrashLoopBackOff", "ImagePullBackOff")
        if waits and name in found and found[name][0] != _CRASH and kind == "CrashLoopBackOff":
            # It could not be started, which is why it is waited for.
            continue
        if kind == "ImagePullBackOff" and name in found:
            continue
        found[name] = (state, reason)
    return found


def _crashed(system: System, since: float) -> List[str]:
    """Components whose container was made again since ``since``: their logs have numbers."""
    found = []
    for component in COMPONENTS:
        # Those of an earlier cluster may lie there still; clocks of files are a little behind.
        paths = [path for path in _log_files(system, component) if _modified(system, path) >= since - 5]
        names = [os.path.basename(path) for path in paths]
        if any(re.match(r"[1-9]\d*\.log\Z", name) for name in names):
            found.append(component)
    return found


def _log_files(system: System, component: str) -> List[str]:
    """The log files of a component's containers, the newest last."""
    files = [
        "{0}/{1}/{2}/{3}".format(_LOGS, pod, component, name)
        for pod in system.names(_LOGS)
        if pod.startswith("kube-system_{0}-".format(component))
        for name in system.names("{0}/{1}/{2}".format(_LOGS, pod, component))
    ]
    return sorted(files, key=lambda path: _modified(system, path))


def _modified(system: System, path: str) -> float:
    try:
        return os.path.getmtime(system.path(path))
    except OSError:
        # The kubelet has removed it meanwhile.
        return 0.0


def container_lines(system: System, component: str) -> List[str]:
    """The log of the newest container of a component that wrote one, without secrets; at most its last 2000 lines."""
    for path in reversed(_log_files(system, component)):
        text = "\n".join((system.read(path) or "")[-_TAIL:].splitlines()[-2000:])
        lines = [one.split(" ", 3)[3] for one in redact(text).splitlines() if one.count(" ") > 2]
        if any(one.strip() for one in lines):
            return lines
    return []


def last_words(lines: Sequence[str], count: int = 3) -> List[str]:
    """The last lines that tell of an error, the oldest first; the very last ones where none does."""
    errors: Dict[str, None] = {}
    for one in lines:
        text = error_text(one)
        if text:
            errors.pop(text, None)
            errors[text] = None
    if errors:
        return list(errors)[-count:]
    plain = [one.strip() for one in lines if not _NOISE.match(one)]
    return plain[-count:]


def error_text(text: str) -> str:
    """What a line of a log says of an error; else ''. Known are klog, logfmt, etcd's JSON, and plain text."""
    klog = re.match(r"^([EF])\d{4} [\d:.]+\s+\d+ ([^\]]+\] .*)\Z", text)
    if klog:
        return klog.group(2)
    # The API server waits for etcd with warnings, and ends with "context deadline exceeded".
    peer = re.search(r'createTransport failed to connect to \{Addr: "([^"]*)".*\}\. Err: (.*)', text)
    if peer:
        why = re.sub(r'^connection error: desc = "(.*)"\Z', r"\1", peer.group(2))
        passing = "broken pipe" in why or "operation was canceled" in why
        return "" if passing else "can't connect to {0}: {1}".format(peer.group(1), why)
    if "level=error" in text or "level=fatal" in text:
        return re.sub(r'^time="[^"]*" ', "", text)
    if text.startswith("{"):
        return _json_error(text)
    # etcd before 3.5: "2026-11-27 23:26:53.370072 C | etcdmain: …".
    old = re.match(r"^\d{4}-\d\d-\d\d [\d:.]+ [CE] \| (.*)\Z", text)
    if old:
        return old.group(1)
    if re.match(r"^(Error|error|panic|Failed|fatal error|flag provided but not defined): ?", text) or re.search(
        r"command failed|invalid value .* for flag|^unknown flag", text
    ):
        return text.strip()
    return ""


def _json_error(text: str) -> str:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(data, dict) or data.get("level") not in ("error", "fatal", "panic", "dpanic"):
        return ""
    parts = [str(data.get(name, "")) for name in ("msg", "error") if data.get(name)]
    return ": ".join(parts)
