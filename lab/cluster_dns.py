# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's name server for where there is no CoreDNS: names of Services and endpoints, everything else forwarded.

It is run in place of CoreDNS, as ``coredns -conf Corefile``, by the manifest kubeadm writes: the same ports, probes,
zone and service account. A program of its own without the rest of the lab, so that an image needs nothing but Python.
"""

from __future__ import annotations

import http.server
import ipaddress
import json
import os
import re
import signal
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
A, AAAA, PTR, ANY = 1, 28, 12, 255
NOERROR, SERVFAIL, NXDOMAIN, NOTIMP = 0, 2, 3, 4
TTL = 5  # seconds; also about how old an answer may be
POLL = 1.0  # seconds


@dataclass(frozen=True)
class Records:
    """Name -> addresses, lower case and without the last dot; an empty list is a name without address."""

    zone: str
    addresses: Dict[str, List[str]] = field(default_factory=dict)

    def find(self, name: str) -> Optional[List[str]]:
        """The addresses of ``name``; None when there is no such name."""
        found = self.addresses.get(name)
        if found is not None:
            return found
        pod = re.fullmatch(rf"(\d+)-(\d+)-(\d+)-(\d+)\.[^.]+\.pod\.{re.escape(self.zone)}", name)
        if pod:
            return [".".join(pod.groups())]
        below = f".{name}"
        return [] if name == self.zone or any(known.endswith(below) for known in self.addresses) else None

    def name_of(self, address: str) -> Optional[str]:
        """The name of an address, for reverse questions."""
        return next((name for name, found in self.addresses.items() if address in found), None)


def records(zone: str, services: Sequence[Dict[str, Any]], endpoints: Sequence[Dict[str, Any]]) -> Records:
    """What the API's Services and Endpoints mean as names."""
    made: Dict[str, List[str]] = {}
    headless = set()
    for service in services:
        meta, spec = service["metadata"], service.get("spec", {})
        name = f"{meta['name']}.{meta['namespace']}.svc.{zone}"
        cluster_ip = spec.get("clusterIP", "")
        if cluster_ip == "None":
            headless.add((meta["namespace"], meta["name"]))
            made[name] = []
        elif cluster_ip:
            made[name] = [cluster_ip]
    for entry in endpoints:
        meta = entry["metadata"]
        if (meta["namespace"], meta["name"]) not in headless:
            continue
        name = f"{meta['name']}.{meta['namespace']}.svc.{zone}"
        for subset in entry.get("subsets") or []:
            for address in subset.get("addresses") or []:
                made[name].append(address["ip"])
                host = address.get("hostname") or address["ip"].replace(".", "-")
                made.setdefault(f"{host}.{name}", []).append(address["ip"])
    return Records(zone, made)


def zone_of(corefile: str) -> str:
    """The cluster's domain in a Corefile, ``cluster.local`` when it names none."""
    match = re.search(r"^\s*kubernetes\s+(\S+)", corefile, re.MULTILINE)
    return match.group(1).rstrip(".").lower() if match else "cluster.local"


# -- the wire


def question(query: bytes) -> Tuple[str, int, int]:
    """Name, type and end of the first question of a DNS message; raises ValueError for what is none."""
    if len(query) < 12 or struct.unpack("!H", query[4:6])[0] < 1:
        raise ValueError("not a question")
    labels = []
    at = 12
    while True:
        if at >= len(query) or query[at] > 63:
            raise ValueError("malformed name")
        size = query[at]
        at += 1
        if size == 0:
            break
        labels.append(query[at : at + size].decode("latin-1").lower())
        at += size
    if at + 4 > len(query):
        raise ValueError("no type")
    return ".".join(labels), struct.unpack("!H", query[at : at + 2])[0], at + 4


def encode_name(name: str) -> bytes:
    """A name in a DNS message."""
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in name.split(".") if label) + b"\0"


def response(query: bytes, end: int, code: int, answers: Sequence[Tuple[int, bytes]] = ()) -> bytes:
    """An authoritative answer to ``query``; ``answers`` are types and data, ``end`` is where its question ends."""
    asked = struct.unpack("!H", query[2:4])[0]
    flags = 0x8000 | (asked & 0x7900) | 0x0400 | 0x0080 | code
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0)
    body = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, TTL, len(data)) + data for kind, data in answers)
    return head + query[12:end] + body


