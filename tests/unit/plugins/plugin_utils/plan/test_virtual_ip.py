# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual IP address of a cluster: what each control plane is told, and what prevents it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.component import EndpointState
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import EndpointOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip import VirtualIpState
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip_config import VirtualIp
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip_config import (
    router_id as usual_id,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan

from .test_converge import host, joined, lines
from .test_endpoint import NAME, address, cluster, node, plan

VIP = "192.0.2.250"
PAIR = (("cp1", "cp2"), ("cp2", "cp1"))


def with_vip(one: Host, vip: str = VIP, router_id: int = 0, **state: Any) -> Host:
    """The host with the option, and with a state of the virtual address."""
    if not one.control_plane:
        return replace(one, options=replace(one.options, api_endpoint=EndpointOptions(vip, router_id)))
    state.setdefault("networks", {entry.network: entry.interface for entry in one.node.addresses})
    found = VirtualIpState(keepalived=True, curl=True, **state)
    return replace(
        one,
        facts=replace(one.facts, api_endpoint=EndpointState(virtual_ip=found)),
        options=replace(
            one.options,
            api_endpoint=EndpointOptions(vip, router_id),
            control_plane=replace(one.options.control_plane, endpoint_vip=vip),
        ),
    )


def given(result: Plan, name: str) -> VirtualIp | None:
    endpoint = result.hosts[name].endpoint
    assert endpoint is not None
    return endpoint.virtual_ip


def warnings(result: Plan) -> list[str]:
    """The warnings, without the one about a cluster without workers."""
    return [one.line() for one in result.findings if one.problem.level == "warning" and one.problem.check != "groups"]


def member(name: str, *names: str) -> Host:
    """A control plane of a cluster of control planes."""
    return host(name, cluster(*(node(one, "control-plane") for one in names or ("cp1", "cp2")), name=name))


def test_the_control_planes_of_a_new_cluster_know_one_another_and_workers_nothing() -> None:
    result = plan([with_vip(host(name)) for name in ("cp1", "cp2", "cp3", "w1")])
    assert not result.findings
    one, two = given(result, "cp1"), given(result, "cp2")
    assert one and two and (one.address, one.own, one.port) == (VIP, address("cp1"), 6443)
    assert one.peers == [address("cp2"), address("cp3")] and two.peers == [address("cp1"), address("cp3")]
    assert one.router_id == two.router_id not in (0, 51)
    assert given(result, "w1") == VirtualIp()
    assert "write_check" in [step.action for step in result.steps["cp2"]]
    assert not [step for step in result.steps["w1"] if "api-vip" in step.target]
    # The certificate of the first one is created with the address.
    (init,) = [step for step in result.steps["cp1"] if step.action == "init"]
    assert f'"certSANs": [\n      "{VIP}"\n    ]' in init.after


def test_the_kubeconfig_for_users_has_the_virtual_address_if_every_certificate_has_it() -> None:
    fresh = plan([with_vip(host("cp1")), with_vip(host("cp2"))])
    assert fresh.hosts["cp1"].api_address == VIP

    def server(first: bool, second: bool) -> str:
        every = [with_vip(member("cp1"), certified=first), with_vip(member("cp2"), certified=second)]
        return plan(every).hosts["cp1"].api_address

    assert server(True, True) == VIP
    assert server(True, False) == server(False, True) == server(False, False) == address("cp1")
    assert plan([member("cp1"), member("cp2")]).hosts["cp1"].api_address == address("cp1")


def test_a_certificate_without_the_address_is_named() -> None:
    there = cluster(node("cp1", "control-plane"))
    result = plan([with_vip(host("cp1", there), certified=False)])
    assert not result.errors and given(result, "cp1") is not None
    assert warnings(result) == [
        f"cp1: the certificate of the API server does not have the virtual IP address {VIP}; run endpoint.yml, "
        "which adds it; until then, clients can't verify the address"
    ]


def test_the_address_is_set_up_only_in_a_run_that_tells_all_control_planes() -> None:
    there = cluster(node("cp1", "control-plane"), node("cp2", "control-plane"))
    inventory = Inventory(["cp1", "cp2", "cp3"], [])
    left = "which leaves out cp2; run site.yml for all control planes"
    new = plan([with_vip(host("cp1", there)), with_vip(host("cp3"))], inventory=inventory)
    assert not new.errors and given(new, "cp1") is None and given(new, "cp3") is None
    expected = [f"{name}: the virtual IP address {VIP} is not set up in this run, {left}" for name in ("cp1", "cp3")]
    assert warnings(new) == expected
    # A control plane that has it keeps it as it is, without a warning.
    old = plan([with_vip(host("cp1", there), address=VIP)], inventory=inventory)
    assert given(old, "cp1") is None and not warnings(old) and old.steps["cp1"][-1].action == "write_hosts"


def set_up(name: str, *peers: str, router_id: int = 0) -> dict[str, Any]:
    """The state of a control plane that has the address set up."""
    one = VirtualIp(VIP, router_id or usual_id(NAME, VIP), 6443, address(name), [address(peer) for peer in peers])
    return {"address": VIP, "unit": one.unit("eth0"), "config": one.config("eth0"), "check": one.check()}


def test_a_member_gets_the_address_after_the_others_send_their_packets_to_it() -> None:
    three = ("cp1", "cp2", "cp3")
    # cp3 has joined in a run with --limit.
    first = plan(
        [
            with_vip(member("cp1", *three), **set_up("cp1", "cp2")),
            with_vip(member("cp2", *three), **set_up("cp2", "cp1", "cp3")),
            with_vip(member("cp3", *three)),
        ]
    )
    one = given(first, "cp1")
    assert one and one.peers == [address("cp2"), address("cp3")] and given(first, "cp3") is None
    assert warnings(first) == [
        f"cp3: the virtual IP address {VIP} is not set up on this host yet: cp1 did not send packets to it; "
        "run site.yml again"
    ]
    next_run = plan(
        [
            with_vip(member("cp1", *three), **set_up("cp1", "cp2", "cp3")),
            with_vip(member("cp2", *three), **set_up("cp2", "cp1", "cp3")),
            with_vip(member("cp3", *three)),
        ]
    )
    assert given(next_run, "cp3") and not warnings(next_run)
    # A host that joins can't be an owner before the end of its join.
    joins = plan(
        [
            with_vip(member("cp1", "cp1", "cp2"), **set_up("cp1", "cp2")),
            with_vip(member("cp2", "cp1", "cp2"), **set_up("cp2", "cp1")),
            with_vip(host("cp3")),
        ]
    )
    assert given(joins, "cp3") and not warnings(joins)


def test_the_router_id_of_an_address_that_is_set_up_does_not_change() -> None:
    every = [with_vip(member(name), router_id=9, **set_up(name, other)) for name, other in PAIR]
    expected = usual_id(NAME, VIP)
    assert lines(plan(every))[0] == (
        f"cp1: cluster_endpoint_vip_router_id is 9, but the virtual IP address was set up with {expected}; remove "
        "cluster_endpoint_vip and run site.yml, then set both and run it again"
    )
    assert not plan([with_vip(member(name), **set_up(name, other)) for name, other in PAIR]).errors


def test_a_control_plane_that_was_removed_is_no_longer_a_peer() -> None:
    three = [with_vip(member(name, "cp1", "cp2", "cp3"), address=VIP) for name in ("cp1", "cp2", "cp3")]
    one = given(plan(three), "cp1")
    assert one and one.peers == [address("cp2"), address("cp3")]
    two = [with_vip(member(name, "cp1", "cp3"), address=VIP) for name in ("cp1", "cp3")]
    one = given(plan(two), "cp1")
    assert one and one.peers == [address("cp3")]


def test_without_the_variable_the_address_is_removed_also_with_limit() -> None:
    there = cluster(node("cp1", "control-plane"), node("cp2", "control-plane"))
    has = with_vip(host("cp1", there), "", address=VIP, unit="[Unit]", config="text")
    result = plan([has], inventory=Inventory(["cp1", "cp2"], []))
    assert not result.findings and [step.action for step in result.steps["cp1"]][-2:] == ["remove_unit", "remove"]


@pytest.mark.parametrize(
    ("vip", "line"),
    [
        ("10.244.3.4", "all: cluster_endpoint_vip is 10.244.3.4, which is in the pod range 10.244.0.0/16"),
        ("10.96.0.1", "all: cluster_endpoint_vip is 10.96.0.1, which is in the Service range 10.96.0.0/12"),
        (address("w1"), f"w1: cluster_endpoint_vip is {address('w1')}, which is already an address of w1"),
        (address("cp1"), f"all: cluster_endpoint_vip is {address('cp1')}, which is already an address of cp1"),
        (
            "198.51.100.7",
            "cp1: no interface of this host has an address in the subnet of cluster_endpoint_vip 198.51.100.7",
        ),
        (
            "192.0.2.255",
            "cp1: cluster_endpoint_vip is 192.0.2.255, which is the broadcast address of the subnet 192.0.2.0/24",
        ),
        ("192.0.2.0", "cp1: cluster_endpoint_vip is 192.0.2.0, which is the address of the subnet 192.0.2.0/24"),
    ],
)
def test_an_address_that_can_not_be_the_virtual_one_is_refused(vip: str, line: str) -> None:
    assert lines(plan([with_vip(host("cp1"), vip), with_vip(host("w1"), vip)]))[0].startswith(line)


@pytest.mark.parametrize("vip", ["192.0.2.100/24", "api.example.org", "192.0.2.100%eth0"])
def test_what_is_not_an_address_is_refused_with_a_fix_for_this_variable(vip: str) -> None:
    with pytest.raises(OptionError) as refused:
        EndpointOptions(vip).validate()
    assert refused.value.message == (
        f"cluster_endpoint_vip is {vip!r}, not an IP address; use a free address in a subnet of all control planes, "
        "without a prefix length"
    )


def test_the_address_of_a_host_is_preferred_to_others_of_it() -> None:
    """The kernel lists a temporary or floating address of IPv6 before the one that stays."""
    own = address("cp1")
    networks = {"192.0.2.240/24": "eth0", f"{own}/24": "eth1"}
    one = given(plan([with_vip(host("cp1"), networks=networks), with_vip(host("cp2"))]), "cp1")
    assert one is not None and one.own == own
    only = given(plan([with_vip(host("cp1"), networks={"192.0.2.240/24": "eth0"}), with_vip(host("cp2"))]), "cp1")
    assert only is not None and only.own == "192.0.2.240"


def test_an_address_of_a_node_outside_of_the_run_is_refused() -> None:
    away = replace(node("w9"), addresses=[VIP])
    there = cluster(node("cp1", "control-plane"), away)
    assert lines(plan([with_vip(host("cp1", there))])) == [
        f"all: cluster_endpoint_vip is {VIP}, which is already an address of w9; use an address that no machine has"
    ]


@pytest.mark.parametrize("endpoint", ["k8s.example.org:6443", ""])
def test_another_endpoint_excludes_it(endpoint: str) -> None:
    there = cluster(node("cp1", "control-plane"), endpoint=endpoint)
    assert lines(plan([with_vip(host("cp1", there))])) == [
        f"all: cluster_endpoint_vip is set, but the endpoint of the cluster is {endpoint or 'missing'}, which is not "
        "the name in the hosts files of nodes; remove cluster_endpoint_vip; clients outside the cluster use the "
        "endpoint"
    ]


def test_the_same_address_must_be_set_for_every_control_plane() -> None:
    every = [with_vip(host("cp1")), with_vip(host("cp2"), "192.0.2.251"), with_vip(host("cp3"), "")]
    assert [line.split(";")[0] for line in lines(plan(every))] == [
        "cp2: cluster_endpoint_vip or its router ID differs from that of cp1",
        "cp3: cluster_endpoint_vip is set for cp1, but not for this host",
    ]
    ids = plan([with_vip(host("cp1"), router_id=9), with_vip(host("cp2"), router_id=9)])
    one = given(ids, "cp1")
    assert not ids.errors and one and one.router_id == 9


def test_another_machine_that_answers_for_the_address_is_an_error_unless_it_is_a_control_plane() -> None:
    taken = plan([with_vip(member(name), taken=True) for name in ("cp1", "cp2")])
    assert lines(taken)[0].startswith(
        f"cp1: cluster_endpoint_vip is {VIP}, but another machine answers at this address"
    )
    assert not plan([with_vip(member("cp1"), address=VIP), with_vip(member("cp2"), taken=True)]).errors


def test_ipv6_needs_the_address_of_each_node() -> None:
    def plane(name: str, **options: str) -> Host:
        one = with_vip(host(name, **options), "2001:db8::64")
        networks = {f"2001:db8::{name[-1]}/64": "eth0"}
        state = replace(one.facts.api_endpoint.virtual_ip, networks=networks)
        return replace(one, facts=replace(one.facts, api_endpoint=EndpointState(virtual_ip=state)))

    assert lines(plan([plane("cp1")])) == [
        "cp1: cluster_endpoint_vip is an IPv6 address, but cluster_node_address is not set; set it to the address of "
        "this host, or the kubelet may use the virtual one"
    ]
    result = plan([plane("cp1", node_address=address("cp1")), plane("cp2", node_address=address("cp2"))])
    one = given(result, "cp1")
    assert not result.errors and one and (one.own, one.peers) == ("2001:db8::1", ["2001:db8::2"])


def test_a_package_that_can_not_be_installed_is_named() -> None:
    absent = {"keepalived": "the apt package lists do not have it", "curl": "an apt pin forbids it"}
    assert [line.split(";")[0] for line in lines(plan([with_vip(host("cp1"), absent=absent)]))] == [
        "cp1: the virtual IP address needs the package keepalived, which can't be installed: the apt package lists "
        "do not have it"
    ]
    two = lines(plan([with_vip(host("cp1"), absent=absent), with_vip(host("cp2"))]))
    assert two[1].startswith("cp1: the virtual IP address needs the package curl")


def test_two_owners_are_named() -> None:
    both = [with_vip(member(name), address=VIP, held="eth0") for name in ("cp1", "cp2")]
    result = plan(both)
    assert not result.errors and warnings(result) == [
        f"all: the virtual IP address {VIP} is on cp1 and cp2 at the same time; let the control planes exchange VRRP "
        "packets (IP protocol 112), and see 'journalctl -u kubestead-api-vip'"
    ]


def test_a_worker_that_claims_to_have_the_address_decides_nothing() -> None:
    liar = host("w1", replace(joined("w1"), server=""))
    state = VirtualIpState(address=VIP, held="eth0", networks={"192.0.2.66/24": "eth0"}, certified=False)
    liar = replace(with_vip(liar), facts=replace(liar.facts, api_endpoint=EndpointState(virtual_ip=state)))
    there = cluster(node("cp1", "control-plane"), node("w1"))
    result = plan([with_vip(host("cp1", there), certified=True, address=VIP, held="eth0"), liar])
    one = given(result, "cp1")
    assert not result.findings and one and one.peers == [] and result.hosts["cp1"].api_address == VIP


@pytest.mark.parametrize("inside", [True, False])
def test_a_worker_that_claims_an_address_that_is_set_up_stops_no_run(inside: bool) -> None:
    """By the addresses of its machine, or by those of its Node, which also holds for runs that leave it out."""
    liar = host("w1", joined("w1"), addresses=[VIP]) if inside else None
    there = cluster(node("cp1", "control-plane"), node("w1") if inside else replace(node("w1"), addresses=[VIP]))
    assert liar is None or liar.node.at(VIP)
    plane = with_vip(host("cp1", there), certified=True, **set_up("cp1"))
    result = plan([plane, *([with_vip(liar)] if liar else [])], inventory=Inventory(["cp1"], ["w1"]))
    one = given(result, "cp1")
    assert not result.errors and one and one.address == VIP
    blamed = "w1" if inside else "all"
    said = (
        f"{blamed}: cluster_endpoint_vip is {VIP}, which is already an address of w1; use an address that no machine "
    )
    said += "has"
    assert said in warnings(result)
