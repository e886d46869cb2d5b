# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Eight times the text that others wrote takes no reader much more than eight times the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import x509
from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.host import interfaces, ports, swap, sysctls
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import (
    api,
    cluster,
    kubeconfig,
    kubeconfig_entries,
    kubelet,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import diagnosis, join_command
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import (
    kube_state,
    manager,
    openpgp,
    repository,
    sources,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.transaction import cause
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network import bridge
from ansible_collections.kubestead.cluster.plugins.module_utils.reset import netfilter

from ..support import fixture
from .linear import ALLOWED, assert_linear, growth, work
from .paper import Paper

_BASE, _URL = sources.DEFAULT_URL, sources.DEFAULT_URL + "/v1.36/deb/"

READERS: dict[str, Callable[[str], Any]] = {
    "certificates": x509.ca_cert_hashes,
    "node certificate": x509.certificate_node_name,
    "addresses of a certificate": x509.certificate_addresses,
    "keys": openpgp.public_keys,
    "Packages": lambda text: repository.parse_packages(text, "amd64", ["kubelet"]),
    "dpkg": manager.parse_dpkg,
    "rpm": manager.parse_rpm,
    "policy": manager.parse_policy,
    "version locks": manager.versionlocks,
    "package version": manager.version_key,
    "dependencies": lambda text: kube_state.depends_on(text, "x"),
    "apt source": lambda text: sources.strip_apt_source(text, _BASE, _URL, False),
    "deb822 source": lambda text: sources.strip_apt_source(text, _BASE, _URL, True),
    "dnf source": lambda text: sources.strip_dnf_source(text, _BASE, _URL),
    "difference of sources": lambda text: sources.source_difference(text, sources.render_source("apt", _URL, True)),
    "proxies of dnf": lambda text: repository.package_manager_proxies(Paper(text), "dnf"),
    "cause": lambda text: cause(Result(1, text, text)),
    "kubeconfig": lambda text: (kubeconfig.summarize(text), api.kubeconfig_server(text)),
    "kubelet's kubeconfig": lambda text: kubelet.kubelet_kubeconfig(Paper(text)),
    "cluster configuration": cluster.yaml_scalars,
    "sysctls": lambda text: sysctls.parse_sysctls("/x", text),
    "netfilter": lambda text: netfilter.changes("iptables-nft", "*nat\n" + text),
    "swaps": swap.parse_swaps,
    "fstab": lambda text: (swap.swap_lines(text), swap.fstab_swaps(text)),
    "zram": lambda text: swap._zram_devices(Paper(text)),
    "listening": ports.parse_listening,
    "interfaces": lambda text: interfaces.addresses(interfaces.parse(text)),
    "rules": lambda text: bridge.parse_rules(4, "nat", text),
    "join command": join_command.parse,
    "join command of a control plane": lambda text: join_command.parse(text, True),
    "secrets": redact,
    "time": join_command.parse_time,
    "phases": diagnosis.phases_of,
    "causes": lambda text: diagnosis.causes_of(text, text),
    "shortened": diagnosis.shortened,
    "log": lambda text: diagnosis._errors(text.splitlines(), 5),
}

# What is repeated; "{}" becomes the number of the repetition, so that nothing is the same twice.
_UNITS = [" ", "\t", "\n", "\n ", " \n", "a", "a ", "a\n", "A{}:b\n", "-", "- ", "1", "1.", "1-", ":", "a:", "/", "a/"]
_UNITS += [
    ";",
    "=",
    "a=b\n",
    "[",
    "[a]",
    "[a]\n",
    "]",
    "'",
    '"',
    "\\",
    "\\\n",
    "# ",
    "#",
    " #",
    "#\n",
    "\x00",
    "é",
    "² ",
]
_UNITS += [
    "{",
    "[1,",
    "token ",
    "expired ",
    "error: ",
    "E0101 00:00:00 1 x] {}\n",
    "level=error {}\n",
    "[ERROR a]: b\n",
]
_UNITS += ["-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
_UNITS += [f"{openpgp.BEGIN}\n", f"{openpgp.BEGIN}\n\nmQ==\n{openpgp.END}\n", "[certs] x\n", "token:"]
_UNITS += ["server: ", "  server: https://a\n", " certificate-authority-data: AAAA\n", "client-certificate: a\n"]
_UNITS += ["kubeadm join ", "kubeadm join a:1\n", "abcdef.0123456789abcdef ", "0" * 64 + " ", "pass=x,", "a b swap\n"]
_UNITS += ["Package: a{}\nVersion: 1\n\n", "URIs: https://a/{}\nSuites: /\n\n", "[a{}]\nbaseurl = x\n\n"]
_UNITS += ["a:\n     1.{} 500\n        500 x y\n", ", failed to pull image a: b", "[failed to pull image a: "]
_UNITS += ["a{}: b\n  c:\n", "proxy = ", "baseurl="]
# What comes before and after it, so that what looks like a match at first is not one; for some readers more.
_FRAMES = [("", ""), ("a", "b")]
_MORE = {
    "Packages": [("Package: a\nDepends:", "x")],
    "deb822 source": [("URIs: ", "\nSuites: x"), ("URIs: a\nSuites: ", "x")],
    "dnf source": [("[a]\nbaseurl=", "x")],
    "difference of sources": [("URIs: ", "x"), ("baseurl=", "x")],
    "kubeconfig": [
        ("  server: ", "x"),
        ("  server: x", "y"),
        ("a: x", "y"),
        ("---", ""),
        ("--- ", "x"),
        ("clusters:\n- cluster:\n    x: [", "x"),
        ('{"a": "', '"}'),
    ],
    "join command": [("kubeadm join ", "x")],
    "join command of a control plane": [("kubeadm join ", "x")],
    "cluster configuration": [("a: ", "x"), ("a: 'x", "'")],
    "fstab": [("a b swap pass=", "x")],
}


@pytest.mark.parametrize("name", READERS)
def test_reading_takes_linear_time(name: str) -> None:
    """Every repetition is tried in a size at which a quadratic reader is slow; those that are slow are measured."""
    read = READERS[name]
    for unit in _UNITS:
        for before, after in _FRAMES + _MORE.get(name, []):
            text = _maker(unit, before, after)
            if _is_slow(read, text(1500)):
                assert_linear(read, text)


def _maker(unit: str, before: str, after: str) -> Callable[[int], str]:
    if "{}" in unit:
        return lambda count: before + "".join(unit.replace("{}", str(index)) for index in range(count)) + after
    return lambda count: before + unit * count + after


def _is_slow(read: Callable[[str], Any], text: str) -> bool:
    """Whether it is worth measuring; it only saves time, a reader that is slow for another reason passes as well."""
    return work(read, text) > 5e-6 * len(text) + 1e-3


def test_many_suites_and_addresses_are_not_multiplied() -> None:
    assert_linear(
        lambda text: sources.strip_apt_source(text, _BASE, _URL, True),
        lambda count: "Types: deb\nURIs: " + "http://a " * count + "\nSuites: " + "b " * count + "\n",
    )


@pytest.mark.parametrize("unit", [" ", "\t"])
def test_blanks_in_a_kubeconfig_are_read_once(unit: str) -> None:
    for before, after in (("---", "\n"), ("---", "x"), ("clusters: x", "y"), ("clusters:\n- cluster:\n    a: x", "y")):
        assert_linear(kubeconfig.summarize, lambda count, start=before, end=after: start + unit * count + end)


@pytest.mark.parametrize("unit", ["''", "'' ", "- ", "a.", "\n", "        a: |\n", "      - |\n", "       x\n", '"b" '])
def test_texts_in_a_kubeconfig_are_read_once(unit: str) -> None:
    start = "users:\n- name: a\n  user:\n    exec:\n      a: |\n"
    for before in (start, start + "      b: '", start + "      - ", start + "      - '", start + "      "):
        for after in ("\n", "x: '\n", "'\n"):
            assert_linear(kubeconfig.summarize, lambda count, first=before, last=after: first + unit * count + last)


def test_each_entry_of_a_kubeconfig_is_compared_once() -> None:
    text = fixture("kubeadm/v1.35/admin.conf")

    def make(count: int) -> str:
        entry = "- cluster:\n    server: https://192.0.2.1:{0}\n  name: kubernetes-{0}\n"
        more = "".join(map(entry.format, range(count)))
        name = "kubernetes-admin-kubernetes"
        names = [name, *(f"{name}-{number}" for number in range(2, count))]
        users = "".join(f"- name: {name}\n  user:\n    token: t\n" for name in names)
        return (text + users).replace("clusters:\n", "clusters:\n" + more).replace("key-data: ", "key-data: AAAA")

    before = make(3)
    assert kubeconfig.summarize(before).mergeable and kubeconfig_entries.merged(before, text) not in (None, before)
    # Comparing each entry with each other one takes longer than reading them only if there are many.
    assert_linear(kubeconfig.summarize, lambda count: make(100 * count))
    assert_linear(lambda given: kubeconfig_entries.merged(given, text), lambda count: make(100 * count))


@pytest.mark.parametrize(
    ("read", "quadratic"),
    [
        (lambda text: sum(1 for start in range(len(text)) if text.find("b", start) >= 0), True),
        (lambda text: sum(1 for character in text if character == "b"), False),
    ],
)
def test_the_measurement_tells_one_from_the_other(read: Callable[[str], Any], quadratic: bool) -> None:
    assert (growth(read, lambda count: "a" * count) >= ALLOWED) is quadratic
