# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual IP address on one control plane: what is found, planned, written and removed."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import component
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.component import observe
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import Endpoint, EndpointOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip_config import (
    CHECK,
    CONFIG,
    CURL,
    FOLDER,
    INSTALLING,
    PENDING,
    PROGRAM,
    UNIT,
    UNIT_NAME,
    VirtualIp,
    address_in,
    peers_in,
    router_id,
    router_id_in,
    source,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.api_endpoint.test_component import (
    OFFER,
    with_apt,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

VIP = "192.0.2.100"
ONE = VirtualIp(VIP, 77, 6443, "192.0.2.12")
THREE = replace(ONE, peers=["192.0.2.11", "192.0.2.9"])
NONE = VirtualIp()


def links(held: bool = False, index: str = "eth0", own: str = "192.0.2.12") -> str:
    """What ``ip -j address`` prints on the machine."""
    more = [{"family": "inet", "local": VIP, "prefixlen": 32, "scope": "global"}] if held else []
    return json.dumps(
        [
            {
                "ifname": "lo",
                "flags": ["LOOPBACK", "UP"],
                "mtu": 65536,
                "addr_info": [{"family": "inet", "local": "127.0.0.1", "prefixlen": 8, "scope": "host"}],
            },
            {
                "ifname": index,
                "flags": ["BROADCAST", "MULTICAST", "UP"],
                "mtu": 1500,
                "address": "02:6b:0a:d5:00:0c",
                "addr_info": [
                    {"family": "inet", "local": own, "prefixlen": 24, "scope": "global"},
                    *more,
                    {"family": "inet6", "local": "fe80::6b:aff:fed5:c", "prefixlen": 64, "scope": "link"},
                ],
            },
        ]
    )


@pytest.fixture
def plane(machine: Machine) -> Machine:
    """A control plane with keepalived and curl, whose systemd remembers what it was told."""
    machine.put(PROGRAM, mode=0o755)
    machine.put(CURL, mode=0o755)
    machine.answer([PROGRAM])
    machine.answer("ip -j address", links())
    machine.answer("ip -j neighbour", "[]")
    for verb, question, answer in (("start", "is-active", "active"), ("enable", "is-enabled", "enabled")):
        machine.answer(["systemctl", question, UNIT_NAME], "unknown\n", 3)

        def done(argv: object, stdin: object, question: str = question, answer: str = answer) -> Result:
            machine.answer(["systemctl", question, UNIT_NAME], answer + "\n")
            return Result(0)

        machine.answer(["systemctl", verb, UNIT_NAME], done)
    for verb in ("daemon-reload", "reload", "restart", "disable", "reset-failed"):
        machine.answer(["systemctl", verb])
    return machine


def steps(machine: Machine, wanted: VirtualIp | None) -> list[component.Step]:
    address = wanted.address if wanted else ""
    return component.plan(observe(machine, address=address), EndpointOptions(), Endpoint(virtual_ip=wanted))


def actions(machine: Machine, wanted: VirtualIp | None) -> list[str]:
    return [f"{step.action} {step.target}" for step in steps(machine, wanted)]


def run(machine: Machine, wanted: VirtualIp | None) -> None:
    for step in steps(machine, wanted):
        component.apply(step, machine)


# -- what is written


def test_the_configuration_is_for_unicast_between_the_control_planes_and_nobody_preempts() -> None:
    text = THREE.config("eth0")
    assert text.startswith("# Managed by kubestead.cluster")
    for line in (
        "    state BACKUP\n    nopreempt\n    interface eth0\n",
        "    unicast_src_ip 192.0.2.12\n    unicast_peer {\n        192.0.2.9\n        192.0.2.11\n    }\n",
        "        192.0.2.100/32 dev eth0\n",
        "    virtual_router_id 77\n",
        "    init_fail\n",
        f'    script "{CHECK}"\n',
    ):
        assert line in text
    # With a weight, a failed check would only change a priority that nobody preempts for.
    assert "weight" not in text and "auth" not in text
    assert address_in(text) == VIP and address_in("") == address_in(None) == ""
    assert (router_id_in(text), peers_in(text)) == (77, ["192.0.2.9", "192.0.2.11"])
    assert (router_id_in(None), peers_in(None), peers_in(ONE.config("eth0"))) == (0, [], [])
    assert address_in(text.replace(f"{VIP}/", "192.0.2.999/")) == ""


def test_the_configuration_is_the_same_in_any_order_of_the_peers() -> None:
    assert THREE.config("eth0") == replace(THREE, peers=THREE.peers[::-1]).config("eth0")
    assert THREE.check() == replace(THREE, peers=THREE.peers[::-1]).check()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7])
