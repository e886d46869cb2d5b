# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cluster_plan on the control machine: what it takes from the variables of a play, what it returns, how it fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.vars.hostvars import HostVars as RealHostVars
from ansible.vars.manager import VariableManager

from ansible_collections.kubestead.cluster.plugins.action import cluster_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import summarize
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import planners, registry
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.plan.test_admin_copies import with_ca_of
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.plan.test_upgrade import offer, wish
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import (
    BARE,
    LIVE,
    changed,
    recorded,
)
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

ROOT = Path(__file__).resolve().parents[4]
#: Where a task is: in a play of the user, and in a role of the collection.
PLAY, ROLE = "/home/ada/play.yml:7", f"{ROOT}/roles/preflight/tasks/plan.yml:23"


class Shown:
    """What a user sees."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def display(self, text: str, color: str = "") -> None:
        self.lines.append(text)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Shown:
    found = Shown()
    monkeypatch.setattr(cluster_plan, "display", found)
    monkeypatch.setattr(cluster_plan.ActionBase, "run", lambda self, tmp=None, task_vars=None: {})
    return found


def variables(facts: dict[str, Any], playing: list[str] | None = None, outside: Any = None) -> dict[str, Any]:
    """The variables of a play over hosts that registered these facts; a1 and c1 are control planes."""
    controls = [name for name in facts if name in ("a1", "c1")]
    return {
        "inventory_hostname": (playing or list(facts))[0],
        "groups": {"control_plane": controls, "workers": [name for name in facts if name not in controls]},
        "ansible_play_hosts": playing or list(facts),
        # As in the recordings.
        "hostvars": {name: {"preflight_observed": one, "cni_plugin": "bridge"} for name, one in facts.items()},
        "ansible_play_name": "Plan",
        "ansible_play_role_names": [],
        "preflight_outside": outside,
    }


def run(task_vars: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    action = cluster_plan.ActionModule.__new__(cluster_plan.ActionModule)
    path = arguments.pop("path", PLAY)
    action._task = SimpleNamespace(args=arguments, get_path=lambda: path)
    action._templar = SimpleNamespace(template=lambda value: value)
    action._loader = SimpleNamespace(get_basedir=lambda: "/nowhere")
    return action.run(task_vars=task_vars)


def facts_of(which: dict[str, str], **changes: Any) -> dict[str, Any]:
    return {name: changed(recorded(recording), changes.get(name, {})) for name, recording in which.items()}


class HostVars(dict[str, Any]):
    """The variables of hosts as Ansible has them: read through templates, or raw."""

    def raw_get(self, name: str) -> Any:
        return super().__getitem__(name)

    def __getitem__(self, name: str) -> Any:
        return {key: value for key, value in super().__getitem__(name).items() if key != "preflight_observed"}


def test_what_was_observed_is_not_searched_for_templates(shown: Shown) -> None:
    task_vars = variables(facts_of(BARE))
    expected = run(task_vars)
    assert run({**task_vars, "hostvars": HostVars(task_vars["hostvars"])}) == expected


def test_a_play_over_bare_machines(shown: Shown) -> None:
    result = run(variables(facts_of(BARE)))
    assert (result["init_host"], result["api_host"], result["joins"]) == ("a1", "a1", ["a2"])
    assert result["play"] == ["Plan", []] and result["changed"] is False
    assert result["hosts"]["a1"]["initializes"] is True
    assert result["hosts"]["a1"]["kubeconfig"]["endpoint"] == "api.kubernetes.internal:6443"
    address = recorded(BARE["a1"])["node"]["default_address"]
    # The control machine does not know the name.
    assert result["hosts"]["a1"]["kubeconfig"]["copy_server"] == f"https://{address}:6443"
    assert result["hosts"]["a2"]["kubeconfig"] == {}
    assert any("  a2  join: join as worker (no kubelet.conf; not in the API)" in line for line in shown.lines)
    assert not shown.warnings and json.dumps(result)


def test_a_complete_cluster_has_nothing_to_do(shown: Shown) -> None:
    there = {name: which for name, which in LIVE.items() if name != "c3"}
    result = run(variables(facts_of(there, c1={"options.kubeconfig.copy_to": ""})))
    assert shown.lines == ["  c1  nothing to do", "  c2  nothing to do"]
    assert result["summary"] == ["c1: nothing to do", "c2: nothing to do"]


def test_a_limit_asks_the_control_planes_outside(shown: Shown) -> None:
    facts = facts_of(LIVE)
    outside = {"results": [{"item": "c1", **facts["c1"]}, {"item": "c9", "unreachable": True}, "nonsense"]}
    result = run(variables(facts, ["c3"], outside))
    assert (list(result["hosts"]), result["api_host"], result["joins"]) == (["c3"], "c1", ["c3"])
    with pytest.raises(AnsibleActionFail, match="no control plane answers"):
        run(variables(facts, ["c3"], {"results": [{"item": "c1", "unreachable": True}]}))


def test_the_control_plane_outside_that_answers_is_the_first_one_of_the_inventory(shown: Shown) -> None:
    facts = facts_of(LIVE)
    for order in (("c1", "a1"), ("a1", "c1")):
        known = variables(facts, ["c3"], {"results": [{"item": name, **facts["c1"]} for name in order]})
        known["groups"]["control_plane"] = ["a1", "c1"]
        known["hostvars"]["a1"] = {"cni_plugin": "bridge"}
        assert run(known)["api_host"] == "a1"


@pytest.mark.parametrize(
    ("given", "told"), [(None, "remove_hosts is empty"), ("", "remove_hosts is empty"), (5, "'5', which is neither")]
)
def test_a_removal_without_names_is_not_for_the_hosts_of_the_play(shown: Shown, given: Any, told: str) -> None:
    there = facts_of(LIVE)
    limited = variables(there, ["c2"], {"results": [{"item": "c1", **there["c1"]}]})
    with pytest.raises(AnsibleActionFail, match=told):
        run({**limited, "ansible_play_hosts_all": ["c2"]}, operation="remove", targets=given)


def test_a_host_to_remove_that_the_limit_leaves_out_is_not_called_unreachable(shown: Shown) -> None:
    there = facts_of(LIVE)
    limited = {**variables(there, ["c1"]), "ansible_play_hosts_all": ["c1"]}
    with pytest.raises(AnsibleActionFail) as caught:
        run(limited, operation="remove", targets="c2")
    assert "c2: is left out of this run by --limit, so it was not contacted; run again without --limit, or" in str(
        caught.value
    )
    assert "remove_gone" not in str(caught.value)
    # It was contacted, and did not answer.
    with pytest.raises(AnsibleActionFail, match="c2: does not answer over SSH"):
        run({**limited, "ansible_play_hosts_all": ["c1", "c2"]}, operation="remove", targets="c2")
    # A machine that is gone need not be contacted. This one still reports to the cluster.
    with pytest.raises(AnsibleActionFail, match="its kubelet still reports"):
        run(limited, operation="remove", targets="c2", gone=True)


def test_hosts_that_could_not_be_observed_stop_an_upgrade_with_the_reason_that_their_task_registered(
    shown: Shown,
) -> None:
    there = facts_of({"c1": LIVE["c1"], "c2": LIVE["c2"]}, c1=offer("1.36.2"), c2=offer("1.36.2"))
    lost = {"unreachable": True, "msg": "Task failed: can't be reached: no\x1b[31m route\nto host; check it"}
    failed = {"failed": True, "msg": "Task failed: Action failed: " + "x" * 5000}
    # Hosts of a later batch have registered nothing, and what others did before is not about this observation.
    known = variables({**there, "w8": lost, "w9": failed, "w7": {}, "w6": {"changed": True}}, ["c1", "c2", "w7"])
    known = {**known, "ansible_play_hosts_all": [*known["hostvars"], "w5"], "ansible_limit": "all:!w4"}
    with pytest.raises(AnsibleActionFail) as caught:
        run(known, operation="upgrade")
    lines = [line for line in str(caught.value).splitlines() if line.startswith(("  w", "w"))]
    assert [line.split(":")[0] for line in lines] == ["  w8", "  w9"], lines
    assert "w8: can't be reached: no" in lines[0] and "to host; check it; to continue without it" in lines[0]
    assert "--limit 'all:!w4:!w8:!w9'" in lines[0] and lines[0].isprintable()
    assert "w9: can't be observed: xxx" in lines[1] and len(lines[1]) < 1500
    # If the play has no control plane, those outside were asked in a loop.
    outside = {"results": [{"item": "c1", "unreachable": True, "msg": "can't be reached: no route"}]}
    with pytest.raises(AnsibleActionFail, match="no control plane answers; tried c1"):
        run(variables(there, ["c2"], outside), operation="upgrade")
    assert any(line.startswith("c1: can't be reached: no route; ") for line in shown.warnings)


def test_with_serial_only_the_hosts_of_the_batch_are_changed_at_the_same_time(shown: Shown) -> None:
    """What was registered of hosts before is from before their upgrade."""
    newer = {**offer("1.36.2"), **wish("1.36")}
    known = variables(facts_of({"c1": LIVE["c1"], "c2": LIVE["c2"]}, c1=newer, c2=newer))
    with pytest.raises(AnsibleActionFail, match="on 2 members of the cluster at the same time"):
        run(known, operation="upgrade")
    with pytest.raises(AnsibleActionFail, match="on 2 members of the cluster at the same time"):
        run({**known, "ansible_play_batch": ["c1", "c2"]}, operation="upgrade")
    result = run({**known, "ansible_play_batch": ["c2"]}, operation="upgrade")
    assert result["hosts"]["c2"]["arguments"]["upgrade"] is True


def test_an_upgrade_refreshes_the_copy_on_this_machine(shown: Shown, tmp_path: Path) -> None:
    copy = tmp_path / "kubeconfig"
    copy.write_text(fixture("kubeadm/v1.35/admin.conf"))
    source = to_dict(summarize(copy.read_text()))
    newer = {**offer("1.36.2"), **wish("1.36"), "options.kubeconfig.copy_to": str(copy)}
    known = variables(facts_of({"c1": LIVE["c1"]}, c1={**newer, "kubeconfig.source": source}))
    result = run(known, operation="upgrade")
    assert result["hosts"]["c1"]["kubeconfig"]["copy_to"] == str(copy)
    assert any(f"write kubeconfig {copy} (the certificate in" in line for line in result["summary"])
    copy.unlink()
    assert run(known, operation="upgrade")["hosts"]["c1"]["kubeconfig"] == {}


def test_a_copy_on_this_machine_with_other_cas_is_a_warning_in_each_run(shown: Shown, tmp_path: Path) -> None:
    copy, admin = tmp_path / "kubeconfig", fixture("kubeadm/v1.35/admin.conf")
    copy.write_text(admin)
    source = with_ca_of(admin, fixture("kubeadm/v1.20/admin.conf")).replace(
        "client-key-data: ", "client-key-data: bmV3"
    )
    there = {"options.kubeconfig.copy_to": str(copy), "kubeconfig.source": to_dict(summarize(source))}
    there["kubeconfig.existing"] = None
    result = run(variables(facts_of({"c1": LIVE["c1"]}, c1=there)))
    (warning,) = [line for line in shown.warnings if str(copy) in line]
    assert warning.startswith(f"c1: {copy} on the control machine has other CAs than /etc/kubernetes/admin.conf and ")
    assert [(one["check"], one["host"]) for one in result["findings"] if str(copy) in one["message"]] == [
        ("kubeconfig_ca", "c1")
    ]
    # The task does not repeat it.
    assert not [line for line in result["summary"] if str(copy) in line]
    assert result["hosts"]["c1"]["kubeconfig"]["install"] and result["hosts"]["c1"]["kubeconfig"]["copy_to"] == ""


def test_a_copy_of_an_earlier_cluster_is_replaced_if_the_run_creates_the_cluster(shown: Shown, tmp_path: Path) -> None:
    copy = tmp_path / "kubeconfig"
    wanted = {"options.kubeconfig.copy_to": str(copy)}
    address = recorded(BARE["a1"])["node"]["default_address"]
    copy.write_text(re.sub("server: .*", f"server: https://{address}:6443", fixture("kubeadm/v1.35/admin.conf")))
    result = run(variables(facts_of(BARE, a1=wanted)))
    line = (
        f"a1: write kubeconfig {copy} (for an earlier cluster at https://{address}:6443; "
        f"a copy is kept in {copy}.before-kubestead)"
    )
    assert line in result["summary"] and not shown.warnings
    arguments = result["hosts"]["a1"]["kubeconfig"]
    assert arguments["new_cluster"] is True and arguments["copy_to"] == str(copy)
    # A CA that is on the machine before may be that of the copy, whose entries are then only brought up to date.
    own = {**wanted, "kubeadm.ca_cert_hash": summarize(copy.read_text()).ca_cert_hashes[0]}
    arguments = run(variables(facts_of(BARE, a1=own)))["hosts"]["a1"]["kubeconfig"]
    assert arguments["new_cluster"] is False and arguments["copy_to"] == str(copy)
    there = facts_of({"c1": LIVE["c1"]}, c1={**wanted, "options.kubeconfig.user": "admin"})
    copy.unlink()
    arguments = run(variables(there))["hosts"]["c1"]["kubeconfig"]
    assert arguments["new_cluster"] is False and arguments["copy_to"] == str(copy)


def test_a_removal_rewrites_the_copy_on_this_machine_even_if_the_server_has_left_before(
    shown: Shown, tmp_path: Path
) -> None:
    admin = fixture("kubeadm/v1.35/admin.conf")
    copy = tmp_path / "kubeconfig"
    there = {"options.kubeconfig.copy_to": str(copy), "kubeconfig.source": to_dict(summarize(admin))}
    known = variables(facts_of({"c1": LIVE["c1"]}, c1=there))
    known["groups"]["control_plane"] = ["a1", "c1"]
    known["hostvars"]["a1"] = {"ansible_host": "203.0.113.9"}
    own = {"operation": "remove", "targets": "a1", "gone": True}
    stale = admin.replace("client-certificate-data: ", "client-certificate-data: bmV3")
    for server, expected in (("203.0.113.9", str(copy)), ("203.0.113.8", "")):
        copy.write_text(re.sub("server: .*", f"server: https://{server}:6443", stale))
        result = run(known, **own)
        assert result["hosts"]["c1"]["kubeconfig"].get("copy_to", "") == expected
        line = f"c1: write kubeconfig {copy} (its server is a control plane that leaves)"
        assert (line in result["summary"]) == bool(expected)
    copy.unlink()
    assert run(known, **own)["hosts"]["c1"]["kubeconfig"] == {}


def test_a_reset_of_one_control_plane_rewrites_the_copy_from_one_outside_the_play(
    shown: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = fixture("kubeadm/v1.35/admin.conf")
    copy = tmp_path / "kubeconfig"
    stale = admin.replace("client-certificate-data: ", "client-certificate-data: bmV3")
    copy.write_text(re.sub("server: .*", "server: https://machine-9:6443", stale))
    there = {"options.kubeconfig.copy_to": str(copy), "kubeconfig.source": to_dict(summarize(admin))}
    facts = facts_of({"c1": LIVE["c1"]}, c1=there)
    known = variables(facts, ["a1"], {"results": [{"item": "c1", **facts["c1"]}]})
    known["groups"]["control_plane"] = ["a1", "c1"]
    bare = changed(recorded(BARE["a1"]), {"options.kubeconfig.copy_to": str(copy)})
    known["hostvars"]["a1"] = {"ansible_host": "machine-9", "preflight_observed": bare}
    looks: list[str] = []

    def look(here: Any, path: str) -> Any:
        looks.append(path)
        return found(here, path)

    found = cluster_plan.kubeconfig_copy.look
    monkeypatch.setattr(cluster_plan.kubeconfig_copy, "look", look)
    result = run({**known, "ansible_play_hosts_all": ["a1"]}, operation="reset")
    assert result["resets"] == ["a1"] and [(one["host"], one["copy_to"]) for one in result["copies"]] == [
        ("c1", str(copy))
    ]
    # Both control planes name the file.
    assert looks == [str(copy)]
    assert any(line.startswith("  c1  control_plane: write kubeconfig") for line in shown.lines)
    # The name belongs to another control plane as well.
    known["hostvars"]["c1"]["ansible_host"] = "Machine-9."
    assert run({**known, "ansible_play_hosts_all": ["a1"]}, operation="reset")["copies"] == []


@pytest.mark.parametrize("operation", ["remove", "reset"])
def test_a_control_plane_that_was_not_observed_is_one_warning_with_the_reason(shown: Shown, operation: str) -> None:
    facts = facts_of({"c1": LIVE["c1"]})
    silent = {"unreachable": True, "msg": "can't be reached: Connection refused"}
    failed = {"changed": False, "msg": "Incorrect sudo\npassword\x1b[2J" + "x" * 9999}
    outside = {"results": [{"item": "b1", **silent}, {"item": "b2", **failed}, {"item": "c1", **facts["c1"]}]}
    known = variables({**facts, "a1": recorded(BARE["a1"])}, ["a1"], outside)
    known["groups"]["control_plane"] = ["a1", "b1", "b2", "c1"]
    known["hostvars"]["b1"] = known["hostvars"]["b2"] = {}
    arguments, expected, playing = {}, [], ["a1"]
    if operation == "remove":
        # It was in the play until it failed.
        known["groups"]["control_plane"].append("b3")
        known["hostvars"]["b3"] = {"preflight_observed": {"failed": True, "msg": "no Python"}}
        arguments, expected, playing = {"targets": "a1"}, ["b3: can't be observed: no Python"], ["a1", "b3"]
    run({**known, "ansible_play_hosts_all": playing}, operation=operation, **arguments)
    lines = [text for text in shown.warnings if text.startswith("b")]
    assert [text.partition("; ")[0][:60] for text in lines] == [
        "b1: can't be reached: Connection refused",
        "b2: can't be observed: Incorrect sudo password [2Jxxxxxxxxxx",
        *expected,
    ]
    assert all("~/.kube/config" in text and len(text) < 800 for text in lines)


@pytest.mark.parametrize("operation", ["converge", "remove", "reset", "upgrade"])
def test_a_copy_that_can_not_be_read_is_a_warning_and_stays(shown: Shown, tmp_path: Path, operation: str) -> None:
    copy = tmp_path / "kubeconfig"
    copy.write_text("password: [hidden-word\n")
    there = {"options.kubeconfig.copy_to": str(copy)}
    newer = {**offer("1.36.2"), **wish("1.36")} if operation == "upgrade" else {}
    facts = facts_of({"c1": LIVE["c1"]}, c1={**newer, **there})
    known = variables(facts)
    arguments: dict[str, Any] = {"operation": operation}
    if operation in ("remove", "reset"):
        known["groups"]["control_plane"] = ["a1", "c1"]
        known["hostvars"]["a1"] = {
            "ansible_host": "203.0.113.9",
            "preflight_observed": changed(recorded(BARE["a1"]), {}),
        }
        arguments.update({"targets": "a1"} if operation == "remove" else {})
        known["ansible_play_hosts"] = ["c1", "a1"] if operation == "remove" else ["a1"]
        known["ansible_play_hosts_all"] = known["ansible_play_hosts"]
        known["preflight_outside"] = {"results": [{"item": "c1", **facts["c1"]}]} if operation == "reset" else None
    result = run(known, **arguments)
    about = [line for line in shown.warnings if str(copy) in line]
    assert about == [
        f"c1: {copy} on the control machine can't be used: it is not YAML; it is not updated; replace it with a "
        "kubeconfig that you can read, or set cluster_kubeconfig_path to another path"
    ]
    assert str(copy) not in json.dumps(result["copies"]) and "hidden-word" not in json.dumps(result)
    assert not [line for line in result["summary"] if str(copy) in line]


@pytest.mark.parametrize("operation", ["converge", "remove", "upgrade"])
def test_an_admin_kubeconfig_that_can_not_be_compared_is_a_warning(
    shown: Shown, tmp_path: Path, operation: str
) -> None:
    copy = tmp_path / "kubeconfig"
    copy.write_text(fixture("kubeadm/v1.35/admin.conf"))
    source = to_dict(summarize("{apiVersion: v1, kind: Config}\n"))
    there = {"options.kubeconfig.copy_to": str(copy), "kubeconfig.source": source}
    newer = {**offer("1.36.2"), **wish("1.36")} if operation == "upgrade" else {}
    known = variables(facts_of({"c1": LIVE["c1"], "c2": LIVE["c2"]}, c1={**newer, **there}, c2=newer))
    run(known, operation=operation, rolling=True, **({"targets": "c2"} if operation == "remove" else {}))
    about = [line for line in shown.warnings if "block style" in line]
    assert len(about) == (operation != "remove")
    start = "c1: /etc/kubernetes/admin.conf is neither in block style nor in JSON, so its copies are not updated; run: "
    assert all(line.startswith(start) for line in about)


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, True),
        ({"kubeconfig.existing": None}, False),
        ({"options.kubeconfig.overwrite": True}, False),
        ({"options.kubeconfig.install": False}, False),
        ({"kubeconfig.existing": to_dict(summarize("{a: b}"))}, False),
    ],
)
def test_only_a_copy_that_is_kept_is_a_warning(shown: Shown, changes: dict[str, Any], warned: bool) -> None:
    there = {
        "kubeconfig.source": to_dict(summarize("{a: b}")),
        "kubeconfig.existing": to_dict(summarize(fixture("kubeadm/v1.35/admin.conf"))),
        **changes,
    }
    run(variables(facts_of({"c1": LIVE["c1"], "c2": LIVE["c2"]}, c1=there)), rolling=True)
    assert any("so its copies are not updated" in line for line in shown.warnings) is warned


def test_a_reset_is_for_the_hosts_of_the_play_and_a_removal_for_those_that_are_named(shown: Shown) -> None:
    there = facts_of({name: which for name, which in LIVE.items() if name != "c3"})
    node = there["c2"]["kubeadm"]["node_name"]
    for facts in there.values():
        # As the inventory of these hosts would name them.
        facts["options"]["control_plane"]["node_name"] = facts["kubeadm"]["node_name"]
    whole = run(variables(there), operation="reset")
    assert whole["resets"] == ["c1", "c2"] and whole["leaving"] == []
    variables_of_one = {**variables(there, ["c2"]), "ansible_play_hosts_all": ["c2"]}
    variables_of_one["preflight_outside"] = {"results": [{"item": "c1", **there["c1"]}]}
    one = run(variables_of_one, operation="reset")
    assert (one["resets"], one["api_host"]) == (["c2"], "c1")
    assert [(leaver["host"], leaver["name"], leaver["node"]) for leaver in one["leaving"]] == [("c2", node, True)]
    removed = run(variables(there), operation="remove", targets="c2, ")
    assert removed["resets"] == ["c2"] and removed["operation"] == "remove" and json.dumps(removed)
    with pytest.raises(AnsibleActionFail, match="remove_hosts is empty"):
        run(variables(there), operation="remove", targets=[])


@pytest.mark.parametrize("nothing", [None, {}, [], "x", {"results": None}, {"results": 7}])
def test_a_play_that_asked_nobody_outside(shown: Shown, nothing: Any) -> None:
    assert run(variables(facts_of(BARE), outside=nothing))["init_host"] == "a1"


def test_all_errors_are_in_one_failure_with_the_findings_beside(shown: Shown) -> None:
    facts = facts_of(BARE, a1={"node.cpus": 1, "node.memory_mb": 512}, a2={"environment.firewalls": ["ufw"]})
    with pytest.raises(AnsibleActionFail) as caught:
        run(variables(facts))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("2 problems, nothing was changed:")
    assert [line.split(";")[0] for line in lines[1:3]] == [
        "  a1: has 1 CPU, but a control plane needs 2",
        "  a1: has 512 MB of memory, but a control plane needs 1700",
    ]
    assert {(one["host"], one["check"], one["level"]) for one in caught.value.result["findings"]} == {
        ("a1", "cpus", "error"),
        ("a1", "memory", "error"),
        ("a2", "firewall", "warning"),
    }
    assert [line.split(" is active")[0] for line in shown.warnings] == ["a2: ufw"] and not shown.lines


def test_hosts_with_one_problem_share_a_line(shown: Shown) -> None:
    run(variables(facts_of(LIVE, c1={"host.container": False}, c2={"host.container": False})))
    assert [line.split(":")[0] for line in shown.warnings] == ["c1, c2"]


def test_a_skipped_check_is_shown_and_stops_nothing(shown: Shown) -> None:
    task_vars = variables(facts_of(BARE, a1={"node.cpus": 1}))
    result = run(task_vars, skip_checks=["cpus"])
    assert result["findings"][0]["level"] == "skipped"
    assert [line for line in shown.lines if line.startswith("  skipped  a1: has 1 CPU")]
    assert run(task_vars, skip_checks="cpus")["joins"] == ["a2"]
    # As -e passes several.
    assert run(task_vars, skip_checks="cpus, memory")["joins"] == ["a2"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"components": ["host", "flannel"]},
            "components has 'flannel', which is not a component; use some of host",
        ),
        ({"components": "flannel"}, "components has 'flannel', which is not a component; use some of host"),
        ({"components": 5}, "components is a int, not a list; use a list of names"),
        ({"skip_checks": {"cpus": True}}, "skip_checks is a dict, not a list; use a list of names"),
        ({"operation": "destroy"}, "operation is 'destroy', which is not an operation; use one of converge"),
        ({"skip_checks": ["firewal"]}, "skip_checks has 'firewal'"),
        ({"skip_checks": ["groups"]}, "skip_checks has 'groups', which can't be skipped"),
    ],
)
def test_arguments_that_are_wrong_are_named(shown: Shown, arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        run(variables(facts_of(BARE)), **arguments)
    assert str(caught.value).startswith(text)
    if "skip_checks" in arguments:
        with pytest.raises(AnsibleActionFail, match=f"^preflight_{text}"):
            run(variables(facts_of(BARE)), path=ROLE, **arguments)


def test_only_the_components_of_the_play_are_planned(shown: Shown) -> None:
    result = run(variables(facts_of(BARE)), components=["host"])
    assert result["roles"] == ["host"] and set(result["hosts"]["a1"]["todo"]) == {"host"}
    assert {step["component"] for step in result["hosts"]["a1"]["steps"]} <= {"host"}
    assert not result["init_host"] and not result["joins"]


def test_an_operation_has_its_own_planner(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    def planner(request: Any) -> Any:
        requests.append(request)
        return planners.PLANNERS["converge"](request)

    monkeypatch.setitem(planners.PLANNERS, "other", planner)
    run(variables(facts_of(BARE)), operation="other")
    assert [host.name for host in requests[0].hosts] == ["a1", "a2"]


# -- variables of the control plane that answers


def lifetime(facts: dict[str, Any], own: dict[str, dict[str, Any]], **more: Any) -> str:
    """The lifetime in the plan. ``own`` are the variables of hosts in the inventory, ``more`` those of the task."""
    task_vars = variables(facts)
    for name, given in own.items():
        task_vars["hostvars"][name].update(given)
    # Ansible has put those of the task's host in order.
    task_vars = {**own.get(task_vars["inventory_hostname"], {}), **task_vars, **more}
    return str(run(task_vars)["token_ttl"])


@pytest.mark.parametrize(
    ("own", "more", "expected"),
    [
        ({}, {}, "15m"),
        # The default of the role, or a variable of the play.
        ({}, {"join_token_ttl": "20m"}, "20m"),
        ({"c1": {"join_token_ttl": "1h"}}, {}, "1h"),
        ({"c1": {"join_token_ttl": 90}}, {}, "90"),
        ({"c1": {"join_token_ttl": None}}, {}, "15m"),
        # The play decides over the inventory.
        ({"c1": {"join_token_ttl": "1h"}}, {"join_token_ttl": "20m"}, "20m"),
        # Workers create no tokens.
        ({"c2": {"join_token_ttl": "15 minutes"}, "c3": {"join_token_ttl": ["1h"]}}, {}, "15m"),
    ],
)
def test_the_lifetime_of_tokens_is_that_of_the_control_plane(
    shown: Shown, own: dict[str, Any], more: dict[str, Any], expected: str
) -> None:
    assert lifetime(facts_of(LIVE), own, **more) == expected


@pytest.mark.parametrize(
    ("ttl", "told"),
    [
        ("15 minutes", "is '15 minutes', not a duration; use a duration like 15m, 1h30m or 90s"),
        ("3", "is '3', not between 1m and 24h; use a duration like 15m"),
        ("", "is '', not a duration; use a duration like 15m, 1h30m or 90s"),
        (["15m"], "is a list, not text; put it in quotes"),
    ],
)
def test_a_lifetime_that_kubeadm_would_refuse_stops_the_plan(shown: Shown, ttl: Any, told: str) -> None:
    with pytest.raises(AnsibleActionFail) as caught:
        lifetime(facts_of(LIVE), {"c1": {"join_token_ttl": ttl}})
    assert caught.value.message == f"c1: join_token_ttl {told} (nothing was changed)"
    (finding,) = [one for one in caught.value.result["findings"] if one["level"] == "error"]
    assert (finding["host"], finding["component"], finding["check"]) == ("c1", "join", "options")


def test_a_lifetime_that_no_host_needs_is_not_checked(shown: Shown) -> None:
    wrong = {"c1": {"join_token_ttl": "15 minutes"}}
    assert lifetime(facts_of({name: which for name, which in LIVE.items() if name != "c3"}), wrong) == ""


def test_the_lifetime_of_a_new_cluster_is_that_of_its_first_control_plane(shown: Shown) -> None:
    assert lifetime(facts_of(BARE), {"a1": {"join_token_ttl": "2h"}, "a2": {"join_token_ttl": "1"}}) == "2h"
    with pytest.raises(AnsibleActionFail, match="^a1: join_token_ttl is '1', not between"):
        lifetime(facts_of(BARE), {"a1": {"join_token_ttl": "1"}})


def outside_of(tmp_path: Path, own: dict[str, Any], cached: Any = None, **more: Any) -> dict[str, Any]:
    """The variables of a play over c3, with those of the inventory as Ansible has them.

    ``own`` are those of hosts, ``cached`` facts of c1.
    """
    facts = facts_of(LIVE)
    task_vars = variables(facts, ["c3"], {"results": [{"item": "c1", **facts["c1"]}]})
    hosts = {name: {**task_vars["hostvars"][name], **own.get(name, {})} for name in facts}
    (tmp_path / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}))
    loader = DataLoader()
    inventory = InventoryManager(loader, [str(tmp_path / "hosts.yml")])
    manager = VariableManager(loader, inventory)
    if cached:
        manager.set_host_facts("c1", cached)
    return {**task_vars, "hostvars": RealHostVars(inventory, manager, loader), **own.get("c3", {}), **more}


def test_the_lifetime_of_a_control_plane_outside_the_play_is_its_own(shown: Shown, tmp_path: Path) -> None:
    wrong = {"join_token_ttl": "15 minutes"}
    for own, more, expected in (
        ({"c1": {"join_token_ttl": "1h"}, "c3": wrong}, {}, "1h"),
        # The inventory has it for the worker alone, which does not create tokens.
        ({"c3": wrong}, {}, "15m"),
        ({}, {"join_token_ttl": "20m"}, "20m"),
        # The play has another value than the inventory has for the worker.
        ({"c3": {"join_token_ttl": "1h"}}, {"join_token_ttl": "20m"}, "20m"),
    ):
        assert run(outside_of(tmp_path, own, **more))["token_ttl"] == expected
    fact = {"join_token_ttl": "24h"}
    for own, cached, told in (
        (wrong, None, "is '15 minutes', not a duration"),
        ({"join_token_ttl": "{{ nothing }}"}, None, "is a template that can't be evaluated; correct the template"),
        ({}, fact, "is set by the facts of this host"),
    ):
        with pytest.raises(AnsibleActionFail, match=f"^c1: join_token_ttl {told}"):
            run(outside_of(tmp_path, {"c1": own}, cached))


def test_the_pod_network_of_a_control_plane_outside_the_play_is_also_that_of_the_play(
    shown: Shown, tmp_path: Path
) -> None:
    for own, more, expected in (
        ({}, {"cni_mtu": 1400}, 1400),
        ({"c1": {"cni_mtu": 1300}}, {"cni_mtu": 1400}, 1300),
        # That of the worker alone.
        ({"c3": {"cni_mtu": 1400}}, {}, 0),
    ):
        assert run(outside_of(tmp_path, own, **more))["pod_network"]["mtu"] == expected
    with pytest.raises(AnsibleActionFail, match="^c1: cni_mtu is 'wide', not an integer"):
        run(outside_of(tmp_path, {}, cni_mtu="wide"))
    # Nothing is done with the pod network.
    for given in ({"components": ["host", "join"]}, {"operation": "remove", "targets": ["c3"]}):
        assert run(outside_of(tmp_path, {}, cni_mtu="wide"), **given)["api_host"] == "c1"


def test_the_manifest_of_a_control_plane_outside_the_play_is_read_before_anything_is_changed(
    shown: Shown, tmp_path: Path
) -> None:
    calico = {"cni_plugin": "calico", "cni_calico_manifest": "/nowhere/calico.yaml"}
    told = "^c1: cni_calico_manifest .*/nowhere/calico.yaml.* \\(nothing was changed\\)$"
    with pytest.raises(AnsibleActionFail, match=told):
        run(outside_of(tmp_path, {"c1": calico}))
    assert run(outside_of(tmp_path, {"c1": calico}), components=["host", "join"])["joins"] == ["c3"]


# -- hosts are not trusted


def test_a_host_that_reports_nonsense_gets_a_finding_and_the_others_are_planned(shown: Shown) -> None:
    facts = facts_of(LIVE, c2={"node.addresses": "x"}, c3={"node.cpus": {}, "clock": 7})
    with pytest.raises(AnsibleActionFail) as caught:
        run(variables(facts))
    found = [(one["host"], one["check"]) for one in caught.value.result["findings"]]
    assert found == [("c2", "broken_facts"), ("c3", "broken_facts")]
    assert "c2: the facts of this host are invalid: node.addresses is str, not a list" in str(caught.value)


@pytest.mark.parametrize("facts", [None, 7, "x", [], {}, {"options": 7}, {"failed": True, "msg": "x"}])
def test_a_host_that_registered_nothing_is_not_part_of_the_plan(shown: Shown, facts: Any) -> None:
    task_vars = variables({**facts_of(BARE), "w9": facts})
    assert list(run(task_vars)["hosts"]) == ["a1", "a2"]


def test_a_host_that_was_not_observed_because_of_its_variables_says_so(shown: Shown) -> None:
    wrong = {"options": {"cni": {"plugin": "flannel"}}, "problems": []}
    with pytest.raises(AnsibleActionFail, match="w9: cni_plugin is 'flannel'"):
        run(variables({**facts_of(BARE), "w9": wrong}))


# -- what only this machine knows


def test_the_copy_of_the_kubeconfig_is_a_step_of_the_host_that_answers(shown: Shown, tmp_path: Path) -> None:
    copy = tmp_path / "kubeconfig"
    wanted = {"options.kubeconfig.copy_to": str(copy)}
    result = run(variables(facts_of(BARE, a1=wanted, a2=wanted)))
    assert f"a1: write kubeconfig {copy} (the kubeconfig does not exist)" in result["summary"]
    assert not [line for line in result["summary"] if line.startswith("a2: write kubeconfig")]
    assert result["hosts"]["a1"]["kubeconfig"]["copy_to"] == str(copy)


def test_a_calico_manifest_that_is_missing_is_found_before_anything_is_changed(shown: Shown) -> None:
    calico = {"options.cni.plugin": "calico", "options.cni.calico_manifest": "/nowhere/calico.yaml"}
    with pytest.raises(AnsibleActionFail) as caught:
        run(variables(facts_of(BARE, a1=calico, a2=calico)))
    assert [(one["host"], one["check"]) for one in caught.value.result["findings"]] == [("all", "cni.manifest")]


@pytest.mark.parametrize(("operation", "targets"), [("reset", ["c1", "c2"]), ("remove", ["c2"])])
def test_hosts_can_leave_while_the_calico_manifest_is_not_available(
    operation: str, targets: list[str], shown: Shown
) -> None:
    calico = {"options.cni.plugin": "calico", "options.cni.calico_manifest": "/nowhere/calico.yaml"}
    there = facts_of({name: LIVE[name] for name in ("c1", "c2")}, c1=calico, c2=calico)
    planned = run(variables(there), operation=operation, targets=targets)
    assert planned["resets"] == targets
    with pytest.raises(AnsibleActionFail, match="cni_calico_manifest"):
        run(variables(there))


def test_the_options_of_the_pod_network_are_those_of_the_control_plane(shown: Shown) -> None:
    facts = facts_of(LIVE, c1={"options.cni.mtu": 1400})
    assert run(variables(facts))["pod_network"]["mtu"] == 1400
    task_vars = variables(facts, ["c3"], {"results": [{"item": "c1", **facts["c1"]}]})
    task_vars["hostvars"]["c1"] = {"cni_mtu": 1300, "cni_plugin": "bridge"}
    assert run(task_vars)["pod_network"]["mtu"] == 1300
    task_vars["hostvars"]["c1"] = {"cni_mtu": "x"}
    with pytest.raises(AnsibleActionFail, match="c1: cni_mtu is 'x'"):
        run(task_vars)


CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u202e\ud800]")
FORGED = "x\x1b[2J\x9b1A\r\n  cp1  nothing to do\u2028\u202e" + "\ud800"


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return [text for item in value for text in leaves(item)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize(
    "change",
    [
        {"host.swaps": [FORGED], "host.container": False, "options.host.disable_swap": False},
        {"ports.listening": [10250], "ports.processes": {"10250": FORGED}},
        {"node.architecture": FORGED},
        {"node.os_id": "debian", "node.os_version": "9 " + FORGED},
        {"environment.firewalls": [FORGED]},
        {"kubeadm.node_name": FORGED},
        {"node.machine_id": FORGED},
        {"kube_packages.problem": FORGED},
        {"clock.synchronized": False, "host.container": False, "environment.time_services": [FORGED]},
    ],
)
def test_nothing_that_a_host_says_begins_a_line_or_reaches_the_terminal(shown: Shown, change: dict[str, Any]) -> None:
    try:
        result = run(variables(facts_of(BARE, a2=change)))
        stored = [result["summary"], result["findings"], result["hosts"], result["cluster"], result["joining_nodes"]]
        texts = shown.lines + shown.warnings
    except AnsibleActionFail as err:
        stored = [err.result["findings"]]
        # The failure of several problems has a line for each.
        texts = shown.lines + shown.warnings + str(err).splitlines()
    assert not [text for text in texts if CONTROL.search(text)]
    assert not [text for text in texts if text.startswith("  cp1  ")]
    assert not [text for text in leaves(stored) if CONTROL.search(text)]


def test_a_reason_of_the_api_begins_no_line_either(shown: Shown) -> None:
    facts = facts_of({name: which for name, which in LIVE.items() if name != "c3"})
    for one in facts["c1"]["kubeadm"]["api"]["nodes"]:
        one.update(ready=False, not_ready_reason=FORGED)
    result = run(variables(facts))
    assert any("not ready: x" in text for text in shown.lines)
    assert not [text for text in [*shown.lines, *result["summary"]] if "\n" in text or "\x1b" in text]


def test_a_host_is_found_by_what_its_name_is_resolved_to_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where its Node has another name: hundreds of names are not looked up for nothing."""
    asked: list[str] = []

    def resolved(place: str) -> str:
        asked.append(place)
        return {"a.example.org": "192.0.2.7"}.get(place, place)

    monkeypatch.setattr(cluster_plan, "resolved", resolved)
    hosts = [registry.read_host(name, False, recorded("worker")) for name in ("a", "c2")]
    given = {"ansible_host": "a.example.org"}
    assert cluster_plan._addresses("a", given, hosts) == ["192.0.2.7"] and "a.example.org" in asked
    asked.clear()
    assert cluster_plan._addresses("c2", given, hosts) == [] and asked == []
    dual = {"cluster_node_address": "192.0.2.9, 2001:DB8:0::0010", "ansible_host": "2001:0db8::10"}
    assert cluster_plan._addresses("c2", dual, hosts) == ["192.0.2.9", "2001:db8::10"]
    assert cluster_plan._addresses("a", {**given, "cluster_node_name": "c2"}, hosts) == [] and asked == []
    # A fact of the host is not the inventory.
    claims = {**given, "ansible_facts": {"cluster_node_name": "c2"}, "cluster_node_name": "c2"}
    assert cluster_plan._addresses("a", claims, hosts) == ["192.0.2.7"]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("login failed: Authentication failed", "login failed: Authentication failed"),
        # Of a task without the action plugins of the collection.
        ("Task failed: the ssl certificate expired", "can't be reached: the ssl certificate expired"),
        ("", "can't be reached: no reason is known"),
    ],
)
def test_the_reason_of_an_unreachable_host_says_what_failed(shown: Shown, message: str, reason: str) -> None:
    facts = facts_of({"c1": LIVE["c1"]})
    outside = {"results": [{"item": "b1", "unreachable": True, "msg": message}, {"item": "c1", **facts["c1"]}]}
    known = variables({**facts, "a1": recorded(BARE["a1"])}, ["a1"], outside)
    known["groups"]["control_plane"] = ["a1", "b1", "c1"]
    known["hostvars"]["b1"] = {}
    run({**known, "ansible_play_hosts_all": ["a1"]}, operation="reset")
    assert [text for text in shown.warnings if text.startswith(f"b1: {reason}; ")]
