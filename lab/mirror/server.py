# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container that serves the lab's packages and images, one for each Kubernetes."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Iterable, List, Sequence, Tuple

from .. import flavour as flavours
from .. import repository, roots
from ..cache import once
from ..machine import MachineError, cache_dir, ensure, locked
from ..podman import FIRST_ADDRESS, PodmanError, containers, podman
from ..registry import tree_layer
from ..say import step
from ..systems import System
from . import HOSTNAMES, MIRROR, PRIVATE, PRIVATE_PASSWORD, PRIVATE_USER
from .certificates import ensure_certificates
from .nginx import nginx_conf
from .site import distributions, ensure_distribution, ensure_site, fresh_apt

NAME = "kubestead-mirror"
IMAGE = "localhost/kubestead-mirror"


@dataclass(frozen=True)
class MirrorInfo:
    """The running server and its content."""

    ip: str
    ca_pem_path: Path
    """The certificate nodes must trust."""
    hostnames: Tuple[str, ...]
    """The names that nodes must resolve to ``ip``; for ``upstream`` only the lab's own."""
    version: str
    later_version: str
    """The version to which nodes can be upgraded; empty if the server has one version."""
    flavour: str
    missing_images: Tuple[str, ...]
    """Images that kubeadm wants and the server lacks, such as those a future kubeadm adds."""
    key_fingerprint: str = ""
    """The fingerprint of the key that the packages are signed with; empty for ``upstream``."""


def ensure_image() -> str:
    """The name and tag of the server's image: nginx from Debian's packages."""
    key = roots.sources_digest()
    image = f"{IMAGE}:{key}"
    if podman("image", "exists", image, check=False).returncode == 0:
        return image
    ensure("nodes", "mirror")
    archive = cache_dir() / "site" / f"server-{key}"
    with once(archive) as work:
        if work:
            apt = fresh_apt()
            with step("make the image of the mirror"):
                root = work / "root"
                roots.debian_root(apt, ["nginx", "busybox-static"], root)
                for applet in ("sh", "cat", "ls", "wget"):
                    if not os.path.lexists(root / "bin" / applet):
                        (root / "bin" / applet).symlink_to("/bin/busybox")
                tree_layer(work / "root.tar", root)
                shutil.rmtree(root)
    with locked("mirror-image"):
        if podman("image", "exists", image, check=False).returncode:
            podman("import", "--change", "STOPSIGNAL SIGQUIT", str(archive / "root.tar"), image)
    return image


def ensure_mirror(network: str, subnet: ipaddress.IPv4Network, systems: Sequence[System] = ()) -> MirrorInfo:
    """The running server with the chosen flavour's content in the podman network; started only when needed.

    ``systems`` are those that nodes have: it has the packages that they install from Debian.

    Each Kubernetes has its own server, so that sets of nodes with different ones can run at the same time.

    Raises MachineError when the content cannot be made or the server does not answer.
    """
    ensure("nodes", "mirror")
    chosen = flavours.choose()
    certificates = ensure_certificates()
    site = ensure_site(chosen)
    for system in dict.fromkeys(systems):
        ensure_distribution(system)
    hostnames = (MIRROR, PRIVATE) if chosen.folder is None else HOSTNAMES
    image = ensure_image()
    name = f"{NAME}-{chosen.name}-{chosen.version}" + (f"-to-{chosen.later.version}" if chosen.later else "")
    conf = cache_dir() / "site" / "conf" / name
    conf.mkdir(parents=True, exist_ok=True)
    files = {
        "nginx.conf": nginx_conf(hostnames),
        "v2": "{}",
        "users": f"{PRIVATE_USER}:{{PLAIN}}{PRIVATE_PASSWORD}\n",
    }
    volumes = {"site": site, "debian": distributions(), "conf": conf, "tls": certificates.folder}
    with locked("mirrors"):
        addresses = _addresses()
        taken = set(addresses.values())
        ip = addresses.get(name) or free_address(subnet, taken)
        while True:
            arguments = [f"--network={network}", f"--ip={ip}", f"--label=kubestead.mirror={ip}"]
            arguments += [f"--volume={path.resolve()}:/srv/{place}:ro" for place, path in volumes.items()]
            parts = [image, *files.values(), certificates.server.read_text(encoding="utf-8"), *arguments]
            key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
            if _running_key(name) == key:
                break
            with step(f"start the mirror of Kubernetes {chosen.version} ({chosen.name}) at {ip}"):
                for file, text in files.items():
                    (conf / file).write_text(text, encoding="utf-8")
                if _start(name, image, [*arguments, f"--label=kubestead.key={key}"]):
                    break
            taken.add(ip)
            ip = free_address(subnet, taken)
        _wait(name)
    signing_key = site / "packages" / f"v{chosen.minor}" / "deb" / "Release.key"
    return MirrorInfo(
        ip=ip,
        ca_pem_path=certificates.ca,
        hostnames=tuple(hostnames),
        version=chosen.version,
        later_version=chosen.later.version if chosen.later else "",
        flavour=chosen.name,
        missing_images=tuple(_content(site).get("missing", [])),
        key_fingerprint=repository.signer().fingerprint(signing_key) if signing_key.exists() else "",
    )


