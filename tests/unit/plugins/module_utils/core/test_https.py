# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTPS client, against a real server with certificates that openssl makes as kubeadm would."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import https
from ansible_collections.kubestead.cluster.plugins.module_utils.core.https import Answer, Credentials
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import repository

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")


@dataclass
class Authority:
    folder: Path

    def run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def make(self) -> None:
        extension = "basicConstraints=critical,CA:TRUE"
        self.run(
            *"req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout ca.key".split(),
            *["-out", "ca.crt", "-subj", "/CN=kubernetes", "-days", "20", "-addext", extension],
        )

    def make_bare(self) -> None:
        """An authority as the proxies of companies have it: no key usage, constraints that are not critical."""
        (self.folder / "bare.cnf").write_text(
            "[req]\ndistinguished_name=name\nx509_extensions=bare\n[name]\n[bare]\nbasicConstraints=CA:TRUE\n"
        )
        self.run(
            *"req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -config bare.cnf".split(),
            *["-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Company", "-days", "20"],
        )

    def make_intermediate(self) -> None:
        """An authority that another one signed; what signed it is kept as root.crt and root.key."""
        for kind in ("crt", "key"):
            (self.folder / f"ca.{kind}").rename(self.folder / f"root.{kind}")
        self.run(
            *"req -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout ca.key -out ca.csr".split(),
            *["-subj", "/CN=Intermediate"],
        )
        (self.folder / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\n")
        self.run(
            *"x509 -req -in ca.csr -CA root.crt -CAkey root.key -CAcreateserial -out ca.crt".split(),
            *["-days", "20", "-extfile", "ca.ext"],
        )

    def sign(self, name: str, san: str = "IP:127.0.0.1") -> None:
        self.run(
            *"req -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -keyout".split(),
            f"{name}.key",
            "-out",
            f"{name}.csr",
            "-subj",
            f"/CN={name}",
        )
        (self.folder / "san").write_text(f"subjectAltName={san}\n")
        self.run(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.crt",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            f"{name}.crt",
            "-days",
            "20",
            "-extfile",
            "san",
        )

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    @property
    def client(self) -> Credentials:
        return Credentials(self.text("ca.crt"), self.text("client.crt"), self.text("client.key"))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, int]] = []

    def do_GET(self) -> None:
        shown = dict(part[0] for part in self.connection.getpeercert()["subject"])["commonName"]
        self.seen.append((self.path, shown, self.client_address[1]))
        if self.path == "/close":
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        body = b"ok" if self.path == "/readyz" else b"no such path"
        self.send_response(200 if self.path == "/readyz" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("ca"))
    made.make()
    for name in ("server", "client"):
        made.sign(name)
    return made


