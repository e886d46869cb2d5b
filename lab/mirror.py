# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's server: a container that answers as the hosts a cluster is downloaded from, one for each Kubernetes.

Over HTTPS, with a certificate of the lab's own CA, it is pkgs.k8s.io and the image registries; so a cluster with
default variables comes out of it, on a machine that reaches none of them. As mirror.lab.test it offers the same under
other addresses, for the variables that name a mirror. Over HTTP it has the Debian packages nodes need.

All it hands out are files in the cache, made once per Kubernetes; the server is nginx and changes nothing.
"""

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

from . import cluster_dns, images, machine, packages, roots
from . import flavour as flavours
from .cache import once, run
from .flavour import Flavour
from .podman import FIRST_ADDRESS, containers, podman
from .private_apt import PrivateApt
from .say import say, step

NAME = "kubestead-mirror"
IMAGE = "localhost/kubestead-mirror"
MIRROR = "mirror.lab.test"
PRIVATE = "private.lab.test"
PRIVATE_USER = "lab"
PRIVATE_PASSWORD = "not-a-secret"
"""What the registry at private.lab.test, which has the images of docker.io, asks for."""

PACKAGES_HOST = "pkgs.k8s.io"
REGISTRIES = {  # host -> the registry whose images it has
    "registry.k8s.io": "registry.k8s.io",
    "quay.io": "quay.io",
    "docker.io": "docker.io",
    "registry-1.docker.io": "docker.io",
    "auth.docker.io": "docker.io",
}
FILES_HOSTS = ("raw.githubusercontent.com",)
HOSTNAMES = (PACKAGES_HOST, *REGISTRIES, *FILES_HOSTS, MIRROR, PRIVATE)
CERTIFICATE_DAYS = 800
RENEW_BEFORE = 30 * 24 * 3600  # seconds


@dataclass(frozen=True)
class MirrorInfo:
    """The running server, and what it has."""

    ip: str
    ca_pem_path: Path
    """The certificate nodes must trust."""
    hostnames: Tuple[str, ...]
    """The names nodes must find at ``ip``; for ``upstream`` only the lab's own."""
    version: str
    minor: str
    flavour: str
    missing_images: Tuple[str, ...]
    """Images kubeadm wants and the server does not have, such as those a future kubeadm adds."""
    packages_url: str = f"https://{MIRROR}/k8s"
    """For ``cluster_packages_url``, to take the packages from the mirror's own name."""
    image_repository: str = f"{MIRROR}/k8s"
    """For ``cluster_image_repository``, likewise."""
    debian_url: str = f"http://{MIRROR}/debian"
    """A flat repository with what nodes install from Debian."""


# -- certificates


@dataclass(frozen=True)
class Certificates:
    """The files of the lab's CA and of the server's certificate."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.folder / "ca.pem"

    @property
    def server(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """The server's private key."""
        return self.folder / "server.key"


def ensure_certificates(names: Sequence[str] = HOSTNAMES) -> Certificates:
    """The lab's CA and a certificate for ``names``, made when there is none or it ends within a month."""
    made = Certificates(machine.cache_dir() / "tls")
    with machine.locked("tls"):
        made.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _lasting(made.ca):
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", made.folder / "ca.key")
            argv = ["req", "-x509", "-new", "-sha256", "-days", "3650", "-subj", "/CN=kubestead lab CA"]
            argv += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
            _openssl(*argv, "-key", made.folder / "ca.key", "-out", made.ca)
            made.server.unlink(missing_ok=True)
        names_file = made.folder / "names"
        wanted = "\n".join(names)
        known = names_file.read_text(encoding="utf-8") if names_file.exists() else ""
        if known != wanted or not _lasting(made.server):
            request = made.folder / "server.csr"
            extensions = made.folder / "server.ext"
            extensions.write_text(
                "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
                f"subjectAltName={','.join(f'DNS:{name}' for name in names)}\n",
                encoding="utf-8",
            )
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", made.key)
            _openssl("req", "-new", "-key", made.key, "-subj", f"/CN={MIRROR}", "-out", request)
            argv = ["x509", "-req", "-sha256", "-days", str(CERTIFICATE_DAYS), "-CAcreateserial"]
            argv += ["-CA", str(made.ca), "-CAkey", str(made.folder / "ca.key"), "-extfile", str(extensions)]
            _openssl(*argv, "-in", request, "-out", made.server)
            names_file.write_text(wanted, encoding="utf-8")
            request.unlink()
            extensions.unlink()
        for key in made.folder.glob("*.key"):
            key.chmod(0o600)
        made.ca.chmod(0o644)
    return made


