# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that failed is named, with its own last words, from journals and logs of nodes with Kubernetes 1.35.0."""

from __future__ import annotations

import os
import time

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import culprits
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.culprits import Journals
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

RUNNING = "ActiveState=active\nSubState=running\nResult=success\nNRestarts=0\n"
SYNC = 'E1127 23:30:51.967289    3242 pod_workers.go:1324] "Error syncing pod, skipping" err="failed to '
POD = '" pod="kube-system/{0}-cp1" podUID="b7d20defae7de3c1ad70952ae2094bf8"'


def start(component: str, kind: str, reason: str) -> str:
    """A line of the kubelet about a container that it can't start."""
    return (
        SYNC
        + '\\"StartContainer\\" for \\"{0}\\" with {1}: \\"{2}\\"'.format(component, kind, reason)
        + POD.format(component)
    )


def sandbox(component: str, reason: str, uid: str = "035f7bc8d046a957a0e1e535c9e75aad") -> str:
    """A line of the kubelet about a pod without a sandbox."""
    pod = f"{component}-cp1_kube-system({uid})"
    return (
        SYNC
        + f'\\"CreatePodSandbox\\" for \\"{pod}\\" with CreatePodSandboxError: \\"Failed to create sandbox for pod '
        + f'\\\\\\"{pod}\\\\\\": rpc error: code = Unknown desc = {reason}\\"'
        + POD.format(component)
    )


def crash(component: str) -> str:
    return start(component, "CrashLoopBackOff", f"back-off 1m20s restarting failed container={component} pod=x")


@pytest.fixture
def node(machine: Machine) -> Machine:
    """A machine on which both services run and the kubelet says nothing."""
    machine.put("/var/lib/kubelet/config.yaml")
    for unit in ("containerd", "kubelet"):
        machine.answer(f"systemctl show {unit}", RUNNING)
        machine.answer(f"journalctl -u {unit}", "")
    return machine


def found(node: Machine, journal: str = "") -> list[str]:
    node.answer("journalctl -u kubelet", journal)
    return [one.text for one in culprits.find(node, Journals(node, time.time()))]


def log(node: Machine, component: str, number: int, *lines: str) -> None:
    """A log below /var/log/pods."""
    path = f"/var/log/pods/kube-system_{component}-cp1_b7d2/{component}/{number}.log"
    node.put(path, "".join(f"2026-11-27T23:30:29.470675821Z stderr F {line}\n" for line in lines))


def test_nothing_failed(node: Machine) -> None:
    log(node, "etcd", 0, "E1127 23:30:29.470512       1 x.go:1] trouble")
    assert found(node) == []


PORT = (
    'E1127 23:30:29.470512       1 run.go:72] "command failed" err="failed to create listener: failed to listen on '
    '127.0.0.1:10257: listen tcp 127.0.0.1:10257: bind: address already in use"'
)


@pytest.mark.parametrize(
    ("component", "lines", "logged"),
    [
        (
            "kube-controller-manager",
            ["I1127 23:30:28.1       1 x.go:1] Serving", PORT],
            'kube-controller-manager logged: run.go:72] "command failed" err="failed to create listener: failed to '
            'listen on 127.0.0.1:10257: listen tcp 127.0.0.1:10257: bind: address already in use"',
        ),
        (
            "kube-apiserver",
            ["Error: unknown flag: --no-such-flag"],
            "kube-apiserver logged: Error: unknown flag: --no-such-flag",
        ),
        (
            "etcd",
            [
                '{"level":"info","msg":"x"}',
                '{"level":"fatal","ts":"t","msg":"discovery failed","error":"no such member"}',
            ],
            "etcd logged: discovery failed: no such member",
        ),
        (
            "etcd",
            [
                "2026-11-27 23:26:53.370072 I | etcdmain: etcd Version: 3.4.23",
                "2026-11-27 23:26:53.380072 C | etcdmain: cannot access data: mkdir x: no space left on device",
            ],
            "etcd logged: etcdmain: cannot access data: mkdir x: no space left on device",
        ),
        (
            "etcd",
            [
                "flag provided but not defined: -no-such-flag",
                "Usage:",
                "",
                "  etcd [flags]",
                "    Start an etcd server.",
            ],
            "etcd logged: flag provided but not defined: -no-such-flag",
        ),
        (
            "etcd",
            ["exec /usr/local/bin/etcd: exec format error"],
            "etcd logged: exec /usr/local/bin/etcd: exec format error",
        ),
        ("kube-scheduler", [], "kube-scheduler exits repeatedly and logged nothing"),
    ],
)
def test_a_container_that_exits(node: Machine, component: str, lines: list[str], logged: str) -> None:
    log(node, component, 3, *lines)
    assert found(node, crash(component)) == [logged]
    # The journal may have lost the line among others; the number of the log tells.
    assert found(node, "") == [logged]


