# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible import constants
from ansible.errors import AnsibleLookupError

from ansible_collections.kubestead.cluster.plugins.lookup import join_command
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

ROOT = Path(__file__).resolve().parents[4]
CA = "sha256:dc846602c390dff22f312f0cf8a3b5d6064860426c5ac9119b7a4351697241f1"
KEY = "0123456789abcdef" * 4
RESULT = {
    "changed": True,
    "failed": False,
    "endpoint": "10.0.0.1:6443",
    "token": "abcdef.0123456789abcdef",
    "ca_cert_hashes": [CA],
    "ca_certificate": "-----BEGIN CERTIFICATE-----",
    "certificate_key": KEY,
    "control_plane": True,
    "expires": "2099-01-01T00:00:00Z",
}


def look_up(*terms: Any, **options: Any) -> list[dict[str, Any]]:
    plugin = join_command.LookupModule()
    plugin._load_name = "kubestead.cluster.join_command"
    defined = yaml.safe_load(join_command.DOCUMENTATION)["options"]
    constants.config.initialize_plugin_configuration_definitions("lookup", plugin._load_name, defined)
    return plugin.run(list(terms), variables={}, **options)


def test_a_minted_token_for_control_planes_and_for_workers() -> None:
    (control_plane,) = look_up(RESULT)
    assert control_plane == {key: RESULT[key] for key in control_plane}
    assert set(control_plane) == {
        *("endpoint", "token", "ca_cert_hashes", "ca_certificate"),
        *("certificate_key", "control_plane", "expires"),
    }
    (worker,) = look_up(RESULT, control_plane=False)
    assert (worker["control_plane"], worker["certificate_key"]) == (False, "")


def test_texts_and_results_side_by_side() -> None:
    text = fixture("join/v1.35/worker.txt")
    first, second, third = look_up(text, {"rc": 0, "stdout": text}, RESULT)
    assert first == second and first["endpoint"] == "10.213.0.28:6443"
    assert first["expires"] == ""
    assert third["endpoint"] == "10.0.0.1:6443"


def test_both_forms_of_init() -> None:
    text = fixture("join/v1.35/init.txt")
    assert look_up(text, control_plane=True)[0]["control_plane"] is True
    assert look_up(text, control_plane="yes")[0]["certificate_key"] != ""
    assert look_up(text)[0]["control_plane"] is False


def test_a_dry_run_has_no_token_and_that_may_be_allowed() -> None:
    dry = {"changed": True, "steps": [], "control_plane": True, "reused": False}
    with pytest.raises(AnsibleLookupError, match="join command does not have a token"):
        look_up(dry)
    nothing = {"endpoint": "", "ca_cert_hashes": [], "ca_certificate": "", "control_plane": True}
    assert look_up(dry, allow_missing=True) == [nothing]
    known = dict(dry, endpoint="10.0.0.1:6443", ca_cert_hashes=[CA])
    assert look_up(known, allow_missing=True, control_plane=False) == [
        {"endpoint": "10.0.0.1:6443", "ca_cert_hashes": [CA], "ca_certificate": "", "control_plane": False}
    ]
    assert look_up(RESULT, allow_missing=True)[0]["token"] == RESULT["token"]


def test_the_control_machines_clock_can_be_left_out() -> None:
    (late,) = look_up(dict(RESULT, expires="2020-01-01T00:00:00Z"), check_expiry=False)
    assert late["expires"] == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "term, says",
    [
        ("", "join command is empty"),
        (fixture("join/v1.35/refused-error.txt"), "join command is an error message"),
        (dict(RESULT, expires="2020-01-01T00:00:00Z"), "token abcdef of join command expired at 2020-01-01T00:00:00Z"),
        (dict(RESULT, failed=True, msg="no API"), "is the result of a failed task: no API"),
        (["a list"], "is a list, not text"),
        (None, "is a NoneType, not text"),
    ],
)
def test_anything_else_fails_with_the_precise_text(term: Any, says: str) -> None:
    with pytest.raises(AnsibleLookupError) as caught:
        look_up(term)
    assert says in str(caught.value)
    assert "0123456789abcdef" not in str(caught.value)


PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - name: A result that is hidden, as the module returns it
      ansible.builtin.set_fact:
        minted: "{{ result }}"
      no_log: true
    - name: Its parts
      ansible.builtin.assert:
        that:
          - join.token == result.token
          - join.ca_cert_hashes | length == 1
          - lookup('kubestead.cluster.join_command', minted, control_plane=false).certificate_key == ''
          - query('kubestead.cluster.join_command', minted, text) | length == 2
        quiet: true
      vars:
        join: "{{ lookup('kubestead.cluster.join_command', minted) }}"
    - name: A text that is none
      ansible.builtin.debug:
        msg: "{{ lookup('kubestead.cluster.join_command', 'error: token ' ~ result.token ~ ' expired').token }}"
"""


def test_in_a_playbook_nothing_of_it_is_shown(tmp_path: Path) -> None:
    (tmp_path / "play.yml").write_text(PLAYBOOK)
    (tmp_path / "vars.json").write_text(json.dumps({"result": RESULT, "text": fixture("join/v1.35/worker.txt")}))
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", "-c", "local", "-vvvv"]
    done = subprocess.run(
        [*command, "-e", f"@{tmp_path / 'vars.json'}", str(tmp_path / "play.yml")],
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
        },
        capture_output=True,
        text=True,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 2, output
    assert "ok=2" in output and "failed=1" in output
    assert "join command reports an expired or unknown token (error: token abcdef.<hidden> expired)" in output
    assert "0123456789abcdef" not in output.replace("abcdef.<hidden>", "")
