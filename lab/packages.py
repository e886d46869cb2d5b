# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real .deb packages out of Kubernetes' binaries, and signed flat apt repositories to install them from.

The packages' names, files, dependencies and versions are those of pkgs.k8s.io, so that what works here works there.
"""

from __future__ import annotations

import email.utils
import gzip
import hashlib
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Mapping, Sequence, Tuple

from .cache import run
from .machine import cache_dir, locked
from .private_apt import PrivateApt

REVISION = "1.1"

# What nodes may install from their distribution: what kubeadm and its packages ask for, what Ansible's modules need.
DISTRIBUTION = (
    "apt-transport-https apt-utils bash-completion busybox-static ca-certificates chrony conntrack containerd"
    " containernetworking-plugins curl dbus e2fsprogs ebtables ethtool gnupg gpg iproute2 ipset iptables"
    " iputils-ping ipvsadm jq kmod libpam-systemd lsb-release mount netcat-openbsd nfs-common nftables openssl procps"
    " python3 python3-apt python3-debian python3-venv rsync runc socat sudo systemd systemd-sysv tar util-linux"
    " xz-utils zstd"
).split()

KUBELET_UNIT = """\
[Unit]
Description=Kubernetes node agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
# until kubeadm has written its configuration the kubelet ends at once, and is tried again
Restart=always
RestartSec=10
StartLimitInterval=0

[Install]
WantedBy=multi-user.target
"""

KUBEADM_DROP_IN = """\
# The kubelet of a node that kubeadm made. kubeadm writes kubeadm-flags.env; KUBELET_EXTRA_ARGS is the administrator's.
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml --kubeconfig=/etc/kubernetes/kubelet.conf \\
    --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""

KUBELET_POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ] && command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper unmask kubelet.service >/dev/null || true
    if deb-systemd-helper --quiet was-enabled kubelet.service; then
        deb-systemd-helper enable kubelet.service >/dev/null || true
    else
        deb-systemd-helper update-state kubelet.service >/dev/null || true
    fi
    if [ -d /run/systemd/system ]; then
        systemctl --system daemon-reload >/dev/null || true
        if [ -n "$2" ]; then systemctl try-restart kubelet.service >/dev/null || true; fi
    fi
fi
"""

KUBELET_PRERM = """\
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now kubelet.service >/dev/null || true
fi
"""

KUBELET_POSTRM = """\
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = purge ] && command -v deb-systemd-helper >/dev/null; then
    deb-systemd-helper purge kubelet.service >/dev/null || true
    deb-systemd-helper unmask kubelet.service >/dev/null || true
fi
"""

KUBEADM_POSTINST = """\
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl --system daemon-reload >/dev/null || true
fi
"""

CRICTL = r"""#!/bin/sh
# The part of crictl that kubeadm before 1.31 asks for, answered by containerd's own ctr.
set -eu
namespace=k8s.io
socket=/run/containerd/containerd.sock
quiet=
all=
output=

fail() { echo "crictl: $*" >&2; exit 1; }
ctr() { command ctr --address "$socket" --namespace "$namespace" "$@"; }
kind() { ctr containers list -q "labels.\"io.cri-containerd.kind\"==$1"; }

socket_of() { socket=${1#unix://}; }
# docker.io/library/x:latest, the full name, of what may be shorter
full_name() {
    name=$1
    case "${name%%/*}" in
        *.*|*:*|localhost) [ "$name" != "${name#*/}" ] || name=docker.io/library/$name ;;
        *) case "$name" in */*) name=docker.io/$name ;; *) name=docker.io/library/$name ;; esac ;;
    esac
    case "${name##*/}" in *:*|*@*) ;; *) name=$name:latest ;; esac
    echo "$name"
}
has_image() { [ -n "$(ctr images list -q "name==$1")" ]; }
end_task() {
    [ -n "$(ctr tasks list -q | grep -Fx "$1" || true)" ] || return 0
    ctr tasks kill --signal SIGKILL "$1" 2>/dev/null || true
    ctr tasks delete --force "$1" >/dev/null 2>&1 || true
}
remove() { end_task "$1"; ctr containers delete "$1" 2>/dev/null || true; }
containers_of() { ctr containers list -q "labels.\"io.kubernetes.pod.uid\"==$1"; }
label() { ctr containers info "$1" | sed -n "s|^ *\"$2\": \"\(.*\)\",\{0,1\}\$|\1|p" | head -n 1; }
of_pod() {
    uid=$(label "$1" io.kubernetes.pod.uid)
    [ -z "$uid" ] || containers_of "$uid" | grep -Fxv "$1" || true
}
row() {
    id=$1
    shift
    printf '%.13s' "$id"
    for part do printf '\t%s' "$(label "$id" "io.kubernetes.$part")"; done
    echo
}

