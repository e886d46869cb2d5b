# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images in Kubernetes objects: finding them, and putting others in their place. Pure."""

from __future__ import annotations

import copy
from typing import Any, Dict, List, Mapping, Sequence, Tuple


def containers(obj: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Every container of an object that makes pods, init containers first."""
    spec = obj.get("spec")
    if not isinstance(spec, Mapping):
        return []
    if obj.get("kind") == "CronJob":
        spec = _inner(_inner(spec, "jobTemplate"), "spec")
    pod = spec if obj.get("kind") == "Pod" else _inner(_inner(spec, "template"), "spec")
    found: List[Dict[str, Any]] = []
    for part in ("initContainers", "containers", "ephemeralContainers"):
        entries = pod.get(part)
        if isinstance(entries, list):
            found.extend(entry for entry in entries if isinstance(entry, dict))
    return found


def split(image: str) -> Tuple[str, str]:
    """An image's full name and what pins it (``:tag``, ``@digest`` or "").

    ``redis:7`` is docker.io/library/redis and ``:7``.
    """
    name, digest_mark, digest = image.partition("@")
    pin = digest_mark + digest
    last = name.rsplit("/", 1)[-1]
    if ":" in last:
        tag = last.rsplit(":", 1)[1]
        name, pin = name[: -len(tag) - 1], ":" + tag + pin
    first, slash, _rest = name.partition("/")
    if not slash:
        name = "docker.io/library/" + name
    elif not ("." in first or ":" in first or first == "localhost"):
        name = "docker.io/" + name
    return name, pin


def replace(objects: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The objects with other images, ``wanted`` being old to new.

    An old image with a tag or digest stands for itself, one without for all of its tags; a new one without a tag keeps
    the old one's.
    """
    exact = {split(str(old)): str(new) for old, new in wanted.items()}
    changed = [copy.deepcopy(dict(obj)) for obj in objects]
    for obj in changed:
        for container in containers(obj):
            image = container.get("image")
            if not isinstance(image, str):
                continue
            name, pin = split(image)
            new = exact.get((name, pin), exact.get((name, "")))
            if new is not None:
                container["image"] = new if split(new)[1] else new + pin
    return changed


def _inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}
