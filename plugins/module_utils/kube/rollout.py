# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Evaluates the state of workloads, pods and events: rolled out, in progress, or failed with a reason. Pure."""

from __future__ import annotations

import re
from typing import Any, List, Mapping, Optional, Sequence, Tuple

from ..core.untrusted import integer, labels, mapping, mappings
from .objects import Object, key, shortened
from .pods import Pod

_WORKLOADS = (("apps", "Deployment"), ("apps", "DaemonSet"), ("apps", "StatefulSet"), ("batch", "Job"), ("", "Pod"))
#: Seconds without progress after which a rollout that can't be completed now is no longer waited for.
SETTLES = 30.0
# The reasons of the events that the Job controller emits for a failed Job.
_JOB_FAILURES = (
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "PodFailurePolicy",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
)
# The version of a DaemonSet's template, in an annotation of the DaemonSet and a label of its pods.
_TEMPLATE, _POD_TEMPLATE = "deprecated.daemonset.template.generation", "pod-template-generation"
# The name of a container, as the API accepts it in a pod. It does not check the name in the status of a pod.
_CONTAINER = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")

# -- what the state of objects means (pure)


def is_workload(obj: Object) -> bool:
    """True for a workload whose rollout is waited for. Kinds of the same name in other groups have another status."""
    group, kind, _namespace, _name = key(obj)
    return (group, kind) in _WORKLOADS


def rollout_problem(obj: Object, dead_nodes: int = 0) -> Optional[str]:
    """What a live workload still waits for; None if its latest generation has rolled out.

    ``dead_nodes`` is how many pods of a DaemonSet may be missing.
    """
    problem = _problem(obj, dead_nodes)
    if is_deleted(obj) and not _has_ended(obj):
        return "it is being deleted"
    return "it is paused, and {0}".format(problem) if problem and is_held(obj) else problem


def living_problem(daemon_set: Object, dead_nodes: int) -> Optional[str]:
    """What the pods of a DaemonSet on living nodes still wait for; None if they are available.

    The controller of DaemonSets counts the deleted pod on a node that is down as unavailable, so with the usual
    ``maxUnavailable: 1`` it replaces no other pod: the rollout stops until that node is back or its Node is deleted. If
    there are such nodes (``dead_nodes``), the pods on the others may therefore be old.
    """
    if not dead_nodes:
        return rollout_problem(daemon_set)
    spec = dict(mapping(daemon_set.get("spec")), updateStrategy={"type": "OnDelete"})
    return rollout_problem(dict(daemon_set, spec=spec), dead_nodes)


def lost_nodes(pods: Sequence[Pod], dead: Sequence[str]) -> List[str]:
    """The names of the dead nodes on which a workload has pods, but none that is ready."""
    ready = {pod.node for pod in pods if pod.ready}
    return sorted({pod.node for pod in pods if not pod.over} & set(dead) - ready)


def without_updated(daemon_set: Object, pods: Sequence[Pod], lost: Sequence[str]) -> Object:
    """A DaemonSet whose status does not count updated pods on the nodes ``lost`` (:func:`lost_nodes`).

    Otherwise a pod that was updated before its node failed would stand for an old one on a living node.
    """
    generation = _template(daemon_set)
    old = {pod.node for pod in pods if not pod.over and pod.labels.get(_POD_TEMPLATE) != generation}
    status = mapping(daemon_set.get("status"))
    updated = integer(status.get("updatedNumberScheduled")) - len(set(lost) - old)
    return dict(daemon_set, status=dict(status, updatedNumberScheduled=max(0, updated))) if generation else daemon_set


def _template(daemon_set: Object) -> str:
    """The version of a DaemonSet's template; empty if it is not known."""
    return labels(mapping(daemon_set.get("metadata")).get("annotations")).get(_TEMPLATE, "")


