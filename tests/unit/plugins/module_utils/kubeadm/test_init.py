# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The first control plane: options, plan, the run of kubeadm, and what is said when it fails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import constants
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import cluster as kube_cluster
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.api import kubeconfig_server
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterApi, ClusterConfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import init, operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, PARTIAL, KubeadmState
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

PIN = "sha256:" + "ab" * 32
BARE = KubeadmState(installed_version="1.35.0", config_api="v1beta4", node_name="cp1")
LIVE = replace(
    BARE,
    phase=DONE,
    role="control_plane",
    finished=True,
    ca_cert_hash=PIN,
    server="https://192.0.2.10:6443",
    api=ClusterApi(
        live=True,
        server_version="1.35.0",
        config=ClusterConfig("1.35.0", "", "10.244.0.0/16", "10.96.0.0/12", "cluster.local", "registry.k8s.io"),
    ),
)
OPTIONS = ControlPlaneOptions(kubernetes_version="1.35")


def recorded(name: str, minor: str = "v1.35") -> str:
    return fixture(f"kubeadm/{minor}/{name}")


def failed(name: str, minor: str = "v1.35", rc: int = 1) -> Result:
    return Result(rc, recorded(f"{name}.stdout", minor), recorded(f"{name}.stderr", minor))


# -- options


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kubernetes_version": "latest"}, "cluster_kubernetes_version is 'latest'"),
        ({"endpoint": "https://k8s"}, "cluster_endpoint"),
        ({"node_address": "eth0"}, "cluster_node_address is 'eth0'"),
        ({"bind_port": 0}, "cluster_node_bind_port is 0"),
        ({"pod_cidr": "10.244.0.0"}, "cluster_pod_cidr"),
        ({"pod_cidr": "10.96.128.0/17"}, "cluster_pod_cidr 10.96.128.0/17 overlaps with cluster_service_cidr"),
        ({"service_cidr": ""}, "cluster_service_cidr is ''"),
        ({"dns_domain": "Cluster.Local"}, "cluster_dns_domain is 'Cluster.Local'"),
        ({"node_name": "node_1"}, "cluster_node_name is 'node_1'"),
        ({"image_repository": "https://registry.example.org"}, "cluster_image_repository"),
        ({"cri_socket": "/run/containerd/containerd.sock"}, "cluster_node_cri_socket"),
        ({"timeout": 0}, "control_plane_timeout is 0"),
        ({"ignore_preflight_errors": ["Swap", "All"]}, "cluster_ignore_preflight_errors has 'all'"),
        ({"ignore_preflight_errors": ["Swap,NumCPU"]}, "has 'Swap,NumCPU', which is not the name of a check"),
        ({"taints": ["control"]}, "cluster_node_taints has 'control'"),
    ],
)
def test_an_option_that_is_refused_is_named_with_a_fix(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError) as caught:
        replace(OPTIONS, **changes).validate()
    assert said in caught.value.message and "; " in caught.value.message and "\n" not in caught.value.message


def test_good_options_pass() -> None:
    OPTIONS.validate()
    replace(OPTIONS, pod_cidr="", taints=[], endpoint="[2001:db8::1]:6443", node_name="cp-1.example.org").validate()
    replace(OPTIONS, pod_cidr="10.244.0.0/16,fd00:1::/56", service_cidr="10.96.0.0/12,fd00:2::/112").validate()


def test_options_of_a_module_with_booleans_as_text() -> None:
    params = {
        "kubernetes_version": "1.35",
        "control_plane_endpoint": "k8s:6443",
        "feature_gates": {"A": "yes", "B": False},
    }
    options = init.options_from_module(params)
    assert (options.endpoint, options.feature_gates) == ("k8s:6443", {"A": True, "B": False})


# -- plan


def test_a_bare_host_is_initialised_with_the_version_of_its_kubeadm() -> None:
    (step,) = init.plan(BARE, OPTIONS)
    assert (step.component, step.action, step.target) == ("control_plane", "init", "cp1")
    assert step.reason == "no cluster on this host; version 1.35.0, pods 10.244.0.0/16, services 10.96.0.0/12"
    assert '"kubernetesVersion": "v1.35.0"' in step.after
    assert "bootstrapTokens" not in step.after and "bootstrapTokens" not in json.dumps(step.data["documents"])


