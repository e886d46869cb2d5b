# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Inits and joins that fail for a cause that appeared after the checks: the message names the program and its last log
lines, on one line. They need Kubernetes 1.34 or newer.

Three hosts beside the control plane have the causes in turn. After that, site.yml joins them as they are.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import queue
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from . import figures
from .causes import CAUSES, CONTROL_PLANE, INIT, JOIN, Cause
from .conftest import Lab, nodes
from .faults import Fault, arm, bare_again, disarm, struck, whole

pytestmark = pytest.mark.thorough

HOSTS = ("w1", "w2", "w3")
# kubeadm gives up in seconds.
TIMEOUTS = {
    "controlPlaneComponentHealthCheck": "35s",
    "kubeletHealthCheck": "20s",
    "tlsBootstrap": "20s",
    "etcdAPICall": "25s",
    "kubernetesAPICall": "20s",
    "discovery": "20s",
}


@dataclass
class Provoked:
    """The messages of the causes."""

    lab: Lab
    folder: Path
    command: dict[str, Any] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    # Two further control planes would wait for each other's etcd.
    etcd: threading.Lock = field(default_factory=threading.Lock)

    def provoke(self, host: str, name: str, cause: Cause) -> str:
        """The message of a kubeadm that fails for a cause."""
        lab = self.lab
        bare_again(lab, host)
        lab.ssh(host, "rm -rf /var/log/pods/*")
        lab.kubectl(f"delete node {host} --ignore-not-found")
        if cause.at:
            arm(lab, host, cause.command.split()[0], cause.at, Fault(name, shell=cause.shell))
        elif cause.shell:
            lab.ssh(host, cause.shell)
        folder = self.folder / host
        folder.mkdir(exist_ok=True)
        module = "kubeadm_init" if cause.command == INIT else "kubeadm_join"
        try:
            result = Lab(lab.inventory, folder).module(host, module, self._arguments(host, cause))
            hit = not cause.at or struck(lab, host)
        finally:
            lab.ssh(host, cause.heal)
            disarm(lab, host)
        if not hit:
            return f"kubeadm did not say {cause.at}"
        return str(result["msg"]) if result.get("failed") else "kubeadm succeeded"

    def _arguments(self, host: str, cause: Cause) -> dict[str, Any]:
        variables = self.lab.variables(host)
        arguments: dict[str, Any] = {
            "ignore_preflight_errors": variables.get("cluster_ignore_preflight_errors", []),
            "timeout": 150,
        }
        if cause.command == INIT:
            arguments |= {
                "kubernetes_version": variables["cluster_kubernetes_version"],
                "kube_proxy_config": variables["cluster_kube_proxy_config"],
                "kubelet_config": variables.get("cluster_kubelet_config", {}),
                "config": {"InitConfiguration": {"timeouts": TIMEOUTS}},
            }
        else:
            arguments |= {**self.command, "config": {"JoinConfiguration": {"timeouts": TIMEOUTS}}}
        if cause.command == CONTROL_PLANE:
            arguments["control_plane"] = True
        for option, value in cause.options.items():
            arguments[option] = {**arguments.get(option, {}), **value}
        return arguments

    def work(self, host: str, waiting: queue.SimpleQueue[str]) -> None:
        """Provoke one cause after the other on a host."""
        while True:
            try:
                name = waiting.get_nowait()
            except queue.Empty:
                return
            cause = CAUSES[name]
            with self.etcd if cause.command == CONTROL_PLANE else contextlib.nullcontext():
                try:
                    self.messages[name] = self.provoke(host, name, cause)
                except Exception as err:
                    # Its own test fails; the other causes are provoked.
                    self.messages[name] = repr(err)
            figures.count(f"causes of a failed {cause.command}", "provoked")
            print(f"\n{name} ({host}): {self.messages[name]}", flush=True)


@pytest.fixture(scope="module")
def provoked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provoked]:
    """A cluster, and the messages of the causes that this session asks for."""
    folder = tmp_path_factory.mktemp("causes")
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    names = [item.callspec.params["name"] for item in items if item.callspec.params.get("name") in CAUSES]
    for lab in nodes("causes", ["cp1", *HOSTS], folder):
        run = lab.site()
        assert run.code == 0, run.output
        found = Provoked(lab, folder)
        found.command = token(lab)
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in names:
            waiting.put(name)
        with concurrent.futures.ThreadPoolExecutor(len(HOSTS)) as pool:
            for done in [pool.submit(found.work, host, waiting) for host in HOSTS]:
                done.result()
        yield found


def token(lab: Lab) -> dict[str, Any]:
    """What a host needs to join."""
    made = lab.module("cp1", "kubeadm_join_token", {"ttl": "15m", "reuse": False, "control_plane": True})
    return {key: made[key] for key in ("endpoint", "token", "ca_cert_hashes", "ca_certificate", "certificate_key")}


@pytest.mark.parametrize("name", CAUSES)
def test_the_message_names_the_cause(provoked: Provoked, name: str) -> None:
    message, cause = provoked.messages[name], CAUSES[name]
    assert "\n" not in message
    assert message.startswith(f"kubeadm {cause.command.split()[0]} failed") or "Node does not appear" in message, (
        message
    )
    assert re.search(cause.says, message), message
    figures.count(f"causes of a failed {cause.command}", "named")


def test_a_cluster_that_signs_no_certificates(provoked: Provoked) -> None:
    manifest = "/etc/kubernetes/manifests/kube-controller-manager.yaml"
    provoked.lab.ssh("cp1", f"mv {manifest} /root/; while pgrep -x kube-controller >/dev/null; do sleep 0.2; done")
    figures.count(f"causes of a failed {JOIN}", "provoked")
    try:
        message = provoked.provoke("w1", "no certificates", Cause(JOIN, ""))
    finally:
        provoked.lab.ssh("cp1", f"mv /root/kube-controller-manager.yaml {manifest}")
    print(f"\nno certificates: {message}")
    assert re.search(r"the kubelet waits for its certificate.*; the cluster does not sign it", message), message
    figures.count(f"causes of a failed {JOIN}", "named")


def test_hosts_that_failed_join_as_they_are(provoked: Provoked) -> None:
    lab = provoked.lab
    run = lab.site()
    assert run.code == 0, run.output
    whole(lab, ["cp1", *HOSTS], tokens=True)
    again = lab.site()
    assert (again.code, again.changed()) == (0, {}), again.output
