# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copies of the admin kubeconfig in the plan of a removal or reset: those whose server leaves are written again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.virtual_ip import VirtualIpState
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    KubeconfigOptions,
    KubeconfigState,
    rewrite_command,
    summarize,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.removal import MemberFacts
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.remove import remove
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.reset import reset
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, as_result
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

from .test_admin_copies import with_ca_of
from .test_converge import bare, host
from .test_departure import API, ROOT, actions, address, at_the_address_of_cp1, cluster, named, request, said

ADMIN = fixture("kubeadm/v1.35/admin.conf")
OTHER_CLUSTER = fixture("kubeadm/v1.20/admin.conf")
COPY, PATH = "/home/me/cluster.conf", "/home/admin/.kube/config"
VIP = "192.0.2.250"
OWN = """- context:
    cluster: kubernetes
    user: me
  name: mine
current-context"""


def admin(name: str, server: str = "") -> str:
    """The admin kubeconfig of a control plane, with a certificate of its own and the derived name as its server."""
    text = ADMIN.replace("client-certificate-data: ", f"client-certificate-data: {name}x" if name else "")
    return re.sub("server: .*", f"server: https://{server or API}:6443", text)


def with_files(hosts: dict[str, Host], user: dict[str, str] | None = None, vip: str = "") -> dict[str, Host]:
    """The hosts with an admin kubeconfig on each control plane, and ``~/.kube/config`` with these texts on some."""
    found = {}
    for name, one in hosts.items():
        source = summarize(admin(name)) if one.control_plane else None
        text = (user or {}).get(name, admin(name))
        state = KubeconfigState("admin", 1000, 1000, PATH, source, summarize(text), 1000, 0o600)
        options = replace(one.options, kubeconfig=KubeconfigOptions(copy_to=COPY))
        options = replace(options, api_endpoint=replace(options.api_endpoint, virtual_ip=vip))
        found[name] = replace(one, facts=replace(one.facts, kubeconfig=state), options=options)
    return found


def plan_of(
    hosts: dict[str, Host],
    copy: str | None,
    *targets: str,
    operation: Callable[[Request], Plan] = remove,
    changes: dict[str, Any] | None = None,
    **more: Any,
) -> Plan:
    """The plan with a copy on the control machine. A reset is limited to its targets, so the others are outside."""
    asked = request(hosts, list(targets), limit=operation is reset, **more)
    controls = [one.name for one in (*asked.hosts, *asked.reference_control_planes) if one.control_plane]
    copies = {name: summarize(copy) for name in controls if copy is not None}
    plan = operation(replace(asked, kubeconfig_copies=copies, **(changes or {})))
    assert not plan.errors
    return plan


def written(plan: Plan) -> dict[str, list[str]]:
    """The files that each host writes. The arguments of the module are those for exactly these files."""
    found = {}
    for name, one in plan.hosts.items():
        files = [step.target for step in one.steps if step.action == "write_kubeconfig"]
        assert (PATH in files) == one.kubeconfig.get("install", False)
        assert one.kubeconfig.get("copy_to", "") == (COPY if COPY in files else "")
        assert bool(one.kubeconfig) == bool(files)
        if files:
            found[name] = files
    return found


HERE = {"cp2": [COPY]}
BOTH = pytest.mark.parametrize("operation", [remove, reset])


def test_the_copy_here_follows_a_control_plane_that_stays() -> None:
    hosts = with_files(named(cluster()))
    plan = plan_of(hosts, admin("cp1", address("cp1")), "cp1")
    assert not plan.findings and written(plan) == HERE
    assert plan.hosts["cp2"].kubeconfig == {
        "install": False,
        "user": "",
        "copy_to": COPY,
        "copy_server": f"https://{address('cp2')}:6443",
    }
    assert f"cp2: write kubeconfig {COPY} (its server is a control plane that leaves)" in plan.summary()
    # The component api_endpoint is applied only where it has steps of its own.
    assert written(plan_of(with_files(cluster()), admin("cp1", address("cp1")), "cp1"))
    assert plan_of(with_files(cluster()), admin("cp1", address("cp1")), "cp1").redirected == ()


