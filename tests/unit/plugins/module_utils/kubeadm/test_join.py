# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import hosts_file, proxy
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step, diff
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.core.x509 import ca_cert_hashes, pinned_certificates
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterApi
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import join, operation, reset
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join import (
    JoinOptions,
    checked_command,
    configuration,
    plan,
    problems,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand, parse
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, PARTIAL, KubeadmState
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

CA = "sha256:dc846602c390dff22f312f0cf8a3b5d6064860426c5ac9119b7a4351697241f1"
OTHER = "sha256:" + "1" * 64
KEY = "0123456789abcdef" * 4
REAL = parse(fixture("join/v1.35/worker.txt"))
COMMAND = JoinCommand("10.0.0.1:6443", "abcdef.0123456789abcdef", [CA])
CONTROL_PLANE = replace(COMMAND, control_plane=True, certificate_key=KEY)
INFO = fixture("join/v1.35/cluster-info.json")
CA_PEM = base64.b64decode(
    re.findall(r"certificate-authority-data: (\S+)", json.loads(INFO)["data"]["kubeconfig"])[0]
).decode()

FRESH = KubeadmState(installed_version="1.35.0", config_api="v1beta4", node_name="w1")
WORKER = replace(
    FRESH,
    kubelet_conf=True,
    ca_cert_hash=CA,
    pki=["ca.crt"],
    role="worker",
    phase=DONE,
    finished=True,
    server="https://10.0.0.1:6443",
)
#: What a failed join of a worker leaves.
LEFT = replace(
    FRESH,
    ca_cert_hash=CA,
    pki=["ca.crt"],
    role="worker",
    phase=PARTIAL,
    reason="found certificates and bootstrap-kubelet.conf; missing kubelet.conf",
)
HALF_CONTROL_PLANE = replace(
    LEFT,
    role="control_plane",
    pki=["apiserver.crt", "ca.crt", "ca.key"],
    manifests=["etcd", "kube-apiserver"],
    reason="found certificates and manifests of etcd, kube-apiserver; missing admin.conf",
)
BEGUN = Operation(
    operation.JOIN, began="2026-11-23T12:00:00Z", control_plane=False, endpoint="10.0.0.1:6443", ca_cert_hashes=[CA]
)
INIT_BEGUN = Operation(operation.INIT, began="2026-11-23T12:00:00Z")


def summaries(steps: list[Step]) -> list[str]:
    return [step.summary() for step in steps]


# -- options


@pytest.mark.parametrize(
    "options, says",
    [
        (JoinOptions(node_name="W_1"), "cluster_node_name is 'W_1', not a DNS name"),
        (JoinOptions(node_address="10.0.0"), "cluster_node_address is '10.0.0', not an IP address"),
        (JoinOptions(bind_port=70000), "cluster_node_bind_port is 70000, which is not a port number"),
        (JoinOptions(timeout=0), "join_timeout is 0"),
        (
            JoinOptions(cri_socket="/run/containerd.sock"),
            "cluster_node_cri_socket is '/run/containerd.sock', not a socket",
        ),
        (JoinOptions(taints=["gpu"]), "cluster_node_taints has 'gpu', which is not a taint"),
        (JoinOptions(ignore_preflight_errors=["All"]), "cluster_ignore_preflight_errors has 'all'"),
        (JoinOptions(node_labels={"node-role.kubernetes.io/x": ""}), "which a kubelet may not set on its own Node"),
        (JoinOptions(node_labels={"k8s.io/x": ""}), "which a kubelet may not set on its own Node"),
        (JoinOptions(node_labels={"disk": "s s d"}), "cluster_node_labels has disk='s s d', which is not a label"),
        (JoinOptions(node_labels={"a/b/c": "x"}), "not a label"),
        (JoinOptions(config={"Join": {}}), "cluster_kubeadm_config has 'Join'"),
        (JoinOptions(config={"JoinConfiguration": {"discovery": {}}}), "is refused, because it contains a secret"),
    ],
)
def test_options_that_can_not_be(options: JoinOptions, says: str) -> None:
    with pytest.raises(OptionError) as caught:
        options.validate()
    assert says in caught.value.message
    assert "; " in caught.value.message and "\n" not in caught.value.message


def test_options_that_can_be() -> None:
    JoinOptions().validate()
    labels = {"disk": "ssd", "example.org/rack": "r1", "topology.kubernetes.io/zone": "a", "node.kubernetes.io/x": ""}
    JoinOptions(
        node_name="w1.example.org", node_address="fd00::1", node_labels=labels, taints=["gpu=yes:NoSchedule"]
    ).validate()


@pytest.mark.parametrize(
    "command, says",
    [
        (replace(COMMAND, endpoint=""), "endpoint is not set"),
        (replace(COMMAND, token=""), "token is not set"),
        (replace(COMMAND, token="abc"), "token is malformed: it has 0 dots"),
        (replace(COMMAND, ca_cert_hashes=[]), "ca_cert_hashes is not set"),
        (replace(COMMAND, ca_cert_hashes=["x"]), "ca_cert_hashes is 'x', not sha256:"),
        (replace(CONTROL_PLANE, certificate_key=""), "certificate_key is not set, but a control plane requires"),
        (replace(CONTROL_PLANE, certificate_key="abc"), "certificate_key is malformed"),
        (replace(COMMAND, endpoint="a:b"), "endpoint: endpoint 'a:b' is not host:port"),
    ],
)
def test_parts_of_the_command_that_can_not_be(command: JoinCommand, says: str) -> None:
    with pytest.raises(KubesteadError) as caught:
        checked_command(command, FRESH)
    assert says in caught.value.message


def test_what_a_dry_run_or_a_joined_node_needs() -> None:
    nothing = JoinCommand("", "", [])
    assert checked_command(nothing, FRESH, required=False) == nothing
    assert checked_command(nothing, WORKER) == nothing
    assert checked_command(replace(COMMAND, endpoint="k8s"), FRESH).endpoint == "k8s:6443"


# -- the configuration


def test_configuration_of_a_worker() -> None:
    options = JoinOptions(node_address="10.0.0.2", node_labels={"b": "2", "a": "1"}, kubelet_extra_args={"v": "2"})
    (document,) = configuration(options, "v1beta4", COMMAND)
    assert document == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "JoinConfiguration",
        "discovery": {
            "bootstrapToken": {"apiServerEndpoint": "10.0.0.1:6443", "caCertHashes": [CA], "token": COMMAND.token}
        },
        "nodeRegistration": {
            "criSocket": "unix:///run/containerd/containerd.sock",
            "imagePullSerial": False,
            "kubeletExtraArgs": [
                {"name": "node-ip", "value": "10.0.0.2"},
                {"name": "node-labels", "value": "a=1,b=2"},
                {"name": "v", "value": "2"},
            ],
        },
    }


