# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The planners of reset.yml and remove.yml: what is done for whom, and what is refused before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.component import EndpointState
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.hosts_file import HOSTS
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import Endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.proxy_config import (
    CONFIG,
    FOLDER,
    UNIT_NAME,
    unit,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip import VirtualIpState
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import CORDONED_BY, Node, read_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.health import Health
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.removal import MemberFacts
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import KubeadmState
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import cordons
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.remove import remove
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.reset import reset
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, as_result

from .test_converge import bare, host, joined, live

ROOT = Path(__file__).resolve().parents[5]
CONTROLS, WORKERS = ("cp1", "cp2", "cp3"), ("w1", "w2")
ETCD = Health(True, "", "https://192.0.2.1:2379")
DOWN = "connection refused"


def address(name: str) -> str:
    """That of the faked machine."""
    return f"192.0.2.{sum(map(ord, name)) % 200 + 1}"


def nodes(controls: tuple[str, ...] = CONTROLS, workers: tuple[str, ...] = WORKERS, silent: str = "") -> list[Node]:
    return [
        Node(
            name,
            addresses=[address(name)],
            ready=name != silent,
            silent=name == silent,
            roles=["control-plane"] if name in controls else [],
        )
        for name in (*controls, *workers)
    ]


def control(name: str, known: list[Node], dead: bool = False) -> KubeadmState:
    state = live()
    config = replace(state.api, nodes=known)
    state = replace(state, node_name=name, api=config, etcd=ETCD, static_pods={"etcd": "3.6.6-0"}, etcd_data=True)
    if dead:
        broken = Health(False, DOWN, "https://192.0.2.1:6443")
        state = replace(state, local_api=broken, etcd=replace(ETCD, healthy=False, reason=DOWN))
        assert state.local_api.failed and state.etcd.failed
    return state


def cluster(controls: tuple[str, ...] = CONTROLS, dead: str = "", silent: str = "") -> dict[str, Host]:
    known = nodes(controls, silent=silent or dead)
    found = {name: host(name, control(name, known, name == dead)) for name in controls}
    return {**found, **{name: host(name, joined(name)) for name in WORKERS}}


def request(
    hosts: dict[str, Host], targets: list[str], gone: bool = False, missing: tuple[str, ...] = (), limit: bool = False
) -> Request:
    """``missing`` do not answer. With ``limit`` the play is for the targets alone; control planes were asked beside."""
    inventory = Inventory([name for name in hosts if name.startswith("cp")], [name for name in hosts if name[0] == "w"])
    there = {name: one for name, one in hosts.items() if name not in missing}
    inside = [one for name, one in there.items() if not limit or name in targets]
    outside = [one for name, one in there.items() if limit and name not in targets and one.control_plane]
    addresses = {name: [address(name)] for name in targets if name in hosts}
    places = {name: [name, address(name)] for name in hosts if name in targets or name in inventory.control_plane}
    return Request(inventory, inside, [], outside, targets=targets, gone=gone, addresses=addresses, places=places)


def said(plan: Plan) -> list[tuple[str, str]]:
    return [(one.problem.check, one.problem.level) for one in plan.findings]


def actions(plan: Plan) -> dict[str, list[str]]:
    return {name: [step.action for step in one.steps] for name, one in plan.hosts.items() if one.steps}


# -- reset


def test_the_complete_cluster_ends_without_taking_out_one_by_one() -> None:
    hosts = cluster()
    plan = reset(request(hosts, list(hosts)))
    assert not plan.findings and not plan.leaving and not plan.api_host
    assert list(plan.resets) == list(hosts) and set(map(tuple, actions(plan).values())) == {("reset",)}


def test_a_worker_leaves_a_cluster_that_goes_on() -> None:
    plan = reset(request(cluster(), ["w2"], limit=True))
    assert not plan.findings and plan.api_host == "cp1" and list(plan.resets) == ["w2"]
    (one,) = plan.leaving
    assert (one.host, one.name, one.node, one.etcd, one.drain) == ("w2", "w2", True, False, False)
    assert actions(plan) == {"w2": ["reset", "delete_node"]}


def test_a_bare_host_whose_node_is_still_there_leaves_too() -> None:
    """A run was killed between the two."""
    hosts = cluster()
    hosts["w2"] = host("w2", bare("w2"))
    assert [one.node for one in reset(request(hosts, ["w2"], limit=True)).leaving] == [True]
    # Another machine has taken the name.
    stranger = host("w2", bare("w2"))
    hosts["w2"] = replace(stranger, facts=replace(stranger.facts, node=host("x9").facts.node))
    assert not reset(request(hosts, ["w2"], limit=True)).leaving


def test_a_host_of_another_cluster_leaves_this_one_alone() -> None:
    hosts = cluster()
    hosts["w2"] = host("w2", replace(joined("w2"), ca_cert_hash="sha256:" + "b" * 64))
    plan = reset(request(hosts, ["w2"], limit=True))
    assert not plan.leaving and list(plan.resets) == ["w2"] and not plan.findings


def test_a_control_plane_of_another_cluster_is_not_destroyed_by_this_inventory() -> None:
    hosts = cluster()
    foreign = replace(control("cp3", nodes()), ca_cert_hash="sha256:" + "b" * 64)
    hosts["cp3"] = host("cp3", foreign)
    assert said(reset(request(hosts, ["cp3"], limit=True))) == [("foreign_node", "error")]


@pytest.mark.parametrize("name", CONTROLS)
def test_one_of_three_control_planes_leaves_also_the_first(name: str) -> None:
    plan = reset(request(cluster(), [name], limit=True))
    assert not plan.findings and plan.api_host != name
    assert actions(plan) == {name: ["remove_member", "reset", "delete_node"]}


@pytest.mark.parametrize("operation", [reset, remove])
def test_the_last_control_plane_is_not_destroyed_on_the_way(operation: object) -> None:
    hosts = cluster(("cp1",))
    plan = operation(request(hosts, ["cp1"], limit=operation is reset))  # type: ignore[operator]
    assert said(plan) == [("last_control_plane", "error")]


@pytest.mark.parametrize("operation", [reset, remove])
def test_a_majority_must_be_left(operation: object) -> None:
    """With cp3 dead, cp2 can't go; cp3 can, and then two healthy ones are left."""
    hosts = cluster(dead="cp3")
    refused = operation(request(hosts, ["cp2"], limit=operation is reset))  # type: ignore[operator]
    assert said(refused) == [("etcd_majority", "error")]
    assert refused.errors[0].problem.fix == "start cp3 again"
    assert not operation(request(hosts, ["cp3"], limit=operation is reset)).findings  # type: ignore[operator]
    both = operation(request(hosts, ["cp2", "cp3"], limit=operation is reset))  # type: ignore[operator]
    # The dead one first: then one of the two that are left may go.
    assert not both.findings and [one.name for one in both.leaving] == ["cp3", "cp2"]


@pytest.mark.parametrize("operation", [reset, remove])
@pytest.mark.parametrize("claimed", ["cp2", "cp3"])
def test_a_worker_does_not_answer_for_the_member_of_a_control_plane(operation: object, claimed: str) -> None:
    hosts = cluster(dead="cp3")
    # It is a worker by the inventory, and a healthy member of etcd by its own account.
    hosts["w1"] = host("w1", control(claimed, nodes()))
    if claimed == "cp2":
        hosts["w1"] = host("w1", control(claimed, nodes(), dead=True))
    going = "cp2" if claimed == "cp3" else "cp3"
    plan = operation(request(hosts, [going]))  # type: ignore[operator]
    assert said(plan) == ([("etcd_majority", "error")] if claimed == "cp3" else [])


# -- the endpoint

API = "api.kubernetes.internal"


def named(hosts: dict[str, Host], workers: dict[str, list[str]] | None = None) -> dict[str, Host]:
    """The cluster with a derived endpoint: each host has all control planes, and workers those in ``workers``."""
    controls = [name for name in hosts if name.startswith("cp")]
    found = {}
    for name, one in hosts.items():
        state = one.kubeadm
        if state.api.config:
            config = replace(state.api.config, endpoint=f"{API}:6443")
            state = replace(state, api=replace(state.api, config=config))
        own = address(name) if name in controls else ""
        places = [address(control) for control in (workers or {}).get(name, controls)]
        there = Endpoint(API, 6443, own, places)
        block = EndpointState({HOSTS: there.lines}, haproxy=there.proxied, joined=True, trusts=True)
        if there.proxied:
            block = replace(block, config=there.config(True), unit=unit(), active=True, enabled=True)
        found[name] = replace(one, facts=replace(one.facts, kubeadm=state, api_endpoint=block))
    return found


def redirected(plan: Plan) -> dict[str, list[str]]:
    steps = {name: [f"{step.action} {step.target}" for step in plan.hosts[name].steps] for name in plan.redirected}
    assert all(step.component == "api_endpoint" for name in steps for step in plan.hosts[name].steps)
    return steps


def test_the_hosts_that_stay_lose_the_address_of_a_control_plane_that_leaves() -> None:
    plan = remove(request(named(cluster()), ["cp2"]))
    proxy = [f"write_config {CONFIG}", f"reload {UNIT_NAME}"]
    block = [f"write_hosts {HOSTS}"]
    assert not plan.findings and redirected(plan) == {"cp1": block, "cp3": block, "w1": proxy, "w2": proxy}
    for name in ("cp1", "w1"):
        endpoint = plan.hosts[name].endpoint
        assert endpoint and set(endpoint.control_planes) == {address("cp1"), address("cp3")}
    assert actions(plan)["cp2"] == ["drain", "remove_member", "reset", "delete_node"]


def test_the_last_control_plane_of_two_needs_no_proxy() -> None:
    plan = remove(request(named(cluster(("cp1", "cp2"))), ["cp2"]))
    ends = [f"write_hosts {HOSTS}", f"remove_unit {UNIT_NAME}", f"remove {FOLDER}"]
    assert redirected(plan) == {"cp1": [f"write_hosts {HOSTS}"], "w1": ends, "w2": ends}


def test_a_worker_that_knows_only_the_control_plane_that_leaves_gets_a_proxy() -> None:
    """The others were added with --limit."""
    hosts = named(cluster(), {"w1": ["cp1"], "w2": ["cp2"]})
    plan = remove(request(hosts, ["cp1"]))
    assert "w2" not in plan.redirected and redirected(plan)["w1"][0] == "install haproxy" and not plan.findings
    w1 = hosts["w1"]
    lacking = replace(w1.facts.api_endpoint, absent="the apt package lists do not have it")
    hosts["w1"] = replace(w1, facts=replace(w1.facts, api_endpoint=lacking))
    warned = remove(request(hosts, ["cp1"]))
    assert [(one.host, one.problem.level) for one in warned.findings] == [("w1", "warning")]
    assert "haproxy, which can't be installed" in warned.findings[0].problem.message


def test_a_worker_that_leaves_changes_the_endpoint_of_nobody() -> None:
    hosts = named(cluster(), {"w1": ["cp1"]})
    assert not remove(request(hosts, ["w2"])).redirected
    # A worker that leaves as well needs no API.
    plan = remove(request(hosts, ["cp1", "w1"]))
    assert set(plan.redirected) == {"cp2", "cp3", "w2"} and not plan.findings


def at_the_address_of_cp1(hosts: dict[str, Host]) -> dict[str, Host]:
    """The cluster as kubeadm creates it with the address of its first control plane as the endpoint."""
    found = dict(hosts)
    for name in (name for name in hosts if name.startswith("cp")):
        state = hosts[name].kubeadm
        config = replace(state.api.config, endpoint=f"{address('cp1')}:6443")  # type: ignore[type-var]
        facts = replace(hosts[name].facts, kubeadm=replace(state, api=replace(state.api, config=config)))
        found[name] = replace(hosts[name], facts=facts)
    return found


@pytest.mark.parametrize("plan", [remove, reset])
def test_the_control_plane_whose_address_is_the_endpoint_does_not_leave(plan: Callable[[Request], Plan]) -> None:
    hosts = at_the_address_of_cp1(cluster())
    limit = plan is reset
    refused = plan(request(hosts, ["cp1"], limit=limit))
    assert [one.line() for one in refused.errors] == [
        f"cp1: the endpoint of the cluster is the address {address('cp1')} of this control plane, so all nodes would "
        "lose the API; run endpoint.yml first, which gives the cluster an endpoint that is a name"
    ]
    assert not plan(request(hosts, ["cp2", "w1"], limit=limit)).errors
    assert not plan(request(named(cluster()), ["cp1"], limit=limit)).errors
    # The machine is down, and another one may have its address now.
    hosts = at_the_address_of_cp1(cluster(dead="cp1"))
    assert not plan(request(hosts, ["cp1"], gone=True, missing=("cp1",), limit=limit)).errors
    # The cluster ends.
    hosts = at_the_address_of_cp1(cluster())
    assert not reset(request(hosts, list(hosts))).errors


@pytest.mark.parametrize("place", [address("cp1"), "cp1"])
def test_a_kubelet_that_reaches_the_api_at_a_control_plane_that_leaves_is_named(place: str) -> None:
    """endpoint.yml left this worker out."""
    hosts = named(cluster())
    server = f"https://{place}:6443"
    state = replace(joined("w1"), server=server)
    hosts["w1"] = replace(hosts["w1"], facts=replace(hosts["w1"].facts, kubeadm=state))
    plan = remove(request(hosts, ["cp1"]))
    assert [one.line() for one in plan.findings] == [
        f"w1: its kubelet reaches the API at {server}, a control plane that leaves; run endpoint.yml for this host"
    ]
    assert plan.findings[0].problem.level == "warning"
    for targets in (["cp2"], ["w2"], ["cp1", "w1"]):
        assert not remove(request(hosts, targets)).findings
    foreign = replace(state, ca_cert_hash="sha256:" + "b" * 64)
    hosts["w1"] = replace(hosts["w1"], facts=replace(hosts["w1"].facts, kubeadm=foreign))
    assert not remove(request(hosts, ["cp1"])).findings


def test_a_removal_that_was_killed_before_the_endpoint_was_changed_is_finished() -> None:
    hosts = named(cluster())
    known = [node for node in nodes() if node.name != "cp3"]
    without = named({name: host(name, control(name, known)) for name in ("cp1", "cp2")}, {})
    for name, one in without.items():
        hosts[name] = replace(one, facts=replace(one.facts, api_endpoint=hosts[name].facts.api_endpoint))
    hosts["cp3"] = host("cp3", bare("cp3"))
    assert set(remove(request(hosts, ["cp3"])).redirected) == {"cp1", "cp2", "w1", "w2"}


def test_a_change_of_the_endpoint_that_was_killed_after_the_hosts_file_is_finished() -> None:
    hosts = named(cluster(("cp1",)))
    left = named(cluster(("cp1", "cp2")))["w1"].facts.api_endpoint
    for name, changes in (("w1", {"unit": left.unit, "config": left.config}), ("w2", {"restart_pending": True})):
        one = hosts[name]
        hosts[name] = replace(one, facts=replace(one.facts, api_endpoint=replace(one.facts.api_endpoint, **changes)))
    hosts["cp2"] = host("cp2", bare("cp2"))
    again = redirected(remove(request(hosts, ["cp2"])))
    assert again == {"w1": [f"remove_unit {UNIT_NAME}", f"remove {FOLDER}"], "w2": [f"remove {FOLDER}"]}


def test_an_installation_that_was_not_finished_is_finished_on_a_host_that_stays() -> None:
    """The service of the package may run, although the host has no address of the control plane that leaves."""
    hosts = named(cluster(("cp1",)))
    for name in ("w1", "w2"):
        state = replace(hosts[name].facts.api_endpoint, installing=name == "w1")
        hosts[name] = replace(hosts[name], facts=replace(hosts[name].facts, api_endpoint=state))
    hosts["cp2"] = host("cp2", bare("cp2"))
    plan = remove(request(hosts, ["cp2"]))
    assert redirected(plan) == {"w1": ["disable_package haproxy.service", f"remove {FOLDER}"]}
    hosts = named(cluster())
    left = replace(hosts["w1"].facts.api_endpoint, installing=True)
    hosts["w1"] = replace(hosts["w1"], facts=replace(hosts["w1"].facts, api_endpoint=left))
    held = replace(hosts["cp1"].facts.api_endpoint, virtual_ip=VirtualIpState(installing=True, folder=True))
    hosts["cp1"] = replace(hosts["cp1"], facts=replace(hosts["cp1"].facts, api_endpoint=held))
    steps = redirected(remove(request(hosts, ["w2"])))
    assert steps["w1"] == ["install haproxy"] and steps["cp1"][0] == "disable_package keepalived.service"
    assert set(steps) == {"w1", "cp1"}


def test_only_nodes_of_the_cluster_that_find_the_api_by_its_name_are_redirected() -> None:
    hosts = named(cluster())
    hosts["w2"] = replace(hosts["w2"], facts=replace(hosts["w2"].facts, kubeadm=bare("w2")))
    other = replace(hosts["w1"].kubeadm, ca_cert_hash="sha256:" + "b" * 64)
    hosts["w1"] = replace(hosts["w1"], facts=replace(hosts["w1"].facts, kubeadm=other))
    assert set(remove(request(hosts, ["cp3"])).redirected) == {"cp1", "cp2"}
    # A load balancer, or an address.
    balanced = {
        name: replace(one, facts=replace(one.facts, api_endpoint=named(cluster())[name].facts.api_endpoint))
        for name, one in cluster().items()
    }
    assert not remove(request(balanced, ["cp3"])).redirected


@pytest.mark.parametrize("operation", [reset, remove])
def test_hosts_outside_the_play_that_keep_the_address_are_named(operation: object) -> None:
    hosts = named(cluster())
    plan = operation(request(hosts, ["cp3"], limit=True))  # type: ignore[operator]
    (finding,) = plan.findings
    assert (finding.problem.check, finding.problem.level) == ("endpoint", "warning") and not plan.redirected
    assert finding.problem.message == (
        "hosts that did not answer or are not in this play keep cp3 among the addresses of the API: cp1, cp2, w1, w2"
    )
    assert not operation(request(hosts, ["w2"], limit=True)).findings  # type: ignore[operator]


def test_a_drain_needs_a_control_plane_that_finds_the_api() -> None:
    hosts = named(cluster())
    hosts["cp1"] = replace(hosts["cp1"], facts=replace(hosts["cp1"].facts, api_endpoint=EndpointState()))
    (finding,) = remove(request(hosts, ["w2"])).errors
    assert finding.line().startswith("cp1: /etc/hosts does not have the block of this collection with api.kubernetes.")
    assert finding.problem.fix == "run site.yml for this host first"


def test_two_of_two_are_more_than_can_go() -> None:
    hosts = cluster(("cp1", "cp2"))
    assert not reset(request(hosts, ["cp2"], limit=True)).findings
    hosts = cluster(("cp1", "cp2"), dead="cp2")
    # One of two is not a majority; etcd has stopped already, and the API of cp1 with it.
    assert said(reset(request(hosts, ["cp2"], limit=True))) == [("etcd_majority", "error")]


# -- the members of etcd


def with_members(hosts: dict[str, Host], *members: Member) -> dict[str, Host]:
    """The control planes with these members in their lists."""
    listed = MemberFacts(list(members))
    return {
        name: replace(one, facts=replace(one.facts, etcd=listed)) if one.control_plane else one
        for name, one in hosts.items()
    }


def member(name: str, healthy: bool = True, place: str = "") -> Member:
    return Member(str(sum(map(ord, name))), name, [f"https://{place or address(name)}:2380"], healthy=healthy)


@pytest.mark.parametrize("operation", [reset, remove])
def test_a_removal_that_was_killed_after_the_member_left_continues(operation: object) -> None:
    """Node and data are still there, but etcd no longer counts the member."""
    hosts = with_members(cluster(("cp1", "cp2"), dead="cp2"), member("cp1"))
    plan = operation(request(hosts, ["cp2"], limit=operation is reset))  # type: ignore[operator]
    assert not plan.findings
    assert actions(plan) == {"cp2": ["reset", "delete_node"]}
    # While the member is still there, one of two is not a majority.
    hosts = with_members(hosts, member("cp1"), member("cp2", False))
    refused = operation(request(hosts, ["cp2"], limit=operation is reset))  # type: ignore[operator]
    assert said(refused) == [("etcd_majority", "error")]


@pytest.mark.parametrize("operation", [reset, remove])
@pytest.mark.parametrize("left", [("cp1",), ("cp1", "cp2")])
def test_a_removal_of_two_of_three_that_was_killed_continues(operation: object, left: tuple[str, ...]) -> None:
    hosts = with_members(cluster(dead="cp3"), *map(member, left))
    plan = operation(request(hosts, ["cp2", "cp3"], limit=operation is reset))  # type: ignore[operator]
    assert not plan.findings and [one.name for one in plan.leaving if one.etcd] == list(left[1:])


@pytest.mark.parametrize("operation", [reset, remove])
def test_a_member_without_a_machine_is_counted_before_the_first_change(operation: object) -> None:
    stray = member("cp9", healthy=False)
    hosts = with_members(cluster(("cp1", "cp2")), member("cp1"), member("cp2"), stray)
    plan = operation(request(hosts, ["cp2"], limit=operation is reset))  # type: ignore[operator]
    (error,) = plan.errors
    assert error.problem.check == "etcd_majority" and "1 of 2 etcd members healthy" in error.problem.message
    assert stray.label in error.problem.fix and "-e remove_hosts=cp9 -e remove_gone=true" in error.problem.fix


def test_the_name_of_a_member_becomes_no_part_of_a_command_unless_it_is_plain() -> None:
    stray = member("cp9; reboot", healthy=False)
    hosts = with_members(cluster(("cp1", "cp2")), member("cp1"), member("cp2"), stray)
    (error,) = remove(request(hosts, ["cp2"])).errors
    assert "-e remove_hosts=HOST -e remove_gone=true" in error.problem.fix


@pytest.mark.parametrize("operation", [reset, remove])
def test_a_member_that_the_others_do_not_reach_is_removed_first(operation: object) -> None:
    """By its own account it is healthy."""
    hosts = with_members(cluster(), member("cp1"), member("cp2"), member("cp3", healthy=False))
    plan = operation(request(hosts, ["cp2", "cp3"], limit=operation is reset))  # type: ignore[operator]
    assert not plan.findings and [one.name for one in plan.leaving] == ["cp3", "cp2"]


def test_a_member_without_a_machine_can_be_removed() -> None:
    hosts = with_members(cluster(("cp1", "cp2")), member("cp1"), member("cp2"), member("cp9", healthy=False))
    assert said(remove(request(hosts, ["cp9"]))) == [("unreachable", "error")]
    plan = remove(request(hosts, ["cp9"], gone=True))
    (one,) = plan.leaving
    assert not plan.findings and (one.name, one.etcd, one.node, one.gone) == ("cp9", True, False, True)
    hosts = with_members(hosts, member("cp1"), member("cp2"), member("cp9"))
    (error,) = remove(request(hosts, ["cp9"], gone=True)).errors
    assert "still answers" in error.problem.message


def test_a_worker_has_no_member_whatever_address_it_reports() -> None:
    stray = member("cp9", healthy=False, place=address("w2"))
    plan = remove(request(with_members(cluster(), *map(member, CONTROLS), stray), ["w2"]))
    assert actions(plan) == {"w2": ["drain", "reset", "delete_node"]} and not plan.findings


# -- cordons


def with_cordons(workers: tuple[str, ...] = WORKERS, **owners: str) -> dict[str, Host]:
    """The hosts, after runs of this collection cordoned nodes. ``workers`` are those in the API."""
    known = [
        replace(node, unschedulable=node.name in owners, cordoned_by=owners.get(node.name, ""))
        for node in nodes(workers=workers)
    ]
    return {**cluster(), **{name: host(name, control(name, known)) for name in CONTROLS}}


def test_nodes_that_stay_lose_the_cordon_of_an_interrupted_removal() -> None:
    """The run that was killed cordoned both nodes together."""
    both = cordons.removal(["w2", "w1"])
    hosts = with_cordons(w1=both, w2=both, cp2="kubestead.cluster upgrade: yesterday")
    assert list(remove(request(hosts, ["w1"])).uncordoned) == ["w2"]
    assert not remove(request(hosts, ["w1", "w2"])).uncordoned
    # It was killed before it cordoned the node that is removed now.
    assert list(remove(request(with_cordons(w2=both), ["w1"])).uncordoned) == ["w2"]
    # It was killed after the Node was deleted.
    gone = {name: one for name, one in with_cordons(("w2",), w2=both).items() if name != "w1"}
    assert list(remove(request(gone, ["w1"], gone=True)).uncordoned) == ["w2"]


def test_two_removals_at_the_same_time_do_not_lift_the_cordons_of_one_another() -> None:
    hosts = with_cordons(w2=cordons.removal(["w2"]))
    plan = remove(request(hosts, ["w1"]))
    assert plan.owner == cordons.removal(["w1"]) and not plan.uncordoned and not plan.errors
    assert [one.line() for one in plan.findings] == [
        "all: node w2 was cordoned by another run (kubestead.cluster remove: w2) and stays cordoned; if that run was "
        "killed, repeat its command, or run 'kubectl uncordon w2'"
    ]
    again = remove(request(hosts, ["w2"]))
    assert not again.findings and again.owner == cordons.removal(["w2"])


def test_nodes_of_a_removal_with_a_long_list_of_names_are_known_by_the_same_text() -> None:
    """Annotations are read up to a limit."""
    (read,) = read_nodes(
        {
            "items": [
                {
                    "metadata": {
                        "name": "w1",
                        "annotations": {CORDONED_BY: cordons.removal([f"a{at:03}" for at in range(99)] + ["w1", "w2"])},
                    },
                    "spec": {"unschedulable": True},
                }
            ]
        }
    )
    assert "w2" not in read.cordoned_by
    hosts = with_cordons(w1=read.cordoned_by, w2=read.cordoned_by)
    assert list(remove(request(hosts, ["w1"])).uncordoned) == ["w2"]


def test_the_role_cordons_in_the_name_of_the_planner() -> None:
    tasks = yaml.safe_load((ROOT / "roles/remove/tasks/main.yml").read_text(encoding="utf-8"))
    drains = [task["kubestead.cluster.node_drain"] for task in tasks if "kubestead.cluster.node_drain" in task]
    assert [one["owner"] for one in drains] == ["{{ remove_plan.owner }}"] * 2
    assert as_result(remove(request(cluster(), ["w1"])), CniOptions())["owner"] == "kubestead.cluster remove: w1"


@pytest.mark.parametrize("limit", [False, True])
def test_all_nodes_that_leave_are_drained_in_one_task(limit: bool) -> None:
    plan = remove(request(cluster(), ["w1", "w2"], limit=limit))
    assert as_result(plan, CniOptions())["drained"] == ["w1", "w2"]


def test_workers_of_a_dead_cluster_can_be_reset() -> None:
    hosts = {name: one for name, one in cluster().items() if name in WORKERS}
    plan = reset(Request(Inventory(["cp1"], ["w1", "w2"]), list(hosts.values()), [], targets=["w1"]))
    assert not plan.errors and list(plan.resets) == ["w1"] and not plan.leaving


def test_a_node_that_nobody_listed_loses_its_cluster_with_a_warning() -> None:
    hosts = cluster()
    del hosts["w2"]
    assert said(reset(request(hosts, list(hosts)))) == [("unlisted_node", "warning")]


def test_a_host_that_is_in_neither_group_is_not_reset() -> None:
    hosts = cluster()
    asked = request(hosts, list(hosts))
    balancer = host("lb1", bare("lb1"))
    plan = reset(replace(asked, hosts=[*asked.hosts, balancer], targets=[*hosts, "lb1"]))
    (error,) = plan.errors
    assert error.host == "lb1" and "neither the group control_plane nor the group workers" in error.problem.message


@pytest.mark.parametrize(("missing", "words"), [("cp2", "etcd data"), ("w1", "kubelet")])
def test_a_complete_reset_says_what_stays_on_hosts_that_do_not_answer(missing: str, words: str) -> None:
    hosts = cluster()
    plan = reset(request(hosts, list(hosts), missing=(missing,)))
    assert not plan.errors and missing not in plan.resets and len(plan.resets) == 4
    (finding,) = plan.findings
    assert finding.host == missing and words in finding.problem.message and f"--limit {missing}" in finding.problem.fix


def test_a_reset_of_workers_whose_control_planes_do_not_answer_names_each() -> None:
    hosts = cluster()
    plan = reset(request(hosts, list(hosts), missing=CONTROLS))
    assert [one.host for one in plan.findings] == list(CONTROLS) and list(plan.resets) == list(WORKERS)


def test_an_unknown_marker_stops_a_reset() -> None:
    hosts = cluster()
    hosts["w1"] = host("w1", replace(joined("w1"), operation=Operation("migrate")))
    assert said(reset(request(hosts, ["w1"], limit=True))) == [("operation", "error")]
    for kind in ("init", "join", "reset"):
        hosts["w1"] = host("w1", replace(joined("w1"), operation=Operation(kind)))
        assert not reset(request(hosts, ["w1"], limit=True)).findings


@pytest.mark.parametrize("operation", [reset, remove])
@pytest.mark.parametrize("claimed", ["cp2", "w1"])
def test_a_host_that_claims_to_be_another_takes_nobody_else_out(operation: object, claimed: str) -> None:
    hosts = cluster()
    liar = replace(control(claimed, nodes()), role="control_plane") if claimed == "cp2" else joined(claimed)
    hosts["w2"] = host("w2", liar)
    plan = operation(request(hosts, ["w2"], limit=operation is reset))  # type: ignore[operator]
    assert said(plan) == [("node_name", "error")]
    assert claimed not in [one.name for one in plan.leaving] and plan.api_host in ("", "cp1")


def test_a_worker_that_calls_itself_a_control_plane_is_not_asked_for_the_cluster() -> None:
    hosts = {"w1": host("w1", control("w1", nodes())), **cluster()}
    assert remove(request(hosts, ["w2"])).api_host == "cp1"


def test_a_node_with_another_name_is_known_by_the_address_in_the_inventory() -> None:
    hosts = cluster()
    known = [replace(node, name="node-2") if node.name == "w2" else node for node in nodes()]
    hosts.update({name: host(name, control(name, known)) for name in CONTROLS})
    hosts["w2"] = host("w2", joined("node-2"))
    plan = remove(request(hosts, ["w2"]))
    assert not plan.findings and [(one.host, one.name) for one in plan.leaving] == [("w2", "node-2")]


# -- remove


def test_a_worker_is_drained_reset_and_deleted() -> None:
    plan = remove(request(cluster(), ["w2"]))
    assert not plan.findings and list(plan.resets) == ["w2"] and plan.api_host == "cp1"
    assert actions(plan) == {"w2": ["drain", "reset", "delete_node"]}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_plane_is_taken_out_of_etcd_as_well(name: str) -> None:
    plan = remove(request(cluster(), [name]))
    assert actions(plan) == {name: ["drain", "remove_member", "reset", "delete_node"]} and plan.api_host != name


@pytest.mark.parametrize("name", ["cp1", "cp2", "w2"])
def test_a_dead_machine_needs_a_word(name: str) -> None:
    hosts = cluster(silent=name)
    refused = remove(request(hosts, [name], missing=(name,)))
    assert said(refused) == [("unreachable", "error")] and "remove_gone=true" in refused.errors[0].problem.fix
    plan = remove(request(hosts, [name], gone=True, missing=(name,)))
    (one,) = plan.leaving
    assert not plan.findings and one.gone and not one.drain and one.node and one.etcd == name.startswith("cp")
    assert not plan.resets and list(one.addresses) == [address(name)] and plan.api_host != name


def test_a_machine_whose_kubelet_reports_is_not_gone() -> None:
    plan = remove(request(cluster(), ["w2"], gone=True, missing=("w2",)))
    assert said(plan) == [("unreachable", "error")] and "still reports" in plan.errors[0].problem.message


def test_a_node_that_is_not_in_the_inventory_can_be_named() -> None:
    hosts = cluster(silent="w2")
    del hosts["w2"]
    assert [one.name for one in remove(request(hosts, ["w2"], gone=True)).leaving] == ["w2"]
    assert said(remove(request(hosts, ["w2"]))) == [("unreachable", "error")]
    assert said(remove(request(hosts, ["w7"], gone=True))) == [("options", "error")]


def test_a_dead_machine_is_found_by_its_address_where_its_node_has_another_name() -> None:
    hosts = cluster(silent="w2")
    known = [replace(node, name="node-2") if node.name == "w2" else node for node in nodes(silent="w2")]
    hosts.update({name: host(name, control(name, known)) for name in CONTROLS})
    plan = remove(request(hosts, ["w2"], gone=True, missing=("w2",)))
    assert [(one.host, one.name) for one in plan.leaving] == [("w2", "node-2")]


def claiming(claimed: str, *claims: Node) -> dict[str, Host]:
    """A cluster in which cp3 is dead and its Node is called ``plane-3``; other Nodes claim to be at its address."""
    hosts = cluster(dead="cp3")
    known = [replace(one, name="plane-3") if one.name == "cp3" else one for one in nodes(silent="cp3")]
    known = sorted([one for one in known if one.name not in {claim.name for claim in claims}] + list(claims), key=str)
    assert [one.name for one in known if claimed in one.addresses] == [*(one.name for one in claims), "plane-3"]
    hosts.update({name: host(name, control(name, known, name == "cp3")) for name in CONTROLS})
    return with_members(hosts, member("cp1"), member("cp2"), member("plane-3", False, place=address("cp3")))


@pytest.mark.parametrize("ready", [True, False])
def test_a_worker_that_claims_the_address_of_a_dead_machine_is_not_removed_in_its_place(ready: bool) -> None:
    place = address("cp3")
    liar = Node("a1", addresses=[place], ready=ready)
    # By the inventory, it is the Node of another host.
    hosts = {**claiming(place, liar), "w1": host("w1", joined("a1"), node_name="a1")}
    (one,) = remove(request(hosts, ["cp3"], gone=True, missing=("cp3",))).leaving
    assert (one.name, one.etcd, one.node) == ("plane-3", True, True)
    # If the inventory does not tell whose it is, nothing is removed until the user tells.
    plan = remove(request(claiming(place, liar), ["cp3"], gone=True, missing=("cp3",)))
    (error,) = plan.errors
    assert not plan.leaving and "several Nodes: a1, plane-3" in error.problem.message
    assert "cluster_node_name" in error.problem.fix


def test_the_member_of_a_control_plane_goes_whatever_workers_claim() -> None:
    """One that never started has no name, so it is found by its address alone."""
    place = address("cp3")
    known = [replace(one, addresses=[place]) if one.name == "w1" else one for one in nodes(silent="cp3")]
    hosts = cluster(dead="cp3")
    hosts.update({name: host(name, control(name, known, name == "cp3")) for name in CONTROLS})
    nameless = replace(member("cp3", False), name="")
    hosts = with_members(hosts, member("cp1"), member("cp2"), nameless)
    (one,) = remove(request(hosts, ["cp3"], gone=True, missing=("cp3",))).leaving
    assert one.etcd and one.name == "cp3"
    # Its Node is gone already, and a worker claims the address, down or not.
    known = [replace(one, ready=False) if one.name == "w1" else one for one in known if one.name != "cp3"]
    hosts.update({name: host(name, control(name, known)) for name in CONTROLS})
    (one,) = remove(request(with_members(hosts, nameless), ["cp3"], gone=True, missing=("cp3",))).leaving
    assert one.etcd and (one.name, one.node) == ("cp3", False)


def test_a_dead_machine_is_found_by_the_node_name_in_the_inventory() -> None:
    hosts = cluster(silent="w2")
    known = [replace(node, name="node-2") if node.name == "w2" else node for node in nodes(silent="w2")]
    hosts.update({name: host(name, control(name, known)) for name in CONTROLS})
    asked = replace(request(hosts, ["w2"], gone=True, missing=("w2",)), addresses={}, node_names={"w2": "node-2"})
    assert [(one.host, one.name) for one in remove(asked).leaving] == [("w2", "node-2")]


def test_a_dead_machine_without_a_node_is_a_warning_with_the_nodes_there_are() -> None:
    """An earlier run deleted the Node, or its name is another one."""
    hosts = cluster()
    known = [node for node in nodes() if node.name != "w2"]
    hosts.update({name: host(name, control(name, known)) for name in CONTROLS})
    plan = remove(request(hosts, ["w2"], gone=True, missing=("w2",)))
    (finding,) = plan.findings
    assert (finding.host, finding.problem.level) == ("w2", "warning") and not plan.leaving and not actions(plan)
    assert "does not have a Node w2, so nothing is removed; its Nodes are cp1, cp2, cp3, w1" in finding.problem.message
    # A control plane whose Node was deleted, but not its member.
    hosts = with_members(cluster(("cp1", "cp2")), member("cp1"), member("cp2"), member("cp3", healthy=False))
    hosts["cp3"] = host("cp3", bare("cp3"))
    plan = remove(request(hosts, ["cp3"], gone=True, missing=("cp3",)))
    assert [(one.etcd, one.node) for one in plan.leaving] == [(True, False)] and not plan.findings


def test_a_bare_host_whose_run_was_killed_is_finished() -> None:
    hosts = cluster(silent="cp2")
    hosts["cp2"] = host("cp2", bare("cp2"))
    (one,) = remove(request(hosts, ["cp2"])).leaving
    assert one.node and one.etcd and not one.drain and not one.gone


def test_nothing_to_remove_and_nobody_to_ask_are_said() -> None:
    assert said(remove(request(cluster(), []))) == [("options", "error")]
    workers = {name: one for name, one in cluster().items() if name in WORKERS}
    assert said(remove(request(workers, ["w1"]))) == [("api_down", "error")]
