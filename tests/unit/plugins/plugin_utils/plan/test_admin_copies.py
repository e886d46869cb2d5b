# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copies of the admin kubeconfig in the plan of an upgrade."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    KubeconfigSummary,
    is_stale,
    renewed,
    rewrite_command,
    summarize,
)
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.admin_copies import of_another
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.upgrade import upgrade
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import changed, recorded
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

from .test_upgrade import RECORDINGS, offer, wish, with_c2

ADMIN = fixture("kubeadm/v1.35/admin.conf")
OTHER_CLUSTER = fixture("kubeadm/v1.20/admin.conf")
#: As kubeadm writes it after it has renewed the certificate.
NO_CA = re.sub("certificate-authority-data: .*", "certificate-authority: /etc/kubernetes/pki/ca.crt", ADMIN)
RENEWED = ADMIN.replace("client-certificate-data: ", "client-certificate-data: bmV3")
assert RENEWED != ADMIN
PATH, COPY = "/home/admin/.kube/config", "/home/user/kubeconfig"


def plan_of(
    source: str = ADMIN,
    existing: str | None = ADMIN,
    copy: str | None = None,
    done: bool = False,
    controls: tuple[str, ...] = ("c1",),
    unusable: dict[str, str] | None = None,
    **changes: Any,
) -> Plan:
    hosts = []
    for name, recording in RECORDINGS.items():
        facts = changed(recorded(recording), {**offer("1.36.2"), **wish("1.36"), **(with_c2()[name] if done else {})})
        if name == "c1":
            own = {
                "kubeconfig.source": to_dict(summarize(source)),
                "kubeconfig.existing": None if existing is None else to_dict(summarize(existing)),
            }
            facts = changed(facts, {**own, **changes})
        hosts.append(registry.read_host(name, name == "c1", facts))
    request = Request(Inventory(list(controls), ["c2"]), hosts, ["kube_packages"])
    known = {} if copy is None else {"c1": summarize(copy)}
    plan = upgrade(replace(request, kubeconfig_copies=known, unusable_copies=unusable or {}))
    assert not plan.errors
    return plan


def copies(plan: Plan) -> list[str]:
    assert not plan.hosts["c2"].kubeconfig
    steps = [step for step in plan.hosts["c1"].steps if step.component == "control_plane"]
    assert bool(steps) == bool(plan.hosts["c1"].kubeconfig)
    return [step.summary() for step in steps]


RENEWS, DIFFERS = "(the certificate in admin.conf is renewed)", "(it differs from admin.conf)"


def test_an_upgrade_refreshes_the_copies_that_it_makes_stale() -> None:
    plan = plan_of(copy=ADMIN)
    assert copies(plan) == [f"write kubeconfig {PATH} {RENEWS}", f"write kubeconfig {COPY} {RENEWS}"]
    arguments = plan.hosts["c1"].kubeconfig
    assert arguments == {"install": True, "user": "", "copy_to": COPY, "copy_server": "", "renewed": True}
    assert [step.action for step in plan.hosts["c1"].steps][-1] == "uncordon"


def test_each_copy_is_refreshed_by_itself() -> None:
    assert copies(plan_of()) == [f"write kubeconfig {PATH} {RENEWS}"]
    assert plan_of().hosts["c1"].kubeconfig["copy_to"] == ""
    plan = plan_of(existing=None, copy=ADMIN)
    assert copies(plan) == [f"write kubeconfig {COPY} {RENEWS}"] and plan.hosts["c1"].kubeconfig["install"] is False


@pytest.mark.parametrize(
    "changes",
    [
        {"existing": None},
        {"existing": OTHER_CLUSTER, "copy": OTHER_CLUSTER},
        {"options.kubeconfig.install": False},
        {"kubeconfig.problem": "the home directory of admin, /home/admin, does not exist"},
        {"kubeconfig.source": None},
    ],
)
def test_what_is_not_a_copy_of_this_cluster_is_left_alone(changes: dict[str, Any]) -> None:
    assert copies(plan_of(**changes)) == []