@pytest.fixture
def url(authority: Authority) -> Iterator[str]:
    Handler.seen = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(authority.folder / "server.crt"), str(authority.folder / "server.key"))
    context.load_verify_locations(str(authority.folder / "ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda _request, _address: None
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_all_paths_are_asked_on_one_connection_with_the_clients_certificate(
    authority: Authority, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = []
    load = ssl.SSLContext.load_cert_chain

    def record(context: ssl.SSLContext, path: str) -> None:
        keys.append(os.readlink(path))
        load(context, path)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", record)
    answers = https.get(url, ["/readyz", "/x", "/readyz"], authority.client)
    assert answers == [Answer(200, "ok"), Answer(404, "no such path"), Answer(200, "ok")]
    assert [one.ok for one in answers] == [True, False, True]
    assert [one[:2] for one in Handler.seen] == [("/readyz", "client"), ("/x", "client"), ("/readyz", "client")]
    assert len({port for _path, _name, port in Handler.seen}) == 1
    assert len(keys) == 1 and keys[0].startswith("/memfd:"), "the key is in no file"


def test_a_server_of_another_authority_is_not_trusted_and_not_asked(
    authority: Authority, url: str, tmp_path: Path
) -> None:
    other = Authority(tmp_path)
    other.make()
    wrong = Credentials(other.text("ca.crt"), authority.client.certificate, authority.client.key)
    (answer,) = https.get(url, ["/readyz"], wrong)
    assert answer.status == 0 and answer.error.startswith("its certificate is not trusted (")
    assert not Handler.seen


def test_a_certificate_for_another_host_is_not_trusted(authority: Authority, url: str) -> None:
    (answer,) = https.get(url.replace("127.0.0.1", "localhost"), ["/readyz"], authority.client)
    assert "certificate is not trusted (" in answer.error and "localhost" in answer.error


def test_a_connection_that_ends_gives_each_path_that_is_left_the_reason(authority: Authority, url: str) -> None:
    answers = https.get(url, ["/readyz", "/close", "/readyz"], authority.client)
    assert answers[0].ok and [one.status for one in answers] == [200, 0, 0]
    assert answers[1].error and answers[1].error == answers[2].error


def test_what_never_answers_and_what_does_not_listen(authority: Authority) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        address = f"https://127.0.0.1:{silent.getsockname()[1]}"
        (answer,) = https.get(address, ["/readyz"], authority.client, timeout=0.2)
        assert answer.error == "no answer within 0 s"
    assert https.get(address, ["/a", "/b"], authority.client) == [Answer(error="connection refused")] * 2


@pytest.mark.parametrize("url", ["", "https://", "https://[::1", "https://x:99999", "nonsense"])
def test_what_is_no_url_has_no_answer(authority: Authority, url: str) -> None:
    (answer,) = https.get(url, ["/readyz"], authority.client)
    assert answer.status == 0 and answer.error


def test_credentials_that_are_no_certificates_have_no_answer(url: str) -> None:
    for broken in (Credentials(), Credentials("x"), Credentials("x", "y", "geheim")):
        (answer,) = https.get(url, ["/readyz"], broken)
        assert answer.status == 0 and answer.error and "geheim" not in repr((answer, broken))


# -- authorities that Go's programs, curl and apt accept


def server_of(authority: Authority) -> tuple[http.server.HTTPServer, str]:
    class Plain(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_words: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(authority.folder / "server.crt"), str(authority.folder / "server.key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda _request, _address: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"https://127.0.0.1:{server.server_address[1]}"


@pytest.fixture(params=["bare", "intermediate"])
def lenient(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Authority, str]]:
    """A server behind an authority that Python's strict defaults refuse."""
    made = Authority(tmp_path)
    if request.param == "bare":
        made.make_bare()
    else:
        made.make()
        made.make_intermediate()
    made.sign("server")
    server, address = server_of(made)
    yield made, address
    server.shutdown()
    server.server_close()


def test_strict_defaults_of_python_refuse_such_an_authority(lenient: tuple[Authority, str]) -> None:
    """What Python 3.13 does by itself, here asked for: the tests below would show nothing without it."""
    made, address = lenient
    context = ssl.create_default_context(cafile=str(made.folder / "ca.crt"))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(address, context=context)


def test_the_client_takes_what_the_programs_take(lenient: tuple[Authority, str]) -> None:
    made, address = lenient
    assert https.get(address, ["/"], Credentials(made.text("ca.crt"), token="t"))[0].ok


def test_a_repository_behind_such_an_authority_is_read(
    lenient: tuple[Authority, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, address = lenient
    # What the machine trusts, as update-ca-certificates would have it.
    monkeypatch.setenv("SSL_CERT_FILE", str(made.folder / "ca.crt"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert repository.fetcher()(address + "/Release").body == b"ok"
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "its certificate is not trusted" in repository.fetcher()(address + "/Release").error


def test_a_context_is_as_lenient_where_python_is_strict_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    def strict(protocol: int) -> ssl.SSLContext:
        made = ssl.SSLContext(protocol)
        made.verify_flags |= ssl.VERIFY_X509_STRICT
        return made

    monkeypatch.setitem(sys.modules, "ssl", SimpleNamespace(**{**vars(ssl), "SSLContext": strict}))
    context = https.client_context()
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname


def test_no_other_context_of_the_collection_verifies() -> None:
    """A context of Python's own would refuse what this one takes, on new machines alone."""
    plugins = Path(https.__file__).parents[2]
    found = {
        path.relative_to(plugins).as_posix()
        for path in plugins.rglob("*.py")
        if re.search(r"create_default_context|SSLContext\(|open_url|fetch_url", path.read_text())
    }
    # The second asks an API server without trust, as kubeadm does, to compare its CA with the pin. The third compares
    # the certificate of an API server with a file, and a certificate with its key.
    assert found == {
        "module_utils/core/https.py",
        "module_utils/kubeadm/endpoint_check.py",
        "module_utils/kubeadm/serving_certificate.py",
    }