@BOTH
@pytest.mark.parametrize(
    "copy",
    [
        None,
        admin("cp2", address("cp2")),
        admin("cp1", address("cp2")),
        admin("cp1", address("w1")),
        admin("cp1", "load-balancer.example.org"),
        admin("cp1", "[2001:db8::1]"),
        admin("cp1", "[2001:db8::1"),
        admin("cp1", API),
        admin("cp1", VIP),
        admin("cp1", "cp2"),
        admin("cp1", "cp2.example.org"),
        admin("cp1", "w1"),
        re.sub("server: .*", f"server: https://{address('cp1')}:6443", OTHER_CLUSTER),
        re.sub("server: .*", "server: https://cp1:6443", OTHER_CLUSTER),
    ],
)
def test_a_copy_that_does_not_point_to_the_leaving_control_plane_stays(
    operation: Callable[[Request], Plan], copy: str | None
) -> None:
    for vip in ("", VIP):
        plan = plan_of(with_files(named(cluster()), vip=vip), copy, "cp1", "w1", operation=operation)
        # The workers that stay have the address of cp1 in their hosts files.
        assert [one.host for one in plan.findings] == (["all"] if operation is reset else []) and written(plan) == {}


@BOTH
def test_the_removal_of_a_worker_writes_no_copy(operation: Callable[[Request], Plan]) -> None:
    """Its address may be that of a load balancer for the API."""
    for place in (address("w1"), "w1"):
        copy = admin("cp1", place)
        assert written(plan_of(with_files(named(cluster())), copy, "w1", operation=operation)) == {}


@pytest.mark.parametrize("kept", ["endpoint", "virtual address"])
def test_an_address_that_stays_valid_is_not_that_of_the_machine(kept: str) -> None:
    """The inventory may give a control plane the address that moves to another one."""
    hosts = named(cluster())
    vip = address("cp1") if kept == "virtual address" else ""
    if kept == "endpoint":
        hosts = at_the_address_of_cp1(hosts)
        for name in ("cp1", "cp2", "cp3"):
            state = hosts[name].kubeadm
            known = [replace(one, addresses=["192.0.2.249"]) if one.name == "cp1" else one for one in state.api.nodes]
            state = replace(state, api=replace(state.api, nodes=known))
            hosts[name] = replace(hosts[name], facts=replace(hosts[name].facts, kubeadm=state))
    assert written(plan_of(with_files(hosts, vip=vip), admin("cp1", address("cp1")), "cp1")) == {}


@BOTH
@pytest.mark.parametrize("present", ["", VIP, "192.0.2.251"])
@pytest.mark.parametrize("certified", [True, False])
def test_a_copy_gets_the_virtual_address_only_if_the_control_planes_have_it_already(
    operation: Callable[[Request], Plan], present: str, certified: bool
) -> None:
    """A reset sets it up on no host. ``certified`` is about the address that the machine has, or else about VIP."""
    hosts = with_files(named(cluster()), vip=VIP)
    for name in ("cp1", "cp2", "cp3"):
        unit = "[Unit]\n" if present else None
        networks = {f"{address(name)}/24": "eth0"}
        state = VirtualIpState(address=present, unit=unit, networks=networks, certified=certified)
        there = replace(hosts[name].facts.api_endpoint, virtual_ip=state)
        hosts[name] = replace(hosts[name], facts=replace(hosts[name].facts, api_endpoint=there))
    plan = plan_of(hosts, admin("cp1", address("cp1")), "cp1", operation=operation)
    place = VIP if present == VIP and certified else address("cp2")
    assert plan.hosts["cp2"].kubeconfig["copy_server"] == f"https://{place}:6443" and written(plan) == HERE


def test_a_repeated_run_finds_the_copy_although_the_machine_has_left() -> None:
    hosts = with_files(named(cluster(("cp2", "cp3"))))
    members = MemberFacts(
        [Member(name, name, [f"https://{address(name)}:2380"], healthy=True) for name in ("cp2", "cp3")]
    )
    hosts = {name: replace(one, facts=replace(one.facts, etcd=members)) for name, one in hosts.items()}
    copy = admin("cp1", address("cp1"))
    # It is bare, or it does not answer.
    there = {"cp1": host("cp1", bare("cp1")), **hosts}
    assert written(plan_of(there, copy, "cp1")) == written(plan_of(there, admin("cp1", "cp1"), "cp1")) == HERE
    plan = plan_of(there, copy, "cp1", gone=True, missing=("cp1",))
    assert not plan.leaving and said(plan) == [("unreachable", "warning")] and written(plan) == HERE
    # The first run has written it.
    assert written(plan_of(there, admin("cp2", address("cp2")), "cp1")) == {}


