# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm made of a machine, on outputs and files of real control planes of 1.20 and 1.35."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import constants, poll, x509
from ansible_collections.kubestead.cluster.plugins.module_utils.core.https import Credentials
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import cluster as kube_cluster
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubelet
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.api import kubeconfig_server
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import static_pods
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.health import Health
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, NONE, PARTIAL, KubeadmState
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

MINORS = ["v1.20", "v1.35"]
CONFIG = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"


def recorded(minor: str, name: str) -> str:
    return fixture(f"kubeadm/{minor}/{name}")


def control_plane(machine: Machine, minor: str) -> None:
    """Everything a finished ``kubeadm init`` leaves, and its API."""
    for name in ("admin.conf", "kubelet.conf"):
        machine.put(f"/etc/kubernetes/{name}", recorded(minor, name), 0o600)
    for name in kubeadm.OWN_CA_FILES | {"apiserver.crt", "apiserver.key", "etcd/server.crt"}:
        machine.put(f"/etc/kubernetes/pki/{name}", "key")
    machine.put("/etc/kubernetes/pki/ca.crt", recorded(minor, "ca.crt"))
    for component in constants.COMPONENTS:
        machine.put(f"/etc/kubernetes/manifests/{component}.yaml", recorded(minor, f"{component}.yaml"))
    machine.put("/var/lib/etcd/member/wal/0.wal")
    machine.put("/var/lib/kubelet/config.yaml")
    machine.put("/var/lib/kubelet/kubeadm-flags.env", recorded(minor, "kubeadm-flags.env"))
    machine.put("/var/lib/kubelet/pki/kubelet-client-current.pem", recorded(minor, "kubelet-client-current.pem"))
    machine.put("/etc/cni/net.d/10-kubestead.conflist")
    machine.answer("kubeadm version -o json", recorded(minor, "version.json"))
    api(machine, minor)


def server_of(minor: str) -> str:
    return kubeconfig_server(recorded(minor, "admin.conf"))


def etcd_of(minor: str) -> str:
    return server_of(minor).replace("6443", "2379")


def api(machine: Machine, minor: str, server: str = "") -> None:
    server = server or server_of(minor)
    for path, body in (
        ("/livez", recorded(minor, "livez.txt")),
        ("/readyz", "ok"),
        ("/version", recorded(minor, "api-version.json")),
        ("/api/v1/nodes", recorded(minor, "nodes.json")),
        (CONFIG, recorded(minor, "kubeadm-config.json")),
    ):
        machine.serve(server, path, body)
    machine.serve(etcd_of(minor), "/health", '{"health":"true","reason":""}')


def worker(machine: Machine) -> None:
    machine.put("/etc/kubernetes/kubelet.conf", recorded("v1.35", "worker-kubelet.conf"), 0o600)
    machine.put("/etc/kubernetes/pki/ca.crt", recorded("v1.35", "ca.crt"))
    machine.put("/etc/kubernetes/manifests/.kubelet-keep")
    pem = recorded("v1.35", "worker-kubelet-client-current.pem")
    machine.put("/var/lib/kubelet/pki/kubelet-client-current.pem", pem)
    machine.answer("kubeadm version -o json", recorded("v1.35", "version.json"))


@pytest.mark.parametrize(
    ("minor", "version", "api_name"), [("v1.20", "1.20.2", "v1beta2"), ("v1.35", "1.35.0", "v1beta4")]
)
def test_a_finished_control_plane(machine: Machine, minor: str, version: str, api_name: str) -> None:
    control_plane(machine, minor)
    state = kubeadm.observe(machine)
    assert (state.phase, state.role, state.finished) == (DONE, "control_plane", True)
    assert (state.installed_version, state.config_api) == (version, api_name)
    assert state.node_name == "cp1"
    assert state.leftovers == []
    assert state.server == "https://" + re.search(r"server: https://(\S+)", recorded(minor, "admin.conf"))[1]
    assert state.ca_cert_hash == recorded(minor, "join-command.txt").split()[-1]
    assert state.api.live and state.api.server_version == version
    assert state.api.config == kube_cluster.ClusterConfig(
        kubernetes_version=version,
        endpoint="",
        pod_cidr="10.244.0.0/16",
        service_cidr="10.96.0.0/12",
        dns_domain="cluster.local",
        image_repository="registry.k8s.io",
        cluster_name="kubernetes",
    )


