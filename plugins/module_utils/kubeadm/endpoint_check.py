# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks the endpoint of a cluster before a node joins.

If a token is wrong or an endpoint does not answer, kubeadm polls for five minutes. The same request is sent here first,
so that such a join fails within seconds, with one line, before anything is changed.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from datetime import datetime
from typing import Callable, Optional, Tuple, TypeVar, cast

from ..api_endpoint import hosts_file
from ..core.addresses import parse_endpoint
from ..core.deadline import within
from ..core.errors import KubesteadError
from ..core.https import client_context, exchange
from ..core.poll import Clock, Sleep, poll
from ..core.untrusted import parse_json
from . import cluster_info
from .cluster_info import ClusterInfo
from .join_command import JoinCommand, require_alive

# Seconds to wait for an endpoint that is starting, for one answer, and for a controller manager that is starting.
ENDPOINT_TIMEOUT = 5.0
REQUEST_TIMEOUT = 3.0
SIGNATURE_TIMEOUT = 6.0
# Seconds for which a new token may be unknown to an API server on a busy machine.
TOKEN_TIMEOUT = 20.0
# Seconds that an answer may take once it has started.
DEADLINE = 10.0

Answer = TypeVar("Answer")


def request(host: str, port: int, seconds: float, token: str = "", ca_certificate: str = "") -> Tuple[int, str]:
    """GET cluster-info: HTTP status and body. Raises OSError.

    Without a ``token``, the request has no credentials and the server is not verified, as in kubeadm. A token is sent
    only to a server that ``ca_certificate`` (PEM) verifies.
    """
    headers = {"Accept": "application/json"}
    if token:
        context = client_context(ca_certificate)
        headers["Authorization"] = "Bearer {0}".format(token)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    return within(seconds + DEADLINE, lambda: exchange(connection, "GET", cluster_info.PATH, headers=headers))


# Requests cluster-info: (host, port, timeout in seconds, token, CA) -> HTTP status and body. Raises OSError.
Client = Callable[[str, int, float, str, str], Tuple[int, str]]


def precheck(
    command: JoinCommand,
    client: Client = request,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
    now: Optional[datetime] = None,
) -> None:
    """Make sure that a join can succeed: the endpoint answers, knows the token, and has the CA that is expected.

    The signature of cluster-info is verified with the token, as kubeadm does, so a token with the right ID but a wrong
    secret is found too. If the cluster has not signed with the token yet and the CA's certificate is known, the token
    is sent to the API server, and the check waits for a controller manager that is starting. An endpoint that is
    starting gets 5 s, each request 3 s. Raises :class:`KubesteadError` with one line, without the secrets.
    """
    require_alive(command, now)
    info = _patiently(lambda: _ask_once(command, client), clock, sleep)
    unknown = [value for value in info.ca_cert_hashes if value not in command.ca_cert_hashes]
    if unknown:
        raise KubesteadError(
            "ca_cert_hashes has {0}, but the cluster at {1} has the CA {2}; if it is the right "
            "cluster, use the hash of its CA".format(
                ", ".join(command.ca_cert_hashes), command.endpoint, ", ".join(unknown)
            )
        )
    if not info.knows(command.token_id):
        if not command.ca_certificate:
            raise _unknown_token(command)
        _patiently(lambda: _authenticate(command, client), clock, sleep, TOKEN_TIMEOUT)
        _await_signature(command, client, clock, sleep)
    elif not info.signed_by(command.token):
        raise KubesteadError(
            "token {0} is known at {1}, but has a different secret part; create a new token "
            "with kubeadm_join_token".format(command.token_id, command.endpoint)
        )


def _patiently(
    question: Callable[[], Answer], clock: Optional[Clock], sleep: Optional[Sleep], seconds: float = ENDPOINT_TIMEOUT
) -> Answer:
    """The answer to a question, asked again for ``seconds`` if it may change. Raises :class:`KubesteadError`."""

    def attempt() -> Tuple[Optional[Answer], Optional[_Unready]]:
        try:
            return question(), None
        except _Unready as err:
            return None, err

    def decided(outcome: Tuple[Optional[Answer], Optional[_Unready]]) -> bool:
        return outcome[1] is None or not outcome[1].may_change

    answer, error = poll(attempt, seconds, decided, pause=0.5, growth=2.0, clock=clock, sleep=sleep)
    if error is not None:
        raise KubesteadError(error.message)
    return cast(Answer, answer)


