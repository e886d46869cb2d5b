# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The image the nodes start from: a minimal Debian server with SSH, made from this machine's own apt sources.

There is no containerd and nothing of Kubernetes in it, and apt's lists are empty: bringing those is the collection's
work. Three things are the lab's, because a container is not quite a machine: a ``runc`` in /usr/local/sbin (before the
package's on every path) that copes with a refused oom_score_adj, a unit that trusts the lab's CA before SSH opens, and
apt sources that name the lab's mirror.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shlex
import shutil
import subprocess
import tempfile
from typing import Dict, Tuple

from .machine import (
    MachineError,
    apt_acquire_options,
    apt_environment,
    apt_sources,
    cache_dir,
    codename,
    ensure,
    locked,
    run,
)
from .podman import podman
from .say import say, step

REPOSITORY = "localhost/kubestead-node"
MIRROR_NAME = "mirror.lab.test"
USER = "admin"

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

RUNC_WRAPPER = """\
#!/bin/sh
# Lowering oom_score_adj needs CAP_SYS_RESOURCE. A node in a container may lack it, and then no pod would start:
# negative values become 0 here, and everything else is left to the runc the package brought.
real=/usr/sbin/runc
[ -x "$real" ] || real=/usr/bin/runc
if [ ! -x "$real" ]; then
    echo "runc: not found" >&2
    exit 127
fi
capabilities=0x$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status)
if [ $((capabilities & 0x1000000)) -eq 0 ]; then
    bundle=
    previous=
    starts=
    for argument in "$@"; do
        case "$argument" in
            create|run|restore) starts=yes ;;
            --bundle=*) bundle=${argument#--bundle=} ;;
            -b=*) bundle=${argument#-b=} ;;
        esac
        case "$previous" in
            --bundle|-b) bundle=$argument ;;
        esac
        previous=$argument
    done
    config=${bundle:-.}/config.json
    if [ -n "$starts" ] && [ -f "$config" ]; then
        sed -i 's/"oomScoreAdj":[[:space:]]*-[0-9][0-9]*/"oomScoreAdj":0/' "$config"
    fi
fi
exec "$real" "$@"
"""

# What update-ca-certificates would do for one more certificate, in a hundredth of its time; when it runs later (a
# package brings a certificate), it finds the lab's among those to trust.
CA_SCRIPT = """\
#!/bin/sh
set -eu
given=/usr/local/share/ca-certificates/kubestead-lab.crt
trusted=/etc/ssl/certs/kubestead-lab.pem
cmp -s "$given" "$trusted" && exit 0
cp "$given" "$trusted"
cat "$given" >>/etc/ssl/certs/ca-certificates.crt
ln -sf "${trusted##*/}" "/etc/ssl/certs/$(openssl x509 -noout -hash -in "$given").0"
"""

CA_UNIT = """\
[Unit]
Description=Trust the lab's certificate authority
ConditionPathExists=/usr/local/share/ca-certificates/kubestead-lab.crt
Before=ssh.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/kubestead-lab-ca

[Install]
WantedBy=multi-user.target
"""

# As systemd does on a machine, but not in a container. Pods that mount into the node (Calico's) need it.
MOUNTS_UNIT = """\
[Unit]
Description=Let mounts spread between the node and its pods
DefaultDependencies=no
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/mount --make-rshared /

[Install]
WantedBy=sysinit.target
"""

SSH_DROP_IN = """\
[Service]
ExecStartPre=
ExecStartPre=/bin/sh -c 'k=/etc/ssh/ssh_host_ed25519_key; test -s $$k || ssh-keygen -q -t ed25519 -N "" -f $$k'
ExecStartPre=/usr/sbin/sshd -t
"""