def test_the_nodes_of_a_cluster(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    cp1, w1 = kubeadm.observe(machine).api.nodes
    assert (cp1.name, cp1.ready, cp1.control_plane, cp1.pod_cidrs) == ("cp1", True, True, ["10.244.0.0/24"])
    assert (w1.name, w1.ready, w1.control_plane, w1.pod_cidrs) == ("w1", True, False, ["10.244.1.0/24"])
    assert (w1.kubelet_version, w1.internal_ip, w1.roles) == ("1.35.0", "10.213.0.59", [])
    assert w1.machine_id == "5a8d8929aa5749b2ba7ae4779cfcc10c"


def test_a_node_without_network_is_not_ready_and_a_master_of_1_20_is_a_control_plane(machine: Machine) -> None:
    control_plane(machine, "v1.20")
    (node,) = kubeadm.observe(machine).api.nodes
    assert not node.ready
    assert node.roles == ["control-plane", "master"]


@pytest.mark.parametrize("minor", MINORS)
def test_the_state_survives_json(machine: Machine, minor: str) -> None:
    control_plane(machine, minor)
    state = kubeadm.observe(machine)
    assert from_dict(KubeadmState, json.loads(json.dumps(to_dict(state)))) == state


def test_only_a_control_plane_asks_servers_and_starts_no_process_for_it(machine: Machine) -> None:
    worker(machine)
    kubeadm.observe(machine)
    assert [argv[0] for argv in machine.ran] == ["kubeadm"] and not machine.asked
    control_plane(machine, "v1.35")
    machine.ran.clear()
    kubeadm.observe(machine)
    assert [argv[0] for argv in machine.ran] == ["kubeadm"]
    server = server_of("v1.35")
    paths = ["/livez", "/version", "/api/v1/nodes", CONFIG, "/readyz"]
    assert sorted(machine.asked) == sorted([server + path for path in paths] + [etcd_of("v1.35") + "/health"])


def test_no_private_key_is_in_the_state(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    text = json.dumps(to_dict(kubeadm.observe(machine)))
    assert "cmVkYWN0ZWQ" not in text and "PRIVATE" not in text


def test_a_bare_machine(machine: Machine) -> None:
    machine.put("/etc/hostname", "Node-7\n")
    machine.put("/etc/kubernetes/manifests/.kubelet-keep")
    state = kubeadm.observe(machine)
    assert (state.phase, state.role, state.installed_version, state.config_api) == (NONE, "", "", "")
    assert state.node_name == "node-7", "kubeadm takes the host's name in lower case"
    assert (state.manifests, state.leftovers) == ([], [])


def test_what_an_earlier_cluster_left(machine: Machine) -> None:
    machine.put("/etc/cni/net.d/10-calico.conflist")
    machine.put("/var/lib/cni/networks/x/10.244.0.2")
    machine.put("/var/lib/etcd/lost")
    machine.put("/var/lib/kubelet/config.yaml")
    state = kubeadm.observe(machine)
    assert state.phase == NONE
    assert state.leftovers == [
        "/etc/cni/net.d/10-calico.conflist",
        "/var/lib/cni",
        "/var/lib/etcd",
        "/var/lib/kubelet/config.yaml",
    ]


def test_a_joined_worker(machine: Machine) -> None:
    worker(machine)
    state = kubeadm.observe(machine)
    assert (state.phase, state.role, state.finished) == (DONE, "worker", True)
    assert state.node_name == "w1"
    assert state.reason == f"joined to {state.server}"
    assert (
        state.server.startswith("https://") and state.ca_cert_hash == recorded("v1.35", "join-command.txt").split()[-1]
    )
    assert not state.api.live


def test_a_join_that_stopped_half_way(machine: Machine) -> None:
    worker(machine)
    machine.remove("/etc/kubernetes/kubelet.conf")
    machine.remove("/var/lib/kubelet/pki/kubelet-client-current.pem")
    machine.put("/etc/kubernetes/bootstrap-kubelet.conf")
    state = kubeadm.observe(machine)
    assert (state.phase, state.role, state.finished) == (PARTIAL, "worker", False)
    assert state.reason == "found certificates and bootstrap-kubelet.conf; missing kubelet.conf"


def test_a_join_whose_token_is_still_there_is_not_done(machine: Machine) -> None:
    worker(machine)
    machine.put("/etc/kubernetes/bootstrap-kubelet.conf")
    state = kubeadm.observe(machine)
    assert (state.phase, state.finished) == (PARTIAL, True)
    assert state.reason.endswith("missing the completion of the kubelet's TLS bootstrap")


@pytest.mark.parametrize("size", [None, 0, 300])
def test_a_kubeconfig_without_a_certificate_is_no_joined_node(machine: Machine, size: int | None) -> None:
    """The kubelet did not get one, or a full disk cut the file short."""
    worker(machine)
    if size is None:
        machine.remove("/var/lib/kubelet/pki/kubelet-client-current.pem")
    else:
        machine.put("/etc/kubernetes/kubelet.conf", recorded("v1.35", "worker-kubelet.conf")[:size])
    state = kubeadm.observe(machine)
    assert (state.phase, state.role, state.kubelet_conf, state.finished) == (PARTIAL, "worker", False, False)
    assert state.reason == "found certificates; missing kubelet.conf"


def test_a_ca_certificate_alone_is_no_ca_of_ones_own(machine: Machine) -> None:
    machine.put("/etc/kubernetes/pki/ca.crt", recorded("v1.35", "ca.crt"))
    state = kubeadm.observe(machine)
    assert (state.phase, state.role, state.own_ca) == (PARTIAL, "worker", False)


def test_a_ca_of_ones_own_is_taken_up(machine: Machine) -> None:
    machine.put("/etc/kubernetes/pki/ca.crt", recorded("v1.35", "ca.crt"))
    machine.put("/etc/kubernetes/pki/ca.key")
    state = kubeadm.observe(machine)
    assert (state.phase, state.own_ca) == (PARTIAL, True)
    machine.put("/etc/kubernetes/pki/apiserver.crt")
    assert not kubeadm.observe(machine).own_ca


@pytest.mark.parametrize(
    ("lost", "lacking"),
    [
        (["/etc/kubernetes/admin.conf"], "admin.conf"),
        (["/etc/kubernetes/kubelet.conf"], "kubelet.conf"),
        (["/etc/kubernetes/manifests/kube-scheduler.yaml"], "manifests of kube-scheduler"),
        (["/etc/kubernetes/manifests", "/etc/kubernetes/admin.conf"], "admin.conf and manifests of kube-apiserver"),
    ],
)
def test_a_control_plane_that_lacks_something_is_partial(machine: Machine, lost: list[str], lacking: str) -> None:
    control_plane(machine, "v1.35")
    for path in lost:
        machine.remove(path)
    state = kubeadm.observe(machine)
    assert (state.phase, state.role) == (PARTIAL, "control_plane")
    assert "; missing " + lacking in state.reason


def test_a_control_plane_that_is_down_is_told_from_one_that_never_ran(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    machine.refuse(server_of("v1.35"))
    state = kubeadm.observe(machine)
    assert (state.phase, state.finished, state.api.live) == (PARTIAL, True, False)
    assert state.api.reason == f"{state.server} does not answer: connection refused"
    assert state.api.reason in state.reason
    # Before kubelet-finalize the kubelet's certificate is within kubelet.conf.
    machine.put("/etc/kubernetes/kubelet.conf", recorded("v1.35", "admin.conf"))
    assert not kubeadm.observe(machine).finished


ENDPOINT = "https://k8s.example.org:6443"


def behind_an_endpoint(machine: Machine) -> None:
    """A control plane whose admin.conf names an address that leads to any of several."""
    control_plane(machine, "v1.35")
    text = recorded("v1.35", "admin.conf").replace(server_of("v1.35"), ENDPOINT)
    machine.put("/etc/kubernetes/admin.conf", text, 0o600)
    api(machine, "v1.35", ENDPOINT)


def test_a_healthy_control_plane_tells_of_its_own_servers(machine: Machine) -> None:
    behind_an_endpoint(machine)
    state = kubeadm.observe(machine)
    assert state.phase == DONE
    assert state.local_api == Health(True, "", server_of("v1.35"))
    assert state.etcd == Health(True, "", etcd_of("v1.35"))
    assert state.static_pods == {
        "etcd": "3.6.4-0",
        "kube-apiserver": "1.35.0",
        "kube-controller-manager": "1.35.0",
        "kube-scheduler": "1.35.0",
    }


def test_a_control_plane_whose_hosts_file_was_replaced_asks_itself(machine: Machine) -> None:
    """Otherwise the cluster would seem to be down, and no run could write the name of the API again."""
    name = "https://api.kubernetes.internal:6443"
    control_plane(machine, "v1.35")
    text = recorded("v1.35", "admin.conf").replace(server_of("v1.35"), name)
    machine.put("/etc/kubernetes/admin.conf", text, 0o600)
    assert kubeadm.observe(machine).api.live and name + "/livez" not in machine.asked
    machine.put("/etc/hosts", "192.0.2.1 api.kubernetes.internal\n")
    state = kubeadm.observe(machine)
    assert not state.api.live and name + "/livez" in machine.asked and state.local_api.failed is False


def test_an_api_server_that_is_dead_behind_a_shared_endpoint_is_seen(machine: Machine) -> None:
    """Another control plane answers for the cluster: that says nothing about this machine."""
    behind_an_endpoint(machine)
    machine.refuse(server_of("v1.35"))
    machine.refuse(etcd_of("v1.35"))
    state = kubeadm.observe(machine)
    assert state.api.live and state.api.node("cp1") is not None
    assert (state.phase, state.role, state.finished) == (PARTIAL, "control_plane", True)
    own = server_of("v1.35")
    assert state.reason.endswith(
        f"missing a healthy API server on this host ({own} does not answer: connection refused)"
    )
    assert state.etcd == Health(False, "connection refused", etcd_of("v1.35"))
    assert state.local_api.failed and state.etcd.failed and not Health().failed


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (
            500,
            "[+]ping ok\n[-]etcd failed: reason withheld\n[-]poststart failed: x\n",
            "failed checks: etcd, poststart",
        ),
        (200, "no", "HTTP 200"),
        (403, '{"reason": "Forbidden", "message": "no\\u001b[2J"}', "HTTP 403 Forbidden: no [2J"),
        (503, "[]", "HTTP 503"),
    ],
)
def test_why_an_api_server_is_not_healthy(machine: Machine, status: int, body: str, reason: str) -> None:
    behind_an_endpoint(machine)
    machine.serve(server_of("v1.35"), "/readyz", body, status)
    assert kubeadm.observe(machine).local_api == Health(False, reason, server_of("v1.35"))


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (503, '{"health":"false","reason":"RAFT NO LEADER"}', "raft no leader"),
        (200, '{"health":"false","reason":"ALARM NOSPACE"}', "alarm nospace"),
        (200, '{"health":"true"}', ""),
        (500, "{", "HTTP 500"),
        (200, "[]", "HTTP 200"),
    ],
)
def test_why_a_member_of_etcd_is_not_healthy(machine: Machine, status: int, body: str, reason: str) -> None:
    control_plane(machine, "v1.35")
    machine.serve(etcd_of("v1.35"), "/health", body, status)
    state = kubeadm.observe(machine)
    assert state.etcd == Health(not reason, reason, etcd_of("v1.35"))
    assert state.phase == DONE, "whether the cluster is complete is another question"


