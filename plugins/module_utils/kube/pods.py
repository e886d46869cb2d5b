# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods, their controllers and disruption budgets, with the fields that a drain needs. Pure.

Users of the cluster and kubelets write pods, so nothing in them is trusted: a value of the wrong type is read as its
default.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from ..core import untrusted

PODS = "/api/v1/pods"
REPLICA_SETS = "/apis/apps/v1/replicasets"
STATEFUL_SETS = "/apis/apps/v1/statefulsets"
BUDGETS = "/apis/policy/v1/poddisruptionbudgets"
#: The path in Kubernetes 1.20 and older.
OLD_BUDGETS = "/apis/policy/v1beta1/poddisruptionbudgets"
DAEMON_SETS = "/apis/apps/v1/daemonsets"
#: Controllers that replace an evicted pod. A Job may already be complete, so its pod may not be replaced.
REPLICATED = ("ReplicaSet", "StatefulSet")
_MIRROR = "kubernetes.io/config.mirror"
_DAEMON_SET = "DaemonSet"


@dataclass(frozen=True)
class Pod:
    """A pod. ``controller`` is the (kind, name) of its controller, ``controller_uid`` its UID; empty for a bare pod.

    ``volumes`` are the names of its emptyDir volumes, whose data is lost on eviction. ``requests`` maps
    resources to numbers (CPUs, bytes). ``over`` is true if the pod has finished, ``leaving`` if it is being deleted.
    ``orphaned`` is true if its controller is a DaemonSet that does not exist, so that nothing would replace the pod.
    ``tolerations`` are (key, operator, value, effect).
    """

    namespace: str
    name: str
    node: str = ""
    controller: Tuple[str, str] = ("", "")
    controller_uid: str = ""
    labels: Dict[str, str] = field(default_factory=dict)
    static: bool = False
    over: bool = False
    leaving: bool = False
    orphaned: bool = False
    ready: bool = False
    started: bool = False
    volumes: Tuple[str, ...] = ()
    requests: Dict[str, float] = field(default_factory=dict)
    selector: Dict[str, str] = field(default_factory=dict)
    tolerations: Tuple[Tuple[str, str, str, str], ...] = ()

    @property
    def title(self) -> str:
        """``namespace/name``."""
        return "{0}/{1}".format(self.namespace, self.name)

    @property
    def workload(self) -> str:
        """``Kind namespace/name`` of the controller; empty if no controller replaces the pod after an eviction."""
        kind, name = self.controller
        return "{0} {1}/{2}".format(kind, self.namespace, name) if kind in REPLICATED and name else ""

    @property
    def moves(self) -> bool:
        """True for a pod that a drain must evict. Pods of existing DaemonSets and static pods stay."""
        return self._is_drained and not self.leaving

    @property
    def ends(self) -> bool:
        """True for a pod that is already terminating, so that a drain only waits for it."""
        return self._is_drained and self.leaving

    @property
    def _is_drained(self) -> bool:
        return not (self.static or self.over or (self.controller[0] == _DAEMON_SET and not self.orphaned))

    def tolerates(self, taint: str) -> bool:
        """True if the pod may run on a node with this taint (``key[=value]:Effect``)."""
        key_value, _colon, effect = taint.rpartition(":")
        key, _equals, value = key_value.partition("=")
        if effect not in ("NoSchedule", "NoExecute"):
            return True
        for its_key, operator, its_value, its_effect in self.tolerations:
            if its_effect not in ("", effect):
                continue
            if (not its_key and operator == "Exists") or (its_key == key and _accepts(operator, its_value, value)):
                return True
        return False


def _accepts(operator: str, value: str, taint: str) -> bool:
    """True if a toleration with this operator and value accepts the value of a taint with the same key.

    ``Gt`` and ``Lt`` exist from Kubernetes 1.35 on: the taint's value must be greater or less than the toleration's.
    """
    if operator in ("Gt", "Lt"):
        threshold, number = _integer(value), _integer(taint)
        if threshold is None or number is None:
            return False
        return number > threshold if operator == "Gt" else number < threshold
    return operator == "Exists" or (operator in ("", "Equal") and value == taint)


def _integer(text: str) -> Optional[int]:
    """An integer as the API server accepts it in these tolerations: without a plus sign and leading zeros."""
    return int(text) if _INTEGER.match(text) else None