def test_a_dry_run_before_kubeadm_is_installed() -> None:
    state = KubeadmState(node_name="cp1")
    (step,) = init.plan(state, ControlPlaneOptions(kubernetes_version="1.36"))
    assert "v1beta4" in step.after and "kubernetesVersion" not in step.after
    assert step.reason.startswith("no cluster on this host; version 1.36,")
    assert init.described(state, replace(OPTIONS, node_address="192.0.2.10")) == {
        "kubernetes_version": "",
        "endpoint": "192.0.2.10:6443",
        "ca_cert_hash": "",
        "node_name": "cp1",
        "phase": "none",
    }


def test_a_live_control_plane_is_left_alone_and_described() -> None:
    assert init.problems(LIVE, OPTIONS) == []
    assert init.plan(LIVE, OPTIONS) == []
    assert init.described(LIVE, OPTIONS) == {
        "kubernetes_version": "1.35.0",
        "endpoint": "192.0.2.10:6443",
        "ca_cert_hash": PIN,
        "node_name": "cp1",
        "phase": "done",
    }


def test_what_a_live_cluster_can_not_change_is_a_warning() -> None:
    wanted = replace(OPTIONS, pod_cidr="10.1.0.0/16", endpoint="k8s.example.org")
    lines = init.warnings_of(init.problems(LIVE, wanted))
    fix = "set it to the value of the cluster; it can't be changed in a live cluster"
    assert lines == [
        f"cluster_pod_cidr is 10.1.0.0/16, but the cluster was created with 10.244.0.0/16; {fix}",
        f"cluster_endpoint is k8s.example.org:6443, but the cluster was created with none; {fix}",
    ]
    assert init.first_error(init.problems(LIVE, wanted)) is None
    assert init.plan(LIVE, wanted) == []


@pytest.mark.parametrize(
    ("state", "check", "said"),
    [
        (
            replace(BARE, phase=PARTIAL, role="control_plane", reason="found X; missing Y"),
            "partial",
            "on cp1 was interrupted: found X",
        ),
        (
            replace(LIVE, phase=PARTIAL, reason="missing a live API", api=ClusterApi()),
            "api_down",
            "the control plane on cp1 is down: missing a live API",
        ),
        (
            replace(BARE, phase=DONE, role="worker", server="https://x:6443"),
            "worker",
            "this host is a worker of https://x:6443",
        ),
        (
            replace(BARE, installed_version="1.34.2"),
            "version",
            "cluster_kubernetes_version is 1.35, but the installed kubeadm is 1.34.2",
        ),
    ],
)
def test_what_is_never_overrun(state: KubeadmState, check: str, said: str) -> None:
    error = init.first_error(init.problems(state, OPTIONS))
    assert error is not None and said in error.message
    assert error.details == {"check": f"control_plane.{check}"}
    assert init.plan(state, OPTIONS) == []
    assert ("reset" in error.message) == (check in ("partial", "worker")), "only what is no cluster's may be reset"


def test_a_ca_of_ones_own_is_no_hindrance() -> None:
    (step,) = init.plan(
        replace(BARE, phase=PARTIAL, role="control_plane", own_ca=True, pki=["ca.crt", "ca.key"]), OPTIONS
    )
    assert step.reason.endswith("with the CA in /etc/kubernetes/pki")


BEGUN = Operation(operation.INIT, began="2026-11-23T12:00:00Z", preexisting_pki=["ca.crt"])
CUT_OFF = replace(
    BARE, phase=PARTIAL, role="control_plane", reached="kubeconfig", admin_conf=True, pki=["ca.crt"], operation=BEGUN
)
ANSWERS = replace(
    CUT_OFF,
    reached="wait-control-plane",
    kubelet_conf=True,
    manifests=list(constants.COMPONENTS),
    api=ClusterApi(live=True),
)


