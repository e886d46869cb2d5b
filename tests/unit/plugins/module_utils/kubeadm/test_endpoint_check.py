# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking a cluster's endpoint before a node joins it; the answers are a real API server's."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import cluster_info
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import endpoint_check as join_precheck
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_check import precheck
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import JoinCommand, parse
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, fixture

CA = "sha256:dc846602c390dff22f312f0cf8a3b5d6064860426c5ac9119b7a4351697241f1"
OTHER = "sha256:" + "1" * 64
REAL = parse(fixture("join/v1.35/worker.txt"))
INFO = fixture("join/v1.35/cluster-info.json")


def ask_with(status: int = 200, body: str = INFO) -> join_precheck.Client:
    return lambda *_question: (status, body)


def refuse(error: Exception) -> join_precheck.Client:
    def client(*_question: Any) -> tuple[int, str]:
        raise error

    return client


def test_a_real_command_passes() -> None:
    asked: list[Any] = []

    def client(*question: Any) -> tuple[int, str]:
        asked.append(question)
        return 200, INFO

    precheck(REAL, client=client, **Clock().injected)
    assert asked == [("10.213.0.28", 6443, 3.0, "", "")]


@pytest.mark.parametrize(
    "command, client, says",
    [
        (replace(REAL, token="aaaaaa.0123456789abcdef"), ask_with(), "token aaaaaa is unknown at 10.213.0.28:6443"),
        (
            replace(REAL, token=REAL.token_id + ".0123456789abcdef"),
            ask_with(),
            f"token {REAL.token_id} is known at 10.213.0.28:6443, but has a different secret part",
        ),
        (replace(REAL, ca_cert_hashes=[OTHER]), ask_with(), f"but the cluster at 10.213.0.28:6443 has the CA {CA}"),
        (replace(REAL, expires="2020-01-01T00:00:00Z"), ask_with(), "expired at 2020-01-01T00:00:00Z"),
        (REAL, refuse(ConnectionRefusedError(111, "Connection refused")), "does not answer (Connection refused)"),
        (REAL, refuse(TimeoutError("timed out")), "does not answer (timed out)"),
        (REAL, refuse(socket.gaierror(-2, "Name or service not known")), "this host can't resolve 10.213.0.28"),
        (
            replace(REAL, endpoint="api.home.internal:6443"),
            refuse(socket.gaierror(-2, "Name or service not known")),
            "run site.yml or the role api_endpoint for this host",
        ),
        (REAL, refuse(ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]")), "does not use TLS"),
        (REAL, refuse(ssl.SSLEOFError(8, "EOF occurred in violation of protocol")), "closes the connection"),
        (REAL, ask_with(403), "refuses access to cluster-info (HTTP 403)"),
        (REAL, ask_with(404), "has no cluster-info (HTTP 404)"),
        (REAL, ask_with(503, "no"), "answers with HTTP 503"),
        (REAL, ask_with(200, "<html>"), "answers, but is not an API server"),
        (REAL, ask_with(200, "[]"), "answers, but is not an API server"),
        (REAL, ask_with(200, "{}"), "cluster-info does not have a server"),
    ],
)
def test_joins_that_would_fail_are_told_in_one_line(
    command: JoinCommand, client: join_precheck.Client, says: str
) -> None:
    with pytest.raises(KubesteadError) as caught:
        precheck(command, client=client, **Clock().injected)
    message = caught.value.message
    assert says in message
    assert "\n" not in message
    assert command.token.split(".")[1] not in message


def test_an_endpoint_that_is_just_coming_up_is_asked_again() -> None:
    answers = [(503, ""), (200, INFO)]
    clock = Clock()
    precheck(REAL, client=lambda *_question: answers.pop(0), **clock.injected)
    assert clock.waits == [0.5]


@pytest.mark.parametrize(
    "client, questions",
    [
        (refuse(ConnectionRefusedError(111, "Connection refused")), 5),
        (ask_with(404), 1),
        (refuse(socket.gaierror(-2, "x")), 1),
    ],
)
def test_how_often_and_how_long_it_asks(client: join_precheck.Client, questions: int) -> None:
    clock = Clock()
    with pytest.raises(KubesteadError):
        precheck(REAL, client=client, **clock.injected)
    assert len(clock.waits) == questions - 1
    assert sum(clock.waits) <= 6


def test_a_token_is_judged_by_the_clock_that_is_given() -> None:
    command = replace(REAL, expires="2026-11-23T12:00:00Z")
    precheck(command, client=ask_with(), now=datetime(2026, 11, 23, 11, 59, tzinfo=UTC))
    with pytest.raises(KubesteadError, match="expired"):
        precheck(command, client=ask_with(), now=datetime(2026, 11, 23, 12, 1, tzinfo=UTC))


def test_asking_a_port_that_nobody_listens_on() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError):
        join_precheck.request("127.0.0.1", port, 2.0)