_INTEGER = re.compile(r"(?:0|-?[1-9][0-9]{0,18})\Z")


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget. ``allowed`` is the number of pods that may be evicted now.

    ``wanted`` of ``expected`` pods must stay healthy. An empty ``selector`` matches every pod of the namespace;
    ``expressions`` are the parts of a selector that are not simple labels: (key, operator, values).
    """

    namespace: str
    name: str
    allowed: int = 0
    wanted: int = 0
    expected: int = 0
    selector: Dict[str, str] = field(default_factory=dict)
    expressions: Tuple[Tuple[str, str, Tuple[str, ...]], ...] = ()
    evicts_unhealthy: bool = False

    @property
    def permanent(self) -> bool:
        """True if the budget does not allow an eviction even when all of its pods are healthy."""
        return self.allowed == 0 and self.wanted >= self.expected

    def covers(self, pod: Pod) -> bool:
        """True if the budget applies to this pod."""
        if pod.namespace != self.namespace:
            return False
        if any(pod.labels.get(name) != value for name, value in self.selector.items()):
            return False
        return all(_matches(pod.labels, *expression) for expression in self.expressions)


def _matches(labels: Mapping[str, str], key: str, operator: str, values: Tuple[str, ...]) -> bool:
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) == (operator == "Exists")


# -- reading


def read_pods(data: Any, daemon_sets: Any = None) -> List[Pod]:
    """The pods of a PodList. Never raises.

    ``daemon_sets`` is the DaemonSetList of the cluster. Without it, no pod is recognized as orphaned.
    """
    found = [_pod(item) for item in untrusted.mappings(untrusted.mapping(data).get("items"))]
    found = [pod for pod in found if pod.name]
    if daemon_sets is None:
        return found
    known = set()
    for item in untrusted.mappings(untrusted.mapping(daemon_sets).get("items")):
        metadata = untrusted.mapping(item.get("metadata"))
        known.add((untrusted.text(metadata.get("namespace")), untrusted.text(metadata.get("name"))))
    return [replace(pod, orphaned=_is_orphaned(pod, known)) for pod in found]


def _is_orphaned(pod: Pod, known: Set[Tuple[str, str]]) -> bool:
    """True if the controller of the pod is a DaemonSet that is not ``known``. A pod can name any controller."""
    kind, name = pod.controller
    return kind == _DAEMON_SET and (pod.namespace, name) not in known


def _pod(item: Mapping[str, Any]) -> Pod:
    metadata, spec = untrusted.mapping(item.get("metadata")), untrusted.mapping(item.get("spec"))
    status = untrusted.mapping(item.get("status"))
    owners = [one for one in untrusted.mappings(metadata.get("ownerReferences")) if one.get("controller") is True]
    owner = owners[0] if owners else {}
    conditions = untrusted.mappings(status.get("conditions"))
    tolerations = [
        tuple(untrusted.text(one.get(name), 317) for name in ("key", "operator", "value", "effect"))
        for one in untrusted.mappings(spec.get("tolerations"))
    ]
    return Pod(
        namespace=untrusted.text(metadata.get("namespace")),
        name=untrusted.text(metadata.get("name")),
        node=untrusted.text(spec.get("nodeName")),
        controller=(untrusted.text(owner.get("kind"), 64), untrusted.text(owner.get("name"))),
        controller_uid=untrusted.text(owner.get("uid"), 64),
        labels=untrusted.labels(metadata.get("labels")),
        static=_MIRROR in untrusted.mapping(metadata.get("annotations")),
        over=status.get("phase") in ("Succeeded", "Failed"),
        leaving=bool(metadata.get("deletionTimestamp")),
        ready=any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions),
        started=status.get("phase") not in ("Pending", None),
        volumes=tuple(
            untrusted.text(one.get("name"), 64)
            for one in untrusted.mappings(spec.get("volumes"))
            if one.get("emptyDir") is not None
        ),
        requests=_requests(spec),
        selector=untrusted.labels(spec.get("nodeSelector")),
        tolerations=tuple((one[0], one[1], one[2], one[3]) for one in tolerations),
    )


def _requests(spec: Mapping[str, Any]) -> Dict[str, float]:
    """The resources that the pod requests, computed like in the scheduler.

    That is the sum of its containers and sidecars (init containers that are restarted), or, if larger, an init
    container together with the sidecars before it. Requests of the pod itself replace this sum, and the overhead of its
    runtime class is added.
    """
    total: Dict[str, float] = {}
    for container in untrusted.mappings(spec.get("containers")):
        _add(total, _amounts(container))
    sidecars: Dict[str, float] = {}
    initial: Dict[str, float] = {}
    for container in untrusted.mappings(spec.get("initContainers")):
        amounts = _amounts(container)
        _add(amounts, sidecars)
        if container.get("restartPolicy") == "Always":
            sidecars = amounts
        for name, amount in amounts.items():
            initial[name] = max(initial.get(name, 0.0), amount)
    _add(total, sidecars)
    for name, amount in initial.items():
        total[name] = max(total.get(name, 0.0), amount)
    # The API server accepts no other resources here.
    total.update(_amounts(spec))
    _add(total, _quantities(spec.get("overhead")))
    total["pods"] = 1.0
    return total


def _add(total: Dict[str, float], amounts: Mapping[str, float]) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, 0.0) + amount


def _amounts(holder: Mapping[str, Any]) -> Dict[str, float]:
    """The requests of a container or of a pod's specification."""
    return _quantities(untrusted.mapping(holder.get("resources")).get("requests"))


