# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images as files: layers, manifests, and the tree of a registry that is only read.

Such a registry is a tree of files: manifests by tag and digest, blobs by digest. :class:`Registry` writes the tree and
nginx serves it (see mirror/nginx.py). Layers are not compressed, because the nodes are on the same machine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .machine import MachineError, run

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Image:
    """A container image. ``names`` are full: registry/path:tag."""

    names: Tuple[str, ...]
    layers: Tuple[Path, ...]
    entrypoint: Tuple[str, ...] = ()
    command: Tuple[str, ...] = ()
    environment: Tuple[str, ...] = (PATH,)
    ports: Tuple[str, ...] = ()
    folder: str = "/"
    labels: Mapping[str, str] = field(default_factory=dict)


def split_name(name: str) -> Tuple[str, str, str]:
    """Registry, path and tag of a full image name such as ``registry.k8s.io/coredns/coredns:v1.12.3``."""
    match = re.fullmatch(r"([a-z0-9.-]+(?::\d+)?)/([a-z0-9._/-]+):([A-Za-z0-9_][A-Za-z0-9._-]{0,127})", name)
    if not match or not ("." in match.group(1) or ":" in match.group(1) or match.group(1) == "localhost"):
        raise MachineError(f"image name {name} is not registry/path:tag")
    return match.group(1), match.group(2), match.group(3)


def full_name(name: str) -> str:
    """``docker.io/library/redis:7`` of ``redis:7``: a name as containerd completes it."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    return name if ":" in name.rsplit("/", 1)[-1] else f"{name}:latest"


# -- layers


def file_layer(target: Path, files: Mapping[str, Tuple[Path | str, int]]) -> Path:
    """Write a layer of single files: path -> (a file or a text, mode)."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        made: set[str] = set()
        for path, (content, mode) in sorted(files.items()):
            for parent in reversed(Path(path).parents[:-1]):
                if str(parent) not in made:
                    made.add(str(parent))
                    tar.addfile(_plain(tarfile.TarInfo(str(parent)), tarfile.DIRTYPE, 0o755))
            entry = _plain(tarfile.TarInfo(path), tarfile.REGTYPE, mode)
            if isinstance(content, str):
                data = content.encode()
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            else:
                entry.size = content.stat().st_size
                with content.open("rb") as handle:
                    tar.addfile(entry, handle)
    return target


def tree_layer(target: Path, root: Path) -> Path:
    """Write a layer of everything below ``root``, owned by root and without times, so that it is reproducible."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(root.rglob("*")):
            entry = tar.gettarinfo(path, arcname=str(path.relative_to(root)))
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = 0
            if entry.isreg():
                with path.open("rb") as handle:
                    tar.addfile(entry, handle)
            else:
                tar.addfile(entry)
    return target


def _plain(entry: tarfile.TarInfo, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry.type = kind
    entry.mode = mode
    return entry


# -- the registry


def image_config(image: Image, architecture: str, layer_digests: Sequence[str]) -> Dict[str, Any]:
    """An image's configuration; for layers that are not compressed a layer's digest is also its diff id."""
    settings: Dict[str, Any] = {"Env": list(image.environment), "WorkingDir": image.folder}
    if image.entrypoint:
        settings["Entrypoint"] = list(image.entrypoint)
    if image.command:
        settings["Cmd"] = list(image.command)
    if image.ports:
        settings["ExposedPorts"] = {port: {} for port in image.ports}
    if image.labels:
        settings["Labels"] = dict(image.labels)
    return {
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": settings,
        "rootfs": {"type": "layers", "diff_ids": list(layer_digests)},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "kubestead lab"} for _ in layer_digests],
    }


def image_manifest(config: bytes, layers: Sequence[Tuple[str, int]]) -> Dict[str, Any]:
    """The manifest over a configuration's bytes and layers (digest, size)."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(config), "size": len(config)},
        "layers": [{"mediaType": LAYER, "digest": name, "size": size} for name, size in layers],
    }


