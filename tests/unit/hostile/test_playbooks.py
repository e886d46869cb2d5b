# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks over hosts that lie: no variable changes, nothing unplanned is applied, and the others are served."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.tests.unit.hostile import lies

ROOT = Path(__file__).resolve().parents[3]
MANIFEST = ROOT / "tests/unit/fixtures/calico/small.yaml"
# What an inventory sets, and the probe must find again.
SET: dict[str, Any] = {
    "cni_plugin": "calico",
    "cni_calico_manifest": str(MANIFEST),
    "cni_calico_checksum": hashlib.sha256(MANIFEST.read_bytes()).hexdigest(),
    "cni_wait_rollout": False,
    "join_token_ttl": "15m",
    "cluster_kubernetes_version": "1.35",
    "cluster_kubeconfig_path": "",
    "kube_packages_key_fingerprint": "D74F5542990591D3743FFF20D4EEA38A7A3E2331",
    "cluster_kubelet_config": {"failCgroupV1": False, "failSwapOn": False},
}
EVIL = re.compile(r"203\.0\.113\.66|evil\.example\.org|w-evil|\b24h\b")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u2028\u202e\u2060\ufeff]")


@dataclass
class Run:
    """What a run of a playbook printed, sent, and left in variables."""

    code: int
    output: str
    sent: dict[str, list[str]]
    probe: dict[str, Any]
    settings: dict[str, Any]
    #: The contents of the files that hosts were sent.
    files: list[str]

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        lines = re.findall(r"^(\S+)\s+: (ok=.*)$", self.output.split("PLAY RECAP")[-1], re.MULTILINE)
        return {name: {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", counts)} for name, counts in lines}

    def modules(self, number: int) -> list[str]:
        return [name.split("-")[1] for name in sorted(self.sent) if name.split("-")[0] == str(number)]


def play(
    folder: Path,
    playbook: str,
    liars: list[str],
    *options: str,
    control_plane: str = "",
    other_control_plane: str = "",
    member: bool = False,
    environment: dict[str, str] | None = None,
    **settings: Any,
) -> Run:
    """Run a playbook of the collection over an honest control plane and worker, and one host for each lie.

    With ``member`` all of them are in a cluster. ``other_control_plane`` is the lie of another control plane, if there
    is one. ``settings`` are set in the inventory in addition to :data:`SET`.
    ``environment`` has settings of Ansible.
    """
    record = folder / "record"
    record.mkdir()
    (folder / "ansible.cfg").write_text("", encoding="utf-8")
    workers = {"w1": {"hostile_lie": "", "hostile_number": 1}}
    workers |= {f"liar-{lie}": {"hostile_lie": lie, "hostile_number": at} for at, lie in enumerate(liars, 2)}
    controls = {"cp1": {"hostile_lie": control_plane, "hostile_number": 0}}
    if other_control_plane:
        controls["cp2"] = {"hostile_lie": other_control_plane, "hostile_number": len(workers) + 1}
    if member:
        for host in (*controls.values(), *workers.values()):
            number = host["hostile_number"]
            host.update(hostile_member=True, cluster_node_name=f"w{number}" if number else "c1")
    settings = {**SET, **settings}
    common = {
        "ansible_connection": "hostile",
        "ansible_python_interpreter": "/usr/bin/python3",
        "hostile_record": str(record),
        **settings,
    }
    inventory = {
        "all": {
            "vars": {"probe_names": [*settings, *lies.WANTED]},
            "children": {
                "control_plane": {"hosts": controls, "vars": common},
                "workers": {"hosts": workers, "vars": common},
            },
        }
    }
    (folder / "hosts.yml").write_text(json.dumps(inventory), encoding="utf-8")
    (folder / "web.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n", encoding="utf-8"
    )
    plays = [
        {"import_playbook": f"kubestead.cluster.{playbook}"},
        {
            "hosts": "localhost",
            "gather_facts": False,
            "tasks": [
                {
                    "name": "Probe the variables",
                    "ansible.builtin.copy": {"content": "{{ probe | to_json }}", "dest": str(folder / "probe.json")},
                    "vars": {"probe": PROBE},
                }
            ],
        },
    ]
    (folder / "play.yml").write_text(json.dumps(plays), encoding="utf-8")
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_CONNECTION_PLUGINS": str(Path(__file__).parent / "connection_plugins"),
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_FORKS": "4",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        **(environment or {}),
    }
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(folder / "hosts.yml")]
    done = subprocess.run(
        [*argv, str(folder / "play.yml"), *options],
        env=variables,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=500,
        check=False,
    )
    probe = folder / "probe.json"
    return Run(
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        {path.name: [path.read_text("utf-8", "replace")] for path in record.iterdir()},
        json.loads(probe.read_text(encoding="utf-8")) if probe.exists() else {},
        settings,
        [path.read_text("utf-8", "replace") for path in (folder / "files").glob("*")],
    )


