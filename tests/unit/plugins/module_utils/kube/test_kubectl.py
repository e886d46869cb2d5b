# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubectl: whether an answer means that nothing answers, or that the API refuses."""

from __future__ import annotations

import json

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import (
    ADMIN_KUBECONFIG,
    KUBELET_KUBECONFIG,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import CommandError, KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.api import kubeconfig_server
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import ApiUnreachable, Kubectl
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

REFUSED = "The connection to the server 10.0.0.1:6443 was refused - did you specify the right host or port?"
SILENT = [
    REFUSED,
    "Unable to connect to the server: dial tcp 10.0.0.1:6443: connect: no route to host",
    "Unable to connect to the server: net/http: TLS handshake timeout",
    "Unable to connect to the server: context deadline exceeded",
    'Error from server: Get "https://10.0.0.7:10250/x": dial tcp 10.0.0.7:10250: connect: no route to host',
    'Error from server: Get "https://10.0.0.7:10250/x": dial tcp 10.0.0.7:10250: i/o timeout',
    'Error from server: Get "https://10.0.0.7:10250/x": net/http: TLS handshake timeout',
]
REFUSES = [
    'Error from server (Forbidden): nodes is forbidden: User "x" cannot list resource "nodes"',
    "error: You must be logged in to the server (Unauthorized)",
    'Error from server (NotFound): nodes "w9" not found',
]


def error(machine: Machine, result: Result, kubeconfig: str = "/k") -> KubesteadError:
    machine.answer("kubectl", result)
    with pytest.raises(KubesteadError) as caught:
        Kubectl(machine, kubeconfig).read("/api/v1/nodes")
    return caught.value


@pytest.mark.parametrize("text", SILENT)
def test_an_api_server_that_does_not_answer(machine: Machine, text: str) -> None:
    found = error(machine, Result(1, "", f"E1124 memcache.go:265\n{text}\n"))
    assert isinstance(found, ApiUnreachable) and "/k" in found.message and text in found.message


def test_a_kubectl_that_does_not_end_in_time_means_the_same(machine: Machine) -> None:
    assert isinstance(error(machine, Result(124, "", "kubectl: did not finish within 60 seconds")), ApiUnreachable)
    assert "the default kubeconfig" in error(machine, Result(124), kubeconfig="").message


@pytest.mark.parametrize("text", REFUSES)
def test_an_api_server_that_refuses(machine: Machine, text: str) -> None:
    found = error(machine, Result(1, "", f"{text}\n"))
    assert isinstance(found, CommandError) and text in found.message and "get --raw /api/v1/nodes" in found.message


@pytest.mark.parametrize("text", ["", "[]", '"text"', "{", "nonsense"])
def test_what_is_not_an_object_is_refused(machine: Machine, text: str) -> None:
    assert isinstance(error(machine, Result(0, text)), CommandError)


def test_an_object_or_a_kind_that_is_not_there_is_none(machine: Machine) -> None:
    kubectl = Kubectl(machine)
    for text in (
        'Error from server (NotFound): x "a" not found',
        "Error from server (NotFound): the server could not find the requested resource",
    ):
        machine.answer("kubectl", Result(1, "", text))
        assert kubectl.objects("/x/a") == [None]
    machine.answer("kubectl", Result(1, "", REFUSED))
    with pytest.raises(ApiUnreachable):
        kubectl.objects("/x/a")


@pytest.mark.parametrize(
    ("result", "live"), [(Result(0, "ok\n"), True), (Result(0, "no\n"), False), (Result(1, "ok"), False)]
)
def test_only_ok_is_live(machine: Machine, result: Result, live: bool) -> None:
    machine.answer("kubectl", result)
    assert Kubectl(machine).live() is live


# -- reading over one connection

ADMIN = fixture("kubeadm/v1.35/admin.conf")
SERVER = kubeconfig_server(ADMIN)
MISSING = {"kind": "Status", "reason": "NotFound", "message": 'secrets "x" not found', "code": 404}


def test_the_admin_kubeconfig_reads_over_a_connection_without_a_process(machine: Machine) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    machine.serve(SERVER, "/a", '{"kind": "A"}')
    machine.serve(SERVER, "/b", '{"kind": "B"}')
    machine.serve(SERVER, "/x", json.dumps(MISSING), status=404)
    assert Kubectl(machine).objects("/a", "/x", "/b") == [{"kind": "A"}, None, {"kind": "B"}]
    assert Kubectl(machine).read("/b") == {"kind": "B"}
    with pytest.raises(CommandError, match='kubectl get --raw /x failed: .*secrets "x" not found'):
        Kubectl(machine).read("/x")
    assert machine.ran == [] and len(machine.credentials) == 3


def test_several_lists_take_one_connection_and_are_parsed_in_turn(machine: Machine) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    machine.serve(SERVER, "/a", '{"kind": "A"}')
    machine.serve(SERVER, "/x", json.dumps(MISSING), status=404)
    machine.serve(SERVER, "/b", "nonsense")
    answers = Kubectl(machine).each("/a", "/x", "/b")
    assert next(answers) == {"kind": "A"}
    with pytest.raises(CommandError, match="kubectl get --raw /x failed"):
        next(answers)
    with pytest.raises(CommandError, match="did not print a JSON object: nonsense"):
        next(Kubectl(machine).each("/b", "/a"))
    assert machine.ran == [] and len(machine.credentials) == 2


def test_a_worker_reads_over_a_connection_with_the_files_that_its_kubeconfig_names(machine: Machine) -> None:
    kubeconfig, certificate = fixture("kubeadm/v1.35/kubelet.conf"), fixture("kubeadm/v1.35/kubelet-client-current.pem")
    machine.put(KUBELET_KUBECONFIG, kubeconfig)
    machine.put("/var/lib/kubelet/pki/kubelet-client-current.pem", certificate)
    machine.serve(kubeconfig_server(kubeconfig), "/api/v1/nodes/w1", '{"kind": "Node"}')
    assert Kubectl(machine, KUBELET_KUBECONFIG).read("/api/v1/nodes/w1") == {"kind": "Node"}
    (used,) = machine.credentials
    assert used.certificate == used.key == certificate and not used.token and machine.ran == []


def test_one_kubectl_tells_why_nothing_answers(machine: Machine) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    machine.answer("kubectl", Result(1, "", REFUSED))
    assert [one.stderr for one in Kubectl(machine).raw("/a", "/b", "/c")] == [REFUSED] * 3
    assert [argv[-1] for argv in machine.ran] == ["/a"]


def test_kubectl_reads_all_paths_if_only_the_connection_fails(machine: Machine) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    machine.answer("kubectl", lambda argv, _stdin: Result(0, json.dumps({"path": argv[-1]})))
    paths = ["/a", "/b", "/c"]
    assert Kubectl(machine).objects(*paths) == [{"path": path} for path in paths]
    assert sorted(argv[-1] for argv in machine.ran) == paths


def test_another_server_of_the_cluster_is_asked_with_the_same_credentials(machine: Machine) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    machine.serve("https://192.0.2.7:6443", "/a", "{}")
    assert Kubectl(machine, server="https://192.0.2.7:6443").read("/a") == {}
    assert machine.asked == ["https://192.0.2.7:6443/a"]


@pytest.mark.parametrize(("status", "error"), [(0, "connection refused"), (403, ""), (404, ""), (500, "")])
def test_kubectl_reads_what_the_connection_does_not(machine: Machine, status: int, error: str) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    machine.serve(SERVER, "/a", '{"kind": "A"}')
    machine.serve(SERVER, "/b", '{"kind": "Status", "reason": "Forbidden"}', status, error)
    machine.answer("kubectl", Result(1, "", REFUSED))
    with pytest.raises(ApiUnreachable):
        Kubectl(machine).objects("/a", "/b")
    assert [argv[-1] for argv in machine.ran] == ["/b"]


@pytest.mark.parametrize(("kubeconfig", "context"), [("/home/me/config", ""), ("", ""), (ADMIN_KUBECONFIG, "other")])
def test_only_kubectl_reads_a_kubeconfig_that_kubeadm_did_not_write(
    machine: Machine, kubeconfig: str, context: str
) -> None:
    machine.put(ADMIN_KUBECONFIG, ADMIN)
    machine.put("/home/me/config", ADMIN)
    machine.serve(SERVER, "/a", '{"kind": "A"}')
    machine.answer("kubectl", '{"kind": "B"}')
    assert Kubectl(machine, kubeconfig, context).read("/a") == {"kind": "B"}
    assert machine.asked == [] and len(machine.ran) == 1
