# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is hidden, in every shape it comes in, and what stays readable."""

from __future__ import annotations

import base64
import json

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import (
    HIDDEN,
    is_secret_key,
    redact,
    redact_data,
)

SECRET = "Zm9vYmFyYmF6cXV4"
TOKEN, KEY = "abcdef.0123456789abcdef", "0123456789abcdef" * 4
BODY = "MIIEpAIBAAKCAQEAsecretsecretsecretsecretsecret\n" * 3
PEM = "-----BEGIN {0}PRIVATE KEY-----\n" + BODY + "-----END {0}PRIVATE KEY-----"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBcertcertcertcertcert\n-----END CERTIFICATE-----"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # bootstrap tokens
        (f"--token {TOKEN} x", "--token abcdef.<hidden> x"),
        (f"--token={TOKEN}", "--token=abcdef.<hidden>"),
        (f"token {TOKEN}.", "token abcdef.<hidden>."),
        (f'err="bad\\n{TOKEN}\\n"', 'err="bad\\nabcdef.<hidden>\\n"'),
        (f"_{TOKEN}_", "_abcdef.<hidden>_"),
        ("--token not.a-token", "--token <hidden>"),
        # certificate keys
        (f"key {KEY}, next", "key <hidden>, next"),
        (f"certificate key:{KEY.upper()}", "certificate key:<hidden>"),
        ("--certificate-key tooshort", "--certificate-key <hidden>"),
        ("certificateKey: tooshort", "certificateKey: <hidden>"),
        # URLs
        (f"GET https://bob:{SECRET}@registry:5000/v2/", "GET https://bob:<hidden>@registry:5000/v2/"),
        (f"http://bob:{SECRET}@x@proxy:3128", "http://bob:<hidden>@proxy:3128"),
        (f"http://bob:{SECRET}/a#b@proxy:3128", "http://bob:<hidden>@proxy:3128"),
        (f"https://{SECRET}@git/x and http://a:b@c", "https://<hidden>@git/x and http://a:<hidden>@c"),
        (f"'http://bob:{SECRET}@h','http://bob:{SECRET}@i'", "'http://bob:<hidden>@h','http://bob:<hidden>@i'"),
        # HTTP
        (f"Authorization: Bearer {SECRET}", "Authorization: <hidden>"),
        (f'"authorization": "Basic {SECRET}"', '"authorization": "<hidden>"'),
        (f"sent bearer {SECRET}123 there", "sent bearer <hidden> there"),
        (f'curl -H "X: Basic {SECRET}="', 'curl -H "X: Basic <hidden>"'),
        # fields
        (f'{{"auths": {{"r": {{"auth": "{SECRET}"}}}}}}', '{"auths": {"r": {"auth": "<hidden>"}}}'),
        (f'"{{\\"password\\": \\"{SECRET}\\", \\"a\\": 1}}"', '"{\\"password\\": \\"<hidden>\\", \\"a\\": 1}"'),
        (f'password = "{SECRET} \\" {SECRET}"\na = 1', 'password = "<hidden>"\na = 1'),
        (f"password: {SECRET} {SECRET}\nuser: bob", "password: <hidden>\nuser: bob"),
        (f"proxyPassword: '{SECRET}'", "proxyPassword: '<hidden>'"),
        (f"//nas/x /mnt cifs user=u,password={SECRET},vers=3 0", "//nas/x /mnt cifs user=u,password=<hidden>,vers=3 0"),
        (f"pass={SECRET}", "pass=<hidden>"),
        (f"token={SECRET}&x", "token=<hidden>"),
        (f"    token: {SECRET}\n", "    token: <hidden>\n"),
        (f"    client-key-data: {SECRET}\n", "    client-key-data: <hidden>\n"),
        (f"identitytoken: {SECRET}", "identitytoken: <hidden>"),
        (f"private-token: {SECRET}", "private-token: <hidden>"),
        (f"X-Vault-Token: {SECRET}", "X-Vault-Token: <hidden>"),
        (f"machine h login bob password {SECRET}", "machine h login bob password <hidden>"),
        (f"curl -u bob:{SECRET} https://h", "curl -u bob:<hidden> https://h"),
        (f"wget --user=bob:{SECRET}", "wget --user=bob:<hidden>"),
        # keys
        (PEM.format("") + "\nrest", "<hidden>\nrest"),
        (PEM.format("RSA ").replace("\n", "\\n"), "<hidden>"),
        (CERTIFICATE + "\n" + PEM.format("EC ") + "\n" + CERTIFICATE, f"{CERTIFICATE}\n<hidden>\n{CERTIFICATE}"),
        ("cut " + PEM.format("")[:100], "cut <hidden>"),
        ("end\n" + PEM.format("").partition("\n")[2], "end\n<hidden>"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl!", "<hidden>!"),
    ],
)
def test_secrets_are_hidden(text: str, shown: str) -> None:
    assert redact(text) == shown
    # What was filtered may be filtered again on its way.
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        f"--discovery-token-ca-cert-hash sha256:{KEY}",
        f"registry.k8s.io/pause@sha256:{KEY}",
        f"docker://localhost:5000/x@sha256:{KEY}",
        f"oci://[fd00::1]:5000/x@sha256:{KEY}",
        "https://k8s.example.org:6443/api?x=1 and root@example.org",
        "Basic authentication is off, a bearer token is not",
        "invalid bootstrap token: it has expired",
        "password authentication failed for user bob",
        "kubernetes.io/docs, kubeadm.k8s.io/v1beta4",
        CERTIFICATE,
        'auth = { username = "bob" }',
        'password: ""',
    ],
)
def test_what_is_public_stays(text: str) -> None:
    assert redact(text) == text


