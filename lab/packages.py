# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real .deb packages made of Kubernetes' binaries.

Their names, files, dependencies and versions are those of pkgs.k8s.io, so that what works here works there.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import List, Mapping, Tuple

from .flavour import minor_of
from .machine import run

REVISION = "1.1"
FILES = Path(__file__).with_name("package_files")
CRICTL = Path(__file__).with_name("stand_ins") / "crictl"


@dataclass(frozen=True)
class Package:
    """A binary package to build. ``files``: path -> (a file or a text, mode); ``scripts`` are in :data:`FILES`."""

    name: str
    version: str
    summary: str
    files: Mapping[str, Tuple[Path | str, int]]
    depends: Tuple[str, ...] = ()
    recommends: Tuple[str, ...] = ()
    conffiles: Tuple[str, ...] = ()
    scripts: Tuple[str, ...] = ()

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


def kubeadm_depends(version: str) -> Tuple[str, ...]:
    """The dependencies of upstream's kubeadm package of this version."""
    minor = minor_of(version)[1]
    if minor >= 32:
        return ()
    if minor >= 30:
        return ("cri-tools (>= 1.30.0)",)
    cri_tools = "1.28.0" if minor >= 28 else "1.13.0"
    return ("kubelet (>= 1.19.0)", "kubectl (>= 1.19.0)", "kubernetes-cni (>= 0.8.7)", f"cri-tools (>= {cri_tools})")


def kubelet_depends(version: str) -> Tuple[str, ...]:
    """The dependencies of upstream's kubelet package of this version."""
    needs = ("kubernetes-cni (>= 0.8.7)", "mount", "util-linux")
    if minor_of(version)[1] >= 30:
        return needs
    return ("iptables (>= 1.4.21)", "conntrack", "ebtables", "ethtool", "iproute2", "socat", *needs)


def kube_packages(binaries: Path, version: str, cni: Path, cni_version: str) -> List[Package]:
    """The packages of the repository of one minor. ``cni`` is a folder of CNI plugins."""
    release = f"{version}-{REVISION}"
    minor = minor_of(version)[1]
    kubelet = Package(
        "kubelet",
        release,
        "Node agent for Kubernetes clusters",
        {
            "usr/bin/kubelet": (binaries / "kubelet", 0o755),
            "usr/lib/systemd/system/kubelet.service": (FILES / "kubelet.service", 0o644),
            "etc/default/kubelet": ("KUBELET_EXTRA_ARGS=\n", 0o644),
            "var/lib/kubelet/.kubelet-keep": ("", 0o644),
        },
        depends=kubelet_depends(version),
        recommends=("iptables (>= 1.8.4)",) if minor >= 30 else (),
        conffiles=("/etc/default/kubelet",),
        scripts=("postinst", "prerm", "postrm"),
    )
    kubeadm = Package(
        "kubeadm",
        release,
        "Command-line utility for administering a Kubernetes cluster",
        {
            "usr/bin/kubeadm": (binaries / "kubeadm", 0o755),
            "usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": (FILES / "10-kubeadm.conf", 0o644),
        },
        depends=kubeadm_depends(version),
        scripts=("postinst",),
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
    crictl = binaries / "crictl" if (binaries / "crictl").exists() else CRICTL
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
    for name in package.scripts:
        shutil.copyfile(FILES / f"{package.name}.{name}", meta / name)
        (meta / name).chmod(0o755)
    for folder in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
        folder.chmod(0o755)
    deb = work / f"{package.name}_{package.version}_{architecture}.deb"
    # Not compressed: packages are made and unpacked on one machine, whose processor is the bottleneck.
    run(["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb])
    shutil.rmtree(tree)
    return deb
