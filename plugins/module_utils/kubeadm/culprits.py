# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the programs that prevent a control plane or a kubelet from starting, with the last lines of their logs.

kubeadm reports the component it waited for, which is usually the API server. The cause is often another program: etcd
exits, a kubelet does not start, or a container runtime can't create containers. The kubelet's journal names the
containers that failed, and the files below /var/log/pods contain their logs. No container runtime CLI is needed.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from typing import Dict, List, Sequence, Tuple

from ..core.constants import COMPONENTS, KUBELET_CONFIG
from ..core.redact import redact
from ..core.system import System
from ..core.untrusted import line, number

_LOGS = "/var/log/pods"
# A kubelet without an API server writes several lines per second, and only a few of them show the cause.
_JOURNAL = 3000
# The number of bytes read from the end of a log.
_TAIL = 256 * 1024
_CRASH = "exits repeatedly"
# How often a unit that was restarted is looked at, and the seconds between. A kubelet with a wrong configuration runs
# for a second and is started again after ten.
_LOOKS, _PAUSE = 3, 2.0
# The reason in a kubelet's "Error syncing pod" message -> its description, the most specific first.
_REASONS = (
    ("CreatePodSandboxError", "can't get a sandbox"),
    ("RunContainerError", "can't be started"),
    ("CreateContainerError", "can't be created"),
    ("CreateContainerConfigError", "can't be created"),
    ("ErrImagePull", "has an image that can't be pulled"),
    ("ImagePullBackOff", "has an image that can't be pulled"),
    ("CrashLoopBackOff", _CRASH),
)
# Lines without information about the error: the usage text after a wrong flag, and goroutines after a panic.
_NOISE = re.compile(r"^(Usage|Flags|Usage of .*|Global flags|goroutine \d+|\s+-|\s{2,}\S+|\t|$)", re.IGNORECASE)
# The journal of a unit also contains what systemd logs about it. These lines only say that the unit has started or
# ended. containerd's unit tries to load a module that may be built in.
_UNIT_ERROR = r"^\S+\.(service|scope): Failed (at step|to locate|to run|to load)"
_UNIT_NOISE = re.compile(
    r"^(Starting|Started|Stopping|Stopped|Failed to start|Reloading|Reloaded|Scheduled restart) "
    r"|^modprobe: |^This usually indicates "
    r"|^(?!" + _UNIT_ERROR[1:] + r")\S+\.(service|scope): "
)
# A program that ends logs one of these lines. Other parts of it may log more errors afterwards.
_END = re.compile(r"command failed|Failed to listen and serve|^panic: |^fatal error: |Failed at step|Failed to locate")
_TIME = re.compile(r'^time="[^"]*" ')
# The other end has closed a connection, or this one was given up. Another line has the reason.
_PASSING = ("broken pipe", "operation was canceled", "context canceled", "connection reset by peer")
# A node without a pod network has this error in containerd's log at every start.
_HARMLESS = re.compile(r"no network config found in ")