def test_base64_of_a_key_is_hidden_and_that_of_a_certificate_is_not() -> None:
    def encoded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    assert redact(f"data: {encoded(PEM.format('RSA '))} x") == "data: <hidden> x"
    # The kubelet's own file is a certificate and its key.
    assert redact(encoded(CERTIFICATE + "\n" + PEM.format("EC "))) == HIDDEN
    assert redact(encoded(CERTIFICATE)) == encoded(CERTIFICATE)


def test_known_secrets_are_hidden_whatever_they_look_like() -> None:
    assert redact("a s3cret and s3cret-longer", "s3cret", "", "s3cret-longer") == "a <hidden> and <hidden>"


def test_data() -> None:
    data = {
        "config": {"auth": {"username": "bob", "password": "x y"}, "identitytoken": "abc", "password": ""},
        "header": {"Authorization": ["Basic abc"]},
        f"https://bob:{SECRET}@mirror": [f"--token {TOKEN}", 7, None, True],
        "clientKeyData": "abc",
        "auth": True,
    }
    before = json.dumps(data)
    assert redact_data(data) == {
        "config": {"auth": {"username": "bob", "password": HIDDEN}, "identitytoken": HIDDEN, "password": ""},
        "header": {"Authorization": HIDDEN},
        "https://bob:<hidden>@mirror": ["--token abcdef.<hidden>", 7, None, True],
        "clientKeyData": HIDDEN,
        "auth": True,
    }
    assert json.dumps(data) == before
    assert redact_data(redact_data(data)) == redact_data(data)
    assert redact_data({"a": ["my s3cret"]}, "s3cret") == {"a": ["my <hidden>"]}
    assert is_secret_key("certificate_key") and not is_secret_key("keyring")


@pytest.mark.parametrize(
    "part",
    [
        "://a:",
        "://a@",
        "-----BEGIN PRIVATE KEY-----",
        "-----END PRIVATE KEY-----",
        "AAAAAAAAAAAAAAAAAAAAAA\n",
        "-----BEGIN ",
        "eyJeyJeyJ",
        "eyJabcdefghi.",
        "LS0tLS1CRUdJTi",
        "0123456789abcdef",
        "abcdef.",
        "password",
        "password: ",
        'password="\\"',
        'password=\\"',
        "password=",
        "token ",
        "authorization:\t",
        "bearer ",
        "--token ",
        "\\n",
        "a",
        " ",
        "'",
    ],
)
def test_large_texts_take_linear_time(part: str) -> None:
    # With a pattern that starts over at every place this would not end within minutes.
    redact("password " + part * (2**18 // len(part)) + "-----END PRIVATE KEY-----")


def test_a_megabyte_of_a_log_with_secrets() -> None:
    line = f"E1124 00:01:02.000001 123 x.go:1] bad --token {TOKEN} at https://bob:{SECRET}@h password={SECRET}\n"
    shown = redact(line * (2**20 // len(line)))
    assert shown.count(HIDDEN) == 3 * (2**20 // len(line)) and SECRET not in shown and TOKEN not in shown