@pytest.mark.parametrize(
    ("line", "logged"),
    [
        (
            start(
                "etcd",
                "ErrImagePull",
                "rpc error: code = NotFound desc = failed to pull and unpack image "
                '\\\\\\"registry.k8s.io/etcd:9.9.9-0\\\\\\": not found',
            ),
            "etcd has an image that can't be pulled: failed to pull and unpack image "
            '"registry.k8s.io/etcd:9.9.9-0": not found',
        ),
        (
            start("etcd", "RunContainerError", "failed to create containerd task: OCI runtime create failed: denied"),
            "etcd can't be started: failed to create containerd task: OCI runtime create failed: denied",
        ),
        (
            sandbox("etcd", 'failed to get sandbox image \\\\\\"registry.k8s.io/pause:9.99\\\\\\": not found'),
            'etcd can\'t get a sandbox: failed to get sandbox image "registry.k8s.io/pause:9.99": not found',
        ),
        (
            sandbox(
                "etcd",
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: "
                "runc did not terminate successfully: exit status 127: unknown",
            ),
            "etcd can't get a sandbox: failed to create containerd task: failed to create shim task: "
            "OCI runtime create failed: runc did not terminate successfully: exit status 127: unknown",
        ),
        (
            start("etcd", "CreateContainerError", "context deadline exceeded"),
            "etcd can't be created: context deadline exceeded",
        ),
    ],
)
def test_a_container_that_does_not_start(node: Machine, line: str, logged: str) -> None:
    assert found(node, line) == [logged]
    # A wait before the next try tells less than what it is waited for.
    assert found(node, line + "\n" + crash("etcd")) == [logged]
    pulled = start("etcd", "ImagePullBackOff", "Back-off pulling image")
    assert found(node, line + "\n" + pulled) == [logged]


def test_an_api_server_that_etcd_does_not_trust(node: Machine) -> None:
    peer = (
        '[core] [Channel #1 SubChannel #6]grpc: addrConn.createTransport failed to connect to {Addr: "127.0.0.1:2379", '
        'ServerName: "127.0.0.1:2379", BalancerAttributes: {"<%!p(x={})>": "<%!p(bool=true)>" }}. Err: '
    )
    refused = 'connection error: desc = "error reading server preface: remote error: tls: bad certificate"'
    log(
        node,
        "kube-apiserver",
        1,
        "W1127 23:54:44.556641       1 logging.go:55] " + peer + refused,
        "W1127 23:54:46.291889       1 logging.go:55] "
        + peer
        + "write tcp 127.0.0.1:3->127.0.0.1:2379: write: broken pipe",
        "F1127 23:54:48.589108       1 instance.go:232] Error creating leases: context deadline exceeded",
    )
    assert found(node) == [
        "kube-apiserver logged: can't connect to 127.0.0.1:2379: error reading server preface: remote error: tls: bad "
        "certificate | instance.go:232] Error creating leases: context deadline exceeded"
    ]


def test_what_others_depend_on_comes_first(node: Machine) -> None:
    log(node, "etcd", 4, "Error: of etcd")
    log(node, "kube-apiserver", 4, "Error: of the API server")
    text = "\n".join(crash(one) for one in ("kube-scheduler", "kube-apiserver", "etcd"))
    assert found(node, text) == [
        "etcd logged: Error: of etcd",
        "kube-apiserver logged: Error: of the API server",
        "kube-scheduler exits repeatedly and logged nothing",
    ]


def test_logs_of_an_earlier_cluster_do_not_count(node: Machine) -> None:
    log(node, "etcd", 7, "Error: long ago")
    os.utime(node.path("/var/log/pods/kube-system_etcd-cp1_b7d2/etcd/7.log"), (1, 1))
    assert found(node) == []


def test_a_pod_of_an_application_is_not_the_culprit(node: Machine) -> None:
    assert found(node, crash("web")) == []