def test_each_control_plane_has_a_priority_of_its_own(count: int) -> None:
    every = [f"192.0.2.{number}" for number in range(9, 9 + count)]
    found = [VirtualIp(VIP, 7, 6443, own, [one for one in every if one != own]).priority for own in every]
    assert found == sorted(set(found), reverse=True) and len(found) == count
    # The next one waits for at least a tenth of a second longer, and even the last one less than a second.
    gaps = [one - other for one, other in zip(found, found[1:])]
    assert all(gap >= 26 for gap in gaps) and 1 <= found[-1] <= found[0] <= 254


def test_a_single_control_plane_has_no_peers_and_no_check() -> None:
    # keepalived refuses each of these without peers.
    assert "unicast" not in ONE.config("eth0") and "script " not in ONE.config("eth0") and ONE.check() == ""


def test_keepalived_tests_the_configuration_without_its_check(plane: Machine) -> None:
    seen = []

    def test(argv: list[str], stdin: object) -> Result:
        (file,) = [word.partition("=")[2] for word in argv if word.startswith("--use-file=")]
        seen.append(plane.read(file))
        return Result(0)

    plane.answer([PROGRAM], test)
    run(plane, THREE)
    written = plane.read(CONFIG) or ""
    assert "init_fail" in written and seen == [THREE.config("eth0", tracked=False)]
    assert (
        "script " not in seen[0] and [line for line in seen[0].splitlines() if line not in written.splitlines()] == []
    )


def test_ipv6_addresses_are_in_brackets_in_urls() -> None:
    six = VirtualIp("2001:db8::100", 7, 6443, "2001:db8::a", ["2001:db8::b"])
    six.validate()
    assert "        2001:db8::100/128 dev eth0\n" in six.config("eth0")
    assert "'https://[2001:db8::b]:6443/readyz'" in six.check()


def test_the_usual_router_id_is_never_derived() -> None:
    found = {router_id(f"api.c{number}.internal", VIP) for number in range(3000)}
    assert found == set(range(1, 256)) - {51}
    assert router_id("api.a.internal", VIP) == router_id("api.a.internal", VIP)


@pytest.mark.parametrize(
    "wrong",
    [
        replace(THREE, address="192.0.2.100\n}"),
        replace(THREE, own=""),
        replace(THREE, peers=["$(reboot)"]),
        replace(THREE, peers=["2001:db8::1"]),
        replace(THREE, router_id=0),
        replace(THREE, router_id=256),
        replace(THREE, port=0),
    ],
)
def test_a_virtual_address_that_no_plan_contains_is_not_written(plane: Machine, wrong: VirtualIp) -> None:
    with pytest.raises(OptionError):
        component.plan(observe(plane, address=VIP), EndpointOptions(), Endpoint(virtual_ip=wrong))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("k8s.example.org", "not an IP address"),
        ("192.0.2.100/24", "not an IP address"),
        ("127.0.0.1", "other machines can't reach"),
        ("224.0.0.18", "other machines can't reach"),
        ("fe80::1", "other machines can't reach"),
        ("0.0.0.0", "other machines can't reach"),
    ],
)
def test_the_option_is_an_address_that_others_can_reach(value: str, problem: str) -> None:
    with pytest.raises(OptionError, match=f"^cluster_endpoint_vip .*{problem}"):
        EndpointOptions(value).validate()
    EndpointOptions("2001:DB8::64").validate()
    assert EndpointOptions("2001:DB8::64").address == "2001:db8::64"
    with pytest.raises(OptionError, match="^cluster_endpoint_vip_router_id is 256"):
        EndpointOptions(VIP, 256).validate()


def test_the_own_address_is_the_one_in_the_subnet_of_the_virtual_one() -> None:
    networks = {"10.0.0.5/24": "eth0", "192.0.2.12/24": "eth1", "2001:db8::c/64": "eth1"}
    assert source(networks, VIP) == ("192.0.2.12", "eth1")
    assert source(networks, "2001:db8::64") == ("2001:db8::c", "eth1")
    assert source(networks, "198.51.100.1") == ("", "")
    assert source({"192.0.2.12/24": "eth0 }\nvrrp_instance x {"}, VIP) == ("", "")
    assert source({"192.0.2.100/24": "eth0"}, VIP) == ("", "")