def digest(data: bytes) -> str:
    """``sha256:…`` of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def file_digest(path: Path) -> str:
    """``sha256:…`` of a file."""
    with path.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"


class Registry:
    """A tree for a web server: ``blobs/<digest>`` and ``registry/<host>/<path>/{manifests,tags}``."""

    def __init__(self, folder: Path, architecture: str) -> None:
        self.folder = folder
        self.architecture = architecture
        self._digests: Dict[Path, str] = {}
        (folder / "blobs").mkdir(parents=True, exist_ok=True)

    def publish(self, image: Image) -> str:
        """Publish an image under all its names; the manifest's digest."""
        layers = [self._layer(path) for path in image.layers]
        config = json.dumps(image_config(image, self.architecture, [name for name, _ in layers])).encode()
        self._blob(digest(config)).write_bytes(config)
        manifest = json.dumps(image_manifest(config, layers)).encode()
        for name in image.names:
            self._name(name, manifest, MANIFEST)
        return digest(manifest)

    def publish_archive(self, archive: Path) -> List[str]:
        """Publish every image of an archive (docker-archive or oci-archive tar); their names."""
        transport, names = archive_names(archive)
        for name in names:
            with tempfile.TemporaryDirectory(dir=self.folder) as work:
                run(["skopeo", "copy", "--quiet", f"{transport}:{archive}:{name}", f"dir:{work}"])
                self._publish_dir(Path(work), full_name(name))
        return [full_name(name) for name in names]

    def _publish_dir(self, folder: Path, name: str) -> None:
        manifest = (folder / "manifest.json").read_bytes()
        for path in folder.iterdir():
            if re.fullmatch(r"[0-9a-f]{64}", path.name):
                path.replace(self._blob(f"sha256:{path.name}"))
        self._name(name, manifest, json.loads(manifest).get("mediaType", MANIFEST))

    def _layer(self, path: Path) -> Tuple[str, int]:
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        blob = self._blob(self._digests[path])
        if not blob.exists():
            os.link(path, blob)
        return self._digests[path], blob.stat().st_size

    def _blob(self, name: str) -> Path:
        return self.folder / "blobs" / name

    def _name(self, name: str, manifest: bytes, media_type: str) -> None:
        host, path, tag = split_name(name)
        folder = self.folder / "registry" / host / path
        # The folder determines the media type of the answer: a file server has no other means to know it.
        kind = folder / "manifests" / ("docker" if "docker" in media_type else "oci")
        kind.mkdir(parents=True, exist_ok=True)
        for reference in (tag, digest(manifest)):
            (kind / reference).write_bytes(manifest)
        tags = folder / "tags" / "list"
        tags.parent.mkdir(exist_ok=True)
        known = sorted({file.name for file in folder.glob("manifests/*/*") if not file.name.startswith("sha256:")})
        tags.write_text(json.dumps({"name": path, "tags": known}), encoding="utf-8")


def archive_names(archive: Path) -> Tuple[str, List[str]]:
    """skopeo's name of this kind of archive, and the names of the images in it."""
    with tarfile.open(archive) as tar:
        members = set(tar.getnames())
        if "manifest.json" in members:
            manifest = json.load(_member(tar, "manifest.json"))
            return "docker-archive", [tag for entry in manifest for tag in entry.get("RepoTags") or []]
        if "index.json" in members:
            index = json.load(_member(tar, "index.json"))
            notes = [entry.get("annotations", {}) for entry in index["manifests"]]
            names = [
                note.get("io.containerd.image.name") or note.get("org.opencontainers.image.ref.name") for note in notes
            ]
            return "oci-archive", [name for name in names if name]
    raise MachineError(f"{archive} is not an archive of container images; make one with podman save or skopeo copy")


def _member(tar: tarfile.TarFile, name: str) -> Any:
    handle = tar.extractfile(name)
    if handle is None:
        raise MachineError(f"{name} in {tar.name!r} is not a file")
    return handle
