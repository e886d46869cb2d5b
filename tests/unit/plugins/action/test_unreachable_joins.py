# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role join with Ansible itself, and stand-ins for the hosts' Python: the tokens go, however a join ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[4]
SECRETS = {"w1": "aaaaaa.0123456789abcdef", "w2": "bbbbbb.fedcba9876543210", "cp2": "cccccc.0011223344556677"}

# Answers a module as its host would, and writes down which it was.
PYTHON = """#!{python}
import json, sys, time
text = sys.stdin.read()
secrets, joined = json.loads({secrets!r}), {joined!r}
if "modules.kubeadm_join_token" in text or "modules/kubeadm_join_token" in text:
    state = "absent" if "absent" in text else "present"
    nodes = sorted(name for name in secrets if '"' + name + '"' in text)
    print(json.dumps({deletion!r}) if state == "absent" else json.dumps(
        {{"changed": True, "tokens": {{name: {{"token": secrets[name]}} for name in nodes}}}}))
    what = "token " + state + " " + " ".join(nodes)
else:
    if joined.pop("slow", False):
        # Until the tokens of the others have gone, or long enough to see that they stay.
        for _turn in range(200):
            with open({log!r}) as log:
                if "absent" in log.read():
                    break
            time.sleep(0.05)
    print(json.dumps(joined))
    what = "join with " + " ".join(name for name in secrets if secrets[name] in text)
with open({log!r}, "a") as log:
    log.write(what + "\\n")
"""


def run(
    tmp_path: Path,
    hosts: dict[str, str],
    control_planes: tuple[str, ...] = (),
    deletion: Mapping[str, Any] = MappingProxyType({"changed": True}),
) -> tuple[list[str], str, int]:
    """What was asked of the hosts, what Ansible printed, and its code. ``hosts`` become what they map to."""
    log = tmp_path / "asked"
    inventory: dict[str, Any] = {}
    for name, end in {"cp1": "joined", **hosts}.items():
        python = tmp_path / f"python-{name}"
        joined: dict[str, Any] = {"changed": True}
        if end == "failed":
            joined = {"failed": True, "msg": "kubeadm join failed"}
        elif end == "slow":
            joined = {"changed": True, "slow": True}
        python.write_text(
            PYTHON.format(
                python=sys.executable, secrets=json.dumps(SECRETS), joined=joined, deletion=dict(deletion), log=str(log)
            )
        )
        python.chmod(0o755)
        inventory[name] = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
        if end == "unreachable":
            inventory[name] = {"ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_python_interpreter": "python3"}
        inventory[name]["preflight_host"] = {
            "joins_as": "control_plane" if name in control_planes else "worker",
            "kubeadm_version": "",
            "kubeconfig": {},
        }
    workers = [name for name in hosts if name not in control_planes]
    plan = {
        "api_host": "cp1",
        "token_ttl": "15m",
        "joins": list(hosts),
        "worker_joins": workers,
        "control_plane_joins": list(control_planes),
    }
    role = {"name": "kubestead.cluster.join", "tasks_from": "apply", "rolespec_validate": False}
    play = {
        "hosts": list(hosts),
        "gather_facts": False,
        "vars": {"preflight_plan": plan, "ansible_pipelining": True},
        "tasks": [{"ansible.builtin.import_role": role}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": inventory}}))
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-vvv", "-i", "hosts.yml", "play.yml"],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(tmp_path),
            "ANSIBLE_SSH_RETRIES": "0",
        },
        capture_output=True,
        text=True,
    )
    return log.read_text().splitlines() if log.exists() else [], done.stdout + done.stderr, done.returncode


@pytest.mark.parametrize("end", ["unreachable", "failed"])
def test_the_token_goes_when_a_worker_does_not_join(tmp_path: Path, end: str) -> None:
    asked, said, code = run(tmp_path, {"w1": end})
    assert code != 0, said
    assert asked == ["token present w1", *(["join with w1"] if end == "failed" else []), "token absent w1"], said
    assert ("w1 became unreachable while it joined" in said) == (end == "unreachable")
    assert "unreachable=0" in said.split("PLAY RECAP")[1].split("w1 ")[1].splitlines()[0], said
    for secret in SECRETS.values():
        assert secret.partition(".")[2] not in said


@pytest.mark.parametrize("end", ["unreachable", "failed", "joined"])
def test_a_token_goes_while_another_host_is_still_joining(tmp_path: Path, end: str) -> None:
    asked, said, code = run(tmp_path, {"w1": end, "w2": "slow"})
    assert (code == 0) == (end == "joined"), said
    first = [] if end == "unreachable" else ["join with w1"]
    expected = ["token present w1 w2", *first, "token absent w1", "join with w2", "token absent w2"]
    # Nothing is left to delete at the end.
    assert asked == expected, said
    for secret in SECRETS.values():
        assert secret.partition(".")[2] not in said


def test_a_deletion_that_fails_is_left_to_the_end(tmp_path: Path) -> None:
    asked, said, code = run(tmp_path, {"w1": "joined", "w2": "joined"}, deletion={"failed": True, "msg": "the API"})
    assert code != 0 and "the API" in said
    # Once after a join, and for all of them at the end.
    assert asked[-1] == "token absent w1 w2" and len([one for one in asked if "absent" in one]) == 2, asked


def test_certificates_come_when_the_workers_have_joined_and_their_tokens_are_gone(tmp_path: Path) -> None:
    asked, said, code = run(tmp_path, {"w1": "joined", "cp2": "joined"}, ("cp2",))
    assert code == 0, said
    assert asked == [
        "token present w1",
        "join with w1",
        "token absent w1",
        # For cp2; w1 is among those that have finished.
        "token present cp2 w1",
        "join with cp2",
        "token absent cp2",
        # The certificates.
        "token absent cp2 w1",
    ]


def test_the_tokens_go_when_a_control_plane_becomes_unreachable(tmp_path: Path) -> None:
    asked, said, code = run(tmp_path, {"w1": "joined", "cp2": "unreachable"}, ("cp2",))
    assert code != 0, said
    assert asked[-2:] == ["token absent cp2", "token absent cp2 w1"], said