def _start(name: str, image: str, arguments: Sequence[str]) -> bool:
    """Start a server, in place of an older one; False if podman has leased its address to a container that is gone.

    Such a lease remains when a container was removed without the lab's configuration of podman, until this machine
    restarts. Raises MachineError when the server does not start for another reason.
    """
    remove_mirror(name)
    command = ["nginx", "-c", "/srv/conf/nginx.conf", "-g", "daemon off;"]
    try:
        podman("run", "--detach", f"--name={name}", *arguments, image, *command)
    except PodmanError as err:
        remove_mirror(name)
        if "is already allocated" not in str(err):
            raise
        return False
    return True


def _addresses() -> Dict[str, str]:
    """All mirrors, running or not, and their addresses."""
    return {entry["Names"][0]: entry["Labels"]["kubestead.mirror"] for entry in containers("kubestead.mirror")}


def free_address(subnet: ipaddress.IPv4Network, used: Iterable[str]) -> str:
    """The lowest free address for a mirror. Raises MachineError when none is free."""
    taken = set(used)
    for number in range(2, FIRST_ADDRESS):
        if str(subnet[number]) not in taken:
            return str(subnet[number])
    raise MachineError(f"all addresses for mirrors in {subnet} are taken; remove the mirrors with ./dev lab-down")


def _content(site: Path) -> Dict[str, List[str]]:
    path = site / "site.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _running_key(name: str) -> str:
    """The key that the running server was started with; empty when it does not run."""
    argv = [
        "inspect",
        "--type=container",
        "--format",
        '{{.State.Running}} {{index .Config.Labels "kubestead.key"}}',
        name,
    ]
    done = podman(*argv, check=False)
    match = re.fullmatch(r"true (\w+)", done.stdout.strip())
    return match.group(1) if done.returncode == 0 and match else ""


def _wait(name: str, seconds: float = 15.0) -> None:
    """Wait until the server answers, asked from inside its container."""
    end = time.monotonic() + seconds
    while True:
        done = podman("exec", name, "wget", "-q", "-O", "-", "http://127.0.0.1/healthz", check=False)
        if done.returncode == 0 and done.stdout.strip() == "ok":
            return
        if time.monotonic() > end:
            logs = podman("logs", "--tail=3", name, check=False)
            last = " | ".join((logs.stderr + logs.stdout).strip().splitlines()[-3:])
            raise MachineError(f"container {name} did not answer within {seconds:.0f} s: {last or 'its log is empty'}")
        time.sleep(0.1)


def remove_mirrors() -> None:
    """Remove all mirrors; their content stays in the cache."""
    for name in _addresses():
        remove_mirror(name)


def remove_mirror(name: str) -> None:
    """Remove a server's container; its content stays in the cache."""
    for _ in range(5):
        if podman("container", "exists", name, check=False).returncode != 0:
            return
        podman("kill", name, check=False)
        podman("rm", "--force", "--volumes", "--time=0", name, check=False)
    if podman("container", "exists", name, check=False).returncode == 0:
        raise MachineError(f"cannot remove container {name}; see podman ps --all")


def remove_images() -> None:
    """Remove the server's images from podman; the archive stays in the cache."""
    done = podman("images", "--filter", f"reference={IMAGE}", "--format", "{{.ID}}", check=False)
    for image in sorted(set(done.stdout.split())):
        podman("rmi", "--force", image, check=False)
