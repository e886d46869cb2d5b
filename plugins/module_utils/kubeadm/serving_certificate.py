# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives the API server of a control plane a certificate with more names. Clients keep their connections.

kubeadm makes the pair in a folder next to the present pair, which stays until the new one is complete. The API server
reads a changed pair again by itself. The previous pair is put back if the new one is not served.
"""

from __future__ import annotations

import os
from typing import Callable, List, Optional, Sequence
from urllib.parse import urlsplit

from ..core import foreign_files, untrusted
from ..core.addresses import normal_address, parse_endpoint
from ..core.constants import PKI
from ..core.deadline import within
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.secret_files import private_file
from ..core.system import System
from ..core.x509 import certificate_names
from . import endpoint_text, static_pods
from .config import document, render_documents

CERTIFICATE = PKI + "/apiserver.crt"
KEY = PKI + "/apiserver.key"
#: The new pair, and links to the CA, while it is made.
STAGING = "/var/lib/kubestead/endpoint/pki"
_PAIR = ("apiserver.key", "apiserver.crt")
_PREVIOUS = "previous-"
# Seconds for the API server to read a changed pair: at once if it sees the change, otherwise once a minute.
_SERVED = 180.0
_CONNECT = 5.0
# Nothing connects to it here. Without a value, kubeadm refuses a machine with several runtimes.
_CRI_SOCKET = "unix:///run/containerd/containerd.sock"

# The certificate (PEM) of the server at a URL; empty without an answer.
Peer = Callable[[str], str]


def peer_certificate(url: str) -> str:
    """The certificate that the server at ``url`` presents, in PEM; empty if it does not answer. Never raises."""
    # Only a control plane needs these; they take a while to load.
    import socket
    import ssl

    place = urlsplit(url)

    def ask() -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection((str(place.hostname), place.port or 443), timeout=_CONNECT) as raw:
            with context.wrap_socket(raw) as connection:
                return ssl.DER_cert_to_PEM_cert(connection.getpeercert(True) or b"")

    try:
        return within(_CONNECT * 2, ask)
    except (OSError, ValueError):
        return ""


def same_certificate(one: str, other: str) -> bool:
    """True if the first certificates of both PEM texts are the same. A server's file may have a chain of them."""
    first, second = ("".join(text.partition("-----END")[0].split()) for text in (one, other))
    return bool(second) and first == second


def has_name(names: Sequence[str], endpoint: str) -> bool:
    """True if a certificate with these names is valid for an endpoint (``host:port``)."""
    return normal_address(parse_endpoint("endpoint", endpoint)[0]) in names


def is_pair(system: System, folder: str, prefix: str = "") -> bool:
    """True if certificate and key in a folder belong together."""
    import ssl

    key, certificate = (system.path("{0}/{1}{2}".format(folder, prefix, name)) for name in _PAIR)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)
    except (OSError, ValueError):
        return False
    return True


def interrupted(system: System) -> bool:
    """True if a run was killed between the two files of the pair, so that the API server could not start again."""
    return system.exists(STAGING) and not is_pair(system, PKI)


def complete(system: System) -> None:
    """Install a complete pair after an interruption: the new one, or else the previous one.

    Raises :class:`KubesteadError` without a complete pair.
    """
    for prefix in ("", _PREVIOUS):
        if is_pair(system, STAGING, prefix):
            _install(system, prefix)
            return
    raise KubesteadError(
        "{0} does not match its key, and {1} has no other pair; remove both files, then run 'kubeadm init phase certs "
        "apiserver'".format(CERTIFICATE, STAGING)
    )


