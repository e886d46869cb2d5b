# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known to be behind a failure. How kubeadm's own output is read is tested with init and join."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import diagnosis
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.culprits import Journals
from ansible_collections.kubestead.cluster.tests.unit.support import Machine


@pytest.fixture
def healthy(machine: Machine) -> Machine:
    machine.answer("systemctl is-active", "active\n")
    return machine


@pytest.mark.parametrize(
    ("log", "says"),
    [
        ("etcdserver: write /var/lib/etcd/member/wal/0.tmp: no space left on device", "a disk is full"),
        ("server.go:294] running with swap on is not supported, please disable swap!", "swap is on"),
        ("x509: certificate has expired or is not yet valid: current time 2020-01-01", "clocks"),
        ('could not find a JWS signature in the cluster-info ConfigMap for token ID "abcdef"', "create a new one"),
        ("listen tcp 0.0.0.0:2380: bind: address already in use", "another program uses a port"),
        ("can only promote a learner member: etcd cluster is not healthy", "the cluster's etcd is not healthy"),
        (
            "panic: failed to merge, error: unrecognized feature gate: NoSuchGate",
            "the kubelet refuses its configuration",
        ),
        ('failed to get sandbox image "registry.k8s.io/pause:9.99": not found', "the pause image can't be pulled"),
        ("open /var/lib/kubelet/kubeadm-flags.env: read-only file system", "mounted read-only"),
        (
            "OCI runtime create failed: runc did not terminate successfully: exit status 127",
            "prevents runc from running",
        ),
        ('runc create failed: expected cgroupsPath to be of format "slice:prefix:name"', "different cgroup drivers"),
        (
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "signed by a CA that its peer does not trust",
        ),
        ("dial tcp 192.0.2.1:443: connect: no route to host", "can't be reached from this host"),
        ("dial tcp 192.0.2.1:6443: i/o timeout", "can't be reached from this host"),
        (
            'failed to do request: Head "https://registry.k8s.io/v2/x": dial tcp: lookup registry.k8s.io on '
            "10.0.0.2:53: server misbehaving",
            "a name can't be resolved",
        ),
        (
            'failed to do request: Head "https://r.example.org/v2/x": dial tcp: lookup r.example.org: no such host',
            "a name can't be resolved",
        ),
        (
            'failed to do request: Head "https://r.example.org/v2/x": tls: failed to verify certificate: x509: '
            "certificate signed by unknown authority",
            "this host does not trust the CA of a registry",
        ),
        (
            'Get "https://192.0.2.1:6443/api": tls: failed to verify certificate: x509: certificate is valid for '
            "10.96.0.1, 10.0.0.5, not 192.0.2.1",
            "does not have the name at which it was reached",
        ),
        (
            "x509: cannot validate certificate for 192.0.2.1 because it doesn't contain any IP SANs",
            "does not have the name at which it was reached",
        ),
        (
            'Head "https://registry.k8s.io/v2/x": proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection '
            "refused",
            "the HTTP proxy of containerd",
        ),
        ("http: server gave HTTP response to HTTPS client", "a registry does not use TLS"),
        ("unexpected status from HEAD request: 429 Too Many Requests", "limits pulls"),
        (
            "failed to authorize: failed to fetch oauth token: unexpected status from GET request to "
            "https://r.example.org/token: 401 Unauthorized",
            "the registry refuses access",
        ),
        ("pull access denied, repository does not exist or may require authorization", "the registry refuses access"),
        ("no match for platform in manifest: not found", "CPU architecture"),
        ("exec /usr/local/bin/etcd: exec format error", "CPU architecture"),
        ("cannot create certificate signing request: Unauthorized", "the token has expired or was revoked"),
        (
            'cannot create certificate signing request: Post "https://10.0.0.5:6443/apis/x": dial tcp 10.0.0.5:6443: '
            "connect: connection refused",
            "the API server or its load balancer does not run",
        ),
        (
            "containerd: failed to load TOML: /etc/containerd/config.toml: (1, 6): was expecting",
            "containerd_config_dropin",
        ),
        ("containerd: failed to unmarshal TOML: toml: key imports is already defined", "containerd_config_dropin"),
        ("Error: unknown flag: --no-such-flag", "an argument is refused; correct the extraArgs"),
        ("flag provided but not defined: -no-such-flag", "an argument is refused"),
        ('invalid value "often" for flag -heartbeat-interval: parse error', "an argument is refused"),
        (
            "error failed to decode: json: cannot unmarshal string into Go struct field KubeletConfiguration.maxPods "
            "of type int32",
            "the kubelet refuses its configuration",
        ),
        (
            "runc create failed: unable to start container process: can't get final child's PID from pipe: EOF",
            "prevents runc from running",
        ),
        (
            'failed to pull image r.example.org/etcd:9: failed to pull and unpack image "r.example.org/etcd:9": failed '
            'to resolve reference "r.example.org/etcd:9": r.example.org/etcd:9: not found',
            "the registry does not have the image",
        ),
        ("failed to start cAdvisor inotify_init: too many open files", "a limit of inotify"),
        ("failed to create kubelet: open /dev/kmsg: no such file or directory", "requires /dev/kmsg"),
        ("kubelet is masked and logged nothing", "systemctl unmask"),
        ("rpc error: code = Unavailable desc = etcdserver: too many learner members in cluster", "not healthy"),
    ],
)
def test_what_is_known_by_its_text(healthy: Machine, log: str, says: str) -> None:
    (known,) = diagnosis.diagnose(healthy, {"container_logs": {"etcd": ["fine", log]}})
    assert says in known and "; " in known
    assert diagnosis.diagnose(healthy, {"stderr_lines": ["a\nb", f"first\n{log}\nlast"]}) == [known]
    assert diagnosis.diagnose(healthy, {"causes": ["something else"]}) == []