def test_a_dead_control_plane_that_is_not_in_the_inventory_is_known_by_its_node() -> None:
    hosts = with_files(named(cluster(dead="cp1")))
    hosts.pop("cp1")
    plan = plan_of(hosts, admin("cp1", address("cp1")), "cp1", gone=True)
    assert [one.name for one in plan.leaving] == ["cp1"] and written(plan) == HERE


def test_the_file_of_a_user_follows_the_admin_kubeconfig_of_its_own_host() -> None:
    taken = admin("cp1", address("cp1"))
    hosts = with_files(named(cluster()), {"cp3": taken, "w1": taken, "w2": taken})
    plan = plan_of(hosts, None, "cp1")
    assert not plan.findings and written(plan) == {"cp3": [PATH]}
    refused = replace(hosts["cp3"].options, kubeconfig=KubeconfigOptions(install=False))
    assert written(plan_of({**hosts, "cp3": replace(hosts["cp3"], options=refused)}, None, "cp1")) == {}


def test_a_copy_is_not_written_if_its_server_would_be_the_same() -> None:
    taken = admin("cp1", address("cp1"))
    hosts = with_files(named(cluster()), {"cp3": taken})
    state = replace(hosts["cp3"].facts.kubeconfig, source=summarize(admin("cp3", address("cp1"))))
    hosts["cp3"] = replace(hosts["cp3"], facts=replace(hosts["cp3"].facts, kubeconfig=state))
    assert written(plan_of(hosts, None, "cp1")) == {}


def test_entries_of_the_user_in_a_copy_are_kept() -> None:
    copy = admin("cp1", address("cp1"))
    mine = copy.replace("current-context", OWN)
    assert mine != copy and summarize(mine).mergeable and not summarize(mine).plain
    assert written(plan_of(with_files(named(cluster())), mine, "cp1")) == HERE


def test_a_copy_that_can_not_be_written_is_named() -> None:
    # It has the certificate of a control plane that stays, so site.yml would keep it too.
    copy = admin("cp2", address("cp1"))
    plan = plan_of(with_files(named(cluster())), copy, "cp1")
    assert written(plan) == {} and said(plan) == [("endpoint", "warning")]
    (finding,) = plan.findings
    assert finding.line() == (
        f"cp2: {COPY} on the control machine has the server https://{address('cp1')}:6443, a control plane that "
        "leaves, and is not changed; set the server in this file to that of a control plane that stays"
    )


def test_a_copy_with_other_cas_is_named() -> None:
    copy = admin("cp1", address("cp1"))
    hosts = with_files(named(cluster()))
    source = summarize(with_ca_of(admin("cp2"), OTHER_CLUSTER))
    hosts["cp2"] = replace(
        hosts["cp2"],
        facts=replace(hosts["cp2"].facts, kubeconfig=replace(hosts["cp2"].facts.kubeconfig, source=source)),
    )
    plan = plan_of(hosts, copy, "cp1")
    assert written(plan) == {} and said(plan) == [("kubeconfig_ca", "warning")]
    (finding,) = plan.findings
    assert finding.line().startswith(
        f"cp2: {COPY} on the control machine has the server https://{address('cp1')}:6443, a control plane that "
        "leaves, and other CAs than /etc/kubernetes/admin.conf and was not changed (public keys "
    )
    # A copy that is not to be written is no problem.
    plan = plan_of(hosts, admin("cp1", "load-balancer.example.org"), "cp1")
    assert written(plan) == {} and said(plan) == []


def with_entry(text: str, name: str, entry: str) -> str:
    """A kubeconfig with one more cluster and a context of it."""
    context = f"- context:\n    cluster: {name}\n    user: kubernetes-admin\n  name: {name}\n"
    return text.replace("clusters:\n", "clusters:\n" + entry).replace("contexts:\n", "contexts:\n" + context)


def test_another_server_of_the_cluster_in_a_copy_is_not_replaced_instead() -> None:
    def entry(text: str, name: str) -> str:
        found = re.search(r"- cluster:\n(?:    .*\n)*  name: ", text)
        assert found
        return f"{found.group(0)}{name}\n"

    direct = entry(admin("", address("cp1")), "direct")
    plan = plan_of(with_files(named(cluster())), with_entry(admin("cp1", "lb.example.org"), "direct", direct), "cp1")
    assert written(plan) == {} and said(plan) == [("endpoint", "warning")]
    # The other server is that of another cluster.
    other = entry(re.sub("server: .*", "server: https://lb.example.org:6443", OTHER_CLUSTER), "other")
    copy = with_entry(admin("cp1", address("cp1")), "other", other)
    assert written(plan_of(with_files(named(cluster())), copy, "cp1")) == HERE


