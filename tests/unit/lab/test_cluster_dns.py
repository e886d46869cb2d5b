# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name server of clusters without CoreDNS."""

from __future__ import annotations

import socket
import struct
from typing import Any, Dict

import pytest

from lab import cluster_dns as dns


def service(name: str, ip: str, namespace: str = "default") -> Dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip}}


SERVICES = [service("web", "10.96.0.7"), service("db", "None"), service("out", "")]
ENDPOINTS = [
    {"metadata": {"name": "web", "namespace": "default"}, "subsets": [{"addresses": [{"ip": "10.244.0.9"}]}]},
    {
        "metadata": {"name": "db", "namespace": "default"},
        "subsets": [{"addresses": [{"ip": "10.244.0.5", "hostname": "db-0"}, {"ip": "10.244.1.6"}]}],
    },
]
KNOWN = dns.records("cluster.local", SERVICES, ENDPOINTS)


def ask(name: str, kind: int = dns.A) -> bytes:
    head = struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0)
    return head + dns.encode_name(name) + struct.pack("!HH", kind, 1)


def read(reply: bytes) -> tuple[int, list[bytes]]:
    number, flags, questions, answers = struct.unpack("!HHHH", reply[:8])
    assert (number, questions) == (77, 1)
    assert flags & 0x8400 == 0x8400, "an authoritative answer"
    assert flags & 0x0100, "recursion was desired, and that is repeated"
    at = dns.question(reply)[2]
    found = []
    for _ in range(answers):
        size = struct.unpack("!H", reply[at + 10 : at + 12])[0]
        found.append(reply[at + 12 : at + 12 + size])
        at += 12 + size
    assert at == len(reply)
    return flags & 15, found


@pytest.mark.parametrize(
    ("name", "code", "addresses"),
    [
        ("web.default.svc.cluster.local", dns.NOERROR, ["10.96.0.7"]),
        ("WEB.Default.svc.cluster.local", dns.NOERROR, ["10.96.0.7"]),
        ("db.default.svc.cluster.local", dns.NOERROR, ["10.244.0.5", "10.244.1.6"]),
        ("db-0.db.default.svc.cluster.local", dns.NOERROR, ["10.244.0.5"]),
        ("10-244-1-6.db.default.svc.cluster.local", dns.NOERROR, ["10.244.1.6"]),
        ("10-244-3-4.default.pod.cluster.local", dns.NOERROR, ["10.244.3.4"]),
        ("default.svc.cluster.local", dns.NOERROR, []),
        ("nope.default.svc.cluster.local", dns.NXDOMAIN, []),
        ("web.other.svc.cluster.local", dns.NXDOMAIN, []),
        ("out.default.svc.cluster.local", dns.NXDOMAIN, []),
    ],
)
def test_names(name: str, code: int, addresses: list[str]) -> None:
    reply = dns.answer(ask(name), KNOWN)
    assert reply is not None
    assert read(reply) == (code, [socket.inet_aton(address) for address in addresses])


def test_a_name_without_ipv6_is_still_a_name() -> None:
    reply = dns.answer(ask("web.default.svc.cluster.local", dns.AAAA), KNOWN)
    assert reply is not None and read(reply) == (dns.NOERROR, [])


def test_an_address_has_a_name() -> None:
    reply = dns.answer(ask("7.0.96.10.in-addr.arpa", dns.PTR), KNOWN)
    assert reply is not None
    assert read(reply) == (dns.NOERROR, [dns.encode_name("web.default.svc.cluster.local")])


@pytest.mark.parametrize("name", ["example.org", "notcluster.local", "1.1.168.192.in-addr.arpa"])
def test_other_names_are_somebody_elses(name: str) -> None:
    assert dns.answer(ask(name), KNOWN) is None


def test_nobody_to_ask_is_a_failure_not_a_silence() -> None:
    reply = dns.forward(ask("example.org"), [])
    assert read(reply) == (dns.SERVFAIL, [])


@pytest.mark.parametrize("query", [b"", b"x" * 11, ask("a.b")[:-3], ask("a.b")[:14], b"\0" * 12])
def test_a_malformed_question_is_no_question(query: bytes) -> None:
    with pytest.raises(ValueError):
        dns.question(query)


def test_zone() -> None:
    assert dns.zone_of(".:53 {\n    kubernetes Lab.Test in-addr.arpa ip6.arpa {\n}\n}") == "lab.test"
    assert dns.zone_of(".:53 {}") == "cluster.local"


def test_upstreams() -> None:
    assert dns.upstreams("# nameserver 1.1.1.1\nnameserver 10.0.0.1\nsearch x\nnameserver fd00::1\n") == [
        "10.0.0.1",
        "fd00::1",
    ]