def test_a_service_that_is_down(healthy: Machine) -> None:
    healthy.answer("systemctl is-active containerd", "failed\n", rc=3)
    healthy.answer("systemctl is-active kubelet", "inactive\n", rc=3)
    (known,) = diagnosis.diagnose(healthy, {})
    assert known.startswith("containerd is not running (failed); see 'journalctl -u containerd'")
    healthy.put("/var/lib/kubelet/config.yaml")
    assert diagnosis.diagnose(healthy, {})[1].startswith("kubelet is not running (inactive)")


def test_a_full_disk_is_named_once(healthy: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    healthy.put("/var/lib/etcd/x")
    real: Callable[[Any], os.statvfs_result] = os.statvfs

    def full(path: Any) -> Any:
        about = real(path)
        return os.statvfs_result((*about[:3], 10, *about[4:])) if str(path).endswith("/var/lib/etcd") else about

    monkeypatch.setattr(os, "statvfs", full)
    (known,) = diagnosis.diagnose(healthy, {"causes": ["write: no space left on device"]})
    assert known == "no space is left in /var/lib/etcd; free some space (df -h) and run again"


CSR = (
    'E1128 00:07:01.762476    1340 certificate_manager.go:596] "Failed while requesting a signed certificate from the '
    'control plane" err="cannot create certificate signing request: {0}" '
    'logger="kubernetes.io/kube-apiserver-client-kubelet.UnhandledError"\n'
)
ANONYMOUS = (
    'E1128 00:07:02.100000    1340 reflector.go:203] "Failed to watch" err="failed to list *v1.Service: services is '
    'forbidden: User \\"system:anonymous\\" cannot list resource \\"services\\" in API group \\"\\" at the cluster '
    'scope" logger="UnhandledError" reflector="k8s.io/client-go/informers/factory.go:161" type="*v1.Service"\n'
)
TIMED_OUT = "error: error execution phase kubelet-wait-bootstrap: timed out waiting for the condition"


def failed_join(machine: Machine, journal: str, stderr: str = TIMED_OUT) -> str:
    """The message of a failed join whose kubelet runs."""
    machine.put("/var/lib/kubelet/config.yaml")
    for unit in ("containerd", "kubelet"):
        machine.answer(
            f"systemctl show {unit}", "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\n"
        )
        machine.answer(f"journalctl -u {unit}", "")
    machine.answer("journalctl -u kubelet", journal)
    output = Result(1, "[kubelet-start] Starting the kubelet\n", stderr)
    message = diagnosis.failure("join", output, machine, 600, 0.0).message
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("why", "says"),
    [
        ("Unauthorized", "the token has expired or was revoked"),
        (
            'Post \\"https://10.0.0.5:6443/apis/certificates.k8s.io/v1/certificatesigningrequests\\": dial tcp '
            "10.0.0.5:6443: connect: connection refused",
            "the API server or its load balancer does not run",
        ),
        (
            'Post \\"https://10.0.0.5:6443/apis/certificates.k8s.io/v1/certificatesigningrequests\\": dial tcp '
            "10.0.0.5:6443: connect: no route to host",
            "an address can't be reached",
        ),
        (
            'Post \\"https://10.0.0.5:6443/apis/certificates.k8s.io/v1/certificatesigningrequests\\": tls: failed to '
            "verify certificate: x509: certificate signed by unknown authority",
            "signed by a CA that its peer does not trust",
        ),
    ],
)
def test_a_kubelet_that_gets_no_certificate(healthy: Machine, why: str, says: str) -> None:
    message = failed_join(healthy, CSR.format("earlier") + CSR.format(why) + 3 * ANONYMOUS)
    assert "; the kubelet logged: certificate_manager.go:596]" in message and why[-20:] in message
    assert "anonymous" not in message and says in message


