# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes objects applied server-side: what would change, the change, and waiting until it has taken effect.

The prediction is the API server's own: a server-side dry run, compared with the live object. Whatever the number of
objects, looking takes three calls of kubectl and applying two or three.
"""

from __future__ import annotations

import base64
import copy
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from .errors import CommandError, KubesteadError
from .kubectl import ApiUnreachable, Kubectl
from .plan import Step
from .system import Result

FIELD_MANAGER = "kubestead"
# These come first, and have to be there before the rest is applied.
FIRST_KINDS = ("CustomResourceDefinition", "Namespace")
WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet", "Job", "Pod")
HIDDEN = "<hidden>"

_VOLATILE = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")
# Annotations that follow from something else.
_DERIVED = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deprecated.daemonset.template.generation",
    "deployment.kubernetes.io/revision",
)
_APPLY = ["apply", "--server-side", "--force-conflicts", "--field-manager=" + FIELD_MANAGER, "--validate=false"]

Object = Mapping[str, Any]
Key = Tuple[str, str, str, str]


class ClusterAbsent(KubesteadError):
    """There is no cluster to talk to: no kubectl, no kubeconfig, or no API server that answers."""


# -- objects


def key(obj: Object) -> Key:
    """What identifies an object: API group, kind, namespace ("" where there is none) and name."""
    api_version = str(obj.get("apiVersion", ""))
    group = api_version.split("/")[0] if "/" in api_version else ""
    metadata = obj.get("metadata") or {}
    return group, str(obj.get("kind", "")), str(metadata.get("namespace") or ""), str(metadata.get("name", ""))


def title(obj: Object) -> str:
    """An object as people write it: ``Deployment shop/web``, ``Namespace shop``."""
    _group, kind, namespace, name = key(obj)
    return "{0} {1}/{2}".format(kind, namespace, name) if namespace else "{0} {1}".format(kind, name)


def check(objects: Sequence[Any], sources: Optional[Mapping[int, str]] = None) -> None:
    """Raise :class:`KubesteadError` for what is no Kubernetes object, and for an object that comes twice.

    ``sources`` tells where an object (by its index) comes from, for the message.
    """
    where = sources or {}
    seen: Dict[Key, int] = {}
    for index, obj in enumerate(objects):
        origin = where.get(index, "object {0}".format(index + 1))
        if not isinstance(obj, Mapping):
            raise KubesteadError(
                "{0} is a {1}, not a Kubernetes object; give apiVersion, kind and metadata.name".format(
                    origin, type(obj).__name__
                )
            )
        metadata = obj.get("metadata")
        missing = [name for name in ("apiVersion", "kind") if not isinstance(obj.get(name), str)]
        if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
            missing.append("metadata.name")
        if missing:
            raise KubesteadError(
                "{0} has no {1}: not a Kubernetes object; give it".format(origin, " and no ".join(missing))
            )
        if key(obj) in seen:
            first = where.get(seen[key(obj)], "object {0}".format(seen[key(obj)] + 1))
            raise KubesteadError(
                "{0} of {1} is already in {2}: it would be applied twice; keep one of the two".format(
                    title(obj), origin, first
                )
            )
        seen[key(obj)] = index


def plain_secret(obj: Object) -> Object:
    """A Secret with ``stringData`` moved into ``data``, so that comparing it with the live one is exact."""
    if obj.get("kind") != "Secret" or not obj.get("stringData"):
        return obj
    changed = dict(obj)
    data = dict(changed.get("data") or {})
    for name, value in changed.pop("stringData").items():
        data[name] = base64.b64encode(str(value).encode("utf-8")).decode("ascii")
    changed["data"] = data
    return changed


def bare(obj: Object) -> Dict[str, Any]:
    """An object without what the API server keeps for itself: the part whose difference is a change."""
    found = {name: value for name, value in obj.items() if name != "status"}
    metadata = {name: value for name, value in (obj.get("metadata") or {}).items() if name not in _VOLATILE}
    annotations = {name: value for name, value in (metadata.get("annotations") or {}).items() if name not in _DERIVED}
    metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = annotations
    found["metadata"] = metadata
    return found


# -- how differences read


def flatten(value: Any, path: str = "") -> Dict[str, str]:
    """Every leaf of an object by its path: ``spec.containers[web].image``. Items of a list go by their name."""
    if isinstance(value, Mapping) and value:
        found: Dict[str, str] = {}
        for name in sorted(value):
            text = str(name)
            part = '["{0}"]'.format(text) if "." in text or "/" in text else (".{0}".format(text) if path else text)
            found.update(flatten(value[name], path + part))
        return found
    if isinstance(value, list) and value:
        names = [item.get("name") if isinstance(item, Mapping) else None for item in value]
        named = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
        found = {}
        for index, item in enumerate(value):
            found.update(flatten(item, "{0}[{1}]".format(path, names[index] if named else index)))
        return found
    return {path: value if isinstance(value, str) else json.dumps(value)}


def differences(before: Object, after: Object) -> List[Tuple[str, Optional[str], Optional[str]]]:
    """(path, old value, new value) of what differs; None for a side that lacks the path. Secret data is hidden."""
    old, new = flatten(bare(before)), flatten(bare(after))
    secret = after.get("kind") == "Secret"
    found: List[Tuple[str, Optional[str], Optional[str]]] = []
    for path in sorted(set(old) | set(new)):
        left, right = old.get(path), new.get(path)
        if left == right:
            continue
        if secret and path.startswith(("data", "stringData")):
            left = None if left is None else HIDDEN
            right = None if right is None else "<hidden, changed>" if left else HIDDEN
        found.append((path, left, right))
    return found


def render(obj: Object, limit: int = 60) -> str:
    """An object as readable text that looks like YAML, at most ``limit`` lines; Secret data is hidden."""
    shown: Dict[str, Any] = bare(obj)
    if obj.get("kind") == "Secret":
        for part in ("data", "stringData"):
            if shown.get(part):
                shown[part] = {name: HIDDEN for name in shown[part]}
    lines = _lines(shown)
    if len(lines) > limit:
        rest = len(lines) - limit
        lines = lines[:limit] + ["… {0} more lines".format(rest)]
    return "\n".join(lines) + "\n"


def _lines(value: Any, indent: str = "") -> List[str]:
    if isinstance(value, Mapping):
        lines: List[str] = []
        for name, item in value.items():
            if isinstance(item, (Mapping, list)) and item:
                lines.append("{0}{1}:".format(indent, name))
                lines.extend(_lines(item, indent + "  "))
            elif isinstance(item, str) and "\n" in item:
                lines.append("{0}{1}: |".format(indent, name))
                lines.extend("{0}  {1}".format(indent, line) for line in item.splitlines())
            else:
                lines.append("{0}{1}: {2}".format(indent, name, _scalar(item)))
        return lines
    lines = []
    for item in value:
        if isinstance(item, (Mapping, list)) and item:
            inner = _lines(item, indent + "  ")
            lines.append("{0}- {1}".format(indent, inner[0].strip()))
            lines.extend(inner[1:])
        elif isinstance(item, str) and "\n" in item:
            lines.append("{0}- |".format(indent))
            lines.extend("{0}  {1}".format(indent, line) for line in item.splitlines())
        else:
            lines.append("{0}- {1}".format(indent, _scalar(item)))
    return lines


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value)


def _cut(value: Optional[str], length: int = 60) -> str:
    if value is None:
        return "not set"
    line = value.replace("\n", "\\n")
    return line if len(line) <= length else line[: length - 1] + "…"


def _side(changes: Sequence[Tuple[str, Optional[str]]], limit: int) -> str:
    lines: List[str] = []
    for path, value in changes:
        if value is None:
            continue
        if "\n" in value:
            lines.append("{0}: |".format(path))
            lines.extend("  {0}".format(line) for line in value.splitlines())
        else:
            lines.append("{0}: {1}".format(path, value))
    if len(lines) > limit:
        lines = lines[:limit] + ["… {0} more lines".format(len(lines) - limit)]
    return "".join("{0}\n".format(line) for line in lines)


def _reason(changes: Sequence[Tuple[str, Optional[str], Optional[str]]]) -> str:
    path, before, after = changes[0]
    text = "{0} {1} -> {2}".format(path, _cut(before), _cut(after))
    return text if len(changes) == 1 else "{0}, and {1} more".format(text, len(changes) - 1)


# -- looking


@dataclass
class Live:
    """What the cluster has of the objects that are to be applied."""

    objects: List[Object]
    found: Dict[Key, Object] = field(default_factory=dict)
    # The kinds (apiVersion, kind) the API server does not know yet.
    unknown: Set[Tuple[str, str]] = field(default_factory=set)


class Manifests:
    """A set of objects and the cluster they are for.

    ``namespace`` is for objects that name none ("" takes the kubeconfig's); ``area`` is what steps are filed under;
    ``lines`` limits a created object's text in the diff (0: a line with the reason stands for it); ``sources`` maps
    an object's index to the file it comes from.
    """

    def __init__(
        self,
        kubectl: Kubectl,
        objects: Sequence[Object],
        namespace: str = "",
        area: str = "manifests",
        lines: int = 60,
        sources: Optional[Mapping[int, str]] = None,
    ) -> None:
        self.kubectl = kubectl
        self.namespace = namespace
        self.area = area
        self.lines = lines
        self.sources = dict(sources or {})
        self.warnings: List[str] = []
        check(objects, self.sources)
        self.objects: List[Object] = [plain_secret(obj) for obj in objects]
        self._secrets = _secret_values(objects) + _secret_values(self.objects)

    def observe(self) -> Live:
        """What of the objects is live. Raises :class:`ClusterAbsent` when no cluster answers."""
        kinds = self._kinds()
        live = Live(self._resolved(kinds))
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

    def plan(self, live: Live) -> List[Step]:
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

    # -- acting

    def apply(self, steps: Sequence[Step], timeout: float = 60.0) -> None:
        """Apply the objects of ``steps``, definitions and namespaces first.

        ``timeout`` (seconds) is how long definitions may take to be served.
        """
        objects = [step.data["object"] for step in steps]
        first = [obj for obj in objects if obj["kind"] in FIRST_KINDS]
        rest = [obj for obj in objects if obj["kind"] not in FIRST_KINDS]
        if first:
            self._apply(first)
            self._wait_established([key(obj)[3] for obj in first if obj["kind"] == FIRST_KINDS[0]], timeout)
        if rest:
            self._apply(rest)

    def wait(
        self,
        timeout: float,
        live: Optional[Live] = None,
        dead_nodes: int = 0,
        pause: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> float:
        """Wait until every Deployment, DaemonSet, StatefulSet, Job and Pod of the set has rolled out.

        ``dead_nodes`` is the number of nodes whose kubelet is silent: a DaemonSet's pods there are not waited for.
        Returns the seconds it took. Raises :class:`KubesteadError` naming workload, pod and reason after ``timeout``
        seconds, or at once for what can't succeed any more.
        """
        objects = live.objects if live else self.objects
        waiting = [obj for obj in objects if obj["kind"] in WORKLOADS]
        begin = clock()
        while waiting:
            found = {key(obj): obj for obj in self._get(waiting, patient=True)}
            pending: List[Tuple[Object, str]] = []
            for obj in waiting:
                present = found.get(key(obj))
                state = "it is not there" if present is None else rollout_problem(present, dead_nodes)
                if state is None:
                    continue
                if present is not None and failed_for_good(present):
                    raise KubesteadError(
                        "{0} is not ready: {1}; see kubectl -n {2} logs job/{3}, delete the Job and run again".format(
                            title(present), state, key(present)[2], key(present)[3]
                        )
                    )
                pending.append((present or obj, state))
            if not pending:
                break
            if clock() - begin >= timeout:
                raise self._not_ready(pending, timeout)
            waiting = [obj for obj, _state in pending]
            sleep(pause)
        return clock() - begin

    def fetch(self, objects: Sequence[Object]) -> List[Object]:
        """Some of the objects as they are live now."""
        return self._get(objects)

    # -- inside

    def _create(self, obj: Object, result: Object) -> Step:
        after = render(result, self.lines) if self.lines else ""
        return Step(self.area, "create", title(obj), "not there", "", after, {"object": obj})

    def _update(self, obj: Object, changes: List[Tuple[str, Optional[str], Optional[str]]]) -> Step:
        limit = self.lines or 30
        before = _side([(path, left) for path, left, _right in changes], limit)
        after = _side([(path, right) for path, _left, right in changes], limit)
        return Step(self.area, "update", title(obj), _reason(changes), before, after, {"object": obj})

    def _kinds(self) -> Dict[Tuple[str, str], bool]:
        """The kinds the API server knows, and whether objects of a kind live in a namespace."""
        result = self.kubectl.run(["api-resources", "--no-headers"])
        if not result.ok and not result.stdout.strip():
            raise self._absent(result)
        kinds: Dict[Tuple[str, str], bool] = {}
        for line in result.stdout.splitlines():
            words = line.split()
            if len(words) >= 4 and words[-2] in ("true", "false"):
                kinds[(words[-3], words[-1])] = words[-2] == "true"
        if ("v1", "Namespace") not in kinds:
            raise self._absent(result)
        return kinds

    def _absent(self, result: Result) -> KubesteadError:
        where = self.kubectl.kubeconfig or "the default kubeconfig"
        if result.rc == 127:
            return ClusterAbsent("kubectl is not on this host; install it, or run this where it is")
        if "no such file or directory" in result.stderr:
            return ClusterAbsent("kubeconfig {0} is not there; give the path of a kubeconfig".format(where))
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
        scopes = _defined(self.objects)
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

    def _require_kinds(self, live: Live) -> None:
        """Unknown kinds are fine when the set brings their definition."""
        defined = _defined(live.objects)
        for index, obj in enumerate(live.objects):
            kind = (str(obj["apiVersion"]), str(obj["kind"]))
            if kind in live.unknown and kind not in defined:
                raise KubesteadError(
                    "{0}{1}: the cluster knows no kind {2} of {3}; correct it, or apply its CustomResourceDefinition "
                    "first".format(title(obj), self._origin(index), kind[1], kind[0])
                )

    def _origin(self, index: int) -> str:
        return " ({0})".format(self.sources[index]) if index in self.sources else ""

    def _get(self, objects: Sequence[Object], patient: bool = False) -> List[Object]:
        if not objects:
            return []
        arguments = ["get", "-f", "-", "--ignore-not-found", "-o", "json"]
        result = self.kubectl.run(arguments, stdin=_as_list([_stub(obj) for obj in objects]), timeout=120.0)
        if not result.ok:
            error = self.kubectl.error(arguments, result)
            if patient and isinstance(error, ApiUnreachable):
                # An API server may restart while a network plugin comes up: that is for the timeout to judge.
                return []
            raise error
        return _items(result.stdout)

    def _apply(self, objects: Sequence[Object], dry_run: bool = False) -> List[Object]:
        if not objects:
            return []
        arguments = _APPLY + (["--dry-run=server"] if dry_run else []) + ["-o", "json", "-f", "-"]
        result = self.kubectl.run(arguments, stdin=_as_list(objects), timeout=300.0)
        for line in result.stderr.splitlines():
            if line.startswith("Warning:") and line not in self.warnings:
                self.warnings.append(self._clean(line[len("Warning:") :].strip()))
        if result.ok:
            return _items(result.stdout)
        error = self.kubectl.error(["apply"], result)
        if isinstance(error, ApiUnreachable):
            raise error
        raise CommandError(self._refusal(result.stderr, dry_run))

    def _refusal(self, stderr: str, dry_run: bool) -> str:
        """One line for what the API server said, with the file of the object it is about."""
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
        when = "nothing was changed" if dry_run else "what came before it is applied"
        return "{0}the API server refuses: {1}{2}; correct the manifest ({3})".format(origin, text, more, when)

    def _clean(self, text: str) -> str:
        """A message without what stands in a Secret."""
        if self._secrets:
            # Some API servers quote the document around an error.
            text = text.split(", error found in #")[0]
            for value in self._secrets:
                text = text.replace(value, HIDDEN)
        return text

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
        """Why a workload does not get ready, from its pods and events, and what to do."""
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


# -- what the state of objects means (pure)


def rollout_problem(obj: Object, dead_nodes: int = 0) -> Optional[str]:
    """What a live workload still waits for, or None when all of its newest generation runs.

    ``dead_nodes`` is how many pods of a DaemonSet may be missing.
    """
    kind = obj.get("kind")
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    generation = int((obj.get("metadata") or {}).get("generation") or 0)
    if kind == "Pod":
        if status.get("phase") == "Succeeded":
            return None
        ready = _condition(obj, "Ready")
        return None if ready and ready.get("status") == "True" else "phase {0}".format(status.get("phase", "unknown"))
    if kind == "Job":
        complete = _condition(obj, "Complete")
        if complete and complete.get("status") == "True":
            return None
        failed = _condition(obj, "Failed")
        if failed and failed.get("status") == "True":
            return "it failed: {0}".format(failed.get("message") or failed.get("reason") or "no reason given")
        if spec.get("suspend"):
            return None
        return "{0} of {1} completions".format(status.get("succeeded") or 0, spec.get("completions") or 1)
    if int(status.get("observedGeneration") or 0) < generation:
        return "the controller has not seen the change yet"
    if kind == "DaemonSet":
        wanted = max(0, int(status.get("desiredNumberScheduled") or 0) - dead_nodes)
        updated = int(status.get("updatedNumberScheduled") or 0)
        available = int(status.get("numberAvailable") or 0)
        if (spec.get("updateStrategy") or {}).get("type") == "OnDelete":
            updated = wanted
    else:
        wanted = int(spec["replicas"]) if spec.get("replicas") is not None else 1
        updated = int(status.get("updatedReplicas") or 0)
        # StatefulSets tell the available ones from 1.22 on; before, ready ones are all there is.
        available = int(status.get("availableReplicas", status.get("readyReplicas")) or 0)
        if kind == "StatefulSet":
            strategy = spec.get("updateStrategy") or {}
            partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
            if strategy.get("type") == "OnDelete" or partition:
                updated = wanted if strategy.get("type") == "OnDelete" else min(wanted, updated + partition)
            elif status.get("currentRevision") == status.get("updateRevision"):
                # Once a rollout is over, updatedReplicas is left out.
                updated = int(status.get("currentReplicas") or updated)
            available = min(available, int(status.get("readyReplicas") or 0))
        elif int(status.get("replicas") or 0) > updated:
            return "{0} old pods are still there".format(int(status.get("replicas") or 0) - updated)
    if updated < wanted:
        return "{0} of {1} pods are updated".format(updated, wanted)
    if available < wanted:
        return "{0} of {1} pods are available".format(available, wanted)
    return None


def failed_for_good(obj: Object) -> bool:
    """True for a Job that failed: waiting does not help it. A Deployment past its deadline may still make progress."""
    failed = _condition(obj, "Failed") if obj.get("kind") == "Job" else None
    return bool(failed and failed.get("status") == "True")


def pod_trouble(pods: Sequence[Object]) -> Optional[Tuple[str, str]]:
    """The first trouble among pods as (what, fix), or None. The fix is "" when only a closer look helps."""
    # Pods that are over (evicted, failed) have others in their place, which say more.
    for pod in sorted(pods, key=lambda one: (one.get("status") or {}).get("phase") in ("Failed", "Succeeded")):
        _group, _kind, namespace, name = key(pod)
        status = pod.get("status") or {}
        node = (pod.get("spec") or {}).get("nodeName")
        where = "pod {0}{1}".format(name, " on {0}".format(node) if node else "")
        statuses = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
        for container in statuses:
            waiting = (container.get("state") or {}).get("waiting") or {}
            reason = waiting.get("reason", "")
            if reason in ("", "ContainerCreating", "PodInitializing"):
                continue
            message = waiting.get("message", "")
            if reason == "CrashLoopBackOff":
                ended = (container.get("lastState") or {}).get("terminated") or {}
                message = "exit code {0}, {1} restarts".format(
                    ended.get("exitCode", "unknown"), container.get("restartCount", 0)
                )
                fix = "see kubectl -n {0} logs {1} -c {2} --previous".format(namespace, name, container.get("name"))
            elif reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
                message = _cut(message or str(container.get("image", "")), 200)
                fix = "check the image's name and that the node can pull it"
            else:
                fix = ""
            text = "{0}, container {1}: {2}".format(where, container.get("name"), reason)
            return "{0}: {1}".format(text, _cut(message, 400)) if message else text, fix
        scheduled = _condition(pod, "PodScheduled")
        if scheduled and scheduled.get("status") == "False":
            return "{0}: {1}: {2}".format(where, scheduled.get("reason"), _cut(scheduled.get("message"), 200)), ""
        if status.get("phase") == "Failed":
            return "{0}: {1}".format(where, status.get("message") or status.get("reason") or "failed"), ""
    for pod in pods:
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            if "running" in (container.get("state") or {}) and not container.get("ready"):
                text = "pod {0}, container {1} runs and is not ready".format(key(pod)[3], container.get("name"))
                return text, ""
    return None


def event_trouble(events: Sequence[Object], names: Sequence[str]) -> str:
    """The newest warning about one of the named objects (or what they own), or ""."""
    found = []
    for event in events:
        about = str((event.get("involvedObject") or {}).get("name", ""))
        owned = any(about == name or about.startswith(name + "-") for name in names)
        if event.get("type") == "Warning" and owned:
            stamp = str(event.get("lastTimestamp") or event.get("eventTime") or "")
            found.append((stamp, "{0}: {1}".format(event.get("reason"), _cut(event.get("message"), 400))))
    return max(found)[1] if found else ""


def _condition(obj: Object, kind: str) -> Optional[Mapping[str, Any]]:
    for condition in (obj.get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind:
            return dict(condition)
    return None


def _defined(objects: Sequence[Object]) -> Dict[Tuple[str, str], bool]:
    """The kinds the objects themselves define, and whether theirs live in a namespace."""
    found: Dict[Tuple[str, str], bool] = {}
    for obj in objects:
        if obj["kind"] == FIRST_KINDS[0]:
            spec = obj.get("spec") or {}
            for version in spec.get("versions") or []:
                served = "{0}/{1}".format(spec.get("group"), version.get("name"))
                found[(served, str((spec.get("names") or {}).get("kind")))] = spec.get("scope") == "Namespaced"
    return found


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
        data = json.loads(text)
    except ValueError:
        raise CommandError("kubectl printed no JSON: {0}".format(_cut(text, 100))) from None
    if str(data.get("kind", "")).endswith("List") and isinstance(data.get("items"), list):
        return [copy.copy(item) for item in data["items"]]
    return [data]


def _secret_values(objects: Sequence[Object]) -> List[str]:
    """What stands in Secrets, longest first; values too short to be told from other text are left out."""
    values: Set[str] = set()
    for obj in objects:
        if obj.get("kind") == "Secret":
            for part in ("data", "stringData"):
                values.update(str(value) for value in (obj.get(part) or {}).values())
    return sorted((value for value in values if len(value) >= 4), key=len, reverse=True)
