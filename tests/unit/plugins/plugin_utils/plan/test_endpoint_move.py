# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planner of endpoint.yml: which endpoint, who changes what, and what is refused before anything changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.component import EndpointState
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.hosts_file import HOSTS
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import EndpointOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip import VirtualIpState
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip_config import (
    VirtualIp,
    router_id,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import (
    ADMIN_KUBECONFIG,
    KUBELET_KUBECONFIG,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_facts import (
    OWN_KUBECONFIGS,
    EndpointFacts,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.health import Health
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.endpoint_move import move
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, as_result

from .test_converge import bare, host, joined, lines, live

ROOT = Path(__file__).resolve().parents[5]
NAME = "api.kubernetes.internal"
ENDPOINT = f"{NAME}:6443"
NEW = f"https://{ENDPOINT}"


def address(name: str) -> str:
    """That of the faked machine."""
    return f"192.0.2.{sum(map(ord, name)) % 200 + 1}"


def own(name: str) -> str:
    return f"https://{address(name)}:6443"


OLD = own("cp1")


def nodes(*names: str) -> list[Node]:
    roles = {name: ["control-plane"] if name.startswith("cp") else [] for name in names}
    return [Node(name, addresses=[address(name)], ready=True, roles=roles[name]) for name in names]


KNOWN = nodes("cp1", "w1", "w2")


def with_facts(one: Host, **facts: Any) -> Host:
    return replace(one, facts=replace(one.facts, **facts))


def with_endpoint(one: Host, **facts: Any) -> Host:
    return with_facts(one, endpoint=replace(one.facts.endpoint, **facts))


def with_state(one: Host, **changes: Any) -> Host:
    return with_facts(one, kubeadm=replace(one.kubeadm, **changes))


def wishing(one: Host, endpoint: str) -> Host:
    control_plane = replace(one.options.control_plane, endpoint=endpoint)
    return replace(one, options=replace(one.options, control_plane=control_plane))


def control(name: str, known: list[Node], endpoint: str = "", **facts: Any) -> Host:
    """A control plane; by default as kubeadm makes it without an endpoint."""
    state = live(endpoint=endpoint)
    api = replace(state.api, nodes=known)
    state = replace(state, node_name=name, api=api, local_api=Health(True, "", own(name)))
    found = EndpointFacts(
        names=[name, "kubernetes", address(name)],
        served=True,
        ca_key=True,
        editable=True,
        servers={ADMIN_KUBECONFIG: OLD, KUBELET_KUBECONFIG: own(name)},
        cluster_info=OLD,
        kube_proxy=OLD,
    )
    return with_facts(host(name, state), endpoint=replace(found, **facts))


def worker(name: str, server: str = OLD, **facts: Any) -> Host:
    found = EndpointFacts(servers={KUBELET_KUBECONFIG: server}, **facts)
    return with_facts(host(name, replace(joined(name), server=server)), endpoint=found)


def trio() -> list[Host]:
    return [control("cp1", KNOWN), worker("w1"), worker("w2")]


def resolving(one: Host) -> Host:
    return with_facts(one, api_endpoint=EndpointState(hosts={HOSTS: [f"{address('cp1')} {NAME}"]}))


DONE: dict[str, Any] = {
    "names": ["cp1", NAME],
    "servers": {ADMIN_KUBECONFIG: NEW, KUBELET_KUBECONFIG: OLD},
    "cluster_info": NEW,
    "kube_proxy": NEW,
}


def finished() -> list[Host]:
    hosts = [control("cp1", KNOWN, ENDPOINT, **DONE), worker("w1", NEW), worker("w2", NEW)]
    return [resolving(one) for one in hosts]


def inventory(hosts: list[Host]) -> Inventory:
    return Inventory(
        [one.name for one in hosts if one.control_plane], [one.name for one in hosts if not one.control_plane]
    )


def plan(hosts: list[Host], outside: list[Host] | None = None) -> Plan:
    return move(Request(inventory([*hosts, *(outside or [])]), hosts, ["api_endpoint"], outside or []))


def told(result: Plan) -> dict[str, list[str]]:
    return {name: [f"{step.action} {step.target}" for step in one.steps] for name, one in result.hosts.items()}


CERTIFICATE = "renew /etc/kubernetes/pki/apiserver.crt"
CLUSTER = [
    "patch ConfigMap kube-system/kubeadm-config",
    "patch ConfigMap kube-public/cluster-info",
    "patch ConfigMap kube-system/kube-proxy",
    "restart DaemonSet kube-system/kube-proxy",
]


# -- what is done


def test_a_cluster_without_an_endpoint() -> None:
    result = plan(trio())
    assert not result.findings and result.api_host == "cp1"
    assert result.cluster.endpoint == ENDPOINT
    assert told(result) == {
        "cp1": [f"write_hosts {HOSTS}", CERTIFICATE, *CLUSTER, f"write {ADMIN_KUBECONFIG}"],
        "w1": [f"write_hosts {HOSTS}", f"move_kubelet {KUBELET_KUBECONFIG}"],
        "w2": [f"write_hosts {HOSTS}", f"move_kubelet {KUBELET_KUBECONFIG}"],
    }
    assert result.move.hosts_files == ["cp1", "w1", "w2"]
    assert result.move.certificates == result.move.cluster == ["cp1"]
    # The kubeconfigs come last, those of people first.
    assert result.move.kubeconfigs == ["cp1", "w1", "w2"]
    shown = as_result(result, trio()[0].options.cni)
    assert shown["endpoint"]["kubeconfigs"] == ["cp1", "w1", "w2"]
    assert shown["hosts"]["w1"]["api_endpoint"]["name"] == NAME and shown["hosts"]["w1"]["todo"]["api_endpoint"]
    assert shown["hosts"]["cp1"]["arguments"]["endpoint"] == ENDPOINT


def test_a_finished_cluster_asks_for_nothing() -> None:
    result = plan(finished())
    assert not result.findings and not any(told(result).values())
    order = as_result(result, finished()[0].options.cni)["endpoint"]
    assert order == {"hosts_files": [], "certificates": [], "cluster": [], "kubeconfigs": [], "dead_nodes": []}


@pytest.mark.parametrize(
    ("name", "facts", "expected"),
    [
        ("cp1", {"served": False, "staged": True}, ["wait_for /etc/kubernetes/pki/apiserver.crt"]),
        ("cp1", {"staged": True}, ["remove /var/lib/kubestead/endpoint/pki"]),
        ("cp1", {"kube_proxy_pending": True}, CLUSTER[3:]),
        ("cp1", {"kube_proxy": OLD}, CLUSTER[2:]),
        ("cp1", {"cluster_info": OLD}, CLUSTER[1:2]),
        ("cp1", {"servers": {ADMIN_KUBECONFIG: OLD}}, [f"write {ADMIN_KUBECONFIG}"]),
        ("w1", {"kubelet_pending": True}, ["restart_kubelet kubelet.service"]),
        ("w1", {"servers": {KUBELET_KUBECONFIG: OLD}}, [f"move_kubelet {KUBELET_KUBECONFIG}"]),
    ],
)
def test_an_interrupted_run_is_continued_where_it_stopped(
    name: str, facts: dict[str, Any], expected: list[str]
) -> None:
    result = told(plan([with_endpoint(one, **facts) if one.name == name else one for one in finished()]))
    assert result.pop(name)[: len(expected)] == expected
    assert not any(result.values())


VIP = "192.0.2.250"


def with_vip(one: Host, **facts: Any) -> Host:
    """The host with the virtual address in its options, which its keepalived has; the certificate does not have it."""
    one = with_endpoint(one, **facts)
    networks = {f"{address(one.name)}/24": "eth0"}
    wanted = VirtualIp(VIP, router_id("api.kubernetes.internal", VIP), 6443, address(one.name))
    done = VirtualIpState(
        VIP,
        keepalived=True,
        config=wanted.config("eth0"),
        unit=wanted.unit("eth0"),
        active=True,
        enabled=True,
        folder=True,
        networks=networks,
        certified=False,
    )
    return replace(
        with_facts(one, api_endpoint=replace(one.facts.api_endpoint, virtual_ip=done)),
        options=replace(one.options, api_endpoint=EndpointOptions(VIP)),
    )


def test_the_certificates_get_the_virtual_address() -> None:
    first, *others = finished()
    result = plan([with_vip(first), *others])
    assert not result.findings
    assert told(result) == {"cp1": [CERTIFICATE, CLUSTER[0]], "w1": [], "w2": []}
    assert [step.reason for step in result.hosts["cp1"].steps] == [
        f"it does not have the name {VIP}",
        f"its certSANs do not have {VIP}",
    ]
    assert (result.move.certificates, result.move.cluster, result.move.kubeconfigs) == (["cp1"], ["cp1"], [])
    assert result.hosts["cp1"].arguments["address"] == VIP
    # An interrupted run.
    named = with_vip(first, names=["cp1", NAME, VIP])
    assert told(plan([named, *others]))["cp1"] == CLUSTER[:1]
    assert not any(told(plan([with_endpoint(named, cert_sans=[VIP]), *others])).values())


def test_a_virtual_address_needs_the_key_of_the_ca() -> None:
    first, *others = finished()
    (line,) = lines(plan([with_vip(first, ca_key=False), *others]))
    assert f"so a certificate with the name {VIP} can't be created" in line


def test_workers_alone_need_nothing_of_the_virtual_address() -> None:
    first, *others = finished()
    result = plan(others, [with_vip(first)])
    assert not result.errors and not any(told(result).values())


def test_control_planes_one_after_the_other_and_workers_behind_a_proxy() -> None:
    known = nodes("cp1", "cp2", "w1")
    old = f"{address('cp1')}:6443"
    result = plan([control("cp1", known, old), control("cp2", known, old), worker("w1")])
    assert not result.findings and result.cluster.endpoint == ENDPOINT
    assert result.move.certificates == ["cp1", "cp2"] and result.move.cluster == ["cp1"]
    assert [step.action for step in result.steps["w1"]][:4] == ["install", "write_config", "write_unit", "enable"]
    endpoint = result.hosts["w1"].endpoint
    assert endpoint is not None and endpoint.control_planes == [address("cp1"), address("cp2")]
    # The address of a control plane is in its certificate in any case.
    assert result.hosts["cp1"].arguments["names"] == []


def test_an_external_endpoint_is_kept_and_completed() -> None:
    result = plan([control("cp1", KNOWN, "192.0.2.77:6443"), worker("w1"), worker("w2")])
    assert not result.findings
    assert result.cluster.endpoint == "192.0.2.77:6443" and not result.move.hosts_files


def test_from_one_external_endpoint_to_another_or_to_the_name() -> None:
    hosts = [control("cp1", KNOWN, "lb.example.org:6443"), worker("w1"), worker("w2")]
    result = plan([wishing(one, "new.example.org:7443") for one in hosts])
    assert not result.findings and result.cluster.endpoint == "new.example.org:7443"
    # Nodes resolve this name without this collection.
    assert not result.move.hosts_files and result.hosts["w1"].endpoint is None
    # Certificates of later control planes are valid for the previous name too.
    assert result.hosts["cp1"].arguments["names"] == ["lb.example.org"]
    result = plan([wishing(one, ENDPOINT) for one in hosts])
    assert not result.findings and result.move.hosts_files == ["cp1", "w1", "w2"]


def test_an_endpoint_that_means_the_same_stays_as_it_is() -> None:
    for wish in ("", "lb.example.org", "lb.example.org:6443"):
        hosts = [control("cp1", KNOWN, "lb.example.org"), worker("w1"), worker("w2")]
        result = plan([wishing(one, wish) for one in hosts])
        assert not result.findings and result.cluster.endpoint == "lb.example.org"
        assert "patch ConfigMap kube-system/kubeadm-config" not in told(result)["cp1"]


def test_hosts_that_have_not_joined_are_left_alone() -> None:
    result = plan([*trio(), host("w3", bare("w3")), host("cp2", bare("cp2"))])
    assert not result.errors and told(result)["w1"]
    assert told(result)["w3"] == told(result)["cp2"] == []


def test_the_kubeconfig_of_the_user_follows_the_variables() -> None:
    one = trio()[0]
    options = replace(one.options, kubeconfig=KubeconfigOptions(install=False, user="me"))
    arguments = plan([replace(one, options=options), *trio()[1:]]).hosts["cp1"].arguments
    assert (arguments["install"], arguments["user"]) == (False, "me")


# -- what is refused or left out


def test_workers_that_are_not_in_the_run_are_named_and_follow_later() -> None:
    result = plan(trio()[:2])
    assert not result.errors and told(result)["w1"]
    assert [one.line() for one in result.findings] == [
        "all: node w2 is unreachable or excluded, and keeps the current address of the API; run endpoint.yml with "
        "--limit for this node later, before a control plane is removed"
    ]
    later = plan([worker("w2")], [finished()[0]])
    assert not later.errors and later.move.kubeconfigs == ["w2"] and later.move.hosts_files == ["w2"]


@pytest.mark.parametrize(
    "reference", [control("cp1", KNOWN), resolving(control("cp1", KNOWN, ENDPOINT, **{**DONE, "kube_proxy": OLD}))]
)
def test_a_worker_alone_is_refused_before_the_cluster_has_the_endpoint(reference: Host) -> None:
    result = plan([worker("w2")], [reference])
    assert [one for one in lines(result) if "run endpoint.yml without --limit first" in one]
    assert not any(told(result).values())


def test_a_control_plane_that_is_not_in_the_run_stops_it() -> None:
    known = nodes("cp1", "cp2", "w1")
    refused = (
        f"all: each API server needs a certificate with the name {NAME}, but control planes do not take part: cp2; "
        "make each of them reachable and run without --limit, or remove it with remove.yml"
    )
    assert lines(plan([control("cp1", known), worker("w1")])) == [refused]
    # A worker that claims to be this control plane does not change that.
    liar = with_facts(worker("w1"), kubeadm=replace(joined("cp2"), role="control_plane"))
    assert refused in lines(plan([control("cp1", known), liar]))


BEGUN = Operation(operation.UPGRADE, "2026-11-28T08:00:00Z", version="1.36.2")
FOREIGN = with_state(worker("w3"), ca_cert_hash="sha256:" + "b" * 64)


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (with_state(control("cp1", KNOWN), operation=BEGUN), "cp1: has an unfinished operation 'upgrade'; run upgrade"),
        (with_state(control("cp1", KNOWN), operation=replace(BEGUN, kind="join")), "cp1: has an unfinished operation"),
        (with_state(control("cp1", KNOWN), operation=replace(BEGUN, kind="reset")), "cp1: the reset of this host"),
        (control("cp1", KNOWN, editable=False), "all: the ClusterConfiguration in the ConfigMap kubeadm-config is not"),
        (control("cp1", KNOWN, ca_key=False), "cp1: /etc/kubernetes/pki/ca.key does not exist"),
        (control("cp1", KNOWN, served=False), "cp1: the API server does not present the certificate"),
    ],
)
def test_what_a_control_plane_may_lack(first: Host, line: str) -> None:
    result = plan([first, *trio()[1:]])
    assert [one for one in lines(result) if one.startswith(line)], lines(result)
    assert not any(told(result).values())


def test_an_endpoint_that_is_none() -> None:
    first = wishing(trio()[0], "no endpoint")
    assert lines(plan([first, *trio()[1:]]))[0].startswith("cp1: cluster_endpoint is 'no endpoint'")
    # Whoever wrote this into the ConfigMap gets the derived name.
    assert plan([control("cp1", KNOWN, "no endpoint"), *trio()[1:]]).cluster.endpoint == ENDPOINT


def test_a_member_of_another_cluster_and_a_missing_config_map() -> None:
    assert lines(plan([*trio(), FOREIGN]))[0].startswith("w3: is a node of another cluster")
    first = trio()[0]
    missing = with_state(first, api=replace(first.kubeadm.api, config=None))
    assert lines(plan([missing, *trio()[1:]]))[0].startswith("all: the cluster does not have the ConfigMap")


def test_a_control_plane_that_is_down_stops_it() -> None:
    known = nodes("cp1", "cp2")
    down = with_state(control("cp2", known), local_api=Health(False, "connection refused", own("cp2")))
    found = lines(plan([control("cp1", known), down]))
    assert [one for one in found if one.startswith("cp2: the API server of this control plane does not answer")]
    silent = with_state(control("cp1", known), api=replace(down.kubeadm.api, live=False))
    assert lines(plan([silent]))[0].startswith("all: no control plane answers; tried cp1")


def test_no_gate_waits_for_a_control_plane_that_is_dead_and_not_in_the_play() -> None:
    """The API servers have the name already. A node that was left out gets its kubeconfig now."""
    known = [replace(one, ready=one.name != "cp2") for one in nodes("cp1", "cp2", "w1")]
    result = plan([resolving(control("cp1", known, ENDPOINT, **DONE)), resolving(worker("w1"))])
    assert not result.errors
    assert result.move.dead_nodes == ["cp2"] and result.move.kubeconfigs == ["w1"]
    assert as_result(result, CniOptions())["endpoint"]["dead_nodes"] == ["cp2"]
    gates = [
        task["kubestead.cluster.cluster_health_info"]
        for name in ("plan", "part")
        for task in yaml.safe_load((ROOT / f"roles/endpoint/tasks/{name}.yml").read_text(encoding="utf-8"))
        if "kubestead.cluster.cluster_health_info" in task
    ]
    assert [one["dead"] for one in gates] == ["{{ endpoint_order.dead_nodes }}"] * 2
    assert plan(trio()).move.dead_nodes == []


def test_different_ports_have_no_common_endpoint() -> None:
    known = nodes("cp1", "cp2")
    other = with_state(control("cp2", known), local_api=Health(True, "", f"https://{address('cp2')}:7443"))
    assert any("listen on the ports 6443, 7443" in one for one in lines(plan([control("cp1", known), other])))


def test_the_name_in_hosts_files_is_not_given_up() -> None:
    result = plan([wishing(one, "lb.example.org:6443") for one in finished()])
    assert len(lines(result)) == 1 and "is already the name" in lines(result)[0]


def test_a_controller_manager_that_uses_another_machine_is_named() -> None:
    servers = {ADMIN_KUBECONFIG: OLD, OWN_KUBECONFIGS[0]: "https://lb.example.org:6443"}
    result = plan([control("cp1", KNOWN, servers=servers), *trio()[1:]])
    assert not result.errors
    assert [one.line() for one in result.findings] == [
        "cp1: /etc/kubernetes/controller-manager.conf names https://lb.example.org:6443, not the API server of this "
        "host; remove the file, run 'kubeadm init phase kubeconfig controller-manager', and restart its container"
    ]


# -- what site.yml says


def site(hosts: list[Host]) -> list[str]:
    findings = converge(Request(inventory(hosts), hosts, ["api_endpoint", "join"])).findings
    return [one.line() for one in findings if one.problem.check == "endpoint"]


def test_site_yml_names_the_operation_when_it_matters() -> None:
    assert not site(trio()) and not site(finished())
    more = site([*trio(), host("cp2")])
    assert len(more) == 1 and "run endpoint.yml first" in more[0]
    one_machine = [control("cp1", KNOWN, f"{address('cp1')}:6443"), *trio()[1:], host("cp2")]
    assert [one for one in site(one_machine) if "is the address of cp1" in one and "run endpoint.yml" in one]
    left = site([*finished()[:2], resolving(worker("w2"))])
    assert len(left) == 1 and left[0].startswith(f"w2: its kubelet reaches the API at {OLD}")


def test_hosts_with_different_endpoints_are_refused() -> None:
    one, two, three = trio()
    result = plan([wishing(one, "a.example.org:6443"), wishing(two, "b.example.org:6443"), three])
    assert lines(result) == [
        "w1: cluster_endpoint is b.example.org:6443, but a.example.org:6443 for cp1; set it once, for all hosts"
    ]
    assert not any(told(result).values())