# -- the check


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        ({"192.0.2.12": "200", "192.0.2.9": "200"}, 0),
        ({"192.0.2.12": "200"}, 0),
        ({"192.0.2.12": "500", "192.0.2.11": "200"}, 1),
        ({"192.0.2.9": "200"}, 1),
        # None is ready, as without a majority of etcd: the address stays.
        ({"192.0.2.12": "500", "192.0.2.9": "500", "192.0.2.11": "500"}, 0),
        ({}, 0),
        # Anonymous requests are refused.
        ({"192.0.2.12": "401", "192.0.2.9": "401"}, 0),
        ({"192.0.2.9": "403"}, 1),
    ],
)
def test_the_owner_gives_the_address_up_only_to_a_ready_one(tmp_path: Path, answers: dict[str, str], code: int) -> None:
    lines = "\n".join(f"  *//{address}:6443/readyz*) printf 'ok\\n{got}\\n' ;;" for address, got in answers.items())
    curl = tmp_path / "curl"
    other = "  https:*) printf '\\n000\\n' ;;"
    curl.write_text(f"#!/bin/sh\nfor url; do\n  case $url in\n{lines}\n{other}\n  esac\ndone\n")
    curl.chmod(0o755)
    check = tmp_path / "check"
    check.write_text(THREE.check())
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run(["sh", str(check)], env=path, check=False).returncode == code


def test_without_curl_the_check_passes(tmp_path: Path) -> None:
    check = tmp_path / "check"
    check.write_text(THREE.check().replace("curl ", "no-such-program "))
    assert subprocess.run(["sh", str(check)], check=False, stderr=subprocess.DEVNULL).returncode == 0


# -- one control plane


def test_without_a_virtual_address_nothing_is_asked_and_done(machine: Machine) -> None:
    assert actions(machine, NONE) == actions(machine, None) == [] and machine.ran == []


def test_the_address_is_set_up_changed_and_removed(plane: Machine) -> None:
    assert actions(plane, ONE) == [
        f"write_config {CONFIG}",
        f"write_unit {UNIT}",
        f"enable {UNIT_NAME}",
        f"start {UNIT_NAME}",
    ]
    run(plane, ONE)
    assert actions(plane, ONE) == [] and plane.names(FOLDER) == ["keepalived.conf"]
    # One control plane becomes three.
    assert actions(plane, THREE) == [f"write_check {CHECK}", f"write_config {CONFIG}", f"reload {UNIT_NAME}"]
    run(plane, THREE)
    assert actions(plane, THREE) == [] and plane.mode(CHECK) == 0o755
    two = replace(THREE, peers=["192.0.2.11"])
    assert actions(plane, two) == [f"write_check {CHECK}", f"write_config {CONFIG}", f"reload {UNIT_NAME}"]
    # Three become one. A run that is killed after the reload leaves the check to the next one.
    last = [f"write_config {CONFIG}", f"reload {UNIT_NAME}", f"remove_check {CHECK}"]
    assert actions(plane, ONE) == last
    for step in steps(plane, ONE)[:2]:
        component.apply(step, plane)
    assert actions(plane, ONE) == last[2:]
    run(plane, ONE)
    assert actions(plane, ONE) == [] and plane.names(FOLDER) == ["keepalived.conf"]
    run(plane, THREE)
    # systemd removes the address of a keepalived that was killed, so its unit has the address.
    other = replace(THREE, address="192.0.2.101")
    assert actions(plane, other)[-1] == f"restart {UNIT_NAME}"
    assert "192.0.2.100 -> 192.0.2.101" in steps(plane, other)[0].reason
    assert actions(plane, None) == []
    assert actions(plane, NONE) == [f"remove_unit {UNIT_NAME}", f"remove {FOLDER}"]
    run(plane, NONE)
    assert actions(plane, NONE) == [] and plane.names("/etc/systemd/system") == []
    assert plane.names("/etc/kubestead") == []


def test_an_address_that_is_set_up_is_observed_whether_it_is_asked_about_or_not(plane: Machine) -> None:
    """A control plane outside the play is not asked about it."""
    run(plane, THREE)
    plane.answer("ip -j address", links(held=True))
    assert observe(plane).virtual_ip == observe(plane, address=VIP).virtual_ip
    assert observe(plane).virtual_ip.networks and observe(plane).virtual_ip.address == VIP


def test_missing_programs_are_installed_first(plane: Machine) -> None:
    plane.remove(PROGRAM)
    plane.remove(CURL)
    assert actions(plane, THREE)[0] == "install keepalived curl"
    assert actions(plane, ONE)[0] == "install keepalived"
    plane.put(PROGRAM, mode=0o755)
    assert actions(plane, THREE)[0] == "install curl" and actions(plane, ONE)[0] == f"write_config {CONFIG}"


