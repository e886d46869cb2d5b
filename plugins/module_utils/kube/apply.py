# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applies Kubernetes objects server-side: predicts the changes, makes them, and waits for their rollout.

The prediction comes from the API server: a server-side dry run, compared with the live object. For any number of
objects, observing takes three calls of kubectl and applying takes two or three. Each API version that is served but
not preferred takes one more call.
"""

from __future__ import annotations

import copy
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..core.errors import CommandError, KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.redact import redact
from ..core.step import Step
from ..core.system import Result
from ..core.untrusted import mappings, parse_json
from .kinds import DEFINITION, defined_kinds, other_versions, preferred_kinds, served_kinds, versions_of
from .kubectl import ApiUnreachable, Kubectl
from .objects import (
    Key,
    Object,
    change_reason,
    check,
    diff_side,
    differences,
    key,
    plain_secret,
    render,
    secret_values,
    shortened,
    title,
)
from .rollout import (
    dead_end,
    event_trouble,
    is_held,
    is_paused,
    is_workload,
    job_failure,
    past_deadline,
    pod_trouble,
    removes_itself,
    rollout_problem,
)

FIELD_MANAGER = "kubestead"
# These come first, and have to be there before the rest is applied.
FIRST_KINDS = (DEFINITION, "Namespace")
_APPLY = ["apply", "--server-side", "--force-conflicts", "--field-manager=" + FIELD_MANAGER, "--validate=false"]


class ClusterAbsent(KubesteadError):
    """There is no cluster to talk to: no kubectl, no kubeconfig, or no API server that answers."""


# -- Observation


@dataclass
class LiveObjects:
    """The live objects in the cluster that correspond to the objects to apply."""

    objects: List[Object]
    found: Dict[Key, Object] = field(default_factory=dict)
    # The kinds (apiVersion, kind) the API server does not know yet.
    unknown: Set[Tuple[str, str]] = field(default_factory=set)
    # For each (group, kind) that the API server knows, an apiVersion that serves the kind.
    served: Dict[Tuple[str, str], str] = field(default_factory=dict)


class Manifests:
    """A set of objects and the cluster they are for.

    ``namespace`` is for objects that name none ("" takes the kubeconfig's); ``component`` is what steps are filed
    under; ``lines`` limits a created object's text in the diff (0: a line with the reason stands for it);
    ``sources`` maps an object's index to the file it comes from.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        objects: Sequence[Object],
        namespace: str = "",
        component: str = "manifests",
        lines: int = 60,
        sources: Optional[Mapping[int, str]] = None,
    ) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.component = component
        self.lines = lines
        self.sources = dict(sources or {})
        self.warnings: List[str] = []
        check(objects, self.sources)
        self.objects: List[Object] = [plain_secret(obj) for obj in objects]
        self._secrets = secret_values(objects) + secret_values(self.objects)

    def observe(self) -> LiveObjects:
        """The live objects. Raises :class:`ClusterAbsent` if no cluster answers."""
        kinds = self._kinds()
        live = LiveObjects(self._resolved(kinds), served=versions_of(kinds))
        wanted = []
        for obj in live.objects:
            kind = (str(obj["apiVersion"]), str(obj["kind"]))
            if kind in kinds:
                wanted.append(obj)
            else:
                live.unknown.add(kind)
        for found in self._get(wanted):
            live.found[key(found)] = found
        self._require_kinds(live)
        return live

    def plan(self, live: LiveObjects) -> List[Step]:
        """The objects that would be created or changed, with what differs.

        Raises :class:`KubesteadError` naming the object the API server would refuse.
        """
        new_namespaces = {
            key(obj)[3] for obj in live.objects if obj["kind"] == "Namespace" and key(obj) not in live.found
        }
        to_try = [
            obj
            for obj in live.objects
            if (str(obj["apiVersion"]), str(obj["kind"])) not in live.unknown and key(obj)[2] not in new_namespaces
        ]
        tried = {key(obj): obj for obj in self._apply(to_try, dry_run=True)}
        steps: List[Step] = []
        for obj in live.objects:
            present = live.found.get(key(obj))
            result = tried.get(key(obj), obj)
            if present is None:
                steps.append(self._create(obj, result))
                continue
            changes = differences(present, result)
            if changes:
                steps.append(self._update(obj, changes))
        return sorted(steps, key=lambda step: step.data["object"]["kind"] not in FIRST_KINDS)

    def plan_absent(self) -> List[Step]:
        """The plan for a cluster that does not exist yet: everything is created."""
        steps = [self._create(obj, obj) for obj in self.objects]
        return sorted(steps, key=lambda step: step.data["object"]["kind"] not in FIRST_KINDS)

    # -- Application

    def apply(self, steps: Sequence[Step], timeout: float = 60.0) -> None:
        """Apply the objects of ``steps``, definitions and namespaces first.

        ``timeout`` (seconds) is how long definitions may take to be served.
        """
        objects = [step.data["object"] for step in steps]
        first = [obj for obj in objects if obj["kind"] in FIRST_KINDS]
        rest = [obj for obj in objects if obj["kind"] not in FIRST_KINDS]
        if first:
            self._apply(first)
            self._wait_established([key(obj)[3] for obj in first if obj["kind"] == DEFINITION], timeout)
        if rest:
            self._apply(rest)

    def wait(
        self,
        timeout: float,
        live: Optional[LiveObjects] = None,
        dead_nodes: int = 0,
        pause: float = 2.0,
        clock: Optional[Clock] = None,
        sleep: Optional[Sleep] = None,
    ) -> float:
        """Wait until every Deployment, DaemonSet, StatefulSet, Job and Pod of the set has rolled out.

        ``dead_nodes`` is the number of nodes whose kubelet is silent: a DaemonSet's pods there are not waited for.
        Returns the duration in seconds. Raises :class:`KubesteadError` with the workload, the pod and the reason after
        ``timeout`` seconds, or at once for a workload that can no longer succeed. Workloads that their manifest holds
        back (a paused Deployment, a suspended Job) and Jobs deleted by their TTL count as done.
        """
        objects = [obj for obj in (live.objects if live else self.objects) if is_workload(obj)]
        wanted = {key(obj): obj for obj in objects}
        pending = [(obj, "") for obj in objects]
        # Deployments that have been within their progressDeadlineSeconds at least once.
        in_time: Set[Key] = set()
        read = clock or time.monotonic
        begin = read()

        def still_pending() -> List[Tuple[Object, str]]:
            nonlocal pending
            pending = self._pending(pending, wanted, dead_nodes)
            for obj, state in pending:
                if not past_deadline(obj):
                    in_time.add(key(obj))
                elif key(obj) in in_time:
                    raise self._not_ready(
                        [(obj, "{0}, and it exceeded its progressDeadlineSeconds".format(state))], read() - begin
                    )
            return pending

        if poll(still_pending, timeout, lambda left: not left, pause=pause, clock=clock, sleep=sleep):
            raise self._not_ready(pending, timeout)
        return read() - begin

    def _pending(
        self, before: Sequence[Tuple[Object, str]], wanted: Mapping[Key, Object], dead_nodes: int
    ) -> List[Tuple[Object, str]]:
        """The workloads that have not rolled out, with what each waits for. Raises if one can never roll out."""
        if not before:
            return []
        try:
            found = {key(obj): obj for obj in self._get([obj for obj, _state in before])}
        except ApiUnreachable:
            # The API server may restart while a network plugin starts. Only the timeout ends the wait.
            return [(obj, state or "the API server does not answer") for obj, state in before]
        pending: List[Tuple[Object, str]] = []
        for obj, _state in before:
            present, manifest = found.get(key(obj)), wanted[key(obj)]
            if present is None:
                self._require_success(obj, removes_itself(obj) or removes_itself(manifest))
                continue
            state = rollout_problem(present, dead_nodes)
            if state is None or (is_held(present) and is_paused(manifest)):
                continue
            fix = dead_end(present)
            if fix:
                raise KubesteadError("{0} is not ready: {1}; {2}".format(title(present), state, fix))
            pending.append((present, state))
        return pending

    def _require_success(self, obj: Object, expected: bool) -> None:
        """Raise :class:`KubesteadError` for a deleted workload. If ``expected``, raise only for a Job that failed."""
        if not expected:
            raise KubesteadError(
                "{0} was deleted during its rollout; find out what deletes it, and run again".format(title(obj))
            )
        _group, _kind, namespace, name = key(obj)
        events = self.kubectl.run(["-n", namespace or "default", "get", "events", "-o", "json"])
        failure = job_failure(_items(events.stdout) if events.ok else [], name)
        if failure:
            raise KubesteadError(
                "{0} is not ready: it failed and was deleted after its ttlSecondsAfterFinished: {1}; "
                "increase ttlSecondsAfterFinished to keep its logs, and run again".format(title(obj), failure)
            )

    def fetch(self, objects: Sequence[Object]) -> List[Object]:
        """Some of the objects as they are live now."""
        return self._get(objects)

    # -- inside

    def _create(self, obj: Object, result: Object) -> Step:
        after = render(result, self.lines) if self.lines else ""
        return Step(self.component, "create", title(obj), "missing", "", after, {"object": obj})

    def _update(self, obj: Object, changes: List[Tuple[str, Optional[str], Optional[str]]]) -> Step:
        limit = self.lines or 30
        before = diff_side([(path, left) for path, left, _right in changes], limit)
        after = diff_side([(path, right) for path, _left, right in changes], limit)
        return Step(self.component, "update", title(obj), change_reason(changes), before, after, {"object": obj})

    def _kinds(self) -> Dict[Tuple[str, str], bool]:
        """The kinds the API server knows, and whether objects of a kind live in a namespace."""
        result = self.kubectl.run(["api-resources", "--no-headers"])
        if not result.ok and not result.stdout.strip():
            raise self._absent(result)
        kinds = preferred_kinds(result.stdout)
        if ("v1", "Namespace") not in kinds:
            raise self._absent(result)
        wanted = [(str(obj["apiVersion"]), str(obj["kind"])) for obj in self.objects]
        paths = other_versions(wanted, kinds)
        for path, answer in zip(paths, self.kubectl.raw(*paths)):
            if answer.ok:
                kinds.update(served_kinds(self.kubectl.parsed(["get", "--raw", path], answer)))
            elif "(NotFound)" not in answer.stderr:
                raise self.kubectl.error(["get", "--raw", path], answer)
        return kinds

    def _absent(self, result: Result) -> KubesteadError:
        where = self.kubectl.kubeconfig or "the default kubeconfig"
        if result.rc == 127:
            return ClusterAbsent("kubectl is not installed on this host; install it, or run this on another host")
        if "no such file or directory" in result.stderr:
            return ClusterAbsent("kubeconfig {0} does not exist; use the path of a kubeconfig".format(where))
        # Some kubectl crash in api-resources when nothing answers: the cause is in the first line then.
        first = next((line for line in result.stderr.splitlines() if line.strip()), "")
        error = self.kubectl.error(["api-resources"], result)
        if isinstance(error, ApiUnreachable) or re.search(r"connection refused|no such host|i/o timeout", first):
            cause = re.search(r'(dial tcp|lookup) [^"]*', first)
            return ClusterAbsent(
                "API server of {0} does not answer: {1}; check that a control plane runs".format(
                    where, cause.group(0) if cause else result.last_line
                )
            )
        return error

    def _resolved(self, kinds: Mapping[Tuple[str, str], bool]) -> List[Object]:
        """The objects with their namespace in them, where their kind has one."""
        scopes = defined_kinds(self.objects)
        scopes.update(kinds)
        resolved: List[Object] = []
        for obj in self.objects:
            namespaced = scopes.get((str(obj["apiVersion"]), str(obj["kind"])), False)
            if namespaced and not obj["metadata"].get("namespace"):
                changed = dict(obj)
                changed["metadata"] = dict(obj["metadata"], namespace=self._default_namespace())
                resolved.append(changed)
            else:
                resolved.append(obj)
        check(resolved, self.sources)
        return resolved

    def _default_namespace(self) -> str:
        if not self.namespace:
            output = "--output=jsonpath={.contexts[0].context.namespace}"
            result = self.kubectl.run(["config", "view", "--minify", output])
            self.namespace = result.stdout.strip() or "default"
        return self.namespace

    def _require_kinds(self, live: LiveObjects) -> None:
        """Raise :class:`KubesteadError` for an unknown kind, unless the objects include its definition."""
        defined = defined_kinds(live.objects)
        for index, obj in enumerate(live.objects):
            kind = (str(obj["apiVersion"]), str(obj["kind"]))
            if kind in live.unknown and kind not in defined:
                served = live.served.get((kind[0].rpartition("/")[0], kind[1]))
                raise KubesteadError(
                    "{0}{1}: the cluster does not have the kind {2} of {3}; {4}".format(
                        title(obj),
                        self._origin(index),
                        kind[1],
                        kind[0],
                        "use {0}, which serves this kind".format(served)
                        if served
                        else "correct it, or apply its CustomResourceDefinition first",
                    )
                )

    def _origin(self, index: int) -> str:
        return " ({0})".format(self.sources[index]) if index in self.sources else ""

    def _get(self, objects: Sequence[Object]) -> List[Object]:
        if not objects:
            return []
        arguments = ["get", "-f", "-", "--ignore-not-found", "-o", "json"]
        result = self.kubectl.run(arguments, stdin=_as_list([_stub(obj) for obj in objects]), timeout=120.0)
        if not result.ok:
            raise self.kubectl.error(arguments, result)
        return _items(result.stdout)

    def _apply(self, objects: Sequence[Object], dry_run: bool = False) -> List[Object]:
        if not objects:
            return []
        arguments = _APPLY + (["--dry-run=server"] if dry_run else []) + ["-o", "json", "-f", "-"]
        result = self.kubectl.run(arguments, stdin=_as_list(objects), timeout=300.0)
        for line in result.stderr.splitlines():
            text = self._clean(line[len("Warning:") :].strip()) if line.startswith("Warning:") else ""
            # The dry run and the change warn of the same.
            if text and text not in self.warnings:
                self.warnings.append(text)
        if result.ok:
            return _items(result.stdout)
        error = self.kubectl.error(["apply"], result)
        if isinstance(error, ApiUnreachable):
            raise error
        raise CommandError(self._refusal(result.stderr, dry_run))

    def _refusal(self, stderr: str, dry_run: bool) -> str:
        """The answer of the API server on one line, with the file of the object."""
        entries: List[str] = []
        for line in (raw.strip() for raw in stderr.splitlines()):
            if not line or line.startswith("Warning:"):
                continue
            if line.startswith("* ") and entries:
                entries[-1] = "{0} {1}".format(entries[-1], line[2:])
            else:
                entries.append(line)
        text = self._clean(entries[0] if entries else "no reason given")
        for prefix in ("Error from server ", "Error from server: ", "error: "):
            if text.startswith(prefix):
                text = text[len(prefix) :]
        origin = ""
        for index, obj in enumerate(self.objects):
            name = key(obj)[3]
            if index in self.sources and re.search(r'["/]{0}["; ]'.format(re.escape(name)), text):
                if str(obj["kind"]).lower() in text.lower():
                    origin = "{0}: ".format(self.sources[index])
                    break
        more = " (and {0} more)".format(len(entries) - 1) if len(entries) > 1 else ""
        when = "nothing was changed" if dry_run else "the objects before it were applied"
        return "{0}the API server refused it: {1}{2}; correct the manifest ({3})".format(origin, text, more, when)

    def _clean(self, text: str) -> str:
        """A message without what stands in a Secret."""
        if self._secrets:
            # Some API servers quote the document around an error.
            text = text.split(", error found in #")[0]
        return redact(text, *self._secrets)

    def _wait_established(self, names: Sequence[str], timeout: float) -> None:
        if not names:
            return
        arguments = ["wait", "--for=condition=Established", "--timeout={0:.0f}s".format(timeout)]
        result = self.kubectl.run(arguments + ["crd/" + name for name in names], timeout=timeout + 30)
        if not result.ok:
            raise CommandError(
                "CustomResourceDefinitions are not established after {0:.0f} s: {1}; see kubectl describe crd".format(
                    timeout, result.last_line
                )
            )

    def _not_ready(self, pending: Sequence[Tuple[Object, str]], seconds: float) -> KubesteadError:
        obj, state = pending[0]
        cause, fix = self._cause(obj)
        more = ""
        if len(pending) > 1:
            more = " (also waiting for {0})".format(", ".join(title(other) for other, _state in pending[1:4]))
        message = "{0} is not ready after {1:.0f} s: {2}".format(title(obj), seconds, state)
        if cause:
            message = "{0}; {1}".format(message, cause)
        return KubesteadError(
            "{0}{1}; {2}".format(message, more, fix),
            {"not_ready": [{"object": title(other), "state": text} for other, text in pending]},
        )

    def _cause(self, obj: Object) -> Tuple[str, str]:
        """Why a workload does not become ready, from its pods and events, and the fix."""
        namespace = key(obj)[2] or "default"
        describe = "see kubectl -n {0} describe {1} {2}".format(namespace, str(obj["kind"]).lower(), key(obj)[3])
        selector = _selector(obj)
        pods: List[Object] = []
        if selector:
            found = self.kubectl.run(["-n", namespace, "get", "pods", "-l", selector, "-o", "json"])
            pods = _items(found.stdout) if found.ok else []
        elif obj["kind"] == "Pod":
            pods = [obj]
        trouble = pod_trouble(pods)
        if trouble:
            return trouble[0], trouble[1] or describe
        events = self.kubectl.run(["-n", namespace, "get", "events", "-o", "json"])
        names = [key(obj)[3]] + [key(pod)[3] for pod in pods]
        event = event_trouble(_items(events.stdout) if events.ok else [], names)
        return event, describe


def _selector(obj: Object) -> str:
    labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return ",".join("{0}={1}".format(name, labels[name]) for name in sorted(labels))


def _stub(obj: Object) -> Dict[str, Any]:
    metadata = {name: obj["metadata"][name] for name in ("name", "namespace") if obj["metadata"].get(name)}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def _as_list(objects: Sequence[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})


def _items(text: str) -> List[Object]:
    if not text.strip():
        return []
    try:
        data = parse_json(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise CommandError("kubectl did not print a JSON object: {0}".format(shortened(text, 100)))
    if str(data.get("kind", "")).endswith("List") and isinstance(data.get("items"), list):
        return [copy.copy(item) for item in mappings(data["items"])]
    return [data]