while [ $# -gt 0 ]; do
    case "$1" in
        -r|--runtime-endpoint|-i|--image-endpoint) socket_of "$2"; shift 2 ;;
        --runtime-endpoint=*|--image-endpoint=*|-r=*|-i=*) socket_of "${1#*=}"; shift ;;
        -t|--timeout|-c|--config) shift 2 ;;
        --timeout=*|--config=*) shift ;;
        -D|--debug) shift ;;
        -v|--version) echo "crictl version 1.20.0-ctr"; exit 0 ;;
        -*) fail "option $1 is unknown to this stand-in" ;;
        *) break ;;
    esac
done
command=${1:-help}
[ $# -eq 0 ] || shift
words=
while [ $# -gt 0 ]; do
    case "$1" in
        -q|--quiet) quiet=yes ;;
        -a|--all) all=yes ;;
        -aq|-qa) quiet=yes; all=yes ;;
        -f|--force|-fa|-af|--no-trunc) ;;
        -o|--output) output=$2; shift ;;
        --output=*) output=${1#*=} ;;
        --name|--state|--label|--namespace|--pod|--image) fail "$command $1 is unknown to this stand-in" ;;
        -*) fail "$command $1 is unknown to this stand-in" ;;
        *) words="$words $1" ;;
    esac
    shift
done
[ -z "$output" ] || [ "$output" = json ] || [ "$output" = table ] || fail "output $output is unknown to this stand-in"

case "$command" in
    info)
        ctr version >/dev/null
        ctr plugins list | awk '$2 == "cri" { found = 1; if ($NF != "ok") bad = 1 } END { exit !found || bad }' ||
            fail "containerd at $socket has no working CRI plugin"
        echo '{"status": {"conditions": [{"type": "RuntimeReady", "status": true, "reason": "", "message": ""}]}}' ;;
    version)
        echo "Version:  0.1.0"
        echo "RuntimeName:  containerd"
        ctr version | sed -n '/^Server/,$s/^ *Version: */RuntimeVersion:  /p'
        echo "RuntimeApiVersion:  v1alpha2" ;;
    pull)
        for word in $words; do
            full=$(full_name "$word")
            ctr images pull --hosts-dir /etc/containerd/certs.d "$full" >/dev/null || fail "pulling image $full failed"
            echo "Image is up to date for $full"
        done ;;
    inspecti)
        for word in $words; do
            full=$(full_name "$word")
            has_image "$full" || fail "no such image \"$word\" present"
            digest=$(ctr images list "name==$full" | awk 'NR == 2 { print $3 }')
            printf '{"status": {"id": "%s", "repoTags": ["%s"], "repoDigests": []}}\n' "$digest" "$full"
        done ;;
    images|image|img)
        if [ -n "$quiet" ]; then ctr images list -q; else ctr images list; fi ;;
    rmi)
        for word in $words; do ctr images remove "$(full_name "$word")"; done ;;
    pods)
        [ -n "$quiet" ] || printf 'POD ID\tNAME\tNAMESPACE\n'
        for id in $(kind sandbox); do
            if [ -n "$quiet" ]; then echo "$id"; else row "$id" pod.name pod.namespace; fi
        done ;;
    ps)
        [ -n "$quiet" ] || printf 'CONTAINER\tNAME\tPOD\tNAMESPACE\n'
        running=$(ctr tasks list | awk '$3 == "RUNNING" { print $1 }')
        for id in $(kind container); do
            [ -n "$all" ] || echo "$running" | grep -Fxq "$id" || continue
            if [ -n "$quiet" ]; then echo "$id"; else row "$id" container.name pod.name pod.namespace; fi
        done ;;
    stopp)
        for word in $words; do
            for id in $(of_pod "$word") "$word"; do end_task "$id"; done
            echo "Stopped sandbox $word"
        done ;;
    rmp)
        for word in $words; do
            for id in $(of_pod "$word") "$word"; do remove "$id"; done
            echo "Removed sandbox $word"
        done ;;
    stop) for word in $words; do end_task "$word"; echo "$word"; done ;;
    rm) for word in $words; do remove "$word"; echo "$word"; done ;;
    *) fail "$command is unknown; this stand-in has info version pull inspecti images rmi pods ps stopp rmp stop rm" ;;