@dataclass(frozen=True)
class Culprit:
    """A component (``etcd``, ``kubelet``, ``containerd`` …), its failure, and the last lines of its log."""

    name: str
    state: str = ""
    lines: List[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The culprit as part of a message: ``etcd logged: …``, ``etcd can't be started: …``."""
        logged = " | ".join(shorter(one) for one in self.lines[-2:])
        if not logged:
            return "{0} {1} and logged nothing".format(self.name, self.state or "failed")
        if self.state in ("", _CRASH):
            return "{0} logged: {1}".format(self.name, logged)
        return "{0} {1}: {2}".format(self.name, self.state, logged)


class Journals:
    """The journals of units since ``since`` (seconds since 1970), without secrets. Each journal is read once."""

    def __init__(self, system: System, since: float) -> None:
        self.system = system
        self.since = since
        self._known: Dict[str, List[str]] = {}

    def lines(self, unit: str) -> List[str]:
        """The last lines of a unit's journal; empty without a journal."""
        if unit not in self._known:
            self._known[unit] = self._read(unit, ["--since", "@{0:.0f}".format(self.since), "-n", str(_JOURNAL)])
        return self._known[unit]

    def of_stopped(self, unit: str) -> List[str]:
        """The last lines of a unit that does not run. It may have ended before ``since``, but not before the boot."""
        return self.lines(unit) or self._read(unit, ["-b", "-n", "100"])

    def _read(self, unit: str, arguments: Sequence[str]) -> List[str]:
        argv = ["journalctl", "-u", unit, *arguments, "--no-pager", "-o", "cat"]
        result = self.system.run(argv, timeout=20.0)
        return redact(result.stdout).splitlines() if result.ok else []


def shorter(text: str, width: int = 300) -> str:
    """A line short enough for a message. A long line keeps its beginning and its end, which contains the cause."""
    clean = line(text)
    if len(clean) <= width:
        return clean
    return "{0} … {1}".format(clean[: width // 3], clean[-(width - width // 3 - 3) :])


def find(system: System, journals: Journals) -> List[Culprit]:
    """The programs that failed, in the order of their dependencies."""
    found = services(system, journals)
    if any(one.name == "containerd" for one in found):
        # All other failures are consequences of this one.
        return found[:1]
    failing = failing_containers(journals.lines("kubelet"))
    for name in sorted(set(failing) | set(_crashed(system, journals.since)), key=_rank):
        state, reason = failing.get(name, (_CRASH, ""))
        lines = last_words(container_lines(system, name)) if state == _CRASH else [reason]
        found.append(Culprit(name, state, lines))
    return _together(found)


def services(system: System, journals: Journals) -> List[Culprit]:
    """containerd and the kubelet, if they do not run; the kubelet has nothing to run with before kubeadm started it."""
    found = []
    for unit in ("containerd", "kubelet"):
        state = _unit_state(system, unit)
        if state and (unit == "containerd" or system.exists(KUBELET_CONFIG)):
            # What a kubelet logged before this run is about another configuration.
            lines = journals.of_stopped(unit) if unit == "containerd" else journals.lines(unit)
            found.append(Culprit(unit, state, last_words(lines)))
    return found


def _together(found: Sequence[Culprit]) -> List[Culprit]:
    """The same culprits; those that fail for the same reason are merged into one."""
    names: Dict[Tuple[str, ...], List[str]] = {}
    for one in found:
        # If the container runtime is the cause, the lines differ only in the IDs of pods and containers.
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
    """The failure of a unit; empty for a running unit.

    A program that exits is also running for a moment after each start, so a unit that systemd has restarted is looked
    at several times. Its counter alone means nothing: a stop between two starts does not reset it.
    """
    for attempt in range(_LOOKS):
        state, restarts = _look(system, unit)
        if state or restarts < 2:
            return state
        if attempt < _LOOKS - 1:
            time.sleep(_PAUSE)
    return ""


def _look(system: System, unit: str) -> Tuple[str, int]:
    """The failure of a unit at the moment, and the number of its restarts."""
    properties = "--property=LoadState,ActiveState,SubState,NRestarts"
    shown = system.run(["systemctl", "show", unit, properties], timeout=10.0)
    values = dict(one.split("=", 1) for one in shown.stdout.splitlines() if "=" in one)
    restarts, active = number(values.get("NRestarts", "")), values.get("ActiveState", "")
    # systemd 254 has the state auto-restart-queued, too.
    if values.get("SubState", "").startswith("auto-restart"):
        return "fails to start and is restarted repeatedly", restarts
    if active in ("inactive", "failed"):
        masked = values.get("LoadState") == "masked"
        return "is masked" if masked else "is not running ({0})".format(active), restarts
    return "", restarts


def failing_containers(journal: Sequence[str]) -> Dict[str, Tuple[str, str]]:
    """Static pods of a control plane that the kubelet can't run: component -> (state, error of the container runtime).

    The last entry of a component counts, but a back-off entry, which contains no cause, does not replace an error.
    """
    found: Dict[str, Tuple[str, str]] = {}
    for text in journal:
        if "Error syncing pod" not in text:
            continue
        # The error is a quoted string in the line, and contains quoted strings itself.
        plain = text.replace('\\\\\\"', '"').replace('\\\\"', '"').replace('\\"', '"')
        match = re.search(r'failed to "(?:StartContainer|CreatePodSandbox)" for "([^"]+)" with (\w+): "(.*)', plain)
        if match is None:
            continue
        name, kind, reason = match.groups()
        name = next((one for one in COMPONENTS if name == one or name.startswith(one + "-")), "")
        state = dict(_REASONS).get(kind, "")
        if not name or not state:
            continue
        # The reason is followed by two closing quotes and the pod's name; before 1.23, by one closing quote.
        reason, replaced = re.subn(r'"" pod="[^"]*" podUID=.*\Z', "", reason)
        reason = reason if replaced else re.sub(r'"\Z', "", reason)
        # Every such line starts with this prefix.
        reason = re.sub(
            r'\A(failed to create sandbox for pod "[^"]*": )?(rpc error: code = \w+ desc = )?', "", reason, flags=re.I
        )
        waits = kind in ("CrashLoopBackOff", "ImagePullBackOff")
        if waits and name in found and found[name][0] != _CRASH and kind == "CrashLoopBackOff":
            # The back-off is a consequence of the error that is already recorded.
            continue
        if kind == "ImagePullBackOff" and name in found:
            continue
        found[name] = (state, reason)
    return found


def _crashed(system: System, since: float) -> List[str]:
    """Components whose container was restarted since ``since``: the number in the name of their log is above 0."""
    found = []
    for component in COMPONENTS:
        # Logs of an earlier cluster may still exist. The timestamps of files are slightly behind the clock.
        paths = [path for path in _log_files(system, component) if _modified(system, path) >= since - 5]
        names = [os.path.basename(path) for path in paths]
        if any(re.match(r"[1-9]\d*\.log\Z", name) for name in names):
            found.append(component)
    return found


def _log_files(system: System, component: str) -> List[str]:
    """The paths of the log files of a component's containers, the newest last."""
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
        # The kubelet has removed the file in the meantime.
        return 0.0


def container_lines(system: System, component: str) -> List[str]:
    """The newest log of a component's containers that is not empty, without secrets; at most its last 2000 lines."""
    for path in reversed(_log_files(system, component)):
        text = "\n".join((system.read(path) or "")[-_TAIL:].splitlines()[-2000:])
        lines = [one.split(" ", 3)[3] for one in redact(text).splitlines() if one.count(" ") > 2]
        if any(one.strip() for one in lines):
            return lines
    return []


def last_words(lines: Sequence[str], count: int = 3) -> List[str]:
    """The last lines that contain an error, the oldest first. Without any, the last lines of the log.

    Errors with which a program ended come after the others.
    """
    errors: Dict[str, None] = {}
    for one in lines:
        text = error_text(one)
        if text and not _HARMLESS.search(text):
            errors.pop(text, None)
            errors[text] = None
    if errors:
        return sorted(errors, key=lambda text: bool(_END.search(text)))[-count:]
    noise = (_NOISE, _UNIT_NOISE, _HARMLESS)
    plain = {_TIME.sub("", one.strip()): None for one in lines if not any(pattern.search(one) for pattern in noise)}
    return list(plain)[-count:]


def error_text(text: str) -> str:
    """The error in a line of a log; empty without one. Supported formats are klog, logfmt, etcd's JSON, plain text."""
    klog = re.match(r"^([EF])\d{4} [\d:.]+\s+\d+ ([^\]]+\] .*)\Z", text)
    if klog:
        # The name of the logger takes the place of the error in a shortened line.
        return re.sub(r' logger="[^"]*"', "", klog.group(2))
    # An API server that waits for etcd logs warnings. Its last line is only "context deadline exceeded".
    peer = re.search(r'createTransport failed to connect to \{Addr: "([^"]*)".*\}\. Err: (.*)', text)
    if peer:
        why = re.sub(r'^connection error: desc = "(.*)"\Z', r"\1", peer.group(2))
        return "" if any(one in why for one in _PASSING) else "can't connect to {0}: {1}".format(peer.group(1), why)
    if "level=error" in text or "level=fatal" in text:
        return _TIME.sub("", text)
    if text.startswith("{"):
        return _json_error(text)
    # etcd before 3.5: "2026-11-27 23:26:53.370072 C | etcdmain: …".
    old = re.match(r"^\d{4}-\d\d-\d\d [\d:.]+ [CE] \| (.*)\Z", text)
    if old:
        return old.group(1)
    if re.match(r"^(Error|error|panic|Failed|fatal error|flag provided but not defined): ?", text) or re.search(
        r"command failed|invalid value .* for flag|^unknown flag|" + _UNIT_ERROR, text
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