def left_behind(daemon_set: Object, pods: Sequence[Pod], lost: Sequence[str]) -> Optional[Pod]:
    """An old pod of a DaemonSet whose rollout the nodes ``lost`` stop (:func:`is_stopped`), to be deleted next.

    The controller creates its successor. None while a pod on another living node is missing, starting or terminating,
    and if there is no old pod. Pods count only if the DaemonSet is their controller, whatever their labels are.
    """
    generation, uid = _template(daemon_set), mapping(daemon_set.get("metadata")).get("uid")
    if not generation or not uid:
        return None
    living = [pod for pod in pods if pod.node not in lost and pod.controller_uid == uid and not pod.over]
    # The status may still count a pod that is gone.
    wanted = integer(mapping(daemon_set.get("status")).get("desiredNumberScheduled")) - len(lost)
    if any(pod.leaving or not pod.ready for pod in living) or len({pod.node for pod in living}) < wanted:
        return None
    old = [pod for pod in living if pod.labels.get(_POD_TEMPLATE) != generation]
    return min(old, key=lambda pod: pod.node) if old else None


def is_recreated(obj: Object) -> bool:
    """True for a Deployment that starts no new pod while an old one exists, also on a node that is down."""
    strategy = mapping(mapping(obj.get("spec")).get("strategy"))
    return obj.get("kind") == "Deployment" and strategy.get("type") == "Recreate"


def is_stopped(obj: Object, pods: Sequence[Pod], lost: Sequence[str]) -> bool:
    """True if only the nodes ``lost`` (:func:`lost_nodes`) prevent a DaemonSet or :func:`is_recreated` Deployment from
    rolling out: all its pods on other nodes are available, or it does not have pods there.
    """
    living = [pod for pod in pods if not pod.over and pod.node not in lost]
    if obj.get("kind") == "DaemonSet":
        # With maxSurge, the status counts the old pod of a node as available while the new one does not start.
        return bool(lost) and living_problem(obj, len(lost)) is None and all(pod.ready for pod in living)
    return bool(lost) and _is_processed(obj) and not living


def stopped_by(names: Sequence[str]) -> str:
    """The words about nodes that stop a rollout, with the fix."""
    shown = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
    return "a node that is not ready stops the rollout, so start or remove {0}".format(shown)


def _is_processed(obj: Object) -> bool:
    """True if the controller has observed the latest generation of a workload."""
    generation = integer(mapping(obj.get("metadata")).get("generation"))
    return integer(mapping(obj.get("status")).get("observedGeneration")) >= generation


def _problem(obj: Object, dead_nodes: int) -> Optional[str]:
    kind = obj.get("kind")
    spec, status = mapping(obj.get("spec")), mapping(obj.get("status"))
    if kind == "Pod":
        if status.get("phase") == "Succeeded":
            return None
        ready = condition(obj, "Ready")
        if ready and ready.get("status") == "True":
            return None
        reason = _words(status) or status.get("reason") if status.get("phase") == "Failed" else None
        return "phase {0}{1}".format(status.get("phase", "unknown"), ": {0}".format(reason) if reason else "")
    if kind == "Job":
        complete = condition(obj, "Complete")
        if complete and complete.get("status") == "True":
            return None
        failed = condition(obj, "Failed")
        if failed and failed.get("status") == "True":
            return "it failed: {0}".format(failed.get("message") or failed.get("reason") or "no reason given")
        # A suspended Job, or one with a parallelism of 0, does not start pods until its spec changes.
        if spec.get("suspend") or (spec.get("parallelism") is not None and not integer(spec["parallelism"])):
            return None
        return "{0} of {1} completions".format(status.get("succeeded") or 0, spec.get("completions") or 1)
    if not _is_processed(obj):
        return "the controller has not processed the change yet"
    if kind == "DaemonSet":
        wanted = max(0, integer(status.get("desiredNumberScheduled")) - dead_nodes)
        updated = integer(status.get("updatedNumberScheduled"))
        available = integer(status.get("numberAvailable"))
        if mapping(spec.get("updateStrategy")).get("type") == "OnDelete":
            updated = wanted
    else:
        wanted = integer(spec["replicas"]) if spec.get("replicas") is not None else 1
        updated = integer(status.get("updatedReplicas"))
        # StatefulSets report availableReplicas from 1.22 on; earlier versions report only readyReplicas.
        available = integer(status.get("availableReplicas", status.get("readyReplicas")))
        if kind == "StatefulSet":
            strategy = mapping(spec.get("updateStrategy"))
            partition = integer(mapping(strategy.get("rollingUpdate")).get("partition"))
            if strategy.get("type") == "OnDelete" or partition:
                updated = wanted if strategy.get("type") == "OnDelete" else min(wanted, updated + partition)
            elif status.get("currentRevision") == status.get("updateRevision"):
                # After a rollout, updatedReplicas is omitted.
                updated = integer(status.get("currentReplicas")) or updated
            available = min(available, integer(status.get("readyReplicas")))
        elif integer(status.get("replicas")) > updated:
            return "{0} old pods still exist".format(integer(status.get("replicas")) - updated)
    if updated < wanted:
        return "{0} of {1} pods are updated".format(updated, wanted)
    if available < wanted:
        return "{0} of {1} pods are available".format(available, wanted)
    return None


