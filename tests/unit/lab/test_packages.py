# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packages, the repositories they are in, and the stand-in for crictl."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
from pathlib import Path
from typing import Callable, Tuple

import pytest

from lab import packages

Crictl = Callable[..., Tuple[int, str, str]]

CONTROL = """\
Package: conntrack
Version: 1:1.4.7-1+b2
Architecture: amd64
Depends: libc6 (>= 2.34),
 libmnl0 (>= 1.0.3-4~)
Description: Program to modify the conntrack tables
 conntrack is a userspace command line program
 .
 More of it.
Homepage: https://conntrack-tools.netfilter.org/
"""


def test_stanza_has_the_fields_and_where_it_is() -> None:
    text = packages.stanza(CONTROL, "amd64/c.deb", 12, {"MD5sum": "aa", "SHA256": "bb"})
    assert text == (
        "Package: conntrack\nVersion: 1:1.4.7-1+b2\nArchitecture: amd64\n"
        "Depends: libc6 (>= 2.34),\n libmnl0 (>= 1.0.3-4~)\n"
        "Description: Program to modify the conntrack tables\n"
        "Homepage: https://conntrack-tools.netfilter.org/\n"
        "Filename: amd64/c.deb\nSize: 12\nMD5sum: aa\nSHA256: bb\n"
    )


def test_release_sums_its_files() -> None:
    text = packages.release({"Packages": b"x\n"}, {"Origin": "lab"}, 0)
    assert text.startswith("Origin: lab\nDate: Thu, 01 Jan 1970 00:00:00 UTC\nMD5Sum:\n")
    digest = hashlib.sha256(b"x\n").hexdigest()
    assert f"SHA256:\n {digest} 2 Packages\n" in text


@pytest.mark.parametrize(
    ("version", "kubeadm", "kubelet"),
    [
        ("1.35.0", set(), {"kubernetes-cni", "mount", "util-linux"}),
        ("1.31.4", {"cri-tools"}, {"kubernetes-cni", "mount", "util-linux"}),
        ("1.20.2", {"cri-tools", "kubelet", "kubectl", "kubernetes-cni"}, {"conntrack", "socat", "kubernetes-cni"}),
    ],
)
def test_dependencies_are_the_versions_own(version: str, kubeadm: set[str], kubelet: set[str]) -> None:
    assert {need.split()[0] for need in packages.kubeadm_depends(version)} == kubeadm
    assert kubelet <= {need.split()[0] for need in packages.kubelet_depends(version)}


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    folder = tmp_path / "binaries"
    folder.mkdir()
    for name in ("kubelet", "kubeadm", "kubectl"):
        (folder / name).write_text(f"#!/bin/sh\necho {name}\n")
    return folder


def made(binaries: Path, version: str = "1.35.0") -> dict[str, packages.Package]:
    cni = binaries / "cni"
    cni.mkdir(exist_ok=True)
    (cni / "bridge").write_text("bridge")
    return {package.name: package for package in packages.kube_packages(binaries, version, cni, "1.1.1")}


def test_versions_look_like_upstreams(binaries: Path) -> None:
    versions = {name: package.version for name, package in made(binaries).items()}
    assert versions == {
        "kubelet": "1.35.0-1.1",
        "kubeadm": "1.35.0-1.1",
        "kubectl": "1.35.0-1.1",
        "kubernetes-cni": "1.1.1-1.1",
        "cri-tools": "1.35.0-1.1",
    }


def test_the_folders_own_crictl_wins(binaries: Path) -> None:
    assert made(binaries)["cri-tools"].files["usr/bin/crictl"][0] == packages.CRICTL
    (binaries / "crictl").touch()
    assert made(binaries)["cri-tools"].files["usr/bin/crictl"][0] == binaries / "crictl"


