# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks with Ansible itself, and stand-ins for the hosts' Python: a host that can't be asked stops a run early."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.plan.test_upgrade import offer
from ansible_collections.kubestead.cluster.tests.unit.plugins.plugin_utils.rules.test_rules import (
    LIVE,
    changed,
    recorded,
)

ROOT = Path(__file__).resolve().parents[4]
# Answers a module as its host would, and writes down which it was.
PYTHON = """#!{python}
import json, re, sys
text = sys.stdin.read()
answers = {answers!r}
name = next(name for name in re.findall("plugins[./]modules[./]([a-z_]+)", text) if name in answers)
with open({log!r}, "a") as log:
    log.write({host!r} + " " + name + "\\n")
print(answers[name])
"""
REFUSED = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_retries": 0}
ABSENT = {"ansible_connection": "local", "ansible_python_interpreter": "/nonexistent/python3"}


def run(tmp_path: Path, playbook: str, hosts: dict[str, dict[str, Any]], **answers: Any) -> tuple[list[str], str, int]:
    """What was asked of the hosts c1 and c2, what Ansible printed, and its code. ``hosts`` are further hosts.

    ``answers`` are answers of c2 by modules, instead of success.
    """
    log = tmp_path / "asked"
    modules = [path.stem for path in (ROOT / "plugins/modules").glob("*.py")]
    inventory: dict[str, dict[str, Any]] = {"c1": {}, "c2": {}, **hosts}
    for name in ("c1", "c2"):
        given = dict.fromkeys(modules, json.dumps({"changed": False}))
        given["node_info"] = json.dumps({**changed(recorded(LIVE[name]), offer("1.36.2")), "changed": False})
        given.update({module: json.dumps(answer) for module, answer in answers.items() if name == "c2"})
        python = tmp_path / f"python-{name}"
        python.write_text(PYTHON.format(python=sys.executable, answers=given, log=str(log), host=name))
        python.chmod(0o755)
        inventory[name] = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    groups: dict[str, Any] = {"control_plane": {"hosts": {}}, "workers": {"hosts": {}}}
    for name, own in inventory.items():
        groups["control_plane" if name in ("c1", "c9") else "workers"]["hosts"][name] = own
    groups["all"] = {
        "vars": {
            "ansible_become": False,
            "cluster_kubernetes_version": "1.36",
            "cluster_kubelet_config": {"failCgroupV1": False},
            "cni_plugin": "bridge",
            "kube_packages_key_fingerprint": "D74F5542990591D3743FFF20D4EEA38A7A3E2331",
        }
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(groups))
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            "hosts.yml",
            str(ROOT / "collections/ansible_collections/kubestead/cluster/playbooks" / playbook),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return log.read_text().splitlines() if log.exists() else [], done.stdout + done.stderr, done.returncode


@pytest.mark.parametrize(
    ("playbook", "asked", "more"),
    [
        (
            "upgrade.yml",
            ["c1 node_info", "c2 node_info"],
            "once all control planes have the new version, --limit 'all,!c9,!w8,!w9' leaves it out; ",
        ),
        # The repair of an interrupted run comes first, and does nothing otherwise.
        ("endpoint.yml", ["c1 kubeadm_endpoint", "c1 node_info", "c2 kubeadm_endpoint", "c2 node_info"], ""),
    ],
)
def test_an_operation_that_needs_all_hosts_names_each_missing_one_and_the_way_to_continue(
    tmp_path: Path, playbook: str, asked: list[str], more: str
) -> None:
    known, said, code = run(tmp_path, playbook, {"c9": REFUSED, "w8": ABSENT, "w9": REFUSED})
    assert code == 4 and sorted(known) == asked, said
    assert "3 problems, nothing was changed:" in said, said
    for line in (
        "c9: can't be reached: ssh: connect to host 127.0.0.1 port 1: Connection refused; check ansible_host, "
        "ansible_port and the SSH server of this host; correct this and run again, because every control plane takes "
        f"part; {more}if the machine no longer exists, use remove.yml with -e remove_hosts=c9 -e remove_gone=true",
        "w8: can't be observed: The module interpreter '/nonexistent/python3' was not found; install python3 on this "
        "host, or correct ansible_python_interpreter; to continue without it, run again with --limit 'all,!w8,!w9'; if "
        "the machine no longer exists, use remove.yml with -e remove_hosts=w8 -e remove_gone=true",
        "w9: can't be reached: ssh: connect to host 127.0.0.1 port 1: Connection refused; check ansible_host, "
        "ansible_port and the SSH server of this host; to continue without it, run again with --limit 'all,!w8,!w9'; "
        "if the machine no longer exists, use remove.yml with -e remove_hosts=w9 -e remove_gone=true",
    ):
        assert f"  {line}" in said.splitlines(), said


def test_a_check_of_one_host_that_fails_stops_the_upgrade_of_all(tmp_path: Path) -> None:
    """Before the first node is drained. The play of the plan does not stop at the first error by itself."""
    refused = {"failed": True, "msg": "the kubelet would not start"}
    known, said, code = run(tmp_path, "upgrade.yml", {}, kubeadm_upgrade=refused)
    assert code == 2 and "the kubelet would not start" in said, said
    assert sorted(known) == ["c1 kubeadm_upgrade", "c1 node_info", "c2 kubeadm_upgrade", "c2 node_info"], said