class _Unready(KubesteadError):
    """A question without a usable answer. ``may_change`` is true if a later attempt may succeed."""

    def __init__(self, message: str, may_change: bool) -> None:
        super().__init__(message)
        self.may_change = may_change


def _unknown_token(command: JoinCommand, may_change: bool = False) -> _Unready:
    text = "token {0} is unknown at {1}: it has expired, was deleted, or belongs to another cluster; {2}"
    make = "create a new one with kubeadm_join_token"
    return _Unready(text.format(command.token_id, command.endpoint, make), may_change)


def _answer(command: JoinCommand, client: Client, token: str = "") -> Tuple[int, str]:
    """The answer of the endpoint. Raises :class:`_Unready` without one."""
    endpoint = command.endpoint
    host, port = parse_endpoint("endpoint", endpoint)
    try:
        return client(host, port, REQUEST_TIMEOUT, token, command.ca_certificate)
    except socket.gaierror as err:
        fix = "check the name and the DNS of this host"
        if hosts_file.is_endpoint_name(host):
            fix = "run site.yml or the role api_endpoint for this host"
        text = "endpoint {0}: this host can't resolve {1} ({2}); {3}"
        raise _Unready(text.format(endpoint, host, err.strerror, fix), False) from None
    except ssl.SSLCertVerificationError as err:
        text = "endpoint {0} has a certificate that the cluster's CA does not verify: {1}; {2}"
        fix = "use an endpoint that is in the certificate (cluster_cert_sans)"
        raise _Unready(text.format(endpoint, err.verify_message, fix), False) from None
    except ssl.SSLEOFError:
        # A proxy without a healthy API server also accepts connections, and then closes them.
        text = "endpoint {0} closes the connection; check that the API server behind it runs"
        raise _Unready(text.format(endpoint), True) from None
    except ssl.SSLError as err:
        text = "endpoint {0} does not use TLS ({1}); use the address and port of the API server"
        raise _Unready(text.format(endpoint, getattr(err, "reason", "") or "handshake failed"), False) from None
    except OSError as err:
        why = err.strerror or str(err) or type(err).__name__
        text = "endpoint {0} does not answer ({1}); check that the API server runs and that this host can reach it"
        raise _Unready(text.format(endpoint, why), True) from None


def _authenticate(command: JoinCommand, client: Client) -> None:
    """Check that the token authenticates. Whether it may read cluster-info does not matter."""
    status, _body = _answer(command, client, command.token)
    if status == 401:
        # An API server knows a new token only after a moment.
        raise _unknown_token(command, may_change=True)


def _await_signature(command: JoinCommand, client: Client, clock: Optional[Clock], sleep: Optional[Sleep]) -> None:
    """Give the controller manager time to start: it signs with the token when it is ready to sign certificates.

    A kubelet that starts earlier looks for its Node at increasing intervals. The join also succeeds without the
    signature, so a signature that is still missing after a few seconds is not a failure.
    """

    def is_signed() -> bool:
        try:
            return _ask_once(command, client).knows(command.token_id)
        except _Unready:
            return False

    poll(is_signed, SIGNATURE_TIMEOUT, pause=0.2, clock=clock, sleep=sleep)


def _ask_once(command: JoinCommand, client: Client) -> ClusterInfo:
    endpoint = command.endpoint
    status, body = _answer(command, client)
    if status in (401, 403):
        text = "endpoint {0} refuses access to cluster-info (HTTP {1}); run `kubeadm init phase bootstrap-token` there"
        raise _Unready(text.format(endpoint, status), False)
    if status == 404:
        text = "endpoint {0} has no cluster-info (HTTP 404): kubeadm did not create the cluster, or did not finish; {1}"
        raise _Unready(text.format(endpoint, "run `kubeadm init phase bootstrap-token` there"), False)
    if status != 200:
        text = "endpoint {0} answers with HTTP {1}; check that the API server is healthy"
        raise _Unready(text.format(endpoint, status), status >= 500 or status == 429)
    try:
        config_map = parse_json(body)
        if not isinstance(config_map, dict):
            raise ValueError("it is not an object")
        return cluster_info.read(config_map)
    except ValueError:
        text = "endpoint {0} answers, but is not an API server; use the address and port of the API server"
        raise _Unready(text.format(endpoint), False) from None