def test_a_built_package_and_its_index(binaries: Path, tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    (folder / "amd64").mkdir(parents=True)
    deb = packages.build(made(binaries)["kubelet"], "amd64", folder / "amd64")
    assert deb.name == "kubelet_1.35.0-1.1_amd64.deb"
    assert [path.name for path in deb.parent.iterdir()] == [deb.name]
    content = subprocess.run(["dpkg-deb", "-c", deb], check=True, capture_output=True, encoding="utf-8").stdout
    rows = {line.split()[-1]: line.split()[:2] for line in content.splitlines()}
    assert rows["./usr/bin/kubelet"] == ["-rwxr-xr-x", "root/root"]
    assert rows["./usr/lib/systemd/system/kubelet.service"] == ["-rw-r--r--", "root/root"]

    packages.index(folder, {"Origin": "lab"}, 0)
    text = (folder / "Packages").read_text()
    assert "Filename: amd64/kubelet_1.35.0-1.1_amd64.deb\n" in text
    assert f"SHA256: {hashlib.sha256(deb.read_bytes()).hexdigest()}\n" in text
    assert gzip.decompress((folder / "Packages.gz").read_bytes()).decode() == text
    assert hashlib.sha256(text.encode()).hexdigest() in (folder / "Release").read_text()


def test_a_signature_holds_only_for_what_was_signed(tmp_path: Path) -> None:
    signer = packages.Signer(tmp_path / "gpg")
    key = signer.public_key()
    assert packages.Signer(tmp_path / "gpg").public_key() == key, "the key is made once"
    (tmp_path / "Release").write_text("Origin: lab\n")
    signer.sign(tmp_path)
    assert (tmp_path / "Release.key").read_text() == key

    def verify() -> int:
        argv = ["gpg", "--homedir", str(tmp_path / "gpg"), "--batch", "--verify", "Release.gpg", "Release"]
        return subprocess.run(argv, cwd=tmp_path, capture_output=True).returncode

    assert verify() == 0
    (tmp_path / "Release").write_text("Origin: somebody\n")
    assert verify() != 0
    signer.end()


# -- crictl over ctr

CTR = """\
#!/bin/sh
# a containerd with one image, one sandbox with one running container
echo "$*" >>"$CTR_LOG"
while [ "${1#--}" != "$1" ]; do shift 2; done
case "$*" in
    version) echo "Server:"; echo "  Version:  1.6.20" ;;
    "plugins list") printf 'TYPE ID PLATFORMS STATUS\\nio.containerd.grpc.v1 cri linux/amd64 %s\\n' "${CRI:-ok}" ;;
    "images list -q name==registry.k8s.io/pause:3.2") echo registry.k8s.io/pause:3.2 ;;
    "images list name=="*) printf 'REF TYPE DIGEST\\nregistry.k8s.io/pause:3.2 x sha256:ab\\n' ;;
    "images list -q "*) ;;
    "images pull "*nope*) exit 1 ;;
    "containers list -q labels.\\"io.cri-containerd.kind\\"==sandbox") echo s1 ;;
    "containers list -q labels.\\"io.cri-containerd.kind\\"==container") echo c1 ;;
    "containers list -q labels.\\"io.kubernetes.pod.uid\\"==u1") echo s1; echo c1 ;;
    "containers info "*) printf '  "%s": "%s",\\n' io.kubernetes.pod.name etcd-a io.kubernetes.pod.uid u1 ;;
    "tasks list") printf 'TASK PID STATUS\\nc1 7 RUNNING\\n' ;;
    "tasks list -q") echo c1; echo s1 ;;
esac
"""


@pytest.fixture
def crictl(tmp_path: Path) -> Crictl:
    (tmp_path / "ctr").write_text(CTR)
    (tmp_path / "crictl").write_text(packages.CRICTL)
    for name in ("ctr", "crictl"):
        (tmp_path / name).chmod(0o755)

    def call(*arguments: str, **environ: str) -> tuple[int, str, str]:
        log = tmp_path / "log"
        log.write_text("")
        done = subprocess.run(
            [tmp_path / "crictl", *arguments],
            env={"PATH": f"{tmp_path}:/usr/sbin:/usr/bin:/sbin:/bin", "CTR_LOG": str(log), **environ},
            capture_output=True,
            encoding="utf-8",
        )
        return done.returncode, done.stdout + done.stderr, log.read_text()

    return call


def test_crictl_info_is_the_cri_plugins_state(crictl: Crictl) -> None:
    code, said, asked = crictl("-r", "unix:///run/x.sock", "info")
    assert code == 0 and "RuntimeReady" in said
    assert "--address /run/x.sock --namespace k8s.io plugins list" in asked
    assert crictl("info", CRI="error")[0] == 1


def test_crictl_images(crictl: Crictl) -> None:
    assert crictl("inspecti", "registry.k8s.io/pause:3.2")[0] == 0
    assert crictl("inspecti", "registry.k8s.io/pause:3.3")[0] == 1
    code, said, asked = crictl("pull", "redis")
    assert (code, said) == (0, "Image is up to date for docker.io/library/redis:latest\n")
    assert "images pull --hosts-dir /etc/containerd/certs.d docker.io/library/redis:latest" in asked
    code, said, _ = crictl("pull", "quay.io/nope:1")
    assert code == 1 and "pulling image quay.io/nope:1 failed" in said


def test_crictl_pods_and_their_end(crictl: Crictl) -> None:
    assert crictl("pods", "-q")[1] == "s1\n"
    assert crictl("ps", "-q")[1] == "c1\n"
    assert "s1\tetcd-a" in crictl("pods")[1]
    code, _, asked = crictl("rmp", "s1")
    assert code == 0
    gone = [line.split("k8s.io ")[1] for line in asked.splitlines() if "delete" in line]
    assert gone.index("containers delete c1") < gone.index("containers delete s1"), "containers go before their sandbox"


def test_crictl_refuses_what_it_does_not_know(crictl: Crictl) -> None:
    assert crictl("exec", "c1", "sh")[0] == 1
    assert crictl("ps", "--label", "a=b")[0] == 1