def test_configuration_of_a_control_plane() -> None:
    options = JoinOptions(
        node_address="10.0.0.3", taints=[], ignore_preflight_errors=["Swap"], skip_phases=["preflight"]
    )
    (document,) = configuration(options, "v1beta4", CONTROL_PLANE)
    assert document["controlPlane"] == {
        "certificateKey": KEY,
        "localAPIEndpoint": {"advertiseAddress": "10.0.0.3", "bindPort": 6443},
    }
    assert document["nodeRegistration"]["taints"] == []
    assert document["nodeRegistration"]["ignorePreflightErrors"] == ["Swap"]
    assert document["skipPhases"] == ["preflight"]


def test_configuration_for_older_kubeadm() -> None:
    options = JoinOptions(kubelet_extra_args={"v": "2"}, skip_phases=["preflight"])
    (document,) = configuration(options, "v1beta2", COMMAND)
    assert document["nodeRegistration"]["kubeletExtraArgs"] == {"v": "2"}
    assert "imagePullSerial" not in document["nodeRegistration"]
    assert "skipPhases" not in document
    assert configuration(options, "v1beta3", COMMAND)[0]["skipPhases"] == ["preflight"]


def test_labels_of_both_places_are_kept() -> None:
    options = JoinOptions(node_labels={"a": "1"}, kubelet_extra_args={"node-labels": "z=26"})
    (document,) = configuration(options, "v1beta3", COMMAND)
    assert document["nodeRegistration"]["kubeletExtraArgs"] == {"node-labels": "z=26,a=1"}