def _is_true(obj: Object, kind: str) -> bool:
    found = condition(obj, kind)
    return bool(found and found.get("status") == "True")


def _has_failed(obj: Object) -> bool:
    if obj.get("kind") == "Pod":
        return mapping(obj.get("status")).get("phase") == "Failed"
    return obj.get("kind") == "Job" and _is_true(obj, "Failed")


def _has_ended(obj: Object) -> bool:
    if obj.get("kind") == "Pod":
        return mapping(obj.get("status")).get("phase") in ("Succeeded", "Failed")
    return obj.get("kind") == "Job" and (_is_true(obj, "Complete") or _is_true(obj, "Failed"))


def is_deleted(obj: Object) -> bool:
    """True for an object that is being deleted."""
    return bool(mapping(obj.get("metadata")).get("deletionTimestamp"))


def is_paused(obj: Object) -> bool:
    """True for a paused Deployment."""
    return obj.get("kind") == "Deployment" and bool(mapping(obj.get("spec")).get("paused"))


def is_held(obj: Object) -> bool:
    """True for a live, paused Deployment whose controller has observed its latest generation."""
    return is_paused(obj) and _is_processed(obj)


def removes_itself(obj: Object) -> bool:
    """True for a Job that is deleted automatically after it finishes."""
    return obj.get("kind") == "Job" and mapping(obj.get("spec")).get("ttlSecondsAfterFinished") is not None


def past_deadline(obj: Object) -> bool:
    """True for a Deployment that made no progress for its ``progressDeadlineSeconds``.

    The Deployment may still make progress once the cause is fixed. Only a Deployment that exceeds its deadline during
    the wait counts as failed.
    """
    found = condition(obj, "Progressing") if obj.get("kind") == "Deployment" else None
    return bool(found and found.get("status") == "False" and found.get("reason") == "ProgressDeadlineExceeded")


def dead_end(obj: Object) -> str:
    """The fix for a live workload whose rollout can't complete by waiting; "" if waiting may help."""
    _group, kind, namespace, name = key(obj)
    if is_deleted(obj) and not _has_ended(obj):
        return "run again when it is gone"
    if _has_failed(obj):
        target = "job/" + name if kind == "Job" else name
        return "see kubectl -n {0} logs {1}, delete the {2} and run again".format(namespace, target, kind)
    if is_held(obj):
        return "run kubectl -n {0} rollout resume deployment/{1}, or set paused: true in its manifest".format(
            namespace, name
        )
    return ""


def job_failure(events: Sequence[Object], name: str) -> str:
    """Why a deleted Job failed, from its latest completion or failure event; "" unless that is a failure."""
    ends = []
    for event in events:
        about = mapping(event.get("involvedObject"))
        reason = str(event.get("reason"))
        if about.get("kind") == "Job" and about.get("name") == name and reason in ("Completed", *_JOB_FAILURES):
            ends.append(
                (_stamp(event), reason != "Completed", "{0}: {1}".format(reason, shortened(_words(event), 200)))
            )
    _when, failed, text = max(ends, default=("", False, ""))
    return text if failed else ""


