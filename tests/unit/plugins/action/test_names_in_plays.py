# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages with Ansible itself: they name variables in roles of the collection, and options in tasks of the user."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import summarize
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.test_cluster_plan import facts_of
from ansible_collections.kubestead.cluster.tests.unit.plugins.action.test_unobserved_hosts import PYTHON
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kube.test_kubeconfig import ADMIN, OTHER
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import LIVE, recorded

ROOT = Path(__file__).resolve().parents[4]
SECRET = "aaaaaa.0123456789abcdef"
#: A plan in which cp2 joins.
PLAN = {
    "api_host": "cp1",
    "token_ttl": "15m",
    "joins": ["cp2"],
    "worker_joins": [],
    "control_plane_joins": ["cp2"],
}


def played(tmp_path: Path, plays: list[dict[str, Any]], groups: dict[str, Any], *options: str) -> tuple[str, int]:
    """What Ansible prints without line breaks, and its code."""
    (tmp_path / "play.yml").write_text(yaml.safe_dump(plays))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(groups))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "hosts.yml", "play.yml", "--check", *options],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "0",
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return re.sub(r"\s+", " ", done.stdout + done.stderr), done.returncode


def machines(tmp_path: Path) -> dict[str, Any]:
    """Two control planes whose Python answers for the modules."""
    answers = {
        "kubeconfig": json.dumps({"changed": False, "source": to_dict(summarize(ADMIN))}),
        "kubeadm_join_token": json.dumps({"changed": True, "tokens": {"cp2": {"token": SECRET}}}),
        "node_info": json.dumps({**recorded(LIVE["c1"]), "changed": False}),
        "kubeadm_join": json.dumps({"changed": True}),
    }
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable, answers=answers, log=str(tmp_path / "asked"), host="cp"))
    python.chmod(0o755)
    own = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    return {"control_plane": {"hosts": {"cp1": own, "cp2": own}}}


def test_a_task_is_told_what_it_has_set_itself(tmp_path: Path) -> None:
    copy = tmp_path / "copy.conf"
    away = tmp_path / "away.conf"
    for path in (copy, away):
        path.write_text(OTHER)
    groups = machines(tmp_path)
    module = {"install": False, "copy_to": str(copy), "endpoint": "192.0.2.77"}
    own: list[dict[str, Any]] = [
        {"kubestead.cluster.kubeconfig": module},
        # A host that the inventory does not have.
        {
            "kubestead.cluster.kubeconfig": {**module, "copy_to": str(away)},
            "delegate_to": "nothere",
            "vars": groups["control_plane"]["hosts"]["cp1"],
        },
        {"kubestead.cluster.manifests": {"manifests": "/x/none.yaml"}, "ignore_errors": True},
        {"kubestead.cluster.cluster_plan": {"skip_checks": ["firewal"]}, "ignore_errors": True},
    ]
    of_roles: list[dict[str, Any]] = [
        {
            "ansible.builtin.import_role": {"name": "kubestead.cluster.deploy", "rolespec_validate": False},
            "vars": {"deploy_manifests": "/x/none.yaml", "deploy_host": "cp1"},
            "ignore_errors": True,
        },
        {
            "ansible.builtin.import_role": {
                "name": "kubestead.cluster.join",
                "tasks_from": "apply",
                "rolespec_validate": False,
            },
            "vars": {
                "preflight_plan": PLAN,
                "preflight_host": {
                    "joins_as": "control_plane",
                    "kubeadm_version": "",
                    "kubeconfig": dict(module, user="", overwrite=False, copy_server="", bind_port=6443),
                },
            },
        },
        # It registers preflight_plan, so it is the last one.
        {
            "ansible.builtin.import_role": {"name": "kubestead.cluster.preflight", "rolespec_validate": False},
            "vars": {"preflight_skip_checks": ["firewal"], "preflight_is_planned": False},
            "ignore_errors": True,
        },
    ]
    play = {"hosts": "cp2", "gather_facts": False, "vars": {"ansible_pipelining": True}}
    # The variables of the roles are set for all tasks.
    variables = {"cluster_kubeconfig_path": str(copy), "deploy_manifests": str(ROOT / "examples" / "webapp")}
    told = (
        ("copy_to", "manifests", "skip_checks"),
        ("cluster_kubeconfig_path", "deploy_manifests", "preflight_skip_checks"),
    )
    for tasks, names, other in ((own, *told), (of_roles, *reversed(told))):
        groups["all"] = {"vars": variables}
        said, code = played(tmp_path, [{**play, "roles": ["kubestead.cluster.cluster"], "tasks": tasks}], groups)
        assert code == 0, said
        assert f" and was not changed; set {names[0]} to another path" in said, said
        assert f" {names[1]} is '/x/none.yaml', which does not exist" in said, said
        assert f" {names[2]} has 'firewal', which is not a check" in said, said
        assert f"set {other[0]} to" not in said and f" {other[1]} is '/x" not in said and f" {other[2]} has" not in said
        assert (f"{away} on the control machine is " in said) == (tasks is own)


@pytest.mark.parametrize(
    ("of", "told"),
    [
        ({"c1": "15 minutes"}, "c1: join_token_ttl is '15 minutes', not a duration; use a duration like 15m"),
        ({"c1": "{{ nothing }}"}, "c1: join_token_ttl is a template that can't be evaluated; correct the template"),
        ({"c1": "20m", "c3": "15 minutes"}, "20m"),
        ({"c3": "15 minutes"}, "15m"),
        ({}, "15m"),
    ],
)
def test_the_lifetime_of_tokens_is_that_of_a_control_plane_outside_the_play(
    tmp_path: Path, of: dict[str, str], told: str
) -> None:
    facts = facts_of(LIVE)
    # The pod network is that of the recordings.
    hosts: dict[str, Any] = {name: {"preflight_observed": one, "cni_plugin": "bridge"} for name, one in facts.items()}
    for name, ttl in of.items():
        hosts[name]["join_token_ttl"] = ttl
    groups = {
        "control_plane": {"hosts": {"c1": hosts["c1"]}},
        "workers": {"hosts": {name: hosts[name] for name in ("c2", "c3")}},
    }
    outside = {"results": [{"item": "c1", **facts["c1"]}]}
    tasks = [
        {"kubestead.cluster.cluster_plan": {}, "register": "planned", "vars": {"preflight_outside": outside}},
        {"ansible.builtin.debug": {"msg": "lifetime {{ planned.token_ttl }}, of {{ planned.api_host }}"}},
    ]
    said, code = played(tmp_path, [{"hosts": "c3", "gather_facts": False, "tasks": tasks}], groups)
    if ": " in told:
        assert code != 0 and told in said and "(nothing was changed)" in said, said
    else:
        assert code == 0 and f"lifetime {told}, of c1" in said, said
