# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images that kubeadm wants and that applications run, made of binaries and Debian packages alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Dict, Iterable, List, Mapping, Optional, Sequence, Tuple

from .cache import once
from .machine import cache_dir
from .private_apt import PrivateApt
from .registry import Image, Registry, file_layer, split_name, tree_layer
from .roots import debian_root, sources_digest

STAND_INS = Path(__file__).with_name("stand_ins")

# The applets an image's own scripts and a person with `kubectl exec` use.
APPLETS = (
    "ash awk basename cat chmod chown cp cut date df dirname du echo env expr false find free grep head hostname httpd"
    " id ip kill less ln ls md5sum mkdir mktemp mv nc netstat nslookup ping printf ps pwd rm rmdir route sed seq sh"
    " sha256sum sleep sort stat sync tail tar tee telnet test timeout top touch tr traceroute true uname uniq vi wc"
    " wget which whoami xargs yes"
).split()

# Before an upgrade, kubeadm runs the pause image with -v in a Job that must complete.
_PAUSE = "[ \"$0\" != -v ] || exit 0; trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"
PAUSE = ("/bin/busybox", "sh", "-c", _PAUSE)
# busybox nc has a queue of two connections. On a busy machine, the kernel drops further ones.
SERVE_WEB = "trap 'exit 0' TERM INT; /bin/busybox httpd -f -p 8080 -h /srv/web & wait $!"


class Builder:
    """Makes layers in ``work`` and publishes images in ``registry``."""

    def __init__(self, apt: PrivateApt, registry: Registry, work: Path) -> None:
        self.apt = apt
        self.registry = registry
        self.work = work

    def root(self, name: str, packages: Sequence[str], links: Optional[Mapping[str, str]] = None) -> Path:
        """A layer with a small Debian of these packages and busybox; ``links``: path -> what it points to.

        It is kept in the cache, for the images of every other Kubernetes.
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
        """Publish the images that kubeadm wants, from a folder of binaries; the names it has no binaries for."""
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
            files["usr/local/bin/etcd"] = (STAND_INS / "etcd", 0o755)
            files["usr/local/bin/etcd-probe"] = (STAND_INS / "etcd-probe", 0o755)
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
            layer = self.files(program, {"usr/local/lib/cluster_dns.py": (STAND_INS / "cluster_dns.py", 0o644)})
            start = ("/usr/bin/python3", "-u", "/usr/local/lib/cluster_dns.py")
            return Image((name,), (self._python(), self._dnslib(), layer), start, ports=("53/tcp", "53/udp"))
        layer = self.files(program, {"coredns": (binaries / "coredns", 0o755)})
        return Image((name,), (layer,), entrypoint=("/coredns",), ports=("53/tcp", "53/udp"))

    def _python(self) -> Path:
        """The layer with Python, for the images that share it."""
        return self.root("python", ("python3",), {"usr/local/bin/python": "/usr/bin/python3"})

    def _dnslib(self) -> Path:
        """The layer with the library of the stand-in for CoreDNS."""
        folder = self.work / "dnslib"
        self.apt.unpack(["python3-dnslib"], folder)
        shutil.rmtree(folder / "usr/share")
        return tree_layer(self.work / "dnslib.tar", folder)

    def applications(self) -> List[str]:
        """Publish the images of the example applications and the tests; their names.

        Most have the names of images on Docker Hub that do the same, so that an example works with both.
        """
        busybox = self.root("busybox", ())
        python = self._python()
        redis = self.root("redis", ("redis-server",))
        images = (
            Image(("docker.io/library/busybox:1", "docker.io/library/busybox:latest"), (busybox,), command=("sh",)),
            Image(("docker.io/library/python:3-slim", "docker.io/library/python:3"), (python,), command=("python3",)),
            Image(
                ("docker.io/library/redis:7", "docker.io/library/redis:latest"),
                (
                    redis,
                    self.files(
                        "redis", {"usr/local/bin/entrypoint": (STAND_INS / "redis", 0o755), "data/.keep": ("", 0o644)}
                    ),
                ),
                entrypoint=("/usr/local/bin/entrypoint",),
                command=("redis-server",),
                ports=("6379/tcp",),
                folder="/data",
            ),
            Image(
                ("docker.io/kubestead/web:1",),
                (busybox, self.files("web", {"srv/web/cgi-bin/index.cgi": (STAND_INS / "web", 0o755)})),
                entrypoint=("/bin/busybox", "sh", "-c", SERVE_WEB),
                ports=("8080/tcp",),
            ),
        )
        for image in images:
            self.registry.publish(image)
        return [name for image in images for name in image.names]
