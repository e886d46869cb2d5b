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
from dataclasses import replace

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import constants, x509
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import cluster as kube_cluster
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, NONE, PARTIAL, KubeadmState
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

KUBECTL = "kubectl --cache-dir=/dev/null --kubeconfig=/etc/kubernetes/admin.conf --request-timeout=5s get --raw "
MINORS = ["v1.20", "v1.35"]
REFUSED = Result(
    1, "", "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?"
)


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
        machine.put(f"/etc/kubernetes/manifests/{component}.yaml")
    machine.put("/var/lib/etcd/member/wal/0.wal")
    machine.put("/var/lib/kubelet/config.yaml")
    machine.put("/var/lib/kubelet/kubeadm-flags.env", recorded(minor, "kubeadm-flags.env"))
    machine.put("/var/lib/kubelet/pki/kubelet-client-current.pem", recorded(minor, "kubelet-client-current.pem"))
    machine.put("/etc/cni/net.d/10-kubestead.conflist")
    machine.answer("kubeadm version -o json", recorded(minor, "version.json"))
    api(machine, minor)


def api(machine: Machine, minor: str) -> None:
    machine.answer(KUBECTL + "/livez", recorded(minor, "livez.txt"))
    machine.answer(KUBECTL + "/version", recorded(minor, "api-version.json"))
    machine.answer(KUBECTL + "/api/v1/nodes", recorded(minor, "nodes.json"))
    config = KUBECTL + "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
    machine.answer(config, recorded(minor, "kubeadm-config.json"))


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


def test_only_a_control_plane_asks_the_api_and_four_times_at_most(machine: Machine) -> None:
    worker(machine)
    kubeadm.observe(machine)
    assert [argv[0] for argv in machine.ran] == ["kubeadm"]
    control_plane(machine, "v1.35")
    machine.ran.clear()
    kubeadm.observe(machine)
    assert [argv[0] for argv in machine.ran] == ["kubeadm"] + ["kubectl"] * 4
    assert all("--raw" in argv for argv in machine.ran[1:]), "other requests write a discovery cache"


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
    assert state.reason == "found certificates and bootstrap-kubelet.conf; lacking kubelet.conf"


def test_a_join_whose_token_is_still_there_is_not_done(machine: Machine) -> None:
    worker(machine)
    machine.put("/etc/kubernetes/bootstrap-kubelet.conf")
    state = kubeadm.observe(machine)
    assert (state.phase, state.finished) == (PARTIAL, True)
    assert state.reason.endswith("lacking an end of the kubelet's bootstrap")


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
    assert state.reason == "found certificates; lacking kubelet.conf"


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
    assert "; lacking " + lacking in state.reason


def test_a_control_plane_that_is_down_is_told_from_one_that_never_ran(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    machine.answer(KUBECTL + "/livez", REFUSED)
    state = kubeadm.observe(machine)
    assert (state.phase, state.finished, state.api.live) == (PARTIAL, True, False)
    assert state.api.reason == f"{state.server} does not answer: connection refused"
    assert state.api.reason in state.reason
    # Before kubelet-finalize the kubelet's certificate is within kubelet.conf.
    machine.put("/etc/kubernetes/kubelet.conf", recorded("v1.35", "admin.conf"))
    assert not kubeadm.observe(machine).finished


def test_a_cluster_that_forgot_the_node_or_its_configuration(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    machine.answer(KUBECTL + "/api/v1/nodes", '{"items": []}')
    config = KUBECTL + "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
    machine.answer(config, Result(1, "", 'Error from server (NotFound): configmaps "kubeadm-config" not found'))
    state = kubeadm.observe(machine)
    assert state.phase == PARTIAL and state.api.live
    assert state.reason.endswith("lacking the ConfigMap kubeadm-config and a Node named cp1")


def test_a_node_that_was_not_marked_yet(machine: Machine) -> None:
    control_plane(machine, "v1.35")
    nodes = json.loads(recorded("v1.35", "nodes.json"))
    del nodes["items"][0]["metadata"]["labels"]["node-role.kubernetes.io/control-plane"]
    machine.answer(KUBECTL + "/api/v1/nodes", json.dumps(nodes))
    assert kubeadm.observe(machine).reason.endswith("lacking the control plane's label on Node cp1")


def test_an_api_that_refuses_the_admin_is_not_live(machine: Machine) -> None:
    """As after a kill before kubeadm bound the admin to its rights."""
    control_plane(machine, "v1.35")
    said = 'Error from server (Forbidden): nodes is forbidden: User "kubernetes-admin" cannot list resource "nodes"'
    machine.answer(KUBECTL + "/api/v1/nodes", Result(1, "", said))
    state = kubeadm.observe(machine)
    assert state.phase == PARTIAL and not state.api.live and "Forbidden" in state.api.reason


def test_classification_is_pure() -> None:
    state = KubeadmState(etcd_data=True)
    assert kubeadm.classify(state) == replace(
        state,
        role="control_plane",
        phase=PARTIAL,
        reached="control-plane",
        reason="found etcd data; lacking admin.conf, kubelet.conf and manifests of kube-apiserver, "
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


def test_the_kubelets_hostname_override_names_the_node(machine: Machine) -> None:
    machine.put("/etc/hostname", "host.example.org\n")
    machine.put("/var/lib/kubelet/kubeadm-flags.env", 'KUBELET_KUBEADM_ARGS="--v=2 --hostname-override=node-a"\n')
    assert kubeadm.node_name(machine, None) == "node-a"


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


def test_scalars_of_json() -> None:
    text = '{"networking": {"podSubnet": "10.1.0.0/16"}, "list": [1], "port": 6443, "on": true, "none": null}'
    assert kube_cluster.yaml_scalars(text) == {"networking.podSubnet": "10.1.0.0/16", "port": "6443", "on": "true"}
    assert kube_cluster.yaml_scalars("{broken") == {}
