# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applies Kubernetes objects server-side: predicts the changes, makes them, and waits for their rollout.

The prediction comes from the API server: a server-side dry run, compared with the live object. For any number of
objects, observing takes three calls of kubectl and applying takes two or three. Each API version that is served but
not preferred takes one more call.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..core.errors import CommandError, KubesteadError
from ..core.poll import Clock, Sleep
from ..core.redact import redact
from ..core.step import Step
from ..core.system import Result
from .kinds import DEFINITION, defined_kinds, other_versions, preferred_kinds, served_kinds, versions_of
from .kubectl import ApiUnreachable, Kubectl
from .objects import (
    Key,
    Object,
    change_reason,
    check,
    diff_side,
    differences,
    items_of,
    key,
    plain_secret,
    render,
    secret_values,
    title,
)
from .rollout_wait import RolloutWait, Waited

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
        failed: Sequence[str] = (),
        recreated: bool = False,
        clock: Optional[Clock] = None,
        sleep: Optional[Sleep] = None,
    ) -> Waited:
        """Wait until every workload of the set has rolled out; see :class:`RolloutWait`."""
        waiting = RolloutWait(self.kubectl, self._get, failed, recreated, clock=clock, sleep=sleep)
        return waiting.wait(live.objects if live else self.objects, timeout)

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
        return items_of(result.stdout)

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
            return items_of(result.stdout)
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


def _stub(obj: Object) -> Dict[str, Any]:
    metadata = {name: obj["metadata"][name] for name in ("name", "namespace") if obj["metadata"].get(name)}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata}


def _as_list(objects: Sequence[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
