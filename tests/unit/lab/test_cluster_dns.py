# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name server of clusters without CoreDNS."""

from __future__ import annotations

import http.client
import http.server
import threading
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import pytest
from dnslib import RCODE, DNSRecord
from dnslib.server import DNSLogger, DNSServer

from lab.stand_ins import cluster_dns as dns


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


def ask(name: str, kind: str = "A") -> DNSRecord:
    return DNSRecord.question(name, kind)


def read(query: DNSRecord, reply: Optional[DNSRecord]) -> Tuple[str, List[str]]:
    """The code and the data of an answer, as they come out of the wire."""
    assert reply is not None
    came = DNSRecord.parse(reply.pack())
    assert came.header.id == query.header.id
    assert came.header.qr and came.header.aa, "an authoritative answer"
    assert came.header.rd, "recursion was desired, and that is repeated"
    assert all(record.rname == query.q.qname and record.ttl == dns.TTL for record in came.rr)
    return RCODE[came.header.rcode], [str(record.rdata) for record in came.rr]


@pytest.mark.parametrize(
    ("name", "code", "addresses"),
    [
        ("web.default.svc.cluster.local", "NOERROR", ["10.96.0.7"]),
        ("WEB.Default.svc.cluster.local", "NOERROR", ["10.96.0.7"]),
        ("db.default.svc.cluster.local", "NOERROR", ["10.244.0.5", "10.244.1.6"]),
        ("db-0.db.default.svc.cluster.local", "NOERROR", ["10.244.0.5"]),
        ("10-244-1-6.db.default.svc.cluster.local", "NOERROR", ["10.244.1.6"]),
        ("10-244-3-4.default.pod.cluster.local", "NOERROR", ["10.244.3.4"]),
        ("default.svc.cluster.local", "NOERROR", []),
        ("nope.default.svc.cluster.local", "NXDOMAIN", []),
        ("web.other.svc.cluster.local", "NXDOMAIN", []),
        ("out.default.svc.cluster.local", "NXDOMAIN", []),
    ],
)
def test_names(name: str, code: str, addresses: List[str]) -> None:
    query = ask(name)
    assert read(query, dns.answer(query, KNOWN)) == (code, addresses)


def test_a_name_without_ipv6_is_still_a_name() -> None:
    query = ask("web.default.svc.cluster.local", "AAAA")
    assert read(query, dns.answer(query, KNOWN)) == ("NOERROR", [])


def test_ipv6_addresses_are_given_when_asked_for() -> None:
    known = dns.records("cluster.local", [service("six", "fd00::7")], [])
    for kind, addresses in (("AAAA", ["fd00::7"]), ("ANY", ["fd00::7"]), ("A", [])):
        query = ask("six.default.svc.cluster.local", kind)
        assert read(query, dns.answer(query, known)) == ("NOERROR", addresses)


def test_an_address_has_a_name() -> None:
    query = ask("7.0.96.10.in-addr.arpa", "PTR")
    assert read(query, dns.answer(query, KNOWN)) == ("NOERROR", ["web.default.svc.cluster.local."])


@pytest.mark.parametrize("name", ["example.org", "notcluster.local", "1.1.168.192.in-addr.arpa"])
def test_names_of_other_zones_are_not_answered(name: str) -> None:
    assert dns.answer(ask(name), KNOWN) is None


def test_without_a_name_server_to_ask_the_answer_is_a_failure() -> None:
    query = ask("example.org")
    assert read(query, dns.forward(query, [])) == ("SERVFAIL", [])


def test_a_name_server_that_does_not_answer_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(query: DNSRecord, server: str, *_: object, **__: object) -> bytes:
        if server == "192.0.2.1":
            raise TimeoutError
        if server == "192.0.2.2":
            return b"garbage"
        return bytes(dns.answer(query, KNOWN).pack())

    monkeypatch.setattr(DNSRecord, "send", send)
    query = ask("web.default.svc.cluster.local")
    reply = dns.forward(query, ["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    assert read(query, reply) == ("NOERROR", ["10.96.0.7"])


def test_the_server_answers_over_udp_and_tcp() -> None:
    source = dns.Source("cluster.local")
    source.current = KNOWN
    for tcp in (False, True):
        server = DNSServer(dns.Resolver(source, []), address="127.0.0.1", port=0, tcp=tcp, logger=DNSLogger("error"))
        server.start_thread()
        try:
            query = ask("web.default.svc.cluster.local")
            came = query.send("127.0.0.1", server.server.server_address[1], tcp=tcp, timeout=10)
            assert read(query, DNSRecord.parse(came)) == ("NOERROR", ["10.96.0.7"])
        finally:
            server.stop()
            server.server.server_close()


def test_the_api_is_read_through_one_connection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("a-token", encoding="utf-8")
    monkeypatch.setattr(dns, "ACCOUNT", tmp_path)
    clients: List[Any] = []

    class Api(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            clients.append(self.client_address)
            well = self.headers["Authorization"] == "Bearer a-token" and "secrets" not in self.path
            body = b'{"items": [{"kind": "x"}]}' if well else b"{}"
            self.send_response(200 if well else 403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        api = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
        for kind in ("services", "endpoints"):
            assert dns.Source._list(api, kind) == [{"kind": "x"}]
        with pytest.raises(OSError, match="secrets: the API answers 403"):
            dns.Source._list(api, "secrets")
        api.close()
        server.shutdown()
    assert len(set(clients)) == 1 and len(clients) == 3


def test_zone() -> None:
    assert dns.zone_of(".:53 {\n    kubernetes Lab.Test in-addr.arpa ip6.arpa {\n}\n}") == "lab.test"
    assert dns.zone_of(".:53 {}") == "cluster.local"


def test_upstreams() -> None:
    assert dns.upstreams("# nameserver 1.1.1.1\nnameserver 10.0.0.1\nsearch x\nnameserver fd00::1\n") == [
        "10.0.0.1",
        "fd00::1",
    ]
