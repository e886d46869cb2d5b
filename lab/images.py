# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Container images and a registry to pull them from, out of binaries and Debian packages alone.

A registry that only hands out is a tree of files: manifests by tag and digest, blobs by digest. :class:`Registry`
writes that tree, nginx serves it (see mirror.py). Layers are not compressed: the nodes are on the same machine.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from .cache import once, run
from .machine import MachineError, cache_dir
from .private_apt import PrivateApt
from .roots import debian_root, sources_digest

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The applets an image's own scripts and a person with `kubectl exec` use.
APPLETS = (
    "ash awk basename cat chmod chown cp cut date df dirname du echo env expr false find free grep head hostname httpd"
    " id ip kill less ln ls md5sum mkdir mktemp mv nc netstat nslookup ping printf ps pwd rm rmdir route sed seq sh"
    " sha256sum sleep sort stat sync tail tar tee telnet test timeout top touch tr traceroute true uname uniq vi wc"
    " wget which whoami xargs yes"
).split()

PAUSE = ("/bin/busybox", "sh", "-c", "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done")

ETCD = """\
#!/bin/busybox sh
# Debian's etcd under the command line of a newer kubeadm: options it does not know are left out, and /livez and
# /readyz, which the probes ask for and it does not have, are answered from its /health.
known=$(/usr/bin/etcd --help 2>&1)
probes=
for argument do
    shift
    name=${argument%%=*}
    case "$name" in
        --listen-metrics-urls)
            probes=${argument##*:}
            argument=$name=http://127.0.0.1:$((probes + 1000)) ;;
    esac
    case "$known" in
        *" $name "*) set -- "$@" "$argument" ;;
        *) echo "left out, unknown to this etcd: $argument" >&2 ;;
    esac
done
if [ -n "$probes" ]; then
    export ETCD_METRICS=http://127.0.0.1:$((probes + 1000))
    /bin/busybox nc -ll -p "$probes" -e /usr/local/bin/etcd-probe &
fi
exec /usr/bin/etcd "$@"
"""

ETCD_PROBE = """\
#!/bin/busybox sh
# One HTTP request on stdin: /livez and /readyz are etcd's /health, all else is passed on.
read -r method path rest
while read -r line && [ "${#line}" -gt 1 ]; do :; done
case "$path" in
    /livez*|/readyz*) path=/health ;;
esac
if body=$(/bin/busybox wget -q -O - "$ETCD_METRICS$path"); then
    status="200 OK"
else
    status="503 Service Unavailable"
fi
printf 'HTTP/1.1 %s\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\n%s\\n' "$status" "$body"
"""

REDIS = """\
#!/bin/busybox sh
# Like the image of the same name: options alone mean redis-server, and clients from other pods are let in.
case "${1:-}" in
    ""|-*) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    shift
    case "${1:-}" in
        ""|-*) set -- redis-server --protected-mode no "$@" ;;
        *) set -- redis-server "$@" ;;
    esac
fi
exec "$@"
"""

WEB = """\
#!/bin/busybox sh
# One HTTP request on stdin; the answer is the pod's name.
read -r method path rest
while read -r line && [ "${#line}" -gt 1 ]; do :; done
body=$(/bin/busybox hostname)
printf 'HTTP/1.1 200 OK\\r\\nContent-Type: text/plain\\r\\nConnection: close\\r\\n\\r\\n%s\\n' "$body"
"""


SERVE_WEB = "trap 'exit 0' TERM INT; /bin/busybox nc -ll -p 8080 -e /usr/local/bin/web & wait $!"


@dataclass(frozen=True)
class Image:
    """What to run in a layer stack. ``names`` are full: registry/path:tag."""

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
    """Write a layer of everything below ``root``, owned by root and without times: the same every time."""
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
        # the type of an answer is the folder's: a file server knows no other way to tell
        kind = folder / "manifests" / ("docker" if "docker" in media_type else "oci")
        kind.mkdir(parents=True, exist_ok=True)
        for reference in (tag, digest(manifest)):
            (kind / reference).write_bytes(manifest)
        tags = folder / "tags" / "list"
        tags.parent.mkdir(exist_ok=True)
        known = sorted({file.name for file in folder.glob("manifests/*/*") if not file.name.startswith("sha256:")})
        tags.write_text(json.dumps({"name": path, "tags": known}), encoding="utf-8")


def archive_names(archive: Path) -> Tuple[str, List[str]]:
    """How skopeo calls this kind of archive, and the names of the images in it."""
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
    raise MachineError(f"{archive} is no archive of container images; make one with podman save or skopeo copy")


def _member(tar: tarfile.TarFile, name: str) -> Any:
    handle = tar.extractfile(name)
    if handle is None:
        raise MachineError(f"{tar.name!r} has a {name} that is no file")
    return handle


# -- the images