def test_what_our_own_init_left_is_removed_and_the_init_begun_anew() -> None:
    clean, again = init.plan(CUT_OFF, OPTIONS)
    assert (
        clean.summary() == "clean cp1 (the init started at 2026-11-23T12:00:00Z was interrupted after phase kubeconfig)"
    )
    assert clean.data["preexisting_pki"] == again.data["preexisting_pki"] == ["ca.crt"]
    assert again.action == "init" and again.data["skip_phases"] == []


def test_an_init_that_never_touched_the_disk_is_simply_begun() -> None:
    (step,) = init.plan(replace(BARE, operation=BEGUN), OPTIONS)
    assert step.action == "init"


@pytest.mark.parametrize("state", [ANSWERS, replace(ANSWERS, api=ClusterApi(), finished=True)])
def test_an_init_whose_control_plane_answers_or_was_complete_goes_on(state: KubeadmState) -> None:
    (step,) = init.plan(state, replace(OPTIONS, skip_phases=["addon/coredns"]))
    assert step.summary() == (
        "continue cp1 (the init started at 2026-11-23T12:00:00Z was interrupted after phase wait-control-plane)"
    )
    assert step.data["skip_phases"] == [
        "addon/coredns",
        *["preflight", "certs", "kubeconfig", "kubelet-start", "control-plane", "etcd"],
    ]


