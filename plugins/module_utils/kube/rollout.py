# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the state of workloads, pods and events means: rolled out, still at it, or failed and why. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Sequence, Tuple

from .objects import Object, key, shortened

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
        ready = condition(obj, "Ready")
        return None if ready and ready.get("status") == "True" else "phase {0}".format(status.get("phase", "unknown"))
    if kind == "Job":
        complete = condition(obj, "Complete")
        if complete and complete.get("status") == "True":
            return None
        failed = condition(obj, "Failed")
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
    failed = condition(obj, "Failed") if obj.get("kind") == "Job" else None
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
                message = shortened(message or str(container.get("image", "")), 200)
                fix = "check the image's name and that the node can pull it"
            else:
                fix = ""
            text = "{0}, container {1}: {2}".format(where, container.get("name"), reason)
            return "{0}: {1}".format(text, shortened(message, 400)) if message else text, fix
        scheduled = condition(pod, "PodScheduled")
        if scheduled and scheduled.get("status") == "False":
            return "{0}: {1}: {2}".format(where, scheduled.get("reason"), shortened(scheduled.get("message"), 200)), ""
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
            found.append((stamp, "{0}: {1}".format(event.get("reason"), shortened(event.get("message"), 400))))
    return max(found)[1] if found else ""


def condition(obj: Object, kind: str) -> Optional[Mapping[str, Any]]:
    """The condition of that type, or None."""
    for condition in (obj.get("status") or {}).get("conditions") or []:
        if condition.get("type") == kind:
            return dict(condition)
    return None