PROBE = """{% set found = {} %}{% for host in groups['all'] %}{% set _ = found.update({host: {}}) %}
{%- for name in probe_names %}{% if name in hostvars[host] %}
{%- set _ = found[host].update({name: hostvars[host][name]}) %}{% endif %}{% endfor %}{% endfor %}{{ found }}"""


def check(run: Run) -> None:
    """What holds whatever hosts answer."""
    assert not CONTROL.search(run.output), CONTROL.findall(run.output)[:5]
    assert "Traceback" not in run.output and "unexpected exception" not in run.output.lower()
    assert not re.search(r"^\s+cp9\s|^\[WARNING\]: forged", run.output, re.MULTILINE)
    assert not [text for texts in run.sent.values() for text in texts if EVIL.search(text)]
    assert {"cp1", "w1"} <= set(run.probe) or run.recap.get("localhost", {}).get("failed"), run.output[-3000:]
    for host, found in run.probe.items():
        if host == "localhost":
            continue
        assert {name: found.get(name) for name in run.settings} == run.settings, host
        assert not EVIL.search(json.dumps(found)), host
        assert found["ansible_connection"] == "hostile"
    assert not Path("/tmp/kubestead-owned").exists()


def failure_lines(run: Run, host: str) -> list[str]:
    return [line for line in run.output.splitlines() if line.startswith("fatal: [" + host)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return play(tmp_path_factory.mktemp("site"), "site", list(lies.LIES))


def test_site_changes_no_variable_and_prints_nothing_of_a_host(site: Run) -> None:
    check(site)


def test_site_serves_the_hosts_that_do_not_lie(site: Run) -> None:
    assert site.recap["cp1"]["failed"] == 0 and site.recap["w1"]["failed"] == 0, site.output[-4000:]
    assert "kubeadm_join" in site.modules(1) and "calico_apply" in site.modules(0)


def test_site_fails_for_liars_alone_each_with_a_line(site: Run) -> None:
    failed = {name for name, counts in site.recap.items() if counts.get("failed") or counts.get("unreachable")}
    assert failed and all(name.startswith("liar-") for name in failed) and site.code != 0
    assert all(len(failure_lines(site, name)) == 1 for name in failed)
    for lie in ("silent", "garbage", "truncated", "deep", "list", "types"):
        assert f"liar-{lie}" in failed


def test_nothing_is_applied_but_the_manifest_of_the_inventory(site: Run) -> None:
    (sent,) = [texts[0] for name, texts in site.sent.items() if "calico_apply" in name]
    names = set(re.findall(r'\\*"kind\\*": \\*"(\w+)', sent))
    assert names and names <= set(re.findall(r"kind: (\w+)", MANIFEST.read_text(encoding="utf-8"))) | {"IPPool"}
    assert [name for name in site.sent if "calico_apply" in name and not name.startswith("0-")] == []


def test_a_worker_that_is_added_alone_decides_nothing(tmp_path: Path) -> None:
    run = play(tmp_path, "site", ["facts"], "--limit", "liar-facts,localhost")
    check(run)
    token = "".join(texts[0] for name, texts in run.sent.items() if "kubeadm_join_token" in name)
    assert "15m" in token, run.output[-3000:]


def test_a_plausible_lie_stops_everybody_unless_the_user_drops_such_hosts(tmp_path: Path) -> None:
    (tmp_path / "stops").mkdir()
    (tmp_path / "drops").mkdir()
    run = play(tmp_path / "stops", "site", ["taken"])
    assert run.code != 0 and {name.split("-")[1] for name in run.sent} == {"node_info"}
    run = play(tmp_path / "drops", "site", ["taken"], "-e", "preflight_drop_hosts=true")
    # The failure at the end is the last of the run, so that the probe is not reached.
    assert not CONTROL.search(run.output) and "Traceback" not in run.output
    assert "kubeadm_join" in run.modules(1) and "calico_apply" in run.modules(0), run.output[-4000:]
    # Nothing but the observation was asked of the one that is left out.
    assert run.modules(2) == ["node_info"]
    assert run.recap["cp1"]["failed"] == 0 and run.recap["w1"]["failed"] == 0
    assert run.code != 0 and run.recap["liar-taken"]["failed"] == 1
    (_line,) = failure_lines(run, "liar-taken")
    assert (
        "liar-taken was left out of this run: " in run.output
        and "10250" in run.output.split("left out of this run: ")[1]
    )


def test_preflight_says_what_is_wrong_with_each(tmp_path: Path) -> None:
    run = play(tmp_path, "preflight", [name for name in lies.LIES if not name.startswith("late-")], "-v")
    check(run)
    assert run.recap["cp1"]["failed"] == 0 and run.recap["w1"]["failed"] == 0
    assert {name.split("-")[1] for name in run.sent} == {"node_info"}


@pytest.mark.parametrize("lie", ["said", "shown", "facts", "failed"])
def test_deploy_to_a_control_plane_that_lies(tmp_path: Path, lie: str) -> None:
    run = play(tmp_path, "deploy", [], "-e", f"deploy_manifests={tmp_path}/web.yaml", control_plane=lie)
    check(run)
    assert {name.split("-")[1] for name in run.sent} == {"manifests"}
    assert (run.code != 0) == (lie == "failed")


# -- facts of a host that is only delegated to, and a cache of facts


def test_a_worker_outside_the_play_puts_nothing_into_the_cache_of_facts(tmp_path: Path) -> None:
    """With the pod network bridge, a run sets routes on nodes that its play leaves out."""
    assert b"evil.example.org" in lies.answer("facts", "bridge_cni", 2, False)
    cache = tmp_path / "cache"
    environment = {"ANSIBLE_CACHE_PLUGIN": "jsonfile", "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(cache)}
    limit = ("--limit", "cp1,w1,localhost")
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        run = play(folder, "site", ["facts"], *limit, environment=environment, cni_plugin="bridge")
        check(run)
        assert run.recap["cp1"]["failed"] == 0 and "bridge_cni" in run.modules(2), run.output[-4000:]
        cached = {path.name: path.read_text(encoding="utf-8") for path in cache.glob("*")}
        assert not [name for name, text in cached.items() if EVIL.search(text)]


# -- a host that keeps the files it is sent

PASSWORD = "s3cr3t-0f-the-sh0p"
SECRET = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: shop}}\nstringData: {{password: {PASSWORD}}}\n"
WITHOUT_PIPELINING = {"ANSIBLE_PIPELINING": "0"}