def test_the_marker_is_there_until_the_init_has_ended(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    seen: list[dict[str, Any]] = []
    runs = kubeadm_that(machine, Result(0), seen)
    marked: list[Operation | None] = []

    def run(argv: Sequence[str], stdin: str | None) -> Result:
        marked.append(operation.observe(machine))
        return runs(argv, stdin)

    machine.answer("kubeadm init", run)
    (step,) = init.plan(replace(BARE, phase=PARTIAL, own_ca=True, pki=["ca.crt", "ca.key"]), OPTIONS)
    init.apply(step, machine)
    (marker,) = marked
    assert marker is not None and (marker.kind, marker.preexisting_pki) == (operation.INIT, ["ca.crt", "ca.key"])
    assert not machine.exists("/var/lib/kubestead")
    machine.answer("kubeadm init", Result(1, "", "error: no"))
    with pytest.raises(KubesteadError):
        init.apply(step, machine)
    assert operation.observe(machine) is not None


def test_a_continued_init_passes_over_what_is_done(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    machine.put("/etc/kubernetes/admin.conf", fixture("kubeadm/v1.35/admin.conf"))
    machine.serve(kubeconfig_server(fixture("kubeadm/v1.35/admin.conf")), "/livez", "ok")
    seen: list[dict[str, Any]] = []
    machine.answer("kubeadm init", kubeadm_that(machine, Result(0), seen))
    init.apply(init.plan(ANSWERS, replace(OPTIONS, skip_phases=["addon/coredns"]))[0], machine)
    (call,) = seen
    skipped = "--skip-phases=addon/coredns,preflight,certs,kubeconfig,kubelet-start,control-plane,etcd"
    assert skipped in call["argv"] and "skipPhases" not in call["documents"][0]
    assert not [argv for argv in machine.ran if argv[:2] == ["systemctl", "restart"]]


def test_a_control_plane_that_does_not_come_up_again_is_told_with_its_cause(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.put("/var/lib/kubelet/config.yaml")
    machine.answer("systemctl is-active kubelet", "failed\n", rc=3)
    machine.answer("journalctl", "")
    monkeypatch.setattr(kube_cluster, "wait_for_api", lambda kubectl, seconds: ClusterApi(reason="refused"))
    (step,) = init.plan(replace(ANSWERS, finished=True), OPTIONS)
    with pytest.raises(KubesteadError, match="did not start: refused; kubelet is not running"):
        init.apply(step, machine)
    assert ["systemctl", "restart", "kubelet"] in machine.ran


@pytest.mark.parametrize(
    ("installed", "requested", "version"),
    [
        ("1.35.0", "1.35", "1.35.0"),
        ("1.35.0", "1.35.3", "1.35.3"),
        ("1.36.1", "1.35.9", "1.35.9"),
        ("1.36.1", "1.35", ""),
        ("", "1.35", ""),
        ("", "1.35.2", "1.35.2"),
    ],
)
def test_the_version_that_is_made(installed: str, requested: str, version: str) -> None:
    assert init.target_version(installed, requested) == version


@pytest.mark.parametrize(
    ("installed", "requested", "fine"),
    [("1.36.1", "1.35.9", True), ("1.36.1", "1.35", False), ("1.35.0", "1.36.0", False)],
)
def test_which_versions_a_kubeadm_makes(installed: str, requested: str, fine: bool) -> None:
    found = init.problems(replace(BARE, installed_version=installed), replace(OPTIONS, kubernetes_version=requested))
    assert (found == []) is fine


# -- the run


def kubeadm_that(
    machine: Machine, answer: Result, seen: list[dict[str, Any]]
) -> Callable[[Sequence[str], str | None], Result]:
    def run(argv: Sequence[str], stdin: str | None) -> Result:
        path = Path(argv[argv.index("--config") + 1])
        documents = [json.loads(part) for part in path.read_text().split("---\n")]
        modes = (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)
        seen.append({"argv": list(argv), "path": path, "documents": documents, "modes": modes})
        return answer

    return run


def test_a_run_from_a_private_file_that_is_gone_afterwards(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    seen: list[dict[str, Any]] = []
    output = (
        "[init] Using Kubernetes version: v1.35.0\n"
        + recorded("init-wait.stdout")
        + "[bootstrap-token] Configuring\n[addons] Applied\n"
    )
    machine.answer("kubeadm init", kubeadm_that(machine, Result(0, output), seen))
    run = init.initialize(init.plan(BARE, OPTIONS)[0], machine)
    (call,) = seen
    assert call["modes"] == (0o600, 0o700)
    assert not call["path"].exists() and os.listdir(machine.path("/run")) == []
    (token,) = call["documents"][0]["bootstrapTokens"]
    assert token["ttl"] == "1ns" and token["groups"] == ["system:bootstrappers:kubestead:void"]
    assert token["token"] not in " ".join(call["argv"]) and "--skip-token-print" in call["argv"]
    assert run.phases == [
        "preflight",
        "certs",
        "kubeconfig",
        "etcd",
        "control-plane",
        "kubelet-start",
        "wait-control-plane",
        "bootstrap-token",
        "addon",
    ]
    secret = f"/api/v1/namespaces/kube-system/secrets/bootstrap-token-{token['token'][:6]}"
    assert machine.ran[-1][-3:] == ["delete", "--raw", secret]


def test_a_run_that_fails_leaves_no_file_and_no_token(machine: Machine) -> None:
    os.mkdir(machine.path("/run"))
    seen: list[dict[str, Any]] = []
    answer = Result(1, "[bootstrap-token] Configuring\n", "error: error execution phase addon/coredns: boom\n")
    machine.answer("kubeadm init", kubeadm_that(machine, answer, seen))
    with pytest.raises(KubesteadError, match="failed in phase addon/coredns: boom"):
        init.apply(init.plan(BARE, OPTIONS)[0], machine)
    assert os.listdir(machine.path("/run")) == []
    assert any("delete" in argv for argv in machine.ran)


def test_no_two_tokens_are_alike() -> None:
    assert len({init.void_token()[0] for _i in range(50)}) == 50


def test_phases_are_left_out_in_the_file_or_on_the_command_line(machine: Machine) -> None:
    options = replace(OPTIONS, skip_phases=["addon/coredns", "addon/kube-proxy"])
    for version, api, inside in (("1.35.0", "v1beta4", True), ("1.20.2", "v1beta2", False)):
        seen: list[dict[str, Any]] = []
        machine.answer("kubeadm init", kubeadm_that(machine, Result(0), seen))
        state = replace(BARE, installed_version=version, config_api=api)
        init.apply(init.plan(state, replace(options, kubernetes_version=version))[0], machine)
        assert ("skipPhases" in seen[0]["documents"][0]) is inside
        assert ("--skip-phases=addon/coredns,addon/kube-proxy" in seen[0]["argv"]) is not inside


def test_kubeadm_reads_the_configuration_first(machine: Machine) -> None:
    step = init.plan(BARE, OPTIONS)[0]
    machine.answer("kubeadm config validate", "ok")
    init.check_with_kubeadm(step, machine)
    assert '"kind": "InitConfiguration"' in (machine.inputs[-1] or "")
    said = recorded("init-bad-field.stderr").splitlines()[0].split("] ", 1)[1]
    machine.answer("kubeadm config validate", Result(1, "", f"error: {said}\nTo see the stack trace\n"))
    with pytest.raises(KubesteadError) as caught:
        init.check_with_kubeadm(step, machine)
    assert caught.value.message.startswith(
        "kubeadm refuses the configuration: ClusterConfiguration (v1beta4): strict decoding error: "
        'unknown field "netwerk"; correct'
    )


def test_a_kubeadm_without_validation_is_not_asked_twice(machine: Machine) -> None:
    said = "unknown flag: --config\nTo see the stack trace of this error execute with --v=5 or higher\n"
    machine.answer("kubeadm config validate", Result(1, "", said))
    init.check_with_kubeadm(init.plan(BARE, OPTIONS)[0], machine)
    assert [argv[:3] for argv in machine.ran] == [["kubeadm", "config", "validate"]]
    machine.answer("kubeadm config validate", Result(1, "", 'error: unknown command "validate" for "kubeadm config"\n'))
    init.check_with_kubeadm(init.plan(BARE, OPTIONS)[0], machine)
    assert len(machine.ran) == 2


# -- failures


def raised(machine: Machine, result: Result) -> KubesteadError:
    machine.answer("kubeadm init", result)
    with pytest.raises(KubesteadError) as caught:
        init.apply(init.plan(BARE, OPTIONS)[0], machine)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("minor", ["v1.20", "v1.35"])
def test_failed_checks_are_all_named(machine: Machine, minor: str) -> None:
    error = raised(machine, failed("init-preflight-again", minor))
    assert error.message.startswith(
        "kubeadm init failed in phase preflight: [ERROR Port-6443]: Port 6443 is in use; [ERROR"
    )
    assert (
        "[ERROR DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty; remove the cause, or add the check"
        in error.message
    )
    assert error.details["phase"] == "preflight" and len(error.details["causes"]) in (11, 12)
    assert not any(argv[0] == "journalctl" for argv in machine.ran)


def test_of_many_images_that_can_not_be_pulled_one_is_told(machine: Machine) -> None:
    error = raised(machine, failed("init-preflight-images"))
    assert (
        "failed in phase preflight: [ERROR ImagePull]: failed to pull image registry.invalid/coredns:v1.12.3: "
        "no such host (and 6 more images); a name can't be resolved on this host" in error.message
    )


def test_a_configuration_that_is_refused(machine: Machine) -> None:
    error = raised(machine, failed("init-bad-field"))
    assert error.message.startswith(
        'kubeadm init failed: networking.serviceSubnet: Invalid value: "10.96.0.0/30": subnet with 4 address(es) is'
    )


@pytest.mark.parametrize("minor", ["v1.20", "v1.35"])
def test_a_container_that_does_not_come_up_is_quoted(machine: Machine, minor: str) -> None:
    pods = "/var/log/pods/kube-system_kube-apiserver-cp1_"
    machine.put(f"{pods}0/kube-apiserver/0.log", "2026-01-01T00:00:00Z stderr F Error: long ago\n")
    os.utime(machine.path(f"{pods}0/kube-apiserver/0.log"), (1, 1))
    machine.put(f"{pods}1/kube-apiserver/3.log", recorded("apiserver-container.log"))
    machine.answer("journalctl -u kubelet", recorded("kubelet-journal.txt"))
    error = raised(machine, failed("init-wait-api", minor))
    assert "failed in phase wait-control-plane: " in error.message
    assert "; kube-apiserver logged: Error: unknown flag: --no-such-flag; an argument is refused" in error.message
    assert error.details["container_logs"]["kube-apiserver"] == ["Error: unknown flag: --no-such-flag"]
    assert any("CrashLoopBackOff" in line for line in error.details["kubelet_log"])
    assert not any("connection refused" in line for line in error.details["kubelet_log"])


def test_the_kubelet_is_quoted_where_no_container_is_to_blame(machine: Machine) -> None:
    journal = (
        'E1124 00:01:02.000001    123 run.go:72] "command failed" err="failed to load kubelet config file, path: x"\n'
    )
    machine.answer("journalctl -u kubelet", journal * 3)
    error = raised(machine, failed("init-wait"))
    assert (
        '; the kubelet logged: run.go:72] "command failed" err="failed to load kubelet config file, path: x"; see'
        in error.message
    )
    assert len(error.details["kubelet_log"]) == 1


def test_the_kubelet_tells_of_a_clock_and_not_of_its_events(machine: Machine) -> None:
    # Recorded with Kubernetes 1.35.0 and a CA that was not valid yet.
    text = (
        'E1127 23:53:59.100000     591 kubelet_node_status.go:107] "Unable to register node with API server" err="Post '
        '\\"https://10.213.0.197:6443/api/v1/nodes\\": tls: failed to verify certificate: x509: certificate has '
        'expired or is not yet valid: current time 2026-11-27T23:53:59Z is before 2026-11-28T04:38:42Z" node="cp1"\n'
        'E1127 23:53:59.200000     591 event.go:368] "Unable to write event (may retry after sleeping)" err="Post x" '
        'event="&Event{Type:Normal}"\n'
    )
    machine.answer("journalctl -u kubelet", text)
    error = raised(machine, failed("init-wait"))
    assert '; the kubelet logged: kubelet_node_status.go:107] "Unable to register node' in error.message
    assert "current time 2026-11-27T23:53:59Z is before 2026-11-28T04:38:42Z" in error.message
    assert error.message.endswith("compare the clocks (timedatectl) and run again")


def test_only_this_runs_journal_is_read(machine: Machine) -> None:
    raised(machine, failed("init-wait"))
    (argv, _other) = [argv for argv in machine.ran if argv[0] == "journalctl"]
    since = argv[argv.index("--since") + 1]
    assert since.startswith("@") and int(since[1:]) > 1_700_000_000


def test_a_run_that_is_killed_or_does_not_end(machine: Machine) -> None:
    cut = recorded("init-wait.stdout").split("[control-plane-check]")[0]
    error = raised(machine, Result(124, cut, "kubeadm: did not finish within 900 seconds"))
    assert error.message.startswith(
        "kubeadm init failed in phase wait-control-plane: it did not finish within 900 seconds;"
    )
    error = raised(machine, Result(-9, cut, ""))
    assert error.message.startswith("kubeadm init failed in phase wait-control-plane: it was killed by signal 9;")


def test_without_kubeadm(machine: Machine) -> None:
    assert raised(machine, Result(127, "", "kubeadm: command not found")).message.startswith(
        "kubeadm is not installed; use"
    )


def test_nothing_that_is_returned_holds_a_secret(machine: Machine) -> None:
    key, token = "0123456789abcdef" * 4, "abcdef.0123456789abcdef"
    text = f"--certificate-key {key}\n--token {token} --discovery-token-ca-cert-hash {PIN}\n"
    hidden = f"--certificate-key <hidden>\n--token abcdef.<hidden> --discovery-token-ca-cert-hash {PIN}\n"
    assert redact(text) == hidden
    machine.answer("journalctl", f"E1124 00:01:02.000001    123 x.go:1] bad {token}\n")
    error = raised(
        machine, Result(1, "[bootstrap-token] " + text, "error: error execution phase bootstrap-token: " + text)
    )
    said = error.message + json.dumps(error.details)
    assert key not in said and token not in said and PIN in said


def test_a_kubelet_before_1_22_is_told_to_use_the_cgroups_of_systemd() -> None:
    old = init.documents(ControlPlaneOptions(kubernetes_version="1.20"), "v1beta2", "1.20.2")
    kubelet = [one for one in old if one["kind"] == "KubeletConfiguration"]
    assert [one["cgroupDriver"] for one in kubelet] == ["systemd"]
    own = init.documents(ControlPlaneOptions(kubelet_config={"cgroupDriver": "cgroupfs"}), "v1beta2", "1.20.2")
    assert [one["cgroupDriver"] for one in own if one["kind"] == "KubeletConfiguration"] == ["cgroupfs"]
    new = init.documents(ControlPlaneOptions(), "v1beta4", "1.36.1")
    assert not [one for one in new if one["kind"] == "KubeletConfiguration"]
