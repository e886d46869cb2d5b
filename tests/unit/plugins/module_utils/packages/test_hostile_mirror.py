# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody who holds a mirror, or the wire to it, tries: another signing key, and answers without an end."""

from __future__ import annotations

import base64
import http.server
import shutil
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import deadline
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import (
    kube_plan,
    kube_state,
    openpgp,
    repository,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.signing_key import key_state
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.core.test_https import Authority
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

from .test_kube_packages import (
    BASE,
    DAY,
    ENDS,
    FINGERPRINT,
    KEY,
    MIRROR,
    OTHER,
    OTHER_FINGERPRINT,
    RENEWED,
    RPM,
    bare,
    deb_web,
    done,
    messages,
    mirror_web,
    mirrored,
    observe,
    options,
    rocky,
    rpm_web,
)

__all__ = ["bare", "done", "mirrored", "rocky"]


def packets(text: str) -> list[openpgp._Packet]:
    (block,) = openpgp._blocks(text)
    return list(openpgp._packets(block))


def armour(*raw: bytes) -> str:
    data = base64.b64encode(b"".join(raw)).decode()
    return f"{openpgp.BEGIN}\n\n{data}\n{openpgp.END}\n"


def packet(tag: int, body: bytes) -> bytes:
    return bytes([0x80 | tag << 2 | 1]) + len(body).to_bytes(2, "big") + body


RAW = [one.raw for one in packets(KEY)]
OTHER_RAW = [one.raw for one in packets(OTHER)]
OTHER_BODY = packets(OTHER)[0].body
LATER = b"\x05\x09\x0f\xff\xff\xff"


def forged() -> str:
    """The repository's key with an end years later, which nobody has signed."""
    found = b"".join(RAW)
    at = found.index(b"\x05\x09")
    return armour(found[:at] + LATER + found[at + 6 :])


def unhashed() -> str:
    """The end years later in the part of the signature that it does not cover."""
    body = packets(KEY)[2].body
    hashed = 6 + int.from_bytes(body[4:6], "big")
    rest = int.from_bytes(body[hashed : hashed + 2], "big")
    wider = (rest + len(LATER)).to_bytes(2, "big") + LATER
    return armour(RAW[0], RAW[1], packet(2, body[:hashed] + wider + body[hashed + 2 :]))


def subkey() -> str:
    """The attacker's key as a subkey, with a signature of their own that names the repository's key as its maker."""
    claim = b"\x04\x18\x01\x08\x00\x06\x05\x02\x6b\x04\xd2\xc1\x00\x0a\x09\x10" + bytes.fromhex(FINGERPRINT[24:])
    return armour(*RAW, packet(14, OTHER_BODY), packet(2, claim + b"\x00\x00\x00\x08\x7f"))


ATTACKS: dict[str, str] = {
    "beside it": RENEWED + OTHER,
    "before it": OTHER + RENEWED,
    "in one block": armour(*[one.raw for one in packets(RENEWED)], *OTHER_RAW),
}


# -- a key beside the known one


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_key_beside_the_known_one_is_refused(mirrored: Machine, attack: str) -> None:
    asked = options(url=MIRROR)
    for now in (ENDS - 10 * DAY, ENDS + DAY):
        state = observe(mirrored, mirror_web(ATTACKS[attack]), asked, now=now)
        (message,) = messages(state, asked)
        assert f"changed from {FINGERPRINT} to {OTHER_FINGERPRINT}" in message
    genuine = observe(mirrored, mirror_web(RENEWED), asked, now=ENDS - 10 * DAY)
    assert [step.reason for step in kube_plan.plan(genuine, asked)] == ["expires 2026-12-29"]


@pytest.mark.parametrize("attack", [*ATTACKS.values(), OTHER], ids=[*ATTACKS, "instead of it"])
def test_only_the_pinned_key_is_taken(bare: Machine, attack: str) -> None:
    (message,) = messages(observe(bare, deb_web(key=attack)), options())
    assert message == (
        f"the repository's signing key is {OTHER_FINGERPRINT}, not {FINGERPRINT}; check the network and "
        "cluster_packages_url, or set the correct fingerprint in kube_packages_key_fingerprint"
    )
    assert messages(observe(bare, deb_web(key=KEY)), options()) == []


def test_the_default_repository_has_a_pinned_key(bare: Machine) -> None:
    (message,) = messages(observe(bare, deb_web()), options(fingerprint=""))
    assert f"is {FINGERPRINT}, not DE15B14486CD377B9E876E1A234654DA9A296436" in message
    assert kube_state.KubePackagesOptions(url=BASE + "/").pin == kube_state.DEFAULT_FINGERPRINT
    assert kube_state.KubePackagesOptions(url=MIRROR).pin == ""


def test_a_stored_key_that_is_not_the_pinned_one_is_told(done: Machine) -> None:
    (message,) = messages(observe(done, deb_web()), options(fingerprint=OTHER_FINGERPRINT))
    assert message.startswith(f"/etc/apt/keyrings/kubernetes.asc holds the key {FINGERPRINT}, not {OTHER_FINGERPRINT}")


def test_a_fingerprint_is_read_as_gpg_prints_it() -> None:
    spaced = " ".join(FINGERPRINT[at : at + 4] for at in range(0, 40, 4)).lower()
    asked = options(url="http://mirror.example.org", fingerprint=spaced)
    asked.validate()
    assert asked.pin == FINGERPRINT


# -- an end that nobody has signed


@pytest.mark.parametrize("make", [forged, unhashed])
def test_an_end_that_the_key_has_not_signed_is_not_believed(mirrored: Machine, make: Callable[[], str]) -> None:
    asked = options(url=MIRROR)
    for now in (ENDS - 10 * DAY, ENDS + DAY):
        state = observe(mirrored, mirror_web(make()), asked, now=now)
        assert kube_plan.plan(state, asked) == []
        assert [problem.level for problem in kube_plan.problems(state, asked)] == ["warning"]


def test_a_key_whose_signatures_can_not_be_computed_is_not_extended(mirrored: Machine) -> None:
    body = packets(OTHER)[2].body
    hashed = 6 + int.from_bytes(body[4:6], "big")
    ending = body[:4] + (hashed - 6 + 6).to_bytes(2, "big") + body[6:hashed] + b"\x05\x09\x00\x00\x00\x01"
    stored = armour(OTHER_RAW[0], OTHER_RAW[1], packet(2, ending + body[hashed:]))
    assert key_state(stored, ENDS).ends == "over" and not key_state(stored, ENDS).verified
    mirrored.put("/etc/apt/keyrings/kubernetes.asc", stored)
    asked = options(url=MIRROR)
    state = observe(mirrored, mirror_web(OTHER), asked, now=ENDS)
    assert kube_plan.plan(state, asked) == []
    (message,) = messages(state, asked)
    assert "the later expiration date in the repository can't be verified" in message


# -- keys that only others find


@pytest.mark.parametrize(
    "text",
    [
        armour(*RAW, packet(6, b"\x05" + OTHER_BODY[1:])),
        armour(*RAW, packet(14, b"\x06" + OTHER_BODY[1:])),
        armour(packet(14, OTHER_BODY), *RAW),
        armour(*RAW, b"\xc6\xe1" + OTHER_BODY),
        armour(*RAW, b"\x9b" + OTHER_BODY),
        KEY + f"{openpgp.BEGIN}\n\n????\n{openpgp.END}\n",
        armour(*RAW, packet(6, OTHER_BODY)[:-3]),
    ],
    ids=["version 5", "version 6 subkey", "subkey first", "in parts", "no length", "no base64", "cut short"],
)
def test_text_that_is_not_understood_holds_no_key(text: str) -> None:
    assert openpgp.public_keys(text) == []
    assert openpgp.proven(text) == ""


def test_a_subkey_that_the_key_has_not_signed_is_left_out() -> None:
    assert OTHER_BODY in b"".join(openpgp._blocks(subkey()))
    kept = openpgp.proven(subkey())
    assert OTHER_BODY not in b"".join(openpgp._blocks(kept))
    assert openpgp.public_keys(kept) == openpgp.public_keys(KEY)


def test_what_stands_around_a_block_is_left_out() -> None:
    for text in (
        KEY.replace("-----BEGIN", "-----BEGIN PGP PUBLIC KEY BLOCK-----x\n-----BEGIN", 1),
        OTHER.replace("-----BEGIN PGP", " -----BEGIN  PGP") + KEY + "deb [trusted=yes] http://evil /\n",
    ):
        assert openpgp.proven(text) == KEY
    assert openpgp.proven(KEY) == KEY
    assert openpgp.public_keys(openpgp.proven(OTHER)) == openpgp.public_keys(OTHER)


# -- the wire


def test_no_redirect_leaves_https() -> None:
    handler = repository.HttpsStays()
    request = urllib.request.Request("https://pkgs.example/Release.key")
    for target in ("http://evil.example/Release.key", "HTTP://pkgs.example/Release.key", "ftp://pkgs.example/x"):
        with pytest.raises(urllib.error.URLError, match="redirects from https"):
            handler.redirect_request(request, None, 302, "Found", {}, target)
    followed = handler.redirect_request(request, None, 302, "Found", {}, "https://cdn.example/Release.key")
    assert followed.full_url == "https://cdn.example/Release.key"


class Pages:
    """A server with the key at /Release.key and redirects at other paths. It records the paths that were requested."""

    def __init__(self, key: str, context: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self.redirects: dict[str, str] = {}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                target = outer.redirects.get(self.path, "")
                body = b"" if target else key.encode()
                self.send_response(302 if target else 200)
                if target:
                    self.send_header("Location", target)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if context:
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = "{0}://127.0.0.1:{1}".format("https" if context else "http", self.http.server_address[1])

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")
def test_a_real_server_that_redirects_to_plain_http_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    authority.make()
    authority.sign("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(tmp_path / "server.crt"), str(tmp_path / "server.key"))
    # The machine trusts the authority of the mirror.
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    mirror, attacker = Pages(KEY, context), Pages(OTHER)
    try:
        mirror.redirects = {
            "/moved": mirror.url + "/Release.key",
            "/down": attacker.url + "/Release.key",
            "/chain": mirror.url + "/down",
        }
        fetch = repository.fetcher()
        assert fetch(mirror.url + "/moved").body.decode() == KEY
        for path in ("/down", "/chain"):
            refused = fetch(mirror.url + path)
            assert not refused.ok and refused.body == b"" and "redirects from https" in refused.error
        assert attacker.asked == [] and mirror.asked[-2:] == ["/chain", "/down"]
        # The attacker's server works: over plain http, which needs a pinned key, it is followed.
        assert fetch(attacker.url + "/Release.key").body.decode() == OTHER
    finally:
        mirror.close()
        attacker.close()


@pytest.mark.parametrize(
    "href",
    [
        "http://127.0.0.1:8500/v1/kv?primary.xml",
        "https://metadata.internal/x-primary.xml",
        "//metadata.internal/x-primary.xml",
        "/latest/meta-data-primary.xml",
        "../../secret-primary.xml",
        "repodata/../../../x-primary.xml",
        "repodata/%2e%2e/x-primary.xml",
        "repodata\\..\\x-primary.xml",
        "repodata/x-primary.xml?y=.xml",
        "file:///etc/passwd.xml",
        "",
    ],
)
def test_a_list_outside_of_the_repository_is_not_asked_for(rocky: Machine, href: str) -> None:
    web = rpm_web()
    repomd = web.pages[RPM + "repodata/repomd.xml"]
    assert isinstance(repomd, bytes)
    own = next(address for address in web.pages if "-primary.xml" in address)[len(RPM) :]
    web.pages[RPM + "repodata/repomd.xml"] = repomd.replace(own.encode(), href.encode())
    (message,) = messages(observe(rocky, web), options())
    assert "not below the repository" in message
    assert not [address for _method, address in web.asked if "primary" in address or "passwd" in address]


class Dripping(http.server.BaseHTTPRequestHandler):
    """Sends a byte now and then, for as long as the test wants; or more than anybody asked for."""

    stop = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/large":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"x" * 5000)
            return
        if self.path == "/body":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
        else:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        while not self.stop.wait(0.05):
            try:
                self.wfile.write(b"x")
            except OSError:
                return

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def dripping() -> Iterator[str]:
    """The address of a server that does not come to an end."""
    Dripping.stop.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dripping)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Dripping.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("page", ["/body", "/header"])
def test_a_server_that_sends_a_byte_now_and_then_holds_nobody(dripping: str, page: str) -> None:
    response = repository.fetcher(deadline=0.3)(dripping + page, "GET")
    assert response.status == 0 and response.error == "no complete answer within 0 seconds"


def test_an_index_that_is_too_large_is_not_taken_for_its_beginning(
    dripping: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repository, "_LARGEST", 4096)
    response = repository.fetcher()(dripping + "/large", "GET")
    assert (response.status, response.body) == (0, b"") and "it is larger than" in response.error


def test_a_call_in_time_is_as_if_it_was_called_directly() -> None:
    assert deadline.within(30, lambda: 7) == 7
    with pytest.raises(KeyError):
        deadline.within(30, lambda: {}["x"])
    with pytest.raises(socket.timeout, match="no complete answer within 0 seconds"):
        deadline.within(0.01, threading.Event().wait)