SSHD_CONFIG = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
UseDNS no
"""


def key_path() -> pathlib.Path:
    """The private SSH key for the nodes; the public one is beside it."""
    return cache_dir() / "ssh" / "id_ed25519"


def ensure_key() -> pathlib.Path:
    """Make the key pair when it is not there, and name the private key."""
    path = key_path()
    with locked("ssh-key"):
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "kubestead-lab", "-f", str(path)])
    return path


def files(public_key: str) -> Dict[str, Tuple[str, int]]:
    """What the lab adds to Debian: path -> (text, mode)."""
    return {
        "/usr/local/sbin/runc": (RUNC_WRAPPER, 0o755),
        "/usr/local/sbin/kubestead-lab-ca": (CA_SCRIPT, 0o755),
        "/etc/systemd/system/kubestead-lab-ca.service": (CA_UNIT, 0o644),
        "/etc/systemd/system/kubestead-lab-mounts.service": (MOUNTS_UNIT, 0o644),
        "/etc/systemd/system/ssh.service.d/kubestead-lab.conf": (SSH_DROP_IN, 0o644),
        "/etc/ssh/sshd_config.d/kubestead-lab.conf": (SSHD_CONFIG, 0o644),
        f"/home/{USER}/.ssh/authorized_keys": (public_key, 0o600),
        f"/etc/sudoers.d/{USER}": (f"{USER} ALL=(ALL:ALL) NOPASSWD: ALL\n", 0o440),
        # Inherited by every program in the node; without it sudo and Perl complain about the caller's locale.
        "/etc/default/locale": ("LANG=C.UTF-8\n", 0o644),
        "/etc/apt/sources.list": (f"deb [trusted=yes] http://{MIRROR_NAME}/debian ./\n", 0o644),
    }


CUSTOMIZE = f"""\
set -eu
root=$1
chroot "$root" useradd --create-home --shell /bin/bash --groups sudo {USER}
tar -C "$2" -cf - . | tar -C "$root" --no-same-owner -xf -
chroot "$root" chown -R {USER}:{USER} /home/{USER}
chmod 700 "$root/home/{USER}/.ssh"
chroot "$root" systemctl -q enable kubestead-lab-ca.service kubestead-lab-mounts.service ssh.service
chroot "$root" systemctl -q mask getty.target console-getty.service systemd-udevd.service \\
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udev-trigger.service systemd-logind.service \\
    sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount dev-hugepages.mount dev-mqueue.mount \\
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \\
    systemd-networkd-wait-online.service systemd-binfmt.service proc-sys-fs-binfmt_misc.automount
chroot "$root" systemctl -q set-default multi-user.target
rm -f "$root"/etc/ssh/ssh_host_* "$root"/etc/machine-id "$root"/var/lib/dbus/machine-id "$root"/etc/hostname
rm -f "$root"/etc/apt/sources.list.d/* "$root"/etc/apt/apt.conf.d/99mmdebstrap
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb
: >"$root/etc/machine-id"
ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
"""


def content_key(release: str, public_key: str) -> str:
    """A short name for the image's content: the same as long as everything that goes into it is the same."""
    digest = hashlib.sha256()
    for part in (release, CUSTOMIZE, *PACKAGES):
        digest.update(part.encode() + b"\0")
    for path, (text, mode) in sorted(files(public_key).items()):
        digest.update(f"{path}\0{mode:o}\0{text}\0".encode())
    return digest.hexdigest()[:12]


def ensure_image() -> str:
    """The node image's name with tag; made (about a minute) or imported from the cache when it is not there."""
    ensure("nodes")
    public_key = ensure_key().with_suffix(".pub").read_text(encoding="utf-8")
    release = codename(pathlib.Path("/etc/os-release").read_text(encoding="utf-8"))
    key = content_key(release, public_key)
    image = f"{REPOSITORY}:{key}"
    if podman("image", "exists", image, check=False).returncode == 0:
        return image
    with locked("node-image"):
        if podman("image", "exists", image, check=False).returncode == 0:
            return image
        archive = cache_dir() / "node" / f"{key}.tar"
        if not archive.exists():
            with step(f"make the node image: Debian {release} with systemd and SSH"):
                _bootstrap(release, public_key, archive)
        with step("import the node image"):
            podman("import", "--change", 'CMD ["/sbin/init"]', "--change", "STOPSIGNAL SIGRTMIN+3", str(archive), image)
            podman("tag", image, f"{REPOSITORY}:latest")
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
        for path, (text, mode) in files(public_key).items():
            target = overlay / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(mode)
        for entry in [overlay, *overlay.rglob("*")]:
            if entry.is_dir():
                entry.chmod(0o755)
        script = folder / "customize.sh"
        script.write_text(CUSTOMIZE, encoding="utf-8")
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
            f'--customize-hook=sh {shlex.quote(str(script))} "$1" {shlex.quote(str(overlay))}',
            release,
            str(partial),
            *apt_sources(),
        ]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=apt_environment(),
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            say(done.stdout)
            partial.unlink(missing_ok=True)
            raise MachineError(f"mmdebstrap failed with code {done.returncode}: see its lines above")
    shutil.move(partial, archive)


def remove_images() -> None:
    """Remove every node image from podman; the archive in the cache stays."""
    done = podman("images", "--filter", f"reference={REPOSITORY}", "--format", "{{.ID}}", check=False)
    for image in sorted(set(done.stdout.split())):
        podman("rmi", "-f", image, check=False)