def _quantities(data: Any) -> Dict[str, float]:
    return {untrusted.text(name, 317): quantity(value) for name, value in untrusted.mapping(data).items()}


_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(?:([eE][+-]?[0-9]{1,2})|(m|[kMGTPE]i?|Ki|))\Z")
_SCALE = {"": 1.0, "m": 0.001, "k": 1e3}
_SCALE.update({letter: 1000.0 ** (at + 2) for at, letter in enumerate("MGTPE")})
_SCALE.update({letter + "i": 1024.0 ** (at + 1) for at, letter in enumerate("KMGTPE")})


def quantity(value: Any) -> float:
    """A Kubernetes quantity (``250m``, ``64Mi``, ``1.5``) as a number; 0 if the value is invalid."""
    text = str(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    match = _QUANTITY.match(text) if isinstance(text, str) else None
    if match is None:
        return 0.0
    number, exponent, suffix = match.groups()
    return float(number + exponent) if exponent else float(number) * _SCALE.get(suffix, 0.0)


def read_budgets(data: Any) -> List[Budget]:
    """The budgets of a PodDisruptionBudgetList. Never raises."""
    found = []
    for item in untrusted.mappings(untrusted.mapping(data).get("items")):
        metadata, spec = untrusted.mapping(item.get("metadata")), untrusted.mapping(item.get("spec"))
        status, selector = untrusted.mapping(item.get("status")), untrusted.mapping(spec.get("selector"))
        if spec.get("selector") is None:
            # A budget without a selector does not match any pod.
            continue
        expressions = [
            (
                untrusted.text(one.get("key"), 317),
                untrusted.text(one.get("operator"), 64),
                tuple(map(untrusted.text, _values(one.get("values")))),
            )
            for one in untrusted.mappings(selector.get("matchExpressions"))
        ]
        found.append(
            Budget(
                namespace=untrusted.text(metadata.get("namespace")),
                name=untrusted.text(metadata.get("name")),
                allowed=untrusted.integer(status.get("disruptionsAllowed")),
                wanted=untrusted.integer(status.get("desiredHealthy")),
                expected=untrusted.integer(status.get("expectedPods")),
                selector=untrusted.labels(selector.get("matchLabels")),
                expressions=tuple(expressions),
                evicts_unhealthy=spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow",
            )
        )
    return found


def _values(data: Any) -> List[str]:
    """The texts in the list of a selector. An empty one is the value of a label, too."""
    return [one for one in data if isinstance(one, str)] if isinstance(data, list) else []


def read_allocatable(data: Any) -> Dict[str, Dict[str, float]]:
    """The allocatable resources of the nodes in a NodeList, keyed by node name. Never raises."""
    found = {}
    for item in untrusted.mappings(untrusted.mapping(data).get("items")):
        amounts = untrusted.mapping(untrusted.mapping(item.get("status")).get("allocatable"))
        name = untrusted.text(untrusted.mapping(item.get("metadata")).get("name"))
        found[name] = {untrusted.text(key, 317): quantity(value) for key, value in amounts.items()}
    return found


# -- workloads


def ready_pods(pods: Sequence[Pod]) -> Dict[str, int]:
    """The number of ready pods of each workload, keyed by :attr:`Pod.workload`."""
    counts: Dict[str, int] = {}
    for pod in pods:
        if pod.workload and pod.ready and not (pod.over or pod.leaving):
            counts[pod.workload] = counts.get(pod.workload, 0) + 1
    return counts


def read_replicas(data: Any, kind: str) -> Dict[str, int]:
    """The desired replicas of the controllers in a list, keyed by ``Kind namespace/name``. Never raises."""
    found = {}
    for item in untrusted.mappings(untrusted.mapping(data).get("items")):
        metadata, spec = untrusted.mapping(item.get("metadata")), untrusted.mapping(item.get("spec"))
        namespace, name = untrusted.text(metadata.get("namespace")), untrusted.text(metadata.get("name"))
        replicas = spec.get("replicas")
        found["{0} {1}/{2}".format(kind, namespace, name)] = 1 if replicas is None else untrusted.integer(replicas)
    return found