def deploy_secret(folder: Path, *options: str) -> Run:
    (folder / "shop").mkdir()
    (folder / "shop/secret.yaml").write_text(SECRET, encoding="utf-8")
    options = ("-e", f"deploy_manifests={folder}/shop", *options)
    return play(folder, "deploy", [], *options, environment=WITHOUT_PIPELINING)


def test_a_secret_in_manifests_is_never_in_a_file_on_the_control_plane(tmp_path: Path) -> None:
    run = deploy_secret(tmp_path)
    check(run)
    assert run.code == 0 and PASSWORD in "".join(text for texts in run.sent.values() for text in texts)
    assert run.files == []


def test_without_pipelining_the_file_would_be_found(tmp_path: Path) -> None:
    run = deploy_secret(tmp_path, "-e", "ansible_pipelining=false")
    assert any(PASSWORD in text for text in run.files), run.output[-3000:]


def test_site_sends_no_file_to_any_host(tmp_path: Path) -> None:
    credentials = [{"registry": "registry.example.org", "username": "shop", "password": PASSWORD}]
    settings: dict[str, Any] = {"containerd_registry_credentials": credentials}
    run = play(tmp_path, "site", [], environment=WITHOUT_PIPELINING, **settings)
    sent = "".join(text for texts in run.sent.values() for text in texts)
    assert run.recap["w1"]["failed"] == 0 and "kubeadm_join" in run.modules(1), run.output[-4000:]
    assert "abcdef.0123456789abcdef" in sent and run.files == []