@pytest.mark.parametrize("more", ["tls-server-name: kubernetes", "proxy-url: socks5://localhost:1080"])
def test_a_server_behind_a_tunnel_or_proxy_is_not_replaced_but_named(more: str) -> None:
    copy = admin("cp1", address("cp1")).replace("    server:", f"    {more}\n    server:")
    plan = plan_of(with_files(named(cluster())), copy, "cp1")
    assert written(plan) == {} and said(plan) == [("endpoint", "warning")]


@BOTH
@pytest.mark.parametrize("used", ["kubernetes-admin@kubernetes", "direct"])
@pytest.mark.parametrize("other", ["cp1", address("cp1")], ids=["name", "same address"])
@pytest.mark.parametrize("file", ["here", "of a user"])
def test_of_two_entries_whose_server_leaves_none_is_replaced_alone(
    file: str, other: str, used: str, operation: Callable[[Request], Plan]
) -> None:
    """Only one entry would get another server, also if both have the same one."""
    entry = re.search(r"- cluster:\n(?:    .*\n)*  name: ", admin("", other))
    assert entry
    copy = with_entry(admin("cp1", address("cp1")), "direct", f"{entry.group(0)}direct\n")
    copy = re.sub("current-context: .*", f"current-context: {used}", copy)
    hosts = with_files(named(cluster()), {"cp2": copy} if file == "of a user" else None)
    plan = plan_of(hosts, copy if file == "here" else None, "cp1", operation=operation)
    assert written(plan) == {}
    (warning,) = [one for one in plan.findings if one.host != "all"]
    assert (warning.host, warning.problem.check, warning.problem.level) == ("cp2", "endpoint", "warning")
    place = f"{COPY} on the control machine" if file == "here" else PATH
    assert warning.problem.message.startswith(f"{place} has the server https://")


def test_an_entry_that_a_merge_does_not_change_is_named() -> None:
    """A merge adds a cluster if the name is that of two clusters, so that the server would stay."""
    entry = re.search(r"- cluster:\n(?:    .*\n)*  name: ", OTHER_CLUSTER)
    assert entry
    copy = with_entry(admin("cp1", address("cp1")), "kubernetes", f"{entry.group(0)}kubernetes\n")
    plan = plan_of(with_files(named(cluster())), copy, "cp1")
    assert written(plan) == {} and said(plan) == [("endpoint", "warning")]


def test_a_refused_removal_plans_no_copy() -> None:
    hosts = with_files(named(cluster(dead="cp3")))
    asked = request(hosts, ["cp1"])
    copies = {"cp2": summarize(admin("cp1", address("cp1")))}
    plan = remove(replace(asked, kubeconfig_copies=copies))
    assert plan.errors and written(plan) == {}


def test_a_member_of_another_cluster_writes_no_copy() -> None:
    hosts = with_files(named(cluster()), {"cp3": admin("cp1", address("cp1"))})
    foreign = replace(hosts["cp3"].kubeadm, ca_cert_hash="sha256:" + "b" * 64)
    hosts["cp3"] = replace(hosts["cp3"], facts=replace(hosts["cp3"].facts, kubeadm=foreign))
    assert written(plan_of(hosts, None, "cp1")) == {}


# -- names


def test_a_name_of_the_control_plane_that_leaves_is_known_from_the_inventory_and_from_its_node() -> None:
    for server in ("cp1", "CP1", "cp1."):
        plan = plan_of(with_files(named(cluster())), admin("cp1", server), "cp1")
        assert not plan.findings and written(plan) == HERE
    # As ansible_host, and as the name of the Node.
    places = {"cp1": ["cp1", "Machine-1.example.org"], "cp2": ["cp2"], "cp3": ["cp3"]}
    copy = admin("cp1", "machine-1.example.org")
    assert written(plan_of(with_files(named(cluster())), copy, "cp1", changes={"places": places})) == HERE
    places = {"first": ["first"], "cp2": ["cp2"], "cp3": ["cp3"]}
    hosts = with_files(named(cluster(dead="cp1")))
    hosts.pop("cp1")
    plan = plan_of(hosts, admin("cp1", "cp1"), "first", gone=True, changes={"node_names": {"first": "cp1"}})
    assert [one.name for one in plan.leaving] == ["cp1"] and written(plan) == HERE


