# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The programs that stand in for those the lab does not have."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Callable, Tuple

import pytest

from lab.images import STAND_INS

Crictl = Callable[..., Tuple[int, str, str]]


# -- etcd and redis


def test_etcd_gets_only_options_it_knows(tmp_path: Path) -> None:
    etcd = tmp_path / "etcd"
    etcd.write_text(
        "#!/bin/sh\n"
        "if [ \"$1\" = --help ]; then printf \"  --name 'default'\\n  --listen-metrics-urls ''\\n\" >&2; exit; fi\n"
        'printf "%s\\n" "$@"\n'
    )
    busybox = tmp_path / "busybox"
    busybox.write_text(f'#!/bin/sh\necho "$@ $ETCD_METRICS" >{tmp_path}/probe\n')
    for path in (etcd, busybox):
        path.chmod(0o755)
    script = (
        (STAND_INS / "etcd").read_text().replace("/usr/bin/etcd", str(etcd)).replace("/bin/busybox nc", f"{busybox} nc")
    )
    argv = ["--name=a b", "--feature-gates=X=true", "--listen-metrics-urls=http://127.0.0.1:2381"]
    done = subprocess.run(["sh", "-s", "--", *argv], input=script, capture_output=True, encoding="utf-8")
    assert done.stdout == "--name=a b\n--listen-metrics-urls=http://127.0.0.1:3381\n"
    assert done.stderr == "left out, unknown to this etcd: --feature-gates=X=true\n"
    probe = (tmp_path / "probe").read_text()
    assert probe == "nc -ll -p 2381 -e /usr/local/bin/etcd-probe http://127.0.0.1:3381\n"


@pytest.mark.parametrize(
    ("path", "asked", "status"),
    [
        ("/livez", "/health", "200"),
        ("/readyz?x=y", "/health", "200"),
        ("/metrics", "/metrics", "200"),
        ("/no", "", "503"),
    ],
)
def test_etcds_probe_asks_its_health(tmp_path: Path, path: str, asked: str, status: str) -> None:
    wget = tmp_path / "busybox"
    wget.write_text('#!/bin/sh\ncase "$5" in */no) exit 1 ;; esac\necho "$5"\n')
    wget.chmod(0o755)
    script = tmp_path / "probe"
    script.write_text((STAND_INS / "etcd-probe").read_text().replace("/bin/busybox wget", f"{wget} wget"))
    done = subprocess.run(
        ["sh", script],
        input=f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n",
        env={"ETCD_METRICS": "http://m", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
    )
    head, _, body = done.stdout.partition("\n\n")
    assert head.startswith(f"HTTP/1.1 {status} ")
    assert body == (f"http://m{asked}\n" if asked else "\n")


@pytest.mark.parametrize(
    ("arguments", "becomes"),
    [
        ([], "redis-server --protected-mode no"),
        (["--requirepass", "x"], "redis-server --protected-mode no --requirepass x"),
        (["redis-server", "/etc/redis.conf"], "redis-server /etc/redis.conf"),
        (["redis-cli", "ping"], "redis-cli ping"),
    ],
)
def test_redis_starts_like_its_namesake(tmp_path: Path, arguments: list[str], becomes: str) -> None:
    for name in ("redis-server", "redis-cli"):
        (tmp_path / name).write_text('#!/bin/sh\necho "${0##*/}" "$@"\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["sh", "-s", "--", *arguments],
        input=(STAND_INS / "redis").read_text(),
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.stdout.strip() == becomes


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
    (tmp_path / "crictl").write_text((STAND_INS / "crictl").read_text())
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