def test_the_path_that_is_asked_is_kubeadms() -> None:
    refused = fixture("join/v1.35/join-refused.stderr")
    assert f"https://10.213.0.28:6444{cluster_info.PATH}?timeout" in refused


# -- a cluster that has not signed with the token yet

CA_PEM = base64.b64decode(
    re.findall(r"certificate-authority-data: (\S+)", json.loads(INFO)["data"]["kubeconfig"])[0]
).decode()
UNSIGNED = json.dumps({"data": {"kubeconfig": json.loads(INFO)["data"]["kubeconfig"]}})
WITH_CA = replace(REAL, ca_certificate=CA_PEM)


def asked_with_token(*statuses: int) -> tuple[join_precheck.Client, list[tuple[str, str]]]:
    """A cluster that has signed nothing, its answers to those who bring a token, and what was asked with."""
    answers, asked = list(statuses), []

    def client(_host: str, _port: int, _seconds: float, token: str, ca_certificate: str) -> tuple[int, str]:
        asked.append((token, ca_certificate))
        return (answers.pop(0), "") if token else (200, UNSIGNED)

    return client, asked


@pytest.mark.parametrize("status", [200, 403])
def test_a_token_that_nothing_is_signed_with_yet_is_tried_where_the_ca_is_at_hand(status: int) -> None:
    client, asked = asked_with_token(status)
    clock = Clock()
    precheck(WITH_CA, client=client, **clock.injected)
    assert (REAL.token, CA_PEM) in asked
    # No signature came, which is no failure.
    assert join_precheck.SIGNATURE_TIMEOUT <= sum(clock.waits) < join_precheck.SIGNATURE_TIMEOUT + 1


def test_a_controller_manager_that_still_starts_is_waited_for() -> None:
    answers = [UNSIGNED, UNSIGNED, INFO]
    clock = Clock()

    def client(_host: str, _port: int, _seconds: float, token: str, _ca: str) -> tuple[int, str]:
        return (200, "") if token else (200, answers.pop(0))

    precheck(WITH_CA, client=client, **clock.injected)
    assert (answers, clock.waits) == ([], [0.2])


def test_a_token_is_never_shown_to_a_server_that_nobody_vouches_for() -> None:
    client, asked = asked_with_token()
    with pytest.raises(KubesteadError, match=f"token {REAL.token_id} is unknown at"):
        precheck(REAL, client=client, **Clock().injected)
    assert [token for token, _ca in asked] == [""]


def test_an_api_server_hears_of_a_new_token_a_moment_later() -> None:
    client, _asked = asked_with_token(401, 403)
    clock = Clock()
    precheck(WITH_CA, client=client, **clock.injected)
    assert clock.waits[0] == 0.5


def test_a_token_that_the_api_server_refuses_is_unknown() -> None:
    client, asked = asked_with_token(*[401] * 30)
    clock = Clock()
    with pytest.raises(KubesteadError, match=f"token {REAL.token_id} is unknown at"):
        precheck(WITH_CA, client=client, **clock.injected)
    # One on a busy machine hears of a new token late.
    assert sum(clock.waits) == join_precheck.TOKEN_TIMEOUT and len(asked) < 20


def test_a_certificate_for_another_name_is_told() -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "IP address mismatch"

    def client(_host: str, _port: int, _seconds: float, token: str, _ca: str) -> tuple[int, str]:
        if token:
            raise error
        return 200, UNSIGNED

    with pytest.raises(KubesteadError, match="that the cluster's CA does not verify: IP address mismatch; use"):
        precheck(WITH_CA, client=client, **Clock().injected)


def test_an_endpoint_that_falls_silent_meanwhile_is_not_waited_for_long() -> None:
    questions: list[str] = []
    clock = Clock()

    def client(_host: str, _port: int, _seconds: float, token: str, _ca: str) -> tuple[int, str]:
        questions.append(token)
        if len(questions) > 2:
            clock.now += join_precheck.REQUEST_TIMEOUT
            raise TimeoutError("timed out")
        return (200, "") if token else (200, UNSIGNED)

    precheck(WITH_CA, client=client, **clock.injected)
    assert len(questions) * join_precheck.REQUEST_TIMEOUT <= 15


def test_a_proxy_that_knows_no_healthy_api_server_yet_is_asked_again() -> None:
    answers: list[Any] = [ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), (200, INFO)]

    def client(*_question: Any) -> tuple[int, str]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    precheck(REAL, client=client, **Clock().injected)
    assert not answers