@pytest.mark.parametrize("shared", ["gateway.example.org", "127.0.0.1"])
def test_a_name_or_address_that_a_staying_control_plane_has_too_is_not_that_of_the_machine(shared: str) -> None:
    """Connections of Ansible go through one machine, or through ports of the control machine."""
    places = {name: [name, shared] for name in ("cp1", "cp2", "cp3")}
    changes: dict[str, Any] = {"places": places}
    if shared == "127.0.0.1":
        changes["addresses"] = {"cp1": [shared]}
    plan = plan_of(with_files(named(cluster())), admin("cp1", shared), "cp1", changes=changes)
    assert not plan.findings and written(plan) == {}


def test_a_name_that_resembles_that_of_a_staying_control_plane_as_much_is_not_named() -> None:
    places = {f"cp{at}": [f"cp{at}", f"node.rack{at}.example.org"] for at in (1, 2, 3)}
    for server, expected in (("node.rack9.example.org", {}), ("node.rack1.example.org", HERE)):
        plan = plan_of(with_files(named(cluster())), admin("cp1", server), "cp1", changes={"places": places})
        assert not plan.findings and written(plan) == expected


@pytest.mark.parametrize("server", ["cp1.example.org", "node-17", "node-17.rack.example.org"])
def test_a_name_that_only_resembles_that_of_the_control_plane_is_named_and_stays(server: str) -> None:
    """Only the machine itself gives its host name, and the domain of a name is not known."""
    hosts = with_files(named(cluster()))
    node = replace(hosts["cp1"].facts.node, hostname="node-17.example.org")
    hosts["cp1"] = replace(hosts["cp1"], facts=replace(hosts["cp1"].facts, node=node))
    plan = plan_of(hosts, admin("cp1", server), "cp1")
    assert written(plan) == {}
    assert [one.line() for one in plan.findings] == [
        f"cp2: {COPY} on the control machine has the server https://{server}:6443, which may be a control plane that "
        "leaves, and is not changed; set the server in this file to that of a control plane that stays"
    ]


def test_a_server_of_another_cluster_in_the_same_file_is_not_that_of_this_one() -> None:
    """Short names are the same in several clusters."""

    def file(own: str, other: str) -> str:
        found = re.search(r"- cluster:\n(?:    .*\n)*  name: ", OTHER_CLUSTER)
        assert found
        entry = re.sub("server: .*", f"server: https://{other}:6443", found.group(0)) + "other\n"
        return with_entry(admin("cp1", own), "other", entry)

    hosts = with_files(named(cluster()))
    plan = plan_of(hosts, file("lb.example.org", "cp1"), "cp1")
    assert not plan.findings and written(plan) == {}
    assert written(plan_of(hosts, file("cp1", "cp1"), "cp1")) == HERE


# -- reset.yml


def test_a_reset_of_one_control_plane_lets_those_that_stay_write_the_copies() -> None:
    taken = admin("cp1", address("cp1"))
    hosts = with_files(named(cluster()), {"cp3": taken})
    plan = plan_of(hosts, taken, "cp1", operation=reset)
    assert written(plan) == {"cp2": [COPY], "cp3": [PATH]} and list(plan.resets) == ["cp1"]
    assert actions(plan)["cp1"] == ["remove_member", "reset", "delete_node"]
    assert f"cp2: write kubeconfig {COPY} (its server is a control plane that leaves)" in plan.summary()
    result = as_result(plan, CniOptions())
    server = f"https://{address('cp2')}:6443"
    assert result["copies"] == [
        {"host": "cp2", "install": False, "user": "", "copy_to": COPY, "copy_server": server},
        {"host": "cp3", "install": True, "user": "", "copy_to": "", "copy_server": f"https://{address('cp3')}:6443"},
    ]
    assert as_result(plan_of(hosts, None, "w1", operation=reset), CniOptions())["copies"] == []