def test_a_copy_here_with_other_cas_is_not_refreshed_and_told_once() -> None:
    def lines(plan: Plan) -> list[str]:
        return [one.line() for one in plan.findings if one.problem.check == "kubeconfig_ca"]

    for done in (False, True):
        plan = plan_of(source=with_ca_of(RENEWED, OTHER_CLUSTER), copy=ADMIN, done=done)
        # The file of a user on the host that has the admin kubeconfig is written.
        assert [one.split(" (")[0] for one in copies(plan)] == [f"write kubeconfig {PATH}"]
        assert plan.hosts["c1"].kubeconfig["copy_to"] == ""
        (line,) = lines(plan)
        assert line.startswith(f"c1: {COPY} on the control machine has other CAs than /etc/kubernetes/admin.conf and ")
        assert summarize(OTHER_CLUSTER).ca_cert_hashes[0] in line
    assert lines(plan_of(copy=ADMIN)) == lines(plan_of(copy=OTHER_CLUSTER)) == []
    # Also if the client certificate is the same, so that nothing else would be written.
    both = with_ca_of(ADMIN, OTHER_CLUSTER)
    assert len(lines(plan_of(source=both, copy=ADMIN, done=True))) == 1
    # Another control plane writes the copy.
    assert lines(plan_of(source=both, copy=ADMIN, controls=("c0", "c1"))) == []
    # Nor is an admin kubeconfig with only another CA an update of the copy.
    server = summarize(ADMIN).servers[0]
    other = OTHER_CLUSTER.replace(summarize(OTHER_CLUSTER).servers[0], server)
    plan = plan_of(source=other, copy=ADMIN, done=True)
    assert len(lines(plan)) == 1 and copies(plan) == []


def with_ca_of(text: str, other: str) -> str:
    """A kubeconfig whose CAs are also those of another one."""
    old, more = (re.findall("certificate-authority-data: (.*)", one)[0] for one in (text, other))
    return text.replace(old, base64.b64encode(base64.b64decode(old) + base64.b64decode(more)).decode())


def test_an_upgraded_cluster_with_copies_of_now_has_nothing_to_do() -> None:
    assert plan_of(copy=ADMIN, done=True).hosts["c1"].steps == []


def test_copies_that_a_killed_run_left_stale_are_refreshed_without_a_drain() -> None:
    plan = plan_of(source=RENEWED, copy=ADMIN, done=True)
    assert copies(plan) == [f"write kubeconfig {PATH} {DIFFERS}", f"write kubeconfig {COPY} {DIFFERS}"]
    assert plan.rollout.control_planes == ["c1"] and plan.rollout.upgraded_nodes == plan.rollout.drained_nodes == []
    arguments = plan.hosts["c1"].arguments
    assert arguments["due"] and not (arguments["upgrade"] or arguments["drain"] or arguments["uncordon"])
    assert not plan.hosts["c1"].kubeconfig["renewed"] and not plan.disrupted


def test_the_copy_on_the_control_machine_is_that_of_the_first_control_plane() -> None:
    assert copies(plan_of(existing=None, copy=ADMIN, controls=("c0", "c1"))) == []


def test_a_file_that_can_not_be_read_is_named_and_the_upgrade_goes_on() -> None:
    problem = f"{PATH} can't be used: it is not a regular file"
    for first, files in (("c1", [problem, COPY]), ("c0", [problem])):
        plan = plan_of(
            existing=None,
            controls=tuple(dict.fromkeys((first, "c1"))),
            unusable={"c1": "it is a directory"},
            **{"kubeconfig.problem": problem},
        )
        about = [one for one in plan.findings if one.problem.check == "kubeconfig"]
        assert all(one.problem.message.startswith(file) for one, file in zip(about, files, strict=True))
        assert {(one.host, one.problem.level) for one in about} == {("c1", "warning")} and copies(plan) == []
        assert "upgrade" in [step.action for step in plan.hosts["c1"].steps]


def test_an_admin_kubeconfig_that_can_not_be_compared_with_its_copies_is_named() -> None:
    fixes = {
        "{apiVersion: v1, kind: Config}\n": "is neither in block style nor in JSON, so its copies are not updated; "
        + rewrite_command("/etc/kubernetes/admin.conf"),
        "{}": "is empty, so its copies are not updated; remove /etc/kubernetes/admin.conf, and run "
        "'kubeadm init phase kubeconfig admin'",
        NO_CA: "has no usable certificate-authority-data, so its copies are not updated; "
        + rewrite_command("/etc/kubernetes/admin.conf", "--raw --flatten"),
    }

    def lines(text: str, **given: Any) -> list[str]:
        plan = plan_of(text, **given)
        assert copies(plan) == []
        return [one.line() for one in plan.findings if one.problem.check == "kubeconfig"]

    off, both = {"options.kubeconfig.install": False}, {"options.kubeconfig.copy_to": "", "copy": None}
    for text, fix in fixes.items():
        wanted = [f"c1: /etc/kubernetes/admin.conf {fix}"]
        assert lines(text, existing=ADMIN, copy=ADMIN) == lines(text, existing=ADMIN, copy=ADMIN, **off) == wanted
        assert lines(text, existing=ADMIN) == lines(text, existing=ADMIN, **both) == wanted
        # Nobody wants a copy.
        assert lines(text, existing=ADMIN, **off, **both) == []
        # There is none to keep, or that of another control plane. An empty file is not copied either.
        kept = wanted if text == "{}" else []
        for given in ({"existing": None}, {"existing": ""}, {"existing": text}, {"existing": ADMIN, **off}):
            assert lines(text, **given) == kept
        assert lines(text, existing=None, copy=ADMIN, controls=("c0", "c1")) == kept
    # The server of an admin kubeconfig that says more, and logs in otherwise.
    more = re.sub("client-key-data: .*", "token: t", ADMIN).replace(":6443", ":6443/k8s")
    assert lines(more, existing=OTHER_CLUSTER, copy=OTHER_CLUSTER) == []