def _openssl(*arguments: str | Path) -> None:
    run(["openssl", *arguments])


def _lasting(certificate: Path) -> bool:
    if not certificate.exists():
        return False
    return (
        run(["openssl", "x509", "-noout", "-checkend", str(RENEW_BEFORE), "-in", certificate], check=False).returncode
        == 0
    )


# -- the server's configuration


def nginx_conf(hosts: Sequence[str] = HOSTNAMES) -> str:
    """nginx's configuration: a server per host name, over the folders ``/srv/site`` and ``/srv/debian``."""
    blocks = [_plain_server()]
    for host in hosts:
        if host in REGISTRIES:
            blocks.append(_server([host], _registry(REGISTRIES[host])))
        elif host == PRIVATE:
            blocks.append(_server([host], _private() + _registry("docker.io")))
        elif host == MIRROR:
            blocks.append(_server([host], _packages("/k8s/") + _registry("")))
        elif host == PACKAGES_HOST:
            blocks.append(_server([host], _packages("/core:/stable:/")))
        else:
            blocks.append(_server([host], []))
    body = "\n".join(line for block in blocks for line in block)
    return f"""\
user root;
worker_processes 2;
pid /run/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    types {{}}
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 65;
    server_tokens off;
    log_format lab '$remote_addr $scheme://$host $request_method $request_uri $status $body_bytes_sent';
    access_log /dev/stdout lab;
    ssl_certificate /srv/tls/server.pem;
    ssl_certificate_key /srv/tls/server.key;
    ssl_session_cache shared:tls:1m;
{body}
}}
"""


def _plain_server() -> List[str]:
    return [
        "    server {",
        "        listen 80 default_server;",
        "        root /srv/none;",
        "        location /debian/ { alias /srv/debian/; autoindex on; }",
        "        location = /healthz { default_type text/plain; return 200 'ok\\n'; }",
        "    }",
    ]


def _server(names: Sequence[str], locations: Sequence[str]) -> List[str]:
    return [
        "    server {",
        "        listen 443 ssl http2;",
        f"        server_name {' '.join(names)};",
        f"        root /srv/site/hosts/{names[0]};",
        *(f"        {line}" for line in locations),
        "    }",
    ]


def _packages(prefix: str) -> List[str]:
    return [f"location {prefix} {{ alias /srv/site/packages/; autoindex on; }}"]


def _private() -> List[str]:
    return ["auth_basic private;", "auth_basic_user_file /srv/conf/users;"]


def _registry(registry: str) -> List[str]:
    """A registry that only hands out. A client told to use a mirror names the registry it means as ``?ns=``."""
    lines = [f"set $registry '{registry}';"]
    if not registry:
        lines.append("if ($arg_ns ~ ^[a-z0-9.-]+$) { set $registry $arg_ns; }")
    tree = "/srv/site/registry/$registry"
    return [
        *lines,
        "add_header Docker-Distribution-Api-Version registry/2.0 always;",
        "error_page 404 @unknown;",
        # a file: nginx asks for no password where it is told to `return` something
        "location = /v2/ { default_type application/json; root /srv/conf; try_files /v2 =404; }",
        r'location ~ "^/v2/.+/blobs/(sha256:[0-9a-f]{64})$" { alias /srv/site/blobs/$1; }',
        r"location ~ ^/v2/(?<path>.+)/manifests/(?<reference>[A-Za-z0-9._:-]+)$ {",
        f"    root {tree};",
        f"    default_type {images.MANIFEST};",
        "    try_files /$path/manifests/oci/$reference @docker;",
        "}",
        "location @docker {",
        f"    root {tree};",
        "    default_type application/vnd.docker.distribution.manifest.v2+json;",
        "    try_files /$path/manifests/docker/$reference =404;",
        "}",
        r"location ~ ^/v2/(?<named>.+)/tags/list$ {",
        f"    root {tree};",
        "    default_type application/json;",
        "    try_files /$named/tags/list =404;",
        "}",
        "location @unknown {",
        "    internal;",
        "    default_type application/json;",
        '    return 404 \'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not known to this registry"}]}\';',
        "}",
    ]


# -- what it serves


def source_key() -> str:
    """Changes when the code that makes the served files does."""
    digest = hashlib.sha256()
    for module in (cluster_dns, images, packages, roots):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]