class Builder:
    """Makes layers in ``work`` and publishes images in ``registry``."""

    def __init__(self, apt: PrivateApt, registry: Registry, work: Path) -> None:
        self.apt = apt
        self.registry = registry
        self.work = work

    def root(self, name: str, packages: Sequence[str], links: Optional[Mapping[str, str]] = None) -> Path:
        """A layer with a small Debian of these packages and a busybox; ``links``: path -> what it points to.

        It is kept in the cache, for every Kubernetes whose images are made later.
        """
        recipe = json.dumps([[*packages], links or {}, APPLETS, sources_digest()])
        folder = cache_dir() / "layers" / f"{name}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        with once(folder) as work:
            if work:
                self._make_root(work, packages, links or {})
        return folder / "layer.tar"

    def _make_root(self, work: Path, packages: Sequence[str], links: Mapping[str, str]) -> None:
        root = work / "root"
        debian_root(self.apt, [*packages, "busybox-static"], root)
        for applet in APPLETS:
            target = root / "bin" / applet
            if not any(os.path.lexists(root / folder / applet) for folder in ("bin", "sbin")):
                target.symlink_to("/bin/busybox")
        for path, target_path in links.items():
            link = root / path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)
            link.symlink_to(target_path)
        tree_layer(work / "layer.tar", root)
        shutil.rmtree(root)

    def files(self, name: str, files: Mapping[str, Tuple[Path | str, int]]) -> Path:
        """A layer of single files."""
        return file_layer(self.work / f"{name}.tar", files)

    def kubernetes(self, binaries: Path, wanted: Iterable[str]) -> List[str]:
        """Publish the images kubeadm wants, from a folder of binaries; the wanted names nothing is there for."""
        makers = {
            "kube-apiserver": self._static,
            "kube-controller-manager": self._static,
            "kube-scheduler": self._static,
            "kube-proxy": self._proxy,
            "etcd": self._etcd,
            "pause": self._pause,
            "coredns": self._coredns,
        }
        missing = []
        for name in wanted:
            program = split_name(name)[1].rsplit("/", 1)[-1]
            maker = makers.get(program)
            image = maker(name, program, binaries) if maker else None
            if image:
                self.registry.publish(image)
            else:
                missing.append(name)
        return missing

    def _static(self, name: str, program: str, binaries: Path) -> Image:
        layer = self.files(program, {f"usr/local/bin/{program}": (binaries / program, 0o755)})
        return Image((name,), (layer,), entrypoint=(f"/usr/local/bin/{program}",))

    def _proxy(self, name: str, program: str, binaries: Path) -> Image:
        links = {
            f"usr/sbin/{family}tables{action}": "xtables-nft-multi"
            for family in ("ip", "ip6")
            for action in ("", "-save", "-restore")
        }
        root = self.root("kube-proxy", ("iptables", "nftables", "conntrack", "ipset", "kmod"), links)
        layer = self.files(program, {f"usr/local/bin/{program}": (binaries / program, 0o755)})
        return Image((name,), (root, layer), command=(f"/usr/local/bin/{program}",))

    def _etcd(self, name: str, program: str, binaries: Path) -> Image:
        root = self.root("etcd", ("etcd-server", "etcd-client"))
        files: Dict[str, Tuple[Path | str, int]] = {}
        if (binaries / "etcd").exists():
            for tool in ("etcd", "etcdctl", "etcdutl"):
                if (binaries / tool).exists():
                    files[f"usr/local/bin/{tool}"] = (binaries / tool, 0o755)
        else:
            files["usr/local/bin/etcd"] = (ETCD, 0o755)
            files["usr/local/bin/etcd-probe"] = (ETCD_PROBE, 0o755)
        return Image((name,), (root, self.files(program, files)), command=("etcd",), ports=("2379/tcp", "2380/tcp"))

    def _pause(self, name: str, program: str, binaries: Path) -> Image:
        busybox = self.work / "busybox"
        if not busybox.exists():
            self.apt.unpack(["busybox-static"], busybox)
        return Image(
            (name,), (self.files(program, {"bin/busybox": (busybox / "bin/busybox", 0o755)}),), entrypoint=PAUSE
        )

    def _coredns(self, name: str, program: str, binaries: Path) -> Image:
        if not (binaries / "coredns").exists():
            script = Path(__file__).with_name("cluster_dns.py")
            layer = self.files(program, {"usr/local/lib/cluster_dns.py": (script, 0o644)})
            start = ("/usr/bin/python3", "-u", "/usr/local/lib/cluster_dns.py")
            return Image((name,), (self._python(), layer), entrypoint=start, ports=("53/tcp", "53/udp"))
        layer = self.files(program, {"coredns": (binaries / "coredns", 0o755)})
        return Image((name,), (layer,), entrypoint=("/coredns",), ports=("53/tcp", "53/udp"))

    def _python(self) -> Path:
        """The layer with Python, for the images that share it."""
        return self.root("python", ("python3",), {"usr/local/bin/python": "/usr/bin/python3"})

    def applications(self) -> List[str]:
        """Publish what the example applications and the tests run; the names.

        Most names are those of images on Docker Hub that do the same, so that an example works with both.
        """
        busybox = self.root("busybox", ())
        python = self._python()
        redis = self.root("redis", ("redis-server",))
        images = (
            Image(("docker.io/library/busybox:1", "docker.io/library/busybox:latest"), (busybox,), command=("sh",)),
            Image(("docker.io/library/python:3-slim", "docker.io/library/python:3"), (python,), command=("python3",)),
            Image(
                ("docker.io/library/redis:7", "docker.io/library/redis:latest"),
                (redis, self.files("redis", {"usr/local/bin/entrypoint": (REDIS, 0o755), "data/.keep": ("", 0o644)})),
                entrypoint=("/usr/local/bin/entrypoint",),
                command=("redis-server",),
                ports=("6379/tcp",),
                folder="/data",
            ),
            Image(
                ("docker.io/kubestead/web:1",),
                (busybox, self.files("web", {"usr/local/bin/web": (WEB, 0o755)})),
                entrypoint=("/bin/busybox", "sh", "-c", SERVE_WEB),
                ports=("8080/tcp",),
            ),
        )
        for image in images:
            self.registry.publish(image)
        return [name for image in images for name in image.names]