def test_a_kubelet_whose_certificate_is_not_signed(healthy: Machine) -> None:
    message = failed_join(healthy, ANONYMOUS)
    assert "the kubelet waits for its certificate and logged nothing; the cluster does not sign it" in message
    # kubeadm failed for another reason, or the kubelet has its certificate.
    assert "certificate" not in failed_join(healthy, "", "error: error execution phase etcd-join: no quorum")
    healthy.put("/var/lib/kubelet/pki/kubelet-client-current.pem")
    message = failed_join(healthy, CSR.format("earlier") + ANONYMOUS)
    assert "the kubelet logged: reflector.go:203]" in message and "certificate" not in message


def test_a_kubelet_that_can_not_register(healthy: Machine) -> None:
    healthy.put("/var/lib/kubelet/config.yaml")
    healthy.answer("systemctl show", "ActiveState=active\nSubState=running\n")
    refused = 'Unable to register node with API server" err="nodes is forbidden: node w2 is not allowed to modify node'
    journal = f'E1128 00:07:02.1 1340 kubelet_node_status.go:107] "{refused}"\n' + ANONYMOUS
    healthy.answer("journalctl -u kubelet", journal)
    (named,) = diagnosis.named(Journals(healthy, 0.0))
    assert named == f'the kubelet logged: kubelet_node_status.go:107] "{refused}"'
    healthy.answer("journalctl -u kubelet", "")
    assert diagnosis.named(Journals(healthy, 0.0)) == []


def test_a_runtime_that_is_down_before_kubeadm_starts(healthy: Machine) -> None:
    healthy.answer("systemctl show containerd", "LoadState=loaded\nActiveState=failed\nSubState=failed\n")
    healthy.answer("systemctl is-active containerd", "failed\n", rc=3)
    healthy.answer("journalctl -u containerd -b", "containerd: failed to load TOML: x\n")
    stderr = (
        "error: error execution phase preflight: [preflight] Some fatal errors occurred:\n"
        "\t[ERROR CRI]: could not connect to the container runtime: failed to create new CRI runtime service\n"
    )
    output = Result(1, "[preflight] Running pre-flight checks\n", stderr)
    message = diagnosis.failure("join", output, healthy, 600, 0.0).message
    assert "; containerd is not running (failed): containerd: failed to load TOML: x; " in message


def test_what_others_log_while_containerd_is_down_is_not_the_cause(healthy: Machine) -> None:
    healthy.put("/var/lib/kubelet/config.yaml")
    healthy.answer("systemctl show", "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nNRestarts=7\n")
    healthy.answer(
        "journalctl -u kubelet", 'E1128 00:07:02.1 1340 run.go:72] "command failed" err="invalid configuration: x"\n'
    )
    toml = "containerd: failed to load TOML: /etc/containerd/config.toml: (1, 6): was expecting token ="
    healthy.answer("journalctl -u containerd", f"{toml}\nStopped containerd.service - x.\n{toml}\n")
    output = Result(1, "[kubelet-start] Starting the kubelet\n", TIMED_OUT)
    message = diagnosis.failure("join", output, healthy, 600, 0.0).message
    assert message.count("failed to load TOML") == 1
    assert message.endswith(
        "; containerd refuses its configuration; correct /etc/containerd/config.toml or containerd_config_dropin"
    )
