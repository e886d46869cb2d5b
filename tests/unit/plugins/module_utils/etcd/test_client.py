# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of etcd, against a real server with certificates as kubeadm makes them."""

from __future__ import annotations

import http.server
import json
import shutil
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import client as etcd_client
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.client import Client
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.core.test_https import Authority
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


class Etcd:
    """A server that shows its certificate, demands one, and answers what it is told."""

    def __init__(self, authority: Authority) -> None:
        self.status, self.body = 200, b"{}"
        self.seen: list[tuple[str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append((self.path, question))
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.body)))
                self.end_headers()
                self.wfile.write(outer.body)

            def log_message(self, *_words: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(authority.folder / "server.crt"), str(authority.folder / "server.key"))
        context.load_verify_locations(str(authority.folder / "ca.crt"))
        context.verify_mode = ssl.CERT_REQUIRED
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"https://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.make()
    for name in ("server", "client"):
        made.sign(name)
    return made


@pytest.fixture
def etcd(authority: Authority) -> Iterator[Etcd]:
    server = Etcd(authority)
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def client(machine: Machine, authority: Authority) -> Client:
    for path, name in (
        (etcd_client.CA, "ca.crt"),
        (etcd_client.CERTIFICATE, "client.crt"),
        (etcd_client.KEY, "client.key"),
    ):
        machine.put(path, authority.text(name))
    return etcd_client.client(machine)


def test_an_answer_is_the_object_in_it(etcd: Etcd, client: Client) -> None:
    etcd.body = b'{"members": [{"ID": "7"}]}'
    assert client(etcd.url, etcd_client.LIST, {"ID": "7"}) == {"members": [{"ID": "7"}]}
    assert etcd.seen == [(etcd_client.LIST, {"ID": "7"})]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (500, b'{"code": 2, "message": "etcdserver: unhealthy cluster"}', "etcdserver: unhealthy cluster"),
        (404, b'{"error": "member not found"}', "member not found"),
        (503, b'{"members": []}', "HTTP 503"),
        (503, b"<html>", "HTTP 503"),
        (200, b"[]", "HTTP 200"),
        (200, b'"text"', "HTTP 200"),
    ],
)
def test_a_refusal_is_an_error_whatever_is_in_it(
    etcd: Etcd, client: Client, status: int, body: bytes, said: str
) -> None:
    etcd.status, etcd.body = status, body
    with pytest.raises(OSError, match=said):
        client(etcd.url, etcd_client.LIST, {})


def test_what_is_not_http_or_not_there_is_the_same_kind_of_error(etcd: Etcd, client: Client) -> None:
    etcd.http.shutdown()
    etcd.http.server_close()
    with pytest.raises(OSError):
        client(etcd.url, etcd_client.LIST, {})


def test_a_server_of_another_authority_is_not_trusted(
    etcd: Etcd, machine: Machine, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Authority(tmp_path_factory.mktemp("other"))
    other.make()
    machine.put(etcd_client.CA, other.text("ca.crt"))
    machine.put(etcd_client.CERTIFICATE, authority.text("client.crt"))
    machine.put(etcd_client.KEY, authority.text("client.key"))
    with pytest.raises(OSError, match="CertVerification|certificate"):
        etcd_client.client(machine)(etcd.url, etcd_client.LIST, {})
    assert etcd.seen == []
