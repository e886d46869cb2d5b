# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubernetes for a machine that reaches only a Debian mirror: built once from Debian's own source package.

Debian ships only kubectl as a binary, but the complete source. The build uses Go 1.19 and takes about eight minutes on
two cores. Its result is kept in the cache under the source package's version.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Dict

from . import machine
from .cache import once
from .private_apt import PrivateApt
from .say import say, step

SOURCE = "kubernetes"
BUILT = ("kubeadm", "kubelet", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
GO = Path("/usr/lib/go-1.19")
REFLECT2 = Path("/usr/share/gocode/src/github.com/modern-go/reflect2")


def upstream_version(debian_version: str) -> str:
    """``1.20.2`` of ``1.20.5+really1.20.2-1.1+deb12u1``: the upstream version in Debian's version."""
    match = re.match(r"(?:\d+:)?(?:[^-]*\+really)?(\d+\.\d+\.\d+)", debian_version)
    if not match:
        raise machine.MachineError(f"Debian's version {debian_version} of {SOURCE} contains no upstream version")
    return match.group(1)


def version_file(version: str) -> str:
    """The file that Kubernetes' build reads its version from, instead of asking git."""
    major, minor, _ = version.split(".")
    values: Dict[str, str] = {
        "KUBE_GIT_COMMIT": "0" * 40,
        "KUBE_GIT_TREE_STATE": "archive",
        "KUBE_GIT_VERSION": f"v{version}",
        "KUBE_GIT_MAJOR": major,
        "KUBE_GIT_MINOR": minor,
    }
    return "".join(f"{key}='{value}'\n" for key, value in values.items())


def ensure_debian_kubernetes() -> Path:
    """The folder with Kubernetes' binaries and a file ``VERSION``, built when it is missing.

    Raises MachineError when the machine's apt sources have no such source package, or the build fails. An interrupted
    build leaves nothing that a later one could mistake for a result.
    """
    folder = machine.cache_dir() / "kubernetes"
    built = sorted(folder.glob("debian-*"))
    if built:  # the mirror is not asked when a build exists
        return built[-1]
    apt = PrivateApt(machine.cache_dir() / "apt-build", sources=True)
    with step("fetch the lists of Debian's source packages"):
        apt.update()
        debian_version = apt.version("kubernetes-client")
    target = folder / f"debian-{debian_version}"
    with once(target) as work:
        if work:
            _build(apt, debian_version, work)
    return target


def _build(apt: PrivateApt, debian_version: str, work: Path) -> None:
    version = upstream_version(debian_version)
    say(f"build Kubernetes {version} from Debian's source package: about 8 minutes on two cores, once; it is cached")
    machine.ensure("debian-kubernetes")
    build = work / "build"
    build.mkdir()
    with step(f"download the source of {SOURCE} {debian_version}"):
        apt.get("source", f"{SOURCE}={debian_version}", cwd=build)
    trees = [path for path in build.iterdir() if path.is_dir()]
    if len(trees) != 1:
        raise machine.MachineError(f"apt-get source {SOURCE} unpacked {len(trees)} folders instead of one")
    tree = trees[0]
    # The vendored reflect2 reads the Go runtime's insides in a way that crashes from Go 1.18 on; Debian's does not.
    vendored = tree / "vendor/github.com/modern-go/reflect2"
    shutil.rmtree(vendored)
    shutil.copytree(REFLECT2, vendored, ignore=shutil.ignore_patterns("*_test.go"))
    (build / "version").write_text(version_file(version), encoding="utf-8")
    gopath = tree / ".go"
    (gopath / "src/k8s.io").mkdir(parents=True)
    (gopath / "src/k8s.io/kubernetes").symlink_to("../../..")
    with step(f"compile {' '.join(BUILT)}"):
        _make(tree, gopath, build)
    for name in BUILT:
        shutil.move(str(tree / "_output/bin" / name), work / name)
    client = build / "client"
    client.mkdir()
    with step("take kubectl from Debian's kubernetes-client"):
        apt.unpack(["kubernetes-client"], client)
    shutil.move(str(client / "usr/bin/kubectl"), work / "kubectl")
    for name in (*BUILT, "kubectl"):
        (work / name).chmod(0o755)
    built = machine.run([work / "kubeadm", "version", "-o", "short"]).stdout.strip()
    if built != f"v{version}":
        raise machine.MachineError(f"the kubeadm built from Debian's source has version {built} instead of v{version}")
    (work / "VERSION").write_text(version + "\n", encoding="utf-8")
    shutil.rmtree(build)


def _make(tree: Path, gopath: Path, build: Path) -> None:
    """Run Kubernetes' own make as the Debian package does; the log of its output stays when it fails."""
    log = machine.cache_dir() / "debian-kubernetes.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "KUBE", "CGO_"))}
    environment.update(
        {
            "PATH": f"{GO}/bin:{machine.search_path(os.environ.get('PATH', ''))}",
            "HOME": str(build),
            "GOPATH": str(gopath),
            "GOCACHE": str(build / "go-cache"),
            "GO111MODULE": "off",
            "GOLDFLAGS": "-s -w",
            "KUBE_GIT_VERSION_FILE": str(build / "version"),
            "LC_ALL": "C.UTF-8",
        }
    )
    what = " ".join(f"cmd/{name}" for name in BUILT)
    with log.open("wb") as output:
        done = subprocess.run(
            ["nice", "make", f"WHAT={what}"],
            cwd=tree,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        tail = " | ".join(log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:])
        raise machine.MachineError(f"building Kubernetes failed ({done.returncode}): {tail}; the complete log is {log}")
    log.unlink()