def test_the_role_reset_writes_the_copies_of_the_plan_before_any_host_is_reset() -> None:
    tasks = yaml.safe_load((ROOT / "roles/reset/tasks/main.yml").read_text(encoding="utf-8"))
    (at,) = [at for at, task in enumerate(tasks) if "kubestead.cluster.kubeconfig" in task]
    taken = admin("cp1", address("cp1"))
    (copy,) = as_result(plan_of(with_files(named(cluster())), taken, "cp1", operation=reset), CniOptions())["copies"]
    given = {name: f"{{{{ item.{name} }}}}" for name in copy if name != "host"} | {"server_leaves": True}
    assert tasks[at]["kubestead.cluster.kubeconfig"] == given and tasks[at]["delegate_to"] == "{{ item.host }}"
    assert tasks[at]["loop"] == "{{ reset_plan.copies }}" and tasks[at]["run_once"] is True
    assert [task.get("ansible.builtin.import_tasks") for task in tasks[at + 1 :]] == ["leave.yml"]


def test_the_role_remove_writes_the_copies_of_the_plan_before_it_changes_anything() -> None:
    """A copy that can't be written ends the run for all hosts, as in a reset."""
    tasks = yaml.safe_load((ROOT / "roles/remove/tasks/main.yml").read_text(encoding="utf-8"))
    (at,) = [at for at, task in enumerate(tasks) if "kubestead.cluster.kubeconfig" in task]
    assert tasks[at]["any_errors_fatal"] is True
    copy = plan_of(with_files(named(cluster())), admin("cp1", address("cp1")), "cp1").hosts["cp2"].kubeconfig
    given = {name: f"{{{{ remove_plan.hosts[inventory_hostname].kubeconfig.{name} }}}}" for name in copy}
    assert tasks[at]["kubestead.cluster.kubeconfig"] == given | {"server_leaves": True}
    before = [name.split(".")[-1] for task in tasks[:at] for name in task if name.startswith("kubestead.")]
    assert before == ["node_info", "node_info", "cluster_plan"]


def test_a_reset_that_is_repeated_finds_the_copies_although_the_machine_has_left() -> None:
    hosts = with_files(named(cluster(("cp2", "cp3"))))
    there = {"cp1": host("cp1", bare("cp1")), **hosts}
    for place in (address("cp1"), "cp1"):
        plan = plan_of(there, admin("cp1", place), "cp1", operation=reset)
        assert not plan.leaving and written(plan) == HERE
    assert written(plan_of(there, admin("cp2", address("cp2")), "cp1", operation=reset)) == {}


def test_no_copy_is_written_if_the_complete_cluster_is_reset() -> None:
    taken = admin("cp1", address("cp1"))
    hosts = with_files(named(cluster()), {"cp3": taken})
    changes = {"unusable_copies": {"cp2": "it is a directory"}}
    for missing in ((), ("cp1",)):
        plan = plan_of(hosts, taken, *hosts, operation=reset, missing=missing, changes=changes)
        assert written(plan) == {} and said(plan) == [("unreachable", "warning")] * len(missing)


def test_a_control_plane_that_did_not_answer_is_not_reset_and_stays_in_the_copies() -> None:
    # Its Node may be missing.
    for known in (("cp1", "cp2", "cp3"), ("cp2", "cp3")):
        hosts = {"cp1": host("cp1"), **with_files(named(cluster(known)))}
        plan = plan_of(hosts, admin("cp1", address("cp1")), "cp1", "w1", operation=reset, missing=("cp1",))
        assert list(plan.resets) == ["w1"] and written(plan) == {}


def test_a_refused_reset_plans_no_copy() -> None:
    hosts = with_files(named(cluster(dead="cp3")))
    asked = request(hosts, ["cp1"], limit=True)
    copies = {"cp2": summarize(admin("cp1", address("cp1")))}
    plan = reset(replace(asked, kubeconfig_copies=copies))
    assert said(plan)[0] == ("etcd_majority", "error") and written(plan) == {}


# -- control planes that were not observed


def about(plan: Plan) -> list[str]:
    """The findings about single hosts."""
    return [one.line() for one in plan.findings if one.host != "all"]


