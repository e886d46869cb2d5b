# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits until a kubelet has started, or reports the last line that it logged."""

from __future__ import annotations

import time
from typing import Any, Dict, Mapping, Optional, Tuple

from ..core import untrusted
from ..core.constants import ADMIN_KUBECONFIG, KUBELET_KUBECONFIG
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.redact import redact
from ..core.system import System
from ..kube import kubelet
from ..kube.kubectl import NODES, Kubectl
from ..kube.nodes import Node, read_nodes
from . import diagnosis
from .culprits import Journals, last_words, shorter

# Seconds for a kubelet to become ready after its restart.
_READY = 300.0
# Seconds for a kubelet that was ready to be ready again.
_AGAIN = 60.0
# A kubelet that exits is started again every ten seconds. One that exited this often does not recover by itself.
_EXITS = 4
_UNIT = "kubelet.service"


def own_node(system: System, name: str) -> Optional[Node]:
    """The Node ``name`` of this machine in the API; None if it does not exist or the API does not answer."""
    found = read_nodes({"items": [_object(system, name)]})
    return found[0] if found else None


def _object(system: System, name: str) -> Dict[str, Any]:
    kubeconfig = ADMIN_KUBECONFIG if system.exists(ADMIN_KUBECONFIG) else KUBELET_KUBECONFIG
    try:
        return Kubectl(system, kubeconfig, request_timeout=5).read("{0}/{1}".format(NODES, name))
    except KubesteadError:
        return {}


def restart(system: System) -> None:
    """Restart the kubelet. Only :func:`wait` finds out whether it runs afterwards."""
    system.run(["systemctl", "daemon-reload"], timeout=60.0, check=True)
    system.run(["systemctl", "restart", _UNIT], timeout=120.0)


def forget_delays(system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Restart the kubelet, so that it starts containers without delay, and wait a minute for its Node to be ready.

    The kubelet delays a container that ended several times by up to five minutes, even if interrupted upgrades ended
    it. It keeps these delays only in memory.
    """
    # A restarted kubelet first reports that it is not ready.
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    restart(system)
    name = kubelet.node_name(system, kubelet.kubelet_kubeconfig(system))
    poll(
        lambda: _object(system, name),
        _AGAIN,
        lambda found: last_report(found) >= began and any(node.ready for node in read_nodes({"items": [found]})),
        clock=clock,
        sleep=sleep,
    )


def last_report(node: Mapping[str, Any]) -> str:
    """The time of the kubelet's last report in a Node object (RFC 3339 in UTC); empty if it has not reported."""
    conditions = untrusted.mappings(untrusted.mapping(node.get("status")).get("conditions"))
    ready = next((one for one in conditions if one.get("type") == "Ready"), {})
    return untrusted.text(ready.get("lastHeartbeatTime"), 32)


def wait(system: System, version: str, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Wait until this machine's Node is Ready and its kubelet reports ``version``.

    Raises :class:`KubesteadError` with the last line that the kubelet logged: immediately if the kubelet exits
    repeatedly, otherwise after five minutes.
    """
    began = time.time()
    name = kubelet.node_name(system, kubelet.kubelet_kubeconfig(system))

    def look() -> Tuple[Optional[Node], int]:
        return own_node(system, name), exits(system)

    def over(found: Tuple[Optional[Node], int]) -> bool:
        return _is_ready(found[0], version) or found[1] >= _EXITS

    node, exited = poll(look, _READY, over, clock=clock, sleep=sleep)
    if _is_ready(node, version):
        return
    details = diagnosis.logs(Journals(system, began))
    said = last_line(system, began)
    if exited >= _EXITS:
        text = "kubelet {0} does not start: {1}".format(version, said or "see 'journalctl -u kubelet' on this host")
        raise KubesteadError(untrusted.line(text), details)
    shown = "its Node can't be read"
    if node is not None:
        shown = "its Node reports {0} and is {1}".format(
            node.kubelet_version or "no version", "ready" if node.ready else "not ready: " + node.not_ready_reason
        )
    known = "; ".join(diagnosis.diagnose(system, details)) or said or "see 'journalctl -u kubelet' on this host"
    raise KubesteadError(
        untrusted.line("kubelet {0} did not become ready: {1}; {2}".format(version, shown, known)), details
    )


def _is_ready(node: Optional[Node], version: str) -> bool:
    return node is not None and node.ready and node.kubelet_version == version


def exits(system: System) -> int:
    """How often systemd has started the kubelet again since the last explicit restart.

    A kubelet that systemd does not start again counts as one that has exited too often.
    """
    show = ["systemctl", "show", _UNIT, "--property=ActiveState,NRestarts"]
    values = dict(one.split("=", 1) for one in system.run(show, timeout=10.0).stdout.splitlines() if "=" in one)
    if values.get("ActiveState") in ("failed", "inactive"):
        return _EXITS
    return max(untrusted.number(values.get("NRestarts", "")), 0)


def last_line(system: System, since: float) -> str:
    """The last line that the kubelet, or a command that must succeed before it starts, has logged; without secrets.

    ``since`` is in seconds since 1970. Lines of systemd about the unit are left out.
    """
    argv = ["journalctl", "_SYSTEMD_UNIT={0}".format(_UNIT), "--since", "@{0:.0f}".format(since)]
    result = system.run([*argv, "-n", "500", "--no-pager", "-o", "cat"], timeout=20.0)
    words = last_words(redact(result.stdout).splitlines(), 1) if result.ok else []
    return shorter(words[-1]) if words else ""