def test_fields_that_are_passed_through_come_last() -> None:
    config = {
        "JoinConfiguration": {"timeouts": {"tlsBootstrap": "1m0s"}, "nodeRegistration": {"imagePullPolicy": "Never"}},
        "ClusterConfiguration": {"clusterName": "x"},
    }
    documents = configuration(JoinOptions(config=config), "v1beta4", COMMAND)
    assert [one["kind"] for one in documents] == ["JoinConfiguration"]
    assert documents[0]["timeouts"] == {"tlsBootstrap": "1m0s"}
    assert documents[0]["nodeRegistration"]["imagePullPolicy"] == "Never"
    with pytest.raises(OptionError, match="requires kubeadm 1.31 or newer"):
        configuration(JoinOptions(config=config), "v1beta3", COMMAND)


# -- the plan


def test_a_fresh_node_joins() -> None:
    assert summaries(plan(FRESH, JoinOptions(), COMMAND)) == [
        "join w1 (no kubelet.conf; joins as a worker of 10.0.0.1:6443)"
    ]
    assert summaries(plan(FRESH, JoinOptions(node_name="db"), CONTROL_PLANE)) == [
        "join db (no kubelet.conf; joins as a control plane of 10.0.0.1:6443)"
    ]
    assert summaries(plan(FRESH, JoinOptions())) == ["join w1 (no kubelet.conf; joins as a worker)"]


def test_a_node_that_has_joined_is_left_alone() -> None:
    control_plane = replace(WORKER, role="control_plane")
    for state, command in ((WORKER, COMMAND), (WORKER, None), (control_plane, CONTROL_PLANE), (control_plane, COMMAND)):
        assert plan(state, JoinOptions(), command) == []


def test_no_secret_is_in_a_plan() -> None:
    steps = plan(FRESH, JoinOptions(), CONTROL_PLANE)
    text = json.dumps([step.public() for step in steps]) + json.dumps(diff(steps)) + repr(steps)
    assert "10.0.0.1:6443" in text
    assert "0123456789abcdef" not in text


@pytest.mark.parametrize(
    "state, command, check, says",
    [
        (WORKER, replace(COMMAND, ca_cert_hashes=[OTHER]), "join.foreign_node", "w1 is a node of another cluster"),
        (WORKER, CONTROL_PLANE, "join.is_worker", "w1 is a worker, but the inventory lists it as a control plane"),
        (LEFT, replace(COMMAND, ca_cert_hashes=[OTHER]), "join.foreign_ca", "w1 has the CA of another cluster"),
        (LEFT, None, "join.partial", "that was not created by this collection: found certificates"),
        (HALF_CONTROL_PLANE, CONTROL_PLANE, "join.partial", "that was not created by this collection"),
        (
            replace(LEFT, operation=replace(BEGUN, ca_cert_hashes=[OTHER])),
            replace(COMMAND, ca_cert_hashes=[OTHER]),
            "join.foreign_ca",
            "w1 has the CA of another cluster",
        ),
        (
            replace(HALF_CONTROL_PLANE, finished=True),
            CONTROL_PLANE,
            "join.broken",
            "w1 joined earlier, but its configuration is incomplete",
        ),
    ],
)
def test_nodes_that_are_never_touched(state: KubeadmState, command: JoinCommand | None, check: str, says: str) -> None:
    (problem,) = problems(state, JoinOptions(), command)
    assert (problem.check, problem.level) == (check, "error")
    assert says in problem.message
    with pytest.raises(KubesteadError) as caught:
        plan(state, JoinOptions(), command)
    assert caught.value.message == problem.line and "\n" not in problem.line


def test_what_a_failed_join_to_this_cluster_left_is_removed() -> None:
    clean, again = plan(LEFT, JoinOptions(), COMMAND)
    assert clean.summary() == f"clean w1 (an earlier join to this cluster failed: {LEFT.reason})"
    assert clean.data["reset"] is False
    assert again.action == "join"


def test_what_our_own_join_left_is_removed() -> None:
    clean, _again = plan(replace(HALF_CONTROL_PLANE, operation=BEGUN), JoinOptions(), CONTROL_PLANE)
    assert clean.summary().startswith(
        "clean w1 (the join started at 2026-11-23T12:00:00Z was interrupted: found certificates and"
    )
    assert clean.data["reset"] is True