@BOTH
def test_a_control_plane_that_was_not_observed_is_named_if_another_one_leaves(
    operation: Callable[[Request], Plan],
) -> None:
    hosts = with_files(named(cluster()))
    text = "~/.kube/config on it may keep a control plane that leaves as its server"
    text += "; once it answers, run site.yml with --limit cp3, or set the server in this file"
    plan = plan_of(hosts, admin("cp1", address("cp1")), "cp1", operation=operation, missing=("cp3",))
    assert about(plan) == [f"cp3: does not answer; {text}"] and written(plan) == HERE
    assert said(plan)[-1] == ("unreachable", "warning")
    failed = {"unobserved_outside": {"cp3": "can't be observed: Incorrect sudo password", "x9": "not in the inventory"}}
    plan = plan_of(hosts, None, "cp1", operation=operation, missing=("cp3",), changes=failed)
    assert about(plan) == [f"cp3: can't be observed: Incorrect sudo password; {text}"]
    # The machine has left before.
    there = {"cp1": host("cp1", bare("cp1")), **with_files(named(cluster(("cp2", "cp3"))))}
    assert about(plan_of(there, None, "cp1", operation=operation, missing=("cp3",))) == [
        f"cp3: does not answer; {text}"
    ]
    # If only a worker leaves, no server does.
    for changes in ({}, failed):
        assert not plan_of(hosts, None, "w1", operation=operation, missing=("cp3",), changes=changes).findings


def test_a_removal_names_the_copies_on_control_planes_outside_the_play() -> None:
    taken = admin("cp1", address("cp1"))
    asked = request(with_files(named(cluster()), {"cp3": taken}), ["cp1"], limit=True)
    plan = remove(replace(asked, kubeconfig_copies={name: summarize(taken) for name in ("cp2", "cp3")}))
    fix = "run again without --limit, or run site.yml for this host afterwards"
    text = "keeps a control plane that leaves as its server, because this host is not in the play"
    assert not plan.errors and about(plan) == [
        f"cp2: {COPY} on the control machine {text}; {fix}",
        f"cp3: {PATH} {text}; {fix}",
    ]


@BOTH
def test_a_file_that_can_not_be_backed_up_is_named(operation: Callable[[Request], Plan]) -> None:
    own = admin("old", address("cp1")) + "- name: anna\n  user:\n    token: abc\n"
    hosts = with_files(cluster(), {"cp2": own})
    assert written(plan_of(hosts, None, "cp1", operation=operation)) == {"cp2": [PATH]}
    state = replace(hosts["cp2"].facts.kubeconfig, full=True)
    hosts["cp2"] = replace(hosts["cp2"], facts=replace(hosts["cp2"].facts, kubeconfig=state))
    plan = plan_of(hosts, None, "cp1", operation=operation)
    server, full = [one.line() for one in plan.findings]
    assert written(plan) == {} and server.startswith(f"cp2: {PATH} has the server https://{address('cp1')}:6443, ")
    assert full.startswith(f"cp2: {PATH} is already backed up 10 times (the maximum); it is not updat")


# -- files that are not kubeconfigs


@BOTH
def test_a_file_that_can_not_be_read_is_named_and_does_not_stop_the_run(operation: Callable[[Request], Plan]) -> None:
    changes = {"unusable_copies": {name: "it is a directory" for name in ("cp1", "cp2", "cp3")}}
    hosts = with_files(cluster(), {"cp3": "hello\n"})
    problem = f"{PATH} can't be used: it is not a regular file"
    state = replace(hosts["cp2"].facts.kubeconfig, existing=None, problem=problem)
    hosts["cp2"] = replace(hosts["cp2"], facts=replace(hosts["cp2"].facts, kubeconfig=state))
    plan = plan_of(hosts, None, "cp1", operation=operation, changes=changes)
    fix = "replace it with a kubeconfig, or set control_plane_kubeconfig to false"
    assert [one.line() for one in plan.findings] == [
        f"cp2: {problem}; it is not updated; {fix}",
        f"cp2: {COPY} on the control machine can't be used: it is a directory; it is not updated; replace it with a "
        "kubeconfig that you can read, or set cluster_kubeconfig_path to another path",
        f"cp3: {PATH} is not usable (it is not a kubeconfig in block style or JSON); it is not updated; {fix}, or "
        f"as its owner, {rewrite_command(PATH)}",
    ]
    assert written(plan) == {} and "reset" in actions(plan)["cp1"]
    # No control plane leaves.
    assert not plan_of(hosts, None, "w1", operation=operation, changes=changes).findings
    refused = {name: replace(one.options, kubeconfig=KubeconfigOptions(install=False)) for name, one in hosts.items()}
    hosts = {name: replace(one, options=refused[name]) for name, one in hosts.items()}
    assert not plan_of(hosts, None, "cp1", operation=operation).findings
