# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits until workloads have rolled out, and finds out why one does not.

Nodes that are down do not prevent the end of the wait: pods of a DaemonSet on them are not waited for, and a rollout
that only they stop ends the wait when it makes no progress. If the pods on the other nodes must be replaced, the wait
replaces them in place of the controller.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..core.errors import CommandError, KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.untrusted import mapping, mappings, texts
from . import nodes
from .kubectl import ApiUnreachable, Kubectl
from .objects import Key, Object, items_of, key, title
from .pods import Pod, read_pods
from .rollout import (
    SETTLES,
    dead_end,
    ending_pod,
    event_trouble,
    is_held,
    is_paused,
    is_recreated,
    is_stopped,
    is_workload,
    job_failure,
    left_behind,
    lost_nodes,
    past_deadline,
    pod_trouble,
    removes_itself,
    rollout_problem,
    stopped_by,
    without_updated,
)

# Seconds after which the nodes are looked at again: one may have failed or come back.
_LOOK = 10.0
_OPERATORS = {"In": "{0} in ({1})", "NotIn": "{0} notin ({1})", "DoesNotExist": "!{0}"}


@dataclass(frozen=True)
class Waited:
    """The end of a wait: its duration in ``seconds``.

    ``skipped`` are the names of dead nodes with pods that were not waited for. ``stopped`` has one line for each
    rollout that is not complete because of dead nodes.
    """

    seconds: float
    skipped: Tuple[str, ...] = ()
    stopped: Tuple[str, ...] = ()

    @property
    def warnings(self) -> List[str]:
        """What the user should know, one line each."""
        if not self.skipped:
            return list(self.stopped)
        names = ", ".join(self.skipped)
        return ["did not wait for pods on nodes whose kubelet does not report: {0}".format(names), *self.stopped]


@dataclass(frozen=True)
class _Pending:
    """A workload that has not rolled out, with what it waits for, and the nodes if only dead ones prevent it."""

    obj: Object
    state: str = ""
    stopped: Sequence[str] = ()