def test_the_service_of_a_keepalived_whose_installation_was_killed_is_disabled(plane: Machine) -> None:
    plane.remove(PROGRAM)
    with_apt(plane, "keepalived", PROGRAM)
    with pytest.raises(KeyboardInterrupt):
        run(plane, ONE)
    stop = ["systemctl", "disable", "--now", "keepalived.service"]
    assert actions(plane, ONE)[0] == "install keepalived"
    assert actions(plane, NONE) == ["disable_package keepalived.service", f"remove {FOLDER}"]
    plane.ran.clear()
    run(plane, ONE)
    assert stop in plane.ran and actions(plane, ONE) == []
    # The variable is removed before the next run.
    plane.put(INSTALLING)
    plane.ran.clear()
    run(plane, NONE)
    assert stop in plane.ran and actions(plane, NONE) == [] and not plane.exists(FOLDER)


def test_a_keepalived_that_is_not_there_leaves_its_service_to_the_user(plane: Machine) -> None:
    """The other package of the same transaction may be there."""
    plane.remove(PROGRAM)
    plane.remove(CURL)
    with_apt(plane, "keepalived", PROGRAM)
    offers = [OFFER.format("1.0").replace("haproxy", name) for name in ("keepalived", "curl")]
    plane.answer("apt-cache", "".join(offers))

    def failed(argv: object, stdin: object) -> Result:
        line = "curl\t7.88.1-10\tamd64\tinstalled\tinstall\t\n"
        plane.answer("dpkg-query", lambda argv, stdin: Result(1, line if "curl" in argv else "", ""))
        return Result(100, "", "E: Failed to fetch http://deb.example.org/keepalived.deb  Connection refused\n")

    plane.answer("apt-get", failed)
    with pytest.raises(KubesteadError) as caught:
        run(plane, THREE)
    assert caught.value.message == (
        "keepalived and curl can't be installed: apt-get install failed: "
        "Failed to fetch http://deb.example.org/keepalived.deb  Connection refused"
    )
    assert not plane.exists(INSTALLING)


def test_a_package_that_is_not_available_is_named(plane: Machine) -> None:
    plane.remove(PROGRAM)
    plane.put("/etc/os-release", "ID=debian\nVERSION_ID=12\n")
    plane.put("/var/lib/apt/lists/deb.example.org_debian_dists_bookworm_main_binary-amd64_Packages")
    plane.answer("dpkg-query", rc=1)
    plane.answer("apt-cache", "")
    state = observe(plane, address=VIP).virtual_ip
    assert state.absent == {"keepalived": "the apt package lists do not have it"}


def test_a_keepalived_that_was_not_reloaded_before_a_run_was_killed_is_reloaded(plane: Machine) -> None:
    run(plane, THREE)
    plane.put(PENDING)
    assert actions(plane, THREE) == [f"reload {UNIT_NAME}"]
    run(plane, THREE)
    assert actions(plane, THREE) == []


@pytest.mark.parametrize("killed_by", ["daemon-reload", "restart"])
def test_a_unit_of_a_killed_run_is_applied(plane: Machine, killed_by: str) -> None:
    run(plane, THREE)
    plane.put(UNIT, "of an older version")

    def killed(argv: object, stdin: object) -> Result:
        raise KeyboardInterrupt

    plane.answer(["systemctl", killed_by, *([UNIT_NAME] if killed_by == "restart" else [])], killed)
    with pytest.raises(KeyboardInterrupt):
        run(plane, THREE)
    for words in (["systemctl", "daemon-reload"], ["systemctl", "restart", UNIT_NAME]):
        plane.answer(words)
    assert actions(plane, THREE) == [f"write_unit {UNIT}", f"restart {UNIT_NAME}"]
    run(plane, THREE)
    assert actions(plane, THREE) == [] and sorted(plane.names(FOLDER)) == ["check", "keepalived.conf"]


@pytest.mark.parametrize("killed_by", ["install", "write_check", "write_config", "write_unit", "enable", "start"])
def test_a_run_that_was_killed_anywhere_is_completed(plane: Machine, killed_by: str) -> None:
    plane.remove(PROGRAM)
    for step in steps(plane, THREE):
        if step.action == killed_by:
            break
        if step.action == "install":
            plane.put(PROGRAM, mode=0o755)
        else:
            component.apply(step, plane)
    plane.put(PROGRAM, mode=0o755)
    run(plane, THREE)
    assert actions(plane, THREE) == []
    # A removal that is killed after its first step is completed too.
    component.apply(steps(plane, NONE)[0], plane)
    assert actions(plane, NONE) == [f"remove {FOLDER}"]


