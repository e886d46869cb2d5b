# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster's name server for the lab's clusters without CoreDNS: names of Services, everything else forwarded.

It runs in place of CoreDNS, as ``coredns -conf Corefile``, from the manifest that kubeadm writes: the same ports,
probes, zone and service account. It uses nothing of the lab, so that its image needs only Python and dnslib.
"""

from __future__ import annotations

import http.client
import http.server
import ipaddress
import json
import os
import re
import signal
import ssl
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSError, DNSRecord
from dnslib.server import DNSLogger, DNSServer

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TTL = 5  # seconds; also about how old an answer may be
POLL = 1.0  # seconds between two looks at the API
FORWARD_TIMEOUT = 2.0  # seconds


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
    """The names of the API's Services and Endpoints."""
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


# -- answers


def answer(query: DNSRecord, known: Records) -> Optional[DNSRecord]:
    """The authoritative answer from the known records; None when the name belongs to another zone."""
    name = str(query.q.qname).rstrip(".").lower()
    kind = QTYPE[query.q.qtype]
    reply = query.reply(ra=1, aa=1)
    if name.endswith(".in-addr.arpa"):
        owner = known.name_of(".".join(reversed(name[: -len(".in-addr.arpa")].split("."))))
        if owner is None:
            return None
        if kind in ("PTR", "ANY"):
            reply.add_answer(RR(query.q.qname, QTYPE.PTR, rdata=PTR(owner), ttl=TTL))
        return reply
    if name != known.zone and not name.endswith(f".{known.zone}"):
        return None
    addresses = known.find(name)
    if addresses is None:
        reply.header.rcode = RCODE.NXDOMAIN
        return reply
    for address in addresses:
        own_kind, data = ("AAAA", AAAA) if ipaddress.ip_address(address).version == 6 else ("A", A)
        if kind in (own_kind, "ANY"):
            reply.add_answer(RR(query.q.qname, getattr(QTYPE, own_kind), rdata=data(address), ttl=TTL))
    return reply


def forward(query: DNSRecord, servers: Sequence[str]) -> DNSRecord:
    """The answer of the first name server that gives one; SERVFAIL when none does."""
    for server in servers:
        try:
            return DNSRecord.parse(query.send(server, 53, timeout=FORWARD_TIMEOUT, ipv6=":" in server))
        except (OSError, DNSError):
            continue
    reply = query.reply(ra=1, aa=1)
    reply.header.rcode = RCODE.SERVFAIL
    return reply


# -- the server


class Source:
    """The Services and Endpoints of the cluster's API, read again every second."""

    def __init__(self, zone: str) -> None:
        self.current = Records(zone)
        self.ready = threading.Event()

    def follow(self, environ: Dict[str, str]) -> None:
        """Read until the process ends. While the API does not answer, the known records stay."""
        context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
        host, port = environ["KUBERNETES_SERVICE_HOST"], int(environ["KUBERNETES_SERVICE_PORT"])
        # One connection for all requests: a TLS handshake takes more time than all the rest.
        api = http.client.HTTPSConnection(host, port, timeout=10, context=context)
        complained = False
        while True:
            try:
                services = self._list(api, "services")
                endpoints = self._list(api, "endpoints")
                self.current = records(self.current.zone, services, endpoints)
                self.ready.set()
                complained = False
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                # The next request opens another one.
                api.close()
                if not complained:
                    print(f"cannot read the API: {error}", file=sys.stderr, flush=True)
                complained = True
            time.sleep(POLL)

    @staticmethod
    def _list(api: http.client.HTTPConnection, kind: str) -> List[Dict[str, Any]]:
        token = (ACCOUNT / "token").read_text(encoding="utf-8")
        api.request("GET", f"/api/v1/{kind}?resourceVersion=0", headers={"Authorization": f"Bearer {token}"})
        reply = api.getresponse()
        body = reply.read()
        if reply.status != 200:
            raise OSError(f"{kind}: the API answers {reply.status}")
        return list(json.loads(body)["items"])


def upstreams(resolv_conf: str) -> List[str]:
    """The name servers in the text of a resolv.conf."""
    return re.findall(r"^nameserver\s+(\S+)", resolv_conf, re.MULTILINE)


class Resolver:
    """What dnslib's servers ask for each answer."""

    def __init__(self, source: Source, servers: Sequence[str]) -> None:
        self.source = source
        self.servers = servers

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        """The answer to one request."""
        found = answer(request, self.source.current)
        return forward(request, self.servers) if found is None else found


def serve(corefile: str, resolv_conf: str, environ: Dict[str, str]) -> None:
    """Serve until the process ends."""
    source = Source(zone_of(corefile))
    resolver = Resolver(source, upstreams(resolv_conf))

    class Probe(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """``/ready`` succeeds after the first look at the API, anything else at once."""
            well = source.ready.is_set() or not self.path.startswith("/ready")
            self.send_response(200 if well else 503)
            self.end_headers()
            self.wfile.write(b"OK" if well else b"not ready")

        def log_message(self, format: str, *args: Any) -> None:
            """Probes are not worth a line."""

    for tcp in (False, True):
        DNSServer(resolver, address="", port=53, tcp=tcp, logger=DNSLogger("error")).start_thread()
    for port in (8080, 8181):
        probes = http.server.ThreadingHTTPServer(("", port), Probe)
        threading.Thread(target=probes.serve_forever, daemon=True).start()
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
