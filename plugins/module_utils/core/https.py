# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HTTPS client with a client certificate that uses only the standard library.

A process of kubectl takes 50 ms and more; a request on a connection that is open takes one or two.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from .deadline import within

if TYPE_CHECKING:
    import http.client
    import ssl

# The time limit for all answers together, in seconds.
_DEADLINE = 60.0
# VERIFY_X509_PARTIAL_CHAIN; the ssl module has this constant since Python 3.10.
_PARTIAL_CHAIN = 0x80000
# Bytes of one answer: a Node with its images is 15 kB.
_LARGEST = 128 << 20


@dataclass(frozen=True)
class Credentials:
    """The trusted CA and the credentials of the client, as PEM text: a certificate and its key, or else a token."""

    authority: str = ""
    certificate: str = ""
    key: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Answer:
    """The answer of a server. ``status`` is the HTTP code, or 0 without an answer; ``error`` is then the reason."""

    status: int = 0
    body: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """True for the HTTP code 200."""
        return self.status == 200


# (base URL, paths, credentials, seconds) -> an answer for each path
Getter = Callable[[str, Sequence[str], Credentials, float], List[Answer]]


def get(url: str, paths: Sequence[str], credentials: Credentials, timeout: float = 5.0) -> List[Answer]:
    """Request the paths below ``url`` one after the other on one connection.

    ``timeout`` is in seconds and applies to each socket operation; all answers together may take a minute. The server
    must have a certificate of ``credentials.authority`` for the host in ``url``. Never raises: if the connection fails,
    the remaining answers have the reason as their ``error``.
    """
    # Only a control plane needs these; they take a while to load.
    import http.client
    import ssl

    answers: List[Answer] = []

    def ask() -> None:
        connection = None
        try:
            place = urlsplit(url)
            context = _context(credentials)
            connection = http.client.HTTPSConnection(str(place.hostname), place.port, timeout=timeout, context=context)
            for path in paths:
                answers.append(_ask(connection, path, credentials.token))
        finally:
            if connection is not None:
                connection.close()

    try:
        within(_DEADLINE, ask)
    except (OSError, ValueError, TypeError, http.client.HTTPException, ssl.SSLError) as err:
        # A copy: what is late may still be added.
        answered = list(answers)
        return answered + [Answer(error=_reason(err, timeout))] * (len(paths) - len(answered))
    return answers


def _ask(connection: http.client.HTTPSConnection, path: str, token: str) -> Answer:
    headers = {"Accept": "application/json"}
    if token:
        headers["Authorization"] = "Bearer {0}".format(token)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read(_LARGEST)
    if answer.read(1):
        raise ValueError("the answer is larger than {0} MB".format(_LARGEST >> 20))
    return Answer(answer.status, body.decode("utf-8", "replace"))


def exchange(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: Optional[str] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> Tuple[int, str]:
    """The status and the body of one request, at most 1 MiB of it. Closes the connection. Raises OSError."""
    import http.client

    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20).decode("utf-8", "replace")
    except (http.client.HTTPException, ValueError) as err:
        # ValueError: the name is not a valid DNS name.
        raise OSError("no HTTP answer ({0})".format(type(err).__name__)) from err
    finally:
        connection.close()


def client_context(authority: Optional[str] = None) -> ssl.SSLContext:
    """The context for all connections that verify the server. ``authority`` is a CA in PEM; None means the system's.

    Like Go, curl and apt, it accepts a CA without a key usage and an intermediate CA. Python's defaults refuse both.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | _PARTIAL_CHAIN
    if authority is None:
        context.load_default_certs()
    else:
        context.load_verify_locations(cadata=authority)
    return context


def _context(credentials: Credentials) -> ssl.SSLContext:
    context = client_context(credentials.authority)
    if credentials.certificate:
        # Python reads a key from a file alone: this one has no name, and is memory that goes with its descriptor.
        descriptor = os.memfd_create("kubestead")
        try:
            with open(descriptor, "w", encoding="utf-8", closefd=False) as stream:
                stream.write("{0}\n{1}\n".format(credentials.certificate.strip(), credentials.key.strip()))
            context.load_cert_chain("/proc/self/fd/{0}".format(descriptor))
        finally:
            os.close(descriptor)
    return context


def _reason(error: Exception, timeout: float) -> str:
    """The cause in a few words, without text from the server."""
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not trusted ({0})".format(error.verify_message)
    if isinstance(error, ssl.SSLError):
        return "TLS failed ({0})".format(error.reason or "no reason given")
    if isinstance(error, socket.timeout):
        return "no answer within {0:.0f} s".format(timeout)
    if isinstance(error, socket.gaierror):
        return "unknown name"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return "unreachable"
    if isinstance(error, OSError):
        return (error.strerror or type(error).__name__).lower()
    if isinstance(error, ValueError):
        return str(error)
    return "no HTTP answer ({0})".format(type(error).__name__)