def folder_key(folder: Path) -> str:
    """A short name for a folder's content, by the files' names, sizes and times."""
    rows = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            rows.append(f"{path.relative_to(folder)} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:12]


def _apt() -> PrivateApt:
    apt = PrivateApt(machine.cache_dir() / "apt")
    with step("fetch Debian's package lists"):
        apt.update()
    return apt


def ensure_site(chosen: Flavour) -> Path:
    """The folder served as the upstream hosts, made when it is not in the cache."""
    folder = machine.cache_dir() / "site"
    if chosen.folder is None:
        empty = folder / flavours.UPSTREAM
        empty.mkdir(parents=True, exist_ok=True)
        return empty
    target = folder / f"{chosen.name}-{chosen.version}-{folder_key(chosen.folder)}-{source_key()}"
    with once(target) as work:
        if work:
            _make_site(chosen, chosen.folder, work)
            _prune(folder, f"{chosen.name}-{chosen.version}-*", 2)
    return target


def _make_site(chosen: Flavour, binaries: Path, site: Path) -> None:
    machine.ensure("mirror")
    apt = _apt()
    with step(f"make packages of Kubernetes {chosen.version}"):
        packages.kube_repository(
            apt, binaries, chosen.version, site / "packages" / f"v{chosen.minor}" / "deb", time.time()
        )
    registry = images.Registry(site, packages.architecture())
    work = site / ".layers"
    work.mkdir()
    builder = images.Builder(apt, registry, work)
    with step("make the images kubeadm wants"):
        missing = builder.kubernetes(binaries, chosen.images)
    with step("make images for applications"):
        names = [*(name for name in chosen.images if name not in missing), *builder.applications()]
    for archive in sorted((binaries / "images").glob("*.tar")):
        with step(f"publish the images in {archive.name}"):
            names += registry.publish_archive(archive)
    for host in sorted((binaries / "files").glob("*")):
        shutil.copytree(host, site / "hosts" / host.name)
    shutil.rmtree(work)
    missing = [name for name in missing if name not in names]
    if missing:
        say(f"no image of {', '.join(missing)}: nothing to make it from")
    _flatten(site / "registry")
    content = {"version": chosen.version, "images": sorted(names), "missing": missing}
    (site / "site.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def _flatten(registry: Path) -> None:
    """Add the folder ``k8s``: Kubernetes' images as kubeadm looks for them in a repository other than its default."""
    source = registry / flavours.IMAGE_REPOSITORY
    target = registry / "k8s"
    target.mkdir(parents=True)
    for manifests in source.rglob("manifests"):
        path = manifests.parent
        link = target / path.name
        if not os.path.lexists(link):
            link.symlink_to(os.path.relpath(path, target))


def ensure_distribution() -> Path:
    """The folder of Debian packages for the nodes, made when it is not in the cache."""
    folder = machine.cache_dir() / "site"
    wanted = "\n".join([*packages.DISTRIBUTION, *machine.apt_sources()])
    target = folder / f"distribution-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    with once(target) as work:
        if work:
            machine.ensure("mirror")
            apt = _apt()
            with step("download what nodes install from Debian"):
                packages.distribution_repository(apt, work, time.time())
            _prune(folder, "distribution-*", 2)
    return target


def _prune(folder: Path, pattern: str, keep: int) -> None:
    old = sorted((path for path in folder.glob(pattern)), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in old[keep:]:
        shutil.rmtree(path, ignore_errors=True)


# -- the container


def ensure_image() -> str:
    """The server's container image, with tag: nginx out of Debian's packages."""
    key = roots.sources_digest()
    image = f"{IMAGE}:{key}"
    if podman("image", "exists", image, check=False).returncode == 0:
        return image
    machine.ensure("nodes", "mirror")
    archive = machine.cache_dir() / "site" / f"server-{key}"
    with once(archive) as work:
        if work:
            apt = _apt()
            with step("make the mirror's server"):
                root = work / "root"
                roots.debian_root(apt, ["nginx", "busybox-static"], root)
                for applet in ("sh", "cat", "ls", "wget"):
                    if not os.path.lexists(root / "bin" / applet):
                        (root / "bin" / applet).symlink_to("/bin/busybox")
                images.tree_layer(work / "root.tar", root)
                shutil.rmtree(root)
    with machine.locked("mirror-image"):
        if podman("image", "exists", image, check=False).returncode:
            podman("import", "--change", "STOPSIGNAL SIGQUIT", str(archive / "root.tar"), image)
    return image


def ensure_mirror(network: str, subnet: ipaddress.IPv4Network) -> MirrorInfo:
    """The server, running with the chosen flavour's content in the podman network; started only when needed.

    Each Kubernetes has a server of its own, so that sets of nodes with different ones live side by side.

    Raises MachineError when something to serve can't be made, or the server does not answer.
    """
    machine.ensure("nodes", "mirror")
    chosen = flavours.choose()
    certificates = ensure_certificates()
    site = ensure_site(chosen)
    distribution = ensure_distribution()
    hostnames = (MIRROR, PRIVATE) if chosen.folder is None else HOSTNAMES
    image = ensure_image()
    name = f"{NAME}-{chosen.name}-{chosen.version}"
    conf = machine.cache_dir() / "site" / "conf" / name
    conf.mkdir(parents=True, exist_ok=True)
    files = {
        "nginx.conf": nginx_conf(hostnames),
        "v2": "{}",
        "users": f"{PRIVATE_USER}:{{PLAIN}}{PRIVATE_PASSWORD}\n",
    }
    volumes = {"site": site, "debian": distribution, "conf": conf, "tls": certificates.folder}
    with machine.locked("mirrors"):
        addresses = _addresses()
        ip = addresses.get(name) or free_address(subnet, addresses.values())
        arguments = [f"--network={network}", f"--ip={ip}", f"--label=kubestead.mirror={ip}"]
        arguments += [f"--volume={path.resolve()}:/srv/{place}:ro" for place, path in volumes.items()]
        parts = [image, *files.values(), certificates.server.read_text(encoding="utf-8"), *arguments]
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
        if _running_key(name) != key:
            with step(f"start the mirror of Kubernetes {chosen.version} ({chosen.name}) at {ip}"):
                for file, text in files.items():
                    (conf / file).write_text(text, encoding="utf-8")
                remove_mirror(name)
                arguments += [f"--name={name}", f"--label=kubestead.key={key}"]
                podman("run", "--detach", *arguments, image, "nginx", "-c", "/srv/conf/nginx.conf", "-g", "daemon off;")
        _wait(name)
    return MirrorInfo(
        ip=ip,
        ca_pem_path=certificates.ca,
        hostnames=tuple(hostnames),
        version=chosen.version,
        minor=chosen.minor,
        flavour=chosen.name,
        missing_images=tuple(_content(site).get("missing", [])),
    )


def _addresses() -> Dict[str, str]:
    """The mirrors there are, running or not, and their addresses."""
    return {entry["Names"][0]: entry["Labels"]["kubestead.mirror"] for entry in containers("kubestead.mirror")}


def free_address(subnet: ipaddress.IPv4Network, used: Iterable[str]) -> str:
    """The lowest address for a mirror that no other has. Raises MachineError when there is none."""
    taken = set(used)
    for number in range(2, FIRST_ADDRESS):
        if str(subnet[number]) not in taken:
            return str(subnet[number])
    raise machine.MachineError(f"{subnet} has mirrors at all addresses kept for them; remove them with ./dev lab-down")


def _content(site: Path) -> Dict[str, List[str]]:
    path = site / "site.json"
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def _running_key(name: str) -> str:
    """The key the running server was started with; empty when it is not running."""
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
            said = podman("logs", "--tail=3", name, check=False)
            last = " | ".join((said.stderr + said.stdout).strip().splitlines()[-3:])
            raise machine.MachineError(
                f"container {name} does not answer after {seconds:.0f} s: {last or 'it says nothing'}"
            )
        time.sleep(0.1)


def remove_mirrors() -> None:
    """Remove all mirrors; what they serve stays in the cache."""
    for name in _addresses():
        remove_mirror(name)


def remove_mirror(name: str) -> None:
    """Remove a server's container; what it serves stays in the cache."""
    for _ in range(5):
        if podman("container", "exists", name, check=False).returncode != 0:
            return
        podman("kill", name, check=False)
        podman("rm", "--force", "--volumes", "--time=0", name, check=False)
    if podman("container", "exists", name, check=False).returncode == 0:
        raise machine.MachineError(f"container {name} can't be removed; see podman ps --all")


def remove_images() -> None:
    """Remove the server's images from podman; the archive in the cache stays."""
    done = podman("images", "--filter", f"reference={IMAGE}", "--format", "{{.ID}}", check=False)
    for image in sorted(set(done.stdout.split())):
        podman("rmi", "--force", image, check=False)
