# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No reader of text that others wrote fails with anything but the collection's own error, whatever the text."""

from __future__ import annotations

import json
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
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.host import (
    environment,
    facts,
    kernel,
    ports,
    prepare,
    swap,
    sysctls,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import (
    api,
    cluster,
    kubeconfig,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import (
    bootstrap_token,
    culprits,
    diagnosis,
    join_command,
    kubelet_config,
    limits,
    names,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import state as kubeadm
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import (
    kube_observe,
    manager,
    openpgp,
    repository,
    signing_key,
    sources,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge, calico
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.reset import netfilter
from ansible_collections.kubestead.cluster.plugins.plugin_utils import manifest_files

from ..support import FIXTURES, fixture
from .paper import Paper
from .profile import fuzz
from .reading import check
from .strategies import documents, texts

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
    "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm\n",
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
_NETFILTER = [fixture("reset/iptables-nft-save.txt")]
_MANIFESTS = ["apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"]
_CLUSTER = [
    json.loads(fixture("kubeadm/v1.20/kubeadm-config.json"))["data"]["ClusterConfiguration"],
    "a:\n  b: 'it''s' # x\n  c: |\n    text\n  d:\n  - x: 1\n",
]


# name -> reader, examples of what it reads, whether it may raise KubesteadError
class _WithContainerd(Paper):
    """A machine whose containerd tells its own version and defaults, so that its configuration is gone through."""

    def __init__(self, text: str, binary: str) -> None:
        super().__init__(text)
        self.binary = binary

    def _print(self, argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
        if list(argv) == ["containerd", "--version"]:
            return Result(0, f"containerd github.com/containerd/containerd {self.binary} x\n")
        if list(argv) == ["containerd", "config", "default"]:
            return Result(0, fixture(f"containerd/default-{self.binary}.toml"))
        return super()._print(argv, stdin, timeout, env)


def _installed(binary: str) -> Callable[[str], Any]:
    return lambda text: plan_containerd(containerd.observe(_WithContainerd(text, binary)), ContainerdOptions())


TEXTS: dict[str, tuple[Callable[[str], Any], Sequence[str], bool]] = {
    "os-release": (lambda text: manager.manager(Paper(text)), _OS_RELEASE, True),
    "facts": (lambda text: facts.observe(Paper(text)), _OS_RELEASE + _RESOLV + ["MemTotal:  2048 kB\n"], False),
    "fstab": (
        lambda text: (swap.swap_lines(text), swap.fstab_swaps(text)),
        [fixture("host/fstab.txt")],
        False,
    ),
    "netfilter": (
        lambda text: netfilter.changes("iptables-nft", text),
        [fixture("reset/iptables-nft-save.txt")],
        False,
    ),
    "swaps": (swap.parse_swaps, [fixture("host/swaps.txt"), "x\n/swapfile (deleted) file 1 0 -2\n"], False),
    "sysctls": (lambda text: sysctls.parse_sysctls("/x", text), _SYSCTL, False),
    "host": (lambda text: prepare.plan(prepare.observe(Paper(text)), prepare.HostOptions()), _SYSCTL, True),
    "surroundings": (lambda text: environment.observe(Paper(text)), ["active\ninactive\n", "ENABLED=yes\n"], False),
    "listening": (lambda text: [ports.parse_listening(text), ports.parse_loopback(text)], _TCP, False),
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
    "addresses of a certificate": (x509.certificate_addresses, _PEM, False),
    "kubeconfig": (
        lambda text: (kubeconfig.summarize(text), api.kubeconfig_server(text)),
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
    "endpoint as an option": (lambda text: limits.check_endpoint("x", text), ["[::1]:6443", "K8s.b:443"], True),
    "name in a certificate": (lambda text: limits.check_sans("x", [text]), ["*.a.b", "10.0.0.1/8"], True),
    "image repository": (lambda text: limits.check_image_repository("x", text), ["[::1]:5000/a__b", "a.b/c:1"], True),
    "Service range": (lambda text: limits.check_service_cidr("x", text), ["10.96.0.1/12,fd00::/108"], True),
    "pod range": (lambda text: limits.check_pod_cidr("x", text), ["10.244.0.0/16,fd00::/56"], True),
    "addresses of a node": (lambda text: names.parse_addresses("x", text), ["10.0.0.1,fd00::1", "::"], True),
    "quantity": (
        lambda text: kubelet_config.check("x", {"systemReserved": {"cpu": text}, "syncFrequency": text}),
        ["500m", "1h30m", "1e9"],
        True,
    ),
    "kernel configuration": (lambda text: kernel.lacks(text, 2), ["CONFIG_MEMCG=y\n# CONFIG_A is not set\n"], False),
    "cgroup controllers": (
        lambda text: [kernel.controllers_lacking(Paper(text), version) for version in (1, 2)],
        ["cpuset cpu io memory\n", "#subsys_name\tenabled\ncpu\t1\t9\t1\n"],
        False,
    ),
    "time": (lambda text: str(join_command.parse_time(text)), ["2026-11-23T12:00:00.5Z"], False),
    "duration": (bootstrap_token.parse_duration, ["1h30m", "90"], True),
    "version": (versions.parse, ["v1.36.2-1.1"], False),
    "requested version": (versions.parse_request, ["1.36", "v1.36.2"], True),
    "output of kubeadm": (
        lambda text: diagnosis.failure("join", Result(1, text, text), Paper(text), 5, 0.0),
        _OUTPUT,
        False,
    ),
    "log": (
        lambda text: [culprits.error_text(line) for line in text.splitlines()],
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
    "containerd 1": (_installed("1.7.35"), [fixture("containerd/debian-12.toml")], True),
    "containerd 2": (_installed("2.3.7"), [fixture("containerd/migrate-docker-2.3.7.toml")], True),
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


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits: an API server that should be coming up never does here."""
    monkeypatch.setattr(kubeadm, "_STARTING", 0.0)


@pytest.mark.parametrize("name", TEXTS)
@fuzz(60)
@given(data=st.data())
def test_text(name: str, data: st.DataObject) -> None:
    read, seeds, raises = TEXTS[name]
    check(read, data.draw(texts(seeds)), raises)


# Texts that a search may take long to come upon.
_NINES = "9" * 5000


def _wrong_types(name: str) -> list[str]:
    """Configurations with another type than containerd's at each path that is looked at."""
    version = {"cri": 1, "io.containerd.grpc.v1.cri": 2}.get(name, 3)
    paths = [
        *("containerd", "containerd.runtimes", "containerd.runtimes.runc", "containerd.runtimes.runc.options"),
        *("cni", "pinned_images", "pinned_images.sandbox", "sandbox_image", "registry", "registry.config_path"),
        *("registry.mirrors", "registry.mirrors.a", "registry.configs", "registry.configs.a"),
        *("registry.configs.a.auth", "registry.configs.a.tls"),
    ]
    found = [f'version = {version}\n[[plugins."{name}".{path}]]\na = 1\n' for path in paths]
    return found + [
        f'version = {version}\nplugins."{name}".{path} = {odd}' for path in paths for odd in ("1", "[1]", "true")
    ]


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
    "signing key": [f"{openpgp.BEGIN}\n\n²é\n{openpgp.END}\n"],
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
    "containerd 1": [text for name in ("cri", "io.containerd.grpc.v1.cri") for text in _wrong_types(name)],
    "containerd 2": [
        text
        for name in ("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime")
        for text in _wrong_types(name)
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
    check(read, text, raises)


_CALICO = list(yaml.safe_load_all(fixture("calico/small.yaml")))


@fuzz(200)
@given(documents([_CALICO]))
def test_objects_of_calico(found: Any) -> None:
    options = CniOptions(pod_cidr="10.0.0.0/8,fd00::/48", image_registry="mirror.example.com")
    if isinstance(found, list):
        check(lambda manifest: calico.images(calico.shape(manifest, options)), found, True)


@pytest.mark.parametrize("name", TEXTS)
def test_the_examples_arecheck(name: str) -> None:
    """Else the text that is made of them would not come far into a reader."""
    read, seeds, _raises = TEXTS[name]
    values = []
    for seed in seeds:
        try:
            values.append(read(seed))
        except KubesteadError:
            continue
    assert values
