# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The images that nodes start from: a minimal Debian server with SSH, made from this machine's own apt sources.

It contains neither containerd nor anything of Kubernetes, and apt's lists are empty: the collection must bring those.
The lab adds a few files (``node_files/overlay``), because a container is not quite a machine: a ``runc`` in
/usr/local/sbin, before the package's on every path, that copes with a refused oom_score_adj, and a unit that trusts the
lab's CA before SSH opens. Apt sources that name the lab's mirror come with the node, see nodes.py.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shlex
import shutil
import tempfile
from typing import Dict, Tuple, Union

from .debian import apt_acquire_options
from .machine import NONINTERACTIVE, cache_dir, ensure, locked, run
from .podman import podman
from .say import step
from .systems import System, sources

REPOSITORY = "localhost/kubestead-node"
USER = "admin"
FILES = pathlib.Path(__file__).with_name("node_files")
OVERLAY = FILES / "overlay"
CUSTOMIZE = FILES / "customize.sh"

PACKAGES: Tuple[str, ...] = (
    "apt-utils",
    "bash-completion",
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "dnsutils",
    "e2fsprogs",
    "ebtables",
    "ethtool",
    "gpg",
    "iproute2",
    "iptables",
    "iputils-ping",
    "jq",
    "kmod",
    "less",
    "libpam-systemd",
    "logrotate",
    "netbase",
    "nftables",
    "openssh-server",
    "openssl",
    "procps",
    "psmisc",
    "python3",
    "python3-apt",
    "python3-debian",
    "socat",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tar",
    "tzdata",
    "util-linux",
    "xz-utils",
)


def key_path() -> pathlib.Path:
    """The path of the private SSH key for the nodes; the public key is in the same folder."""
    return cache_dir() / "ssh" / "id_ed25519"


def ensure_key() -> pathlib.Path:
    """The private key, made with its public key when it is missing."""
    path = key_path()
    with locked("ssh-key"):
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kubestead-lab", "-f", str(path)])
    return path


def files(public_key: str) -> Dict[str, Tuple[Union[str, pathlib.Path], int]]:
    """What the lab adds to Debian: path -> (a file or a text, mode)."""
    overlay = [path for path in sorted(OVERLAY.rglob("*")) if path.is_file()]
    return {
        **{f"/{path.relative_to(OVERLAY)}": (path, 0o755 if os.access(path, os.X_OK) else 0o644) for path in overlay},
        f"/home/{USER}/.ssh/authorized_keys": (public_key, 0o600),
        f"/etc/sudoers.d/{USER}": (f"{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440),
    }


def text_of(content: Union[str, pathlib.Path]) -> str:
    """The text of a file that is either in the checkout or given as text."""
    return content if isinstance(content, str) else content.read_text(encoding="utf-8")


def content_key(release: str, public_key: str) -> str:
    """A short name for the image's content: the same as long as everything that goes into it is the same."""
    digest = hashlib.sha256()
    for part in (release, text_of(CUSTOMIZE), *PACKAGES):
        digest.update(part.encode() + b"\0")
    for path, (content, mode) in sorted(files(public_key).items()):
        digest.update(f"{path}\0{mode:o}\0{text_of(content)}\0".encode())
    return digest.hexdigest()[:12]


def ensure_image(release: str) -> str:
    """The name and tag of a release's image. A missing one is imported from the cache, or made in about a minute."""
    ensure("nodes")
    public_key = ensure_key().with_suffix(".pub").read_text(encoding="utf-8")
    key = content_key(release, public_key)
    image = f"{REPOSITORY}:{key}"
    if podman("image", "exists", image, check=False).returncode == 0:
        return image
    with locked("node-image"):
        if podman("image", "exists", image, check=False).returncode == 0:
            return image
        archive = cache_dir() / "node" / release / f"{key}.tar"
        if not archive.exists():
            with step(f"make the node image: Debian {release} with systemd and SSH"):
                _bootstrap(release, public_key, archive)
        with step(f"import the node image of Debian {release}"):
            podman("import", "--change", 'CMD ["/sbin/init"]', "--change", "STOPSIGNAL SIGRTMIN+3", str(archive), image)
        for other in archive.parent.glob("*.tar"):
            if other != archive:
                other.unlink()
    return image


def _bootstrap(release: str, public_key: str, archive: pathlib.Path) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_suffix(".partial.tar")
    # Not below the cache: mmdebstrap wants a folder on a file system that allows devices and set-uid programs.
    with tempfile.TemporaryDirectory(prefix="kubestead-node-") as name:
        folder = pathlib.Path(name)
        overlay = folder / "files"
        for path, (content, mode) in files(public_key).items():
            target = overlay / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text_of(content), encoding="utf-8")
            target.chmod(mode)
        for entry in [overlay, *overlay.rglob("*")]:
            if entry.is_dir():
                entry.chmod(0o755)
        options = folder / "apt.conf"
        options.write_text("\n".join(apt_acquire_options()) + "\n", encoding="utf-8")
        argv = [
            "mmdebstrap",
            "--quiet",
            "--mode=root" if os.geteuid() == 0 else "--mode=auto",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            f"--aptopt={options}",
            '--aptopt=APT::Install-Recommends "false"',
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-include=/usr/share/doc/*/copyright",
            f'--customize-hook=sh {shlex.quote(str(CUSTOMIZE))} "$1" {shlex.quote(str(overlay))} {USER}',
            release,
            str(partial),
            *sources(System(release, release)),
        ]
        try:
            run(argv, env=NONINTERACTIVE, show_failure=True)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    shutil.move(partial, archive)


def remove_images() -> None:
    """Remove all node images from podman; the archives stay in the cache."""
    done = podman("images", "--filter", f"reference={REPOSITORY}", "--format", "{{.ID}}", check=False)
    for image in sorted(set(done.stdout.split())):
        podman("rmi", "-f", image, check=False)