def renew(
    system: System,
    configuration: str,
    endpoint: str,
    node_name: str,
    peer: Peer = peer_certificate,
    more: Sequence[str] = (),
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> None:
    """Make and install a certificate with all present names and that of ``endpoint``, and wait until it is served.

    ``more`` are further names, addresses in their canonical form. ``configuration`` is the ClusterConfiguration of the
    cluster. Raises :class:`KubesteadError`.
    """
    pod = static_pods.observe(system).get("kube-apiserver", static_pods.StaticPod())
    url = static_pods.api_server_url(pod)
    names = [*certificate_names(system.read(CERTIFICATE) or ""), *more]
    text = endpoint_text.with_endpoint(configuration, endpoint, names, system.path(STAGING))
    if text is None or not url:
        raise KubesteadError("the ClusterConfiguration or the manifest of the API server was changed; run again")
    try:
        _make(system, text, url, node_name)
        _require_names(system, names, endpoint)
    except KubesteadError:
        system.remove(STAGING)
        raise
    for name in _PAIR:
        old = foreign_files.read_exact(system, "{0}/{1}".format(PKI, name)) or ""
        system.write("{0}/{1}{2}".format(STAGING, _PREVIOUS, name), old, mode=0o600)
    _install(system)
    try:
        wait(system, url, peer, clock, sleep)
    except KubesteadError:
        _install(system, _PREVIOUS)
        # It has private keys. A run that is killed before leaves it to the next one.
        system.remove(STAGING)
        raise
    system.remove(STAGING)


def _require_names(system: System, names: Sequence[str], endpoint: str) -> None:
    """Raise :class:`KubesteadError` unless kubeadm made a pair with all names and that of the endpoint."""
    made = certificate_names(system.read("{0}/{1}".format(STAGING, _PAIR[1])) or "")
    lost = [name for name in names if name not in made]
    if not is_pair(system, STAGING) or not has_name(made, endpoint) or lost:
        raise KubesteadError(
            "kubeadm did not create the expected certificate (names: {0}); nothing was changed".format(
                ", ".join(made[:20]) or "none"
            )
        )


def wait(
    system: System,
    url: str,
    peer: Peer = peer_certificate,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> None:
    """Wait until the API server presents the certificate in its file. Raises :class:`KubesteadError`."""
    certificate = system.read(CERTIFICATE) or ""
    if not poll(lambda: same_certificate(certificate, peer(url)), _SERVED, pause=0.5, clock=clock, sleep=sleep):
        raise KubesteadError(
            "the API server at {0} does not present its new certificate after {1:.0f} s; restart its container "
            "(crictl stop) and run again".format(url, _SERVED)
        )


def _make(system: System, configuration: str, url: str, node_name: str) -> None:
    system.remove(STAGING)
    real = system.path(STAGING)
    os.makedirs(os.path.dirname(real), mode=0o755, exist_ok=True)
    os.mkdir(real, mode=0o700)
    for name in ("ca.crt", "ca.key"):
        os.symlink(system.path("{0}/{1}".format(PKI, name)), os.path.join(real, name))
    place = urlsplit(url)
    api = untrusted.text(_api_version(configuration), 64)
    first = document(
        api,
        "InitConfiguration",
        {
            "localAPIEndpoint": {"advertiseAddress": str(place.hostname), "bindPort": place.port or 6443},
            "nodeRegistration": {"name": node_name, "criSocket": _CRI_SOCKET},
        },
    )
    with private_file(system, "{0}---\n{1}\n".format(render_documents([first]), configuration.strip("\n"))) as path:
        argv = ["kubeadm", "init", "phase", "certs", "apiserver", "--config", path]
        done = system.run(argv, timeout=120.0)
    if not done.ok:
        raise KubesteadError("kubeadm can't create the certificate of the API server: {0}".format(done.last_line))


def _api_version(configuration: str) -> str:
    found = [line for line in configuration.split("\n") if line.startswith("apiVersion:")]
    return found[0].rpartition("/")[2].strip(" \"'") if found else ""


def _install(system: System, prefix: str = "") -> None:
    """Replace both files. Owner, mode and attributes stay."""
    texts: List[str] = []
    for name in _PAIR:
        text = foreign_files.read_exact(system, "{0}/{1}{2}".format(STAGING, prefix, name))
        if not text:
            raise KubesteadError("{0}/{1}{2} is missing; run again".format(STAGING, prefix, name))
        texts.append(text)
    for name, text in zip(_PAIR, texts):
        foreign_files.rewrite(system, "{0}/{1}".format(PKI, name), _constant(text), backup=False)


def _constant(text: str) -> Callable[[str], str]:
    return lambda _old: text
