# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of images, and images in Kubernetes objects. Pure."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .errors import OptionError


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


DOCKER_HUB = "docker.io"
# Where docker.io is served; it has other names in older configurations.
DOCKER_HUB_SERVER = "registry-1.docker.io"
DOCKER_HUB_NAMES = (DOCKER_HUB, DOCKER_HUB_SERVER, "index.docker.io")


@dataclass(frozen=True)
class Reference:
    """An image's full name: ``registry`` (``host[:port]``), ``path``, and what pins it (``tag``, ``digest``)."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        """The name without tag and digest."""
        return "{0}/{1}".format(self.registry, self.path)

    @property
    def pin(self) -> str:
        """``:tag``, ``@digest``, both, or nothing."""
        tag = ":" + self.tag if self.tag else ""
        return tag + ("@" + self.digest if self.digest else "")

    @property
    def stored(self) -> str:
        """The name by which the kubelet finds the image in containerd. With a digest, the name has no tag."""
        return "{0}@{1}".format(self.name, self.digest) if self.digest else str(self)

    def __str__(self) -> str:
        return self.name + self.pin

    def in_registry(self, registry: str) -> str:
        """The same image in another registry: ``quay.io/calico/node:v3`` in ``mirror`` is ``mirror/calico/node:v3``."""
        return "{0}/{1}{2}".format(registry.rstrip("/"), self.path, self.pin)


def parse(image: str) -> Reference:
    """An image as containerd completes its name: ``redis:7`` is docker.io/library/redis with the tag 7."""
    name, _mark, digest = image.partition("@")
    tag = ""
    if ":" in name.rsplit("/", 1)[-1]:
        name, _colon, tag = name.rpartition(":")
    registry = registry_of(name) if "/" in name else DOCKER_HUB
    if "/" not in name:
        path = "library/" + name
    else:
        path = name[len(registry) + 1 :] if name.startswith(registry + "/") else name
    return Reference(registry, path, tag, digest)


_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?"
_PART = r"[a-z0-9]{1,128}(?:[._-]{1,3}[a-z0-9]{1,128}){0,32}"
_IMAGE = re.compile(
    r"(?:{0}/)?{1}(?:/{1}){{0,32}}(?::[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?".format(
        _HOST, _PART
    )
)


def check_image(option: str, image: str) -> None:
    """Raise :class:`OptionError` for an invalid image name. Tag and digest are optional."""
    if not _IMAGE.fullmatch(image):
        # The value is not shown: it may be an address with a password.
        raise OptionError(
            option,
            "is not the name of an image",
            "use a name like quay.io/calico/node:v3.32.1, or one with a digest: @sha256: and 64 hexadecimal digits",
        )


def registry_of(repository: str) -> str:
    """The registry of a repository (``registry.example.org:5000/k8s``), docker.io if its first part is not a host."""
    first = repository.partition("/")[0]
    return first if "." in first or ":" in first or first == "localhost" else DOCKER_HUB


def server_of(registry: str) -> Tuple[str, int]:
    """Host and port at which a registry is served over HTTPS."""
    host, colon, port = registry.rpartition(":")
    if not colon or not port.isdigit():
        host, port = registry, "443"
    return (DOCKER_HUB_SERVER if host in DOCKER_HUB_NAMES else host.strip("[]")), int(port)


def replace(objects: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """The objects with other images, ``wanted`` being old to new.

    An old image with a tag or digest stands for itself, one without for all of its tags; a new one without a tag keeps
    the old one's.
    """
    exact = {(old.name, old.pin): new for old, new in ((parse(str(old)), str(new)) for old, new in wanted.items())}
    changed = [copy.deepcopy(dict(obj)) for obj in objects]
    for obj in changed:
        for container in containers(obj):
            image = container.get("image")
            if not isinstance(image, str):
                continue
            old = parse(image)
            new = exact.get((old.name, old.pin), exact.get((old.name, "")))
            if new is not None:
                container["image"] = new if parse(new).pin else new + old.pin
    return changed


def _inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}