def test_a_configuration_that_keepalived_refuses_replaces_nothing(plane: Machine) -> None:
    plane.answer(
        [PROGRAM, "--vrrp", "--config-test"],
        rc=5,
        stderr="(/etc/kubestead/api-vip/keepalived.conf.new: Line 10) Unknown keyword 'nopreemt'\n"
        "Non-existent interface specified in configuration\n",
    )
    with pytest.raises(KubesteadError, match="keepalived refuses .*Unknown keyword 'nopreemt'"):
        run(plane, ONE)
    assert plane.names(FOLDER) == []


def test_an_address_that_a_killed_keepalived_left_is_removed(plane: Machine) -> None:
    run(plane, THREE)
    plane.answer("ip -j address", links(held=True))
    plane.answer("ip address delete")
    assert observe(plane).virtual_ip.held == "eth0"
    # A keepalived that runs removes it by itself.
    assert actions(plane, NONE) == [f"remove_unit {UNIT_NAME}", f"remove {FOLDER}"]
    plane.answer(["systemctl", "is-active", UNIT_NAME], "failed\n", 3)
    assert actions(plane, NONE) == [f"remove_unit {UNIT_NAME}", f"remove_address {VIP}", f"remove {FOLDER}"]
    run(plane, NONE)
    assert ["ip", "address", "delete", f"{VIP}/32", "dev", "eth0"] in plane.ran


def test_the_held_address_is_not_an_own_one(plane: Machine) -> None:
    run(plane, THREE)
    plane.answer("ip -j address", links(held=True))
    state = observe(plane, address=VIP).virtual_ip
    assert (state.held, state.networks, state.taken) == ("eth0", {"192.0.2.12/24": "eth0"}, False)
    assert actions(plane, THREE) == []


@pytest.mark.parametrize(
    ("neighbour", "taken"),
    [
        ("[]", False),
        ('[{"dst":"192.0.2.100","dev":"eth0","state":["FAILED"]}]', False),
        ('[{"dst":"192.0.2.100","dev":"eth0","lladdr":"02:6b:0a:d5:0f:64","state":["REACHABLE"]}]', True),
    ],
)
def test_another_machine_that_has_the_address_is_seen(plane: Machine, neighbour: str, taken: bool) -> None:
    plane.answer("ip -j neighbour", neighbour)
    plane.answer("ip neighbour delete")
    assert observe(plane, address=VIP).virtual_ip.taken is taken
    run(plane, THREE)
    # Once it is set up, another control plane may have it.
    assert observe(plane, address=VIP).virtual_ip.taken is False


def test_an_answer_from_earlier_is_not_believed(plane: Machine) -> None:
    """The control plane that had the address before it was removed has been heard by the others."""
    plane.answer(
        "ip -j neighbour", '[{"dst":"192.0.2.100","dev":"eth0","lladdr":"02:6b:0a:d5:0f:64","state":["STALE"]}]'
    )

    def forgotten(argv: object, stdin: object) -> Result:
        plane.answer("ip -j neighbour", "[]")
        return Result(0)

    plane.answer("ip neighbour delete 192.0.2.100 dev eth0", forgotten)
    assert observe(plane, address=VIP).virtual_ip.taken is False


def test_an_entry_that_an_administrator_added_stays(plane: Machine) -> None:
    plane.answer(
        "ip -j neighbour", '[{"dst":"192.0.2.100","dev":"eth0","lladdr":"02:6b:0a:d5:0f:64","state":["PERMANENT"]}]'
    )

    def forgotten(argv: object, stdin: object) -> Result:
        raise AssertionError(argv)

    plane.answer("ip neighbour delete", forgotten)
    assert observe(plane, address=VIP).virtual_ip.taken is True


@pytest.mark.parametrize("left", [CHECK, PENDING, CONFIG + ".new"])
def test_what_a_killed_run_left_is_removed_if_the_variable_is_gone(plane: Machine, left: str) -> None:
    plane.put(left, "")
    run(plane, NONE)
    assert not plane.exists(FOLDER) and not steps(plane, NONE)


def test_an_own_address_that_is_gone_is_an_error_before_anything_is_written(plane: Machine) -> None:
    plane.answer("ip -j address", links(own="192.0.2.44"))
    with pytest.raises(KubesteadError, match="no interface of this host has the address 192.0.2.12; run again"):
        steps(plane, THREE)