def test_etcd_is_asked_with_its_own_certificates_and_the_api_with_the_admins(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    for name in ("ca.crt", "healthcheck-client.crt", "healthcheck-client.key", "peer.crt", "peer.key"):
        machine.put(f"/etc/kubernetes/pki/etcd/{name}", f"etcd {name}")
    kubeadm.observe(machine)
    assert (
        Credentials("etcd ca.crt", "etcd healthcheck-client.crt", "etcd healthcheck-client.key") in machine.credentials
    )
    admin = next(one for one in machine.credentials if "BEGIN CERTIFICATE" in one.certificate)
    assert "BEGIN CERTIFICATE" in admin.authority and admin.key == "redacted" and "redacted" not in repr(admin)
    machine.remove("/etc/kubernetes/pki/etcd/healthcheck-client.key")
    machine.credentials.clear()
    kubeadm.observe(machine)
    assert Credentials("etcd ca.crt", "etcd peer.crt", "etcd peer.key") in machine.credentials


def test_a_control_plane_with_an_etcd_elsewhere_has_none_of_its_own(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    machine.remove("/etc/kubernetes/manifests/etcd.yaml")
    machine.remove("/var/lib/etcd")
    state = kubeadm.observe(machine)
    assert state.phase == DONE and state.etcd == Health() and not state.etcd.failed


@pytest.mark.parametrize(
    "text", ["", "{", "spec: {}", "- --advertise-address=\n", "- --secure-port=x\n- --advertise-address=a"]
)
def test_a_manifest_that_tells_nothing_is_not_asked_about(machine: Machine, text: str) -> None:
    control_plane(machine, "v1.35")
    machine.put("/etc/kubernetes/manifests/kube-apiserver.yaml", text)
    machine.put("/etc/kubernetes/manifests/etcd.yaml", text)
    state = kubeadm.observe(machine)
    assert state.local_api == state.etcd == Health()
    assert state.phase == DONE, "the address of the cluster answers"


def test_addresses_of_ipv6_and_other_ports_are_in_the_manifests() -> None:
    pod = static_pods.parse(
        "- --advertise-address=fd00::7\n    - --secure-port=7443\n  image: r.example:5000/x@sha256:0"
    )
    assert static_pods.api_server_url(pod) == "https://[fd00::7]:7443"
    assert pod.version == "", "a digest is no version"
    assert static_pods.parse("    image: r.example:5000/k/etcd:3.6.4-0@sha256:0").version == "3.6.4-0"


def starting(machine: Machine, seconds: float) -> None:
    """The kubelet was started that many seconds ago."""
    since = int((time.monotonic() - seconds) * 1e6)
    machine.answer("systemctl show kubelet", f"ActiveState=active\nActiveEnterTimestampMonotonic={since}\n")


@pytest.mark.parametrize("dead", [ENDPOINT, "its own"])
def test_a_control_plane_that_was_just_started_is_given_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, dead: str
) -> None:
    behind_an_endpoint(machine)
    server = server_of("v1.35") if dead == "its own" else dead
    machine.refuse(server)
    if dead == ENDPOINT:
        machine.refuse(server_of("v1.35"))
    starting(machine, 60)
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            # It lives, and is not ready yet.
            machine.serve(server_of("v1.35"), "/livez", "ok")
        if len(waited) == 3:
            api(machine, "v1.35", ENDPOINT)
            api(machine, "v1.35")

    monkeypatch.setattr(poll.time, "sleep", sleep)
    state = kubeadm.observe(machine)
    assert state.phase == DONE and len(waited) == 3


@pytest.mark.parametrize("seconds", [181, None])
def test_one_that_runs_for_long_or_not_at_all_is_not_waited_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    control_plane(machine, "v1.35")
    machine.refuse(server_of("v1.35"))
    if seconds is None:
        machine.answer("systemctl show kubelet", "ActiveState=failed\nActiveEnterTimestampMonotonic=0\n")
    else:
        starting(machine, seconds)
    monkeypatch.setattr(poll.time, "sleep", lambda _seconds: pytest.fail("it waits"))
    assert kubeadm.observe(machine).phase == PARTIAL


def test_a_server_that_hangs_holds_up_nobody(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    control_plane(machine, "v1.35")
    monkeypatch.setattr(kubeadm, "_LONGEST", 0.05)
    release = threading.Event()
    monkeypatch.setattr(kubeadm, "observe_api", lambda _api: release.wait(10))
    state = kubeadm.observe(machine)
    release.set()
    assert not state.api.live and state.api.reason.startswith("no answer within")


def test_a_cluster_that_forgot_the_node_or_its_configuration(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    machine.serve(server_of("v1.35"), "/api/v1/nodes", '{"items": []}')
    machine.serve(server_of("v1.35"), CONFIG, '{"reason": "NotFound"}', 404)
    state = kubeadm.observe(machine)
    assert state.phase == PARTIAL and state.api.live
    assert state.reason.endswith("missing the ConfigMap kubeadm-config and a Node named cp1")


def test_a_node_that_was_not_marked_yet(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    nodes = json.loads(recorded("v1.35", "nodes.json"))
    del nodes["items"][0]["metadata"]["labels"]["node-role.kubernetes.io/control-plane"]
    machine.serve(server_of("v1.35"), "/api/v1/nodes", json.dumps(nodes))
    assert kubeadm.observe(machine).reason.endswith("missing the control plane label on Node cp1")


def test_an_api_that_refuses_the_admin_is_not_live(machine: Machine) -> None:
    """As after a kill before kubeadm bound the admin to its rights."""
    control_plane(machine, "v1.35")
    refusal = {"reason": "Forbidden", "message": 'nodes is forbidden: User "kubernetes-admin" cannot list it'}
    machine.serve(server_of("v1.35"), "/api/v1/nodes", json.dumps(refusal), 403)
    state = kubeadm.observe(machine)
    assert state.phase == PARTIAL and not state.api.live and "Forbidden" in state.api.reason


def test_classification_is_pure() -> None:
    state = KubeadmState(etcd_data=True)
    assert kubeadm.classify(state) == replace(
        state,
        role="control_plane",
        phase=PARTIAL,
        reached="control-plane",
        reason="found etcd data; missing admin.conf, kubelet.conf and manifests of kube-apiserver, "
        "kube-controller-manager, kube-scheduler",
    )


# -- certificates


@pytest.mark.parametrize("minor", MINORS)
def test_the_pin_is_what_kubeadm_prints(minor: str) -> None:
    assert x509.ca_cert_hashes(recorded(minor, "ca.crt")) == [recorded(minor, "join-command.txt").split()[-1]]


def test_a_bundle_has_a_pin_for_each_certificate() -> None:
    bundle = "# old and new\n" + recorded("v1.20", "ca.crt") + recorded("v1.35", "ca.crt")
    assert x509.ca_cert_hashes(bundle) == [recorded(minor, "join-command.txt").split()[-1] for minor in MINORS]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here to compare with")
@pytest.mark.parametrize("key", ["rsa:2048", "ec:prime256v1", "ec:secp384r1", "ed25519"])
def test_the_pin_of_other_keys_is_what_openssl_computes(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    folder = tmp_path_factory.mktemp("pin")
    kind, _colon, curve = key.partition(":")
    newkey = (
        ["-newkey", key]
        if kind == "rsa"
        else ["-newkey", kind, *(["-pkeyopt", f"ec_paramgen_curve:{curve}"] if curve else [])]
    )
    argv = [
        "openssl",
        "req",
        "-x509",
        "-nodes",
        *newkey,
        "-keyout",
        "k",
        "-out",
        "c",
        "-subj",
        "/CN=x",
        "-days",
        "20000",
    ]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    public = "openssl x509 -in c -noout -pubkey | openssl pkey -pubin -outform der | sha256sum"
    digest = subprocess.run(public, shell=True, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[
        0
    ]
    assert x509.ca_cert_hashes((folder / "c").read_text()) == [f"sha256:{digest}"]


@pytest.mark.parametrize("damage", ["", "no certificate", "cut", "base64"])
def test_what_is_no_certificate_has_no_pin(damage: str) -> None:
    pem = recorded("v1.35", "ca.crt")
    if damage == "cut":
        der = base64.b64decode("".join(pem.splitlines()[1:-1]))[:-200]
        damage = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(der).decode()}\n-----END CERTIFICATE-----\n"
    elif damage == "base64":
        damage = pem.replace("M", "!")
    assert x509.ca_cert_hashes(damage) == []


@pytest.mark.parametrize(
    ("pem", "name"),
    [("kubelet-client-current.pem", "cp1"), ("worker-kubelet-client-current.pem", "w1"), ("ca.crt", "")],
)
def test_a_nodes_name_in_its_certificate(pem: str, name: str) -> None:
    assert x509.certificate_node_name(recorded("v1.35", pem)) == name


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not here to create it")
def test_the_addresses_in_a_certificate(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("names")
    # The names as kubeadm writes them into the certificate of an API server.
    names = "DNS:cp1,DNS:kubernetes.default.svc,IP:10.96.0.1,IP:192.0.2.11,IP:192.0.2.100,IP:2001:db8::64"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "k", "-out", "c"]
    argv = ["openssl", "req", "-x509", *key, "-subj", "/CN=kube-apiserver", "-addext", f"subjectAltName={names}"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    found = x509.certificate_addresses((folder / "c").read_text())
    assert found == ["10.96.0.1", "192.0.2.11", "192.0.2.100", "2001:db8::64"]
    assert x509.certificate_addresses(recorded("v1.35", "ca.crt")) == x509.certificate_addresses("") == []


def test_the_kubelets_hostname_override_names_the_node(machine: Machine) -> None:
    machine.put("/etc/hostname", "host.example.org\n")
    machine.put("/var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--v=2 --hostname-override=node-a"\n')
    assert kubelet.node_name(machine, None) == "node-a"


# -- the reader of kubeadm's YAML


def test_scalars_of_yaml() -> None:
    text = """
# written by hand
apiServer:
  extraArgs:
  - name: networking
    value: not this
  certSANs: []
controlPlaneEndpoint: "k8s.example.org:6443"  
etcd:
  local:
    dataDir: /var/lib/etcd
networking:
  dnsDomain: 'it''s'
  podSubnet: 10.244.0.0/16,fd00::/56
  serviceSubnet: 10.96.0.0/12 # the default
note: |
  networking:
    podSubnet: a lie
scheduler: {}
kubernetesVersion: v1.36.2
"""  # noqa: W291
    assert kube_cluster.yaml_scalars(text) == {
        "controlPlaneEndpoint": "k8s.example.org:6443",
        "etcd.local.dataDir": "/var/lib/etcd",
        "networking.dnsDomain": "it's",
        "networking.podSubnet": "10.244.0.0/16,fd00::/56",
        "networking.serviceSubnet": "10.96.0.0/12",
        "kubernetesVersion": "v1.36.2",
    }


@pytest.mark.parametrize(
    ("text", "pods", "services"),
    [
        (
            "networking: {dnsDomain: a.b, podSubnet: 10.1.0.0/16, serviceSubnet: '10.2.0.0/16'}\n",
            "10.1.0.0/16",
            "10.2.0.0/16",
        ),
        ('networking: { "podSubnet": "10.1.0.0/16,fd00::/56" } # mine\n', "10.1.0.0/16,fd00::/56", ""),
        (
            "networking:\n  podSubnet: >-\n    10.1.0.0/16\n  serviceSubnet: |\n    10.2.0.0/16\n",
            "10.1.0.0/16",
            "10.2.0.0/16",
        ),
        ("networking:\n  podSubnet: !!str 10.1.0.0/16\n", "10.1.0.0/16", ""),
        # Kubernetes ignores the zeros.
        ("networking:\n  podSubnet: 010.001.0.0/16, fd00::/56\n", "10.1.0.0/16,fd00::/56", ""),
        ("other: {networking: {podSubnet: 10.1.0.0/16}}\n", "", ""),
        ("networking: [podSubnet]\n", "", ""),
    ],
)
def test_ranges_as_people_write_them(text: str, pods: str, services: str) -> None:
    """As with ``kubectl edit``."""
    config = kube_cluster.read_cluster_configuration(text)
    assert (config.pod_cidr, config.service_cidr) == (pods, services)


def test_scalars_of_json() -> None:
    text = '{"networking": {"podSubnet": "10.1.0.0/16"}, "list": [1], "port": 6443, "on": true, "none": null}'
    assert kube_cluster.yaml_scalars(text) == {"networking.podSubnet": "10.1.0.0/16", "port": "6443", "on": "true"}
    assert kube_cluster.yaml_scalars("{broken") == {}