def pod_trouble(pods: Sequence[Object]) -> Optional[Tuple[str, str]]:
    """The first problem of a pod as (problem, fix); None without one. The fix is empty if it is not known."""
    # Pods that have ended (evicted, failed) are replaced by other pods, which show the problem.
    for pod in sorted(pods, key=lambda one: mapping(one.get("status")).get("phase") in ("Failed", "Succeeded")):
        _group, _kind, namespace, name = key(pod)
        status = mapping(pod.get("status"))
        node = mapping(pod.get("spec")).get("nodeName")
        where = "pod {0}{1}".format(name, " on {0}".format(node) if node else "")
        statuses = mappings(status.get("initContainerStatuses")) + mappings(status.get("containerStatuses"))
        for container in statuses:
            waiting = mapping(mapping(container.get("state")).get("waiting"))
            reason = str(waiting.get("reason") or "")
            if reason in ("", "ContainerCreating", "PodInitializing"):
                continue
            message = str(waiting.get("message") or "")
            if reason == "CrashLoopBackOff":
                ended = mapping(mapping(container.get("lastState")).get("terminated"))
                message = "exit code {0}, {1} restarts".format(
                    ended.get("exitCode", "unknown"), container.get("restartCount", 0)
                )
                fix = "see kubectl -n {0} logs {1}{2} --previous".format(namespace, name, _option(container))
            elif reason in ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"):
                message = shortened(message or str(container.get("image", "")), 200)
                fix = "check the image name and whether the node can pull it"
            else:
                fix = ""
            text = "{0}, container {1}: {2}".format(where, container.get("name"), reason)
            return "{0}: {1}".format(text, shortened(message, 400)) if message else text, fix
        scheduled = condition(pod, "PodScheduled")
        if scheduled and scheduled.get("status") == "False":
            return "{0}: {1}: {2}".format(where, scheduled.get("reason"), shortened(_words(scheduled), 200)), ""
        if status.get("phase") == "Failed":
            return "{0}: {1}".format(where, status.get("message") or status.get("reason") or "failed"), ""
    for pod in pods:
        for container in mappings(mapping(pod.get("status")).get("containerStatuses")):
            if "running" in mapping(container.get("state")) and not container.get("ready"):
                text = "pod {0}, container {1} runs but is not ready".format(key(pod)[3], container.get("name"))
                return text, ""
    return None


def ending_pod(pods: Sequence[Object]) -> str:
    """The first pod that is terminating, in words; empty without one."""
    for pod in pods:
        if is_deleted(pod):
            return "pod {0} on {1} is terminating".format(key(pod)[3], mapping(pod.get("spec")).get("nodeName"))
    return ""


def _option(container: Mapping[str, Any]) -> str:
    """The option of kubectl for a container; empty for a name that is not one, because a kubelet reports it."""
    name = container.get("name")
    return " -c {0}".format(name) if isinstance(name, str) and _CONTAINER.match(name) else ""


def event_trouble(events: Sequence[Object], names: Sequence[str]) -> str:
    """The newest warning about one of the named objects (or what they own), or ""."""
    found = []
    for event in events:
        about = str(mapping(event.get("involvedObject")).get("name", ""))
        owned = any(about == name or about.startswith(name + "-") for name in names)
        if event.get("type") == "Warning" and owned:
            found.append((_stamp(event), "{0}: {1}".format(event.get("reason"), shortened(_words(event), 400))))
    return max(found)[1] if found else ""


def _stamp(event: Object) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or "")


def _words(value: Mapping[str, Any]) -> Optional[str]:
    return None if value.get("message") is None else str(value["message"])


def condition(obj: Object, kind: str) -> Optional[Mapping[str, Any]]:
    """The condition of that type, or None."""
    for condition in mappings(mapping(obj.get("status")).get("conditions")):
        if condition.get("type") == kind:
            return dict(condition)
    return None