def test_a_kubelet_that_does_not_start(node: Machine) -> None:
    node.answer(
        "systemctl show kubelet", "ActiveState=activating\nSubState=auto-restart\nResult=exit-code\nNRestarts=9\n"
    )
    journal = (
        "I1127 23:30:51.9    3242 server.go:1] x\n"
        'E1127 23:30:51.967289    3242 run.go:72] "command failed" err="failed to parse kubelet flag: '
        'unknown flag: --x"\n'
    )
    assert found(node, journal) == [
        "kubelet fails to start and is restarted repeatedly: "
        'run.go:72] "command failed" err="failed to parse kubelet flag: unknown flag: --x"'
    ]
    os.unlink(node.path("/var/lib/kubelet/config.yaml"))
    # It has nothing to run with before kubeadm wrote its configuration.
    assert found(node, journal) == []


def test_a_runtime_that_is_down_is_the_only_culprit(node: Machine) -> None:
    node.answer("systemctl show containerd", "ActiveState=failed\nSubState=failed\nResult=exit-code\n")
    node.answer("journalctl -u containerd", "containerd: failed to load TOML: /etc/containerd/config.toml: x\n")
    assert found(node, crash("etcd")) == [
        "containerd is not running (failed): containerd: failed to load TOML: /etc/containerd/config.toml: x"
    ]


TOML = "containerd: failed to load TOML: /etc/containerd/config.toml: (1, 9): expected character"
# As systemd 252 and 257 log around a program that ends.
SYSTEMD = (
    "Starting containerd.service - containerd container runtime...\n"
    "modprobe: FATAL: Module overlay not found in directory /lib/modules/6.18.44\n{0}"
    "containerd.service: Main process exited, code=exited, status=1/FAILURE\n"
    "containerd.service: Failed with result 'exit-code'.\n"
    "Failed to start containerd.service - containerd container runtime.\n"
    "containerd.service: Scheduled restart job, restart counter is at 3.\n"
    "Stopped containerd.service - containerd container runtime.\n"
)
NO_NETWORK = (
    'time="2026-11-28T00:05:45.746493144Z" level=error msg="failed to load cni during init, please check CRI plugin '
    'status before setting up network for pods" error="cni config load failed: no network config found in '
    '/etc/cni/net.d: cni plugin not initialized"\n'
)
EXEC = "containerd.service: Failed at step EXEC spawning /usr/bin/containerd: Permission denied"


@pytest.mark.parametrize(
    ("journal", "logged"),
    [
        (SYSTEMD.format(TOML + "\n"), TOML),
        (SYSTEMD.format(NO_NETWORK + TOML + "\n"), TOML),
        (SYSTEMD.format(EXEC + "\n"), EXEC),
        (
            SYSTEMD.format('time="2026-11-28T00:05:45Z" level=fatal msg="failed to get listener" error="x"\n'),
            'level=fatal msg="failed to get listener" error="x"',
        ),
        (
            'Stopping containerd.service - containerd container runtime...\ntime="2026-11-28T00:05:45Z" level=info '
            'msg="Stop CRI service"\ncontainerd.service: Deactivated successfully.\nStopped containerd.service - x.\n',
            'level=info msg="Stop CRI service"',
        ),
    ],
)
def test_what_systemd_logs_about_a_unit_is_not_the_cause(node: Machine, journal: str, logged: str) -> None:
    node.answer("systemctl show containerd", "ActiveState=failed\nSubState=failed\n")
    node.answer("journalctl -u containerd", journal)
    assert found(node) == [f"containerd is not running (failed): {logged}"]


def test_a_unit_that_ended_before_this_run(node: Machine) -> None:
    node.answer("systemctl show containerd", "ActiveState=failed\nSubState=failed\n")
    node.answer("journalctl -u containerd -b", TOML + "\n")
    assert found(node) == [f"containerd is not running (failed): {TOML}"]


def test_what_a_masked_kubelet_logged_before_this_run_is_not_shown(node: Machine) -> None:
    node.answer("systemctl show kubelet", "LoadState=masked\nActiveState=inactive\nSubState=dead\n")
    node.answer("journalctl -u kubelet -b", 'E1128 00:07:02.1 1340 x.go:1] "of an earlier join"\n')
    assert found(node) == ["kubelet is masked and logged nothing"]