def test_a_join_that_only_lacks_its_end_gets_it(machine: Machine) -> None:
    (step,) = plan(replace(WORKER, operation=BEGUN), JoinOptions(), COMMAND)
    assert step.summary() == "finish w1 (the join started at 2026-11-23T12:00:00Z has finished)"
    operation.begin(machine, BEGUN)
    machine.put("/etc/hostname", "w1\n")
    machine.answer("kubectl", "{}")
    join.apply(step, machine)
    assert not machine.exists("/var/lib/kubestead")
    assert [argv[-1] for argv in machine.ran if argv[0] == "kubectl"] == ["/api/v1/nodes/w1"]


def test_a_kubelet_whose_node_is_not_there_is_started_anew(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    (step,) = plan(replace(WORKER, operation=BEGUN), JoinOptions(), COMMAND)
    operation.begin(machine, BEGUN)
    machine.answer("systemctl restart kubelet", lambda argv, stdin: machine.answer("kubectl", "{}") or Result(0))
    join.apply(step, machine)
    assert not machine.exists("/var/lib/kubestead")
    operation.begin(machine, BEGUN)
    machine.answer("kubectl", "", rc=1)
    machine.answer("systemctl restart kubelet", "")
    machine.answer("systemctl is-active containerd", "failed\n", rc=3)
    clock = iter(range(0, 1000, 50))
    monkeypatch.setattr(join.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(join.time, "sleep", lambda _seconds: None)
    with pytest.raises(KubesteadError, match="does not appear in the API: containerd is not running"):
        join.apply(step, machine)
    assert operation.observe(machine) is not None


def test_a_control_plane_whose_join_reached_its_last_phase_is_not_removed() -> None:
    """It is a member of the cluster and of etcd; its API server is down for another reason."""
    begun = replace(BEGUN, control_plane=True)
    member = replace(HALF_CONTROL_PLANE, operation=begun, finished=True, kubelet_conf=True)
    assert join.leftovers_reason(replace(member, reached="control-plane"), CONTROL_PLANE)
    member = replace(member, reached="mark-control-plane")
    assert join.leftovers_reason(member, CONTROL_PLANE) == ""
    assert [one.check for one in join.problems(member, JoinOptions(), CONTROL_PLANE)] == ["join.broken"]


HALF_INIT = replace(HALF_CONTROL_PLANE, operation=INIT_BEGUN, reached="control-plane")


def test_what_our_own_init_left_is_removed_where_the_node_shall_join_now() -> None:
    clean, again = plan(HALF_INIT, JoinOptions(), replace(CONTROL_PLANE, ca_cert_hashes=[OTHER]))
    assert (
        clean.summary()
        == "clean w1 (the init started at 2026-11-23T12:00:00Z was interrupted after phase control-plane)"
    )
    assert (clean.data["reset"], again.action) == (True, "join")


@pytest.mark.parametrize("state", [replace(HALF_INIT, finished=True), replace(HALF_INIT, api=ClusterApi(live=True))])
def test_an_init_that_may_have_made_a_cluster_is_not_removed_for_a_join(state: KubeadmState) -> None:
    with pytest.raises(KubesteadError, match="nothing was changed"):
        plan(state, JoinOptions(), CONTROL_PLANE)


def test_a_control_plane_may_bring_the_authorities_with_it() -> None:
    own = replace(FRESH, pki=["ca.crt", "ca.key"], ca_cert_hash=CA, role="control_plane", phase=PARTIAL, own_ca=True)
    assert [step.action for step in plan(own, JoinOptions(), CONTROL_PLANE)] == ["join"]
    with pytest.raises(KubesteadError, match="was not created by this collection"):
        plan(own, JoinOptions(), COMMAND)


def test_a_state_survives_the_way_to_the_control_machine() -> None:
    state = replace(LEFT, operation=BEGUN)
    assert from_dict(KubeadmState, json.loads(json.dumps(to_dict(state)))) == state


def test_observation_of_a_folder(machine: Machine) -> None:
    machine.put("/etc/kubernetes/pki/ca.crt", CA_PEM)
    machine.put("/etc/kubernetes/bootstrap-kubelet.conf", "clusters: []")
    machine.put("/etc/hostname", "w1\n")
    machine.put(operation.MARKER, json.dumps(to_dict(BEGUN)))
    state = kubeadm.observe(machine)
    assert state.operation == BEGUN
    assert (state.phase, state.role, state.ca_cert_hash) == (PARTIAL, "worker", CA)
    assert [step.action for step in plan(state, JoinOptions(), COMMAND)] == ["clean", "join"]


# -- the join itself


class FakeKubeadm:
    """Answers for a kubeadm; ``join`` does to the machine's files what the real one does."""

    def __init__(self, machine: Machine, version: str = "v1.35.0") -> None:
        (machine.folder / "run").mkdir(exist_ok=True)
        machine.put("/etc/hostname", "w1\n")
        self.machine = machine
        self.seen: dict[str, Any] = {}
        self.result = Result(0, "This node has joined the cluster")
        self.leaves = ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/pki/ca.crt"]
        machine.answer("kubeadm version -o json", json.dumps({"clientVersion": {"gitVersion": version}}))
        machine.answer("kubeadm join", self._join)
        machine.answer("systemctl", "")
        machine.answer("kubectl", "{}")

    def _join(self, argv: Sequence[str], stdin: str | None) -> Result:
        path = argv[-1]
        marker = self.machine.read(operation.MARKER)
        self.seen.update(argv=list(argv), path=path, text=Path(path).read_text(), marker=operation.parse(marker))
        discovery = json.loads(self.seen["text"])["discovery"]
        if "file" in discovery:
            self.seen["discovery"] = json.loads(Path(discovery["file"]["kubeConfigPath"]).read_text())
        self.seen.update(mode=os.stat(path).st_mode & 0o777, marker_text=marker)
        for name in self.leaves:
            self.machine.put(name, CA_PEM if name.endswith("ca.crt") else "users:\n- user:\n    token: x\n")
        return self.result


def run(machine: Machine, options: JoinOptions | None = None, command: JoinCommand = COMMAND) -> None:
    for step in plan(kubeadm.observe(machine), options or JoinOptions(), command):
        join.apply(step, machine)


def test_a_join_passes_its_secrets_in_a_file(machine: Machine) -> None:
    fake = FakeKubeadm(machine)
    run(machine, command=CONTROL_PLANE)
    document = json.loads(fake.seen["text"])
    assert document["discovery"]["bootstrapToken"]["token"] == COMMAND.token
    assert document["controlPlane"]["certificateKey"] == KEY
    assert fake.seen["argv"][:3] == ["kubeadm", "join", "--config"]
    assert fake.seen["mode"] == 0o600
    assert not os.path.exists(fake.seen["path"]) and list((machine.folder / "run").iterdir()) == []
    assert "0123456789abcdef" not in json.dumps(machine.ran)


def test_with_the_ca_at_hand_the_cluster_is_found_by_a_file_and_need_not_sign_anything(machine: Machine) -> None:
    fake = FakeKubeadm(machine)
    run(machine, command=replace(COMMAND, ca_certificate=CA_PEM))
    discovery = json.loads(fake.seen["text"])["discovery"]
    assert discovery["tlsBootstrapToken"] == COMMAND.token and "bootstrapToken" not in discovery
    [cluster] = fake.seen["discovery"]["clusters"]
    assert cluster["cluster"]["server"] == "https://10.0.0.1:6443"
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode() == CA_PEM
    assert list((machine.folder / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("certificate", "hashes"), [(CA_PEM, [OTHER]), (CA_PEM, []), ("no certificate", [CA]), ("# Ä\n" + CA_PEM, [CA])]
)
def test_a_ca_that_is_not_the_pinned_one_is_refused(certificate: str, hashes: list[str]) -> None:
    with pytest.raises(OptionError, match="^ca_certificate is not a PEM certificate whose hash is in"):
        checked_command(replace(COMMAND, ca_certificate=certificate, ca_cert_hashes=hashes), FRESH)


OTHER_PEM = fixture("kubeadm/v1.20/ca.crt")


@pytest.mark.parametrize(
    "certificate",
    [
        CA_PEM + OTHER_PEM,
        OTHER_PEM + CA_PEM,
        CA_PEM + OTHER_PEM.replace("CERTIFICATE", "TRUSTED CERTIFICATE"),
        CA_PEM + OTHER_PEM.replace("CERTIFICATE", "X509 CERTIFICATE"),
        CA_PEM + OTHER_PEM.replace("BEGIN CERTIFICATE-----", "BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"),
        CA_PEM + OTHER_PEM.replace("-----END CERTIFICATE-----", ""),
        CA_PEM.replace("-----END CERTIFICATE-----", "") + OTHER_PEM,
        CA_PEM + "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
    ],
)
def test_no_certificate_is_trusted_beside_the_pinned_one(certificate: str) -> None:
    with pytest.raises(OptionError, match="or contains other certificates"):
        checked_command(replace(COMMAND, ca_certificate=certificate, ca_cert_hashes=[CA]), FRESH)


def test_all_of_several_pinned_certificates_are_trusted_and_nothing_else_is_handed_on() -> None:
    pins = [CA, *ca_cert_hashes(OTHER_PEM)]
    text = "a comment\n" + CA_PEM.replace("\n", "\r\n") + "server: evil\n" + OTHER_PEM + "more\n"
    given = replace(COMMAND, ca_certificate=text, ca_cert_hashes=pins)
    assert checked_command(given, FRESH).ca_certificate == CA_PEM + OTHER_PEM


def der_of(pem: str) -> bytes:
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


def pem_of(der: bytes) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"


def sequence(length: int) -> bytes:
    return b"\x30\x82" + length.to_bytes(2, "big")


def test_a_certificate_that_another_parser_reads_otherwise_is_not_trusted() -> None:
    der = der_of(CA_PEM)
    assert pinned_certificates(pem_of(der), [CA]) == CA_PEM
    length = int.from_bytes(der[2:4], "big")
    inner = int.from_bytes(der[6:8], "big")
    assert der[:2] == der[4:6] == b"\x30\x82"
    for forged in (
        der + b"\0\0",
        b"\x30\x80" + der[4:] + b"\0\0",
        der[:4] + b"\x30\x80" + der[8 : 8 + inner] + b"\0\0" + der[8 + inner :],
        b"\x3f" + der[1:],
        # Another element before the serial number, which moves the key from where it is looked for.
        sequence(length + 3) + sequence(inner + 3) + b"\2\1\1" + der[8:],
    ):
        assert pinned_certificates(pem_of(forged), [CA, *ca_cert_hashes(pem_of(forged))]) == "", forged[:12].hex()


def test_a_marker_says_that_the_join_is_ours_while_it_runs(machine: Machine) -> None:
    fake = FakeKubeadm(machine)
    run(machine)
    assert fake.seen["marker"] == replace(BEGUN, began=fake.seen["marker"].began)
    assert "0123456789abcdef" not in fake.seen["marker_text"]
    assert not machine.exists("/var/lib/kubestead")


def test_a_second_run_does_nothing(machine: Machine) -> None:
    FakeKubeadm(machine)
    run(machine)
    machine.ran.clear()
    run(machine)
    assert not [argv for argv in machine.ran if argv[:2] == ["kubeadm", "join"]]


@pytest.mark.parametrize(
    "name, phase, says",
    [
        (
            "v1.35/join-preflight",
            "preflight",
            "FileAvailable--etc-kubernetes-pki-ca.crt]: /etc/kubernetes/pki/ca.crt already",
        ),
        ("v1.20/join-preflight", "preflight", "FileExisting-crictl]: crictl not found in system path"),
        ("v1.35/join-unknown-token", "preflight", "could not find a JWS signature"),
        ("v1.20/join-unknown-token", "preflight", "could not find a JWS signature"),
        ("v1.35/join-wrong-secret", "preflight", "failed to verify JWS signature"),
        ("v1.20/join-wrong-ca", "preflight", "none of the public keys"),
        ("v1.35/join-refused", "preflight", "connection refused"),
        ("v1.35/join-bad-kubelet-flag", "kubelet-wait-bootstrap", "unknown flag: --bogus"),
    ],
)
def test_a_failure_tells_phase_and_cause(machine: Machine, name: str, phase: str, says: str) -> None:
    fake = FakeKubeadm(machine)
    fake.result = Result(1, fixture(f"join/{name}.stdout"), fixture(f"join/{name}.stderr"))
    fake.leaves = ["/etc/kubernetes/bootstrap-kubelet.conf", "/etc/kubernetes/pki/ca.crt"]
    machine.answer("journalctl -u kubelet", fixture("join/v1.35/kubelet-journal-bad-flag.txt"))
    with pytest.raises(KubesteadError) as caught:
        run(machine)
    assert caught.value.message.startswith(f"kubeadm join failed in phase {phase}: ")
    assert says in caught.value.message
    assert caught.value.details["phase"] == phase
    assert "\n" not in caught.value.message


def test_secrets_are_scrubbed_from_a_failure(machine: Machine) -> None:
    fake = FakeKubeadm(machine)
    said = f"error: error execution phase preflight: token {COMMAND.token} and key {KEY} and half 0123456789abcdef"
    fake.result = Result(1, f"[preflight] {COMMAND.token} {KEY}\n", said)
    fake.leaves = []
    with pytest.raises(KubesteadError) as caught:
        run(machine, command=CONTROL_PLANE)
    told = caught.value.message + json.dumps(caught.value.details)
    assert COMMAND.token not in told and KEY not in told


def test_a_failed_join_leaves_no_token_and_the_next_one_starts_clean(machine: Machine) -> None:
    fake = FakeKubeadm(machine)
    leaves, fake.leaves = fake.leaves, ["/etc/kubernetes/bootstrap-kubelet.conf", "/etc/kubernetes/pki/ca.crt"]
    fake.result = Result(1, "", "error: error execution phase kubelet-start: timed out")
    with pytest.raises(KubesteadError):
        run(machine)
    assert not machine.exists("/etc/kubernetes/bootstrap-kubelet.conf")
    assert list((machine.folder / "run").iterdir()) == []
    assert operation.observe(machine) is not None
    fake.leaves, fake.result = leaves, Result(0)
    machine.put("/var/lib/kubelet/config.yaml", "old")
    run(machine)
    assert ["systemctl", "stop", "kubelet"] in machine.ran
    assert not machine.exists("/var/lib/kubelet/config.yaml")
    assert kubeadm.observe(machine).phase == DONE
    assert not machine.exists(operation.MARKER)


def test_a_kubelet_that_wrote_its_kubeconfig_but_got_no_certificate_starts_clean(machine: Machine) -> None:
    """kubelet 1.35 beside a containerd that is stopped."""
    FakeKubeadm(machine)
    unused = "users:\n- user:\n    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"
    machine.put("/etc/kubernetes/kubelet.conf", unused)
    machine.put("/etc/kubernetes/pki/ca.crt", CA_PEM)
    operation.begin(machine, BEGUN)
    clean, again = plan(kubeadm.observe(machine), JoinOptions(), COMMAND)
    assert (clean.action, clean.data["reset"], again.action) == ("clean", False, "join")
    join.apply(clean, machine)
    assert ["systemctl", "stop", "kubelet"] in machine.ran
    assert not machine.exists("/etc/kubernetes/kubelet.conf")


def test_leftovers_of_a_control_plane_are_reset_by_kubeadm(machine: Machine) -> None:
    FakeKubeadm(machine)
    machine.answer("kubeadm reset", "")
    for name in ("ca.crt", "apiserver.crt", "etcd/ca.key"):
        machine.put(f"/etc/kubernetes/pki/{name}", "x")
    machine.put("/var/lib/etcd/member/wal", "x")
    machine.put("/etc/kubernetes/admin.conf", "server: https://10.0.0.1:6443")
    machine.answer("kubectl", "")
    data = {"reset": True, "leave": True, "cri_socket": "unix:///run/x.sock", "preexisting_pki": ["ca.crt"]}
    data["node_name"] = "cp2"
    join.apply(Step("join", "clean", "cp2", "", data=data), machine)
    node, reset = [argv for argv in machine.ran if argv[0] in ("kubectl", "kubeadm")]
    assert node[-3:] == ["delete", "--raw", "/api/v1/nodes/cp2"]
    assert reset[:5] == ["kubeadm", "reset", "--force", "--cri-socket", "unix:///run/x.sock"]
    assert kubeadm.files_below(machine, "/etc/kubernetes/pki") == ["ca.crt"]
    assert not machine.exists("/var/lib/etcd/member")


def test_an_init_that_never_became_a_cluster_has_no_other_members_to_ask(machine: Machine) -> None:
    machine.answer("kubeadm reset", "")
    machine.put("/etc/kubernetes/manifests/etcd.yaml", "- --initial-advertise-peer-urls=https://10.0.0.1:2380\n")
    machine.put("/etc/kubernetes/admin.conf", "server: https://10.0.0.1:6443")
    clean = plan(HALF_INIT, JoinOptions(), replace(CONTROL_PLANE, ca_cert_hashes=[OTHER]))[0]
    join.apply(clean, machine)
    assert [argv[:2] for argv in machine.ran if argv[0] in ("kubectl", "kubeadm")] == [["kubeadm", "reset"]]


def test_the_node_of_a_failed_join_is_deleted_by_a_control_plane_that_answers(machine: Machine) -> None:
    machine.put("/etc/kubernetes/admin.conf", "clusters:\n- cluster:\n    server: https://api.home.internal:6443\n")
    lines = [f"192.0.2.{number} api.home.internal" for number in (12, 13, 11)]
    machine.put(hosts_file.HOSTS, hosts_file.with_block("", lines))

    def answer(argv: Sequence[str], _stdin: str | None) -> Result:
        return Result(1, "", "context deadline exceeded") if any("192.0.2.13" in word for word in argv) else Result(0)

    machine.answer("kubectl", answer)
    reset.leave_cluster(machine, "cp2")
    asked = [word for argv in machine.ran for word in argv if word.startswith("--server")]
    assert asked == ["--server=https://192.0.2.13:6443", "--server=https://192.0.2.11:6443"]


@pytest.mark.parametrize("action", ["join", "finish"])
def test_the_proxy_of_a_worker_gets_the_ca_at_the_end_of_its_join(
    machine: Machine, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(join, "join", lambda *_arguments: done.append("join"))
    monkeypatch.setattr(join, "finish", lambda *_arguments: done.append("finish"))
    monkeypatch.setattr(proxy, "after_join", lambda _system: done.append("CA"))
    data = {"options": JoinOptions(), "command": COMMAND, "api": "v1beta4", "preexisting_pki": []}
    join.apply(Step("join", action, "w1", "", data=data), machine)
    assert done == [action, "CA"]


def test_a_control_plane_that_failed_to_join_leaves_etcd_again(machine: Machine) -> None:
    fake = FakeKubeadm(machine)
    machine.answer("kubeadm reset", "")
    fake.result = Result(1, "", "error: error execution phase control-plane-join/etcd: timed out")
    fake.leaves = ["/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key", "/etc/kubernetes/manifests/etcd.yaml"]
    with pytest.raises(KubesteadError, match="failed in phase control-plane-join/etcd: timed out"):
        run(machine, command=CONTROL_PLANE)
    assert [argv[1] for argv in machine.ran if argv[0] == "kubeadm"][-2:] == ["join", "reset"]
    assert kubeadm.files_below(machine, "/etc/kubernetes/pki") == []
    machine.answer("kubeadm reset", "", rc=1, stderr="error: no")
    machine.remove("/etc/kubernetes/manifests")
    with pytest.raises(KubesteadError, match="the host may still be a member of the cluster's etcd"):
        run(machine, command=CONTROL_PLANE)


def test_phases_are_skipped_by_an_argument_where_the_file_has_no_field(machine: Machine) -> None:
    fake = FakeKubeadm(machine, "v1.20.2")
    run(machine, JoinOptions(skip_phases=["preflight"]))
    assert fake.seen["argv"][:3] == ["kubeadm", "join", "--skip-phases=preflight"]
    assert json.loads(fake.seen["text"])["apiVersion"] == "kubeadm.k8s.io/v1beta2"


def test_no_kubeadm(machine: Machine) -> None:
    machine.put("/etc/hostname", "w1\n")
    assert [step.action for step in plan(kubeadm.observe(machine), JoinOptions(), COMMAND)] == ["join"]
    with pytest.raises(KubesteadError, match="kubeadm is not installed; use the role kube_packages first"):
        run(machine)
    assert not machine.exists(operation.MARKER)


def test_an_end_without_kubelet_conf_is_a_failure(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeKubeadm(machine)
    fake.leaves = []
    monkeypatch.setattr(join.time, "sleep", lambda _seconds: None)
    with pytest.raises(KubesteadError, match="succeeded, but the kubelet does not have /etc/kubernetes/kubelet.conf"):
        run(machine)
