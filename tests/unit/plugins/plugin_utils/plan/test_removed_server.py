# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copies of the admin kubeconfig in the plan of a removal: those whose server leaves are written again."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    KubeconfigOptions,
    KubeconfigState,
    summarize,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.removal import MemberFacts
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Host
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.remove import remove
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

from .test_admin_copies import with_ca_of
from .test_converge import bare, host
from .test_departure import API, address, at_the_address_of_cp1, cluster, named, request, said

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


def plan_of(hosts: dict[str, Host], copy: str | None, *targets: str, **more: Any) -> Plan:
    asked = request(hosts, list(targets), **more)
    copies = {one.name: summarize(copy) for one in asked.hosts if one.control_plane and copy is not None}
    plan = remove(replace(asked, kubeconfig_copies=copies))
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
        re.sub("server: .*", f"server: https://{address('cp1')}:6443", OTHER_CLUSTER),
    ],
)
def test_a_copy_that_does_not_point_to_the_leaving_control_plane_stays(copy: str | None) -> None:
    for vip in ("", VIP):
        plan = plan_of(with_files(named(cluster()), vip=vip), copy, "cp1", "w1")
        assert not plan.findings and written(plan) == {}


def test_the_removal_of_a_worker_writes_no_copy() -> None:
    """Its address may be that of a load balancer for the API."""
    assert written(plan_of(with_files(named(cluster())), admin("cp1", address("w1")), "w1")) == {}


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


def test_a_repeated_run_finds_the_copy_although_the_machine_has_left() -> None:
    hosts = with_files(named(cluster(("cp2", "cp3"))))
    members = MemberFacts(
        [Member(name, name, [f"https://{address(name)}:2380"], healthy=True) for name in ("cp2", "cp3")]
    )
    hosts = {name: replace(one, facts=replace(one.facts, etcd=members)) for name, one in hosts.items()}
    copy = admin("cp1", address("cp1"))
    # It is bare, or it does not answer.
    there = {"cp1": host("cp1", bare("cp1")), **hosts}
    assert written(plan_of(there, copy, "cp1")) == HERE
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
    assert written(plan) == {} and said(plan) == [("endpoint", "warning"), ("kubeconfig_ca", "warning")]
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
    # Both leave, or the other server is that of another cluster.
    other = entry(re.sub("server: .*", "server: https://lb.example.org:6443", OTHER_CLUSTER), "other")
    for more in (direct, other):
        name = "direct" if more is direct else "other"
        assert (
            written(plan_of(with_files(named(cluster())), with_entry(admin("cp1", address("cp1")), name, more), "cp1"))
            == HERE
        )


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
