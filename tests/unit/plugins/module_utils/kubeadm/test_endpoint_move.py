# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a change of the endpoint on one machine, from what a cluster of 1.35 has."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import (
    ADMIN_KUBECONFIG,
    KUBELET_KUBECONFIG,
    MANIFESTS,
    PKI,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.core.x509 import certificate_names
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterApi
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigState, summarize
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import KUBEADM_CONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import (
    cluster_info,
    endpoint_facts,
    endpoint_move,
    serving_certificate,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_facts import (
    KUBE_PROXY,
    KUBELET_PENDING,
    RESTART,
    SUPER_ADMIN_KUBECONFIG,
    EndpointFacts,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_move import (
    CERTIFICATE_PART,
    CLUSTER,
    NODE,
    MoveOptions,
    MoveState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.health import Health
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.serving_certificate import (
    CERTIFICATE,
    KEY,
    STAGING,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine, fixture

OLD = "https://10.213.0.58:6443"
NAME = "api.kubernetes.internal"
WISH = MoveOptions(NAME + ":6443")
NEW = WISH.server
CONFIG_MAP = json.loads(fixture("kubeadm/v1.35/kubeadm-config.json"))
CONFIG = CONFIG_MAP["data"]["ClusterConfiguration"]
KUBELET = fixture("kubeadm/v1.35/worker-kubelet.conf")
CONTROL = KubeadmState(
    role="control_plane", node_name="cp1", admin_conf=True, local_api=Health(True, "", OLD), api=ClusterApi(live=True)
)
WORKER = KubeadmState(role="worker", node_name="w1")
FILES = {ADMIN_KUBECONFIG: OLD, SUPER_ADMIN_KUBECONFIG: OLD, KUBELET_KUBECONFIG: OLD}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/w1"


def test_an_address_of_ipv6_is_in_the_certificate_however_it_is_written() -> None:
    assert serving_certificate.has_name(["cp1", "2001:db8::10"], "[2001:DB8:0::10]:6443")
    assert not serving_certificate.has_name(["cp1", "2001:db8::11"], "[2001:DB8:0::10]:6443")


def config_map(name: str, data: Dict[str, str], **metadata: Any) -> Dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": "7", **metadata}, "data": data}


def config_maps(server: str = OLD, text: str = CONFIG, **proxy: Any) -> Dict[str, Any]:
    kubeconfig = "clusters:\n- cluster:\n    server: {0}\n".format(server)
    return {
        KUBEADM_CONFIG: config_map("kubeadm-config", {"ClusterConfiguration": text}),
        cluster_info.PATH: config_map("cluster-info", {"kubeconfig": kubeconfig}),
        KUBE_PROXY: config_map("kube-proxy", {"kubeconfig.conf": kubeconfig, "config.conf": "mode: ''\n"}, **proxy),
    }


def told(state: MoveState, part: str, options: MoveOptions = WISH) -> List[str]:
    return ["{0} {1}".format(step.action, step.target) for step in endpoint_move.plan(state, options, part)]


# -- planning


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (EndpointFacts(names=["cp1", "10.213.0.58"], served=True), ["renew " + CERTIFICATE]),
        (EndpointFacts(names=["cp1", NAME], served=True), []),
        (EndpointFacts(names=["cp1", NAME]), ["wait_for " + CERTIFICATE]),
        (EndpointFacts(names=[NAME], staged=True), ["wait_for " + CERTIFICATE, "remove " + STAGING]),
        (EndpointFacts(names=[NAME], served=True, staged=True), ["remove " + STAGING]),
    ],
)
def test_the_certificate_of_the_api_server(facts: EndpointFacts, expected: List[str]) -> None:
    assert told(MoveState(CONTROL, facts, config_maps=config_maps()), CERTIFICATE_PART) == expected


def test_the_diff_of_a_certificate_is_its_names() -> None:
    state = MoveState(CONTROL, EndpointFacts(names=["cp1"], served=True), config_maps=config_maps())
    (step,) = endpoint_move.plan(state, WISH, CERTIFICATE_PART)
    assert (step.before, step.after) == ("cp1\n", "{0}\ncp1\n".format(NAME))


def test_the_cluster() -> None:
    state = MoveState(CONTROL, config_maps=config_maps())
    assert told(state, CLUSTER) == [
        "patch ConfigMap kube-system/kubeadm-config",
        "patch ConfigMap kube-public/cluster-info",
        "patch ConfigMap kube-system/kube-proxy",
        "restart DaemonSet kube-system/kube-proxy",
    ]
    first = endpoint_move.plan(state, WISH, CLUSTER)[0]
    assert (first.before, first.after) == ("", "controlPlaneEndpoint: {0}:6443\n".format(NAME))
    text = CONFIG + "controlPlaneEndpoint: {0}:6443\n".format(NAME)
    assert told(MoveState(CONTROL, config_maps=config_maps(NEW, text)), CLUSTER) == []
    pending = config_maps(NEW, text, annotations={RESTART: "2026-11-28T08:00:00Z"})
    assert told(MoveState(CONTROL, config_maps=pending), CLUSTER) == ["restart DaemonSet kube-system/kube-proxy"]
    without = {**config_maps(NEW, text), KUBE_PROXY: None, cluster_info.PATH: None}
    assert told(MoveState(CONTROL, config_maps=without), CLUSTER) == []


def test_the_virtual_address_is_a_name_of_all_certificates() -> None:
    wish = replace(WISH, address="192.0.2.100")
    text = CONFIG + "controlPlaneEndpoint: {0}:6443\n".format(NAME)
    state = MoveState(CONTROL, EndpointFacts(names=["cp1", NAME], served=True), config_maps=config_maps(NEW, text))
    (step,) = endpoint_move.plan(state, wish, CERTIFICATE_PART)
    assert (step.action, step.reason) == ("renew", "it does not have the name 192.0.2.100")
    assert step.after == "192.0.2.100\n{0}\ncp1\n".format(NAME)
    (step,) = endpoint_move.plan(state, wish, CLUSTER)
    assert (step.target, step.reason) == (
        "ConfigMap kube-system/kubeadm-config",
        "its certSANs do not have 192.0.2.100",
    )
    assert (step.before, step.after) == ("apiServer: {}\n", "apiServer:\ncertSANs:\n- 192.0.2.100\n")
    done = EndpointFacts(names=["cp1", NAME, "192.0.2.100"], served=True)
    state = MoveState(CONTROL, done, config_maps=config_maps(NEW, step.data["text"]))
    assert told(state, CERTIFICATE_PART, wish) == told(state, CLUSTER, wish) == []


def test_a_configuration_in_another_style_is_refused() -> None:
    with pytest.raises(KubesteadError, match="can't be changed line by line"):
        endpoint_move.plan(MoveState(CONTROL, config_maps=config_maps(text="{}")), WISH, CLUSTER)


def test_only_a_control_plane_has_these_parts() -> None:
    for part in (CERTIFICATE_PART, CLUSTER):
        with pytest.raises(KubesteadError, match="not a control plane"):
            endpoint_move.plan(MoveState(WORKER), WISH, part)


def test_a_worker_changes_the_kubeconfig_of_its_kubelet() -> None:
    state = MoveState(WORKER, EndpointFacts(servers={KUBELET_KUBECONFIG: OLD}))
    (step,) = endpoint_move.plan(state, WISH, NODE)
    assert (step.action, step.disruptive, step.reason) == ("move_kubelet", True, "server {0} -> {1}".format(OLD, NEW))
    done = EndpointFacts(servers={KUBELET_KUBECONFIG: NEW})
    assert told(MoveState(WORKER, done), NODE) == []
    assert told(MoveState(WORKER, replace(done, kubelet_pending=True)), NODE) == ["restart_kubelet kubelet.service"]


def user(*servers: str, **changes: Any) -> KubeconfigState:
    admin = replace(summarize(fixture("kubeadm/v1.35/admin.conf")), ca_cert_hashes=["sha256:a"])
    existing = replace(admin, servers=list(servers))
    state = KubeconfigState("me", 1000, 1000, "/home/me/.kube/config", source=admin, existing=existing)
    return replace(state, **changes)


def test_a_control_plane_changes_what_people_use() -> None:
    state = MoveState(CONTROL, EndpointFacts(servers=FILES), user(OLD, "https://other:6443"))
    expected = ["write_user /home/me/.kube/config", "write " + SUPER_ADMIN_KUBECONFIG, "write " + ADMIN_KUBECONFIG]
    assert told(state, NODE) == expected
    # The kubelet uses the API server of its own machine. Another machine's is changed.
    elsewhere = replace(CONTROL, local_api=Health(True, "", "https://10.213.0.59:6443"))
    assert told(replace(state, kubeadm=elsewhere), NODE)[-1] == "move_kubelet " + KUBELET_KUBECONFIG
    done = {**FILES, ADMIN_KUBECONFIG: NEW, SUPER_ADMIN_KUBECONFIG: NEW}
    assert told(replace(state, facts=EndpointFacts(servers=done)), NODE) == []


@pytest.mark.parametrize(
    "copy",
    [
        user("https://other:6443"),
        user(OLD, problem="it is a link"),
        user(OLD, existing=None),
        user(OLD, existing=replace(user(OLD).existing or summarize(""), ca_cert_hashes=["sha256:b"])),
    ],
)
def test_other_kubeconfigs_of_users_stay(copy: KubeconfigState) -> None:
    state = MoveState(CONTROL, EndpointFacts(servers=FILES), copy)
    assert told(state, NODE)[0] == "write " + SUPER_ADMIN_KUBECONFIG
    assert (
        told(replace(state, user=user(OLD)), NODE, replace(WISH, install=False))[0] == "write " + SUPER_ADMIN_KUBECONFIG
    )


# -- the kubelet


class Kubelet:
    """A worker whose kubelet renews its lease after a restart if it can."""

    def __init__(self, machine: Machine, reports: bool = True) -> None:
        self.machine, self.reports, self.restarts = machine, reports, 0
        machine.put(KUBELET_KUBECONFIG, KUBELET, mode=0o600)
        machine.answer("systemctl daemon-reload")
        machine.answer("systemctl restart kubelet.service", self.restart)
        machine.answer("journalctl", "E1128 kubelet.go failed\n")
        machine.serve(NEW, "/livez", "ok")

    def restart(self, _argv: Sequence[str], _stdin: Optional[str]) -> Result:
        self.restarts += 1
        if self.reports:
            lease = {"spec": {"renewTime": "2099-01-01T00:00:00.000000Z"}}
            self.machine.serve(NEW, LEASE, json.dumps(lease))
        return Result(0, "", "")


def moved(machine: Machine) -> None:
    (step,) = endpoint_move.plan(MoveState(WORKER, EndpointFacts(servers={KUBELET_KUBECONFIG: OLD})), WISH, NODE)
    endpoint_move.apply(step, machine, WISH, **Clock().injected)


def test_the_kubelet_reports_by_the_new_name(machine: Machine) -> None:
    kubelet = Kubelet(machine)
    moved(machine)
    assert machine.read(KUBELET_KUBECONFIG) == KUBELET.replace(OLD, NEW) and kubelet.restarts == 1
    assert machine.mode(KUBELET_KUBECONFIG) == 0o600
    assert not machine.exists("/var/lib/kubestead")


def test_a_name_that_leads_nowhere_changes_nothing(machine: Machine) -> None:
    kubelet = Kubelet(machine)
    machine.refuse(NEW)
    with pytest.raises(KubesteadError, match=r"can't reach the API at .* \(connection refused\).* was not changed"):
        moved(machine)
    assert machine.read(KUBELET_KUBECONFIG) == KUBELET and kubelet.restarts == 0


def test_a_kubelet_that_does_not_report_gets_its_server_back(machine: Machine) -> None:
    kubelet = Kubelet(machine, reports=False)
    with pytest.raises(
        KubesteadError, match="did not report .*kubelet.go failed; see .*; its server is {0} again".format(OLD)
    ):
        moved(machine)
    assert machine.read(KUBELET_KUBECONFIG) == KUBELET and kubelet.restarts == 2
    assert not machine.exists(KUBELET_PENDING)


def test_an_interrupted_restart_is_seen_and_finished(machine: Machine) -> None:
    kubelet = Kubelet(machine)
    machine.put(KUBELET_KUBECONFIG, KUBELET.replace(OLD, NEW))
    machine.put(KUBELET_PENDING, OLD)
    facts = endpoint_facts.observe(machine, WORKER)
    assert facts.kubelet_pending and facts.servers == {KUBELET_KUBECONFIG: NEW}
    (step,) = endpoint_move.plan(MoveState(WORKER, facts), WISH, NODE)
    endpoint_move.apply(step, machine, WISH, **Clock().injected)
    assert kubelet.restarts == 1 and not machine.exists("/var/lib/kubestead")


def test_a_kubelet_that_does_not_report_after_an_interruption_gets_its_server_back(machine: Machine) -> None:
    kubelet = Kubelet(machine, reports=False)
    machine.put(KUBELET_KUBECONFIG, KUBELET.replace(OLD, NEW))
    machine.put(KUBELET_PENDING, OLD + "\n")
    facts = endpoint_facts.observe(machine, WORKER)
    (step,) = endpoint_move.plan(MoveState(WORKER, facts), WISH, NODE)
    with pytest.raises(KubesteadError, match="did not report .*; its server is {0} again".format(OLD)):
        endpoint_move.apply(step, machine, WISH, **Clock().injected)
    assert machine.read(KUBELET_KUBECONFIG) == KUBELET and kubelet.restarts == 2
    assert not machine.exists(KUBELET_PENDING)


def test_when_a_lease_was_renewed() -> None:
    assert endpoint_move.renewed('{"spec": {"renewTime": "1970-01-01T00:00:10.500000Z"}}') == 10.5
    for text in ("", "{}", '{"spec": {"renewTime": 7}}', '{"spec": {"renewTime": "soon"}}'):
        assert endpoint_move.renewed(text) == 0.0


# -- the cluster


def test_a_patch_changes_one_text_and_only_of_the_version_that_was_read(machine: Machine) -> None:
    machine.put(MANIFESTS + "/kube-apiserver.yaml", fixture("kubeadm/v1.35/kube-apiserver.yaml"))
    machine.answer("kubectl", "")
    steps = endpoint_move.plan(MoveState(CONTROL, config_maps=config_maps()), WISH, CLUSTER)
    for step in steps[:3]:
        endpoint_move.apply(step, machine, WISH)
    patches = [json.loads(argv[-1]) for argv in machine.ran]
    assert [list(one["data"]) for one in patches] == [["ClusterConfiguration"], ["kubeconfig"], ["kubeconfig.conf"]]
    assert {one["metadata"]["resourceVersion"] for one in patches} == {"7"}
    assert [RESTART in one["metadata"].get("annotations", {}) for one in patches] == [False, False, True]
    assert all("--server=" + OLD in argv for argv in machine.ran)


# -- the certificate

pair = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


class Certificates:
    """kubeadm and an API server that presents what is in the file."""

    def __init__(self, machine: Machine, serves: bool = True) -> None:
        self.machine, self.serves, self.config = machine, serves, ""
        folder = Path(machine.path(PKI))
        folder.mkdir(parents=True)
        self.make(folder, ["cp1", "10.213.0.58"])
        for name in ("ca.crt", "ca.key"):
            machine.put("{0}/{1}".format(PKI, name), "a CA")
        self.first = machine.read(CERTIFICATE) or ""
        machine.put(MANIFESTS + "/kube-apiserver.yaml", fixture("kubeadm/v1.35/kube-apiserver.yaml"))
        machine.answer("kubeadm init phase certs apiserver", self.kubeadm)
        self.names = ["cp1", "10.213.0.58", NAME]

    @staticmethod
    def make(folder: Path, names: Sequence[str]) -> None:
        kinds = ["{0}:{1}".format("IP" if name[0].isdigit() else "DNS", name) for name in names]
        argv = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -days 9 -subj /CN=api".split()
        argv += ["-keyout", "apiserver.key", "-out", "apiserver.crt", "-addext", "subjectAltName=" + ",".join(kinds)]
        subprocess.run(argv, cwd=str(folder), check=True, capture_output=True)

    def kubeadm(self, argv: Sequence[str], _stdin: Optional[str]) -> Result:
        self.config = Path(argv[-1]).read_text()
        self.make(Path(self.machine.path(STAGING)), self.names)
        return Result(0, "", "")

    def peer(self, _url: str) -> str:
        return (self.machine.read(CERTIFICATE) or "") if self.serves else self.first


def renew(machine: Machine, known: Certificates, *more: str) -> None:
    serving_certificate.renew(machine, CONFIG, WISH.endpoint, "cp1", known.peer, more, **Clock().injected)


@pair
def test_a_certificate_keeps_its_names_and_gets_one_more(machine: Machine) -> None:
    known = Certificates(machine)
    assert certificate_names(known.first) == ["cp1", "10.213.0.58"]
    renew(machine, known)
    assert certificate_names(machine.read(CERTIFICATE) or "") == ["cp1", "10.213.0.58", NAME]
    assert serving_certificate.is_pair(machine, PKI) and not machine.exists(STAGING)
    # kubeadm gets the names that the certificate has, in the configuration of the cluster.
    assert "certificatesDir: {0}\n".format(machine.path(STAGING)) in known.config
    assert (
        "  certSANs:\n  - cp1\n  - 10.213.0.58\n" in known.config
        and '"advertiseAddress": "10.213.0.58"' in known.config
    )


@pair
def test_a_certificate_gets_the_virtual_address_too(machine: Machine) -> None:
    known = Certificates(machine)
    with pytest.raises(KubesteadError, match="did not create the expected certificate"):
        renew(machine, known, "192.0.2.100")
    assert machine.read(CERTIFICATE) == known.first
    known.names = [*known.names, "192.0.2.100"]
    renew(machine, known, "192.0.2.100")
    assert certificate_names(machine.read(CERTIFICATE) or "") == known.names
    assert "  certSANs:\n  - cp1\n  - 10.213.0.58\n  - 192.0.2.100\n" in known.config


@pair
@pytest.mark.parametrize("names", [["cp1", NAME], ["cp1", "10.213.0.58"]])
def test_a_certificate_that_lacks_a_name_is_not_installed(machine: Machine, names: List[str]) -> None:
    known = Certificates(machine)
    known.names = names
    with pytest.raises(KubesteadError, match="did not create the expected certificate"):
        renew(machine, known)
    assert machine.read(CERTIFICATE) == known.first and not machine.exists(STAGING)


@pair
def test_the_previous_pair_comes_back_if_the_new_one_is_not_served(machine: Machine) -> None:
    known = Certificates(machine, serves=False)
    with pytest.raises(KubesteadError, match="does not present its new certificate"):
        renew(machine, known)
    assert machine.read(CERTIFICATE) == known.first and serving_certificate.is_pair(machine, PKI)
    assert not machine.exists(STAGING)


@pair
def test_a_kill_between_certificate_and_key_is_completed(machine: Machine) -> None:
    known = Certificates(machine)
    Path(machine.path(STAGING)).mkdir(parents=True)
    known.make(Path(machine.path(STAGING)), known.names)
    assert not endpoint_move.repair(machine)
    machine.put(KEY, machine.read(STAGING + "/apiserver.key") or "")
    (step,) = endpoint_move.repair(machine)
    endpoint_move.apply(step, machine, WISH)
    assert serving_certificate.is_pair(machine, PKI) and not endpoint_move.repair(machine)
    assert NAME in certificate_names(machine.read(CERTIFICATE) or "")
    machine.remove(STAGING + "/apiserver.crt")
    machine.put(KEY, "no key")
    with pytest.raises(KubesteadError, match="has no other pair"):
        endpoint_move.apply(step, machine, WISH)


@pair
def test_the_facts_of_a_control_plane(machine: Machine) -> None:
    known = Certificates(machine)
    machine.put(ADMIN_KUBECONFIG, fixture("kubeadm/v1.35/admin.conf"))
    for path, found in config_maps().items():
        machine.serve(OLD, path, json.dumps(found))
    facts = endpoint_facts.observe(machine, CONTROL, known.peer)
    assert facts == EndpointFacts(
        names=["cp1", "10.213.0.58"],
        served=True,
        servers={ADMIN_KUBECONFIG: OLD},
        ca_key=True,
        editable=True,
        cluster_info=OLD,
        kube_proxy=OLD,
    )
    machine.refuse(OLD)
    assert not endpoint_facts.observe(machine, CONTROL, lambda url: "").served


def test_the_names_in_a_certificate_of_kubeadm() -> None:
    assert certificate_names(fixture("kubeadm/v1.35/apiserver.crt")) == [
        NAME,
        "cp1",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "old.example.org",
        "10.96.0.1",
        "10.213.0.58",
        "10.9.9.9",
        "fd00::9",
    ]


def test_nobody_answers() -> None:
    assert serving_certificate.peer_certificate("https://127.0.0.1:9") == ""


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_no_names(text: str) -> None:
    assert certificate_names(text) == []


# -- kube-proxy


class DaemonSet:
    """The ConfigMap, the DaemonSet and the pods of kube-proxy as kubectl reports them.

    A patch of the template rolls out at once, unless nodes are ``down``, which use up ``maxUnavailable``, or the
    rollout is ``stuck``. The successor of a deleted pod is ready at once.
    """

    def __init__(self, machine: Machine, exists: bool = True, stuck: bool = False, down: Sequence[str] = ()) -> None:
        self.patches: List[Dict[str, Any]] = []
        self.deleted: List[str] = []
        self.exists, self.stuck, self.down = exists, stuck, down
        self.old = ["cp1", "w1", "w2"]
        machine.put(MANIFESTS + "/kube-apiserver.yaml", fixture("kubeadm/v1.35/kube-apiserver.yaml"))
        machine.answer("kubectl", self.kubectl)

    def kubectl(self, argv: Sequence[str], _stdin: Optional[str]) -> Result:
        found: Dict[str, Any]
        if "patch" in argv:
            self.patches.append({argv[argv.index("patch") + 1]: json.loads(argv[-1])})
            self.old = [] if not self.stuck and not self.down else self.old
            return Result(0, "", "")
        if "delete" in argv:
            self.deleted.append(argv[argv.index("delete") + 1])
            self.old.remove(self.deleted[-1].rpartition("-")[2])
            return Result(0, "", "")
        if argv[-1] == KUBE_PROXY:
            found = config_map("kube-proxy", {}, annotations={RESTART: "2026-11-28T08:00:00Z"})
        elif not self.exists and argv[-1].endswith("daemonsets/kube-proxy"):
            return Result(1, "", "Error from server (NotFound): the server could not find the requested resource")
        elif argv[-1].endswith("daemonsets/kube-proxy"):
            counts = {"numberAvailable": 3 - len(self.down), "updatedNumberScheduled": 3 - len(self.old)}
            found = {"apiVersion": "apps/v1", "kind": "DaemonSet"}
            found["metadata"] = {"name": "kube-proxy", "namespace": "kube-system", "generation": 2, "uid": "own"}
            found["metadata"]["annotations"] = {"deprecated.daemonset.template.generation": "2"}
            found["spec"] = {"selector": {"matchLabels": {"k8s-app": "kube-proxy"}}}
            found["status"] = {"observedGeneration": 2, "desiredNumberScheduled": 3, **counts}
        elif "pods" in argv:
            found = {"kind": "List", "items": [self.pod(name) for name in ("cp1", "w1", "w2")]}
        elif "events" in argv:
            found = {"kind": "List", "items": []}
        else:
            found = {"items": [self.node(name) for name in ("cp1", "w1", "w2")]}
        return Result(0, json.dumps(found), "")

    def node(self, name: str) -> Dict[str, Any]:
        conditions = [{"type": "Ready", "status": "Unknown" if name in self.down else "True"}]
        return {"metadata": {"name": name}, "status": {"conditions": conditions}}

    def pod(self, name: str) -> Dict[str, Any]:
        owner = {"kind": "DaemonSet", "name": "kube-proxy", "uid": "own", "controller": True}
        labels = {"pod-template-generation": "1" if name in self.old else "2"}
        metadata = {"namespace": "kube-system", "labels": labels, "ownerReferences": [owner]}
        conditions = [{"type": "Ready", "status": "False" if name in self.down else "True"}]
        return {
            "metadata": {"name": "kube-proxy-{0}".format(name), **metadata},
            "spec": {"nodeName": name},
            "status": {"phase": "Running", "conditions": conditions},
        }


TEMPLATE = {"daemonset": {"spec": {"template": {"metadata": {"annotations": {RESTART: "2026-11-28T08:00:00Z"}}}}}}
FORGOTTEN = {"configmap": {"metadata": {"annotations": {RESTART: None}}}}


def test_the_pods_of_kube_proxy_are_replaced_once_for_each_change(machine: Machine) -> None:
    known = DaemonSet(machine)
    assert endpoint_move.restart_kube_proxy(machine, **Clock().injected) == []
    assert known.patches == [TEMPLATE, FORGOTTEN] and not known.deleted


def test_a_cluster_without_pods_of_kube_proxy(machine: Machine) -> None:
    known = DaemonSet(machine, exists=False)
    assert endpoint_move.restart_kube_proxy(machine, **Clock().injected) == []
    assert known.patches == [FORGOTTEN]


def test_pods_that_are_not_replaced_are_reported_and_not_forgotten(machine: Machine) -> None:
    known = DaemonSet(machine, stuck=True)
    with pytest.raises(KubesteadError) as caught:
        endpoint_move.restart_kube_proxy(machine, **Clock().injected)
    assert caught.value.message == (
        "kube-proxy was not restarted on all nodes: DaemonSet kube-system/kube-proxy is not ready after 600 s: 0 of 3 "
        "pods are updated; see kubectl -n kube-system describe daemonset kube-proxy; then run endpoint.yml again"
    )
    assert known.patches == [TEMPLATE] and not known.deleted


def test_a_node_that_is_down_stops_kube_proxy_on_no_other_node(machine: Machine) -> None:
    """The controller of DaemonSets counts its deleted pod as unavailable, and replaces one pod at a time."""
    known, clock = DaemonSet(machine, down=["w2"]), Clock()
    step = Step(endpoint_move.COMPONENT, "restart", "DaemonSet kube-system/kube-proxy", "")
    assert endpoint_move.apply(step, machine, WISH, **clock.injected) == [
        "did not wait for kube-proxy on nodes whose kubelet does not report: w2; Kubernetes replaces its pod when such "
        "a node returns"
    ]
    assert known.deleted == ["pod/kube-proxy-cp1", "pod/kube-proxy-w1"] and known.old == ["w2"] and clock.now < 30
    # A later run does not wait for the node either.
    assert known.patches == [TEMPLATE, FORGOTTEN]


def test_a_large_cluster_has_more_time_to_restart_kube_proxy(machine: Machine) -> None:
    known, clock = DaemonSet(machine, stuck=True), Clock()
    answer = known.kubectl

    def large(argv: Sequence[str], stdin: Optional[str]) -> Result:
        found = answer(argv, stdin)
        return Result(0, found.stdout.replace('"desiredNumberScheduled": 3', '"desiredNumberScheduled": 300'), "")

    machine.answer("kubectl", large)
    with pytest.raises(KubesteadError, match="not ready after 3000 s: 0 of 300 pods are updated"):
        endpoint_move.restart_kube_proxy(machine, **clock.injected)
    assert FORGOTTEN not in known.patches