def test_a_copy_of_another_control_plane_is_as_good() -> None:
    def is_kept(copy: str, second: str, servers: dict[str, str] | None = None, **facts: Any) -> bool:
        given = {"c1": (ADMIN, {}), "c2": (second, facts)}
        hosts = [
            registry.read_host(
                name,
                True,
                changed(recorded("control-plane"), {"kubeconfig.source": to_dict(summarize(source)), **others}),
            )
            for name, (source, others) in given.items()
        ]
        return of_another(summarize(copy), hosts[0], hosts, servers or {})

    there = summarize(ADMIN).servers[0]
    first, second, shared = (f"https://{name}.example.org:6443" for name in ("c1", "c2", "vip"))
    assert is_kept(RENEWED, RENEWED)
    assert not is_kept(RENEWED, ADMIN.replace("client-certificate-data: ", "client-certificate-data: b2xk"))
    assert not is_kept(OTHER_CLUSTER, RENEWED)
    # It stays with the address of the other control plane, as long as the API answers there.
    assert is_kept(RENEWED.replace(there, second), RENEWED, {"c1": first, "c2": second})
    down = {"kubeadm.local_api.healthy": False}
    assert not is_kept(RENEWED.replace(there, second), RENEWED, {"c1": first, "c2": second}, **down)
    assert is_kept(RENEWED, RENEWED, **down)
    # The server of all copies has changed, for example to a virtual IP address.
    assert not is_kept(RENEWED, RENEWED, {"c1": shared, "c2": shared})


def test_a_file_that_can_not_be_backed_up_is_not_refreshed_and_told() -> None:
    more = "- name: anna\n  user:\n    token: abc\n"
    for done in (False, True):
        source = RENEWED if done else ADMIN
        plan = plan_of(source=source, existing=ADMIN + more, done=done, **{"kubeconfig.full": True})
        assert copies(plan) == []
        (line,) = [one.line() for one in plan.findings if one.problem.check == "kubeconfig"]
        assert line.startswith(f"c1: {PATH} is already backed up 10 times (the maximum); it is not ")
        assert f"{PATH}.before-kubestead.1 to .9 that you don't need" in line
    # A backup of an earlier merge is enough, and the admin's file alone needs none.
    for changes in ({"existing": ADMIN + more, "kubeconfig.saved": True}, {"existing": ADMIN}):
        plan = plan_of(**changes, **{"kubeconfig.full": True})
        assert len(copies(plan)) == 1 and not [one for one in plan.findings if one.problem.check == "kubeconfig"]


def test_the_copy_names_a_server_that_this_machine_can_resolve() -> None:
    block = {"api_endpoint": {"hosts": {"/etc/hosts": ["10.213.0.40 api.kubernetes.internal"]}}}
    named = {"kubeadm.api.config.endpoint": "api.kubernetes.internal:6443", **block}
    hosts = []
    for name, recording in RECORDINGS.items():
        facts = changed(recorded(recording), {**offer("1.36.2"), **wish("1.36"), **block})
        own = {"kubeconfig.source": to_dict(summarize(ADMIN)), **named}
        hosts.append(registry.read_host(name, name == "c1", changed(facts, own if name == "c1" else {})))
    request = Request(Inventory(["c1"], ["c2"]), hosts, ["kube_packages"], kubeconfig_copies={"c1": summarize(ADMIN)})
    plan = upgrade(request)
    assert not plan.errors and plan.hosts["c1"].kubeconfig["copy_server"] == "https://10.213.0.40:6443"


def test_a_renewed_admin_kubeconfig_is_told_from_each_copy_of_the_present_one() -> None:
    there: KubeconfigSummary = summarize(ADMIN)
    assert not is_stale(there, there) and is_stale(there, renewed(there)) and is_stale(there, summarize(RENEWED))
    assert not is_stale(None, renewed(there)) and not is_stale(summarize(OTHER_CLUSTER), renewed(there))