esac
"""


@dataclass(frozen=True)
class Package:
    """One binary package to be. ``files``: path -> (a file or a text, mode)."""

    name: str
    version: str
    summary: str
    files: Mapping[str, Tuple[Path | str, int]]
    depends: Tuple[str, ...] = ()
    recommends: Tuple[str, ...] = ()
    conffiles: Tuple[str, ...] = ()
    scripts: Mapping[str, str] = field(default_factory=dict)

    def control(self, architecture: str, size: int) -> str:
        """The text of DEBIAN/control; ``size`` is in bytes."""
        rows = [
            ("Package", self.name),
            ("Version", self.version),
            ("Architecture", architecture),
            ("Maintainer", "kubestead lab <lab@lab.test>"),
            ("Section", "admin"),
            ("Priority", "optional"),
            ("Installed-Size", str(-(-size // 1024))),
            ("Depends", ", ".join(self.depends)),
            ("Recommends", ", ".join(self.recommends)),
            ("Homepage", "https://kubernetes.io"),
            ("Description", self.summary),
        ]
        return "".join(f"{key}: {value}\n" for key, value in rows if value)


def minor_number(version: str) -> int:
    """35 of ``1.35.0``."""
    return int(version.split(".")[1])


def kubeadm_depends(version: str) -> Tuple[str, ...]:
    """What upstream's kubeadm package of this version depends on."""
    minor = minor_number(version)
    if minor >= 32:
        return ()
    if minor >= 30:
        return ("cri-tools (>= 1.30.0)",)
    cri_tools = "1.28.0" if minor >= 28 else "1.13.0"
    return ("kubelet (>= 1.19.0)", "kubectl (>= 1.19.0)", "kubernetes-cni (>= 0.8.7)", f"cri-tools (>= {cri_tools})")


def kubelet_depends(version: str) -> Tuple[str, ...]:
    """What upstream's kubelet package of this version depends on."""
    needs = ("kubernetes-cni (>= 0.8.7)", "mount", "util-linux")
    if minor_number(version) >= 30:
        return needs
    return ("iptables (>= 1.4.21)", "conntrack", "ebtables", "ethtool", "iproute2", "socat", *needs)


def kube_packages(binaries: Path, version: str, cni: Path, cni_version: str) -> List[Package]:
    """The packages of the repository of one minor. ``cni`` is a folder of CNI plugins."""
    release = f"{version}-{REVISION}"
    minor = minor_number(version)
    kubelet = Package(
        "kubelet",
        release,
        "Node agent for Kubernetes clusters",
        {
            "usr/bin/kubelet": (binaries / "kubelet", 0o755),
            "usr/lib/systemd/system/kubelet.service": (KUBELET_UNIT, 0o644),
            "etc/default/kubelet": ("KUBELET_EXTRA_ARGS=\n", 0o644),
            "var/lib/kubelet/.kubelet-keep": ("", 0o644),
        },
        depends=kubelet_depends(version),
        recommends=("iptables (>= 1.8.4)",) if minor >= 30 else (),
        conffiles=("/etc/default/kubelet",),
        scripts={"postinst": KUBELET_POSTINST, "prerm": KUBELET_PRERM, "postrm": KUBELET_POSTRM},
    )
    kubeadm = Package(
        "kubeadm",
        release,
        "Command-line utility for administering a Kubernetes cluster",
        {
            "usr/bin/kubeadm": (binaries / "kubeadm", 0o755),
            "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": (KUBEADM_DROP_IN, 0o644),
        },
        depends=kubeadm_depends(version),
        scripts={"postinst": KUBEADM_POSTINST},
    )
    kubectl = Package(
        "kubectl",
        release,
        "Command-line utility for interacting with a Kubernetes cluster",
        {"usr/bin/kubectl": (binaries / "kubectl", 0o755)},
    )
    kubernetes_cni = Package(
        "kubernetes-cni",
        f"{cni_version}-{REVISION}",
        "Binaries required to provision kubernetes container networking",
        {f"opt/cni/bin/{path.name}": (path, 0o755) for path in sorted(cni.iterdir()) if path.is_file()},
    )
    crictl: Path | str = binaries / "crictl" if (binaries / "crictl").exists() else CRICTL
    cri_tools = Package(
        "cri-tools",
        f"1.{max(minor, 30)}.0-{REVISION}",
        "Command-line utility for interacting with a container runtime",
        {"usr/bin/crictl": (crictl, 0o755)},
    )
    return [kubelet, kubeadm, kubectl, kubernetes_cni, cri_tools]