class RolloutWait:
    """A wait for the rollout of workloads.

    ``get`` returns the live objects. Dead nodes are those whose kubelet is silent, and those in ``failed``. With
    ``recreated``, they also do not prevent the end of the wait if a Deployment has to recreate a pod on them.

    With ``replaces``, all pods of DaemonSets on living nodes must be replaced. If dead nodes stop a rollout, the old
    pods on the living nodes are deleted one at a time; the next one follows when the successor is ready.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        get: Callable[[Sequence[Object]], Sequence[Object]],
        failed: Sequence[str] = (),
        recreated: bool = False,
        replaces: bool = False,
        clock: Optional[Clock] = None,
        sleep: Optional[Sleep] = None,
    ) -> None:
        self.kubectl = kubectl
        self._get = get
        self._failed = failed
        self._recreated = recreated
        self._replaces = replaces
        self._clock, self._sleep = clock or time.monotonic, sleep
        self._dead: List[str] = []
        self._looked: Optional[float] = None
        self._skipped: Dict[Key, Sequence[str]] = {}
        # Why the last look failed.
        self._unreachable: Optional[ApiUnreachable] = None

    def wait(self, objects: Sequence[Object], timeout: float, pause: float = 2.0) -> Waited:
        """Wait until every Deployment, DaemonSet, StatefulSet, Job and Pod has rolled out.

        Raises :class:`KubesteadError` with the workload, the pod and the reason after ``timeout`` seconds, or at once
        for a workload that can no longer succeed. Workloads that their manifest holds back (a paused Deployment, a
        suspended Job) and Jobs deleted by their TTL count as done. A rollout that only dead nodes stop is waited for
        until it made no progress for :data:`SETTLES` seconds, or until the timeout, unless this wait replaces the pods.
        """
        wanted = {key(obj): obj for obj in objects if is_workload(obj)}
        pending = [_Pending(obj) for obj in wanted.values()]
        # Deployments that have been within their progressDeadlineSeconds at least once.
        in_time: Set[Key] = set()
        begin = since = self._clock()

        def look() -> List[_Pending]:
            nonlocal pending, since
            before, pending = pending, self._pending(pending, wanted)
            # The texts have the numbers of pods.
            if [(one.state, one.stopped) for one in pending] != [(one.state, one.stopped) for one in before]:
                since = self._clock()
            for one in pending:
                if one.stopped:
                    continue
                if not past_deadline(one.obj):
                    in_time.add(key(one.obj))
                elif key(one.obj) in in_time:
                    late = "{0}, and it exceeded its progressDeadlineSeconds".format(one.state)
                    raise self._not_ready([_Pending(one.obj, late)], self._clock() - begin)
            return pending

        def is_over(left: Sequence[_Pending]) -> bool:
            return all(one.stopped for one in left) and (not left or self._clock() - since >= SETTLES)

        poll(look, timeout, is_over, pause=pause, clock=self._clock, sleep=self._sleep)
        if not all(one.stopped for one in pending):
            raise self._not_ready(sorted(pending, key=lambda one: bool(one.stopped)), timeout)
        text = "the rollout of {0} is not complete and is not waited for: {1}; {2}"
        return Waited(
            self._clock() - begin,
            tuple(sorted({name for names in self._skipped.values() for name in names})),
            tuple(text.format(title(one.obj), one.state, stopped_by(one.stopped)) for one in pending),
        )

    def _pending(self, before: Sequence[_Pending], wanted: Mapping[Key, Object]) -> List[_Pending]:
        """The workloads that have not rolled out. Raises if one can never roll out."""
        if not before:
            return []
        try:
            found = {key(obj): obj for obj in self._get([one.obj for one in before])}
            self._unreachable = None
        except ApiUnreachable as err:
            # The API server may restart while a network plugin starts. Only the timeout ends the wait.
            self._unreachable = err
            return [_Pending(one.obj, one.state or "the API server does not answer") for one in before]
        pending: List[_Pending] = []
        for one in before:
            present, manifest = found.get(key(one.obj)), wanted[key(one.obj)]
            if present is None:
                self._require_success(one.obj, removes_itself(one.obj) or removes_itself(manifest))
                continue
            state = rollout_problem(present)
            if state is None or (is_held(present) and is_paused(manifest)):
                continue
            fix = dead_end(present)
            if fix:
                raise KubesteadError("{0} is not ready: {1}; {2}".format(title(present), state, fix))
            left = self._without_dead(present, state)
            if left is not None:
                pending.append(left)
        return pending

    def _without_dead(self, obj: Object, state: str) -> Optional[_Pending]:
        """What a workload still waits for if pods on dead nodes are not counted; None if nothing is left."""
        daemon_set = obj.get("kind") == "DaemonSet"
        if not daemon_set and not (self._recreated and is_recreated(obj)):
            return _Pending(obj, state)
        pods = read_pods({"items": self._pods(obj)}) if self._dead_nodes() else []
        if daemon_set:
            # The pods of another workload may have its labels too.
            pods = [pod for pod in pods if pod.controller in (("", ""), ("DaemonSet", key(obj)[3]))]
        lost = lost_nodes(pods, self._dead)
        if daemon_set:
            obj = without_updated(obj, pods, lost)
        left = rollout_problem(obj, len(lost))
        if left is None:
            self._skipped[key(obj)] = lost
            return None
        stopped = is_stopped(obj, pods, lost)
        if daemon_set and self._replaces:
            old = left_behind(obj, pods, lost) if stopped else None
            if old is not None:
                self._delete(old)
            return _Pending(obj, left)
        return _Pending(obj, left, lost if stopped else ())

    def _delete(self, pod: Pod) -> None:
        """Delete a pod and do not wait for its end. Raises :class:`CommandError` if the API refuses."""
        arguments = ["delete", "pod/" + pod.name, "--namespace=" + pod.namespace, "--wait=false", "--ignore-not-found"]
        result = self.kubectl.run(arguments)
        error = None if result.ok else self.kubectl.error(arguments, result)
        # The next look deletes it if nothing answers now.
        if error is not None and not isinstance(error, ApiUnreachable):
            raise error

    def _dead_nodes(self) -> List[str]:
        """The names of the dead nodes. They are known for :data:`_LOOK` seconds."""
        if self._looked is None or self._clock() - self._looked >= _LOOK:
            self._looked = self._clock()
            try:
                found = nodes.listed(self.kubectl)
                self._dead = [node.name for node in found if node.silent or node.name in self._failed]
            except ApiUnreachable:
                pass
            except CommandError:
                # This user may not list nodes.
                self._dead = []
        return self._dead

    def _require_success(self, obj: Object, expected: bool) -> None:
        """Raise :class:`KubesteadError` for a deleted workload. If ``expected``, raise only for a Job that failed."""
        if not expected:
            raise KubesteadError(
                "{0} was deleted during its rollout; find out what deletes it, and run again".format(title(obj))
            )
        _group, _kind, namespace, name = key(obj)
        failure = job_failure(self._list(namespace, "events"), name)
        if failure:
            raise KubesteadError(
                "{0} is not ready: it failed and was deleted after its ttlSecondsAfterFinished: {1}; "
                "increase ttlSecondsAfterFinished to keep its logs, and run again".format(title(obj), failure)
            )

    def _not_ready(self, pending: Sequence[_Pending], seconds: float) -> KubesteadError:
        first = pending[0]
        cause, fix = self._cause(first.obj)
        more = ""
        if len(pending) > 1:
            more = " (also waiting for {0})".format(", ".join(title(other.obj) for other in pending[1:4]))
        message = "{0} is not ready after {1:.0f} s: {2}".format(title(first.obj), seconds, first.state)
        if cause:
            message = "{0}; {1}".format(message, cause)
        return KubesteadError(
            "{0}{1}; {2}".format(message, more, fix),
            {"not_ready": [{"object": title(other.obj), "state": other.state} for other in pending]},
        )

    def _cause(self, obj: Object) -> Tuple[str, str]:
        """Why a workload does not become ready, from its pods and events, and the fix."""
        if self._unreachable is not None:
            return "", self._unreachable.message
        describe = "see kubectl -n {0} describe {1} {2}".format(
            key(obj)[2] or "default", str(obj["kind"]).lower(), key(obj)[3]
        )
        pods = [obj] if obj["kind"] == "Pod" and not _selector(obj) else self._pods(obj)
        # What a kubelet wrote before its node died is not the cause.
        living = [pod for pod in pods if (pod.get("spec") or {}).get("nodeName") not in self._dead]
        trouble = pod_trouble(living)
        if trouble:
            return trouble[0], trouble[1] or describe
        names = [key(obj)[3]] + [key(pod)[3] for pod in living]
        return event_trouble(self._list(key(obj)[2], "events"), names) or ending_pod(living), describe

    def _pods(self, obj: Object) -> List[Object]:
        """The pods of a workload; empty if it has no selector or the user may not list pods."""
        selector = _selector(obj)
        return self._list(key(obj)[2], "pods", "-l", selector) if selector else []

    def _list(self, namespace: str, *what: str) -> List[Object]:
        found = self.kubectl.run(["-n", namespace or "default", "get", *what, "-o", "json"])
        return items_of(found.stdout) if found.ok else []


def _selector(obj: Object) -> str:
    """The selector of a workload in the form of kubectl; empty without one."""
    selector = mapping(mapping(obj.get("spec")).get("selector"))
    labels = mapping(selector.get("matchLabels"))
    parts = ["{0}={1}".format(name, labels[name]) for name in sorted(labels)]
    for one in mappings(selector.get("matchExpressions")):
        form = _OPERATORS.get(str(one.get("operator")), "{0}")
        parts.append(form.format(one.get("key"), ",".join(texts(one.get("values")))))
    return ",".join(parts)
