# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Watches an address from outside of a cluster: who has it at which time, and who gets an answer of the API there.

The nodes of the lab share the clock of this machine, so times of several nodes can be compared.
"""

from __future__ import annotations

import re
import shlex
import ssl
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations, pairwise
from socket import create_connection

from .conftest import Lab

EVENTS = "/var/tmp/addresses"
_EVENT = re.compile(r"\[([0-9T:.-]+)\] (Deleted )?\d+: \S+ +inet6? ([0-9a-f.:]+)/")


@dataclass(frozen=True)
class Owning:
    """A time during which a node had the address, in seconds since 1970."""

    node: str
    begin: float
    end: float


def start_recording(lab: Lab, hosts: Sequence[str], address: str) -> None:
    """Record on each node when it gets and loses the address, from now on until the node stops."""
    for host in hosts:
        lab.ssh(host, f"rm -f {EVENTS}; {_record(address)}")


def resume_recording(lab: Lab, host: str, address: str, stopped: float) -> None:
    """Continue after a node had no power since ``stopped``; it lost the address at that time."""
    stamp = datetime.fromtimestamp(stopped, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    lab.ssh(host, f"echo '[{stamp}] Deleted 0: eth0    inet {address}/32' >> {EVENTS}; {_record(address)}")


def _record(address: str) -> str:
    return (
        f"systemd-run --quiet --unit=addresses sh -c 'TZ=UTC exec ip -ts -o monitor address >> {EVENTS}'; sleep 0.5; "
        # An address that is there already.
        f"ip -o address show to {address} | grep -q . && "
        f'echo "[$(date -u +%FT%T.%6N)] 0: eth0    inet {address}/32" >> {EVENTS}; true'
    )


def owners(lab: Lab, hosts: Sequence[str], address: str) -> list[Owning]:
    """The times of all owners so far."""
    found = []
    for host in hosts:
        found += read_events(host, lab.ssh(host, f"cat {EVENTS}"), address, time.time())
    return sorted(found, key=lambda one: one.begin)


def read_events(host: str, text: str, address: str, end: float) -> list[Owning]:
    """The times of one owner in the output of ``ip -ts -o monitor address``; it has the address until ``end``."""
    found, begin = [], 0.0
    for stamp, deleted, changed in _EVENT.findall(text):
        if changed != address:
            continue
        moment = datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp()
        if deleted and begin:
            found.append(Owning(host, begin, moment))
        begin = 0.0 if deleted else begin or moment
    return [*found, Owning(host, begin, max(begin, end))] if begin else found


def double(every: Sequence[Owning]) -> list[tuple[Owning, Owning]]:
    """The pairs of different nodes that had the address at the same time."""
    return [
        (one, other)
        for one, other in combinations(every, 2)
        if one.node != other.node and one.begin < other.end and other.begin < one.end
    ]


@dataclass
class Answers:
    """Answers to ten new connections a second to the API: (begin, success), in order of their end."""

    answers: list[tuple[float, bool]] = field(default_factory=list, init=False)

    def good_after(self, moment: float) -> bool:
        """True if a connection that began after a moment got its answer."""
        return any(good and begin > moment for begin, good in self.answers)

    def longest_outage(self) -> float:
        """The longest time between the beginnings of two successful connections without one between them, in s."""
        good = sorted(begin for begin, good in self.answers if good)
        return max((later - earlier for earlier, later in pairwise(good)), default=0.0)

    def lost(self) -> int:
        """The connections without a good answer."""
        return sum(not good for _begin, good in self.answers)


@dataclass
class Probe(Answers):
    """Connections from this machine to an address."""

    address: str
    ca: str
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Probe:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        assert self._thread
        self._thread.join()
        time.sleep(2.5)

    def _work(self) -> None:
        context = ssl.create_default_context(cadata=self.ca)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        while not self._ended.wait(0.1):
            threading.Thread(target=self._ask, args=(context,), daemon=True).start()

    def _ask(self, context: ssl.SSLContext) -> None:
        begin, good = time.time(), False
        try:
            with create_connection((self.address, 6443), 2) as plain:
                with context.wrap_socket(plain, server_hostname=self.address) as connection:
                    connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                    good = b" 200 " in connection.recv(300)
        except OSError:
            pass
        self.answers.append((begin, good))


# Until the file /run/probe.stop exists. VERIFY_X509_STRICT refuses the CA of kubeadm.
_PROBE = r"""
import os, socket, ssl, sys, threading, time
context = ssl.create_default_context(cafile="/etc/kubernetes/pki/ca.crt")
context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
def ask():
    begin, good = time.time(), 0
    try:
        with socket.create_connection((sys.argv[1], int(sys.argv[2])), 2) as plain:
            with context.wrap_socket(plain, server_hostname=sys.argv[1]) as connection:
                connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
                good = int(b" 200 " in connection.recv(300))
    except OSError:
        pass
    sys.stdout.write("%.3f %d\n" % (begin, good))
while not os.path.exists("/run/probe.stop"):
    threading.Thread(target=ask).start()
    time.sleep(0.1)
"""


@dataclass
class NodeProbe(Answers):
    """Connections from a node to the address in its kubelet.conf, which is the name of the API."""

    lab: Lab
    host: str
    _asking: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> NodeProbe:
        server = self.lab.ssh(self.host, "sed -n 's|.*server: https://||p' /etc/kubernetes/kubelet.conf").strip()
        name, _, port = server.rpartition(":")
        self.lab.ssh(self.host, "rm -f /run/probe.stop")
        self._asking = self.lab.start(
            self.host, f"python3 -c {shlex.quote(_PROBE)} {shlex.quote(name)} {port} > /run/probe"
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self.lab.ssh(self.host, "touch /run/probe.stop")
        assert self._asking
        self._asking.wait(timeout=60)
        for line in self.lab.ssh(self.host, "cat /run/probe").splitlines():
            begin, good = line.split()
            self.answers.append((float(begin), good == "1"))