def build(package: Package, architecture: str, work: Path) -> Path:
    """Build the package in the folder ``work``; the .deb."""
    tree = work / f".{package.name}"
    size = 0
    for path, (content, mode) in package.files.items():
        target = tree / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            target.write_text(content, encoding="utf-8")
        else:
            shutil.copyfile(content, target)
        target.chmod(mode)
        size += target.stat().st_size
    meta = tree / "DEBIAN"
    meta.mkdir(parents=True)
    (meta / "control").write_text(package.control(architecture, size), encoding="utf-8")
    if package.conffiles:
        (meta / "conffiles").write_text("".join(f"{path}\n" for path in package.conffiles), encoding="utf-8")
    for name, text in package.scripts.items():
        (meta / name).write_text(text, encoding="utf-8")
        (meta / name).chmod(0o755)
    for folder in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    deb = work / f"{package.name}_{package.version}_{architecture}.deb"
    # Not compressed: these are made and unpacked on one machine, where the network is memory and the processor is busy.
    run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb])
    shutil.rmtree(tree)
    return deb


# -- repositories


def digests(path: Path) -> Dict[str, str]:
    """``MD5sum`` and ``SHA256`` of a file, as an apt index names them."""
    found = {"MD5sum": hashlib.md5(usedforsecurity=False), "SHA256": hashlib.sha256()}
    with path.open("rb") as handle:
        for chunk in iter(lambda: handle.read(1 << 20), b""):
            for digest in found.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in found.items()}


def stanza(control: str, filename: str, size: int, sums: Mapping[str, str]) -> str:
    """One entry of a Packages index: the package's own control fields, where it is and what it must be.

    A description's further lines are left out; an index needs them not.
    """
    kept: List[str] = []
    skipping = False
    for line in control.strip().splitlines():
        if line[:1] in (" ", "\t"):
            if not skipping:
                kept.append(line)
            continue
        name = line.split(":", 1)[0]
        skipping = name == "Description"
        if name not in ("Filename", "Size", *sums):
            kept.append(line)
    kept += [f"Filename: {filename}", f"Size: {size}", *(f"{name}: {value}" for name, value in sums.items())]
    return "\n".join(kept) + "\n"


def release(files: Mapping[str, bytes], fields: Mapping[str, str], now: float) -> str:
    """The text of a Release file over index files (name -> content); ``now`` in seconds since 1970."""
    rows = [*fields.items(), ("Date", email.utils.formatdate(now, usegmt=True).replace("GMT", "UTC"))]
    text = "".join(f"{key}: {value}\n" for key, value in rows)
    for title, algorithm in (("MD5Sum", "md5"), ("SHA256", "sha256")):
        text += f"{title}:\n"
        for name, content in sorted(files.items()):
            text += f" {hashlib.new(algorithm, content).hexdigest()} {len(content)} {name}\n"
    return text