@pytest.mark.parametrize(
    ("shown", "state"),
    [
        ("ActiveState=activating\nSubState=auto-restart-queued\nNRestarts=1\n", "fails to start and is restarted"),
        # It exited repeatedly before kubeadm stopped and started it, which does not reset the counter.
        ("ActiveState=active\nSubState=running\nNRestarts=4\n", ""),
        ("LoadState=masked\nActiveState=inactive\nSubState=dead\n", "is masked"),
        ("LoadState=loaded\nActiveState=inactive\nSubState=dead\n", "is not running (inactive)"),
        ("ActiveState=active\nSubState=running\nNRestarts=1\n", ""),
        ("ActiveState=active\nNRestarts=[not set]\n", ""),
        ("", ""),
    ],
)
def test_states_of_the_kubelet(node: Machine, monkeypatch: pytest.MonkeyPatch, shown: str, state: str) -> None:
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    node.answer("systemctl show kubelet", shown)
    (named,) = found(node, "Error: x") or [""]
    assert named.startswith(f"kubelet {state}" if state else "")


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_kubelet_that_has_just_been_started_again(
    node: Machine, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    states = ["ActiveState=active\nSubState=running\nNRestarts=4\n"] * 3
    states[moment] = "ActiveState=activating\nSubState=auto-restart\nNRestarts=5\n"
    node.answer("systemctl show kubelet", lambda _argv, _stdin: Result(0, states.pop(0)))
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    (named,) = found(node, "Error: x")
    assert named == "kubelet fails to start and is restarted repeatedly: Error: x" and len(waits) == moment


def test_the_error_that_ends_a_program_comes_last(node: Machine) -> None:
    node.answer("systemctl show kubelet", "ActiveState=activating\nSubState=auto-restart\n")
    journal = (
        'E1127 23:30:51.9 3242 server.go:210] "Failed to listen and serve" err="listen tcp 0.0.0.0:10250: bind: '
        'address already in use"\n'
        'E1127 23:30:51.9 3242 reflector.go:203] "Failed to watch" err="a"\n'
        'E1127 23:30:51.9 3242 reflector.go:203] "Failed to watch" err="b"\n'
        'E1127 23:30:51.9 3242 reflector.go:203] "Failed to watch" err="c"\n'
    )
    (named,) = found(node, journal)
    assert named.endswith(
        'server.go:210] "Failed to listen and serve" err="listen tcp 0.0.0.0:10250: bind: address already in use"'
    )


def test_a_long_line_keeps_its_end(node: Machine) -> None:
    log(node, "etcd", 3, "Error: " + 500 * "x" + " because of this")
    (logged,) = found(node, crash("etcd"))
    assert logged.startswith("etcd logged: Error: xxx") and logged.endswith("xx because of this") and len(logged) < 330


def test_secrets_are_taken_out(node: Machine) -> None:
    log(node, "etcd", 3, "Error: Authorization: Bearer abcdefghijklmnopqrstuvwxyz0123456789")
    (logged,) = found(node, crash("etcd"))
    assert "abcdefghijklmnop" not in logged


def test_what_fails_for_one_reason_is_named_once(node: Machine) -> None:
    reason = (
        'expected cgroupsPath to be of format \\\\\\"slice:prefix:name\\\\\\", got \\\\\\"/kubepods/pod{0}/x\\\\\\"'
    )
    uids = {"etcd": 32 * "a", "kube-apiserver": 32 * "b", "kube-scheduler": 32 * "c"}
    text = "\n".join(sandbox(name, reason.format(uid), uid) for name, uid in uids.items())
    log(node, "kube-controller-manager", 4, "Error: of another kind")
    assert found(node, text) == [
        "etcd, kube-apiserver and kube-scheduler can't get a sandbox: expected cgroupsPath to be of format "
        f'"slice:prefix:name", got "/kubepods/pod{uids["etcd"]}/x"',
        "kube-controller-manager logged: Error: of another kind",
    ]


def test_a_message_has_the_error_and_not_the_name_of_the_logger() -> None:
    text = (
        'E1128 00:07:01.762476    1340 certificate_manager.go:596] "Failed while requesting a signed certificate from '
        'the control plane" err="cannot create certificate signing request: Unauthorized" '
        'logger="kubernetes.io/kube-apiserver-client-kubelet.UnhandledError"'
    )
    assert culprits.error_text(text) == (
        'certificate_manager.go:596] "Failed while requesting a signed certificate from the control plane" '
        'err="cannot create certificate signing request: Unauthorized"'
    )