def answer(query: bytes, known: Records) -> Optional[bytes]:
    """The answer from what is known; None when the name is somebody else's."""
    name, kind, end = question(query)
    if name.endswith(".in-addr.arpa"):
        address = ".".join(reversed(name[: -len(".in-addr.arpa")].split(".")))
        owner = known.name_of(address)
        if owner is None:
            return None
        return response(query, end, NOERROR, [(PTR, encode_name(owner))] if kind in (PTR, ANY) else [])
    if name != known.zone and not name.endswith(f".{known.zone}"):
        return None
    addresses = known.find(name)
    if addresses is None:
        return response(query, end, NXDOMAIN)
    found: List[Tuple[int, bytes]] = []
    for address in addresses:
        packed = ipaddress.ip_address(address).packed
        own_kind = A if len(packed) == 4 else AAAA
        if kind in (own_kind, ANY):
            found.append((own_kind, packed))
    return response(query, end, NOERROR, found)


# -- the server


class Source:
    """What the cluster's API says, read again every second."""

    def __init__(self, zone: str) -> None:
        self.current = Records(zone)
        self.ready = threading.Event()

    def follow(self, environ: Dict[str, str]) -> None:
        """Read for ever. When the API does not answer, what was known stays."""
        base = f"https://{environ['KUBERNETES_SERVICE_HOST']}:{environ['KUBERNETES_SERVICE_PORT']}"
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        complained = False
        while True:
            try:
                services = self._list(base, "services", context)
                endpoints = self._list(base, "endpoints", context)
                self.current = records(self.current.zone, services, endpoints)
                self.ready.set()
                complained = False
            except (OSError, ValueError, KeyError) as error:
                if not complained:
                    print(f"the API can't be read: {error}", file=sys.stderr, flush=True)
                complained = True
            time.sleep(POLL)

    def _list(self, base: str, kind: str, context: ssl.SSLContext) -> List[Dict[str, Any]]:
        token = (ACCOUNT / "token").read_text(encoding="utf-8")
        request = urllib.request.Request(f"{base}/api/v1/{kind}?resourceVersion=0")
        request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10, context=context) as reply:
            return list(json.load(reply)["items"])


def upstreams(resolv_conf: str) -> List[str]:
    """The name servers in the text of a resolv.conf."""
    return re.findall(r"^nameserver\s+(\S+)", resolv_conf, re.MULTILINE)


def forward(query: bytes, servers: Sequence[str]) -> bytes:
    """The answer of the first name server that gives one; SERVFAIL when none does."""
    for server in servers:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as channel:
            channel.settimeout(2)
            try:
                channel.sendto(query, (server, 53))
                return channel.recv(65535)
            except OSError:
                continue
    return response(query, question(query)[2], SERVFAIL)


def serve(corefile: str, resolv_conf: str, environ: Dict[str, str]) -> None:
    """Serve until the process ends."""
    source = Source(zone_of(corefile))
    servers = upstreams(resolv_conf)

    def reply(query: bytes) -> Optional[bytes]:
        try:
            return answer(query, source.current) or forward(query, servers)
        except (ValueError, IndexError):
            return None

    class Datagram(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, channel = self.request
            made = reply(data)
            if made:
                channel.sendto(made, self.client_address)

    class Stream(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = self.rfile.read(2)
            while len(head) == 2:
                made = reply(self.rfile.read(struct.unpack("!H", head)[0]))
                if not made:
                    return
                self.wfile.write(struct.pack("!H", len(made)) + made)
                head = self.rfile.read(2)

    class Probe(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """``/ready`` after the first look at the API, anything else at once."""
            well = source.ready.is_set() or not self.path.startswith("/ready")
            self.send_response(200 if well else 503)
            self.end_headers()
            self.wfile.write(b"OK" if well else b"not ready")

        def log_message(self, format: str, *args: Any) -> None:
            """Probes are not worth a line."""

    class Datagrams(socketserver.ThreadingUDPServer):
        allow_reuse_address = True
        daemon_threads = True

    class Streams(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    any_address = ""
    listeners: List[socketserver.BaseServer] = [
        Datagrams((any_address, 53), Datagram),
        Streams((any_address, 53), Stream),
        http.server.ThreadingHTTPServer((any_address, 8080), Probe),
        http.server.ThreadingHTTPServer((any_address, 8181), Probe),
    ]
    for listener in listeners:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
    source.follow(environ)


def main(arguments: Sequence[str]) -> None:
    """``-conf FILE`` names the Corefile."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    corefile = arguments[arguments.index("-conf") + 1] if "-conf" in arguments else "/etc/coredns/Corefile"
    resolv_conf = Path("/etc/resolv.conf")
    text = resolv_conf.read_text(encoding="utf-8") if resolv_conf.exists() else ""
    serve(Path(corefile).read_text(encoding="utf-8"), text, dict(os.environ))


if __name__ == "__main__":
    main(sys.argv[1:])
