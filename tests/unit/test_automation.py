# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/automation.md: what a program gets from ansible-runner about a deployment is what the page says."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.kube import services
from ansible_collections.kubestead.cluster.plugins.modules import manifests

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/automation.md").read_text(encoding="utf-8")
RETURN = yaml.safe_load(manifests.RETURN)
SERVICES = RETURN["services"]["sample"]
# Stands in for Python on the machine with kubectl, and answers as the module does.
PYTHON = """#!{python}
import sys
sys.stdin.read()
print({answer!r})
"""


def deploy(folder: Path, answer: dict[str, Any], *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the data of the events at the end of a run that gets this answer of the module."""
    import ansible_runner

    (folder / "runner").mkdir(parents=True)
    python, manifest, hosts = folder / "python", folder / "web.yaml", folder / "hosts.yml"
    python.write_text(PYTHON.format(python=sys.executable, answer=json.dumps(answer)), encoding="utf-8")
    python.chmod(0o755)
    manifest.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n", encoding="utf-8")
    local = {"ansible_connection": "local", "ansible_python_interpreter": str(python)}
    hosts.write_text(json.dumps({"all": {"hosts": {"localhost": local}}}), encoding="utf-8")
    run = ansible_runner.run(
        private_data_dir=str(folder / "runner"),
        inventory=str(hosts),
        playbook="kubestead.cluster.deploy",
        cmdline=" ".join(options),
        extravars={"deploy_manifests": str(manifest), "deploy_kubeconfig": str(folder / "kubeconfig")},
        envvars={
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(folder),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        },
        quiet=True,
    )
    return run.rc, [one["event_data"] for one in run.events if one["event"] == "playbook_on_stats"]


def answer(changed: bool, there: list[dict[str, Any]]) -> dict[str, Any]:
    return {"changed": changed, "steps": [], "objects": ["ConfigMap web"], "services": there, "summary": []}


@pytest.mark.parametrize(
    ("changed", "there", "options"),
    [(True, SERVICES, ()), (False, SERVICES, ()), (True, [], ("--check",)), (False, SERVICES, ("--tags", "deploy"))],
)
def test_a_deployment_gives_its_services_as_statistics(
    tmp_path: Path, changed: bool, there: list[dict[str, Any]], options: tuple[str, ...]
) -> None:
    code, (stats,) = deploy(tmp_path / "run", answer(changed, there), *options)
    given = stats["artifact_data"]
    assert code == 0 and set(given) == {"kubestead_deploy"}
    assert given["kubestead_deploy"] == {"changed": changed, "services": there}
    assert given["kubestead_deploy"]["changed"] is changed


def test_a_deployment_that_failed_gives_none(tmp_path: Path) -> None:
    code, (stats,) = deploy(tmp_path / "run", {"failed": True, "changed": True, "msg": "the rollout does not finish"})
    assert code == 2 and "kubestead_deploy" not in (stats.get("artifact_data") or {})


def test_the_documented_services_are_those_that_the_module_describes() -> None:
    port = {"name": "http", "port": 80, "nodePort": 30080, "protocol": "TCP"}
    spec = {"type": "NodePort", "clusterIP": "10.96.12.7", "ports": [port]}
    there = {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}
    assert services.describe([there], ["192.168.1.11"]) == SERVICES


def documented() -> str:
    """The part of the page about a deployment."""
    return PAGE.partition("## Services of a deployment")[2].partition("\n## ")[0]


def test_the_example_on_the_page_is_what_a_run_gives(tmp_path: Path) -> None:
    shown = json.loads(re.findall(r"```json\n(.*?)```", documented(), re.DOTALL)[0])
    _code, (stats,) = deploy(tmp_path / "run", answer(True, SERVICES))
    assert shown == stats["artifact_data"]


def test_the_program_on_the_page_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = re.findall(r"```python\n(.*?)```", documented(), re.DOTALL)[0]
    _code, (stats,) = deploy(tmp_path / "run", answer(True, SERVICES))

    class Run:
        """What ansible_runner returns, as far as the program uses it."""

        events = ({"event": "playbook_on_play_start"}, {"event": "playbook_on_stats", "event_data": stats})

    exec(compile(program, "docs/automation.md", "exec"), {"run": Run})
    assert capsys.readouterr().out == "shop/web: http://192.168.1.11:30080/\n"
    # A run that failed has nothing to read.
    Run.events = ({"event": "playbook_on_play_start"}, {"event": "playbook_on_stats", "event_data": {}})
    exec(compile(program, "docs/automation.md", "exec"), {"run": Run})
    assert capsys.readouterr().out == ""
