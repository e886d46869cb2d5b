# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No reader of text that others wrote fails with anything but the collection's own error, whatever the text."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import lzma
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import observe as containerd
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.plan import plan as plan_containerd
from ansible_collections.kubestead.cluster.plugins.module_utils.core import addresses, versions, x509
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result, System, run_process
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import members
from ansible_collections.kubestead.cluster.plugins.module_utils.host import (
    environment,
    facts,
    interfaces,
    ports,
    prepare,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import (
    apply,
    cluster,
    kubeconfig,
    nodes,
    objects,
    rollout,
    services,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import (
    cluster_info,
    diagnosis,
    endpoint_check,
    join_command,
    join_token,
    operation,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import (
    kube_observe,
    manager,
    repository,
    signing_key,
    sources,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge, calico
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils import manifest_files

from ..support import FIXTURES, fixture
from .paper import Paper
from .profile import fuzz
from .strategies import DEEP, damaged_bytes, documents, json_texts, texts

_BASE, _URL = sources.DEFAULT_URL, sources.DEFAULT_URL + "/v1.36/deb/"
_JOIN = [fixture(f"join/{name}") for name in ("v1.20/worker.txt", "v1.35/control-plane.txt", "v1.35/init.txt")]
_OUTPUT = [path.read_text() for path in sorted((FIXTURES / "join").rglob("*.std*"))]
_PEM = [fixture("join/v1.35/ca.crt"), fixture("kubeadm/v1.20/kubelet-client-current.pem")]
_KUBECONFIGS = [fixture("kubeadm/v1.20/admin.conf"), fixture("kubeadm/v1.20/kubelet.conf")]
_OS_RELEASE = [
    'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n',
    "ID='rocky'\nID_LIKE=\"rhel fedora\"\n",
]
_RESOLV = ["# x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\noptions edns0\n"]
_SYSCTL = ["# x\nnet.ipv4.ip_forward = 0\n-net/ipv4/conf/eth0.1/rp_filter=1\nnet.ipv4.conf.*.rp_filter = 2\n;y\n"]
_APT_SOURCES = [
    "deb [signed-by=/x] https://pkgs.k8s.io/core:/stable:/v1.35/deb/ /\n"
    "deb https://apt.kubernetes.io/ kubernetes-xenial main\n",
    f"Types: deb\nURIs: {_BASE}/v1.35/deb/\nSuites: /\n\n"
    "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n",
]
_DNF_SOURCES = [
    f"[main]\nx=1\n[kubernetes]\nname=K\nbaseurl={_BASE}/v1.35/rpm/\nenabled=1\nexclude=kubelet\n[x]\nenabled = 0\n"
]
_POLICY = [
    "containerd:\n  Installed: (none)\n  Candidate: 1.6.20\n"
    "  Version table:\n     1.6.20 500\n        500 http://d/ main\n"
]
_TCP = [
    "  sl  local_address rem_address   st\n"
    "   0: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 5 1\n"
]
_YAML = [fixture("calico/small.yaml"), "a: {b: [1, 0o7, 1_0]}\n---\n- !!binary aGk=\n- 2001-01-01\n", "&a [*a]\n"]
_YAML += [
    "kind: List\nitems:\n- &x {kind: List, items: [*x]}\n",
    "!!int ''",
    "!!float x",
    "!!bool x",
    "!!timestamp x",
    "? {}\n",
]
_MANIFESTS = ["apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"]
_CLUSTER = [
    json.loads(fixture("kubeadm/v1.20/kubeadm-config.json"))["data"]["ClusterConfiguration"],
    "a:\n  b: 'it''s' # x\n  c: |\n    text\n  d:\n  - x: 1\n",
]


# name -> reader, examples of what it reads, whether it may raise KubesteadError
TEXTS: dict[str, tuple[Callable[[str], Any], Sequence[str], bool]] = {
    "os-release": (lambda text: manager.manager(Paper(text)), _OS_RELEASE, True),
    "facts": (lambda text: facts.observe(Paper(text)), _OS_RELEASE + _RESOLV + ["MemTotal:  2048 kB\n"], False),
    "fstab": (
        lambda text: (prepare.without_passwords(text), prepare.fstab_swaps(text)),
        [fixture("host/fstab.txt")],
        False,
    ),
    "swaps": (prepare.parse_swaps, [fixture("host/swaps.txt")], False),
    "sysctls": (lambda text: prepare.parse_sysctls("/x", text), _SYSCTL, False),
    "host": (lambda text: prepare.plan(prepare.observe(Paper(text)), prepare.HostOptions()), _SYSCTL, True),
    "surroundings": (lambda text: environment.observe(Paper(text)), ["active\ninactive\n", "ENABLED=yes\n"], False),
    "listening": (ports.parse_listening, _TCP, False),
    "rules": (
        lambda text: bridge.parse_rules(4, "nat", text),
        [fixture("bridge/iptables-forward.txt"), fixture("bridge/iptables-postrouting.txt")],
        False,
    ),
    "Packages": (
        lambda text: kube_observe.summarize("x", repository.parse_packages(text, "amd64", ["kubelet", "kubeadm"])),
        [fixture("kube_packages/Packages-1.30")],
        False,
    ),
    "dpkg": (manager.parse_dpkg, [fixture("kube_packages/dpkg-query-1.36.10.txt")], False),
    "rpm": (manager.parse_rpm, [fixture("kube_packages/rpm-q-1.36.2.txt")], False),
    "version locks": (manager.versionlocks, ["kubelet-0:1.36.1-150500.1.1.*\n"], False),
    "policy": (manager.parse_policy, _POLICY, False),
    "package versions": (manager.version_key, ["1:1.36.1~rc1-1.1+deb12u1"], False),
    "kube packages": (
        lambda text: kube_observe.observe(Paper(text), _BASE, versions.parse_request("1.36"), _no_page),
        [*_OS_RELEASE, fixture("kube_packages/Release.key")],
        False,
    ),
    "apt source": (lambda text: sources.strip_apt_source(text, _BASE, _URL, False), _APT_SOURCES, False),
    "deb822 source": (lambda text: sources.strip_apt_source(text, _BASE, _URL, True), _APT_SOURCES, False),
    "dnf source": (lambda text: sources.strip_dnf_source(text, _BASE, _URL), _DNF_SOURCES, False),
    "difference of sources": (
        lambda text: sources.source_difference(text, sources.render_source("apt", _URL, True)),
        [sources.render_source("apt", _BASE, True), *_DNF_SOURCES],
        False,
    ),
    "proxies of apt": (
        lambda text: repository.package_manager_proxies(Paper(text), "apt"),
        ["Acquire::http::Proxy=http://p:3128\n"],
        False,
    ),
    "proxies of dnf": (
        lambda text: repository.package_manager_proxies(Paper(text), "dnf"),
        ["[main]\nproxy = http://p:3128\n"],
        False,
    ),
    "signing key": (
        lambda text: signing_key.describe_key(signing_key.key_state(text, 1e9)),
        [fixture("kube_packages/Release.key"), fixture("kube_packages/other.key")],
        False,
    ),
    "CA": (x509.ca_cert_hashes, _PEM, False),
    "node certificate": (x509.certificate_node_name, _PEM, False),
    "kubeconfig": (
        lambda text: (kubeconfig.summarize(text), kubeconfig.kubeconfig_server(text)),
        _KUBECONFIGS,
        False,
    ),
    "kubeconfigs": (
        lambda text: kubeconfig.observe(Paper(text, answers={"getent": text}), "x"),
        [*_KUBECONFIGS, "x:x:1000:1000::/home/x:/bin/sh\n"],
        False,
    ),
    "cluster configuration": (cluster.read_cluster_configuration, _CLUSTER, False),
    "join command": (join_command.parse, _JOIN + _OUTPUT, True),
    "join command of a control plane": (lambda text: join_command.parse(text, True), _JOIN, True),
    "endpoint": (lambda text: addresses.parse_endpoint("x", text), ["[::1]:6443", "a.b:443"], True),
    "time": (join_command.parse_time, ["2026-11-23T12:00:00.5Z"], False),
    "duration": (join_token.parse_duration, ["1h30m", "90"], True),
    "version": (versions.parse, ["v1.36.2-1.1"], False),
    "requested version": (versions.parse_request, ["1.36", "v1.36.2"], True),
    "output of kubeadm": (
        lambda text: diagnosis.failure("join", Result(1, text, text), Paper(text), 5, 0.0),
        _OUTPUT,
        False,
    ),
    "log": (
        lambda text: [diagnosis.error_text(line) for line in text.splitlines()],
        [fixture("join/v1.35/kubelet-journal-bad-flag.txt")],
        False,
    ),
    "kubeadm": (lambda text: kubeadm.observe(Paper(text)), _KUBECONFIGS + _PEM, False),
    "containerd": (
        lambda text: plan_containerd(containerd.observe(Paper(text)), ContainerdOptions()),
        [
            fixture("containerd/debian-12.toml"),
            fixture("containerd/migrate-docker-2.1.9.toml"),
            'plugins.x.registry.configs="a"',
        ],
        True,
    ),
    "plugins of containerd": (containerd.cri_status, [fixture("containerd/plugins-2.3.7.txt")], False),
    "manifests": (lambda text: manifest_files.parse(text, "x", "y"), _YAML + _MANIFESTS, True),
    "Calico's manifest": (
        lambda text: calico.shape(
            manifest_files.parse(text, "x", "y"), CniOptions(pod_cidr="10.0.0.0/8,fd00::/48"), "z"
        ),
        [fixture("calico/small.yaml")],
        True,
    ),
}


def _no_page(address: str, method: str) -> repository.Response:
    return repository.Response(404, error="404")


def _may_leave_the_node(value: Any) -> None:
    """What is observed travels as JSON, which has no number of thousands of digits and no object of ours."""
    if not isinstance(value, (Exception, bytes)):
        json.dumps(to_dict(value))


def _read(read: Callable[[Any], Any], data: Any, raises: bool) -> None:
    try:
        value = read(data)
    except KubesteadError as err:
        assert raises, "it may not raise"
        assert "Traceback" not in str(err)
        return
    if not raises:
        _may_leave_the_node(value)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits: an API server that should be coming up never does here."""
    monkeypatch.setattr(kubeadm, "_STARTING", 0.0)


@pytest.mark.parametrize("name", TEXTS)
@fuzz(60)
@given(data=st.data())
def test_text(name: str, data: st.DataObject) -> None:
    read, seeds, raises = TEXTS[name]
    _read(read, data.draw(texts(seeds)), raises)


# Texts that a search may take long to come upon.
_NINES = "9" * 5000
KNOWN = {
    "facts": ["ID='x", "MemTotal:", f"MemTotal: {_NINES} kB", "MemTotal: ² kB"],
    "swaps": ["x\n\x1c\n\\000\n"],
    "sysctls": ["-=1", "=1", "- = 1"],
    "host": ["a\x00b = 1", "-=1", "../../../x = 1", "net.[z-a] = 1", "*" * 40 + "x = 1"],
    "listening": [_TCP[0].replace("192B", "²"), _TCP[0].replace(":192B", ""), _TCP[0].replace("192B", _NINES)],
    "policy": ["a:\n  Candidate:\n", "a:\n     1 500\n  Candidate:\n        500 x y\n"],
    "rpm": [f"a\t{version}\tx\t\n" * 2 for version in ("²:1", f"{_NINES}:1", f"1-{_NINES}", "1-²", "٣")],
    "package versions": ["²:1", f"{_NINES}:1", f"1-{_NINES}", "1-²"],
    "version": [f"1.{_NINES}.1", "1.².1"],
    "requested version": [f"1.{_NINES}", "1.²"],
    "endpoint": ["a:²", f"a:{_NINES}", "[", "]", "[:1", ":", "a:"],
    "duration": ["²", _NINES, f"{_NINES}d", "999999999d"],
    "join command": [f"kubeadm join a:{port} --token abcdef.0123456789abcdef" for port in ("²", _NINES)],
    "signing key": [f"{signing_key.BEGIN}\n\n²é\n{signing_key.END}\n"],
    "kubeconfigs": ["x:x:²:1::/h:/s", f"x:x:{_NINES}:1::/h:/s"],
    "kubeadm": ["ActiveState=active\nActiveEnterTimestampMonotonic=²\n", "client-certificate: a\x00b\n"],
    "cluster configuration": ["{" * 1000, '{"a":' * 300 + "1" + "}" * 300, '"\n: x', 'a: "\ud800'],
    "manifests": [
        "- " * 5000 + "x",
        "a: " + "[" * 900 + "]" * 900,
        "? [a]\n: b\n",
        "a: \ud800",
        "!!int _",
        "!!float _",
    ],
    "containerd": [
        text
        for name in ("x", "io.containerd.grpc.v1.cri")
        for text in (
            "plugins = 1",
            "host = 1",
            'host = "x"',
            "imports = 1",
            "imports = [1]",
            "disabled_plugins = 1",
            "version = 2.0",
            f'version = 2\nplugins."{name}" = 1',
            f'version = 2\nplugins."{name}".registry = 1',
            f'version = 2\nplugins."{name}".registry.configs = [1]',
            f'version = 2\nplugins."{name}".registry.configs.a = 1',
            f'version = 2\nplugins."{name}".registry.mirrors = 1',
            f'version = 2\nplugins."{name}".containerd = 1',
            f'version = 2\nplugins."{name}".containerd.runtimes = 1',
            f'version = 2\nplugins."{name}".containerd.runtimes.runc = 1',
            f'version = 2\nplugins."{name}".cni = 1',
        )
    ],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, items in KNOWN.items() for text in items])
def test_texts_that_are_known_to_be_hard(name: str, text: str) -> None:
    read, _seeds, raises = TEXTS[name]
    _read(read, text, raises)


_CALICO = list(yaml.safe_load_all(fixture("calico/small.yaml")))


@fuzz(200)
@given(documents([_CALICO]))
def test_objects_of_calico(found: Any) -> None:
    options = CniOptions(pod_cidr="10.0.0.0/8,fd00::/48", image_registry="mirror.example.com")
    if isinstance(found, list):
        _read(lambda manifest: calico.images(calico.shape(manifest, options)), found, True)


@pytest.mark.parametrize("name", TEXTS)
def test_the_examples_are_read(name: str) -> None:
    """Else the text that is made of them would not come far into a reader."""
    read, seeds, _raises = TEXTS[name]
    values = []
    for seed in seeds:
        try:
            values.append(read(seed))
        except KubesteadError:
            continue
    assert values


# -- JSON

_ADDRESSES, _ROUTES = json.loads(fixture("bridge/ip-address.json")), json.loads(fixture("bridge/ip-route.json"))
_NODES = [json.loads(fixture("bridge/nodes.json")), json.loads(fixture("kubeadm/v1.20/nodes.json"))]
_INFO = json.loads(fixture("join/v1.35/cluster-info.json"))
_SECRETS = json.loads(fixture("join/v1.35/token-secrets.json"))
_MARKER = {
    "command": "join",
    "began": "x",
    "control_plane": True,
    "endpoint": "a:1",
    "ca_cert_hashes": ["b"],
    "own_files": [],
}
_PODS, _MEMBERS = json.loads(fixture("etcd/pods.json")), json.loads(fixture("etcd/members.json"))
_SERVICES = {
    "items": [
        {
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "type": "LoadBalancer",
                "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP", "name": "http"}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}, {"hostname": "x"}]}},
        }
    ]
}
_STATUS = {
    "observedGeneration": 1,
    "updatedReplicas": 1,
    "availableReplicas": 1,
    "conditions": [{"type": "Ready", "status": "False", "message": "m"}],
    "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "m"}}}],
}
_WORKLOADS = [
    {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "y", "generation": 1, "annotations": {"a": "b"}},
        "spec": {"replicas": 1, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}},
        "status": _STATUS,
        "involvedObject": {"name": "x"},
        "type": "Warning",
    }
    for kind in ("Deployment", "DaemonSet", "StatefulSet", "Job", "Pod")
]


def _kubectl(text: str) -> Kubectl:
    return Kubectl(Paper(text))


def _api(path: str) -> Callable[[str], Any]:
    """The cluster as its API tells it, where the answer at one path is another."""
    good = {"/livez": "ok", "/version": fixture("kubeadm/v1.20/api-version.json"), cluster.NODES: json.dumps(_NODES[1])}
    good[cluster.KUBEADM_CONFIG] = fixture("kubeadm/v1.20/kubeadm-config.json")

    def observe(text: str) -> Any:
        def run(argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
            return Result(0, text if argv[-1] == path else good[argv[-1]])

        return cluster.observe_api(Kubectl(System(run)))

    return observe


def _bridge(text: str) -> Any:
    found = bridge.BridgeState(addresses=interfaces.addresses(interfaces.parse(text)), routes=bridge.parse_routes(text))
    known = nodes.listed(_kubectl(json.dumps(_NODES[0])))
    return [
        step.summary() for step in bridge.plan(found, bridge.BridgeOptions("10.244.0.0/16", known, 0, known[0].name))
    ]


def _bridge_nodes(text: str) -> Any:
    known = nodes.listed(_kubectl(text))
    found = bridge.BridgeState(addresses=interfaces.addresses(interfaces.parse(json.dumps(_ADDRESSES))))
    name = known[0].name if known else "x"
    return [step.summary() for step in bridge.plan(found, bridge.BridgeOptions("10.244.0.0/16", known, 0, name))]


def _cluster_info(text: str) -> Any:
    info = cluster_info.read(_kubectl(text).json(["get"]))
    return info.signed_by("abcdef.0123456789abcdef"), [info.signed_by(f"{name}.x") for name in info.signatures]


def _endpoint(text: str) -> Any:
    ticks = iter(range(10_000))
    command = join_command.JoinCommand("127.0.0.1:6443", "abcdef.0123456789abcdef", ["sha256:" + "0" * 64])
    endpoint_check.precheck(command, lambda *_question: (200, text), lambda: float(next(ticks)), lambda _seconds: None)


def _etcd(text: str, which: str) -> Any:
    answers = {"pods": json.dumps(_PODS), "address": fixture("etcd/address.json"), which: text}

    def run(argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
        return Result(0, answers["address"] if argv[0] == "ip" else answers["pods"])

    def ask(url: str, path: str, question: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found = json.loads(text) if which == "members" else _MEMBERS
        except (ValueError, RecursionError):
            found = {}
        assert path == members.LIST or question["ID"] is not None
        return found if isinstance(found, dict) else {}

    there = Paper("x")
    there._run = run  # type: ignore[method-assign]
    ticks = iter(range(10_000))
    return members.leave(there, ask, 1.0, lambda: float(next(ticks)), lambda _seconds: None)


def _workload(text: str) -> Any:
    found = apply._items(text)
    trouble = [rollout.pod_trouble(found), rollout.event_trouble(found, ["x"])]
    for obj in found:
        trouble += [rollout.rollout_problem(obj), rollout.failed_for_good(obj)]
        trouble += [objects.render(obj), objects.differences(obj, _WORKLOADS[0]), objects.title(obj)]
    return trouble


JSON: dict[str, tuple[Callable[[str], Any], Sequence[Any], bool]] = {
    "addresses": (lambda text: facts.observe(Paper("", answers={"ip": text})), [_ADDRESSES, _ROUTES], False),
    "interfaces": (lambda text: interfaces.own_addresses(interfaces.parse(text)), [_ADDRESSES], False),
    "bridge": (_bridge, [_ADDRESSES, _ROUTES], True),
    "nodes of the bridge": (_bridge_nodes, [_NODES[0]], True),
    "nodes": (lambda text: nodes.listed(_kubectl(text)), _NODES, True),
    "nodes of the API": (_api(cluster.NODES), _NODES, False),
    "version of the API": (_api("/version"), [json.loads(fixture("kubeadm/v1.20/api-version.json"))], False),
    "kubeadm-config": (_api(cluster.KUBEADM_CONFIG), [json.loads(fixture("kubeadm/v1.20/kubeadm-config.json"))], False),
    "cluster configuration": (cluster.read_cluster_configuration, [{"networking": {"podSubnet": "10.0.0.0/8"}}], False),
    "marker": (lambda text: operation.observe(Paper(text)), [_MARKER], False),
    "version of kubeadm": (
        lambda text: kubeadm.installed_version(Paper(text)),
        [{"clientVersion": {"gitVersion": "v1.36.0"}}],
        False,
    ),
    "cluster-info": (_cluster_info, [_INFO], True),
    "endpoint": (_endpoint, [_INFO], True),
    "tokens": (lambda text: join_token.observe(_kubectl(text)), [_SECRETS, _INFO], True),
    "etcd's pods": (lambda text: _etcd(text, "pods"), [_PODS], True),
    "etcd's members": (lambda text: _etcd(text, "members"), [_MEMBERS], True),
    "addresses beside etcd": (lambda text: _etcd(text, "address"), [_ADDRESSES], True),
    "workloads": (_workload, _WORKLOADS, True),
    "services": (
        lambda text: services.lines(services.describe(apply._items(text), services.node_addresses(apply._items(text)))),
        [_SERVICES, *_NODES],
        True,
    ),
}


@pytest.mark.parametrize("name", JSON)
@fuzz(60)
@given(data=st.data())
def test_json(name: str, data: st.DataObject) -> None:
    read, seeds, raises = JSON[name]
    _read(read, data.draw(json_texts(seeds)), raises)


@pytest.mark.parametrize("name", JSON)
def test_json_that_is_deep(name: str) -> None:
    read, _seeds, raises = JSON[name]
    for text in DEEP:
        _read(read, text, raises)


@fuzz(150)
@given(
    documents([_INFO["data"], _MARKER, {"stdout": _JOIN[0]}, {"token": "abcdef.0123456789abcdef", "endpoint": "a:1"}])
)
def test_results_that_are_no_join_command(result: Any) -> None:
    if isinstance(result, dict):
        _read(join_command.from_result, result, True)


# -- bytes of mirrors, keys and certificates

_REPOMD, _PRIMARY = fixture("kube_packages/repomd.xml").encode(), fixture("kube_packages/primary.xml").encode()
_PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".xml": bytes,
}


def _rpm(first: bytes, second: bytes) -> Any:
    pages = iter((first, second))
    return repository.rpm_offers(
        "https://mirror/",
        lambda address, method: repository.Response(200, next(pages)),
        "x86_64",
        ["kubelet", "kubeadm"],
    )


@fuzz(150)
@given(
    damaged_bytes([_REPOMD, b'<?xml version="1.0" encoding="x"?><a/>', b'<?xml version="1.0" encoding="utf-7"?><a/>'])
)
def test_repomd(data: bytes) -> None:
    _read(lambda repomd: _rpm(repomd, gzip.compress(_PRIMARY)), data, True)


@fuzz(60)
@given(st.text(max_size=20) | st.sampled_from(["file:///etc/shadow", "http://[", "//x", "a", "a.", ".gz", "a.gz/", ""]))
def test_where_the_metadata_are(href: str) -> None:
    asked: list[str] = []

    def fetch(address: str, method: str) -> repository.Response:
        asked.append(address)
        return repository.Response(200, b"<a/>")

    try:
        repomd = b'<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><location/></data></repomd>'
        root = repository._xml("x", repomd)
        next(root.iter("{http://linux.duke.edu/metadata/repo}location")).set("href", href)
        repository.rpm_offers("https://mirror/", _first(fetch, root), "x86_64", ["kubelet"])
    except KubesteadError:
        pass
    assert all(address.startswith(("https://", "http://")) for address in asked)


def _first(fetch: Callable[[str, str], repository.Response], root: Any) -> Callable[[str, str], repository.Response]:
    import xml.etree.ElementTree

    def answer(address: str, method: str) -> repository.Response:
        if address.endswith("repomd.xml"):
            return repository.Response(200, xml.etree.ElementTree.tostring(root, "utf-8", xml_declaration=True))
        return fetch(address, method)

    return answer


@pytest.mark.parametrize("packing", _PACKINGS)
@fuzz(40)
@given(data=st.data())
def test_primary(packing: str, data: st.DataObject) -> None:
    name = _REPOMD.replace(b"-primary.xml.gz", b"-primary.xml" + (b"" if packing == ".xml" else packing.encode()))
    packed = data.draw(damaged_bytes([_PACKINGS[packing](_PRIMARY)]))
    _read(lambda page: _rpm(name, page), packed, True)


@fuzz(60)
@given(damaged_bytes([_PRIMARY, b"<a>" * 5000]))
def test_primary_as_it_is(data: bytes) -> None:
    name = _REPOMD.replace(b"-primary.xml.gz", b"-primary.xml")
    _read(lambda page: _rpm(name, page), data, True)


@pytest.mark.parametrize("packing", [".gz", ".xz", ".bz2"])
def test_few_bytes_that_stand_for_many_are_refused(packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_LARGEST_UNPACKED", 1 << 20)
    data = _PACKINGS[packing](b"<a/>" + b" " * (1 << 20))
    with pytest.raises(KubesteadError, match="larger than 1 MiB"):
        repository._unpack_bytes("x", data, repository._UNPACK[packing])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_entities_are_refused(encoding: str) -> None:
    lines = [f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(20)]
    text = f'<!DOCTYPE a [<!ENTITY a0 "x">{"".join(lines)}]><a>&a20;</a>'
    with pytest.raises(KubesteadError, match="entities"):
        repository._xml("x", text.encode(encoding))


_DER = [base64.b64decode("".join(pem.splitlines()[1:-1])) for pem in (fixture("join/v1.35/ca.crt"),)]


@fuzz(200)
@given(damaged_bytes(_DER))
def test_certificates(der: bytes) -> None:
    pem = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n".format(base64.b64encode(der).decode())
    _read(lambda text: (x509.ca_cert_hashes(text), x509.certificate_node_name(text)), pem, False)


def _key_bytes(name: str) -> bytes:
    (block,) = signing_key._blocks(fixture(name))
    return block


@fuzz(200)
@given(
    damaged_bytes(
        [_key_bytes("kube_packages/Release.key"), b"\x99\xff\xff\x04" + b"x" * 70_000, b"\x9a\x00\x01\x11\x70\x04"]
    )
)
def test_signing_keys(data: bytes) -> None:
    text = "\n".join([signing_key.BEGIN, "", base64.b64encode(data).decode(), signing_key.END])
    _read(lambda armoured: signing_key.describe_key(signing_key.key_state(armoured, 1e9)), text, False)


def test_a_life_of_more_than_four_bytes_is_no_time_beyond_the_calendar() -> None:
    subpacket = bytes([1 + 9, signing_key._SUBPACKET_KEY_EXPIRES]) + b"\xff" * 9
    signature = b"\x04\x13\x01\x02" + len(subpacket).to_bytes(2, "big") + subpacket + b"\x00\x00"
    key = b"\x04" + b"\x00" * 20
    data = b"\x98" + bytes([len(key)]) + key + b"\x88" + bytes([len(signature)]) + signature
    text = "\n".join([signing_key.BEGIN, "", base64.b64encode(data).decode(), signing_key.END])
    (found,) = signing_key.public_keys(text)
    assert found.expires is not None and signing_key.day(found.expires)


# -- the machine itself


@fuzz(60)
@given(st.text(min_size=1, max_size=6) | st.sampled_from(["\x00", "a\x00b", "\ud800", "x" * 5000]))
def test_names_that_another_file_told(name: str) -> None:
    system = System(root="/nonexistent")
    assert system.read("/" + name) is None
    assert system.names("/" + name) == []
    assert system.mode("/" + name) is None
    assert system.exists("/" + name) is False
    assert run_process(["/nonexistent/" + name, name], None, 1.0, {}).rc in (126, 127)


def test_patterns_of_sysctl_files_are_matched_as_before_and_in_time() -> None:
    key = "net.ipv4.conf.eth0.rp_filter"
    for pattern, expected in {
        "net.ipv4.conf.*.rp_filter": True,
        "net.ipv4.conf.eth?.rp_filter": True,
        "net.ipv4.conf.eth[0-9].rp_filter": True,
        "net.ipv4.conf.eth[!0-9].rp_filter": False,
        "net.ipv4.conf.eth[z-a].rp_filter": False,
        "net.*": True,
        "*": True,
        "*.rp_filter": True,
        "*.rp_filte": False,
        "net.ipv4.conf.eth0.rp_filter*rp_filter": False,
        "n*n": False,
        "": False,
        "*a" * 40: False,
        "*" * 60 + "!": False,
    }.items():
        assert prepare._matches(pattern, key) is expected, pattern