class Signer:
    """The lab's archive key, made once; gpg with a home of its own."""

    USER = "kubestead lab <lab@lab.test>"

    def __init__(self, home: Path) -> None:
        self.home = home
        with locked("archive-key"):
            if not (home / "key.asc").exists():
                self._make()

    def _make(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, mode=0o700)
        self._gpg("--passphrase", "", "--quick-gen-key", self.USER, "rsa3072", "sign", "never")
        public = self._gpg("--armor", "--export", self.USER)
        (self.home / "key.asc").write_text(public, encoding="utf-8")
        self.end()

    def _gpg(self, *arguments: str | Path) -> str:
        return run(["gpg", "--homedir", self.home, "--batch", "--quiet", "--yes", "--no-tty", *arguments]).stdout

    def end(self) -> None:
        """Stop the agent that gpg starts for this home, and leaves behind."""
        run(["gpgconf", "--homedir", self.home, "--kill", "all"], check=False)

    def public_key(self) -> str:
        """The armored public key."""
        return (self.home / "key.asc").read_text(encoding="utf-8")

    def sign(self, folder: Path) -> None:
        """Write InRelease, Release.gpg and Release.key beside the folder's Release file."""
        release_file = folder / "Release"
        self._gpg("--clearsign", "--digest-algo", "SHA256", "--output", folder / "InRelease", release_file)
        self._gpg(
            "--armor", "--detach-sign", "--digest-algo", "SHA256", "--output", folder / "Release.gpg", release_file
        )
        (folder / "Release.key").write_text(self.public_key(), encoding="utf-8")
        self.end()


def signer() -> Signer:
    """The signer with the key in the cache."""
    return Signer(cache_dir() / "gpg")


def index(folder: Path, fields: Mapping[str, str], now: float) -> None:
    """Write Packages, Packages.gz and Release for all the .deb files below ``folder``."""
    stanzas = []
    for deb in sorted(folder.rglob("*.deb")):
        control = run(["dpkg-deb", "-f", deb]).stdout
        stanzas.append(stanza(control, str(deb.relative_to(folder)), deb.stat().st_size, digests(deb)))
    packages = "\n".join(stanzas).encode()
    files = {"Packages": packages, "Packages.gz": gzip.compress(packages, mtime=0)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "Release").write_text(release(files, fields, now), encoding="utf-8")


def architecture() -> str:
    """Debian's name of this machine's architecture."""
    return run(["dpkg", "--print-architecture"]).stdout.strip()


def kube_repository(apt: PrivateApt, binaries: Path, version: str, folder: Path, now: float) -> None:
    """Write a minor's signed repository into ``folder``: what upstream has below ``/core:/stable:/vX.Y/deb/``."""
    arch = architecture()
    debs = folder / arch
    debs.mkdir(parents=True)
    plugins = debs / ".cni"
    apt.unpack(["containernetworking-plugins"], plugins)
    debian_version = apt.version("containernetworking-plugins")
    cni_version = re.split(r"[+~-]", debian_version.split(":")[-1])[0]
    for package in kube_packages(binaries, version, plugins / "usr/lib/cni", cni_version):
        build(package, arch, debs)
    shutil.rmtree(plugins)
    minor = ".".join(version.split(".")[:2])
    index(folder, {"Origin": "kubestead lab", "Label": f"kubernetes v{minor}", "Architectures": arch}, now)
    signer().sign(folder)


def distribution_repository(apt: PrivateApt, folder: Path, now: float) -> List[str]:
    """Write a flat repository of what nodes install from Debian, with all dependencies; the packages asked for.

    It is not signed: nodes trust it by their source entry, as there is no key yet when they read it first.
    """
    wanted = available(apt, DISTRIBUTION)
    for deb in apt.download(wanted):
        target = folder / re.sub(r"%3a", "+", deb.name, flags=re.IGNORECASE)  # an epoch's colon; servers unescape it
        try:
            os.link(deb, target)
        except OSError:
            shutil.copyfile(deb, target)
    index(folder, {"Origin": "kubestead lab", "Label": "debian", "Architectures": f"{architecture()} all"}, now)
    return wanted


def available(apt: PrivateApt, names: Sequence[str]) -> List[str]:
    """Those of ``names`` the machine's sources have."""
    known = set(run(["apt-cache", *apt.options(), "pkgnames"]).stdout.split())
    return [name for name in names if name in known]
